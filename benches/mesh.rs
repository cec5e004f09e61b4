//! How fast rings gossip and elect, and what members cost that have nothing to do but to probe each other.

#[path = "support/args.rs"]
mod args;
#[allow(dead_code)]
#[path = "support/counting.rs"]
mod counting;

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use args::Args;
use butterfly::{
    Butterfly, Config, RumorId, RumorKind, Service, ServiceConfig, ServiceGroup, Stats,
};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

const HELP: &str = "\
cargo bench --bench mesh [-- SECONDS]: members with `lan` timing on one thread, under one poll. How long a
configuration takes to reach 10 and 50 of them, and an election of 3 and 5; before that, what fifty cost that
are idle for SECONDS (10): with and without gossip, and with connections that gossip still holds open.";

fn main() -> io::Result<()> {
    let Some(args) = Args::read(HELP) else {
        return Ok(());
    };
    let asked = args.rest.first().and_then(|seconds| seconds.parse().ok());
    let (members, seconds, runs) = if args.measure {
        (50, asked.unwrap_or(10.0), 21)
    } else {
        (3, 0.1, 1)
    };
    println!("lan, one thread, on loopback");
    // First, while the memory is still clean.
    for gossip in [true, false] {
        idle(members, gossip, seconds, args.measure)?;
    }
    for members in [10, members] {
        spread(members, runs)?;
    }
    for members in [3, 5] {
        elect(members, runs)?;
    }
    Ok(())
}

/// The median, the least and the most of these.
fn told(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let millis = |at: usize| times.get(at).map_or(f64::NAN, |it| it.as_secs_f64() * 1e3);
    println!(
        "{what}: {:.2} ms (median of {}; {:.2} to {:.2})",
        millis(times.len() / 2),
        times.len(),
        millis(0),
        millis(times.len().saturating_sub(1))
    );
}

fn group(name: &str, number: usize) -> io::Result<ServiceGroup> {
    format!("{name}{number}.default")
        .parse()
        .map_err(io::Error::other)
}

/// From `apply_config` at one member until all have it.
fn spread(members: usize, runs: usize) -> io::Result<()> {
    let mut mesh = Mesh::settled(members, true)?;
    let mut times = Vec::new();
    // The first opens connections.
    for run in 0..=runs {
        let group = group("spread", run)?;
        let id = RumorId::config(&group);
        let start = Instant::now();
        mesh.apply(run % members, group)?;
        mesh.run_until(|mesh| {
            let mut nodes = mesh.members.iter().map(Butterfly::node);
            nodes.all(|node| node.rumor(&id).is_some())
        })?;
        times.push(start.elapsed());
        mesh.cool()?;
    }
    let first = times.remove(0).as_secs_f64() * 1e3;
    told(&format!("a configuration reaches {members} members"), times);
    println!("    the first, which opens connections: {first:.2} ms");
    Ok(())
}

/// From `start_election` at all members of a group until all know who leads.
fn elect(members: usize, runs: usize) -> io::Result<()> {
    let mut mesh = Mesh::settled(members, true)?;
    let mut times = Vec::new();
    for run in 0..runs {
        let group = group("elect", run)?;
        for number in 0..members {
            let service = Service::new(group.clone(), "core/redis/7.0.0/20260101000000");
            let member = &mut mesh.members[number];
            member.announce(service).map_err(io::Error::other)?;
            mesh.wake(number)?;
        }
        mesh.run_until(|mesh| {
            let mut nodes = mesh.members.iter().map(Butterfly::node);
            nodes.all(|node| node.members_of(&group).count() == members)
        })?;
        mesh.cool()?;
        let start = Instant::now();
        for number in 0..members {
            let (kind, fitness) = (RumorKind::Election, number as u64);
            let member = &mut mesh.members[number];
            let started = member.start_election(kind, &group, fitness);
            started.map_err(io::Error::other)?;
            mesh.wake(number)?;
        }
        mesh.run_until(|mesh| {
            let leads = |member: &Butterfly| {
                let election = member.node().election(RumorKind::Election, &group)?;
                election.leader()
            };
            let mut leaders = mesh.members.iter().map(leads);
            let last = mesh.members.last().map(|member| member.node().id());
            leaders.all(|leader| leader == last)
        })?;
        times.push(start.elapsed());
        mesh.cool()?;
    }
    told(&format!("{members} members elect a leader"), times);
    Ok(())
}

/// What members cost that have nothing to do.
fn idle(members: usize, gossip: bool, seconds: f64, settle: bool) -> io::Result<()> {
    let (before, heap_before) = (memory(), counting::live());
    let start = Instant::now();
    let mut mesh = Mesh::settled(members, gossip)?;
    let agreed = start.elapsed().as_secs_f64();
    println!("{members} members, gossip: {gossip}; they agree after {agreed:.2} s");
    if settle {
        // News goes on for a while.
        mesh.run_for(Duration::from_secs(20))?;
    }
    mesh.cost("idle", seconds)?;
    if gossip {
        for number in 0..members {
            mesh.apply(number, group("idle", number)?)?;
        }
        mesh.cool()?;
        mesh.cost("idle, connections open", seconds)?;
        if settle {
            let open = |mesh: &Mesh| mesh.gauge("push_sockets") + mesh.gauge("connections");
            mesh.run_until(|mesh| open(mesh) == 0)?;
            mesh.cost("idle, connections closed again", seconds)?;
        }
    }
    let kib = memory().saturating_sub(before) as f64 / members as f64;
    let heap = (counting::live() - heap_before) as f64 / 1024.0 / members as f64;
    println!("private memory a member: {kib:.1} KiB, asked of the allocator {heap:.1} KiB");
    Ok(())
}

