//! Two processes with one id, told from one that started again or moved (PROTOCOL.md §2, "Two with one id").
//!
//! Every start of a process is another life of its member. One that starts again answers from its new life for good; two
//! processes answer in turn. Only answers count, with numbers that were made up after the other life began to answer: so
//! a forged message proves nothing, and neither does one that was recorded.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use super::Swim;
use super::incoming::Incoming;
use super::news::RowKey;
use super::probe::Probe;
use super::replay::Turn;
use crate::env::Env;
use crate::growth;
use crate::limits::MAX_LIFE_CHANGES;
use crate::stats::Gauge;
use crate::time::Time;

/// When the number of an answer was made up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// The probe that it answers began then.
    At(Time),
    /// The question that it answers was asked in this turn, and may have been repeated in it.
    In(Turn),
}

/// Now, in both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Moment {
    pub time: Time,
    pub turn: Turn,
}

impl Moment {
    fn is_before(self, asked: Asked) -> bool {
        match asked {
            Asked::At(time) => self.time < time,
            Asked::In(turn) => self.turn < turn,
        }
    }
}

/// Another life of a member began to answer.
#[derive(Clone, Copy, Debug, Hash)]
struct Change {
    /// The life that answered before.
    before: u32,
    /// Where the one that answers now does so.
    addr: SocketAddr,
    began: Moment,
    /// That these two answer in turn was told.
    told: bool,
}

/// Two lives of a member answer in turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Twin {
    /// Where the life is that answered before this one.
    pub other: SocketAddr,
    /// Whether that was told.
    pub told: bool,
}

/// Which life of each member answered last.
#[derive(Hash)]
pub(super) struct Lives {
    /// By row; 0: none that said which it is. Those beyond the end said none.
    last: Vec<u32>,
    /// Of those of which more than one answered.
    changes: BTreeMap<RowKey, Change>,
    /// Where this member last asked whether somebody has its id, and when.
    asked: Option<(SocketAddr, Moment)>,
    /// The life of another process with this member's id of which was told.
    told: u32,
}

impl Lives {
    pub fn new() -> Self {
        Lives {
            last: Vec::new(),
            changes: BTreeMap::new(),
            asked: None,
            told: 0,
        }
    }

    pub fn sizes(&self) -> [Gauge; 1] {
        let (now, most) = (self.changes.len(), MAX_LIFE_CHANGES);
        [Gauge::new("life_changes", now, most)]
    }

    /// This life of the member in this row answered at this address; `Some`: another one does, too.
    fn answered(
        &mut self,
        key: RowKey,
        life: u32,
        addr: SocketAddr,
        asked: Asked,
        now: Moment,
    ) -> Option<Twin> {
        let last = self.last_of(key);
        if life == last {
            if let Some(change) = self.changes.get_mut(&key) {
                change.addr = addr;
            }
            return None;
        }
        let before = self.changes.get(&key).filter(|held| held.before == life);
        if before.is_some_and(|change| !change.began.is_before(asked)) {
            // It may have answered before the other one began.
            return None;
        }
        let twin = before.map(|change| Twin {
            other: change.addr,
            told: change.told,
        });
        self.set_last(key, life);
        if last != 0 {
            let change = Change {
                before: last,
                addr,
                began: now,
                told: twin.is_some_and(|twin| twin.told),
            };
            self.add(key, change);
        }
        // With one address, it is a machine that was set back to what it was.
        twin.filter(|twin| twin.other != addr)
    }

    /// Which life of the member in this row answered last; 0: none that said which it is.
    fn last_of(&self, key: RowKey) -> u32 {
        self.last.get(key as usize).copied().unwrap_or(0)
    }

    fn set_last(&mut self, key: RowKey, life: u32) {
        let place = key as usize;
        if self.last.len() <= place {
            let missing = place + 1 - self.last.len();
            if self.last.capacity() - self.last.len() < missing {
                let step = missing.max(growth::step(self.last.len()));
                self.last.reserve_exact(step);
            }
            self.last.resize(place + 1, 0);
        }
        if let Some(last) = self.last.get_mut(place) {
            *last = life;
        }
    }

    fn add(&mut self, key: RowKey, change: Change) {
        if self.changes.len() >= MAX_LIFE_CHANGES && !self.changes.contains_key(&key) {
            let eldest = self.changes.iter().min_by_key(|(_, held)| held.began.time);
            if let Some(key) = eldest.map(|(key, _)| *key) {
                self.changes.remove(&key);
            }
        }
        self.changes.insert(key, change);
    }

    fn was_told(&mut self, key: RowKey) {
        if let Some(change) = self.changes.get_mut(&key) {
            change.told = true;
        }
    }

    /// Whether this member asked there in this turn, or anywhere in this period, if somebody has its id.
    pub fn asked_of_late(&self, there: SocketAddr, now: Moment, period: Duration) -> bool {
        self.asked.is_some_and(|(addr, at)| {
            addr == there && at.turn == now.turn || now.time.since(at.time) < period
        })
    }

    pub fn note_asked(&mut self, there: SocketAddr, now: Moment) {
        self.asked = Some((there, now));
    }

    /// Where this member last asked if somebody has its id.
    pub fn asked_at(&self) -> Option<SocketAddr> {
        self.asked.map(|(addr, _)| addr)
    }

    /// Whether this life of another process with this member's id was the last that was told of; 0: it does not say.
    pub fn told_of(&self, life: u32) -> bool {
        self.told == life.max(1)
    }

    pub fn was_told_of(&mut self, life: u32) {
        self.told = life.max(1);
    }

