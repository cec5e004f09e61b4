//! The fields of a timing by their names, to be changed one by one.

use std::fmt::Write;
use std::time::Duration;

use butterfly::Timing;
use serde_json::{Map, Value, json};

use crate::cli::duration;
use crate::failure::Failure;

/// Where a field is, and what kind of value it has.
enum Field {
    Pause(fn(&mut Timing) -> &mut Duration),
    Number(fn(&mut Timing) -> &mut usize),
    Factor(fn(&mut Timing) -> &mut f64),
    Switch(fn(&mut Timing) -> &mut bool),
}

use Field::{Factor, Number, Pause, Switch};

/// All fields of [`Timing`], in its order.
const FIELDS: [(&str, Field); 29] = [
    ("period", Pause(|timing| &mut timing.period)),
    ("timeout", Pause(|timing| &mut timing.timeout)),
    (
        "indirect_probes",
        Number(|timing| &mut timing.indirect_probes),
    ),
    (
        "indirect_rounds",
        Number(|timing| &mut timing.indirect_rounds),
    ),
    (
        "suspicion_periods",
        Factor(|timing| &mut timing.suspicion_periods),
    ),
    (
        "suspicion_stretch",
        Factor(|timing| &mut timing.suspicion_stretch),
    ),
    (
        "suspicion_confirmations",
        Number(|timing| &mut timing.suspicion_confirmations),
    ),
    (
        "suspicion_scaled",
        Switch(|timing| &mut timing.suspicion_scaled),
    ),
    ("witnesses", Number(|timing| &mut timing.witnesses)),
    ("local_health", Switch(|timing| &mut timing.local_health)),
    (
        "refused_suspicion",
        Pause(|timing| &mut timing.refused_suspicion),
    ),
    ("stall_patience", Pause(|timing| &mut timing.stall_patience)),
    (
        "watch_connections",
        Number(|timing| &mut timing.watch_connections),
    ),
    (
        "verdict_timeout",
        Pause(|timing| &mut timing.verdict_timeout),
    ),
    ("push_fanout", Number(|timing| &mut timing.push_fanout)),
    ("push_interval", Pause(|timing| &mut timing.push_interval)),
    ("push_tellings", Number(|timing| &mut timing.push_tellings)),
    ("news_factor", Factor(|timing| &mut timing.news_factor)),
    ("retry_max", Pause(|timing| &mut timing.retry_max)),
    ("sync_max", Pause(|timing| &mut timing.sync_max)),
    ("gossip_fanout", Number(|timing| &mut timing.gossip_fanout)),
    (
        "gossip_interval",
        Pause(|timing| &mut timing.gossip_interval),
    ),
    ("gossip_factor", Factor(|timing| &mut timing.gossip_factor)),
    ("rumor_budget", Number(|timing| &mut timing.rumor_budget)),
    ("drip", Pause(|timing| &mut timing.drip)),
    ("departed_after", Pause(|timing| &mut timing.departed_after)),
    ("forget_after", Pause(|timing| &mut timing.forget_after)),
    ("leave_grace", Pause(|timing| &mut timing.leave_grace)),
    ("lag_tolerance", Pause(|timing| &mut timing.lag_tolerance)),
];

impl Field {
    fn set(&self, timing: &mut Timing, value: &str) -> Result<(), String> {
        let number = |_| "write a number".to_owned();
        match self {
            Pause(field) => *field(timing) = duration(value)?,
            Number(field) => {
                *field(timing) = value
                    .parse()
                    .map_err(|_| "write a whole number".to_owned())?
            }
            Factor(field) => *field(timing) = value.parse().map_err(number)?,
            Switch(field) => {
                *field(timing) = value
                    .parse()
                    .map_err(|_| "write true or false".to_owned())?
            }
        }
        Ok(())
    }

    fn show(&self, timing: &mut Timing) -> String {
        match self {
            Pause(field) => format!("{:?}", field(timing)),
            Number(field) => field(timing).to_string(),
            Factor(field) => field(timing).to_string(),
            Switch(field) => field(timing).to_string(),
        }
    }

