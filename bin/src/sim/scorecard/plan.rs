//! How much is run: which seeds, and on how many threads; and whether what was to go wrong did.

use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use butterfly::sim::{Fault, Index, Sim, SimConfig};
use butterfly::{ServiceConfig, Timing};

use crate::sim::parallel;

/// How much of the scorecard is run.
pub struct Plan {
    /// Small rings and few seeds.
    pub quick: bool,
    seeds: Option<u64>,
    /// The first seed.
    from: u64,
    /// Faults that were to happen and did not, with the seeds of the runs that lack them.
    missing: Mutex<Vec<(u64, Fault)>>,
}

impl Plan {
    pub fn new(quick: bool, seeds: Option<u64>, from: u64) -> Self {
        Plan {
            quick,
            seeds,
            from,
            missing: Mutex::default(),
        }
    }

    /// One of two, for a full or for a quick run.
    pub fn pick<T>(&self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }

    /// Runs the experiment once with each seed, on all cores; the results in the order of the seeds.
    pub fn runs<T: Send>(
        &self,
        full: u64,
        quick: u64,
        experiment: impl Fn(u64) -> T + Sync,
    ) -> Vec<T> {
        parallel::runs(self.range(full, quick), experiment)
    }

    /// The same, one at a time: a ring of 10 000 takes 12 GB, so two may be more than there is.
    pub fn runs_one_by_one<T>(
        &self,
        full: u64,
        quick: u64,
        experiment: impl FnMut(u64) -> T,
    ) -> Vec<T> {
        self.range(full, quick).map(experiment).collect()
    }

    fn range(&self, full: u64, quick: u64) -> Range<u64> {
        let seeds = self.seeds.unwrap_or(self.pick(full, quick));
        self.from..self.from.saturating_add(seeds)
    }

    /// Notes it if this did not go wrong in the run: a bound that is met without it says nothing.
    pub fn demand(&self, seed: u64, sim: &Sim, fault: Fault) {
        if sim.faults().of(fault) == 0 {
            self.lock().push((seed, fault));
        }
    }

    /// Takes what did not happen, the first seed first, of all runs since this was last asked.
    pub fn take_missing(&self) -> Vec<(u64, Fault)> {
        let mut missing = std::mem::take(&mut *self.lock());
        missing.sort_unstable();
        missing
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(u64, Fault)>> {
        self.missing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A network that does what every row says unless it says otherwise: `lan` timing, no loss, and a delay of
/// 0.5 ms and on average another 0.5 ms.
pub fn network(seed: u64) -> Sim {
    timed(seed, Timing::lan())
}

/// The same with another timing. What must always hold is for other tests to watch: here it would cost time.
pub fn timed(seed: u64, timing: Timing) -> Sim {
    let mut config = SimConfig::new(seed);
    (config.timing, config.watched) = (timing, false);
    Sim::new(config)
}

/// Members on such a network that have known each other for long.
pub fn settled(seed: u64, members: usize) -> Sim {
    let mut sim = network(seed);
    sim.start_settled(members);
    sim
}

/// A member is given a configuration for the group `NAME.default`, a rumor to be told to all.
pub fn apply_config(sim: &mut Sim, member: Index, name: &str) {
    let group = format!("{name}.default").parse();
    let Ok(group) = group else { return };
    let config = ServiceConfig::new(group, 1, "port = 6380\n");
    sim.command(member, |node, now| {
        // Refused only if there is no room, and then the row shows that nobody holds it.
        let _ = node.apply_config(now, config);
    });
}

/// How the conditions of [`network`] are printed.
pub const NETWORK: &str = "lan, delay 0.5 ms + exp(0.5 ms)";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_seeds() {
        let plan = Plan::new(true, None, 0);
        assert_eq!(plan.runs(100, 9, |seed| seed), (0..9).collect::<Vec<_>>());
        let plan = Plan::new(false, Some(3), 5);
        assert_eq!(plan.runs(100, 9, |seed| seed), [5, 6, 7]);
        assert_eq!(plan.runs_one_by_one(100, 9, |seed| seed), [5, 6, 7]);
    }

    #[test]
    fn what_was_to_go_wrong_and_did_not_is_known() {
        let plan = Plan::new(true, Some(3), 0);
        plan.runs(3, 3, |seed| {
            let mut sim = settled(seed, 2);
            if seed == 0 {
                sim.crash(1);
            }
            plan.demand(seed, &sim, Fault::Crash);
        });
        assert_eq!(plan.take_missing(), [(1, Fault::Crash), (2, Fault::Crash)]);
        assert_eq!(plan.take_missing(), []);
    }
}
