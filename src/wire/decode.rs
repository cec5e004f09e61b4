//! Reads a SWIM message out of borrowed bytes: PROTOCOL.md §2's table, checked whole before anything of
//! the message is used.

use super::extras::Extras;
use super::field::{Fields, Value, int32, uint32};
use super::raw_member::RawMember;
use super::record::{ACCUSER, Accusers, MemberRecord, MembershipRecord, REFUSED, STALLED};
use super::stamp::{STAMP_FIELD, Stamp};
use super::swim::{Message, Swim};
use super::usual;
use crate::error::Reject;
use crate::member::{Health, MemberId};

/// Reads the payload of an envelope. What it returns has passed every check that drops a message whole;
/// a membership that is to be skipped alone shows when [`Memberships`] comes to it.
///
/// Unknown fields, and known ones of another wire type, are skipped. Of a number or text that stands
/// twice the last counts; a message inside a message that stands twice is [`Reject::Malformed`], and so
/// is a number that its field's type cannot hold (a port: [`Reject::BadPort`]).
///
/// # Errors
/// `Truncated`, `Malformed`, `BadUtf8`, `UnknownType`, `MissingField` and `BadPort`, wherever they are in
/// it; `BadId`, `BadIncarnation` and `BadAddress` only for whom it comes from, goes on to or asks about.
pub fn decode(payload: &[u8]) -> Result<Swim<'_>, Reject> {
    match usual::decode_usual(payload, |_| false) {
        Some(swim) => Ok(swim),
        None => decode_any(payload),
    }
}

/// A message in any form.
#[cold]
fn decode_any(payload: &[u8]) -> Result<Swim<'_>, Reject> {
    let mut kind = None;
    let mut body = None;
    let mut memberships: Option<Memberships<'_>> = None;
    let (mut extras, mut stamp) = (Extras::default(), None);
    let mut fields = Fields::new(payload);
    loop {
        let here = fields;
        match fields.next()? {
            Some((1, Value::Varint(number))) => kind = Some(int32(number)?),
            Some((number @ (2..=4 | 6), Value::Bytes(bytes))) => once(&mut body, (number, bytes))?,
            Some((5, Value::Bytes(membership))) => memberships
                .get_or_insert_with(|| Memberships::from_first(here))
                .add_checked(membership)?,
            Some((STAMP_FIELD, Value::Bytes(bytes))) => stamp = Some(Stamp::read(bytes)),
            Some((number @ 111.., value)) => extras.read(number, value)?,
            Some(_) => {}
            None => break,
        }
    }
    let kind = kind.ok_or(Reject::MissingField)?;
    if !(1..=4).contains(&kind) {
        return Err(Reject::UnknownType);
    }
    let (number, body) = body.ok_or(Reject::MissingField)?;
    let message = match (kind, number) {
        (1, 2) => Body::read(body, Other::Read)?.ping()?,
        (2, 3) => Body::read(body, Other::Read)?.ack()?,
        (3, 4) => Body::read(body, Other::Read)?.ping_req()?,
        (4, 6) => Body::read(body, Other::Unknown)?.probe_ping()?,
        _ => return Err(Reject::MissingField),
    };
    Ok(Swim {
        message,
        memberships: memberships.unwrap_or_default(),
        extras,
        stamp,
    })
}

/// Fills what may stand only once.
#[inline(always)]
pub(super) fn once<T>(slot: &mut Option<T>, value: T) -> Result<(), Reject> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(Reject::Malformed),
    }
}

/// The fields that Ping, Ack, PingReq and ProbePing have in common: the same numbers in all of them.
struct Body<'a> {
    from: &'a [u8],
    /// `forward_to` or `target`.
    other: Option<&'a [u8]>,
    probe: u64,
    /// A Ping's `digest`, or an Ack's `table`.
    extra: u64,
    /// An Ack's `rumors`, which is a uint32 wherever it stands, and its `reconcile`.
    rumors: Result<u32, Reject>,
    reconcile: Option<&'a [u8]>,
    /// An Ack's `starting`.
    starting: bool,
    /// A number stood there that is no uint32, which a digest has to be, also if another follows.
    wide: bool,
}

/// What field 2 is. In a ProbePing, the only body that has no `other`, it is an unknown field.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Other {
    Read,
    Unknown,
}

