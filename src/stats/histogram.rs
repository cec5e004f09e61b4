//! How long something took, counted in fixed buckets: no allocation, and two may be added.

use std::time::Duration;

const BUCKETS: usize = 19;

/// How often something took how long, by fixed upper bounds from 100 µs to 100 s.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// By bound, each without those below it.
    counts: [u64; BUCKETS],
    beyond: u64,
    sum: Duration,
}

impl Histogram {
    /// The upper bounds of the buckets, each included in its bucket, in microseconds. What took longer than the last is in
    /// [`count`](Histogram::count) only.
    pub const BOUNDS: [u64; BUCKETS] = [
        100,
        250,
        500,
        1_000,
        2_500,
        5_000,
        10_000,
        25_000,
        50_000,
        100_000,
        250_000,
        500_000,
        1_000_000,
        2_500_000,
        5_000_000,
        10_000_000,
        25_000_000,
        50_000_000,
        100_000_000,
    ];

    pub(crate) fn record(&mut self, took: Duration) {
        let bucket = Self::BOUNDS.partition_point(|bound| u128::from(*bound) < took.as_micros());
        match self.counts.get_mut(bucket) {
            Some(count) => *count += 1,
            None => self.beyond += 1,
        }
        self.sum = self.sum.saturating_add(took);
    }

    /// How many were counted.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum::<u64>() + self.beyond
    }

    /// All of them together.
    pub fn sum(&self) -> Duration {
        self.sum
    }

    /// Each bound, and how many took no longer than that.
    pub fn cumulative(&self) -> impl Iterator<Item = (Duration, u64)> + '_ {
        let counts = self.counts.iter().scan(0, |below, count| {
            *below += count;
            Some(*below)
        });
        Self::BOUNDS
            .into_iter()
            .map(Duration::from_micros)
            .zip(counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_in_its_bucket_and_what_is_longer_than_all_is_counted() {
        let mut histogram = Histogram::default();
        let micros = [0, 100, 101, 100_000_000, 100_000_001];
        for took in micros {
            histogram.record(Duration::from_micros(took));
        }
        let counts: Vec<_> = histogram.cumulative().map(|(_, count)| count).collect();
        assert_eq!((counts[0], counts[1], counts[17], counts[18]), (2, 3, 3, 4));
        assert_eq!(histogram.count(), 5);
        assert_eq!(histogram.sum(), Duration::from_micros(micros.iter().sum()));
        assert!(Histogram::BOUNDS.is_sorted_by(|a, b| a < b));
    }
}
