//! One peer's PUSH socket, and what waits for it.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::{Registry, Token};

use super::super::ffi::{Context, Kind};
use super::options::{Options, millis};
use super::watched::Watched;

/// Bytes that the kernel buffers on the way out; more would be a queue that nobody bounds.
const SEND_BUFFER: i32 = 64 << 10;

/// The pauses between attempts to connect: the first, and the longest.
const RECONNECT: (i32, i32) = (100, 5_000);

/// How long an attempt to connect may take, milliseconds.
const CONNECT_TIMEOUT: i32 = 2_000;

/// A peer to push to.
pub(super) struct Peer {
    pub(super) addr: SocketAddr,
    pub(super) token: Token,
    pub(super) last_used: Instant,
    socket: Watched,
    queue: VecDeque<Frame>,
    queued_bytes: usize,
}

/// A frame that ZeroMQ has not taken yet.
pub(super) struct Frame {
    pub(super) label: u64,
    pub(super) since: Instant,
    pub(super) bytes: Box<[u8]>,
}

impl Peer {
    /// Starts to connect, which never waits and finds no fault with the address.
    pub(super) fn open(
        context: &Arc<Context>,
        registry: &Arc<Registry>,
        options: &Options,
        (addr, token, now): (SocketAddr, Token, Instant),
    ) -> io::Result<Self> {
        let mut socket = context.socket(Kind::Push)?;
        // Without it, dropping the context would wait for ever.
        socket.set_linger(millis(options.linger))?;
        socket.set_ipv6(addr.is_ipv6())?;
        // Nothing is taken before the peer is really there.
        socket.set_immediate(true)?;
        socket.set_sndhwm(options.push_high_water.into())?;
        socket.set_sndbuf(SEND_BUFFER)?;
        socket.set_reconnect_ivl(RECONNECT.0)?;
        socket.set_reconnect_ivl_max(RECONNECT.1)?;
        socket.set_connect_timeout(CONNECT_TIMEOUT)?;
        socket.set_handshake_ivl(millis(options.handshake))?;
        socket.set_unacknowledged(millis(options.unacknowledged))?;
        socket.set_heartbeat_ivl(millis(options.heartbeat))?;
        socket.set_heartbeat_timeout(millis(options.heartbeat_timeout))?;
        socket.connect(&format!("tcp://{addr}"))?;
        Ok(Peer {
            addr,
            token,
            last_used: now,
            socket: Watched::new(socket, registry, token)?,
            queue: VecDeque::new(),
            queued_bytes: 0,
        })
    }

    /// Hands a frame to ZeroMQ, unless others wait or it takes none now. If not, an event follows when it
    /// takes some.
    pub(super) fn offer(&mut self, frame: &[u8]) -> bool {
        self.queue.is_empty() && send(&self.socket, frame)
    }

    /// Whether one more frame may wait.
    pub(super) fn has_room(&self, len: usize, options: &Options) -> bool {
        self.queue.len() < options.max_peer_frames
            && self.queued_bytes + len <= options.max_peer_bytes
    }

    pub(super) fn enqueue(&mut self, frame: Frame) {
        self.queued_bytes += frame.bytes.len();
        self.queue.push_back(frame);
    }

    /// The next waiting frame, if ZeroMQ has just taken it. If not, an event follows when it takes more.
    pub(super) fn send_next(&mut self) -> Option<Frame> {
        let Some(frame) = self.queue.front() else {
            // Nobody waits for what happened, but there is no next event before this one is noticed.
            self.is_connected();
            return None;
        };
        if send(&self.socket, &frame.bytes) {
            self.take_next()
        } else {
            None
        }
    }

    /// The next waiting frame, if it has waited too long.
    pub(super) fn expire_next(&mut self, now: Instant, give_up: Duration) -> Option<Frame> {
        if self.queue.front()?.since + give_up > now {
            return None;
        }
        self.take_next()
    }

    /// The next waiting frame.
    pub(super) fn take_next(&mut self) -> Option<Frame> {
        let frame = self.queue.pop_front()?;
        self.queued_bytes -= frame.bytes.len();
        Some(frame)
    }

    /// Whether a frame would be taken. Not to be asked while frames wait: a yes uses up their event.
    pub(super) fn is_connected(&self) -> bool {
        self.socket.is(zmq::POLLOUT)
    }

    /// Since when the oldest frame waits.
    pub(super) fn waiting_since(&self) -> Option<Instant> {
        self.queue.front().map(|frame| frame.since)
    }

    pub(super) fn queued(&self) -> (usize, usize) {
        (self.queue.len(), self.queued_bytes)
    }
}

/// Whether ZeroMQ took it. If not, the socket's state was read since, and an event follows.
fn send(socket: &Watched, frame: &[u8]) -> bool {
    // A send that would block is no proof that the next event will come: only the state is.
    while socket.is(zmq::POLLOUT) {
        match socket.send(frame, zmq::DONTWAIT) {
            Ok(()) => return true,
            Err(zmq::Error::EAGAIN | zmq::Error::EINTR) => {}
            Err(error) => {
                log::error!("cannot send to a ZeroMQ socket: {error}");
                return false;
            }
        }
    }
    false
}
