//! What the system says of datagrams that did not arrive: the socket's queue of errors (IP_RECVERR and IPV6_RECVERR, Linux).
//!
//! A peer's kernel refuses a datagram to a port on which nobody listens, and quotes it. With the queue, this end learns of that,
//! and of which datagram; without, of nothing. It has two traps. Each error also fails the next call on the socket once, be it
//! about another peer; and an error that nobody reads stays in the socket's receive buffer, until that is full. So the queue is
//! read at each wake that tells of errors, and after each call that failed.

use std::net::SocketAddr;

use super::butterfly::Butterfly;
use super::socket::Socket;
use crate::limits::ERRORS_PER_WAKE;

/// Room for what is quoted: the most that is sent.
const QUOTE: usize = crate::limits::MAX_DATAGRAM_SENT;

/// An error of a datagram that was sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Told<'q> {
    /// The host that it was sent to has nobody who listens on that port.
    Refused {
        /// Where it was sent.
        to: SocketAddr,
        /// What it was, as far as it is quoted.
        quoted: &'q mut [u8],
    },
    /// Anything else: of another kind, by another host, or of nobody knows what.
    Other,
}

pub(super) struct ErrorQueue {
    room: Box<[u8]>,
}

impl ErrorQueue {
    pub fn new() -> Self {
        ErrorQueue {
            room: vec![0; QUOTE].into_boxed_slice(),
        }
    }

    /// The next error; `None`: there is none at the moment.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub fn next(&mut self, socket: &Socket) -> Option<Told<'_>> {
        linux::next(socket, &mut self.room)
    }

    /// Other systems tell an unconnected socket nothing.
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    pub fn next(&mut self, _: &Socket) -> Option<Told<'_>> {
        let _ = &mut self.room;
        None
    }
}

/// Reading it.
impl Butterfly {
    /// Hears what the system says of datagrams that did not arrive, up to a bound; whether there was anything.
    pub(super) fn hear_errors(&mut self) -> bool {
        if !self.has_errors {
            return false;
        }
        let now = self.clock();
        for count in 0..ERRORS_PER_WAKE {
            match self.errors.next(&self.socket) {
                Some(Told::Refused { to, quoted }) => self.node.handle_refused(now, to, quoted),
                Some(Told::Other) => self.node.handle_stray_error(),
                None => {
                    self.has_errors = false;
                    return count > 0;
                }
            }
        }
        true
    }
}

/// Has the system keep the errors of this socket.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) use linux::ask_for;

#[cfg(any(target_os = "linux", target_os = "android"))]
mod linux {
    use std::io::{self, IoSliceMut};
    use std::net::SocketAddr;
    use std::os::fd::{AsFd, AsRawFd};

    use nix::errno::Errno;
    use nix::sys::socket::{
        ControlMessageOwned, MsgFlags, SockaddrIn, SockaddrIn6, SockaddrStorage, recvmsg,
        setsockopt, sockopt,
    };

    use super::Told;
    use crate::net::packet_info::addr_of;
    use crate::net::socket::Socket;

    /// ICMP's "port unreachable": its origin, type and code.
    const REFUSED: (u8, u8, u8) = (libc::SO_EE_ORIGIN_ICMP, 3, 3);
    /// And ICMPv6's.
    const REFUSED_V6: (u8, u8, u8) = (libc::SO_EE_ORIGIN_ICMP6, 1, 4);

    /// Room for the error, who told of it, and at which address: twice what they take.
    #[repr(align(8))]
    struct Control([u8; 256]);

    /// An IPv6 socket hears of IPv4 only if it asks for that, too.
    pub fn ask_for(socket: &impl AsFd, is_v6: bool) -> io::Result<()> {
        setsockopt(socket, sockopt::Ipv4RecvErr, &true)?;
        if is_v6 {
            setsockopt(socket, sockopt::Ipv6RecvErr, &true)?;
        }
        Ok(())
    }

