//! Making room in a full store: services and tags of members that nobody knows give way first, as they may be made up.

use super::Gossip;
use super::store::{Hashed, Put};
use crate::env::Env;
use crate::member::MemberId;
use crate::ring::Ring;
use crate::rumor::Rumor;

impl Gossip {
    /// Puts a rumor into the store, if need be in the place of others.
    pub(super) fn put(
        &mut self,
        env: &mut Env,
        ring: &impl Ring,
        rumor: &Rumor,
        from_id: &str,
        heard: Option<Hashed<'_>>,
    ) -> Put {
        let put = self.store.merge_heard(rumor, from_id, heard);
        let is_strangers =
            |member: &MemberId| *member != ring.me() && ring.health(member).is_none();
        let may_make_room = !rumor.owner().is_some_and(|owner| is_strangers(&owner));
        if put != Put::Full || !may_make_room || env.now < self.next_room {
            return put;
        }
        let Some(stranger) = self.store.owners().find(is_strangers) else {
            // Looking for one again would take long, and find none.
            self.next_room = env.now + self.timing.period;
            return put;
        };
        self.retire_owned(env, stranger);
        self.store.merge_heard(rumor, from_id, heard)
    }
}
