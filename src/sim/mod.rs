//! Driver 2: the same [`Node`]s on a virtual network and clock, replayable from a seed.
//!
//! ```
//! use std::time::Duration;
//! use butterfly::sim::{Sim, SimConfig};
//!
//! let mut sim = Sim::new(SimConfig::new(7));
//! let members = sim.start_ring(10);
//! assert!(sim.run_until(Duration::from_secs(30), |sim| sim.all_agree()));
//! sim.crash(members[3]);
//! sim.run_for(Duration::from_secs(30));
//! ```

mod network;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::hash::Hasher;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::config::Timing;
use crate::event::Event;
use crate::member::{Health, Incarnation, MemberId};
use crate::node::{Node, NodeConfig, SEND_BUFFER};
use crate::time::Time;

pub use network::Network;

/// What a simulation is made of.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SimConfig {
    /// The same seed gives the same run, to the byte.
    pub seed: u64,
    /// The timing of all members.
    pub timing: Timing,
    /// What the network does to datagrams.
    pub network: Network,
}

impl SimConfig {
    /// `lan` timing on a network without loss.
    pub fn new(seed: u64) -> Self {
        SimConfig {
            seed,
            timing: Timing::lan(),
            network: Network::default(),
        }
    }
}

/// One member of a simulated ring, by number: the order of their starts.
pub type Index = usize;

/// The UDP port of every simulated member; their addresses differ.
const PORT: u16 = 9638;

/// What will happen, in the order of time, then of its coming about.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Scheduled {
    at: Time,
    sequence: u64,
    what: What,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Arrive {
        to: SocketAddr,
        from: SocketAddr,
        datagram: Vec<u8>,
    },
    /// A rumor comes to a member's PULL socket.
    Hear {
        to: Index,
        from: Index,
        frame: Vec<u8>,
    },
    /// The member's deadline, unless another was set since.
    Wake { member: Index, at: Time },
}

struct Host {
    node: Node,
    addr: SocketAddr,
    up: bool,
    /// The wake-up that is scheduled.
    wake: Option<Time>,
    events: VecDeque<(Time, Event)>,
}

/// Members on a virtual network and clock.
pub struct Sim {
    config: SimConfig,
    now: Time,
    sequence: u64,
    queue: BinaryHeap<Reverse<Scheduled>>,
    hosts: Vec<Host>,
    network_rng: StdRng,
    /// Which side of a partition each host is on; datagrams stay on their side.
    sides: Vec<u8>,
    trace: std::hash::DefaultHasher,
    /// Datagrams sent so far.
    pub datagrams: u64,
    /// Of those, lost.
    pub lost: u64,
    /// Rumors pushed so far.
    pub pushes: u64,
    /// Their bytes.
    pub push_bytes: u64,
}

/// Making and running.
impl Sim {
    /// An empty network.
    pub fn new(config: SimConfig) -> Self {
        let network_rng = StdRng::seed_from_u64(config.seed);
        Sim {
            config,
            now: Time::ZERO,
            sequence: 0,
            queue: BinaryHeap::new(),
            hosts: Vec::new(),
            network_rng,
            sides: Vec::new(),
            trace: std::hash::DefaultHasher::new(),
            datagrams: 0,
            lost: 0,
            pushes: 0,
            push_bytes: 0,
        }
    }

    /// Starts a member that knows nobody.
    pub fn start(&mut self) -> Index {
        let index = self.hosts.len();
        let addr = address_of(index);
        let node = self.new_node(index, addr, Incarnation::ZERO);
        self.hosts.push(Host {
            node,
            addr,
            up: true,
            wake: None,
            events: VecDeque::new(),
        });
        self.sides.push(0);
        self.settle(index);
        index
    }

    /// Starts that many members at once, all but the first with the first as their seed.
    pub fn start_ring(&mut self, members: usize) -> Vec<Index> {
        let started: Vec<_> = (0..members).map(|_| self.start()).collect();
        for member in started.iter().skip(1) {
            self.join(*member, started[0]);
        }
        started
    }

    fn new_node(&mut self, index: Index, addr: SocketAddr, incarnation: Incarnation) -> Node {
        // Each member has its own generator, so that what happens to one does not shift the rest.
        let mut rng =
            StdRng::seed_from_u64(self.config.seed ^ (index as u64 + 1) << 32 ^ incarnation.get());
        let config = NodeConfig {
            id: id_of(index),
            name: format!("m{index}"),
            incarnation,
            reserved: Incarnation::MAX,
            ip: Some(addr.ip()),
            swim_port: addr.port(),
            gossip_port: addr.port(),
            persistent: false,
            ring_keys: Vec::new(),
            timing: self.config.timing.clone(),
            random_seed: rng.random(),
        };
        Node::new(config, self.now)
    }

