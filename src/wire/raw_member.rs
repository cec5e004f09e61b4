//! A `Member` as it stands on the wire: its form checked, its id and address not yet read.

use std::net::IpAddr;

use super::encode::{FEATURES, NAME};
use super::field::{BYTES, Fields, VARINT, Value, tag, uint32};
use super::record::MemberRecord;
use super::text::{cut_name, parse_ip};
use crate::error::Reject;
use crate::member::{Incarnation, MemberId};

pub(super) struct RawMember<'a> {
    id: &'a [u8],
    incarnation: u64,
    address: &'a [u8],
    swim_port: u16,
    gossip_port: u16,
    persistent: bool,
    departed: bool,
    probe_ping: bool,
    features: u32,
    name: &'a [u8],
}

impl<'a> RawMember<'a> {
    /// Reads the fields, with every check that a member has to pass wherever it stands.
    ///
    /// `CHECK_TEXT` is false for one whose texts were found to be UTF-8 before.
    #[inline]
    pub(super) fn read<const CHECK_TEXT: bool>(member: &'a [u8]) -> Result<Self, Reject> {
        if let Some(usual) = Self::read_usual(member) {
            check_text::<CHECK_TEXT>(usual.id)?;
            check_text::<CHECK_TEXT>(usual.address)?;
            check_text::<CHECK_TEXT>(usual.name)?;
            return Ok(usual);
        }
        Self::read_any::<CHECK_TEXT>(member)
    }

    /// As all senders that are known write it: every field, in ascending order, as short as can be. That takes
    /// a third of the time.
    #[inline(always)]
    fn read_usual(member: &'a [u8]) -> Option<Self> {
        let mut fields = Usual { rest: member };
        let usual = RawMember {
            id: fields.text(tag(1, BYTES))?,
            incarnation: fields.number(tag(2, VARINT))?.into(),
            address: fields.text(tag(3, BYTES))?,
            swim_port: u16::try_from(fields.number(tag(4, VARINT))?).ok()?,
            gossip_port: u16::try_from(fields.number(tag(5, VARINT))?).ok()?,
            persistent: fields.flag(tag(6, VARINT))?,
            departed: fields.flag(tag(7, VARINT))?,
            probe_ping: fields.flag(tag(8, VARINT))?,
            features: fields
                .extension(FEATURES)
                .map_or(Some(0), Usual::small)?
                .into(),
            name: fields.extension(NAME).map_or(Some(&[][..]), Usual::short)?,
        };
        fields.rest.is_empty().then_some(usual)
    }

    /// In any other way.
    #[cold]
    fn read_any<const CHECK_TEXT: bool>(member: &'a [u8]) -> Result<Self, Reject> {
        let mut fields = Fields::new(member);
        let (mut id, mut incarnation) = (None, 0);
        let mut address: &[u8] = &[];
        let (mut swim_port, mut gossip_port) = (None, None);
        let (mut persistent, mut departed, mut probe_ping) = (false, false, false);
        let mut features = 0;
        let mut name: &[u8] = &[];
        while let Some(field) = fields.next()? {
            match field {
                (1, Value::Bytes(text)) => id = Some(text),
                (2, Value::Varint(number)) => incarnation = number,
                (3, Value::Bytes(text)) => address = text,
                (4, Value::Varint(number)) => swim_port = Some(port(number)?),
                (5, Value::Varint(number)) => gossip_port = Some(port(number)?),
                (6, Value::Varint(number)) => persistent = number != 0,
                (7, Value::Varint(number)) => departed = number != 0,
                (8, Value::Varint(number)) => probe_ping = number != 0,
                (100, Value::Varint(number)) => features = uint32(number)?,
                (101, Value::Bytes(text)) => name = text,
                _ => {}
            }
            if let (1 | 3 | 101, Value::Bytes(text)) = field {
                check_text::<CHECK_TEXT>(text)?;
            }
        }
        Ok(RawMember {
            id: id.ok_or(Reject::MissingField)?,
            incarnation,
            address,
            swim_port: swim_port.ok_or(Reject::MissingField)?,
            gossip_port: gossip_port.ok_or(Reject::MissingField)?,
            persistent,
            departed,
            probe_ping,
            features,
            name,
        })
    }

    /// Its address; `None` for an empty one, `BadAddress` for what is no IP address.
    #[inline(always)]
    pub(super) fn ip(&self) -> Result<Option<IpAddr>, Reject> {
        match self.address {
            [] => Ok(None),
            text => parse_ip(text).map(Some).ok_or(Reject::BadAddress),
        }
    }

    /// The record, at this address; `BadId` or `BadIncarnation` if it cannot be one.
    #[inline(always)]
    pub(super) fn record(&self, address: Option<IpAddr>) -> Result<MemberRecord<'a>, Reject> {
        Ok(MemberRecord {
            id: MemberId::from_hex(self.id).ok_or(Reject::BadId)?,
            incarnation: Incarnation::new(self.incarnation).ok_or(Reject::BadIncarnation)?,
            address,
            swim_port: self.swim_port,
            gossip_port: self.gossip_port,
            persistent: self.persistent,
            departed: self.departed,
            probe_ping: self.probe_ping,
            features: self.features,
            name: match self.name {
                [] => "",
                name => cut_name(std::str::from_utf8(name).map_err(|_| Reject::BadUtf8)?),
            },
        })
    }
}

/// A cursor over fields that are all there and in order; what is longer than usual ends it.
struct Usual<'a> {
    rest: &'a [u8],
}

impl<'a> Usual<'a> {
    /// A number below 2²¹.
    #[inline(always)]
    fn number(&mut self, tag: u8) -> Option<u32> {
        let (number, rest) = match *self.rest {
            [t, a, ref rest @ ..] if t == tag && a < 0x80 => (a.into(), rest),
            [t, a, b, ref rest @ ..] if t == tag && b < 0x80 => {
                (u32::from(a & 0x7f) | u32::from(b) << 7, rest)
            }
            [t, a, b, c, ref rest @ ..] if t == tag && c < 0x80 => {
                let low = u32::from(a & 0x7f) | u32::from(b & 0x7f) << 7;
                (low | u32::from(c) << 14, rest)
            }
            _ => return None,
        };
        self.rest = rest;
        Some(number)
    }

    #[inline(always)]
    fn flag(&mut self, tag: u8) -> Option<bool> {
        match *self.rest {
            [t, flag @ (0 | 1), ref rest @ ..] if t == tag => {
                self.rest = rest;
                Some(flag == 1)
            }
            _ => None,
        }
    }

    #[inline(always)]
    fn text(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.rest = self.rest.strip_prefix(&[tag])?;
        self.short()
    }

    /// The cursor behind this tag of an extension, if that is what comes.
    #[inline(always)]
    fn extension(&mut self, tag: [u8; 2]) -> Option<&mut Self> {
        self.rest = self.rest.strip_prefix(&tag)?;
        Some(self)
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

#[inline(always)]
fn check_text<const CHECK: bool>(text: &[u8]) -> Result<(), Reject> {
    // Nearly every text is ASCII, which is quicker to see.
    if !CHECK || text.is_ascii() || std::str::from_utf8(text).is_ok() {
        Ok(())
    } else {
        Err(Reject::BadUtf8)
    }
}

/// A varint as a port. An int32 out of its range is a bad port too.
#[inline(always)]
fn port(varint: u64) -> Result<u16, Reject> {
    u16::try_from(varint).map_err(|_| Reject::BadPort)
}
