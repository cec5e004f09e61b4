//! Stands in the place of `gossip` without that feature: there are no rumors, and nothing is done about them.

use std::hash::Hasher;

use crate::config::Timing;
use crate::env::{Env, Timer};
use crate::member::MemberId;
use crate::ring::Ring;
use crate::stats::Gauge;
use crate::time::Time;

/// The rumors of one member: none.
pub(crate) struct Gossip;

impl Gossip {
    pub fn new(_: &Timing, _: bool, _: usize, _: (u64, u64), _: &mut Env) -> Self {
        Gossip
    }

    pub fn handle_timer(&mut self, _: &mut Env, _: &impl Ring, _: Timer) {}

    pub fn may_follow(&mut self, _: &impl Ring, _: MemberId) {}

    pub fn count_provisional(&mut self) {}

    pub fn has_talk(&self) -> bool {
        false
    }

    pub fn push_deadline(&self) -> Option<Time> {
        None
    }

    pub fn queued_pushes(&self) -> usize {
        0
    }

    pub fn sizes(&self) -> [Gauge; 0] {
        []
    }

    pub fn hash_state(&self, _: &mut impl Hasher) {}
}
