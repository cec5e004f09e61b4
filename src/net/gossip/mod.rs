//! Gossip's transport: the port that all peers push to, and connections to those that we push to.
//!
//! It speaks ZMTP, as ZeroMQ's PUSH and PULL sockets do, on TCP sockets of its own (`pull` and `link`). With the feature
//! `zmq`, ZeroMQ's own sockets take their place (`libzmq`).

#[cfg(not(feature = "zmq"))]
mod connections;
mod counters;
mod cuts;
#[cfg(feature = "zmq")]
mod libzmq;
#[cfg_attr(feature = "zmq", allow(dead_code))] // For the injector alone, then.
mod link;
#[cfg(not(feature = "zmq"))]
mod listener;
mod options;
mod outgoing;
mod peer;
#[cfg(not(feature = "zmq"))]
mod pull;
mod push;

use std::io;
#[cfg(not(feature = "zmq"))]
use std::net::IpAddr;
use std::net::SocketAddr;
use std::time::Instant;

use mio::{Registry, Token};

use backend::Inbox;
pub use counters::GossipStats;
use counters::Sizes;
pub(super) use cuts::Report;
pub(super) use link::Link;
pub(super) use options::Options;
use push::PushSet;

#[cfg(not(feature = "zmq"))]
use crate::member::MemberId;
#[cfg(not(feature = "zmq"))]
use crate::node::Port;

/// What carries the messages.
#[cfg(not(feature = "zmq"))]
mod backend {
    use std::io;
    use std::sync::Arc;

    use mio::Registry;

    pub(super) use super::link::{Lingering, Link, Seen};
    pub(super) use super::pull::Inbox;

    /// What connections are opened with.
    pub(super) type Home = Arc<Registry>;

    pub(super) fn home(registry: &Registry) -> io::Result<Home> {
        Ok(Arc::new(registry.try_clone()?))
    }
}
#[cfg(feature = "zmq")]
use libzmq as backend;

/// The lowest tokens are others': from here on they are gossip's.
pub(super) const FIRST_TOKEN: usize = 3;

/// The gossip port's.
const LISTENER: Token = Token(FIRST_TOKEN);

/// Which end of a connection a token stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Push,
    #[cfg_attr(feature = "zmq", allow(dead_code))]
    Pull,
}

/// The bits of a token that say where in its table a connection stands. The next one says which table that is. Those
/// above are new for each connection, so that a late event of a closed one means nobody; the highest is set, as
/// the lowest tokens are others'.
const KEY_BITS: u32 = 16;

fn token(side: Side, serial: usize, key: usize) -> Token {
    let high = 1 << (usize::BITS - 1);
    Token(high | serial << (KEY_BITS + 1) | (side as usize) << KEY_BITS | key)
}

fn key_of(token: Token) -> usize {
    token.0 & ((1 << KEY_BITS) - 1)
}

fn is_pull(token: Token) -> bool {
    token == LISTENER || token.0 >> KEY_BITS & 1 == Side::Pull as usize
}

/// A member's gossip connections in its mio poll. Nothing here ever waits, but for [`close`](Gossip::close).
///
/// Each event with a token of [`FIRST_TOKEN`] or above goes to [`wake`](Gossip::wake). Then
/// [`receive`](Gossip::receive) as often as there is time for,
/// [`handle_timeout`](Gossip::handle_timeout), and [`poll_outcome`](Gossip::poll_outcome) until there is
/// none, which is when what was pushed leaves. While [`has_work`](Gossip::has_work), no event may come for it: the poll
/// must not wait.
pub(super) struct Gossip {
    options: Options,
    report: Report,
    inbox: Inbox,
    push: PushSet,
}

/// What came to the gossip port.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame<'f> {
    /// A message of one frame.
    Whole {
        bytes: &'f mut [u8],
        from: SocketAddr,
    },
    /// A message of several parts began, which nobody of ours sends: it is dropped.
    Part { from: SocketAddr },
}

