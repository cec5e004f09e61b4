//! One node, and around it a ring of as many members as one likes, each of which is only a number: what
//! they send is made up from it. Member 0 is the node.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use butterfly::member::{Health, Incarnation, Member, MemberId};
use butterfly::node::{Node, NodeConfig, SEND_BUFFER, Transmit};
use butterfly::rumor::{Rumor, ServiceConfig};
use butterfly::wire::{
    self, Accusers, Encoder, HEADROOM, MemberRecord, MembershipRecord, Message, RingKey,
    STAMP_BYTES, Serial, Stamp, feature,
};
use butterfly::{Time, Timing};

/// Bytes of an ordinary datagram.
const ORDINARY: usize = 512;
const PORT: u16 = 9638;
const NETWORK: u32 = 0x0a00_0000;

/// A node, the time, and what the node sends.
pub struct World {
    pub node: Node,
    pub now: Time,
    keys: Vec<RingKey>,
    sent: Box<[u8; SEND_BUFFER]>,
    frame: Vec<u8>,
}

/// The ring's keys: one, or none.
pub fn keys(sealed: bool) -> Vec<RingKey> {
    let key = RingKey::new("ring", "20260101000000", [7; 32]).unwrap();
    if sealed { vec![key] } else { Vec::new() }
}

/// The default timing without pushes and the comparing of tables, which would come between the probes.
fn settled() -> Timing {
    let mut timing = Timing::lan();
    timing.sync_max = std::time::Duration::ZERO;
    timing.push_fanout = 0;
    timing
}

/// A node with this number that knows nobody yet.
pub fn node(number: u32, keys: &[RingKey], now: Time) -> Node {
    Node::new(config_of(number, keys), now)
}

/// The same, recorded.
pub fn recorded_node(number: u32, keys: &[RingKey], now: Time) -> Node {
    Node::new_recorded(config_of(number, keys), now, Duration::ZERO)
}

/// As what a member starts.
fn config_of(number: u32, keys: &[RingKey]) -> NodeConfig {
    let member = record(number);
    let mut config = NodeConfig::new(member.id, EPOCH, [number as u8; 32]);
    config.name = member.name.to_owned();
    config.ip = member.address;
    config.swim_port = member.swim_port;
    config.gossip_port = member.gossip_port;
    config.ring_keys = keys.to_vec();
    config.timing = settled();
    config
}

/// Where a member is.
pub fn addr_of(number: u32) -> SocketAddr {
    SocketAddr::new(Ipv4Addr::from_bits(NETWORK + number).into(), PORT)
}

/// Who is there.
pub fn number_of(addr: SocketAddr) -> u32 {
    match addr.ip() {
        IpAddr::V4(ip) => ip.to_bits() - NETWORK,
        IpAddr::V6(_) => unreachable!("the ring speaks IPv4"),
    }
}

/// What a member says of itself.
pub fn record(number: u32) -> MemberRecord<'static> {
    // Odd, so that no two members have the same id.
    let id = u128::from(number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    MemberRecord {
        id: MemberId::from_bytes(id.to_be_bytes()),
        incarnation: Incarnation::ZERO,
        address: Some(addr_of(number).ip()),
        swim_port: PORT,
        gossip_port: PORT,
        persistent: false,
        departed: false,
        probe_ping: false,
        features: feature::EXTENSIONS | feature::VOUCHES,
        name: "web-0123",
    }
}

pub fn member(number: u32) -> Member {
    Member::new(record(number).id, addr_of(number))
}

/// The same as it stands in its own messages, in which it leaves out where it is.
pub fn sender(number: u32) -> MemberRecord<'static> {
    MemberRecord {
        address: None,
        ..record(number)
    }
}

/// A ping from this member.
pub fn ping_from(number: u32) -> Message<'static> {
    Message::Ping {
        from: sender(number),
        forward_to: None,
        probe: 77,
        digest: 0,
    }
}

/// When all others started.
const EPOCH: u64 = 1;
/// Counts the datagrams of all of them: those of each ascend.
static NUMBER: AtomicU64 = AtomicU64::new(0);

/// The next nonce of a datagram of theirs.
fn nonce() -> [u8; 24] {
    let serial = Serial {
        epoch: EPOCH,
        number: NUMBER.fetch_add(1, Ordering::Relaxed) + 1,
    };
    serial.nonce([3; 12])
}

/// The same datagram as if it were sent just now: with a key, one that came before is none.
pub fn renew(keys: &[RingKey], datagram: &mut [u8]) {
    let Some(key) = keys.first() else {
        return;
    };
    let payload = wire::open(keys, datagram).unwrap();
    let (mut buf, len) = ([0; HEADROOM + 2 * ORDINARY], payload.len());
    buf[HEADROOM..][..len].copy_from_slice(payload);
    let range = wire::seal(Some((key, nonce())), &mut buf, len);
    datagram.copy_from_slice(&buf[range]);
}

