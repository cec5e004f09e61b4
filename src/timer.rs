//! The timer wheel: when what is due. Setting and cancelling a timer take constant time, however many there are.

use std::cell::Cell;
use std::iter;

use crate::expected::Expected;
use crate::lists::Lists;
use crate::time::Time;

/// Microseconds a tick, the wheel's unit of time: what the sleeps of an event loop can tell apart.
const TICK: u64 = 1_000;

/// The last tick that `Time` can count to.
const LAST_TICK: u64 = u64::MAX / TICK;

/// Bits of a tick that choose the slot within a level.
const SLOT_BITS: u32 = 6;

/// Slots of a level: as many as the bits of the word that says which are occupied.
const SLOTS: usize = 1 << SLOT_BITS;

/// Levels, so many that every tick has its slot and nothing can overflow. Seven days reach up to the fifth.
const LEVELS: usize = 10;

const _: () = assert!(LAST_TICK >> (SLOT_BITS * LEVELS as u32) == 0);

/// Timers in order of deadline, in steps of a millisecond. A deadline is rounded up to the next whole
/// millisecond, so that no timer fires early, unless it has passed by the time last seen: then it is due at once.
///
/// Read a tick as a number of ten digits to the base 64. The level of a timer is the highest digit in which its
/// tick differs from the one that the wheel's hand is at, its slot is that digit. So what is on a level is due
/// before all that is on those above, and within a level the lower slot before the higher. When the hand
/// comes to a slot above the lowest level, the slot's timers move down, in their order.
#[derive(Debug)]
pub struct TimerWheel<T> {
    /// One list for each slot, those of the lowest level first.
    slots: Lists<Entry<T>>,
    /// For each level the slots that are not empty, one bit each.
    occupied: [u64; LEVELS],
    /// The tick that all levels are relative to. Every timer's tick is this or a later one.
    hand: u64,
    /// The latest time seen.
    now: Time,
    /// Timers ever set, modulo 2^32: tells apart those that had the same index.
    generation: u32,
    /// The earliest tick of all timers, where it is known.
    earliest: Cell<Option<u64>>,
}

/// Names one timer: no other answers to its key, unless it is kept while 2^32 more are set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimerKey {
    index: u32,
    generation: u32,
}

/// A timer that is set.
#[derive(Debug)]
struct Entry<T> {
    tick: u64,
    generation: u32,
    value: T,
}

impl<T> TimerWheel<T> {
    /// A wheel without timers that starts at `now`.
    pub fn new(now: Time) -> Self {
        TimerWheel {
            slots: Lists::new(LEVELS * SLOTS),
            occupied: [0; LEVELS],
            hand: now.as_micros() / TICK,
            now,
            generation: 0,
            earliest: Cell::new(None),
        }
    }

    /// Sets a timer for `at`. A deadline already past is due at once, after all that [`pop`](Self::pop) returned.
    pub fn insert(&mut self, at: Time, value: T) -> TimerKey {
        let tick = self.tick_of(at);
        self.generation = self.generation.wrapping_add(1);
        let generation = self.generation;
        let slot = self.occupy(tick);
        let index = self.slots.push_back(
            slot,
            Entry {
                tick,
                generation,
                value,
            },
        );
        if let Some(earliest) = self.earliest.get() {
            self.earliest.set(Some(earliest.min(tick)));
        }
        TimerKey { index, generation }
    }

    /// Takes a timer back: its value, or `None` if it has fired or was cancelled before.
    pub fn cancel(&mut self, key: TimerKey) -> Option<T> {
        self.entry(key)?;
        Some(self.take(key.index)?.value)
    }

    /// When the timer is due, in whole milliseconds; `None` if it has fired or was cancelled.
    pub fn deadline_of(&self, key: TimerKey) -> Option<Time> {
        Some(time_of(self.entry(key)?.tick))
    }

    /// The next timer that is due at or before `now`: its deadline, in whole milliseconds, and its value. Those
    /// with the earlier deadline come first, of equal ones the one set first. Call it until it returns `None`.
    /// A `now` before one given earlier does no harm.
    pub fn pop(&mut self, now: Time) -> Option<(Time, T)> {
        self.now = self.now.max(now);
        let present = now.as_micros() / TICK;
        while let Some((level, slot)) = self.first_occupied() {
            let start = self.start_of(level, slot);
            if start > present {
                break;
            }
            self.hand = start;
            if level == 0 {
                let entry = self.take(self.slots.front(list(level, slot))?)?;
                return Some((time_of(entry.tick), entry.value));
            }
            self.move_down(level, slot);
        }
        // No occupied slot begins in between, so no timer's place changes.
        self.hand = self.hand.max(present);
        None
    }

