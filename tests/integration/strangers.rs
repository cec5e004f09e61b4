//! Bare sockets that speak to members: peers without our extensions, tools, nonsense and floods.

use std::io;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Instant;

use butterfly::limits::DATAGRAMS_PER_WAKE;
use butterfly::wire::{self, Message, feature};
use butterfly::{Butterfly, Config, Event, Health, Member, MemberId, Pinger, Reject, Timing};
use butterfly_protocols::swim as pb;
use protobuf::{EnumOrUnknown, Message as _};

use crate::harness::raw::{Raw, datagram, plain};
use crate::harness::{Mesh, PATIENCE, PERIOD};
use crate::key;

/// All that a member knows of others, and of itself.
fn known(mesh: &Mesh, place: usize) -> Vec<(Member, Health, String)> {
    let members = mesh.get(place).node().members();
    let mut known: Vec<_> = members
        .map(|view| (view.member, view.health, view.name.to_owned()))
        .collect();
    known.sort_by_key(|(member, ..)| member.id);
    known
}

/// Sends each datagram three times to the first member: each is dropped, counted by its reason, told by
/// one event a reason, answered by nothing, and changes nothing.
fn are_dropped(mesh: &mut Mesh, bad: &[(Vec<u8>, Reject)]) {
    let raw = Raw::bind();
    let before = known(mesh, 0);
    let news = mesh.get(0).node().news();
    let mark = mesh.mark();
    let count = |mesh: &Mesh, reason| mesh.get(0).node().stats().rejected(reason);
    let counted: Vec<_> = Reject::ALL.iter().map(|it| count(mesh, *it)).collect();
    for _ in 0..3 {
        for (datagram, _) in bad {
            raw.send(mesh.addr(0), datagram);
        }
    }
    let total = counted.iter().sum::<u64>() + 3 * bad.len() as u64;
    mesh.await_condition("all of it was dropped", |mesh| {
        mesh.get(0).node().stats().rejected_total() >= total
    });
    mesh.holds_for(3, "it stays as it was", |mesh| known(mesh, 0) == before);
    assert!(mesh.get(0).node().news() <= news);
    for (&reason, counted) in Reject::ALL.iter().zip(counted) {
        let sent = 3 * bad
            .iter()
            .filter(|(_, expected)| *expected == reason)
            .count();
        assert_eq!(count(mesh, reason) - counted, sent as u64, "{reason:?}");
        let from = raw.addr;
        let told: Vec<_> = mesh
            .events_since(&mark, 0)
            .filter(
                |event| matches!(event, Event::Rejected { reason: told, .. } if *told == reason),
            )
            .collect();
        let first = Event::Rejected {
            reason,
            from,
            unreported: 0,
        };
        assert_eq!(told, vec![&first; sent.min(1)], "{reason:?}");
    }
    assert_eq!(raw.receive(), None, "nothing was answered");
    mesh.nobody_changed_since(&mark);
}

/// A ping whose sender was tampered with.
fn ping_with(tamper: impl FnOnce(&mut pb::Member)) -> Vec<u8> {
    let mut from = pb::Member::new();
    from.set_id("ab".repeat(16));
    from.set_swim_port(9638);
    from.set_gossip_port(9638);
    tamper(&mut from);
    let mut ping = pb::Ping::new();
    ping.from = Some(from).into();
    let mut swim = pb::Swim::new();
    swim.type_ = Some(EnumOrUnknown::new(pb::swim::Type::PING));
    swim.set_ping(ping);
    plain(&swim.write_to_bytes().unwrap())
}

#[test]
fn what_does_not_read_is_dropped_and_counted_by_its_reason_and_changes_nothing() {
    let mut mesh = Mesh::meshed("nonsense", 2);
    let good = ping_with(|_| ());
    let mut own_id = Raw::bind();
    own_id.id = mesh.id(0);
    are_dropped(
        &mut mesh,
        &[
            (Vec::new(), Reject::MissingField),
            (vec![0xff; 600], Reject::Malformed),
            (vec![0xff; 60_000], Reject::Malformed),
            (b"GET / HTTP/1.1\r\n\r\n".to_vec(), Reject::Malformed),
            (good[..good.len() - 1].to_vec(), Reject::Truncated),
            (good[..10].to_vec(), Reject::Truncated),
            (plain(&[]), Reject::MissingField),
            (plain(&[0x08, 9]), Reject::UnknownType),
            (
                ping_with(|from| from.set_swim_port(65_536)),
                Reject::BadPort,
            ),
            (
                ping_with(|from| from.clear_gossip_port()),
                Reject::MissingField,
            ),
            (
                ping_with(|from| from.set_id("AB".repeat(16))),
                Reject::BadId,
            ),
            (
                ping_with(|from| from.set_incarnation(1 << 62)),
                Reject::BadIncarnation,
            ),
            (datagram(&own_id.ping(), None), Reject::OwnId),
            (
                datagram(&Raw::bind().ping(), Some(&key("ring", 1))),
                Reject::NoKey,
            ),
        ],
    );
}

