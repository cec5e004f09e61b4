//! Cuts connections that send without end what never becomes a message.
//!
//! ZeroMQ keeps the parts of a message until its last one is there, and no option of it bounds how many. But
//! it tells which connections there are, the system tells how many bytes came in on each, and each message
//! tells on which it came: the difference is what a connection makes us hold.

use std::collections::HashMap;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::{Registry, Token};
use socket2::Socket as Descriptor;
use zmq::Message;

use super::super::ffi::{self, Context, Kind, Socket};
use super::alarm::Alarm;
use super::counters::Counters;
use super::options::Options;
use super::watched::Watched;
use crate::limits::CONNECTION_EVENTS_PER_WAKE;

const ACCEPTED: u16 = zmq_sys::ZMQ_EVENT_ACCEPTED as u16;
const GREETED: u16 = zmq_sys::ZMQ_EVENT_HANDSHAKE_SUCCEEDED as u16;
const DISCONNECTED: u16 = zmq_sys::ZMQ_EVENT_DISCONNECTED as u16;

/// Connections that one sweep looks at in each of its intervals.
const SWEEP: u32 = 1_000;

/// If no more bytes than these came since the last look, the next one is for when something comes: most rings are
/// quiet for most of the time, and a look at all connections is a call each. Not sooner than after so many
/// intervals, for what trickles in; and in any case after so many, should nothing tell of what came.
const QUIET: u64 = 16 << 10;
const PAUSE: u32 = 4;
const SILENCE: u32 = 50;

pub(super) struct Guard {
    monitor: Watched,
    /// There may be events to read.
    ready: bool,
    port: u16,
    connections: HashMap<RawFd, Connection>,
    /// Counts how often the events were read to the end.
    round: u64,
    /// When the connections are looked at next.
    due: Option<Instant>,
    /// Connections came in since: they are looked at soon.
    newcomers: bool,
    alarm: Alarm,
    /// Something came after a silence: there is a look no sooner than then, but soon.
    alarmed: bool,
    pause_until: Option<Instant>,
    message: Message,
}

struct Connection {
    peer: SocketAddr,
    /// Bytes of the stream that need not be held any more.
    delivered: u64,
    /// Of those, the ones delivered in this round.
    round: u64,
    delivered_in_round: u64,
    /// Bytes that had come in at the last look.
    received: u64,
    open: bool,
}

impl Guard {
    /// Watches the connections of a PULL socket, which is to be bound hereafter.
    pub(super) fn new(
        context: &Arc<Context>,
        registry: &Arc<Registry>,
        (token, alarm): (Token, Token),
        pull: &Socket,
    ) -> io::Result<Self> {
        // The address only has to be the PULL socket's own: its descriptor is no other one's.
        let address = format!("inproc://connections-{}", pull.get_fd()?);
        pull.monitor(&address, i32::from(ACCEPTED | GREETED | DISCONNECTED))?;
        let monitor = context.socket(Kind::Pair)?;
        monitor.set_linger(0)?;
        // ZeroMQ's thread, which serves all sockets, would wait when an event does not fit.
        monitor.set_rcvhwm(0)?;
        monitor.connect(&address)?;
        Ok(Guard {
            monitor: Watched::new(monitor, registry, token)?,
            ready: true,
            port: 0,
            connections: HashMap::new(),
            round: 0,
            due: None,
            newcomers: false,
            alarm: Alarm::new(registry, alarm)?,
            alarmed: false,
            pause_until: None,
            message: Message::new(),
        })
    }

    /// The port that the PULL socket is bound to.
    pub(super) fn set_port(&mut self, port: u16) {
        self.port = port;
    }

    pub(super) fn wake(&mut self) {
        self.ready = true;
    }

    /// Something came in on a connection that was quiet.
    pub(super) fn wake_alarm(&mut self) {
        self.alarm.disarm();
        self.alarmed = true;
    }

    pub(super) fn has_work(&self) -> bool {
        self.ready
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.due
    }

    pub(super) fn connections(&self) -> usize {
        self.connections.len()
    }

