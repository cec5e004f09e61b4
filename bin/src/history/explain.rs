//! Why a member is what it is: the chain of what happened, and what most likely caused it.

use butterfly::MemberId;
use butterfly::text::visible;
use serde::Serialize;

use super::row::{HistoryRow, Moment, ON_TIME_MS, Probe, What, Who, shown_ms, why};

/// Trouble that begins this long after the last is another one.
const CALM_MS: u64 = 60_000;
/// What came to light so long before a member that was back is suspected again tells of the time before.
const AFTERMATH_MS: u64 = 5_000;
/// The most lines of a chain that are shown; the ones in the middle are left out.
const MOST_LINES: usize = 40;

/// What most likely happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Likely {
    /// Nothing: it is alive, and no trouble is known.
    Nothing,
    /// It left by itself.
    Left,
    /// An operator had it depart, or another took its place.
    Departed,
    /// Its process ended, and was started again.
    Restarted,
    /// The system says that nobody is there.
    Ended,
    /// Its process stood still, or was overloaded.
    Stopped,
    /// What others send does not reach it, or what it sends does not reach others.
    OneWay,
    /// Its network was cut.
    Cut,
    /// The loop of the member that is asked was late.
    OwnLoop,
    /// The member that is asked was cut off.
    OwnNetwork,
    /// It ended, or its host, or its network is cut: nothing tells these apart until it is back.
    Gone,
    /// Others said so, and the member that is asked found nothing out itself.
    Told,
}

/// Why a member is what it is.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Explanation {
    pub likely: Likely,
    /// The same in a sentence.
    pub because: String,
    /// What happened, the first first.
    pub chain: Vec<HistoryRow>,
}

/// What is known of the trouble, in short.
#[derive(Default)]
struct Trouble<'a> {
    probes: Vec<&'a Probe>,
    /// How long the longest of them took.
    probed_ms: u64,
    restarted: bool,
    left: bool,
    departed: bool,
    unreachable: bool,
    /// Its system said that nobody listens at its port.
    refused: bool,
    /// Its system answered, and it did not.
    stalled: bool,
    /// It sent a message by itself, and went on answering no probe.
    unasked: bool,
    answered_late_ms: Option<u64>,
    /// Another one answered late meanwhile.
    others_late: bool,
    /// Another one missed a probe meanwhile.
    others_silent: bool,
    own_lag_ms: u64,
    own_silence_ms: Option<u64>,
    /// It is alive again, after so long.
    back_ms: Option<u64>,
    /// Whoever said first that it does not answer, or is dead.
    told_by: Option<&'a Who>,
    refuted: bool,
    /// It was told that it is Suspect, while it was.
    suspected: bool,
}

/// Explains what these rows, the oldest first, say of a member; `own` is the one that was asked.
pub fn explain(rows: &[HistoryRow], about: MemberId, own: MemberId) -> Explanation {
    let chain = match about == own {
        true => own_trouble(rows, own),
        false => trouble_of(rows, about, own),
    };
    let (likely, because) = match (chain.is_empty(), about == own) {
        (true, _) => (
            Likely::Nothing,
            "no trouble of it is known to the member that was asked".to_owned(),
        ),
        (_, true) => judge_self(&summed_up(&chain, about, own)),
        (_, false) => {
            let mut trouble = summed_up(&chain, about, own);
            // What others did meanwhile shows whose fault it is.
            let from = chain.first().map(|row| began(row));
            for row in rows.iter().filter(|row| Some(row.time) >= from) {
                let is_other = row.about.id() != about;
                match row.what {
                    What::AnsweredLate { .. } => trouble.others_late |= is_other,
                    What::ProbeFailed(_) => trouble.others_silent |= is_other,
                    _ => {}
                }
            }
            judge(&trouble)
        }
    };
    Explanation {
        likely,
        because,
        chain: chain.into_iter().cloned().collect(),
    }
}

