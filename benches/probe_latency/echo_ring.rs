//! The floor of many members in one loop: as many bare sockets under one poll, each of which asks the next one.

use std::io;
use std::time::{Duration, Instant};

use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token};

use kit::echo::{self, LOCAL};
use kit::times::Times;

pub struct EchoRing {
    /// Round trips, from the ping handed to the kernel to its answer read.
    pub times: Times,
    poll: Poll,
    events: Events,
    sockets: Vec<UdpSocket>,
    asked: Vec<Option<Instant>>,
    ping: Vec<u8>,
    ack: Vec<u8>,
    next: usize,
}

impl EchoRing {
    pub fn bind(members: usize, ping: usize, ack: usize) -> io::Result<EchoRing> {
        let poll = Poll::new()?;
        let mut sockets = Vec::new();
        for number in 0..members {
            let mut socket = UdpSocket::bind(LOCAL)?;
            poll.registry()
                .register(&mut socket, Token(number), Interest::READABLE)?;
            sockets.push(socket);
        }
        Ok(EchoRing {
            times: Times::new(),
            poll,
            events: Events::with_capacity(members),
            asked: vec![None; members],
            sockets,
            ping: vec![b'?'; ping],
            ack: vec![b'!'; ack],
            next: 0,
        })
    }

    /// Each asks once a second, evenly one after the other, for so long.
    pub fn run_for(&mut self, time: Duration) -> io::Result<()> {
        let pace = Duration::from_secs(1) / self.sockets.len() as u32;
        let (end, mut due) = (Instant::now() + time, Instant::now());
        while Instant::now() < end {
            if due <= Instant::now() {
                due += pace;
                self.ask()?;
            }
            self.serve(due.saturating_duration_since(Instant::now()))?;
        }
        // The last answer may be on its way.
        self.serve(pace)
    }

    /// All ask at once; what comes within so long is answered.
    pub fn burst(&mut self, time: Duration) -> io::Result<()> {
        let end = Instant::now() + time;
        for _ in 0..self.sockets.len() {
            self.ask()?;
        }
        while Instant::now() < end {
            self.serve(end.saturating_duration_since(Instant::now()))?;
        }
        Ok(())
    }

    fn serve(&mut self, timeout: Duration) -> io::Result<()> {
        echo::wait(&mut self.poll, &mut self.events, Some(timeout))?;
        let numbers: Vec<_> = self.events.iter().map(|event| event.token().0).collect();
        for number in numbers {
            self.answer(number)?;
        }
        Ok(())
    }

    fn ask(&mut self) -> io::Result<()> {
        let (from, to) = (self.next, (self.next + 1) % self.sockets.len());
        self.next = to;
        let addr = self.sockets[to].local_addr()?;
        self.asked[from] = Some(Instant::now());
        self.sockets[from].send_to(&self.ping, addr)?;
        Ok(())
    }

    fn answer(&mut self, number: usize) -> io::Result<()> {
        let mut buf = [0; 2_048];
        loop {
            let socket = &self.sockets[number];
            match socket.recv_from(&mut buf) {
                Ok((_, from)) if buf[0] == b'?' => drop(socket.send_to(&self.ack, from)?),
                Ok(_) => {
                    let asked = self.asked[number].take();
                    self.times.record(asked.map(|asked| asked.elapsed()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }
}