impl<'a> Body<'a> {
    fn read(body: &'a [u8], other_field: Other) -> Result<Self, Reject> {
        let (mut from, mut other, mut probe, mut extra) = (None, None, 0, 0);
        let (mut rumors, mut reconcile) = (Ok(0), None);
        let (mut wide, mut starting) = (false, false);
        let mut fields = Fields::new(body);
        while let Some(field) = fields.next()? {
            match field {
                (1, Value::Bytes(member)) => once(&mut from, member)?,
                (2, Value::Bytes(member)) if other_field == Other::Read => {
                    once(&mut other, member)?
                }
                (100, Value::Varint(number)) => probe = number,
                (101, Value::Varint(number)) => {
                    extra = number;
                    wide |= uint32(number).is_err();
                }
                (102, Value::Varint(number)) => rumors = rumors.and_then(|_| uint32(number)),
                (103, Value::Bytes(parts)) => once(&mut reconcile, parts)?,
                (116, Value::Varint(number)) => starting = number != 0,
                _ => {}
            }
        }
        let from = from.ok_or(Reject::MissingField)?;
        Ok(Body {
            from,
            other,
            probe,
            extra,
            rumors,
            reconcile,
            starting,
            wide,
        })
    }

    fn ping(&self) -> Result<Message<'a>, Reject> {
        Ok(Message::Ping {
            from: self.from()?,
            forward_to: self.other()?,
            probe: self.probe,
            digest: self.digest()?,
        })
    }

    fn digest(&self) -> Result<u32, Reject> {
        if self.wide {
            return Err(Reject::Malformed);
        }
        uint32(self.extra)
    }

    fn ack(&self) -> Result<Message<'a>, Reject> {
        Ok(Message::Ack {
            from: self.from()?,
            forward_to: self.other()?,
            probe: self.probe,
            table: self.extra != 0,
            rumors: self.rumors?,
            reconcile: self.reconcile()?,
            starting: self.starting,
        })
    }

    /// What is in it is read by whoever compares; here only that it is a message.
    fn reconcile(&self) -> Result<&'a [u8], Reject> {
        let parts = self.reconcile.unwrap_or_default();
        let mut fields = Fields::new(parts);
        while fields.next()?.is_some() {}
        Ok(parts)
    }

    fn ping_req(&self) -> Result<Message<'a>, Reject> {
        Ok(Message::PingReq {
            from: self.from()?,
            target: self.other()?.ok_or(Reject::MissingField)?,
            probe: self.probe,
        })
    }

    fn probe_ping(&self) -> Result<Message<'a>, Reject> {
        Ok(Message::ProbePing { from: self.from()? })
    }

    /// The receiver knows the sender's address better than the message: a bad one counts as none.
    fn from(&self) -> Result<MemberRecord<'a>, Reject> {
        let raw = RawMember::read::<true>(self.from)?;
        raw.record(raw.ip().unwrap_or_default())
    }

    fn other(&self) -> Result<Option<MemberRecord<'a>>, Reject> {
        let Some(other) = self.other else {
            return Ok(None);
        };
        let raw = RawMember::read::<true>(other)?;
        raw.record(raw.ip()?).map(Some)
    }
}

/// The memberships of a message, in their order, without those that are known. An error is about one record
/// only: skip that one.
#[derive(Clone, Debug, Default)]
pub struct Memberships<'a> {
    fields: Fields<'a>,
    /// How many there are to come.
    left: usize,
    /// A bit for each of the first ones to come, lowest first: whether it is known.
    known: u128,
    /// How many there were in all.
    all: u32,
}

impl<'a> Memberships<'a> {
    /// Those in bytes that [`Memberships::as_bytes`] gave.
    pub fn from_bytes(bytes: &'a [u8]) -> Self {
        Memberships {
            fields: Fields::new(bytes),
            left: usize::MAX,
            known: 0,
            all: 0,
        }
    }

    /// None so far of those that begin there.
    pub(super) fn from_first(fields: Fields<'a>) -> Self {
        Memberships {
            fields,
            left: 0,
            known: 0,
            all: 0,
        }
    }

