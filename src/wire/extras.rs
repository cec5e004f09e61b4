//! What may stand at the end of a SWIM message, behind its memberships: extensions that are about the whole message.

use std::net::IpAddr;

use super::field::{Value, Writer};
use crate::error::Reject;
use crate::limits::MAX_RING_NAME;
use crate::member::MemberId;

/// The tags of the fields, and the lengths of those of one length.
const RING: [u8; 3] = [0xfa, 0x06, 4];
const RING_NAME: [u8; 2] = [0x82, 0x07];
const TO: [u8; 3] = [0x8a, 0x07, 16];
const ASTRAY: [u8; 3] = [0x90, 0x07, 1];
const LIFE: [u8; 2] = [0x9d, 0x07];
const REFUSED: [u8; 3] = [0xa8, 0x07, 1];
const ADVERTISED: [u8; 2] = [0xc2, 0x07];

/// Their numbers.
const RING_NUMBER: u32 = 111;
const RING_NAME_NUMBER: u32 = 112;
const TO_NUMBER: u32 = 113;
const ASTRAY_NUMBER: u32 = 114;
const LIFE_NUMBER: u32 = 115;
const REFUSED_NUMBER: u32 = 117;
const ADVERTISED_NUMBER: u32 = 120;

/// Bytes of the one that stands in every plain message of ours.
pub const LIFE_BYTES: usize = LIFE.len() + 4;

/// Extensions of a whole message; mostly there are none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extras<'a> {
    /// Stands for the name of the sender's ring; 0: it says none.
    pub ring: u32,
    /// That name; empty: it does not say it in this message. Any bytes, at most [`MAX_RING_NAME`].
    pub ring_name: &'a [u8],
    /// The member that this message is for.
    pub to: Option<MemberId>,
    /// It answers a message that was meant for another member, or came from another ring.
    pub astray: bool,
    /// The sender is reached at this address, and its `swim_port`, though its datagrams may come from another one.
    pub advertised: Option<IpAddr>,
    /// Which of its sender's lives it is from; 0: it does not say.
    pub life: u32,
    /// An Ack of a helper: the system of the member that it was asked to ping says that nobody listens there.
    pub refused: bool,
}

/// What tells a life of a member from its others, by the epoch in which it began: never 0.
#[inline]
pub fn life_of(epoch: u64) -> u32 {
    (epoch as u32).max(1)
}

impl<'a> Extras<'a> {
    /// Takes in a field of the message if it is one of these.
    ///
    /// # Errors
    /// It has not the length of its type.
    #[cold]
    pub(super) fn read(&mut self, number: u32, value: Value<'a>) -> Result<(), Reject> {
        match (number, value) {
            (RING_NUMBER, Value::Bytes(hash)) => {
                let hash = hash.try_into().map_err(|_| Reject::Malformed)?;
                self.ring = u32::from_le_bytes(hash);
            }
            (RING_NAME_NUMBER, Value::Bytes(name)) => {
                self.ring_name = name.get(..MAX_RING_NAME).unwrap_or(name);
            }
            (TO_NUMBER, Value::Bytes(id)) => {
                let id = id.try_into().map_err(|_| Reject::Malformed)?;
                self.to = Some(MemberId::from_bytes(id));
            }
            (ASTRAY_NUMBER, Value::Varint(number)) => self.astray = number != 0,
            (LIFE_NUMBER, Value::Fixed32(life)) => self.life = life,
            (REFUSED_NUMBER, Value::Varint(number)) => self.refused = number != 0,
            (ADVERTISED_NUMBER, Value::Bytes(ip)) => {
                self.advertised = Some(ip_of(ip).ok_or(Reject::Malformed)?);
            }
            _ => {}
        }
        Ok(())
    }

    /// The ring's hash, the advertised address and the life, as far as these bytes begin with them, and what follows.
    #[inline]
    pub(super) fn usual(bytes: &'a [u8]) -> (Self, &'a [u8]) {
        let (ring, mut rest) = number_behind(&RING, bytes);
        let mut advertised = None;
        if let Some(field) = rest.strip_prefix(&ADVERTISED)
            && let Some((ip, behind)) = lone_ip(field)
        {
            (advertised, rest) = (Some(ip), behind);
        }
        let (life, rest) = number_behind(&LIFE, rest);
        let extras = Extras {
            ring,
            advertised,
            life,
            ..Extras::default()
        };
        (extras, rest)
    }

