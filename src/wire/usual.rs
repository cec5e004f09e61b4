//! Messages as all senders that are known write them: every field of the contract, but for those that say nothing, in
//! ascending order, nothing twice and nothing unknown. Reading just that takes a third of the time; whatever is written in any other
//! way, or is wrong, is left to be read field by field.

use super::decode::Memberships;
use super::encode::{EXTRA, FEATURES, NAME, PROBE, RUMORS};
use super::extras::Extras;
use super::field::{BYTES, Fields, VARINT, tag};
use super::raw_member::RawMember;
use super::record::MemberRecord;
use super::stamp::{STAMP, Stamp};
use super::swim::{Message, Swim};

/// The message, if it is written in the usual way and nothing is wrong with it. Memberships that are `known`, by
/// their bytes, are neither checked nor listed: the caller has read the same bytes before.
#[inline(always)]
pub fn decode_usual<'a>(payload: &'a [u8], known: impl Fn(&'a [u8]) -> bool) -> Option<Swim<'a>> {
    let mut fields = Usual { rest: payload };
    let kind = fields.number(tag(1, VARINT))?;
    let number = match kind {
        1..=3 => kind as u8 + 1,
        4 => 6,
        _ => return None,
    };
    let mut body = Usual {
        rest: fields.bytes(tag(number, BYTES))?,
    };
    let mut memberships = Memberships::from_first(Fields::new(fields.rest));
    let (mut extras, mut stamp) = (Extras::default(), None);
    while !fields.rest.is_empty() {
        let here = fields.rest;
        let Some(membership) = fields.bytes(tag(5, BYTES)) else {
            // After the memberships stand the ring, if it has a name, an advertised address, and the life or, on a sealed
            // ring, the stamp.
            (extras, fields.rest) = Extras::usual(here);
            if !fields.rest.is_empty() {
                stamp = Some(fields.stamp()?);
            }
            break;
        };
        memberships.add(membership, known(membership)).ok()?;
    }
    let from = body.text(tag(1, BYTES))?;
    let other = match body.rest.first() {
        Some(&next) if next == tag(2, BYTES) => Some(body.text(next)?),
        _ => None,
    };
    let (probe, extra) = (body.extra(PROBE)?, body.extra(EXTRA)?);
    let rumors = u32::try_from(body.extra(RUMORS)?).ok()?;
    if !body.rest.is_empty() || kind != 2 && rumors != 0 || kind > 2 && extra != 0 {
        return None;
    }
    let digest = u32::try_from(extra).ok()?;
    let from = sender(from)?;
    let message = match (kind, other) {
        (1, other) => Message::Ping {
            from,
            forward_to: other.map_or(Some(None), |other| contact(other).map(Some))?,
            probe,
            digest,
        },
        (2, other) => Message::Ack {
            from,
            forward_to: other.map_or(Some(None), |other| contact(other).map(Some))?,
            probe,
            table: extra != 0,
            rumors,
            reconcile: &[],
            // It is rare, and then it is read field by field.
            starting: false,
        },
        (3, Some(other)) => Message::PingReq {
            from,
            target: contact(other)?,
            probe,
        },
        (4, None) if probe == 0 => Message::ProbePing { from },
        _ => return None,
    };
    Some(Swim {
        message,
        memberships,
        extras,
        stamp,
    })
}

#[inline(always)]
fn sender(member: &[u8]) -> Option<MemberRecord<'_>> {
    let raw = self::member(member)?;
    raw.record(raw.ip().ok()?).ok()
}

/// `forward_to` or `target`, which are rare.
#[inline(never)]
fn contact(member: &[u8]) -> Option<MemberRecord<'_>> {
    sender(member)
}

