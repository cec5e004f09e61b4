//! A ZeroMQ socket in a mio poll.

use std::io;
use std::ops::{Deref, DerefMut};
use std::os::fd::RawFd;
use std::sync::Arc;

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use zmq::PollEvents;

use super::super::ffi::Socket;

/// A ZeroMQ socket whose wake-ups come as events with its token.
///
/// They only say "look again", once: whoever goes to sleep must have seen in the socket's state, read *after*
/// whatever was last done with it, that there is nothing to do. The descriptor becomes readable for
/// writability too.
pub(super) struct Watched {
    socket: Socket,
    fd: RawFd,
    registry: Arc<Registry>,
}

impl Watched {
    /// Watches the socket, which is to be looked at once without an event.
    pub(super) fn new(socket: Socket, registry: &Arc<Registry>, token: Token) -> io::Result<Self> {
        let fd = socket.get_fd()?;
        registry.register(&mut SourceFd(&fd), token, Interest::READABLE)?;
        Ok(Watched {
            socket,
            fd,
            registry: Arc::clone(registry),
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
        if let Err(error) = self.registry.deregister(&mut SourceFd(&self.fd)) {
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

impl DerefMut for Watched {
    fn deref_mut(&mut self) -> &mut Socket {
        &mut self.socket
    }
}