/// Members under one poll.
struct Mesh {
    poll: Poll,
    members: Vec<Butterfly>,
    deadlines: Vec<Option<Instant>>,
    wakes: u64,
}

impl Mesh {
    /// That many members that know the first.
    fn start(members: usize, gossip: bool) -> io::Result<Mesh> {
        let mut mesh = Mesh {
            poll: Poll::new()?,
            members: Vec::new(),
            deadlines: vec![Some(Instant::now()); members],
            wakes: 0,
        };
        for number in 0..members {
            let mut config = Config::new(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0));
            config.name = format!("m{number}");
            config.gossip = gossip;
            let mut member = Butterfly::bind(config).map_err(io::Error::other)?;
            if let Some(first) = mesh.members.first() {
                member.join(first.local_addr()).map_err(io::Error::other)?;
            }
            mesh.poll.registry().register(
                &mut SourceFd(&member.as_raw_fd()),
                Token(number),
                Interest::READABLE,
            )?;
            mesh.members.push(member);
        }
        Ok(mesh)
    }

    /// That many members that agree.
    fn settled(members: usize, gossip: bool) -> io::Result<Mesh> {
        let mut mesh = Mesh::start(members, gossip)?;
        mesh.run_until(Mesh::agrees)?;
        Ok(mesh)
    }

    fn apply(&mut self, number: usize, group: ServiceGroup) -> io::Result<()> {
        let config = ServiceConfig::new(group, 1, vec![b'#'; 200]);
        let member = &mut self.members[number];
        member.apply_config(config).map_err(io::Error::other)?;
        self.wake(number)
    }

    /// Until nothing is hot any more.
    fn cool(&mut self) -> io::Result<()> {
        self.run_until(|mesh| mesh.members.iter().all(|it| it.node().hot_rumors() == 0))
    }

    fn run_until(&mut self, condition: impl Fn(&Mesh) -> bool) -> io::Result<()> {
        let start = Instant::now();
        while !condition(self) {
            if start.elapsed() > Duration::from_secs(150) {
                return Err(io::Error::other("waited in vain"));
            }
            self.run_for(Duration::from_micros(200))?;
        }
        Ok(())
    }

    fn run_for(&mut self, duration: Duration) -> io::Result<()> {
        let end = Instant::now() + duration;
        let mut events = Events::with_capacity(self.members.len());
        loop {
            let next = self
                .deadlines
                .iter()
                .flatten()
                .min()
                .copied()
                .unwrap_or(end);
            let now = Instant::now();
            if now >= end {
                return Ok(());
            }
            let timeout = next.min(end).saturating_duration_since(now);
            self.poll.poll(&mut events, Some(timeout))?;
            for event in &events {
                self.wake(event.token().0)?;
            }
            let now = Instant::now();
            for number in 0..self.members.len() {
                if self.deadlines[number].is_some_and(|due| due <= now) {
                    self.wake(number)?;
                }
            }
        }
    }

    fn wake(&mut self, number: usize) -> io::Result<()> {
        let member = &mut self.members[number];
        member.process()?;
        while member.poll_event().is_some() {}
        self.deadlines[number] = member.deadline();
        self.wakes += 1;
        Ok(())
    }

    fn agrees(&self) -> bool {
        let all = self.members.len();
        self.members
            .iter()
            .all(|member| member.node().counts().alive == all)
    }

    fn sum(&self, count: impl Fn(&Stats) -> u64) -> u64 {
        let stats = self.members.iter().map(|member| member.node().stats());
        stats.map(count).sum()
    }

    /// All members' gossip sockets together.
    fn gauge(&self, name: &str) -> u64 {
        let stats = self.members.iter().filter_map(Butterfly::gossip_stats);
        stats
            .map(|stats| {
                let gauge = stats.gauges().find(|gauge| gauge.name == name);
                gauge.map_or(0, |gauge| gauge.now)
            })
            .sum()
    }

    /// Runs for so long, and prints what a member cost in a second.
    fn cost(&mut self, what: &str, seconds: f64) -> io::Result<()> {
        let counts = |mesh: &Mesh| {
            [
                mesh.wakes,
                mesh.sum(Stats::sent_total),
                mesh.sum(|stats| stats.bytes_sent),
                mesh.sum(|stats| stats.rumor_bytes_sent),
            ]
        };
        let (cpu, before) = (cpu_time(), counts(self));
        self.run_for(Duration::from_secs_f64(seconds))?;
        let cpu = cpu_time().saturating_sub(cpu).as_secs_f64() * 1e3;
        let each = self.members.len() as f64 * seconds;
        let mut after = counts(self).into_iter().zip(before);
        let mut grown = || {
            after
                .next()
                .map_or(0.0, |(now, then)| (now - then) as f64 / each)
        };
        println!(
            "{what}, a member and second: CPU {:.4} ms, {:.2} wakes, {:.2} datagrams, {:.0} bytes of SWIM, \
             {:.0} of rumors; {} connections of all",
            cpu / each,
            grown(),
            grown(),
            grown(),
            grown(),
            self.gauge("connections")
        );
        Ok(())
    }
}

/// What all threads of this process spent so far, ZeroMQ's too.
fn cpu_time() -> Duration {
    let threads = fs::read_dir("/proc/self/task").into_iter().flatten();
    let nanos = threads.filter_map(|thread| {
        let text = fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanos.sum())
}

/// Memory of this process that it shares with nobody, in KiB.
fn memory() -> u64 {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let number = line.and_then(|line| line.trim().split(' ').next()?.parse().ok());
    number.unwrap_or(0)
}
