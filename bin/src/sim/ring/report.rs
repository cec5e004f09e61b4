//! The result: a page for people, an object for programs.

use std::fmt::Write;
use std::time::Duration;

use butterfly::sim::Fault;
use serde_json::{Map, Value, json};

use super::load::Rates;
use super::measure::Measure;
use super::run::{End, Outcome};
use super::scenario::Scenario;
use super::times::{PERCENTILES, Times};
use crate::output::count;
use crate::table::{Table, span};
use crate::timing;

/// The page.
pub fn text(scenario: &Scenario, outcome: &Outcome) -> String {
    let mut text = format!(
        "{}\n{}\n\n",
        ring_line(scenario),
        network_line(scenario, outcome)
    );
    let start = if scenario.settled {
        "all know each other already"
    } else {
        "all start at once, with the first as their seed"
    };
    let moments = [(Duration::ZERO, start.to_owned())]
        .into_iter()
        .chain(moments(scenario));
    for (at, what) in moments {
        let _ = writeln!(text, "{:>8}  {what}", seconds(at));
    }
    text += "\n";
    text += &times_table(outcome).render(|_, _, cell| cell);
    text += "\n";
    text += &load_table(scenario, outcome).render(|_, _, cell| cell);
    text += "\n";
    for line in verdicts(scenario, outcome) {
        text += &line;
        text.push('\n');
    }
    text
}

/// How large the ring is, and how it is set.
pub fn ring_line(scenario: &Scenario) -> String {
    let mut line = format!("{} members, {}", scenario.members, scenario.preset);
    for change in &scenario.changes {
        let _ = write!(line, ", {change}");
    }
    line
}

/// The network, and which runs there were.
pub fn network_line(scenario: &Scenario, outcome: &Outcome) -> String {
    let seeds = match outcome.ends.as_slice() {
        [first, .., last] => format!("seeds {} to {}", first.seed, last.seed),
        [only] => format!("seed {}", only.seed),
        [] => String::new(),
    };
    format!(
        "{}% of all messages lost, delay {:?} + exp({:?}); {} of the ring's time, {seeds}",
        percent(scenario.loss),
        scenario.delay,
        scenario.jitter,
        seconds(scenario.length),
    )
}

/// What happens when, its start aside.
pub fn moments(scenario: &Scenario) -> Vec<(Duration, String)> {
    let mut happens = Vec::new();
    for (number, what) in [
        (scenario.killed, "crash"),
        (scenario.leaving, "leave"),
        (scenario.paused, "pause"),
    ] {
        if number > 0 {
            happens.push(format!("{number} {what}"));
        }
    }
    if scenario.partition.is_some() {
        happens.push("halves part".to_owned());
    }
    if scenario.rumors > 0 {
        happens.push(format!(
            "{} of {} B",
            count(scenario.rumors, "rumor"),
            scenario.rumor_bytes
        ));
    }
    let mut moments = Vec::new();
    if !happens.is_empty() {
        moments.push((scenario.at, happens.join(", ")));
    }
    if scenario.paused > 0 {
        moments.push((
            scenario.at + scenario.pause_for,
            "the paused go on".to_owned(),
        ));
    }
    if let Some(lasts) = scenario.partition {
        moments.push((scenario.at + lasts, "the halves meet again".to_owned()));
    }
    moments.sort();
    moments
}

fn times_table(outcome: &Outcome) -> Table {
    let percentiles = PERCENTILES.map(|(name, _)| name.to_uppercase());
    let mut head = vec!["HOW LONG UNTIL", "COUNT", "FIRST"];
    head.extend(percentiles.iter().map(String::as_str));
    head.extend(["LAST", "NEVER"]);
    let mut table = Table::new(&head);
    for (measure, times) in &outcome.times {
        let mut cells = vec![measure.title().to_owned(), times.count().to_string()];
        cells.push(cell(times.first()));
        cells.extend(PERCENTILES.map(|(_, share)| cell(times.within(share))));
        cells.extend([cell(times.within(1.0)), times.never().to_string()]);
        table.row(cells);
    }
    table
}

fn cell(time: Option<Duration>) -> String {
    time.map_or_else(|| "-".to_owned(), span)
}

/// What the stretches are called in which the load is measured.
fn load_heads(scenario: &Scenario, stretches: usize) -> Vec<String> {
    let first = if scenario.settled {
        "AT FIRST"
    } else {
        "STARTING"
    };
    let happened = [
        (scenario.killed, "THE CRASH"),
        (scenario.leaving, "THE LEAVING"),
        (scenario.paused, "THE PAUSE"),
        (usize::from(scenario.partition.is_some()), "THE PARTITION"),
        (scenario.rumors, "THE RUMOR"),
    ];
    let mut what = happened.iter().filter(|(number, _)| *number > 0);
    let after = match (what.next(), what.find(|(_, what)| *what != "THE RUMOR")) {
        (Some((_, what)), None) => format!("AFTER {what}"),
        _ => "AFTERWARDS".to_owned(),
    };
    let heads = [first.to_owned(), "AT REST".to_owned(), after];
    heads.into_iter().take(stretches).collect()
}

