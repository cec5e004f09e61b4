//! Which rumors about forgotten members are held, and how long.

use std::collections::{BTreeMap, BTreeSet};

use super::store::Place;
use crate::limits::{FORGOTTEN_FOR, MAX_FORGOTTEN, MAX_FORGOTTEN_BY_ONE};
use crate::member::MemberId;
use crate::rumor::Forgotten;
use crate::time::Time;

/// The rumors about forgotten members that are held.
pub(super) struct Forgetting {
    /// This member's start, in milliseconds since 1970, and by its own time.
    epoch: u64,
    started: Time,
    /// When each was said, but not after it came, and of how many members.
    held: BTreeMap<Place, (u64, usize, MemberId)>,
    /// The same, the oldest first.
    by_age: BTreeSet<(u64, Place)>,
    /// The same of each that said some, and of how many members.
    by_author: BTreeMap<MemberId, (BTreeSet<(u64, Place)>, usize)>,
    members: usize,
    /// When this member said the last of its own.
    last: u64,
}

impl Forgetting {
    pub fn new(epoch: u64, started: Time) -> Self {
        Forgetting {
            epoch,
            started,
            held: BTreeMap::new(),
            by_age: BTreeSet::new(),
            by_author: BTreeMap::new(),
            members: 0,
            last: 0,
        }
    }

    /// Members that are forgotten.
    pub fn members(&self) -> usize {
        self.members
    }

    /// Milliseconds since 1970.
    fn clock(&self, now: Time) -> u64 {
        let since = now.since(self.started).as_millis();
        self.epoch.saturating_add(since as u64)
    }

    /// When this member says the next of its own: each is named after its time.
    pub fn next_time(&mut self, now: Time) -> u64 {
        self.last = self.clock(now).max(self.last + 1);
        self.last
    }

    /// Whether what was said at that time holds no more.
    pub fn is_over(&self, now: Time, time: u64) -> bool {
        let age = self.clock(now).saturating_sub(time);
        age >= FORGOTTEN_FOR.as_millis() as u64
    }

    /// This one is held there.
    pub fn note(&mut self, now: Time, place: Place, said: &Forgotten) {
        self.remove(place);
        let (time, members) = (said.time.min(self.clock(now)), said.members.len());
        self.held.insert(place, (time, members, said.by));
        self.by_age.insert((time, place));
        self.members += members;
        let (places, count) = self.by_author.entry(said.by).or_default();
        places.insert((time, place));
        *count += members;
    }

    /// It is held no more.
    pub fn remove(&mut self, place: Place) {
        let Some((time, members, by)) = self.held.remove(&place) else {
            return;
        };
        self.by_age.remove(&(time, place));
        self.members -= members;
        if let Some((places, count)) = self.by_author.get_mut(&by) {
            places.remove(&(time, place));
            *count -= members;
            if places.is_empty() {
                self.by_author.remove(&by);
            }
        }
    }

    /// The oldest of one that said too many.
    pub fn surplus_of(&self, by: MemberId) -> Option<Place> {
        let (places, count) = self.by_author.get(&by)?;
        let (_, place) = places.first()?;
        (*count > MAX_FORGOTTEN_BY_ONE).then_some(*place)
    }

    /// The oldest, if it holds no more, or there are too many.
    pub fn surplus(&self, now: Time) -> Option<Place> {
        let (time, place) = self.by_age.first()?;
        let is_surplus = self.members > MAX_FORGOTTEN || self.is_over(now, *time);
        is_surplus.then_some(*place)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::limits::MAX_FORGOTTEN_AT_ONCE;
    use crate::member::Incarnation;

    fn said_by(by: usize, time: u64, members: usize) -> Forgotten {
        let id = |number: usize| MemberId::from_bytes((number as u128).to_be_bytes());
        let members = (0..members).map(|number| (id(number), Incarnation::ZERO));
        Forgotten::new(id(by), time, members.collect())
    }

    fn said(time: u64, members: usize) -> Forgotten {
        said_by(1, time, members)
    }

    #[test]
    fn what_was_said_holds_for_ten_days_by_the_clock_and_no_longer_than_it_is_held() {
        let (start, epoch) = (Time::from_millis(5_000), 1_790_000_000_000);
        let mut it = Forgetting::new(epoch, start);
        let days = |days: u64| Duration::from_secs(days * 24 * 60 * 60);
        let millis = |days: u64| days * 24 * 60 * 60 * 1_000;
        assert!(it.is_over(start, epoch - millis(10)) && !it.is_over(start, epoch - millis(9)));
        it.note(start, 1, &said(epoch - millis(4), 3));
        // As of a member whose clock is ahead.
        it.note(start, 2, &said(epoch + millis(900), 2));
        assert_eq!(it.members(), 5);
        assert_eq!(it.surplus(start + days(5)), None);
        assert_eq!(it.surplus(start + days(6)), Some(1));
        it.remove(1);
        assert_eq!(it.surplus(start + days(9)), None);
        assert_eq!(it.surplus(start + days(10)), Some(2));
        it.note(start, 2, &said(epoch, 7));
        assert_eq!((it.members(), it.by_age.len()), (7, 1), "the same place");
    }

    #[test]
    fn of_too_many_the_oldest_go() {
        let mut it = Forgetting::new(1_000, Time::ZERO);
        let full = MAX_FORGOTTEN / MAX_FORGOTTEN_AT_ONCE;
        for place in 0..full {
            it.note(
                Time::ZERO,
                place as Place,
                &said(place as u64, MAX_FORGOTTEN_AT_ONCE),
            );
        }
        assert_eq!(
            (it.members(), it.surplus(Time::ZERO)),
            (MAX_FORGOTTEN, None)
        );
        it.note(Time::ZERO, full as Place, &said(900, 1));
        assert_eq!(it.surplus(Time::ZERO), Some(0));
    }

    #[test]
    fn one_that_says_too_many_displaces_its_own() {
        let mut it = Forgetting::new(1_000, Time::ZERO);
        it.note(Time::ZERO, 0, &said_by(2, 5, 3));
        let full = MAX_FORGOTTEN_BY_ONE / MAX_FORGOTTEN_AT_ONCE;
        for place in 1..=full {
            it.note(
                Time::ZERO,
                place as Place,
                &said(900, MAX_FORGOTTEN_AT_ONCE),
            );
        }
        let one = said(900, 1);
        assert_eq!(it.surplus_of(one.by), None);
        it.note(Time::ZERO, full as Place + 1, &one);
        assert_eq!(it.surplus_of(one.by), Some(1));
        it.remove(1);
        assert_eq!(
            (it.surplus_of(one.by), it.surplus(Time::ZERO)),
            (None, None)
        );
        (0..=full + 1).for_each(|place| it.remove(place as Place));
        assert_eq!((it.by_author.len(), it.members()), (0, 0));
    }
}
