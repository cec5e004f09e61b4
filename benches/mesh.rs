//! What members cost that have nothing to do but to probe each other.

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
use butterfly::{Butterfly, Config};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

const HELP: &str = "\
cargo bench --bench mesh [-- SECONDS]: fifty members with `lan` timing on one thread, under one poll: time
to agree, then, idle for SECONDS (10), CPU time and wakes a member and second, memory a member.";

fn main() -> io::Result<()> {
    let Some(args) = Args::read(HELP) else {
        return Ok(());
    };
    let asked = args.rest.first().and_then(|seconds| seconds.parse().ok());
    let (members, seconds) = if args.measure {
        (50, asked.unwrap_or(10.0))
    } else {
        (3, 0.1)
    };
    let (before, heap_before) = (memory(), counting::live());
    let mut mesh = Mesh::start(members)?;
    let start = Instant::now();
    while !mesh.agrees() && start.elapsed() < Duration::from_secs(60) {
        mesh.run_for(Duration::from_millis(10))?;
    }
    let agreed = start.elapsed();
    if args.measure {
        // News goes on for a while.
        mesh.run_for(Duration::from_secs(20))?;
    }
    let (cpu, wakes, sent) = (cpu_time(), mesh.wakes, mesh.sent());
    mesh.run_for(Duration::from_secs_f64(seconds))?;
    let each = members as f64 * seconds;
    println!("{members} members, lan, one thread, on loopback");
    println!(
        "agree: {}, after {:.2} s",
        mesh.agrees(),
        agreed.as_secs_f64()
    );
    let cpu = cpu_time().saturating_sub(cpu).as_secs_f64() * 1e3;
    println!("CPU a member and second:       {:>8.4} ms", cpu / each);
    println!(
        "wakes a member and second:     {:>8.2}",
        (mesh.wakes - wakes) as f64 / each
    );
    println!(
        "datagrams a member and second: {:>8.2}",
        (mesh.sent() - sent) as f64 / each
    );
    let kib = memory().saturating_sub(before) as f64 / members as f64;
    let heap = (counting::live() - heap_before) as f64 / 1024.0 / members as f64;
    println!("private memory a member:       {kib:>8.1} KiB, asked of the allocator {heap:.1} KiB");
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
    fn start(members: usize) -> io::Result<Mesh> {
        let mut mesh = Mesh {
            poll: Poll::new()?,
            members: Vec::new(),
            deadlines: vec![Some(Instant::now()); members],
            wakes: 0,
        };
        for number in 0..members {
            let mut config = Config::new(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0));
            config.name = format!("m{number}");
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

    fn sent(&self) -> u64 {
        let stats = self.members.iter().map(|member| member.node().stats());
        stats.map(|stats| stats.sent_total()).sum()
    }
}

/// What this thread spent so far.
fn cpu_time() -> Duration {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = text.split(' ').next().and_then(|nanos| nanos.parse().ok());
    Duration::from_nanos(nanos.unwrap_or(0))
}

/// Memory of this process that it shares with nobody, in KiB.
fn memory() -> u64 {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let number = line.and_then(|line| line.trim().split(' ').next()?.parse().ok());
    number.unwrap_or(0)
}
