//! How long a member takes to learn that another is there, beside a bare echo of the same size.

#[path = "support/args.rs"]
mod args;
#[path = "support/echo.rs"]
mod echo;
#[path = "support/known.rs"]
mod known;
#[path = "support/load.rs"]
mod load;
#[path = "support/machine.rs"]
mod machine;
#[path = "support/plot.rs"]
mod plot;
#[path = "support/report.rs"]
mod report;
#[path = "support/ring.rs"]
mod ring;
#[path = "support/times.rs"]
mod times;

use std::io;
use std::ops::ControlFlow;
use std::process::ExitCode;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use args::Args;
use butterfly::{Config, RingKey};
use echo::{Client, Echo, LOCAL, STOP, asking};
use known::{keys, observer_ping, passive};
use load::{Load, Target};
use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token, Waker};
use report::Report;
use ring::{Ring, RoundTrips};
use times::{COLUMNS, Times};

const HELP: &str = "\
cargo bench --bench probe_latency [-- WORD...]: microseconds from a ping handed to the kernel to its Ack heeded,
between two running members on loopback, beside the floor: a bare mio echo with messages of the same size. In
turns, on one CPU and on two (it pins its threads with taskset); only the tables whose titles have a WORD in them.

  --seconds N     how long each row is measured (10)
  --members N     members in the one loop (200)";

/// Between two pings, at least; with the milliseconds of timers and polls it is two. A round trip is a small part
/// of it, so each finds everybody asleep.
const PACE: Duration = Duration::from_millis(1);
/// How long a side is measured before it is the other's turn.
const TURN: Duration = Duration::from_millis(200);
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

/// The first of a pair: probes the other all the time, and trusts it whatever comes.
fn probing(keys: &[RingKey], config: &mut Config) {
    config.ring_keys = keys.to_vec();
    let timing = &mut config.timing;
    (timing.period, timing.timeout) = (PACE, PACE);
    timing.suspicion_periods = 1e6;
    timing.local_health = false;
    timing.lag_tolerance = Duration::from_secs(86_400);
    timing.sync_max = Duration::ZERO;
}

/// What answers, in a thread of its own.
struct Answering {
    thread: JoinHandle<io::Result<()>>,
}

impl Answering {
    fn start(cpus: Vec<u32>, run: impl FnOnce() -> io::Result<()> + Send + 'static) -> Answering {
        let thread = thread::spawn(move || {
            // Where it may not choose, it runs where it is put.
            let _ = machine::pin(&cpus);
            run()
        });
        Answering { thread }
    }

    fn end(self) -> io::Result<()> {
        let ended = self.thread.join();
        ended.map_err(|_| io::Error::other("a thread panicked"))?
    }
}

/// How many bytes datagrams had that members sent and got in this time.
fn sizes(ring: &mut Ring, time: Duration) -> io::Result<(usize, usize)> {
    let counts = |ring: &Ring| {
        let stats = ring.members.iter().map(|member| member.node().stats());
        stats.fold([0; 4], |sum, stats| {
            let (sent, received) = (stats.sent_total(), stats.received_total());
            [
                sum[0] + stats.bytes_sent,
                sum[1] + sent,
                sum[2] + stats.bytes_received,
                sum[3] + received,
            ]
        })
    };
    let before = counts(ring);
    ring.run_for(time)?;
    let after = counts(ring);
    let grown = [0, 1, 2, 3].map(|place| after[place] - before[place]);
    let each = |bytes: u64, count: u64| (bytes as f64 / count.max(1) as f64).round() as usize;
    Ok((each(grown[0], grown[1]), each(grown[2], grown[3])))
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
        let member = Answering::start(answers.clone(), move || {
            member.run(|_, _| ControlFlow::Continue(()))
        });
        let mut echo = Echo::bind()?;
        let (echo_addr, stop) = (echo.local_addr()?, Waker::new(echo.poll.registry(), STOP)?);
        let echo = Answering::start(answers, move || echo.run());

        let mut ring = Ring::start(1, Duration::ZERO, |_, config| probing(&keys, config))?;
        ring.members[0].join(addr).map_err(io::Error::other)?;
        ring.run_until(Duration::from_secs(10), |it| it.node().counts().alive == 2)?;
        // What is news is told.
        ring.run_for(TURN.min(self.time))?;
        let (ping, ack) = sizes(&mut ring, TURN.min(self.time))?;
        let load = Load::start(loads, &keys, addr, echo_addr)?;
        let title = format!("{title}: ping {ping} bytes, Ack {ack} bytes; microseconds");
        self.report.table(&title, &COLUMNS);
        let mut pair = Pair {
            ring,
            member: Client::connect(addr)?,
            echo: Client::connect(echo_addr)?,
        };
        for (name, targets) in LOADS {
            let (floor, ours) =
                pair.probe(self.time, asking(ping, ack), |at| load.aim(targets[at]))?;
            load.aim(Target::Nobody);
            self.rows(name, &floor, &ours);
            if !sealed {
                self.curves(&format!("{name}, {place}"), &floor, &ours);
            }
        }
        let (floor, ours) = pair.ask_back_to_back(self.time, &observer_ping(&keys))?;
        let (ping, ack) = (observer_ping(&keys).len(), pair.member.answer_len);
        self.report.note(&format!(
            "back to back, of {ping} and {ack} bytes, from somebody who is no member and no engine:"
        ));
        self.rows("answering", &floor, &ours);
        load.end()?;
        handle.stop()?;
        stop.wake()?;
        member.end()?;
        echo.end()
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
        let mut ring = Ring::start(members, pause, |_, config| config.ring_keys = keys.clone())?;
        ring.run_until(Duration::from_secs(60), |it| {
            it.node().counts().alive == members
        })?;
        if self.args.measure {
            // What is news is told.
            let end = Instant::now() + Duration::from_secs(60);
            while ring.members.iter().any(|it| it.node().news() > 0) && Instant::now() < end {
                ring.run_for(TURN)?;
            }
        }
        let (ping, ack) = sizes(&mut ring, self.time.min(Duration::from_secs(5)))?;
        let mut echoes = EchoRing::bind(members, ping, ack)?;
        echoes.run_for(self.time)?;
        ring.round_trips = Some(RoundTrips::of(members));
        ring.run_for(self.time)?;
        let ours = ring.round_trips.take().map(|it| it.times);
        drop(ring);
        echoes.run_for(self.time)?;
        let title = format!("{title}: ping {ping} bytes, Ack {ack} bytes; microseconds");
        self.report.table(&title, &COLUMNS);
        let ours = ours.unwrap_or_else(Times::new);
        let name = format!("{members} in one loop");
        self.rows(&name, &echoes.times, &ours);
        if !sealed {
            self.curves(&name, &echoes.times, &ours);
        }
        Ok(())
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
    ring: Ring,
    member: Client,
    echo: Client,
}