    /// The member asks another for the ring from now on.
    pub fn join(&mut self, member: Index, seed: Index) {
        let seed = self.hosts[seed].addr;
        self.command(member, |node, now| {
            let _ = node.join(now, seed);
        });
    }

    /// Gives a member a command at the present time.
    pub fn command(&mut self, member: Index, command: impl FnOnce(&mut Node, Time)) {
        let now = self.now;
        command(&mut self.hosts[member].node, now);
        self.settle(member);
    }

    /// The member stops without a word.
    pub fn crash(&mut self, member: Index) {
        self.hosts[member].up = false;
    }

    /// A crashed member comes back with an empty table; `incarnation` is what its disk says.
    pub fn restart(&mut self, member: Index, incarnation: Incarnation) {
        let addr = self.hosts[member].addr;
        let node = self.new_node(member, addr, incarnation);
        let host = &mut self.hosts[member];
        (host.node, host.up, host.wake) = (node, true, None);
        self.settle(member);
    }

    /// From now on members only reach those with the same number; all have 0 at first.
    pub fn partition(&mut self, side_of: impl Fn(Index) -> u8) {
        self.sides = (0..self.hosts.len()).map(side_of).collect();
    }

    /// What the network does from now on.
    pub fn network_mut(&mut self) -> &mut Network {
        &mut self.config.network
    }

    /// Lets that much time pass.
    pub fn run_for(&mut self, duration: Duration) {
        let end = self.now + duration;
        while self.step(end) {}
        self.now = end;
    }

    /// Lets time pass until the condition holds, looking 100 times a period; whether it came to that
    /// before `most` was over.
    pub fn run_until(&mut self, most: Duration, mut condition: impl FnMut(&Sim) -> bool) -> bool {
        let end = self.now + most;
        let look = (self.config.timing.period / 100).max(Duration::from_micros(100));
        while !condition(self) {
            if self.now >= end {
                return false;
            }
            self.run_for(look);
        }
        true
    }

    /// The next thing that happens before `end`.
    fn step(&mut self, end: Time) -> bool {
        if self.queue.peek().is_none_or(|next| next.0.at > end) {
            return false;
        }
        let Some(Reverse(Scheduled { at, what, .. })) = self.queue.pop() else {
            return false;
        };
        self.now = at;
        match what {
            What::Arrive {
                to,
                from,
                mut datagram,
            } => self.arrive(to, from, &mut datagram),
            What::Hear {
                to,
                from,
                mut frame,
            } => self.hear(to, from, &mut frame),
            What::Wake { member, at } => {
                let host = &mut self.hosts[member];
                if host.up && host.wake == Some(at) {
                    host.wake = None;
                    host.node.handle_timeout(at);
                    self.settle(member);
                }
            }
        }
        true
    }

    fn arrive(&mut self, to: SocketAddr, from: SocketAddr, datagram: &mut [u8]) {
        let Some(member) =
            index_of(to).filter(|index| self.hosts.get(*index).is_some_and(|host| host.up))
        else {
            return;
        };
        self.trace.write_u64(self.now.as_micros());
        self.trace.write_usize(member);
        self.trace.write(datagram);
        self.hosts[member]
            .node
            .handle_datagram(self.now, from, datagram);
        self.settle(member);
    }

    fn hear(&mut self, to: Index, from: Index, frame: &mut [u8]) {
        if !self.hosts.get(to).is_some_and(|host| host.up) {
            return;
        }
        self.trace.write_u64(self.now.as_micros());
        self.trace.write_usize(to);
        self.trace.write(frame);
        let addr = self.hosts[from].addr;
        let node = &mut self.hosts[to].node;
        node.handle_rumor(self.now, frame, || addr);
        self.settle(to);
    }

