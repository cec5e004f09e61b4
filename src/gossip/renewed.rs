//! A member that goes on under another id says of itself what it said before.

use std::collections::BTreeMap;

use super::Gossip;
use super::apply::is_stuck;
use crate::env::Env;
use crate::member::MemberId;
use crate::ring::Ring;
use crate::rumor::Rumor;
use crate::successor::Successor;

impl Gossip {
    /// This member has a new id: what it said of itself, it says under that.
    pub fn renewed(&mut self, env: &mut Env, ring: &impl Ring, before: MemberId) {
        self.successor = Successor::new();
        let held = self.store.services_of(before);
        let held = held.filter_map(|entry| match entry.rumor()? {
            // What cannot be outdone is what somebody made up.
            Rumor::Service(service) if !is_stuck(service.incarnation) => Some(service),
            _ => None,
        });
        let mut services: BTreeMap<_, _> = held.map(|it| (it.group.clone(), it)).collect();
        services.append(&mut self.announced);
        self.retire_owned(env, before);
        for mut service in services.into_values().filter(|it| !it.is_withdrawn()) {
            service.incarnation = 0;
            // It replaces one that was just dropped, so there is room.
            let _ = self.announce(env, ring, service);
        }
        self.say_tags_again(env, ring);
    }
}