/// How one figure of the load is written.
type Show = fn(&Rates) -> String;

fn load_table(scenario: &Scenario, outcome: &Outcome) -> Table {
    let heads = load_heads(scenario, outcome.loads.len());
    let mut table = Table::new(
        &[
            &["A MEMBER'S LOAD"],
            heads
                .iter()
                .map(String::as_str)
                .collect::<Vec<_>>()
                .as_slice(),
        ]
        .concat(),
    );
    let rates: Vec<_> = outcome
        .loads
        .iter()
        .map(|load| load.rates(scenario.timing.period))
        .collect();
    let rows: [(&str, Show); 9] = [
        ("datagrams sent in a period", |rates| {
            format!("{:.2}", rates.sent)
        }),
        ("  by the busiest", |rates| format!("{:.2}", rates.busiest)),
        ("datagrams received in a period", |rates| {
            format!("{:.2}", rates.received)
        }),
        ("bytes sent in a second", |rates| {
            format!("{:.0}", rates.bytes_sent)
        }),
        ("bytes received in a second", |rates| {
            format!("{:.0}", rates.bytes_received)
        }),
        ("rumors pushed in all", |rates| {
            format!("{:.2}", rates.pushes)
        }),
        ("  their bytes", |rates| format!("{:.0}", rates.push_bytes)),
        ("probes in which others were asked", |rates| {
            format!("{:.2}%", percent(rates.indirect))
        }),
        ("  that failed", |rates| {
            format!("{:.2}%", percent(rates.failed))
        }),
    ];
    for (label, show) in rows {
        table.row(
            [label.to_owned()]
                .into_iter()
                .chain(rates.iter().map(show))
                .collect(),
        );
    }
    table
}

/// What is to be said in words.
fn verdicts(scenario: &Scenario, outcome: &Outcome) -> Vec<String> {
    let mut lines = vec![false_alarms(scenario, outcome)];
    let runs = outcome.ends.len();
    let all = |what: &str, is_so: fn(&End) -> bool| {
        let so = outcome.ends.iter().filter(|end| is_so(end)).count();
        let of = if runs == 1 {
            String::new()
        } else {
            format!(" in {so} of {runs} runs")
        };
        let word = if so == 0 { "do not agree" } else { "agree" };
        format!("At the end all {word} on {what}{of}.")
    };
    lines.push(all("who lives", |end| end.agreed));
    lines.push(all("the rumors", |end| end.same_rumors));
    let (datagrams, lost) = outcome.ends.iter().fold((0, 0), |(datagrams, lost), end| {
        (datagrams + end.datagrams, lost + end.of(Fault::Loss))
    });
    if lost > 0 {
        lines.push(format!(
            "{datagrams} datagrams were sent, and {lost} messages lost."
        ));
    }
    lines.extend(untested(scenario, outcome));
    lines.extend(hints(scenario, outcome));
    lines.push(verdict(outcome));
    lines
}

/// What it comes to, in a sentence.
fn verdict(outcome: &Outcome) -> String {
    let mut good = Vec::new();
    let mut bad = Vec::new();
    let told = [
        (Measure::ConfirmedByAll, "all knew who crashed"),
        (Measure::Left, "all knew who left"),
        (Measure::RumorByAll, "all had the news"),
        (Measure::PausedBack, "all had those back that stood still"),
        (Measure::AcrossBack, "the halves were one again"),
    ];
    for (measure, what) in told {
        let found = outcome.times.iter().find(|(it, _)| *it == measure);
        let Some((_, times)) = found.filter(|(_, times)| times.count() + times.never() > 0) else {
            continue;
        };
        match times.within(1.0) {
            Some(last) => good.push(format!("{what} after {} at the latest", span(last))),
            None => bad.push(format!("it never came to it that {what}")),
        }
    }
    let agreed = outcome.ends.iter().all(|end| end.agreed && end.same_rumors);
    if !agreed {
        bad.push("not all agree at the end".to_owned());
    }
    match outcome.alarms.dead {
        0 => good.push("nobody that lived was held for dead".to_owned()),
        dead => bad.push(format!(
            "{} WERE HELD FOR DEAD AND LIVED",
            count(dead as usize, "member")
        )),
    }
    match bad.is_empty() {
        true => format!("Verdict: {}.", good.join("; ")),
        false if good.is_empty() => format!("Verdict: {}.", bad.join("; ")),
        false => format!("Verdict: {}; but {}.", good.join("; "), bad.join("; ")),
    }
}

/// What was asked for and did not happen once: nothing was learned of it.
fn untested(scenario: &Scenario, outcome: &Outcome) -> Option<String> {
    let sum = |of: &dyn Fn(&End) -> u64| outcome.ends.iter().map(of).sum::<u64>();
    let fault = |fault| sum(&|end| end.of(fault));
    let left = sum(&|end| end.left);
    let asked = [
        ("--loss", scenario.loss > 0.0, fault(Fault::Loss)),
        (
            "--kill",
            scenario.killed > 0,
            fault(Fault::Crash).saturating_sub(left),
        ),
        ("--leave", scenario.leaving > 0, left),
        ("--pause", scenario.paused > 0, fault(Fault::Freeze)),
        (
            "--partition",
            scenario.partition.is_some(),
            fault(Fault::Partition),
        ),
    ];
    let never = asked
        .into_iter()
        .filter(|(_, asked, count)| *asked && *count == 0);
    let never: Vec<_> = never.map(|(option, ..)| option).collect();
    (!never.is_empty()).then(|| {
        format!(
            "NOTHING HAPPENED of what {} asked for: this says nothing of it.",
            never.join(" and ")
        )
    })
}

