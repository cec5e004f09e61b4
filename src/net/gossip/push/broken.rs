//! Living peers with whom no connection comes about, told once it has lasted.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::super::cuts::Cut;

/// A peer to which nothing was tried for so long is taken anew.
const FORGET: Duration = Duration::from_secs(120);
/// Peers that are looked after at the same time.
const MOST: usize = 64;

/// Why a connection did not come about, or ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::net) enum Trouble {
    /// What the system said, by its number.
    System(i32),
    /// Nothing came back.
    Unanswered,
    /// ZeroMQ, which tries by itself, tells no reason.
    #[cfg(feature = "zmq")]
    Unsaid,
    /// This end closed it.
    Cut(Cut),
    /// It stands, and takes nothing.
    Stuck,
}

impl Trouble {
    pub(in crate::net) fn of(error: &io::Error) -> Self {
        error
            .raw_os_error()
            .map_or(Trouble::Unanswered, Trouble::System)
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::System(errno) => io::Error::from_raw_os_error(*errno).fmt(f),
            Trouble::Unanswered => {
                f.write_str("nothing came back, as where a firewall drops packets")
            }
            #[cfg(feature = "zmq")]
            Trouble::Unsaid => f.write_str("ZeroMQ does not say why"),
            Trouble::Cut(why) => f.write_str(why.reason()),
            Trouble::Stuck => f.write_str("it is connected, and takes nothing"),
        }
    }
}

struct Attempts {
    first: Instant,
    last: Instant,
    is_told: bool,
}

/// Peers that nothing gets through to.
#[derive(Default)]
pub(super) struct Broken(BTreeMap<SocketAddr, Attempts>);

impl Broken {
    /// Nothing got through to this peer since then; that is told once it has lasted for so long.
    pub fn failed(
        &mut self,
        to: SocketAddr,
        (since, now, patience): (Instant, Instant, Duration),
        why: Trouble,
    ) {
        let is_fresh =
            |_: &SocketAddr, it: &mut Attempts| now.saturating_duration_since(it.last) < FORGET;
        self.0.retain(is_fresh);
        if self.0.len() >= MOST && !self.0.contains_key(&to) {
            return;
        }
        let attempts = self.0.entry(to).or_insert(Attempts {
            first: since,
            last: now,
            is_told: false,
        });
        attempts.last = now;
        let lasted = now.saturating_duration_since(attempts.first);
        if lasted >= patience && !std::mem::replace(&mut attempts.is_told, true) {
            log::warn!(
                "no gossip connection to {to} for {} s: {why}; what it is to be told waits: is TCP to its gossip port open?",
                lasted.as_secs()
            );
        }
    }

    /// Something got through to this peer.
    pub fn works(&mut self, to: SocketAddr) {
        if !self.0.is_empty() && self.0.remove(&to).is_some_and(|it| it.is_told) {
            log::info!("gossip with {to} works again");
        }
    }

    /// It is dead, which is told elsewhere.
    pub fn forget(&mut self, to: SocketAddr) {
        self.0.remove(&to);
    }

    /// How many were told of.
    pub fn count(&self) -> usize {
        self.0.values().filter(|it| it.is_told).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::logged;

    const PATIENCE: Duration = Duration::from_secs(30);

    #[test]
    fn a_peer_that_nothing_gets_through_to_is_told_once_with_the_reason() {
        let (mut broken, start) = (Broken::default(), Instant::now());
        let to = SocketAddr::from(([10, 0, 0, 7], 9638));
        let refused = Trouble::of(&io::Error::from_raw_os_error(libc::ECONNREFUSED));
        let fails = |broken: &mut Broken, seconds, why| {
            let now = start + Duration::from_secs(seconds);
            logged::by(|| broken.failed(to, (now - Duration::from_secs(1), now, PATIENCE), why))
        };
        for seconds in (1..30).step_by(5) {
            assert!(fails(&mut broken, seconds, refused).is_empty());
        }
        assert_eq!(broken.count(), 0);
        let told = fails(&mut broken, 30, refused);
        assert_eq!(told.len(), 1);
        assert!(
            told[0].starts_with(
                "WARN no gossip connection to 10.0.0.7:9638 for 30 s: Connection refused (os error"
            ),
            "{told:?}"
        );
        assert_eq!(broken.count(), 1);
        assert!(fails(&mut broken, 60, Trouble::Unanswered).is_empty());
        broken.works(to);
        assert_eq!(broken.count(), 0);
        // From then on anew, and after a pause too.
        assert!(fails(&mut broken, 70, Trouble::Stuck).is_empty());
        assert!(fails(&mut broken, 70 + 120, Trouble::Stuck).is_empty());
    }

    #[test]
    fn how_many_peers_are_remembered_is_bounded() {
        let (mut broken, now) = (Broken::default(), Instant::now());
        for port in 1..1_000 {
            let to = SocketAddr::from(([10, 0, 0, 7], port));
            broken.failed(to, (now, now, PATIENCE), Trouble::Unanswered);
        }
        assert_eq!(broken.0.len(), MOST);
        broken.forget(([10, 0, 0, 7], 1).into());
        assert_eq!(broken.0.len(), MOST - 1);
    }
}
