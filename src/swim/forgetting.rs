//! Dead members that are forgotten because an operator wants it. Nobody is believed that they live, unless they say so
//! themselves, or at a higher incarnation than was known when they were forgotten.

use super::Swim;
use super::merge::{self, Own, State};
use super::renew::Renewal;
use crate::env::Env;
use crate::event::Event;
use crate::member::{Health, Incarnation, MemberId};

impl Swim {
    /// A dead member is forgotten at once, one that lives is not. If it is this one, it says that it lives.
    pub fn forget_dead(&mut self, env: &mut Env, id: MemberId, incarnation: Incarnation) {
        if id == self.id() {
            return self.contradict(env, incarnation);
        }
        self.trust.refused.forget(id, incarnation);
        let dead = |key: &u32| {
            let row = self.table.get(*key);
            row.is_some_and(|row| row.health >= Health::Confirmed)
        };
        if let Some(key) = self.table.find(&id).filter(dead) {
            let name = self.name_of(key);
            env.journal.event(Event::MemberForgotten { id, name });
            self.forget(env, key);
        }
    }

    /// It may be learned of again from anybody, as far as this incarnation goes.
    pub fn remember_again(&mut self, id: &MemberId, incarnation: Incarnation) {
        self.trust.refused.remember(id, incarnation);
    }

    /// Others forget this member as dead: it goes on above what they knew of it.
    fn contradict(&mut self, env: &mut Env, incarnation: Incarnation) {
        let dead = State {
            incarnation,
            health: Health::Confirmed,
            left: false,
        };
        let leaves = self.is_leaving();
        match merge::merge_own(self.me().incarnation, leaves, dead) {
            Own::Raise(raised) if !leaves => self.raise(env, raised),
            Own::Renew => {
                self.renew(env, Renewal::WhenDue);
            }
            Own::Raise(_) | Own::Keep => {}
        }
    }
}
