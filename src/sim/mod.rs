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
//! assert!(sim.violations().is_empty());
//! ```
//!
//! Everything can be made to go wrong: between all members ([`Sim::network_mut`]), at one member's link
//! ([`Sim::link_mut`]), between two ([`Sim::cut`], [`Sim::partition`]), and in the processes themselves (the
//! methods under "Breaking"). [`Sim::faults`] counts what really went wrong, and [`Sim::violations`] lists what
//! no fault excuses.
//!
//! | file | subject |
//! |---|---|
//! | `queue` | what will happen, in order |
//! | `dice` | chance, a function of the seed and of what it is for |
//! | `network` | what happens to a message on its way |
//! | `fault` | all that can go wrong, counted |
//! | `host` | one process: its disk, its clock, its socket |
//! | `turn` | how a process reads, works and sends |
//! | `way` | what a message meets between two processes |
//! | `systems` | what systems say of the ports of processes that ended |
//! | `watch` | what must hold after every event |
//! | `forge` | what somebody sends who is no member, and what comes of it |
//! | `traffic` | what members send each other, counted by what it is for |
//! | `allowance` | how much of it a member may send in a period |
//! | `look` | looking at the whole |
//! | `recorded` | members that are made, and what they are told |
//! | [`chaos`] | whole runs of trouble that a seed chooses |

mod allowance;
pub mod chaos;
mod dice;
mod fault;
mod forge;
mod host;
mod look;
mod network;
mod queue;
mod recorded;
mod systems;
mod traffic;
mod turn;
mod watch;
mod way;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::config::Timing;
use crate::limits::INCARNATION_RESERVE;
use crate::member::{Incarnation, Member, MemberId};
use crate::node::Node;
use crate::ring_name::RingName;
use crate::time::Time;
use crate::wire::{RingKey, Serial};
use allowance::Allowance;
use dice::{Dice, Trace};
use host::{Content, Host, Parcel};
use queue::Queue;

pub use fault::{Fault, FaultCounts};
pub use forge::{Strayed, Taken};
pub use host::Disk;
pub use network::{Link, Network};
pub use watch::Violation;

/// What a simulation is made of.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SimConfig {
    /// The same seed gives the same run, to the byte.
    pub seed: u64,
    /// The timing of all members.
    pub timing: Timing,
    /// What the network does to messages.
    pub network: Network,
    /// The ring's keys; none: everything is plain.
    pub ring_keys: Vec<RingKey>,
    /// The name of the ring that members start in from now on: see [`Sim::start_in`].
    pub ring: Option<RingName>,
    /// Whether members have names, which ride in every message and are kept of every member by every other.
    pub names: bool,
    /// Whether events are kept for [`Sim::take_events`]: in a large ring they are many.
    pub events: bool,
    /// Whether what must always hold is looked at after every event, see [`Sim::violations`].
    pub watched: bool,
    /// Datagrams that lie in the socket of a process that does not read them; more are lost.
    pub socket_buffer: usize,
    /// Whether what members are told is recorded, for [`Sim::take_recordings`].
    pub recorded: bool,
}

impl SimConfig {
    /// `lan` timing on a network where nothing goes wrong, plain, watched; a socket holds as much as Linux's
    /// do by default.
    pub fn new(seed: u64) -> Self {
        SimConfig {
            seed,
            timing: Timing::lan(),
            network: Network::default(),
            ring_keys: Vec::new(),
            ring: None,
            names: true,
            events: true,
            watched: true,
            socket_buffer: 166,
            recorded: false,
        }
    }
}

/// One process of a simulated ring, by number: the order of their first starts.
pub type Index = usize;

/// The UDP port of every simulated member; their addresses differ.
const PORT: u16 = 9638;

/// What will happen.
enum What {
    /// A message comes to an address.
    Arrive { to: usize, parcel: Parcel },
    /// The member's deadline, unless another was set since.
    Wake { member: Index, at: Time },
    /// The loop of a process that is late comes around, unless it is to be at another time now.
    Turn { member: Index, at: Time },
}

