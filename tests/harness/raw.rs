//! A bare socket that speaks to members: as a peer without our extensions would, or nonsense.

use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};

use butterfly::limits::MAX_DATAGRAM_SENT;
use butterfly::wire::{self, Encoder, HEADROOM, MemberRecord, Message, RingKey};
use butterfly::{Incarnation, MemberId};

/// A socket on loopback, and who speaks through it.
pub struct Raw {
    pub socket: UdpSocket,
    pub addr: SocketAddr,
    pub id: MemberId,
}

impl Raw {
    pub fn bind() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        let (addr, id) = (
            socket.local_addr().unwrap(),
            MemberId::from_bytes([0xab; 16]),
        );
        Raw { socket, addr, id }
    }

    /// Its own record, without extensions.
    pub fn record(&self) -> MemberRecord<'static> {
        MemberRecord {
            id: self.id,
            incarnation: Incarnation::ZERO,
            address: None,
            swim_port: self.addr.port(),
            gossip_port: self.addr.port(),
            persistent: false,
            departed: false,
            probe_ping: false,
            features: 0,
            name: "",
        }
    }

    pub fn ping(&self) -> Message<'static> {
        Message::Ping {
            from: self.record(),
            forward_to: None,
            probe: 0,
            digest: 0,
        }
    }

    pub fn send(&self, to: SocketAddr, datagram: &[u8]) {
        assert_eq!(self.socket.send_to(datagram, to).unwrap(), datagram.len());
    }

    /// The next datagram that has arrived.
    pub fn receive(&self) -> Option<(Vec<u8>, SocketAddr)> {
        let mut buf = vec![0; 1 << 16];
        match self.socket.recv_from(&mut buf) {
            Ok((len, from)) => {
                buf.truncate(len);
                Some((buf, from))
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            Err(error) => panic!("{error}"),
        }
    }
}

/// The datagram of a message without memberships, sealed if there is a key.
pub fn datagram(message: &Message<'_>, key: Option<&RingKey>) -> Vec<u8> {
    let mut buf = vec![0; HEADROOM + MAX_DATAGRAM_SENT];
    let len = Encoder::new(&mut buf[HEADROOM..], message)
        .unwrap()
        .finish();
    let range = wire::seal(key.map(|key| (key, [7; 24])), &mut buf, len);
    buf[range].to_vec()
}

/// The datagram with this payload, plain.
pub fn plain(payload: &[u8]) -> Vec<u8> {
    let mut buf = vec![0; HEADROOM];
    buf.extend_from_slice(payload);
    let range = wire::seal(None, &mut buf, payload.len());
    buf[range].to_vec()
}
