//! Pushing a rumor to a member without being one: a connection of its own, straight to the member's gossip port.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Registry, Token};
use rand::RngExt;

use super::gossip::{Link, Options, Report};
use crate::error::Reject;
use crate::limits::{MAX_GOSSIP_FRAME, MAX_RUMOR};
use crate::rumor::Rumor;
use crate::wire::{self, CLIENT, RingKey};

/// The one connection's.
const LINK: Token = Token(0);

/// Rumors that wait for the connection while more are taken.
const WAITING: usize = 1_000;

/// Pushes rumors to one member, and waits until they have left. Gossip is never confirmed: whether the
/// member takes them, only a look into its ring tells.
pub struct Injector {
    link: Link,
    poll: Poll,
    options: Options,
    report: Report,
    /// What the connection has not taken yet.
    waiting: VecDeque<Vec<u8>>,
    to: SocketAddr,
    key: Option<RingKey>,
}

/// Why a rumor did not leave.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InjectError {
    /// Nobody there takes rumors.
    #[error(
        "nobody takes rumors at {to} (no ZeroMQ peer in {within:?}): is it the gossip port of a running member?"
    )]
    Nobody {
        /// Where.
        to: SocketAddr,
        /// How long it was waited for.
        within: Duration,
    },
    /// The rumor is larger than any may be.
    #[error("that takes {size} bytes as a rumor, and the most is {MAX_RUMOR}; split or shrink it")]
    TooLarge {
        /// Its size, bytes.
        size: usize,
    },
    /// Every member would drop it.
    #[error("no member takes it: {0}")]
    Refused(#[from] Reject),
    /// The member, or the way to it, is too slow.
    #[error("{to} did not take the rumor within {within:?}: is it stopped?")]
    NotTaken {
        /// Where.
        to: SocketAddr,
        /// How long it was waited for.
        within: Duration,
    },
    /// The system gives no socket.
    #[error("the system gives no socket, or lost the connection: {0}")]
    System(#[from] io::Error),
}

impl Injector {
    /// Connected to the gossip port at this address; what it pushes is sealed with the key, if there is one.
    ///
    /// # Errors
    /// [`InjectError::Nobody`] if nobody there takes rumors within this time.
    pub fn connect(
        to: SocketAddr,
        key: Option<RingKey>,
        within: Duration,
    ) -> Result<Self, InjectError> {
        let poll = Poll::new()?;
        let registry: Arc<Registry> = Arc::new(poll.registry().try_clone()?);
        let options = Options {
            max_peer_bytes: MAX_GOSSIP_FRAME,
            ..Options::default()
        };
        let now = Instant::now();
        let mut injector = Injector {
            poll,
            link: Link::open(&registry, (to, LINK, now), &options)?,
            options,
            report: Report::default(),
            waiting: VecDeque::new(),
            to,
            key,
        };
        let end = now + within;
        while !injector.link.is_ready() {
            if Instant::now() >= end {
                return Err(InjectError::Nobody { to, within });
            }
            injector.turn(end)?;
        }
        Ok(injector)
    }

    /// Waits for something to happen to the connection, until then at most, and drives it.
    fn turn(&mut self, end: Instant) -> io::Result<()> {
        let until = end.min(self.link.due());
        let left = until.saturating_duration_since(Instant::now());
        let mut events = Events::with_capacity(4);
        // Rounded up, so that what is due has passed.
        wait(&mut self.poll, &mut events, left + Duration::from_millis(1))?;
        let now = Instant::now();
        if !events.is_empty() {
            self.link.wake(now, &self.options, &mut self.report);
        }
        self.link
            .handle_timeout(now, &self.options, &mut self.report);
        self.link.reconnect(now, &self.options);
        Ok(())
    }

    /// Hands a rumor to the connection. If many wait for it already, this waits until it took some.
    ///
    /// # Errors
    /// [`InjectError::TooLarge`] or [`InjectError::Refused`], and what the system says if the connection is lost.
    pub fn push(&mut self, rumor: &Rumor) -> Result<(), InjectError> {
        let payload = wire::encode_rumor(rumor, CLIENT).bytes;
        wire::read_rumor(&payload)?.rumor()?;
        self.push_payload(&payload)
    }

    /// The same for a rumor that members refuse: the original's take versions that are too high for members.
    ///
    /// # Errors
    /// As [`push`](Injector::push), but for [`InjectError::Refused`].
    pub fn force(&mut self, rumor: &Rumor) -> Result<(), InjectError> {
        self.push_payload(&wire::encode_rumor(rumor, CLIENT).bytes)
    }

    fn push_payload(&mut self, payload: &[u8]) -> Result<(), InjectError> {
        if payload.len() > MAX_RUMOR {
            return Err(InjectError::TooLarge {
                size: payload.len(),
            });
        }
        let seal = self.key.as_ref().map(|key| (key, rand::rng().random()));
        let mut frame = Vec::new();
        wire::seal_into(seal, payload, &mut frame);
        self.waiting.push_back(frame);
        self.hand_over();
        while self.waiting.len() > WAITING {
            self.drive(Instant::now() + self.options.unacknowledged)?;
        }
        Ok(())
    }

    /// Drives a connection that is to stay.
    fn drive(&mut self, end: Instant) -> io::Result<()> {
        if !self.link.is_ready() {
            return Err(ErrorKind::ConnectionReset.into());
        }
        self.turn(end)?;
        self.hand_over();
        Ok(())
    }

    fn hand_over(&mut self) {
        while let Some(frame) = self.waiting.front_mut()
            && self.link.offer(frame, &self.options)
        {
            self.waiting.pop_front();
        }
        self.link.flush();
    }

    /// Waits until the peer has read all that was pushed.
    ///
    /// # Errors
    /// [`InjectError::NotTaken`] if it has not within this time; the rest is thrown away then.
    pub fn finish(mut self, within: Duration) -> Result<(), InjectError> {
        let end = Instant::now() + within;
        let late = InjectError::NotTaken {
            to: self.to,
            within,
        };
        while !self.waiting.is_empty() || self.link.unsent() > 0 {
            if Instant::now() >= end {
                return Err(late);
            }
            self.drive(end)?;
        }
        let Injector { mut poll, link, .. } = self;
        let Some(mut lingering) = link.linger(end) else {
            return Ok(());
        };
        let mut events = Events::with_capacity(4);
        while !lingering.has_ended() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(late);
            }
            wait(&mut poll, &mut events, left)?;
            lingering.wake();
        }
        Ok(())
    }
}