    /// When the earliest timer is due, in whole milliseconds: exactly, so that who sleeps until then wakes for
    /// something. At most one slot is looked through, and only after its earliest timer went away.
    pub fn next_deadline(&self) -> Option<Time> {
        let earliest = self.earliest.get().or_else(|| self.find_earliest())?;
        self.earliest.set(Some(earliest));
        Some(time_of(earliest))
    }

    /// How many timers are set.
    pub fn live(&self) -> usize {
        self.slots.len()
    }

    /// The tick at which a timer for `at` fires.
    fn tick_of(&self, at: Time) -> u64 {
        let micros = at.as_micros();
        let tick = if at <= self.now {
            micros / TICK
        } else {
            micros.div_ceil(TICK)
        };
        tick.min(LAST_TICK).max(self.hand)
    }

    /// The list that timers of this tick belong in, marked as occupied.
    fn occupy(&mut self, tick: u64) -> usize {
        // The lowest bit, set for the sake of the logarithm, doesn't change the level.
        let level = (((tick ^ self.hand) | 1).ilog2() / SLOT_BITS) as usize;
        let slot = (tick >> shift(level)) as usize % SLOTS;
        if let Some(occupied) = self.occupied.get_mut(level) {
            *occupied |= 1 << slot;
        }
        list(level, slot)
    }

    /// Level and slot of the earliest timers.
    fn first_occupied(&self) -> Option<(usize, usize)> {
        let levels = self.occupied.iter().enumerate();
        let mut levels = levels.filter(|(_, slots)| **slots != 0);
        levels
            .next()
            .map(|(level, slots)| (level, slots.trailing_zeros() as usize))
    }

    /// The first tick of a slot: the digits of the hand above it, its own, and zeros below.
    fn start_of(&self, level: usize, slot: usize) -> u64 {
        let above = shift(level + 1);
        (self.hand >> above << above) | ((slot as u64) << shift(level))
    }

    /// Spreads the timers of the slot that the hand has come to over the levels below.
    fn move_down(&mut self, level: usize, slot: usize) {
        let from = list(level, slot);
        self.vacate(from);
        while let Some(node) = self.slots.front(from) {
            let Some(entry) = self.slots.get(node).expected() else {
                return;
            };
            let to = self.occupy(entry.tick);
            self.slots.move_to_back(node, to);
        }
    }

    /// A list is empty.
    fn vacate(&mut self, list: usize) {
        if let Some(occupied) = self.occupied.get_mut(list / SLOTS) {
            *occupied &= !(1 << (list % SLOTS));
        }
    }

    /// Takes an entry out of the wheel.
    fn take(&mut self, index: u32) -> Option<Entry<T>> {
        let list = self.slots.list_of(index)?;
        let entry = self.slots.remove(index)?;
        if self.slots.front(list).is_none() {
            self.vacate(list);
        }
        if self.earliest.get() == Some(entry.tick) {
            self.earliest.set(None);
        }
        Some(entry)
    }

    /// The earliest tick, looked up.
    fn find_earliest(&self) -> Option<u64> {
        let (level, slot) = self.first_occupied()?;
        if level == 0 {
            return Some(self.start_of(level, slot));
        }
        iter::successors(self.slots.front(list(level, slot)), |&node| {
            self.slots.next(node)
        })
        .filter_map(|node| Some(self.slots.get(node)?.tick))
        .min()
    }

    /// The entry that the key names, if it is still set.
    fn entry(&self, key: TimerKey) -> Option<&Entry<T>> {
        self.slots
            .get(key.index)
            .filter(|entry| entry.generation == key.generation)
    }
}

/// The bits of a tick below the digit of this level.
fn shift(level: usize) -> u32 {
    SLOT_BITS * level as u32
}

/// The list of a slot.
fn list(level: usize, slot: usize) -> usize {
    level * SLOTS + slot
}

