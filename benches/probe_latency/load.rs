//! Who keeps a member, or the echo, busy while it is measured: a thread of its own, which sends datagrams at an
//! even pace and, if it is to, rumors.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use butterfly::wire::RingKey;
use butterfly::{Injector, Rumor, ServiceConfig};

use kit::echo::{Client, asking};
use kit::known::observer_ping;
use kit::machine;

/// Datagrams a second.
pub const DATAGRAMS: u32 = 10_000;
/// Rumors a second.
pub const RUMORS: u32 = 100;

/// Groups whose configurations change.
const GROUPS: u64 = 20;
/// Between two looks at what is due: so short that datagrams come nearly one by one.
const NAP: Duration = Duration::from_micros(50);

/// Who is kept busy.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Target {
    Nobody,
    Echo,
    Member,
    /// With rumors too.
    MemberGossiping,
    /// The thread ends.
    End,
}

impl Target {
    const ALL: [Target; 5] = [
        Target::Nobody,
        Target::Echo,
        Target::Member,
        Target::MemberGossiping,
        Target::End,
    ];
}

/// The thread, from outside.
pub struct Load {
    target: Arc<AtomicU8>,
    thread: JoinHandle<io::Result<()>>,
}

/// What the thread has.
struct Sender {
    member: (Client, Vec<u8>),
    echo: (Client, Vec<u8>),
    injector: Injector,
    rumors: u64,
}

impl Load {
    /// A thread on these CPUs.
    pub fn start(
        cpus: Vec<u32>,
        keys: &[RingKey],
        member: SocketAddr,
        echo: SocketAddr,
    ) -> io::Result<Load> {
        let within = Duration::from_secs(5);
        let injector =
            Injector::connect(member, keys.first().cloned(), within).map_err(io::Error::other)?;
        let ping = observer_ping(keys);
        let mut sender = Sender {
            echo: (Client::connect(echo)?, asking(ping.len(), ping.len())),
            member: (Client::connect(member)?, ping),
            injector,
            rumors: 0,
        };
        let target = Arc::new(AtomicU8::new(Target::Nobody as u8));
        let asked = Arc::clone(&target);
        let thread = thread::spawn(move || {
            // Where it may not choose, it runs where it is put.
            let _ = machine::pin(&cpus);
            sender.run(|| Target::ALL[usize::from(asked.load(Ordering::Relaxed))])
        });
        Ok(Load { target, thread })
    }

    /// Whom it keeps busy from now on.
    pub fn aim(&self, target: Target) {
        self.target.store(target as u8, Ordering::Relaxed);
    }

    pub fn end(self) -> io::Result<()> {
        self.aim(Target::End);
        let ended = self.thread.join();
        ended.map_err(|_| io::Error::other("the thread that makes the load panicked"))?
    }
}

impl Sender {
    fn run(&mut self, target: impl Fn() -> Target) -> io::Result<()> {
        let (mut last, mut due) = (Instant::now(), [0.0, 0.0]);
        loop {
            let target = target();
            let passed = last.elapsed().as_secs_f64();
            last = Instant::now();
            let rumors = if target == Target::MemberGossiping {
                RUMORS
            } else {
                0
            };
            for (due, rate) in due.iter_mut().zip([DATAGRAMS, rumors]) {
                // What was slept through is not made up for in one burst.
                *due = (*due + passed * f64::from(rate)).min(f64::from(rate) / 1_000.0 + 1.0);
            }
            match target {
                Target::End => return Ok(()),
                Target::Nobody => due = [0.0, 0.0],
                Target::Echo | Target::Member | Target::MemberGossiping => {
                    while due[0] >= 1.0 {
                        due[0] -= 1.0;
                        self.ping(target == Target::Echo)?;
                    }
                    while due[1] >= 1.0 {
                        due[1] -= 1.0;
                        self.tell()?;
                    }
                }
            }
            thread::sleep(NAP);
        }
    }

    fn ping(&mut self, echo: bool) -> io::Result<()> {
        let (client, ping) = if echo {
            &mut self.echo
        } else {
            &mut self.member
        };
        client.socket.send(ping)?;
        while client.receive()? {}
        Ok(())
    }

    fn tell(&mut self) -> io::Result<()> {
        self.rumors += 1;
        let group = format!("load{}.default", self.rumors % GROUPS);
        let group = group.parse().map_err(io::Error::other)?;
        let config = ServiceConfig::new(group, self.rumors, vec![b'#'; 200]);
        let config = Rumor::ServiceConfig(config);
        self.injector.push(&config).map_err(io::Error::other)
    }
}
