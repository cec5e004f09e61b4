//! Datagrams as they come out of the socket: several in a row, so that reading, deciding and answering each find
//! their code and the kernel's in the caches. That saves a tenth of what an Ack costs under a flood.

use std::io::ErrorKind;
use std::net::SocketAddr;

use mio::net::UdpSocket;

/// The most that are read before the first of them is answered.
const BATCH: usize = 16;

/// Room for the largest datagram, and one byte more so that a larger one shows.
const LARGEST: usize = 1 << 16;

/// What was read and is still to be handled.
pub(super) struct Inbox {
    /// They lie there one behind the other; as long as there is room for the largest, there is for one more.
    room: Box<[u8]>,
    /// Where each came from, and its length.
    held: Vec<(SocketAddr, usize)>,
}

/// Why reading ended.
#[derive(Debug)]
pub(super) enum End {
    /// There may be more to read.
    Full,
    /// There is nothing more to read.
    Empty,
    /// Whatever an earlier datagram came to.
    Failed,
}

impl Inbox {
    pub fn new() -> Self {
        Inbox {
            room: vec![0; 2 * LARGEST].into_boxed_slice(),
            held: Vec::with_capacity(BATCH),
        }
    }

    /// Reads up to so many, and no more than a batch, in place of those it held.
    pub fn fill(&mut self, socket: &UdpSocket, most: usize) -> End {
        self.held.clear();
        let mut used = 0;
        while self.held.len() < most.min(BATCH) && used + LARGEST <= self.room.len() {
            match socket.recv_from(&mut self.room[used..][..LARGEST]) {
                Ok((len, from)) => {
                    self.held.push((from, len));
                    used += len;
                }
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => return End::Empty,
                    ErrorKind::Interrupted => {}
                    _ => return End::Failed,
                },
            }
        }
        End::Full
    }

    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// Those that were read, in their order, and where they came from.
    pub fn datagrams(&mut self) -> impl Iterator<Item = (SocketAddr, &mut [u8])> {
        let mut rest = &mut self.room[..];
        self.held.iter().map(move |(from, len)| {
            let (datagram, behind) = std::mem::take(&mut rest).split_at_mut(*len);
            rest = behind;
            (*from, datagram)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket as StdSocket;
    use std::time::{Duration, Instant};

    use super::super::socket;
    use super::*;

    /// A socket to read from, and two that send to it.
    fn sockets() -> (UdpSocket, [StdSocket; 2]) {
        let reader = socket::bind(([127, 0, 0, 1], 0).into()).unwrap();
        let to = reader.local_addr().unwrap();
        let senders = [(); 2].map(|()| {
            let sender = StdSocket::bind("127.0.0.1:0").unwrap();
            sender.connect(to).unwrap();
            sender
        });
        (reader, senders)
    }

    fn held(inbox: &mut Inbox) -> Vec<(SocketAddr, Vec<u8>)> {
        let datagrams = inbox.datagrams();
        datagrams
            .map(|(from, read)| (from, read.to_vec()))
            .collect()
    }

    /// Fills again and again until a row is as long as it can be: the kernel may hand datagrams on late.
    fn until_a_row_of(want: usize, mut fill: impl FnMut() -> usize) {
        let start = Instant::now();
        while fill() != want {
            assert!(
                start.elapsed() < Duration::from_secs(20),
                "no row of {want}"
            );
        }
    }

    #[test]
    fn datagrams_come_whole_each_with_its_source() {
        let (reader, senders) = sockets();
        let mut inbox = Inbox::new();
        let mut sent = Vec::new();
        for number in 0..40 {
            let (sender, bytes) = (&senders[number % 2], vec![number as u8; number]);
            sender.send(&bytes).unwrap();
            sent.push((sender.local_addr().unwrap(), bytes));
        }
        let (mut came, start) = (Vec::new(), Instant::now());
        while came.len() < sent.len() {
            assert!(start.elapsed() < Duration::from_secs(20));
            inbox.fill(&reader, BATCH);
            assert!(inbox.len() <= BATCH);
            came.extend(held(&mut inbox));
        }
        // The kernel may mix up what two sockets send.
        came.sort_by_key(|(_, bytes)| bytes.len());
        assert_eq!(came, sent);
        assert!(matches!(inbox.fill(&reader, BATCH), End::Empty));
        assert_eq!(inbox.len(), 0, "what it held is gone");
    }

    #[test]
    fn no_more_are_read_than_asked_for_and_no_more_than_a_batch() {
        let (reader, [sender, _]) = sockets();
        let mut inbox = Inbox::new();
        for (most, row) in [(3, 3), (usize::MAX, BATCH)] {
            until_a_row_of(row, || {
                for _ in 0..=row {
                    sender.send(b"x").unwrap();
                }
                let end = inbox.fill(&reader, most);
                assert!(inbox.len() <= row);
                assert_eq!(matches!(end, End::Full), inbox.len() == row);
                inbox.len()
            });
        }
    }

    #[test]
    fn the_largest_datagrams_come_whole_however_many_there_are() {
        const LONGEST: usize = 65_507;
        let (reader, [sender, _]) = sockets();
        let mut inbox = Inbox::new();
        until_a_row_of(2, || {
            while !matches!(inbox.fill(&reader, BATCH), End::Empty) {}
            for byte in 1..=3 {
                sender.send(&[byte; LONGEST]).unwrap();
            }
            let end = inbox.fill(&reader, BATCH);
            let whole =
                |(_, read): (_, Vec<u8>)| read.len() == LONGEST && read[0] == read[LONGEST - 1];
            assert!(held(&mut inbox).into_iter().all(whole));
            // The third does not fit beside two others, and is read the next time.
            assert!(inbox.len() < 2 || matches!(end, End::Full));
            inbox.len()
        });
    }
}
