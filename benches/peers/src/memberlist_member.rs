//! memberlist on its own transport, with tokio on one thread; and its codec alone.

use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{io, iter};

use memberlist::net::NetTransportOptions;
use memberlist::proto::{Alive, Data, Message, Node, Ping, ProtoEncoder};
use memberlist::tokio::{TokioNetTransport, TokioSocketAddrResolver, TokioTcp};
use memberlist::{Memberlist, Options};
use tokio::net::UdpSocket;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Notify;

use kit::counting;
use super::flood::{Answers, Sender, Side};
use super::loopback::{self, SENDERS};
use kit::measure::Cost;

type List = Memberlist<TokioNetTransport<u64, TokioSocketAddrResolver, TokioTcp>>;
type Transport = NetTransportOptions<u64, TokioSocketAddrResolver, TokioTcp>;
type Said = Message<u64, SocketAddr>;

/// Its number.
const ME: u64 = 0;
/// Bytes that a datagram may have.
const MOST: usize = 1_400;
/// Memberships in a datagram.
const TOGETHER: usize = 25;
/// Datagrams on their way at once.
const AHEAD: usize = 16;
const PATIENCE: Duration = Duration::from_secs(300);

/// A running memberlist: it runs while its runtime is driven.
pub struct Member {
    runtime: Runtime,
    list: List,
    stop: Arc<Notify>,
}

impl Answers for Member {
    /// Nobody can tell when its tasks have answered all.
    fn answer(&mut self) -> io::Result<bool> {
        Ok(false)
    }

    fn stopper(&mut self) -> io::Result<Box<dyn Fn() -> io::Result<()>>> {
        let stop = self.stop.clone();
        Ok(Box::new(move || {
            stop.notify_one();
            Ok(())
        }))
    }

    fn run(&mut self) -> io::Result<()> {
        self.runtime.block_on(self.stop.notified());
        Ok(())
    }
}

impl Member {
    /// A member that begins nothing itself and knows nobody.
    fn start() -> io::Result<Member> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let mut transport = Transport::new(ME).with_packet_buffer_size(8_192);
        transport.add_bind_address(loopback::free_address()?);
        let options = Options::lan()
            .with_probe_interval(Duration::ZERO)
            .with_gossip_interval(Duration::ZERO)
            .with_push_pull_interval(Duration::ZERO)
            .with_handoff_queue_depth(1 << 20)
            // What is news is told once.
            .with_retransmit_mult(0);
        let started = runtime.block_on(List::new(transport, options));
        let list = started.map_err(io::Error::other)?;
        Ok(Member {
            runtime,
            list,
            stop: Arc::new(Notify::new()),
        })
    }

    fn addr(&self) -> SocketAddr {
        *self.list.advertise_address()
    }

    /// It is told of these, in datagrams, and takes them in.
    fn hear(&self, datagrams: &[Vec<u8>], members: usize) -> io::Result<()> {
        self.runtime.block_on(async {
            let socket = UdpSocket::bind(kit::echo::LOCAL).await?;
            let start = Instant::now();
            let mut sent = 0;
            loop {
                let held = self.list.num_members().await;
                if held >= members {
                    return Ok(());
                }
                // Not so many that the kernel loses some.
                while sent < datagrams.len() && sent * TOGETHER < held + AHEAD * TOGETHER {
                    socket.send_to(&datagrams[sent], self.addr()).await?;
                    sent += 1;
                }
                if start.elapsed() > PATIENCE {
                    return Err(io::Error::other(format!(
                        "memberlist took in {held} of {members}"
                    )));
                }
                tokio::task::yield_now().await;
            }
        })
    }

    /// Pings until an Ack brings nothing along: so many bytes it has then.
    fn come_to_rest(&self) -> io::Result<()> {
        self.runtime.block_on(async {
            let socket = UdpSocket::bind(kit::echo::LOCAL).await?;
            let ping = ping(ME + 1, socket.local_addr()?, self.addr(), 0..0);
            let mut buf = [0; 2_048];
            let mut bare = 0;
            let start = Instant::now();
            while bare < 50 {
                socket.send_to(&ping, self.addr()).await?;
                let answer = tokio::time::timeout(PATIENCE, socket.recv(&mut buf));
                let len = answer.await.map_err(io::Error::other)??;
                bare = if len < 16 { bare + 1 } else { 0 };
                if start.elapsed() > PATIENCE {
                    return Err(io::Error::other("memberlist does not run out of news"));
                }
            }
            Ok(())
        })
    }
}

