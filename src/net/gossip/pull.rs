//! The PULL socket.

use std::io;
use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::Instant;

use mio::Registry;
use zmq::Message;

use super::super::zmq_ffi::{Context, Kind};
use super::counters::Counters;
use super::guard::Guard;
use super::options::{Options, millis};
use super::watched::Watched;
use super::{MONITOR, PULL};

/// Bytes that the kernel buffers for each connection.
const RECEIVE_BUFFER: i32 = 256 << 10;

/// Connections that the kernel completes while ZeroMQ's thread is busy: with the default of 100, a burst of
/// silent ones keeps all others out for seconds.
const BACKLOG: i32 = 4_096;

pub(super) struct Inbox {
    // Dropped before the guard, which its events go to.
    socket: Watched,
    guard: Guard,
    port: u16,
    /// There may be messages to receive.
    ready: bool,
    /// There were none, at a moment since the guard looked last.
    drained: bool,
    /// The frame that came last; kept for its memory.
    frame: Message,
    /// The last frame was not the last of its message.
    in_message: bool,
}

impl Inbox {
    pub(super) fn bind(
        context: &Arc<Context>,
        registry: &Arc<Registry>,
        addr: SocketAddr,
        options: &Options,
    ) -> io::Result<Self> {
        let socket = context.socket(Kind::Pull)?;
        socket.set_linger(0)?;
        socket.set_ipv6(addr.is_ipv6())?;
        socket.set_rcvhwm(options.pull_high_water.into())?;
        socket.set_rcvbuf(RECEIVE_BUFFER)?;
        socket.set_backlog(BACKLOG)?;
        socket.set_maxmsgsize(i64::try_from(options.max_frame).unwrap_or(i64::MAX))?;
        socket.set_handshake_ivl(millis(options.handshake))?;
        socket.set_heartbeat_ivl(millis(options.heartbeat))?;
        socket.set_heartbeat_timeout(millis(options.heartbeat_timeout))?;
        // Any domain makes ZeroMQ refuse ZMTP 1.0 and 2.0, as which it would take any bytes. As nobody in
        // this context answers for it, peers of ZMTP 3 are let in without being asked about.
        socket.set_zap_domain("gossip")?;
        let guard = Guard::new(context, registry, MONITOR, &socket)?;
        let mut inbox = Inbox {
            socket: Watched::new(socket, registry, PULL)?,
            guard,
            port: 0,
            ready: true,
            drained: false,
            frame: Message::new(),
            in_message: false,
        };
        inbox.socket.bind(&format!("tcp://{addr}"))?;
        inbox.port = bound_port(&inbox.socket)?;
        inbox.guard.set_port(inbox.port);
        Ok(inbox)
    }

    pub(super) fn local_port(&self) -> u16 {
        self.port
    }

    pub(super) fn wake(&mut self) {
        self.ready = true;
    }

    pub(super) fn wake_guard(&mut self) {
        self.guard.wake();
    }

    pub(super) fn has_work(&self) -> bool {
        self.ready || self.guard.has_work()
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.guard.deadline()
    }

    pub(super) fn connections(&self) -> usize {
        self.guard.connections()
    }

    /// The next message of one frame. `None`: there is none, and an event will tell of the next.
    pub(super) fn receive(
        &mut self,
        options: &Options,
        counters: &mut Counters,
    ) -> Option<&mut [u8]> {
        while self.ready {
            match self.socket.recv(&mut self.frame, zmq::DONTWAIT) {
                Ok(()) if self.is_whole_message(options, counters) => {
                    counters.received_frames += 1;
                    counters.received_bytes += self.frame.len() as u64;
                    return Some(&mut self.frame);
                }
                Ok(()) | Err(zmq::Error::EINTR) => {}
                // Nothing is there, which having tried to receive proves.
                Err(zmq::Error::EAGAIN) => {
                    self.ready = false;
                    self.drained = true;
                }
                Err(error) => {
                    log::error!("cannot receive from a ZeroMQ socket: {error}");
                    self.ready = false;
                }
            }
        }
        None
    }

    /// Whether the frame that just came is a message by itself.
    fn is_whole_message(&mut self, options: &Options, counters: &mut Counters) -> bool {
        let more = self.frame.get_more();
        let fd: Option<RawFd> = self.frame.gets("__fd").and_then(|fd| fd.parse().ok());
        if let Some(fd) = fd {
            let seen = (!more, self.drained);
            self.guard
                .delivered(fd, self.frame.len(), seen, options, counters);
        }
        let alone = !more && !self.in_message;
        if more && !self.in_message {
            counters.multipart_dropped += 1;
        }
        self.in_message = more;
        alone
    }

    /// Looks after the connections.
    pub(super) fn handle_timeout(
        &mut self,
        now: Instant,
        options: &Options,
        counters: &mut Counters,
    ) {
        if self.guard.has_work() {
            self.guard.read_events(options, counters);
        }
        if self.guard.deadline().is_some_and(|due| due <= now) {
            // What came since is not drained, and reading the state has used up its event.
            self.ready |= self.socket.is(zmq::POLLIN);
        }
        let drained = self.drained && !self.ready;
        if self.guard.handle_timeout(now, drained, options, counters) {
            self.drained = false;
        }
    }
}

impl Drop for Inbox {
    /// ZeroMQ's thread would wait for ever to tell of a connection when nobody listens any more.
    fn drop(&mut self) {
        self.socket.stop_monitor();
    }
}

fn bound_port(socket: &zmq::Socket) -> io::Result<u16> {
    let endpoint = socket.get_last_endpoint()?.unwrap_or_default();
    let port = endpoint.rsplit_once(':').map(|(_, port)| port.parse());
    match port {
        Some(Ok(port)) => Ok(port),
        _ => Err(io::Error::other(format!("bound to {endpoint:?}?"))),
    }
}
