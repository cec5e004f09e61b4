//! What a member is told before it starts: who it is, where it listens, and how fast it goes.

#[cfg(not(feature = "disk"))]
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
#[cfg(feature = "disk")]
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use crate::limits::{MAX_RECORDING, MAX_RUMOR_BYTES, MAX_WATCHED};
use crate::member::{Incarnation, MemberId};
use crate::ring_name::RingName;
use crate::wire::RingKey;

/// How fast a member probes and how long it waits. All members of a ring should use the same.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Timing {
    /// One member is probed in each such period, which also bounds a probe: who has answered neither
    /// directly nor through others at its end is Suspect.
    pub period: Duration,
    /// How long an Ack may take before others are asked to ping too. Less than `period`.
    pub timeout: Duration,
    /// How many others are asked to ping a member that did not answer.
    pub indirect_probes: usize,
    /// How often others are asked, at equal pauses until the period ends; each time but the first the member
    /// itself is pinged again too. So a probe fails by silence, and hardly by datagrams that were lost.
    pub indirect_rounds: usize,
    /// The shortest suspicion, in periods: when enough others accuse the member too. In rings too small for
    /// that, up to twice as long.
    pub suspicion_periods: f64,
    /// The longest suspicion, when nobody else accuses the member, as a multiple of the shortest (≥ 1).
    pub suspicion_stretch: f64,
    /// Independent accusations beside the first that bring a suspicion down to its shortest, at most 3.
    pub suspicion_confirmations: usize,
    /// Whether the longest suspicion grows with log₁₀ of the ring's size (Lifeguard §IV).
    pub suspicion_scaled: bool,
    /// How many of those who hear of a suspicion probe the suspect out of turn, on average: so that
    /// witnesses, and not time alone, decide. 0: none.
    pub witnesses: usize,
    /// Whether bad local health stretches `period` and `timeout` (Lifeguard §III).
    pub local_health: bool,
    /// How long a suspicion lasts once more members than `suspicion_confirmations`, or all but the suspect in a small ring,
    /// were told by the suspect's system that nobody listens at its port. A process that starts again within this time is
    /// not held dead. Zero: such refusals shorten nothing.
    pub refused_suspicion: Duration,
    /// How long a member is Suspect whose process does not answer while its system does, counted from the first ping that
    /// it did not answer. Zero: as long as any other.
    pub stall_patience: Duration,
    /// To so many members, those that come next by their ids, connections are kept open: their end is a hint to ping the
    /// member at once. At most [`MAX_WATCHED`]; 0: none.
    pub watch_connections: usize,
    /// How long a member that others say is dead has to answer for itself (PROTOCOL.md §2, 1 s there).
    pub verdict_timeout: Duration,
    /// News is pushed to so many members at once, and again after each `push_interval`; 0: it only rides on
    /// probes. While many members leave, to more
    /// ([`MAX_CROWD_PUSHES`](crate::limits::MAX_CROWD_PUSHES)).
    pub push_fanout: usize,
    /// The pause between two pushes of news.
    pub push_interval: Duration,
    /// Told so often, or ln of the ring's size and 2 times if that is more, a piece of news is not pushed any more
    /// and only rides on probes.
    pub push_tellings: usize,
    /// How often a new piece of news is told in all, as a multiple of log₂ of the ring's size.
    pub news_factor: f64,
    /// The longest pause between two attempts to reach a seed or one of the dead. Attempts start one
    /// period apart, and each pause is twice the one before.
    pub retry_max: Duration,
    /// The longest pause between two comparisons of the own table with another member's. They start a
    /// fraction of a period after the first member is found, and each pause is twice the one before. Zero:
    /// never.
    pub sync_max: Duration,
    /// A hot rumor is pushed to so many members at once, and told to as many after each `gossip_interval`.
    pub gossip_fanout: usize,
    /// The pause between two tellings of hot rumors.
    pub gossip_interval: Duration,
    /// How often a rumor is told or heard back before it is cold, as a multiple of log₂ of the ring's size.
    pub gossip_factor: f64,
    /// Bytes of rumors that are pushed in a second at most.
    pub rumor_budget: usize,
    /// The pause between two random peers that are told some rumors again, if they cannot compare stores.
    /// Zero: never.
    pub drip: Duration,
    /// How long a Confirmed member is remembered as such before it is Departed.
    pub departed_after: Duration,
    /// How long a Departed member is remembered at all.
    pub forget_after: Duration,
    /// Half the time that leaving takes: members are told at once, and others again after this long.
    pub leave_grace: Duration,
    /// Being called this much after a deadline is lag of the own loop: that time does not count against
    /// others, and worsens local health.
    pub lag_tolerance: Duration,
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl Timing {
    /// A data centre: a member is probed each second.
    pub fn lan() -> Self {
        Timing {
            period: Duration::from_secs(1),
            timeout: Duration::from_millis(500),
            indirect_probes: 3,
            indirect_rounds: 5,
            suspicion_periods: 2.0,
            suspicion_stretch: 4.0,
            suspicion_confirmations: 3,
            suspicion_scaled: true,
            witnesses: 12,
            local_health: true,
            refused_suspicion: Duration::from_secs(1),
            stall_patience: Duration::from_secs(8),
            watch_connections: 2,
            verdict_timeout: Duration::from_millis(500),
            push_fanout: 3,
            push_interval: Duration::from_millis(50),
            push_tellings: 6,
            news_factor: 4.0,
            retry_max: Duration::from_secs(60),
            sync_max: Duration::from_secs(60),
            gossip_fanout: 5,
            gossip_interval: Duration::from_millis(50),
            gossip_factor: 1.5,
            rumor_budget: 32 << 20,
            drip: Duration::from_secs(60),
            departed_after: 3 * DAY,
            forget_after: 7 * DAY,
            leave_grace: Duration::from_millis(500),
            lag_tolerance: Duration::from_millis(250),
        }
    }

    /// Members in several places, far apart.
    pub fn wan() -> Self {
        Timing {
            period: Duration::from_secs(5),
            timeout: Duration::from_secs(3),
            refused_suspicion: Duration::from_secs(5),
            stall_patience: Duration::from_secs(30),
            verdict_timeout: Duration::from_secs(3),
            push_interval: Duration::from_millis(300),
            gossip_interval: Duration::from_millis(300),
            rumor_budget: 4 << 20,
            retry_max: Duration::from_secs(300),
            sync_max: Duration::from_secs(300),
            leave_grace: Duration::from_secs(1),
            lag_tolerance: Duration::from_millis(1_500),
            ..Timing::lan()
        }
    }

    /// The original's defaults (PROTOCOL.md §2): suspicions of fixed length, no local health, no pushes, no
    /// witnesses, no comparing of tables.
    pub fn habitat() -> Self {
        Timing {
            period: Duration::from_millis(3_100),
            timeout: Duration::from_secs(1),
            indirect_probes: 5,
            indirect_rounds: 1,
            suspicion_periods: 3.0,
            suspicion_stretch: 1.0,
            suspicion_confirmations: 0,
            suspicion_scaled: false,
            witnesses: 0,
            local_health: false,
            refused_suspicion: Duration::ZERO,
            stall_patience: Duration::ZERO,
            watch_connections: 0,
            verdict_timeout: Duration::from_secs(1),
            push_fanout: 0,
            gossip_interval: Duration::from_secs(1),
            retry_max: Duration::from_secs(186),
            sync_max: Duration::ZERO,
            lag_tolerance: Duration::from_millis(500),
            ..Timing::lan()
        }
    }

    /// Tests on one machine: a dead member of ten is Confirmed in about a second.
    pub fn local() -> Self {
        Timing {
            period: Duration::from_millis(100),
            timeout: Duration::from_millis(30),
            suspicion_periods: 4.0,
            suspicion_stretch: 3.0,
            refused_suspicion: Duration::from_millis(200),
            stall_patience: Duration::from_millis(800),
            verdict_timeout: Duration::from_millis(60),
            push_interval: Duration::from_millis(10),
            gossip_interval: Duration::from_millis(10),
            rumor_budget: 128 << 20,
            drip: Duration::from_secs(2),
            retry_max: Duration::from_secs(2),
            sync_max: Duration::from_secs(2),
            leave_grace: Duration::from_millis(50),
            lag_tolerance: Duration::from_millis(20),
            ..Timing::lan()
        }
    }

    /// The same with what would make a member spin put right: durations of pauses are at least a
    /// millisecond, a time-out is no longer than its period, factors are finite and not negative.
    pub fn sane(mut self) -> Self {
        let least = Duration::from_millis(1);
        self.period = self.period.max(least);
        self.timeout = self.timeout.clamp(least, self.period);
        self.push_interval = self.push_interval.max(least);
        self.gossip_interval = self.gossip_interval.max(least);
        self.rumor_budget = self.rumor_budget.max(1 << 10);
        self.retry_max = self.retry_max.max(self.period);
        self.watch_connections = self.watch_connections.min(MAX_WATCHED);
        if !self.refused_suspicion.is_zero() {
            // A forged Confirmed is checked for as long.
            self.refused_suspicion = self.refused_suspicion.max(self.verdict_timeout);
        }
        for factor in [
            &mut self.suspicion_periods,
            &mut self.suspicion_stretch,
            &mut self.news_factor,
            &mut self.gossip_factor,
        ] {
            *factor = if factor.is_finite() {
                factor.clamp(0.0, 1e6)
            } else {
                1.0
            };
        }
        self
    }

    /// The names of the presets.
    pub const PRESETS: &[&str] = &["lan", "wan", "habitat", "local"];

    /// The preset of this name, one of [`Timing::PRESETS`].
    pub fn preset(name: &str) -> Option<Self> {
        match name {
            "lan" => Some(Timing::lan()),
            "wan" => Some(Timing::wan()),
            "habitat" => Some(Timing::habitat()),
            "local" => Some(Timing::local()),
            _ => None,
        }
    }
}