/// When a tick begins.
fn time_of(tick: u64) -> Time {
    Time::from_micros(tick * TICK)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::time::Duration;

    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    use super::*;

    const fn ms(millis: u64) -> Time {
        Time::from_millis(millis)
    }

    const fn us(micros: u64) -> Time {
        Time::from_micros(micros)
    }

    /// All that is due at `now`: deadlines in milliseconds, and values.
    fn drain<T>(wheel: &mut TimerWheel<T>, now: Time) -> Vec<(u64, T)> {
        iter::from_fn(|| wheel.pop(now))
            .map(|(at, value)| (at.as_micros() / 1_000, value))
            .collect()
    }

    #[test]
    fn an_empty_wheel_has_nothing_to_say() {
        let mut wheel = TimerWheel::<()>::new(ms(5));
        assert_eq!(wheel.live(), 0);
        assert_eq!(wheel.next_deadline(), None);
        assert_eq!(wheel.pop(Time::from_micros(u64::MAX)), None);
    }

    #[test]
    fn timers_fire_in_order_of_deadline_then_of_insertion() {
        let mut wheel = TimerWheel::new(ms(0));
        let deadlines = [5_000, 10, 300_000, 10, 5_000, 70, 10, 300_000];
        for (value, at) in deadlines.into_iter().enumerate() {
            wheel.insert(ms(at), value);
        }
        assert_eq!(wheel.live(), 8);
        assert_eq!(
            drain(&mut wheel, ms(400_000)),
            [
                (10, 1),
                (10, 3),
                (10, 6),
                (70, 5),
                (5_000, 0),
                (5_000, 4),
                (300_000, 2),
                (300_000, 7)
            ]
        );
        assert_eq!(wheel.live(), 0);
    }

    #[test]
    fn equal_deadlines_keep_their_order_whatever_level_they_were_set_on() {
        let mut wheel = TimerWheel::new(ms(0));
        wheel.insert(ms(10_000), 'a');
        assert_eq!(wheel.pop(ms(5_000)), None);
        wheel.insert(ms(10_000), 'b');
        assert_eq!(wheel.pop(ms(9_990)), None);
        wheel.insert(ms(10_000), 'c');
        assert_eq!(
            drain(&mut wheel, ms(10_000)),
            [(10_000, 'a'), (10_000, 'b'), (10_000, 'c')]
        );
    }

    #[test]
    fn a_deadline_is_rounded_up_and_nothing_fires_early() {
        let mut wheel = TimerWheel::new(ms(0));
        let key = wheel.insert(us(10_001), ());
        assert_eq!(wheel.deadline_of(key), Some(ms(11)));
        assert_eq!(wheel.next_deadline(), Some(ms(11)));
        assert_eq!(wheel.pop(us(10_999)), None);
        assert_eq!(wheel.pop(us(11_000)), Some((ms(11), ())));
        assert_eq!(wheel.deadline_of(key), None);
    }

    #[test]
    fn a_deadline_already_past_is_due_at_once() {
        let mut wheel = TimerWheel::new(us(100_700));
        wheel.insert(ms(3), 'a');
        wheel.insert(us(100_700), 'b');
        assert_eq!(wheel.next_deadline(), Some(ms(100)));
        assert_eq!(drain(&mut wheel, us(100_700)), [(100, 'a'), (100, 'b')]);
    }

    #[test]
    fn what_is_set_for_now_while_timers_are_popped_is_popped_with_them() {
        let now = us(50_300);
        let mut wheel = TimerWheel::new(ms(0));
        wheel.insert(ms(20), 'a');
        wheel.insert(ms(40), 'c');
        assert_eq!(wheel.pop(now), Some((ms(20), 'a')));
        wheel.insert(now, 'e');
        wheel.insert(ms(30), 'b');
        wheel.insert(ms(45), 'd');
        assert_eq!(
            drain(&mut wheel, now),
            [(30, 'b'), (40, 'c'), (45, 'd'), (50, 'e')]
        );
    }

    #[test]
    fn time_that_goes_backwards_does_no_harm() {
        let mut wheel = TimerWheel::new(ms(1_000));
        wheel.insert(ms(1_500), 'a');
        assert_eq!(wheel.pop(ms(1_400)), None);
        assert_eq!(wheel.pop(ms(10)), None);
        wheel.insert(ms(20), 'b');
        assert_eq!(
            wheel.pop(ms(1_399)),
            None,
            "past, but of a present that has gone back"
        );
        assert_eq!(drain(&mut wheel, ms(1_500)), [(1_400, 'b'), (1_500, 'a')]);
        assert_eq!(wheel.pop(Time::ZERO), None);
    }

    #[test]
    fn a_cancelled_timer_never_fires() {
        let mut wheel = TimerWheel::new(ms(0));
        let key = wheel.insert(ms(10), 'a');
        wheel.insert(ms(20), 'b');
        assert_eq!(wheel.next_deadline(), Some(ms(10)));
        assert_eq!(wheel.cancel(key), Some('a'));
        assert_eq!(wheel.cancel(key), None);
        assert_eq!(wheel.next_deadline(), Some(ms(20)));
        assert_eq!(drain(&mut wheel, ms(30)), [(20, 'b')]);
    }

    #[test]
    fn a_stale_key_never_touches_the_timer_that_took_its_place() {
        let mut wheel = TimerWheel::new(ms(0));
        let cancelled = wheel.insert(ms(10), 1);
        assert_eq!(wheel.cancel(cancelled), Some(1));
        let fired = wheel.insert(ms(10), 2);
        assert_eq!(wheel.pop(ms(10)), Some((ms(10), 2)));
        let live = wheel.insert(ms(20), 3);
        assert_eq!(
            [cancelled.index, fired.index],
            [live.index; 2],
            "the place is reused"
        );
        for stale in [cancelled, fired] {
            assert_eq!(wheel.deadline_of(stale), None);
            assert_eq!(wheel.cancel(stale), None);
        }
        assert_eq!(wheel.deadline_of(live), Some(ms(20)));
        assert_eq!(wheel.cancel(live), Some(3));
    }

    #[test]
    fn an_idle_wheel_wakes_once_for_each_deadline() {
        let week = Duration::from_secs(7 * 24 * 3_600);
        let mut wheel = TimerWheel::new(us(123_456_789));
        let deadlines = [ms(123_500), ms(130_000), ms(0) + week, ms(7) + week];
        for at in deadlines {
            wheel.insert(at, ());
        }
        let wakes = iter::from_fn(|| {
            let at = wheel.next_deadline()?;
            assert_eq!(drain(&mut wheel, at).len(), 1);
            Some(at)
        });
        assert_eq!(wakes.collect::<Vec<_>>(), deadlines);
    }

    #[test]
    fn the_end_of_time_is_a_deadline_like_any_other() {
        let end = us(u64::MAX);
        let mut wheel = TimerWheel::new(ms(0));
        wheel.insert(end, 'a');
        assert_eq!(wheel.pop(ms(LAST_TICK - 1)), None);
        let deadline = wheel.next_deadline().unwrap();
        assert_eq!(wheel.pop(deadline), Some((ms(LAST_TICK), 'a')));
        wheel.insert(end, 'b');
        assert_eq!(wheel.pop(end), Some((ms(LAST_TICK), 'b')));
    }

    /// What the wheel promises, said in the plainest way.
    struct Model {
        due: BTreeSet<(u64, u64)>,
        ticks: BTreeMap<u64, u64>,
        /// The tick that a past deadline becomes.
        present: u64,
        now: u64,
    }

    impl Model {
        fn insert(&mut self, at: u64, value: u64) {
            let rounded = if at <= self.now {
                at / 1_000
            } else {
                at.div_ceil(1_000)
            };
            let tick = rounded.min(u64::MAX / 1_000).max(self.present);
            self.due.insert((tick, value));
            self.ticks.insert(value, tick);
        }

        fn remove(&mut self, value: u64) -> Option<u64> {
            let tick = self.ticks.remove(&value)?;
            self.due.remove(&(tick, value));
            Some(tick)
        }

        fn pop(&mut self, now: u64) -> Option<(Time, u64)> {
            self.now = self.now.max(now);
            let due = self
                .due
                .first()
                .copied()
                .filter(|&(tick, _)| tick <= now / 1_000);
            let Some((tick, value)) = due else {
                self.present = self.present.max(now / 1_000);
                return None;
            };
            self.present = tick;
            self.remove(value);
            Some((ms(tick), value))
        }
    }

    /// A wheel and its model, and every key ever returned; a timer's value is its key's place among them.
    struct Pair {
        rng: StdRng,
        wheel: TimerWheel<u64>,
        model: Model,
        keys: Vec<TimerKey>,
        now: u64,
    }

    impl Pair {
        fn new(seed: u64) -> Self {
            let mut rng = StdRng::seed_from_u64(seed);
            // Microseconds; many just before the hand comes to a new slot of some level.
            let now = match rng.random_range(0..6) {
                0 => 0,
                1 => (1 << 40) * 1_000,
                2 => rng.random_range(0..1 << 50),
                3 => u64::MAX - rng.random_range(0..100_000_000),
                _ => {
                    let border = 1_000_u64 << (6 * rng.random_range(1..9));
                    border.saturating_sub(rng.random_range(0..200_000))
                }
            };
            let model = Model {
                due: BTreeSet::new(),
                ticks: BTreeMap::new(),
                present: now / 1_000,
                now,
            };
            Pair {
                rng,
                wheel: TimerWheel::new(us(now)),
                model,
                keys: Vec::new(),
                now,
            }
        }

        fn span(&mut self) -> u64 {
            let bits = match self.rng.random_range(0..10) {
                0..4 => 17,
                4..7 => 25,
                7 => 30,
                8 => 40,
                _ => 63,
            };
            self.rng.random_range(0..1_u64 << bits)
        }

        fn insert(&mut self) {
            let span = self.span();
            let at = match self.rng.random_range(0..10) {
                0 => self.now,
                1 => self.now.saturating_sub(span),
                // Equal deadlines.
                2 => (self.now / 64_000 + self.rng.random_range(0..4)).saturating_mul(64_000),
                _ => self.now.saturating_add(span),
            };
            let value = self.keys.len() as u64;
            self.model.insert(at, value);
            self.keys.push(self.wheel.insert(us(at), value));
        }

        fn cancel(&mut self) {
            let value = match (self.rng.random_range(0..4), self.model.due.first()) {
                (_, _) if self.keys.is_empty() => return,
                (0, Some(&(_, value))) => value,
                (1, _) => self.rng.random_range(0..self.keys.len() as u64),
                _ => self
                    .rng
                    .random_range(self.keys.len() as u64 / 8 * 7..self.keys.len() as u64),
            };
            let key = self.keys[value as usize];
            let expected = self.model.remove(value);
            assert_eq!(self.wheel.deadline_of(key), expected.map(ms));
            assert_eq!(self.wheel.cancel(key), expected.map(|_| value));
        }

        /// Pops all that is due, at times setting new timers in between.
        fn pop(&mut self, now: u64) {
            loop {
                let popped = self.wheel.pop(us(now));
                assert_eq!(popped, self.model.pop(now));
                self.check();
                if popped.is_none() {
                    return;
                }
                if self.rng.random_bool(0.2) {
                    self.insert();
                }
            }
        }

        fn step(&mut self) {
            match self.rng.random_range(0..20) {
                0..9 => self.insert(),
                9..15 => self.cancel(),
                15 => {
                    let span = self.span();
                    self.pop(self.now.saturating_sub(span));
                }
                16 => {
                    if let Some(at) = self.wheel.next_deadline() {
                        self.now = self.now.max(at.as_micros());
                    }
                    self.pop(self.now);
                }
                17 if self.rng.random_bool(0.02) => {
                    self.now = self.now.saturating_add(self.rng.random_range(0..1 << 45));
                    self.pop(self.now);
                }
                17 => {
                    let span = self.span().min(1 << 30);
                    self.now = self.now.saturating_add(span);
                    self.pop(self.now);
                }
                _ => {
                    self.now = self.now.saturating_add(self.rng.random_range(0..50_000));
                    self.pop(self.now);
                }
            }
            self.check();
        }

        fn check(&mut self) {
            assert_eq!(self.wheel.live(), self.model.due.len());
            // Not always, so that what is known of the earliest is spoilt more than once.
            if self.rng.random_bool(0.6) {
                let earliest = self.model.due.first().map(|&(tick, _)| ms(tick));
                assert_eq!(self.wheel.next_deadline(), earliest);
            }
        }
    }

    #[test]
    fn behaves_like_a_sorted_map() {
        for seed in 0..250 {
            let mut pair = Pair::new(seed);
            for _ in 0..3_000 {
                pair.step();
            }
            pair.now = u64::MAX;
            while pair.wheel.live() > 0 {
                pair.pop(u64::MAX);
            }
        }
    }
}
