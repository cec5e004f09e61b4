//! The UDP socket: IPv4, or IPv6 that speaks to IPv4 too. One that listens on all addresses answers from the one that it
//! was asked at: else the system chooses by the way back, and a peer that asked elsewhere hears a stranger.

use std::io;
use std::net::{IpAddr, SocketAddr};

use mio::net::UdpSocket;
use socket2::{Domain, Protocol, Socket as AnySocket, Type};

#[cfg(any(target_os = "linux", target_os = "android"))]
use super::{error_queue, packet_info};

/// Room in the kernel for a burst: the system's default holds only some 166 datagrams of 500 bytes. The
/// system may grant less.
const RECEIVE_BUFFER: usize = 4 << 20;

pub(super) struct Socket {
    /// To be registered with a poll.
    pub udp: UdpSocket,
    local_addr: SocketAddr,
    /// It listens on all addresses, and the system says at which each datagram came.
    says_where: bool,
}

impl Socket {
    pub fn bind(addr: SocketAddr) -> io::Result<Self> {
        let socket = AnySocket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP))?;
        if addr.is_ipv6() {
            socket.set_only_v6(false)?;
        }
        // A smaller buffer only loses more in a burst.
        let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
        socket.set_nonblocking(true)?;
        let says_where = addr.ip().is_unspecified() && says_where(&socket, addr);
        // Without, it is as if every refusal was lost.
        #[cfg(any(target_os = "linux", target_os = "android"))]
        let _ = error_queue::ask_for(&socket, addr.is_ipv6());
        socket.bind(&addr.into())?;
        let udp = UdpSocket::from_std(socket.into());
        let local_addr = udp.local_addr()?;
        Ok(Socket {
            udp,
            local_addr,
            says_where,
        })
    }

    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Reads a datagram: its length, where it came from, and at which address, if this listens on all.
    #[inline]
    pub fn receive(&self, room: &mut [u8]) -> io::Result<(usize, SocketAddr, Option<IpAddr>)> {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if self.says_where {
            return packet_info::receive(&self.udp, room);
        }
        let (len, from) = self.udp.recv_from(room)?;
        Ok((len, from, None))
    }

    /// Sends a datagram, from this address of the machine if one is given and it still has it.
    #[inline]
    pub fn send(&self, datagram: &[u8], to: SocketAddr, at: Option<IpAddr>) -> io::Result<usize> {
        let to = target(to, self.local_addr.is_ipv6());
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if let Some(at) = at.filter(|_| self.says_where) {
            let sent = packet_info::send(&self.udp, datagram, to, at);
            if sent.as_ref().err().is_none_or(is_for_now) {
                return sent;
            }
        }
        self.udp.send_to(datagram, to)
    }

    /// Whether [`receive`](Socket::receive) says where datagrams came.
    pub fn says_where(&self) -> bool {
        self.says_where
    }
}

/// Whether the same may succeed in a moment.
fn is_for_now(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn says_where(socket: &AnySocket, addr: SocketAddr) -> bool {
    packet_info::ask_for(socket, addr.is_ipv6()).is_ok()
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn says_where(_: &AnySocket, _: SocketAddr) -> bool {
    false
}

/// The address as the socket wants it: an IPv6 socket reaches IPv4 through mapped addresses.
fn target(to: SocketAddr, socket_is_v6: bool) -> SocketAddr {
    match to.ip() {
        IpAddr::V4(ip) if socket_is_v6 => SocketAddr::new(ip.to_ipv6_mapped().into(), to.port()),
        _ => to,
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
#[cfg(test)]
mod tests {
    use std::net::UdpSocket as StdSocket;
    use std::time::{Duration, Instant};

    use super::*;

    fn received(socket: &Socket) -> (SocketAddr, Option<IpAddr>) {
        let start = Instant::now();
        loop {
            match socket.receive(&mut [0; 100]) {
                Ok((len, from, at)) => {
                    assert_eq!(len, 5);
                    return (from, at);
                }
                Err(error) => assert!(is_for_now(&error), "{error}"),
            }
            assert!(start.elapsed() < Duration::from_secs(20), "nothing came");
        }
    }

    /// A client that hears from nobody but whom it asked.
    fn is_answered(listen: &str, ask: &str, from: &str) {
        let socket = Socket::bind(listen.parse().unwrap()).unwrap();
        let to = SocketAddr::new(ask.parse().unwrap(), socket.local_addr().port());
        let client = StdSocket::bind((from, 0)).unwrap();
        client.connect(to).unwrap();
        client
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        client.send(b"there").unwrap();
        let (source, at) = received(&socket);
        assert_eq!(
            at.map(|ip| ip.to_canonical()),
            Some(to.ip()),
            "{listen} {ask}"
        );
        socket.send(b"here", source, at).unwrap();
        assert_eq!(client.recv(&mut [0; 9]).unwrap(), 4, "{listen} {ask}");
    }

    fn has_ipv6() -> bool {
        StdSocket::bind("[::1]:0").is_ok()
    }

    #[test]
    fn on_all_addresses_it_answers_from_the_one_that_it_was_asked_at() {
        // By the way back it would be 127.0.0.1.
        is_answered("0.0.0.0:0", "127.0.0.2", "127.0.0.1");
        is_answered("0.0.0.0:0", "127.1.2.3", "127.0.0.1");
        if has_ipv6() {
            is_answered("[::]:0", "127.0.0.2", "127.0.0.1");
            is_answered("[::]:0", "::1", "::1");
        }
    }

    #[test]
    fn an_address_that_the_machine_has_not_is_no_reason_to_be_mute() {
        let socket = Socket::bind("0.0.0.0:0".parse().unwrap()).unwrap();
        let client = StdSocket::bind("127.0.0.1:0").unwrap();
        client
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        for gone in ["192.0.2.77", "2001:db8::77"] {
            let at = Some(gone.parse().unwrap());
            socket
                .send(b"here", client.local_addr().unwrap(), at)
                .unwrap();
            assert_eq!(client.recv(&mut [0; 9]).unwrap(), 4);
        }
    }

    #[test]
    fn one_address_needs_no_word_of_it() {
        let socket = Socket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let client = StdSocket::bind("127.0.0.1:0").unwrap();
        client.send_to(b"there", socket.local_addr()).unwrap();
        assert_eq!(received(&socket), (client.local_addr().unwrap(), None));
    }
}
