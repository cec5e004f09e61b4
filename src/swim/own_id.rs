//! Messages that carry this member's own id: its own that came back, or those of another process that uses it.

use super::address::is_somewhere;
use super::outbox::Compare;
use super::outbox::Outgoing;
use super::row::NONE;
use std::net::SocketAddr;

use super::Swim;
use super::incoming::Incoming;
use super::incoming::hides_number;
use super::outbox::Body;
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
                && (self.is_question(number, from)
                    || self.probe_with(number).is_some()
                    || self.asked_a_namesake(number));
        let is_seed = number != 0 && self.seed_is_myself(env, number);
        if mine || is_seed || self.is_from_my_address(from, message) {
            // All members may be given one list of peers, themselves among them: that is nothing to tell.
            return env.journal.stats.count_rejected(Reject::OwnId);
        }
        env.journal.rejected(env.now, Reject::OwnId, from);
        let for_me = !self.identity.sealed || swim.stamp.is_some_and(|stamp| self.is_for_me(stamp));
        if passed_on(message) || incoming.sender.departed || !for_me {
            return;
        }
        let there = incoming.contact();
        if let Message::Ack { probe, .. } = message
            && self.is_question(*probe, there)
        {
            return self.namesake_answered(env, life, there);
        }
        // One of the original's copies numbers only where relays look.
        if hides_number(incoming.sender) || !self.may_provoke(env, &incoming.speaker) {
            return;
        }
        if let Message::Ping { probe, .. } = message {
            // So that the other one knows, too.
            self.reserve_question(incoming, None, *probe, Compare::Nothing);
            let limit = incoming.speaker.budget.spend(self.bare_datagram());
            let body = Body::Ack {
                refused: false,
                forward_to: None,
                number: *probe,
                news: false,
            };
            self.queue_for_namesake(from, limit, body);
        } else {
            let question =
                incoming.speaker.budget.overhead + self.question_len(incoming, Compare::Nothing);
            incoming.speaker.budget.reserve(question);
        }
        self.ask_namesake(env, there, incoming.speaker.budget.reserved);
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
        self.identity.addressed && self.table.is_at(self.me(), from)
    }

    /// Somebody may have this member's id there: whoever it is gets a question, and its answer proves it. At most one in
    /// a period, and the same address once in a turn.
    pub(super) fn ask_namesake(&mut self, env: &Env, there: SocketAddr, limit: usize) {
        let now = self.moment(env);
        let soon = self
            .trust
            .lives
            .asked_of_late(there, now, self.timing.period);
        if limit == 0 || soon || !is_somewhere(there.ip()) || there.port() == 0 || self.is_leaving()
        {
            return;
        }
        self.trust.lives.note_asked(there, now);
        let body = Body::Question {
            number: self.numbers.question(there),
            compare: Compare::Nothing,
            hides: false,
        };
        self.queue_for_namesake(there, limit, body);
    }

    /// Whether it is the number of that question: it came back, as this member has two addresses.
    pub(super) fn asked_a_namesake(&self, number: u64) -> bool {
        let asked = self.trust.lives.asked_at();
        asked.is_some_and(|addr| self.is_question(number, addr))
    }

    pub(super) fn queue_for_namesake(&mut self, to: SocketAddr, limit: usize, body: Body) {
        self.queue(Outgoing {
            to,
            id: Some(self.id()),
            row: NONE,
            told: None,
            limit,
            ages: false,
            body,
        });
    }

    /// Another process with this member's id answered there.
    pub(super) fn namesake_answered(&mut self, env: &mut Env, life: u32, there: SocketAddr) {
        env.journal.stats.id_conflicts += 1;
        let (id, here) = (self.id(), self.own_address(there));
        if !self.trust.lives.told_of(life) && env.journal.id_conflict(env.now, id, here, there) {
            self.trust.lives.was_told_of(life);
        }
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
