//! `butterfly sim tune`: the timing that finds a lost host in time, at the lowest load.

use std::time::Duration;

use butterfly::Timing;
use serde_json::{Value, json};

use super::super::parallel;
use super::measure::Measure;
use super::run;
use super::scenario::Scenario;
use crate::cli::{Format, TuneArgs};
use crate::failure::Failure;
use crate::output::{self, count};
use crate::table::{Table, span};
use crate::timing;

/// Periods that are tried, in milliseconds: each about a fifth to a third more than the one before.
const PERIODS: [u64; 22] = [
    50, 70, 100, 140, 200, 250, 300, 400, 500, 600, 800, 1_000, 1_250, 1_500, 2_000, 2_500, 3_000,
    4_000, 5_000, 7_000, 10_000, 15_000,
];
/// How long the shortest suspicion is, in periods: longer if somebody is held for dead that lives.
const SUSPICIONS: [f64; 4] = [2.0, 3.0, 4.0, 6.0];
/// Periods before the host is lost, in the second half of which the load is measured.
const BEFORE: u32 = 30;

pub fn tune(args: &TuneArgs) -> Result<(), Failure> {
    let search = Search::new(args);
    let mut tried = Vec::new();
    let found = search.find(&mut |tuned| tried.push(tuned.clone()))?;
    match args.output.format() {
        Format::Json => output::print_line(&search.json(found.as_ref(), &tried).to_string())?,
        Format::Table => {
            let mut text = search.table(&tried).render(|_, _, cell| cell);
            if let Some(found) = &found {
                text += &format!("\n{}\n{}\n", found.line(), search.sentence(found));
            }
            output::print(&text)?;
        }
    }
    match found {
        Some(_) => Ok(()),
        None => Err(Failure::failed(search.nothing(&tried))),
    }
}

/// A timing, and what came of it.
#[derive(Clone, Debug)]
struct Tuned {
    preset: &'static str,
    changes: Vec<String>,
    period: Duration,
    suspicion: f64,
    /// When all knew, in the slowest run; `None`: in one they did not.
    detected: Option<Duration>,
    /// Members that were held for dead and lived.
    dead: u64,
    /// Bytes that a member sent in a second, before.
    rate: f64,
}

impl Tuned {
    /// What to run members with.
    fn line(&self) -> String {
        let set = self.changes.join(",");
        format!("butterfly run --timing {} --set {set}", self.preset)
    }

    fn json(&self) -> Value {
        json!({
            "preset": self.preset,
            "set": self.changes,
            "detected_s": self.detected.map(|it| it.as_secs_f64()),
            "held_for_dead": self.dead,
            "bytes_per_s": (self.rate * 10.0).round() / 10.0,
        })
    }
}

struct Search<'a> {
    args: &'a TuneArgs,
    jitter: Duration,
    /// The longest usual round trip: of a hundred, one takes longer.
    round_trip: Duration,
}

impl<'a> Search<'a> {
    fn new(args: &'a TuneArgs) -> Self {
        let jitter = args.jitter.unwrap_or(args.delay / 4);
        Search {
            args,
            jitter,
            // The sum of two exponentials is below 6.6 means, 99 times of a hundred.
            round_trip: 2 * args.delay + jitter.mul_f64(6.6),
        }
    }

    /// The timing of the longest period with which a lost host is found in time and nobody else.
    fn find(&self, tell: &mut dyn FnMut(&Tuned)) -> Result<Option<Tuned>, Failure> {
        let periods: Vec<_> = PERIODS.map(Duration::from_millis).into_iter().collect();
        // A probe has to have time for an Ack, and for one by way of others.
        let first = periods.partition_point(|period| *period < 3 * self.round_trip);
        let periods = &periods[first..];
        for suspicion in SUSPICIONS {
            let (mut low, mut high, mut best) = (0, periods.len(), None);
            let mut is_wrong = false;
            // The longer the period, the later it is found, and the less is sent.
            while low < high {
                let middle = low + (high - low) / 2;
                let tuned = self.measure(periods[middle], suspicion)?;
                tell(&tuned);
                let in_time = tuned
                    .detected
                    .is_some_and(|it| it <= self.args.detect_within);
                if in_time {
                    low = middle + 1;
                    is_wrong |= tuned.dead > 0;
                    best = Some(tuned).filter(|it| it.dead == 0).or(best);
                } else {
                    high = middle;
                }
            }
            match best {
                Some(best) if self.is_affordable(&best) => return Ok(Some(best)),
                // A longer suspicion takes a shorter period, which costs more.
                Some(_) => return Ok(None),
                None if is_wrong => {}
                None => return Ok(None),
            }
        }
        Ok(None)
    }

    fn is_affordable(&self, tuned: &Tuned) -> bool {
        self.args
            .max_rate
            .is_none_or(|most| tuned.rate <= f64::from(most))
    }