    /// Bytes that they take.
    #[inline]
    pub fn len(&self) -> usize {
        let ring = if self.ring == 0 { 0 } else { RING.len() + 4 };
        let name = match self.ring_name.len() {
            0 => 0,
            len => RING_NAME.len() + 1 + len,
        };
        let to = self.to.map_or(0, |_| TO.len() + 16);
        let astray = if self.astray { ASTRAY.len() } else { 0 };
        let advertised = match self.advertised {
            None => 0,
            Some(IpAddr::V4(_)) => ADVERTISED.len() + 1 + 4,
            Some(IpAddr::V6(_)) => ADVERTISED.len() + 1 + 16,
        };
        let life = if self.life == 0 { 0 } else { LIFE_BYTES };
        let refused = if self.refused { REFUSED.len() } else { 0 };
        ring + name + to + astray + advertised + life + refused
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Writes them to the beginning of these bytes, which are as many as they take.
    pub fn write(&self, out: &mut [u8]) {
        let mut out = Writer::new(out, 0);
        if self.ring != 0 {
            out.bytes(&RING);
            out.bytes(&self.ring.to_le_bytes());
        }
        if !self.ring_name.is_empty() {
            out.bytes(&RING_NAME);
            out.byte(self.ring_name.len() as u8);
            out.bytes(self.ring_name);
        }
        if let Some(to) = &self.to {
            out.bytes(&TO);
            out.bytes(to.as_bytes());
        }
        if self.astray {
            out.bytes(&ASTRAY);
        }
        match self.advertised {
            None => {}
            Some(IpAddr::V4(ip)) => {
                out.bytes(&ADVERTISED);
                out.byte(4);
                out.bytes(&ip.octets());
            }
            Some(IpAddr::V6(ip)) => {
                out.bytes(&ADVERTISED);
                out.byte(16);
                out.bytes(&ip.octets());
            }
        }
        if self.life != 0 {
            out.bytes(&LIFE);
            out.bytes(&self.life.to_le_bytes());
        }
        if self.refused {
            out.bytes(&REFUSED);
        }
    }
}

/// An address in 4 or 16 bytes; an IPv4-mapped one is the IPv4 address that it stands for.
fn ip_of(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        return Some(v4.into());
    }
    let v6 = <[u8; 16]>::try_from(bytes).ok()?;
    Some(IpAddr::from(v6).to_canonical())
}

/// The same with its length before it, and what follows.
fn lone_ip(field: &[u8]) -> Option<(IpAddr, &[u8])> {
    let (len, rest) = field.split_first()?;
    let (ip, rest) = rest.split_at_checked((*len).into())?;
    Some((ip_of(ip)?, rest))
}

/// The number behind this tag, if that is what these bytes begin with, else 0; and what follows.
#[inline]
fn number_behind<'a>(tag: &[u8], bytes: &'a [u8]) -> (u32, &'a [u8]) {
    let number = bytes
        .strip_prefix(tag)
        .and_then(|rest| rest.split_first_chunk());
    number.map_or((0, bytes), |(number, rest)| {
        (u32::from_le_bytes(*number), rest)
    })
}

#[cfg(test)]
mod tests {
    use protobuf::Message as _;

    use super::*;
    use crate::wire::{MemberRecord, Message, decode, decode_usual, swim::Encoder};

    fn ping() -> Vec<u8> {
        let from = MemberRecord {
            id: MemberId::from_bytes([7; 16]),
            incarnation: crate::member::Incarnation::ZERO,
            address: None,
            swim_port: 1,
            gossip_port: 2,
            persistent: false,
            departed: false,
            probe_ping: false,
            features: 5,
            name: "",
        };
        let mut buf = [0; 200];
        let ping = Message::Ping {
            from,
            forward_to: None,
            probe: 9,
            digest: 0,
        };
        let len = Encoder::new(&mut buf, &ping).unwrap().finish();
        buf[..len].to_vec()
    }

    #[test]
    fn they_come_back_as_they_were_and_as_the_proto_file_says() {
        let to = Some(MemberId::from_bytes([3; 16]));
        let addresses = [None, "10.1.2.3".parse().ok(), "fd00::7".parse().ok()];
        for (bits, advertised) in (0..64).flat_map(|bits| addresses.map(|ip| (bits, ip))) {
            let extras = Extras {
                ring: if bits & 1 == 0 { 0 } else { 0x0403_0201 },
                ring_name: if bits & 2 == 0 { b"" } else { b"production" },
                to: to.filter(|_| bits & 4 != 0),
                astray: bits & 8 != 0,
                life: if bits & 16 == 0 { 0 } else { 0x89ab_cdef },
                refused: bits & 32 != 0,
                advertised,
            };
            let mut bytes = ping();
            let end = bytes.len();
            bytes.resize(end + extras.len(), 0);
            extras.write(&mut bytes[end..]);
            assert_eq!(decode(&bytes).unwrap().extras, extras);
            let usual = decode_usual(&bytes, |_| false).map(|swim| swim.extras);
            assert_eq!(usual, (bits & 46 == 0).then_some(extras), "{bits}");
            let swim = butterfly_protocols::swim::Swim::parse_from_bytes(&bytes).unwrap();
            assert_eq!(swim.ring(), &extras.ring.to_le_bytes()[..4 * (bits & 1)]);
            assert_eq!(swim.ring_name().as_bytes(), extras.ring_name);
            assert_eq!(
                swim.to(),
                to.filter(|_| bits & 4 != 0)
                    .map_or(vec![], |id| id.as_bytes().to_vec())
            );
            assert_eq!(swim.astray(), extras.astray);
            let octets = match advertised {
                None => vec![],
                Some(IpAddr::V4(ip)) => ip.octets().to_vec(),
                Some(IpAddr::V6(ip)) => ip.octets().to_vec(),
            };
            assert_eq!(swim.advertised(), octets);
            assert_eq!(swim.life(), extras.life);
            assert!(swim.special_fields.unknown_fields().iter().next().is_none());
        }
    }

    #[test]
    fn what_has_another_length_is_malformed() {
        for bad in [
            &[0xfa, 0x06, 3, 1, 2, 3][..],
            &[0xfa, 0x06, 0],
            &[0x8a, 0x07, 1, 9],
            &[0xc2, 0x07, 0],
            &[0xc2, 0x07, 6, 1, 2, 3, 4, 5, 6],
        ] {
            let bytes = [&ping(), bad].concat();
            assert_eq!(decode(&bytes).unwrap_err(), Reject::Malformed);
        }
    }
}
