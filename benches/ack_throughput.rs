//! How many pings a member answers, beside a bare echo of the same sizes.

use kit::args;
use kit::machine;
use std::io;
use std::ops::ControlFlow;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use butterfly::{Butterfly, RingKey};
use kit::args::Args;
use kit::echo::{Client, Echo, STOP, asking};
use kit::known::{Known, keys, passive};
use kit::report::{Column, Report};
use kit::times::Times;
use mio::Waker;

const HELP: &str = "\
cargo bench --bench ack_throughput [-- WORD...]: pings flooded at a running member by others that it knows, beside
the floor: a bare mio echo of the same sizes, which reads and answers several in a row, as a member does. On one thread, a
batch lies in the socket before the member's turn, and only its turn is timed, by the clock: acks per CPU-second are those
of a member that never sleeps; on two, pings keep coming, a window of them unanswered, and the CPU is the answering
thread's by the system's count. Only the rows whose names have a WORD in them.

  --seconds N     how long each row is measured (3)
  --members N     members of the large ring (10000)";

/// Members that ping, from as many sockets.
const SENDERS: u32 = 8;
/// Pings of each in a batch: all of them are fewer than a member reads in one call.
const EACH: usize = 16;
const BATCH: usize = SENDERS as usize * EACH;
/// Batches in a row of which nothing but Acks came: nothing else is left to be said.
const QUIET: usize = 50;
/// Pings that wait for their Acks while they keep coming.
const WINDOW: usize = 64;
/// The window is lost if nothing comes for so long.
const PATIENCE: Duration = Duration::from_millis(200);
const COLUMNS: [Column; 4] = [
    ("acks/CPU-s", 0),
    ("us CPU/ack", 3),
    ("acks/s", 0),
    ("acks/CPU-s 2", 0),
];

fn main() -> ExitCode {
    args::conclude(run())
}

fn run() -> io::Result<()> {
    let Some(mut args) = Args::read(HELP) else {
        return Ok(());
    };
    let seconds = args.number("--seconds");
    let large = args.number("--members").map(|members| members as u32);
    let (seconds, large) = if args.measure {
        (seconds.unwrap_or(3.0), large.unwrap_or(10_000))
    } else {
        (0.01, 100)
    };
    let mut bench = Bench {
        report: Report::new("ack_throughput", "microseconds of CPU for an Ack", &args),
        cpus: machine::cpus(),
        time: Duration::from_secs_f64(seconds),
        args,
    };
    let title = "a flood of pings; the last two columns with the pings coming from another thread";
    bench.report.table(title, &COLUMNS);
    for sealed in [false, true] {
        for records in [0, 6] {
            for members in [20, large] {
                bench.flood(sealed, records, members)?;
            }
        }
    }
    bench.report.finish()
}

struct Bench {
    args: Args,
    report: Report,
    cpus: Vec<u32>,
    /// For each row, and for each of the ways to measure.
    time: Duration,
}

/// What was found of one side.
struct Found {
    /// CPU time for one Ack, batch by batch.
    batches: Times,
    acks: f64,
    acks_of_cpu: f64,
}

impl Found {
    fn row(&self) -> [f64; 4] {
        let micros = self.batches.median(1e3);
        [1e6 / micros, micros, self.acks, self.acks_of_cpu]
    }
}

/// Who answers, if it is called.
trait Answers {
    fn answer(&mut self) -> io::Result<()>;
}

impl Answers for Butterfly {
    fn answer(&mut self) -> io::Result<()> {
        self.process()
    }
}

impl Answers for Echo {
    fn answer(&mut self) -> io::Result<()> {
        self.process(Some(Duration::ZERO))
    }
}

/// A member of a ring of that many, and those that ping it; nothing is news.
struct Flood {
    member: Butterfly,
    senders: Vec<Known>,
    pings: Vec<Vec<u8>>,
    ack_len: usize,
}

