//! Tells when something comes in on any of many connections that ZeroMQ reads, without looking at each.

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Registry, Token};

/// Events that are thrown away in one call.
const EVENTS: usize = 256;

/// A poll of its own for the connections, within the member's: so one call silences all of them while they are
/// looked at anyway.
pub(super) struct Alarm {
    connections: Poll,
    events: Events,
    registry: Arc<Registry>,
    token: Token,
    /// The member's poll tells of the next thing that comes.
    armed: bool,
    /// There was a connection that cannot be minded.
    deaf: bool,
}

impl Alarm {
    pub(super) fn new(registry: &Arc<Registry>, token: Token) -> io::Result<Self> {
        Ok(Alarm {
            connections: Poll::new()?,
            events: Events::with_capacity(EVENTS),
            registry: Arc::clone(registry),
            token,
            armed: false,
            deaf: false,
        })
    }

    /// Minds the connection with this descriptor, until that is closed.
    pub(super) fn mind(&mut self, fd: RawFd) {
        // ZeroMQ may have read what came before we look, which then is no event any more. But the connection can
        // be written to as well, and so what comes is one.
        let both = Interest::READABLE | Interest::WRITABLE;
        let minded = self.connections.registry();
        if let Err(error) = minded.register(&mut SourceFd(&fd), self.token, both) {
            log::debug!("a connection is not minded, so all are looked at more often: {error}");
            self.deaf |= error.kind() != io::ErrorKind::AlreadyExists;
        }
    }

    /// Whether something may come without being told of.
    pub(super) fn is_deaf(&self) -> bool {
        self.deaf
    }

    /// Forgets what came so far on so many connections.
    pub(super) fn reset(&mut self, connections: usize) -> io::Result<()> {
        // While more comes all the time, there is an end all the same.
        for _ in 0..=connections / EVENTS {
            self.connections
                .poll(&mut self.events, Some(Duration::ZERO))?;
            if self.events.iter().count() < EVENTS {
                break;
            }
        }
        Ok(())
    }

    /// The member's poll tells, once, that something came since the last reset.
    pub(super) fn arm(&mut self) -> io::Result<()> {
        if !self.armed {
            let fd = self.connections.as_raw_fd();
            self.registry
                .register(&mut SourceFd(&fd), self.token, Interest::READABLE)?;
            self.armed = true;
        }
        Ok(())
    }

    /// The member's poll tells of nothing.
    pub(super) fn disarm(&mut self) {
        let fd = self.connections.as_raw_fd();
        if self.armed
            && let Err(error) = self.registry.deregister(&mut SourceFd(&fd))
        {
            log::error!("cannot stop minding connections: {error}");
        }
        self.armed = false;
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        self.disarm();
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::thread;

    use super::super::tests::PATIENCE;
    use super::*;

    const ALARM: Token = Token(7);
    const CONNECTIONS: usize = 600;

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (client, listener.accept().unwrap().0)
    }

    /// How often the poll tells within this time.
    fn told(poll: &mut Poll, timeout: Duration) -> usize {
        let mut events = Events::with_capacity(8);
        poll.poll(&mut events, Some(timeout)).unwrap();
        events.iter().filter(|it| it.token() == ALARM).count()
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn it_tells_once_of_what_came_even_if_it_was_read_meanwhile() {
        let mut poll = Poll::new().unwrap();
        let registry = Arc::new(poll.registry().try_clone().unwrap());
        let mut alarm = Alarm::new(&registry, ALARM).unwrap();
        let mut pairs: Vec<_> = (0..CONNECTIONS).map(|_| pair()).collect();
        pairs.iter().for_each(|(_, it)| alarm.mind(it.as_raw_fd()));
        for number in [0, 599, 300, 300] {
            alarm.reset(CONNECTIONS).unwrap();
            alarm.arm().unwrap();
            assert_eq!(told(&mut poll, Duration::ZERO), 0, "nothing came");
            let (client, server) = &mut pairs[number];
            client.write_all(b"x").unwrap();
            server.read_exact(&mut [0]).unwrap();
            assert_eq!(told(&mut poll, PATIENCE), 1);
            alarm.disarm();
            client.write_all(b"x").unwrap();
            server.read_exact(&mut [0]).unwrap();
            assert_eq!(told(&mut poll, Duration::ZERO), 0, "it is silenced");
            // What comes between the two is not lost.
            alarm.reset(CONNECTIONS).unwrap();
            client.write_all(b"x").unwrap();
            server.read_exact(&mut [0]).unwrap();
            alarm.arm().unwrap();
            assert_eq!(told(&mut poll, PATIENCE), 1);
            alarm.disarm();
        }
    }

    #[test]
    fn it_is_deaf_to_what_it_cannot_mind() {
        let registry = Arc::new(Poll::new().unwrap().registry().try_clone().unwrap());
        let mut alarm = Alarm::new(&registry, ALARM).unwrap();
        let (_client, server) = pair();
        alarm.mind(server.as_raw_fd());
        alarm.mind(server.as_raw_fd());
        assert!(!alarm.is_deaf(), "it minds it already");
        alarm.mind(-1);
        assert!(alarm.is_deaf());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn what_comes_wakes_who_sleeps() {
        let mut poll = Poll::new().unwrap();
        let registry = Arc::new(poll.registry().try_clone().unwrap());
        let mut alarm = Alarm::new(&registry, ALARM).unwrap();
        let (mut client, server) = pair();
        alarm.mind(server.as_raw_fd());
        alarm.reset(CONNECTIONS).unwrap();
        alarm.arm().unwrap();
        let sleeper = thread::spawn(move || told(&mut poll, PATIENCE));
        client.write_all(b"x").unwrap();
        assert_eq!(sleeper.join().unwrap(), 1);
    }
}
