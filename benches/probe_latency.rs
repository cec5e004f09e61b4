//! How long a member takes to answer a ping, beside a bare echo of the same size.

#[path = "support/args.rs"]
mod args;

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::ControlFlow;
use std::thread;
use std::time::{Duration, Instant};

use args::Args;
use butterfly::member::{Incarnation, MemberId};
use butterfly::wire::{self, Encoder, HEADROOM, MemberRecord, Message, RingKey, feature};
use butterfly::{Butterfly, Config};
use hdrhistogram::Histogram;
use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token, Waker};

const HELP: &str = "\
cargo bench --bench probe_latency: from a ping handed to the kernel to its Ack taken from it, on loopback, of
a running member and of a bare mio echo with messages of the same size (the floor), in turns, one ping at a
time. Pin it: `taskset -c 0 cargo bench ...` for one core, `taskset -c 0,1` for two; what it costs to wake the
other thread is most of it, so there is also a variant in which one thread does both sides and nobody waits.";

/// Pings in a turn, after which it is the other's.
const TURN: usize = 500;
const PATIENCE: Duration = Duration::from_secs(1);
const SOCKET: Token = Token(0);
const STOP: Token = Token(1);
const LOCAL: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

fn main() -> io::Result<()> {
    let Some(args) = Args::read(HELP) else {
        return Ok(());
    };
    let turns = if args.measure { 100 } else { 1 };
    println!(
        "ping to Ack, microseconds, {} pings each; CPUs {}",
        turns * TURN,
        cpus()
    );
    for sealed in [false, true] {
        let messages = Messages::new(sealed)?;
        messages.print(sealed);
        two_threads(&messages, turns)?;
        one_thread(&messages, turns)?;
    }
    Ok(())
}

/// The CPUs that this process may use.
fn cpus() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    line.unwrap_or("unknown").trim().to_owned()
}

/// What the member and the echo are sent, and how long the answer is.
struct Messages {
    keys: Vec<RingKey>,
    ping: Vec<u8>,
    ack_len: usize,
}

impl Messages {
    /// A tool's ping, as `Pinger` sends it, and the length of a member's Ack.
    fn new(sealed: bool) -> io::Result<Messages> {
        let key = RingKey::new("ring", "20260101000000", [7; 32]).map_err(io::Error::other)?;
        let keys = if sealed { vec![key] } else { Vec::new() };
        let from = MemberRecord {
            id: MemberId::OBSERVER,
            incarnation: Incarnation::ZERO,
            address: None,
            swim_port: 9638,
            gossip_port: 9638,
            persistent: false,
            departed: true,
            probe_ping: false,
            features: feature::EXTENSIONS | feature::OBSERVER,
            name: "",
        };
        let ping = Message::Ping {
            from,
            forward_to: None,
            probe: 0x7fff_ffff,
            digest: 0,
        };
        let mut buf = [0; 512];
        let len = Encoder::new(&mut buf[HEADROOM..], &ping).map_or(0, Encoder::finish);
        let range = wire::seal(keys.first().map(|key| (key, [3; 24])), &mut buf, len);
        let mut messages = Messages {
            keys,
            ping: buf[range].to_vec(),
            ack_len: 0,
        };
        let mut member = messages.member()?;
        let mut client = Client::connect(member.local_addr())?;
        client.round_trip(&messages.ping, || member.process())?;
        messages.ack_len = client.answer_len;
        assert!(messages.is_ack(&mut client.buf[..client.answer_len]));
        Ok(messages)
    }

    fn is_ack(&self, datagram: &mut [u8]) -> bool {
        let message = wire::open(&self.keys, datagram).and_then(wire::decode);
        matches!(message, Ok(swim) if matches!(swim.message, Message::Ack { probe: 0x7fff_ffff, .. }))
    }

    fn member(&self) -> io::Result<Butterfly> {
        let mut config = Config::new(LOCAL);
        config.name = "web-0123".to_owned();
        config.ring_keys = self.keys.clone();
        Butterfly::bind(config).map_err(io::Error::other)
    }

    fn print(&self, sealed: bool) {
        let name = if sealed { "sealed" } else { "plain" };
        let (ping, ack) = (self.ping.len(), self.ack_len);
        println!("\n{name}: ping {ping} bytes, Ack {ack} bytes");
        println!(
            "{:<26} {:>8} {:>8} {:>8} {:>8} {:>8}",
            "", "p50", "p90", "p99", "p99.9", "max"
        );
    }
}

/// A mio loop that answers whatever comes with so many bytes.
struct Echo {
    poll: Poll,
    events: Events,
    socket: UdpSocket,
    buf: Box<[u8]>,
    answer_len: usize,
    stopped: bool,
}

impl Echo {
    fn bind(answer_len: usize) -> io::Result<Echo> {
        let poll = Poll::new()?;
        let mut socket = UdpSocket::bind(LOCAL)?;
        poll.registry()
            .register(&mut socket, SOCKET, Interest::READABLE)?;
        Ok(Echo {
            poll,
            events: Events::with_capacity(16),
            socket,
            buf: vec![0; 1 << 16].into_boxed_slice(),
            answer_len,
            stopped: false,
        })
    }