    /// One more: known, or checked.
    #[inline(always)]
    pub(super) fn add(&mut self, membership: &'a [u8], known: bool) -> Result<(), Reject> {
        let bit = 1u128.checked_shl(self.all).unwrap_or(0);
        if !known || bit == 0 {
            return self.add_checked(membership);
        }
        self.all += 1;
        self.known |= bit;
        Ok(())
    }

    /// One more, which is checked.
    #[inline(always)]
    pub(super) fn add_checked(&mut self, membership: &'a [u8]) -> Result<(), Reject> {
        self.all += 1;
        check_membership(membership)?;
        self.left += 1;
        Ok(())
    }

    /// Whether there are none (left), neither good nor bad ones, that are not known.
    pub const fn is_empty(&self) -> bool {
        self.left == 0
    }

    /// The known ones, before the first of the others was taken; but those beyond the first 128.
    pub fn known_ones(&self) -> impl Iterator<Item = MembershipRecord<'a>> + use<'a> {
        let (mut fields, mut known) = (self.fields, self.known);
        std::iter::from_fn(move || {
            while known != 0 {
                let is_known = known & 1 != 0;
                known >>= 1;
                let mut next = || loop {
                    match fields.next() {
                        Ok(Some((5, Value::Bytes(membership)))) => return Some(membership),
                        Ok(Some(_)) => {}
                        Ok(None) | Err(_) => return None,
                    }
                };
                let membership = next()?;
                if is_known && let Ok(record) = lone_membership(membership) {
                    return Some(record);
                }
            }
            None
        })
    }

    /// How many known ones there are, before the first was taken.
    pub const fn known(&self) -> usize {
        (self.all as usize).saturating_sub(self.left)
    }

    /// The bytes they stand in, known ones too, from the first of them on, to be read again by
    /// [`Memberships::from_bytes`].
    pub fn as_bytes(&self) -> &'a [u8] {
        self.fields.rest()
    }

    /// The next one, and the bytes it was read from.
    #[inline]
    pub fn next_with_bytes(&mut self) -> Option<(&'a [u8], Result<MembershipRecord<'a>, Reject>)> {
        while self.left > 0 {
            // The whole message was checked: an error of its form cannot be, and would end the list.
            match self.fields.next() {
                Ok(Some((5, Value::Bytes(membership)))) => {
                    let is_known = self.known & 1 != 0;
                    self.known >>= 1;
                    if !is_known {
                        self.left -= 1;
                        return Some((membership, read_membership(membership)));
                    }
                }
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => self.left = 0,
            }
        }
        None
    }
}

impl<'a> Iterator for Memberships<'a> {
    type Item = Result<MembershipRecord<'a>, Reject>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        Some(self.next_with_bytes()?.1)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.left))
    }
}

/// Finds everything in a membership that drops the whole message.
#[inline]
fn check_membership(membership: &[u8]) -> Result<(), Reject> {
    let mut fields = Fields::new(membership);
    let mut member = fields.bytes_if(1)?;
    fields.varint_if(2)?.map(int32).transpose()?;
    while let Some(field) = fields.next()? {
        match field {
            (1, Value::Bytes(bytes)) => once(&mut member, bytes)?,
            (2, Value::Varint(health)) => drop(int32(health)?),
            _ => {}
        }
    }
    RawMember::read::<true>(member.ok_or(Reject::MissingField)?).map(drop)
}

/// Reads a membership that stands alone, with every check that one in a message would get.
///
/// # Errors
/// All that drop a message or a record in it.
pub fn lone_membership(membership: &[u8]) -> Result<MembershipRecord<'_>, Reject> {
    check_membership(membership)?;
    read_membership(membership)
}

