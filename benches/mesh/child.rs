//! A member in a process of its own, which obeys the lines that come to its standard input; and the floor, a
//! process that does next to nothing.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use butterfly::{Butterfly, Config};
use mio::net::UdpSocket;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

use super::members::{Kind, PATIENCE};
use super::orders::{Order, Until, gauge};
use butterfly_bin::memory::Memory;
use kit::echo::{self, LOCAL};

/// The first argument of such a process.
pub const CHILD: &str = "--child";
const MEMBER: Token = Token(0);
const ORDERS: Token = Token(1);
const SECOND: Duration = Duration::from_secs(1);

/// The arguments of the process of a member.
pub fn args(number: usize, kind: Kind) -> Vec<String> {
    let Kind { gossip, local } = kind;
    vec![format!("m{number}"), gossip.to_string(), local.to_string()]
}

/// The arguments of a process of the floor.
pub fn floor_args(sizes: Option<(usize, usize)>) -> Vec<String> {
    let (ping, ack) = sizes.unwrap_or((0, 0));
    vec![ping.to_string(), ack.to_string()]
}

/// What a process does that has these arguments, its first one aside. It ends when nobody can give it orders
/// any more.
pub fn run(args: &[String]) -> io::Result<()> {
    match args {
        [name, gossip, local] => {
            let kind = Kind {
                gossip: gossip == "true",
                local: local == "true",
            };
            Worker::bind(name, kind)?.run()
        }
        [ping, ack] => floor(number(ping)?, number(ack)?),
        _ => Err(io::Error::other("only this benchmark itself starts this")),
    }
}

fn number(word: &str) -> io::Result<usize> {
    word.parse().map_err(io::Error::other)
}

/// The lines that come, and those that go.
struct Pipes {
    orders: File,
    answers: File,
    /// What came and is no whole line yet.
    begun: Vec<u8>,
}

impl Pipes {
    /// Both, where reading makes the poll tell of what comes.
    fn open(poll: &Poll) -> io::Result<Pipes> {
        let orders = File::from(io::stdin().as_fd().try_clone_to_owned()?);
        let answers = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        let mut source = SourceFd(&orders.as_raw_fd());
        poll.registry()
            .register(&mut source, ORDERS, Interest::READABLE)?;
        Ok(Pipes {
            orders,
            answers,
            begun: Vec::new(),
        })
    }

    /// The lines that came, if the poll said that some did; `None`: no more can come.
    fn read(&mut self) -> io::Result<Option<Vec<String>>> {
        let mut buf = [0; 4_096];
        let len = self.orders.read(&mut buf)?;
        if len == 0 {
            return Ok(None);
        }
        self.begun.extend(&buf[..len]);
        let mut lines = Vec::new();
        while let Some(end) = self.begun.iter().position(|byte| *byte == b'\n') {
            let line: Vec<_> = self.begun.drain(..=end).collect();
            lines.push(String::from_utf8_lossy(&line[..end]).into_owned());
        }
        Ok(Some(lines))
    }

    fn say(&mut self, line: &str) -> io::Result<()> {
        self.answers.write_all(format!("{line}\n").as_bytes())
    }
}

/// A member that obeys.
struct Worker {
    member: Butterfly,
    poll: Poll,
    events: Events,
    pipes: Pipes,
    /// What is awaited, and until when.
    until: Option<(Until, Instant)>,
    wakes: u64,
    /// As the program does it.
    memory: Memory,
}

impl Worker {
    fn bind(name: &str, kind: Kind) -> io::Result<Worker> {
        let mut config = Config::new(LOCAL);
        config.name = name.to_owned();
        kind.configure(&mut config);
        let member = Butterfly::bind(config).map_err(io::Error::other)?;
        let poll = Poll::new()?;
        poll.registry().register(
            &mut SourceFd(&member.as_raw_fd()),
            MEMBER,
            Interest::READABLE,
        )?;
        let mut pipes = Pipes::open(&poll)?;
        pipes.say(&format!(
            "bound {} {}",
            member.node().id(),
            member.local_addr()
        ))?;
        Ok(Worker {
            member,
            poll,
            events: Events::with_capacity(4),
            pipes,
            until: None,
            wakes: 0,
            memory: Memory::default(),
        })
    }

