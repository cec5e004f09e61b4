//! The UDP socket: IPv4, or IPv6 that speaks to IPv4 too.

use std::io;
use std::net::{IpAddr, SocketAddr};

use mio::net::UdpSocket;
use socket2::{Domain, Protocol, Socket, Type};

/// Room in the kernel for a burst: the system's default holds only some 166 datagrams of 500 bytes. The
/// system may grant less.
const RECEIVE_BUFFER: usize = 4 << 20;

pub(super) fn bind(addr: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP))?;
    if addr.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    // A smaller buffer only loses more in a burst.
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    Ok(UdpSocket::from_std(socket.into()))
}

/// The address as the socket wants it: an IPv6 socket reaches IPv4 through mapped addresses.
pub(super) fn target(to: SocketAddr, socket_is_v6: bool) -> SocketAddr {
    match to.ip() {
        IpAddr::V4(ip) if socket_is_v6 => SocketAddr::new(ip.to_ipv6_mapped().into(), to.port()),
        _ => to,
    }
}
