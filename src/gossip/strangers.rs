//! Members that are not known here, but of which services are held, or were: whether they are dead, or gone.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::limits::{MAX_DEAD_STRANGERS, MAX_GHOSTS};
use crate::member::MemberId;
use crate::time::Time;

#[derive(Default)]
pub(super) struct Strangers {
    /// Members of which services are held, but nothing else is known, as of the last sweep.
    strays: BTreeSet<MemberId>,
    /// Members that others hold for Confirmed, with when they said so last: their services count for all until they are
    /// Departed.
    dead: BTreeMap<MemberId, Time>,
    /// Members of which services were dropped as they are gone, since when: whoever still holds them would have everybody
    /// take them up again.
    ghosts: BTreeMap<MemberId, Time>,
}

impl Strangers {
    /// Members of which services are held, and nothing else is known.
    pub fn strays(&self) -> usize {
        self.strays.len()
    }

    /// Members that others hold for Confirmed.
    pub fn dead(&self) -> usize {
        self.dead.len()
    }

    pub fn is_dead(&self, id: &MemberId) -> bool {
        self.dead.contains_key(id)
    }

    /// Members whose services stay dropped while nobody knows them.
    pub fn ghosts(&self) -> usize {
        self.ghosts.len()
    }

    pub fn is_ghost(&self, id: &MemberId) -> bool {
        self.ghosts.contains_key(id)
    }

    pub fn add_ghost(&mut self, now: Time, member: MemberId) {
        if self.ghosts.len() < MAX_GHOSTS || self.ghosts.contains_key(&member) {
            self.ghosts.insert(member, now);
        }
    }

    /// The member is known: its services count.
    pub fn lay_ghost(&mut self, member: &MemberId) {
        self.ghosts.remove(member);
    }

    /// Others hold this member for Confirmed. For as long as `refusal` after its services were dropped, that may be older
    /// than what had them dropped.
    pub fn note_dead(&mut self, now: Time, refusal: Duration, member: MemberId) {
        let ghost = self.ghosts.get(&member);
        if ghost.is_some_and(|since| now.since(*since) < refusal) {
            return;
        }
        self.ghosts.remove(&member);
        if self.dead.len() < MAX_DEAD_STRANGERS || self.dead.contains_key(&member) {
            self.dead.insert(member, now);
        }
    }

    /// Others hold this member for Departed.
    pub fn note_gone(&mut self, now: Time, member: MemberId) {
        self.dead.remove(&member);
        self.add_ghost(now, member);
    }

    /// Forgets the dead that this does not keep: it is told of each when others said so last.
    pub fn retain_dead(&mut self, keep: impl Fn(&MemberId, Time) -> bool) {
        self.dead.retain(|member, heard| keep(member, *heard));
    }

    /// Forgets whose services were dropped so long ago.
    pub fn forget_ghosts(&mut self, now: Time, lasts: Duration) {
        self.ghosts.retain(|_, since| now.since(*since) < lasts);
    }

    /// These are the strays of this sweep. Those among them that already were in the last one.
    pub fn sweep(&mut self, strays: BTreeSet<MemberId>) -> Vec<MemberId> {
        let before = std::mem::replace(&mut self.strays, strays);
        self.strays.intersection(&before).copied().collect()
    }

    /// For a failure's message: what is known of a member whose services are held, or were.
    #[cfg(feature = "sim")]
    pub fn absence(&self, now: Time, member: &MemberId) -> String {
        let ago = |since: &Time| now.since(*since);
        let dead = self.dead.get(member).map(ago);
        let ghost = self.ghosts.get(member).map(ago);
        let stray = self.strays.contains(member);
        format!("dead as others said {dead:?} ago, stray {stray}, dropped {ghost:?} ago")
    }
}
