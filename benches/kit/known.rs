//! A member that a running one knows, and that does nothing but what it is told to: it proves its address,
//! tells of others, who are nowhere, and pings.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::time::{Duration, Instant};

use butterfly::member::{Health, Incarnation, MemberId};
use butterfly::wire::{
    self, Accusers, Encoder, HEADROOM, MemberRecord, MembershipRecord, Message, RingKey,
    STAMP_BYTES, Serial, Stamp, feature,
};
use butterfly::{Butterfly, Config, Timing};
use mio::net::UdpSocket;

use crate::echo::{self, LOCAL};

/// Bytes that a datagram may have.
const LARGEST: usize = 1_024;
/// What pings are numbered with.
const NUMBER: u64 = 0x7fff_ffff;
const PATIENCE: Duration = Duration::from_secs(5);
const AGAIN: Duration = Duration::from_millis(5);

/// One member's side of it.
pub struct Known {
    pub socket: UdpSocket,
    pub buf: Box<[u8]>,
    keys: Vec<RingKey>,
    number: u32,
    port: u16,
    /// The member that is pinged.
    to: MemberId,
    /// Of its last datagram.
    serial: Serial,
}

/// The ring's keys: one, or none.
pub fn keys(sealed: bool) -> io::Result<Vec<RingKey>> {
    if !sealed {
        return Ok(Vec::new());
    }
    let key = RingKey::new("ring", "20260101000000", [7; 32]).map_err(io::Error::other)?;
    Ok(vec![key])
}

/// A running member that begins nothing itself: no probes, no pushes, no comparing.
pub fn passive(keys: &[RingKey]) -> io::Result<Butterfly> {
    let mut config = Config::new(LOCAL);
    config.name = "web-0123".to_owned();
    config.ring_keys = keys.to_vec();
    config.timing = Timing::lan();
    config.timing.period = Duration::from_secs(86_400);
    config.timing.lag_tolerance = Duration::from_secs(86_400);
    config.timing.sync_max = Duration::ZERO;
    config.timing.push_fanout = 0;
    Butterfly::bind(config).map_err(io::Error::other)
}

/// A member that is known by its number alone. Its address is one on which nobody listens.
fn record(number: u32) -> MemberRecord<'static> {
    // Odd, so that no two members have the same id.
    let id = u128::from(number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    MemberRecord {
        id: MemberId::from_bytes(id.to_be_bytes()),
        incarnation: Incarnation::ZERO,
        address: Some(IpAddr::V4(Ipv4Addr::from_bits(0x7f40_0000 + number))),
        swim_port: 9,
        gossip_port: 0,
        persistent: false,
        departed: false,
        probe_ping: false,
        features: feature::EXTENSIONS,
        name: "web-0123",
    }
}

/// A ping of somebody who is no member, as tools send it.
pub fn observer_ping(keys: &[RingKey]) -> Vec<u8> {
    let ping = Message::Ping {
        from: MemberRecord {
            id: MemberId::OBSERVER,
            address: None,
            departed: true,
            features: feature::EXTENSIONS | feature::OBSERVER,
            name: "",
            ..record(0)
        },
        forward_to: None,
        probe: NUMBER,
        digest: 0,
    };
    let mut buf = vec![0; HEADROOM + LARGEST];
    let len = written(&mut buf[HEADROOM..], &ping, &mut (0..0), keys);
    let key = keys.first().map(|key| (key, [3; 24]));
    let range = wire::seal(key, &mut buf, len);
    buf[range].to_vec()
}

/// A message's payload, with the records of as many of these others as fit; takes those out.
fn written(
    payload: &mut [u8],
    message: &Message<'_>,
    others: &mut Range<u32>,
    keys: &[RingKey],
) -> usize {
    let room = LARGEST - wire::overhead(!keys.is_empty(), LARGEST) - STAMP_BYTES;
    let Some(mut out) = Encoder::new(payload, message) else {
        unreachable!("a bare message has room in any datagram");
    };
    while let Some(number) = others.clone().next() {
        let member = MembershipRecord {
            member: MemberRecord {
                features: 0,
                ..record(number)
            },
            health: Health::Alive,
            accusers: Accusers::NONE,
        };
        if !out.push(&member, room) {
            break;
        }
        others.next();
    }
    out.finish()
}

