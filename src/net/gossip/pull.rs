//! What comes in: the connections of all peers that push to us, read through one buffer.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use super::connections::{Connection, Connections, New, Phase};
use super::cuts::{Cut, Report};
use super::link::say_hello;
use super::listener::{Accepted, Listener};
use super::options::Options;
use super::{Ended, Frame, LISTENER, canonical};
use crate::member::MemberId;
use crate::wire::zmtp::{self, Context, Fault, PING, Reader, Role, Step};

/// Bytes that are read at once.
const BUFFER: usize = 16 << 10;

/// Reads of one connection in a row, if something good came on it before; then others have their turn.
const READS: u32 = 4;

/// One in so many turns is for those on which nothing good came yet.
const LAST: u32 = 8;

/// What may be done between two calls of [`Inbox::handle_timeout`], beside handing over messages; what an item, a
/// read and a new connection count for.
const WORK: u32 = 1_024;
const ITEM: u32 = 1;
const READ: u32 = 8;
const ACCEPT: u32 = 8;

/// The connections are looked at no more often than this: looking costs a look at each.
const PAUSE: Duration = Duration::from_millis(20);

/// When accepting is tried again if there was no descriptor for it.
const RETRY: Duration = Duration::from_millis(100);

/// Ends of kept connections that are remembered until they are asked for: anybody can open and close such.
const MAX_ENDED: usize = 64;

/// All that comes to the gossip port.
pub(super) struct Inbox {
    registry: Arc<Registry>,
    listener: Listener,
    /// There may be connections to accept.
    is_acceptable: bool,
    /// Whether there are, could not be told, as there was no descriptor.
    is_exhausted: bool,
    connections: Connections,
    /// Connections that may have something to read, each with the token that it had then: those that proved
    /// themselves or shake hands, and the others.
    readable: [VecDeque<Token>; 2],
    /// Counts whose turn it was.
    turns: u32,
    /// The one that is being read, and how many more reads it has.
    current: Option<(usize, u32)>,
    /// What was read of it, and which part of that is not understood yet.
    buffer: Box<[u8]>,
    rest: Range<usize>,
    /// The message that came last, if it came in pieces.
    message: Vec<u8>,
    /// The connection that it came on.
    last: usize,
    /// What may be done yet.
    work: u32,
    /// Nothing is due before.
    due: Option<Instant>,
    /// Whose kept connections were closed from their end, and where they came from.
    ended: Vec<(MemberId, IpAddr)>,
}

/// What the connections have to say.
enum Found {
    /// In the buffer.
    Message(Range<usize>, SocketAddr),
    /// In `message`.
    Held(SocketAddr),
    Parts(SocketAddr),
}

impl Inbox {
    pub(super) fn bind(
        registry: &Arc<Registry>,
        addr: SocketAddr,
        _options: &Options,
    ) -> io::Result<Self> {
        Ok(Inbox {
            registry: Arc::clone(registry),
            listener: Listener::bind(registry, addr, LISTENER)?,
            is_acceptable: true,
            is_exhausted: false,
            connections: Connections::default(),
            readable: [VecDeque::new(), VecDeque::new()],
            turns: 0,
            current: None,
            buffer: vec![0; BUFFER].into_boxed_slice(),
            rest: 0..0,
            message: Vec::new(),
            last: 0,
            work: WORK,
            due: None,
            ended: Vec::new(),
        })
    }

    pub(super) fn local_port(&self) -> u16 {
        self.listener.port()
    }

    pub(super) fn connections(&self) -> usize {
        self.connections.len()
    }

    pub(super) fn held(&self) -> usize {
        self.connections.held()
    }

    pub(super) fn has_work(&self) -> bool {
        let is_readable = self.readable.iter().any(|them| !them.is_empty());
        self.is_acceptable || self.current.is_some() || is_readable || !self.ended.is_empty()
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.due
    }

    /// Others want to connect.
    pub(super) fn wake_listener(&mut self) {
        self.is_acceptable = true;
    }

    /// Something came on a connection, or an answer can be sent on it.
    pub(super) fn wake(&mut self, token: Token) {
        let Some(key) = self.connections.key_of(token) else {
            return;
        };
        if let Some(connection) = self.connections.get_mut(key)
            && !std::mem::replace(&mut connection.is_queued, true)
        {
            self.readable[queue_of(connection)].push_back(token);
        }
    }

