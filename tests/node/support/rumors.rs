//! Rumors for a node under test: made here, heard by it, pushed by it.

use std::net::SocketAddr;
use std::time::Duration;

use butterfly::rumor::{Rumor, RumorId, Service, ServiceConfig, ServiceFile, ServiceGroup};
use butterfly::wire::reconcile::Part;
use butterfly::wire::{self, MembershipRecord, Message};
use butterfly::{Event, MemberId};

use super::{Bench, Peer};

pub fn group(name: &str) -> ServiceGroup {
    format!("redis.{name}").parse().unwrap()
}

pub fn service(member: MemberId, name: &str, incarnation: u64) -> Service {
    let mut service = Service::new(group(name), "core/redis/4.0.14/20200101000000");
    service.member = member;
    service.incarnation = incarnation;
    service.cfg = b"port = 6379\n".to_vec();
    service.pkg_incarnation = 1;
    service
}

pub fn config(name: &str, incarnation: u64, text: &str) -> ServiceConfig {
    ServiceConfig::new(group(name), incarnation, text)
}

pub fn file(name: &str, incarnation: u64, bytes: usize) -> ServiceFile {
    ServiceFile::new(group("default"), incarnation, name, vec![b'x'; bytes])
}

/// What a node pushed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pushed {
    pub to: SocketAddr,
    pub peer: MemberId,
    pub bytes: usize,
    /// `None`: a record of a member.
    pub rumor: Option<Rumor>,
}

impl Peer {
    /// Where its PULL socket is.
    pub fn pull(&self) -> SocketAddr {
        SocketAddr::new(self.addr.ip(), self.gossip_port)
    }

    /// An Ack that compares stores.
    pub fn compares<'a>(&self, parts: &'a [u8]) -> Message<'a> {
        Message::Ack {
            from: self.from(),
            forward_to: None,
            probe: 0,
            table: false,
            rumors: 1,
            reconcile: parts,
            starting: false,
        }
    }
}

pub fn bytes_of(parts: &[Part]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in parts {
        part.write(&mut bytes);
    }
    bytes
}

/// What the first 8 bytes of the hash of this rumor's payload are.
pub fn hash_of(rumor: &Rumor) -> u64 {
    let encoded = wire::encode_rumor(rumor, "");
    let mut hash = [0; 16];
    dryoc::classic::crypto_generichash::crypto_generichash(
        &mut hash,
        &encoded.bytes[encoded.payload..],
        Some(&[rumor.kind() as u8; 16]),
    )
    .unwrap();
    u64::from_le_bytes(hash[..8].try_into().unwrap())
}

impl Bench {
    /// The bytes of a rumor arrive at the PULL socket.
    pub fn hear_bytes(&mut self, rumor: &[u8]) {
        let key = self.keys.first().map(|key| (key, [8; 24]));
        let mut frame = Vec::new();
        wire::seal_into(key, rumor, &mut frame);
        self.hear_frame(&mut frame);
    }

    pub fn hear_frame(&mut self, frame: &mut [u8]) {
        let from = || "10.9.9.9:0".parse().unwrap();
        self.node.handle_rumor(self.now, frame, from);
        self.drain();
    }

    pub fn hear(&mut self, rumor: &Rumor, from: MemberId) {
        self.hear_bytes(&wire::encode_rumor(rumor, &from.to_string()).bytes);
    }

    /// A record of a member arrives as a rumor from this sender.
    pub fn hear_of(&mut self, sender: &Peer, record: &MembershipRecord<'_>) {
        let membership = wire::encode_membership(record);
        self.hear_bytes(&wire::encode_member_rumor(&membership, sender.id));
    }

    pub fn holds(&self, rumor: &Rumor) -> bool {
        let held = self.node.rumor(&rumor.id());
        held.and_then(|held| held.rumor()).as_ref() == Some(rumor)
    }

    pub fn is_hot(&self, id: &RumorId) -> bool {
        self.node.rumor(id).is_some_and(|held| held.hot)
    }

    /// How often a hot rumor was sent and heard back, of how often is enough.
    pub fn spread(&self, id: &RumorId) -> Option<(u8, u8, u8)> {
        let spread = self.node.rumor(id)?.spread?;
        Some((spread.sent, spread.heard, spread.enough))
    }

    /// Takes what is to be pushed now; `taken` says what becomes of a push to there.
    pub fn pushes(&mut self, taken: impl Fn(SocketAddr) -> bool) -> Vec<Pushed> {
        let mut pushed = Vec::new();
        let mut frame = Vec::new();
        while let Some(push) = self.node.poll_push(self.now, &mut frame) {
            let bytes = frame.len();
            let payload = wire::open(&self.keys, &mut frame).expect("what a node pushes opens");
            let read = wire::read_rumor(payload).expect("what a node pushes can be read");
            pushed.push(Pushed {
                to: push.to,
                peer: push.id.peer(),
                bytes,
                rumor: read.kind.map(|_| read.rumor().expect("a good rumor")),
            });
            self.node.handle_sent(self.now, push.id, taken(push.to));
        }
        pushed
    }

    /// Time passes; the living answer pings, and pushes come to what `taken` says. Returns what was pushed.
    pub fn gossip_for(
        &mut self,
        duration: Duration,
        living: &[Peer],
        taken: impl Fn(SocketAddr) -> bool,
    ) -> Vec<Pushed> {
        let end = self.now + duration;
        let mut pushed = Vec::new();
        let mut shown = 0;
        loop {
            self.drain();
            while let Some(sent) = self.out.get(shown).cloned() {
                shown += 1;
                self.answer(&sent, living);
            }
            pushed.extend(self.pushes(&taken));
            match self.node.poll_timeout() {
                Some(next) if next <= end => {
                    self.now = self.now.max(next);
                    self.node.handle_timeout(self.now);
                }
                _ => break,
            }
        }
        self.now = end;
        pushed
    }

    /// The rumors that changed since the last call.
    pub fn changed(&mut self) -> Vec<RumorId> {
        let changed = self.events().into_iter().filter_map(|event| match event {
            Event::RumorChanged { id, .. } => Some((*id).clone()),
            _ => None,
        });
        changed.collect()
    }
}