/// A member, whose texts are still to be checked.
#[inline(always)]
pub(super) fn member(member: &[u8]) -> Option<RawMember<'_>> {
    let mut fields = Usual { rest: member };
    let id = fields.text(tag(1, BYTES))?;
    // What says nothing may be left out, the flags together.
    let incarnation = match fields.begins_with(tag(2, VARINT)) {
        true => fields.number(tag(2, VARINT))?.into(),
        false => 0,
    };
    let address = match fields.begins_with(tag(3, BYTES)) {
        true => fields.text(tag(3, BYTES))?,
        false => &[],
    };
    let swim_port = u16::try_from(fields.number(tag(4, VARINT))?).ok()?;
    let gossip_port = u16::try_from(fields.number(tag(5, VARINT))?).ok()?;
    let [persistent, departed, probe_ping] = match fields.begins_with(tag(6, VARINT)) {
        true => fields.flags([6, 7, 8].map(|n| tag(n, VARINT)))?,
        false => [false; 3],
    };
    let features = if fields.skip(FEATURES) {
        fields.small()?.into()
    } else {
        0
    };
    let name = if fields.skip(NAME) {
        fields.short()?
    } else {
        &[]
    };
    fields.rest.is_empty().then_some(RawMember {
        id,
        incarnation,
        address,
        swim_port,
        gossip_port,
        persistent,
        departed,
        probe_ping,
        features,
        name,
    })
}

/// A cursor over fields that are all there and in order; what is longer than usual ends it.
struct Usual<'a> {
    rest: &'a [u8],
}

impl<'a> Usual<'a> {
    /// A number below 2²¹, behind which something follows.
    #[inline(always)]
    fn number(&mut self, tag: u8) -> Option<u32> {
        let [t, a, b, c] = *self.rest.first_chunk()?;
        let low = u32::from(a & 0x7f) | u32::from(b & 0x7f) << 7;
        let (number, len) = if a < 0x80 {
            (a.into(), 2)
        } else if b < 0x80 {
            (low, 3)
        } else {
            (low | u32::from(c) << 14, 4)
        };
        if t != tag || len == 4 && c >= 0x80 {
            return None;
        }
        self.rest = self.rest.get(len..)?;
        Some(number)
    }

    #[inline(always)]
    fn begins_with(&self, tag: u8) -> bool {
        self.rest.first() == Some(&tag)
    }

    #[inline(always)]
    fn flags(&mut self, tags: [u8; 3]) -> Option<[bool; 3]> {
        let (&[t1, a, t2, b, t3, c], rest) = self.rest.split_first_chunk()?;
        if [t1, t2, t3] != tags || a | b | c > 1 {
            return None;
        }
        self.rest = rest;
        Some([a != 0, b != 0, c != 0])
    }

    #[inline(always)]
    fn text(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.rest = self.rest.strip_prefix(&[tag])?;
        self.short()
    }

    /// Bytes of any kind, with their length before them.
    #[inline(always)]
    fn bytes(&mut self, tag: u8) -> Option<&'a [u8]> {
        let len = self.number(tag)?;
        let (bytes, rest) = self.rest.split_at_checked(len as usize)?;
        self.rest = rest;
        Some(bytes)
    }

    /// The stamp, behind which nothing follows.
    #[inline(always)]
    fn stamp(&mut self) -> Option<Stamp> {
        if !self.skip(STAMP) {
            return None;
        }
        let stamp = Stamp::read(self.short()?);
        self.rest.is_empty().then_some(stamp)
    }

    /// The number of this extension; 0 if it is not there.
    #[inline(always)]
    fn extra(&mut self, tag: [u8; 2]) -> Option<u64> {
        if !self.skip(tag) {
            return Some(0);
        }
        let mut fields = Fields::new(self.rest);
        let number = fields.random_varint().ok()?;
        self.rest = fields.rest();
        Some(number)
    }

    /// Goes behind this tag of an extension, if that is what comes.
    #[inline(always)]
    fn skip(&mut self, tag: [u8; 2]) -> bool {
        match self.rest.split_first_chunk() {
            Some((next, rest)) if *next == tag => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    /// A number below 2⁷.
    #[inline(always)]
    fn small(&mut self) -> Option<u8> {
        let (number, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*number).filter(|number| *number < 0x80)
    }

    /// A text of less than 2⁷ bytes, with its length before it.
    #[inline(always)]
    fn short(&mut self) -> Option<&'a [u8]> {
        let len = self.small()?;
        let (text, rest) = self.rest.split_at_checked(len.into())?;
        self.rest = rest;
        Some(text)
    }
}