impl Flood {
    fn new(keys: &[RingKey], records: u32, members: u32) -> io::Result<Flood> {
        let mut member = passive(keys)?;
        let to = (member.local_addr(), member.node().id());
        let mut senders = Vec::new();
        for number in 1..=SENDERS {
            senders.push(Known::join(number, keys, to, || member.process())?);
        }
        let others = SENDERS + 1..members;
        let two = senders
            .first_chunk_mut()
            .map(|two| Known::tell(two, others.clone(), || member.process()));
        two.unwrap_or(Ok(()))?;
        let pings = (0..SENDERS).map(|number| {
            let first = others.start + number % (others.len() as u32 - records + 1);
            senders[number as usize].ping(first..first + records)
        });
        let pings = pings.collect();
        let mut flood = Flood {
            member,
            senders,
            pings,
            ack_len: 0,
        };
        // What is news is told, and those that ask have been told the table.
        let mut quiet = 0;
        while quiet < QUIET {
            let whole = flood.batch()?.is_some();
            quiet = if whole && flood.member.node().news() == 0 {
                quiet + 1
            } else {
                0
            };
        }
        let alive = flood.member.node().counts().alive;
        assert_eq!(alive, members as usize, "all of the ring are known");
        Ok(flood)
    }

    /// A batch is sent and answered: the time of the answering, for each Ack.
    fn batch(&mut self) -> io::Result<Option<Duration>> {
        for (sender, ping) in self.senders.iter_mut().zip(&self.pings) {
            for _ in 0..EACH {
                sender.send(ping)?;
            }
        }
        let time = timed(&mut self.member)?;
        let mut acks = 0;
        for sender in &mut self.senders {
            while let Some(len) = sender.receive()? {
                self.ack_len = len;
                acks += 1;
            }
        }
        Ok((acks == BATCH).then_some(time))
    }
}

/// The time that answering a batch takes, for each Ack.
fn timed(answers: &mut impl Answers) -> io::Result<Duration> {
    let start = Instant::now();
    answers.answer()?;
    Ok(start.elapsed() / BATCH as u32)
}

/// The same batch for the echo.
fn echo_batch(
    echo: &mut Echo,
    clients: &mut [Client],
    ping: &[u8],
) -> io::Result<Option<Duration>> {
    for client in &*clients {
        for _ in 0..EACH {
            client.socket.send(ping)?;
        }
    }
    let time = timed(echo)?;
    let mut answers = 0;
    for client in clients {
        while client.receive()? {
            answers += 1;
        }
    }
    Ok((answers == BATCH).then_some(time))
}

/// Has a window of pings unanswered for so long; the Acks that came.
fn keep_window(
    time: Duration,
    mut send: impl FnMut(usize) -> io::Result<()>,
    mut receive: impl FnMut() -> io::Result<usize>,
) -> io::Result<usize> {
    let start = Instant::now();
    let (mut sent, mut came, mut lost) = (0, 0, 0);
    let mut last = start;
    while start.elapsed() < time {
        while sent < came + lost + WINDOW {
            send(sent)?;
            sent += 1;
        }
        let more = receive()?;
        came += more;
        if more > 0 {
            last = Instant::now();
        } else if last.elapsed() > PATIENCE {
            // Whatever was under way is gone.
            (lost, last) = (sent - came, Instant::now());
        } else {
            thread::yield_now();
        }
    }
    Ok(came)
}

/// Acks a second and CPU-second of the thread that answers.
fn rates(acks: usize, time: Duration, cpu: Duration) -> (f64, f64) {
    let acks = acks as f64;
    (acks / time.as_secs_f64(), acks / cpu.as_secs_f64())
}

