//! Members of ours that come back from the dead. That a dead member sends something shows only that others can hear it:
//! one that hears nobody would be buried and revived for ever. So it has to answer: once, and the more often the more
//! often it came back of late. Peers of the original live again by any message (PROTOCOL.md §2).

use super::incoming::Way;
use super::outbox::Compare;
use super::row::is_dead;
use std::collections::{BTreeMap, VecDeque};

use super::Swim;
use super::incoming::Incoming;
use super::news::RowKey;
use super::row::flag;
use crate::config::Timing;
use crate::env::{Env, Timer};
use crate::expected::Expected;
use crate::limits::{MAX_ANSWERS, MAX_RETURNING, MAX_RETURNS, RETURN_MEMORY};
use crate::member::MemberId;
use crate::stats::Gauge;
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

    pub fn sizes(&self) -> [Gauge; 2] {
        [
            Gauge::new("returning", self.trials.len(), MAX_RETURNING),
            Gauge::new("returns", self.past.len(), MAX_RETURNS),
        ]
    }

    /// Whether this member is being probed.
    fn is_asked(&self, key: RowKey) -> bool {
        self.trials.contains_key(&key)
    }

    /// A dead member answered a probe; whether that is enough for it to count as living. `None`: it is to be probed on.
    fn answered(&mut self, now: Time, key: RowKey, id: &MemberId) -> Option<bool> {
        let needed = self.answers_needed(now, id);
        if needed <= 1 {
            return Some(true);
        }
        let trial = self.trials.get_mut(&key)?;
        trial.answers += u32::from(std::mem::take(&mut trial.waiting));
        Some(trial.answers >= needed)
    }

    /// Whether there is room for one more that is to be probed.
    fn has_room(&self) -> bool {
        self.trials.len() < MAX_RETURNING
    }

    /// It is probed once a period from now on; whether it answered once, and so is probed from the next period on.
    fn begin(&mut self, env: &mut Env, timing: &Timing, key: RowKey, answers: u32) {
        let trial = Trial {
            answers,
            waiting: answers == 0,
            timer: timer(env, timing, key),
        };
        self.trials.insert(key, trial);
    }

    /// A period is over: whether it answered, and is probed again. Who did not begins anew with its next message.
    fn due(&mut self, env: &mut Env, timing: &Timing, key: RowKey) -> bool {
        match self.trials.get_mut(&key) {
            Some(trial) if !trial.waiting => {
                (trial.waiting, trial.timer) = (true, timer(env, timing, key));
                true
            }
            _ => {
                self.forget(key);
                false
            }
        }
    }

    /// Its timer is over.
    fn forget(&mut self, key: RowKey) {
        self.trials.remove(&key);
    }

    /// The member in this row is alive again, or forgotten.
    pub fn end(&mut self, env: &mut Env, key: RowKey) {
        if let Some(trial) = self.trials.remove(&key) {
            env.timers.cancel(trial.timer);
        }
    }

    /// This member came back.
    pub fn note(&mut self, now: Time, id: MemberId) {
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
        way: Way,
    ) -> bool {
        if !self.has_to_answer(incoming.speaker.features, key, way) {
            return false;
        }
        if !incoming.answers.probe {
            self.ask_if_back(env, incoming, key);
            return true;
        }
        !self.is_back(env, key)
    }

    /// Whether a member with these features is one of the dead, and has to answer before it counts as living. Who left
    /// comes back by a higher incarnation, and is no such member.
    pub(super) fn has_to_answer(&self, features: u32, key: RowKey, way: Way) -> bool {
        let Some(row) = self.table.get(key).filter(|row| is_dead(row)) else {
            return false;
        };
        // A relay may have left its features out.
        let relayed = way == Way::Relayed && row.has(flag::OURS);
        relayed || features & feature::EXTENSIONS != 0
    }

    /// One of the dead says that it lives: it is probed, if it is not yet. (One whose address is not proved is asked by
    /// a question, as any stranger.)
    fn ask_if_back(&mut self, env: &mut Env, incoming: &Incoming<'_>, key: RowKey) {
        let may = incoming.speaker.proved && !self.is_leaving();
        if may && !self.dead.comebacks.is_asked(key) && self.dead.comebacks.has_room() {
            self.dead.comebacks.begin(env, &self.timing, key, 0);
            self.ping_aside(key, Compare::Nothing);
        }
    }

    /// One of the dead answered a probe: whether that is enough for it to count as living.
    fn is_back(&mut self, env: &mut Env, key: RowKey) -> bool {
        let Some(row) = self.table.get(key).expected() else {
            return false;
        };
        let comebacks = &mut self.dead.comebacks;
        let enough = comebacks.answered(env.now, key, &row.id);
        if enough.is_none() && comebacks.has_room() {
            comebacks.begin(env, &self.timing, key, 1);
        }
        enough.unwrap_or(false)
    }

    /// A period of one that is coming back is over.
    pub(super) fn comeback_due(&mut self, env: &mut Env, key: RowKey) {
        if self.is_leaving() {
            self.dead.comebacks.forget(key);
        } else if self.dead.comebacks.due(env, &self.timing, key) {
            self.ping_aside(key, Compare::Nothing);
        }
    }
}

fn timer(env: &mut Env, timing: &Timing, key: RowKey) -> TimerKey {
    let next = env.now + timing.period;
    env.timers.insert(next, Timer::ComebackDue(key))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::testing::env;
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
        assert_eq!(comebacks.past.len(), 2, "the first is forgotten");
    }

    #[test]
    fn one_that_is_coming_back_has_to_answer_in_each_period() {
        let (timing, mut env) = (Timing::lan(), env());
        let mut comebacks = Comebacks::new();
        comebacks.note(at(0), ONE);
        assert_eq!(comebacks.answered(at(0), 7, &ONE), None);
        comebacks.begin(&mut env, &timing, 7, 0);
        assert_eq!(comebacks.answered(at(0), 7, &ONE), Some(false), "the first");
        assert_eq!(
            comebacks.answered(at(0), 7, &ONE),
            Some(false),
            "in one period"
        );
        assert!(comebacks.due(&mut env, &timing, 7), "it is probed again");
        assert_eq!(comebacks.answered(at(0), 7, &ONE), Some(true));
        assert!(comebacks.due(&mut env, &timing, 7) && !comebacks.due(&mut env, &timing, 7));
        assert!(!comebacks.is_asked(7), "it did not answer");
    }

    #[test]
    fn no_more_than_so_many_returns_are_remembered() {
        let mut comebacks = Comebacks::new();
        comebacks.note(at(0), ONE);
        for number in 0..MAX_RETURNS as u128 {
            comebacks.note(at(1), MemberId::from_bytes((number << 8).to_be_bytes()));
        }
        assert_eq!(comebacks.past.len(), MAX_RETURNS);
        assert_eq!(comebacks.answers_needed(at(1), &ONE), 1);
    }
}
