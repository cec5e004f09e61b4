//! The probe under way: one member, asked directly and then through others.

use std::time::Duration;

use super::merge::State;
use super::news::RowKey;
use super::row::flag;
use super::table::Table;
use crate::env::{Env, Timer};
use crate::history::{FailedProbe, Helper};
use crate::limits::MAX_PROBE_HELPERS;
use crate::member::{Health, MemberId};
use crate::time::Time;
use crate::timer::TimerKey;

#[derive(Hash)]
pub(super) struct Probe {
    target: MemberId,
    began: Time,
    /// What was held of the target when the probe began.
    held: State,
    /// Pings of this probe carry it, and so do their Acks from peers that know it.
    number: u64,
    /// When the direct ping left, by the driver's time.
    left: Option<Time>,
    answered: bool,
    /// How often others were asked.
    asked: usize,
    /// How many of those answer such a request, and how many did.
    helpers: usize,
    helped: usize,
    /// The first ones that were asked.
    named: [Asked; MAX_PROBE_HELPERS],
    /// The driver's time when it began.
    wall: Time,
    /// The system could not send to its target, or said that nobody is there.
    unreachable: bool,
    /// Others are to be asked then; `None`: they were, often enough.
    late: Option<TimerKey>,
}

/// One that was asked for help; `asked` is 0 where there is none.
#[derive(Clone, Copy, Default, Hash)]
struct Asked {
    key: RowKey,
    asked: u8,
    answered: u8,
}

/// What a probe without an answer shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Failed {
    /// What was held of its target when it began.
    pub held: State,
    /// When it began, if helpers were asked that would have answered.
    pub asked_since: Option<Time>,
    /// Helpers answered, so this member is not to blame (Lifeguard §III, "nack").
    pub was_heard: bool,
}

impl Probe {
    /// The target has to answer within this time, else others are asked.
    pub fn new(
        env: &mut Env,
        target: MemberId,
        held: State,
        number: u64,
        timeout: Duration,
    ) -> Self {
        Probe {
            target,
            began: env.now,
            held,
            number,
            left: None,
            answered: false,
            asked: 0,
            helpers: 0,
            helped: 0,
            named: [Asked::default(); MAX_PROBE_HELPERS],
            wall: env.wall,
            unreachable: false,
            late: Some(env.timers.insert(env.now + timeout, Timer::AckLate)),
        }
    }

    pub fn target(&self) -> MemberId {
        self.target
    }

    pub fn number(&self) -> u64 {
        self.number
    }

    pub fn began(&self) -> Time {
        self.began
    }

    /// Whether it has no answer yet.
    pub fn is_waiting(&self) -> bool {
        !self.answered
    }

    /// Whether it has no answer of this member yet.
    pub fn waits_for(&self, id: &MemberId) -> bool {
        !self.answered && self.target == *id
    }

    /// Whether others are still to be asked for the first time.
    pub fn is_direct(&self) -> bool {
        !self.answered && self.asked == 0
    }

    /// Its direct ping is being handed to the driver: the round trip begins.
    pub fn leaves(&mut self, wall: Time) {
        self.left = Some(wall);
    }

    /// The answer is late: how often others were asked before this time; `None`: they need not be. `next`: when the
    /// answer is late again, if others are to be asked so often.
    pub fn late(&mut self, env: &mut Env, rounds: usize, next: Duration) -> Option<usize> {
        env.timers.cancel(self.late.take()?);
        if self.answered {
            return None;
        }
        let before = self.asked;
        self.asked += 1;
        if self.asked < rounds {
            self.late = Some(env.timers.insert(env.now + next, Timer::AckLate));
        }
        if before > 0 {
            // Which of the pings an Ack answers cannot be told, so it gives no round trip (Karn).
            self.left = None;
        }
        Some(before)
    }

    /// These were asked for help, of which so many say so.
    pub fn asked(&mut self, asked: &[RowKey], say_so: usize) {
        self.helpers += say_so;
        for key in asked {
            let is_it = |named: &&mut Asked| named.asked == 0 || named.key == *key;
            if let Some(named) = self.named.iter_mut().find(is_it) {
                (named.key, named.asked) = (*key, named.asked.saturating_add(1));
            }
        }
    }

    /// The system could not send to its target, or said that nobody is there.
    pub fn cannot_be_sent(&mut self) {
        self.unreachable = true;
    }

    /// Somebody answers with this number: if it is another than the target, it was asked to help, and heard that.
    pub fn note_help(&mut self, sender: &MemberId, row: Option<RowKey>, number: u64) {
        if number != 0 && number == self.number && *sender != self.target {
            self.helped += 1;
            let is_it = |named: &&mut Asked| named.asked > 0 && Some(named.key) == row;
            if let Some(named) = self.named.iter_mut().find(is_it) {
                named.answered = named.answered.saturating_add(1);
            }
        }
    }

