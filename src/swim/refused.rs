//! Members that are not heard: those that were blocked, and those that departed for good.

use std::collections::BTreeSet;

use crate::limits::{MAX_BLOCKED, MAX_EXILED};
use crate::member::MemberId;
use crate::stats::Gauge;

#[derive(Default, Hash)]
pub(super) struct Refused {
    blocked: BTreeSet<MemberId>,
    /// Gone for good, by departure rumors.
    exiled: BTreeSet<MemberId>,
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

    pub fn sizes(&self) -> [Gauge; 2] {
        [
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
    fn one_that_departed_for_good_is_not_blocked_and_can_be_pardoned() {
        let mut refused = Refused::default();
        refused.exile(id(1));
        assert!(refused.is_exiled(&id(1)) && !refused.is_blocked(&id(1)));
        refused.pardon(&id(1));
        assert!(!refused.is_exiled(&id(1)));
    }
}
