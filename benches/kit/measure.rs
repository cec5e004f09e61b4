//! The same pieces of work in batches, what is compared in turns: how long a piece takes, and how often it asks
//! for memory.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::counting;
use crate::report::{Column, Report};

/// What each row shows.
pub const COLUMNS: [Column; 3] = [("ns", 1), ("best tenth", 1), ("allocations", 3)];
/// Picoseconds in a nanosecond: a piece takes few of those.
pub const NANO: f64 = 1e3;

/// Many pieces of some work.
pub type Batch<'a> = &'a mut dyn FnMut(usize) -> Cost;

/// What was spent on something.
#[derive(Clone, Copy, Default)]
pub struct Cost {
    pub time: Duration,
    pub allocations: u64,
}

/// What one piece costs, batch by batch.
pub struct Found {
    /// Picoseconds.
    pub times: Histogram<u64>,
    allocations: f64,
}

/// How many batches of how much work.
#[derive(Clone, Copy)]
pub struct Effort {
    pub batches: usize,
    pub batch: usize,
}

/// What this costs.
#[inline]
pub fn cost_of(work: impl FnOnce()) -> Cost {
    let (calls, start) = (counting::calls(), Instant::now());
    work();
    Cost {
        time: start.elapsed(),
        allocations: counting::calls() - calls,
    }
}

impl Cost {
    pub fn add(&mut self, more: Cost) {
        self.time += more.time;
        self.allocations += more.allocations;
    }

    /// Without so much time, which was not the work's.
    pub fn less(self, time: Duration) -> Cost {
        Cost {
            time: self.time.saturating_sub(time),
            ..self
        }
    }
}

/// Each of the sides does a batch in turn.
pub fn in_turns<const SIDES: usize>(
    effort: Effort,
    mut sides: [Batch<'_>; SIDES],
) -> [Found; SIDES] {
    let mut found = sides.each_ref().map(|_| Found::new());
    for _ in 0..effort.batches {
        for (side, found) in sides.iter_mut().zip(&mut found) {
            let cost = side(effort.batch);
            let picos = cost.time.as_nanos() as f64 * NANO / effort.batch as f64;
            found.times.saturating_record(picos as u64);
            found.allocations += cost.allocations as f64 / (effort.batches * effort.batch) as f64;
        }
    }
    found
}

impl Found {
    fn new() -> Found {
        let times = Histogram::new_with_max(1_000_000_000_000_000, 3);
        Found {
            times: times.expect("the bounds are good"),
            allocations: 0.0,
        }
    }

    fn at(&self, quantile: f64) -> f64 {
        self.times.value_at_quantile(quantile) as f64 / NANO
    }

    /// Of the batches the median, and the tenth that went best; and allocations.
    pub fn row(&self) -> [f64; 3] {
        [self.at(0.5), self.at(0.1), self.allocations]
    }
}

/// Two rows and their ratio; of allocations there is none.
pub fn compare(report: &mut Report, name: &str, floor: (&str, &Found), ours: &Found) {
    let (floor_row, row) = (floor.1.row(), ours.row());
    report.row(&format!("{name}: {}", floor.0), &floor_row);
    report.row(&format!("{name}: ours"), &row);
    report.ratio(&format!("{name}: ratio"), &row[..2], &floor_row[..2]);
}
