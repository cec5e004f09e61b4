//! At which of the machine's addresses a datagram came, and from which one goes: IP_PKTINFO and IPV6_RECVPKTINFO, without
//! an allocation.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd};

use mio::net::UdpSocket;
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt, sockopt,
};
use socket2::{MsgHdr, SockAddr, SockRef};

/// Room for what the system says of one datagram, and more than is needed to say whence one goes. Aligned as its header is.
#[repr(align(8))]
struct Control([u8; 64]);

/// Has the system say where each datagram came. An IPv6 socket says so of IPv4, too, by mapped addresses.
pub(super) fn ask_for(socket: &impl AsFd, is_v6: bool) -> io::Result<()> {
    if is_v6 {
        setsockopt(socket, sockopt::Ipv6RecvPacketInfo, &true)?;
    } else {
        setsockopt(socket, sockopt::Ipv4PacketInfo, &true)?;
    }
    Ok(())
}

pub(super) fn receive(
    socket: &UdpSocket,
    room: &mut [u8],
) -> io::Result<(usize, SocketAddr, Option<IpAddr>)> {
    let mut control = Control([0; 64]);
    let mut parts = [IoSliceMut::new(room)];
    let fd = socket.as_raw_fd();
    let message =
        recvmsg::<SockaddrStorage>(fd, &mut parts, Some(&mut control.0), MsgFlags::empty())?;
    let from = message.address.as_ref().and_then(addr_of);
    let from = from.ok_or(io::ErrorKind::InvalidData)?;
    let at = message.cmsgs()?.find_map(|said| match said {
        // Of a broadcast, the address of the interface that it came through.
        ControlMessageOwned::Ipv4PacketInfo(info) => {
            Some(Ipv4Addr::from(info.ipi_spec_dst.s_addr.to_ne_bytes()).into())
        }
        ControlMessageOwned::Ipv6PacketInfo(info) => {
            Some(Ipv6Addr::from(info.ipi6_addr.s6_addr).into())
        }
        _ => None,
    });
    Ok((message.bytes, from, at.filter(is_a_hosts)))
}

/// Whether a datagram can come from there.
fn is_a_hosts(ip: &IpAddr) -> bool {
    !ip.is_unspecified() && !ip.is_multicast()
}

pub(super) fn addr_of(address: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = address.as_sockaddr_in().map(|addr| SocketAddr::from(*addr));
    v4.or_else(|| {
        address
            .as_sockaddr_in6()
            .map(|addr| SocketAddr::from(*addr))
    })
}

pub(super) fn send(
    socket: &UdpSocket,
    datagram: &[u8],
    to: SocketAddr,
    at: IpAddr,
) -> io::Result<usize> {
    let mut control = Control([0; 64]);
    let len = match (to, at) {
        (SocketAddr::V4(_), IpAddr::V4(ip)) => {
            // The interface is left to the system, and so is the third, which is for what was received.
            let mut info = [0; size_of::<libc::in_pktinfo>()];
            info[4..8].copy_from_slice(&ip.octets());
            control.say(libc::IPPROTO_IP, libc::IP_PKTINFO, &info)
        }
        (SocketAddr::V6(_), at) => {
            let ip = match at {
                IpAddr::V4(ip) => ip.to_ipv6_mapped(),
                IpAddr::V6(ip) => ip,
            };
            let mut info = [0; size_of::<libc::in6_pktinfo>()];
            info[..16].copy_from_slice(&ip.octets());
            control.say(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &info)
        }
        (SocketAddr::V4(_), IpAddr::V6(_)) => return Err(io::ErrorKind::AddrNotAvailable.into()),
    };
    let (to, parts) = (SockAddr::from(to), [IoSlice::new(datagram)]);
    let message = MsgHdr::new()
        .with_addr(&to)
        .with_buffers(&parts)
        .with_control(&control.0[..len]);
    SockRef::from(socket).sendmsg(&message, 0)
}

impl Control {
    /// Writes one message as cmsg(3) lays it out: its length, level and type, and what it says. The bytes that it takes.
    fn say(&mut self, level: i32, kind: i32, what: &[u8]) -> usize {
        const HEAD: usize = size_of::<libc::cmsghdr>();
        let len = HEAD + what.len();
        self.0[..size_of::<usize>()].copy_from_slice(&len.to_ne_bytes());
        self.0[HEAD - 8..HEAD - 4].copy_from_slice(&level.to_ne_bytes());
        self.0[HEAD - 4..HEAD].copy_from_slice(&kind.to_ne_bytes());
        self.0[HEAD..len].copy_from_slice(what);
        len.next_multiple_of(size_of::<usize>())
    }
}
