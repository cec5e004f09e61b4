//! The bounded, kept set of connections to peers, one for each peer that was pushed to of late.

mod broken;
#[cfg(not(feature = "zmq"))]
mod finish;
#[cfg(not(feature = "zmq"))]
mod kept;

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::Instant;

use mio::Token;
use slab::Slab;

use super::backend::{Home, Lingering, Seen};
use super::counters::{Refusal, Sizes};
use super::cuts::Report;
use super::options::Options;
use super::outgoing::BATCH;
use super::peer::{Frame, Peer};
use super::{Outcome, Side, key_of, token};
use broken::Broken;
pub(in crate::net) use broken::Trouble;

pub(super) struct PushSet {
    home: Home,
    peers: Slab<Peer>,
    by_addr: HashMap<SocketAddr, usize>,
    /// Connections opened so far.
    opened: usize,
    /// What was closed and has not left yet.
    closing: Vec<Lingering>,
    /// Bytes that have not left, of all of them.
    bytes: usize,
    outcomes: VecDeque<Outcome>,
    /// Peers that took something since the last flush.
    marked: Vec<usize>,
    /// Peers from which more can be read.
    unread: Vec<usize>,
    /// Nothing is due before.
    due: Option<Instant>,
    broken: Broken,
    #[cfg(not(feature = "zmq"))]
    kept: kept::Kept,
}

/// Driving it.
impl PushSet {
    pub(super) fn new(home: Home) -> Self {
        PushSet {
            home,
            peers: Slab::new(),
            by_addr: HashMap::new(),
            opened: 0,
            closing: Vec::new(),
            bytes: 0,
            outcomes: VecDeque::new(),
            marked: Vec::new(),
            unread: Vec::new(),
            due: None,
            broken: Broken::default(),
            #[cfg(not(feature = "zmq"))]
            kept: kept::Kept::default(),
        }
    }

    /// Hands the message to the peer's connection, now or as soon as it takes it; one outcome will say which
    /// became of it.
    pub(super) fn push(
        &mut self,
        (now, to, label): (Instant, SocketAddr, u64),
        frame: &mut Vec<u8>,
        options: &Options,
        report: &mut Report,
    ) {
        let len = frame.len();
        match self.try_push((now, to, label), frame, options, report) {
            Ok(true) => self.conclude(to, label, Ok(len), report),
            Ok(false) => {}
            Err(why) => self.conclude(to, label, Err(why), report),
        }
    }

    /// Whether the connection took it; if not, it waits.
    fn try_push(
        &mut self,
        (now, to, label): (Instant, SocketAddr, u64),
        frame: &mut Vec<u8>,
        options: &Options,
        report: &mut Report,
    ) -> Result<bool, Refusal> {
        if frame.len() > options.max_frame {
            return Err(Refusal::TooLarge);
        }
        let key = match self.by_addr.get(&to) {
            Some(&key) => key,
            None => self.open(now, to, options, report)?,
        };
        let has_room = self.bytes + frame.len() <= options.max_push_bytes;
        let offered = self.tend(key, |peer| {
            peer.last_used = now;
            if has_room && peer.offer(frame, options) {
                return Ok(true);
            }
            if !has_room || !peer.has_room(frame.len(), options) {
                return Err(Refusal::QueueFull);
            }
            peer.enqueue(Frame {
                label,
                since: now,
                len: frame.len(),
                bytes: if frame.len() < BATCH {
                    frame.as_slice().into()
                } else {
                    std::mem::take(frame)
                },
            });
            peer.link.reconnect(now, options);
            Ok(false)
        });
        let is_taken = offered.unwrap_or(Err(Refusal::Closed))?;
        if is_taken {
            self.mark(key);
        } else {
            self.wake_by(now + options.give_up);
            self.look_by(key);
        }
        Ok(is_taken)
    }

    /// Does something with a peer, and counts its bytes anew.
    fn tend<R>(&mut self, key: usize, work: impl FnOnce(&mut Peer) -> R) -> Option<R> {
        let peer = self.peers.get_mut(key)?;
        let before = peer.bytes();
        let result = work(peer);
        self.bytes = self.bytes - before + peer.bytes();
        Some(result)
    }