/// Members on a virtual network and clock.
pub struct Sim {
    config: SimConfig,
    now: Time,
    queue: Queue<What>,
    hosts: Vec<Host>,
    /// Who is at each address.
    places: Vec<Option<Index>>,
    dice: Dice,
    /// Ways that lead in the other direction only.
    cuts: BTreeSet<(Index, Index)>,
    /// Whose messages the firewalls of others reject.
    rejected: BTreeSet<(Index, Index)>,
    /// Datagrams of the past, to be replayed: source, destination, bytes.
    past: Vec<(SocketAddr, SocketAddr, Vec<u8>)>,
    /// All datagrams that were sent, if they are recorded.
    recorded: Option<Vec<Taken>>,
    /// What ended processes were told, if that is recorded.
    recordings: Vec<Vec<u8>>,
    /// What went to addresses at which no member ever was.
    strayed: BTreeMap<SocketAddr, Strayed>,
    faults: FaultCounts,
    violations: Vec<Violation>,
    trace: Trace,
    /// Buffers that are free.
    buffers: Vec<Vec<u8>>,
    /// Datagrams sent so far.
    pub datagrams: u64,
    /// Of those, lost.
    pub lost: u64,
    /// Their bytes, lost or not.
    pub datagram_bytes: u64,
    /// Rumors pushed so far.
    pub pushes: u64,
    /// Their bytes.
    pub push_bytes: u64,
}

/// Making and running.
impl Sim {
    /// An empty network.
    pub fn new(mut config: SimConfig) -> Self {
        // As its members take it.
        config.timing = config.timing.sane();
        Sim {
            dice: Dice::new(config.seed),
            config,
            now: Time::ZERO,
            queue: Queue::new(),
            hosts: Vec::new(),
            places: Vec::new(),
            cuts: BTreeSet::new(),
            rejected: BTreeSet::new(),
            past: Vec::new(),
            recorded: None,
            recordings: Vec::new(),
            strayed: BTreeMap::new(),
            faults: FaultCounts::default(),
            violations: Vec::new(),
            trace: Trace::default(),
            buffers: Vec::new(),
            datagrams: 0,
            lost: 0,
            datagram_bytes: 0,
            pushes: 0,
            push_bytes: 0,
        }
    }

    /// Starts a member that knows nobody.
    pub fn start(&mut self) -> Index {
        self.start_as(id_of(self.hosts.len()))
    }

    /// Starts a member of the ring of this name, or of one without a name, that knows nobody; so do all others from now on.
    pub fn start_in(&mut self, ring: Option<RingName>) -> Index {
        self.config.ring = ring;
        self.start()
    }

    /// Starts that many members at once, all but the first with the first as their seed.
    pub fn start_ring(&mut self, members: usize) -> Vec<Index> {
        let started: Vec<_> = (0..members).map(|_| self.start()).collect();
        for member in started.iter().skip(1) {
            self.join(*member, started[0]);
        }
        started
    }

    /// Starts that many members that all know each other, as after some hours without any news.
    pub fn start_settled(&mut self, members: usize) -> Vec<Index> {
        let started: Vec<_> = (0..members).map(|_| self.start()).collect();
        let records: Vec<_> = started
            .iter()
            .map(|member| (self.record_of(*member), self.hosts[*member].epoch))
            .collect();
        for member in &started {
            let node = &mut self.hosts[*member].node;
            for (other, ((record, name), epoch)) in started.iter().zip(&records) {
                if other != member {
                    node.know(record, name);
                    let (epoch, number) = (*epoch, 0);
                    if node.is_sealed() {
                        node.heard(record.id, Serial { epoch, number });
                    }
                }
            }
            self.settle(*member);
        }
        started
    }

    /// Starts a second process with the id of another.
    pub fn start_twin(&mut self, of: Index) -> Index {
        self.faults.add(Fault::Twin);
        self.start_as(self.hosts[of].id)
    }

    fn start_as(&mut self, id: MemberId) -> Index {
        let (index, place) = (self.hosts.len(), self.places.len());
        let ring = self.config.ring.clone();
        let epoch = self.epoch_after(0);
        let life = (Incarnation::ZERO, epoch);
        let node = self.new_node(index, id, place, ring, life, 1);
        let mut host = Host::new(node, id, place);
        host.epoch = epoch;
        host.watch.allowance = Allowance::since(self.now);
        self.hosts.push(host);
        self.places.push(Some(index));
        self.settle(index);
        index
    }

    /// With which epoch a process starts now that finds this one on its disk.
    fn epoch_after(&self, stored: u64) -> u64 {
        (self.now.as_micros() / 1_000).max(stored + 1)
    }

    fn record_of(&self, member: Index) -> (Member, String) {
        let host = &self.hosts[member];
        let me = host.node.me();
        let ip = host.addr().ip();
        (Member { ip, ..me.member }, me.name.to_owned())
    }

