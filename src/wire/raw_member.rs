//! A `Member` as it stands on the wire: its form checked, its id and address not yet read.

use std::net::IpAddr;

use super::field::{Fields, Value, uint32};
use super::record::MemberRecord;
use super::text::{cut_name, parse_ip};
use super::usual;
use crate::error::Reject;
use crate::member::{Incarnation, MemberId};

pub(super) struct RawMember<'a> {
    pub(super) id: &'a [u8],
    pub(super) incarnation: u64,
    pub(super) address: &'a [u8],
    pub(super) swim_port: u16,
    pub(super) gossip_port: u16,
    pub(super) persistent: bool,
    pub(super) departed: bool,
    pub(super) probe_ping: bool,
    pub(super) features: u32,
    pub(super) name: &'a [u8],
}

impl<'a> RawMember<'a> {
    /// Reads the fields, with every check that a member has to pass wherever it stands.
    ///
    /// `CHECK_TEXT` is false for one whose texts were found to be UTF-8 before.
    #[inline(always)]
    pub(super) fn read<const CHECK_TEXT: bool>(member: &'a [u8]) -> Result<Self, Reject> {
        match usual::member(member) {
            Some(usual) => {
                check_text::<CHECK_TEXT>(usual.id)?;
                check_text::<CHECK_TEXT>(usual.address)?;
                check_text::<CHECK_TEXT>(usual.name)?;
                Ok(usual)
            }
            None => Self::read_any::<CHECK_TEXT>(member),
        }
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
