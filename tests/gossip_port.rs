//! What strangers can do to a member through its gossip port: it is a process of its own here, so that its memory and
//! descriptors can be told from theirs.

#![cfg(feature = "gossip")]

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use std::{env, fs};

use butterfly::wire::zmtp::{self, Role};
use butterfly::{Butterfly, Config, ServiceConfig, Timing};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use socket2::{Domain, Socket, Type};

/// How long what has to happen may take, on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// What no traffic may cost more than, kB.
const MOST: u64 = 64 << 10;

/// Says that this process is to be the member.
const IS_MEMBER: &str = "BUTTERFLY_GOSSIP_PORT_MEMBER";

/// They measure, and use up descriptors: one at a time.
static ALONE: Mutex<()> = Mutex::new(());

fn bind() -> Butterfly {
    let mut config = Config::new((Ipv4Addr::LOCALHOST, 0).into());
    config.timing = Timing::lan();
    Butterfly::bind(config).unwrap()
}

/// Not a test: what the others start.
#[test]
#[ignore = "the others start it"]
fn a_member_in_a_process_of_its_own() {
    if env::var_os(IS_MEMBER).is_none() {
        return;
    }
    thread::spawn(|| {
        // Until nobody is there any more to end it.
        let _ = io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    let mut member = bind();
    let gossip_port = member.node().me().member.gossip_port;
    println!("\nADDR {} {gossip_port}", member.local_addr());
    let mut told = 0;
    member
        .run(|member, _| {
            let count = member.node().rumor_count();
            if count != told {
                told = count;
                println!("\nRUMORS {count}");
            }
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
}

/// A member elsewhere.
struct Elsewhere {
    child: Child,
    /// Ends it when it is dropped.
    _stdin: ChildStdin,
    swim: SocketAddr,
    gossip: SocketAddr,
    rumors: Arc<AtomicUsize>,
}

impl Elsewhere {
    fn start() -> Self {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--ignored", "--exact", "a_member_in_a_process_of_its_own"])
            .arg("--nocapture")
            .env(IS_MEMBER, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let addr = lines
            .by_ref()
            .map(Result::unwrap)
            .find_map(|line| line.strip_prefix("ADDR ").map(str::to_owned));
        let addr = addr.expect("it says where it is");
        let (swim, port) = addr.split_once(' ').unwrap();
        let rumors = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&rumors);
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if let Some(held) = line.strip_prefix("RUMORS ") {
                    count.store(held.parse().unwrap(), Ordering::SeqCst);
                }
            }
        });
        Elsewhere {
            child,
            _stdin: stdin,
            swim: swim.parse().unwrap(),
            gossip: (Ipv4Addr::LOCALHOST, port.parse().unwrap()).into(),
            rumors,
        }
    }

    /// Private memory, kB.
    fn memory(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = fs::read_to_string(path).unwrap();
        let line = status.lines().find(|it| it.starts_with("RssAnon:"));
        let number = line.unwrap().split_whitespace().nth(1);
        number.unwrap().parse().unwrap()
    }

    fn descriptors(&self) -> usize {
        let path = format!("/proc/{}/fd", self.child.id());
        fs::read_dir(path).unwrap().count()
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A member here, in a ring with the one elsewhere.
struct Here {
    member: Butterfly,
    poll: Poll,
    events: Events,
}

impl Here {
    fn join(other: &Elsewhere) -> Self {
        let mut member = bind();
        let poll = Poll::new().unwrap();
        let fd = std::os::fd::AsRawFd::as_raw_fd(&member);
        poll.registry()
            .register(&mut SourceFd(&fd), Token(0), Interest::READABLE)
            .unwrap();
        member.join(other.swim).unwrap();
        let mut here = Here {
            member,
            poll,
            events: Events::with_capacity(8),
        };
        here.until("they know each other", |it| {
            it.member.node().counts().alive == 2
        });
        here
    }

    fn until(&mut self, what: &str, mut holds: impl FnMut(&Here) -> bool) {
        let start = Instant::now();
        while !holds(self) {
            assert!(start.elapsed() < PATIENCE, "waited in vain: {what}");
            let due = self.member.deadline();
            let left = due.map(|due| due.saturating_duration_since(Instant::now()));
            let left = left.unwrap_or(PATIENCE).min(Duration::from_millis(5));
            let _ = self.poll.poll(&mut self.events, Some(left));
            self.member.process().unwrap();
            while self.member.poll_event().is_some() {}
        }
    }

    /// Tells a rumor, and waits until the other has it: how long that took.
    fn tell(&mut self, other: &Elsewhere) -> Duration {
        let start = Instant::now();
        let number = self.member.node().rumor_count() + 1;
        let group = format!("service-{number}.default").parse().unwrap();
        let config = ServiceConfig::new(group, 1, "port = 6379");
        self.member.apply_config(config).unwrap();
        self.until("the other has it", |_| {
            other.rumors.load(Ordering::SeqCst) >= number
        });
        start.elapsed()
    }
}

/// How many descriptors this process may have.
fn most_descriptors() -> usize {
    let limits = fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits.lines().find(|it| it.starts_with("Max open files"));
    let soft = line.unwrap().split_whitespace().nth(3).unwrap();
    soft.parse().unwrap_or(usize::MAX)
}

/// A stranger's connection: what it has sent of what it means to.
struct Stranger {
    socket: TcpStream,
    bytes: Arc<[u8]>,
    sent: usize,
    /// What is repeated when all was sent.
    again: usize,
}

/// Crowds of strangers that come again and again.
struct Crowd {
    stop: Arc<AtomicBool>,
    /// How many came so far.
    came: Arc<AtomicUsize>,
    thread: JoinHandle<()>,
}

/// What they send, and from where on they repeat it.
fn attacks() -> Vec<(Arc<[u8]>, usize)> {
    let hello = zmtp::hello(Role::Push);
    let mut claim = hello.to_vec();
    zmtp::header(8 << 20, &mut claim);
    let body = claim.len();
    claim.resize(body + (64 << 10), 7);
    let parts = [&hello[..], &b"\x01\x00".repeat(1_000)].concat();
    let pings = [&hello[..], &zmtp::PING.repeat(500)].concat();
    let noise: Vec<u8> = (0..4_096u32).map(|it| (it * 7 % 251) as u8).collect();
    vec![
        (Arc::from([]), 0),
        (Arc::from(&hello[..]), hello.len()),
        (Arc::from(&hello[..33]), 33),
        (Arc::from(claim), body),
        (Arc::from(parts), hello.len()),
        (Arc::from(pings), hello.len()),
        (Arc::from(noise), 0),
    ]
}

fn connect(to: SocketAddr, from: Ipv4Addr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddr::from((from, 0)).into())?;
    match socket.connect(&to.into()) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
        _ => Ok(socket.into()),
    }
}

impl Crowd {
    /// So many at the same time, from so many addresses.
    fn come(to: SocketAddr, count: usize, sources: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&stop);
        let all = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&all);
        let thread = thread::spawn(move || {
            let attacks = attacks();
            let mut strangers: Vec<Stranger> = Vec::new();
            let mut came = 0;
            while !ended.load(Ordering::SeqCst) {
                for _ in 0..200 {
                    if strangers.len() >= count {
                        break;
                    }
                    let source = came % sources;
                    let from = Ipv4Addr::new(127, 1, (source >> 8) as u8, source as u8);
                    let (bytes, again) = attacks[came % attacks.len()].clone();
                    came += 1;
                    if let Ok(socket) = connect(to, from) {
                        strangers.push(Stranger {
                            socket,
                            bytes,
                            sent: 0,
                            again,
                        });
                    }
                }
                counted.store(came, Ordering::SeqCst);
                strangers.retain_mut(Stranger::go_on);
            }
        });
        Crowd {
            stop,
            came: all,
            thread,
        }
    }

    fn came(&self) -> usize {
        self.came.load(Ordering::SeqCst)
    }

    /// How many came.
    fn end(self) -> usize {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.join().unwrap();
        self.came.load(Ordering::SeqCst)
    }
}