/// Reads a membership that was checked: what fails here makes it useless alone.
#[inline]
fn read_membership(membership: &[u8]) -> Result<MembershipRecord<'_>, Reject> {
    let mut fields = Fields::new(membership);
    let mut member = fields.bytes_if(1)?.unwrap_or_default();
    let mut health = fields.varint_if(2)?.map_or(Health::Alive, health_of);
    let (mut accusers, mut refused, mut stalled) = (None, 0, None);
    loop {
        let here = fields;
        match fields.next()? {
            Some((1, Value::Bytes(bytes))) => member = bytes,
            Some((2, Value::Varint(number))) => health = health_of(number),
            Some((ACCUSER, Value::Bytes(_))) => accusers = accusers.or(Some(here)),
            Some((REFUSED, Value::Varint(bits))) => refused = bits as u8,
            Some((STALLED, Value::Bytes(id))) => {
                stalled = id.try_into().ok().map(MemberId::from_bytes);
            }
            Some(_) => {}
            None => break,
        }
    }
    let raw = RawMember::read::<false>(member)?;
    let address = raw.ip()?.ok_or(Reject::BadAddress)?;
    Ok(MembershipRecord {
        member: raw.record(Some(address))?,
        health,
        accusers: accusers.map_or(Accusers::NONE, |fields| {
            Accusers::from_wire(fields)
                .refused(refused)
                .stalled(stalled)
        }),
    })
}

/// An unknown health counts as Alive (PROTOCOL.md §2).
#[inline(always)]
fn health_of(number: u64) -> Health {
    Health::from_wire(number).unwrap_or(Health::Alive)
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    use super::super::{Encoder, HEADROOM};
    use super::*;
    use crate::member::Incarnation;

    fn member(rng: &mut StdRng) -> MemberRecord<'static> {
        let ips = ["10.0.0.7", "255.1.20.3", "fd00::7"].map(|ip| ip.parse().ok());
        MemberRecord {
            id: MemberId::random(rng),
            incarnation: Incarnation::new(1 << rng.random_range(0..25)).unwrap_or_default(),
            address: [None, ips[0], ips[1], ips[2]][rng.random_range(0..4)],
            swim_port: rng.random(),
            gossip_port: rng.random_range(0..200),
            persistent: rng.random(),
            departed: rng.random(),
            probe_ping: rng.random(),
            features: rng.random_range(0..3),
            name: ["", "web-1", "ünïcode"][rng.random_range(0..3)],
        }
    }

    fn message(rng: &mut StdRng) -> Message<'static> {
        let (from, other) = (member(rng), member(rng));
        let (forward_to, probe) = (
            rng.random::<bool>().then_some(other),
            rng.random_range(0..3),
        );
        match rng.random_range(0..4) {
            0 => Message::Ping {
                from,
                forward_to,
                probe,
                digest: rng.random_range(0..2) * 77_777,
            },
            1 => Message::Ack {
                from,
                forward_to,
                probe,
                table: rng.random(),
                rumors: rng.random_range(0..2),
                reconcile: [&[][..], &[10, 1, 7]][rng.random_range(0..2)],
                starting: rng.random(),
            },
            2 => Message::PingReq {
                from,
                target: other,
                probe,
            },
            _ => Message::ProbePing { from },
        }
    }

    /// Whatever is read the short way is read the long way too, and says the same; also of damaged messages.
    #[test]
    fn the_short_way_to_read_a_message_finds_what_the_long_one_does() {
        let mut rng = StdRng::seed_from_u64(1);
        let (mut short, mut damaged) = (0, 0);
        for round in 0..60_000 {
            let mut buf = [0; HEADROOM + 1_024];
            let mut out = Encoder::new(&mut buf, &message(&mut rng)).unwrap();
            for _ in 0..rng.random_range(0..3) {
                let said = MembershipRecord {
                    member: member(&mut rng),
                    health: Health::ALL[rng.random_range(0..4)],
                    accusers: Accusers::NONE,
                };
                out.push(&said, 1_024);
            }
            let len = out.finish();
            let payload = &mut buf[..len];
            if round % 4 > 0 {
                let (at, to) = (rng.random_range(0..len), rng.random_range(0..len));
                match round % 4 {
                    1 => payload[at] = rng.random(),
                    2 => payload[at] ^= 1 << rng.random_range(0..8),
                    _ => payload.copy_within(at..(at + 9).min(len), to.min(len - 9)),
                }
            }
            if let Some(swim) = usual::decode_usual(payload, |_| false) {
                (short, damaged) = (short + 1, damaged + u32::from(round % 4 > 0));
                let any = decode_any(payload).unwrap();
                assert_eq!(swim.message, any.message);
                assert!(swim.memberships.eq(any.memberships));
            }
        }
        assert!(short > 15_000 && damaged > 5_000, "{short} {damaged}");
    }
}
