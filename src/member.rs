//! The nouns of membership: who a member is, how fresh a record of it is, and how it fares.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use rand::{Rng, RngExt};

/// Why other members cannot reach a host at this address, in words that follow "it is"; `None`: they can, for all
/// that the address alone tells.
pub(crate) fn unreachable_address(ip: IpAddr) -> Option<&'static str> {
    match ip.to_canonical() {
        ip if ip.is_unspecified() => Some("no address of a host"),
        ip if ip.is_multicast() => Some("a multicast address, and no host's"),
        IpAddr::V4(ip) if ip.is_broadcast() => Some("the broadcast address, and no host's"),
        IpAddr::V6(ip) if ip.is_unicast_link_local() => Some(
            "a link-local address, which means nothing without an interface, and members cannot tell each other theirs",
        ),
        _ => None,
    }
}

/// Who a member is: 16 bytes, written as 32 lowercase hexadecimal digits (a v4 UUID without dashes).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberId([u8; 16]);

impl MemberId {
    /// The id under which tools look at a ring without becoming a member of it (`butterfly ping`).
    ///
    /// One constant, so that a ring of peers that do not know observers gets at most one row of it.
    pub const OBSERVER: MemberId = MemberId(*b"\x0bfly-observer\0\0\0");

    /// Nobody's id: all zeroes.
    pub const NIL: MemberId = MemberId([0; 16]);

    /// The id with these bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        MemberId(bytes)
    }

    /// Its bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// A fresh v4 UUID.
    pub(crate) fn random(rng: &mut impl Rng) -> Self {
        let mut bytes: [u8; 16] = rng.random();
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        MemberId(bytes)
    }

    /// Reads exactly 32 lowercase hexadecimal digits; anything else is `None`.
    pub fn from_hex(hex: &[u8]) -> Option<Self> {
        let digits: &[u8; 32] = hex.try_into().ok()?;
        // Without a branch for each digit, so that the compiler takes many at once: this is on the way of
        // every packet.
        let mut nibbles = [0; 32];
        let mut bad = false;
        for (nibble, &digit) in nibbles.iter_mut().zip(digits) {
            let number = digit.wrapping_sub(b'0');
            let letter = digit.wrapping_sub(b'a');
            *nibble = if number < 10 {
                number
            } else {
                letter.wrapping_add(10)
            };
            bad |= number >= 10 && letter >= 6;
        }
        let mut bytes = [0; 16];
        for (byte, [high, low]) in bytes.iter_mut().zip(nibbles.as_chunks().0) {
            *byte = high << 4 | low;
        }
        (!bad).then_some(MemberId(bytes))
    }

    /// Its 32 lowercase hexadecimal digits, as they stand on the wire.
    pub fn to_hex(self) -> [u8; 32] {
        let mut hex = [0; 32];
        for (pair, byte) in hex.as_chunks_mut().0.iter_mut().zip(self.0) {
            *pair = [hex_digit(byte >> 4), hex_digit(byte & 0xf)];
        }
        hex
    }
}

/// Computed, not looked up, so that the compiler takes many at once.
const fn hex_digit(nibble: u8) -> u8 {
    nibble + if nibble < 10 { b'0' } else { b'a' - 10 }
}

impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hex = self.to_hex();
        f.pad(std::str::from_utf8(&hex).unwrap_or_default())
    }
}