    /// Whose turn it is. Those that sent nothing good yet come last, but they do come.
    fn next_readable(&mut self) -> Option<Token> {
        self.turns = self.turns.wrapping_add(1);
        let order = if self.turns.is_multiple_of(LAST) {
            [1, 0]
        } else {
            [0, 1]
        };
        order
            .into_iter()
            .find_map(|queue| self.readable[queue].pop_front())
    }

    /// The next message. `None`: there is none, or others should have their turn. What came of messages may take
    /// so many bytes.
    pub(super) fn receive(
        &mut self,
        room: usize,
        options: &Options,
        report: &mut Report,
    ) -> Option<Frame<'_>> {
        if self.message.capacity() > 0 {
            self.message = Vec::new();
        }
        let found = self.find(room, options, report)?;
        let (bytes, from) = match found {
            Found::Message(range, from) => (self.buffer.get_mut(range)?, from),
            Found::Held(from) => (&mut self.message[..], from),
            Found::Parts(from) => return Some(Frame::Part { from }),
        };
        report.counters.received_frames += 1;
        report.counters.received_bytes += bytes.len() as u64;
        Some(Frame::Whole { bytes, from })
    }

    /// The message that came last was good.
    pub(super) fn approve(&mut self, now: Instant) {
        self.connections.approve(self.last, now);
    }

    fn find(&mut self, room: usize, options: &Options, report: &mut Report) -> Option<Found> {
        if self.is_acceptable {
            self.accept(options, report);
        }
        loop {
            if self.work == 0 {
                return None;
            }
            let Some((key, reads)) = self.current else {
                let token = self.next_readable()?;
                if let Some(key) = self.connections.key_of(token) {
                    let proved = self.connections.get_mut(key).is_some_and(|it| it.is_proved);
                    self.current = Some((key, if proved { READS } else { 1 }));
                }
                continue;
            };
            match self.understand(key, report) {
                Ok(Some(found)) => return Some(found),
                Ok(None) => {}
                Err(fault) => {
                    let from = self.cut(key, Cut::Fault(fault), report);
                    if fault == Fault::Parts {
                        return from.map(Found::Parts);
                    }
                    continue;
                }
            }
            self.spend(READ);
            let more = reads > 0 && self.read(key, report);
            if more {
                self.current = Some((key, reads - 1));
            } else {
                self.end_turn(key, reads == 0, options);
            }
            self.enforce(room, report);
        }
    }

    fn spend(&mut self, work: u32) {
        self.work = self.work.saturating_sub(work);
    }

    /// Understands what was read, up to the next message.
    fn understand(&mut self, key: usize, report: &mut Report) -> Result<Option<Found>, Fault> {
        loop {
            let Some(connection) = self.connections.get_mut(key) else {
                return Ok(None);
            };
            let input = self.buffer.get(self.rest.clone()).unwrap_or_default();
            let at = self.rest.start;
            let (used, step) = connection.reader.read(input)?;
            self.rest.start += used;
            let peer = connection.peer;
            connection.has_moved |= step != Step::More;
            match step {
                Step::More => return Ok(None),
                Step::Ready => {
                    report.counters.greeted += 1;
                    connection.phase = Phase::Idle;
                }
                Step::Message(range) => {
                    self.last = key;
                    let range = at + range.start..at + range.end;
                    return Ok(Some(Found::Message(range, peer)));
                }
                Step::Held => {
                    self.last = key;
                    self.message = connection.reader.take();
                    self.connections.measure(key);
                    return Ok(Some(Found::Held(peer)));
                }
                Step::Ping(context) => {
                    answer(connection, &context);
                    self.spend(ITEM);
                }
                Step::Pong => self.spend(ITEM),
            }
        }
    }

    /// Reads once; whether there may be more.
    fn read(&mut self, key: usize, report: &mut Report) -> bool {
        let Some(connection) = self.connections.get_mut(key) else {
            return false;
        };
        if connection.unsent.is_some() && !send_rest(connection) {
            return false;
        }
        let result = match connection.reader.lend() {
            Some((body, most)) => {
                let before = body.len();
                let mut part = (&mut connection.stream).take(most as u64);
                // What came before an error is there.
                match (part.read_to_end(body), body.len() - before) {
                    (Err(error), 0) => Err(error),
                    (_, len) => Ok(len),
                }
            }
            None => {
                let result = connection.stream.read(&mut self.buffer);
                self.rest = 0..*result.as_ref().unwrap_or(&0);
                result
            }
        };
        match result {
            Ok(0) => self.end(key),
            Ok(_) => {
                self.connections.measure(key);
                let held = self.connections.held() as u64;
                report.counters.held_peak = report.counters.held_peak.max(held);
                return true;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => return true,
            Err(error) => {
                log::debug!("lost a connection for gossip: {error}");
                self.end(key);
            }
        }
        false
    }

    /// Others have their turn: decides what this one is waited for to do, and until when.
    fn end_turn(&mut self, key: usize, has_more: bool, options: &Options) {
        self.current = None;
        let Some(connection) = self.connections.get_mut(key) else {
            return;
        };
        connection.is_queued = has_more;
        if has_more {
            self.readable[queue_of(connection)].push_back(connection.token);
        }
        let now = Instant::now();
        let phase = match (connection.phase, connection.reader.under_way()) {
            (Phase::Handshake, _) => Phase::Handshake,
            _ if connection.unsent.is_some() => Phase::Blocked,
            (_, Some(_)) => Phase::Frame,
            (_, None) => Phase::Idle,
        };
        if phase != connection.phase || connection.has_moved {
            connection.began = now;
        }
        let due = match phase {
            Phase::Handshake => connection.due,
            Phase::Blocked => connection.began + options.heartbeat_timeout,
            Phase::Frame => {
                let len = connection.reader.under_way().unwrap_or(0);
                let allowance = Duration::from_secs((len / options.floor.max(1)) as u64);
                connection.began + options.stall + allowance
            }
            Phase::Idle | Phase::Asked => {
                now + options.silence(connection.reader.member().is_some())
            }
        };
        connection.phase = phase;
        connection.has_moved = false;
        connection.due = due;
        self.wake_by(due);
    }

    /// Cuts connections until what is held fits.
    fn enforce(&mut self, room: usize, report: &mut Report) {
        while self.connections.held() > room {
            let Some(key) = self.connections.greediest(room) else {
                return;
            };
            self.cut(key, Cut::Budget, report);
        }
    }

    /// Sends what could not be sent, closes what is overdue, and asks the silent for a sign of life.
    pub(super) fn handle_timeout(&mut self, now: Instant, options: &Options, report: &mut Report) {
        self.work = WORK;
        if self.due.is_none_or(|due| due > now) {
            return;
        }
        self.is_acceptable |= std::mem::take(&mut self.is_exhausted);
        let overdue = |(key, it): (usize, &Connection)| (it.due <= now).then_some(key);
        let overdue: Vec<_> = self.connections.iter().filter_map(overdue).collect();
        for key in overdue {
            self.expire(key, now, options, report);
        }
        let next = self.connections.iter().map(|(_, it)| it.due).min();
        self.due = next.map(|due| due.max(now + PAUSE));
    }

    fn expire(&mut self, key: usize, now: Instant, options: &Options, report: &mut Report) {
        let Some(connection) = self.connections.get_mut(key) else {
            return;
        };
        if connection.is_queued {
            // It is we who are late.
            return;
        }
        let why = match connection.phase {
            Phase::Idle => {
                connection.phase = Phase::Asked;
                connection.due = now + options.heartbeat_timeout;
                send(connection, PING);
                return;
            }
            Phase::Handshake => Cut::Handshake,
            Phase::Asked => Cut::Silent,
            Phase::Frame => Cut::Stalled,
            Phase::Blocked => Cut::Deaf,
        };
        self.cut(key, why, report);
    }

    fn wake_by(&mut self, at: Instant) {
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
    }
}