    /// Takes from a member what it has to say, and when it wants to be woken.
    fn settle(&mut self, member: Index) {
        let mut buf = [0; SEND_BUFFER];
        while let Some(transmit) = self.hosts[member].node.poll_datagram(self.now, &mut buf) {
            self.send(member, transmit.to, &buf[transmit.range]);
        }
        let mut frame = Vec::new();
        while let Some(push) = self.hosts[member].node.poll_push(self.now, &mut frame) {
            let taken = self.push(member, push.to, &frame);
            let node = &mut self.hosts[member].node;
            node.handle_sent(self.now, push.id, taken);
        }
        let host = &mut self.hosts[member];
        while let Some(event) = host.node.poll_event() {
            host.events.push_back((self.now, event));
        }
        let wake = host.node.poll_timeout();
        if wake != host.wake {
            host.wake = wake;
            if let Some(at) = wake {
                self.schedule(at, What::Wake { member, at });
            }
        }
    }

    fn send(&mut self, from: Index, to: SocketAddr, datagram: &[u8]) {
        self.datagrams += 1;
        let same_side = index_of(to).is_none_or(|to| self.sides.get(to) == self.sides.get(from));
        let delay = self.config.network.delay(&mut self.network_rng);
        let (Some(delay), true) = (delay, same_side) else {
            self.lost += 1;
            return;
        };
        let what = What::Arrive {
            to,
            from: self.hosts[from].addr,
            datagram: datagram.to_vec(),
        };
        self.schedule(self.now + delay, what);
    }

    /// A connection takes rumors only while its other end can be reached; what it took may be lost with it.
    fn push(&mut self, from: Index, to: SocketAddr, frame: &[u8]) -> bool {
        self.pushes += 1;
        self.push_bytes += frame.len() as u64;
        let delay = self.config.network.delay(&mut self.network_rng);
        let Some(to) = index_of(to) else {
            return false;
        };
        let same_side = self.sides.get(to) == self.sides.get(from);
        if !same_side || !self.hosts.get(to).is_some_and(|host| host.up) {
            return false;
        }
        if let Some(delay) = delay {
            let frame = frame.to_vec();
            self.schedule(self.now + delay, What::Hear { to, from, frame });
        }
        true
    }

    fn schedule(&mut self, at: Time, what: What) {
        self.sequence += 1;
        let sequence = self.sequence;
        self.queue.push(Reverse(Scheduled {
            at: at.max(self.now),
            sequence,
            what,
        }));
    }
}

/// Looking.
impl Sim {
    /// The present time.
    pub fn now(&self) -> Time {
        self.now
    }

    /// A member's state machine.
    pub fn node(&self, member: Index) -> &Node {
        &self.hosts[member].node
    }

    /// Those that run.
    pub fn up(&self) -> impl Iterator<Item = Index> + '_ {
        (0..self.hosts.len()).filter(|member| self.hosts[*member].up)
    }

    /// What happened at a member, with the time; takes it.
    pub fn take_events(&mut self, member: Index) -> Vec<(Time, Event)> {
        self.hosts[member].events.drain(..).collect()
    }

    /// What one member holds another for.
    pub fn view(&self, of: Index, about: Index) -> Option<Health> {
        self.hosts[of].node.health_of(id_of(about))
    }

    /// Whether every running member holds this one for that.
    pub fn all_hold(&self, about: Index, health: Health) -> bool {
        self.up()
            .filter(|member| *member != about)
            .all(|member| self.view(member, about) == Some(health))
    }

    /// Whether all running members hold the same rumors.
    pub fn same_rumors(&self) -> bool {
        let mut checksums = self
            .up()
            .map(|member| self.hosts[member].node.rumor_checksum());
        let first = checksums.next();
        checksums.all(|checksum| Some(checksum) == first)
    }

    /// Whether every running member holds every running member for Alive, and nobody else.
    pub fn all_agree(&self) -> bool {
        let up = self.up().count();
        self.up().all(|of| {
            self.hosts[of].node.counts().alive == up
                && self
                    .up()
                    .all(|about| self.view(of, about) == Some(Health::Alive))
        })
    }

    /// Stands for every datagram that arrived so far, where and when.
    pub fn trace_hash(&self) -> u64 {
        self.trace.finish()
    }
}

/// A member's id.
pub fn id_of(member: Index) -> MemberId {
    MemberId::from_bytes((member as u128 + 1).to_be_bytes())
}

fn address_of(member: Index) -> SocketAddr {
    let ip = Ipv4Addr::from_bits(0x0a00_0001 + member as u32);
    SocketAddr::new(ip.into(), PORT)
}

fn index_of(addr: SocketAddr) -> Option<Index> {
    match addr.ip() {
        IpAddr::V4(ip) => Some(ip.to_bits().checked_sub(0x0a00_0001)? as usize),
        IpAddr::V6(_) => None,
    }
}