impl Default for Timing {
    fn default() -> Self {
        Timing::lan()
    }
}

/// What a member is told before it starts.
///
/// ```
/// use butterfly::{Config, Timing};
///
/// let config = Config::new("127.0.0.1:0".parse().unwrap()).name("web-1").timing(Timing::local());
/// assert_eq!(config.name, "web-1");
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The UDP address to bind; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// Where others reach this member, if that is not where it listens (an address translation between).
    /// Its port, if not 0, is told instead of the bound one.
    pub advertise: Option<SocketAddr>,
    /// The TCP port of its gossip; 0 lets the system choose; `None`: the same number as the UDP port.
    pub gossip_port: Option<u16>,
    /// Whether it gossips: without, it has no TCP sockets, tells others that its gossip port is 0, and knows
    /// no rumors but its own. Without the cargo feature `gossip` it cannot.
    pub gossip: bool,
    /// Its id; `None`: the one in `data_dir`, else a random one.
    pub id: Option<MemberId>,
    /// A name for people, at most [`crate::limits::MAX_NAME`] bytes: what is longer is cut, and the log says so.
    pub name: String,
    /// Whether others probe it for ever, so that partitions heal through it (`--permanent-peer`).
    pub persistent: bool,
    /// The ring's keys: the first seals, any opens; none: everything is plain.
    pub ring_keys: Vec<RingKey>,
    /// The name of its ring, the same at all members: it refuses members of rings of other names or of none, and they it.
    /// It keeps rings apart that meet because an address is given to another; it is no secret.
    pub ring: Option<RingName>,
    /// How fast it goes.
    pub timing: Timing,
    /// Where it keeps its id, its incarnation and a snapshot of all members and rumors; `None`: nowhere, so
    /// each start is a new member.
    #[cfg(feature = "disk")]
    pub data_dir: Option<PathBuf>,
    /// Bytes of rumors that it holds at most, and at most [`MAX_RUMOR_BYTES`], the default; the same at all members.
    pub store_limit: usize,
    /// Seeds its randomness; `None`: from the system. With the same seed, times and input, a member
    /// behaves the same.
    pub random_seed: Option<u64>,
    /// Where all that it is told is recorded from its start on, for a [`Replay`](crate::node::Replay).
    pub recording: Option<Recording>,
}

