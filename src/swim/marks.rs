//! Which incarnations this member may use: those up to a mark that is on disk, else one could be used again after a
//! crash (PROTOCOL.md §4).

use crate::limits::INCARNATION_RESERVE;
use crate::member::Incarnation;

#[derive(Hash)]
pub(super) struct Marks {
    /// The mark that is on disk, or is to be: incarnations up to it are reserved.
    reserved: Incarnation,
    /// The mark that is on disk: no incarnation above it is used.
    stored: Incarnation,
    /// The incarnation to go on with once its mark is on disk.
    raise_due: Option<Incarnation>,
    /// Whether the mark is still to be stored.
    reserve_due: bool,
}

impl Marks {
    /// This mark is on disk.
    pub fn new(reserved: Incarnation) -> Self {
        Marks {
            reserved,
            stored: reserved,
            raise_due: None,
            reserve_due: false,
        }
    }

    /// Whether this incarnation may be used now. If not, it is due once its mark is on disk.
    pub fn allows(&mut self, incarnation: Incarnation) -> bool {
        let allowed = incarnation <= self.stored;
        if !allowed {
            self.raise_due = self.raise_due.max(Some(incarnation));
            self.reserve(incarnation);
        }
        allowed
    }

    /// Whether an incarnation as high as this is due.
    pub fn is_due(&self, incarnation: Incarnation) -> bool {
        self.raise_due >= Some(incarnation)
    }

    /// Sees to it that the mark on disk stays ahead of the incarnation in use: the next one is asked for when three
    /// quarters of what is reserved are used, so that hardly any raise has to wait for it.
    pub fn reserve(&mut self, incarnation: Incarnation) {
        if incarnation.plus(INCARNATION_RESERVE / 4) > self.reserved {
            self.reserved = incarnation.plus(INCARNATION_RESERVE);
            self.reserve_due = true;
        }
    }

    /// This mark is on disk: the incarnation that was due, if it now may be used.
    pub fn store(&mut self, mark: Incarnation) -> Option<Incarnation> {
        self.stored = self.stored.max(mark);
        self.raise_due.take_if(|due| *due <= self.stored)
    }

    /// The mark to be stored, if it has changed.
    pub fn poll(&mut self) -> Option<Incarnation> {
        std::mem::take(&mut self.reserve_due).then_some(self.reserved)
    }

    /// The member goes on under a new id, from incarnation 0.
    pub fn begin_anew(&mut self) {
        self.reserved = Incarnation::ZERO.plus(INCARNATION_RESERVE);
        self.reserve_due = true;
        self.raise_due = None;
        if self.stored < Incarnation::MAX {
            // What the disk has is far above. (At the highest, there may be no disk to wait for.)
            self.stored = self.reserved;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(number: u64) -> Incarnation {
        Incarnation::new(number).unwrap()
    }

    #[test]
    fn an_incarnation_above_the_mark_on_disk_waits_for_it() {
        let mut marks = Marks::new(number(10));
        assert!(marks.allows(number(10)));
        assert!(!marks.allows(number(12)) && !marks.allows(number(11)));
        assert!(marks.is_due(number(12)) && !marks.is_due(number(13)));
        let mark = number(12 + INCARNATION_RESERVE);
        assert_eq!((marks.poll(), marks.poll()), (Some(mark), None));
        assert_eq!(marks.store(number(11)), None, "too low a mark");
        assert_eq!(
            (marks.store(mark), marks.store(mark)),
            (Some(number(12)), None)
        );
        assert!(marks.allows(mark));
    }

    #[test]
    fn the_next_mark_is_asked_for_before_the_last_is_used_up() {
        let mut marks = Marks::new(number(INCARNATION_RESERVE));
        let three_quarters = INCARNATION_RESERVE - INCARNATION_RESERVE / 4;
        marks.reserve(number(three_quarters));
        assert_eq!(marks.poll(), None);
        marks.reserve(number(three_quarters + 1));
        assert_eq!(
            marks.poll(),
            Some(number(three_quarters + 1 + INCARNATION_RESERVE))
        );
    }

    #[test]
    fn under_a_new_id_incarnations_begin_at_0() {
        let mut marks = Marks::new(number(1_000_000));
        assert!(!marks.allows(number(1_000_001)));
        marks.begin_anew();
        assert!(!marks.is_due(number(1)));
        assert_eq!(marks.poll(), Some(number(INCARNATION_RESERVE)));
        assert!(marks.allows(number(INCARNATION_RESERVE)));
        assert!(!marks.allows(number(INCARNATION_RESERVE + 1)));
    }

    #[test]
    fn without_a_disk_none_waits_for_it() {
        let mut marks = Marks::new(Incarnation::MAX);
        marks.begin_anew();
        assert!(marks.allows(number(1_000_000)));
    }
}
