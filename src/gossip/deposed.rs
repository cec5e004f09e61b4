//! Leaders that lead no more, in rings with originals. An original ignores a new term unless the leader that it
//! knows calls it there (PROTOCOL.md §3, "Elections"). So a deposed leader that is an original has to hear of the
//! new term from us, and a deposed leader that is ours has to call the originals that follow it.

use super::Gossip;
use super::courses::Key;
use super::election::{self, INCUMBENT};
use super::hot::Class;
use super::outbox::What;
use super::store::Place;
use crate::env::Env;
use crate::limits::MAX_TERM;
use crate::member::MemberId;
use crate::ring::{Peer, Ring};
use crate::rumor::{Election, Rumor, RumorId, RumorKind};
use crate::wire::encode_rumor;

/// Members of ours in a group that tell a former leader of it that has come back.
const TELLERS: usize = 4;

impl Gossip {
    /// The elections that this member won, as far as is remembered, and that are at a higher term now.
    fn led_before(&self, id: MemberId) -> Vec<Key> {
        let keys = self.elections.led_by(id).cloned();
        keys.filter(|key| {
            let leads = |held: &Election| election::is_finished(held) && held.candidate == id;
            self.held(key).is_some_and(|held| !leads(&held))
        })
        .collect()
    }

    /// Calls the originals of the group that may follow this member to the term that has deposed it, at most once
    /// a period: `held` is the group's election now.
    pub(super) fn release_followers(
        &mut self,
        env: &mut Env,
        ring: &impl Ring,
        key: &Key,
        held: &Election,
    ) {
        let me = ring.me();
        if key.0 != RumorKind::Election || !self.elections.has_led(key, me) {
            return;
        }
        let leads = election::is_finished(held) && held.candidate == me;
        let is_deposed = if self.in_group(ring, &key.1) {
            election::is_finished(held) && held.candidate != me
        } else {
            // Who withdrew its service leads no more, whatever originals believe.
            leads || held.candidate != me
        };
        if !is_deposed || !self.elections.may_release(env, key, self.timing.period) {
            return;
        }
        let Some(place) = self.store.find(&RumorId::election(key.0, &key.1)) else {
            return;
        };
        let Some(hash) = self.store.get(place).map(|entry| entry.hash) else {
            return;
        };
        let members = self.store.members_of(&key.1);
        let followers: Vec<Peer> = members
            .filter_map(|id| ring.peer(&id))
            .filter(|peer| peer.heard && !peer.ours)
            .collect();
        for peer in &followers {
            let what = What::Candidacy(place, hash);
            if !self.outbox.push(peer, what, Class::Urgent) {
                self.arrears.owe(peer, what);
            }
        }
    }

    /// This member's candidacy in the term of the election in this place, encoded; in the next one if that was won
    /// by this member, which withdrew its service since.
    pub fn candidacy(&self, ring: &impl Ring, place: Place, hash: u64) -> Option<Vec<u8>> {
        let Some(Rumor::Election(held)) = self.store.get_if(place, hash)?.rumor() else {
            return None;
        };
        // Its suitability makes originals choose it over all that stand, or over nobody.
        let (next, suitability) = match self.in_group(ring, &held.group) {
            true => (0, INCUMBENT),
            false => (u64::from(held.candidate == ring.me()), 0),
        };
        let term = Some(held.term + next).filter(|term| *term <= MAX_TERM)?;
        let stands = election::candidacy(&held, term, suitability, ring.me());
        Some(encode_rumor(&Rumor::Election(stands), "").bytes)
    }

    /// A member has come back. Groups that it led have gone on without it: a few of them tell it so.
    pub(super) fn tell_deposed(&mut self, ring: &impl Ring, id: MemberId) {
        let Some(peer) = ring.peer(&id) else {
            return;
        };
        for key in self.led_before(id) {
            let Some(place) = self.store.find(&RumorId::election(key.0, &key.1)) else {
                continue;
            };
            if !self.is_teller(ring, &key) {
                continue;
            }
            if let Some(hash) = self.store.get(place).map(|entry| entry.hash) {
                let what = What::Rumor(place, hash);
                if !self.outbox.push(&peer, what, Class::Urgent) {
                    self.arrears.owe(&peer, what);
                }
            }
        }
    }

    /// Whether this member is one of the first in the group that have such duties: originals have none.
    fn is_teller(&self, ring: &impl Ring, key: &Key) -> bool {
        let me = ring.me();
        let is_ours = |id: &MemberId| *id == me || ring.peer(id).is_some_and(|peer| peer.ours);
        let mut ours = self.store.members_of(&key.1).filter(is_ours).take(TELLERS);
        self.in_group(ring, &key.1) && ours.any(|id| id == me)
    }
}