/// Where a member is recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recording {
    /// The file. One that is there gets `.old` appended to its name, in the place of an earlier one of that name.
    pub path: PathBuf,
    /// The recording ends before the file is larger, in bytes.
    pub max_bytes: u64,
}

impl Recording {
    /// Into this file, which may have 1 GiB.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Recording {
            path: path.into(),
            max_bytes: MAX_RECORDING,
        }
    }

    /// The same, but the file may be so large.
    pub fn max_bytes(self, max_bytes: u64) -> Self {
        Recording { max_bytes, ..self }
    }
}

impl Config {
    /// A member that listens there, with the defaults of everything else.
    pub fn new(listen: SocketAddr) -> Self {
        Config {
            listen,
            advertise: None,
            gossip_port: None,
            gossip: cfg!(feature = "gossip"),
            id: None,
            name: String::new(),
            persistent: false,
            ring_keys: Vec::new(),
            ring: None,
            timing: Timing::lan(),
            #[cfg(feature = "disk")]
            data_dir: None,
            store_limit: MAX_RUMOR_BYTES,
            random_seed: None,
            recording: None,
        }
    }

    /// The same under this name.
    pub fn name(self, name: impl Into<String>) -> Self {
        let name = name.into();
        Config { name, ..self }
    }

    /// The same, as fast as this.
    pub fn timing(self, timing: Timing) -> Self {
        Config { timing, ..self }
    }

