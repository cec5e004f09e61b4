//! What somebody sends who is no member of the simulation, and what comes of it at the addresses it names.

use std::net::SocketAddr;

use super::host::Parcel;
use super::{Index, Sim, What, place_of};
use crate::limits::DATAGRAM_HEADERS;

/// What went to an address at which no member of the simulation ever was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Strayed {
    /// Datagrams.
    pub datagrams: u64,
    /// Their bytes, with the headers of IPv4 and UDP.
    pub bytes: u64,
    /// Attempts to push a rumor there: each is a TCP connection that is tried.
    pub pushes: u64,
}

/// A datagram that a member sent.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Taken {
    /// The member that sent it, whether it got there or not.
    pub from: Index,
    /// Where it went.
    pub to: SocketAddr,
    /// As it was on the wire.
    pub bytes: Vec<u8>,
}

impl Sim {
    /// Records all datagrams that members send from now on.
    pub fn record_all(&mut self) {
        self.recorded.get_or_insert_default();
    }

    /// What was recorded so far, the oldest first; takes it.
    pub fn take_recorded(&mut self) -> Vec<Taken> {
        self.recorded
            .as_mut()
            .map(std::mem::take)
            .unwrap_or_default()
    }

    /// A datagram leaves.
    pub(super) fn datagram_is_recorded(&mut self, from: Index, to: SocketAddr, datagram: &[u8]) {
        if let Some(recorded) = &mut self.recorded {
            let bytes = datagram.to_vec();
            recorded.push(Taken { from, to, bytes });
        }
    }

    /// The member that is at an address at this moment.
    pub fn who_is_at(&self, addr: SocketAddr) -> Option<Index> {
        self.places.get(place_of(addr)?).copied().flatten()
    }

    /// A datagram comes to a member at this moment, from whatever address. Nobody else sent it, and nothing
    /// stops it.
    pub fn forge(&mut self, from: SocketAddr, to: Index, datagram: &[u8]) {
        let bytes = datagram.to_vec();
        let (to, parcel) = (self.hosts[to].place, Parcel::Datagram { from, bytes });
        self.queue.push(self.now, What::Arrive { to, parcel });
    }

    /// Where a member is.
    pub fn addr(&self, member: Index) -> SocketAddr {
        self.hosts[member].addr()
    }

    /// What the members have sent to this address so far, at which none of them ever was.
    pub fn strayed_to(&self, addr: SocketAddr) -> Strayed {
        self.strayed.get(&addr).copied().unwrap_or_default()
    }

    /// The same for all such addresses together.
    pub fn strayed(&self) -> Strayed {
        let mut all = Strayed::default();
        for one in self.strayed.values() {
            all.datagrams += one.datagrams;
            all.bytes += one.bytes;
            all.pushes += one.pushes;
        }
        all
    }

    fn stray(&mut self, to: SocketAddr) -> Option<&mut Strayed> {
        let somebodys = place_of(to).is_some_and(|place| place < self.places.len());
        (!somebodys).then(|| self.strayed.entry(to).or_default())
    }

    /// A datagram leaves.
    pub(super) fn datagram_strays(&mut self, to: SocketAddr, len: usize) {
        if let Some(strayed) = self.stray(to) {
            strayed.datagrams += 1;
            strayed.bytes += (len + DATAGRAM_HEADERS) as u64;
        }
    }

    /// A push is tried.
    pub(super) fn push_strays(&mut self, to: SocketAddr) {
        if let Some(strayed) = self.stray(to) {
            strayed.pushes += 1;
        }
    }
}
