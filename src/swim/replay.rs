//! What was recorded and is sent again, told from what is new: the serial numbers of this member's datagrams, and those
//! that were heard from each of the others on a sealed ring (PROTOCOL.md §2, "Replay").
//!
//! A window remembers which of its sender's last datagrams were heard, as RFC 6479 does; all 128 of them are one number
//! here, so moving it on is a shift. It is of one life of its sender, and begins with a message that answers a number
//! made up just now: all before that one counts as heard.

use super::news::RowKey;
use crate::growth;
use crate::limits::{MAX_FIRST_CONTACTS, MAX_MEMBERS};
use crate::member::MemberId;
use crate::stats::Gauge;
use crate::wire::Serial;

/// A stretch of time, by its number, which does not come around in a member's life.
pub(super) type Turn = u32;

/// Bits of a window's numbers beside which half a turn has room.
const HALF: u32 = Turn::BITS / 2;

/// What was heard of a member's datagrams.
#[derive(Clone, Copy, Default, Hash)]
struct Window {
    /// A bit for each of the last numbers, the highest one's first: whether it was heard.
    heard: u128,
    /// The sender's epoch, 0 if there is no window; and in the lowest 16 bits half of the turn in which this one began.
    life: u64,
    /// The highest number that was heard; and in the lowest 16 bits the other half.
    top: u64,
}

impl Window {
    fn new(heard: u128, serial: Serial, began: Turn) -> Self {
        let (high, low) = (began >> HALF, began & u32::from(u16::MAX));
        Window {
            heard,
            life: serial.epoch << HALF | u64::from(high),
            top: serial.number << HALF | u64::from(low),
        }
    }

    fn epoch(&self) -> u64 {
        self.life >> HALF
    }

    fn top(&self) -> u64 {
        self.top >> HALF
    }

    /// The turn in which it began.
    fn began(&self) -> Turn {
        (self.life as Turn) << HALF | Turn::from(self.top as u16)
    }

    /// Whether this number was not heard yet.
    #[inline]
    fn is_new(&self, number: u64) -> bool {
        match self.top().checked_sub(number) {
            None => true,
            Some(behind) => behind < u64::from(u128::BITS) && self.heard >> behind & 1 == 0,
        }
    }

    /// It is heard now.
    #[inline]
    fn note(&mut self, number: u64) {
        if let Some(behind) = self.top().checked_sub(number) {
            self.heard |= 1u128
                .checked_shl(behind.min(u64::from(u32::MAX)) as u32)
                .unwrap_or(0);
        } else {
            let ahead = (number - self.top()).min(u64::from(u32::MAX)) as u32;
            self.heard = self.heard.checked_shl(ahead).unwrap_or(0) | 1;
            self.top = number << HALF | self.top & u64::from(u16::MAX);
        }
    }
}

/// What a datagram is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// It comes for the first time, in the life of its sender that is known; or its sender has no serial numbers, and
    /// never had.
    First,
    /// It may come for the first time or not: of that life of its sender, nothing was heard.
    Perhaps,
    /// It came before, or so many after it that this cannot be told.
    Again,
}

/// Serial numbers of datagrams, this member's and others'.
#[derive(Hash)]
pub(super) struct Replay {
    /// This life of this member.
    epoch: u64,
    /// The number of its last datagram.
    number: u64,
    /// By row; those beyond the end have no window.
    windows: Vec<Window>,
    /// The highest number that was heard of each of some members which have yet to answer: it may have overtaken the
    /// answer.
    early: Vec<(MemberId, Serial)>,
    /// The place of the next of them.
    next_early: usize,
}

impl Replay {
    /// Of a life that began at this time; no other life of the member has the same.
    pub fn new(epoch: u64) -> Self {
        Replay {
            epoch: epoch.clamp(1, Serial::MOST),
            number: 0,
            windows: Vec::new(),
            early: Vec::new(),
            next_early: 0,
        }
    }

