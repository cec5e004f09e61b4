//! The peers that a member was told to ask for its ring, by address or by name.

use std::collections::HashSet;
use std::net::SocketAddr;

use butterfly::{Butterfly, CommandError};

use crate::address::Peer;

/// The peers that a member was told to ask.
#[derive(Default)]
pub struct Seeds {
    /// As they were written, in that order.
    listed: Vec<String>,
    known: HashSet<Peer>,
}

impl Seeds {
    /// Lets the member ask this peer for its ring. One that it asks already is asked again soon.
    pub fn add(&mut self, member: &mut Butterfly, peer: &Peer) -> Result<(), CommandError> {
        let written = match peer {
            Peer::At(addr) => addr.to_string(),
            Peer::Named(name) => name.clone(),
        };
        member.join(written.as_str())?;
        if self.known.insert(peer.clone()) {
            self.listed.push(written);
        }
        Ok(())
    }

    /// All, as they were written.
    pub fn listed(&self) -> &[String] {
        &self.listed
    }
}

/// Whether a member that listens there can send to this address.
fn reaches(listening: SocketAddr, addr: SocketAddr) -> bool {
    // A socket on all of IPv6 reaches IPv4 too.
    let both = listening.is_ipv6() && listening.ip().is_unspecified();
    both || addr.ip().to_canonical().is_ipv4() == listening.is_ipv4()
}

/// Why a member that listens there can never reach this peer, if so.
pub fn unreachable(peer: &Peer, listening: SocketAddr) -> Option<String> {
    let Peer::At(addr) = *peer else {
        return None; // Its name may stand for another address by the time it is asked.
    };
    (!reaches(listening, addr)).then(|| {
        let (it, here) = (family(addr), family(listening));
        format!(
            "peer {addr} is {it} and cannot be reached from {listening}, which is {here}: \
             --listen [::]:{} reaches both",
            listening.port()
        )
    })
}

fn family(addr: SocketAddr) -> &'static str {
    if addr.ip().to_canonical().is_ipv4() {
        "IPv4"
    } else {
        "IPv6"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_of_the_other_family_is_out_of_reach() {
        let is_out = |peer: &str, listening: &str| {
            let peer = crate::address::peer(peer).unwrap();
            unreachable(&peer, listening.parse().unwrap()).is_some()
        };
        assert!(is_out("[::1]:1", "127.0.0.1:1") && is_out("127.0.0.1:1", "[::1]:1"));
        assert!(!is_out("127.0.0.1:1", "[::]:1") && !is_out("[::1]:1", "[::]:1"));
        assert!(!is_out("[::ffff:127.0.0.1]:1", "0.0.0.0:1"));
        assert!(!is_out("localhost:1", "[::1]:1"));
    }
}
