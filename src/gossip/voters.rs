//! Who votes in a group, and whether it has quorum; which elections are to be looked at when members and services change.

use std::sync::Arc;

use super::courses::Key;
use super::election::Standing;
use super::{Effect, Gossip, election};
use crate::env::Env;
use crate::event::Event;
use crate::member::{Health, MemberId};
use crate::ring::Ring;
use crate::rumor::{Election, RumorId, RumorKind, ServiceGroup};

impl Gossip {
    /// A group's elections are to be looked at, together with what else changes until then.
    pub(super) fn look_soon(&mut self, env: &mut Env, group: &ServiceGroup) {
        let soon = env.now + self.timing.gossip_interval;
        for kind in [RumorKind::Election, RumorKind::ElectionUpdate] {
            self.elections.look_at(env, &(kind, group.clone()), soon);
        }
    }

    /// A service of a group has come, changed or gone.
    pub(super) fn service_changed(&mut self, env: &mut Env, group: &str) {
        if self.elections.followed() > 0
            && let Ok(group) = group.parse()
        {
            self.look_soon(env, &group);
        }
    }

    /// A member's health changed: the groups in which it runs services have another electorate.
    pub(super) fn voter_changed(&mut self, env: &mut Env, member: MemberId) {
        if self.elections.followed() == 0 {
            return;
        }
        let services = self.store.services_of(member);
        let groups: Vec<_> = services
            .filter_map(|entry| entry.id.key.parse().ok())
            .collect();
        for group in &groups {
            self.look_soon(env, group);
        }
    }

    /// The Alive members of a group, and how many are not Departed.
    pub(super) fn voters(&self, ring: &impl Ring, group: &ServiceGroup) -> (Vec<MemberId>, usize) {
        let (mut electorate, mut population) = (Vec::new(), 0);
        for member in self.store.members_of(group) {
            let health = ring.health(&member);
            population += usize::from(health != Some(Health::Departed));
            if health == Some(Health::Alive) {
                electorate.push(member);
            }
        }
        (electorate, population)
    }

    /// How a member fares as a leader, or as who may become one.
    pub(super) fn standing(
        &self,
        ring: &impl Ring,
        group: &ServiceGroup,
        member: MemberId,
    ) -> Standing {
        let service = self.find(&RumorId::service(group, member));
        match (
            service.map(|service| service.withdrawn),
            self.health_of(ring, &member),
        ) {
            (Some(true), _) | (_, Some(Health::Confirmed | Health::Departed)) => Standing::Lost,
            (Some(false), Some(Health::Alive | Health::Suspect)) => Standing::Living,
            (None, _) | (_, None) => Standing::Unknown,
        }
    }

    /// How a member fares. One that is not known here, and that others hold for Confirmed, is that.
    pub(super) fn health_of(&self, ring: &impl Ring, member: &MemberId) -> Option<Health> {
        let by_others = || {
            let dead = self.strangers.is_dead(member);
            dead.then_some(Health::Confirmed)
        };
        ring.health(member).or_else(by_others)
    }

    /// Whether a group has no quorum, or lately had none.
    pub(super) fn is_without_quorum(&self, key: &Key) -> bool {
        self.elections.is_without_quorum(key)
    }

    /// Whether this rumor is an election that was won, of a group that has no quorum in this member's view.
    pub fn has_lost_quorum(&self, id: &RumorId) -> bool {
        let is_election = matches!(id.kind, RumorKind::Election | RumorKind::ElectionUpdate);
        let group = is_election.then(|| id.key.parse().ok()).flatten();
        group.is_some_and(|group| {
            let key = (id.kind, group);
            let won = |held: Election| election::is_finished(&held);
            self.is_without_quorum(&key) && self.held(&key).is_some_and(won)
        })
    }

    /// Whether a group that has a leader has quorum is this member's own view, and no news for others.
    pub(super) fn note_quorum(
        &mut self,
        env: &mut Env,
        key: &Key,
        now: &Election,
        has_quorum: bool,
    ) {
        if self.elections.set_quorum(env, key, has_quorum)
            && election::is_finished(now)
            && let Some(place) = self.store.find(&RumorId::election(key.0, &key.1))
            && let Some(entry) = self.store.get(place)
        {
            let id = Arc::clone(&entry.id);
            let is_new = false;
            env.journal.event(Event::RumorChanged { id, is_new });
        }
    }
}

/// Members and services change.
impl Gossip {
    /// A member is new in a group. If the group has no quorum, the newcomer takes the place of a dead member:
    /// the Confirmed one with the smallest id is given up (PROTOCOL.md §3, "New service member").
    pub(super) fn joined_group(&mut self, env: &mut Env, ring: &impl Ring, group: &ServiceGroup) {
        // To a member that is new itself, all are.
        let period = self.timing.period;
        let settled = self.elections.is_settled(env.now, period, group);
        if !settled || !self.in_group(ring, group) {
            return;
        }
        let (mut alive, mut population, mut dead) = (0, 0, None);
        for member in self.store.members_of(group) {
            let health = ring.health(&member);
            population += usize::from(health != Some(Health::Departed));
            alive += usize::from(health == Some(Health::Alive));
            if health == Some(Health::Confirmed) && dead.is_none() {
                dead = Some(member);
            }
        }
        if alive * 2 <= population
            && let Some(dead) = dead
        {
            self.effects.push_back(Effect::GiveUp(dead));
        }
    }
}