/// A datagram with as many of these members' records as fit into `limit` bytes; takes those out.
pub fn datagram(
    keys: &[RingKey],
    message: &Message<'_>,
    members: &mut Range<u32>,
    limit: usize,
) -> Vec<u8> {
    named_datagram(keys, message, members, limit, record(0).name)
}

/// The same; all those members have this name.
fn named_datagram(
    keys: &[RingKey],
    message: &Message<'_>,
    members: &mut Range<u32>,
    limit: usize,
    name: &str,
) -> Vec<u8> {
    let mut buf = vec![0; HEADROOM + limit];
    let key = keys.first().map(|key| (key, nonce()));
    let stamp = if key.is_some() { STAMP_BYTES } else { 0 };
    let room = limit - wire::overhead(key.is_some(), limit) - stamp;
    let mut out = Encoder::new(&mut buf[HEADROOM..], message).unwrap();
    while let Some(number) = members.clone().next() {
        let member = MembershipRecord {
            member: MemberRecord {
                features: 0,
                name,
                ..record(number)
            },
            health: Health::Alive,
            accusers: Accusers::NONE,
        };
        if !out.push(&member, room) {
            break;
        }
        members.next();
    }
    let mut len = out.finish();
    if key.is_some() {
        len = Stamp::of(Some(record(0).id)).append(&mut buf[HEADROOM..], len);
    }
    let range = wire::seal(key, &mut buf, len);
    buf[range].to_vec()
}

/// A ping from this member with the records of six others, which the receiver knows already.
pub fn ping_with_six(keys: &[RingKey], number: u32, first: u32) -> Vec<u8> {
    let mut six = first..first + 6;
    let datagram = datagram(keys, &ping_from(number), &mut six, 1024);
    assert!(six.is_empty());
    datagram
}

/// The same, with this name for all six: a name of which nobody takes note without a higher incarnation.
pub fn ping_with_six_named(number: u32, first: u32, name: &str) -> Vec<u8> {
    let mut six = first..first + 6;
    named_datagram(&[], &ping_from(number), &mut six, 1024, name)
}

/// The configuration of the group with this number, as a frame from member 1.
pub fn config_frame(keys: &[RingKey], number: u32, incarnation: u64) -> Vec<u8> {
    let group = format!("redis.g{number}").parse().unwrap();
    let config = ServiceConfig::new(group, incarnation, vec![b'x'; 100]);
    let config = Rumor::ServiceConfig(config);
    let rumor = wire::encode_rumor(&config, &record(1).id.to_string());
    let mut frame = Vec::new();
    let key = keys.first().map(|key| (key, [4; 24]));
    wire::seal_into(key, &rumor.bytes, &mut frame);
    frame
}

/// The member table of a ring of that many, as members 1 and 2 tell it one after the other, in ordinary datagrams: what one
/// of them says alone is no reason to believe it.
pub fn table(keys: &[RingKey], members: u32) -> Vec<Vec<u8>> {
    all_members(keys, members, true)
}

/// The same members, as news.
pub fn told_as_news(members: u32) -> Vec<Vec<u8>> {
    all_members(&[], members, false)
}

fn all_members(keys: &[RingKey], members: u32, table: bool) -> Vec<Vec<u8>> {
    let mut parts = Vec::new();
    for teller in TELLERS {
        let part = Message::Ack {
            from: sender(teller),
            forward_to: None,
            probe: 0,
            table,
            rumors: 0,
            reconcile: &[],
            starting: false,
        };
        let mut rest = 3..members;
        while !rest.is_empty() {
            parts.push(datagram(keys, &part, &mut rest, ORDINARY));
        }
    }
    parts
}

/// Those who tell of all others.
const TELLERS: [u32; 2] = [1, 2];

impl World {
    /// A node that knows nobody yet.
    pub fn new(sealed: bool) -> Self {
        let (now, keys) = (Time::from_millis(1_000), keys(sealed));
        World {
            node: node(0, &keys, now),
            now,
            keys,
            sent: Box::new([0; SEND_BUFFER]),
            frame: Vec::new(),
        }
    }

    /// A node in a ring of that many members, all of which it has known for long, so that nothing is news.
    pub fn settled(sealed: bool, members: u32) -> Self {
        World::holding(sealed, members, 0)
    }

    /// The same, with so many rumors that nobody has to be told any more.
    pub fn holding(sealed: bool, members: u32, rumors: u32) -> Self {
        let mut world = World::new(sealed);
        for number in 0..rumors {
            let mut frame = config_frame(&world.keys, number, 1);
            world.hear_rumor(&mut frame);
        }
        world.node.handle_timeout(world.now);
        for number in 1..members {
            world.know(number);
        }
        // What is made at the first use is there, and used, before anything is measured.
        for _ in 0..100 {
            world.round();
        }
        assert_eq!(
            (world.node.counts().alive, world.node.news()),
            (members as usize, 0)
        );
        while world.take_push() {}
        assert_eq!(
            (world.node.hot_rumors(), world.node.rumor_count()),
            (0, rumors as usize)
        );
        world
    }