    /// A frame came on this connection, the last of its message or not. `drained`: all whole messages that had
    /// come in at the last look were delivered before.
    pub(super) fn delivered(
        &mut self,
        fd: RawFd,
        len: usize,
        (last, drained): (bool, bool),
        options: &Options,
        counters: &mut Counters,
    ) {
        if !self.connections.contains_key(&fd) {
            // ZeroMQ told of it before it delivered anything.
            self.read_events(options, counters);
        }
        let Some(connection) = self.connections.get_mut(&fd) else {
            return;
        };
        // ZMTP's frame header: flags, and a length of one byte or eight.
        let bytes = len as u64 + if len < 256 { 2 } else { 9 };
        if connection.round != self.round {
            connection.round = self.round;
            connection.delivered_in_round = 0;
        }
        connection.delivered_in_round += bytes;
        connection.delivered += bytes;
        if last && drained {
            // It was whole after the last look, and so all that came before is gone: signs of life too.
            connection.delivered = connection.delivered.max(connection.received);
        }
    }

    /// Reads what became of connections.
    pub(super) fn read_events(&mut self, options: &Options, counters: &mut Counters) {
        for _ in 0..CONNECTION_EVENTS_PER_WAKE {
            match self.next_event() {
                Some((ACCEPTED, fd)) => self.accept(fd, options, counters),
                Some((GREETED, _)) => counters.greeted += 1,
                Some((DISCONNECTED, fd)) => {
                    if let Some(connection) = self.connections.get_mut(&fd) {
                        connection.open = false;
                    }
                }
                Some(_) => {}
                None => {
                    self.ready = false;
                    self.round += 1;
                    self.connections.retain(|_, connection| connection.open);
                    return;
                }
            }
        }
        self.ready = true;
    }

    /// The event's number and its connection's descriptor: 16 and 32 bits, and then a frame with an address.
    fn next_event(&mut self) -> Option<(u16, RawFd)> {
        let mut event = None;
        while self.monitor.is(zmq::POLLIN) {
            if self.monitor.recv(&mut self.message, zmq::DONTWAIT).is_err() {
                continue;
            }
            if let Some((number, rest)) = self.message.split_first_chunk()
                && let Some(fd) = rest.first_chunk()
                && event.is_none()
            {
                event = Some((u16::from_ne_bytes(*number), RawFd::from_ne_bytes(*fd)));
            }
            if !self.message.get_more() {
                return event;
            }
        }
        None
    }

    fn accept(&mut self, fd: RawFd, options: &Options, counters: &mut Counters) {
        counters.accepted += 1;
        let old = self.connections.remove(&fd);
        // It may be gone already, and told so by an event to come.
        let Some((_, peer)) = self.connection(fd, None) else {
            return;
        };
        if self.connections.len() >= options.max_connections {
            counters.cut_surplus += u64::from(self.cut(fd, peer));
            return;
        }
        // What came under this number since the events were last read to the end came from this connection.
        let delivered = old
            .filter(|old| old.round == self.round)
            .map_or(0, |old| old.delivered_in_round);
        self.newcomers = true;
        self.alarm.mind(fd);
        self.connections.insert(
            fd,
            Connection {
                peer,
                delivered,
                round: self.round,
                delivered_in_round: delivered,
                received: 0,
                open: true,
            },
        );
    }

    /// Looks at all connections when it is time, and says whether it was. `drained`: all messages that are
    /// whole were delivered.
    pub(super) fn handle_timeout(
        &mut self,
        now: Instant,
        drained: bool,
        options: &Options,
        counters: &mut Counters,
    ) -> bool {
        if self.connections.is_empty() {
            self.due = None;
            return false;
        }
        let count = u32::try_from(self.connections.len()).unwrap_or(u32::MAX);
        let interval = options.guard_interval * (1 + count / SWEEP);
        let soon = now + interval;
        if std::mem::take(&mut self.newcomers) {
            self.look_by(soon);
        }
        if std::mem::take(&mut self.alarmed) {
            self.look_by(self.pause_until.map_or(soon, |pause| pause.max(soon)));
        }
        if *self.due.get_or_insert(soon) > now {
            return false;
        }
        self.look(now, interval, drained, options, counters);
        true
    }

    fn look_by(&mut self, at: Instant) {
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
    }

