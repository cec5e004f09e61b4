//! The timer wheel, beside what the standard library offers for it.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};
use std::hint::black_box;
use std::time::Duration;

use butterfly::Time;
use butterfly::timer::TimerWheel;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::Bench;
use kit::measure::{COLUMNS, compare, cost_of, in_turns};

/// Timers that are set and cancelled in a batch.
const BATCH: usize = 10_000;
/// Delays to draw from.
const DELAYS: usize = 1 << 14;

/// Delays as a member has them, in turn.
struct Delays {
    delays: Vec<Duration>,
    next: usize,
}

impl Delays {
    fn new() -> Delays {
        let mut rng = StdRng::seed_from_u64(1);
        let delay = |_| Duration::from_micros(rng.random_range(100_000..30_000_000));
        Delays {
            delays: (0..DELAYS).map(delay).collect(),
            next: 0,
        }
    }

    #[inline]
    fn next(&mut self) -> Duration {
        self.next = (self.next + 1) % DELAYS;
        self.delays[self.next]
    }
}

impl Bench {
    /// Timers set and cancelled, and popped when they are due, among that many.
    pub fn timers(&mut self) {
        let title =
            "a timer; the floor: a BTreeSet where it is cancelled, a BinaryHeap where it fires";
        self.report.table(title, &COLUMNS);
        for timers in self.sizes() {
            self.cancelling(timers);
        }
        for timers in self.sizes() {
            self.firing(timers);
        }
    }

    fn cancelling(&mut self, timers: u32) {
        let name = format!("timer set and cancelled, among {timers}");
        if !self.args.wants(&name) {
            return;
        }
        let now = Time::from_millis(1_000);
        let (mut delays, mut others) = (Delays::new(), Delays::new());
        let (mut wheel, mut set) = (TimerWheel::new(now), BTreeSet::new());
        for number in 0..timers {
            wheel.insert(now + delays.next(), number);
            set.insert((now + others.next(), number));
        }
        let [floor, ours] = in_turns(
            self.effort(100, BATCH),
            [
                &mut |times| {
                    cost_of(|| {
                        for _ in 0..times {
                            let key = (now + others.next(), timers);
                            set.insert(key);
                            black_box(set.remove(&key));
                        }
                    })
                },
                &mut |times| {
                    cost_of(|| {
                        for _ in 0..times {
                            let key = wheel.insert(now + delays.next(), timers);
                            black_box(wheel.cancel(key));
                        }
                    })
                },
            ],
        );
        compare(&mut self.report, &name, ("floor", &floor), &ours);
    }

    /// Time passes from deadline to deadline; what fires is set again.
    fn firing(&mut self, timers: u32) {
        let name = format!("timer fires, is set again, among {timers}");
        if !self.args.wants(&name) {
            return;
        }
        let start = Time::from_millis(1_000);
        let (mut delays, mut others) = (Delays::new(), Delays::new());
        let (mut wheel, mut heap) = (TimerWheel::new(start), BinaryHeap::new());
        for number in 0..timers {
            wheel.insert(start + delays.next(), number);
            heap.push(Reverse((start + others.next(), number)));
        }
        let [floor, ours] = in_turns(
            self.effort(100, BATCH),
            [
                &mut |times| {
                    cost_of(|| {
                        for _ in 0..times {
                            let Some(Reverse((at, number))) = heap.pop() else {
                                return;
                            };
                            heap.push(Reverse((at + others.next(), number)));
                        }
                    })
                },
                &mut |times| {
                    cost_of(|| {
                        for _ in 0..times {
                            let Some(now) = wheel.next_deadline() else {
                                return;
                            };
                            let Some((_, number)) = wheel.pop(now) else {
                                return;
                            };
                            wheel.insert(now + delays.next(), number);
                        }
                    })
                },
            ],
        );
        compare(&mut self.report, &name, ("floor", &floor), &ours);
    }
}
