//! Bytes ⇄ messages: what a datagram says, and nothing of what it means.
//!
//! A datagram is an envelope around a SWIM message: [`open`] takes the envelope off (and the seal, if
//! the ring has keys), [`decode()`] reads the message out of the borrowed bytes; on the way out an
//! [`Encoder`] writes the message into the send buffer, [`HEADROOM`] bytes from its start, and [`seal`]
//! puts the envelope around it, in place. None of it allocates.
//!
//! `protocols/*.proto` stay the source of truth: the tests hold the hand-written code here to the types that are
//! generated from them (the crate `butterfly-protocols`).

mod decode;
mod encode;
mod envelope;
mod extras;
mod field;
mod forgotten;
mod raw_member;
pub mod reconcile;
mod record;
mod ring_key;
mod rumor;
mod stamp;
pub mod swim;
mod tags;
mod text;
mod user_event;
mod usual;
pub mod zmtp;

pub use decode::lone_membership as read_membership;
pub(crate) use encode::Content;
pub use envelope::{
    HEADROOM, open, open_sealed, overhead, plain_overhead, seal, seal_into, sealed_overhead,
};
pub use extras::{Extras, LIFE_BYTES, life_of};
pub use ring_key::{RingKey, RingKeyError};
pub use rumor::{CLIENT, EncodedRumor, RumorFrame, encode_member_rumor, encode_rumor, read_rumor};
pub use stamp::{STAMP_BYTES, Serial, Stamp};
pub use swim::{
    Accusers, EncodedMember, Encoder, MemberRecord, MembershipRecord, Memberships, Message, Swim,
    decode, decode_usual, encode_membership, feature, membership_len,
};
pub(crate) use tags::TagPairs;
pub(crate) use text::cut_name;
