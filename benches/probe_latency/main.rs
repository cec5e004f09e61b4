//! How long a member takes to learn that another is there, beside a bare echo of the same size.

mod asker;
mod echo_ring;
mod load;

use kit::args;
use kit::machine;
use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use asker::{Asker, PACE, Running, mean_sizes, probing};
use butterfly::{Config, RingKey};
use echo_ring::EchoRing;
use kit::args::Args;
use kit::echo::{Client, Echo, STOP, asking};
use kit::known::{keys, observer_ping, passive};
use kit::report::Report;
use kit::ring::{Ring, RoundTrips};
use kit::times::{COLUMNS, Times};
use load::{Load, Target};
use mio::Waker;

const HELP: &str = "\
cargo bench --bench probe_latency [-- WORD...]: microseconds from a ping handed to the kernel to its Ack read, beside
a bare mio echo with messages of the same size, at the same pace and in turns; only the tables whose titles have a WORD
in them.

  two members     each in its own loop, on a thread of its own, on one CPU and on two (pinned with taskset); the first
                  probes, and the round trips are those that it measures itself
  heeded          the first is embedded in another's loop, under an epoll of its own: from before the turn in which a ping
                  leaves to the end of that in which its Ack is heeded
  served          the same member answers a bare client instead: asleep, at the same pace
  answering       the same, back to back
  back to back    the same, on one thread, without anybody who sleeps
  in one loop     many members under one poll on one thread, probing once a second: apart, and all in the same turn of
                  the loop, where each waits for all others; from the turn in which a ping leaves to the end of that in
                  which its Ack is heeded

  --seconds N     how long each row is measured (10)
  --members N     members in the one loop (200)";

/// How long a side is measured before it is the other's turn.
const TURN: Duration = Duration::from_millis(200);
/// The loop of many members stands still for longer than any of their periods.
const STALL: Duration = Duration::from_millis(1_200);
/// Then all that were due ask, before any is due again.
const BURST: Duration = Duration::from_millis(500);
const MICRO: f64 = 1e3;
/// Under which load, and at whom it aims in the echo's turn and in the member's.
const LOADS: [(&str, [Target; 2]); 3] = [
    ("idle", [Target::Nobody, Target::Nobody]),
    ("10 000 datagrams/s", [Target::Echo, Target::Member]),
    (
        "the same and 100 rumors/s",
        [Target::Echo, Target::MemberGossiping],
    ),
];

fn main() -> ExitCode {
    args::conclude(run())
}

fn run() -> io::Result<()> {
    let Some(mut args) = Args::read(HELP) else {
        return Ok(());
    };
    let seconds = args.number("--seconds");
    let seconds = if args.measure {
        seconds.unwrap_or(10.0)
    } else {
        0.02
    };
    let members = args.number("--members").map(|members| members as usize);
    let members = if args.measure {
        members.unwrap_or(200)
    } else {
        8
    };
    let mut bench = Bench {
        report: Report::new("probe_latency", "microseconds", &args),
        cpus: machine::cpus(),
        time: Duration::from_secs_f64(seconds),
        args,
    };
    for sealed in [false, true] {
        bench.two_members(sealed, false)?;
        bench.two_members(sealed, true)?;
    }
    for sealed in [false, true] {
        bench.back_to_back(sealed)?;
    }
    for sealed in [false, true] {
        bench.many_members(sealed, members)?;
    }
    bench.report.finish()
}

struct Bench {
    args: Args,
    report: Report,
    cpus: Vec<u32>,
    /// For each row.
    time: Duration,
}

fn name_of(sealed: bool) -> &'static str {
    if sealed { "sealed" } else { "plain" }
}

/// How members of the one loop differ from the default: each has a period of its own, else they all would be in step
/// ever after the loop was late once; and what is news is soon told.
fn apart(number: usize, members: usize, keys: &[RingKey], config: &mut Config) {
    config.ring_keys = keys.to_vec();
    let timing = &mut config.timing;
    timing.period = timing
        .period
        .mul_f64(0.9 + 0.2 * number as f64 / members as f64);
    timing.news_factor = 0.5;
    timing.local_health = false;
    timing.lag_tolerance = Duration::from_secs(86_400);
}

/// A member that probes all the time, in this thread's loop, and knows the one there.
fn embedded(keys: &[RingKey], to: SocketAddr) -> io::Result<Ring> {
    let mut ring = Ring::new(1)?;
    ring.add(|config| *config = probing(keys))?;
    ring.member_mut(0).join(to).map_err(io::Error::other)?;
    ring.run_until(Duration::from_secs(10), |it| {
        it.node().counts().alive == 2 && it.node().news() == 0
    })?;
    Ok(ring)
}

impl Bench {
    /// The CPUs of who asks, of who answers, and of what makes the load.
    fn places(&self, apart: bool) -> Option<[Vec<u32>; 3]> {
        let first = vec![*self.cpus.first()?];
        let last = vec![*self.cpus.last()?];
        match apart {
            false => Some([first.clone(), first, last]),
            true => (first != last).then(|| [first, last, self.cpus.clone()]),
        }
    }

