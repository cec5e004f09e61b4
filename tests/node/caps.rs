//! What is bounded stays bounded, and a replay does the same.

use std::net::SocketAddr;

use crate::support::rumors::service;
use crate::support::*;
use butterfly::limits::{
    MAX_EXILED, MAX_MEMBERS, MAX_QUEUED_DATAGRAMS, MAX_QUEUED_EVENTS, MAX_RUMORS,
};
use butterfly::node::SEND_BUFFER;
use butterfly::wire::{HEADROOM, MembershipRecord, RingKey, seal};
use butterfly::{Event, Health, Reject, Rumor, Timing};
use proptest::prelude::*;

/// Learns of members from `first` on, in the largest datagrams there are.
fn fill(bench: &mut Bench, via: &Peer, first: u32, count: u32, health: Health, left: bool) {
    let numbers: Vec<_> = (first..first + count).collect();
    for some in numbers.chunks(900) {
        let of = |number: &u32| {
            let mut record = Peer::ours(*number).said(health, 1);
            record.member.departed = left;
            record
        };
        let records: Vec<MembershipRecord<'_>> = some.iter().map(of).collect();
        bench.learn(via, &records);
    }
}

#[test]
fn a_full_table_takes_nobody_in_but_in_the_place_of_one_departed_or_that_never_answered() {
    for (gone, left) in [(Health::Departed, false), (Health::Departed, true)] {
        let mut bench = Bench::new();
        let teller = Peer::ours(1);
        bench.meet(&[teller]);
        let free = (MAX_MEMBERS - bench.node.members().count()) as u32;
        fill(&mut bench, &teller, 100, free - 2_000, Health::Alive, false);
        let dead = Health::Confirmed;
        fill(&mut bench, &teller, 500_000, 2_000, dead, false);
        fill(&mut bench, &teller, 500_000, 2_000, gone, left);
        assert_eq!(bench.node.members().count(), MAX_MEMBERS);
        fill(&mut bench, &teller, 600_000, 2_000, Health::Alive, false);
        assert_eq!(bench.node.members().count(), MAX_MEMBERS);
        let counts = bench.node.counts();
        assert_eq!(
            (counts.departed, counts.alive),
            (0, MAX_MEMBERS),
            "left: {left}"
        );
        assert_eq!(bench.node.stats().rejected(Reject::TableFull), 0);
        // Nobody gets in on others' word any more, but whoever is there does.
        fill(&mut bench, &teller, 800_000, 10, Health::Alive, false);
        assert_eq!(bench.node.stats().rejected(Reject::TableFull), 10);
        let late: Vec<_> = (700_000..700_020).map(Peer::ours).collect();
        bench.meet(&late);
        assert_eq!(bench.node.members().count(), MAX_MEMBERS);
        assert_eq!(bench.health(&teller), Some(Health::Alive));
    }
}

#[test]
fn what_waits_to_be_sent_is_bounded() {
    let mut bench = Bench::new();
    let teller = Peer::ours(1);
    bench.meet(&[teller]);
    bench.prove(&teller, &[]);
    let mut datagram = bench.datagram(&teller.ping(1), &[]);
    for _ in 0..3_000 {
        bench
            .node
            .handle_datagram(bench.now, teller.addr, &mut datagram);
    }
    assert_eq!(bench.sent().len(), MAX_QUEUED_DATAGRAMS);
    let lost = 3_000 - MAX_QUEUED_DATAGRAMS as u64;
    assert_eq!(bench.node.stats().datagrams_lost, lost);
}

#[test]
fn what_waits_to_be_told_is_bounded() {
    let mut bench = Bench::new();
    let teller = Peer::ours(1);
    bench.meet(&[teller]);
    let numbers: Vec<_> = (100..80_100).collect();
    for some in numbers.chunks(900) {
        let records: Vec<_> = some
            .iter()
            .map(|number| Peer::ours(*number).said(Health::Alive, 1))
            .collect();
        for record in &records {
            bench.node.hear_membership(record).unwrap();
        }
    }
    let mut told = 0;
    let mut last = None;
    while let Some(event) = bench.node.poll_event() {
        told += 1;
        last = Some(event);
    }
    assert_eq!(told, MAX_QUEUED_EVENTS);
    assert_eq!(
        bench.node.stats().events_lost,
        80_000 - MAX_QUEUED_EVENTS as u64
    );
    assert!(matches!(last, Some(Event::MemberChanged { id: who, .. }) if who == id(80_099)));
}

/// The oldest departure gives way, and its id may be used again, from whatever incarnation on.
#[test]
fn one_departure_more_than_fit_pardons_the_oldest() {
    let mut bench = Bench::new();
    let (back, other) = (Peer::original(1), Peer::original(2));
    bench.meet(&[back, other]);
    bench.node.depart(bench.now, back.id).unwrap();
    bench.feed(&other, other.ping(0), &[back.said(Health::Suspect, 1_000)]);
    for number in 1..MAX_EXILED as u32 {
        bench.node.depart(bench.now, id(1_000 + number)).unwrap();
    }
    bench.feed(&back, back.ping(0), &[]);
    assert_eq!(bench.held(&back), Some((Health::Departed, 1_000)));
    bench.node.depart(bench.now, id(1_000)).unwrap();
    assert_eq!(bench.held(&back), None);
    bench.greet(&back);
    assert_eq!(bench.held(&back), Some((Health::Alive, 5)));
}