    /// The serial number of the next datagram of this member.
    #[inline]
    pub fn next(&mut self) -> Serial {
        self.number += 1;
        Serial {
            epoch: self.epoch,
            number: self.number,
        }
    }

    /// When this life of this member began.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// What a datagram of the member in this row is; `None`: of one that is not known.
    #[inline]
    pub fn judge(&self, key: Option<RowKey>, serial: Serial) -> Heard {
        let window = self.window(key);
        if window.epoch() != serial.epoch {
            Heard::Perhaps
        } else if serial.epoch == 0 || window.is_new(serial.number) {
            Heard::First
        } else {
            Heard::Again
        }
    }

    /// Whether the datagram is of a later life than the one that is known.
    pub fn is_later(&self, key: Option<RowKey>, serial: Serial) -> bool {
        serial.epoch > self.window(key).epoch()
    }

    /// Whether this turn comes after the one in which the window began.
    pub fn began_before(&self, key: Option<RowKey>, turn: Turn) -> bool {
        let window = self.window(key);
        turn > window.began()
    }

    /// A datagram was heard, and is new: it is noted; of another life, another window begins, in this turn.
    #[inline]
    pub fn note(&mut self, id: &MemberId, key: RowKey, serial: Serial, turn: Turn) {
        match self.windows.get_mut(key as usize) {
            Some(window) if window.epoch() == serial.epoch => {
                if serial.epoch != 0 {
                    window.note(serial.number);
                }
            }
            _ => self.begin(id, key as usize, serial, turn),
        }
    }

    /// A datagram was heard that may be new or not: if it is of the life that is heard from now on, it counts as heard.
    #[cold]
    pub fn note_early(&mut self, id: &MemberId, serial: Serial) {
        if serial.epoch == 0 {
            return;
        }
        if let Some((_, before)) = self.early.iter_mut().find(|(other, _)| other == id) {
            *before = serial.max(*before);
        } else if self.early.len() < MAX_FIRST_CONTACTS {
            self.early.push((*id, serial));
        } else {
            if let Some(eldest) = self.early.get_mut(self.next_early) {
                *eldest = (*id, serial);
            }
            self.next_early = (self.next_early + 1) % MAX_FIRST_CONTACTS;
        }
    }

    #[cold]
    fn begin(&mut self, id: &MemberId, place: usize, serial: Serial, turn: Turn) {
        let early = self.early.iter().find(|(other, _)| other == id);
        let overtook = early.filter(|(_, early)| early.epoch == serial.epoch);
        let top = overtook.map_or(0, |(_, early)| early.number);
        if self.windows.len() <= place {
            if serial.epoch == 0 {
                return;
            }
            let missing = place + 1 - self.windows.len();
            if self.windows.capacity() - self.windows.len() < missing {
                let step = missing.max(growth::step(self.windows.len()));
                self.windows.reserve_exact(step);
            }
            self.windows.resize(place + 1, Window::default());
        }
        let window = match serial.epoch {
            0 => Window::default(),
            epoch => {
                let number = serial.number.max(top);
                Window::new(u128::MAX, Serial { epoch, number }, turn)
            }
        };
        if let Some(held) = self.windows.get_mut(place) {
            *held = window;
        }
    }

    /// The row is another member's from now on.
    pub fn forget(&mut self, key: RowKey) {
        if let Some(window) = self.windows.get_mut(key as usize) {
            *window = Window::default();
        }
    }

    pub fn sizes(&self) -> [Gauge; 2] {
        [
            Gauge::new("replay_windows", self.windows.len(), MAX_MEMBERS),
            Gauge::new("first_contacts", self.early.len(), MAX_FIRST_CONTACTS),
        ]
    }

