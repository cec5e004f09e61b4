//! A `Member` as it stands on the wire: its form checked, its id and address not yet read.

use std::net::IpAddr;

use super::field::{Fields, Value, uint32};
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
    #[inline(always)]
    pub(super) fn read<const CHECK_TEXT: bool>(member: &'a [u8]) -> Result<Self, Reject> {
        let mut fields = Fields::new(member);
        // Each field in the order in which senders write them, then whatever is left in any order.
        let mut id = fields.bytes_if(1)?;
        check_text::<CHECK_TEXT>(id.unwrap_or_default())?;
        let mut incarnation = fields.varint_if(2)?.unwrap_or(0);
        let mut address = fields.bytes_if(3)?.unwrap_or_default();
        check_text::<CHECK_TEXT>(address)?;
        let mut swim_port = fields.varint_if(4)?.map(port).transpose()?;
        let mut gossip_port = fields.varint_if(5)?.map(port).transpose()?;
        let mut persistent = fields.varint_if(6)?.unwrap_or(0) != 0;
        let mut departed = fields.varint_if(7)?.unwrap_or(0) != 0;
        let mut probe_ping = fields.varint_if(8)?.unwrap_or(0) != 0;
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