    /// It is flushed before the loop waits.
    fn mark(&mut self, key: usize) {
        if let Some(peer) = self.peers.get_mut(key)
            && !std::mem::replace(&mut peer.is_marked, true)
        {
            self.marked.push(key);
        }
    }

    /// An event with this token came.
    pub(super) fn wake(&mut self, token: Token, options: &Options, report: &mut Report) {
        let key = key_of(token);
        if self.peers.get(key).is_some_and(|peer| peer.token == token) {
            self.look(key, Instant::now(), options, report);
        } else if let Some(place) = self.closing.iter().position(|it| it.token() == token) {
            let lingering = &mut self.closing[place];
            let before = lingering.unsent();
            lingering.wake();
            self.bytes = self.bytes - before + lingering.unsent();
            if lingering.has_ended() {
                self.end(place);
            }
        }
    }

    /// A closed connection is done.
    fn end(&mut self, place: usize) {
        self.bytes -= self.closing.swap_remove(place).unsent();
    }

    /// Reads and writes what there is.
    fn look(&mut self, key: usize, now: Instant, options: &Options, report: &mut Report) {
        let seen = self.tend(key, |peer| peer.link.wake(now, options, report));
        if seen == Some(Seen::Some) {
            self.unread.push(key);
        }
        self.hand_over(key, options, report);
        self.look_by(key);
        #[cfg(not(feature = "zmq"))]
        self.see(key, now);
    }

    /// Hands over what waits for a peer, as far as its connection takes it, and writes.
    fn hand_over(&mut self, key: usize, options: &Options, report: &mut Report) {
        while let Some(Some((to, frame))) =
            self.tend(key, |peer| Some((peer.addr, peer.send_next(options)?)))
        {
            self.conclude(to, frame.label, Ok(frame.len), report);
        }
        self.tend(key, |peer| {
            peer.is_marked = false;
            peer.link.flush();
        });
    }

    /// Writes what was taken since the last time, as far as the kernel takes it.
    fn flush(&mut self, options: &Options, report: &mut Report) {
        while let Some(key) = self.marked.pop() {
            self.hand_over(key, options, report);
        }
    }

    /// Gives up what has waited too long, closes what was not used for long, and looks after the connections.
    pub(super) fn handle_timeout(&mut self, now: Instant, options: &Options, report: &mut Report) {
        for key in std::mem::take(&mut self.unread) {
            self.look(key, now, options, report);
        }
        self.flush(options, report);
        if self.due.is_none_or(|due| due > now) {
            return;
        }
        self.due = None;
        for key in self.keys() {
            self.expire(key, now, options, report);
        }
        #[cfg(not(feature = "zmq"))]
        self.open_kept(now, options, report);
        self.end_done(now);
    }

    /// Forgets closed connections that are done, and those that linger for too long.
    fn end_done(&mut self, now: Instant) {
        while let Some(place) = self.closing.iter().position(|it| it.is_done(now)) {
            self.end(place);
        }
        if let Some(until) = self.closing.iter().map(Lingering::until).min() {
            self.wake_by(until);
        }
    }

    fn expire(&mut self, key: usize, now: Instant, options: &Options, report: &mut Report) {
        self.tend(key, |peer| {
            peer.link.handle_timeout(now, options, report);
        });
        #[cfg(not(feature = "zmq"))]
        self.see(key, now);
        self.note_trouble(key, now, options);
        let mut expired = false;
        while let Some(Some((to, frame))) = self.tend(key, |peer| {
            Some((peer.addr, peer.expire_next(now, options.give_up)?))
        }) {
            expired = true;
            self.conclude(to, frame.label, Err(Refusal::TimedOut), report);
        }
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        let due = match peer.waiting_since() {
            Some(since) => {
                peer.link.reconnect(now, options);
                since + options.give_up
            }
            None if peer.link.is_kept() => {
                peer.link.reconnect(now, options);
                return self.look_by(key);
            }
            // Nobody is there; the place is better used for another.
            None if expired && !peer.link.is_ready() => now,
            None => peer.last_used + options.idle,
        };
        if due <= now {
            self.close(key, now, options, report);
        } else {
            self.wake_by(due);
            self.look_by(key);
        }
    }

