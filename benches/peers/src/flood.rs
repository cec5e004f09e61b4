//! Pings flooded at whoever answers them on a socket, in the two ways of `ack_throughput`.

use std::io::{self, ErrorKind};
use std::thread;
use std::time::{Duration, Instant};

use mio::net::UdpSocket;

use kit::{counting, machine};

/// Pings of each sender in a batch: all of them are fewer than a butterfly reads in one call.
pub const EACH: usize = 16;
/// Pings that wait for their Acks while they keep coming.
const WINDOW: usize = 64;
/// The window is lost if nothing comes for so long.
const PATIENCE: Duration = Duration::from_millis(200);

/// Answers pings.
pub trait Answers: Send {
    /// Answers all that has come; false: that cannot be had, only [`run`](Answers::run).
    fn answer(&mut self) -> io::Result<bool>;

    /// What has another thread's `run` end; it has to live until then.
    fn stopper(&mut self) -> io::Result<Box<dyn Fn() -> io::Result<()>>>;

    /// Answers until it is stopped.
    fn run(&mut self) -> io::Result<()>;
}

/// One that pings, from a socket that is connected to the member.
pub struct Sender {
    pub socket: UdpSocket,
    pub ping: Vec<u8>,
}

/// Who answers, and those that ping it.
pub struct Side {
    pub answers: Box<dyn Answers>,
    pub senders: Vec<Sender>,
    /// Bytes of the last answer.
    pub ack_len: usize,
}

/// What an Ack costs while the pings come from another thread.
#[derive(Clone, Copy)]
pub struct Rate {
    pub acks_of_cpu: f64,
    pub allocations: f64,
    /// Bytes of an Ack.
    pub ack_len: usize,
}

impl Sender {
    /// The length of the next answer, if there is one.
    pub fn receive(&mut self) -> io::Result<Option<usize>> {
        match self.socket.recv(&mut [0; 2_048]) {
            Ok(len) => Ok(Some(len)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Side {
    /// A batch is sent and answered: the time of the answering, for each Ack; `None`: some were lost, or that
    /// cannot be had.
    pub fn batch(&mut self) -> io::Result<Option<Duration>> {
        for sender in &self.senders {
            for _ in 0..EACH {
                sender.socket.send(&sender.ping)?;
            }
        }
        let start = Instant::now();
        let answered = self.answers.answer()?;
        let batch = self.senders.len() * EACH;
        let time = start.elapsed() / batch as u32;
        let acks = self.drain()?;
        Ok((answered && acks == batch).then_some(time))
    }

    /// Takes the answers that came: how many they are.
    pub fn drain(&mut self) -> io::Result<usize> {
        let mut acks = 0;
        for sender in &mut self.senders {
            while let Some(len) = sender.receive()? {
                self.ack_len = len;
                acks += 1;
            }
        }
        Ok(acks)
    }

    /// It answers in a thread of its own, on the first of these CPUs, while pings keep coming from the others.
    pub fn keep_window(mut self, time: Duration, cpus: &[u32]) -> io::Result<Rate> {
        self.drain()?;
        let (here, there) = cpus.split_at(cpus.len().min(1));
        let there = if there.is_empty() { here } else { there };
        let stop = self.answers.stopper()?;
        let mut answers = self.answers;
        let pinned = here.to_vec();
        let answering = thread::spawn(move || {
            // Where it may not choose, it runs where it is put.
            let _ = machine::pin(&pinned);
            let (cpu, calls) = (machine::cpu_of_thread(), counting::calls());
            answers.run()?;
            let spent = machine::cpu_of_thread().saturating_sub(cpu);
            Ok::<_, io::Error>((spent, counting::calls() - calls))
        });
        let _ = machine::pin(there);
        let (acks, ack_len) = window(&mut self.senders, time)?;
        let acks = acks as f64;
        stop()?;
        let _ = machine::pin(cpus);
        let ended = answering.join();
        drop(stop);
        let (cpu, calls) =
            ended.map_err(|_| io::Error::other("the answering thread panicked"))??;
        Ok(Rate {
            acks_of_cpu: acks / cpu.as_secs_f64(),
            allocations: calls as f64 / acks,
            ack_len,
        })
    }
}

/// Has a window of pings unanswered for so long; the Acks that came, and the bytes of the last.
fn window(senders: &mut [Sender], time: Duration) -> io::Result<(usize, usize)> {
    let start = Instant::now();
    let (mut sent, mut came, mut lost, mut last) = (0, 0, 0, start);
    let mut ack_len = 0;
    while start.elapsed() < time {
        while sent < came + lost + WINDOW {
            let sender = &senders[sent % senders.len()];
            sender.socket.send(&sender.ping)?;
            sent += 1;
        }
        let before = came;
        for sender in &mut *senders {
            while let Some(len) = sender.receive()? {
                ack_len = len;
                came += 1;
            }
        }
        if came > before {
            last = Instant::now();
        } else if last.elapsed() > PATIENCE {
            // Whatever was under way is gone.
            (lost, last) = (sent - came, Instant::now());
        } else {
            thread::yield_now();
        }
    }
    Ok((came, ack_len))
}
