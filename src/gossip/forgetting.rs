//! Dead members that an operator had the ring forget (PROTOCOL.md §3, "Forgetting"): told like any rumor, carried out by the
//! membership, and held until nobody can remember those members any more.

use super::apply::Leap;
use super::store::{Entry, Hashed, Place, Put};
use super::{Effect, Gossip};
use crate::env::Env;
use crate::error::{CommandError, Reject};
use crate::limits::MAX_FORGOTTEN_AT_ONCE;
use crate::member::{Health, Incarnation, MemberId};
use crate::ring::Ring;
use crate::rumor::{Forgotten, Rumor};

impl Gossip {
    /// The ring forgets these dead members, each at this incarnation.
    pub fn forget_dead(
        &mut self,
        env: &mut Env,
        ring: &impl Ring,
        members: &[(MemberId, Incarnation)],
    ) -> Result<(), CommandError> {
        for some in members.chunks(MAX_FORGOTTEN_AT_ONCE) {
            let time = self.forgetting.next_time(env.now);
            let said = Forgotten::new(ring.me(), time, some.to_vec());
            let rumor = Rumor::Forgotten(said);
            self.publish(env, ring, &rumor, Leap::Any)?;
            if let Rumor::Forgotten(said) = &rumor
                && let Some(place) = self.store.find(&rumor.id())
            {
                self.carry_out_forgetting(env, ring, place, said);
            }
        }
        Ok(())
    }

    /// The disk held this: what it says of forgotten members is carried out, if it is held now; and a user event was delivered.
    pub fn restored(&mut self, env: &mut Env, ring: &impl Ring, rumor: &Rumor) {
        if let Rumor::Forgotten(said) = rumor
            && let Some(place) = self.store.find(&rumor.id())
        {
            self.carry_out_forgetting(env, ring, place, said);
        }
        if let Rumor::UserEvent(event) = rumor {
            self.event_restored(event);
        }
    }

    /// A member with this one's name is at its address: it lost its disk, and is no more what it was. If the ring has no room
    /// for that rumor, it is forgotten here.
    pub fn replaced(
        &mut self,
        env: &mut Env,
        ring: &impl Ring,
        id: MemberId,
        incarnation: Incarnation,
    ) {
        if !ring.is_forgotten(&id) && self.forget_dead(env, ring, &[(id, incarnation)]).is_err() {
            self.effects.push_back(Effect::Forget { id, incarnation });
        }
    }

    /// Another member was told to forget some.
    pub(super) fn forgotten_heard(
        &mut self,
        env: &mut Env,
        ring: &impl Ring,
        rumor: &Rumor,
        said: &Forgotten,
        heard: Hashed<'_>,
    ) -> Result<(), Reject> {
        if self.forgetting.is_over(env.now, said.time) {
            // Whoever still holds it has a clock that is behind.
            self.tombstones.bury(heard.hash);
            env.journal.stats.rumors_stale += 1;
            return Ok(());
        }
        let before = self.find(&rumor.id()).and_then(Entry::rumor);
        match self.put(env, ring, rumor, "", Some(heard)) {
            Put::New(place) | Put::Corrected(place) => {
                self.changed(env, place);
                if let Some(Rumor::Forgotten(before)) = before {
                    self.remember_again(&before);
                }
                self.carry_out_forgetting(env, ring, place, said);
            }
            Put::Same(place) => self.heard_back(place),
            Put::Confirmed(_) => {}
            Put::Older(_) => env.journal.stats.rumors_stale += 1,
            Put::Full => return Err(Reject::StoreFull),
        }
        Ok(())
    }

    /// What is held in this place from now on has the membership forget them, and their services and tags are gone.
    fn carry_out_forgetting(
        &mut self,
        env: &mut Env,
        ring: &impl Ring,
        place: Place,
        said: &Forgotten,
    ) {
        self.forgetting.note(env.now, place, said);
        for (id, incarnation) in &said.members {
            let lives = ring.health(id).is_some_and(|it| it <= Health::Suspect);
            if !lives {
                self.retire_owned(env, *id);
            }
            self.effects.push_back(Effect::Forget {
                id: *id,
                incarnation: *incarnation,
            });
        }
        while let Some(place) = self.forgetting.surplus_of(said.by) {
            self.drop_forgotten(env, place);
        }
        self.sweep_forgotten(env);
    }

    /// A member died that was forgotten before, and lived on here.
    pub fn died_again(&mut self, env: &mut Env, ring: &impl Ring, id: MemberId) {
        if ring.is_forgotten(&id) {
            self.retire_owned(env, id);
            self.effects.push_back(Effect::Forget {
                id,
                incarnation: Incarnation::ZERO,
            });
        }
    }

    /// Rumors that hold no more are dropped, and not taken again from those that have not dropped them yet.
    pub fn sweep_forgotten(&mut self, env: &mut Env) {
        while let Some(place) = self.forgetting.surplus(env.now) {
            self.drop_forgotten(env, place);
        }
    }

    fn drop_forgotten(&mut self, env: &mut Env, place: Place) {
        self.forgetting.remove(place);
        let held = self.store.get(place);
        let held = held.and_then(|entry| Some((entry.hash, entry.rumor()?)));
        if let Some((hash, Rumor::Forgotten(said))) = held {
            self.tombstones.bury(hash);
            self.remember_again(&said);
            self.retire(env, place);
        }
    }

    fn remember_again(&mut self, said: &Forgotten) {
        for (id, incarnation) in &said.members {
            self.effects.push_back(Effect::Remember {
                id: *id,
                incarnation: *incarnation,
            });
        }
    }
}