impl Pair {
    /// The times of the echo and those of the member's probes; `aim` is told whose turn it is.
    fn probe(
        &mut self,
        time: Duration,
        ping: Vec<u8>,
        aim: impl Fn(usize),
    ) -> io::Result<(Times, Times)> {
        let mut floor = Times::new();
        let mut ours = RoundTrips::of(1);
        let start = Instant::now();
        while start.elapsed() < time {
            aim(0);
            let turn = Instant::now();
            while turn.elapsed() < TURN.min(time) {
                floor.record(self.echo.wait_round_trip(2 * PACE, &ping)?);
            }
            aim(1);
            self.ring.round_trips = Some(ours);
            self.ring.run_for(TURN.min(time))?;
            ours = self
                .ring
                .round_trips
                .take()
                .unwrap_or_else(|| RoundTrips::of(1));
            ours.forget();
        }
        Ok((floor, ours.times))
    }

    /// The times of the echo and those of the member, if who asks does nothing else.
    fn ask_back_to_back(&mut self, time: Duration, ping: &[u8]) -> io::Result<(Times, Times)> {
        let (mut floor, mut ours) = (Times::new(), Times::new());
        self.member.wait_round_trip(Duration::ZERO, ping)?;
        let echo = asking(ping.len(), self.member.answer_len);
        let start = Instant::now();
        while start.elapsed() < time {
            for _ in 0..500 {
                floor.record(self.echo.wait_round_trip(Duration::ZERO, &echo)?);
            }
            for _ in 0..500 {
                ours.record(self.member.wait_round_trip(Duration::ZERO, ping)?);
            }
        }
        Ok((floor, ours))
    }
}

/// The floor of many members in one loop: as many sockets under one poll, each of which asks another once a
/// second.
struct EchoRing {
    poll: Poll,
    sockets: Vec<UdpSocket>,
    asked: Vec<Option<Instant>>,
    ping: Vec<u8>,
    ack: Vec<u8>,
    times: Times,
    next: usize,
}

impl EchoRing {
    fn bind(members: usize, ping: usize, ack: usize) -> io::Result<EchoRing> {
        let poll = Poll::new()?;
        let mut sockets = Vec::new();
        for number in 0..members {
            let mut socket = UdpSocket::bind(LOCAL)?;
            poll.registry()
                .register(&mut socket, Token(number), Interest::READABLE)?;
            sockets.push(socket);
        }
        Ok(EchoRing {
            poll,
            asked: vec![None; members],
            sockets,
            ping: vec![b'?'; ping],
            ack: vec![b'!'; ack],
            times: Times::new(),
            next: 0,
        })
    }

    fn run_for(&mut self, time: Duration) -> io::Result<()> {
        let mut events = Events::with_capacity(self.sockets.len());
        let pace = Duration::from_secs(1) / self.sockets.len() as u32;
        let (end, mut due) = (Instant::now() + time, Instant::now());
        while Instant::now() < end {
            if due <= Instant::now() {
                due += pace;
                self.ask()?;
            }
            let timeout = due.saturating_duration_since(Instant::now());
            echo::wait(&mut self.poll, &mut events, Some(timeout))?;
            for event in &events {
                self.answer(event.token().0)?;
            }
        }
        Ok(())
    }

    fn ask(&mut self) -> io::Result<()> {
        let (from, to) = (self.next, (self.next + 1) % self.sockets.len());
        self.next = to;
        let addr = self.sockets[to].local_addr()?;
        self.asked[from] = Some(Instant::now());
        self.sockets[from].send_to(&self.ping, addr)?;
        Ok(())
    }

    fn answer(&mut self, number: usize) -> io::Result<()> {
        let mut buf = [0; 2_048];
        loop {
            let socket = &self.sockets[number];
            match socket.recv_from(&mut buf) {
                Ok((_, from)) if buf[0] == b'?' => drop(socket.send_to(&self.ack, from)?),
                Ok(_) => {
                    let asked = self.asked[number].take();
                    self.times.record(asked.map(|asked| asked.elapsed()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }
}