    /// For the history: what is known of its failure.
    pub fn evidence(&self, table: &Table, heard_others: bool, lag: Duration) -> FailedProbe {
        let asked = self.named.iter().filter(|named| named.asked > 0);
        let helper = |named: &Asked| {
            let row = table.get(named.key)?;
            let tells = row.has(flag::OURS);
            Some(Helper::new(row.id, named.asked, named.answered, tells))
        };
        FailedProbe {
            number: self.number,
            began: self.wall,
            rounds: u8::try_from(self.asked).unwrap_or(u8::MAX),
            helpers: asked.filter_map(helper).collect(),
            unreachable: self.unreachable,
            heard_others,
            lag,
        }
    }

    /// Whether an Ack with this number, or none, may be of its target.
    pub fn may_be_answered(&self, sender: &MemberId, number: u64) -> bool {
        self.target == *sender && (number == 0 || number == self.number)
    }

    /// The target answered: when the ping left that it answers, if that can be told.
    pub fn answer(&mut self, env: &mut Env) -> Option<Time> {
        self.answered = true;
        self.cancel(env);
        self.left
    }

    /// No others are to be asked any more.
    pub fn cancel(&mut self, env: &mut Env) {
        if let Some(timer) = self.late.take() {
            env.timers.cancel(timer);
        }
    }

    /// Its period is over; `None`: it was answered, or its target was dead when it began, of which silence says nothing.
    pub fn failed(&self) -> Option<Failed> {
        let says_something = !self.answered && self.held.health < Health::Confirmed;
        says_something.then_some(Failed {
            held: self.held,
            asked_since: (self.helpers > 0).then_some(self.began),
            // A third of them is enough, as datagrams are lost.
            was_heard: self.helpers > 0 && self.helped * 3 >= self.helpers,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{env, id};
    use super::*;
    use crate::member::Incarnation;

    const TIMEOUT: Duration = Duration::from_millis(100);
    const NEXT: Duration = Duration::from_millis(50);

    fn probe(env: &mut Env, health: Health) -> Probe {
        let held = State {
            incarnation: Incarnation::ZERO,
            health,
            left: false,
        };
        Probe::new(env, id(2), held, 7, TIMEOUT)
    }

    #[test]
    fn others_are_asked_when_the_answer_is_late_and_so_often() {
        let mut env = env();
        let mut probe = probe(&mut env, Health::Alive);
        assert!(probe.is_direct());
        assert_eq!(probe.late(&mut env, 2, NEXT), Some(0));
        assert_eq!(probe.late(&mut env, 2, NEXT), Some(1));
        assert_eq!(probe.late(&mut env, 2, NEXT), None, "often enough");
        assert!(!probe.is_direct() && probe.is_waiting());
        assert_eq!(env.timers.live(), 0);
    }

    #[test]
    fn an_answer_stops_the_clock_and_gives_the_round_trip_of_the_only_ping() {
        let mut env = env();
        let left = Time::from_millis(5);
        for (late, expected) in [(1, Some(left)), (2, None)] {
            let mut probe = probe(&mut env, Health::Alive);
            probe.leaves(left);
            (0..late).for_each(|_| _ = probe.late(&mut env, 9, NEXT));
            assert!(probe.may_be_answered(&id(2), 7) && probe.may_be_answered(&id(2), 0));
            assert!(!probe.may_be_answered(&id(2), 8) && !probe.may_be_answered(&id(3), 7));
            assert_eq!(
                probe.answer(&mut env),
                expected,
                "others asked {late} times"
            );
            assert_eq!((env.timers.live(), probe.failed()), (0, None));
        }
    }

    #[test]
    fn a_third_of_the_helpers_is_enough_to_have_been_heard() {
        let mut env = env();
        let mut probe = probe(&mut env, Health::Alive);
        assert!(!probe.failed().unwrap().was_heard, "nobody was asked");
        assert_eq!(probe.failed().unwrap().asked_since, None);
        probe.asked(&[3, 4, 5], 6);
        probe.note_help(&id(3), Some(3), 7);
        probe.note_help(&id(3), Some(3), 8);
        probe.note_help(&id(2), Some(2), 7);
        assert!(!probe.failed().unwrap().was_heard);
        probe.note_help(&id(4), Some(4), 7);
        assert!(probe.failed().unwrap().was_heard);
        assert_eq!(probe.failed().unwrap().asked_since, Some(env.now));
    }

    #[test]
    fn that_one_of_the_dead_does_not_answer_says_nothing() {
        let mut env = env();
        assert_eq!(probe(&mut env, Health::Confirmed).failed(), None);
        assert!(probe(&mut env, Health::Suspect).failed().is_some());
    }
}
