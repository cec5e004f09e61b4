//! Members of one ring, wherever they run: what is asked of them, and the way in which one thread runs them all.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use butterfly::{Config, MemberId, Timing};

use super::orders::{Order, Until, gauge};
use kit::machine;
use kit::ring::Ring;

/// Nothing here takes so long, if it ever comes.
pub const PATIENCE: Duration = Duration::from_secs(600);

/// How members are configured.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    pub gossip: bool,
    /// `local` instead of `lan`.
    pub local: bool,
}

impl Kind {
    pub fn configure(self, config: &mut Config) {
        config.gossip = self.gossip;
        if self.local {
            config.timing = Timing::local();
        }
    }
}

/// What members did so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub wakes: u64,
    pub datagrams: u64,
    pub bytes: u64,
    pub rumor_bytes: u64,
    /// At this moment.
    pub connections: u64,
}

/// What they cost so far, and have.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    pub cpu: Duration,
    /// Of one of them, KiB: in the middle, if it differs from one to the other.
    pub private: f64,
    pub resident: f64,
    pub threads: f64,
    pub descriptors: f64,
}

/// Members of one ring.
pub trait Members {
    fn count(&self) -> usize;

    fn who(&self, number: usize) -> (MemberId, SocketAddr);

    /// One more, which is bound and does nothing before it is told to join.
    fn add(&mut self) -> io::Result<()>;

    /// Gives these orders, and runs until it holds at all: how long that took each, the first first.
    fn order(&mut self, orders: &[(usize, Order)], until: &Until) -> io::Result<Vec<Duration>>;

    /// The last of them dies, without a word; runs until it holds at all others.
    fn kill_last(&mut self, until: &Until) -> io::Result<Vec<Duration>>;

    fn run_for(&mut self, time: Duration) -> io::Result<()>;

    /// Of all together.
    fn counts(&mut self) -> io::Result<Counts>;

    fn usage(&self) -> Usage;

    /// Until it holds at all.
    fn wait(&mut self, until: &Until) -> io::Result<()> {
        self.order(&[], until).map(drop)
    }

    /// All join through the first, at once: how long it takes each to see all.
    fn join_all(&mut self) -> io::Result<Vec<Duration>> {
        let seed = self.who(0).1;
        let orders: Vec<_> = (1..self.count())
            .map(|number| (number, Order::Join(seed)))
            .collect();
        self.order(&orders, &Until::Alive(self.count()))
    }
}

/// All in one thread, under one poll.
pub struct Together {
    ring: Ring,
    kind: Kind,
    private_before: u64,
    resident_before: u64,
}

impl Together {
    pub fn bind(members: usize, kind: Kind) -> io::Result<Together> {
        let mut together = Together {
            private_before: machine::private_memory("self"),
            resident_before: machine::resident_memory("self"),
            ring: Ring::new(members)?,
            kind,
        };
        for _ in 0..members {
            together.add()?;
        }
        Ok(together)
    }

    fn run_until(&mut self, start: Instant, until: &Until) -> io::Result<Vec<Duration>> {
        let told = start.elapsed();
        let times = self
            .ring
            .run_until(PATIENCE, |member| until.holds(member))
            .map_err(|error| io::Error::other(format!("{error}; awaited: {until}")))?;
        Ok(times.into_iter().map(|time| told + time).collect())
    }
}

impl Members for Together {
    fn count(&self) -> usize {
        self.ring.len()
    }

    fn who(&self, number: usize) -> (MemberId, SocketAddr) {
        let member = self.ring.member(number);
        (member.node().id(), member.local_addr())
    }

    fn add(&mut self) -> io::Result<()> {
        let kind = self.kind;
        self.ring.add(|config| kind.configure(config))
    }

    fn order(&mut self, orders: &[(usize, Order)], until: &Until) -> io::Result<Vec<Duration>> {
        let start = Instant::now();
        for (number, order) in orders {
            order.carry_out(self.ring.member_mut(*number))?;
        }
        self.run_until(start, until)
    }

    fn kill_last(&mut self, until: &Until) -> io::Result<Vec<Duration>> {
        let start = Instant::now();
        self.ring.kill_last();
        self.run_until(start, until)
    }

    fn run_for(&mut self, time: Duration) -> io::Result<()> {
        self.ring.run_for(time)
    }

    fn counts(&mut self) -> io::Result<Counts> {
        let mut counts = Counts {
            wakes: self.ring.wakes,
            ..Counts::default()
        };
        for member in self.ring.members() {
            let stats = member.node().stats();
            counts.datagrams += stats.sent_total();
            counts.bytes += stats.bytes_sent;
            counts.rumor_bytes += stats.rumor_bytes_sent;
            counts.connections += gauge(member, "connections");
        }
        Ok(counts)
    }

    fn usage(&self) -> Usage {
        let each = self.ring.len() as f64;
        let grown = |now: u64, before: u64| now.saturating_sub(before) as f64 / each;
        Usage {
            cpu: machine::cpu_of_process("self"),
            private: grown(machine::private_memory("self"), self.private_before),
            resident: grown(machine::resident_memory("self"), self.resident_before),
            threads: machine::threads("self") as f64 / each,
            descriptors: machine::descriptors("self") as f64 / each,
        }
    }
}
