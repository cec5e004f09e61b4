//! A few hundred seeds of trouble; `butterfly sim chaos --seeds 5000` runs thousands.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use butterfly::sim::chaos::{self, Plan, Report};
use butterfly::sim::{Fault, FaultCounts};

const SEEDS: u64 = 200;

/// Runs these seeds on as many threads as there are cores; those that failed.
fn failures(seeds: &[u64], look: impl Fn(&Report) + Sync) -> Vec<String> {
    let next = AtomicU64::new(0);
    let work = || {
        let mut failed = Vec::new();
        while let Some(seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed) as usize) {
            let report = chaos::run(*seed);
            look(&report);
            if !report.passed() {
                failed.push(report.to_string());
            }
        }
        failed
    };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        let failed = threads.into_iter().map(|thread| thread.join().unwrap());
        failed.flatten().collect()
    })
}

fn known() -> Vec<u64> {
    let lines = include_str!("../data/chaos_seeds.txt").lines();
    lines
        .filter(|line| !line.starts_with('#') && !line.trim().is_empty())
        .map(|line| line.split_whitespace().next().unwrap().parse().unwrap())
        .collect()
}

#[test]
fn seeds_that_once_found_something() {
    let failed = failures(&known(), |_| ());
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn whatever_goes_wrong_the_ring_comes_to_rest() {
    let seeds: Vec<_> = (0..SEEDS).collect();
    let happened = std::sync::Mutex::new(FaultCounts::default());
    let failed = failures(&seeds, |report| {
        happened.lock().unwrap().add_all(&report.faults);
    });
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    let happened = happened.into_inner().unwrap();
    let never = Fault::ALL.iter().find(|fault| happened.of(**fault) == 0);
    assert_eq!(never, None, "not one of {SEEDS} seeds had it");
}

#[test]
fn a_seed_does_the_same_each_time() {
    for seed in [1, 4, 11] {
        let (one, other) = (chaos::run(seed), chaos::run(seed));
        assert_eq!(one.trace_hash, other.trace_hash, "seed {seed}");
        assert_eq!((one.faults, one.messages), (other.faults, other.messages));
    }
    assert_ne!(chaos::run(1).trace_hash, chaos::run(2).trace_hash);
    assert_ne!(Plan::of(1), Plan::of(2));
}