    fn run(mut self) -> io::Result<()> {
        loop {
            let give_up = self.until.as_ref().map(|(_, give_up)| *give_up);
            let due = [self.member.deadline(), self.memory.deadline(), give_up];
            let due = due.into_iter().flatten().min();
            let timeout = due.map(|due| due.saturating_duration_since(Instant::now()));
            echo::wait(&mut self.poll, &mut self.events, timeout)?;
            if self.events.iter().any(|event| event.token() == ORDERS) && !self.obey()? {
                return Ok(());
            }
            self.wakes += 1;
            self.member.process()?;
            while self.member.poll_event().is_some() {}
            self.memory.turn(Instant::now(), &self.member);
            self.report()?;
        }
    }

    /// Says when what is awaited came true.
    fn report(&mut self) -> io::Result<()> {
        let Some((until, give_up)) = &self.until else {
            return Ok(());
        };
        let line = if until.holds(&self.member) {
            let now = SystemTime::now().duration_since(UNIX_EPOCH);
            format!("held {}", now.unwrap_or_default().as_nanos())
        } else if *give_up <= Instant::now() {
            format!("waited in vain: {until}")
        } else {
            return Ok(());
        };
        self.until = None;
        self.pipes.say(&line)
    }

    /// Does what it is told; whether it may be told more.
    fn obey(&mut self) -> io::Result<bool> {
        let Some(lines) = self.pipes.read()? else {
            return Ok(false);
        };
        for line in lines {
            match line.split_once(' ').unwrap_or((&line, "")) {
                ("await", until) => self.until = Some((until.parse()?, Instant::now() + PATIENCE)),
                ("after", until) => {
                    self.until = Some((until.parse()?, Instant::now() + PATIENCE));
                    self.pipes.say("ready")?;
                }
                ("count", _) => self.count()?,
                _ => line.parse::<Order>()?.carry_out(&mut self.member)?,
            }
        }
        Ok(true)
    }

    fn count(&mut self) -> io::Result<()> {
        let stats = self.member.node().stats();
        let line = format!(
            "counted {} {} {} {} {}",
            self.wakes,
            stats.sent_total(),
            stats.bytes_sent,
            stats.rumor_bytes_sent,
            gauge(&self.member, "connections")
        );
        self.pipes.say(&line)
    }
}

/// Answers, and asks once a second the one that it is told; without sizes, it only sleeps.
fn floor(ping: usize, ack: usize) -> io::Result<()> {
    let mut poll = Poll::new()?;
    let mut socket = UdpSocket::bind(LOCAL)?;
    poll.registry()
        .register(&mut socket, MEMBER, Interest::READABLE)?;
    let mut pipes = Pipes::open(&poll)?;
    pipes.say(&format!("bound {}", socket.local_addr()?))?;
    let mut events = Events::with_capacity(4);
    let mut buf = [0; 2_048];
    let mut asking: Option<(SocketAddr, Instant)> = None;
    loop {
        let timeout = asking.map(|(_, due)| due.saturating_duration_since(Instant::now()));
        echo::wait(&mut poll, &mut events, timeout)?;
        if events.iter().any(|event| event.token() == ORDERS) {
            let Some(lines) = pipes.read()? else {
                return Ok(());
            };
            let next = lines.first().and_then(|line| line.parse().ok());
            asking = next.filter(|_| ping > 0).map(|next| (next, Instant::now()));
        }
        while let Ok((len, from)) = socket.recv_from(&mut buf) {
            if len > 0 && buf[0] == b'?' {
                socket.send_to(&vec![b'!'; ack], from)?;
            }
        }
        if let Some((next, due)) = &mut asking
            && *due <= Instant::now()
        {
            *due += SECOND;
            socket.send_to(&vec![b'?'; ping], *next)?;
        }
    }
}
