//! Members on sockets: each implementation's, and the bare echo, made ready to answer pings.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::ops::{ControlFlow, Range};
use std::time::{Duration, Instant};

use butterfly::Butterfly;
use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token, Waker};

use kit::echo::{self, Echo, LOCAL, STOP, asking};
use super::flood::{Answers, Rate, Sender, Side};
use super::foca_member::{self, Engine, Sends};
use kit::known::{Known, passive};
use kit::report::Column;
use kit::times::Times;
use super::{Peers, memberlist_member};
use kit::machine;

/// Members that ping, from as many sockets.
pub const SENDERS: u32 = 8;
/// Batches in a row of which nothing but Acks came: nothing else is left to be said.
const QUIET: usize = 50;
const PATIENCE: Duration = Duration::from_secs(60);
const SOCKET: Token = Token(0);
const COLUMNS: [Column; 4] = [
    ("us CPU/ack", 3),
    ("acks/CPU-s", 0),
    ("acks/CPU-s 2", 0),
    ("allocations", 2),
];

type Stop = Box<dyn Fn() -> io::Result<()>>;

impl Answers for Butterfly {
    fn answer(&mut self) -> io::Result<bool> {
        self.process().map(|()| true)
    }

    fn stopper(&mut self) -> io::Result<Stop> {
        let handle = self.handle()?;
        Ok(Box::new(move || handle.stop()))
    }

    fn run(&mut self) -> io::Result<()> {
        Butterfly::run(self, |_, _| ControlFlow::Continue(()))
    }
}

impl Answers for Echo {
    fn answer(&mut self) -> io::Result<bool> {
        self.process(Some(Duration::ZERO)).map(|()| true)
    }

    fn stopper(&mut self) -> io::Result<Stop> {
        let waker = Waker::new(self.poll.registry(), STOP)?;
        Ok(Box::new(move || waker.wake()))
    }

    fn run(&mut self) -> io::Result<()> {
        Echo::run(self)
    }
}

/// A foca in the echo's loop.
struct FocaMember {
    poll: Poll,
    events: Events,
    socket: UdpSocket,
    buf: Box<[u8]>,
    engine: Engine,
    stopped: bool,
    /// Reads and answers in a row, as a butterfly's driver does.
    rows: bool,
    /// The lengths of those that were read.
    held: Vec<usize>,
    /// What is to be sent, and where each goes with its length.
    out: Vec<u8>,
    sends: Vec<(SocketAddr, usize)>,
}

