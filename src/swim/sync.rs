//! Comparing tables with others, one at a time, ever more slowly: how a newcomer hears of everyone
//! without asking its seed alone, and how whatever was lost is made good.

use std::collections::VecDeque;
use std::time::Duration;

use rand::RngExt;

use super::Row;
use super::news::RowKey;
use super::seeds::jittered;
use super::table::Table;
use super::transfer::AGAIN;
use super::unproved::TURN;
use crate::config::Timing;
use crate::env::{Env, Timer};
use crate::member::{Health, MemberId};
use crate::time::Time;
use crate::timer::TimerKey;

/// When the table is compared next.
#[derive(Hash)]
pub(super) struct Sync {
    timer: Option<TimerKey>,
    pause: Duration,
    /// A table taught this member something since it compared last.
    taught: bool,
    /// Who told its table here of late, and when: it will not so soon again.
    tellers: VecDeque<(Time, MemberId)>,
    /// No table has another one asked for sooner before then.
    next_sooner: Time,
}

/// Tellers that are remembered: more comparisons than a newcomer makes while they count.
const TELLERS: usize = 8;

/// A newcomer's first pause is this part of a period.
const EAGER: u32 = 16;

/// The pause before a second opinion is this part of a period.
const SECOND: u32 = 4;

impl Sync {
    pub fn new() -> Self {
        Sync {
            timer: None,
            pause: Duration::ZERO,
            taught: false,
            tellers: VecDeque::new(),
            next_sooner: Time::ZERO,
        }
    }

    /// This member told its table, or a part of it.
    pub fn told_by(&mut self, now: Time, id: MemberId) {
        if self.tellers.iter().any(|(_, teller)| *teller == id) {
            return;
        }
        if self.tellers.len() >= TELLERS {
            self.tellers.pop_front();
        }
        self.tellers.push_back((now, id));
    }

    /// A table had something that was not known: there may be more, so a newcomer's next pause is no longer.
    pub fn taught(&mut self) {
        self.taught = true;
    }

    /// Somebody lives, of so many: if that is the first one, it is asked for everyone it knows.
    pub fn one_lives(&mut self, env: &mut Env, timing: &Timing, health: Health, living: usize) {
        if health <= Health::Suspect && (living == 2 || self.timer.is_none()) {
            self.soon(env, timing);
        }
    }

    /// This member was alone and is no longer: it wants to hear of everyone.
    fn soon(&mut self, env: &mut Env, timing: &Timing) {
        if timing.sync_max.is_zero() {
            return;
        }
        if let Some(timer) = self.timer.take() {
            env.timers.cancel(timer);
        }
        self.pause = timing.period / EAGER;
        self.later(env);
    }

    /// This member has long known of everyone: it compares its table as seldom as it ever does.
    pub fn in_time(&mut self, env: &mut Env, timing: &Timing) {
        if timing.sync_max.is_zero() || self.timer.is_some() {
            return;
        }
        self.pause = timing.sync_max;
        let next = env.now + self.pause.mul_f64(env.rng.random::<f64>());
        self.timer = Some(env.timers.insert(next, Timer::SyncDue));
    }

    /// A table named members that another has to name, too, before they are believed to be there: it is asked soon,
    /// while it is remembered who named them first. Once in a turn: who makes up members must not have all compare, and
    /// tell each other their tables, all the time.
    pub fn sooner(&mut self, env: &mut Env, timing: &Timing) {
        if env.now < self.next_sooner {
            return;
        }
        let soon = env.now + jittered(timing.period / SECOND, &mut env.rng);
        let is_later = |timer: &TimerKey| env.timers.deadline_of(*timer) > Some(soon);
        let Some(timer) = self.timer.filter(is_later) else {
            return;
        };
        env.timers.cancel(timer);
        self.timer = Some(env.timers.insert(soon, Timer::SyncDue));
        self.next_sooner = env.now + timing.period * TURN;
    }

    fn later(&mut self, env: &mut Env) {
        let next = env.now + jittered(self.pause, &mut env.rng);
        self.timer = Some(env.timers.insert(next, Timer::SyncDue));
    }

