//! The lines of the picture.

use std::time::Duration;

use super::measure::Measure;
use super::run::{Outcome, POINTS};
use super::scenario::Scenario;
use super::times::Times;

/// A line: its points from left to right, each a time in seconds and a share from 0 to 1.
pub struct Curve {
    pub label: &'static str,
    pub colour: &'static str,
    pub dashed: bool,
    pub points: Vec<(f64, f64)>,
}

/// What share of all views holds what, in the course of the run.
pub fn timeline(scenario: &Scenario, outcome: &Outcome) -> Vec<Curve> {
    let seconds = |point: usize| scenario.length.as_secs_f64() * point as f64 / POINTS as f64;
    let curve = |(measure, shares): &(Measure, Vec<f64>)| {
        let points = shares.iter().enumerate();
        let points = points
            .map(|(point, share)| (seconds(point), *share))
            .collect();
        Some(Curve {
            label: label_of_state(*measure)?,
            colour: colour(*measure),
            dashed: *measure == Measure::Suspected,
            points,
        })
    };
    outcome.timeline.iter().filter_map(curve).collect()
}

/// What share of all views had come to hold what, by the time since the cause of it.
pub fn since(outcome: &Outcome, shortest: f64, longest: f64) -> Vec<Curve> {
    const STEPS: i32 = 400;
    let step = (longest / shortest).powf(1.0 / f64::from(STEPS));
    let curve = |(measure, times): &(Measure, Times)| {
        let point = |number: i32| {
            let seconds = shortest * step.powi(number);
            (
                seconds,
                times.share_within(Duration::from_secs_f64(seconds)),
            )
        };
        Some(Curve {
            label: label_of_learning(*measure)?,
            colour: colour(*measure),
            dashed: matches!(measure, Measure::Formed | Measure::Suspected),
            points: (0..=STEPS).map(point).collect(),
        })
    };
    outcome.times.iter().filter_map(curve).collect()
}

/// Colours that also those tell apart who do not see all (Okabe and Ito).
fn colour(measure: Measure) -> &'static str {
    match measure {
        Measure::Acquainted | Measure::Formed => "#0072b2",
        Measure::Suspected | Measure::Confirmed | Measure::ConfirmedByAll => "#d55e00",
        Measure::Left => "#cc79a7",
        Measure::Rumor | Measure::RumorByAll => "#009e73",
        Measure::PausedDead | Measure::PausedBack => "#e69f00",
        Measure::AcrossDead | Measure::AcrossBack => "#333333",
    }
}

fn label_of_state(measure: Measure) -> Option<&'static str> {
    match measure {
        Measure::Acquainted => Some("a living one is alive"),
        Measure::Suspected => Some("a crashed one is suspect or dead"),
        Measure::Confirmed => Some("a crashed one is dead"),
        Measure::Left => Some("a leaver has left"),
        Measure::Rumor => Some("the rumor is there"),
        Measure::PausedDead => Some("a paused one is dead"),
        Measure::AcrossDead => Some("one of the other half is dead"),
        _ => None,
    }
}

fn label_of_learning(measure: Measure) -> Option<&'static str> {
    match measure {
        Measure::Acquainted => Some("knows a member, since the start"),
        Measure::Formed => Some("has all alive, since the start"),
        Measure::Suspected => Some("suspects a crashed one"),
        Measure::Confirmed => Some("holds a crashed one for dead"),
        Measure::Left => Some("knows that one has left"),
        Measure::Rumor => Some("has the rumor"),
        Measure::PausedBack => Some("a paused one is back"),
        Measure::AcrossBack => Some("one of the other half is back"),
        _ => None,
    }
}
