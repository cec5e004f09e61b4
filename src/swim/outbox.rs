//! Messages that wait to be sent. They become bytes at the moment they are taken (`send`).

use std::collections::VecDeque;
use std::hash::{Hash, Hasher};
use std::net::SocketAddr;

use super::merge::State;
use super::news::RowKey;
use crate::env::Env;
use crate::growth;
use crate::limits::MAX_QUEUED_DATAGRAMS;
use crate::member::{Incarnation, MemberId};
use crate::stats::{Gauge, MessageKind};
use crate::wire::{EncodedMember, MemberRecord};

/// A message decided on, to be encoded when it is taken.
pub(super) struct Outgoing {
    pub to: SocketAddr,
    /// Who is there, if that is known.
    pub id: Option<MemberId>,
    /// Where it was in the table, or `NONE`.
    pub row: RowKey,
    /// What the receiver is told of itself: what was held of it when the message was decided on.
    pub told: Option<State>,
    /// Bytes that the datagram may have.
    pub limit: usize,
    /// Whether news that goes with it counts as told: not if it goes to a stranger, who might be nobody.
    pub ages: bool,
    pub body: Body,
}

/// Whether a ping asks its receiver to compare tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compare {
    /// It carries the digest of the table: "tell me of those I don't know".
    Tables,
    Nothing,
}

/// What kind of message, with what only that kind has.
pub(super) enum Body {
    Ping {
        forward_to: Option<Box<MemberRecord<'static>>>,
        number: u64,
        compare: Compare,
        /// Whether it is the probe under way.
        probe: bool,
    },
    Ack {
        forward_to: Option<Box<MemberRecord<'static>>>,
        number: u64,
        /// Whether it carries news.
        news: bool,
        /// Whether it says that the ping with this number was refused, which its receiver asked for.
        refused: bool,
    },
    /// A ping that has somebody prove its address, and carries nothing else.
    Question {
        number: u64,
        compare: Compare,
        /// The number hides where a peer that knows no numbers copies it from.
        hides: bool,
    },
    /// An Ack to a peer that knows no extensions and has still to be asked, in as few bytes as it can be said.
    BriefAck {
        forward_to: Option<Box<MemberRecord<'static>>>,
    },
    /// An Ack to a message that was meant for another member, or came from another ring.
    Astray {
        number: u64,
    },
    /// An Ack nobody asked for: these left.
    Left(Vec<RowKey>),
    PingReq {
        target: MemberId,
        number: u64,
    },
    ProbePing,
    Forward(Box<Forward>),
    /// The next part of the member table for the first of those who wait for it.
    Table,
}

/// Someone else's Ack on its way through this member; goes on as it came, but for what would harm its
/// receiver.
pub(super) struct Forward {
    pub from: MemberRecord<'static>,
    pub name: String,
    pub to: MemberRecord<'static>,
    pub number: u64,
    pub memberships: Vec<u8>,
}

/// The own record, encoded once for all messages until it changes.
struct EncodedSelf {
    /// What may change of it.
    state: SelfState,
    bytes: EncodedMember,
    /// For members of ours: without what says nothing.
    short: EncodedMember,
}

/// Incarnation, flags, ports, and whether the own address is known.
pub(super) type SelfState = (Incarnation, u16, (u16, u16), bool);

#[derive(Default)]
pub(super) struct Outbox {
    queue: VecDeque<Outgoing>,
    own: Option<EncodedSelf>,
}

impl Outbox {
    #[inline]
    pub fn push(&mut self, message: Outgoing) {
        self.queue.push_back(message);
    }

    #[inline(always)]
    pub fn pop(&mut self) -> Option<Outgoing> {
        let message = self.queue.pop_front()?;
        growth::slim(&mut self.queue);
        Some(message)
    }

    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Drops what does not fit any more.
    #[inline]
    pub fn trim(&mut self, env: &mut Env) {
        let excess = self.queue.len().saturating_sub(MAX_QUEUED_DATAGRAMS);
        if excess > 0 {
            self.queue.truncate(MAX_QUEUED_DATAGRAMS);
            env.journal.stats.datagrams_lost += excess as u64;
        }
    }

    /// Whether the own record is encoded as it is in this state.
    #[inline]
    pub fn is_encoded(&self, state: SelfState) -> bool {
        self.own.as_ref().is_some_and(|own| own.state == state)
    }

    pub fn set_encoded(&mut self, state: SelfState, bytes: EncodedMember, short: EncodedMember) {
        self.own = Some(EncodedSelf {
            state,
            bytes,
            short,
        });
    }

    #[inline]
    pub fn encoded(&self) -> Option<&EncodedMember> {
        self.own.as_ref().map(|own| &own.bytes)
    }

    #[inline]
    pub fn encoded_short(&self) -> Option<&EncodedMember> {
        self.own.as_ref().map(|own| &own.short)
    }

    /// The own record has another id.
    pub fn forget_encoded(&mut self) {
        self.own = None;
    }

    pub fn sizes(&self) -> [Gauge; 1] {
        let (now, most) = (self.queue.len(), MAX_QUEUED_DATAGRAMS);
        [Gauge::new("queued_datagrams", now, most)]
    }
}

/// What waits decides nothing but how much it is.
impl Hash for Outbox {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.queue.len().hash(hasher);
    }
}

impl Body {
    pub fn kind(&self) -> MessageKind {
        match self {
            Body::Ping { .. } | Body::Question { .. } => MessageKind::Ping,
            Body::Ack { .. }
            | Body::BriefAck { .. }
            | Body::Astray { .. }
            | Body::Left(_)
            | Body::Table => MessageKind::Ack,
            Body::PingReq { .. } => MessageKind::PingReq,
            Body::ProbePing => MessageKind::ProbePing,
            Body::Forward(_) => MessageKind::ForwardedAck,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::row::NONE;
    use super::super::testing::env;
    use super::*;

    #[test]
    fn what_does_not_fit_is_dropped_and_counted() {
        let mut env = env();
        let mut outbox = Outbox::default();
        for limit in 0..MAX_QUEUED_DATAGRAMS + 3 {
            outbox.push(Outgoing {
                to: ([10, 0, 0, 1], 1).into(),
                id: None,
                row: NONE,
                told: None,
                limit,
                ages: false,
                body: Body::ProbePing,
            });
        }
        outbox.trim(&mut env);
        assert_eq!(outbox.len(), MAX_QUEUED_DATAGRAMS);
        assert_eq!(env.journal.stats.datagrams_lost, 3);
        assert_eq!(
            outbox.pop().map(|message| message.limit),
            Some(0),
            "the eldest goes first"
        );
    }
}