    /// The same with these keys, of which the first seals.
    pub fn ring_keys(self, keys: impl IntoIterator<Item = RingKey>) -> Self {
        let ring_keys = keys.into_iter().collect();
        Config { ring_keys, ..self }
    }

    /// The same in the ring of this name.
    pub fn ring(self, ring: RingName) -> Self {
        let ring = Some(ring);
        Config { ring, ..self }
    }

    /// The same, reached by others at this address.
    pub fn advertise(self, addr: SocketAddr) -> Self {
        let advertise = Some(addr);
        Config { advertise, ..self }
    }

    /// The same with this id.
    pub fn id(self, id: MemberId) -> Self {
        Config {
            id: Some(id),
            ..self
        }
    }

    /// The same, with rumors or without.
    pub fn gossip(self, gossip: bool) -> Self {
        Config { gossip, ..self }
    }

    /// The same, which keeps what it knows in this directory.
    #[cfg(feature = "disk")]
    pub fn data_dir(self, dir: impl Into<PathBuf>) -> Self {
        let data_dir = Some(dir.into());
        Config { data_dir, ..self }
    }

    /// The same, and all that it is told is recorded there.
    pub fn record(self, recording: Recording) -> Self {
        let recording = Some(recording);
        Config { recording, ..self }
    }

    #[cfg(feature = "disk")]
    pub(crate) fn kept_in(&self) -> Option<&Path> {
        self.data_dir.as_deref()
    }

    #[cfg(not(feature = "disk"))]
    pub(crate) fn kept_in(&self) -> Option<Infallible> {
        None
    }
}

/// What a node is told before it starts.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NodeConfig {
    /// Who it is.
    pub id: MemberId,
    /// A name for people; cut after [`crate::limits::MAX_NAME`] bytes.
    pub name: String,
    /// The incarnation it starts with.
    pub incarnation: Incarnation,
    /// Incarnations up to this one are reserved on disk, and none above it is used;
    /// [`poll_reserve`](crate::Node::poll_reserve) asks for more, and [`handle_stored`](crate::Node::handle_stored) grants
    /// it. [`Incarnation::MAX`]: there is no disk.
    pub reserved: Incarnation,
    /// When it starts, in milliseconds since 1970, and later than it ever started before, whatever the clock says: keep
    /// the last one with the incarnation, and take one more if the clock was set back. On a sealed ring, others refuse
    /// what it sent in an earlier life by it, and so all that it sends with an epoch that is not higher, for up to 32
    /// periods; on any ring they tell by it two processes with one id from one that started again. From 1 to 2⁴⁸ − 1.
    pub epoch: u64,
    /// The address at which others know it; `None`, or one at which nobody is: it learns it from them.
    pub ip: Option<IpAddr>,
    /// The address at which others reach it, with `swim_port` and `gossip_port`, if its datagrams may come from another
    /// one: each of its messages says so, and others use it once it answered there. `None`: they come from `ip`.
    pub advertise: Option<IpAddr>,
    /// The UDP port that it tells others.
    pub swim_port: u16,
    /// The TCP port for gossip that it tells others; 0: it does not gossip.
    pub gossip_port: u16,
    /// Whether others probe it for ever.
    pub persistent: bool,
    /// The first seals, any opens; none: everything is plain.
    pub ring_keys: Vec<RingKey>,
    /// The name of its ring: see [`Config::ring`].
    pub ring: Option<RingName>,
    /// How fast it goes; taken as [`Timing::sane`] makes it.
    pub timing: Timing,
    /// Bytes of rumors that it holds at most, and at most [`MAX_RUMOR_BYTES`].
    pub store_limit: usize,
    /// Seeds its randomness, nonces included: from the system, but for tests.
    pub random_seed: [u8; 32],
}

impl NodeConfig {
    /// A node with this id that takes nothing up from a disk, has no name, no address, no ports and no keys,
    /// and goes as fast as [`Timing::lan`]. The [`epoch`](NodeConfig::epoch) has to ascend from start to start; the seed
    /// is from the system, but for tests.
    pub fn new(id: MemberId, epoch: u64, random_seed: [u8; 32]) -> Self {
        NodeConfig {
            id,
            name: String::new(),
            incarnation: Incarnation::ZERO,
            reserved: Incarnation::MAX,
            epoch,
            ip: None,
            advertise: None,
            swim_port: 0,
            gossip_port: 0,
            persistent: false,
            ring_keys: Vec::new(),
            ring: None,
            timing: Timing::lan(),
            store_limit: MAX_RUMOR_BYTES,
            random_seed,
        }
    }
}
