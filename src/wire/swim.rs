//! The SWIM messages of `protocols/swim.proto` (PROTOCOL.md §2), as values that borrow from a datagram.

use super::extras::Extras;
use super::record::MemberRecord as Record;
use super::stamp::Stamp;

pub use super::decode::{Memberships, decode};
pub use super::encode::{EncodedMember, Encoder, encode_membership, membership_len};
pub use super::record::{Accusers, MemberRecord, MembershipRecord};
pub use super::usual::decode_usual;

/// What a member's `features` bits say; they count only in a message straight from that member.
pub mod feature {
    /// It knows the extension fields (those from 100 on) and members with an IPv6 address.
    pub const EXTENSIONS: u32 = 1;
    /// It only looks: it is answered, but never taken in as a member.
    pub const OBSERVER: u32 = 2;
    /// It speaks of members only that it knows to be there: each answered a number of its, or others vouched for it.
    pub const VOUCHES: u32 = 4;
    /// It takes rumors of kinds of our own.
    pub const OWN_KINDS: u32 = 8;
    /// It knows its address: whoever pings it need not tell it what is held of it, if that is nothing but that it lives.
    pub const PLACED: u32 = 16;
}

/// A SWIM message that passed every check which drops a message whole.
#[derive(Clone, Debug)]
pub struct Swim<'a> {
    /// What it asks or answers.
    pub message: Message<'a>,
    /// The news that rides along.
    pub memberships: Memberships<'a>,
    /// What is said of the whole message.
    pub extras: Extras<'a>,
    /// Extension: whom it is for, on a sealed ring.
    pub stamp: Option<Stamp>,
}

/// What a message asks or answers. A `probe` of 0 is no number: the field is absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// "Are you there?"
    Ping {
        /// Its sender.
        from: Record<'a>,
        /// Whoever asked for this ping by a `PingReq`; the Ack goes on to it.
        forward_to: Option<Record<'a>>,
        /// The number of the asker's probe, which the Ack copies.
        probe: u64,
        /// Stands for the set of living members that the sender knows; 0: it does not say.
        digest: u32,
    },
    /// "I am here."
    Ack {
        /// The member that is there; a relay leaves it as it is, but for the address.
        from: Record<'a>,
        /// Whom a relay passes it on to.
        forward_to: Option<Record<'a>>,
        /// The number in the Ping that it answers.
        probe: u64,
        /// The memberships are a part of the sender's table, and no news.
        table: bool,
        /// Stands for the rumors that the sender holds; 0: it does not say.
        rumors: u32,
        /// Parts of a comparison of stores of rumors, see [`super::reconcile`]; mostly empty.
        reconcile: &'a [u8],
        /// The sender started only just and has not compared its rumors yet: what it holds proves nothing to others
        /// that start.
        starting: bool,
    },
    /// "Ping that member for me."
    PingReq {
        /// Its sender.
        from: Record<'a>,
        /// The member to ping.
        target: Record<'a>,
        /// The number of the asker's probe, for the relay's Ping.
        probe: u64,
    },
    /// "Someone believes you are dead."
    ProbePing {
        /// Its sender.
        from: Record<'a>,
    },
}

impl<'a> Message<'a> {
    /// The member it comes from.
    pub fn from(&self) -> &Record<'a> {
        match self {
            Message::Ping { from, .. }
            | Message::Ack { from, .. }
            | Message::PingReq { from, .. }
            | Message::ProbePing { from } => from,
        }
    }
}
