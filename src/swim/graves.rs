//! What becomes of the dead: remembered, given up, forgotten; and asked now and then if they are back,
//! so that every partition heals.

use std::time::Duration;

use rand::RngExt;

use super::Swim;
use super::comeback::Comebacks;
use super::healing::Healing;
use super::news::RowKey;
use super::outbox::Compare;
use super::slots::Slots;
use super::table::Table;
use crate::config::Timing;
use crate::env::{Env, Timer};
use crate::expected::Expected;
use crate::limits::MAX_MEMBERS;
use crate::member::Health;
use crate::stats::Gauge;
use crate::timer::TimerKey;

/// The members of a ring together ask one of the dead at least so often, in periods: so soon it is noticed that a
/// partition ended, however long it lasted.
const RETRY_PERIODS: f64 = 2.0;

/// When one of the dead is asked next.
#[derive(Hash)]
struct Retry {
    timer: Option<TimerKey>,
    pause: Duration,
}

#[derive(Hash)]
pub(super) struct Dead {
    graves: Slots<TimerKey>,
    retry: Retry,
    pub comebacks: Comebacks,
    pub healing: Healing,
}

impl Dead {
    pub fn new(timing: &Timing) -> Self {
        Dead {
            graves: Slots::new(),
            retry: Retry {
                timer: None,
                pause: timing.period,
            },
            comebacks: Comebacks::new(),
            healing: Healing::default(),
        }
    }

    /// The member is dead or gone: it is remembered for a while.
    pub fn bury(&mut self, env: &mut Env, table: &mut Table, timing: &Timing, key: RowKey) {
        let Some(row) = table.get_mut(key).expected() else {
            return;
        };
        let given_up = row.health == Health::Departed;
        let after = if given_up {
            timing.forget_after
        } else {
            timing.departed_after
        };
        let timer = env.timers.insert(env.now + after, Timer::GraveDue(key));
        row.side = self.graves.insert(timer) as u32;
        if self.retry.timer.is_none() {
            self.retry.pause = timing.period;
            self.retry_later(env);
        }
    }

    /// The member of the grave in this place is back, or forgotten; its timer, which is still to be cancelled.
    pub fn unbury(&mut self, side: u32) -> Option<TimerKey> {
        let timer = self.graves.try_remove(side as usize);
        crate::growth::slim_slab(&mut self.graves);
        timer
    }

    /// One of the dead came back, so others may: they are asked soon.
    pub fn retry_soon(&mut self, env: &mut Env, timing: &Timing) {
        if let Some(timer) = self.retry.timer.take() {
            env.timers.cancel(timer);
        }
        self.retry.pause = timing.period;
        self.retry_later(env);
    }

    fn retry_later(&mut self, env: &mut Env) {
        // All began when the dead died, and are not to ask all at once for ever.
        let pause = self.retry.pause.mul_f64(env.rng.random_range(0.5..1.5));
        let next = env.now + pause;
        self.retry.timer = Some(env.timers.insert(next, Timer::RetryDead));
    }

    /// Which of the dead is asked now, if there is one. This begins nothing: see [`Dead::go_on`].
    pub fn retry_due(&mut self, env: &mut Env, table: &Table) -> Option<RowKey> {
        self.retry.timer = None;
        table.random_dead(&mut env.rng)
    }

    /// One of the dead is asked: the next one later, and ever more seldom.
    pub fn go_on(&mut self, env: &mut Env, table: &Table, timing: &Timing) {
        let longest = longest_retry(timing, table.living());
        self.retry.pause = (self.retry.pause * 2).min(longest);
        self.retry_later(env);
    }

    pub fn sizes(&self) -> impl Iterator<Item = Gauge> {
        let graves = Gauge::new("graves", self.graves.len(), MAX_MEMBERS);
        let asked = Gauge::new("asked_back", self.healing.waiting(), MAX_MEMBERS);
        [graves, asked].into_iter().chain(self.comebacks.sizes())
    }
}

impl Swim {
    /// Pings one of the dead. It hears what is held of it, and if it lives refutes that.
    pub(super) fn retry_dead(&mut self, env: &mut Env) {
        let key = self.dead.retry_due(env, &self.table);
        if let Some(key) = key.filter(|_| !self.is_leaving()) {
            self.dead.go_on(env, &self.table, &self.timing);
            self.ping_aside(key, Compare::Tables);
        }
    }
}

/// A member that holds all others dead is cut off or deaf: it asks them as seldom as it asks seeds.
fn longest_retry(timing: &Timing, living: usize) -> Duration {
    if living <= 1 {
        return timing.retry_max;
    }
    let together = timing.period.mul_f64(RETRY_PERIODS * living as f64);
    together.min(timing.retry_max)
}

#[cfg(test)]
mod tests {
    use super::super::merge::State;
    use super::super::testing::{env, id, ring_of};
    use super::*;
    use crate::member::Incarnation;

    #[test]
    fn the_dead_are_asked_ever_more_seldom_until_one_comes_back() {
        let timing = Timing::lan();
        let mut env = env();
        let mut table = ring_of(&mut env, 3);
        let mut dead = Dead::new(&timing);
        assert_eq!(dead.retry_due(&mut env, &table), None);
        let key = table.find(&id(3)).unwrap();
        let state = State {
            incarnation: Incarnation::ZERO,
            health: Health::Confirmed,
            left: false,
        };
        table.set_state(key, state, env.now, &mut env.rng);
        dead.bury(&mut env, &mut table, &timing, key);
        let pause = |dead: &Dead, env: &Env| {
            let due = dead
                .retry
                .timer
                .and_then(|timer| env.timers.deadline_of(timer));
            due.unwrap().since(env.now).as_secs_f64() / timing.period.as_secs_f64()
        };
        // Two that live ask together once in two periods.
        for expected in [1.0, 2.0, 4.0, 4.0] {
            let pause = pause(&dead, &env);
            assert!(
                (expected * 0.49..expected * 1.51).contains(&pause),
                "{pause}"
            );
            assert_eq!(dead.retry_due(&mut env, &table), Some(key));
            dead.go_on(&mut env, &table, &timing);
        }
        dead.retry_soon(&mut env, &timing);
        assert!(pause(&dead, &env) < 1.51);
    }

    #[test]
    fn a_grave_has_a_timer_until_its_member_is_back() {
        let timing = Timing::lan();
        let mut env = env();
        let mut table = ring_of(&mut env, 2);
        let mut dead = Dead::new(&timing);
        let key = table.find(&id(2)).unwrap();
        table.get_mut(key).unwrap().health = Health::Departed;
        dead.bury(&mut env, &mut table, &timing, key);
        let side = table.get(key).unwrap().side;
        let timer = dead.unbury(side).unwrap();
        assert_eq!(
            env.timers.deadline_of(timer),
            Some(env.now + timing.forget_after)
        );
        assert_eq!(dead.unbury(side), None);
    }
}