    /// Looks at all connections, and decides when to do so again.
    fn look(
        &mut self,
        now: Instant,
        interval: Duration,
        drained: bool,
        options: &Options,
        counters: &mut Counters,
    ) {
        // What comes from here on, the alarm tells of, if the look does not see it.
        let reset = self.alarm.reset(self.connections.len());
        let quiet = self.sweep(drained, options, counters);
        let armed = quiet && reset.and_then(|()| self.alarm.arm()).is_ok() && !self.alarm.is_deaf();
        self.due = Some(match (quiet, armed) {
            (true, true) => now + interval * SILENCE,
            (true, false) => now + interval * PAUSE,
            (false, _) => now + interval,
        });
        self.pause_until = quiet.then(|| now + interval * PAUSE);
    }

    /// Whether next to nothing came since the last look, and nobody is to be watched closely.
    fn sweep(&mut self, drained: bool, options: &Options, counters: &mut Counters) -> bool {
        let slack = options.guard_slack as u64;
        let most = options.max_frame as u64 + slack;
        let mut held = Vec::new();
        let (mut sum, mut came) = (0, 0);
        for (&fd, connection) in &mut self.connections {
            let Some(received) = ffi::bytes_received(fd) else {
                continue;
            };
            came += received.saturating_sub(connection.received);
            connection.received = received;
            connection.delivered = connection.delivered.min(received);
            let ahead = received - connection.delivered;
            if ahead > slack {
                held.push((ahead, fd, connection.peer));
                sum += ahead - slack;
            }
        }
        let quiet = came <= QUIET && held.is_empty();
        held.sort_unstable_by_key(|&(ahead, ..)| std::cmp::Reverse(ahead));
        for (ahead, fd, peer) in held {
            let too_much = drained && ahead > most;
            if !too_much && sum <= options.max_undelivered_bytes as u64 {
                break;
            }
            sum -= ahead - slack;
            if self.cut(fd, peer) {
                // It no longer counts, even if ZeroMQ takes its time.
                self.connections.remove(&fd);
                counters.cut_endless += 1;
                log::warn!("cut off {peer}: it sent {ahead} bytes that are no whole message");
            }
        }
        quiet
    }

    /// Ends a connection, if the number still stands for it; ZeroMQ notices and closes it.
    fn cut(&self, fd: RawFd, peer: SocketAddr) -> bool {
        let Some((descriptor, _)) = self.connection(fd, Some(peer)) else {
            return false;
        };
        // Then closing resets it: a peer that waits for room in our window would wait for a minute.
        let _ = descriptor.set_linger(Some(Duration::ZERO));
        descriptor.shutdown(Shutdown::Both).is_ok()
    }

    /// The connection to our port, from this peer if one is given, that the number stands for now. Held by a
    /// descriptor of our own, it stays that one.
    fn connection(&self, fd: RawFd, from: Option<SocketAddr>) -> Option<(Descriptor, SocketAddr)> {
        let descriptor = Descriptor::from(ffi::duplicate(fd).ok()?);
        let peer = descriptor.peer_addr().ok()?.as_socket()?;
        let own = descriptor.local_addr().ok()?.as_socket()?;
        let same = own.port() == self.port && from.is_none_or(|from| from == peer);
        same.then_some((descriptor, peer))
    }
}

