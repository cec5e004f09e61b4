//! One node under test, by hand: virtual time, datagrams made and read here, no sockets.
//!
//! What holds for every datagram that leaves is checked for every one: its size, its `from`, and that
//! the incarnation in it lies below a mark that was announced before.
#![cfg_attr(not(feature = "gossip"), allow(dead_code))] // Some of it is for tests of gossip.

#[cfg(feature = "gossip")]
pub mod pair;
#[cfg(feature = "gossip")]
pub mod rumors;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use butterfly::limits::{MAX_DATAGRAM_SENT, ORDINARY_DATAGRAM};
use butterfly::node::{Node, NodeConfig, SEND_BUFFER};
use butterfly::stats::MessageKind;
use butterfly::wire::{
    self, Accusers, Encoder, HEADROOM, MemberRecord, MembershipRecord, Message, RingKey, feature,
};
use butterfly::{Event, Health, Incarnation, MemberId, Time, Timing};

/// Someone else, played by the test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    pub id: MemberId,
    pub addr: SocketAddr,
    pub gossip_port: u16,
    pub incarnation: u64,
    pub persistent: bool,
    pub departed: bool,
    pub features: u32,
}

pub fn id(number: u32) -> MemberId {
    let mut bytes = [0xee; 16];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    MemberId::from_bytes(bytes)
}

pub fn incarnation(number: u64) -> Incarnation {
    Incarnation::new(number).unwrap()
}

impl Peer {
    /// One of ours, at incarnation 5.
    pub fn ours(number: u32) -> Peer {
        let ip = Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 0, 0, 0)) + number);
        Peer {
            id: id(number),
            addr: SocketAddr::new(ip.into(), 9000),
            gossip_port: 9001,
            incarnation: 5,
            persistent: false,
            departed: false,
            features: feature::EXTENSIONS | feature::VOUCHES,
        }
    }

    /// One of the original's: it knows no extension.
    pub fn original(number: u32) -> Peer {
        Peer {
            features: 0,
            ..Peer::ours(number)
        }
    }

    pub fn at(self, addr: &str) -> Peer {
        let addr = addr.parse().unwrap();
        Peer { addr, ..self }
    }

    pub fn incarnated(self, incarnation: u64) -> Peer {
        Peer {
            incarnation,
            ..self
        }
    }

    /// Itself as a message's `from`.
    pub fn from(&self) -> MemberRecord<'static> {
        MemberRecord {
            id: self.id,
            incarnation: incarnation(self.incarnation),
            address: None,
            swim_port: self.addr.port(),
            gossip_port: self.gossip_port,
            persistent: self.persistent,
            departed: self.departed,
            probe_ping: false,
            features: self.features,
            name: "",
        }
    }

    /// Itself as others know it.
    pub fn contact(&self) -> MemberRecord<'static> {
        MemberRecord {
            address: Some(self.addr.ip()),
            features: 0,
            ..self.from()
        }
    }

    /// What someone may say of it.
    pub fn said(&self, health: Health, number: u64) -> MembershipRecord<'static> {
        MembershipRecord {
            member: MemberRecord {
                incarnation: incarnation(number),
                ..self.contact()
            },
            health,
            accusers: Accusers::NONE,
        }
    }

    pub fn ping(&self, probe: u64) -> Message<'static> {
        self.ping_with_digest(probe, 0)
    }

    pub fn ping_with_digest(&self, probe: u64, digest: u32) -> Message<'static> {
        Message::Ping {
            from: self.from(),
            forward_to: None,
            probe,
            digest,
        }
    }

    pub fn ack(&self, probe: u64) -> Message<'static> {
        self.ack_to(None, probe)
    }

    pub fn ack_to(
        &self,
        forward_to: Option<MemberRecord<'static>>,
        probe: u64,
    ) -> Message<'static> {
        Message::Ack {
            from: self.from(),
            forward_to,
            probe,
            table: false,
            rumors: 0,
            reconcile: &[],
            starting: false,
        }
    }

    /// Its Ack to this ping: with the number, or, as the original, with what it is to forward to.
    pub fn answers(&self, ping: &Sent) -> Message<'static> {
        if self.features & feature::EXTENSIONS != 0 {
            return self.ack(ping.probe);
        }
        let other = ping.other.as_ref();
        self.ack_to(other.map(Record::as_contact), 0)
    }

    pub fn ping_req(&self, target: &Peer, probe: u64) -> Message<'static> {
        Message::PingReq {
            from: self.from(),
            target: target.contact(),
            probe,
        }
    }

    pub fn probe_ping(&self) -> Message<'static> {
        let from = MemberRecord {
            probe_ping: true,
            ..self.from()
        };
        Message::ProbePing { from }
    }
}

