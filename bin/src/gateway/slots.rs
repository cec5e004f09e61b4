//! Which client a newcomer takes the place of: a decision about what the gateway holds, apart from its sockets.
//!
//! A newcomer always gets a place while anybody holds one without having a claim to it: the first request has to
//! come in before the gateway can know whose it is.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

/// The most clients at a time.
pub const MAX_CONNECTIONS: usize = 64;
/// Of these, places that strangers cannot have where there is a token: they are for clients that carry it.
pub const RESERVED: usize = 16;
/// A client that has not taken any of its answer for so long loses its place to a newcomer.
const STALLED: Duration = Duration::from_secs(1);

/// Where a client connects from: an address, or a network whose addresses one machine can choose from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source(IpAddr);

impl Source {
    /// All of loopback, and each Unix socket.
    pub fn this_machine() -> Self {
        Source(Ipv6Addr::LOCALHOST.into())
    }

    /// All of loopback is one source, as is an IPv6 /64.
    pub fn of(addr: SocketAddr) -> Self {
        match addr.ip().to_canonical() {
            ip if ip.is_loopback() => Source::this_machine(),
            IpAddr::V6(ip) => {
                let network = ip.to_bits() & !u128::from(u64::MAX);
                Source(Ipv6Addr::from_bits(network).into())
            }
            ip => Source(ip),
        }
    }
}

/// What a client has done to deserve its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing yet: it is silent, its request is unfinished or was refused, or all its answers are sent.
    Waiting,
    /// Its request was let through, and it is sent the answer.
    Answering,
    /// Its last request carried the token, and is answered.
    TokenIdle,
    /// Its last request carried the token, and is being answered, or the next one is on its way.
    TokenBusy,
}

impl Standing {
    fn has_token(self) -> bool {
        matches!(self, Standing::TokenIdle | Standing::TokenBusy)
    }
}

/// A client, as far as its place is concerned.
#[derive(Clone, Copy, Debug)]
pub struct Holder {
    pub source: Source,
    pub standing: Standing,
    /// It was answered before.
    pub was_answered: bool,
    /// When it came to this standing, or when it last took a part of its answer. A byte from it changes nothing.
    pub since: Instant,
}

/// The place for a newcomer: a free one, or one whose holder has to go. `None`: all are rightly held.
pub fn place_for(
    newcomer: Source,
    slots: impl Iterator<Item = Option<Holder>> + Clone,
    has_token: bool,
    now: Instant,
) -> Option<usize> {
    let most = MAX_CONNECTIONS - if has_token { RESERVED } else { 0 };
    let holders = slots.clone().flatten();
    let strangers = holders.filter(|holder| !holder.standing.has_token());
    let free = slots.clone().position(|slot| slot.is_none());
    free.filter(|_| strangers.count() < most)
        .or_else(|| victim(newcomer, slots, now))
}

