//! Members of ours that come back from the dead. That a dead member sends something shows only that others can hear it:
//! one that hears nobody would be buried and revived for ever. So it has to answer: once, and the more often the more
//! often it came back of late. Peers of the original live again by any message (PROTOCOL.md §2).

use std::collections::{BTreeMap, VecDeque};

use super::incoming::Incoming;
use super::news::RowKey;
use super::row::flag;
use super::{Row, Swim};
use crate::env::{Env, Timer};
use crate::limits::{MAX_ANSWERS, MAX_RETURNING, MAX_RETURNS, RETURN_MEMORY};
use crate::member::{Health, MemberId};
use crate::time::Time;
use crate::timer::TimerKey;
use crate::wire::feature;

/// A dead member that is being probed, once a period.
#[derive(Hash)]
struct Trial {
    /// Probes that it answered, one after the other.
    answers: u32,
    /// It has yet to answer this period's.
    waiting: bool,
    timer: TimerKey,
}

/// Who is coming back, and who did of late.
#[derive(Hash)]
pub(super) struct Comebacks {
    trials: BTreeMap<RowKey, Trial>,
    past: VecDeque<(Time, MemberId)>,
}

impl Comebacks {
    pub fn new() -> Self {
        Comebacks {
            trials: BTreeMap::new(),
            past: VecDeque::new(),
        }
    }

    /// Members that are being probed.
    pub fn trials(&self) -> usize {
        self.trials.len()
    }

    /// Returns that are remembered.
    pub fn past(&self) -> usize {
        self.past.len()
    }

    /// This member came back.
    fn note(&mut self, now: Time, id: MemberId) {
        let is_old = |(time, _): &(Time, MemberId)| now.since(*time) >= RETURN_MEMORY;
        while self.past.front().is_some_and(is_old) || self.past.len() >= MAX_RETURNS {
            self.past.pop_front();
        }
        self.past.push_back((now, id));
    }

    /// Answers in a row that this member needs to come back: one the first time in ten minutes, and then twice as many
    /// each time.
    fn answers_needed(&self, now: Time, id: &MemberId) -> u32 {
        let of_late =
            |(time, who): &&(Time, MemberId)| who == id && now.since(*time) < RETURN_MEMORY;
        let returns = self.past.iter().filter(of_late).take(MAX_ANSWERS as usize);
        (1 << returns.count()).min(MAX_ANSWERS)
    }
}

impl Swim {
    /// Whether the sender is one of the dead, and stays it, as it did not answer often enough.
    pub(super) fn stays_dead(
        &mut self,
        env: &mut Env,
        incoming: &Incoming<'_>,
        key: RowKey,
        direct: bool,
    ) -> bool {
        if !self.has_to_answer(incoming, key, direct) {
            return false;
        }
        if !incoming.answers_probe {
            self.ask_if_back(env, incoming, key);
            return true;
        }
        !self.is_back(env, key)
    }

    /// Whether the sender is one of the dead, and has to answer before it counts as living. Who left comes back by a
    /// higher incarnation, and is no such member.
    pub(super) fn has_to_answer(&self, incoming: &Incoming<'_>, key: RowKey, direct: bool) -> bool {
        let Some(row) = self.table.get(key).filter(|row| is_dead(row)) else {
            return false;
        };
        // A relay may have left its features out.
        let relayed = !direct && row.has(flag::OURS);
        relayed || incoming.sender.features & feature::EXTENSIONS != 0
    }

    /// One of the dead says that it lives: it is probed, if it is not yet. (One whose address is not proved is asked by
    /// a question, as any stranger.)
    fn ask_if_back(&mut self, env: &mut Env, incoming: &Incoming<'_>, key: RowKey) {
        let is_asked = self.comebacks.trials.contains_key(&key);
        if incoming.proved && !is_asked && !self.is_leaving() {
            self.begin_comeback(env, key, 0);
        }
    }