fn is_bad(what: &What) -> bool {
    matches!(
        what,
        What::Suspect(_) | What::Confirmed(_) | What::Departed(_)
    )
}

/// When what a row tells of began.
fn began(row: &HistoryRow) -> Moment {
    match &row.what {
        What::ProbeFailed(probe) => probe.began,
        _ => row.time,
    }
}

/// The rows of the last trouble of a member, with those of the asked one's own trouble meanwhile.
fn trouble_of(rows: &[HistoryRow], about: MemberId, own: MemberId) -> Vec<&HistoryRow> {
    let its: Vec<&HistoryRow> = rows.iter().filter(|row| row.about.id() == about).collect();
    let Some(last) = its.iter().rposition(|row| is_bad(&row.what)) else {
        return Vec::new();
    };
    let mut first = last;
    for (place, row) in its.iter().enumerate().take(last).rev() {
        let gap = began(its[first]).ms_since(row.time);
        let from_health = match &its[first].what {
            What::Confirmed(change) | What::Departed(change) => change.from.as_deref(),
            _ => Some("alive"),
        };
        if gap > CALM_MS && (matches!(row.what, What::Alive(_)) || from_health == Some("alive")) {
            break;
        }
        first = place;
    }
    // That it came back from the trouble before is not the beginning of this one.
    while first < last && matches!(its[first].what, What::Alive(_) | What::Raised { .. }) {
        first += 1;
    }
    let (from, until) = (
        began(its[first]),
        its.last().map_or(its[last].time, |row| row.time),
    );
    let is_meanwhile = |row: &&HistoryRow| {
        let lasted = match row.what {
            What::Lagged { ms } | What::Isolated { ms } | What::Reconnected { ms } => ms,
            _ => return false,
        };
        row.about.id() == own && row.time >= from && row.time.ms_since(until) <= lasted
    };
    let mut chain: Vec<&HistoryRow> = its[first..].to_vec();
    chain.extend(rows.iter().filter(is_meanwhile));
    chain.extend(isolated_at(rows, own, from));
    chain.sort_by_key(|row| began(row));
    chain
}

/// The row that says that the asked member was isolated, if it was at that moment.
fn isolated_at(rows: &[HistoryRow], own: MemberId, at: Moment) -> Option<&HistoryRow> {
    let before = rows
        .iter()
        .filter(|row| row.about.id() == own && row.time < at);
    let mut changes =
        before.filter(|row| matches!(row.what, What::Isolated { .. } | What::Reconnected { .. }));
    changes
        .next_back()
        .filter(|row| matches!(row.what, What::Isolated { .. }))
}

/// The rows of the asked member's own last trouble.
fn own_trouble(rows: &[HistoryRow], own: MemberId) -> Vec<&HistoryRow> {
    let is_own = |row: &&HistoryRow| row.about.id() == own && !matches!(row.what, What::Alive(_));
    let Some(last) = rows.iter().rfind(is_own) else {
        return Vec::new();
    };
    // What it found out of others meanwhile shows whether they heard it.
    let is_near = |row: &&HistoryRow| {
        let near = last.time.ms_since(row.time) <= CALM_MS;
        near && (is_own(row) || matches!(row.what, What::ProbeFailed(_)))
    };
    rows.iter().filter(is_near).collect()
}

