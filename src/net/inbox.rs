//! Datagrams as they come out of the socket: several in a row, so that reading, deciding and answering each find
//! their code and the kernel's in the caches. That saves a fifteenth of what an Ack costs under a flood.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

use super::socket::Socket;

/// The most that are read before the first of them is answered.
const BATCH: usize = 16;

/// Room for the largest datagram, and one byte more so that a larger one shows.
const LARGEST: usize = 1 << 16;

/// What was read and is still to be handled.
pub(super) struct Inbox {
    /// They lie there one behind the other; as long as there is room for the largest, there is for one more.
    room: Box<[u8]>,
    held: Vec<Received>,
    /// So many are read in the next row.
    row: usize,
}

/// A datagram that was read.
struct Received {
    from: SocketAddr,
    /// The address that it was sent to, if this socket listens on all.
    at: Option<IpAddr>,
    range: Range<usize>,
}

/// Why reading ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
            row: 1,
        }
    }

    /// The next row is one datagram, as it may have come alone; those that follow it get longer.
    pub fn begin(&mut self) {
        self.row = 1;
    }

    /// Reads a row of up to so many, in place of those it held.
    pub fn fill(&mut self, socket: &Socket, most: usize) -> End {
        self.held.clear();
        let most = most.min(self.row);
        self.row = BATCH.min(2 * self.row);
        let mut used = 0;
        while self.held.len() < most && used + LARGEST <= self.room.len() {
            match socket.receive(&mut self.room[used..][..LARGEST]) {
                Ok((len, from, at)) => {
                    let range = used..used + len;
                    self.held.push(Received { from, at, range });
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

    /// One of those that were read, in their order, and where it came from.
    pub fn datagram(&mut self, index: usize) -> Option<(SocketAddr, &mut [u8])> {
        let Received { from, range, .. } = self.held.get(index)?;
        Some((*from, self.room.get_mut(range.clone())?))
    }

    /// At which address the last of those came that this peer sent, if the socket listens on all.
    pub fn asked_at(&self, peer: SocketAddr) -> Option<IpAddr> {
        let is_its = |it: &&Received| {
            it.from.port() == peer.port() && it.from.ip().to_canonical() == peer.ip()
        };
        self.held.iter().rev().find(is_its)?.at
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket as StdSocket;
    use std::time::{Duration, Instant};

    use super::*;

    /// A socket to read from, and two that send to it.
    fn sockets() -> (Socket, [StdSocket; 2]) {
        let reader = Socket::bind(([127, 0, 0, 1], 0).into()).unwrap();
        let to = reader.local_addr();
        let senders = [(); 2].map(|()| {
            let sender = StdSocket::bind("127.0.0.1:0").unwrap();
            sender.connect(to).unwrap();
            sender
        });
        (reader, senders)
    }

    fn held(inbox: &mut Inbox) -> Vec<(SocketAddr, Vec<u8>)> {
        let mut all = Vec::new();
        for index in 0..inbox.len() {
            let (from, read) = inbox.datagram(index).unwrap();
            all.push((from, read.to_vec()));
        }
        all
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
    fn rows_grow_up_to_a_batch_and_to_what_was_asked_for() {
        let (reader, [sender, _]) = sockets();
        let mut inbox = Inbox::new();
        let sum = [1, 2, 4, 8, 16, 16].iter().sum();
        for (most, rows) in [(usize::MAX, [1, 2, 4, 8, 16, 16]), (3, [1, 2, 3, 3, 3, 3])] {
            let all = rows.iter().sum();
            until_a_row_of(all, || {
                inbox.begin();
                (0..sum).for_each(|_| _ = sender.send(b"x").unwrap());
                let mut came = 0;
                for row in rows {
                    let end = inbox.fill(&reader, most);
                    assert!(inbox.len() <= row);
                    assert_eq!(end == End::Full, inbox.len() == row);
                    came += inbox.len();
                }
                while inbox.fill(&reader, usize::MAX) != End::Empty {}
                came
            });
        }
    }

    #[test]
    fn however_often_it_is_filled_each_time_something_is_read() {
        let (reader, [sender, _]) = sockets();
        let mut inbox = Inbox::new();
        inbox.begin();
        // Two of these fill it, so no row gets longer.
        for _ in 0..200 {
            let before = Instant::now();
            sender.send(&[7; 40_000]).unwrap();
            while inbox.fill(&reader, usize::MAX) == End::Empty && inbox.len() == 0 {
                assert!(before.elapsed() < Duration::from_secs(20));
            }
            assert!(inbox.len() > 0);
        }
    }

    #[test]
    fn the_largest_datagrams_come_whole_however_many_there_are() {
        const LONGEST: usize = 65_507;
        let (reader, [sender, _]) = sockets();
        let mut inbox = Inbox::new();
        until_a_row_of(2, || {
            // Also so that rows are as long as can be.
            (0..4).for_each(|_| _ = inbox.fill(&reader, BATCH));
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