/// A record that left the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub id: MemberId,
    pub incarnation: u64,
    pub ip: Option<IpAddr>,
    pub swim_port: u16,
    pub gossip_port: u16,
    pub departed: bool,
    pub health: Health,
    pub accusers: Vec<MemberId>,
}

impl Record {
    fn of(member: &MemberRecord<'_>, health: Health, accusers: Accusers<'_>) -> Record {
        Record {
            id: member.id,
            incarnation: member.incarnation.get(),
            ip: member.address,
            swim_port: member.swim_port,
            gossip_port: member.gossip_port,
            departed: member.departed,
            health,
            accusers: accusers.collect(),
        }
    }

    /// The member again.
    pub fn as_contact(&self) -> MemberRecord<'static> {
        MemberRecord {
            id: self.id,
            incarnation: incarnation(self.incarnation),
            address: self.ip,
            swim_port: self.swim_port,
            gossip_port: self.gossip_port,
            persistent: false,
            departed: self.departed,
            probe_ping: false,
            features: 0,
            name: "",
        }
    }

    /// Who it is about and what it says.
    pub fn says(&self) -> (MemberId, Health, u64) {
        (self.id, self.health, self.incarnation)
    }
}

/// A datagram that left the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    pub at: Time,
    pub to: SocketAddr,
    pub bytes: usize,
    pub kind: MessageKind,
    pub from: Record,
    /// `forward_to` or `target`.
    pub other: Option<Record>,
    pub probe: u64,
    pub digest: u32,
    pub table: bool,
    /// An Ack's parts of a comparison of stores.
    pub reconcile: Vec<u8>,
    pub records: Vec<Record>,
}

impl Sent {
    fn read(at: Time, to: SocketAddr, bytes: usize, payload: &[u8]) -> Sent {
        let swim = wire::decode(payload).expect("what a node sends can be read");
        let from = Record::of(swim.message.from(), Health::Alive, Accusers::NONE);
        let reconcile = match swim.message {
            Message::Ack { reconcile, .. } => reconcile.to_vec(),
            _ => Vec::new(),
        };
        let (kind, other, probe, digest, table) = match swim.message {
            Message::Ping {
                forward_to,
                probe,
                digest,
                ..
            } => (MessageKind::Ping, forward_to, probe, digest, false),
            Message::Ack {
                forward_to,
                probe,
                table,
                ..
            } => (MessageKind::Ack, forward_to, probe, 0, table),
            Message::PingReq { target, probe, .. } => {
                (MessageKind::PingReq, Some(target), probe, 0, false)
            }
            Message::ProbePing { .. } => (MessageKind::ProbePing, None, 0, 0, false),
        };
        let records = swim.memberships.map(|record| {
            let record = record.expect("a node sends good records");
            Record::of(&record.member, record.health, record.accusers)
        });
        Sent {
            at,
            to,
            bytes,
            kind,
            other: other.map(|other| Record::of(&other, Health::Alive, Accusers::NONE)),
            from,
            probe,
            digest,
            table,
            reconcile,
            records: records.collect(),
        }
    }

    pub fn says_of(&self, peer: &Peer) -> Option<(Health, u64)> {
        let record = self.records.iter().find(|record| record.id == peer.id)?;
        Some((record.health, record.incarnation))
    }
}

