//! One peer's PUSH socket.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::Token;

use super::super::cuts::Report;
use super::super::options::Options;
use super::super::push::Trouble;
use super::watched::Watched;
use super::{Home, Seen, millis};

/// Bytes that the kernel buffers on the way out; more would be a queue that nobody bounds.
const SEND_BUFFER: i32 = 64 << 10;

/// How long ZeroMQ is left alone.
const FAR_OFF: Duration = Duration::from_secs(3_600);

/// A socket to push through. ZeroMQ connects it, and connects it again, by itself.
pub(in crate::net::gossip) struct Link {
    socket: Watched,
}

impl Link {
    /// Starts to connect, which never waits and finds no fault with the address.
    ///
    /// # Errors
    /// If ZeroMQ gives no socket.
    pub(in crate::net::gossip) fn open(
        home: &Home,
        (to, token, _now): (SocketAddr, Token, Instant),
        options: &Options,
    ) -> io::Result<Self> {
        let socket = home.context.socket(zmq::PUSH)?;
        // Without it, dropping the context would wait for ever.
        socket.set_linger(millis(options.linger))?;
        socket.set_ipv6(to.is_ipv6())?;
        // Nothing is taken before the peer is really there.
        socket.set_immediate(true)?;
        socket.set_sndhwm(i32::try_from(options.push_high_water).unwrap_or(i32::MAX))?;
        socket.set_sndbuf(SEND_BUFFER)?;
        socket.set_reconnect_ivl(millis(options.reconnect.0))?;
        socket.set_reconnect_ivl_max(millis(options.reconnect.1))?;
        socket.set_connect_timeout(millis(options.handshake))?;
        socket.set_handshake_ivl(millis(options.handshake))?;
        socket.set_heartbeat_ivl(millis(options.heartbeat))?;
        socket.set_heartbeat_timeout(millis(options.heartbeat_timeout))?;
        socket.connect(&format!("tcp://{to}"))?;
        Ok(Link {
            socket: Watched::new(socket, home, token)?,
        })
    }

    /// ZeroMQ does not say why it cannot connect.
    pub(in crate::net::gossip) fn trouble(&self) -> Trouble {
        Trouble::Unsaid
    }

    pub(in crate::net::gossip) fn reconnect(&mut self, _now: Instant, _options: &Options) {}

    /// Whether it takes messages. Not to be asked while messages wait: a yes uses up their event.
    pub(in crate::net::gossip) fn is_ready(&self) -> bool {
        self.socket.is(zmq::POLLOUT)
    }

    pub(in crate::net::gossip) fn is_off(&self) -> bool {
        true
    }

    /// Nobody would see it end.
    pub(in crate::net::gossip) fn is_kept(&self) -> bool {
        false
    }

    pub(in crate::net::gossip) fn due(&self) -> Instant {
        Instant::now() + FAR_OFF
    }

    /// What ZeroMQ holds, it does not say.
    pub(in crate::net::gossip) fn unsent(&self) -> usize {
        0
    }

    /// Whether ZeroMQ took it. If not, the socket's state was read since, and an event follows.
    // Our own connections take it away.
    #[expect(clippy::ptr_arg)]
    pub(in crate::net::gossip) fn offer(
        &mut self,
        message: &mut Vec<u8>,
        _options: &Options,
    ) -> bool {
        // A send that would block is no proof that the next event will come: only the state is.
        while self.is_ready() {
            match self.socket.send(&message[..], zmq::DONTWAIT) {
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

    pub(in crate::net::gossip) fn flush(&mut self) {}

    pub(in crate::net::gossip) fn wake(
        &mut self,
        _now: Instant,
        _options: &Options,
        _report: &mut Report,
    ) -> Seen {
        // There is no next event before this one is noticed, even if nobody waits for what happened.
        self.is_ready();
        Seen::All
    }

    pub(in crate::net::gossip) fn handle_timeout(
        &mut self,
        _now: Instant,
        _options: &Options,
        _report: &mut Report,
    ) {
    }

    /// What ZeroMQ took may still leave.
    pub(in crate::net::gossip) fn linger(self, until: Instant) -> Option<Lingering> {
        Some(Lingering { until })
    }
}

/// A socket that was closed: it may still hold its descriptors.
pub(in crate::net::gossip) struct Lingering {
    until: Instant,
}

impl Lingering {
    /// None of gossip's.
    pub(in crate::net::gossip) fn token(&self) -> Token {
        Token(0)
    }

    pub(in crate::net::gossip) fn unsent(&self) -> usize {
        0
    }

    pub(in crate::net::gossip) fn until(&self) -> Instant {
        self.until
    }

    pub(in crate::net::gossip) fn is_done(&self, now: Instant) -> bool {
        self.until <= now
    }

    pub(in crate::net::gossip) fn has_ended(&self) -> bool {
        false
    }

    pub(in crate::net::gossip) fn wake(&mut self) {}
}