impl Bench {
    fn flood(&mut self, sealed: bool, records: u32, members: u32) -> io::Result<()> {
        let name = format!(
            "{}, {records} records, {members} members",
            if sealed { "sealed" } else { "plain" }
        );
        if !self.args.wants(&name) {
            return Ok(());
        }
        let keys = keys(sealed)?;
        let mut flood = Flood::new(&keys, records, members)?;
        let ping_len = flood.senders[0].sent_len(&flood.pings[0]);
        let ping = asking(ping_len, flood.ack_len);
        let mut echo = Echo::bind()?;
        let to = echo.local_addr()?;
        let clients = (0..SENDERS).map(|_| Client::connect(to));
        let mut clients = clients.collect::<io::Result<Vec<_>>>()?;
        let (mut floor, mut ours) = (Times::new(), Times::new());
        let start = Instant::now();
        while start.elapsed() < self.time * 2 {
            floor.record(echo_batch(&mut echo, &mut clients, &ping)?);
            ours.record(flood.batch()?);
        }
        let sizes = format!("{} and {} bytes", ping.len(), flood.ack_len);
        let (acks, acks_of_cpu) = self.flood_echo(echo, &mut clients, &ping)?;
        let floor = Found {
            batches: floor,
            acks,
            acks_of_cpu,
        };
        let (acks, acks_of_cpu) = self.flood_member(flood)?;
        let ours = Found {
            batches: ours,
            acks,
            acks_of_cpu,
        };
        let (echo, member) = (floor.row(), ours.row());
        let report = &mut self.report;
        report.row(&format!("{name}, echo"), &echo);
        report.row(&format!("{name}, member"), &member);
        report.ratio(&format!("{name}, ratio"), &member, &echo);
        report.note(&format!("  ping and Ack: {sizes}"));
        if floor.batches.lost + ours.batches.lost > 0 {
            let (echo, member) = (floor.batches.lost, ours.batches.lost);
            report.note(&format!(
                "  batches with losses: echo {echo}, member {member}"
            ));
        }
        let (floor, ours) = (&floor.batches.nanos, &ours.batches.nanos);
        report.curves(&name, ("echo", floor), ("member", ours), 1e3);
        Ok(())
    }

    /// The CPU of who answers, and those of who asks.
    fn places(&self) -> (Vec<u32>, Vec<u32>) {
        let (first, rest) = self
            .cpus
            .split_first()
            .map_or((0, &[][..]), |(it, rest)| (*it, rest));
        (
            vec![first],
            if rest.is_empty() {
                vec![first]
            } else {
                rest.to_vec()
            },
        )
    }

    fn flood_echo(
        &self,
        mut echo: Echo,
        clients: &mut [Client],
        ping: &[u8],
    ) -> io::Result<(f64, f64)> {
        let (here, there) = self.places();
        let stop = Waker::new(echo.poll.registry(), STOP)?;
        let answering = thread::spawn(move || {
            let _ = machine::pin(&here);
            let before = machine::cpu_of_thread();
            echo.run()?;
            Ok::<_, io::Error>(machine::cpu_of_thread().saturating_sub(before))
        });
        let _ = machine::pin(&there);
        let clients = std::cell::RefCell::new(clients);
        let acks = keep_window(
            self.time,
            |number| {
                let clients = clients.borrow();
                clients[number % clients.len()].socket.send(ping).map(drop)
            },
            || {
                let mut came = 0;
                for client in clients.borrow_mut().iter_mut() {
                    while client.receive()? {
                        came += 1;
                    }
                }
                Ok(came)
            },
        )?;
        stop.wake()?;
        let _ = machine::pin(&self.cpus);
        let cpu = answering.join();
        let cpu = cpu.map_err(|_| io::Error::other("the echo's thread panicked"))??;
        Ok(rates(acks, self.time, cpu))
    }

    fn flood_member(&self, flood: Flood) -> io::Result<(f64, f64)> {
        let (here, there) = self.places();
        let Flood {
            mut member,
            senders,
            pings,
            ..
        } = flood;
        let handle = member.handle()?;
        let answering = thread::spawn(move || {
            let _ = machine::pin(&here);
            let before = machine::cpu_of_thread();
            member.run(|_, _| ControlFlow::Continue(()))?;
            Ok::<_, io::Error>(machine::cpu_of_thread().saturating_sub(before))
        });
        let _ = machine::pin(&there);
        let senders = std::cell::RefCell::new(senders);
        let acks = keep_window(
            self.time,
            |number| {
                let place = number % pings.len();
                senders.borrow_mut()[place].send(&pings[place])
            },
            || {
                let mut came = 0;
                for sender in senders.borrow_mut().iter_mut() {
                    while sender.receive()?.is_some() {
                        came += 1;
                    }
                }
                Ok(came)
            },
        )?;
        handle.stop()?;
        let _ = machine::pin(&self.cpus);
        let cpu = answering.join();
        let cpu = cpu.map_err(|_| io::Error::other("the member's thread panicked"))??;
        Ok(rates(acks, self.time, cpu))
    }
}
