//! Members and services change: which elections are to be looked at because of it.

use super::{Entry, Gossip};
use crate::env::Env;
use crate::member::MemberId;
use crate::rumor::{RumorKind, ServiceGroup};

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
        let entries: Vec<&Entry> = services.filter_map(|at| self.store.get(at)).collect();
        let groups: Vec<_> = entries
            .iter()
            .filter_map(|e| e.id.key.parse().ok())
            .collect();
        for group in &groups {
            self.look_soon(env, group);
        }
    }
}
