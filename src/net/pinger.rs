//! Pinging a member without becoming one: to members of ours as an observer, to others as one that has
//! departed, under one constant id (PROTOCOL.md §2, "Our extensions").

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use rand::RngExt;
use rand::rngs::ThreadRng;

use crate::limits::MAX_DATAGRAM_SENT;
use crate::member::{Incarnation, MemberId};
use crate::node::SEND_BUFFER;
use crate::text;
use crate::wire::{self, Encoder, HEADROOM, MemberRecord, Message, RingKey, feature};

/// Sends SWIM pings to one member and waits for their Acks, on a blocking socket of its own.
#[derive(Debug)]
pub struct Pinger {
    socket: UdpSocket,
    keys: Vec<RingKey>,
    rng: ThreadRng,
    buf: Box<[u8]>,
}

/// The answer to a ping.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pong {
    /// From the ping's leaving to its Ack's arrival.
    pub rtt: Duration,
    /// Who answered.
    pub id: MemberId,
    /// Its name, empty if it has none.
    pub name: String,
    /// Its incarnation.
    pub incarnation: Incarnation,
}

impl Pinger {
    /// A pinger for the member at this address, with the ring's keys, if it has any.
    ///
    /// # Errors
    /// If the system gives no socket, or knows no way to the address.
    pub fn connect(to: SocketAddr, keys: Vec<RingKey>) -> io::Result<Self> {
        let any: SocketAddr = if to.is_ipv6() {
            (Ipv6Addr::UNSPECIFIED, 0).into()
        } else {
            (Ipv4Addr::UNSPECIFIED, 0).into()
        };
        let socket = UdpSocket::bind(any)?;
        socket.connect(to)?;
        Ok(Pinger {
            socket,
            keys,
            rng: rand::rng(),
            buf: vec![0; 1 << 16].into_boxed_slice(),
        })
    }

    /// Pings once; `None`: no Ack came in time. Acks that come too late are passed over.
    ///
    /// # Errors
    /// `ConnectionRefused` if the system knows that nobody listens there; whatever else it says.
    pub fn ping(&mut self, timeout: Duration) -> io::Result<Option<Pong>> {
        let number = u64::from(self.rng.random::<u32>().max(1));
        let datagram = self.encode(number)?;
        let left = Instant::now();
        self.socket.send(&datagram)?;
        loop {
            let remaining = timeout.saturating_sub(left.elapsed());
            if remaining.is_zero() {
                return Ok(None);
            }
            self.socket.set_read_timeout(Some(remaining))?;
            match self.socket.recv(&mut self.buf) {
                Ok(len) => {
                    if let Some(pong) = self.read_ack(len, number, left.elapsed()) {
                        return Ok(Some(pong));
                    }
                }
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    return Ok(None);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    pub(super) fn encode(&mut self, number: u64) -> io::Result<Vec<u8>> {
        let port = self.socket.local_addr()?.port();
        let from = MemberRecord {
            id: MemberId::OBSERVER,
            incarnation: Incarnation::ZERO,
            address: None,
            swim_port: port,
            gossip_port: port,
            persistent: false,
            departed: true,
            probe_ping: false,
            features: feature::EXTENSIONS | feature::OBSERVER,
            name: "",
        };
        let ping = Message::Ping {
            from,
            forward_to: None,
            probe: number,
            digest: 0,
        };
        let mut buf = vec![0; SEND_BUFFER];
        let payload = &mut buf[HEADROOM..MAX_DATAGRAM_SENT];
        let len = Encoder::new(payload, &ping).map_or(0, Encoder::finish);
        let nonce = self.rng.random();
        let range = wire::seal(self.keys.first().map(|key| (key, nonce)), &mut buf, len);
        Ok(buf[range].to_vec())
    }

    /// The Ack of the ping with this number; `None`: it is something else. Peers that do not know of
    /// numbers leave theirs out.
    fn read_ack(&mut self, len: usize, number: u64, rtt: Duration) -> Option<Pong> {
        let payload = wire::open(&self.keys, self.buf.get_mut(..len)?).ok()?;
        match wire::decode(payload).ok()?.message {
            Message::Ack { from, probe, .. } if probe == 0 || probe == number => Some(Pong {
                rtt,
                id: from.id,
                name: text::cleaned(from.name).into_owned(),
                incarnation: from.incarnation,
            }),
            _ => None,
        }
    }
}
