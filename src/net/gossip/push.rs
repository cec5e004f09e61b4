//! The bounded, kept set of PUSH sockets, one for each peer that was pushed to of late.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use mio::{Registry, Token};
use slab::Slab;

use super::super::ffi::Context;
use super::Outcome;
use super::counters::{Counters, Refusal, Sizes};
use super::options::Options;
use super::peer::{Frame, Peer};

/// The bits of a token that say where the peer stands; those above are new for each socket, so that a late
/// event of a closed one means nobody.
const KEY_BITS: u32 = 16;

pub(super) struct PushSet {
    context: Arc<Context>,
    registry: Arc<Registry>,
    peers: Slab<Peer>,
    by_addr: HashMap<SocketAddr, usize>,
    /// Sockets opened so far.
    opened: usize,
    /// When sockets were closed that may still linger.
    closing: VecDeque<Instant>,
    queued_bytes: usize,
    outcomes: VecDeque<Outcome>,
    /// Nothing is due before.
    due: Option<Instant>,
}

/// Driving it.
impl PushSet {
    pub(super) fn new(context: Arc<Context>, registry: Arc<Registry>) -> Self {
        PushSet {
            context,
            registry,
            peers: Slab::new(),
            by_addr: HashMap::new(),
            opened: 0,
            closing: VecDeque::new(),
            queued_bytes: 0,
            outcomes: VecDeque::new(),
            due: None,
        }
    }

    /// Hands the frame to ZeroMQ, now or as soon as it takes it; one outcome will say which became of it.
    pub(super) fn push(
        &mut self,
        (now, to, label): (Instant, SocketAddr, u64),
        frame: &[u8],
        options: &Options,
        counters: &mut Counters,
    ) {
        match self.try_push((now, to, label), frame, options, counters) {
            Ok(true) => self.conclude(to, label, Ok(frame.len()), counters),
            Ok(false) => {}
            Err(why) => self.conclude(to, label, Err(why), counters),
        }
    }

    /// Whether ZeroMQ took it; if not, it waits.
    fn try_push(
        &mut self,
        (now, to, label): (Instant, SocketAddr, u64),
        frame: &[u8],
        options: &Options,
        counters: &mut Counters,
    ) -> Result<bool, Refusal> {
        if frame.len() > options.max_frame {
            return Err(Refusal::TooLarge);
        }
        let key = match self.by_addr.get(&to) {
            Some(&key) => key,
            None => self.open(now, to, options, counters)?,
        };
        let queued_bytes = self.queued_bytes + frame.len();
        let peer = self.peers.get_mut(key).ok_or(Refusal::Closed)?;
        peer.last_used = now;
        if peer.offer(frame) {
            return Ok(true);
        }
        if !peer.has_room(frame.len(), options) || queued_bytes > options.max_push_bytes {
            return Err(Refusal::QueueFull);
        }
        peer.enqueue(Frame {
            label,
            since: now,
            bytes: frame.into(),
        });
        self.queued_bytes = queued_bytes;
        self.wake_by(now + options.give_up);
        Ok(false)
    }

    /// An event with this token came.
    pub(super) fn wake(&mut self, token: Token, counters: &mut Counters) {
        let key = token.0 & ((1 << KEY_BITS) - 1);
        if self.peers.get(key).is_some_and(|peer| peer.token == token) {
            self.flush(key, counters);
        }
    }

    /// Hands over what waits for a peer, as far as ZeroMQ takes it.
    fn flush(&mut self, key: usize, counters: &mut Counters) {
        while let Some(peer) = self.peers.get_mut(key)
            && let Some(frame) = peer.send_next()
        {
            let to = peer.addr;
            self.queued_bytes -= frame.bytes.len();
            self.conclude(to, frame.label, Ok(frame.bytes.len()), counters);
        }
    }

    /// Gives up what has waited too long, and closes what was not used for long.
    pub(super) fn handle_timeout(
        &mut self,
        now: Instant,
        options: &Options,
        counters: &mut Counters,
    ) {
        if self.due.is_none_or(|due| due > now) {
            return;
        }
        self.due = None;
        for key in self.keys() {
            self.expire(key, now, options, counters);
        }
    }