impl Known {
    /// The member there, for which `work` works, knows this one from now on, and its address for proved.
    pub fn join(
        number: u32,
        keys: &[RingKey],
        (to, member): (SocketAddr, MemberId),
        mut work: impl FnMut() -> io::Result<()>,
    ) -> io::Result<Known> {
        // Who vouches for others has to be at another address than the next one.
        let ip = Ipv4Addr::new(127, 0, 0, 1 + (number % 2) as u8);
        let socket = echo::roomy(UdpSocket::bind((ip, 0).into())?);
        socket.connect(to)?;
        let port = socket.local_addr()?.port();
        let mut known = Known {
            socket,
            buf: vec![0; 1 << 16].into_boxed_slice(),
            keys: keys.to_vec(),
            number,
            port,
            to: member,
            serial: Serial {
                epoch: 1,
                number: 0,
            },
        };
        // Any digest but its own: it asks back before it tells its table.
        let ping = known.payload(&known.ping_of(1), &mut (0..0));
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            // Once may not be enough: the question has to fit in what the ping allows.
            known.send(&ping)?;
            let sent = Instant::now();
            while sent.elapsed() < AGAIN {
                work()?;
                if let Some(len) = known.receive()?
                    && known.prove(len)?
                {
                    work()?;
                    while known.receive()?.is_some() {}
                    return Ok(known);
                }
            }
        }
        Err(io::Error::other(format!(
            "the member does not ask member {number} who pings it"
        )))
    }

    /// Answers the question in the datagram that came; whether it was one.
    fn prove(&mut self, len: usize) -> io::Result<bool> {
        let payload = wire::open(&self.keys, &mut self.buf[..len]).map_err(io::Error::other)?;
        let message = wire::decode(payload).map_err(io::Error::other)?.message;
        let Message::Ping { probe, .. } = message else {
            return Ok(false);
        };
        let ack = self.payload(&self.ack(probe, false), &mut (0..0));
        self.send(&ack)?;
        Ok(true)
    }

    /// A message for the member, but for its envelope, with the records of as many of these others as fit; takes those
    /// out.
    fn payload(&self, message: &Message<'_>, others: &mut Range<u32>) -> Vec<u8> {
        let mut payload = vec![0; LARGEST];
        let mut len = written(&mut payload, message, others, &self.keys);
        if !self.keys.is_empty() {
            len = Stamp::of(Some(self.to)).append(&mut payload, len);
        }
        payload.truncate(len);
        payload
    }

    /// Sends it, as its next datagram.
    pub fn send(&mut self, payload: &[u8]) -> io::Result<()> {
        let mut buf = [0; HEADROOM + LARGEST];
        buf[HEADROOM..][..payload.len()].copy_from_slice(payload);
        self.serial.number += 1;
        let nonce = self.serial.nonce([3; 12]);
        let key = self.keys.first().map(|key| (key, nonce));
        let range = wire::seal(key, &mut buf, payload.len());
        self.socket.send(&buf[range]).map(drop)
    }

    /// Bytes of a datagram with this payload.
    pub fn sent_len(&self, payload: &[u8]) -> usize {
        payload.len() + wire::overhead(!self.keys.is_empty(), payload.len())
    }

    fn from(&self) -> MemberRecord<'static> {
        MemberRecord {
            address: None,
            swim_port: self.port,
            features: feature::EXTENSIONS | feature::VOUCHES,
            ..record(self.number)
        }
    }

    fn ack(&self, probe: u64, table: bool) -> Message<'static> {
        Message::Ack {
            from: self.from(),
            forward_to: None,
            probe,
            table,
            rumors: 0,
            reconcile: &[],
            starting: false,
        }
    }

    fn ping_of(&self, digest: u32) -> Message<'static> {
        Message::Ping {
            from: self.from(),
            forward_to: None,
            probe: NUMBER,
            digest,
        }
    }

    /// A ping with the records of these others, to be sent.
    pub fn ping(&self, mut others: Range<u32>) -> Vec<u8> {
        let ping = self.payload(&self.ping_of(0), &mut others);
        assert!(
            others.is_empty(),
            "the ping has no room for so many records"
        );
        ping
    }

    /// Two of them tell of these others, who are believed then.
    pub fn tell(
        two: &mut [Known; 2],
        mut others: Range<u32>,
        mut work: impl FnMut() -> io::Result<()>,
    ) -> io::Result<()> {
        while !others.is_empty() {
            let mut left = others.clone();
            for known in &mut *two {
                left = others.clone();
                let part = known.payload(&known.ack(0, true), &mut left);
                known.send(&part)?;
                work()?;
            }
            others = left;
        }
        Ok(())
    }

    /// The length of the next datagram that came, if one did.
    pub fn receive(&mut self) -> io::Result<Option<usize>> {
        match self.socket.recv(&mut self.buf) {
            Ok(len) => Ok(Some(len)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }
}
