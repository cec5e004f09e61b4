//! Writes a SWIM message into a borrowed buffer. A member goes into a small buffer of its own first: its length
//! stands before it.
//!
//! Fields ascend by number and every scalar of the contract is written, also false, 0 and "", as the
//! senders of today's rings do: so bytes can be compared. Only what a member says of itself to one of ours is written
//! as extensions are: if it says something.

use super::field::{BYTES, VARINT, Writer, bytes_len, tag};
use super::record::{MemberRecord, MembershipRecord};
use super::swim::Message;
use super::text::{LONGEST_IP, cut_name, write_ip};
use crate::limits::MAX_NAME;

/// The two-byte tags of the extensions.
pub(super) const FEATURES: [u8; 2] = [0xa0, 0x06];
pub(super) const NAME: [u8; 2] = [0xaa, 0x06];
pub(super) const PROBE: [u8; 2] = [0xa0, 0x06];
pub(super) const EXTRA: [u8; 2] = [0xa8, 0x06];
pub(super) const RUMORS: [u8; 2] = [0xb0, 0x06];
const RECONCILE: [u8; 2] = [0xba, 0x06];
/// `Ack.starting`, when it says so.
const STARTING: [u8; 3] = [0xa0, 0x07, 1];
const ACCUSER: [u8; 2] = [0xa2, 0x06];
const REFUSED: [u8; 2] = [0xa8, 0x06];
const STALLED: [u8; 3] = [0xb2, 0x06, 16];

/// `Member.id`'s tag and length.
const ID_HEAD: [u8; 2] = [tag(1, BYTES), 32];
/// `Membership.accuser`'s tag and length.
const ACCUSER_HEAD: [u8; 3] = [ACCUSER[0], ACCUSER[1], 16];

/// A `Member`, encoded.
#[derive(Clone, Debug)]
pub struct EncodedMember {
    bytes: [u8; LONGEST_MEMBER],
    len: usize,
}

/// Id, incarnation, address, ports, flags, features and name, each with its tag and at its longest.
const LONGEST_MEMBER: usize =
    ID_HEAD.len() + 32 + 11 + 2 + LONGEST_IP + 8 + 6 + 7 + 3 + MAX_NAME + 4;

impl EncodedMember {
    /// The record's bytes.
    #[inline]
    pub fn of(record: &MemberRecord<'_>) -> Self {
        let mut bytes = [0; LONGEST_MEMBER];
        let mut out = Writer::new(&mut bytes, 0);
        write_member(&mut out, record);
        let len = out.at();
        EncodedMember { bytes, len }
    }

    /// The same without what a receiver fills in.
    pub(crate) fn short(record: &MemberRecord<'_>) -> Self {
        let mut bytes = [0; LONGEST_MEMBER];
        let mut out = Writer::new(&mut bytes, 0);
        write_briefly(&mut out, record);
        write_extensions(&mut out, record);
        let len = out.at();
        EncodedMember { bytes, len }
    }

    /// The same in as few bytes as a peer needs: without extensions, too.
    fn brief(record: &MemberRecord<'_>) -> Self {
        let mut bytes = [0; LONGEST_MEMBER];
        let mut out = Writer::new(&mut bytes, 0);
        write_briefly(&mut out, record);
        let len = out.at();
        EncodedMember { bytes, len }
    }

    fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

/// Writes one SWIM message: who it comes from first, then memberships while they fit.
pub struct Encoder<'b> {
    buf: &'b mut [u8],
    len: usize,
    takes_memberships: bool,
}

impl<'b> Encoder<'b> {
    /// Begins the payload at the start of `buf`, all of which it may use; `None` if the message does not
    /// fit there.
    pub fn new(buf: &'b mut [u8], message: &Message<'_>) -> Option<Self> {
        let from = EncodedMember::of(message.from());
        Self::from_sender(buf, &from, &Content::of(message))
    }

    /// The same for a sender that was encoded before.
    #[inline]
    pub(crate) fn from_sender(
        buf: &'b mut [u8],
        from: &EncodedMember,
        body: &Content<'_>,
    ) -> Option<Self> {
        let other = body.other.map(EncodedMember::of);
        Self::of_parts(buf, from, other.as_ref(), body)
    }

    /// Begins a message that carries no memberships, in as few bytes as it can be said.
    pub(crate) fn briefly(buf: &'b mut [u8], message: &Message<'_>) -> Option<Self> {
        let body = Content::of(message);
        let from = EncodedMember::brief(message.from());
        let other = body.other.map(EncodedMember::brief);
        Self::of_parts(buf, &from, other.as_ref(), &body)
    }