    /// Notes whether anything gets through to a peer.
    fn note_trouble(&mut self, key: usize, now: Instant, options: &Options) {
        let Some(peer) = self.peers.get(key) else {
            return;
        };
        let (to, is_kept) = (peer.addr, peer.link.is_kept());
        let since = match peer.waiting_since() {
            Some(since) => since,
            None if is_kept && peer.link.is_ready() => return self.broken.works(to),
            None if is_kept => now,
            None => return,
        };
        let patience = options.unreached;
        self.broken
            .failed(to, (since, now, patience), peer.link.trouble());
    }

    /// Closes the peer's connection, and drops what waits for it: the peer is dead.
    pub(super) fn forget(
        &mut self,
        (now, addr): (Instant, SocketAddr),
        options: &Options,
        report: &mut Report,
    ) {
        self.broken.forget(addr);
        if let Some(&key) = self.by_addr.get(&addr) {
            self.close(key, now, options, report);
        }
    }

    /// Hands over what is taken at once, and closes all connections; what was handed over may linger.
    pub(super) fn close_all(&mut self, now: Instant, options: &Options, report: &mut Report) {
        for key in self.keys() {
            self.hand_over(key, options, report);
            self.close(key, now, options, report);
        }
    }

    /// What became of a push. When there is nothing to say, everything that was taken has been written as far as
    /// the kernel takes it.
    pub(super) fn poll_outcome(
        &mut self,
        options: &Options,
        report: &mut Report,
    ) -> Option<Outcome> {
        if self.outcomes.is_empty() {
            self.flush(options, report);
        }
        self.outcomes.pop_front()
    }

    pub(super) fn has_work(&self) -> bool {
        #[cfg(not(feature = "zmq"))]
        if self.has_news() {
            return true;
        }
        !(self.outcomes.is_empty() && self.marked.is_empty() && self.unread.is_empty())
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.due
    }

    #[cfg(test)]
    pub(super) fn token_of(&self, addr: SocketAddr) -> Option<Token> {
        Some(self.peers.get(*self.by_addr.get(&addr)?)?.token)
    }

    /// Bytes that have not left.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn measure(&self, sizes: &mut Sizes) {
        sizes.push_sockets = self.peers.len();
        sizes.closing = self.closing.len();
        sizes.broken = self.broken.count();
        sizes.queued_frames = self.peers.iter().map(|(_, peer)| peer.queued()).sum();
        sizes.queued_bytes = self.bytes;
    }
}

/// Opening and closing.
impl PushSet {
    fn open(
        &mut self,
        now: Instant,
        to: SocketAddr,
        options: &Options,
        report: &mut Report,
    ) -> Result<usize, Refusal> {
        self.make_room(now, options, report)?;
        let entry = self.peers.vacant_entry();
        let key = entry.key();
        self.opened = self.opened.wrapping_add(1);
        let token = token(Side::Push, self.opened, key);
        let peer = Peer::open(&self.home, options, (to, token, now)).map_err(|error| {
            log::debug!("no socket to push to {to}: {error}");
            Refusal::NoSocket
        })?;
        entry.insert(peer);
        self.by_addr.insert(to, key);
        self.wake_by(now + options.idle);
        Ok(key)
    }

    /// Room for one more connection: unless the set is full, that of the peer that was not used for longest. One
    /// for which messages wait gives way only if it has waited for long, so that those who are not there do
    /// not keep out those who are.
    fn make_room(
        &mut self,
        now: Instant,
        options: &Options,
        report: &mut Report,
    ) -> Result<(), Refusal> {
        if self.closing.len() >= options.max_closing_sockets {
            self.end_done(now);
        }
        if self.closing.len() >= options.max_closing_sockets {
            return Err(Refusal::Busy);
        }
        if self.peers.len() < options.max_push_sockets {
            return Ok(());
        }
        let may_go = |peer: &Peer| {
            let waits = peer.waiting_since();
            !peer.link.is_kept() && waits.is_none_or(|since| since + options.grace <= now)
        };
        let victim = self
            .peers
            .iter()
            .filter(|(_, peer)| may_go(peer))
            .min_by_key(|(_, peer)| (peer.waiting_since().is_some(), peer.last_used));
        let (key, _) = victim.ok_or(Refusal::Busy)?;
        self.close(key, now, options, report);
        Ok(())
    }