#[test]
fn a_sealed_member_drops_what_is_plain_or_sealed_with_another_key_or_changed() {
    let mut mesh = Mesh::new("sealed_raw");
    for _ in 0..2 {
        mesh.add(|config| config.ring_keys = vec![key("ring", 1)]);
    }
    mesh.mesh();
    mesh.await_agreement();
    let raw = Raw::bind();
    let sealed = datagram(&raw.ping(), Some(&key("ring", 1)));
    let mut changed = sealed.clone();
    *changed.last_mut().unwrap() ^= 1;
    are_dropped(
        &mut mesh,
        &[
            (datagram(&raw.ping(), None), Reject::NotSealed),
            (
                datagram(&raw.ping(), Some(&key("ring", 2))),
                Reject::WrongKey,
            ),
            (changed, Reject::WrongKey),
            (sealed[..sealed.len() - 1].to_vec(), Reject::Truncated),
            (vec![0xff; 600], Reject::Malformed),
        ],
    );
    raw.send(mesh.addr(0), &sealed);
    mesh.await_condition("the same ping with the right key is answered", |_| {
        raw.receive().is_some()
    });
}

#[test]
fn a_datagram_larger_than_any_may_be_is_dropped_unread() {
    let mut mesh = Mesh::new("oversized");
    let listen: SocketAddr = "[::1]:0".parse().unwrap();
    let socket = match std::net::UdpSocket::bind(listen) {
        Ok(socket) => socket,
        Err(error) => return eprintln!("skipped: no IPv6 on loopback: {error}"),
    };
    mesh.add(|config| config.listen = listen);
    // UDP over IPv4 carries no more than what is allowed.
    socket.send_to(&vec![0; 65_520], mesh.addr(0)).unwrap();
    mesh.await_condition("it was dropped", |mesh| {
        mesh.get(0).node().stats().rejected(Reject::Oversized) == 1
    });
}

/// A peer without our extensions, and what the members tell it.
struct Peer {
    raw: Raw,
    answers: bool,
    /// Pings that it got and answered.
    pings: usize,
    /// Those of them that had it prove its address, and said nothing.
    questions: usize,
    /// Acks of its own pings.
    acks: usize,
}

impl Peer {
    /// Takes what arrived, and answers pings as such a peer does: without a number.
    fn serve(&mut self) {
        while let Some((mut bytes, from)) = self.raw.receive() {
            assert!(bytes.len() <= 1024, "more than such a peer reads");
            let payload = wire::open(&[], &mut bytes).unwrap();
            let swim = wire::decode(payload).unwrap();
            let mut memberships = swim.memberships.clone().flatten();
            let first = memberships
                .next()
                .map(|record| (record.member.id, record.health));
            match swim.message {
                Message::Ping { forward_to, .. } if self.answers => {
                    self.pings += 1;
                    let forward_to = forward_to.map(|to| to.contact());
                    let ack = Message::Ack {
                        from: self.raw.record(),
                        forward_to,
                        probe: 0,
                        table: false,
                        rumors: 0,
                        reconcile: &[],
                        starting: false,
                    };
                    self.raw.send(from, &datagram(&ack, None));
                    match first {
                        None => self.questions += 1,
                        Some(first) => {
                            assert_eq!(first, (self.raw.id, Health::Alive), "{:?}", swim.message)
                        }
                    }
                }
                Message::Ack {
                    probe,
                    table: false,
                    ..
                } => {
                    assert_eq!(probe, 0, "its pings have no number");
                    self.acks += 1;
                    // When it sent the first it was not known yet.
                    if self.acks > 1 {
                        assert_eq!(first, Some((self.raw.id, Health::Alive)));
                    }
                }
                _ => {}
            }
        }
    }
}