    /// The timer is over, and no other is set.
    pub fn stop(&mut self) {
        self.timer = None;
    }

    /// A living member to compare with now: rather one that did not tell its table of late, as it would not do so again.
    /// `chosen` is where to choose.
    pub fn due(
        &mut self,
        env: &mut Env,
        table: &Table,
        timing: &Timing,
        chosen: &mut Vec<RowKey>,
    ) -> Option<RowKey> {
        self.stop();
        if table.living() <= 1 {
            return None;
        }
        // A member that has been there for long need not hurry.
        let goes_on = std::mem::take(&mut self.taught) && self.pause < timing.period;
        if !goes_on {
            self.pause = (self.pause * 2).min(timing.sync_max);
        }
        self.later(env);
        let old = env.now - timing.period * AGAIN;
        while self.tellers.front().is_some_and(|(time, _)| *time <= old) {
            self.tellers.pop_front();
        }
        let told = |row: &Row| self.tellers.iter().any(|(_, id)| *id == row.id);
        table.some_alive(1, |row| !told(row), &mut env.rng, chosen);
        if chosen.is_empty() {
            table.some_alive(1, |_| true, &mut env.rng, chosen);
        }
        chosen.first().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{env, id, ring_of};
    use super::*;

    fn pause(sync: &Sync, env: &Env) -> f64 {
        let deadline = sync.timer.and_then(|timer| env.timers.deadline_of(timer));
        let pause = deadline.unwrap().since(env.now);
        pause.as_secs_f64() / Timing::lan().period.as_secs_f64()
    }

    #[test]
    fn a_newcomer_compares_soon_and_then_ever_more_seldom() {
        let (timing, mut env) = (Timing::lan(), env());
        let table = ring_of(&mut env, 3);
        let mut sync = Sync::new();
        sync.one_lives(&mut env, &timing, Health::Confirmed, 2);
        assert_eq!(env.timers.live(), 0, "the dead are not asked");
        sync.one_lives(&mut env, &timing, Health::Alive, 2);
        let mut before = pause(&sync, &env);
        assert!(before < 0.1, "{before}");
        for _ in 0..4 {
            assert!(
                sync.due(&mut env, &table, &timing, &mut Vec::new())
                    .is_some()
            );
            let now = pause(&sync, &env);
            assert!(now > before * 1.6, "{now} after {before}");
            before = now;
        }
    }

    #[test]
    fn a_comparison_that_taught_something_makes_no_pause_longer() {
        let (timing, mut env) = (Timing::lan(), env());
        let table = ring_of(&mut env, 3);
        let mut sync = Sync::new();
        sync.one_lives(&mut env, &timing, Health::Alive, 2);
        for _ in 0..4 {
            sync.due(&mut env, &table, &timing, &mut Vec::new());
            sync.taught();
        }
        sync.due(&mut env, &table, &timing, &mut Vec::new());
        let now = pause(&sync, &env);
        assert!((0.11..0.14).contains(&now), "one doubling: {now}");
    }

    #[test]
    fn one_that_told_its_table_is_asked_last() {
        let (timing, mut env) = (Timing::lan(), env());
        let table = ring_of(&mut env, 5);
        let mut sync = Sync::new();
        for teller in [2, 3, 4] {
            sync.told_by(env.now, id(teller));
        }
        let mut due = |sync: &mut Sync| {
            let key = sync.due(&mut env, &table, &timing, &mut Vec::new());
            table.get(key.unwrap()).unwrap().id
        };
        for _ in 0..10 {
            assert_eq!(due(&mut sync), id(5));
        }
    }

    #[test]
    fn a_second_opinion_is_asked_for_once_in_a_turn() {
        let (timing, mut env) = (Timing::lan(), env());
        let mut sync = Sync::new();
        sync.in_time(&mut env, &timing);
        sync.sooner(&mut env, &timing);
        let first = pause(&sync, &env);
        assert!(first < 0.3, "{first}");
        sync.sooner(&mut env, &timing);
        assert_eq!((pause(&sync, &env), env.timers.live()), (first, 1));
    }
}