    fn expire(&mut self, key: usize, now: Instant, options: &Options, counters: &mut Counters) {
        let mut expired = false;
        while let Some(peer) = self.peers.get_mut(key)
            && let Some(frame) = peer.expire_next(now, options.give_up)
        {
            let to = peer.addr;
            expired = true;
            self.queued_bytes -= frame.bytes.len();
            self.conclude(to, frame.label, Err(Refusal::TimedOut), counters);
        }
        let Some(peer) = self.peers.get(key) else {
            return;
        };
        let due = match peer.waiting_since() {
            Some(since) => since + options.give_up,
            // Nobody is there; the place is better used for another.
            None if expired && !peer.is_connected() => now,
            None => peer.last_used + options.idle,
        };
        if due <= now {
            self.close(key, now, counters);
        } else {
            self.wake_by(due);
        }
    }

    /// Closes the peer's socket at once, and drops what it still has: the peer is dead.
    pub(super) fn forget(&mut self, now: Instant, addr: SocketAddr, counters: &mut Counters) {
        if let Some(&key) = self.by_addr.get(&addr) {
            self.close(key, now, counters);
        }
    }

    /// Hands over what is taken at once, and closes all sockets; what was handed over may linger.
    pub(super) fn close_all(&mut self, now: Instant, counters: &mut Counters) {
        for key in self.keys() {
            self.flush(key, counters);
            self.close(key, now, counters);
        }
        self.due = None;
    }

    pub(super) fn poll_outcome(&mut self) -> Option<Outcome> {
        self.outcomes.pop_front()
    }

    pub(super) fn has_outcomes(&self) -> bool {
        !self.outcomes.is_empty()
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.due
    }

    #[cfg(test)]
    pub(super) fn token_of(&self, addr: SocketAddr) -> Option<Token> {
        Some(self.peers.get(*self.by_addr.get(&addr)?)?.token)
    }

    pub(super) fn measure(&self, sizes: &mut Sizes) {
        sizes.push_sockets = self.peers.len();
        sizes.closing = self.closing.len();
        sizes.queued_frames = self.peers.iter().map(|(_, peer)| peer.queued().0).sum();
        sizes.queued_bytes = self.queued_bytes;
    }
}

/// Opening and closing.
impl PushSet {
    fn open(
        &mut self,
        now: Instant,
        to: SocketAddr,
        options: &Options,
        counters: &mut Counters,
    ) -> Result<usize, Refusal> {
        self.make_room(now, options, counters)?;
        let entry = self.peers.vacant_entry();
        let key = entry.key();
        self.opened = self.opened.wrapping_add(1);
        // The lowest serial is left to the tokens of others.
        let token = Token((self.opened << KEY_BITS) | key);
        let peer = Peer::open(&self.context, &self.registry, options, (to, token, now)).map_err(
            |error| {
                log::debug!("no socket to push to {to}: {error}");
                Refusal::NoSocket
            },
        )?;
        entry.insert(peer);
        self.by_addr.insert(to, key);
        self.wake_by(now + options.idle);
        Ok(key)
    }

    /// Room for one more socket: unless the set is full, that of the peer that was not used for longest. One
    /// for which frames wait gives way only if it has waited for long, so that those who are not there do
    /// not keep out those who are.
    fn make_room(
        &mut self,
        now: Instant,
        options: &Options,
        counters: &mut Counters,
    ) -> Result<(), Refusal> {
        while let Some(&closed) = self.closing.front()
            && closed + options.linger <= now
        {
            self.closing.pop_front();
        }
        if self.closing.len() >= options.max_closing_sockets {
            return Err(Refusal::Busy);
        }
        if self.peers.len() < options.max_push_sockets {
            return Ok(());
        }
        let may_go = |peer: &Peer| {
            peer.waiting_since()
                .is_none_or(|since| since + options.grace <= now)
        };
        let victim = self
            .peers
            .iter()
            .filter(|(_, peer)| may_go(peer))
            .min_by_key(|(_, peer)| (peer.waiting_since().is_some(), peer.last_used));
        let (key, _) = victim.ok_or(Refusal::Busy)?;
        self.close(key, now, counters);
        Ok(())
    }

    /// Closes one socket. What ZeroMQ took may still leave; what it did not, does not.
    fn close(&mut self, key: usize, now: Instant, counters: &mut Counters) {
        let Some(mut peer) = self.peers.try_remove(key) else {
            return;
        };
        self.by_addr.remove(&peer.addr);
        self.closing.push_back(now);
        while let Some(frame) = peer.take_next() {
            self.queued_bytes -= frame.bytes.len();
            self.conclude(peer.addr, frame.label, Err(Refusal::Closed), counters);
        }
    }

    /// The one outcome of a push.
    fn conclude(
        &mut self,
        to: SocketAddr,
        label: u64,
        result: Result<usize, Refusal>,
        counters: &mut Counters,
    ) {
        match result {
            Ok(len) => {
                counters.sent_frames += 1;
                counters.sent_bytes += len as u64;
            }
            Err(why) => counters.refuse(why),
        }
        self.outcomes.push_back(Outcome {
            to,
            label,
            taken: result.is_ok(),
        });
    }