/// The datagrams of this kind.
pub fn of(kind: MessageKind, sent: &[Sent]) -> Vec<Sent> {
    let these = sent.iter().filter(|sent| sent.kind == kind);
    these.cloned().collect()
}

pub fn pings(sent: &[Sent]) -> Vec<Sent> {
    of(MessageKind::Ping, sent)
}

/// The pings of the probe cycle, and those for others: not those that compare tables.
pub fn probes(sent: &[Sent]) -> Vec<Sent> {
    let pings = pings(sent).into_iter();
    pings.filter(|ping| ping.digest == 0).collect()
}

pub fn acks(sent: &[Sent]) -> Vec<Sent> {
    of(MessageKind::Ack, sent)
}

pub fn ping_reqs(sent: &[Sent]) -> Vec<Sent> {
    of(MessageKind::PingReq, sent)
}

pub fn probe_pings(sent: &[Sent]) -> Vec<Sent> {
    of(MessageKind::ProbePing, sent)
}

pub fn to(peer: &Peer, sent: &[Sent]) -> Vec<Sent> {
    let these = sent.iter().filter(|sent| sent.to == peer.addr);
    these.cloned().collect()
}

/// The node under test, at 192.0.2.1:9638, which is given: others need not tell it.
pub struct Bench {
    pub node: Node,
    pub now: Time,
    pub keys: Vec<RingKey>,
    /// Everything that has left so far and was not taken by `sent`.
    out: Vec<Sent>,
    /// The bytes of all datagrams, for runs to be compared.
    pub raw: Vec<(SocketAddr, Vec<u8>)>,
    pub events: Vec<Event>,
    mark: Incarnation,
}

pub const ME: u32 = 1_000_000;

pub fn config(timing: Timing) -> NodeConfig {
    let mut config = NodeConfig::new(id(ME), 1, [7; 32]);
    config.incarnation = incarnation(3);
    config.reserved = incarnation(10);
    config.ip = Some(Ipv4Addr::new(192, 0, 2, 1).into());
    config.swim_port = 9638;
    config.gossip_port = 9639;
    config.timing = timing;
    config
}

/// Numbers of its own, so that those of the presets may change, without what makes lengths vary or comes
/// on top: no scaling, no local health, no witnesses, no pushes.
pub fn plain() -> Timing {
    let mut timing = doubtful();
    timing.local_health = false;
    timing
}

/// The same with local health.
pub fn doubtful() -> Timing {
    let mut timing = Timing::lan();
    timing.period = secs(1.0);
    timing.timeout = secs(0.5);
    timing.indirect_probes = 3;
    timing.indirect_rounds = 1;
    timing.suspicion_periods = 3.0;
    timing.suspicion_stretch = 3.0;
    timing.suspicion_confirmations = 3;
    timing.suspicion_scaled = false;
    timing.witnesses = 0;
    timing.push_fanout = 0;
    timing.verdict_timeout = secs(0.5);
    timing.retry_max = secs(30.0);
    timing.sync_max = Duration::ZERO;
    timing.news_factor = 4.0;
    timing.leave_grace = secs(0.5);
    timing.lag_tolerance = secs(0.25);
    timing
}

impl Bench {
    pub fn new() -> Bench {
        Bench::with(config(plain()))
    }

    pub fn timed(timing: Timing) -> Bench {
        Bench::with(config(timing))
    }

    pub fn with(config: NodeConfig) -> Bench {
        let now = Time::from_millis(1_000_000);
        let (mark, keys) = (config.reserved, config.ring_keys.clone());
        Bench {
            node: Node::new(config, now),
            now,
            keys,
            out: Vec::new(),
            raw: Vec::new(),
            events: Vec::new(),
            mark,
        }
    }

    /// The node itself, as its peers see it.
    pub fn me(&self) -> Peer {
        let member = self.node.me().member;
        Peer {
            id: member.id,
            addr: "192.0.2.1:9638".parse().unwrap(),
            gossip_port: member.gossip_port,
            incarnation: member.incarnation.get(),
            persistent: member.persistent,
            departed: member.departed,
            features: feature::EXTENSIONS | feature::VOUCHES,
        }
    }