#[cfg(test)]
mod tests {
    use mio::Poll;
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};
    use std::thread::{self, JoinHandle};

    use super::super::context;
    use super::super::tests::{Member, PATIENCE, frame, member, shake_hands, stranger};
    use super::*;

    const PART: usize = 60_000;

    fn guarded(change: impl FnOnce(&mut Options)) -> Member {
        member(|options| {
            options.max_frame = 1 << 20;
            options.guard_interval = Duration::from_millis(10);
            change(options);
        })
    }

    fn greeted(to: SocketAddr) -> TcpStream {
        let mut stream = TcpStream::connect(to).unwrap();
        shake_hands(&mut stream, "PUSH");
        stream
    }

    /// Sends parts of one message until it has sent so many bytes or is cut; how many it sent.
    fn hoard(to: SocketAddr, most: usize) -> JoinHandle<(usize, TcpStream)> {
        thread::spawn(move || {
            let mut stream = greeted(to);
            let part = frame(&[0; PART], true);
            let mut sent = 0;
            while sent < most && stream.write_all(&part).is_ok() {
                sent += part.len();
            }
            (sent, stream)
        })
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn an_endless_message_is_cut_and_others_go_on() {
        let mut member = guarded(|options| options.max_undelivered_bytes = usize::MAX);
        let (addr, endless) = (member.addr(), 4 << 30);
        let attack = hoard(addr, endless);
        let good = thread::spawn(move || {
            let peer = stranger(addr);
            for _ in 0..2_000 {
                peer.send(&[1; 500][..], 0).unwrap();
                thread::sleep(Duration::from_micros(50));
            }
            peer
        });
        member.until("the good arrived", |it| it.received.len() == 2_000);
        member.poll_until("it is over", |_| attack.is_finished());
        let (sent, _) = attack.join().unwrap();
        // What is cut has come in within an interval or two, whatever the machine is busy with.
        assert!(sent < endless / 8, "cut after {sent} bytes");
        assert_eq!(member.gossip.counters.cut_endless, 1);
        drop(good.join().unwrap());
        member.poll_until("nobody is left", |it| it.sizes().connections == 0);
    }

    /// Between looks at the quiet there is more time, but they are looked at.
    #[test]
    #[cfg(target_os = "linux")]
    fn who_was_quiet_for_long_is_cut_too() {
        let (mut member, endless) = (guarded(|_| {}), 4 << 30);
        let mut stream = greeted(member.addr());
        member.poll_until("it came", |it| it.sizes().connections == 1);
        let start = Instant::now();
        member.poll_until("it is quiet for many looks", |_| {
            start.elapsed() > Duration::from_millis(200)
        });
        let attack = thread::spawn(move || {
            let part = frame(&[0; PART], true);
            let mut sent = 0;
            while sent < endless && stream.write_all(&part).is_ok() {
                sent += part.len();
            }
            sent
        });
        member.poll_until("it is over", |_| attack.is_finished());
        let sent = attack.join().unwrap();
        assert!(sent < endless / 4, "cut after {sent} bytes");
        assert_eq!(member.gossip.counters.cut_endless, 1);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_quiet_are_left_alone_and_looked_at_soon_when_they_speak_again() {
        let interval = Duration::from_millis(200);
        let mut member = guarded(|options| options.guard_interval = interval);
        let mut peer = greeted(member.addr());
        peer.write_all(&frame(b"good", false)).unwrap();
        member.until("it arrived", |it| it.received.len() == 1);
        let far_off = |it: &Member| it.gossip.deadline() > Some(Instant::now() + 40 * interval);
        member.until("no look is due for long", far_off);
        peer.write_all(&frame(&[0; PART], true)).unwrap();
        let spoken = Instant::now();
        member.until("a look is due soon", |it| !far_off(it));
        let due = member.gossip.deadline().unwrap();
        assert!(due <= spoken + 10 * interval, "{:?}", due - spoken);
        // It has seen who spoke, and goes to sleep again.
        member.until("no look is due for long", far_off);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn hoards_that_are_small_are_cut_by_their_sum() {
        // Each may hold 5 MiB, and all together 5 beside a slack of 1 for each.
        let mut member = guarded(|options| {
            options.max_frame = 4 << 20;
            options.max_undelivered_bytes = 5 << 20;
        });
        let good = stranger(member.addr());
        let mut hoards = Vec::new();
        for _ in 0..4 {
            let attack = hoard(member.addr(), 3 << 20);
            good.send("good", 0).unwrap();
            member.poll_until("it has sent", |_| attack.is_finished());
            hoards.push(attack.join().unwrap());
        }
        member.poll_until("some are cut", |it| it.sizes().connections == 3);
        assert_eq!(member.gossip.counters.cut_endless, 2);
        good.send("good", 0).unwrap();
        member.until("the good arrived", |it| it.received.len() == 5);
    }

    #[test]
    fn large_messages_may_come_slowly() {
        let mut member = guarded(|options| options.guard_slack = 600 << 10);
        let mut peer = greeted(member.addr());
        let message = frame(&vec![1; 1 << 20], false);
        for count in 1..=8 {
            for piece in message.chunks(300 << 10) {
                peer.write_all(piece).unwrap();
                member.turn(Duration::from_millis(15));
            }
            member.until("it arrived", |it| it.received.len() == count);
        }
        assert_eq!(member.gossip.counters.cut_endless, 0);
    }

    /// Headers that are longer than need be, and signs of life, are bytes that no message has.
    #[test]
    fn what_is_no_message_does_not_add_up() {
        let mut member = guarded(|options| {
            options.max_frame = 1_000;
            options.guard_slack = 20_000;
        });
        let mut peer = greeted(member.addr());
        let ping = b"\x04\x07\x04PING\x00\x00";
        let small = [&frame(b"x", false)[..], ping].concat().repeat(100);
        for burst in 1..=30 {
            peer.write_all(&small).unwrap();
            member.until("the burst arrived", |it| it.received.len() == 100 * burst);
            // A look, and then a message.
            member.turn(Duration::from_millis(12));
        }
        assert_eq!(member.gossip.counters.cut_endless, 0);
    }

    #[test]
    fn too_many_connections_are_cut_as_they_come() {
        let mut member = guarded(|options| options.max_connections = 5);
        let addr = member.addr();
        let streams: Vec<_> = (0..20).map(|_| TcpStream::connect(addr).unwrap()).collect();
        member.poll_until("all came", |it| it.gossip.counters.accepted == 20);
        assert_eq!(member.gossip.counters.cut_surplus, 15);
        assert_eq!(member.sizes().connections, 5);
        drop(streams);
        member.poll_until("all are gone", |it| it.sizes().connections == 0);
        let peer = stranger(addr);
        peer.send("good", 0).unwrap();
        member.until("there is room again", |it| it.received.len() == 1);
    }

    /// Between two looks, a descriptor's number may have become another's.
    #[test]
    fn only_the_connection_that_was_meant_is_cut() {
        let poll = Poll::new().unwrap();
        let registry = Arc::new(poll.registry().try_clone().unwrap());
        let context = context::shared().unwrap();
        let pull = context.socket(Kind::Pull).unwrap();
        let mut guard = Guard::new(&context, &registry, (Token(2), Token(3)), &pull).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        guard.set_port(listener.local_addr().unwrap().port());
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, peer) = listener.accept().unwrap();
        use std::os::fd::AsRawFd;
        let other = SocketAddr::new(peer.ip(), peer.port() ^ 1);
        assert!(!guard.cut(server.as_raw_fd(), other), "another peer's");
        assert!(
            !guard.cut(client.as_raw_fd(), listener.local_addr().unwrap()),
            "to another port"
        );
        assert!(!guard.cut(poll_fd(&poll), peer), "no connection at all");
        assert!(!guard.cut(-1, peer), "closed");
        assert!(guard.cut(server.as_raw_fd(), peer));
        drop(pull);
    }

    fn poll_fd(poll: &Poll) -> RawFd {
        use std::os::fd::AsRawFd;
        poll.as_raw_fd()
    }

    /// One thread of ZeroMQ serves all members of a thread of ours.
    #[test]
    fn a_member_that_nobody_drives_holds_up_no_other() {
        let (idle, mut busy) = (guarded(|_| {}), guarded(|_| {}));
        for _ in 0..3_000 {
            drop(TcpStream::connect(idle.addr()).unwrap());
        }
        let peer = stranger(busy.addr());
        peer.send("good", 0).unwrap();
        busy.until("the good arrived", |it| it.received.len() == 1);
    }

    /// The member is gone while connections come and go: it must not wait for ever.
    #[test]
    fn stopping_amid_a_storm_of_connections_does_not_hang() {
        for _ in 0..5 {
            let mut member = guarded(|_| {});
            let addr = member.addr();
            let storm = thread::spawn(move || {
                let start = Instant::now();
                while TcpStream::connect(addr).is_ok() {
                    assert!(start.elapsed() < PATIENCE, "it still listens");
                }
            });
            member.poll_until("they come", |it| it.gossip.counters.accepted > 100);
            let start = Instant::now();
            drop(member);
            assert!(start.elapsed() < PATIENCE / 4);
            storm.join().unwrap();
        }
    }
}