    /// The member asks another for the ring from now on.
    pub fn join(&mut self, member: Index, seed: Index) {
        let seed = self.hosts[seed].addr();
        self.command(member, |node, now| {
            let _ = node.join(now, seed);
        });
    }

    /// Gives a member a command at the present time.
    pub fn command<T>(&mut self, member: Index, command: impl FnOnce(&mut Node, Time) -> T) -> T {
        let host = &mut self.hosts[member];
        let local = host.local(self.now);
        let done = command(&mut host.node, local);
        self.settle(member);
        done
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
}

/// Breaking.
impl Sim {
    /// The member stops without a word.
    pub fn crash(&mut self, member: Index) {
        if self.hosts[member].up {
            self.end_process(member);
            if !self.hosts[member].lost {
                self.close_sockets(member, self.now);
            }
        }
    }

    fn end_process(&mut self, member: Index) {
        let host = &mut self.hosts[member];
        host.up = false;
        host.inbox.clear();
        host.held.clear();
        self.faults.add(Fault::Crash);
    }

    /// A crashed member comes back with an empty table; `incarnation` is what its disk says.
    pub fn restart(&mut self, member: Index, incarnation: Incarnation) {
        self.begin_life(member, incarnation, Disk::Lost);
        self.settle(member);
    }

    /// A crashed member comes back, with this disk.
    pub fn restart_with(&mut self, member: Index, disk: Disk) {
        let host = &mut self.hosts[member];
        let content = match disk {
            Disk::Kept => Some(Content::of(host)),
            Disk::Lost => None,
            Disk::Older => host.copy.clone(),
        };
        self.faults.add(match (disk, &content) {
            (Disk::Kept, _) => Fault::RestartKept,
            (Disk::Older, Some(_)) => Fault::RestartOlder,
            // Without a copy there is no older disk.
            (Disk::Lost | Disk::Older, _) => Fault::RestartLost,
        });
        let incarnation = content
            .as_ref()
            .map_or(Incarnation::ZERO, |content| content.mark.next());
        self.begin_life(member, incarnation, disk);
        if let Some(content) = content {
            content.restore(&mut self.hosts[member].node);
        }
        self.settle(member);
    }

    /// A copy of the member's disk, for [`Disk::Older`].
    pub fn copy_disk(&mut self, member: Index) {
        let host = &mut self.hosts[member];
        host.copy = Some(Content::of(host));
    }

    fn begin_life(&mut self, member: Index, incarnation: Incarnation, disk: Disk) {
        let host = &mut self.hosts[member];
        host.lives += 1;
        let (id, place, lives) = (host.id, host.place, host.lives);
        let ring = host.node.ring().cloned();
        let stored = if disk == Disk::Kept { host.epoch } else { 0 };
        let epoch = self.epoch_after(stored);
        let life = (incarnation, epoch);
        let node = self.new_node(member, id, place, ring, life, lives);
        self.end_recording(member);
        let now = self.now;
        let host = &mut self.hosts[member];
        (host.mark, host.epoch) = (incarnation.plus(INCARNATION_RESERVE), epoch);
        (host.node, host.up, host.frozen, host.clock) = (node, true, false, 0);
        (host.stalled, host.lost, host.closed_at) = (false, false, now);
        host.held.clear();
        host.watched.clear();
        (host.wake, host.turn, host.busy_until) = (None, None, now);
        host.inbox.clear();
        if let Some(what) = host.watch.begins(now, incarnation, disk) {
            self.violated(member, what);
        }
    }

    /// A crashed member will be at another address when it comes back.
    pub fn move_away(&mut self, member: Index) {
        if self.hosts[member].up {
            return;
        }
        self.faults.add(Fault::NewAddress);
        self.places[self.hosts[member].place] = None;
        self.hosts[member].place = self.places.len();
        self.places.push(Some(member));
    }

    /// Two crashed members will each be at the other's address when they come back.
    pub fn swap_addresses(&mut self, one: Index, other: Index) {
        if self.hosts[one].up || self.hosts[other].up || one == other {
            return;
        }
        self.faults.add(Fault::SwappedAddresses);
        let places = (self.hosts[one].place, self.hosts[other].place);
        (self.hosts[other].place, self.hosts[one].place) = places;
        (self.places[places.0], self.places[places.1]) = (Some(other), Some(one));
    }

