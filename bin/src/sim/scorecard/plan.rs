//! How much is run: which seeds, and on how many threads.

use butterfly::sim::{Sim, SimConfig};

use crate::sim::parallel;

/// How much of the scorecard is run.
pub struct Plan {
    /// Small rings and few seeds.
    pub quick: bool,
    seeds: Option<u64>,
}

impl Plan {
    pub fn new(quick: bool, seeds: Option<u64>) -> Self {
        Plan { quick, seeds }
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
        let seeds = self.seeds.unwrap_or(self.pick(full, quick));
        parallel::runs(0..seeds, experiment)
    }
}

/// A network that does what every row says unless it says otherwise: `lan` timing, no loss, and a delay of
/// 0.5 ms and on average another 0.5 ms.
pub fn network(seed: u64) -> Sim {
    Sim::new(SimConfig::new(seed))
}

/// How the conditions of [`network`] are printed.
pub const NETWORK: &str = "lan, delay 0.5 ms + exp(0.5 ms)";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_seeds() {
        let plan = Plan::new(true, None);
        assert_eq!(plan.runs(100, 9, |seed| seed), (0..9).collect::<Vec<_>>());
        let plan = Plan::new(false, Some(3));
        assert_eq!(plan.runs(100, 9, |seed| seed), [0, 1, 2]);
    }
}
