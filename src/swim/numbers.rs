//! Keyed numbers: those of questions, which only who is asked there can know, so that an answer proves its address; and
//! those that stand for members and networks.

use std::net::{IpAddr, SocketAddr};

use dryoc::classic::crypto_shorthash::{Hash as ShortHash, crypto_shorthash};
use rand::RngExt;
use rand::rngs::StdRng;

use super::outbox::Compare;
use super::replay::Turn;
use crate::member::MemberId;

/// Whether who is asked wanted to be told the table.
const WANTS_TABLE: u64 = 1 << 48;

/// Whether the question was asked in a turn with an odd number. Below it is what only who is asked can know.
const ODD_TURN: u64 = 1 << 47;

#[derive(Hash)]
pub(super) struct Numbers {
    key: [u8; 16],
    /// Periods since the start.
    periods: u32,
}

impl Numbers {
    pub fn new(rng: &mut StdRng) -> Self {
        Numbers {
            key: rng.random(),
            periods: 0,
        }
    }

    pub fn begin_period(&mut self) {
        self.periods = self.periods.wrapping_add(1);
    }

    /// The stretch of time that this is: questions of the one before are still good.
    pub fn turn(&self) -> Turn {
        /// Periods in it.
        const PERIODS: u32 = 16;
        self.periods / PERIODS
    }

    /// A number for a ping to this address outside the probe cycle: only who gets the ping knows it, so
    /// an Ack with it proves the address. SipHash, as whoever has some numbers must not find the key, and
    /// with it those of others. It is good until the end of the turn after this one, so that an Ack with it is no use
    /// to whoever recorded it.
    pub fn question(&self, to: SocketAddr) -> u64 {
        self.question_in(self.turn(), to)
    }

    /// The same for one who may want to be told the table.
    pub fn question_of(&self, to: SocketAddr, compare: Compare) -> u64 {
        let wants_table = match compare {
            Compare::Tables => WANTS_TABLE,
            Compare::Nothing => 0,
        };
        self.question(to) | wants_table
    }

    fn question_in(&self, turn: Turn, to: SocketAddr) -> u64 {
        let mut place = [0; 22];
        place[..16].copy_from_slice(&mapped(to.ip()));
        place[16..18].copy_from_slice(&to.port().to_be_bytes());
        place[18..].copy_from_slice(&turn.to_be_bytes());
        let odd = if turn & 1 == 0 { 0 } else { ODD_TURN };
        (self.keyed(&place) & (ODD_TURN - 1) | odd).max(1)
    }

    /// In which turn a question with this number was asked, if it is one of this turn or the one before.
    pub fn turn_of(&self, number: u64) -> Turn {
        let turn = self.turn();
        let before = (turn & 1 == 0) != (number & ODD_TURN == 0);
        turn.saturating_sub(before.into())
    }

    /// Whether this address was asked a question with this number of late.
    pub fn is_question(&self, number: u64, addr: SocketAddr) -> bool {
        number & !WANTS_TABLE == self.question_in(self.turn_of(number), addr)
    }

    /// A number for a member at an address.
    pub fn place_of(&self, id: &MemberId, addr: SocketAddr) -> u64 {
        let mut place = [0; 34];
        place[..16].copy_from_slice(id.as_bytes());
        place[16..32].copy_from_slice(&mapped(addr.ip()));
        place[32..].copy_from_slice(&addr.port().to_be_bytes());
        self.keyed(&place)
    }

    /// A number for whoever sends from there: an IPv4 address or an IPv6 network, as whoever has one may have many
    /// ids; on loopback, where all members have the same address, the port too.
    pub fn informant(&self, addr: SocketAddr) -> u64 {
        let mut place = [0; 18];
        place[..16].copy_from_slice(&mapped(addr.ip()));
        if addr.ip().is_loopback() {
            place[16..].copy_from_slice(&addr.port().to_be_bytes());
        } else if addr.is_ipv6() {
            place[8..16].fill(0);
        }
        self.keyed(&place)
    }

    /// A number for whatever comes by rumors, whose senders prove nothing.
    pub fn hearsay(&self) -> u64 {
        self.keyed(b"rumor")
    }

    fn keyed(&self, bytes: &[u8]) -> u64 {
        let mut hash = ShortHash::default();
        crypto_shorthash(&mut hash, bytes, &self.key);
        u64::from_le_bytes(hash)
    }
}

/// Whether whoever answers a question with this number wanted to be told the table.
pub(super) fn wanted_table(number: u64) -> bool {
    number & WANTS_TABLE != 0
}

fn mapped(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_question_is_good_for_its_address_until_the_end_of_the_next_turn() {
        let mut numbers = Numbers::new(&mut StdRng::seed_from_u64(1));
        let here = at("10.0.0.1:9638");
        for start in 0..40 {
            let (number, table) = (
                numbers.question(here),
                numbers.question_of(here, Compare::Tables),
            );
            assert!(!wanted_table(number) && wanted_table(table));
            assert!(!numbers.is_question(number, at("10.0.0.1:9639")));
            assert!(!numbers.is_question(number, at("10.0.0.2:9638")));
            let (asked, mut later) = (numbers.turn(), numbers.periods);
            while later / 16 <= asked + 1 {
                let now = Numbers {
                    key: numbers.key,
                    periods: later,
                };
                assert!(now.is_question(number, here) && now.is_question(table, here));
                assert_eq!(now.turn_of(number), asked);
                later += 1;
            }
            let now = Numbers {
                key: numbers.key,
                periods: later,
            };
            assert!(!now.is_question(number, here), "begun in period {start}");
            numbers.begin_period();
        }
    }

    #[test]
    fn an_informant_is_an_address_or_a_network_of_ipv6() {
        let numbers = Numbers::new(&mut StdRng::seed_from_u64(1));
        let same =
            |one: &str, other: &str| numbers.informant(at(one)) == numbers.informant(at(other));
        assert!(same("10.0.0.1:1", "10.0.0.1:2") && !same("10.0.0.1:1", "10.0.0.2:1"));
        assert!(same("[2001:db8::1]:1", "[2001:db8::2]:2"));
        assert!(!same("[2001:db8::1]:1", "[2001:db8:0:1::1]:1"));
        assert!(!same("127.0.0.1:1", "127.0.0.1:2"));
    }
}
