//! Messages that carry this member's own id: its own that came back, or somebody else's who uses it.

use std::net::SocketAddr;

use super::Swim;
use crate::env::Env;
use crate::error::Reject;
use crate::wire::{self, Message, Serial};

impl Swim {
    /// A message carries the own id: it is this member's own that came back, as its own address is that
    /// of a seed or of a member which was there before; or somebody else uses the id.
    pub(super) fn own_id_heard(
        &mut self,
        env: &mut Env,
        from: SocketAddr,
        serial: Option<Serial>,
        swim: &wire::Swim<'_>,
    ) {
        let message = &swim.message;
        let number = match message {
            Message::Ping { probe, .. } | Message::PingReq { probe, .. } => *probe,
            Message::Ack { .. } | Message::ProbePing { .. } => 0,
        };
        let is_mine = |serial| self.replay.is_mine(serial);
        let stamped = serial.filter(|_| swim.stamp.is_some());
        let mine = stamped.is_some_and(is_mine)
            || number != 0 && (self.is_cookie(number, from) || self.is_probe_number(number));
        let is_seed = number != 0 && self.seed_is_myself(env, number);
        if mine || is_seed || self.is_from_my_address(from, message) {
            // All members may be given one list of peers, themselves among them: that is nothing to tell.
            env.journal.stats.count_rejected(Reject::OwnId);
        } else {
            env.journal.id_conflict(env.now, from);
            env.journal.rejected(env.now, Reject::OwnId, from);
        }
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