    /// A message with these records, as a datagram.
    pub fn datagram(&self, message: &Message<'_>, records: &[MembershipRecord<'_>]) -> Vec<u8> {
        let mut buf = vec![0; HEADROOM + 65_000];
        let mut out = Encoder::new(&mut buf[HEADROOM..], message).unwrap();
        for record in records {
            assert!(out.push(record, usize::MAX), "too many records");
        }
        let len = out.finish();
        let key = self.keys.first().map(|key| (key, [9; 24]));
        let range = wire::seal(key, &mut buf, len);
        buf[range].to_vec()
    }

    /// A message arrives from the peer's address. Returns the datagram's length.
    pub fn feed(
        &mut self,
        peer: &Peer,
        message: Message<'_>,
        records: &[MembershipRecord<'_>],
    ) -> usize {
        self.feed_from(peer.addr, message, records)
    }

    pub fn feed_from(
        &mut self,
        from: SocketAddr,
        message: Message<'_>,
        records: &[MembershipRecord<'_>],
    ) -> usize {
        let mut datagram = self.datagram(&message, records);
        self.feed_bytes(from, &mut datagram);
        datagram.len()
    }

    pub fn feed_bytes(&mut self, from: SocketAddr, datagram: &mut [u8]) {
        self.node.handle_datagram(self.now, from, datagram);
        self.drain();
    }

    /// Peers say hello by a ping each, answer the question that this provokes, and what comes back is thrown away.
    pub fn meet(&mut self, peers: &[Peer]) {
        for peer in peers {
            self.greet(peer);
            assert_eq!(self.health(peer), Some(Health::Alive));
        }
        self.sent();
        self.events();
    }

    /// A peer says hello by a ping, and answers the question that this provokes.
    pub fn greet(&mut self, peer: &Peer) {
        self.sent();
        self.feed(peer, peer.ping(0), &[]);
        self.answer_question(peer);
    }

    /// A peer answers the question that it was just asked.
    pub fn answer_question(&mut self, peer: &Peer) {
        let asked = pings(&to(peer, &self.out)).pop().expect("a question");
        self.feed(peer, peer.answers(&asked), &[]);
    }

    /// A member is known from the disk, and has not proved its address.
    pub fn remember(&mut self, peer: &Peer) {
        let record = peer.said(Health::Alive, peer.incarnation);
        self.node.hear_membership(&record).unwrap();
        self.sent();
        self.events();
    }

    /// Members are learned from the records of one that is met; of those that were not known, as if they had been on
    /// the disk.
    pub fn learn(&mut self, via: &Peer, records: &[MembershipRecord<'_>]) {
        for record in records {
            if self.node.health_of(record.member.id).is_none() {
                self.node.hear_membership(record).unwrap();
            }
        }
        for some in records.chunks(500) {
            self.feed(via, via.ack(0), some);
        }
        self.sent();
        self.events();
    }

    /// Takes all that the node has to say.
    pub fn drain(&mut self) {
        if let Some(mark) = self.node.poll_reserve() {
            self.mark = mark;
            self.node.handle_stored(self.now, mark);
        }
        let mut buf = [0; SEND_BUFFER];
        while let Some(transmit) = self.node.poll_datagram(self.now, &mut buf) {
            let mut datagram = buf[transmit.range].to_vec();
            self.raw.push((transmit.to, datagram.clone()));
            let bytes = datagram.len();
            let payload = wire::open(&self.keys, &mut datagram).expect("what a node sends opens");
            let mut sent = Sent::read(self.now, transmit.to, bytes, payload);
            if sent.from.id == self.node.id() {
                // Parts of the table and of a comparison go in the largest that there are.
                let limit = if sent.table || !sent.reconcile.is_empty() {
                    MAX_DATAGRAM_SENT
                } else {
                    ORDINARY_DATAGRAM
                };
                assert!(bytes <= limit, "{bytes} bytes: {sent:?}");
                assert_eq!(sent.from.ip, None, "the receiver fills that in");
                let unbounded = self.mark == Incarnation::MAX;
                assert!(
                    unbounded || sent.from.incarnation <= self.mark.get(),
                    "above the mark"
                );
            } else {
                assert!(bytes <= MAX_DATAGRAM_SENT, "{bytes} bytes: {sent:?}");
                sent.kind = MessageKind::ForwardedAck;
            }
            self.out.push(sent);
        }
        while let Some(event) = self.node.poll_event() {
            self.events.push(event);
        }
    }

    /// What has left since the last call.
    pub fn sent(&mut self) -> Vec<Sent> {
        self.drain();
        std::mem::take(&mut self.out)
    }

    /// What was told since the last call.
    pub fn events(&mut self) -> Vec<Event> {
        self.drain();
        std::mem::take(&mut self.events)
    }

    /// Time passes, and every deadline is kept. Returns what has left since the last taking.
    pub fn advance(&mut self, duration: Duration) -> Vec<Sent> {
        self.advance_with(duration, |_, _| ())
    }

    /// The same, with these answering every ping, at once.
    pub fn advance_with_living(&mut self, duration: Duration, living: &[Peer]) -> Vec<Sent> {
        self.advance_with(duration, |bench, sent| bench.answer(sent, living))
    }

    /// The same; what leaves is shown as it does.
    pub fn advance_with(
        &mut self,
        duration: Duration,
        mut react: impl FnMut(&mut Bench, &Sent),
    ) -> Vec<Sent> {
        let end = self.now + duration;
        let mut shown = 0;
        loop {
            self.drain();
            while let Some(sent) = self.out.get(shown).cloned() {
                shown += 1;
                react(self, &sent);
            }
            match self.node.next_timer() {
                Some(next) if next <= end => {
                    self.now = self.now.max(next);
                    self.node.handle_timeout(self.now);
                }
                _ => break,
            }
        }
        self.now = end;
        self.sent()
    }

    /// The living answer a ping: those of the original without its number.
    pub fn answer(&mut self, sent: &Sent, living: &[Peer]) {
        if sent.kind != MessageKind::Ping {
            return;
        }
        if let Some(peer) = living.iter().find(|peer| peer.addr == sent.to) {
            let knows = peer.features & feature::EXTENSIONS != 0;
            let probe = if knows { sent.probe } else { 0 };
            self.feed(peer, peer.ack(probe), &[]);
        }
    }

    /// Waits for the probe of this peer, however long the round takes.
    pub fn until_pinged(&mut self, peer: &Peer, living: &[Peer]) -> Sent {
        for _ in 0..100_000 {
            let next = self
                .node
                .next_timer()
                .expect("a node has always a deadline");
            let pause = next.since(self.now);
            let sent = self.advance_with_living(pause, living);
            if let Some(ping) = probes(&to(peer, &sent)).pop() {
                return ping;
            }
        }
        panic!("{peer:?} is never pinged");
    }

    /// Makes the peer prove its address: it answers the ping of its turn.
    pub fn prove(&mut self, peer: &Peer, living: &[Peer]) {
        let ping = self.until_pinged(peer, living);
        self.feed(peer, peer.ack(ping.probe), &[]);
        self.sent();
        self.events();
    }

    pub fn health(&self, peer: &Peer) -> Option<Health> {
        self.node.health_of(peer.id)
    }

    /// The health and incarnation that the node holds of this peer.
    pub fn held(&self, peer: &Peer) -> Option<(Health, u64)> {
        let view = self.node.member(peer.id)?;
        Some((view.health, view.member.incarnation.get()))
    }

    /// Everything that a datagram could change.
    pub fn fingerprint(&self) -> String {
        let mut members: Vec<_> = self
            .node
            .members()
            .map(|view| format!("{view:?}"))
            .collect();
        members.sort();
        let (counts, news) = (self.node.counts(), self.node.news());
        let seeds = self.node.seeds();
        format!(
            "{members:?} {counts:?} {news} {seeds} {}",
            self.node.local_health()
        )
    }
}

pub fn secs(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}
