//! Messages that carry this member's own id: its own that came back, or those of another process that uses it.

use std::net::SocketAddr;

use super::Swim;
use super::incoming::Incoming;
use super::send::Body;
use super::unproved::hides_number;
use crate::env::Env;
use crate::error::Reject;
use crate::wire::{self, Message, Serial};

impl Swim {
    /// A message carries the own id: it is this member's own that came back, as its own address is that
    /// of a seed or of a member which was there before; or somebody else uses the id. The latter is told only of one that
    /// answers a number that was made up here, as it could be forged, and its former self may be meant.
    pub(super) fn own_id_heard(
        &mut self,
        env: &mut Env,
        incoming: &mut Incoming<'_>,
        serial: Option<Serial>,
        swim: &wire::Swim<'_>,
    ) {
        let (from, message) = (incoming.from, &swim.message);
        let number = match message {
            Message::Ping { probe, .. } | Message::PingReq { probe, .. } => *probe,
            Message::Ack { .. } | Message::ProbePing { .. } => 0,
        };
        let life = self.life_in(serial.filter(|_| swim.stamp.is_some()), swim.extras.life);
        let mine = life == self.own_life() && !passed_on(message)
            || number != 0
                && (self.is_cookie(number, from)
                    || self.is_probe_number(number)
                    || self.asked_a_namesake(number));
        let is_seed = number != 0 && self.seed_is_myself(env, number);
        if mine || is_seed || self.is_from_my_address(from, message) {
            // All members may be given one list of peers, themselves among them: that is nothing to tell.
            return env.journal.stats.count_rejected(Reject::OwnId);
        }
        env.journal.rejected(env.now, Reject::OwnId, from);
        let for_me = !self.sealed || swim.stamp.is_some_and(|stamp| self.is_for_me(stamp));
        if passed_on(message) || incoming.sender.departed || !for_me {
            return;
        }
        let there = incoming.contact();
        if let Message::Ack { probe, .. } = message
            && self.is_cookie(*probe, there)
        {
            return self.namesake_answered(env, life, there);
        }
        // One of the original's copies numbers only where relays look.
        if hides_number(incoming.sender) || !self.may_provoke(env, incoming) {
            return;
        }
        if let Message::Ping { probe, .. } = message {
            // So that the other one knows, too.
            self.reserve_question(incoming, None, *probe, false);
            let limit = incoming.spend(self.bare_datagram());
            let body = Body::Ack {
                forward_to: None,
                number: *probe,
                news: false,
            };
            self.queue_for_namesake(from, limit, body);
        } else {
            let question = incoming.overhead + self.question_len(incoming, false);
            incoming.reserved = incoming.spend_all(question);
        }
        self.ask_namesake(env, there, incoming.reserved);
    }

    /// Whether a message under its own id came from where this member is itself: a probe of its former self, which
    /// had the same address, comes back, and so does its own Ack to it, through a helper.
    fn is_from_my_address(&self, from: SocketAddr, message: &Message<'_>) -> bool {
        let from = match message {
            Message::Ack {
                from: acker,
                forward_to: Some(_),
                ..
            } => {
                let ip = acker.address.unwrap_or(from.ip());
                SocketAddr::new(ip, acker.swim_port)
            }
            _ => from,
        };
        self.addressed && self.table.is_at(self.me(), from)
    }
}

fn passed_on(message: &Message<'_>) -> bool {
    matches!(
        message,
        Message::Ack {
            forward_to: Some(_),
            ..
        }
    )
}