impl Stranger {
    /// Sends what is taken; whether the connection stands.
    fn go_on(&mut self) -> bool {
        let mut sink = [0; 512];
        match self.socket.read(&mut sink) {
            Ok(0) => return false,
            Err(error) if !is_patient(&error) => return false,
            _ => {}
        }
        if self.sent == self.bytes.len() {
            self.sent = self.again;
        }
        match self.socket.write(&self.bytes[self.sent..]) {
            Ok(len) => self.sent += len,
            Err(error) if !is_patient(&error) => return false,
            Err(_) => {}
        }
        true
    }
}

fn is_patient(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::NotConnected | ErrorKind::Interrupted
    )
}

/// Ten thousand at a time, where there are descriptors for them: more than the member keeps.
fn a_crowd_keeps_no_rumor_out_and_costs_little(sources: usize) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let count = most_descriptors().saturating_sub(200).min(10_000);
    let other = Elsewhere::start();
    let mut here = Here::join(&other);
    here.tell(&other);
    let before = other.memory();
    let crowd = Crowd::come(other.gossip, count, sources);
    let (start, mut peak, mut slowest) = (Instant::now(), 0, Duration::ZERO);
    let mut told = 0;
    let is_over = |told, came| {
        let is_long = start.elapsed() >= Duration::from_secs(6);
        // On a busy machine the crowd takes its time.
        is_long && told >= 10 && came > count || start.elapsed() > PATIENCE
    };
    while !is_over(told, crowd.came()) {
        slowest = slowest.max(here.tell(&other));
        told += 1;
        let next = Instant::now() + Duration::from_millis(50);
        here.until("it is time for the next", |_| {
            peak = peak.max(other.memory());
            Instant::now() >= next
        });
    }
    let came = crowd.end();
    println!(
        "{came} strangers from {sources} addresses, {count} at a time: {} kB at most beyond {before} kB; \
         {told} rumors, the slowest after {slowest:?}",
        peak.saturating_sub(before)
    );
    assert!(came > count, "only {came} came");
    assert!(peak <= before + MOST, "{peak} kB");
    assert!(slowest < Duration::from_secs(20), "{slowest:?}");
    here.tell(&other);
}

