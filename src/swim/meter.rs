//! How many answers a source may provoke that has not proved its address (PROTOCOL.md §2 lets anyone
//! make a member send: this bounds what that is good for).

use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;

use crate::limits::{METER_SLOTS, STRANGER_BURST, STRANGER_RATE};
use crate::time::Time;

/// One token bucket; full when it is not in use.
#[derive(Clone, Copy)]
struct Bucket {
    tokens: u32,
    filled: Time,
}

/// Token buckets in a table of fixed size: sources that fall into the same slot share it while it is in
/// use, so memory stays bounded whoever knocks.
pub(super) struct Meter {
    slots: Vec<Bucket>,
    /// For all that comes by rumors: whoever sends them may say that it is anybody.
    rumors: Bucket,
    key: u64,
}

impl Meter {
    pub fn new(rng: &mut StdRng) -> Self {
        Meter {
            slots: Vec::new(),
            rumors: Bucket {
                tokens: STRANGER_BURST,
                filled: Time::ZERO,
            },
            key: rng.random(),
        }
    }

    /// Whether this source may have one more answer now.
    pub fn allow(&mut self, now: Time, source: IpAddr) -> bool {
        if self.slots.is_empty() {
            let full = Bucket {
                tokens: STRANGER_BURST,
                filled: now,
            };
            self.slots.resize(METER_SLOTS, full);
        }
        let source = self.network(source);
        let slot = source as usize % METER_SLOTS;
        let bucket = self.slots.get_mut(slot);
        bucket.is_some_and(|bucket| bucket.take(now, 1))
    }

    /// Whether something that came by a rumor may provoke one more answer now. It takes as much as a datagram does, which
    /// has to be allowed itself before what stands in it may provoke something.
    pub fn allow_rumor(&mut self, now: Time) -> bool {
        self.rumors.take(now, 2)
    }

    /// A keyed number for the source: an IPv4 address, or the /64 of an IPv6 address, of which whoever
    /// has one has them all.
    fn network(&self, source: IpAddr) -> u64 {
        let bits = match source {
            IpAddr::V4(ip) => ip.to_bits().into(),
            IpAddr::V6(ip) => (ip.to_bits() >> 64) as u64,
        };
        super::table::mix(bits ^ self.key)
    }
}

/// It says who may provoke answers, and counts those that are rejected, too: it is no part of what a member holds.
impl Hash for Meter {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

impl Bucket {
    /// Takes so many tokens, if there are as many.
    fn take(&mut self, now: Time, tokens: u32) -> bool {
        self.refill(now);
        let left = self.tokens.checked_sub(tokens);
        self.tokens = left.unwrap_or(self.tokens);
        left.is_some()
    }

    fn refill(&mut self, now: Time) {
        let micros = now.since(self.filled).as_micros();
        let earned = micros * u128::from(STRANGER_RATE) / 1_000_000;
        if earned >= u128::from(STRANGER_BURST - self.tokens) {
            (self.tokens, self.filled) = (STRANGER_BURST, now);
        } else if earned > 0 {
            self.tokens += earned as u32;
            // What is left over of the time earns the next token.
            self.filled +=
                Duration::from_micros(earned as u64 * 1_000_000 / u64::from(STRANGER_RATE));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use rand::SeedableRng;

    use super::*;

    fn allowed(meter: &mut Meter, now: Time, source: IpAddr, tries: u32) -> u32 {
        (0..tries)
            .map(|_| u32::from(meter.allow(now, source)))
            .sum()
    }

    #[test]
    fn a_source_has_a_burst_and_then_a_rate() {
        let mut meter = Meter::new(&mut StdRng::seed_from_u64(1));
        let source = Ipv4Addr::new(192, 0, 2, 1).into();
        let start = Time::from_millis(5_000);
        assert_eq!(allowed(&mut meter, start, source, 1_000), STRANGER_BURST);
        let mut later = 0;
        for millis in 0..10_000 {
            let now = start + Duration::from_millis(millis);
            later += u32::from(meter.allow(now, source));
        }
        assert!(
            (STRANGER_RATE * 9..=STRANGER_RATE * 10).contains(&later),
            "{later}"
        );
    }

    #[test]
    fn rumors_together_provoke_half_as_much_as_one_source() {
        let mut meter = Meter::new(&mut StdRng::seed_from_u64(1));
        let start = Time::from_millis(5_000);
        let mut provoked = |now| (0..1_000).filter(|_| meter.allow_rumor(now)).count();
        assert_eq!(provoked(start) as u32, STRANGER_BURST / 2);
        let later = provoked(start + Duration::from_millis(500));
        assert_eq!(later as u32, STRANGER_RATE / 4);
    }

    #[test]
    fn one_source_does_not_spend_anothers_answers() {
        let mut meter = Meter::new(&mut StdRng::seed_from_u64(1));
        let start = Time::from_millis(5_000);
        allowed(&mut meter, start, Ipv4Addr::new(192, 0, 2, 1).into(), 1_000);
        assert_eq!(
            allowed(&mut meter, start, Ipv4Addr::new(192, 0, 2, 2).into(), 5),
            5
        );
    }
}
