//! What a seed chooses.

use std::fmt;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};

use crate::config::Timing;
use crate::sim::Fault;

/// What one seed has in store.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Plan {
    /// The seed.
    pub seed: u64,
    /// Members at the start.
    pub members: usize,
    /// The name of their timing.
    pub timing: &'static str,
    /// Whether the ring has a key.
    pub sealed: bool,
    /// Whether systems refuse what comes to the ports of processes that ended.
    pub icmp: bool,
    /// What goes wrong.
    pub troubles: Vec<Fault>,
    /// For how long it does.
    pub storm: Duration,
}

impl Plan {
    /// What this seed chooses.
    pub fn of(seed: u64) -> Plan {
        let mut rng = generator(seed);
        // Small rings are the most peculiar, and the cheapest.
        let members = 3 + (37.0 * libm::pow(rng.random(), 4.0)) as usize;
        let timing = if rng.random_bool(0.8) { "lan" } else { "local" };
        let mut troubles = choices();
        troubles.shuffle(&mut rng);
        troubles.truncate(rng.random_range(1..=8));
        troubles.sort_unstable();
        let periods = 60.0 * libm::pow(10.0, rng.random_range(0.0..0.6));
        let mut plan = Plan {
            seed,
            members,
            timing,
            sealed: rng.random_bool(0.4),
            icmp: false,
            troubles,
            storm: Duration::ZERO,
        };
        plan.storm = plan.timing().period.mul_f64(periods);
        plan.choose_systems();
        plan
    }

    /// What systems do. Chosen by dice of their own, so that seeds of the past choose the same otherwise.
    fn choose_systems(&mut self) {
        let mut rng = generator(self.seed ^ 0x5157_e350);
        self.icmp = rng.random();
        let some = [Fault::Reject, Fault::ForgedRefusal, Fault::CoreDump];
        let chosen = some.into_iter().filter(|_| rng.random_bool(0.2));
        if self.icmp {
            self.troubles.extend(chosen);
            self.troubles.sort_unstable();
        }
    }

    /// Their timing.
    pub fn timing(&self) -> Timing {
        Timing::preset(self.timing).unwrap_or_default()
    }

    pub(super) fn has(&self, trouble: Fault) -> bool {
        self.troubles.contains(&trouble)
    }
}

/// All that can be chosen. That sockets are full comes about by freezing and slow loops, and a partition is of
/// this kind or that.
fn choices() -> Vec<Fault> {
    let not_chosen = [
        Fault::FullSocket,
        Fault::Halves,
        Fault::OneAlone,
        Fault::ThreeWays,
        Fault::Bridge,
        Fault::Refusal,
        Fault::RefusalLimited,
        Fault::Reject,
        Fault::ForgedRefusal,
        Fault::CoreDump,
        Fault::ConnectionEnd,
        Fault::PortTest,
    ];
    let mut all = Fault::ALL.to_vec();
    all.retain(|fault| !not_chosen.contains(fault));
    all
}

/// Whether it goes on all the time, and not in episodes.
pub(super) fn is_steady(trouble: Fault) -> bool {
    matches!(
        trouble,
        Fault::Loss
            | Fault::Burst
            | Fault::HeavyTail
            | Fault::Duplicate
            | Fault::Reorder
            | Fault::Replay
            | Fault::Corrupt
            | Fault::Truncate
            | Fault::ForgedRefusal
    )
}

/// The generator of everything that a seed chooses.
pub(super) fn generator(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed ^ 0xc4a0_5000_0000_0000)
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let troubles: Vec<_> = self.troubles.iter().map(ToString::to_string).collect();
        write!(
            f,
            "seed {}: {} members, {}, {}{}, {:.0?} of {}",
            self.seed,
            self.members,
            self.timing,
            if self.sealed { "sealed" } else { "plain" },
            if self.icmp { ", icmp" } else { "" },
            self.storm,
            troubles.join(", ")
        )
    }
}