fn summed_up<'a>(chain: &[&'a HistoryRow], about: MemberId, own: MemberId) -> Trouble<'a> {
    let mut trouble = Trouble::default();
    let (mut since, mut unasked) = (None, false);
    let (mut late_at, mut unasked_at) = (None, None);
    for row in chain.iter().copied() {
        match &row.what {
            What::Suspect(change) | What::Confirmed(change) | What::Departed(change) => {
                if trouble.back_ms.take().is_some() {
                    // It was back: what was the matter then is not what is now.
                    since = None;
                    trouble.restarted = false;
                    trouble.refused = false;
                    trouble.unreachable = false;
                    trouble.stalled = false;
                    trouble.told_by = None;
                    let is_old = |at: Option<Moment>| {
                        at.is_some_and(|at| row.time.ms_since(at) > AFTERMATH_MS)
                    };
                    if is_old(late_at) {
                        trouble.answered_late_ms = None;
                    }
                    if is_old(unasked_at) {
                        (trouble.unasked, unasked) = (false, false);
                    }
                }
                since.get_or_insert(row.time);
                // Its message came before this, so it ran, and was not heard to answer.
                trouble.unasked |= unasked;
                trouble.left |= change.cause == "its_leave";
                trouble.departed |= matches!(&*change.cause, "departure" | "replaced");
                trouble.restarted |= change.cause == "address_taken";
                if trouble.told_by.is_none() {
                    trouble.told_by = change.by.as_ref();
                }
            }
            What::Alive(_) => {
                trouble.back_ms = since.map(|since| row.time.ms_since(since));
                trouble.left = false;
            }
            What::Restarted => trouble.restarted = true,
            What::ProbeFailed(probe) => {
                trouble.unreachable |= probe.unreachable;
                if row.about.id() == about {
                    trouble.own_lag_ms = trouble.own_lag_ms.max(probe.lag_ms);
                }
                trouble.probed_ms = trouble.probed_ms.max(row.time.ms_since(probe.began));
                trouble.probes.push(probe);
            }
            What::AnsweredLate { after_ms, .. } => {
                trouble.answered_late_ms = trouble.answered_late_ms.max(Some(*after_ms));
                late_at = Some(row.time);
            }
            What::Unasked => {
                unasked = true;
                unasked_at = Some(row.time);
            }
            What::Accused { by, .. } | What::DeathClaimed { by, .. } => {
                if let What::Accused { evidence, .. } = &row.what {
                    trouble.refused |= evidence == "gone";
                    trouble.stalled |= evidence == "stalled";
                }
                if by.id() != own && trouble.told_by.is_none() {
                    trouble.told_by = Some(by);
                }
            }
            What::Refuted { by, claimed, .. } => {
                trouble.refuted = true;
                trouble.suspected |= claimed == "suspect";
                trouble.told_by.get_or_insert(by);
            }
            What::Lagged { ms } => trouble.own_lag_ms = trouble.own_lag_ms.max(*ms),
            What::Isolated { ms } | What::Reconnected { ms } => {
                trouble.own_silence_ms = trouble.own_silence_ms.max(Some(*ms));
            }
            What::LastWord { .. } | What::Moved { .. } | What::Raised { .. } | What::Other => {}
        }
    }
    trouble.unasked |= unasked && trouble.back_ms.is_none();
    trouble
}