    /// The node has known this member for long.
    pub fn know(&mut self, number: u32) {
        self.node.know(&member(number), record(number).name);
        if !self.keys.is_empty() {
            self.know_heard(number);
        }
    }

    /// On a sealed ring, the node has heard this member before.
    pub fn know_heard(&mut self, number: u32) {
        let serial = Serial {
            epoch: EPOCH,
            number: 0,
        };
        self.node.heard(record(number).id, serial);
    }

    pub fn keys(&self) -> &[RingKey] {
        &self.keys
    }

    /// Members 1 and 2, which are known, tell the table, or news.
    pub fn hear_table(&mut self, parts: &mut [Vec<u8>]) {
        let each = parts.len() / TELLERS.len();
        for (teller, parts) in TELLERS.into_iter().zip(parts.chunks_mut(each)) {
            self.know(teller);
            for part in parts {
                self.hear(addr_of(teller), part);
                while self.take().is_some() {}
            }
        }
    }

    /// A datagram arrives; whatever the driver would take out beside datagrams is taken.
    #[inline]
    pub fn hear(&mut self, from: SocketAddr, datagram: &mut [u8]) {
        self.node.handle_datagram(self.now, from, datagram);
        while self.node.poll_event().is_some() {}
    }

    /// A rumor arrives, and nobody looks at what it is.
    #[inline]
    pub fn hear_rumor(&mut self, frame: &mut [u8]) {
        self.node.handle_rumor(self.now, frame, || addr_of(1));
        while self.node.poll_event().is_some() {}
    }

    /// The next push is taken; whether there was one.
    #[inline]
    pub fn take_push(&mut self) -> bool {
        let push = self.node.poll_push(self.now, &mut self.frame);
        if let Some(push) = &push {
            self.node.handle_sent(self.now, push.id, true);
        }
        push.is_some()
    }

    /// What is hot is told at once, and taken.
    #[inline]
    pub fn tell(&mut self) {
        // Timers have milliseconds.
        self.now += Duration::from_millis(1);
        self.node.handle_timeout(self.now);
        let mut pushes = 0;
        while self.take_push() {
            pushes += 1;
        }
        assert_eq!(pushes, 5, "to as many members");
    }

    /// Time passes until nothing is hot any more; everybody answers pings.
    pub fn cool(&mut self) {
        while self.node.hot_rumors() > 0 {
            self.now = self.node.next_timer().unwrap();
            self.node.handle_timeout(self.now);
            while let Some(message) = self.take() {
                if let Some(mut ack) = self.answer(&message, 0..0) {
                    self.hear(message.to, &mut ack);
                }
            }
            while self.take_push() {}
        }
    }

    /// The next datagram that the node sends.
    #[inline]
    pub fn take(&mut self) -> Option<Transmit> {
        self.node.poll_datagram(self.now, &mut self.sent[..])
    }

    /// The next deadline comes, and what the node then sends: in a settled ring, a ping.
    #[inline]
    pub fn begin_round(&mut self) -> Option<Transmit> {
        self.now = self.node.next_timer()?;
        self.node.handle_timeout(self.now);
        self.take()
    }

    /// The Ack of a ping that the node sent, as its receiver makes it.
    pub fn ack_of(&mut self, ping: &Transmit) -> Vec<u8> {
        self.answer(ping, 0..0).expect("a ping")
    }

    /// The same, with the records of six others on board, from this one on.
    pub fn ack_with_six(&mut self, ping: &Transmit, first: u32) -> Vec<u8> {
        self.answer(ping, first..first + 6).expect("a ping")
    }

    /// The same; `None`: it is no ping.
    fn answer(&mut self, ping: &Transmit, mut others: Range<u32>) -> Option<Vec<u8>> {
        let payload = wire::open(&self.keys, &mut self.sent[ping.range.clone()]).unwrap();
        let Message::Ping { probe, .. } = wire::decode(payload).unwrap().message else {
            return None;
        };
        let ack = Message::Ack {
            from: sender(number_of(ping.to)),
            forward_to: None,
            probe,
            table: false,
            rumors: 0,
            reconcile: &[],
            starting: false,
        };
        let ack = datagram(&self.keys, &ack, &mut others, 2 * ORDINARY);
        assert!(others.is_empty(), "they have room");
        Some(ack)
    }

    /// The Ack arrives.
    #[inline]
    pub fn end_round(&mut self, from: SocketAddr, ack: &mut [u8]) {
        self.now += Duration::from_micros(100);
        self.hear(from, ack);
    }

    /// A whole probe round.
    pub fn round(&mut self) {
        let Some(ping) = self.begin_round() else {
            return;
        };
        let mut ack = self.ack_of(&ping);
        self.end_round(ping.to, &mut ack);
        while self.take().is_some() {}
    }
}
