//! A program with a mio loop of its own: a UDP echo service and its client, and in the same loop and thread two
//! members of a ring.
//!
//! `cargo run --example embed_mio`

use std::error::Error;
use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use butterfly::{Butterfly, Config, Event, Health, Timing};
use mio::net::UdpSocket;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

const ECHO: Token = Token(0);
const CLIENT: Token = Token(1);
/// The members' tokens begin here.
const FIRST_MEMBER: usize = 2;

/// Round trips that the client makes.
const ROUND_TRIPS: u32 = 1_000;
/// All of this takes less than a second; on a machine that is busy, more.
const PATIENCE: Duration = Duration::from_secs(30);

struct Program {
    poll: Poll,
    echo: UdpSocket,
    client: UdpSocket,
    echoed: u32,
    members: [Butterfly; 2],
}

impl Program {
    fn start() -> Result<Self, Box<dyn Error>> {
        let loopback = "127.0.0.1:0".parse()?;
        let poll = Poll::new()?;
        let registry = poll.registry();

        let mut echo = UdpSocket::bind(loopback)?;
        let mut client = UdpSocket::bind(loopback)?;
        client.connect(echo.local_addr()?)?;
        registry.register(&mut echo, ECHO, Interest::READABLE)?;
        registry.register(&mut client, CLIENT, Interest::READABLE)?;

        let mut config = Config::new(loopback);
        config.timing = Timing::local(); // for one machine; the default is Timing::lan()
        let members = [Butterfly::bind(config.clone())?, Butterfly::bind(config)?];
        for (number, member) in members.iter().enumerate() {
            // A member's one descriptor stands for all of its sockets.
            let fd = member.as_raw_fd();
            let token = Token(FIRST_MEMBER + number);
            registry.register(&mut SourceFd(&fd), token, Interest::READABLE)?;
        }
        Ok(Program {
            poll,
            echo,
            client,
            echoed: 0,
            members,
        })
    }

    /// One turn of the loop: waits for something to do, and does it.
    fn turn(&mut self, events: &mut Events) -> io::Result<()> {
        // No longer than until the first deadline. If none is due, it is the sockets that wake us.
        let deadline = self.members.iter().filter_map(Butterfly::deadline).min();
        let timeout = deadline.map(|at| at.saturating_duration_since(Instant::now()));
        match self.poll.poll(events, timeout) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => result?,
        }
        let mut woken = [false; 2];
        for event in events.iter() {
            match event.token() {
                ECHO => self.answer()?,
                CLIENT => self.hear()?,
                Token(token) => woken[token - FIRST_MEMBER] = true,
            }
        }
        // Calling one that has nothing to do is harmless, but costs a system call: a loop as busy as this one saves it.
        let now = Instant::now();
        for (member, woken) in self.members.iter_mut().zip(woken) {
            if woken || member.deadline().is_some_and(|due| due <= now) {
                member.process()?;
            }
        }
        Ok(())
    }

    /// The service.
    fn answer(&self) -> io::Result<()> {
        let mut buf = [0; 512];
        while let Some((len, from)) = unless_empty(self.echo.recv_from(&mut buf))? {
            self.echo.send_to(&buf[..len], from)?;
        }
        Ok(())
    }

    /// The client, which asks again as soon as it is answered.
    fn hear(&mut self) -> io::Result<()> {
        let mut buf = [0; 512];
        while let Some(len) = unless_empty(self.client.recv(&mut buf))? {
            assert_eq!(buf[..len], self.echoed.to_be_bytes());
            self.echoed += 1;
            if self.echoed < ROUND_TRIPS {
                self.ask()?;
            }
        }
        Ok(())
    }

    fn ask(&self) -> io::Result<()> {
        self.client.send(&self.echoed.to_be_bytes()).map(drop)
    }
}

fn unless_empty<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        result => result.map(Some),
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let began = Instant::now();
    let mut program = Program::start()?;
    let mut events = Events::with_capacity(64);
    let seed = program.members[0].local_addr();
    let leaver = program.members[1].node().id();
    program.members[1].join(seed)?;
    program.ask()?;

    let (mut met, mut left, mut told) = (false, false, false);
    while !(told && left && program.echoed == ROUND_TRIPS) {
        if began.elapsed() > PATIENCE {
            return Err(format!(
                "not done after {PATIENCE:?}: met {met}, left {left}, told {told}"
            )
            .into());
        }
        program.turn(&mut events)?;

        let [seed, other] = &mut program.members;
        while let Some(event) = seed.poll_event() {
            match event {
                Event::MemberChanged { id, to, cause, .. } if id == leaver => {
                    println!("{:?}: {id} is {to}: {cause}", began.elapsed());
                    told |= to == Health::Departed;
                    if to == Health::Alive && !met {
                        met = true;
                        // Both have met: the younger one says good-bye.
                        other.leave();
                    }
                }
                _ => {}
            }
        }
        while let Some(event) = other.poll_event() {
            // Who is told to depart for good does not stay either.
            left |= matches!(event, Event::Left | Event::Expelled);
        }
    }
    println!("{} round trips of the echo meanwhile", program.echoed);
    Ok(())
}

#[test]
fn it_runs() {
    main().unwrap();
}
