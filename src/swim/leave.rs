//! Leaving: the incarnation is raised, the record says departed, and some members are told at once, by
//! Acks nobody asked for (PROTOCOL.md §2). Others are told again a little later, as UDP loses things.

use std::time::Duration;

use super::Swim;
use super::merge::State;
use crate::env::{Env, Timer};
use crate::event::Event;
use crate::limits::LEAVE_FANOUT;
use crate::member::Health;

/// How far leaving has got.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Leave {
    Not,
    /// Told once.
    Telling,
    /// Told twice.
    ToldAgain,
    Done,
}

impl Swim {
    /// Leaves the ring. [`Event::Left`] says when the others were told.
    pub fn leave(&mut self, env: &mut Env) {
        if self.is_leaving() {
            return;
        }
        self.identity.leave = Leave::Telling;
        let incarnation = self.me().incarnation.next();
        let me = self.table.me();
        let state = State {
            incarnation,
            health: Health::Departed,
            left: true,
        };
        self.table.set_state(me, state, env.now, &mut env.rng);
        self.identity.marks.reserve(incarnation);
        self.heat(env, me);
        self.detector.watched.forget();
        // Alone, it is done at the next call.
        let told = self.tell_leave(env) > 0;
        if !told {
            self.identity.leave = Leave::ToldAgain;
        }
        let grace = if told {
            self.timing.leave_grace
        } else {
            Duration::ZERO
        };
        env.timers.insert(env.now + grace, Timer::LeaveStep);
    }

    pub(super) fn leave_step(&mut self, env: &mut Env) {
        if self.identity.leave == Leave::Telling {
            self.identity.leave = Leave::ToldAgain;
            self.tell_leave(env);
            env.timers
                .insert(env.now + self.timing.leave_grace, Timer::LeaveStep);
        } else {
            self.identity.leave = Leave::Done;
            env.journal.event(Event::Left);
        }
    }

    fn tell_leave(&mut self, env: &mut Env) -> usize {
        let mut chosen = std::mem::take(&mut self.detector.helpers);
        self.table
            .some_alive(LEAVE_FANOUT, |_| true, &mut env.rng, &mut chosen);
        for key in &chosen {
            self.tell(*key);
        }
        let count = chosen.len();
        self.detector.helpers = chosen;
        count
    }
}