    /// The process stands still, and its clock with it or not as its system likes: what comes waits in its
    /// socket.
    pub fn freeze(&mut self, member: Index) {
        let host = &mut self.hosts[member];
        if host.up && !host.frozen {
            host.frozen = true;
            self.faults.add(Fault::Freeze);
        }
    }

    /// It goes on where it stood still, and finds out how late it is.
    pub fn thaw(&mut self, member: Index) {
        if std::mem::take(&mut self.hosts[member].frozen) {
            self.turn_at(member, self.now);
        }
    }

    /// What comes to the process waits in its socket, and what it sends does not leave, while it goes on
    /// working: slow processing of messages, as the Lifeguard paper has it.
    pub fn stall(&mut self, member: Index) {
        let host = &mut self.hosts[member];
        if host.up && !host.stalled {
            host.stalled = true;
            self.faults.add(Fault::Stall);
        }
    }

    /// All that waited goes its way.
    pub fn unstall(&mut self, member: Index) {
        if std::mem::take(&mut self.hosts[member].stalled) {
            self.release(member);
            self.turn_at(member, self.now);
        }
    }

    /// Its loop does something else for so long each time around; zero: it is prompt again.
    pub fn slow_down(&mut self, member: Index, by: Duration) {
        self.hosts[member].slow = by;
        self.turn_at(member, self.now);
    }

    /// Its clock jumps, forward or back, by so many microseconds. A loop that sleeps does so for a while, not
    /// until a time, so it finds out when it would have come around anyway.
    pub fn jump_clock(&mut self, member: Index, micros: i64) {
        let host = &mut self.hosts[member];
        if !host.up {
            return;
        }
        host.clock = host.clock.saturating_add(micros);
        self.faults.add(Fault::ClockJump);
    }

    /// What happens at this member's link from now on.
    pub fn link_mut(&mut self, member: Index) -> &mut Link {
        &mut self.hosts[member].link
    }

    /// Nothing that one member sends comes to the other any more.
    pub fn cut(&mut self, from: Index, to: Index) {
        self.cuts.insert((from, to));
    }

    /// What one member sends comes to the other again.
    pub fn mend(&mut self, from: Index, to: Index) {
        self.cuts.remove(&(from, to));
        self.rejected.remove(&(from, to));
    }

    /// From now on members only reach those with the same number, below 32; all have 0 at first.
    pub fn partition(&mut self, side_of: impl Fn(Index) -> u8) {
        let mut sizes = [0; 32];
        for (member, host) in self.hosts.iter_mut().enumerate() {
            let side = side_of(member) % 32;
            host.sides = 1 << side;
            sizes[usize::from(side)] += 1;
        }
        if let Some(kind) = fault::kind_of_partition(&sizes) {
            self.faults.add(kind);
        }
    }

    /// All ways lead in both directions again.
    pub fn mend_all(&mut self) {
        self.cuts.clear();
        self.rejected.clear();
    }

    /// The member reaches all sides of a partition.
    pub fn bridge(&mut self, member: Index) {
        let before = std::mem::replace(&mut self.hosts[member].sides, u32::MAX);
        if self.hosts.iter().any(|host| host.sides & before == 0) {
            self.faults.add(Fault::Bridge);
        }
    }

    /// All ways are open and all links perfect again, no process is slow, stalled or frozen; what crashed stays so.
    pub fn heal(&mut self) {
        let Network {
            delay,
            jitter,
            icmp,
            ..
        } = self.config.network;
        self.config.network = Network {
            delay,
            jitter,
            icmp,
            ..Network::default()
        };
        self.mend_all();
        self.past.clear();
        self.partition(|_| 0);
        for member in 0..self.hosts.len() {
            self.hosts[member].link = Link::default();
            self.slow_down(member, Duration::ZERO);
            self.thaw(member);
            self.unstall(member);
        }
    }
}

/// The id of a member that is no twin of another.
pub fn id_of(member: Index) -> MemberId {
    MemberId::from_bytes((member as u128 + 1).to_be_bytes())
}

/// The address of a place.
fn address_of(place: usize) -> SocketAddr {
    let ip = Ipv4Addr::from_bits(0x0a00_0001 + place as u32);
    SocketAddr::new(ip.into(), PORT)
}

/// The place of an address, if one of ours may be there.
fn place_of(addr: SocketAddr) -> Option<usize> {
    match addr.ip() {
        IpAddr::V4(ip) => Some(ip.to_bits().checked_sub(0x0a00_0001)? as usize),
        IpAddr::V6(_) => None,
    }
}
