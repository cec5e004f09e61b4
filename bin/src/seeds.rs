//! The peers that a member was told to ask for its ring, by address or by name.

use std::net::SocketAddr;

use butterfly::{Butterfly, CommandError, Seed};

/// The peers that a member was told to ask, as they were written, in that order.
#[derive(Default)]
pub struct Seeds(Vec<String>);

impl Seeds {
    /// Lets the member ask this peer for its ring. One that it asks already is asked again soon.
    pub fn add(&mut self, member: &mut Butterfly, peer: &Seed) -> Result<(), CommandError> {
        member.join(peer.clone())?;
        let written = peer.to_string();
        if !self.0.contains(&written) {
            self.0.push(written);
        }
        Ok(())
    }

    /// All of them.
    pub fn listed(&self) -> &[String] {
        &self.0
    }
}

/// Why a member can never reach this peer, if so.
pub fn unreachable(peer: &Seed, member: &Butterfly) -> Option<String> {
    let Seed::At(addr) = *peer else {
        return None; // Its name may stand for another address by the time it is asked.
    };
    let listening = member.local_addr();
    (!member.reaches(addr)).then(|| {
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
        let config = butterfly::Config::new("127.0.0.1:0".parse().unwrap());
        let member = Butterfly::bind(config).unwrap();
        let why = |peer: &str| unreachable(&crate::address::peer(peer).unwrap(), &member);
        assert!(
            why("[::1]:1")
                .unwrap()
                .contains("is IPv6 and cannot be reached")
        );
        for reached in ["127.0.0.1:1", "[::ffff:127.0.0.1]:1", "localhost:1"] {
            assert_eq!(why(reached), None);
        }
    }
}
