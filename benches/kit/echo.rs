//! The floor: a bare mio loop that answers what comes with as many bytes as it is asked for, the more of them in a row the
//! more there are, as a member does; and one that asks.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::time::{Duration, Instant};

use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token};

pub const LOCAL: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// Whoever wakes an [`Echo`] with this token stops it.
pub const STOP: Token = Token(1);

const SOCKET: Token = Token(0);
/// The most that are read before the first of them is answered.
const ROW: usize = 16;
/// The most bytes of a datagram, and of its answer.
const LARGEST: usize = 1 << 12;
const PATIENCE: Duration = Duration::from_secs(1);

/// Answers.
pub struct Echo {
    pub poll: Poll,
    pub stopped: bool,
    events: Events,
    socket: UdpSocket,
    buf: Box<[u8]>,
    /// Whom the datagrams came from that lie there, one behind the other, and where the answers are.
    held: Vec<(SocketAddr, Range<usize>)>,
}

/// A datagram of so many bytes that the echo answers with so many.
pub fn asking(len: usize, answer_len: usize) -> Vec<u8> {
    assert!(len.max(answer_len) <= LARGEST);
    let mut ping = vec![b'#'; len.max(2)];
    ping[..2].copy_from_slice(&(answer_len as u16).to_be_bytes());
    ping
}

impl Echo {
    pub fn bind() -> io::Result<Echo> {
        let poll = Poll::new()?;
        let mut socket = roomy(UdpSocket::bind(LOCAL)?);
        poll.registry()
            .register(&mut socket, SOCKET, Interest::READABLE)?;
        Ok(Echo {
            poll,
            stopped: false,
            events: Events::with_capacity(16),
            socket,
            buf: vec![0; ROW * LARGEST].into_boxed_slice(),
            held: Vec::with_capacity(ROW),
        })
    }

    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Waits for datagrams, and answers all.
    pub fn process(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        wait(&mut self.poll, &mut self.events, timeout)?;
        let mut readable = false;
        for event in &self.events {
            readable |= event.token() == SOCKET;
            self.stopped |= event.token() == STOP;
        }
        let mut most = 1;
        while readable {
            readable = self.read(most)?;
            for (from, answer) in &self.held {
                self.socket.send_to(&self.buf[answer.clone()], *from)?;
            }
            most = ROW.min(2 * most);
        }
        Ok(())
    }

    /// Reads up to so many; whether there may be more.
    fn read(&mut self, most: usize) -> io::Result<bool> {
        self.held.clear();
        let mut used = 0;
        while self.held.len() < most {
            let room = &mut self.buf[used..][..LARGEST];
            match self.socket.recv_from(room) {
                Ok((len, from)) => {
                    let answer = usize::from(u16::from_be_bytes([room[0], room[1]]));
                    // Whoever sent it: a benchmark asks for less.
                    let answer = answer.min(LARGEST);
                    self.held.push((from, used..used + answer));
                    used += len.max(answer);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Answers until it is stopped.
    pub fn run(&mut self) -> io::Result<()> {
        while !self.stopped {
            self.process(None)?;
        }
        Ok(())
    }
}

/// Asks.
pub struct Client {
    poll: Poll,
    events: Events,
    pub socket: UdpSocket,
    pub buf: Box<[u8]>,
    /// Bytes of the last answer.
    pub answer_len: usize,
}

impl Client {
    pub fn connect(to: SocketAddr) -> io::Result<Client> {
        let poll = Poll::new()?;
        let mut socket = roomy(UdpSocket::bind(LOCAL)?);
        socket.connect(to)?;
        poll.registry()
            .register(&mut socket, SOCKET, Interest::READABLE)?;
        Ok(Client {
            poll,
            events: Events::with_capacity(16),
            socket,
            buf: vec![0; 2_048].into_boxed_slice(),
            answer_len: 0,
        })
    }

    /// Whether an answer is there.
    pub fn receive(&mut self) -> io::Result<bool> {
        match self.socket.recv(&mut self.buf) {
            Ok(len) => {
                self.answer_len = len;
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Sleeps, then sends one and sleeps until the answer is there; `None`: it was lost.
    pub fn wait_round_trip(
        &mut self,
        pause: Duration,
        ping: &[u8],
    ) -> io::Result<Option<Duration>> {
        if !pause.is_zero() {
            wait(&mut self.poll, &mut self.events, Some(pause))?;
            // Late answers.
            while self.receive()? {}
        }
        let start = Instant::now();
        self.socket.send(ping)?;
        while start.elapsed() < PATIENCE {
            wait(&mut self.poll, &mut self.events, Some(PATIENCE))?;
            if self.receive()? {
                let time = start.elapsed();
                // Edge-triggered: it says so again only once there was nothing more.
                while self.receive()? {}
                return Ok(Some(time));
            }
        }
        Ok(None)
    }

    /// Sends one and works for the other side until the answer is there; `None`: it was lost.
    pub fn round_trip(
        &mut self,
        ping: &[u8],
        mut work: impl FnMut() -> io::Result<()>,
    ) -> io::Result<Option<Duration>> {
        let start = Instant::now();
        self.socket.send(ping)?;
        while start.elapsed() < PATIENCE {
            work()?;
            if self.receive()? {
                return Ok(Some(start.elapsed()));
            }
        }
        Ok(None)
    }
}

/// As the poll does; a signal only ends the wait.
pub fn wait(poll: &mut Poll, events: &mut Events, timeout: Option<Duration>) -> io::Result<()> {
    match poll.poll(events, timeout) {
        Err(error) if error.kind() == ErrorKind::Interrupted => Ok(()),
        result => result,
    }
}

/// With room for a burst, as a member's socket has.
pub fn roomy(socket: UdpSocket) -> UdpSocket {
    // Less room only loses more.
    let _ = socket2::SockRef::from(&socket).set_recv_buffer_size(4 << 20);
    socket
}
