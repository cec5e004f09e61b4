//! The peers that a member asks for its ring, by address or by name, and who told it to.

use std::net::SocketAddr;
use std::time::Duration;

use butterfly::{Butterfly, CommandError, Seed, SeedId, SeedView};

use crate::view::{Answered, SeedRow};

/// Who wants a peer asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The settings, or `join`.
    Hand,
    /// The file of peers.
    File,
}

struct Entry {
    peer: Seed,
    /// As it was written.
    text: String,
    id: SeedId,
    by: Vec<By>,
}

/// The peers that a member was told to ask, in that order.
#[derive(Default)]
pub struct Seeds(Vec<Entry>);

impl Seeds {
    /// Lets the member ask this peer for its ring. One that it asks already is asked again soon.
    pub fn add(&mut self, member: &mut Butterfly, peer: &Seed, by: By) -> Result<(), CommandError> {
        let id = member.join(peer.clone())?;
        match self.0.iter_mut().find(|entry| entry.peer == *peer) {
            Some(entry) => {
                entry.id = id;
                entry.by.retain(|it| *it != by);
                entry.by.push(by);
            }
            None => self.0.push(Entry {
                peer: peer.clone(),
                text: peer.to_string(),
                id,
                by: vec![by],
            }),
        }
        Ok(())
    }

    /// It is no more wanted by this one, and not asked any more if nobody else wants it; whether it was listed.
    pub fn remove(&mut self, member: &mut Butterfly, peer: &Seed, by: By) -> bool {
        let Some(at) = self.0.iter().position(|entry| entry.peer == *peer) else {
            return false;
        };
        let mut entry = self.0.remove(at);
        entry.by.retain(|it| *it != by);
        if !entry.by.is_empty() {
            self.0.insert(at, entry);
        } else if entry.view(member).is_some() {
            member.unjoin(entry.id);
        }
        true
    }

    /// The same, whoever wants it.
    pub fn unjoin(&mut self, member: &mut Butterfly, peer: &Seed) -> bool {
        let by_file = self.remove(member, peer, By::File);
        self.remove(member, peer, By::Hand) || by_file
    }

    /// Those of the file.
    pub fn of_file(&self) -> impl Iterator<Item = &Seed> {
        let of_file = self.0.iter().filter(|entry| entry.by.contains(&By::File));
        of_file.map(|entry| &entry.peer)
    }

    /// All of them, as they were written.
    pub fn listed(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|entry| entry.text.as_str())
    }

    /// What became of each.
    pub fn rows(&self, member: &Butterfly) -> Vec<SeedRow> {
        self.0.iter().map(|entry| entry.row(member)).collect()
    }
}

impl Entry {
    /// What the member knows of it; `None`: it does not ask it any more, and its number may be another's.
    fn view(&self, member: &Butterfly) -> Option<SeedView> {
        let addr = match &self.peer {
            Seed::At(addr) => Some(SocketAddr::new(addr.ip().to_canonical(), addr.port())),
            _ => None,
        };
        let view = member.node().seed(self.id);
        view.filter(|view| view.addr == addr)
    }

    fn row(&self, member: &Butterfly) -> SeedRow {
        let (node, view) = (member.node(), self.view(member));
        let answer = view.and_then(|view| view.answer).map(|answer| {
            let ago: Duration = node.now().since(answer.at);
            let name = node.member(answer.by).map(|it| it.name.to_owned());
            Answered {
                id: answer.by.to_string(),
                name: name.unwrap_or_default(),
                address: answer.addr,
                ago_ms: ago.as_millis() as u64,
            }
        });
        SeedRow {
            peer: self.text.clone(),
            asked: view.is_some(),
            answer,
            trouble: member.seed_trouble(self.id).map(str::to_owned),
        }
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