/// What most likely happened to another member.
fn judge(trouble: &Trouble<'_>) -> (Likely, String) {
    // A loop that is late by a good part of a probe reads answers that came in time too late.
    let is_own_loop =
        trouble.own_lag_ms > ON_TIME_MS && trouble.own_lag_ms * 4 >= trouble.probed_ms.min(4_000);
    let heard_nobody = trouble.probes.iter().any(|probe| probe.is_unheard());
    // If there is no third member, silence does not tell whose network is cut.
    let is_isolated = trouble.own_silence_ms.is_some() && trouble.others_silent;
    if trouble.left {
        (Likely::Left, "it left by itself: it said so".to_owned())
    } else if trouble.departed {
        let text = "an operator had it depart for good, or another member took its place";
        (Likely::Departed, text.to_owned())
    } else if trouble.restarted {
        let text = "its process ended, and was started again: what answers now is another process";
        (Likely::Restarted, text.to_owned())
    } else if trouble.refused && trouble.back_ms.is_none() {
        let text = "its process ended: its own system says that nobody listens at its port";
        (Likely::Ended, text.to_owned())
    } else if is_own_loop {
        let text = format!(
            "the fault is here: this member's own loop was {} late, so that it read answers too late (is this machine busy?)",
            shown_ms(trouble.own_lag_ms)
        );
        (Likely::OwnLoop, text)
    } else if heard_nobody && trouble.answered_late_ms.is_some()
        || (heard_nobody || is_isolated) && trouble.others_late
    {
        let text = "the fault is here: this member heard nobody for a while, and then read what they had answered in time (is this \
                    machine busy, or its network slow?)";
        (Likely::OwnLoop, text.to_owned())
    } else if heard_nobody || is_isolated {
        let text = "the fault is here: this member heard nobody meanwhile, no helper either, so its own network was cut";
        (Likely::OwnNetwork, text.to_owned())
    } else if trouble.unreachable && trouble.back_ms.is_none() {
        let text = "its process ended, or there is no way to its host: the system says that nobody is there";
        (Likely::Ended, text.to_owned())
    } else if let Some(late) = trouble.answered_late_ms {
        let text = format!(
            "its process stood still or was overloaded: its host kept what it was sent, and it answered after {}",
            shown_ms(late)
        );
        (Likely::Stopped, text)
    } else if trouble.unasked {
        let text = "what others send does not reach it, though it runs: it sent messages by itself, and answered no probe \
                    (one direction of its network is cut, or a firewall drops what comes in)";
        (Likely::OneWay, text.to_owned())
    } else if let Some(after) = trouble.back_ms {
        let text = format!(
            "its network was cut, in one direction or both: the same process answers again, after {}, and never got what it was \
             sent meanwhile",
            shown_ms(after)
        );
        (Likely::Cut, text)
    } else if trouble.stalled {
        let text = "its process stands still: its system answers in its place";
        (Likely::Stopped, text.to_owned())
    } else if !trouble.probes.is_empty() {
        let text = "its process or host ended, stands still, or its network is cut: nobody who asked it got an answer, and \
                    nothing came from it (which of these it was shows when it is back)";
        (Likely::Gone, text.to_owned())
    } else {
        let who = trouble.told_by.map_or("others".to_owned(), |by| by.short());
        let text = format!(
            "this member was told so by {who}, and got no answer from it when it asked: its process or host ended, stands \
             still, or its network is cut"
        );
        (Likely::Told, text)
    }
}

/// What most likely happened to the member that was asked.
fn judge_self(trouble: &Trouble<'_>) -> (Likely, String) {
    let unheard = trouble.probes.iter();
    let unheard = unheard
        .filter(|probe| probe.heard_others && probe.is_unheard())
        .count();
    if trouble.own_lag_ms >= 1_000 {
        let text = format!(
            "this member's own loop stood still for {}: its process was stopped, or its machine slept or was busy",
            shown_ms(trouble.own_lag_ms)
        );
        (Likely::Stopped, text)
    } else if trouble.suspected && unheard > 0 {
        let text = format!(
            "others do not hear this member, though it hears them: {} of its probes got no answer, not even from a helper \
             (what it sends is lost: a firewall, or a route)",
            unheard
        );
        (Likely::OneWay, text)
    } else if let Some(silence) = trouble.own_silence_ms {
        let text = format!(
            "this member heard nobody for {}: its network was cut",
            shown_ms(silence)
        );
        (Likely::Cut, text)
    } else if trouble.own_lag_ms > ON_TIME_MS {
        let text = format!(
            "this member's own loop was {} late, so that it answered late",
            shown_ms(trouble.own_lag_ms)
        );
        (Likely::Stopped, text)
    } else if trouble.refuted {
        let text =
            "others got no answer from it, while it ran on time: what it sent or was sent was lost";
        (Likely::Cut, text.to_owned())
    } else {
        let text = "nothing is known that was wrong with it";
        (Likely::Nothing, text.to_owned())
    }
}

