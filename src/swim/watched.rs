//! The members to which connections are kept open: those that come next by their ids.

use std::net::SocketAddr;

use super::Swim;
use super::row::flag;
use crate::limits::MAX_WATCHED;
use crate::member::{Health, MemberId};
use crate::successor::distance;

#[derive(Hash)]
pub(super) struct Watched {
    /// Those that the driver was told last.
    told: Vec<(MemberId, SocketAddr)>,
    /// Something changed, so they may be others now.
    stale: bool,
}

impl Watched {
    pub fn new() -> Self {
        Watched {
            told: Vec::new(),
            stale: true,
        }
    }

    /// Something about this member changed, or about this member itself.
    #[inline]
    pub fn touch(&mut self, me: &MemberId, id: &MemberId, most: usize) {
        let nearer = |(last, _): &(MemberId, SocketAddr)| distance(me, id) <= distance(me, last);
        let is_one = self.told.len() < most || self.told.last().is_some_and(nearer);
        self.stale |= most > 0 && is_one;
    }

    /// Whether this is one of them.
    pub fn contains(&self, id: &MemberId) -> bool {
        self.told.iter().any(|(watched, _)| watched == id)
    }

    /// This member has another id: whoever they are, the driver is to be told again, as it says the id to them.
    pub fn renew(&mut self) {
        self.told.clear();
        self.stale = true;
    }

    /// Whoever they are, they are to be looked for again.
    pub fn forget(&mut self) {
        self.stale = true;
    }
}

impl Swim {
    /// Those to watch, if they are others than at the last call.
    pub fn poll_watched(&mut self) -> Option<&[(MemberId, SocketAddr)]> {
        if !std::mem::take(&mut self.detector.watched.stale) {
            return None;
        }
        let now = self.to_watch();
        if self.detector.watched.told == now {
            return None;
        }
        self.detector.watched.told = now;
        Some(&self.detector.watched.told)
    }

    fn to_watch(&self) -> Vec<(MemberId, SocketAddr)> {
        let most = match self.is_leaving() {
            true => 0,
            false => self.timing.watch_connections.min(MAX_WATCHED),
        };
        let me = self.id();
        let mut nearest: Vec<(MemberId, SocketAddr)> = Vec::new();
        if most == 0 {
            return nearest;
        }
        for (key, row) in self.table.iter() {
            let fits = key != self.table.me()
                && row.health <= Health::Suspect
                && row.has_all(flag::PROVED | flag::OURS)
                && row.gossip_port != 0
                && !self.is_blocked(&row.id);
            let from_me = distance(&me, &row.id);
            let place = nearest.partition_point(|(id, _)| distance(&me, id) < from_me);
            if fits && place < most {
                nearest.truncate(most - 1);
                let addr = SocketAddr::new(self.table.ip_of(row), row.gossip_port);
                nearest.insert(place, (row.id, addr));
            }
        }
        nearest
    }
}