    fn process(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.poll.poll(&mut self.events, timeout)?;
        let mut readable = false;
        for event in &self.events {
            readable |= event.token() == SOCKET;
            self.stopped |= event.token() == STOP;
        }
        while readable {
            match self.socket.recv_from(&mut self.buf) {
                Ok((_, from)) => drop(self.socket.send_to(&self.buf[..self.answer_len], from)?),
                Err(error) if error.kind() == ErrorKind::WouldBlock => readable = false,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Who pings: a mio loop too.
struct Client {
    poll: Poll,
    events: Events,
    socket: UdpSocket,
    buf: Box<[u8]>,
    answer_len: usize,
}

impl Client {
    fn connect(to: SocketAddr) -> io::Result<Client> {
        let poll = Poll::new()?;
        let mut socket = UdpSocket::bind(LOCAL)?;
        socket.connect(to)?;
        poll.registry()
            .register(&mut socket, SOCKET, Interest::READABLE)?;
        Ok(Client {
            poll,
            events: Events::with_capacity(16),
            socket,
            buf: vec![0; 2_048].into_boxed_slice(),
            answer_len: 0,
        })
    }

    /// Whether the answer is there.
    fn receive(&mut self) -> io::Result<bool> {
        match self.socket.recv(&mut self.buf) {
            Ok(len) => {
                self.answer_len = len;
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Sends one and sleeps until the answer is there; `None`: it was lost.
    fn wait_round_trip(&mut self, ping: &[u8]) -> io::Result<Option<Duration>> {
        let start = Instant::now();
        self.socket.send(ping)?;
        while start.elapsed() < PATIENCE {
            self.poll.poll(&mut self.events, Some(PATIENCE))?;
            if self.receive()? {
                let time = start.elapsed();
                // Edge-triggered: it says so again only once there was nothing more.
                while self.receive()? {}
                return Ok(Some(time));
            }
        }
        Ok(None)
    }

    /// Sends one and works for the other side until the answer is there; `None`: it was lost.
    fn round_trip(
        &mut self,
        ping: &[u8],
        mut work: impl FnMut() -> io::Result<()>,
    ) -> io::Result<Option<Duration>> {
        let start = Instant::now();
        self.socket.send(ping)?;
        while start.elapsed() < PATIENCE {
            work()?;
            if self.receive()? {
                return Ok(Some(start.elapsed()));
            }
        }
        Ok(None)
    }
}

/// Round trips of one side.
struct Times {
    nanos: Histogram<u64>,
    lost: usize,
}

impl Times {
    fn new() -> Times {
        let nanos = Histogram::new_with_max(10_000_000_000, 3).expect("the bounds are good");
        Times { nanos, lost: 0 }
    }

    fn record(&mut self, time: Option<Duration>) {
        match time {
            Some(time) => self.nanos.saturating_record(time.as_nanos() as u64),
            None => self.lost += 1,
        }
    }

    fn row(&self) -> [f64; 5] {
        let at = |quantile| self.nanos.value_at_quantile(quantile) as f64 / 1e3;
        [at(0.5), at(0.9), at(0.99), at(0.999), at(1.0)]
    }
}

fn print_rows(variant: &str, echo: &Times, member: &Times) {
    let print = |name: &str, row: [f64; 5]| {
        let cells = row.map(|cell| format!("{cell:>8.2}")).join(" ");
        println!("{:<26} {cells}", format!("{variant}, {name}"));
    };
    let (floor, ours) = (echo.row(), member.row());
    print("echo", floor);
    print("member", ours);
    print(
        "ratio",
        std::array::from_fn(|place| ours[place] / floor[place]),
    );
    if echo.lost + member.lost > 0 {
        println!("lost: echo {}, member {}", echo.lost, member.lost);
    }
}

/// Member and echo in threads of their own.
fn two_threads(messages: &Messages, turns: usize) -> io::Result<()> {
    let (mut member, mut echo) = (messages.member()?, Echo::bind(messages.ack_len)?);
    let mut to_member = Client::connect(member.local_addr())?;
    let mut to_echo = Client::connect(echo.socket.local_addr()?)?;
    let handle = member.handle()?;
    let stop_echo = Waker::new(echo.poll.registry(), STOP)?;
    let member = thread::spawn(move || member.run(|_, _| ControlFlow::Continue(())));
    let echo = thread::spawn(move || -> io::Result<()> {
        while !echo.stopped {
            echo.process(None)?;
        }
        Ok(())
    });
    let (mut floor, mut ours) = (Times::new(), Times::new());
    for _ in 0..turns {
        for _ in 0..TURN {
            floor.record(to_echo.wait_round_trip(&messages.ping)?);
        }
        for _ in 0..TURN {
            ours.record(to_member.wait_round_trip(&messages.ping)?);
        }
    }
    handle.stop()?;
    stop_echo.wake()?;
    for thread in [member, echo] {
        thread
            .join()
            .map_err(|_| io::Error::other("a thread panicked"))??;
    }
    print_rows("two threads", &floor, &ours);
    Ok(())
}

/// This thread does both sides, and never waits.
fn one_thread(messages: &Messages, turns: usize) -> io::Result<()> {
    let (mut member, mut echo) = (messages.member()?, Echo::bind(messages.ack_len)?);
    let mut to_member = Client::connect(member.local_addr())?;
    let mut to_echo = Client::connect(echo.socket.local_addr()?)?;
    let (mut floor, mut ours) = (Times::new(), Times::new());
    for _ in 0..turns {
        for _ in 0..TURN {
            let work = || echo.process(Some(Duration::ZERO));
            floor.record(to_echo.round_trip(&messages.ping, work)?);
        }
        for _ in 0..TURN {
            ours.record(to_member.round_trip(&messages.ping, || member.process())?);
        }
    }
    print_rows("one thread", &floor, &ours);
    Ok(())
}
