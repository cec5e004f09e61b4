//! Members of one ring, a process each: this program once more, which is told what to do over a pipe.

use std::env;
use std::io::{self, BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::str::FromStr;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use butterfly::MemberId;

use super::child::{self, CHILD};
use super::members::{Counts, Kind, Members, Usage};
use super::orders::{Order, Until};
use kit::machine;

/// A process that obeys lines, and answers in lines.
struct Worker {
    process: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Worker {
    fn start(args: &[String]) -> io::Result<Worker> {
        let mut process = Command::new(env::current_exe()?)
            .arg(CHILD)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (Some(orders), Some(answers)) = (process.stdin.take(), process.stdout.take()) else {
            return Err(io::Error::other("a process was started without its pipes"));
        };
        Ok(Worker {
            process,
            orders,
            answers: BufReader::new(answers),
        })
    }

    fn tell(&mut self, line: &str) -> io::Result<()> {
        // One write, so that it is read at once.
        self.orders.write_all(format!("{line}\n").as_bytes())
    }

    /// What follows this word in the next line.
    fn hear(&mut self, word: &str) -> io::Result<String> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        match line.trim_end().strip_prefix(word) {
            Some(rest) => Ok(rest.trim_start().to_owned()),
            None => Err(io::Error::other(format!(
                "a member in its own process said `{}` instead of `{word}`",
                line.trim_end()
            ))),
        }
    }

    fn pid(&self) -> String {
        self.process.id().to_string()
    }

    /// At once, without a word.
    fn kill(&mut self) -> io::Result<()> {
        self.process.kill()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Whether it still runs or not.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// As the members' processes read it, too.
fn now() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

fn words<T: FromStr>(line: &str) -> io::Result<Vec<T>> {
    let words = line.split(' ').map(|word| {
        let garbled = |_| io::Error::other(format!("a member in its own process said `{line}`"));
        word.parse().map_err(garbled)
    });
    words.collect()
}

/// A process a member.
pub struct Apart {
    members: Vec<(Worker, MemberId, SocketAddr)>,
    kind: Kind,
}

impl Apart {
    /// All are started and bound, and then wait.
    pub fn bind(members: usize, kind: Kind) -> io::Result<Apart> {
        let mut apart = Apart {
            members: Vec::with_capacity(members),
            kind,
        };
        for _ in 0..members {
            apart.add()?;
        }
        Ok(apart)
    }

    fn hear_times(&mut self, start: Duration) -> io::Result<Vec<Duration>> {
        let mut times = Vec::with_capacity(self.members.len());
        for (worker, ..) in &mut self.members {
            let nanos = words::<u64>(&worker.hear("held")?)?[0];
            times.push(Duration::from_nanos(nanos).saturating_sub(start));
        }
        times.sort_unstable();
        Ok(times)
    }

    fn tell_all(&mut self, line: &str) -> io::Result<()> {
        let mut members = self.members.iter_mut();
        members.try_for_each(|(worker, ..)| worker.tell(line))
    }
}

impl Members for Apart {
    fn count(&self) -> usize {
        self.members.len()
    }

    fn who(&self, number: usize) -> (MemberId, SocketAddr) {
        let (_, id, addr) = &self.members[number];
        (*id, *addr)
    }

    fn add(&mut self) -> io::Result<()> {
        let mut worker = Worker::start(&child::args(self.members.len(), self.kind))?;
        let bound = worker.hear("bound")?;
        let (id, addr) = bound.split_once(' ').unwrap_or_default();
        let (id, addr) = (words(id)?[0], words(addr)?[0]);
        self.members.push((worker, id, addr));
        Ok(())
    }

    fn order(&mut self, orders: &[(usize, Order)], until: &Until) -> io::Result<Vec<Duration>> {
        // Who is told what to await answers once it has understood, so that this does not count.
        if !orders.is_empty() {
            self.tell_all(&format!("after {until}"))?;
            for (worker, ..) in &mut self.members {
                worker.hear("ready")?;
            }
        }
        let start = now();
        for (number, order) in orders {
            self.members[*number].0.tell(&order.to_string())?;
        }
        if orders.is_empty() {
            self.tell_all(&format!("await {until}"))?;
        }
        self.hear_times(start)
    }

    fn kill_last(&mut self, until: &Until) -> io::Result<Vec<Duration>> {
        let Some((mut last, ..)) = self.members.pop() else {
            return Ok(Vec::new());
        };
        self.tell_all(&format!("after {until}"))?;
        for (worker, ..) in &mut self.members {
            worker.hear("ready")?;
        }
        let start = now();
        last.kill()?;
        self.hear_times(start)
    }

    fn run_for(&mut self, time: Duration) -> io::Result<()> {
        thread::sleep(time);
        Ok(())
    }

    fn counts(&mut self) -> io::Result<Counts> {
        let mut sum = Counts::default();
        self.tell_all("count")?;
        for (worker, ..) in &mut self.members {
            let counts = words::<u64>(&worker.hear("counted")?)?;
            let [wakes, datagrams, bytes, rumor_bytes, connections] = counts[..] else {
                return Err(io::Error::other("a member told too few counts"));
            };
            sum.wakes += wakes;
            sum.datagrams += datagrams;
            sum.bytes += bytes;
            sum.rumor_bytes += rumor_bytes;
            sum.connections += connections;
        }
        Ok(sum)
    }

    fn usage(&self) -> Usage {
        usage(self.members.iter().map(|(worker, ..)| worker.pid()))
    }
}

/// CPU of all, and what is in the middle of the rest.
fn usage(pids: impl Iterator<Item = String>) -> Usage {
    let pids: Vec<_> = pids.collect();
    let middle = |what: &dyn Fn(&str) -> u64| {
        let mut values: Vec<_> = pids.iter().map(|pid| what(pid)).collect();
        values.sort_unstable();
        values
            .get(values.len() / 2)
            .map_or(f64::NAN, |it| *it as f64)
    };
    Usage {
        cpu: pids.iter().map(|pid| machine::cpu_of_process(pid)).sum(),
        private: middle(&machine::private_memory),
        resident: middle(&machine::resident_memory),
        threads: middle(&|pid| machine::threads(pid) as u64),
        descriptors: middle(&|pid| machine::descriptors(pid) as u64),
    }
}

/// The floor: as many processes that hold one socket each, and once a second ask the next one for an answer.
pub struct Floor {
    workers: Vec<Worker>,
}

impl Floor {
    /// Datagrams of so many bytes; with none, they only sleep.
    pub fn start(
        members: usize,
        sizes: Option<(usize, usize)>,
        pause: Duration,
    ) -> io::Result<Floor> {
        let mut floor = Floor {
            workers: Vec::with_capacity(members),
        };
        let mut addrs: Vec<SocketAddr> = Vec::with_capacity(members);
        for _ in 0..members {
            let mut worker = Worker::start(&child::floor_args(sizes))?;
            addrs.push(words(&worker.hear("bound")?)?[0]);
            floor.workers.push(worker);
        }
        for (number, worker) in floor.workers.iter_mut().enumerate() {
            worker.tell(&addrs[(number + 1) % members].to_string())?;
            // They do not all ask at the same time.
            thread::sleep(pause);
        }
        Ok(floor)
    }

    pub fn usage(&self) -> Usage {
        usage(self.workers.iter().map(Worker::pid))
    }
}
