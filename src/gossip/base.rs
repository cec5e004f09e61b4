//! What is asked in many places: what is held, and what this member is in a group; and what many do: have it pushed soon.

use super::courses::Key;
use super::election::Role;
use super::store::{Entry, Place};
use super::{Gossip, hot};
use crate::env::{Env, Timer};
use crate::error::CommandError;
use crate::member::Health;
use crate::ring::Ring;
use crate::rumor::{Election, Rumor, RumorId, ServiceGroup};

impl Gossip {
    /// The rumor with this id, if it is held.
    pub fn find(&self, id: &RumorId) -> Option<&Entry> {
        self.store.get(self.store.find(id)?)
    }

    /// Whether what has this hash was held and is not taken again, though others may still hold it.
    pub(super) fn is_done_with(&self, hash: u64) -> bool {
        self.tombstones.is_buried(hash) || self.user_events.order.is_spent(hash)
    }

    /// How often a rumor is told or heard back before it is cold.
    pub fn enough(&self, ring: &impl Ring) -> u8 {
        hot::tellings(self.timing.gossip_factor, ring.living())
    }

    /// A group's election that is held.
    pub(super) fn held(&self, (kind, group): &Key) -> Option<Election> {
        match self.find(&RumorId::election(*kind, group))?.rumor()? {
            Rumor::Election(election) | Rumor::ElectionUpdate(election) => Some(election),
            _ => None,
        }
    }

    /// Whether this member is Alive and runs a service of the group.
    pub(super) fn in_group(&self, ring: &impl Ring, group: &ServiceGroup) -> bool {
        self.role(ring, group) == Role::Member
    }

    /// What this member is in a group.
    pub(super) fn role(&self, ring: &impl Ring, group: &ServiceGroup) -> Role {
        let service = self.find(&RumorId::service(group, ring.me()));
        match service.map(|service| service.withdrawn) {
            _ if ring.health(&ring.me()) != Some(Health::Alive) => Role::Outsider,
            Some(false) => Role::Member,
            Some(true) => Role::Withdrawn,
            None => Role::Outsider,
        }
    }

    /// The error where there is no room.
    pub(super) fn full(&self) -> CommandError {
        let (most, limit) = self.store.room();
        CommandError::StoreFull {
            held: self.store.bytes(),
            limit,
            rumors: self.store.len(),
            most,
        }
    }

    /// There is something to tell: it is told soon, together with what comes until then.
    pub(super) fn push_soon(&mut self, env: &mut Env) {
        if !self.pushing {
            self.pushing = true;
            env.timers.insert(env.now, Timer::RumorPush);
        }
    }

    /// A peer told what is held here already: one more that need not be told.
    pub(super) fn heard_back(&mut self, place: Place) {
        if let Some(entry) = self.store.get_mut(place)
            && entry.hot.is_some()
        {
            entry.heard = entry.heard.saturating_add(1);
        }
    }
}