    #[inline]
    fn window(&self, key: Option<RowKey>) -> Window {
        let window = key.and_then(|key| self.windows.get(key as usize));
        window.copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: RowKey = 3;
    const ID: MemberId = MemberId::from_bytes([3; 16]);

    fn serial(epoch: u64, number: u64) -> Serial {
        Serial { epoch, number }
    }

    /// That has heard this one, and counts all before it as heard.
    fn heard(epoch: u64, number: u64) -> Replay {
        let mut replay = Replay::new(1);
        replay.note(&ID, ROW, serial(epoch, number), 0);
        replay
    }

    /// What it is, noted if it is new.
    fn hear(replay: &mut Replay, number: u64) -> Heard {
        let judged = replay.judge(Some(ROW), serial(5, number));
        if judged == Heard::First {
            replay.note(&ID, ROW, serial(5, number), 0);
        }
        judged
    }

    #[test]
    fn a_window_takes_no_more_than_32_bytes() {
        assert!(size_of::<Window>() <= 32, "{}", size_of::<Window>());
    }

    #[test]
    fn a_number_counts_once_in_whatever_order_it_comes() {
        let mut replay = heard(5, 1_000);
        for number in [1_001, 1_004, 1_002, 1_130, 1_003, 1_132, 1_005] {
            assert_eq!(hear(&mut replay, number), Heard::First, "{number}");
            assert_eq!(hear(&mut replay, number), Heard::Again, "{number}");
        }
        for number in [0, 1, 999, 1_000, 1_004] {
            assert_eq!(hear(&mut replay, number), Heard::Again, "{number}");
        }
    }

    /// The edges that RFC 6479 §2 names: the ends of the window, jumps beyond its size, and the highest number.
    #[test]
    fn the_window_ends_after_128_numbers() {
        let mut replay = heard(5, 1_000);
        assert_eq!(hear(&mut replay, 1_200), Heard::First);
        assert_eq!(
            hear(&mut replay, 1_200 - 127),
            Heard::First,
            "the last in it"
        );
        assert_eq!(hear(&mut replay, 1_200 - 128), Heard::Again, "behind it");
        assert_eq!(hear(&mut replay, 1_200 - 127), Heard::Again);
        for ahead in [127, 128, 129, 1 << 32, (1 << 32) + 1, 1 << 40] {
            let mut replay = heard(5, 1_000);
            let top = 1_000 + ahead;
            assert_eq!(hear(&mut replay, top), Heard::First, "{ahead}");
            assert_eq!(hear(&mut replay, top), Heard::Again, "{ahead}");
            assert_eq!(hear(&mut replay, top - 1), Heard::First, "{ahead}");
            let begun = if ahead < 128 {
                Heard::Again
            } else {
                Heard::First
            };
            assert_eq!(hear(&mut replay, top - 127), begun, "{ahead}");
            assert_eq!(hear(&mut replay, 1_000), Heard::Again, "{ahead}");
        }
        let mut replay = heard(5, Serial::MOST - 1);
        assert_eq!(hear(&mut replay, Serial::MOST), Heard::First);
        assert_eq!(hear(&mut replay, Serial::MOST), Heard::Again);
        assert_eq!(hear(&mut replay, 0), Heard::Again);
    }

    /// Against a set of all that was heard, which forgets nothing.
    #[test]
    fn no_number_passes_twice() {
        use rand::rngs::StdRng;
        use rand::{RngExt, SeedableRng};
        for seed in 0..50 {
            let mut rng = StdRng::seed_from_u64(seed);
            let mut replay = heard(5, 500);
            let mut passed = std::collections::BTreeSet::new();
            let mut top = 500;
            for _ in 0..2_000 {
                let number = (top + rng.random_range(0..20)) - rng.random_range(0..200).min(top);
                let was_new = number > 500 && !passed.contains(&number) && number + 128 > top;
                let judged = hear(&mut replay, number);
                assert_eq!(judged == Heard::First, was_new, "{seed}: {number} at {top}");
                if was_new {
                    passed.insert(number);
                    top = top.max(number);
                }
            }
            assert!(passed.len() > 200, "{}", passed.len());
        }
    }

    #[test]
    fn each_life_of_a_member_has_its_own_window() {
        let mut replay = heard(5, 1_000);
        for other in [serial(4, 2_000), serial(6, 1), Serial::NONE] {
            assert_eq!(replay.judge(Some(ROW), other), Heard::Perhaps);
        }
        assert!(replay.is_later(Some(ROW), serial(6, 1)));
        assert!(!replay.is_later(Some(ROW), serial(5, 2_000)));
        replay.note(&ID, ROW, serial(6, 10), 0);
        assert_eq!(replay.judge(Some(ROW), serial(5, 1_001)), Heard::Perhaps);
        assert_eq!(replay.judge(Some(ROW), serial(6, 9)), Heard::Again);
        assert_eq!(replay.judge(Some(ROW), serial(6, 11)), Heard::First);
    }

    /// What was heard while its sender had yet to answer counts as heard, though the answer was sent before it.
    #[test]
    fn what_overtook_the_answer_does_not_count_again() {
        let mut replay = Replay::new(1);
        for number in [1_012, 1_005] {
            replay.note_early(&ID, serial(5, number));
        }
        replay.note_early(&ID, serial(4, 9_000));
        replay.note_early(&MemberId::from_bytes([9; 16]), serial(5, 2_000));
        replay.note(&ID, ROW, serial(5, 1_010), 0);
        assert_eq!(hear(&mut replay, 1_012), Heard::Again);
        assert_eq!(hear(&mut replay, 1_013), Heard::First);
        for number in 0..10_000u128 {
            replay.note_early(&MemberId::from_bytes(number.to_be_bytes()), serial(5, 1));
        }
        assert_eq!(replay.early.len(), MAX_FIRST_CONTACTS);
    }

    #[test]
    fn a_member_without_serial_numbers_is_heard_as_long_as_it_never_had_any() {
        let mut replay = Replay::new(1);
        for key in [None, Some(ROW)] {
            assert_eq!(replay.judge(key, Serial::NONE), Heard::First);
        }
        replay.note(&ID, ROW, Serial::NONE, 0);
        assert_eq!(replay.windows.len(), 0, "it takes no memory");
        replay.note(&ID, ROW, serial(5, 1), 0);
        assert_eq!(replay.judge(Some(ROW), Serial::NONE), Heard::Perhaps);
        replay.note(&ID, ROW, Serial::NONE, 0);
        assert_eq!(replay.judge(Some(ROW), Serial::NONE), Heard::First);
    }

    #[test]
    fn a_row_that_is_anothers_has_no_window() {
        let mut replay = heard(5, 1_000);
        assert_eq!(
            replay.judge(Some(ROW + 1), serial(5, 1_001)),
            Heard::Perhaps
        );
        assert_eq!(
            replay.judge(Some(ROW - 1), serial(5, 1_001)),
            Heard::Perhaps
        );
        replay.forget(ROW);
        assert_eq!(replay.judge(Some(ROW), serial(5, 1_001)), Heard::Perhaps);
    }

    #[test]
    fn a_turn_comes_after_another_however_long_ago_that_was() {
        for began in [1, 40_000, 65_535, 65_536, 1 << 20] {
            let mut replay = Replay::new(1);
            replay.note(&ID, ROW, serial(5, 1), began);
            replay.note(&ID, ROW, serial(5, 1 << 47), began);
            let key = Some(ROW);
            assert!(!replay.began_before(key, began));
            assert!(!replay.began_before(key, began - 1));
            assert!(replay.began_before(key, began + 1));
            assert!(replay.began_before(key, began + 40_000));
            assert!(replay.began_before(key, began + (1 << 16)));
        }
    }

    #[test]
    fn its_own_numbers_ascend() {
        let mut replay = Replay::new(7);
        let (one, other) = (replay.next(), replay.next());
        assert!(one.epoch == 7 && one < other);
        assert_eq!(Replay::new(0).next().epoch, 1, "0 is none");
        assert_eq!(Replay::new(u64::MAX).next().epoch, Serial::MOST);
    }
}