impl fmt::Debug for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is no [`MemberId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[error("a member id is 32 lowercase hexadecimal digits")]
pub struct ParseMemberIdError;

impl FromStr for MemberId {
    type Err = ParseMemberIdError;

    fn from_str(text: &str) -> Result<Self, ParseMemberIdError> {
        MemberId::from_hex(text.as_bytes()).ok_or(ParseMemberIdError)
    }
}

/// How fresh a record of a member is: only the member itself raises it, and the higher one wins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation(u64);

impl Incarnation {
    /// Where a member without a past begins.
    pub const ZERO: Incarnation = Incarnation(0);
    /// The highest that is accepted, 2⁶² − 1 (PROTOCOL.md §2).
    pub const MAX: Incarnation = Incarnation((1 << 62) - 1);

    /// The incarnation with this number; `None` above [`Incarnation::MAX`].
    pub const fn new(number: u64) -> Option<Self> {
        if number <= Self::MAX.0 {
            Some(Incarnation(number))
        } else {
            None
        }
    }

    /// Its number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The one after it; stays at [`Incarnation::MAX`].
    pub const fn next(self) -> Self {
        self.plus(1)
    }

    /// The one `steps` after it; stays at [`Incarnation::MAX`].
    pub const fn plus(self, steps: u64) -> Self {
        let sum = self.0.saturating_add(steps);
        if sum > Self::MAX.0 {
            Self::MAX
        } else {
            Incarnation(sum)
        }
    }
}

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// How a member fares, from best to worst: at equal incarnations the worse wins (PROTOCOL.md §2). The wire has
/// no others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Health {
    /// It answers, or nobody has said otherwise.
    Alive = 1,
    /// It did not answer a probe, and may still refute that.
    Suspect = 2,
    /// Nobody vouched for it in time: it counts as dead.
    Confirmed = 3,
    /// It left, or was dead for so long that it is given up.
    Departed = 4,
}

impl Health {
    /// All of them, from best to worst.
    pub const ALL: [Health; 4] = [
        Health::Alive,
        Health::Suspect,
        Health::Confirmed,
        Health::Departed,
    ];

    /// Its lowercase name, as the program prints it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Health::Alive => "alive",
            Health::Suspect => "suspect",
            Health::Confirmed => "confirmed",
            Health::Departed => "departed",
        }
    }

    /// The health with this number on the wire.
    pub const fn from_wire(number: u64) -> Option<Health> {
        match number {
            1 => Some(Health::Alive),
            2 => Some(Health::Suspect),
            3 => Some(Health::Confirmed),
            4 => Some(Health::Departed),
            _ => None,
        }
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What a ring knows of a member, its health aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Member {
    /// Who it is.
    pub id: MemberId,
    /// How fresh this record is.
    pub incarnation: Incarnation,
    /// Where it is; never IPv4-mapped.
    pub ip: IpAddr,
    /// Its UDP port.
    pub swim_port: u16,
    /// The TCP port for gossip.
    pub gossip_port: u16,
    /// Probed for ever, whatever its health, so that partitions heal through it.
    pub persistent: bool,
    /// It left of its own will.
    pub departed: bool,
}

impl Member {
    /// A member of the first incarnation there, with the same port for gossip.
    pub fn new(id: MemberId, swim_addr: SocketAddr) -> Self {
        Member {
            id,
            incarnation: Incarnation::ZERO,
            ip: swim_addr.ip().to_canonical(),
            swim_port: swim_addr.port(),
            gossip_port: swim_addr.port(),
            persistent: false,
            departed: false,
        }
    }

    /// Where its SWIM messages go.
    pub fn swim_addr(&self) -> SocketAddr {
        SocketAddr::new(self.ip, self.swim_port)
    }
}

/// What stands behind an accusation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Evidence {
    /// The member does not answer, and nor does its system.
    Silent,
    /// The member does not answer, but its system does for it: its process stands still.
    Stalled,
    /// Its system says that nobody listens at its port: the process is gone.
    Refused,
}

impl Evidence {
    /// What a member is called that is accused so.
    pub const fn as_str(self) -> &'static str {
        match self {
            Evidence::Silent => "silent",
            Evidence::Stalled => "stalled",
            Evidence::Refused => "gone",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_survives_its_text() {
        let text = "0123456789abcdef0123456789abcdef";
        let id: MemberId = text.parse().unwrap();
        assert_eq!(id.to_string(), text);
        assert_eq!(MemberId::from_bytes(*id.as_bytes()), id);
    }

    #[test]
    fn what_is_no_id_is_refused() {
        for text in [
            "",
            "0123456789abcdef0123456789abcde",
            "0123456789abcdef0123456789abcdef0",
            "0123456789ABCDEF0123456789abcdef",
            "0123456789abcdef-0123456789abcde",
        ] {
            assert_eq!(text.parse::<MemberId>(), Err(ParseMemberIdError), "{text}");
        }
    }

    #[test]
    fn incarnations_stop_at_their_maximum() {
        assert_eq!(Incarnation::new(1 << 62), None);
        assert_eq!(Incarnation::MAX.next(), Incarnation::MAX);
        assert_eq!(Incarnation::ZERO.next().get(), 1);
    }
}