#[test]
fn a_peer_without_extensions_joins_by_a_ping_is_probed_and_hears_of_itself_first() {
    let mut mesh = Mesh::meshed("old_peer", 3);
    let mut peer = Peer {
        raw: Raw::bind(),
        answers: true,
        pings: 0,
        questions: 0,
        acks: 0,
    };
    let id = peer.raw.id;
    mesh.watch(&peer.raw.socket);
    let (ping, to) = (datagram(&peer.raw.ping(), None), mesh.addr(0));
    peer.raw.send(to, &ping);
    let alive =
        |mesh: &Mesh| (0..3).all(|by| mesh.get(by).node().health_of(id) == Some(Health::Alive));
    mesh.await_condition("it gets an Ack, and all hear of it", |mesh| {
        peer.serve();
        peer.acks > 0 && alive(mesh)
    });
    // It is probed by all of them, and pings the first itself once a period.
    let (mark, pings) = (mesh.mark(), peer.pings);
    let mut next = Instant::now();
    mesh.holds_for(20, "all hold it for Alive", |mesh| {
        if next <= Instant::now() {
            next += PERIOD;
            peer.raw.send(to, &ping);
        }
        peer.serve();
        alive(mesh)
    });
    mesh.nobody_changed_since(&mark);
    assert!(
        peer.pings >= pings + 10 && peer.acks >= 10,
        "{} pings, {} Acks",
        peer.pings,
        peer.acks
    );
    // Each asks twice, and one that it is not known to yet again.
    assert!(peer.questions <= 9, "{} questions", peer.questions);
    // It was its answers that kept it alive.
    peer.answers = false;
    mesh.await_condition("it does not answer any more, and is Confirmed", |mesh| {
        peer.serve();
        (0..3).all(|by| mesh.get(by).node().health_of(id) == Some(Health::Confirmed))
    });
    assert!(mesh.all_agree());
}

#[test]
fn an_observer_is_answered_and_leaves_no_row() {
    let mut mesh = Mesh::new("observed");
    for _ in 0..2 {
        mesh.add(|config| config.ring_keys = vec![key("ring", 1)]);
    }
    mesh.mesh();
    mesh.await_agreement();
    let (before, addr) = (known(&mesh, 0), mesh.addr(0));
    let asking = thread::spawn(move || {
        let mut pinger = Pinger::connect(addr, vec![key("ring", 1)]).unwrap();
        (0..3)
            .map(|_| pinger.ping(PATIENCE).unwrap().unwrap())
            .collect::<Vec<_>>()
    });
    mesh.await_condition("it was answered", |_| asking.is_finished());
    for pong in asking.join().unwrap() {
        assert_eq!((pong.id, pong.name.as_str()), (mesh.id(0), "observed-0"));
        assert!(pong.rtt < PATIENCE);
    }
    mesh.holds_for(5, "nobody knows of it", |mesh| {
        known(mesh, 0) == before && mesh.get(1).node().member(MemberId::OBSERVER).is_none()
    });
    // With the wrong key it gets no answer, which it finds out in time.
    let asking = thread::spawn(move || {
        let mut pinger = Pinger::connect(addr, vec![key("ring", 2)]).unwrap();
        pinger.ping(PERIOD).unwrap()
    });
    mesh.await_condition("it gave up", |_| asking.is_finished());
    assert_eq!(asking.join().unwrap(), None);
}

