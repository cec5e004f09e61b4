//! A member in its own loop, on a thread of its own, that probes another all the time; the round trips are those
//! that it measures itself, from the ping handed to the kernel to its Ack read.

use std::io;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use butterfly::node::Node;
use butterfly::stats::{MessageKind, Stats};
use butterfly::{Butterfly, Config, Handle, RingKey};

use kit::echo::LOCAL;
use kit::machine;
use kit::times::Times;

/// Between two probes, at least: timers have milliseconds, so it is two. A round trip is a small part of it, so each
/// finds everybody asleep.
pub const PACE: Duration = Duration::from_millis(1);

/// Between two looks at the last round trip: some probes later, so that a look disturbs none that it sees.
const LOOK: Duration = Duration::from_millis(5);
const PATIENCE: Duration = Duration::from_secs(10);

/// What runs in a thread of its own.
pub struct Running {
    thread: JoinHandle<io::Result<()>>,
}

impl Running {
    /// On these CPUs.
    pub fn start(cpus: Vec<u32>, run: impl FnOnce() -> io::Result<()> + Send + 'static) -> Running {
        let thread = thread::spawn(move || {
            // Where it may not choose, it runs where it is put.
            let _ = machine::pin(&cpus);
            run()
        });
        Running { thread }
    }

    /// In its own loop.
    pub fn member(cpus: Vec<u32>, mut member: Butterfly) -> Running {
        Running::start(cpus, move || member.run(|_, _| ControlFlow::Continue(())))
    }

    pub fn end(self) -> io::Result<()> {
        let ended = self.thread.join();
        ended.map_err(|_| io::Error::other("a thread panicked"))?
    }
}

/// The member, from outside.
pub struct Asker {
    handle: Handle,
    running: Running,
    acks: u64,
    /// Nanoseconds, to be added to the next round trip.
    spread: u64,
}

/// Probes all the time, and trusts whom it probes whatever comes.
pub fn probing(keys: &[RingKey]) -> Config {
    let mut config = Config::new(LOCAL);
    config.name = "asker".to_owned();
    config.ring_keys = keys.to_vec();
    let timing = &mut config.timing;
    (timing.period, timing.timeout) = (PACE, PACE);
    timing.suspicion_periods = 1e6;
    timing.local_health = false;
    timing.lag_tolerance = Duration::from_secs(86_400);
    timing.sync_max = Duration::ZERO;
    config
}

fn acks(node: &Node) -> u64 {
    node.stats().received(MessageKind::Ack)
}

impl Asker {
    /// Knows the member there, and has told it what is news.
    pub fn start(cpus: Vec<u32>, keys: &[RingKey], to: SocketAddr) -> io::Result<Asker> {
        let mut member = Butterfly::bind(probing(keys)).map_err(io::Error::other)?;
        member.join(to).map_err(io::Error::other)?;
        let asker = Asker {
            handle: member.handle()?,
            running: Running::member(cpus, member),
            acks: 0,
            spread: 0,
        };
        let start = Instant::now();
        while !asker.look(|node| node.counts().alive == 2 && node.news() == 0)? {
            if start.elapsed() > PATIENCE {
                return Err(io::Error::other("the members do not find each other"));
            }
            thread::sleep(LOOK);
        }
        Ok(asker)
    }

    /// What this sees of the node.
    pub fn look<T: Send + 'static>(
        &self,
        see: impl FnOnce(&Node) -> T + Send + 'static,
    ) -> io::Result<T> {
        let (answer, answers) = mpsc::channel();
        self.handle
            .send(move |member| _ = answer.send(see(member.node())))?;
        answers.recv().map_err(io::Error::other)
    }

    /// Bytes that the datagrams have which it sends and gets: pings and Acks.
    pub fn sizes(&self, time: Duration) -> io::Result<(usize, usize)> {
        let before = self.look(|node| node.stats().clone())?;
        thread::sleep(time);
        let after = self.look(|node| node.stats().clone())?;
        Ok(mean_sizes(&[before], &[after]))
    }

    /// Is silent until its next turn.
    pub fn rest(&self) -> io::Result<()> {
        self.handle.send(Butterfly::pause)
    }

    /// Probes for so long: every few round trips, the last one.
    pub fn turn(&mut self, time: Duration, times: &mut Times) -> io::Result<()> {
        self.handle.send(Butterfly::resume)?;
        self.acks = self.look(acks)?;
        let start = Instant::now();
        while start.elapsed() < time {
            thread::sleep(LOOK);
            let last = |node: &Node| (acks(node), node.members().find_map(|member| member.rtt));
            let (acks, rtt) = self.look(last)?;
            if acks > self.acks
                && let Some(rtt) = rtt
            {
                times.record(Some(self.spread(rtt)));
            }
            self.acks = acks;
        }
        self.rest()
    }

    /// The member's clock counts whole microseconds, so a round trip may be half of one longer or shorter; evenly
    /// spread over that, many of them have their percentiles where they are.
    fn spread(&mut self, rtt: Duration) -> Duration {
        self.spread = (self.spread + 619) % 1_000;
        (rtt + Duration::from_nanos(self.spread)).saturating_sub(Duration::from_nanos(500))
    }

    pub fn end(self) -> io::Result<()> {
        self.handle.stop()?;
        self.running.end()
    }
}

/// How many bytes datagrams had that members sent and got between these two looks at each.
pub fn mean_sizes(before: &[Stats], after: &[Stats]) -> (usize, usize) {
    let grown = |count: fn(&Stats) -> u64| {
        let sum = |stats: &[Stats]| stats.iter().map(count).sum::<u64>();
        sum(after) - sum(before)
    };
    let each = |bytes: u64, count: u64| (bytes as f64 / count.max(1) as f64).round() as usize;
    (
        each(grown(|it| it.bytes_sent), grown(Stats::sent_total)),
        each(grown(|it| it.bytes_received), grown(Stats::received_total)),
    )
}