/// What became of a push: exactly one for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    /// The peer.
    pub to: SocketAddr,
    /// As it was given with the push.
    pub label: u64,
    /// The connection took it, and the peer is there; whether it arrives, nobody knows.
    pub taken: bool,
}

/// A connection that was kept open ended.
#[cfg(not(feature = "zmq"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// To a peer that this member keeps one to.
    To(SocketAddr),
    /// Opened by a peer that says it is this member.
    From(MemberId, IpAddr),
}

impl Gossip {
    /// Listens; with port 0, the system chooses one.
    ///
    /// # Errors
    /// If the address cannot be bound, or the system gives no socket.
    pub fn bind(registry: &Registry, addr: SocketAddr, options: Options) -> io::Result<Self> {
        let home = backend::home(registry)?;
        Ok(Gossip {
            inbox: Inbox::bind(&home, addr, &options)?,
            push: PushSet::new(home),
            options,
            report: Report::default(),
        })
    }

    /// The port that it listens on.
    pub fn local_port(&self) -> u16 {
        self.inbox.local_port()
    }

    /// An event with one of its tokens came; a late one, of a connection that is closed, is harmless.
    pub fn wake(&mut self, token: Token) {
        if token == LISTENER {
            self.inbox.wake_listener();
        } else if is_pull(token) {
            self.inbox.wake(token);
        } else {
            self.push.wake(token, &self.options, &mut self.report);
        }
    }

    /// The next frame. `None`: there is none, and an event will tell of the next, or others should have their turn
    /// while there still is [work](Gossip::has_work).
    pub fn receive(&mut self) -> Option<Frame<'_>> {
        // What waits to leave takes of the same memory.
        let room = self.options.max_bytes.saturating_sub(self.push.bytes());
        let room = room.min(self.options.max_pull_bytes);
        self.inbox.receive(room, &self.options, &mut self.report)
    }

    /// The message that was received last was good: its connection is closed after others if there are too many.
    pub fn approve(&mut self, now: Instant) {
        self.inbox.approve(now);
    }

    /// Hands over a message, now or as soon as the peer is connected and its connection takes it. An outcome with
    /// the label says whether that came true. The memory of a large one is taken, too.
    pub fn push(&mut self, now: Instant, to: SocketAddr, label: u64, frame: &mut Vec<u8>) {
        let push = (now, canonical(to), label);
        self.push.push(push, frame, &self.options, &mut self.report);
    }

    /// What became of a push. With `None`, everything that was taken leaves as far as the system takes it.
    pub fn poll_outcome(&mut self) -> Option<Outcome> {
        self.push.poll_outcome(&self.options, &mut self.report)
    }

    /// Whether there may be something to do right now, of which no event will tell.
    pub fn has_work(&self) -> bool {
        self.inbox.has_work() || self.push.has_work()
    }

    /// When [`handle_timeout`](Gossip::handle_timeout) is to be called at the latest.
    pub fn deadline(&self) -> Option<Instant> {
        let push = self.push.deadline();
        push.into_iter().chain(self.inbox.deadline()).min()
    }

    /// Gives up what waited too long, closes what is idle, and looks after the connections. To be called
    /// after each wake, too.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.push
            .handle_timeout(now, &self.options, &mut self.report);
        self.inbox
            .handle_timeout(now, &self.options, &mut self.report);
    }

    /// Keeps connections to these peers open from now on, and says in them which member does so.
    #[cfg(not(feature = "zmq"))]
    pub fn keep(&mut self, now: Instant, by: MemberId, peers: &[SocketAddr]) {
        self.push
            .keep(now, (by, peers), &self.options, &mut self.report);
    }

    /// Finds out whether somebody listens there; [`poll_tested`](Gossip::poll_tested) says, with this label.
    #[cfg(not(feature = "zmq"))]
    pub fn test_port(&mut self, now: Instant, to: SocketAddr, label: u64) {
        let test = (now, canonical(to), label);
        self.push.test_port(test, &self.options, &mut self.report);
    }

    /// What a test of a port found.
    #[cfg(not(feature = "zmq"))]
    pub fn poll_tested(&mut self) -> Option<(u64, Port)> {
        self.push.poll_tested()
    }

    /// A kept connection that ended.
    #[cfg(not(feature = "zmq"))]
    pub fn poll_ended(&mut self) -> Option<Ended> {
        let to = self.push.poll_ended().map(Ended::To);
        to.or_else(|| self.inbox.poll_ended())
    }

    /// The peer is dead: what waits for it is not sent.
    pub fn forget_peer(&mut self, now: Instant, addr: SocketAddr) {
        let peer = (now, canonical(addr));
        self.push.forget(peer, &self.options, &mut self.report);
    }

    /// Hands over what is taken, closes all connections to others, and waits until what was taken has left,
    /// [`linger`](Options::linger) at most. The rest has its outcomes. Dropping does this too.
    pub fn close(&mut self, now: Instant) {
        self.push.finish(now, &self.options, &mut self.report);
    }

    /// What happened since the start, and how large things are now.
    pub fn stats(&self) -> GossipStats {
        GossipStats::new(self.report.counters, self.sizes(), &self.options)
    }

    fn sizes(&self) -> Sizes {
        let mut sizes = Sizes {
            connections: self.inbox.connections(),
            held_bytes: self.inbox.held(),
            ..Sizes::default()
        };
        self.push.measure(&mut sizes);
        sizes
    }
}