    /// Two members, in a thread each; the first asks.
    fn two_members(&mut self, sealed: bool, apart: bool) -> io::Result<()> {
        let place = if apart { "two CPUs" } else { "one CPU" };
        let title = format!("two members, {}, on {place}", name_of(sealed));
        let places = self.places(apart);
        let Some([asks, answers, loads]) = places.filter(|_| self.args.wants(&title)) else {
            return Ok(());
        };
        if let Err(error) = machine::pin(&asks) {
            eprintln!("not pinned: {error}");
        }
        let keys = keys(sealed)?;
        let mut member = passive(&keys)?;
        let (addr, handle) = (member.local_addr(), member.handle()?);
        let member = Running::member(answers.clone(), member);
        let mut echo = Echo::bind()?;
        let (echo_addr, stop) = (echo.local_addr()?, Waker::new(echo.poll.registry(), STOP)?);
        let echo = Running::start(answers.clone(), move || echo.run());
        let asker = Asker::start(asks, &keys, addr)?;
        let (ping, ack) = asker.sizes(TURN.min(self.time))?;
        let load = Load::start(loads, &keys, addr, echo_addr)?;
        let title = format!("{title}: ping {ping} bytes, Ack {ack} bytes; microseconds");
        self.report.table(&title, &COLUMNS);
        let mut pair = Pair {
            asker,
            member: Client::connect(addr)?,
            echo: Client::connect(echo_addr)?,
        };
        pair.asker.rest()?;
        let asking = asking(ping, ack);
        for (name, targets) in LOADS {
            let (floor, ours) = pair.probe(self.time, &asking, |at| load.aim(targets[at]))?;
            load.aim(Target::Nobody);
            self.rows(name, &floor, &ours);
            if !sealed {
                self.curves(&format!("{name}, {place}"), &floor, &ours);
            }
        }
        let observed = observer_ping(&keys);
        for (name, pause) in [("served", 2 * PACE), ("answering", Duration::ZERO)] {
            let (floor, ours) = pair.ask(self.time, pause, &observed)?;
            self.rows(name, &floor, &ours);
        }
        let (ping, ack) = (observed.len(), pair.member.answer_len);
        self.report
            .note(&format!("  served and answering: {ping} and {ack} bytes"));
        pair.asker.end()?;
        load.end()?;
        handle.stop()?;
        member.end()?;
        let (floor, ours) = self.heeded(answers, &keys, &mut pair.echo, &asking)?;
        self.rows("heeded", &floor, &ours);
        stop.wake()?;
        echo.end()
    }

    /// The times of the echo and those of a member's probes in this thread's loop, until their Acks are heeded. It knows
    /// only the one that it probes, on these CPUs.
    fn heeded(
        &self,
        answers: Vec<u32>,
        keys: &[RingKey],
        echo: &mut Client,
        ping: &[u8],
    ) -> io::Result<(Times, Times)> {
        let mut member = passive(keys)?;
        let (addr, handle) = (member.local_addr(), member.handle()?);
        let member = Running::member(answers, member);
        let mut asker = embedded(keys, addr)?;
        asker.round_trips = Some(RoundTrips::of(1));
        let (mut floor, start) = (Times::new(), Instant::now());
        while start.elapsed() < self.time {
            let turn = Instant::now();
            while turn.elapsed() < TURN.min(self.time) {
                floor.record(echo.wait_round_trip(2 * PACE, ping)?);
            }
            asker.run_for(TURN.min(self.time))?;
            if let Some(round_trips) = &mut asker.round_trips {
                round_trips.forget();
            }
        }
        handle.stop()?;
        member.end()?;
        let ours = asker.round_trips.take();
        Ok((floor, ours.map_or_else(Times::new, |it| it.times)))
    }

    /// Who only answers, on this thread, without anybody who sleeps.
    fn back_to_back(&mut self, sealed: bool) -> io::Result<()> {
        let title = format!("pings back to back, {}, on one thread", name_of(sealed));
        if !self.args.wants(&title) {
            return Ok(());
        }
        let keys = keys(sealed)?;
        let ping = observer_ping(&keys);
        let mut member = passive(&keys)?;
        let mut to_member = Client::connect(member.local_addr())?;
        to_member.round_trip(&ping, || member.process())?;
        let mut echo = Echo::bind()?;
        let echo_ping = asking(ping.len(), to_member.answer_len);
        let mut to_echo = Client::connect(echo.local_addr()?)?;
        let (mut floor, mut ours) = (Times::new(), Times::new());
        let start = Instant::now();
        while start.elapsed() < self.time {
            for _ in 0..500 {
                let work = || echo.process(Some(Duration::ZERO));
                floor.record(to_echo.round_trip(&echo_ping, work)?);
            }
            for _ in 0..500 {
                ours.record(to_member.round_trip(&ping, || member.process())?);
            }
        }
        let (ping, ack) = (ping.len(), to_member.answer_len);
        let title = format!("{title}: ping {ping} bytes, Ack {ack} bytes; microseconds");
        self.report.table(&title, &COLUMNS);
        self.rows("answering alone", &floor, &ours);
        Ok(())
    }