    pub fn next<'q>(socket: &Socket, room: &'q mut [u8]) -> Option<Told<'q>> {
        let fd = socket.udp.as_raw_fd();
        let (len, refused) = loop {
            let mut control = Control([0; 256]);
            let mut parts = [IoSliceMut::new(room)];
            let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
            match recvmsg::<SockaddrStorage>(fd, &mut parts, Some(&mut control.0), flags) {
                Ok(message) => {
                    let to = message.address.as_ref().and_then(addr_of);
                    let mut said = message.cmsgs().ok().into_iter().flatten();
                    let refused = said
                        .find_map(|said| is_refusal(&said, to?))
                        .unwrap_or(false);
                    break (message.bytes, to.filter(|_| refused));
                }
                Err(Errno::EINTR) => {}
                Err(_) => return None,
            }
        };
        Some(match (refused, room.get_mut(..len)) {
            (Some(to), Some(quoted)) => Told::Refused { to, quoted },
            _ => Told::Other,
        })
    }

    /// Whether it says that nobody listens on the port, and the host of that port says so itself; `None`: it is about
    /// something else.
    fn is_refusal(said: &ControlMessageOwned, to: SocketAddr) -> Option<bool> {
        let (error, by) = match said {
            ControlMessageOwned::Ipv4RecvErr(error, by) => {
                (error, by.map(|by| SocketAddr::from(SockaddrIn::from(by))))
            }
            ControlMessageOwned::Ipv6RecvErr(error, by) => {
                (error, by.map(|by| SocketAddr::from(SockaddrIn6::from(by))))
            }
            _ => return None,
        };
        let what = (error.ee_origin, error.ee_type, error.ee_code);
        let is_its_own = by.is_some_and(|by| by.ip().to_canonical() == to.ip().to_canonical());
        Some((what == REFUSED || what == REFUSED_V6) && is_its_own)
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
#[cfg(test)]
mod tests {
    use std::net::UdpSocket as StdSocket;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::net::Pinger;

    /// Where nobody listens any more.
    fn closed(ip: &str) -> SocketAddr {
        StdSocket::bind((ip, 0)).unwrap().local_addr().unwrap()
    }

    fn has_ipv6() -> bool {
        StdSocket::bind("[::1]:0").is_ok()
    }

    /// Another program's ping.
    fn ping() -> Vec<u8> {
        let mut pinger = Pinger::connect(([127, 0, 0, 1], 9).into(), Vec::new()).unwrap();
        pinger.encode(1).unwrap()
    }

    /// The next error as soon as it is there.
    fn awaited<'q>(queue: &'q mut ErrorQueue, socket: &Socket) -> Told<'q> {
        let start = Instant::now();
        while socket.udp.take_error().unwrap().is_none() {
            assert!(start.elapsed() < Duration::from_secs(20), "no error came");
        }
        queue.next(socket).expect("an error is in the queue")
    }

    fn is_told(listen: &str, to: &str) {
        let socket = Socket::bind(listen.parse().unwrap()).unwrap();
        let mut queue = ErrorQueue::new();
        assert_eq!(queue.next(&socket), None);
        let gone = closed(to);
        for len in [3, 512] {
            let datagram = vec![7; len];
            socket.send(&datagram, gone, None).unwrap();
            let Told::Refused { to, quoted } = awaited(&mut queue, &socket) else {
                panic!("{listen} {to}: it is a refusal");
            };
            let to = SocketAddr::new(to.ip().to_canonical(), to.port());
            assert_eq!((to, &*quoted), (gone, &datagram[..]), "{listen}");
            assert_eq!(queue.next(&socket), None);
        }
    }

    #[test]
    fn a_refusal_names_its_datagram_over_both_families() {
        is_told("127.0.0.1:0", "127.0.0.1");
        is_told("0.0.0.0:0", "127.0.0.1");
        if has_ipv6() {
            is_told("[::]:0", "127.0.0.1");
            is_told("[::]:0", "::1");
            is_told("[::1]:0", "::1");
        }
    }

    /// Trap: the next call fails, though it is about another peer, and its datagram is not sent.
    #[test]
    fn once_read_an_error_fails_no_call() {
        let socket = Socket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let peer = StdSocket::bind("127.0.0.1:0").unwrap();
        peer.set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        let (gone, mut queue) = (closed("127.0.0.1"), ErrorQueue::new());
        socket.send(b"ping", gone, None).unwrap();
        // Waits by failing calls: each error fails one, and this one has been sent to nobody.
        let start = Instant::now();
        while socket
            .send(b"lost", peer.local_addr().unwrap(), None)
            .is_ok()
        {
            assert!(start.elapsed() < Duration::from_secs(20), "no error came");
            peer.recv(&mut [0; 9]).unwrap();
        }
        while queue.next(&socket).is_some() {}
        socket.send(b"ping", gone, None).unwrap();
        while queue.next(&socket).is_none() {
            assert!(start.elapsed() < Duration::from_secs(20), "no error came");
        }
        socket
            .send(b"here", peer.local_addr().unwrap(), None)
            .unwrap();
        assert_eq!(peer.recv(&mut [0; 9]).unwrap(), 4);
    }

    /// Trap: errors that nobody reads fill the receive buffer, and then the member is deaf, and every other send fails.
    #[test]
    fn thousands_of_errors_make_no_member_deaf() {
        let mut member =
            Butterfly::bind(crate::Config::new("127.0.0.1:0".parse().unwrap())).unwrap();
        let gone = closed("127.0.0.1");
        for _ in 0..5_000 {
            // Every other one fails, as nobody reads.
            let _ = member.socket.send(b"ping", gone, None);
        }
        let to = member.local_addr();
        let peer = StdSocket::bind("127.0.0.1:0").unwrap();
        peer.set_nonblocking(true).unwrap();
        let start = Instant::now();
        let mut answers = 0;
        while answers < 20 {
            assert!(
                start.elapsed() < Duration::from_secs(20),
                "{answers} answers"
            );
            peer.send_to(&ping(), to).unwrap();
            member.process().unwrap();
            while peer.recv(&mut [0; 1024]).is_ok() {
                answers += 1;
            }
        }
        let told = member.node().stats().refusals;
        assert!(told > 100, "{told}");
        while member.deadline().is_some_and(|due| due <= Instant::now()) {
            member.process().unwrap();
        }
        assert!(!member.has_errors && member.errors.next(&member.socket).is_none());
    }

    /// Trap: an error of one datagram is told by the call that sends the next, to somebody else, which is not sent.
    #[test]
    fn who_is_sent_to_after_a_refusal_hears_it() {
        let mut member =
            Butterfly::bind(crate::Config::new("127.0.0.1:0".parse().unwrap())).unwrap();
        let peer = StdSocket::bind("127.0.0.1:0").unwrap();
        peer.set_nonblocking(true).unwrap();
        for _ in 0..20 {
            member.join(closed("127.0.0.1")).unwrap();
        }
        member.join(peer.local_addr().unwrap()).unwrap();
        let start = Instant::now();
        while peer.recv(&mut [0; 1024]).is_err() {
            assert!(start.elapsed() < Duration::from_secs(20), "it is not asked");
            member.process().unwrap();
        }
        assert_eq!(member.node().stats().send_errors, 0);
    }
}
