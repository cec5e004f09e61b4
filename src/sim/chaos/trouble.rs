//! The kinds of trouble that a seed chooses from.

use std::fmt;

use crate::sim::Fault;

/// A kind of trouble: a fault, or what people do to a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Trouble {
    /// This goes wrong.
    Fault(Fault),
    /// Many members start at once.
    JoinStorm,
    /// All members end at once, and start again.
    RestartOfAll,
    /// Some members leave at once.
    MassLeave,
    /// Members are told to depart for good.
    Departure,
    /// Two members ignore each other.
    Block,
}

impl Trouble {
    /// All that can be chosen. That sockets are full comes about by freezing and slow loops.
    pub(super) fn all() -> Vec<Trouble> {
        let faults = Fault::ALL
            .into_iter()
            .filter(|fault| *fault != Fault::FullSocket)
            .map(Trouble::Fault);
        let people = [
            Trouble::JoinStorm,
            Trouble::RestartOfAll,
            Trouble::MassLeave,
            Trouble::Departure,
            Trouble::Block,
        ];
        faults.chain(people).collect()
    }

    /// Whether it goes on all the time, and not in episodes.
    pub(super) fn is_steady(self) -> bool {
        matches!(
            self,
            Trouble::Fault(
                Fault::Loss
                    | Fault::Burst
                    | Fault::HeavyTail
                    | Fault::Duplicate
                    | Fault::Reorder
                    | Fault::Replay
                    | Fault::Corrupt
                    | Fault::Truncate
            )
        )
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Fault(fault) => fault.fmt(f),
            Trouble::JoinStorm => f.write_str("join_storm"),
            Trouble::RestartOfAll => f.write_str("restart_of_all"),
            Trouble::MassLeave => f.write_str("mass_leave"),
            Trouble::Departure => f.write_str("departure"),
            Trouble::Block => f.write_str("block"),
        }
    }
}