/// They may be made up: others' word for them is all there is.
#[test]
fn made_up_departures_do_not_undo_a_real_one() {
    let mut bench = Bench::new();
    let (gone, other) = (Peer::ours(1), Peer::ours(2));
    bench.meet(&[gone, other]);
    let departs = |bench: &mut Bench, member| {
        bench.hear(&Rumor::Departure(member), other.id);
    };
    departs(&mut bench, gone.id);
    for number in 0..70_000 {
        departs(&mut bench, id(10_000 + number));
    }
    let departures = |bench: &Bench| {
        let mut sizes = bench.node.sizes();
        sizes.find(|size| size.name == "departures").unwrap().now
    };
    assert_eq!(departures(&bench), MAX_EXILED as u64);
    bench.feed(&gone, gone.incarnated(9).ping(0), &[]);
    assert_eq!(bench.health(&gone), Some(Health::Departed));
    // Nor do they keep another real one out.
    departs(&mut bench, other.id);
    assert_eq!(bench.health(&other), Some(Health::Departed));
    assert_eq!(departures(&bench), MAX_EXILED as u64);
}

/// Services of members that nobody knows fill the store.
#[test]
fn a_full_store_makes_room_for_what_is_real() {
    let mut bench = Bench::new();
    let known = Peer::ours(1);
    bench.meet(&[known]);
    let of = |number: u32| Rumor::Service(service(id(number), "default", 1));
    let hear = |bench: &mut Bench, rumor: &Rumor| bench.hear(rumor, known.id);
    for number in 0..MAX_RUMORS as u32 + 100 {
        hear(&mut bench, &of(10_000 + number));
    }
    assert_eq!(bench.node.rumor_count(), MAX_RUMORS);
    assert_eq!(bench.node.stats().rejected(Reject::StoreFull), 100);
    let real = of(1);
    hear(&mut bench, &real);
    assert!(bench.holds(&real));
    let config = rumors::config("default", 1, "a = 1");
    bench.node.apply_config(bench.now, config).unwrap();
    assert_eq!(bench.node.rumor_count(), MAX_RUMORS);
}

/// What is done to a node, by numbers.
#[derive(Clone, Debug)]
enum Step {
    Message {
        kind: u8,
        from: u8,
        other: u8,
        probe: u64,
        records: Vec<(u8, u8, u64)>,
        flags: u8,
    },
    /// The number of its last ping comes back.
    Answer,
    Garbage(Vec<u8>),
    /// A good datagram with one byte changed.
    Touched {
        from: u8,
        at: u16,
        to: u8,
    },
    Wait {
        millis: u16,
        late: bool,
    },
    Unreachable(u8),
    Command(u8),
}

fn step() -> impl Strategy<Value = Step> {
    let number = prop_oneof![
        0..6u64,
        Just((1 << 62) - 1),
        any::<u64>().prop_map(|number| number >> 2)
    ];
    let records = prop::collection::vec((0..30u8, 1..=4u8, number), 0..12);
    prop_oneof![
        8 => (0..6u8, 0..30u8, 0..30u8, prop_oneof![Just(0), any::<u64>()], records, any::<u8>()).prop_map(
            |(kind, from, other, probe, records, flags)| Step::Message { kind, from, other, probe, records, flags }
        ),
        4 => Just(Step::Answer),
        1 => prop::collection::vec(any::<u8>(), 0..80).prop_map(Step::Garbage),
        2 => (0..30u8, any::<u16>(), any::<u8>()).prop_map(|(from, at, to)| Step::Touched { from, at, to }),
        6 => (prop_oneof![0..2_000u16, any::<u16>()], any::<bool>()).prop_map(|(millis, late)| Step::Wait { millis, late }),
        1 => (0..30u8).prop_map(Step::Unreachable),
        1 => any::<u8>().prop_map(Step::Command),
    ]
}

fn who(number: u8, bench: &Bench, flags: u8) -> Peer {
    let mut peer = match number {
        0 => bench.me(),
        1..10 => Peer::original(number.into()),
        25..30 => Peer::ours(number.into()).at(&format!("[2001:db8::{number}]:9000")),
        _ => Peer::ours(number.into()),
    };
    peer.incarnation = u64::from(flags % 8);
    peer.departed = flags & 0x70 == 0x70;
    peer.persistent = flags & 0x80 != 0;
    peer
}

