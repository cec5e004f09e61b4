//! The bounded, kept set of PUSH sockets, one for each peer that was pushed to of late.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use mio::{Registry, Token};
use slab::Slab;

use super::super::zmq_ffi::Context;
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
        let queued_bytes = self.queued_bytes + frame.len();
        let peer = self.peer(now, to, options, counters)?;
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
        while let Some(peer) = self.peers.get_mut(key) {
            let Some(frame) = peer.send_next() else {
                // What nobody waits for has to be noticed all the same.
                peer.is_connected();
                return;
            };
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
        while let Some(peer) = self.peers.get_mut(key) {
            let Some(frame) = peer.expire_next(now, options.give_up) else {
                break;
            };
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
            if let Some(peer) = self.peers.get_mut(key) {
                peer.abandon();
            }
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
        sizes.queued_frames = self.peers.iter().map(|(_, peer)| peer.queued().0).sum();
        sizes.queued_bytes = self.queued_bytes;
    }
}

/// Opening and closing.
impl PushSet {
    fn peer(
        &mut self,
        now: Instant,
        to: SocketAddr,
        options: &Options,
        counters: &mut Counters,
    ) -> Result<&mut Peer, Refusal> {
        let key = match self.by_addr.get(&to) {
            Some(&key) => key,
            None => self.open(now, to, options, counters)?,
        };
        self.peers.get_mut(key).ok_or(Refusal::NoSocket)
    }

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