fn false_alarms(scenario: &Scenario, outcome: &Outcome) -> String {
    let alarms = &outcome.alarms;
    if alarms.suspected == 0 {
        return "False alarms: none.".to_owned();
    }
    let suspected = format!(
        "{} suspected, after {} of others that did nothing wrong",
        count(alarms.suspected as usize, "living member"),
        count(alarms.accusations as usize, "failed probe")
    );
    if alarms.dead == 0 {
        return format!("False alarms: {suspected}; nobody that lived was held for dead.");
    }
    format!(
        "False alarms: {suspected}; {} HELD FOR DEAD, in {}: {:.3} in a member-hour.",
        alarms.dead,
        count(alarms.dead_views as usize, "view"),
        alarms.dead as f64 / member_hours(scenario, outcome)
    )
}

fn member_hours(scenario: &Scenario, outcome: &Outcome) -> f64 {
    (scenario.members * outcome.ends.len()) as f64 * scenario.length.as_secs_f64() / 3600.0
}

/// What to do for a better answer.
fn hints(scenario: &Scenario, outcome: &Outcome) -> Vec<String> {
    let mut hints = Vec::new();
    let times = |wanted: Measure| {
        let found = outcome.times.iter().find(|(measure, _)| *measure == wanted);
        found.map(|(_, times)| times)
    };
    let too_late = |times: &Times| times.within(1.0).is_none_or(|last| last > scenario.at);
    if times(Measure::Formed).is_some_and(too_late) {
        hints.push(format!(
            "The ring was not whole after {}, when all else happened: give it longer with --at, or begin with --start \
             settled.",
            seconds(scenario.at)
        ));
    }
    let unfinished = [
        Measure::Confirmed,
        Measure::Left,
        Measure::Rumor,
        Measure::PausedBack,
        Measure::AcrossBack,
    ];
    if unfinished
        .into_iter()
        .filter_map(times)
        .any(|times| times.never() > 0)
    {
        hints.push(
            "Not all came to know everything: see NEVER, and let it run longer with --for."
                .to_owned(),
        );
    }
    hints
}

fn seconds(time: Duration) -> String {
    format!("{} s", (time.as_secs_f64() * 1e3).round() / 1e3)
}

fn percent(share: f64) -> f64 {
    (share * 1e8).round() / 1e6
}

/// The object. Names end with their unit where it is not a count; fields of the timing are in seconds.
pub fn json(scenario: &Scenario, outcome: &Outcome) -> Value {
    let times = outcome.times.iter();
    let times: Map<_, _> = times
        .map(|(measure, times)| (measure.key().to_owned(), times.json()))
        .collect();
    let load = outcome.loads.iter().map(|load| {
        let mut value = load.rates(scenario.timing.period).json();
        (value["from_s"], value["to_s"]) =
            (json!(load.from.as_secs_f64()), json!(load.to.as_secs_f64()));
        value
    });
    let alarms = &outcome.alarms;
    let runs = outcome.ends.iter().map(|end| {
        json!({
            "seed": end.seed,
            "agreed": end.agreed,
            "same_rumors": end.same_rumors,
            "datagrams": end.datagrams,
            "lost": end.of(Fault::Loss),
            "trace": format!("{:016x}", end.trace_hash),
        })
    });
    json!({
        "scenario": scenario_json(scenario),
        "times_s": times,
        "load": load.collect::<Vec<_>>(),
        "false_alarms": {
            "suspected": alarms.suspected,
            "accusations": alarms.accusations,
            "dead": alarms.dead,
            "dead_views": alarms.dead_views,
            "member_hours": member_hours(scenario, outcome),
        },
        "runs": runs.collect::<Vec<_>>(),
    })
}

fn scenario_json(scenario: &Scenario) -> Value {
    json!({
        "members": scenario.members,
        "start": if scenario.settled { "settled" } else { "cold" },
        "preset": scenario.preset,
        "timing": timing::json(&scenario.timing),
        "loss_percent": percent(scenario.loss),
        "delay_s": scenario.delay.as_secs_f64(),
        "jitter_s": scenario.jitter.as_secs_f64(),
        "kill": scenario.killed,
        "leave": scenario.leaving,
        "pause": scenario.paused,
        "pause_for_s": scenario.pause_for.as_secs_f64(),
        "partition_s": scenario.partition.map(|lasts| lasts.as_secs_f64()),
        "rumors": scenario.rumors,
        "rumor_bytes": scenario.rumor_bytes,
        "at_s": scenario.at.as_secs_f64(),
        "for_s": scenario.length.as_secs_f64(),
    })
}
