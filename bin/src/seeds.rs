//! The peers that a member was told to ask for its ring, by address or by name.

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use butterfly::{Butterfly, CommandError, SeedId};
use log::warn;
use mio::Waker;

use crate::address::Peer;
use crate::resolver::Resolver;

/// The peers that a member was told to ask.
pub struct Seeds {
    /// As they were written, in that order.
    listed: Vec<String>,
    known: HashSet<Peer>,
    names: HashMap<SeedId, String>,
    resolver: Resolver,
}

impl Seeds {
    /// None yet. Wakes the loop when a name is resolved: call `resolved` then.
    pub fn new(waker: Arc<Waker>) -> Self {
        Seeds {
            listed: Vec::new(),
            known: HashSet::new(),
            names: HashMap::new(),
            resolver: Resolver::new(waker),
        }
    }

    /// Lets the member ask this peer for its ring. One that it asks already is asked again soon.
    pub fn add(&mut self, member: &mut Butterfly, peer: &Peer) -> Result<(), CommandError> {
        if member.node().is_leaving() {
            return Err(CommandError::Leaving);
        }
        let written = match peer {
            Peer::At(addr) => {
                member.join(*addr)?;
                addr.to_string()
            }
            Peer::Named(name) => {
                self.add_named(member, name)?;
                name.clone()
            }
        };
        if self.known.insert(peer.clone()) {
            self.listed.push(written);
        }
        Ok(())
    }

    fn add_named(&mut self, member: &mut Butterfly, name: &str) -> Result<(), CommandError> {
        let known = self.names.iter().find(|(_, known)| *known == name);
        match known.map(|(seed, _)| *seed) {
            Some(seed) => self.due(seed),
            None => {
                let seed = member.join_named()?;
                self.names.insert(seed, name.to_owned());
            }
        }
        Ok(())
    }

    /// All, as they were written.
    pub fn listed(&self) -> &[String] {
        &self.listed
    }

    /// It is time to ask this one: its name is resolved anew.
    pub fn due(&mut self, seed: SeedId) {
        if let Some(name) = self.names.get(&seed) {
            self.resolver.ask(seed, name);
        }
    }

    /// Hands the names that were resolved since to the member.
    pub fn resolved(&mut self, member: &mut Butterfly) {
        while let Some((seed, result)) = self.resolver.answer() {
            let name = self.names.get(&seed).map_or("?", String::as_str);
            let addrs = usable(name, result, member.local_addr());
            member.seed_resolved(seed, &addrs);
        }
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

/// The addresses that a member which listens there can reach.
fn usable(
    name: &str,
    result: io::Result<Vec<SocketAddr>>,
    listening: SocketAddr,
) -> Vec<SocketAddr> {
    let mut addrs = match result {
        Ok(addrs) => addrs,
        Err(error) => {
            warn!("peer {name}: {error}; it will be tried again");
            return Vec::new();
        }
    };
    addrs.retain(|addr| reaches(listening, *addr));
    if addrs.is_empty() {
        warn!(
            "peer {name}: no address of it can be reached from {listening}; it will be tried again"
        );
    }
    addrs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logged;

    #[test]
    fn a_member_asks_only_addresses_that_it_reaches() {
        let v4: SocketAddr = "127.0.0.1:1".parse().unwrap();
        let v6: SocketAddr = "[::1]:1".parse().unwrap();
        assert_eq!(usable("x", Ok(vec![v6, v4]), v4), [v4]);
        assert_eq!(usable("x", Ok(vec![v6, v4]), v6), [v6]);
        let all = "[::]:1".parse().unwrap();
        assert_eq!(usable("x", Ok(vec![v6, v4]), all), [v6, v4]);
        let none = logged::by(|| assert!(usable("x", Ok(vec![v6]), v4).is_empty()));
        assert_eq!(
            none,
            [
                "WARN peer x: no address of it can be reached from 127.0.0.1:1; it will be tried again"
            ]
        );
        let error = Err(io::Error::other("refused"));
        let failed = logged::by(|| assert!(usable("x", error, v4).is_empty()));
        assert_eq!(failed, ["WARN peer x: refused; it will be tried again"]);
    }

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
