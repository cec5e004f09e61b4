//! The PULL socket.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Instant;

use mio::Token;
use zmq::Message;

use super::super::cuts::Report;
use super::super::options::Options;
use super::super::{Frame, LISTENER};
use super::watched::Watched;
use super::{Home, millis};

/// Bytes that the kernel buffers for each connection.
const RECEIVE_BUFFER: i32 = 256 << 10;

/// Messages that ZeroMQ queues from one connection before it stops reading it.
const HIGH_WATER: i32 = 1_000;

/// Connections that the kernel completes while ZeroMQ's thread is busy: with the default of 100, a burst of
/// silent ones keeps all others out for seconds.
const BACKLOG: i32 = 4_096;

pub(in crate::net::gossip) struct Inbox {
    socket: Watched,
    port: u16,
    /// There may be messages to receive.
    is_ready: bool,
    /// The frame that came last; kept for its memory.
    frame: Message,
    /// The last frame was not the last of its message.
    is_inside: bool,
}

impl Inbox {
    pub(in crate::net::gossip) fn bind(
        home: &Home,
        addr: SocketAddr,
        options: &Options,
    ) -> io::Result<Self> {
        let socket = home.context.socket(zmq::PULL)?;
        socket.set_linger(0)?;
        socket.set_ipv6(addr.is_ipv6())?;
        socket.set_rcvhwm(HIGH_WATER)?;
        socket.set_rcvbuf(RECEIVE_BUFFER)?;
        socket.set_backlog(BACKLOG)?;
        socket.set_maxmsgsize(i64::try_from(options.max_frame).unwrap_or(i64::MAX))?;
        socket.set_handshake_ivl(millis(options.handshake))?;
        socket.set_heartbeat_ivl(millis(options.heartbeat))?;
        socket.set_heartbeat_timeout(millis(options.heartbeat_timeout))?;
        // Any domain makes ZeroMQ refuse ZMTP 1.0 and 2.0, as which it would take any bytes. As nobody in
        // this context answers for it, peers of ZMTP 3 are let in without being asked about.
        socket.set_zap_domain("gossip")?;
        let socket = Watched::new(socket, home, LISTENER)?;
        socket.bind(&format!("tcp://{addr}"))?;
        let port = bound_port(&socket)?;
        Ok(Inbox {
            socket,
            port,
            is_ready: true,
            frame: Message::new(),
            is_inside: false,
        })
    }

    pub(in crate::net::gossip) fn local_port(&self) -> u16 {
        self.port
    }

    /// ZeroMQ does not say.
    pub(in crate::net::gossip) fn connections(&self) -> usize {
        0
    }

    /// ZeroMQ does not say.
    pub(in crate::net::gossip) fn held(&self) -> usize {
        0
    }

    pub(in crate::net::gossip) fn wake_listener(&mut self) {
        self.is_ready = true;
    }

    pub(in crate::net::gossip) fn wake(&mut self, _token: Token) {}

    pub(in crate::net::gossip) fn has_work(&self) -> bool {
        self.is_ready
    }

    pub(in crate::net::gossip) fn deadline(&self) -> Option<Instant> {
        None
    }

    pub(in crate::net::gossip) fn handle_timeout(
        &mut self,
        _now: Instant,
        _options: &Options,
        _report: &mut Report,
    ) {
    }

    pub(in crate::net::gossip) fn approve(&mut self, _now: Instant) {}

    /// The next message. `None`: there is none, and an event will tell of the next.
    pub(in crate::net::gossip) fn receive(
        &mut self,
        _room: usize,
        _options: &Options,
        report: &mut Report,
    ) -> Option<Frame<'_>> {
        loop {
            let has_more = self.next_part()?;
            let is_first = !std::mem::replace(&mut self.is_inside, has_more);
            let from = SocketAddr::new(self.source(), 0);
            match (is_first, has_more) {
                (true, true) => return Some(Frame::Part { from }),
                (true, false) => {
                    report.counters.received_frames += 1;
                    report.counters.received_bytes += self.frame.len() as u64;
                    let bytes = &mut self.frame[..];
                    return Some(Frame::Whole { bytes, from });
                }
                (false, _) => {}
            }
        }
    }

    /// Receives the next part; whether its message has more.
    fn next_part(&mut self) -> Option<bool> {
        while self.is_ready {
            match self.socket.recv(&mut self.frame, zmq::DONTWAIT) {
                Ok(()) => return Some(self.frame.get_more()),
                Err(zmq::Error::EINTR) => {}
                // Nothing is there, which having tried to receive proves.
                Err(zmq::Error::EAGAIN) => self.is_ready = false,
                Err(error) => {
                    log::error!("cannot receive from a ZeroMQ socket: {error}");
                    self.is_ready = false;
                }
            }
        }
        None
    }

    /// Where the frame that came last is from.
    fn source(&mut self) -> IpAddr {
        let peer = self.frame.gets("Peer-Address");
        let peer = peer.and_then(|peer| peer.parse().ok());
        peer.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
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