    fn scenario(&self, period: Duration, suspicion: f64) -> Result<Scenario, Failure> {
        let timeout = (period / 2).max(self.round_trip);
        // Pushes and death checks take a round trip, too.
        let preset = match self.round_trip > Timing::lan().verdict_timeout {
            true => "wan",
            false => "lan",
        };
        let base = Timing::preset(preset).unwrap_or_default();
        let mut changes = vec![format!("period={period:?}"), format!("timeout={timeout:?}")];
        if suspicion != base.suspicion_periods {
            changes.push(format!("suspicion_periods={suspicion}"));
        }
        let at = period * BEFORE;
        Ok(Scenario {
            members: self.args.members as usize,
            settled: true,
            preset: preset.to_owned(),
            timing: timing::changed(base, &changes)?,
            changes,
            loss: self.args.loss,
            delay: self.args.delay,
            jitter: self.jitter,
            killed: 1,
            lost_hosts: true,
            leaving: 0,
            paused: 0,
            pause_for: Duration::ZERO,
            partition: None,
            rumors: 0,
            rumor_bytes: 0,
            at,
            length: at + self.args.detect_within + self.args.detect_within / 2 + period,
        })
    }

    fn measure(&self, period: Duration, suspicion: f64) -> Result<Tuned, Failure> {
        let scenario = self.scenario(period, suspicion)?;
        let mut all: Option<run::Outcome> = None;
        for outcome in parallel::runs(0..self.args.seeds, |seed| {
            run::run(&scenario, seed, &|_, _, _| {})
        }) {
            match &mut all {
                Some(all) => all.merge(outcome?),
                None => all = Some(outcome?),
            }
        }
        let all = all.ok_or_else(|| Failure::usage("--seeds 0 runs nothing"))?;
        let known = all
            .times
            .iter()
            .find(|(measure, _)| *measure == Measure::ConfirmedByAll);
        let before = all.loads.get(1).map(|load| load.rates(period));
        let preset = match scenario.preset.as_str() {
            "wan" => "wan",
            _ => "lan",
        };
        Ok(Tuned {
            preset,
            changes: scenario.changes,
            period,
            suspicion,
            detected: known.and_then(|(_, times)| times.within(1.0)),
            dead: all.alarms.dead,
            rate: before.map_or(0.0, |rates| rates.bytes_sent),
        })
    }

    fn table(&self, tried: &[Tuned]) -> Table {
        let mut table = Table::new(&[
            "PERIOD",
            "SUSPICION",
            "ALL KNOW AFTER",
            "HELD FOR DEAD",
            "BYTES A SECOND",
        ]);
        let mut tried: Vec<&Tuned> = tried.iter().collect();
        tried.sort_by(|one, other| {
            one.period
                .cmp(&other.period)
                .then(one.suspicion.total_cmp(&other.suspicion))
        });
        for tuned in tried {
            table.row(vec![
                format!("{:?}", tuned.period),
                format!("{} periods", tuned.suspicion),
                tuned.detected.map_or_else(|| "never".to_owned(), span),
                match tuned.dead {
                    0 => "nobody that lived".to_owned(),
                    dead => format!("{dead} that lived"),
                },
                format!("{:.0}", tuned.rate),
            ]);
        }
        table
    }

    /// The ring and its network, in words.
    fn ring(&self) -> String {
        let loss = self.args.loss * 100.0;
        let (delay, jitter) = (self.args.delay, self.jitter);
        let members = count(self.args.members as usize, "member");
        format!("{members}, {loss}% loss and {delay:?} + exp({jitter:?}) one way")
    }

    /// What to expect.
    fn sentence(&self, found: &Tuned) -> String {
        let within = found.detected.map_or_else(|| "never".to_owned(), span);
        format!(
            "With {}, all know of a lost host after {within} at the latest, in {}, and each sends {:.0} bytes a second \
             while nothing happens; nobody that lived was held for dead.",
            self.ring(),
            count(self.args.seeds as usize, "run"),
            found.rate
        )
    }

    /// Why there is none, and what to change.
    fn nothing(&self, tried: &[Tuned]) -> String {
        let (ring, wanted) = (self.ring(), self.args.detect_within);
        let in_time = |it: &&Tuned| it.detected.is_some_and(|it| it <= wanted);
        let good = tried.iter().filter(in_time).filter(|it| it.dead == 0);
        let cheapest = good.min_by(|one, other| one.rate.total_cmp(&other.rate));
        match (cheapest, self.args.max_rate) {
            (Some(cheapest), Some(most)) => format!(
                "with {ring}, {wanted:?} takes {:.0} bytes a second, and {most} is the most: raise --max-rate, or allow more \
                 with --detect-within",
                cheapest.rate
            ),
            _ if tried.iter().any(|it| in_time(&it) && it.dead > 0) => format!(
                "with {ring}, whatever finds a lost host within {wanted:?} also holds members for dead that live: allow more \
                 with --detect-within"
            ),
            _ => {
                let fastest = tried.iter().filter_map(|it| it.detected).min();
                let fastest = fastest.map_or_else(String::new, |it| {
                    format!(", and {} was the fastest", span(it))
                });
                format!(
                    "with {ring}, no timing finds a lost host within {wanted:?}{fastest}: allow more with --detect-within"
                )
            }
        }
    }

    fn json(&self, found: Option<&Tuned>, tried: &[Tuned]) -> Value {
        json!({
            "members": self.args.members,
            "delay_s": self.args.delay.as_secs_f64(),
            "jitter_s": self.jitter.as_secs_f64(),
            "loss_percent": self.args.loss * 100.0,
            "detect_within_s": self.args.detect_within.as_secs_f64(),
            "max_bytes_per_s": self.args.max_rate,
            "found": found.map(Tuned::json),
            "run": found.map(Tuned::line),
            "tried": tried.iter().map(Tuned::json).collect::<Vec<_>>(),
        })
    }
}
