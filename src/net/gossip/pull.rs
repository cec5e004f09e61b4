//! The PULL socket.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::Instant;

use mio::Registry;
use zmq::Message;

use super::super::ffi::{Context, Kind};
use super::counters::Counters;
use super::guard::Guard;
use super::options::{Options, millis};
use super::watched::Watched;
use super::{ALARM, Frame, MONITOR, PULL};

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
    /// There were none when the guard looked last, or at a moment since.
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
        let guard = Guard::new(context, registry, (MONITOR, ALARM), &socket)?;
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

    pub(super) fn wake_alarm(&mut self) {
        self.guard.wake_alarm();
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

    /// The next frame. `None`: there is none, and an event will tell of the next.
    pub(super) fn receive(
        &mut self,
        options: &Options,
        counters: &mut Counters,
    ) -> Option<Frame<'_>> {
        while self.ready {
            match self.socket.recv(&mut self.frame, zmq::DONTWAIT) {
                Ok(()) => return Some(self.received(options, counters)),
                Err(zmq::Error::EINTR) => {}
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

    /// Where the frame that came last is from.
    pub(super) fn source(&mut self) -> Option<IpAddr> {
        self.frame.gets("Peer-Address")?.parse().ok()
    }

    /// What the frame is that just came.
    fn received(&mut self, options: &Options, counters: &mut Counters) -> Frame<'_> {
        let more = self.frame.get_more();
        let fd: Option<RawFd> = self.frame.gets("__fd").and_then(|fd| fd.parse().ok());
        if let Some(fd) = fd {
            let seen = (!more, self.drained);
            self.guard
                .delivered(fd, self.frame.len(), seen, options, counters);
        }
        let first = !std::mem::replace(&mut self.in_message, more);
        if first && !more {
            counters.received_frames += 1;
            counters.received_bytes += self.frame.len() as u64;
            return Frame::Whole(&mut self.frame);
        }
        counters.multipart_dropped += u64::from(first);
        Frame::Part { first }
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
        let drained = !self.ready;
        if self.guard.handle_timeout(now, drained, options, counters) {
            self.drained = drained;
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

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::thread;
    use std::time::{Duration, Instant};

    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    use super::super::tests::{NEVER, PATIENCE, frame, member, shake_hands, stranger};

    #[test]
    fn a_budget_loses_no_message() {
        let mut member = member(|options| options.guard_interval = NEVER);
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
        member.poll_until("all strangers are gone", |it| it.sizes().connections == 1);
        assert!(member.received.iter().all(|message| message == b"good"));
        assert_eq!(member.received.len(), 300);
        let counters = member.gossip.counters;
        assert_eq!((counters.accepted, counters.greeted), (61, 1));
        drop(peer);
    }

    #[test]
    fn a_frame_that_is_too_large_ends_its_connection() {
        let mut member = member(|options| options.max_frame = 1_000);
        let mut huge = TcpStream::connect(member.addr()).unwrap();
        shake_hands(&mut huge, "PUSH");
        let mut claim = frame(b"", false);
        claim[1..9].copy_from_slice(&(1u64 << 40).to_be_bytes());
        huge.write_all(&claim).unwrap();
        let over = stranger(member.addr());
        over.send(vec![0; 1_001], 0).unwrap();
        let good = stranger(member.addr());
        good.send(vec![1; 1_000], 0).unwrap();
        member.until("the legal one arrived", |it| !it.received.is_empty());
        assert_eq!(huge.read(&mut [0]).unwrap_or(0), 0, "it was cut");
        member.poll_until("both are cut", |it| it.gossip.counters.accepted >= 3);
        assert_eq!(member.received, [vec![1; 1_000]]);
    }

    #[test]
    fn messages_of_several_frames_are_dropped_whole() {
        let mut member = member(|_| {});
        let peer = stranger(member.addr());
        for _ in 0..10 {
            peer.send_multipart(["several", "frames", "good"], 0)
                .unwrap();
            peer.send("good", 0).unwrap();
        }
        member.until("the good arrived", |it| it.received.len() == 10);
        assert!(member.received.iter().all(|message| message == b"good"));
        assert_eq!(member.gossip.counters.multipart_dropped, 10);
    }

    /// Its machine may be gone without a word.
    #[test]
    fn a_peer_that_falls_silent_is_let_go() {
        let mut member = member(|options| {
            options.heartbeat = Duration::from_millis(50);
            options.heartbeat_timeout = Duration::from_millis(200);
        });
        let mut peer = TcpStream::connect(member.addr()).unwrap();
        shake_hands(&mut peer, "PUSH");
        peer.write_all(&frame(b"good", false)).unwrap();
        member.until("it arrived", |it| it.received.len() == 1);
        assert_eq!(member.sizes().connections, 1);
        member.poll_until("it is gone", |it| it.sizes().connections == 0);
        drop(peer);
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
            it.gossip.counters.accepted == COUNT as u64 + 1
        });
        // What does not fit into the backlog tries again after a second.
        assert!(
            start.elapsed() < Duration::from_millis(900),
            "{:?}",
            start.elapsed()
        );
        member.poll_until("the silent are gone", |it| it.sizes().connections == 1);
        assert!(start.elapsed() < PATIENCE / 2);
        let mut greeting = Vec::new();
        let mut ended =
            |stream: &mut mio::net::TcpStream| stream.read_to_end(&mut greeting).is_ok();
        member.poll_until("they know", |_| silent.iter_mut().all(&mut ended));
    }
}