/// Whose place a newcomer takes, if no more clients can be held: first that of a stranger who waits, from the source
/// with the most of them (one that was answered, before one that has yet to say who it is), then that of a stranger who takes nothing, then that of the longest idle client.
pub fn victim(
    newcomer: Source,
    slots: impl Iterator<Item = Option<Holder>> + Clone,
    now: Instant,
) -> Option<usize> {
    let holders = slots
        .enumerate()
        .filter_map(|(slot, holder)| Some((slot, holder?)));
    let waiting = holders
        .clone()
        .filter(|(_, holder)| holder.standing == Standing::Waiting);
    let held_by = |source: Source| {
        let held = waiting
            .clone()
            .filter(|(_, holder)| holder.source == source);
        held.count() + usize::from(source == newcomer)
    };
    // The oldest of the greatest source: `min` of what is reversed.
    let rank = |(slot, holder): (usize, Holder)| {
        let share = usize::MAX - held_by(holder.source);
        (share, !holder.was_answered, holder.since, slot)
    };
    let first = waiting.clone().map(rank).min().map(|(.., slot)| slot);
    let oldest = |standing: Standing, least: Duration| {
        let old = holders.clone().filter(move |(_, holder)| {
            holder.standing == standing && now.saturating_duration_since(holder.since) >= least
        });
        let oldest = old.map(|(slot, holder)| (holder.since, slot)).min();
        oldest.map(|(_, slot)| slot)
    };
    first
        .or_else(|| oldest(Standing::Answering, STALLED))
        .or_else(|| oldest(Standing::TokenIdle, Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        Source::of(SocketAddr::new(text.parse().unwrap(), 1))
    }

    /// Clients as they are held, each younger than the one before.
    struct Slots {
        slots: Vec<Option<Holder>>,
        start: Instant,
    }

    impl Slots {
        fn new() -> Self {
            Slots {
                slots: vec![None; MAX_CONNECTIONS],
                start: Instant::now(),
            }
        }

        fn now(&self) -> Instant {
            self.start + Duration::from_secs(60)
        }

        fn fill(&mut self, range: std::ops::Range<usize>, from: &str, standing: Standing) {
            for slot in range {
                self.slots[slot] = Some(Holder {
                    source: source(from),
                    standing,
                    was_answered: false,
                    since: self.start + Duration::from_millis(slot as u64),
                });
            }
        }

        fn place(&self, from: &str, has_token: bool) -> Option<usize> {
            let slots = self.slots.iter().copied();
            place_for(source(from), slots, has_token, self.now())
        }
    }

    #[test]
    fn unfinished_requests_make_room_the_oldest_first() {
        let mut slots = Slots::new();
        slots.fill(0..MAX_CONNECTIONS, "192.0.2.1", Standing::Waiting);
        assert_eq!(slots.place("192.0.2.1", false), Some(0));
        slots.fill(0..1, "192.0.2.1", Standing::Answering);
        assert_eq!(slots.place("192.0.2.1", false), Some(1));
    }

    #[test]
    fn who_was_answered_makes_room_before_who_has_yet_to_ask() {
        let mut slots = Slots::new();
        slots.fill(0..MAX_CONNECTIONS, "192.0.2.1", Standing::Waiting);
        for slot in slots.slots.iter_mut().skip(9).flatten() {
            slot.was_answered = true;
        }
        assert_eq!(slots.place("192.0.2.1", false), Some(9));
    }

    #[test]
    fn strangers_never_have_the_places_of_clients_with_the_token() {
        let mut slots = Slots::new();
        let most = MAX_CONNECTIONS - RESERVED;
        slots.fill(0..most, "192.0.2.1", Standing::Waiting);
        assert_eq!(slots.place("192.0.2.9", true), Some(0), "places are free");
        assert_eq!(slots.place("192.0.2.9", false), Some(most));
        // Once it has shown the token, another stranger gets in.
        slots.fill(5..6, "192.0.2.9", Standing::TokenBusy);
        assert_eq!(slots.place("192.0.2.1", true), Some(most));
    }

    #[test]
    fn a_source_with_many_places_does_not_push_out_others() {
        let mut slots = Slots::new();
        slots.fill(0..1, "192.0.2.9", Standing::Waiting);
        slots.fill(1..MAX_CONNECTIONS, "192.0.2.1", Standing::Waiting);
        assert_eq!(slots.place("192.0.2.1", false), Some(1));
        assert_eq!(slots.place("192.0.2.9", false), Some(1));
        assert_eq!(slots.place("192.0.2.7", false), Some(1));
        // With as many each, a newcomer pays for its own source.
        slots.fill(0..32, "192.0.2.9", Standing::Waiting);
        assert_eq!(slots.place("192.0.2.1", false), Some(32));
    }

    #[test]
    fn a_client_that_is_answered_stays_unless_it_takes_nothing() {
        let mut slots = Slots::new();
        slots.fill(0..MAX_CONNECTIONS, "192.0.2.1", Standing::Answering);
        for slot in slots.slots.iter_mut().flatten() {
            slot.since = slots.start + Duration::from_secs(60);
        }
        assert_eq!(slots.place("192.0.2.2", false), None);
        slots.fill(7..8, "192.0.2.1", Standing::Answering);
        assert_eq!(slots.place("192.0.2.2", false), Some(7));
    }

    #[test]
    fn a_client_with_the_token_goes_last_and_only_while_it_is_idle() {
        let mut slots = Slots::new();
        slots.fill(0..MAX_CONNECTIONS, "192.0.2.1", Standing::TokenBusy);
        assert_eq!(slots.place("192.0.2.2", true), None);
        slots.fill(3..5, "192.0.2.1", Standing::TokenIdle);
        assert_eq!(slots.place("192.0.2.2", true), Some(3));
        slots.fill(9..10, "192.0.2.1", Standing::Waiting);
        assert_eq!(slots.place("192.0.2.2", true), Some(9));
    }

    #[test]
    fn a_machine_is_one_source_whichever_of_its_addresses_it_uses() {
        for (one, other) in [
            ("127.0.0.1", "127.99.0.7"),
            ("127.0.0.1", "::1"),
            ("2001:db8::1", "2001:db8::ffff:1"),
            ("192.0.2.1", "::ffff:192.0.2.1"),
        ] {
            assert_eq!(source(one), source(other));
        }
        assert_ne!(source("192.0.2.1"), source("192.0.2.2"));
        assert_ne!(source("2001:db8::1"), source("2001:db8:0:1::1"));
    }
}