impl Explanation {
    /// For people.
    pub fn shown(&self, about: &Who, health: Option<&str>, own: &Who) -> String {
        let is = match health {
            Some(health) => format!("is {health}"),
            None => "is not known any more".to_owned(),
        };
        let mut text = format!("{} {is}, as {} sees it.\n", about.shown(), own.short());
        if self.likely == Likely::Nothing {
            text += &format!("{}.\n", capital(&self.because));
        } else {
            text += &format!("Most likely, {}.\n\n", self.because);
        }
        let lines: Vec<_> = self.chain.iter().map(|row| line(row, own.id())).collect();
        let left_out = lines.len().saturating_sub(MOST_LINES);
        let half = MOST_LINES / 2;
        for (place, line) in lines.iter().enumerate() {
            if left_out == 0 || place < half || place >= half + left_out {
                text += line;
            } else if place == half {
                text += &format!("… {left_out} more (butterfly history shows them)\n");
            }
        }
        text
    }
}

fn line(row: &HistoryRow, own: MemberId) -> String {
    let day = began(row).of_day();
    let text = match &row.what {
        What::ProbeFailed(probe) => {
            let took = shown_ms(row.time.ms_since(probe.began));
            format!("{} (all in {took})", row.text)
        }
        What::Confirmed(change) => {
            let shown = row.about.shown();
            format!("{shown} confirmed dead: {}", why(change, own))
        }
        _ => row.text.clone(),
    };
    format!("{day}  {}\n", visible(&text))
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use butterfly::sim::{Index, Sim, SimConfig, id_of};
    use butterfly::{Health, Incarnation};
    use jiff::Timestamp;

    use super::super::row::{MemberIdText, Rows};
    use super::*;

    /// The members of each ring; the last one is in trouble.
    const MEMBERS: usize = 5;
    const VICTIM: Index = MEMBERS - 1;

    /// Makes that trouble in the ring of this seed; what the members say that are asked.
    type Cause = fn(u64) -> Vec<Likely>;

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn ring(seed: u64) -> Sim {
        ring_with(seed, |_| {})
    }

    fn ring_with(seed: u64, change: impl FnOnce(&mut SimConfig)) -> Sim {
        let mut config = SimConfig::new(seed);
        change(&mut config);
        config.network.delay = Duration::from_millis(5);
        config.network.jitter = Duration::from_millis(5);
        let mut sim = Sim::new(config);
        for member in sim.start_settled(MEMBERS) {
            sim.command(member, |node, _| node.set_history(true));
        }
        sim.run_for(secs(12) + Duration::from_millis(37 * seed));
        sim
    }

    /// What a member says of the victim.
    fn said(sim: &Sim, by: Index) -> Explanation {
        let rows = Rows {
            node: sim.node(by),
            zero: Timestamp::UNIX_EPOCH,
            run: 1,
        };
        let rows: Vec<_> = sim
            .node(by)
            .history()
            .map(|entry| rows.row(entry))
            .collect();
        explain(&rows, id_of(VICTIM), id_of(by))
    }

    fn all_say(sim: &Sim) -> Vec<Likely> {
        (0..VICTIM).map(|by| said(sim, by).likely).collect()
    }

    fn until_all_hold(sim: &mut Sim, health: Health) {
        let so = sim.run_until(secs(90), |sim| {
            (0..VICTIM).all(|of| sim.view(of, VICTIM) == Some(health))
        });
        assert!(so, "not all hold it for {health}");
    }

    fn sigkill(seed: u64) -> Vec<Likely> {
        let mut sim = ring(seed);
        sim.crash(VICTIM);
        until_all_hold(&mut sim, Health::Confirmed);
        let dead = all_say(&sim);
        assert!(
            dead.iter()
                .all(|likely| matches!(likely, Likely::Gone | Likely::Told)),
            "seed {seed}: {dead:?}"
        );
        sim.restart(VICTIM, Incarnation::new(9).unwrap());
        sim.join(VICTIM, 0);
        until_all_hold(&mut sim, Health::Alive);
        sim.run_for(secs(12));
        all_say(&sim)
    }

    fn cut_cable(seed: u64) -> Vec<Likely> {
        let mut sim = ring(seed);
        sim.partition(|member| u8::from(member == VICTIM));
        until_all_hold(&mut sim, Health::Confirmed);
        sim.run_for(secs(10));
        sim.partition(|_| 0);
        until_all_hold(&mut sim, Health::Alive);
        sim.run_for(secs(5));
        let mut likely = all_say(&sim);
        likely.push(said(&sim, VICTIM).likely);
        likely
    }

    fn freeze(seed: u64) -> Vec<Likely> {
        let mut sim = ring(seed);
        sim.freeze(VICTIM);
        until_all_hold(&mut sim, Health::Confirmed);
        sim.thaw(VICTIM);
        until_all_hold(&mut sim, Health::Alive);
        sim.run_for(secs(5));
        let mut likely = all_say(&sim);
        likely.push(said(&sim, VICTIM).likely);
        likely
    }

    /// Nothing comes in.
    fn deaf(seed: u64) -> Vec<Likely> {
        let mut sim = ring(seed);
        (0..VICTIM).for_each(|from| sim.cut(from, VICTIM));
        sim.run_for(secs(30));
        all_say(&sim)
    }

    /// Nothing goes out.
    fn mute(seed: u64) -> Vec<Likely> {
        let mut sim = ring(seed);
        (0..VICTIM).for_each(|to| sim.cut(VICTIM, to));
        until_all_hold(&mut sim, Health::Confirmed);
        vec![said(&sim, VICTIM).likely]
    }

    /// What comes to one observer, and what it sends, is stuck for a while.
    fn late_observer(seed: u64) -> Vec<Likely> {
        let mut sim = ring(seed);
        let suspected = |sim: &Sim| {
            let about = |entry: &butterfly::HistoryEntry| {
                let suspect = matches!(
                    entry.fact,
                    butterfly::Fact::Changed {
                        to: Health::Suspect,
                        ..
                    }
                );
                entry.member == id_of(VICTIM) && suspect
            };
            sim.node(0).history().any(about)
        };
        sim.stall(0);
        assert!(sim.run_until(secs(60), suspected), "seed {seed}");
        sim.run_for(secs(1));
        sim.unstall(0);
        sim.run_for(secs(10));
        vec![said(&sim, 0).likely]
    }

    /// One observer is cut off from all others.
    fn observer_cut_off(seed: u64) -> Vec<Likely> {
        let mut sim = ring(seed);
        sim.partition(|member| u8::from(member == 0));
        let dead = |sim: &Sim| sim.view(0, VICTIM) == Some(Health::Confirmed);
        assert!(sim.run_until(secs(120), dead), "seed {seed}");
        vec![said(&sim, 0).likely]
    }

    #[test]
    fn the_cause_that_was_injected_is_named_by_all_that_are_asked() {
        let causes: [(Cause, Likely); 7] = [
            (sigkill, Likely::Restarted),
            (cut_cable, Likely::Cut),
            (freeze, Likely::Stopped),
            (deaf, Likely::OneWay),
            (mute, Likely::OneWay),
            (late_observer, Likely::OwnLoop),
            (observer_cut_off, Likely::OwnNetwork),
        ];
        for (cause, name) in causes {
            for seed in 0..100 {
                let named = cause(seed);
                let all = named.iter().all(|likely| *likely == name);
                assert!(
                    !named.is_empty() && all,
                    "seed {seed}: {named:?}, not {name:?}"
                );
            }
        }
    }

    #[test]
    fn an_earlier_restart_does_not_explain_what_comes_later() {
        for seed in 0..10 {
            let mut sim = ring(seed);
            sim.crash(VICTIM);
            until_all_hold(&mut sim, Health::Confirmed);
            sim.restart(VICTIM, Incarnation::new(9).unwrap());
            sim.join(VICTIM, 0);
            until_all_hold(&mut sim, Health::Alive);
            sim.run_for(secs(12));
            sim.freeze(VICTIM);
            until_all_hold(&mut sim, Health::Confirmed);
            let still = all_say(&sim);
            assert!(
                !still.contains(&Likely::Restarted),
                "seed {seed}: {still:?}"
            );
            sim.thaw(VICTIM);
            until_all_hold(&mut sim, Health::Alive);
            sim.run_for(secs(5));
            let after = all_say(&sim);
            assert_eq!(after, [Likely::Stopped; VICTIM], "seed {seed}");
        }
    }

    #[test]
    fn while_a_process_stands_still_its_system_answers_and_that_is_said() {
        for seed in 0..10 {
            let mut sim = ring_with(seed, |config| config.network.icmp = true);
            sim.freeze(VICTIM);
            until_all_hold(&mut sim, Health::Confirmed);
            assert_eq!(all_say(&sim), [Likely::Stopped; VICTIM], "seed {seed}");
        }
    }

    #[test]
    fn an_earlier_standstill_does_not_explain_a_later_death() {
        for seed in 0..10 {
            let mut sim = ring(seed);
            sim.freeze(VICTIM);
            until_all_hold(&mut sim, Health::Confirmed);
            sim.thaw(VICTIM);
            until_all_hold(&mut sim, Health::Alive);
            sim.run_for(secs(12));
            sim.crash(VICTIM);
            until_all_hold(&mut sim, Health::Confirmed);
            let dead = all_say(&sim);
            let is_so = |likely| matches!(likely, &Likely::Gone | &Likely::Told);
            assert!(dead.iter().all(is_so), "seed {seed}: {dead:?}");
        }
    }

    #[test]
    fn a_member_that_leaves_or_is_well_needs_no_excuse() {
        let mut sim = ring(1);
        assert_eq!(said(&sim, 0).likely, Likely::Nothing);
        assert_eq!(said(&sim, VICTIM).likely, Likely::Nothing);
        sim.command(VICTIM, |node, now| node.leave(now));
        until_all_hold(&mut sim, Health::Departed);
        assert_eq!(all_say(&sim), [Likely::Left; VICTIM]);
    }

    #[test]
    fn a_chain_tells_the_probe_its_helpers_the_accusers_and_the_end() {
        let mut sim = ring(1);
        sim.crash(VICTIM);
        until_all_hold(&mut sim, Health::Confirmed);
        let who = |index: Index| Who {
            member: MemberIdText(id_of(index)),
            name: format!("m{index}"),
        };
        let shown: Vec<_> = (0..VICTIM)
            .map(|by| said(&sim, by).shown(&who(VICTIM), Some("confirmed"), &who(by)))
            .collect();
        for text in &shown {
            assert!(text.contains(") is confirmed, as m"), "{text}");
            assert!(text.contains("Most likely, "), "{text}");
            assert!(text.contains(" accused m4 ("), "{text}");
            assert!(text.contains(" confirmed dead: "), "{text}");
        }
        let chain = shown
            .iter()
            .find(|text| text.contains(" missed probe 0x"))
            .unwrap();
        assert!(
            chain.contains("no answer directly, and 5 rounds through m"),
            "{chain}"
        );
        assert!(
            chain.contains(
                "none of which could reach it either; this member's own loop was on time"
            ),
            "{chain}"
        );
        assert!(
            chain.contains("was asked once more, directly and through 3 helpers"),
            "{chain}"
        );
    }

    #[test]
    fn long_chains_are_cut_in_the_middle() {
        let mut sim = ring(0);
        (0..VICTIM).for_each(|from| sim.cut(from, VICTIM));
        sim.run_for(secs(120));
        let who = Who {
            member: MemberIdText(id_of(VICTIM)),
            name: String::new(),
        };
        let explanation = said(&sim, 1);
        let text = explanation.shown(&who, None, &who);
        let chain = text.lines().skip(3).count();
        assert_eq!(chain, explanation.chain.len().min(MOST_LINES + 1), "{text}");
        assert!(
            text.starts_with("00000000 is not known any more, as "),
            "{text}"
        );
    }
}
