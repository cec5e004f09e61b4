//! Dead members that are forgotten because an operator wants it. Nobody is believed that they live, unless they say so
//! themselves, or at a higher incarnation than was known when they were forgotten.

use super::Swim;
use super::merge::{self, Own, State};
use super::renew::Renewal;
use super::row::flag;
use super::speaker::Speaker;
use super::unproved::Word;
use crate::env::Env;
use crate::event::Event;
use crate::expected::Expected;
use crate::limits::ORDINARY_DATAGRAM;
use crate::member::{Health, Incarnation, MemberId};

impl Swim {
    /// A dead member is forgotten at once, one that lives is not. If it is this one, it says that it lives.
    pub fn forget_dead(&mut self, env: &mut Env, id: MemberId, incarnation: Incarnation) {
        if id == self.id() {
            return self.contradict(env, incarnation);
        }
        self.trust.refused.forget(id, incarnation);
        let Some(key) = self.table.find(&id) else {
            return;
        };
        let Some(row) = self.table.get(key).expected() else {
            return;
        };
        if row.health >= Health::Confirmed {
            let name = self.name_of(key);
            env.journal.event(Event::MemberForgotten { id, name });
            self.forget(env, key);
        } else if !row.has(flag::PROVED) && row.incarnation <= incarnation {
            // It counts as living by the word of others, or of the disk, alone: it is asked.
            let held = row.incarnation;
            let mut speaker = Speaker::by_rumor(id, ORDINARY_DATAGRAM, Word::Hearsay);
            self.begin_trial(env, key, &mut speaker, held);
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
