//! A member whose incarnations end goes on under a new id. Somebody said that it is Suspect, or anything else, at the
//! highest incarnation there is, or just below: nothing can refute that, and a leave at that incarnation would be the
//! last word on its id. So the old id leaves for good, and the member goes on as another, from incarnation 0.

use super::merge::Spread;
use super::merge::State;
use super::table::Newcomer;
use super::{Notice, Swim};
use crate::env::Env;
use crate::event::{Cause, Event};
use crate::limits::NEW_ID_INTERVAL;
use crate::member::{Health, Incarnation, MemberId};
use crate::successor::Successor;

/// When a new id is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Renewal {
    /// Not soon after the last one.
    WhenDue,
    AtOnce,
}

impl Swim {
    /// Takes a new id, at most once in a while unless it has to be at once; whether it did.
    pub fn renew(&mut self, env: &mut Env, renewal: Renewal) -> bool {
        let is_due = renewal == Renewal::AtOnce || env.now >= self.identity.next_renewal;
        if self.is_leaving() || !is_due || !self.make_room(env, Newcomer::Answered) {
            return false;
        }
        self.identity.next_renewal = env.now + NEW_ID_INTERVAL;
        let before = self.id();
        let id = MemberId::random(&mut env.rng);
        let old = self.table.renew_me(id, env.now);
        self.outbox.forget_encoded();
        self.updates.successor = Successor::new();
        self.detector.watched.renew();
        self.trust.echoes.clear();
        self.identity.marks.begin_anew();
        self.identity.renewed = Some(id);
        self.identity.home.renewed(before);
        env.journal.event(Event::NewId { before, id });
        // Its services go on under the new id, so gossip has to hear of that before the old one is gone.
        self.gossip.notices.push_back(Notice::Renewed(before));
        let left = State {
            incarnation: Incarnation::MAX,
            health: Health::Departed,
            left: true,
        };
        let spread = if self.identity.addressed {
            Spread::News
        } else {
            Spread::Quiet
        };
        self.change(env, old, left, Cause::ItsLeave, spread);
        if !self.identity.addressed {
            // Nobody else knew it.
            self.forget(env, old);
        }
        self.heat(env, self.table.me());
        true
    }

    /// The id that it goes on under, to be stored.
    pub fn poll_new_id(&mut self) -> Option<MemberId> {
        self.identity.renewed.take()
    }
}
