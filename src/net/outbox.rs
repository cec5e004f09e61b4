//! Datagrams on their way into the socket: several are encoded, then all of them are sent, each stage in a row.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

use crate::node::{SEND_BUFFER, Transmit};

/// The most that are encoded before the first of them is sent.
pub(super) const BATCH: usize = 16;

/// So often one is tried: an error may be that of an earlier datagram, to somebody else, and each is told once.
const TRIES: u8 = 3;

/// What was encoded and is still to be sent.
pub(super) struct Outbox {
    /// They lie there one behind the other.
    room: Box<[u8]>,
    held: Vec<Encoded>,
    /// The first that was not sent, and how often that failed.
    next: usize,
    tries: u8,
}

/// A datagram that is to be sent.
struct Encoded {
    to: SocketAddr,
    /// The address of this machine that it goes from; `None`: the system chooses.
    at: Option<IpAddr>,
    range: Range<usize>,
}

/// Why sending ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// Nothing is left.
    All,
    /// The system takes no more at the moment; the rest stays.
    Blocked,
    /// There was an error, maybe of an earlier one: the errors are to be heard, and then all that is left to be sent.
    Error,
    /// One never gets there, for a reason of the system's, and is gone; the rest stays.
    Failed(SocketAddr, Option<i32>),
}

impl Outbox {
    pub fn new() -> Self {
        Outbox {
            room: vec![0; BATCH * SEND_BUFFER].into_boxed_slice(),
            held: Vec::with_capacity(BATCH),
            next: 0,
            tries: 0,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.next == self.held.len()
    }

    /// Takes what there is to be sent, until it is full, in place of what it held; `at` says from which address it goes
    /// to a peer.
    pub fn fill(
        &mut self,
        mut encode: impl FnMut(&mut [u8]) -> Option<Transmit>,
        at: impl Fn(SocketAddr) -> Option<IpAddr>,
    ) {
        self.held.clear();
        self.next = 0;
        let mut used = 0;
        while self.held.len() < BATCH
            && let Some(Transmit { to, range }) = encode(&mut self.room[used..])
        {
            let range = used + range.start..used + range.end;
            used = range.end;
            let at = at(to);
            self.held.push(Encoded { to, at, range });
        }
    }

    /// Sends what it holds, in order.
    pub fn send(
        &mut self,
        send: impl Fn(&[u8], SocketAddr, Option<IpAddr>) -> io::Result<usize>,
    ) -> Sent {
        while let Some(Encoded { to, at, range }) = self.held.get(self.next) {
            match send(&self.room[range.clone()], *to, *at) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Sent::Blocked,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) if self.tries + 1 < TRIES => {
                    self.tries += 1;
                    return Sent::Error;
                }
                Err(error) => {
                    (self.next, self.tries) = (self.next + 1, 0);
                    return Sent::Failed(*to, error.raw_os_error());
                }
                Ok(_) => (self.next, self.tries) = (self.next + 1, 0),
            }
        }
        Sent::All
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    fn peer(port: u16) -> SocketAddr {
        ([127, 0, 0, 1], port).into()
    }

    /// Datagrams to odd ports go from the address with that number.
    fn address_for(peer: SocketAddr) -> Option<IpAddr> {
        let odd = Some(peer.port()).filter(|port| port % 2 == 1)?;
        Some([127, 0, 0, odd as u8].into())
    }

    /// An outbox with datagrams to the ports from 1 on, whose bytes are their ports.
    fn holding(count: u16) -> Outbox {
        let mut outbox = Outbox::new();
        let mut ports = 1..=count;
        let encode = |room: &mut [u8]| {
            let port = ports.next()?;
            // Somewhere behind the start, as a plain one is whose envelope is short.
            room[3..5].copy_from_slice(&port.to_be_bytes());
            Some(Transmit {
                to: peer(port),
                range: 3..5,
            })
        };
        outbox.fill(encode, address_for);
        outbox
    }

    /// A system that answers like this and has written down what was sent.
    fn system<'a>(
        sent: &'a RefCell<Vec<u16>>,
        answer: impl Fn(u16) -> io::Result<usize> + 'a,
    ) -> impl Fn(&[u8], SocketAddr, Option<IpAddr>) -> io::Result<usize> + 'a {
        move |datagram, to, at| {
            assert_eq!(datagram, to.port().to_be_bytes());
            assert_eq!(at, address_for(to));
            answer(to.port()).inspect(|_| sent.borrow_mut().push(to.port()))
        }
    }

    #[test]
    fn all_are_sent_in_order_and_it_is_empty() {
        let (mut outbox, sent) = (holding(5), RefCell::default());
        assert!(!outbox.is_empty());
        assert_eq!(outbox.send(system(&sent, |_| Ok(2))), Sent::All);
        assert!(outbox.is_empty());
        assert_eq!(sent.into_inner(), [1, 2, 3, 4, 5]);
    }

    #[test]
    fn what_the_system_does_not_take_stays_and_goes_first() {
        let (mut outbox, sent) = (holding(5), RefCell::default());
        let full = |port| match port {
            3 => Err(ErrorKind::WouldBlock.into()),
            _ => Ok(2),
        };
        assert_eq!(outbox.send(system(&sent, full)), Sent::Blocked);
        assert!(!outbox.is_empty());
        assert_eq!(outbox.send(system(&sent, |_| Ok(2))), Sent::All);
        assert_eq!(sent.into_inner(), [1, 2, 3, 4, 5]);
    }

    #[test]
    fn one_that_cannot_get_there_holds_up_no_other() {
        let (mut outbox, sent) = (holding(3), RefCell::default());
        let refused = |port| match port {
            2 => Err(ErrorKind::HostUnreachable.into()),
            _ => Ok(2),
        };
        for _ in 1..TRIES {
            assert_eq!(outbox.send(system(&sent, refused)), Sent::Error);
        }
        assert_eq!(
            outbox.send(system(&sent, refused)),
            Sent::Failed(peer(2), None)
        );
        assert_eq!(outbox.send(system(&sent, refused)), Sent::All);
        assert_eq!(sent.into_inner(), [1, 3]);
    }

    #[test]
    fn an_error_of_an_earlier_one_loses_no_other() {
        let (mut outbox, sent) = (holding(3), RefCell::default());
        let errors = RefCell::new(vec![2, 2, 3]);
        let told = |port| {
            let at = errors.borrow().iter().position(|it| *it == port);
            let Some(at) = at else { return Ok(2) };
            errors.borrow_mut().remove(at);
            Err(ErrorKind::ConnectionRefused.into())
        };
        for _ in 0..3 {
            assert_eq!(outbox.send(system(&sent, told)), Sent::Error);
        }
        assert_eq!(outbox.send(system(&sent, told)), Sent::All);
        assert_eq!(sent.into_inner(), [1, 2, 3]);
    }

    #[test]
    fn it_holds_a_batch_of_the_largest() {
        let mut outbox = Outbox::new();
        let mut encoded = 0;
        let encode = |room: &mut [u8]| {
            encoded += 1;
            room[..SEND_BUFFER].fill(1);
            Some(Transmit {
                to: peer(1),
                range: 0..SEND_BUFFER,
            })
        };
        outbox.fill(encode, |_| None);
        assert_eq!(encoded, BATCH);
        let sent = RefCell::new(0);
        let count = |datagram: &[u8], _, _| {
            *sent.borrow_mut() += 1;
            Ok(datagram.len())
        };
        assert_eq!(outbox.send(count), Sent::All);
        assert_eq!(sent.into_inner(), BATCH);
    }
}
