//! Seeds: where a member asks for its ring.

use std::net::SocketAddr;

use super::{Node, canonical};
use crate::error::CommandError;
#[cfg(doc)]
use crate::event::Event;
use crate::event::SeedId;
use crate::limits::MAX_SEEDS;
use crate::member::unreachable_address;
use crate::recording::Input;
use crate::time::Time;
use crate::view::SeedView;

/// Joining.
impl Node {
    /// Asks this address for members of the ring, from now on, ever more slowly.
    ///
    /// # Errors
    /// [`CommandError::TooManySeeds`] or [`CommandError::Leaving`]; nothing changed.
    pub fn join(&mut self, now: Time, seed: SocketAddr) -> Result<SeedId, CommandError> {
        self.record(now, || Input::Join { addr: seed });
        self.advance_unless_paused(now);
        if self.swim.is_leaving() {
            return Err(CommandError::Leaving);
        }
        if let Some(why) = unreachable_address(seed.ip()) {
            return Err(CommandError::BadAddress { addr: seed, why });
        }
        self.swim
            .join(&mut self.env, Some(canonical(seed)))
            .ok_or(CommandError::TooManySeeds(MAX_SEEDS))
    }

    /// Asks a seed that is known by name: [`Event::SeedDue`] asks for its addresses at each attempt.
    ///
    /// # Errors
    /// [`CommandError::TooManySeeds`] or [`CommandError::Leaving`]; nothing changed.
    pub fn join_named(&mut self, now: Time) -> Result<SeedId, CommandError> {
        self.record(now, || Input::JoinNamed);
        self.advance_unless_paused(now);
        if self.swim.is_leaving() {
            return Err(CommandError::Leaving);
        }
        self.swim
            .join(&mut self.env, None)
            .ok_or(CommandError::TooManySeeds(MAX_SEEDS))
    }

    /// Asks this seed no more; whether it did. Members that are known by it stay known.
    pub fn unjoin(&mut self, now: Time, seed: SeedId) -> bool {
        self.record(now, || Input::Unjoin { seed });
        self.advance_unless_paused(now);
        self.swim.unjoin(&mut self.env, seed)
    }

    /// The seed's name stands for these addresses at the moment; none: it could not be resolved.
    pub fn seed_resolved(&mut self, now: Time, seed: SeedId, addrs: &[SocketAddr]) {
        self.record(now, || Input::SeedResolved {
            seed,
            addrs: addrs.into(),
        });
        self.advance_unless_paused(now);
        let addrs = addrs.iter().copied().map(canonical);
        let addrs = addrs.filter(|addr| unreachable_address(addr.ip()).is_none());
        self.swim.seed_resolved(seed, addrs);
    }

    /// Addresses and names that are asked for members of the ring.
    pub fn seeds(&self) -> usize {
        self.swim.seeds()
    }

    /// What is known of a seed; `None`: it is none, any more.
    pub fn seed(&self, seed: SeedId) -> Option<SeedView> {
        self.swim.seed(seed)
    }
}
