//! A ZeroMQ socket in a mio poll.

use std::io;
use std::ops::Deref;
use std::os::fd::RawFd;

use mio::unix::SourceFd;
use mio::{Interest, Token};
use zmq::{PollEvents, Socket};

use super::Home;

/// A ZeroMQ socket whose wake-ups come as events with its token.
///
/// They only say "look again", once: whoever goes to sleep must have seen in the socket's state, read *after*
/// whatever was last done with it, that there is nothing to do. The descriptor becomes readable for
/// writability too.
pub(super) struct Watched {
    socket: Socket,
    fd: RawFd,
    home: Home,
}

impl Watched {
    /// Watches the socket, which is to be looked at once without an event.
    pub(super) fn new(socket: Socket, home: &Home, token: Token) -> io::Result<Self> {
        let fd = socket.get_fd()?;
        home.registry
            .register(&mut SourceFd(&fd), token, Interest::READABLE)?;
        Ok(Watched {
            socket,
            fd,
            home: Home::clone(home),
        })
    }

    /// Whether it can be received from (`POLLIN`) or sent to (`POLLOUT`). If not, an event will tell when
    /// that changes.
    pub(super) fn is(&self, state: PollEvents) -> bool {
        loop {
            match self.socket.get_events() {
                Ok(events) => return events.contains(state),
                Err(zmq::Error::EINTR) => {}
                Err(_) => return false,
            }
        }
    }
}

impl Drop for Watched {
    /// The descriptor lives on for a while after the socket is closed, and then its number is another's.
    fn drop(&mut self) {
        if let Err(error) = self.home.registry.deregister(&mut SourceFd(&self.fd)) {
            log::error!("cannot stop watching a ZeroMQ socket: {error}");
        }
    }
}

impl Deref for Watched {
    type Target = Socket;

    fn deref(&self) -> &Socket {
        &self.socket
    }
}
