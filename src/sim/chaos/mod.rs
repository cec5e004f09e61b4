//! Chaos: a seed chooses a ring, what goes wrong in it and what its users do meanwhile; then everything heals,
//! and the ring has to come to rest as if nothing had been.
//!
//! Each seed has a few kinds of trouble and not all of them (swarm testing: Groce et al., ISSTA 2012), as some
//! hide what others would show.
//!
//! ```
//! let report = butterfly::sim::chaos::run(1);
//! assert!(report.passed(), "{report}");
//! ```

mod calm;
mod plan;
mod storm;
mod users;

use std::fmt;
use std::time::Duration;

use super::FaultCounts;
use storm::Storm;

pub use plan::Plan;

/// What became of one seed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    /// What the seed chose.
    pub plan: Plan,
    /// How often each fault really happened.
    pub faults: FaultCounts,
    /// What must not be: broken invariants, what did not come to rest, chosen trouble that did not come.
    pub problems: Vec<String>,
    /// How long after the end of the trouble all agreed on everything; `None`: they did not in time.
    pub agreed_after: Option<Duration>,
    /// How much time was simulated.
    pub simulated: Duration,
    /// Datagrams and rumors that were sent.
    pub messages: u64,
    /// Equal for equal seeds.
    pub trace_hash: u64,
}

impl Report {
    /// Whether all is as it must be.
    pub fn passed(&self) -> bool {
        self.problems.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.plan)?;
        let faults = self.faults.iter();
        let faults: Vec<_> = faults.map(|(it, count)| format!("{it} {count}")).collect();
        writeln!(f, "  happened: {}", faults.join(", "))?;
        match self.agreed_after {
            Some(after) => writeln!(f, "  all agreed {after:.1?} after its end")?,
            None => writeln!(f, "  all did not agree")?,
        }
        self.problems
            .iter()
            .try_for_each(|problem| writeln!(f, "  PROBLEM: {problem}"))
    }
}

/// Simulates what this seed chooses, and gives what each process was told, as files for a [`Replay`](crate::node::Replay).
pub fn record(seed: u64) -> Vec<Vec<u8>> {
    let plan = Plan::of(seed);
    let mut storm = Storm::recorded(&plan);
    storm.blow();
    let _ = calm::come_to_rest(&mut storm);
    storm.sim.take_recordings()
}

/// Simulates what this seed chooses.
pub fn run(seed: u64) -> Report {
    let plan = Plan::of(seed);
    let mut storm = Storm::new(&plan);
    storm.blow();
    let (mut problems, agreed_after) = calm::come_to_rest(&mut storm);
    let sim = &storm.sim;
    problems.extend(sim.violations().iter().map(ToString::to_string));
    let missing = storm.missing();
    problems.extend(missing.map(|trouble| format!("{trouble} was chosen and never happened")));
    Report {
        faults: sim.faults().clone(),
        problems,
        agreed_after,
        simulated: Duration::from_micros(sim.now().as_micros()),
        messages: sim.datagrams + sim.pushes,
        trace_hash: sim.trace_hash(),
        plan,
    }
}
