//! Which incarnation this member has, and which id.

use super::Swim;
use super::merge::State;
use super::speaker::Speaker;
use crate::env::Env;
use crate::event::Event;
use crate::history::Fact;
use crate::member::{Health, Incarnation};

impl Swim {
    /// Goes on with a higher incarnation, as soon as its mark is on disk: else it could be used again after a crash.
    pub(super) fn raise(&mut self, env: &mut Env, incarnation: Incarnation) {
        if !self.identity.marks.allows(incarnation) {
            return;
        }
        let me = self.table.me();
        let state = State {
            incarnation,
            ..self.me().state()
        };
        self.table.set_state(me, state, env.now, &mut env.rng);
        self.identity.marks.reserve(incarnation);
        self.heat(env, me);
    }

    /// This mark is on disk.
    pub fn mark_stored(&mut self, env: &mut Env, mark: Incarnation) {
        if let Some(due) = self.identity.marks.store(mark)
            && due > self.me().incarnation
            && !self.is_leaving()
        {
            self.raise(env, due);
        }
    }

    /// The mark to be stored, if it has changed.
    pub fn poll_reserve(&mut self) -> Option<Incarnation> {
        self.identity.marks.poll()
    }

    /// Goes on above what was said. That it was said is a bad sign for this member, if not a stranger did.
    pub(super) fn refute(
        &mut self,
        env: &mut Env,
        incarnation: Incarnation,
        claimed: Health,
        speaker: &Speaker,
    ) {
        self.raise(env, incarnation);
        if speaker.proved {
            self.detector.local_health.worsen();
        }
        env.journal.stats.refutations += 1;
        let event = Event::Refuted {
            claimed,
            incarnation,
        };
        if env.journal.refuted(env.now, event) {
            let fact = Fact::Refuted {
                by: speaker.id,
                claimed,
                incarnation,
            };
            env.journal.history.add(env.wall, self.id(), fact);
        }
    }
}
