//! A member with more peers than sockets: plain ones, without our extensions, each with a PULL socket or none.

use std::collections::HashSet;
use std::env;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::process::Command;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

use butterfly::limits::{MAX_CLOSING_SOCKETS, MAX_PUSH_SOCKETS};
use butterfly::wire::{self, MemberRecord, Message};
use butterfly::{Incarnation, MemberId, RumorKind};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

use crate::harness::raw::datagram;
use crate::harness::{Mesh, PATIENCE};
use crate::support::*;

const PEERS: usize = 300;
/// Every sixth peer has no PULL socket behind its gossip port.
const DEAF: usize = 6;

struct Peer {
    id: MemberId,
    socket: UdpSocket,
    gossip_port: u16,
    pull: Option<zmq::Socket>,
}

impl Peer {
    fn new(number: usize, context: &zmq::Context, closed_port: u16) -> Self {
        let [.., high, low] = (number as u32 + 1).to_be_bytes();
        let mut id = [0xcd; 16];
        (id[0], id[1]) = (high, low);
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        socket.set_nonblocking(true).unwrap();
        let pull = (!number.is_multiple_of(DEAF)).then(|| {
            let pull = context.socket(zmq::PULL).unwrap();
            pull.set_linger(0).unwrap();
            pull.bind("tcp://127.0.0.1:0").unwrap();
            pull
        });
        let port = |pull: &zmq::Socket| {
            let endpoint = pull.get_last_endpoint().unwrap().unwrap();
            endpoint.rsplit_once(':').unwrap().1.parse().unwrap()
        };
        Peer {
            id: MemberId::from_bytes(id),
            gossip_port: pull.as_ref().map_or(closed_port, port),
            socket,
            pull,
        }
    }

    fn record(&self) -> MemberRecord<'static> {
        MemberRecord {
            id: self.id,
            incarnation: Incarnation::ZERO,
            address: None,
            swim_port: self.socket.local_addr().unwrap().port(),
            gossip_port: self.gossip_port,
            persistent: false,
            departed: false,
            probe_ping: false,
            features: 0,
            name: "",
        }
    }

    fn ping(&self, to: SocketAddr) {
        let ping = Message::Ping {
            from: self.record(),
            forward_to: None,
            probe: 0,
            digest: 0,
        };
        self.socket.send_to(&datagram(&ping, None), to).unwrap();
    }

    /// Answers all pings that have come.
    fn answer(&self) {
        let mut buf = [0; 1 << 11];
        while let Ok((len, from)) = self.socket.recv_from(&mut buf) {
            let payload = wire::open(&[], &mut buf[..len]).unwrap();
            if let Message::Ping { forward_to, .. } = wire::decode(payload).unwrap().message {
                let ack = Message::Ack {
                    from: self.record(),
                    forward_to: forward_to.map(|to| to.contact()),
                    probe: 0,
                    table: false,
                    rumors: 0,
                    reconcile: &[],
                    starting: false,
                };
                let _ = self.socket.send_to(&datagram(&ack, None), from);
            }
        }
    }

    /// Whether a configuration has come.
    fn has_config(&self) -> bool {
        let Some(pull) = &self.pull else {
            return false;
        };
        let mut found = false;
        while let Ok(mut frame) = pull.recv_bytes(zmq::DONTWAIT) {
            let rumor = wire::open(&[], &mut frame).and_then(wire::read_rumor);
            found |= rumor.unwrap().kind == Some(RumorKind::ServiceConfig);
        }
        found
    }
}

