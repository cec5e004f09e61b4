//! What becomes of the dead: remembered, given up, forgotten; and asked now and then if they are back,
//! so that every partition heals.

use std::time::Duration;

use rand::RngExt;

use super::Swim;
use super::merge::State;
use super::news::RowKey;
use super::row::flag;
use crate::env::{Env, Timer};
use crate::event::Cause;
use crate::limits::MAX_MEMBERS;
use crate::member::Health;
use crate::timer::TimerKey;
use crate::trace::TraceKind;

/// The members of a ring together ask one of the dead at least so often, in periods: so soon it is noticed that a
/// partition ended, however long it lasted.
const RETRY_PERIODS: f64 = 2.0;

/// When one of the dead is asked next.
pub(super) struct Retry {
    timer: Option<TimerKey>,
    pause: Duration,
}

impl Retry {
    pub fn new(first: Duration) -> Self {
        Retry {
            timer: None,
            pause: first,
        }
    }
}

impl Swim {
    /// The member is dead or gone: it is remembered for a while.
    pub(super) fn bury(&mut self, env: &mut Env, key: RowKey) {
        let Some(row) = self.table.get_mut(key) else {
            return;
        };
        let given_up = row.health == Health::Departed;
        let after = if given_up {
            self.timing.forget_after
        } else {
            self.timing.departed_after
        };
        let timer = env.timers.insert(env.now + after, Timer::GraveDue(key));
        row.side = self.graves.insert(timer) as u32;
        self.retry_begin(env);
    }

    /// Someone died or came back: who is asked, and how soon, depends on it.
    pub(super) fn dead_or_back(&mut self, env: &mut Env, before: State, now: Health) {
        if now == Health::Alive && before.health >= Health::Confirmed {
            self.retry_soon(env);
            if !before.left {
                self.heal(env);
            }
            self.alone_no_more(env, now);
        }
        if now >= Health::Confirmed && self.table.living() <= 1 {
            self.ask_seeds_again(env);
        }
    }

    /// A Confirmed member is given up, a Departed one forgotten.
    pub(super) fn grave_due(&mut self, env: &mut Env, key: RowKey) {
        let (Some(row), Some(member)) = (self.table.get(key), self.table.member(key)) else {
            return;
        };
        match row.health {
            Health::Confirmed => {
                let state = State {
                    health: Health::Departed,
                    ..row.state()
                };
                env.journal.trace(
                    env.wall,
                    TraceKind::ProbeDeparted,
                    (&member).into(),
                    Vec::new,
                );
                self.change(env, key, state, Cause::DeadTooLong, true);
            }
            Health::Departed if row.has(flag::PERSISTENT) && !row.has(flag::LEFT) => {
                self.end_side(env, key);
                self.bury(env, key);
            }
            Health::Departed => self.forget(env, key),
            Health::Alive | Health::Suspect => {}
        }
    }

    /// Whether one more member fits in the table, if need be in the place of one long gone, or that never answered here.
    /// One that lives makes room only for one that `answered`.
    pub(super) fn make_room(&mut self, env: &mut Env, answered: bool) -> bool {
        if self.table.len() < MAX_MEMBERS {
            return true;
        }
        let Some(key) = self.table.least_wanted(answered, &mut env.rng) else {
            return false;
        };
        self.forget(env, key);
        true
    }

    /// There is someone dead: from now on the dead are asked.
    fn retry_begin(&mut self, env: &mut Env) {
        if self.retry.timer.is_none() {
            self.retry.pause = self.timing.period;
            self.retry_later(env);
        }
    }

    /// One of the dead came back, so others may: they are asked soon.
    fn retry_soon(&mut self, env: &mut Env) {
        if let Some(timer) = self.retry.timer.take() {
            env.timers.cancel(timer);
        }
        self.retry.pause = self.timing.period;
        self.retry_later(env);
    }

    fn retry_later(&mut self, env: &mut Env) {
        // All began when the dead died, and are not to ask all at once for ever.
        let pause = self.retry.pause.mul_f64(env.rng.random_range(0.5..1.5));
        let next = env.now + pause;
        self.retry.timer = Some(env.timers.insert(next, Timer::RetryDead));
    }

    /// Pings one of the dead. It hears what is held of it, and if it lives refutes that.
    pub(super) fn retry_dead(&mut self, env: &mut Env) {
        self.retry.timer = None;
        let Some(key) = self
            .table
            .random_dead(&mut env.rng)
            .filter(|_| !self.is_leaving())
        else {
            return;
        };
        self.retry.pause = (self.retry.pause * 2).min(self.longest_retry());
        self.retry_later(env);
        self.ping_aside(key, true);
    }

    /// Who hears nobody cannot be heard, or cannot hear: it asks as seldom as it asks seeds.
    fn longest_retry(&self) -> Duration {
        let living = self.table.living();
        if living <= 1 {
            return self.timing.retry_max;
        }
        let together = self.timing.period.mul_f64(RETRY_PERIODS * living as f64);
        together.min(self.timing.retry_max)
    }
}