    /// One of the dead answered a probe: whether that is enough for it to count as living.
    fn is_back(&mut self, env: &mut Env, key: RowKey) -> bool {
        let Some(id) = self.table.get(key).map(|row| row.id) else {
            return false;
        };
        let needed = self.comebacks.answers_needed(env.now, &id);
        if needed <= 1 {
            return true;
        }
        match self.comebacks.trials.get_mut(&key) {
            Some(trial) => {
                trial.answers += u32::from(std::mem::take(&mut trial.waiting));
                trial.answers >= needed
            }
            None => {
                self.begin_comeback(env, key, 1);
                false
            }
        }
    }

    /// It is probed once a period from now on; `answers`: if it has answered once, from the next one on.
    fn begin_comeback(&mut self, env: &mut Env, key: RowKey, answers: u32) {
        if self.comebacks.trials.len() >= MAX_RETURNING {
            return;
        }
        let timer = self.comeback_timer(env, key);
        let waiting = answers == 0;
        if waiting {
            self.ping_aside(key, false);
        }
        let trial = Trial {
            answers,
            waiting,
            timer,
        };
        self.comebacks.trials.insert(key, trial);
    }

    fn comeback_timer(&self, env: &mut Env, key: RowKey) -> TimerKey {
        let next = env.now + self.timing.period;
        env.timers.insert(next, Timer::ComebackDue(key))
    }

    /// A period is over: who answered is probed again, and who did not begins anew with its next message.
    pub(super) fn comeback_due(&mut self, env: &mut Env, key: RowKey) {
        let answered = self
            .comebacks
            .trials
            .get(&key)
            .is_some_and(|it| !it.waiting);
        if !answered || self.is_leaving() {
            self.comebacks.trials.remove(&key);
            return;
        }
        let timer = self.comeback_timer(env, key);
        if let Some(trial) = self.comebacks.trials.get_mut(&key) {
            (trial.waiting, trial.timer) = (true, timer);
        }
        self.ping_aside(key, false);
    }

    /// The member in this row is alive again, or forgotten.
    pub(super) fn end_comeback(&mut self, env: &mut Env, key: RowKey) {
        if let Some(trial) = self.comebacks.trials.remove(&key) {
            env.timers.cancel(trial.timer);
        }
    }

    /// A dead member lives again.
    pub(super) fn came_back(&mut self, now: Time, id: MemberId) {
        self.comebacks.note(now, id);
    }
}

/// Whether this member is dead, and did not leave.
pub(super) fn is_dead(row: &Row) -> bool {
    row.health >= Health::Confirmed && !row.has(flag::LEFT)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const ONE: MemberId = MemberId::from_bytes([1; 16]);

    fn at(seconds: u64) -> Time {
        Time::ZERO + Duration::from_secs(seconds)
    }

    #[test]
    fn who_comes_back_often_has_to_answer_more_often() {
        let mut comebacks = Comebacks::new();
        for needed in [1, 2, 4, 8, 8, 8] {
            assert_eq!(comebacks.answers_needed(at(0), &ONE), needed);
            comebacks.note(at(0), ONE);
        }
        let other = MemberId::from_bytes([2; 16]);
        assert_eq!(comebacks.answers_needed(at(0), &other), 1);
    }

    #[test]
    fn a_return_counts_for_ten_minutes() {
        let mut comebacks = Comebacks::new();
        comebacks.note(at(0), ONE);
        comebacks.note(at(500), ONE);
        assert_eq!(comebacks.answers_needed(at(599), &ONE), 4);
        assert_eq!(comebacks.answers_needed(at(600), &ONE), 2);
        comebacks.note(at(600), ONE);
        assert_eq!(comebacks.past(), 2, "the first is forgotten");
    }

    #[test]
    fn no_more_than_so_many_returns_are_remembered() {
        let mut comebacks = Comebacks::new();
        comebacks.note(at(0), ONE);
        for number in 0..MAX_RETURNS as u128 {
            comebacks.note(at(1), MemberId::from_bytes((number << 8).to_be_bytes()));
        }
        assert_eq!(comebacks.past(), MAX_RETURNS);
        assert_eq!(comebacks.answers_needed(at(1), &ONE), 1);
    }
}