    #[inline]
    fn of_parts(
        buf: &'b mut [u8],
        from: &EncodedMember,
        other: Option<&EncodedMember>,
        body: &Content<'_>,
    ) -> Option<Self> {
        let tail = Tail::of(body);
        let body_len = bytes_len(from.len)
            + other.map_or(0, |other| bytes_len(other.len))
            + tail.len
            + body.reconcile_len()
            + body.starting_len();
        // The type takes two bytes.
        let len = 2 + bytes_len(body_len);
        if len > buf.len() {
            return None;
        }
        let mut out = Writer::new(buf, 0);
        out.number(tag(1, VARINT), body.kind);
        out.head(tag(body.number, BYTES), body_len);
        out.head(tag(1, BYTES), from.len);
        out.bytes(from.as_bytes());
        if let Some(other) = other {
            out.head(tag(2, BYTES), other.len);
            out.bytes(other.as_bytes());
        }
        out.bytes(tail.as_bytes());
        if !body.reconcile.is_empty() {
            out.bytes(&RECONCILE);
            out.varint(body.reconcile.len() as u64);
            out.bytes(body.reconcile);
        }
        if body.starting {
            out.bytes(&STARTING);
        }
        Some(Encoder {
            buf,
            len,
            takes_memberships: body.kind != PROBE_PING,
        })
    }

    /// Bytes of the payload so far; never 0.
    #[allow(clippy::len_without_is_empty)]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Appends a membership if the payload then has at most `limit` bytes (and fits the buffer); else
    /// leaves all as it was and says false. A ProbePing takes none (PROTOCOL.md §2).
    pub fn push(&mut self, record: &MembershipRecord<'_>, limit: usize) -> bool {
        let member = EncodedMember::of(&record.member);
        let membership = membership_body_len(record, &member);
        let end = self.len + bytes_len(membership);
        if !self.takes_memberships || end > limit.min(self.buf.len()) {
            return false;
        }
        let mut out = Writer::new(self.buf, self.len);
        out.head(tag(5, BYTES), membership);
        write_membership(&mut out, record, &member);
        self.len = end;
        true
    }

    /// Ends the payload: its length in bytes.
    pub const fn finish(self) -> usize {
        self.len
    }
}

/// Bytes that [`Encoder::push`] adds for this record.
pub fn membership_len(record: &MembershipRecord<'_>) -> usize {
    bytes_len(membership_body_len(
        record,
        &EncodedMember::of(&record.member),
    ))
}

/// The bytes of a record as a `Membership` that stands alone.
pub fn encode_membership(record: &MembershipRecord<'_>) -> Vec<u8> {
    let member = EncodedMember::of(&record.member);
    let mut bytes = vec![0; membership_body_len(record, &member)];
    write_membership(&mut Writer::new(&mut bytes, 0), record, &member);
    bytes
}

/// A message of any kind, laid out, but for its sender.
pub(crate) struct Content<'a> {
    kind: u64,
    number: u8,
    /// `forward_to` or `target`.
    other: Option<&'a MemberRecord<'a>>,
    probe: u64,
    /// A Ping's `digest`, or an Ack's `table`.
    extra: u64,
    /// An Ack's `rumors` and `reconcile`.
    rumors: u32,
    reconcile: &'a [u8],
    /// An Ack's `starting`.
    starting: bool,
}

/// The type of a ProbePing.
const PROBE_PING: u64 = 4;

impl<'a> Content<'a> {
    /// A Ping.
    #[inline]
    pub(crate) fn ping(forward_to: Option<&'a MemberRecord<'a>>, probe: u64, digest: u32) -> Self {
        Content {
            kind: 1,
            number: 2,
            other: forward_to,
            probe,
            extra: digest.into(),
            rumors: 0,
            reconcile: &[],
            starting: false,
        }
    }

    /// An Ack that is no part of a table.
    #[inline]
    pub(crate) fn ack(forward_to: Option<&'a MemberRecord<'a>>, probe: u64) -> Self {
        Content {
            kind: 2,
            number: 3,
            other: forward_to,
            probe,
            extra: 0,
            rumors: 0,
            reconcile: &[],
            starting: false,
        }
    }

    /// It tells what stands for its sender's rumors, and whether those are still what the disk held.
    #[inline]
    pub(crate) fn with_rumors(self, rumors: u32, starting: bool) -> Self {
        Content {
            rumors,
            starting,
            ..self
        }
    }

    #[inline]
    fn of(message: &'a Message<'a>) -> Self {
        let (kind, number, other, probe, extra) = match message {
            Message::Ping {
                forward_to,
                probe,
                digest,
                ..
            } => (1, 2, forward_to.as_ref(), *probe, (*digest).into()),
            Message::Ack {
                forward_to,
                probe,
                table,
                ..
            } => (2, 3, forward_to.as_ref(), *probe, (*table).into()),
            Message::PingReq { target, probe, .. } => (3, 4, Some(target), *probe, 0),
            Message::ProbePing { .. } => (PROBE_PING, 6, None, 0, 0),
        };
        let (rumors, reconcile, starting): (_, &[u8], _) = match message {
            Message::Ack {
                rumors,
                reconcile,
                starting,
                ..
            } => (*rumors, reconcile, *starting),
            _ => (0, &[], false),
        };
        Content {
            kind,
            number,
            other,
            probe,
            extra,
            rumors,
            reconcile,
            starting,
        }
    }

