//! How long something took, many times, and how often it never came to that.

use std::time::Duration;

use butterfly::Time;
use hdrhistogram::Histogram;
use serde_json::{Value, json};

/// The percentiles that are told.
pub const PERCENTILES: [(&str, f64); 3] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99)];

/// Times to a thousandth of their own length, and how many were never over.
#[derive(Clone)]
pub struct Times {
    micros: Histogram<u64>,
    never: u64,
}

impl Times {
    pub fn new() -> Self {
        let mut micros = Histogram::new(3).expect("three digits are allowed");
        micros.auto(true);
        Times { micros, never: 0 }
    }

    /// When it was so, each counted from `since`.
    pub fn of(since: Time, at: impl IntoIterator<Item = Option<Time>>) -> Self {
        let mut times = Times::new();
        at.into_iter().for_each(|at| times.add(since, at));
        times
    }

    /// It was so at `at`, counted from `since`; `None`: never.
    pub fn add(&mut self, since: Time, at: Option<Time>) {
        match at {
            Some(at) => {
                // It begins at 1, and grows: this cannot fail.
                let micros = at.since(since).as_micros() as u64;
                let _ = self.micros.record(micros.max(1));
            }
            None => self.never += 1,
        }
    }

    pub fn merge(&mut self, other: &Times) {
        // Both grow as is needed: this cannot fail.
        let _ = self.micros.add(&other.micros);
        self.never += other.never;
    }

    /// How many there are, with those that were never over.
    pub fn count(&self) -> u64 {
        self.micros.len() + self.never
    }

    pub fn never(&self) -> u64 {
        self.never
    }

    /// The time within which this share of all was over; `None`: never, or there are none.
    pub fn within(&self, share: f64) -> Option<Duration> {
        let rank = ((share * self.count() as f64).ceil() as u64).max(1);
        if rank > self.micros.len() {
            return None;
        }
        let quantile = rank as f64 / self.micros.len() as f64;
        Some(Duration::from_micros(
            self.micros.value_at_quantile(quantile),
        ))
    }

    /// The shortest; `None`: there is none.
    pub fn first(&self) -> Option<Duration> {
        (!self.micros.is_empty()).then(|| Duration::from_micros(self.micros.min()))
    }

    /// The share of all that was over within this time.
    pub fn share_within(&self, time: Duration) -> f64 {
        let micros = time.as_micros() as u64;
        let over = self.micros.count_between(0, micros);
        over as f64 / self.count().max(1) as f64
    }

    /// In seconds.
    pub fn json(&self) -> Value {
        let seconds = |time: Option<Duration>| time.map(|time| time.as_secs_f64());
        let mut value = json!({
            "count": self.count(),
            "never": self.never,
            "first": seconds(self.first()),
            "last": seconds(self.within(1.0)),
        });
        for (name, share) in PERCENTILES {
            value[name] = json!(seconds(self.within(share)));
        }
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(millis: &[u64], never: usize) -> Times {
        let start = Time::from_millis(10);
        let at = |millis: &u64| Some(Time::from_millis(10 + millis));
        let never = (0..never).map(|_| None);
        Times::of(start, millis.iter().map(at).chain(never))
    }

    /// To a thousandth.
    fn near(time: Option<Duration>, millis: f64) -> bool {
        time.is_some_and(|time| (time.as_secs_f64() * 1e3 / millis - 1.0).abs() < 1e-3)
    }

    #[test]
    fn what_never_came_is_longer_than_any_time() {
        let times = times(&[100, 200, 300], 1);
        assert_eq!((times.count(), times.never()), (4, 1));
        assert!(near(times.first(), 100.0));
        assert!(near(times.within(0.5), 200.0), "{:?}", times.within(0.5));
        assert!(near(times.within(0.75), 300.0));
        assert_eq!((times.within(0.76), times.within(1.0)), (None, None));
        assert_eq!(times.json()["last"], Value::Null);
        assert_eq!(times.share_within(Duration::from_millis(250)), 0.5);
    }

    #[test]
    fn of_nothing_there_is_nothing_to_say() {
        let times = times(&[], 0);
        assert_eq!((times.first(), times.within(0.5)), (None, None));
        assert_eq!(times.share_within(Duration::from_secs(1)), 0.0);
    }

    #[test]
    fn several_runs_are_taken_together() {
        let mut all = times(&[100], 0);
        all.merge(&times(&[300], 2));
        assert_eq!((all.count(), all.never()), (4, 2));
        assert!(near(all.within(0.5), 300.0));
    }
}
