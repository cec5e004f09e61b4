//! What the virtual network does to a message: between all members alike, at the link of one, and between
//! two.

use std::time::Duration;

use super::dice::Roll;
use super::fault::{Fault, FaultCounts};
use crate::time::Time;

/// What happens between all members alike. Shares are from 0 to 1; with 0 a fault is off. Rumors go by TCP,
/// so of these only loss (the connection dies with it) and delays happen to them.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Network {
    /// The share of messages that is lost, each by itself.
    pub loss: f64,
    /// The share of time in which a way from one member to another loses everything.
    pub burst: f64,
    /// How long such a burst lasts.
    pub burst_length: Duration,
    /// What every message takes at least.
    pub delay: Duration,
    /// The mean of what it takes on top, exponentially distributed.
    pub jitter: Duration,
    /// The share of messages that takes far longer: the rest of its delay times a number of Pareto's
    /// distribution with α = 1.1, 10 s at most.
    pub heavy_tail: f64,
    /// The share of datagrams that comes twice.
    pub duplicate: f64,
    /// The share of datagrams that is held back, so that others overtake them.
    pub reorder: f64,
    /// How long such a datagram is held back at most.
    pub reorder_by: Duration,
    /// How many datagrams bring an old one with them, of any two members.
    pub replay: f64,
    /// The share of datagrams of which one to eight bits are flipped.
    pub corrupt: f64,
    /// The share of datagrams of which the end is cut off.
    pub truncate: f64,
    /// Whether systems say that nobody listens where a process ended (ICMP port unreachable, with Linux's limits), and end
    /// its connections.
    pub icmp: bool,
    /// The share of datagrams of which somebody forges such a refusal, while they come where they should.
    pub forged: f64,
}

impl Default for Network {
    /// Nothing goes wrong; a message takes 0.5 ms and on average another 0.5 ms.
    fn default() -> Self {
        let half = Duration::from_micros(500);
        Network {
            loss: 0.0,
            burst: 0.0,
            burst_length: Duration::from_secs(2),
            delay: half,
            jitter: half,
            heavy_tail: 0.0,
            duplicate: 0.0,
            reorder: 0.0,
            reorder_by: Duration::from_millis(100),
            replay: 0.0,
            corrupt: 0.0,
            truncate: 0.0,
            icmp: false,
            forged: 0.0,
        }
    }
}

/// The longest that a message is on its way because of a heavy tail.
const LONGEST: Duration = Duration::from_secs(10);

impl Network {
    /// How long a message takes.
    pub(super) fn delay(&self, roll: Roll, counts: &mut FaultCounts) -> Duration {
        let spread = -libm::log(1.0 - roll.again().share(Fault::Loss));
        let mut delay = self.delay + self.jitter.mul_f64(spread);
        if roll.hits(Fault::HeavyTail, self.heavy_tail) {
            const ALPHA: f64 = 1.1;
            let share = 1.0 - roll.again().share(Fault::HeavyTail);
            delay = LONGEST.min(delay.mul_f64(libm::pow(share, -1.0 / ALPHA).min(1e6)));
            counts.add(Fault::HeavyTail);
        }
        delay
    }

    /// How much longer a datagram takes that is held back.
    pub(super) fn held_back(&self, roll: Roll, counts: &mut FaultCounts) -> Duration {
        if !roll.hits(Fault::Reorder, self.reorder) {
            return Duration::ZERO;
        }
        counts.add(Fault::Reorder);
        self.reorder_by.mul_f64(roll.again().share(Fault::Reorder))
    }

    /// Damages the datagram, or leaves it as it is.
    pub(super) fn tamper(&self, datagram: &mut Vec<u8>, roll: Roll, counts: &mut FaultCounts) {
        if roll.hits(Fault::Truncate, self.truncate) && !datagram.is_empty() {
            datagram.truncate(roll.again().bits(Fault::Truncate) as usize % datagram.len());
            counts.add(Fault::Truncate);
        }
        if roll.hits(Fault::Corrupt, self.corrupt) && !datagram.is_empty() {
            let mut which = roll.again();
            for _ in 0..=which.bits(Fault::Corrupt) % 8 {
                which = which.again();
                let bit = which.bits(Fault::Corrupt) as usize % (datagram.len() * 8);
                datagram[bit / 8] ^= 1 << (bit % 8);
            }
            counts.add(Fault::Corrupt);
        }
    }
}

/// What happens at one member's link, beside what happens everywhere.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Link {
    /// The share of what it sends that is lost.
    pub loss_out: f64,
    /// The share of what is sent to it that is lost.
    pub loss_in: f64,
    /// Takes nothing in for so long, then everything for as long, and so on.
    pub flip_flop: Option<Duration>,
    /// Whether it carries datagrams.
    pub udp: bool,
    /// Whether it carries those that are sent to it.
    pub udp_in: bool,
    /// Whether it carries rumors.
    pub tcp: bool,
    /// Datagrams with more bytes than this vanish, coming and going.
    pub largest: usize,
    /// Somebody forges a refusal of each datagram that is sent to it.
    pub forged: bool,
}

impl Default for Link {
    /// Everything goes through.
    fn default() -> Self {
        Link {
            loss_out: 0.0,
            loss_in: 0.0,
            flip_flop: None,
            udp: true,
            udp_in: true,
            tcp: true,
            largest: usize::MAX,
            forged: false,
        }
    }
}

impl Link {
    /// Whether nothing comes in at this moment.
    pub(super) fn is_shut(&self, now: Time) -> bool {
        self.flip_flop.is_some_and(|every| {
            let every = u64::try_from(every.as_micros()).unwrap_or(u64::MAX).max(1);
            (now.as_micros() / every).is_multiple_of(2)
        })
    }
}
