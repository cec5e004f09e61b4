//! Messages of members of other rings, and messages that were meant for another member: addresses are given to others, and
//! two rings must not merge because one now has an address of the other (PROTOCOL.md §2, "Rings have names").

use super::Swim;
use super::incoming::Incoming;
use super::outbox::{Body, Outgoing};
use super::row::NONE;
use crate::env::Env;
use crate::error::Reject;
use crate::event::Event;
use crate::wire::{self, Extras, Message};

impl Swim {
    /// Neither side takes the other in. Whoever asks is told who lives here, so that it looks for its member elsewhere.
    #[cold]
    pub(super) fn hear_astray(
        &mut self,
        env: &mut Env,
        incoming: &mut Incoming<'_>,
        swim: &wire::Swim<'_>,
    ) {
        if self.identity.sealed {
            // Nobody looks whether it was recorded: it is worth what a stranger's message is.
            incoming.speaker.proved = false;
            incoming.speaker.budget.restrict();
        }
        if swim.extras.to.is_some_and(|to| !self.is_me(to)) {
            env.journal.stats.count_rejected(Reject::OtherReceiver);
        }
        if self.is_foreign(incoming, &swim.extras) {
            self.tell_foreigner(env, incoming, &swim.extras);
        }
        match swim.message {
            Message::Ping { probe, .. } if !self.is_blocked(&incoming.sender.id) => {
                if !self.may_provoke(env, &incoming.speaker) {
                    return env
                        .journal
                        .rejected(env.now, Reject::RateLimited, incoming.from);
                }
                let limit = incoming
                    .speaker
                    .budget
                    .spend(self.bare_datagram() + self.identity.home.named_len());
                self.queue(Outgoing {
                    to: incoming.from,
                    id: Some(incoming.sender.id),
                    row: NONE,
                    told: None,
                    limit,
                    ages: false,
                    body: Body::Astray { number: probe },
                });
            }
            Message::Ack {
                probe,
                forward_to: None,
                ..
            } => self.note_tenant(env, incoming, probe),
            _ => {}
        }
    }

    /// Counted always, and told of each source once.
    fn tell_foreigner(&mut self, env: &mut Env, incoming: &Incoming<'_>, extras: &Extras<'_>) {
        let from = incoming.from;
        env.journal.rejected(env.now, Reject::OtherRing, from);
        if self.identity.home.is_new_foreigner(from) {
            let theirs = String::from_utf8_lossy(extras.ring_name);
            env.journal.event(Event::OtherRing {
                from,
                named: extras.ring != 0,
                theirs: theirs.into_owned(),
            });
        }
    }
}