#[test]
#[cfg_attr(feature = "zmq", ignore = "ZeroMQ bounds nothing")]
fn a_crowd_from_one_address_keeps_no_rumor_out_and_costs_little() {
    a_crowd_keeps_no_rumor_out_and_costs_little(1);
}

#[test]
#[cfg_attr(feature = "zmq", ignore = "ZeroMQ bounds nothing")]
fn a_crowd_from_a_thousand_addresses_keeps_no_rumor_out_and_costs_little() {
    a_crowd_keeps_no_rumor_out_and_costs_little(1_000);
}

/// Each claims a message of 8 MiB and sends all of it but the last byte.
#[test]
#[cfg_attr(feature = "zmq", ignore = "ZeroMQ bounds nothing")]
fn claims_that_are_nearly_met_cost_little() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let other = Elsewhere::start();
    let mut here = Here::join(&other);
    here.tell(&other);
    let before = other.memory();
    let to = other.gossip;
    let hoards: Vec<_> = (0..40)
        .map(|_| {
            thread::spawn(move || {
                let mut claim = zmtp::hello(Role::Push).to_vec();
                zmtp::header(8 << 20, &mut claim);
                claim.resize(claim.len() + (8 << 20) - 1, 7);
                let mut socket = TcpStream::connect(to).unwrap();
                // It may be cut on the way.
                let _ = socket.write_all(&claim);
                socket
            })
        })
        .collect();
    let mut peak = 0;
    here.until("all have sent, or were cut", |_| {
        peak = peak.max(other.memory());
        hoards.iter().all(JoinHandle::is_finished)
    });
    let slowest = here.tell(&other);
    peak = peak.max(other.memory());
    println!(
        "{} kB at most beyond {before} kB; a rumor after {slowest:?}",
        peak - before
    );
    assert!(peak <= before + MOST, "{peak} kB");
    for hoard in hoards {
        drop(hoard.join().unwrap());
    }
}