    /// The row is another member's from now on.
    pub fn forget(&mut self, key: RowKey) {
        if let Some(last) = self.last.get_mut(key as usize) {
            *last = 0;
        }
        self.changes.remove(&key);
    }
}

impl Swim {
    /// The sender answered a number that only its address was told: which life of it does.
    pub(super) fn note_life(&mut self, env: &mut Env, incoming: &Incoming<'_>, number: u64) {
        let (Some(key), life) = (incoming.row, incoming.life) else {
            return;
        };
        if life == 0 || incoming.sender.departed {
            return;
        }
        let asked = match self.probe_with(number).map(Probe::began) {
            Some(began) => Asked::At(began),
            None => Asked::In(self.numbers.turn_of(number)),
        };
        let (here, now) = (incoming.contact(), self.moment(env));
        let (id, before) = (incoming.sender.id, self.trust.lives.last_of(key));
        let Some(twin) = self.trust.lives.answered(key, life, here, asked, now) else {
            if before != 0 && self.trust.lives.last_of(key) != before {
                let name = self.name_of(key);
                let incarnation = incoming.sender.incarnation;
                env.journal
                    .member_restarted(env.wall, id, incarnation, name);
            }
            return;
        };
        env.journal.stats.id_conflicts += 1;
        if !twin.told && env.journal.id_conflict(env.now, id, here, twin.other) {
            self.trust.lives.was_told(key);
        }
    }

    pub(super) fn moment(&self, env: &Env) -> Moment {
        let (time, turn) = (env.now, self.numbers.turn());
        Moment { time, turn }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: RowKey = 3;

    fn at(host: u8) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, host], 9638))
    }

    fn moment(seconds: u32) -> Moment {
        Moment {
            time: Time::from_micros(u64::from(seconds) * 1_000_000),
            turn: seconds / 16,
        }
    }

    /// This life answers at this second, from this host, a probe that began just before.
    fn answers(lives: &mut Lives, life: u32, host: u8, second: u32) -> Option<SocketAddr> {
        let asked = Asked::At(moment(second).time);
        let now = Moment {
            time: Time::from_micros(u64::from(second) * 1_000_000 + 5),
            ..moment(second)
        };
        let twin = lives.answered(ROW, life, at(host), asked, now);
        twin.map(|twin| twin.other)
    }

    #[test]
    fn only_a_life_that_answers_again_after_another_is_a_twin() {
        let mut lives = Lives::new();
        // Starts, moves, starts again and again, there and elsewhere.
        for (second, (life, host)) in [(5, 1), (5, 2), (6, 2), (7, 3), (8, 3), (8, 1)]
            .into_iter()
            .enumerate()
        {
            let second = 10 * second as u32;
            assert_eq!(answers(&mut lives, life, host, second), None);
        }
        assert_eq!(answers(&mut lives, 7, 3, 100), Some(at(1)));
        assert_eq!(answers(&mut lives, 8, 4, 110), Some(at(3)), "it moved");
        assert_eq!(answers(&mut lives, 8, 5, 120), None);
        assert_eq!(answers(&mut lives, 7, 5, 130), None, "at one address");
        lives.forget(ROW);
        assert_eq!(answers(&mut lives, 8, 4, 140), None);
        assert_eq!(lives.changes.len(), 0);
    }

    #[test]
    fn what_was_asked_before_the_other_life_began_proves_nothing() {
        let heard = |asked| {
            let mut lives = Lives::new();
            answers(&mut lives, 5, 1, 10);
            answers(&mut lives, 6, 2, 20);
            let twin = lives.answered(ROW, 5, at(1), asked, moment(50));
            // It is as if it was not heard.
            let after = answers(&mut lives, 6, 2, 60);
            assert_eq!(twin.is_some(), after.is_some());
            twin.is_some()
        };
        assert!(!heard(Asked::At(moment(20).time)));
        assert!(heard(Asked::At(moment(21).time)));
        assert!(!heard(Asked::In(1)));
        assert!(heard(Asked::In(2)));
    }

    #[test]
    fn twins_are_told_of_once_for_each_two() {
        let mut lives = Lives::new();
        answers(&mut lives, 5, 1, 10);
        answers(&mut lives, 6, 2, 20);
        let mut told = Vec::new();
        for second in 3..8 {
            let (life, host) = if second % 2 == 1 { (5, 1) } else { (6, 2) };
            let asked = Asked::At(moment(10 * second).time);
            let twin = lives.answered(ROW, life, at(host), asked, moment(10 * second));
            told.push(twin.unwrap().told);
            lives.was_told(ROW);
        }
        assert_eq!(told, [false, true, true, true, true]);
        assert_eq!(answers(&mut lives, 7, 3, 100), None, "a third one");
        let asked = Asked::At(moment(110).time);
        let twin = lives.answered(ROW, 5, at(1), asked, moment(110));
        assert_eq!(twin.map(|twin| twin.told), Some(false), "are other two");
    }

    #[test]
    fn what_is_remembered_of_changes_is_bounded_and_the_eldest_goes() {
        let mut lives = Lives::new();
        let rows = MAX_LIFE_CHANGES as u32 + 40;
        for life in [5, 6] {
            for row in 0..rows {
                let now = moment(1_000 * life + row);
                let asked = Asked::At(now.time);
                assert_eq!(lives.answered(row, life, at(1), asked, now), None);
            }
        }
        assert_eq!(lives.changes.len(), MAX_LIFE_CHANGES);
        let again = |lives: &mut Lives, row| {
            let now = moment(100_000);
            lives.answered(row, 5, at(2), Asked::At(now.time), now)
        };
        assert!(again(&mut lives, 39).is_none());
        assert!(again(&mut lives, 41).is_some());
    }
}
