//! Writes a SWIM message into a borrowed buffer, in two passes: first how long, then the bytes.
//!
//! Fields ascend by number and every scalar of the contract is written, also false, 0 and "", as the
//! senders of today's rings do: so bytes can be compared. Extensions are written if they say something.

use super::field::{Writer, bytes_len, varint_len};
use super::record::{MemberRecord, MembershipRecord};
use super::swim::Message;
use super::text::{IpText, cut_name};

/// Tags: a field's number and its wire type, 0 for a varint, 2 for bytes.
const fn tag(number: u8, wire_type: u8) -> u8 {
    number << 3 | wire_type
}

/// The two-byte tags of the extensions.
const FEATURES: [u8; 2] = [0xa0, 0x06];
const NAME: [u8; 2] = [0xaa, 0x06];
const PROBE: [u8; 2] = [0xa0, 0x06];
const ACCUSER: [u8; 2] = [0xa2, 0x06];

/// `Member.id`'s tag and length.
const ID_HEAD: [u8; 2] = [tag(1, 2), 32];
/// `Membership.accuser`'s tag and length.
const ACCUSER_HEAD: [u8; 3] = [ACCUSER[0], ACCUSER[1], 16];

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
        let body = Body::of(message);
        // The type takes two bytes.
        let len = 2 + bytes_len(body.len);
        if len > buf.len() {
            return None;
        }
        let mut out = Writer::new(buf, 0);
        out.number(tag(1, 0), body.kind);
        out.head(body.tag, body.len);
        body.write(&mut out);
        let takes_memberships = !matches!(message, Message::ProbePing { .. });
        Some(Encoder {
            buf,
            len,
            takes_memberships,
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
        let membership = Membership::of(record);
        let end = self.len + bytes_len(membership.len);
        if !self.takes_memberships || end > limit.min(self.buf.len()) {
            return false;
        }
        let mut out = Writer::new(self.buf, self.len);
        out.head(tag(5, 2), membership.len);
        membership.write(&mut out);
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
    bytes_len(Membership::of(record).len)
}

/// A message of any kind, laid out.
struct Body<'a> {
    kind: u64,
    tag: u8,
    from: Member<'a>,
    other: Option<Member<'a>>,
    probe: u64,
    len: usize,
}

impl<'a> Body<'a> {
    fn of(message: &Message<'a>) -> Self {
        let (kind, number, other, probe) = match *message {
            Message::Ping {
                forward_to, probe, ..
            } => (1, 2, forward_to, probe),
            Message::Ack {
                forward_to, probe, ..
            } => (2, 3, forward_to, probe),
            Message::PingReq { target, probe, .. } => (3, 4, Some(target), probe),
            Message::ProbePing { .. } => (4, 6, None, 0),
        };
        let from = Member::of(message.from());
        let other = other.as_ref().map(Member::of);
        let mut len = bytes_len(from.len);
        if let Some(other) = &other {
            len += bytes_len(other.len);
        }
        if probe != 0 {
            len += PROBE.len() + varint_len(probe);
        }
        Body {
            kind,
            tag: tag(number, 2),
            from,
            other,
            probe,
            len,
        }
    }

    fn write(&self, out: &mut Writer<'_>) {
        out.head(tag(1, 2), self.from.len);
        self.from.write(out);
        if let Some(other) = &self.other {
            out.head(tag(2, 2), other.len);
            other.write(out);
        }
        if self.probe != 0 {
            out.bytes(&PROBE);
            out.varint(self.probe);
        }
    }
}

/// A membership, laid out.
struct Membership<'a> {
    record: &'a MembershipRecord<'a>,
    member: Member<'a>,
    len: usize,
}

impl<'a> Membership<'a> {
    #[inline]
    fn of(record: &'a MembershipRecord<'a>) -> Self {
        let member = Member::of(&record.member);
        let accusers = record.accusers.iter().count() * (ACCUSER_HEAD.len() + 16);
        // The health takes two bytes.
        let len = bytes_len(member.len) + 2 + accusers;
        Membership {
            record,
            member,
            len,
        }
    }

    #[inline]
    fn write(&self, out: &mut Writer<'_>) {
        out.head(tag(1, 2), self.member.len);
        self.member.write(out);
        out.number(tag(2, 0), self.record.health as u64);
        for accuser in self.record.accusers.iter() {
            out.bytes(&ACCUSER_HEAD);
            out.bytes(accuser.as_bytes());
        }
    }
}

/// A member, laid out: its address in text, and its length.
struct Member<'a> {
    record: MemberRecord<'a>,
    address: IpText,
    name: &'a str,
    len: usize,
}

impl<'a> Member<'a> {
    #[inline]
    fn of(record: &MemberRecord<'a>) -> Self {
        let address = IpText::new(record.address);
        let name = cut_name(record.name);
        // Five tags of numbers and three flags with their values, beside id and address.
        let mut len = bytes_len(32)
            + 1
            + varint_len(record.incarnation.get())
            + bytes_len(address.as_bytes().len())
            + 1
            + varint_len(record.swim_port.into())
            + 1
            + varint_len(record.gossip_port.into())
            + 6;
        if record.features != 0 {
            len += FEATURES.len() + varint_len(record.features.into());
        }
        if !name.is_empty() {
            len += NAME.len() + varint_len(name.len() as u64) + name.len();
        }
        Member {
            record: *record,
            address,
            name,
            len,
        }
    }

    #[inline]
    fn write(&self, out: &mut Writer<'_>) {
        let record = &self.record;
        out.bytes(&ID_HEAD);
        out.bytes(&record.id.to_hex());
        out.number(tag(2, 0), record.incarnation.get());
        out.head(tag(3, 2), self.address.as_bytes().len());
        out.bytes(self.address.as_bytes());
        out.number(tag(4, 0), record.swim_port.into());
        out.number(tag(5, 0), record.gossip_port.into());
        out.bytes(&[
            tag(6, 0),
            record.persistent.into(),
            tag(7, 0),
            record.departed.into(),
            tag(8, 0),
            record.probe_ping.into(),
        ]);
        if record.features != 0 {
            out.bytes(&FEATURES);
            out.varint(record.features.into());
        }
        if !self.name.is_empty() {
            out.bytes(&NAME);
            out.varint(self.name.len() as u64);
            out.bytes(self.name.as_bytes());
        }
    }
}