    /// Members that probe each other under one poll, on one thread.
    fn many_members(&mut self, sealed: bool, members: usize) -> io::Result<()> {
        let title = format!("{members} members, {}, in one loop", name_of(sealed));
        if !self.args.wants(&title) {
            return Ok(());
        }
        let keys = keys(sealed)?;
        let pause = self.time.min(Duration::from_secs(1)) / members as u32;
        let mut ring = Ring::start(members, pause, |number, config| {
            apart(number, members, &keys, config)
        })?;
        ring.run_until(Duration::from_secs(60), |it| {
            it.node().counts().alive == members
        })?;
        if self.args.measure {
            ring.run_until(Duration::from_secs(120), |it| it.node().news() == 0)?;
        }
        let stats = |ring: &Ring| {
            let stats = ring.members().map(|it| it.node().stats().clone());
            stats.collect::<Vec<_>>()
        };
        let before = stats(&ring);
        ring.run_for(self.time.min(Duration::from_secs(5)))?;
        let (ping, ack) = mean_sizes(&before, &stats(&ring));
        let title = format!("{title}: ping {ping} bytes, Ack {ack} bytes; microseconds");
        self.report.table(&title, &COLUMNS);
        let mut echoes = EchoRing::bind(members, ping, ack)?;
        // Members cannot stand still for the echoes' turn, or all would be late: the echoes go before and after them.
        echoes.run_for(self.time / 2)?;
        // All were due meanwhile, and ask at the same time: until that is over.
        ring.run_for(self.time.min(BURST))?;
        ring.round_trips = Some(RoundTrips::of(members));
        ring.run_for(self.time)?;
        let ours = ring.round_trips.take().unwrap_or_else(|| RoundTrips::of(0));
        echoes.run_for(self.time / 2)?;
        self.rows("apart", &echoes.times, &ours.times);
        if !sealed {
            let name = format!("{members} in one loop, apart");
            self.curves(&name, &echoes.times, &ours.times);
        }
        let (floor, ours) = self.in_step(ring, echoes)?;
        self.rows("all at once", &floor, &ours);
        Ok(())
    }

    /// The loop stands still until all are due, again and again: they all ask in one turn, and the echoes too.
    fn in_step(&self, mut ring: Ring, mut echoes: EchoRing) -> io::Result<(Times, Times)> {
        let start = Instant::now();
        echoes.times = Times::new();
        ring.round_trips = Some(RoundTrips::of(ring.len()));
        while start.elapsed() < self.time {
            echoes.burst(BURST)?;
            thread::sleep(STALL);
            ring.run_for(BURST)?;
            if let Some(round_trips) = &mut ring.round_trips {
                round_trips.forget();
            }
        }
        let ours = ring.round_trips.take().unwrap_or_else(|| RoundTrips::of(0));
        Ok((echoes.times, ours.times))
    }

    fn rows(&mut self, name: &str, floor: &Times, ours: &Times) {
        let report = &mut self.report;
        report.row(&format!("{name}, echo"), &floor.row(MICRO));
        report.row(&format!("{name}, member"), &ours.row(MICRO));
        report.row(&format!("{name}, ratio"), &ours.ratio(floor));
        if floor.lost + ours.lost > 0 {
            let (echo, member) = (floor.lost, ours.lost);
            report.note(&format!("lost: echo {echo}, member {member}"));
        }
    }

    fn curves(&mut self, name: &str, floor: &Times, ours: &Times) {
        let report = &mut self.report;
        report.curves(name, ("echo", &floor.nanos), ("member", &ours.nanos), MICRO);
    }
}

/// Who asks the echo and the member in turns.
struct Pair {
    /// A member, which probes the other.
    asker: Asker,
    member: Client,
    echo: Client,
}

impl Pair {
    /// The times of the echo and those of the member's probes; `aim` is told whose turn it is.
    fn probe(
        &mut self,
        time: Duration,
        ping: &[u8],
        aim: impl Fn(usize),
    ) -> io::Result<(Times, Times)> {
        let (mut floor, mut ours) = (Times::new(), Times::new());
        let start = Instant::now();
        while start.elapsed() < time {
            aim(0);
            let turn = Instant::now();
            while turn.elapsed() < TURN.min(time) {
                floor.record(self.echo.wait_round_trip(2 * PACE, ping)?);
            }
            aim(1);
            self.asker.turn(TURN.min(time), &mut ours)?;
        }
        Ok((floor, ours))
    }

    /// The times of the echo and those of the member, if who asks does nothing else, with a pause before each.
    fn ask(&mut self, time: Duration, pause: Duration, ping: &[u8]) -> io::Result<(Times, Times)> {
        let (mut floor, mut ours) = (Times::new(), Times::new());
        self.member.wait_round_trip(Duration::ZERO, ping)?;
        let echo = asking(ping.len(), self.member.answer_len);
        let start = Instant::now();
        while start.elapsed() < time {
            for _ in 0..100 {
                floor.record(self.echo.wait_round_trip(pause, &echo)?);
            }
            for _ in 0..100 {
                ours.record(self.member.wait_round_trip(pause, ping)?);
            }
        }
        Ok((floor, ours))
    }
}