/// Waits for an event; a signal is no reason to fail.
fn wait(poll: &mut Poll, events: &mut Events, left: Duration) -> io::Result<()> {
    match poll.poll(events, Some(left)) {
        Err(error) if error.kind() == ErrorKind::Interrupted => Ok(()),
        result => result,
    }
}

impl fmt::Debug for Injector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Injector")
            .field("to", &self.to)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use zmq::{Context, Socket, SocketType};

    use super::*;
    use crate::member::MemberId;

    fn departure() -> Rumor {
        Rumor::Departure(MemberId::from_bytes([7; 16]))
    }

    /// A PULL socket and its address.
    fn pull(context: &Context) -> (Socket, SocketAddr) {
        let socket = context.socket(SocketType::PULL).unwrap();
        socket.set_rcvtimeo(10_000).unwrap();
        socket.bind("tcp://127.0.0.1:*").unwrap();
        let endpoint = socket.get_last_endpoint().unwrap().unwrap();
        let addr = endpoint.strip_prefix("tcp://").unwrap().parse().unwrap();
        (socket, addr)
    }

    #[test]
    fn a_rumor_arrives_sealed() {
        let context = Context::new();
        let (socket, to) = pull(&context);
        let key = RingKey::new("ring", "20260101000000", [7; 32]).unwrap();
        let mut injector =
            Injector::connect(to, Some(key.clone()), Duration::from_secs(10)).unwrap();
        injector.push(&departure()).unwrap();
        injector.finish(Duration::from_secs(10)).unwrap();
        let mut frame = socket.recv_bytes(0).unwrap();
        let payload = wire::open(&[key], &mut frame).unwrap();
        let read = wire::read_rumor(payload).unwrap();
        assert_eq!((read.from_id, read.rumor()), (CLIENT, Ok(departure())));
    }

    #[test]
    fn nobody_who_takes_rumors_is_an_error() {
        // One who takes the connection and says nothing.
        let mute = TcpListener::bind("127.0.0.1:0").unwrap();
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let nobody = free.local_addr().unwrap();
        drop(free);
        for to in [mute.local_addr().unwrap(), nobody] {
            let refused = Injector::connect(to, None, Duration::from_millis(200));
            assert!(matches!(refused, Err(InjectError::Nobody { .. })), "{to}");
        }
    }

    #[test]
    fn what_does_not_leave_in_time_is_said() {
        let context = Context::new();
        let socket = context.socket(SocketType::PULL).unwrap();
        socket.set_rcvhwm(1).unwrap();
        socket.set_rcvbuf(4_096).unwrap();
        socket.bind("tcp://127.0.0.1:*").unwrap();
        let endpoint = socket.get_last_endpoint().unwrap().unwrap();
        let to = endpoint.strip_prefix("tcp://").unwrap().parse().unwrap();
        let mut injector = Injector::connect(to, None, Duration::from_secs(10)).unwrap();
        let file = |number: u64| {
            Rumor::ServiceFile(crate::rumor::ServiceFile {
                group: "redis.default".parse().unwrap(),
                incarnation: number,
                encrypted: false,
                filename: "file".into(),
                body: vec![0; MAX_RUMOR - 256],
            })
        };
        for number in 0..4 {
            injector.push(&file(number)).unwrap();
        }
        let late = injector.finish(Duration::from_millis(300));
        assert!(
            matches!(late, Err(InjectError::NotTaken { .. })),
            "{late:?}"
        );
    }
}