    /// Closes one connection. What it took may still leave; what it did not, does not.
    fn close(&mut self, key: usize, now: Instant, options: &Options, report: &mut Report) {
        let Some(mut peer) = self.peers.try_remove(key) else {
            return;
        };
        self.by_addr.remove(&peer.addr);
        self.bytes -= peer.bytes();
        while let Some(frame) = peer.take_next() {
            self.conclude(peer.addr, frame.label, Err(Refusal::Closed), report);
        }
        if let Some(lingering) = peer.link.linger(now + options.linger) {
            self.bytes += lingering.unsent();
            self.wake_by(lingering.until());
            self.closing.push(lingering);
        }
    }

    /// The one outcome of a push.
    fn conclude(
        &mut self,
        to: SocketAddr,
        label: u64,
        result: Result<usize, Refusal>,
        report: &mut Report,
    ) {
        let counters = &mut report.counters;
        match result {
            Ok(len) => {
                self.broken.works(to);
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

    /// As soon as the connection has something to do.
    fn look_by(&mut self, key: usize) {
        if let Some(peer) = self.peers.get(key)
            && (!peer.link.is_off() || peer.waiting_since().is_some() || peer.link.is_kept())
        {
            self.wake_by(peer.link.due());
        }
    }
}

/// Ending.
#[cfg(feature = "zmq")]
impl PushSet {
    /// ZeroMQ's context waits for what was taken.
    pub(super) fn finish(&mut self, now: Instant, options: &Options, report: &mut Report) {
        self.close_all(now, options, report);
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
    use crate::net::logged;

    /// Closed ports: each one peer that is not there.
    fn nobody(number: u8) -> SocketAddr {
        thread_local!(static PORT: u16 = closed_port());
        ([127, 0, 2, number], PORT.with(|port| *port)).into()
    }

    fn refused(member: &Member, why: Refusal) -> u64 {
        member.gossip.report.counters.refused(why)
    }

    #[test]
    fn a_slow_peer_blocks_and_then_gets_the_rest() {
        let (slow, to) = sink(Ipv4Addr::LOCALHOST, |socket| {
            socket.set_rcvhwm(1).unwrap();
            socket.set_rcvbuf(4_096).unwrap();
        });
        let mut member = member(|options| {
            options.give_up = NEVER;
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
        member.poll_until("all arrived", |_| reader.is_finished());
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
        member.poll_until("all arrived", |_| reader.is_finished());
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

    /// Without being asked for a sign of life. ZeroMQ's safe interface cannot be told to do that.
    #[test]
    #[cfg(all(target_os = "linux", not(feature = "zmq")))]
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
        // Faster than they can connect.
        (0..COUNT).for_each(|label| member.push(fresh(label), label, &label.to_be_bytes()));
        assert_eq!(refused(&member, Refusal::NoSocket), 0);
        assert!(member.sizes().push_sockets <= member.gossip.options.max_push_sockets);
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
    fn a_peer_to_which_nothing_gets_through_is_told_with_the_reason() {
        let mut member = member(|options| {
            options.give_up = Duration::from_millis(50);
            options.unreached = Duration::from_millis(100);
        });
        let to = SocketAddr::from(([127, 0, 0, 1], closed_port()));
        let told = logged::by(|| {
            for label in 0..5 {
                member.push(to, label, b"rumor");
                member.until("it is given up", |it| it.outcome(label) == Some(false));
            }
        });
        assert_eq!(told.len(), 1, "{told:?}");
        let reason = match cfg!(feature = "zmq") {
            true => "s: ZeroMQ does not say why",
            false => "s: Connection refused (os error 111)",
        };
        assert!(
            told[0].starts_with(&format!("WARN no gossip connection to {to} for 0 {reason}")),
            "{told:?}"
        );
        assert_eq!(member.sizes().broken, 1);
        member.gossip.forget_peer(Instant::now(), to);
        assert_eq!(member.sizes().broken, 0);
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
        member.until("it has read everything", |it| it.sizes().closing == 0);
        member.turn(Duration::ZERO);
        assert!(
            member
                .gossip
                .deadline()
                .is_none_or(|due| due > Instant::now())
        );
        member.until("nothing is due any more", |it| {
            it.gossip.deadline().is_none()
        });
    }
}
