//! What follows when a rumor is new here, or is held no more: others are told, and who watches.

use std::sync::Arc;

use super::Gossip;
use super::store::Place;
use crate::env::Env;
use crate::event::Event;
use crate::member::MemberId;
use crate::rumor::RumorKind;

impl Gossip {
    /// What a rumor says is new here: it is told to others, and to who watches.
    pub(super) fn changed(&mut self, env: &mut Env, place: Place) {
        if self.enabled {
            self.hot.heat(&mut self.store, place);
            self.push_soon(env);
        }
        self.reconciling.changed(env.now);
        self.note(env, place);
    }

    /// What a rumor says is new here, for whoever watches.
    pub(super) fn note(&mut self, env: &mut Env, place: Place) {
        if let Some(entry) = self.store.get(place) {
            let (id, is_new) = (Arc::clone(&entry.id), entry.is_new);
            env.journal.stats.rumors_adopted += 1;
            if id.kind == RumorKind::Service {
                self.service_changed(env, &id.key);
            }
            if id.kind == RumorKind::UserEvent {
                // It is delivered when it is its turn.
                return;
            }
            let of_tags = (id.kind == RumorKind::Tags).then(|| id.id.parse().ok());
            env.journal.event(Event::RumorChanged { id, is_new });
            if let Some(id) = of_tags.flatten() {
                env.journal.event(Event::TagsChanged { id });
            }
        }
        if let Some(surplus) = self.store.surplus_removal() {
            self.forget_removal(env, surplus);
        }
    }

    /// There are too many removals: one that is forgotten is not taken again from those who still hold it.
    fn forget_removal(&mut self, env: &mut Env, place: Place) {
        if let Some(entry) = self.store.get(place) {
            self.tombstones.bury(entry.hash);
        }
        self.retire(env, place);
    }

    /// Takes a rumor out of the store.
    pub(super) fn retire(&mut self, env: &mut Env, place: Place) {
        if let Some(entry) = self.store.remove(place) {
            self.hot.forget(entry.hot);
            if entry.id.kind == RumorKind::Service {
                self.service_changed(env, &entry.id.key);
            }
            if entry.id.kind != RumorKind::UserEvent {
                env.journal.event(Event::RumorGone(entry.id));
            }
        }
    }

    /// What a member that is gone said of itself is gone too.
    pub fn retire_owned(&mut self, env: &mut Env, member: MemberId) {
        let owned: Vec<Place> = self
            .store
            .owned_by(member)
            .map(|(place, _)| place)
            .collect();
        for place in owned {
            self.retire(env, place);
        }
    }
}
