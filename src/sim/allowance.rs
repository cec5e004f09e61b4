//! How much the protocol allows a member to send, given what came to it and what it had to tell.

use super::traffic::{Purpose, Traffic};
use crate::config::Timing;
use crate::gossip::tellings;
use crate::limits::{
    LEAVE_FANOUT, MAX_ACCUSERS, MAX_CORRECTED, MAX_CROWD_PUSHES, MAX_LAST_WORDS, MAX_MEMBERS,
};
use crate::node::Node;
use crate::swim::enough_pushes;
use crate::time::Time;

/// A member is told the table once in so many periods (PROTOCOL.md §2).
const TABLE_AGAIN: u64 = 8;

/// Records that a part of a table holds at least: with a name, accusers and a seal one has up to 240 bytes.
const RECORDS: usize = 3;

/// Datagrams of a comparison that one of another's provokes.
const REPLIES: u64 = 16;

/// Comparisons of tables that a newcomer begins in its first period: a sixteenth of it later, then each after twice as long.
const FIRST_COMPARISONS: u64 = 4;

/// Rumors of which one datagram tells that they are there.
const OFFERS: u64 = 90;

/// Rumors that one peer without the extensions is owed in a period.
const OWED: u64 = 64;

/// Pings of a member of which there is a hint.
const HINTED_PINGS: u64 = 4;

/// How often others are asked about a member that refuses.
const REFUSED_ROUNDS: u64 = 8;

/// What of a node decides how much it may send.
#[derive(Clone, Copy, Default)]
struct Standing {
    /// Memberships and rumors that changed something, until now.
    adopted: u64,
    rumors_adopted: u64,
    /// Refusals and hints that came, until now.
    refusals: u64,
    hints: u64,
    news: u64,
    hot: u64,
    suspects: u64,
    departed: u64,
    /// Pushes of rumors that wait.
    queued: u64,
    /// Peers that are not known to have the extensions.
    strangers: u64,
    /// All that it may be owed.
    rumors: u64,
    /// Rumors that are told again to who knows less, each once in a period: elections, and one departure.
    told_again: u64,
    /// Its incarnation: it is news of its own.
    incarnation: u64,
    members: u64,
}

impl Standing {
    fn of(node: &Node) -> Self {
        let (stats, counts) = (node.stats(), node.counts());
        let rumors = node.rumor_count() as u64;
        let members = node.member_count() as u64;
        let size = |name| {
            let gauge = node.sizes().find(|gauge| gauge.name == name);
            gauge.map_or(0, |gauge| gauge.now)
        };
        Standing {
            adopted: stats.records_adopted + stats.refutations + stats.probes_failed,
            told_again: size("elections") + size("departures").min(1),
            incarnation: node.incarnation().get(),
            rumors_adopted: stats.rumors_adopted,
            refusals: stats.refusals,
            hints: stats.hints,
            news: node.news() as u64,
            hot: node.hot_rumors() as u64,
            suspects: counts.suspect as u64,
            departed: counts.departed as u64,
            queued: node.queued_pushes() as u64,
            strangers: node.strangers() as u64,
            rumors: rumors + members,
            members,
        }
    }
}

impl Standing {
    /// How it was in either of two moments: what was adopted counts from the first on.
    fn since(first: Standing, second: Standing) -> Self {
        Standing {
            adopted: first.adopted,
            rumors_adopted: first.rumors_adopted,
            incarnation: first.incarnation,
            refusals: first.refusals,
            hints: first.hints,
            news: first.news.max(second.news),
            hot: first.hot.max(second.hot),
            suspects: first.suspects.max(second.suspects),
            departed: first.departed.max(second.departed),
            queued: first.queued.max(second.queued),
            strangers: first.strangers.max(second.strangers),
            rumors: first.rumors.max(second.rumors),
            told_again: first.told_again.max(second.told_again),
            members: first.members.max(second.members),
        }
    }
}

/// What came to a member in a period, and how it was at its beginning.
#[derive(Clone, Default)]
pub(super) struct Came {
    pub got: Traffic,
    /// Frames of rumors.
    pub frames: u64,
    /// Members of which it changed its mind.
    pub changes: u64,
    before: Standing,
}

/// As many members as there may be are told at once at most.
fn at_once(fanout: usize) -> u64 {
    fanout.min(MAX_MEMBERS) as u64
}