#[test]
#[cfg_attr(feature = "zmq", ignore = "ZeroMQ takes 23 kB")]
fn an_idle_connection_costs_a_descriptor_and_less_than_512_bytes() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let other = Elsewhere::start();
    let count = (most_descriptors().saturating_sub(400)).min(4_000);
    let greet = || {
        let mut socket = TcpStream::connect(other.gossip).unwrap();
        socket.write_all(&zmtp::hello(Role::Push)).unwrap();
        let mut hello = [0; zmtp::HELLO];
        socket.read_exact(&mut hello).unwrap();
        assert_eq!(hello, zmtp::hello(Role::Pull));
        socket
    };
    // What the first ones take is taken once.
    let mut idle: Vec<_> = (0..16).map(|_| greet()).collect();
    let (memory, descriptors) = (other.memory(), other.descriptors());
    idle.extend((0..count).map(|_| greet()));
    assert_eq!(other.descriptors(), descriptors + count);
    let each = (other.memory() - memory) * 1_024 / count as u64;
    println!("{each} bytes for each of {count} idle connections");
    assert!(each <= 512, "{each} bytes");
}

/// With so few that a crowd uses them up, the member goes on, and its ring's rumors get through.
#[test]
#[cfg_attr(feature = "zmq", ignore = "ZeroMQ spins")]
fn without_descriptors_strangers_make_room_for_members() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    if env::var_os("BUTTERFLY_FEW_DESCRIPTORS").is_none() {
        // The limit is inherited, so the whole test runs under it.
        let ran = Command::new("sh")
            .args(["-c", "ulimit -Sn 64 && exec \"$0\" \"$@\""])
            .arg(env::current_exe().unwrap())
            .args([
                "--exact",
                "without_descriptors_strangers_make_room_for_members",
            ])
            .arg("--nocapture")
            .env("BUTTERFLY_FEW_DESCRIPTORS", "1")
            .status()
            .unwrap();
        assert!(ran.success());
        return;
    }
    let other = Elsewhere::start();
    let mut here = Here::join(&other);
    // Two processes more with as many descriptors each are more than it has.
    let crowd = |number: usize| {
        let to = other.gossip.to_string();
        Command::new(env::current_exe().unwrap())
            .args(["--ignored", "--exact", "a_crowd_in_a_process_of_its_own"])
            .env(IS_MEMBER, format!("{to} {number}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap()
    };
    let mut crowds: Vec<_> = (0..4).map(crowd).collect();
    here.until("its descriptors are used up", |_| other.descriptors() >= 60);
    let cpu = cpu_ticks(other.child.id());
    let start = Instant::now();
    for _ in 0..10 {
        let took = here.tell(&other);
        println!("a rumor after {took:?}");
        assert!(took < Duration::from_secs(20));
    }
    here.until("a while has passed", |_| {
        start.elapsed() > Duration::from_secs(2)
    });
    let share = (cpu_ticks(other.child.id()) - cpu) as f64 / 100.0 / start.elapsed().as_secs_f64();
    println!("{share:.3} of a CPU");
    for crowd in &mut crowds {
        drop(crowd.stdin.take());
        crowd.wait().unwrap();
    }
}

/// Not a test: silent connections, as many as there are descriptors, made anew when they are closed.
#[test]
#[ignore = "the others start it"]
fn a_crowd_in_a_process_of_its_own() {
    let Ok(told) = env::var(IS_MEMBER) else {
        return;
    };
    let (to, number) = told.split_once(' ').unwrap();
    let (to, number): (SocketAddr, u8) = (to.parse().unwrap(), number.parse().unwrap());
    thread::spawn(|| {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    let mut held = Vec::new();
    loop {
        while let Ok(socket) = connect(to, Ipv4Addr::new(127, 2, 0, number)) {
            held.push(Stranger {
                socket,
                bytes: Arc::from([]),
                sent: 0,
                again: 0,
            });
        }
        held.retain_mut(Stranger::go_on);
        thread::sleep(Duration::from_millis(20));
    }
}

/// What a process spent so far, in hundredths of a second.
fn cpu_ticks(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let after = stat.rsplit(") ").next().unwrap();
    let ticks = |field: usize| after.split(' ').nth(field).unwrap().parse::<u64>().unwrap();
    ticks(11) + ticks(12)
}