impl FocaMember {
    fn turn(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        echo::wait(&mut self.poll, &mut self.events, timeout)?;
        let mut readable = false;
        for event in &self.events {
            readable |= event.token() == SOCKET;
            self.stopped |= event.token() == STOP;
        }
        if readable && self.rows {
            return self.answer_in_rows();
        }
        let socket = &self.socket;
        while readable {
            match socket.recv_from(&mut self.buf) {
                Ok((len, _)) => {
                    // What cannot be sent is lost, as datagrams are.
                    let sends = Sends(|to, ack: &[u8]| _ = socket.send_to(ack, SocketAddr::V4(to)));
                    let heard = self.engine.handle_data(&self.buf[..len], sends);
                    heard.map_err(io::Error::other)?;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => readable = false,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// One, two, four, … at most sixteen are read, then all of them handled, then all answers sent.
    fn answer_in_rows(&mut self) -> io::Result<()> {
        /// The most in a row, and the most bytes of one.
        const MOST: usize = 16;
        const LARGEST: usize = 1 << 12;
        let (mut readable, mut most) = (true, 1);
        while readable {
            self.held.clear();
            let mut used = 0;
            while readable && self.held.len() < most {
                match self.socket.recv_from(&mut self.buf[used..][..LARGEST]) {
                    Ok((len, _)) => {
                        self.held.push(len);
                        used += len;
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => readable = false,
                    Err(error) => return Err(error),
                }
            }
            let (out, to_send) = (&mut self.out, &mut self.sends);
            let mut rest = &self.buf[..];
            for len in &self.held {
                let (datagram, behind) = rest.split_at(*len);
                rest = behind;
                let sends = Sends(|to, ack: &[u8]| {
                    out.extend_from_slice(ack);
                    to_send.push((SocketAddr::V4(to), ack.len()));
                });
                let heard = self.engine.handle_data(datagram, sends);
                heard.map_err(io::Error::other)?;
            }
            let mut rest = &self.out[..];
            for (to, len) in self.sends.drain(..) {
                let (ack, behind) = rest.split_at(len);
                rest = behind;
                // What cannot be sent is lost, as datagrams are.
                let _ = self.socket.send_to(ack, to);
            }
            self.out.clear();
            most = MOST.min(2 * most);
        }
        Ok(())
    }
}

impl Answers for FocaMember {
    fn answer(&mut self) -> io::Result<bool> {
        self.turn(Some(Duration::ZERO)).map(|()| true)
    }

    fn stopper(&mut self) -> io::Result<Stop> {
        let waker = Waker::new(self.poll.registry(), STOP)?;
        Ok(Box::new(move || waker.wake()))
    }

    fn run(&mut self) -> io::Result<()> {
        while !self.stopped {
            self.turn(None)?;
        }
        Ok(())
    }
}

/// Sockets that are connected there.
pub fn sockets(to: SocketAddr) -> io::Result<Vec<UdpSocket>> {
    let socket = |_| {
        let socket = echo::roomy(UdpSocket::bind(LOCAL)?);
        socket.connect(to)?;
        Ok(socket)
    };
    (0..SENDERS).map(socket).collect()
}

/// An address that was free a moment ago, for who cannot be asked which one it got.
pub fn free_address() -> io::Result<SocketAddr> {
    std::net::TcpListener::bind(LOCAL)?.local_addr()
}

/// Who pings with these.
pub fn side(answers: Box<dyn Answers>, senders: Vec<Sender>) -> Side {
    Side {
        answers,
        senders,
        ack_len: 0,
    }
}

fn echo_side(ping_len: usize, ack_len: usize) -> io::Result<Side> {
    let echo = Echo::bind()?;
    let sender = |socket| Sender {
        socket,
        ping: asking(ping_len, ack_len),
    };
    let senders = sockets(echo.local_addr()?)?.into_iter().map(sender);
    let senders = senders.collect();
    Ok(side(Box::new(echo), senders))
}

/// The numbers of those whose stale memberships ride on this sender's pings: of the ring, but none that pings.
pub fn on_board(number: u32, stale: u32, members: u32) -> Range<u32> {
    let others = SENDERS + 1..members;
    let first = others.start + number % (others.len() as u32 + 1 - stale);
    first..first + stale
}

fn butterfly_side(members: u32, stale: u32) -> io::Result<Side> {
    let mut member = passive(&[])?;
    let to = (member.local_addr(), member.node().id());
    let mut known = Vec::new();
    for number in 1..=SENDERS {
        known.push(Known::join(number, &[], to, || member.process())?);
    }
    if let Some(two) = known.first_chunk_mut() {
        Known::tell(two, SENDERS + 1..members, || member.process())?;
    }
    // What is news is told, and those that ask have been told the table.
    let ping = known[0].ping(0..0);
    let (mut quiet, start) = (0, Instant::now());
    while quiet < QUIET {
        known[0].send(&ping)?;
        member.process()?;
        let mut answers = 0;
        for known in &mut known {
            while known.receive()?.is_some() {
                answers += 1;
            }
        }
        let rests = answers == 1 && member.node().news() == 0;
        quiet = if rests { quiet + 1 } else { 0 };
        if start.elapsed() > PATIENCE {
            return Err(io::Error::other("the butterfly does not come to rest"));
        }
    }
    assert_eq!(
        member.node().counts().alive,
        members as usize,
        "all are known"
    );
    let senders = (0..).zip(known).map(|(number, known)| Sender {
        ping: known.ping(on_board(number, stale, members)),
        socket: known.socket,
    });
    let senders = senders.collect();
    let mut side = side(Box::new(member), senders);
    let mut quiet = 0;
    while quiet < QUIET {
        quiet = if side.batch()?.is_some() {
            quiet + 1
        } else {
            0
        };
        if start.elapsed() > PATIENCE {
            return Err(io::Error::other(
                "the butterfly answers pings with more than Acks",
            ));
        }
    }
    Ok(side)
}

fn foca_side(members: u32, stale: u32, rows: bool) -> io::Result<Side> {
    let poll = Poll::new()?;
    let mut socket = echo::roomy(UdpSocket::bind(LOCAL)?);
    poll.registry()
        .register(&mut socket, SOCKET, Interest::READABLE)?;
    let to = socket.local_addr()?;
    let me = foca_member::v4(to);
    let mut senders = Vec::new();
    let mut all: Vec<_> = (SENDERS + 1..members).map(foca_member::at).collect();
    for (number, socket) in (0..).zip(sockets(to)?) {
        let from = foca_member::v4(socket.local_addr()?);
        // Evenly among the others, so that they are found as quickly as any member is.
        let place = (2 * number as usize + 1) * all.len() / (2 * SENDERS as usize);
        all.insert(place, from);
        let others: Vec<_> = on_board(number, stale, members)
            .map(foca_member::at)
            .collect();
        let ping = foca_member::ping(from, me, others.into_iter());
        senders.push(Sender { socket, ping });
    }
    let mut engine = foca_member::lone(me);
    foca_member::know(&mut engine, all.into_iter());
    assert_eq!(engine.num_members() + 1, members as usize, "all are known");
    let member = FocaMember {
        poll,
        events: Events::with_capacity(16),
        socket,
        buf: vec![0; 1 << 16].into_boxed_slice(),
        engine,
        stopped: false,
        rows,
        held: Vec::new(),
        out: Vec::new(),
        sends: Vec::new(),
    };
    Ok(side(Box::new(member), senders))
}

impl Peers {
    /// Acks for each second of CPU.
    pub fn acks(&mut self) -> io::Result<()> {
        let title =
            "pings flooded at a member on loopback; the last two columns: from another thread";
        self.report.table(title, &COLUMNS);
        let large = if self.args.measure { 10_000 } else { 100 };
        for (stale, members) in [(0, 10), (0, large), (6, 20), (6, large)] {
            let name = match stale {
                0 => format!("acks, {members} members"),
                _ => format!("acks, {stale} stale memberships on each ping, {members} members"),
            };
            if self.args.wants(&name) {
                self.acks_of(&name, members, stale)?;
            }
        }
        Ok(())
    }

    fn acks_of(&mut self, name: &str, members: u32, stale: u32) -> io::Result<()> {
        let mut butterfly = butterfly_side(members, stale)?;
        butterfly.batch()?;
        let sizes = (butterfly.senders[0].ping.len(), butterfly.ack_len);
        let mut foca = foca_side(members, stale, false)?;
        foca.batch()?;
        let short = (foca.senders[0].ping.len(), foca.ack_len);
        let mut sides = vec![
            ("echo", echo_side(sizes.0, sizes.1)?),
            ("butterfly", butterfly),
            ("foca", foca),
            ("foca in rows", foca_side(members, stale, true)?),
            ("short echo", echo_side(short.0, short.1)?),
        ];
        let mut times = [(); 5].map(|()| Times::new());
        let start = Instant::now();
        while start.elapsed() < self.time * 5 {
            for ((_, side), times) in sides.iter_mut().zip(&mut times) {
                times.record(side.batch()?);
            }
        }
        sides.push(("memberlist", memberlist_member::side(members, stale)?));
        let micros = times
            .iter()
            .map(|times| times.median(1e3))
            .chain([f64::NAN]);
        let micros: Vec<_> = micros.collect();
        let cpus = machine::cpus();
        let mut rows = Vec::new();
        for ((whose, side), micros) in sides.into_iter().zip(micros) {
            let ping_len = side.senders[0].ping.len();
            let Rate {
                acks_of_cpu,
                allocations,
                ack_len,
            } = side.keep_window(self.time, &cpus)?;
            let row = [micros, 1e6 / micros, acks_of_cpu, allocations];
            self.report.row(&format!("{name}: {whose}"), &row);
            rows.push((whose, row, (ping_len, ack_len)));
        }
        let ours = rows[1].1;
        for (whose, row, _) in &rows {
            if *whose != "butterfly" {
                let name = format!("{name}: butterfly to {whose}");
                self.report.ratio(&name, &ours[..3], &row[..3]);
            }
        }
        let sizes = rows
            .iter()
            .map(|(whose, _, (ping, ack))| format!("{whose} {ping} and {ack}"));
        let sizes = sizes.collect::<Vec<_>>().join(", ");
        self.report
            .note(&format!("  bytes of a ping and its Ack: {sizes}"));
        for (times, (whose, ..)) in times.iter().zip(&rows) {
            if times.lost > 0 {
                self.report
                    .note(&format!("  {whose}: {} batches with losses", times.lost));
            }
        }
        Ok(())
    }
}