/// What a member sent and got in the present period, and what it may send.
#[derive(Default)]
pub(super) struct Allowance {
    pub sent: Traffic,
    pub came: Came,
    /// The same of the period before: some of what that called for leaves only now.
    earlier: Came,
    /// Rumors that it pushed.
    pub pushed: u64,
    began: Time,
    /// A bucket that leaks: parts of tables that it told of late, of which as many as all may be told once are forgotten
    /// in [`TABLE_AGAIN`] periods.
    tables: u64,
}

impl Allowance {
    /// From now on.
    pub fn since(now: Time) -> Self {
        Allowance {
            began: now,
            ..Allowance::default()
        }
    }

    /// A period may be over: whether more was sent in it than may be.
    pub fn period(&mut self, now: Time, node: &Node, timing: &Timing) -> Option<String> {
        let passed = now.since(self.began);
        if passed < timing.period {
            return None;
        }
        let window = Window {
            timing,
            periods: passed.as_secs_f64() / timing.period.as_secs_f64(),
            got: &self.came.got.and(&self.earlier.got),
            frames: self.came.frames + self.earlier.frames,
            changes: self.came.changes + self.earlier.changes,
            before: Standing::since(self.earlier.before, self.came.before),
            after: Standing::of(node),
            seeds: node.seeds() as u64,
            leaving: node.is_leaving(),
        };
        let found = window
            .exceeded(&self.sent, self.pushed)
            .or(window.told_too_often(&mut self.tables, &self.sent));
        let came = Came {
            before: window.after,
            ..Came::default()
        };
        *self = Allowance {
            earlier: std::mem::replace(&mut self.came, came.clone()),
            came,
            tables: self.tables,
            ..Allowance::since(now)
        };
        found
    }
}

/// Some time in which a member lived, a period mostly.
struct Window<'a> {
    timing: &'a Timing,
    periods: f64,
    got: &'a Traffic,
    frames: u64,
    changes: u64,
    before: Standing,
    after: Standing,
    seeds: u64,
    leaving: bool,
}

