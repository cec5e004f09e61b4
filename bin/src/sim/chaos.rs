//! `butterfly sim chaos`: thousands of seeds of trouble.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use butterfly::sim::FaultCounts;
use butterfly::sim::chaos::{self, Report};

use crate::cli::ChaosArgs;
use crate::failure::Failure;
use crate::output;

/// More seeds than these take minutes.
const MANY: u64 = 100;
/// What one takes on one core, in a release build.
const SEED: Duration = Duration::from_millis(450);

/// What came of all seeds so far.
#[derive(Default)]
struct Sum {
    runs: u64,
    failed: Vec<u64>,
    faults: FaultCounts,
    simulated: Duration,
    messages: u64,
    slowest: Duration,
    /// Stands for every message of every seed, whatever order the seeds end in.
    traces: u64,
}

pub fn chaos(args: &ChaosArgs) -> Result<(), Failure> {
    let seeds = args.from..args.from.saturating_add(args.seeds);
    let (next, end) = (AtomicU64::new(seeds.start), seeds.end);
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let begun = Instant::now();
    if args.seeds > MANY {
        output::tell(&format!(
            "{} seeds take some {:.0} minutes on {}: --seeds N for fewer",
            args.seeds,
            (args.seeds as f64 * SEED.as_secs_f64() / cores as f64 / 60.0).ceil(),
            output::count(cores, "core")
        ));
    }
    let sum = thread::scope(|scope| {
        let (reports, finished) = channel();
        for _ in 0..cores {
            let (reports, next) = (reports.clone(), &next);
            scope.spawn(move || work(next, end, &reports));
        }
        drop(reports);
        let mut sum = Sum::default();
        for report in finished {
            sum.add(&report);
            if args.verbose || !report.passed() {
                output::print(&report.to_string())?;
            }
            progress(&sum, args.seeds);
        }
        Ok::<_, Failure>(sum)
    })?;
    output::print(&sum.text(begun.elapsed()))?;
    match sum.failed.first() {
        None => Ok(()),
        Some(seed) => Err(Failure::failed(format!(
            "{} of {} seeds failed; butterfly sim chaos --from {seed} --seeds 1 repeats the first",
            sum.failed.len(),
            sum.runs
        ))),
    }
}

fn work(next: &AtomicU64, end: u64, reports: &Sender<Report>) {
    loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= end || reports.send(chaos::run(seed)).is_err() {
            return;
        }
    }
}

fn progress(sum: &Sum, seeds: u64) {
    let mut err = io::stderr();
    if err.is_terminal() {
        let failed = sum.failed.len();
        // Nobody is lost without it.
        let _ = write!(err, "\r{} of {seeds} seeds, {failed} failed ", sum.runs);
        if sum.runs == seeds {
            let _ = writeln!(err);
        }
    }
}

impl Sum {
    fn add(&mut self, report: &Report) {
        self.runs += 1;
        self.faults.add_all(&report.faults);
        self.simulated += report.simulated;
        self.messages += report.messages;
        self.slowest = self.slowest.max(report.agreed_after.unwrap_or_default());
        let odd = report.plan.seed.wrapping_mul(2) + 1;
        self.traces = self
            .traces
            .wrapping_add(report.trace_hash.wrapping_mul(odd));
        if !report.passed() {
            self.failed.push(report.plan.seed);
            self.failed.sort_unstable();
        }
    }

    fn text(&self, took: Duration) -> String {
        let mut text = format!(
            "{} seeds, {} failed; {:.1} h and {} messages simulated in {:.0} s; all agreed {:.0} s after the end of \
             the trouble at the latest; traces {:016x}\n",
            self.runs,
            self.failed.len(),
            self.simulated.as_secs_f64() / 3600.0,
            self.messages,
            took.as_secs_f64(),
            self.slowest.as_secs_f64(),
            self.traces,
        );
        for (fault, count) in self.faults.iter() {
            text += &format!("  {:<20} {count:>12}\n", fault.name());
        }
        text
    }
}