impl Drop for Gossip {
    fn drop(&mut self) {
        self.close(Instant::now());
    }
}

/// An IPv4 address that an IPv6 socket told of, as what it is: one peer, one connection.
fn canonical(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip().to_canonical(), addr.port())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::io::{Read, Write};
    use std::net::{Ipv4Addr, TcpStream, UdpSocket};
    use std::time::Duration;
    use std::{env, thread};

    use mio::{Events, Interest, Poll};

    use super::counters::Refusal;
    use super::*;

    /// How long a condition may take that holds almost at once if it ever does.
    pub(super) const PATIENCE: Duration = Duration::from_secs(20);

    /// So far off that nothing periodic hides that an event was lost.
    pub(super) const NEVER: Duration = Duration::from_secs(3_600);

    /// A `Gossip` and the loop that drives it, which only wakes for events and deadlines.
    pub(super) struct Member {
        pub poll: Poll,
        pub events: Events,
        pub gossip: Gossip,
        /// Messages received in one turn.
        pub budget: usize,
        pub received: Vec<Vec<u8>>,
        /// Messages of several parts.
        pub parts: usize,
        pub outcomes: Vec<Outcome>,
    }

    pub(super) fn member(change: impl FnOnce(&mut Options)) -> Member {
        member_at((Ipv4Addr::LOCALHOST, 0).into(), change)
    }

    pub(super) fn member_at(addr: SocketAddr, change: impl FnOnce(&mut Options)) -> Member {
        let mut options = Options::default();
        change(&mut options);
        let poll = Poll::new().unwrap();
        let gossip = Gossip::bind(poll.registry(), addr, options).unwrap();
        Member {
            poll,
            events: Events::with_capacity(64),
            gossip,
            budget: 256,
            received: Vec::new(),
            parts: 0,
            outcomes: Vec::new(),
        }
    }

    impl Member {
        pub fn addr(&self) -> SocketAddr {
            (Ipv4Addr::LOCALHOST, self.gossip.local_port()).into()
        }

        pub fn push(&mut self, to: SocketAddr, label: u64, frame: &[u8]) {
            self.gossip
                .push(Instant::now(), to, label, &mut frame.to_vec());
        }

        pub fn turn(&mut self, longest: Duration) {
            let now = Instant::now();
            let due = self.gossip.deadline();
            let timeout = match due.map(|due| due.saturating_duration_since(now)) {
                _ if self.gossip.has_work() => Duration::ZERO,
                Some(timeout) => timeout.min(longest),
                None => longest,
            };
            self.poll.poll(&mut self.events, Some(timeout)).unwrap();
            for event in self.events.iter() {
                self.gossip.wake(event.token());
            }
            for _ in 0..self.budget {
                match self.gossip.receive() {
                    Some(Frame::Whole { bytes, .. }) => {
                        self.received.push(bytes.to_vec());
                        self.gossip.approve(Instant::now());
                    }
                    Some(Frame::Part { .. }) => self.parts += 1,
                    None => break,
                }
            }
            self.gossip.handle_timeout(Instant::now());
            while let Some(outcome) = self.gossip.poll_outcome() {
                self.outcomes.push(outcome);
            }
        }

        /// Goes on until the condition holds. In between, it sleeps until something happens at this member.
        pub fn until(&mut self, what: &str, mut holds: impl FnMut(&Member) -> bool) {
            let start = Instant::now();
            while !holds(self) {
                let left = PATIENCE.checked_sub(start.elapsed());
                self.turn(left.unwrap_or_else(|| panic!("waited in vain: {what}")));
            }
        }

        /// As `until`, for a condition that changes elsewhere.
        pub fn poll_until(&mut self, what: &str, mut holds: impl FnMut(&Member) -> bool) {
            let start = Instant::now();
            while !holds(self) {
                assert!(start.elapsed() < PATIENCE, "waited in vain: {what}");
                self.turn(Duration::from_millis(2));
            }
        }

        /// As `until`, for two that wait for each other.
        pub fn until_with(
            &mut self,
            other: &mut Member,
            what: &str,
            mut holds: impl FnMut(&Member, &Member) -> bool,
        ) {
            let start = Instant::now();
            while !holds(self, other) {
                assert!(start.elapsed() < PATIENCE, "waited in vain: {what}");
                self.turn(Duration::from_millis(1));
                other.turn(Duration::from_millis(1));
            }
        }

        pub fn outcome(&self, label: u64) -> Option<bool> {
            let mut of = self.outcomes.iter().filter(|it| it.label == label);
            let taken = of.next().map(|it| it.taken);
            assert!(of.next().is_none(), "two outcomes of {label}");
            taken
        }

        pub fn taken(&self) -> usize {
            self.outcomes.iter().filter(|it| it.taken).count()
        }

        pub fn sizes(&self) -> Sizes {
            self.gossip.sizes()
        }
    }

    /// A PUSH socket as another program has it.
    pub(super) fn stranger(to: SocketAddr) -> zmq::Socket {
        let socket = zmq::Context::new().socket(zmq::PUSH).unwrap();
        socket.set_linger(0).unwrap();
        socket.set_sndtimeo(PATIENCE.as_millis() as i32).unwrap();
        socket.connect(&format!("tcp://{to}")).unwrap();
        socket
    }

    /// A PULL socket as another program has it, and where it listens.
    pub(super) fn sink(
        ip: Ipv4Addr,
        change: impl FnOnce(&zmq::Socket),
    ) -> (zmq::Socket, SocketAddr) {
        let socket = zmq::Context::new().socket(zmq::PULL).unwrap();
        socket.set_linger(0).unwrap();
        socket.set_rcvtimeo(PATIENCE.as_millis() as i32).unwrap();
        change(&socket);
        socket.bind(&format!("tcp://{ip}:0")).unwrap();
        let port = socket.get_last_endpoint().unwrap().unwrap();
        let port = port.rsplit_once(':').unwrap().1.parse().unwrap();
        (socket, (Ipv4Addr::LOCALHOST, port).into())
    }

    /// A port on which nobody listens.
    pub(super) fn closed_port() -> u16 {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.local_addr().unwrap().port()
    }

    /// Shakes hands by hand, as ZMTP 3.1 with the NULL mechanism has it.
    pub(super) fn shake_hands(stream: &mut TcpStream, kind: &str) {
        let mut greeting = [0; 64];
        (greeting[0], greeting[9], greeting[10], greeting[11]) = (0xff, 0x7f, 3, 1);
        greeting[12..16].copy_from_slice(b"NULL");
        let mut ready = b"\x05READY\x0bSocket-Type\x00\x00\x00".to_vec();
        ready.push(kind.len() as u8);
        ready.extend(kind.as_bytes());
        let header = [4, ready.len() as u8];
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
            .write_all(&[&greeting[..], &header, &ready].concat())
            .unwrap();
        stream.read_exact(&mut greeting).unwrap();
        let mut header = [0; 2];
        stream.read_exact(&mut header).unwrap();
        stream.read_exact(&mut vec![0; header[1] as usize]).unwrap();
    }

    /// A frame, with its length in eight bytes.
    #[cfg(not(feature = "zmq"))]
    pub(super) fn frame(bytes: &[u8], more: bool) -> Vec<u8> {
        let flags = 2 | u8::from(more);
        [&[flags][..], &(bytes.len() as u64).to_be_bytes(), bytes].concat()
    }

    #[test]
    fn what_is_pushed_arrives_and_each_push_has_one_outcome() {
        let (mut sender, mut receiver) = (member(|_| {}), member(|_| {}));
        let nobody = (Ipv4Addr::LOCALHOST, closed_port()).into();
        sender.gossip.options.give_up = Duration::from_millis(300);
        for label in 0..200 {
            sender.push(receiver.addr(), label, &label.to_be_bytes());
            sender.push(nobody, 1_000 + label, b"lost");
        }
        sender.until_with(&mut receiver, "all have an outcome", |it, _| {
            it.outcomes.len() == 400
        });
        sender.until_with(&mut receiver, "all arrived", |_, it| {
            it.received.len() == 200
        });
        for label in 0..200u64 {
            assert_eq!(sender.outcome(label), Some(true));
            assert_eq!(sender.outcome(1_000 + label), Some(false));
            assert_eq!(receiver.received[label as usize], label.to_be_bytes());
        }
        let counters = sender.gossip.report.counters;
        assert_eq!((counters.sent_frames, counters.sent_bytes), (200, 1_600));
        assert_eq!(counters.refused(Refusal::TimedOut), 200);
        let counters = receiver.gossip.report.counters;
        assert_eq!(
            (counters.received_frames, counters.received_bytes),
            (200, 1_600)
        );
        assert_eq!(sender.gossip.poll_outcome(), None);
    }

    #[test]
    fn ipv6_is_spoken_and_ipv4_over_it() {
        if UdpSocket::bind("[::1]:0").is_err() {
            // Straight to the stream, since the test harness swallows what `eprintln!` says.
            let _ = writeln!(io::stderr(), "skipped: this machine has no IPv6");
            return;
        }
        let any = "[::]:0".parse().unwrap();
        let (mut sender, mut receiver) = (member(|_| {}), member_at(any, |_| {}));
        let port = receiver.gossip.local_port();
        for to in ["[::1]", "127.0.0.1", "[::ffff:127.0.0.1]"] {
            sender.push(format!("{to}:{port}").parse().unwrap(), 0, to.as_bytes());
        }
        sender.until_with(&mut receiver, "all were taken", |it, _| it.taken() == 3);
        sender.until_with(&mut receiver, "all arrived", |_, it| it.received.len() == 3);
        assert_eq!(
            sender.sizes().push_sockets,
            2,
            "a mapped address is no other peer"
        );
    }

    #[test]
    fn it_may_move_to_another_thread() {
        let (mut sender, mut receiver) = (member(|_| {}), member(|_| {}));
        let to = receiver.addr();
        sender.push(to, 0, b"before");
        let sender = thread::spawn(move || {
            sender.push(to, 1, b"after");
            sender.until("both were taken", |it| it.taken() == 2);
            sender
        });
        receiver.until("both arrived", |it| it.received.len() == 2);
        drop(sender.join().unwrap());
    }

    /// Four peers send as fast as they can, while datagrams are answered in the same loop: all arrive.
    /// `cargo test --lib flood -- --nocapture` says how fast, and `BUTTERFLY_FLOOD=…` how many.
    #[test]
    fn a_flood_loses_nothing_and_starves_nobody() {
        const ECHO: Token = Token(0);
        let asked = env::var("BUTTERFLY_FLOOD").ok();
        let count = asked.map_or(1_000_000, |count| count.parse().unwrap()) / 4;
        let mut member = member(|_| {});
        let mut echo = mio::net::UdpSocket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let echo_addr = echo.local_addr().unwrap();
        member
            .poll
            .registry()
            .register(&mut echo, ECHO, Interest::READABLE)
            .unwrap();
        let to = member.addr();
        let pushers: Vec<_> = (0..4u8)
            .map(|from| thread::spawn(move || flood(to, from, count)))
            .collect();
        let pings = thread::spawn(move || ping(echo_addr, 200));
        let start = (Instant::now(), cpu_time());
        let mut next = [0; 4];
        let mut answered = 0;
        while next != [count; 4] || answered < 200 {
            assert!(
                start.0.elapsed() < 6 * PATIENCE,
                "stuck at {next:?} and {answered}"
            );
            member.turn(PATIENCE);
            for message in member.received.drain(..) {
                let number = u32::from_be_bytes(message[1..5].try_into().unwrap());
                let next = &mut next[message[0] as usize];
                assert_eq!((number, message.len()), (*next, 200));
                *next += 1;
            }
            let mut buf = [0; 64];
            while let Ok((len, from)) = echo.recv_from(&mut buf) {
                echo.send_to(&buf[..len], from).unwrap();
                answered += 1;
            }
        }
        let (elapsed, cpu) = (start.0.elapsed(), cpu_time() - start.1);
        let slowest = pings.join().unwrap();
        for pusher in pushers {
            pusher.join().unwrap();
        }
        println!(
            "{} messages in {elapsed:?}, CPU of the loop {cpu:?}, slowest echo {slowest:?}",
            4 * count
        );
    }

    fn flood(to: SocketAddr, from: u8, count: u32) {
        let socket = stranger(to);
        socket.set_linger(PATIENCE.as_millis() as i32).unwrap();
        for number in 0..count {
            let mut message = [from; 200];
            message[1..5].copy_from_slice(&number.to_be_bytes());
            socket.send(&message[..], 0).unwrap();
        }
    }

    /// The longest time that an answer took.
    fn ping(to: SocketAddr, count: usize) -> Duration {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        socket.connect(to).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut slowest = Duration::ZERO;
        for _ in 0..count {
            let start = Instant::now();
            socket.send(b"ping").unwrap();
            socket.recv(&mut [0; 64]).unwrap();
            slowest = slowest.max(start.elapsed());
        }
        slowest
    }

    /// What this thread has used.
    fn cpu_time() -> Duration {
        let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
        let nanos = stat.split(' ').next().and_then(|nanos| nanos.parse().ok());
        Duration::from_nanos(nanos.unwrap_or(0))
    }

    #[test]
    fn labels_may_repeat_and_late_events_mean_nobody() {
        let mut sender = member(|_| {});
        let nobody = (Ipv4Addr::LOCALHOST, closed_port()).into();
        let mut tokens = HashSet::new();
        for _ in 0..100 {
            sender.push(nobody, 7, b"x");
            sender.push(nobody, 7, b"y");
            assert!(tokens.insert(sender.gossip.push.token_of(nobody).unwrap()));
            sender.gossip.forget_peer(Instant::now(), nobody);
            tokens.iter().for_each(|&token| sender.gossip.wake(token));
        }
        sender.turn(Duration::ZERO);
        assert_eq!(sender.outcomes.len(), 200);
        assert!(sender.outcomes.iter().all(|it| it.label == 7 && !it.taken));
        assert!(tokens.iter().all(|token| *token > LISTENER));
    }
}