    fn starting_len(&self) -> usize {
        if self.starting { STARTING.len() } else { 0 }
    }

    fn reconcile_len(&self) -> usize {
        match self.reconcile.len() {
            0 => 0,
            // Its tag has one byte more than others.
            len => 1 + bytes_len(len),
        }
    }
}

/// The numbers at the end of a message, encoded: those that say something.
struct Tail {
    bytes: [u8; LONGEST_TAIL],
    len: usize,
}

/// Three numbers, each with its tag.
const LONGEST_TAIL: usize = 3 * 12;

impl Tail {
    #[inline(always)]
    fn of(body: &Content<'_>) -> Self {
        let mut bytes = [0; LONGEST_TAIL];
        let mut out = Writer::new(&mut bytes, 0);
        let numbers = [
            (PROBE, body.probe),
            (EXTRA, body.extra),
            (RUMORS, body.rumors.into()),
        ];
        for (tag, number) in numbers {
            if number != 0 {
                out.bytes(&tag);
                out.varint(number);
            }
        }
        let len = out.at();
        Tail { bytes, len }
    }

    fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

/// Bytes of a membership of this member; the health takes two.
#[inline]
fn membership_body_len(record: &MembershipRecord<'_>, member: &EncodedMember) -> usize {
    let accusers = record.accusers.iter().count() * (ACCUSER_HEAD.len() + 16);
    let refused = match record.accusers.refusals() {
        0 => 0,
        _ => REFUSED.len() + 1,
    };
    let stalled = record.accusers.stalled_by();
    let stalled = stalled.map_or(0, |_| STALLED.len() + 16);
    bytes_len(member.len) + 2 + accusers + refused + stalled
}

#[inline]
fn write_membership(out: &mut Writer<'_>, record: &MembershipRecord<'_>, member: &EncodedMember) {
    out.head(tag(1, BYTES), member.len);
    out.bytes(member.as_bytes());
    out.number(tag(2, VARINT), record.health as u64);
    for accuser in record.accusers.iter() {
        out.bytes(&ACCUSER_HEAD);
        out.bytes(accuser.as_bytes());
    }
    if record.accusers.refusals() != 0 {
        out.bytes(&REFUSED);
        out.byte(record.accusers.refusals());
    }
    if let Some(by) = record.accusers.stalled_by() {
        out.bytes(&STALLED);
        out.bytes(by.as_bytes());
    }
}

#[inline(always)]
fn write_member(out: &mut Writer<'_>, record: &MemberRecord<'_>) {
    out.bytes(&ID_HEAD);
    out.bytes(&record.id.to_hex());
    out.number(tag(2, VARINT), record.incarnation.get());
    out.byte(tag(3, BYTES));
    write_ip(out, record.address);
    out.byte(tag(4, VARINT));
    out.port(record.swim_port);
    out.byte(tag(5, VARINT));
    out.port(record.gossip_port);
    out.bytes(&[
        tag(6, VARINT),
        record.persistent.into(),
        tag(7, VARINT),
        record.departed.into(),
        tag(8, VARINT),
        record.probe_ping.into(),
    ]);
    write_extensions(out, record);
}

#[inline(always)]
fn write_extensions(out: &mut Writer<'_>, record: &MemberRecord<'_>) {
    if record.features != 0 {
        out.bytes(&FEATURES);
        out.varint(record.features.into());
    }
    if !record.name.is_empty() {
        let name = cut_name(record.name).as_bytes();
        out.bytes(&NAME);
        out.byte(name.len() as u8);
        out.bytes(name);
    }
}

/// What a peer fills in when it is absent is absent (PROTOCOL.md §2).
fn write_briefly(out: &mut Writer<'_>, record: &MemberRecord<'_>) {
    out.bytes(&ID_HEAD);
    out.bytes(&record.id.to_hex());
    if record.incarnation.get() != 0 {
        out.number(tag(2, VARINT), record.incarnation.get());
    }
    if record.address.is_some() {
        out.byte(tag(3, BYTES));
        write_ip(out, record.address);
    }
    out.byte(tag(4, VARINT));
    out.port(record.swim_port);
    out.byte(tag(5, VARINT));
    out.port(record.gossip_port);
    let flags = [record.persistent, record.departed, record.probe_ping];
    for (number, _) in (6..).zip(flags).filter(|(_, on)| *on) {
        out.bytes(&[tag(number, VARINT), 1]);
    }
}
