//! Members that are not heard: those that were blocked, those that departed for good, and those that were forgotten.

use std::collections::{BTreeMap, BTreeSet};

use crate::limits::{MAX_BLOCKED, MAX_EXILED, MAX_FORGOTTEN};
use crate::member::{Incarnation, MemberId};
use crate::stats::Gauge;

#[derive(Default, Hash)]
pub(super) struct Refused {
    blocked: BTreeSet<MemberId>,
    /// Gone for good, by departure rumors.
    exiled: BTreeSet<MemberId>,
    /// Forgotten as dead: nobody but they themselves is believed that they live, up to this incarnation.
    forgotten: BTreeMap<MemberId, Incarnation>,
}

impl Refused {
    /// Whether there was room for it.
    pub fn block(&mut self, id: MemberId) -> bool {
        add(&mut self.blocked, MAX_BLOCKED, id)
    }

    /// Whether it was blocked.
    pub fn unblock(&mut self, id: &MemberId) -> bool {
        self.blocked.remove(id)
    }

    pub fn blocked(&self) -> &BTreeSet<MemberId> {
        &self.blocked
    }

    pub fn is_blocked(&self, id: &MemberId) -> bool {
        !self.blocked.is_empty() && self.blocked.contains(id)
    }

    /// It is refused from now on, if there is room for it.
    pub fn exile(&mut self, id: MemberId) {
        add(&mut self.exiled, MAX_EXILED, id);
    }

    pub fn pardon(&mut self, id: &MemberId) {
        self.exiled.remove(id);
    }

    pub fn is_exiled(&self, id: &MemberId) -> bool {
        !self.exiled.is_empty() && self.exiled.contains(id)
    }

    /// It is forgotten at this incarnation and all before, if there is room for it.
    pub fn forget(&mut self, id: MemberId, incarnation: Incarnation) {
        if self.forgotten.len() < MAX_FORGOTTEN || self.forgotten.contains_key(&id) {
            let known = self.forgotten.entry(id).or_insert(incarnation);
            *known = incarnation.max(*known);
        }
    }

    /// It is forgotten no more, unless that was said at a later incarnation, too.
    pub fn remember(&mut self, id: &MemberId, incarnation: Incarnation) {
        if self.is_forgotten(id, Incarnation::ZERO) && !self.is_forgotten(id, incarnation.next()) {
            self.forgotten.remove(id);
        }
    }

    /// Whether it was forgotten at this incarnation or a later one.
    pub fn is_forgotten(&self, id: &MemberId, incarnation: Incarnation) -> bool {
        let at = self
            .forgotten
            .get(id)
            .filter(|_| !self.forgotten.is_empty());
        at.is_some_and(|at| incarnation <= *at)
    }

    pub fn sizes(&self) -> [Gauge; 3] {
        [
            Gauge::new("forgotten", self.forgotten.len(), MAX_FORGOTTEN),
            Gauge::new("blocked", self.blocked.len(), MAX_BLOCKED),
            Gauge::new("exiled", self.exiled.len(), MAX_EXILED),
        ]
    }
}

fn add(ids: &mut BTreeSet<MemberId>, most: usize, id: MemberId) -> bool {
    let room = ids.len() < most || ids.contains(&id);
    if room {
        ids.insert(id);
    }
    room
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: usize) -> MemberId {
        MemberId::from_bytes((number as u128).to_be_bytes())
    }

    #[test]
    fn no_more_than_so_many_are_blocked() {
        let mut refused = Refused::default();
        assert!((0..MAX_BLOCKED).all(|number| refused.block(id(number))));
        assert!(!refused.block(id(MAX_BLOCKED)), "full");
        assert!(refused.block(id(0)), "it was there");
        assert!(refused.unblock(&id(0)) && !refused.unblock(&id(0)));
        assert!(refused.block(id(MAX_BLOCKED)));
        assert!(refused.is_blocked(&id(MAX_BLOCKED)) && !refused.is_blocked(&id(0)));
    }

    #[test]
    fn one_that_was_forgotten_is_so_up_to_an_incarnation() {
        let at = |number| Incarnation::new(number).unwrap();
        let mut refused = Refused::default();
        refused.forget(id(1), at(5));
        refused.forget(id(1), at(3));
        assert!(refused.is_forgotten(&id(1), at(5)) && !refused.is_forgotten(&id(1), at(6)));
        assert!(!refused.is_forgotten(&id(2), at(0)));
        refused.remember(&id(1), at(3));
        assert!(refused.is_forgotten(&id(1), at(5)), "a later word stands");
        refused.remember(&id(1), at(5));
        assert!(!refused.is_forgotten(&id(1), at(0)));
    }

    #[test]
    fn one_that_departed_for_good_is_not_blocked_and_can_be_pardoned() {
        let mut refused = Refused::default();
        refused.exile(id(1));
        assert!(refused.is_exiled(&id(1)) && !refused.is_blocked(&id(1)));
        refused.pardon(&id(1));
        assert!(!refused.is_exiled(&id(1)));
    }
}