/// Coming and going.
impl Inbox {
    /// Takes in who wants to connect.
    fn accept(&mut self, options: &Options, report: &mut Report) {
        while self.work > 0 {
            self.spend(ACCEPT);
            match self.listener.accept() {
                Accepted::Connection(stream, peer) => {
                    self.admit(stream, canonical(peer), options, report);
                }
                Accepted::Lost => {}
                Accepted::None => {
                    self.is_acceptable = false;
                    return;
                }
                Accepted::Exhausted => {
                    self.is_acceptable = false;
                    self.is_exhausted = true;
                    self.wake_by(Instant::now() + RETRY);
                    return;
                }
            }
        }
    }

    fn admit(
        &mut self,
        mut stream: TcpStream,
        peer: SocketAddr,
        options: &Options,
        report: &mut Report,
    ) {
        let now = Instant::now();
        report.counters.accepted += 1;
        if !self.listener.replenish() {
            self.make_room(Cut::NoDescriptor, options, report);
            if !self.listener.replenish() {
                return report.cut(now, Cut::NoDescriptor, peer);
            }
        }
        if self.connections.len() >= options.max_connections {
            self.make_room(Cut::Surplus, options, report);
        }
        let token = self.connections.next_token();
        let result = self
            .registry
            .register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)
            // At once: an end that waits for the other's greeting can wait for ever.
            .and_then(|()| say_hello(&mut stream, Role::Pull, options));
        if let Err(error) = result {
            log::debug!("lost the connection with {peer} as it came: {error}");
            return;
        }
        let due = now + options.handshake;
        self.connections.insert(New {
            stream,
            peer,
            token,
            reader: Reader::new(Role::Pull, options.max_frame).in_ring(options.ring),
            now,
            due,
        });
        self.wake_by(due);
    }

    /// Closes the connections that are wanted least; a proved one only if there are too many.
    fn make_room(&mut self, why: Cut, options: &Options, report: &mut Report) {
        let may_be_proved = why == Cut::Surplus;
        for key in self.connections.least_wanted(may_be_proved, options) {
            self.cut(key, why, report);
        }
    }

    /// Closes a connection, and says whose it was.
    fn cut(&mut self, key: usize, why: Cut, report: &mut Report) -> Option<SocketAddr> {
        let peer = self.connections.get_mut(key)?.peer;
        report.cut(Instant::now(), why, peer);
        self.close(key);
        Some(peer)
    }

    /// The peer has closed it, or its system has.
    fn end(&mut self, key: usize) {
        if let Some(connection) = self.connections.get_mut(key)
            && let Some(id) = connection.reader.member()
            && self.ended.len() < MAX_ENDED
        {
            self.ended.push((id, connection.peer.ip()));
        }
        self.close(key);
    }

    /// A connection that was kept and that its peer closed.
    pub(super) fn poll_ended(&mut self) -> Option<Ended> {
        self.ended.pop().map(|(id, ip)| Ended::From(id, ip))
    }

    fn close(&mut self, key: usize) {
        if self.current.is_some_and(|(current, _)| current == key) {
            self.current = None;
            self.rest = 0..0;
        }
        if let Some(mut connection) = self.connections.remove(key)
            && let Err(error) = self.registry.deregister(&mut connection.stream)
        {
            log::error!("cannot stop watching a gossip connection: {error}");
        }
    }
}