fn encoded(messages: Vec<Said>) -> Vec<u8> {
    let encoder = ProtoEncoder::<u64, SocketAddr, _>::new(MOST).with_messages(messages);
    let mut payloads = encoder.encode();
    let payload = payloads.next().expect("there is a message");
    assert!(payloads.next().is_none(), "one datagram has room for all");
    payload.expect("the messages are good").as_slice().to_vec()
}

/// A ping with what is known of these others.
fn ping(number: u64, from: SocketAddr, to: SocketAddr, others: Range<u32>) -> Vec<u8> {
    let ping = Ping::new(7, Node::new(number, from), Node::new(ME, to));
    let others = others.map(|number| alive(number.into(), nowhere(number)).into());
    encoded(iter::once(ping.into()).chain(others).collect())
}

fn alive(number: u64, at: SocketAddr) -> Alive<u64, SocketAddr> {
    // What it does not know has the incarnation 0 there, and only a higher one is news.
    Alive::new(1, Node::new(number, at))
}

/// Where a member is that is nowhere.
fn nowhere(number: u32) -> SocketAddr {
    SocketAddr::new(Ipv4Addr::from_bits(0x0a00_0000 + number).into(), 7_946)
}

fn table(all: impl Iterator<Item = (u64, SocketAddr)>) -> Vec<Vec<u8>> {
    let all: Vec<Said> = all.map(|(number, at)| alive(number, at).into()).collect();
    all.chunks(TOGETHER)
        .map(|some| encoded(some.to_vec()))
        .collect()
}

/// What it takes to hear of so many: time with that of the kernel, and the bytes that stay.
pub fn load(members: u32) -> io::Result<(Cost, i64)> {
    let others = (1..members).map(|number| (u64::from(number), nowhere(number)));
    let datagrams = table(others);
    let live = counting::live();
    let member = Member::start()?;
    let (calls, start) = (counting::calls(), Instant::now());
    member.hear(&datagrams, members as usize)?;
    let cost = Cost {
        time: start.elapsed(),
        allocations: counting::calls() - calls,
    };
    member.come_to_rest()?;
    Ok((cost, counting::live() - live))
}

/// One that knows so many, and those that ping it.
pub fn side(members: u32, stale: u32) -> io::Result<Side> {
    let member = Member::start()?;
    let to = member.addr();
    let mut all: Vec<_> = (SENDERS + 1..members)
        .map(|number| (u64::from(number), nowhere(number)))
        .collect();
    let mut senders = Vec::new();
    for (number, socket) in (0..).zip(loopback::sockets(to)?) {
        let from = socket.local_addr()?;
        let id = u64::from(number) + 1;
        all.push((id, from));
        let ping = ping(id, from, to, loopback::on_board(number, stale, members));
        senders.push(Sender { socket, ping });
    }
    member.hear(&table(all.into_iter()), members as usize)?;
    member.come_to_rest()?;
    Ok(loopback::side(Box::new(member), senders))
}

/// Memberships, read over and over as owned values, which is how the member takes them.
pub struct Reading {
    encoded: Vec<Vec<u8>>,
}

impl Reading {
    pub fn new() -> Reading {
        let alive = |number| alive(u64::from(number), nowhere(number)).encode_to_vec();
        let encoded = (1..1_000).map(|number| alive(number).expect("a vector has room"));
        Reading {
            encoded: encoded.collect(),
        }
    }

    pub fn run(&self, times: usize) {
        for bytes in self.encoded.iter().cycle().take(times) {
            let read = Alive::<u64, SocketAddr>::decode(black_box(bytes));
            let _ = black_box(read.expect("the membership is good"));
        }
    }
}