/// Plays the peers until nobody listens: tells who got a configuration.
fn play(member: SocketAddr, told: Sender<usize>, stop: Receiver<()>) {
    let context = zmq::Context::new();
    context.set_io_threads(1).unwrap();
    // Bound, so that it is nobody else's, but nobody listens.
    let closed = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    closed.bind(&any.into()).unwrap();
    let closed_port = closed.local_addr().unwrap().as_socket().unwrap().port();
    let peers: Vec<_> = (0..PEERS)
        .map(|number| Peer::new(number, &context, closed_port))
        .collect();
    let (mut poll, mut events) = (Poll::new().unwrap(), Events::with_capacity(PEERS));
    for (number, peer) in peers.iter().enumerate() {
        let fd = peer.socket.as_raw_fd();
        let registry = poll.registry();
        registry
            .register(&mut SourceFd(&fd), Token(number), Interest::READABLE)
            .unwrap();
        peer.ping(member);
    }
    let mut have = HashSet::new();
    while stop.try_recv() == Err(mpsc::TryRecvError::Empty) {
        poll.poll(&mut events, Some(Duration::from_millis(20)))
            .unwrap();
        for event in &events {
            peers[event.token().0].answer();
        }
        for (number, peer) in peers.iter().enumerate() {
            if peer.has_config() && have.insert(number) {
                told.send(number).unwrap();
            }
        }
    }
}

/// Memory of this process that it shares with nobody, bytes.
fn memory() -> usize {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = line.and_then(|line| line.trim().split(' ').next()?.parse::<usize>().ok());
    kib.unwrap_or(0) << 10
}

/// Memory is a process's, and other tests take theirs.
#[test]
fn hundreds_of_peers_with_some_out_of_reach_get_a_configuration_within_bounds() {
    let name = "crowd::a_crowd_in_a_process_of_its_own";
    let done = Command::new(env::current_exe().unwrap())
        .args(["--ignored", "--exact", name, "--nocapture"])
        .env(IS_CROWD, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stdout);
    let wrong = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{said}{wrong}");
    assert!(said.contains("all within reach have it after"), "{said}");
}

/// Set in that process.
const IS_CROWD: &str = "BUTTERFLY_TEST_IS_CROWD";

/// Not a test: what the one above starts.
#[test]
#[ignore = "another one starts it"]
fn a_crowd_in_a_process_of_its_own() {
    if env::var_os(IS_CROWD).is_none() {
        return;
    }
    let mut mesh = Mesh::new("crowd");
    mesh.add(|config| {
        // Peers that cannot compare are told again and again, once they have answered a probe; nobody of
        // them passes on what it is told.
        config.timing.period = Duration::from_millis(20);
        config.timing.timeout = Duration::from_millis(20);
        config.timing.suspicion_periods = 1_000.0;
        config.timing.drip = Duration::from_millis(5);
    });
    mesh.set_tracing(false);
    let ((told, gets), (go_on, stop)) = (mpsc::channel(), mpsc::channel());
    let member = mesh.addr(0);
    let peers = thread::spawn(move || play(member, told, stop));
    mesh.await_condition("it knows all", |mesh| {
        mesh.get(0).node().counts().alive == PEERS + 1
    });
    let (before, began) = (memory(), Instant::now());
    mesh.get_mut(0).apply_config(config(1)).unwrap();
    let (mut have, mut largest) = (0, Vec::new());
    mesh.await_for(2 * PATIENCE, "all within reach have it", |mesh| {
        have += gets.try_iter().count();
        let gauges = mesh.get(0).gossip_stats().unwrap();
        largest.extend(gauges.gauges().filter(|gauge| gauge.now > gauge.most));
        have == PEERS - PEERS.div_ceil(DEAF)
    });
    let took = began.elapsed();
    println!("all within reach have it after {took:?}");
    assert_eq!(largest, [], "all within their caps");
    let grown = memory().saturating_sub(before);
    assert!(grown < 64 << 20, "{grown} bytes more");
    let stats = mesh.get(0).gossip_stats().unwrap();
    let most = |name| {
        stats
            .gauges()
            .find(|gauge| gauge.name == name)
            .unwrap()
            .most
    };
    let caps = (most("push_sockets"), most("push_closing"));
    assert_eq!(caps, (MAX_PUSH_SOCKETS as u64, MAX_CLOSING_SOCKETS as u64));
    assert!(mesh.get(0).node().stats().rumors_not_taken > 0);
    drop(go_on);
    peers.join().unwrap();
}
