//! One peer that we push to: the connection, and what waits for it.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::Token;

use super::backend::{Home, Link};
use super::options::Options;

/// A peer to push to.
pub(super) struct Peer {
    pub(super) addr: SocketAddr,
    pub(super) token: Token,
    pub(super) last_used: Instant,
    pub(super) link: Link,
    /// It is among those that are to be flushed.
    pub(super) is_marked: bool,
    /// Its port is being tested.
    #[cfg(not(feature = "zmq"))]
    pub(super) test: Option<Box<PortTest>>,
    queue: VecDeque<Frame>,
    queued_bytes: usize,
}

/// A test of a peer's port.
#[cfg(not(feature = "zmq"))]
pub(super) struct PortTest {
    pub(super) label: u64,
    /// Then it is over.
    pub(super) until: Instant,
    /// The connection was opened for nothing else.
    pub(super) is_alone: bool,
}

/// A message that the connection has not taken yet.
pub(super) struct Frame {
    pub(super) label: u64,
    pub(super) since: Instant,
    pub(super) bytes: Vec<u8>,
    pub(super) len: usize,
}

impl Peer {
    /// Starts to connect, which never waits and finds no fault with the address.
    pub(super) fn open(
        home: &Home,
        options: &Options,
        (addr, token, now): (SocketAddr, Token, Instant),
    ) -> io::Result<Self> {
        Ok(Peer {
            addr,
            token,
            last_used: now,
            link: Link::open(home, (addr, token, now), options)?,
            is_marked: false,
            #[cfg(not(feature = "zmq"))]
            test: None,
            queue: VecDeque::new(),
            queued_bytes: 0,
        })
    }

    /// Hands a message to the connection, unless others wait or it takes none now.
    pub(super) fn offer(&mut self, frame: &mut Vec<u8>, options: &Options) -> bool {
        self.queue.is_empty() && self.link.offer(frame, options)
    }

    /// Whether one more message may wait.
    pub(super) fn has_room(&self, len: usize, options: &Options) -> bool {
        self.queue.len() < options.max_peer_frames
            && self.queued_bytes + len <= options.max_peer_bytes
    }

    pub(super) fn enqueue(&mut self, frame: Frame) {
        self.queued_bytes += frame.len;
        self.queue.push_back(frame);
    }

    /// The next waiting message, if the connection has just taken it.
    pub(super) fn send_next(&mut self, options: &Options) -> Option<Frame> {
        let frame = self.queue.front_mut()?;
        if self.link.offer(&mut frame.bytes, options) {
            self.take_next()
        } else {
            None
        }
    }

    /// The next waiting message, if it has waited too long.
    pub(super) fn expire_next(&mut self, now: Instant, give_up: Duration) -> Option<Frame> {
        if self.queue.front()?.since + give_up > now {
            return None;
        }
        self.take_next()
    }

    /// The next waiting message.
    pub(super) fn take_next(&mut self) -> Option<Frame> {
        let frame = self.queue.pop_front()?;
        self.queued_bytes -= frame.len;
        if self.queue.is_empty() {
            // Idle, it holds no memory.
            self.queue = VecDeque::new();
        }
        Some(frame)
    }

    /// Since when the oldest message waits.
    pub(super) fn waiting_since(&self) -> Option<Instant> {
        self.queue.front().map(|frame| frame.since)
    }

    pub(super) fn queued(&self) -> usize {
        self.queue.len()
    }

    /// Bytes that have not left.
    pub(super) fn bytes(&self) -> usize {
        self.queued_bytes + self.link.unsent()
    }
}