impl Window<'_> {
    /// What is sent more often than may be, but for parts of tables; `pushed`: rumors.
    fn exceeded(&self, sent: &Traffic, pushed: u64) -> Option<String> {
        let allowed = [
            (Purpose::Ping, self.pings()),
            (Purpose::Answer, self.questions()),
            (Purpose::News, self.told()),
            (Purpose::Comparison, self.comparisons()),
            (Purpose::PingReq, self.requests()),
            (Purpose::ProbePing, self.records()),
            (Purpose::PassedOn, self.got.of(Purpose::PassedOn)),
        ];
        let sent = allowed.map(|(purpose, most)| (format!("{purpose:?}"), sent.of(purpose), most));
        let all = sent
            .into_iter()
            .chain([("rumors".to_owned(), pushed, self.rumors())]);
        all.into_iter()
            .find(|(_, sent, most)| sent > most)
            .map(|(what, sent, most)| self.too_many(&what, sent, most))
    }

    /// Whether parts of tables run over their bucket.
    fn told_too_often(&self, bucket: &mut u64, sent: &Traffic) -> Option<String> {
        let members = self.before.members.max(self.after.members);
        let most = members * (members.div_ceil(RECORDS as u64) + 1);
        let forgotten = (most as f64 * self.periods / TABLE_AGAIN as f64).ceil() as u64;
        *bucket = (*bucket + sent.of(Purpose::Table)).saturating_sub(forgotten);
        (*bucket > most).then(|| self.too_many("parts of tables", *bucket, most))
    }

    fn too_many(&self, what: &str, sent: u64, most: u64) -> String {
        format!(
            "{sent} of {what} in {:.2} periods, at most {most}",
            self.periods
        )
    }

    /// How often something happens that happens once in a period.
    fn rounds(&self) -> u64 {
        self.periods as u64 + 1
    }

    /// How often something happens that happens after each such interval.
    fn ticks(&self, interval: std::time::Duration) -> u64 {
        let each = self.timing.period.div_duration_f64(interval);
        (self.periods * each).min(1e9) as u64 + 1
    }

    /// Memberships that it was told, by rumors too.
    fn records(&self) -> u64 {
        self.got.records + self.frames
    }

    /// Those that were suspected at some time, and asked for their last word.
    fn suspects(&self) -> u64 {
        self.before.suspects + self.changes
    }

    /// Rounds of a probe, and of each that a witness begins in its place.
    fn tries(&self) -> u64 {
        at_once(self.timing.indirect_rounds).max(1)
    }

    /// Questions: the probe and once more for each round of it; the dead and the seeds, which are asked often at first;
    /// comparisons of tables; last words; and proofs of addresses, of who asked and of who was told of.
    fn pings(&self) -> u64 {
        let own = self.tries() + 1 + FIRST_COMPARISONS + 2 * self.seeds + 2;
        let asked = self.got.of(Purpose::Ping) + self.got.of(Purpose::PingReq);
        let answered = self.got.of(Purpose::Answer) + self.got.of(Purpose::PassedOn);
        let reports = self.got.of(Purpose::Answer).min(self.rounds());
        let hinted = HINTED_PINGS * (self.hints() + reports + self.refusals());
        own * self.rounds()
            + hinted
            + self.suspects()
            + 2 * asked
            + answered
            + self.records()
            + self.pushes()
    }

    /// What is to be answered; and that a ping was refused, to the member that asked for it.
    fn questions(&self) -> u64 {
        self.got.of(Purpose::Ping) + self.got.of(Purpose::PingReq) + self.refusals()
    }

    fn refusals(&self) -> u64 {
        self.after.refusals - self.before.refusals.min(self.after.refusals)
    }

    fn hints(&self) -> u64 {
        self.after.hints - self.before.hints.min(self.after.hints)
    }

    /// News is pushed until it was told often enough, corrections go to those who spoke of who left, and who leaves says
    /// so twice. Pings without numbers, and claims of the own death, are answered by what looks like it.
    fn told(&self) -> u64 {
        // Each message speaks of its sender, too.
        let spoken_of = self.records() + self.got.total();
        let corrections = (MAX_CORRECTED as u64 * self.rounds()).min(spoken_of);
        let leave = if self.leaving { 2 * LEAVE_FANOUT } else { 0 };
        let answers = self.got.unnumbered + self.got.of(Purpose::ProbePing);
        self.pushes() + corrections + leave as u64 + answers
    }

    /// Pushes of news: to so many at each tick, as long as something is news. While many leave, to as many as it takes.
    fn pushes(&self) -> u64 {
        let (before, after) = (&self.before, &self.after);
        let adopted = after.adopted - before.adopted;
        let refuted = after.incarnation - before.incarnation.min(after.incarnation);
        // Each new accuser of a suspect is news.
        let accusers = (MAX_ACCUSERS as u64 * self.suspects()).min(self.records());
        let items = before.news + adopted + self.changes + refuted + accusers;
        let living = before.members.max(after.members) as usize;
        let enough = enough_pushes(self.timing.push_tellings, living) as u64;
        let crowd = before
            .departed
            .max(after.departed)
            .min(MAX_CROWD_PUSHES as u64);
        let ticks = self.ticks(self.timing.push_interval) + items;
        let fanout = at_once(self.timing.push_fanout).max(crowd);
        fanout * ticks.min(items * enough)
    }

    /// Comparisons of rumors: what another one's datagram provokes; those begun here, after each few intervals, or as all
    /// that was asked for has come; and what is hot, offered to some at each interval.
    fn comparisons(&self) -> u64 {
        let ticks = self.ticks(self.timing.gossip_interval);
        let adopted = self.after.rumors_adopted - self.before.rumors_adopted;
        let hot = self.before.hot + adopted;
        let peers = at_once(self.timing.gossip_fanout) + 1;
        let offers = peers * hot.div_ceil(OFFERS) * (ticks + adopted);
        let begun =
            (ticks / 4 + 1).min(self.got.of(Purpose::Answer) + self.got.of(Purpose::News) + 1);
        REPLIES * (self.got.of(Purpose::Comparison) + begun + adopted) + offers
    }

    /// Others are asked for help with probes, with last words, and with claims that somebody is dead.
    fn requests(&self) -> u64 {
        let last_words = (MAX_LAST_WORDS as u64 * self.rounds()).min(self.suspects());
        let probes = self.tries() * self.rounds();
        let refused = 2 * REFUSED_ROUNDS * self.refusals();
        at_once(self.timing.indirect_probes) * (probes + last_words + self.records() + refused)
    }

    /// Rumors: each that is hot until it is cold, those that were asked for, and what peers get that cannot ask.
    fn rumors(&self) -> u64 {
        let (before, after) = (&self.before, &self.after);
        let members = before.members.max(after.members) as usize;
        let enough = u64::from(tellings(self.timing.gossip_factor, members));
        let heat = enough + at_once(self.timing.gossip_fanout);
        let again = before.told_again.max(after.told_again) * self.rounds();
        let hot = before.hot + after.rumors_adopted - before.rumors_adopted
            + again.min(self.got.total() + self.frames);
        let strangers = before.strangers.max(after.strangers);
        let owed = OWED.min(before.rumors.max(after.rumors)) * strangers * self.rounds();
        let drip = if strangers > 0 {
            OWED * self.ticks(self.timing.drip)
        } else {
            0
        };
        // Who departed for good, and does not know it, is told so: one in a period.
        let reminders = self.rounds().min(self.got.total() + self.frames);
        heat * hot + self.got.wants + before.queued + owed + drip + reminders
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::sim::{Sim, SimConfig};

    /// Three members that have nothing to tell, of which nothing came in a period.
    fn window<'a>(timing: &'a Timing, got: &'a Traffic) -> Window<'a> {
        let standing = Standing {
            members: 3,
            rumors: 3,
            ..Standing::default()
        };
        Window {
            timing,
            periods: 1.0,
            got,
            frames: 0,
            changes: 0,
            before: standing,
            after: standing,
            seeds: 0,
            leaving: false,
        }
    }

    #[test]
    fn members_are_held_to_it_late_ones_too_and_from_their_start_on() {
        let mut sim = Sim::new(SimConfig::new(1));
        sim.start_settled(3);
        sim.slow_down(0, Duration::from_millis(1));
        sim.run_for(Duration::from_secs(30));
        let began = |sim: &Sim, member: usize| sim.hosts[member].watch.allowance.began;
        let now = sim.now();
        assert!((0..3).all(|member| now.since(began(&sim, member)) < Duration::from_secs(3)));
        sim.start();
        assert_eq!(began(&sim, 3), now);
        sim.hosts[0].watch.allowance.pushed = 1_000;
        sim.run_for(Duration::from_secs(3));
        assert_eq!(sim.violations().len(), 1, "{:?}", sim.violations());
    }

    #[test]
    fn of_nothing_may_be_more_than_allowed() {
        let (timing, got) = (Timing::lan(), Traffic::default());
        let window = window(&timing, &got);
        for (purpose, most) in [
            (Purpose::Ping, window.pings()),
            (Purpose::Answer, 0),
            (Purpose::News, window.told()),
            (Purpose::Comparison, window.comparisons()),
            (Purpose::PingReq, window.requests()),
            (Purpose::ProbePing, 0),
            (Purpose::PassedOn, 0),
        ] {
            let sent = |count| Traffic::default().with(purpose, count);
            assert_eq!(window.exceeded(&sent(most), 0), None);
            assert!(window.exceeded(&sent(most + 1), 0).is_some(), "{purpose:?}");
        }
        // Whom nobody asks anything, and who knows nothing new, is quiet.
        let most = [window.pings(), window.told(), window.requests()];
        assert!(most.into_iter().sum::<u64>() < 60, "{most:?}");
    }

    #[test]
    fn tables_are_told_to_each_once_in_eight_periods() {
        let (timing, got) = (Timing::lan(), Traffic::default());
        let window = window(&timing, &got);
        let mut bucket = 0;
        let mut told = |parts| {
            let sent = Traffic::default().with(Purpose::Table, parts);
            window.told_too_often(&mut bucket, &sent).is_some()
        };
        // Three members are told in two parts each.
        assert!(!told(7));
        assert!(told(2));
        assert!((0..7).all(|_| !told(0)));
        assert!(!told(7));
        assert!(told(2));
    }

    #[test]
    fn rumors_are_told_until_they_are_cold_or_if_they_are_asked_for() {
        let timing = Timing::lan();
        let mut got = Traffic::default();
        got.wants = 5;
        let quiet = Traffic::default();
        let pushed = |window: &Window<'_>, most| {
            assert_eq!(window.exceeded(&quiet, most), None);
            assert!(window.exceeded(&quiet, most + 1).is_some());
        };
        pushed(&window(&timing, &quiet), 0);
        pushed(&window(&timing, &got), 5);
        let mut one_is_hot = window(&timing, &quiet);
        one_is_hot.before.hot = 1;
        let heat = u64::from(tellings(timing.gossip_factor, 3)) + timing.gossip_fanout as u64;
        pushed(&one_is_hot, heat);
    }
}
