//! Times of one thing, and their percentiles.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::report::Column;

/// What tables show of times: how many they are, and their percentiles.
pub const COLUMNS: [Column; 6] = [
    ("count", 0),
    ("p50", 2),
    ("p90", 2),
    ("p99", 2),
    ("p99.9", 2),
    ("max", 2),
];

/// Times, and how often there was none.
pub struct Times {
    /// Nanoseconds.
    pub nanos: Histogram<u64>,
    pub lost: usize,
}

impl Times {
    pub fn new() -> Times {
        let nanos = Histogram::new_with_max(1_000_000_000_000, 3).expect("the bounds are good");
        Times { nanos, lost: 0 }
    }

    /// `None`: it took for ever.
    pub fn record(&mut self, time: Option<Duration>) {
        match time {
            Some(time) => self.nanos.saturating_record(time.as_nanos() as u64),
            None => self.lost += 1,
        }
    }

    /// How many, and the percentiles in units of so many nanoseconds; no numbers if there are no times.
    pub fn row(&self, unit: f64) -> [f64; 6] {
        let at = |quantile| {
            if self.nanos.is_empty() {
                f64::NAN
            } else {
                self.nanos.value_at_quantile(quantile) as f64 / unit
            }
        };
        let count = self.nanos.len() as f64;
        [count, at(0.5), at(0.9), at(0.99), at(0.999), at(1.0)]
    }

    /// How often the floor's these are; of counts that says nothing.
    pub fn ratio(&self, floor: &Times) -> [f64; 6] {
        let (ours, floor) = (self.row(1.0), floor.row(1.0));
        let mut ratio = std::array::from_fn(|place| ours[place] / floor[place]);
        ratio[0] = f64::NAN;
        ratio
    }

    pub fn median(&self, unit: f64) -> f64 {
        self.row(unit)[1]
    }
}