/// A member that runs on a thread of its own, and what happens at it.
fn run(mut butterfly: Butterfly) -> (thread::JoinHandle<Butterfly>, Receiver<Event>) {
    let (told, events) = mpsc::channel();
    let thread = thread::spawn(move || {
        let result = butterfly.run(|_, event| {
            let left = event == Event::Left;
            told.send(event).unwrap();
            if left {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        result.unwrap();
        butterfly
    });
    (thread, events)
}

fn await_health(events: &Receiver<Event>, of: MemberId, health: Health) {
    loop {
        let event = events.recv_timeout(PATIENCE).unwrap();
        if matches!(event, Event::MemberChanged { id, to, .. } if id == of && to == health) {
            return;
        }
    }
}

#[test]
fn members_run_on_threads_of_their_own_and_take_commands_from_others() {
    let bind = |name: &str| {
        let mut config = Config::new("127.0.0.1:0".parse().unwrap());
        (config.name, config.timing) = (name.to_owned(), Timing::local());
        let mut butterfly = Butterfly::bind(config).unwrap();
        (
            butterfly.node().id(),
            butterfly.local_addr(),
            butterfly.handle().unwrap(),
            butterfly,
        )
    };
    let (one, _, one_handle, one_member) = bind("threads-0");
    let (two, two_addr, two_handle, two_member) = bind("threads-1");
    let (one_thread, one_events) = run(one_member);
    let (two_thread, two_events) = run(two_member);

    one_handle
        .send(move |member| _ = member.join(two_addr).unwrap())
        .unwrap();
    await_health(&one_events, two, Health::Alive);
    await_health(&two_events, one, Health::Alive);

    one_handle
        .send(move |member| member.block(two).unwrap())
        .unwrap();
    await_health(&one_events, two, Health::Confirmed);
    one_handle
        .send(move |member| assert!(member.unblock(two)))
        .unwrap();
    await_health(&one_events, two, Health::Alive);

    for handle in [&one_handle, &two_handle] {
        handle
            .send(|member| member.set_ring_keys(vec![key("ring", 1)]))
            .unwrap();
    }
    // It is told of the leave by a sealed message. The callback ends the run of the one that leaves.
    one_handle.send(Butterfly::leave).unwrap();
    await_health(&two_events, one, Health::Departed);
    let one_member = one_thread.join().unwrap();
    assert!(
        one_member.node().is_leaving() && one_member.node().is_sealed() && !one_member.is_stopped()
    );

    two_handle.stop().unwrap();
    let two_member = two_thread.join().unwrap();
    assert!(two_member.is_stopped() && !two_member.node().is_leaving());
    drop(two_member);
    assert_eq!(
        two_handle.stop().unwrap_err().kind(),
        io::ErrorKind::BrokenPipe
    );
}

const FLOOD: u64 = 20_000;
/// Datagrams of the flood that wait in the member's socket at any time: more than it reads in one wake, and
/// no more than it reads well within a period, also unoptimised. What it is asked and told waits behind them.
const WAITING: u64 = 2 * DATAGRAMS_PER_WAKE as u64;

/// Sends the flood, as fast as the member reads it: each number that comes allows for so many more.
fn send_flood(to: SocketAddr, allowed: &Receiver<u64>) {
    // Half of it does not read, the other half has to be answered.
    let raw = Raw::bind();
    let mut from = raw.record();
    (from.id, from.departed) = (MemberId::OBSERVER, true);
    from.features = feature::EXTENSIONS | feature::OBSERVER;
    let ping = Message::Ping {
        from,
        forward_to: None,
        probe: 1,
        digest: 0,
    };
    let kinds = [datagram(&ping, None), vec![0xff; 100]];
    let mut left = FLOOD;
    while let Ok(more) = allowed.recv() {
        for _ in 0..more.min(left) {
            raw.send(to, &kinds[left as usize % 2]);
            left -= 1;
        }
        if left == 0 {
            return;
        }
    }
}

#[test]
fn a_flood_does_not_delay_the_members_own_probes() {
    let mut mesh = Mesh::meshed("flood", 3);
    let heard = |mesh: &Mesh| {
        let stats = mesh.get(0).node().stats();
        stats.received_total() + stats.rejected_total()
    };
    let probes = |mesh: &Mesh| [0, 1].map(|place| mesh.get(place).node().stats().probes);
    let (mark, to, began) = (mesh.mark(), mesh.addr(0), Instant::now());
    let (first, probed, mut most) = (heard(&mesh), probes(&mesh), 0);
    let (allow, allowed) = mpsc::channel();
    allow.send(WAITING).unwrap();
    let flood = thread::spawn(move || send_flood(to, &allowed));
    while heard(&mesh) < first + FLOOD {
        let before = heard(&mesh);
        mesh.step(PERIOD);
        let read = heard(&mesh) - before;
        most = most.max(read);
        // When all is sent, nobody listens any more.
        let _ = allow.send(read);
        assert!(
            began.elapsed() < PATIENCE,
            "{} arrived",
            heard(&mesh) - first
        );
    }
    let (lasted, now) = (began.elapsed(), probes(&mesh));
    let [flooded, spared] = [now[0] - probed[0], now[1] - probed[1]];
    println!("{lasted:?}, at most {most} a wake, {flooded} probes, {spared} at another member");
    flood.join().unwrap();
    assert!(
        most <= DATAGRAMS_PER_WAKE as u64,
        "{most}: the timers did not get their turn"
    );
    assert!(
        flooded + 2 >= spared,
        "it probed {flooded} times, another member {spared} times"
    );
    mesh.holds_for(5, "nobody is suspected", |mesh| mesh.all_agree());
    mesh.nobody_changed_since(&mark);
}

#[test]
fn a_flood_of_large_datagrams_is_read_like_any_other() {
    const DATAGRAMS: u64 = 300;
    let mut member = Butterfly::bind(Config::new(([127, 0, 0, 1], 0).into())).unwrap();
    let sender = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    sender.connect(member.local_addr()).unwrap();
    let (nonsense, start) = ([0xff; 33_000], Instant::now());
    let read = |member: &Butterfly| member.node().stats().bytes_received / nonsense.len() as u64;
    // The kernel keeps as many as it has room for.
    while read(&member) < DATAGRAMS {
        (0..DATAGRAMS / 2).for_each(|_| _ = sender.send(&nonsense).unwrap());
        member.process().unwrap();
        assert!(start.elapsed() < PATIENCE, "{} were read", read(&member));
    }
}