    fn keys(&self) -> Vec<usize> {
        self.peers.iter().map(|(key, _)| key).collect()
    }

    fn wake_by(&mut self, at: Instant) {
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::io::Read;
    use std::net::{Ipv4Addr, TcpListener};
    use std::thread;
    use std::time::Duration;

    use crate::limits::MAX_CLOSING_SOCKETS;

    use super::super::tests::{Member, NEVER, PATIENCE, closed_port, member, shake_hands, sink};
    use super::*;

    /// Closed ports: each one peer that is not there.
    fn nobody(number: u8) -> SocketAddr {
        thread_local!(static PORT: u16 = closed_port());
        ([127, 0, 2, number], PORT.with(|port| *port)).into()
    }

    fn refused(member: &Member, why: Refusal) -> u64 {
        member.gossip.counters.refused(why)
    }

    #[test]
    fn a_slow_peer_blocks_and_then_gets_the_rest() {
        let (slow, to) = sink(Ipv4Addr::LOCALHOST, |socket| {
            socket.set_rcvhwm(1).unwrap();
            socket.set_rcvbuf(4_096).unwrap();
        });
        let mut member = member(|options| {
            options.give_up = NEVER;
            options.guard_interval = NEVER;
            options.max_peer_frames = 5_000;
        });
        let frame = |label: u64| [&label.to_be_bytes()[..], &[0; 10_000]].concat();
        const COUNT: u64 = 800;
        (0..COUNT).for_each(|label| member.push(to, label, &frame(label)));
        member.until("some were taken", |it| it.taken() > 0);
        member.turn(Duration::from_millis(100));
        assert!(member.sizes().queued_frames > 0, "it never blocked");
        let reader = thread::spawn(move || {
            (0..COUNT).for_each(|label| assert_eq!(slow.recv_bytes(0).unwrap(), frame(label)));
        });
        member.until("all were taken", |it| it.taken() == COUNT as usize);
        let labels = member.outcomes.iter().map(|it| it.label);
        assert!(labels.eq(0..COUNT));
        reader.join().unwrap();
    }

    #[test]
    fn a_peer_that_keeps_up_is_never_waited_for_in_vain() {
        const COUNT: usize = 30_000;
        let (sink, to) = sink(Ipv4Addr::LOCALHOST, |_| {});
        let mut member = member(|options| {
            options.give_up = NEVER;
            options.max_peer_frames = COUNT;
            // So that it blocks again and again.
            options.push_high_water = 2;
        });
        (0..COUNT).for_each(|label| member.push(to, label as u64, b"small"));
        let reader = thread::spawn(move || {
            (0..COUNT).for_each(|_| drop(sink.recv_bytes(0).unwrap()));
        });
        member.until("all were taken", |it| it.taken() == COUNT);
        reader.join().unwrap();
    }

    #[test]
    fn a_peer_that_falls_silent_is_noticed() {
        let mut member = member(|options| {
            options.heartbeat = Duration::from_millis(50);
            options.heartbeat_timeout = Duration::from_millis(200);
            options.give_up = Duration::from_millis(200);
        });
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let to = listener.local_addr().unwrap();
        member.push(to, 1, b"first");
        let silent = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            shake_hands(&mut stream, "PULL");
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).expect("the connection ends");
            rest
        });
        member.until("it was taken", |it| it.outcome(1) == Some(true));
        member.poll_until("the connection ended", |_| silent.is_finished());
        let rest = silent.join().unwrap();
        assert!(rest.windows(5).any(|bytes| bytes == b"first"));
        member.push(to, 2, b"second");
        member.until("it was given up", |it| it.outcome(2) == Some(false));
    }

    /// Without being asked for a sign of life.
    #[test]
    #[cfg(target_os = "linux")]
    fn a_peer_that_takes_nothing_any_more_is_noticed() {
        let mut member = member(|options| {
            options.heartbeat = NEVER;
            options.unacknowledged = Duration::from_millis(300);
            options.give_up = NEVER;
        });
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let to = listener.local_addr().unwrap();
        for label in 0..500 {
            member.push(to, label, &[0; 60_000]);
        }
        let stuck = thread::spawn(move || {
            let (mut first, _) = listener.accept().unwrap();
            shake_hands(&mut first, "PULL");
            // Which it does only when the first is gone.
            let (mut second, _) = listener.accept().unwrap();
            shake_hands(&mut second, "PULL");
            let mut rest = [0; 60_000];
            second.read_exact(&mut rest).unwrap();
            (first, second)
        });
        member.until("some were taken", |it| it.taken() > 0);
        member.poll_until("it connected again", |_| stuck.is_finished());
        drop(stuck.join().unwrap());
    }

    /// Signs of life wake both ends.
    #[test]
    fn an_idle_connection_is_closed_before_it_is_asked_for_a_sign_of_life() {
        let options = Options::default();
        assert!(options.heartbeat > options.idle + options.heartbeat_timeout);
    }

    #[test]
    fn what_was_taken_still_leaves_when_it_stops() {
        let (sink, to) = sink(Ipv4Addr::LOCALHOST, |_| {});
        let mut member = member(|_| {});
        member.push(to, 0, b"hello");
        member.until("it is connected", |it| it.taken() == 1);
        for label in 1..=20 {
            member.push(to, label, &vec![0; 100_000]);
        }
        member.turn(Duration::ZERO);
        assert_eq!(member.taken(), 21);
        drop(member);
        for _ in 0..21 {
            sink.recv_bytes(0).unwrap();
        }
    }

    #[test]
    fn what_waits_is_handed_over_when_it_stops() {
        let (sink, to) = sink(Ipv4Addr::LOCALHOST, |_| {});
        let mut member = member(|_| {});
        member.push(to, 0, b"hello");
        // Nobody looks whether it is connected meanwhile.
        thread::sleep(Duration::from_millis(200));
        member.gossip.close(Instant::now());
        member.turn(Duration::ZERO);
        assert_eq!(member.outcome(0), Some(true));
        drop(member);
        assert_eq!(sink.recv_bytes(0).unwrap(), b"hello");
    }

    #[test]
    fn stopping_waits_for_nobody_longer_than_it_lingers() {
        let (_stuck, to) = sink(Ipv4Addr::LOCALHOST, |socket| {
            socket.set_rcvhwm(1).unwrap();
            socket.set_rcvbuf(4_096).unwrap();
        });
        let mute = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let mut member = member(|_| {});
        for label in 0..400 {
            member.push(to, label, &[0; 20_000]);
        }
        member.push(nobody(0), 1_000, b"x");
        member.push(mute.local_addr().unwrap(), 1_001, b"x");
        member.until("the stuck one took some", |it| it.taken() > 20);
        let start = Instant::now();
        drop(member);
        let linger = Options::default().linger;
        assert!(
            start.elapsed() >= linger / 2,
            "nothing was stuck: {:?}",
            start.elapsed()
        );
        assert!(start.elapsed() < linger * 3, "{:?}", start.elapsed());
    }

    #[test]
    fn thousands_of_fresh_peers_use_up_no_sockets() {
        const COUNT: u64 = 3_000;
        let (sink, to) = sink(Ipv4Addr::UNSPECIFIED, |_| {});
        let mut member = member(|options| {
            options.linger = Duration::from_millis(50);
            options.max_closing_sockets = MAX_CLOSING_SOCKETS / 4;
            options.grace = Duration::ZERO;
        });
        let fresh = |label: u64| ([127, 1, (label >> 8) as u8, label as u8], to.port()).into();
        // Faster than ZeroMQ can get rid of them.
        (0..COUNT).for_each(|label| member.push(fresh(label), label, &label.to_be_bytes()));
        assert_eq!(refused(&member, Refusal::NoSocket), 0);
        assert!(refused(&member, Refusal::Busy) > 0);
        let mut arrived = HashSet::new();
        let start = Instant::now();
        while arrived.len() < COUNT as usize {
            for label in 0..COUNT {
                if arrived.contains(&label) {
                    continue;
                }
                member.push(fresh(label), label, &label.to_be_bytes());
                member.turn(Duration::ZERO);
                while let Ok(frame) = sink.recv_bytes(zmq::DONTWAIT) {
                    arrived.insert(u64::from_be_bytes(frame.try_into().unwrap()));
                }
            }
            assert!(start.elapsed() < 2 * PATIENCE, "{} arrived", arrived.len());
        }
        assert_eq!(refused(&member, Refusal::NoSocket), 0);
    }

    #[test]
    fn who_is_not_there_delays_nobody_else() {
        let (sink, to) = sink(Ipv4Addr::LOCALHOST, |_| {});
        let mute = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let mut member = member(|options| {
            options.max_push_sockets = 4;
            options.grace = Duration::from_millis(50);
            options.give_up = NEVER;
        });
        // More than there are sockets.
        for number in 0..10 {
            member.push(nobody(number), number.into(), b"x");
        }
        member.push(mute.local_addr().unwrap(), 10, b"x");
        assert_eq!(
            refused(&member, Refusal::Busy),
            7,
            "none has waited for long"
        );
        let start = Instant::now();
        let mut label = 100;
        while member.taken() == 0 {
            member.push(to, label, b"good");
            label += 1;
            member.turn(Duration::from_millis(5));
        }
        assert!(start.elapsed() < Duration::from_secs(2));
        assert_eq!(sink.recv_bytes(0).unwrap(), b"good");
        assert_eq!(refused(&member, Refusal::Closed), 1, "one gave way");
    }

    #[test]
    fn three_hundred_peers_stay_within_the_caps() {
        let (sink, to) = sink(Ipv4Addr::UNSPECIFIED, |_| {});
        let mut member = member(|options| {
            options.linger = Duration::from_millis(50);
            options.max_closing_sockets = MAX_CLOSING_SOCKETS / 4;
            options.grace = Duration::from_millis(50);
        });
        let cap = member.gossip.options.max_push_sockets;
        let peer = |label: u64| match label % 6 {
            0 => nobody((label / 6) as u8),
            _ => ([127, 0, 1 + (label >> 8) as u8, label as u8], to.port()).into(),
        };
        let mut missing: HashSet<u64> = (0..300).filter(|label| label % 6 != 0).collect();
        let (mut start, mut pushes) = (Instant::now(), 0);
        while !missing.is_empty() {
            assert!(start.elapsed() < PATIENCE, "{missing:?}");
            for label in (0..300).filter(|label| label % 6 == 0 || missing.contains(label)) {
                member.push(peer(label), label, &label.to_be_bytes());
                pushes += 1;
                let sizes = member.sizes();
                assert!(sizes.push_sockets <= cap);
                assert!(sizes.queued_frames <= cap * member.gossip.options.max_peer_frames);
            }
            member.turn(Duration::from_millis(20));
            while let Ok(frame) = sink.recv_bytes(zmq::DONTWAIT) {
                missing.remove(&u64::from_be_bytes(frame.try_into().unwrap()));
            }
        }
        // What is not there has an end too.
        start = Instant::now();
        member.until("all have an outcome", |it| it.outcomes.len() == pushes);
        assert!(start.elapsed() < 2 * Options::default().give_up);
        assert_eq!(
            (member.sizes().queued_frames, member.sizes().queued_bytes),
            (0, 0)
        );
        assert_eq!(refused(&member, Refusal::NoSocket), 0);
    }

    #[test]
    fn queues_are_bounded() {
        let mut member = member(|options| {
            options.max_frame = 1_000;
            options.max_peer_frames = 10;
            options.max_peer_bytes = 2_000;
            options.max_push_bytes = 5_000;
        });
        let push = |member: &mut Member, peers: std::ops::Range<u8>, len: usize| {
            for number in peers {
                member.push(nobody(number), 0, &vec![0; len]);
            }
            let sizes = member.sizes();
            (sizes.queued_frames, sizes.queued_bytes)
        };
        assert_eq!(
            push(&mut member, 0..1, 1_001),
            (0, 0),
            "no frame may be so large"
        );
        (0..20).for_each(|_| _ = push(&mut member, 0..1, 1));
        assert_eq!(push(&mut member, 0..0, 0), (10, 10), "so many wait for one");
        (0..5).for_each(|_| _ = push(&mut member, 1..2, 900));
        assert_eq!(
            push(&mut member, 0..0, 0),
            (12, 1_810),
            "so much waits for one"
        );
        assert_eq!(
            push(&mut member, 2..20, 1_000),
            (15, 4_810),
            "so much waits for all"
        );
        assert_eq!(refused(&member, Refusal::QueueFull), 11 + 3 + 15 - 1);
    }

    #[test]
    fn sockets_that_are_idle_or_of_the_dead_are_closed() {
        let (_sink, to) = sink(Ipv4Addr::LOCALHOST, |_| {});
        let mut member = member(|options| options.idle = Duration::from_millis(300));
        member.push(to, 0, b"x");
        member.push(nobody(0), 1, b"x");
        member.until("it was taken", |it| it.outcome(0) == Some(true));
        assert_eq!(member.sizes().push_sockets, 2);
        member.gossip.forget_peer(Instant::now(), nobody(0));
        member.until("what waited has an outcome", |it| {
            it.outcome(1) == Some(false)
        });
        assert_eq!(member.sizes().push_sockets, 1);
        member.until("the idle one is closed", |it| it.sizes().push_sockets == 0);
        assert_eq!(member.gossip.deadline(), None);
    }
}