    fn json(&self, timing: &mut Timing) -> Value {
        match self {
            Pause(field) => json!(field(timing).as_secs_f64()),
            Number(field) => json!(field(timing)),
            Factor(field) => json!(field(timing)),
            Switch(field) => json!(field(timing)),
        }
    }
}

/// The timing with these changes, each `FIELD=VALUE`. What members would take otherwise than it was written is refused.
pub fn changed(mut timing: Timing, changes: &[String]) -> Result<Timing, Failure> {
    for change in changes {
        let Some((name, value)) = change.split_once('=') else {
            return Err(wrong(change, "write FIELD=VALUE, like period=500ms"));
        };
        let name = name.trim().replace('-', "_");
        let Some((_, field)) = FIELDS.iter().find(|(known, _)| *known == name) else {
            return Err(wrong(change, &unknown(&name)));
        };
        field
            .set(&mut timing, value.trim())
            .map_err(|why| wrong(change, &why))?;
    }
    let mut sane = timing.clone().sane();
    for (name, field) in &FIELDS {
        let (written, taken) = (field.show(&mut timing), field.show(&mut sane));
        if written != taken {
            return Err(Failure::usage(format_args!(
                "--set: {name} is {written}, which members would take as {taken}: a timeout is no longer than \
                 the period, retry_max no shorter, periods and intervals 1ms or more, factors from 0 to a million"
            )));
        }
    }
    Ok(timing)
}

fn wrong(change: &str, why: &str) -> Failure {
    Failure::usage(format_args!("--set {change}: {why}"))
}

fn unknown(name: &str) -> String {
    let mut text = format!("a timing has no field {name:?}; it has");
    for (known, _) in &FIELDS {
        let _ = write!(text, " {known}");
    }
    text
}

/// All fields, durations in seconds.
pub fn json(timing: &Timing) -> Value {
    let mut timing = timing.clone();
    let fields = FIELDS
        .iter()
        .map(|(name, field)| ((*name).to_owned(), field.json(&mut timing)));
    Value::Object(fields.collect::<Map<_, _>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(changes: &[&str]) -> Result<Timing, Failure> {
        let changes: Vec<_> = changes.iter().map(ToString::to_string).collect();
        changed(Timing::lan(), &changes)
    }

    #[test]
    fn every_field_has_its_name() {
        let text = format!("{:#?}", Timing::lan());
        let fields = text
            .lines()
            .filter_map(|line| line.strip_prefix("    ")?.split_once(": "));
        let fields: Vec<_> = fields
            .map(|(name, value)| (name, value.trim_end_matches(',')))
            .collect();
        let mut timing = Timing::lan();
        let named = FIELDS
            .iter()
            .map(|(name, field)| (*name, field.show(&mut timing)));
        let named: Vec<_> = named.collect();
        assert_eq!(named.len(), fields.len(), "{text}");
        for ((name, value), (field, held)) in named.iter().zip(fields) {
            assert_eq!(
                (*name, value.trim_end_matches(".0")),
                (field, held.trim_end_matches(".0"))
            );
        }
    }

    #[test]
    fn each_kind_of_value_is_read() {
        let timing = set(&[
            "period=500ms",
            "timeout=0.2s",
            "witnesses=0",
            "news-factor=2.5",
            "local_health=false",
        ])
        .unwrap();
        let mut expected = Timing::lan();
        (expected.period, expected.timeout) =
            (Duration::from_millis(500), Duration::from_millis(200));
        (
            expected.witnesses,
            expected.news_factor,
            expected.local_health,
        ) = (0, 2.5, false);
        assert_eq!(timing, expected);
        assert_eq!(json(&timing)["period"], 0.5);
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (change, told) in [
            ("period", "write FIELD=VALUE"),
            ("warp=9", "it has period timeout"),
            ("period=5x", "like 500ms"),
            ("witnesses=many", "a whole number"),
            ("news_factor=x", "a number"),
            ("local_health=1", "true or false"),
            ("timeout=3s", "members would take as 1s"),
            ("news_factor=inf", "from 0 to a million"),
        ] {
            let error = set(&[change]).unwrap_err().to_string();
            assert!(error.contains(told), "{error}");
        }
    }
}
