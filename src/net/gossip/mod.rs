//! Gossip's transport: one PULL socket that all peers push to, and PUSH sockets to those that we push to.

mod alarm;
mod context;
mod counters;
mod guard;
mod options;
mod peer;
mod pull;
mod push;
mod watched;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use mio::{Registry, Token};

pub use counters::GossipStats;
use counters::{Counters, Sizes};
pub(super) use options::Options;
use pull::Inbox;
use push::PushSet;

/// The lowest tokens are others': from here on they are gossip's.
pub(super) const FIRST_TOKEN: usize = 3;

const PULL: Token = Token(FIRST_TOKEN);
const MONITOR: Token = Token(FIRST_TOKEN + 1);
const ALARM: Token = Token(FIRST_TOKEN + 2);

/// A member's ZeroMQ sockets in its mio poll. Nothing here ever waits, but for the last of a thread's members
/// that goes: until what was sent has left, for one second at most.
///
/// Each event with a token of [`FIRST_TOKEN`] or above goes to [`wake`](Gossip::wake). Then
/// [`receive`](Gossip::receive) as often as there is time for,
/// [`handle_timeout`](Gossip::handle_timeout), and [`poll_outcome`](Gossip::poll_outcome) until there is
/// none. While [`has_work`](Gossip::has_work), no event may come for it: the poll must not wait.
pub(super) struct Gossip {
    options: Options,
    counters: Counters,
    inbox: Inbox,
    push: PushSet,
}

/// What came to the PULL socket.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame<'f> {
    /// A message of one frame.
    Whole(&'f mut [u8]),
    /// A part of a message of several, which nobody of ours sends: it is dropped.
    Part {
        /// Of each such message, one is.
        first: bool,
    },
}

/// What became of a push: exactly one for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    /// The peer.
    pub to: SocketAddr,
    /// As it was given with the push.
    pub label: u64,
    /// ZeroMQ took it, for a peer that was connected; whether it arrives, nobody knows.
    pub taken: bool,
}

impl Gossip {
    /// Binds the PULL socket; with port 0, the system chooses one.
    ///
    /// # Errors
    /// If the address cannot be bound, or the system gives no socket.
    pub fn bind(registry: &Registry, addr: SocketAddr, options: Options) -> io::Result<Self> {
        let context = context::shared()?;
        let registry = Arc::new(registry.try_clone()?);
        Ok(Gossip {
            inbox: Inbox::bind(&context, &registry, addr, &options)?,
            push: PushSet::new(context, registry),
            options,
            counters: Counters::default(),
        })
    }

    /// The port that the PULL socket is bound to.
    pub fn local_port(&self) -> u16 {
        self.inbox.local_port()
    }

    /// An event with one of its tokens came; a late one, of a socket that is closed, is harmless.
    pub fn wake(&mut self, token: Token) {
        match token {
            PULL => self.inbox.wake(),
            MONITOR => self.inbox.wake_guard(),
            ALARM => self.inbox.wake_alarm(),
            _ => self.push.wake(token, &mut self.counters),
        }
    }

    /// The next frame. `None`: there is none, and an event will tell of the next.
    pub fn receive(&mut self) -> Option<Frame<'_>> {
        self.inbox.receive(&self.options, &mut self.counters)
    }

    /// Where the frame that was received last came from.
    pub fn source(&mut self) -> Option<IpAddr> {
        self.inbox.source()
    }

    /// Hands a frame to ZeroMQ, now or as soon as the peer is connected and takes it. An outcome with the
    /// label says whether that came true.
    pub fn push(&mut self, now: Instant, to: SocketAddr, label: u64, frame: &[u8]) {
        let push = (now, canonical(to), label);
        self.push
            .push(push, frame, &self.options, &mut self.counters);
    }

    /// What became of a push.
    pub fn poll_outcome(&mut self) -> Option<Outcome> {
        self.push.poll_outcome()
    }

    /// Whether there may be something to do right now, of which no event will tell.
    pub fn has_work(&self) -> bool {
        self.inbox.has_work() || self.push.has_outcomes()
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
            .handle_timeout(now, &self.options, &mut self.counters);
        self.inbox
            .handle_timeout(now, &self.options, &mut self.counters);
    }

    /// The peer is dead: what waits for it is not sent.
    pub fn forget_peer(&mut self, now: Instant, addr: SocketAddr) {
        self.push.forget(now, canonical(addr), &mut self.counters);
    }

    /// Hands over what ZeroMQ takes at once and closes all PUSH sockets; what it took may still leave. The
    /// rest has its outcomes. Dropping does this too.
    pub fn close(&mut self, now: Instant) {
        self.push.close_all(now, &mut self.counters);
    }

    /// What happened since the start, and how large things are now.
    pub fn stats(&self) -> GossipStats {
        GossipStats::new(self.counters, self.sizes(), &self.options)
    }

    fn sizes(&self) -> Sizes {
        let mut sizes = Sizes {
            connections: self.inbox.connections(),
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

/// An IPv4 address that an IPv6 socket told of, as what it is: one peer, one socket.
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
            outcomes: Vec::new(),
        }
    }

    impl Member {
        pub fn addr(&self) -> SocketAddr {
            (Ipv4Addr::LOCALHOST, self.gossip.local_port()).into()
        }

        pub fn push(&mut self, to: SocketAddr, label: u64, frame: &[u8]) {
            self.gossip.push(Instant::now(), to, label, frame);
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
                    Some(Frame::Whole(message)) => self.received.push(message.to_vec()),
                    Some(Frame::Part { .. }) => {}
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
        sender.until("all have an outcome", |it| it.outcomes.len() == 400);
        receiver.until("all arrived", |it| it.received.len() == 200);
        for label in 0..200u64 {
            assert_eq!(sender.outcome(label), Some(true));
            assert_eq!(sender.outcome(1_000 + label), Some(false));
            assert_eq!(receiver.received[label as usize], label.to_be_bytes());
        }
        let counters = sender.gossip.counters;
        assert_eq!((counters.sent_frames, counters.sent_bytes), (200, 1_600));
        assert_eq!(counters.refused(Refusal::TimedOut), 200);
        let counters = receiver.gossip.counters;
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
        sender.until("all were taken", |it| it.taken() == 3);
        receiver.until("all arrived", |it| it.received.len() == 3);
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

    /// Members of one thread share a context: it ends when the last of them goes, and the next makes a new one.
    #[test]
    fn the_last_member_of_a_thread_takes_the_context_along() {
        for _ in 0..3 {
            let members: Vec<_> = (0..20).map(|_| member(|_| {})).collect();
            let context = Arc::downgrade(&context::shared().unwrap());
            assert!(context.upgrade().is_some());
            drop(members);
            assert!(context.upgrade().is_none());
        }
    }

    /// Four peers send as fast as they can, while datagrams are answered in the same loop: all arrive.
    /// `cargo test --lib flood -- --nocapture` says how fast, and `BUTTERFLY_FLOOD=…` how many.
    #[test]
    fn a_flood_loses_nothing_and_starves_nobody() {
        const ECHO: Token = Token(0);
        let asked = env::var("BUTTERFLY_FLOOD").ok();
        let count = asked.map_or(1_000_000, |count| count.parse().unwrap()) / 4;
        let mut member = member(|options| options.guard_interval = NEVER);
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
        assert!(tokens.iter().all(|token| token.0 > ALARM.0));
    }
}