fn apply(bench: &mut Bench, step: &Step) {
    match step {
        Step::Message {
            kind,
            from,
            other,
            probe,
            records,
            flags,
        } => {
            let (from, other) = (who(*from, bench, *flags), who(*other, bench, *flags));
            let message = match kind {
                0 => from.ping_with_digest(*probe, u32::from(*flags) << 3),
                1 => from.ack(*probe),
                2 => from.ack_to(Some(other.contact()), *probe),
                3 => from.ping_req(&other, *probe),
                4 => from.ack_to(Some(bench.me().contact()), *probe),
                _ => from.probe_ping(),
            };
            let said = |(of, health, number): &(u8, u8, u64)| {
                who(*of, bench, *flags).said(Health::ALL[usize::from(*health) - 1], *number)
            };
            let records: Vec<_> = records.iter().map(said).collect();
            bench.feed(&from, message, if *kind == 5 { &[] } else { &records });
        }
        Step::Answer => {
            let last = bench.sent().into_iter().rev().find(|sent| sent.probe != 0);
            if let Some(sent) = last {
                let peers = (0..30).map(|number| who(number, bench, 5));
                if let Some(peer) = peers.into_iter().find(|peer| peer.addr == sent.to) {
                    bench.feed(&peer, peer.ack(sent.probe), &[]);
                }
            }
        }
        Step::Garbage(bytes) => {
            let from = "203.0.113.1:1".parse().unwrap();
            bench.feed_bytes(from, &mut bytes.clone());
            let mut buf = [&[0; HEADROOM][..], bytes].concat();
            let range = seal(
                bench.keys.first().map(|key| (key, [1; 24])),
                &mut buf,
                bytes.len(),
            );
            bench.feed_bytes(from, &mut buf[range]);
        }
        Step::Touched { from, at, to } => {
            let from = who(*from, bench, 5);
            let mut plain = Bench::new().datagram(&from.ping(9), &[from.said(Health::Suspect, 3)]);
            let at = usize::from(*at) % plain.len();
            plain[at] = *to;
            bench.feed_bytes(from.addr, &mut plain);
        }
        Step::Wait { millis, late } => {
            let pause = std::time::Duration::from_millis((*millis).into());
            if *late {
                bench.now += pause;
                bench.node.handle_timeout(bench.now);
                bench.sent();
            } else {
                bench.advance(pause);
            }
        }
        Step::Unreachable(number) => {
            let addr = who(*number, bench, 0).addr;
            bench.node.handle_unreachable(bench.now, addr);
        }
        Step::Command(what) => command(bench, *what),
    }
}

fn command(bench: &mut Bench, what: u8) {
    let peer = who(what % 30, bench, 0);
    let addrs: [SocketAddr; 2] = [peer.addr, "198.51.100.1:9638".parse().unwrap()];
    match what % 8 {
        0 => drop(bench.node.join(bench.now, peer.addr)),
        1 => {
            let seed = bench.node.join_named(bench.now);
            seed.into_iter()
                .for_each(|seed| bench.node.seed_resolved(bench.now, seed, &addrs));
        }
        2 => drop(bench.node.block(peer.id)),
        3 => drop(bench.node.unblock(peer.id)),
        4 => bench.node.pause(bench.now),
        5 | 6 => bench.node.resume(bench.now),
        _ if what > 250 => bench.node.leave(bench.now),
        _ => bench.node.set_tracing(what > 128),
    }
}

/// What must be true at any time, whatever happened.
fn sound(bench: &mut Bench) {
    let (members, counts) = (bench.node.members().count(), bench.node.counts());
    let counted = counts.alive + counts.suspect + counts.confirmed + counts.departed;
    assert_eq!(members, counted);
    assert!(bench.node.news() <= members);
    assert_eq!(bench.node.members().filter(|view| view.is_self).count(), 1);
    for view in bench.node.members() {
        assert_eq!(
            view.suspicion.is_some(),
            view.health == Health::Suspect,
            "{view:?}"
        );
        assert!(
            !view.member.departed || view.health == Health::Departed,
            "{view:?}"
        );
    }
    bench.drain();
    let mut buf = [0; SEND_BUFFER];
    assert!(bench.node.poll_datagram(bench.now, &mut buf).is_none());
}

fn replay(seed: u8, keys: Vec<RingKey>, steps: &[Step]) -> Bench {
    let mut config = config(Timing::lan());
    config.random_seed = [seed; 32];
    config.ring_keys = keys;
    config.ip = None;
    let mut bench = Bench::with(config);
    for step in steps {
        apply(&mut bench, step);
        sound(&mut bench);
    }
    bench
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_same_seed_and_input_give_the_same_bytes(
        seed in any::<u8>(),
        steps in prop::collection::vec(step(), 1..60),
        sealed in any::<bool>(),
    ) {
        let keys = if sealed { vec![RingKey::new("ring", "20260101000000", [3; 32]).unwrap()] } else { Vec::new() };
        let one = replay(seed, keys.clone(), &steps);
        let other = replay(seed, keys, &steps);
        prop_assert!(one.raw == other.raw);
        prop_assert_eq!(one.events, other.events);
        prop_assert_eq!(one.node.stats(), other.node.stats());
    }
}