/// Which of the queues a connection stands in.
fn queue_of(connection: &Connection) -> usize {
    usize::from(!(connection.is_proved || connection.phase == Phase::Handshake))
}

/// Answers a PING, unless an earlier answer is still not taken.
fn answer(connection: &mut Connection, context: &Context) {
    if connection.unsent.is_none() {
        let mut pong = Vec::new();
        zmtp::pong(context, &mut pong);
        send(connection, &pong);
    }
}

/// Sends a few bytes, now or when the peer takes them: then an event will tell.
fn send(connection: &mut Connection, bytes: &[u8]) {
    let sent = match connection.stream.write(bytes) {
        Ok(len) => len,
        Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
        // Reading says what it is.
        Err(_) => bytes.len(),
    };
    connection.unsent = bytes
        .get(sent..)
        .filter(|it| !it.is_empty())
        .map(Into::into);
}

/// Sends the rest of an answer; whether that is all of it.
fn send_rest(connection: &mut Connection) -> bool {
    if let Some(unsent) = connection.unsent.take() {
        send(connection, &unsent);
    }
    connection.unsent.is_none()
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;
    use std::thread::{self, JoinHandle};

    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    use super::super::tests::{Member, PATIENCE, frame, member, shake_hands, stranger};
    use super::*;
    use crate::wire::zmtp::hello;

    /// A connection that has shaken hands as a PUSH socket.
    fn greeted(to: SocketAddr) -> TcpStream {
        let mut stream = TcpStream::connect(to).unwrap();
        shake_hands(&mut stream, "PUSH");
        stream
    }

    fn cuts(member: &Member, why: Cut) -> u64 {
        member.gossip.report.counters.cut(why)
    }

    /// Whether the other end has closed it, and what came before.
    fn end_of(mut stream: TcpStream) -> Vec<u8> {
        let mut rest = Vec::new();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        match stream.read_to_end(&mut rest) {
            Err(error) if error.kind() != ErrorKind::ConnectionReset => panic!("{error}"),
            _ => rest,
        }
    }

    #[test]
    fn a_budget_loses_no_message() {
        let mut member = member(|_| {});
        member.budget = 3;
        let peer = stranger(member.addr());
        for burst in 1..=50 {
            for _ in 0..100 {
                peer.send("message", 0).unwrap();
            }
            // Nothing more comes that could wake it.
            member.until("the burst arrived", |it| it.received.len() == 100 * burst);
        }
    }

    #[test]
    fn bytes_of_strangers_are_no_messages() {
        let mut member = member(|_| {});
        let addr = member.addr();
        let mut rng = StdRng::seed_from_u64(1);
        let mut strangers = Vec::new();
        // ZMTP 1.0: a greeting that is an empty frame, and a message. ZMTP 2.0 says so in its greeting.
        let old = b"\x01\x00\x06\x00hello\x06\x00hello".to_vec();
        let less_old = b"\xff\0\0\0\0\0\0\0\x01\x7f\x01\x08\0\0\0\x05hello\0\x05hello".to_vec();
        for number in 0..60 {
            let mut noise = vec![0; 4_096];
            rng.fill_bytes(&mut noise);
            noise[0] &= 0x7f;
            let bytes = [&noise, &old, &less_old][number % 3];
            let mut stream = TcpStream::connect(addr).unwrap();
            let _ = stream.write_all(bytes);
            strangers.push(stream);
        }
        let good = thread::spawn(move || {
            let peer = stranger(addr);
            for _ in 0..300 {
                peer.send("good", 0).unwrap();
            }
            peer
        });
        member.until("the good arrived", |it| it.received.len() >= 300);
        let peer = good.join().unwrap();
        member.until("all strangers are gone", |it| it.sizes().connections == 1);
        assert!(member.received.iter().all(|message| message == b"good"));
        assert_eq!(member.received.len(), 300);
        let counters = member.gossip.report.counters;
        assert_eq!((counters.accepted, counters.greeted), (61, 1));
        assert_eq!(cuts(&member, Cut::Fault(Fault::Signature)), 40);
        assert_eq!(cuts(&member, Cut::Fault(Fault::Version)), 20);
        drop(peer);
    }

    #[test]
    fn a_message_that_is_too_large_ends_its_connection_at_its_header() {
        let mut member = member(|options| options.max_frame = 1_000);
        let mut huge = greeted_by(&mut member);
        let mut claim = frame(b"", false);
        claim[1..9].copy_from_slice(&(1u64 << 40).to_be_bytes());
        huge.write_all(&claim).unwrap();
        let over = stranger(member.addr());
        over.send(vec![0; 1_001], 0).unwrap();
        let good = stranger(member.addr());
        good.send(vec![1; 1_000], 0).unwrap();
        member.until("the legal one arrived", |it| !it.received.is_empty());
        member.until("both are cut", |it| {
            cuts(it, Cut::Fault(Fault::TooLarge)) >= 2
        });
        assert!(end_of(huge).is_empty());
        assert_eq!(member.received, [vec![1; 1_000]]);
    }

    /// Shakes hands with a member that is driven meanwhile.
    fn greeted_by(member: &mut Member) -> TcpStream {
        let to = member.addr();
        let (before, peer) = (
            member.gossip.report.counters.greeted,
            thread::spawn(move || greeted(to)),
        );
        member.until("it has shaken hands", |it| {
            it.gossip.report.counters.greeted > before
        });
        member.poll_until("the peer knows", |_| peer.is_finished());
        peer.join().unwrap()
    }

    /// Sends the same bytes until the other end closes the connection, or it has sent so many.
    fn repeat(mut stream: TcpStream, bytes: Vec<u8>, most: usize) -> JoinHandle<usize> {
        thread::spawn(move || {
            let mut sent = 0;
            while sent < most && stream.write_all(&bytes).is_ok() {
                sent += bytes.len();
            }
            sent
        })
    }

    /// The attack that no limit of ZeroMQ's stops: 29 MB of such parts become 930 MB there.
    #[test]
    fn endless_parts_are_cut_at_the_first_and_others_go_on() {
        let mut member = member(|_| {});
        let attacks: Vec<_> = (0..30)
            .map(|_| {
                let stream = greeted_by(&mut member);
                repeat(stream, b"\x01\x00".repeat(1_000), 980_000)
            })
            .collect();
        let good = stranger(member.addr());
        for _ in 0..1_000 {
            good.send("good", 0).unwrap();
        }
        member.until("the good arrived", |it| it.received.len() == 1_000);
        member.poll_until("it is over", |_| {
            attacks.iter().all(JoinHandle::is_finished)
        });
        member.until("all are cut", |it| cuts(it, Cut::Fault(Fault::Parts)) == 30);
        assert_eq!((member.parts, member.sizes().connections), (30, 1));
        assert_eq!(
            member.gossip.report.counters.held_peak, 0,
            "nothing of it was held"
        );
        drop(attacks);
    }

    #[test]
    fn messages_of_several_parts_are_no_messages() {
        let mut member = member(|_| {});
        for count in 1..=10 {
            let peer = stranger(member.addr());
            peer.send("good", 0).unwrap();
            peer.send_multipart(["several", "frames", "good"], 0)
                .unwrap();
            member.until("it was told of", |it| it.parts == count);
        }
        assert_eq!(member.received, vec![b"good"; 10]);
        assert_eq!(cuts(&member, Cut::Fault(Fault::Parts)), 10);
    }

    /// Its machine may be gone without a word.
    #[test]
    fn a_peer_that_falls_silent_is_let_go() {
        let mut member = member(|options| {
            options.heartbeat = Duration::from_millis(50);
            options.heartbeat_timeout = Duration::from_millis(200);
        });
        let mut peer = greeted_by(&mut member);
        peer.write_all(&frame(b"good", false)).unwrap();
        member.until("it arrived", |it| it.received.len() == 1);
        assert_eq!(member.sizes().connections, 1);
        member.until("it is gone", |it| it.sizes().connections == 0);
        assert_eq!(cuts(&member, Cut::Silent), 1);
        assert_eq!(end_of(peer), PING, "it was asked first");
    }

    #[test]
    fn a_peer_of_zeromq_gives_signs_of_life_and_gets_them() {
        let mut member = member(|options| {
            options.heartbeat = Duration::from_millis(30);
            options.heartbeat_timeout = Duration::from_millis(1_500);
        });
        let quiet = stranger(member.addr());
        quiet.send("good", 0).unwrap();
        let asking = zmq::Context::new().socket(zmq::PUSH).unwrap();
        asking.set_linger(0).unwrap();
        asking.set_heartbeat_ivl(30).unwrap();
        asking.set_heartbeat_timeout(1_500).unwrap();
        asking.connect(&format!("tcp://{}", member.addr())).unwrap();
        asking.send("good", 0).unwrap();
        let start = Instant::now();
        member.poll_until("twice the time in which it would be let go", |_| {
            start.elapsed() > Duration::from_secs(3)
        });
        assert_eq!(member.received.len(), 2);
        assert_eq!(member.sizes().connections, 2);
        assert_eq!(
            member.gossip.report.counters.accepted, 2,
            "neither came anew"
        );
    }

    #[test]
    fn a_peer_that_does_not_read_its_answers_is_not_read_and_let_go() {
        let mut member = member(|options| options.heartbeat_timeout = Duration::from_millis(300));
        let stream = greeted_by(&mut member);
        let ping = [&b"\x04\x17\x04PING\x00\x00"[..], &[7; 16]].concat();
        let asking = repeat(stream, ping.repeat(600), 1 << 30);
        member.poll_until("it is gone", |_| asking.is_finished());
        member.until("it is gone", |it| cuts(it, Cut::Deaf) == 1);
        assert!(member.gossip.report.counters.held_peak < 1_024);
        assert!(asking.join().unwrap() < 64 << 20);
    }

    #[test]
    fn silent_connections_keep_nobody_out() {
        const COUNT: usize = 300;
        let mut member = member(|options| options.handshake = Duration::from_millis(1_500));
        let addr = member.addr();
        let start = Instant::now();
        // All at once, without waiting for one.
        let connect = |_| mio::net::TcpStream::connect(addr).unwrap();
        let mut silent: Vec<_> = (0..COUNT).map(connect).collect();
        let peer = stranger(addr);
        peer.send("good", 0).unwrap();
        member.until("the good arrived", |it| it.received.len() == 1);
        member.until("all came", |it| {
            it.gossip.report.counters.accepted == COUNT as u64 + 1
        });
        // What does not fit into the backlog tries again after a second.
        assert!(
            start.elapsed() < Duration::from_millis(900),
            "{:?}",
            start.elapsed()
        );
        member.until("the silent are gone", |it| it.sizes().connections == 1);
        assert_eq!(cuts(&member, Cut::Handshake), COUNT as u64);
        assert!(start.elapsed() < PATIENCE / 2);
        let mut greeting = Vec::new();
        let mut ended =
            |stream: &mut mio::net::TcpStream| stream.read_to_end(&mut greeting).is_ok();
        member.poll_until("they know", |_| silent.iter_mut().all(&mut ended));
    }

    #[test]
    fn a_handshake_may_come_in_single_bytes_but_not_take_its_time() {
        let mut member = member(|options| options.handshake = Duration::from_millis(500));
        let to = member.addr();
        let dribble = move |pause: Duration| {
            thread::spawn(move || {
                let mut stream = TcpStream::connect(to).unwrap();
                stream.set_nodelay(true).unwrap();
                let whole = [&hello(Role::Push)[..], &frame(b"slow", false)].concat();
                let sent = whole.iter().take_while(|byte| {
                    thread::sleep(pause);
                    stream.write_all(&[**byte]).is_ok()
                });
                (sent.count(), stream)
            })
        };
        let fast = dribble(Duration::from_micros(100));
        member.until("it came", |it| it.received.len() == 1);
        let start = Instant::now();
        let slow = dribble(Duration::from_millis(50));
        member.until("it is cut", |it| cuts(it, Cut::Handshake) == 1);
        assert!(start.elapsed() < Duration::from_secs(5));
        member.poll_until("it knows", |_| slow.is_finished());
        assert!(slow.join().unwrap().0 < 92);
        drop(fast.join().unwrap());
    }

    #[test]
    fn a_message_may_come_slowly_but_not_too_slowly() {
        let mut member = member(|options| {
            options.stall = Duration::from_millis(400);
            options.floor = 1 << 20;
            options.heartbeat = Duration::from_millis(100);
            options.heartbeat_timeout = Duration::from_millis(200);
        });
        let mut peer = greeted_by(&mut member);
        let message = frame(&vec![1; 3 << 20], false);
        let start = Instant::now();
        // Longer than any heartbeat, at about the pace that is asked for.
        for piece in message.chunks(300 << 10) {
            peer.write_all(piece).unwrap();
            let sent = Instant::now();
            member.poll_until("it takes its time", |_| {
                sent.elapsed() > Duration::from_millis(150)
            });
        }
        member.until("it arrived", |it| it.received.len() == 1);
        assert!(start.elapsed() > Duration::from_millis(300));
        peer.write_all(&message[..1_000_000]).unwrap();
        member.until("it is cut", |it| cuts(it, Cut::Stalled) == 1);
        assert_eq!(
            (member.sizes().connections, member.sizes().held_bytes),
            (0, 0)
        );
    }

    #[test]
    fn a_claim_holds_no_memory_and_what_came_is_counted() {
        let mut member = member(|_| {});
        let mut peer = greeted_by(&mut member);
        let message = frame(&vec![1; 8 << 20], false);
        for (sent, most) in [(100, 200), (50_000, 200_000), (1 << 20, 2 << 20)] {
            let before = member.sizes().held_bytes;
            peer.write_all(&message[before..before.max(sent)]).ok();
            member.turn(Duration::from_millis(50));
            member.turn(Duration::from_millis(50));
            let held = member.sizes().held_bytes;
            assert!(held <= most, "{held} bytes are held of {sent}");
            drop(peer);
            member.until("it is gone", |it| it.sizes().connections == 0);
            assert_eq!(member.sizes().held_bytes, 0);
            peer = greeted_by(&mut member);
        }
    }

    /// Sends the beginning of a message of 4 MiB.
    fn hoard(member: &mut Member, bytes: usize) -> TcpStream {
        let mut stream = greeted_by(member);
        let message = frame(&vec![1; 4 << 20], false);
        let sender = thread::spawn(move || {
            stream.write_all(&message[..bytes]).unwrap();
            stream
        });
        member.poll_until("it has sent", |_| sender.is_finished());
        sender.join().unwrap()
    }

    #[test]
    fn hoards_are_cut_by_their_sum_and_others_go_on() {
        let mut member = member(|options| options.max_bytes = 8 << 20);
        let good = stranger(member.addr());
        good.send("good", 0).unwrap();
        let mut hoards = Vec::new();
        for number in 1..=8 {
            hoards.push(hoard(&mut member, 3 << 20));
            good.send("good", 0).unwrap();
            member.until("the good arrived", |it| it.received.len() > number);
            member.until("it came", |it| it.sizes().held_bytes > 0);
            assert!(member.sizes().held_bytes <= 8 << 20);
        }
        let cut = cuts(&member, Cut::Budget);
        assert!((4..8).contains(&cut), "{cut} are cut");
        assert_eq!(member.sizes().connections as u64, 9 - cut);
        let peak = member.gossip.report.counters.held_peak;
        assert!(peak <= (8 << 20) + (128 << 10), "{peak}");
        // Who proved itself goes on with what takes as much.
        good.send(vec![7; 4 << 20], 0).unwrap();
        member.until("the good arrived", |it| it.received.len() == 10);
    }

    #[test]
    fn with_too_many_connections_those_that_matter_least_are_closed() {
        let mut member = member(|options| options.max_connections = 5);
        let addr = member.addr();
        let good = stranger(addr);
        good.send("good", 0).unwrap();
        member.until("it arrived", |it| it.received.len() == 1);
        let streams: Vec<_> = (0..20).map(|_| TcpStream::connect(addr).unwrap()).collect();
        member.until("all came", |it| it.gossip.report.counters.accepted == 21);
        assert_eq!(cuts(&member, Cut::Surplus), 16);
        assert_eq!(member.sizes().connections, 5);
        good.send("good", 0).unwrap();
        member.until("it is still there", |it| it.received.len() == 2);
        let late = stranger(addr);
        late.send("late", 0).unwrap();
        member.until("there is room for another", |it| it.received.len() == 3);
        drop(streams);
        member.until("all are gone", |it| it.sizes().connections == 2);
        assert_eq!(
            member.gossip.report.counters.accepted, 22,
            "nobody came anew"
        );
    }

    /// The member is gone while connections come and go: it must not wait for ever.
    #[test]
    fn stopping_amid_a_storm_of_connections_does_not_hang() {
        for _ in 0..5 {
            let mut member = member(|_| {});
            let addr = member.addr();
            let storm = thread::spawn(move || {
                let start = Instant::now();
                while TcpStream::connect(addr).is_ok() {
                    assert!(start.elapsed() < PATIENCE, "it still listens");
                }
            });
            member.until("they come", |it| it.gossip.report.counters.accepted > 100);
            let start = Instant::now();
            drop(member);
            assert!(start.elapsed() < PATIENCE / 4);
            storm.join().unwrap();
        }
    }
}
