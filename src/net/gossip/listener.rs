//! The socket that others connect to, with one descriptor kept back for when all are used up.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;

use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

/// Connections that the kernel completes while we are busy.
const BACKLOG: i32 = 4_096;

/// Bytes that the kernel buffers for each connection; on the way out there are only signs of life.
const RECEIVE_BUFFER: usize = 64 << 10;
const SEND_BUFFER: usize = 8 << 10;

/// What to hold open without any use: it is never read.
const NOTHING: &str = "/dev/null";

pub(super) struct Listener {
    socket: TcpListener,
    registry: Arc<Registry>,
    port: u16,
    /// Closed to take, and refuse, a connection when there is no other descriptor: the kernel would tell of it
    /// for ever, or never again.
    reserve: Option<File>,
}

/// What [`Listener::accept`] found.
#[derive(Debug)]
pub(super) enum Accepted {
    Connection(TcpStream, SocketAddr),
    /// There is none.
    None,
    /// There is no descriptor, so nobody knows: to be tried again in a while, as no event may come.
    Exhausted,
    /// There was one, and it is gone.
    Lost,
}

impl Listener {
    pub(super) fn bind(
        registry: &Arc<Registry>,
        addr: SocketAddr,
        token: Token,
    ) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
        if addr.is_ipv6() {
            socket.set_only_v6(false)?;
        }
        // Or nobody could listen there again for a minute after a member stopped.
        socket.set_reuse_address(true)?;
        // Connections inherit them. The system may grant less, which only costs calls.
        let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
        let _ = socket.set_send_buffer_size(SEND_BUFFER);
        socket.set_nonblocking(true)?;
        socket.bind(&addr.into())?;
        socket.listen(BACKLOG)?;
        let mut socket = TcpListener::from_std(socket.into());
        let port = socket.local_addr()?.port();
        registry.register(&mut socket, token, Interest::READABLE)?;
        Ok(Listener {
            socket,
            registry: Arc::clone(registry),
            port,
            reserve: File::open(NOTHING).ok(),
        })
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// The next connection. It may have taken the descriptor that was kept back: then
    /// [`replenish`](Listener::replenish) is to find another, or the connection is to be dropped.
    pub(super) fn accept(&mut self) -> Accepted {
        match self.socket.accept() {
            Ok((stream, peer)) => accepted(stream, peer),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Accepted::None,
            Err(error) if is_exhaustion(&error) => {
                // This is said even if there is no connection, so only trying again tells.
                if self.reserve.take().is_none() {
                    return Accepted::Exhausted;
                }
                match self.socket.accept() {
                    Ok((stream, peer)) => accepted(stream, peer),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        self.replenish();
                        Accepted::None
                    }
                    Err(_) => Accepted::Exhausted,
                }
            }
            Err(error) => {
                log::debug!("a connection for gossip was not accepted: {error}");
                Accepted::Lost
            }
        }
    }

    /// Keeps a descriptor back, if none is; whether one is now.
    pub(super) fn replenish(&mut self) -> bool {
        if self.reserve.is_none() {
            self.reserve = File::open(NOTHING).ok();
        }
        self.reserve.is_some()
    }
}

fn accepted(stream: TcpStream, peer: SocketAddr) -> Accepted {
    // As every message is written whole, nothing is gained by waiting for more.
    let _ = SockRef::from(&stream).set_tcp_nodelay(true);
    Accepted::Connection(stream, peer)
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Err(error) = self.registry.deregister(&mut self.socket) {
            log::error!("cannot stop watching the gossip port: {error}");
        }
    }
}

/// Whether the process, or the system, has no descriptors or memory left.
fn is_exhaustion(error: &io::Error) -> bool {
    let codes = [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM];
    error
        .raw_os_error()
        .is_some_and(|code| codes.contains(&code))
}
