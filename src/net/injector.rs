//! Pushing a rumor to a member without being one: a PUSH socket of its own, straight into the member's PULL
//! socket.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand::RngExt;
use zmq::{Context, PollEvents, Socket, SocketType};

use crate::error::Reject;
use crate::limits::MAX_RUMOR;
use crate::rumor::Rumor;
use crate::wire::{self, CLIENT, RingKey};

/// Pushes rumors to one member, and waits until they have left. Gossip is never confirmed: whether the
/// member takes them, only a look into its ring tells.
pub struct Injector {
    socket: Socket,
    // Dropped after the socket, which it waits for.
    context: Context,
    to: SocketAddr,
    key: Option<RingKey>,
}

/// Why a rumor did not leave.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InjectError {
    /// Nobody there speaks ZeroMQ.
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
    #[error("the system gives no ZeroMQ socket: {0}")]
    System(#[from] io::Error),
}

impl Injector {
    /// Connected to the PULL socket at this address; what it pushes is sealed with the key, if there is one.
    ///
    /// # Errors
    /// [`InjectError::Nobody`] if there is no PULL socket within this time.
    pub fn connect(
        to: SocketAddr,
        key: Option<RingKey>,
        within: Duration,
    ) -> Result<Self, InjectError> {
        let context = Context::new();
        let socket = open(&context, to).map_err(io::Error::from)?;
        // It takes messages only once it is connected and the peer has shaken hands as a PULL socket.
        if !is_writable(&socket, within)? {
            return Err(InjectError::Nobody { to, within });
        }
        Ok(Injector {
            socket,
            context,
            to,
            key,
        })
    }

    /// Hands a rumor to the connection.
    ///
    /// # Errors
    /// [`InjectError::TooLarge`] or [`InjectError::Refused`]; whatever ZeroMQ says.
    pub fn push(&mut self, rumor: &Rumor) -> Result<(), InjectError> {
        let payload = wire::encode_rumor(rumor, CLIENT).bytes;
        if payload.len() > MAX_RUMOR {
            return Err(InjectError::TooLarge {
                size: payload.len(),
            });
        }
        wire::read_rumor(&payload)?.rumor()?;
        let seal = self.key.as_ref().map(|key| (key, rand::rng().random()));
        let mut frame = Vec::new();
        wire::seal_into(seal, &payload, &mut frame);
        self.socket.send(frame, 0).map_err(io::Error::from)?;
        Ok(())
    }

    /// Waits until all that was pushed has left this machine's ZeroMQ.
    ///
    /// # Errors
    /// [`InjectError::NotTaken`] if it has not within this time; the rest is thrown away then.
    pub fn finish(self, within: Duration) -> Result<(), InjectError> {
        let Injector {
            socket,
            mut context,
            to,
            ..
        } = self;
        socket.set_linger(millis(within)).map_err(io::Error::from)?;
        let began = Instant::now();
        drop(socket);
        context.destroy().map_err(io::Error::from)?;
        if began.elapsed() < within {
            Ok(())
        } else {
            Err(InjectError::NotTaken { to, within })
        }
    }
}

impl fmt::Debug for Injector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Injector")
            .field("to", &self.to)
            .finish_non_exhaustive()
    }
}

fn open(context: &Context, to: SocketAddr) -> zmq::Result<Socket> {
    let socket = context.socket(SocketType::PUSH)?;
    socket.set_linger(0)?;
    socket.set_ipv6(to.is_ipv6())?;
    socket.set_immediate(true)?;
    socket.connect(&format!("tcp://{to}"))?;
    Ok(socket)
}

fn is_writable(socket: &Socket, within: Duration) -> io::Result<bool> {
    let end = Instant::now() + within;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        match socket.poll(PollEvents::POLLOUT, millis(left).into()) {
            Ok(count) => return Ok(count > 0),
            Err(zmq::Error::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn millis(span: Duration) -> i32 {
    i32::try_from(span.as_millis()).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

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
