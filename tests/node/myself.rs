//! What a member does about records of itself, its incarnation and its address (PROTOCOL.md §2, "About
//! myself", and §4).

use crate::support::*;
use butterfly::stats::MessageKind;
use butterfly::wire::{MemberRecord, MembershipRecord, Message};
use butterfly::{Event, Health, Incarnation};

fn hears(bench: &mut Bench, peer: &Peer, health: Health, number: u64) {
    let own = bench.me().said(health, number);
    bench.feed(peer, peer.ack(0), &[own]);
}

#[test]
fn what_is_untrue_of_it_is_refuted_and_told() {
    for health in [Health::Suspect, Health::Confirmed, Health::Departed] {
        let mut bench = Bench::new();
        let peer = Peer::ours(1);
        bench.meet(&[peer]);
        bench.prove(&peer, &[]);
        assert_eq!(bench.me().incarnation, 3);
        hears(&mut bench, &peer, health, 2);
        assert_eq!(bench.me().incarnation, 3, "old");
        hears(&mut bench, &peer, health, 3);
        assert_eq!(bench.me().incarnation, 4);
        let refuted = Event::Refuted {
            claimed: health,
            incarnation: incarnation(4),
        };
        assert!(bench.events().contains(&refuted));
        bench.feed(&peer, peer.ping(1), &[]);
        let ack = &bench.sent()[0];
        assert_eq!(ack.from.incarnation, 4);
        assert_eq!(
            ack.says_of(&bench.me()),
            Some((Health::Alive, 4)),
            "it is a rumor"
        );
        hears(&mut bench, &peer, health, 70);
        assert_eq!(bench.me().incarnation, 71);
    }
}

#[test]
fn an_alive_record_above_it_is_caught_up_with_quietly() {
    let mut bench = Bench::new();
    let peer = Peer::ours(1);
    bench.meet(&[peer]);
    hears(&mut bench, &peer, Health::Alive, 2);
    hears(&mut bench, &peer, Health::Alive, 3);
    assert_eq!(bench.me().incarnation, 3);
    hears(&mut bench, &peer, Health::Alive, 40);
    assert_eq!(bench.me().incarnation, 40);
    let told = bench.events();
    assert!(
        !told
            .iter()
            .any(|event| matches!(event, Event::Refuted { .. }))
    );
}

#[test]
fn it_never_becomes_a_member_of_its_own_round() {
    let mut bench = Bench::new();
    let peer = Peer::ours(1);
    bench.meet(&[peer]);
    hears(&mut bench, &peer, Health::Alive, 40);
    let sent = bench.advance_with_living(secs(20.0), &[peer]);
    assert!(sent.iter().all(|sent| sent.to == peer.addr));
    assert_eq!(bench.node.members().count(), 2);
}

/// Its mark is announced before the harness takes the datagrams in which it is used.
#[test]
fn incarnations_stay_below_a_mark_that_was_announced() {
    let mut bench = Bench::new();
    let peer = Peer::ours(1);
    bench.meet(&[peer]);
    for _ in 0..100 {
        let mine = bench.me().incarnation;
        hears(&mut bench, &peer, Health::Suspect, mine);
        bench.feed(&peer, peer.ping(1), &[]);
        bench.advance_with_living(secs(0.1), &[peer]);
    }
    for number in [500, 501, 10_000, 1 << 40, (1 << 61) + 1] {
        hears(&mut bench, &peer, Health::Alive, number);
        bench.feed(&peer, peer.ping(1), &[]);
        hears(&mut bench, &peer, Health::Suspect, number);
        bench.feed(&peer, peer.ping(1), &[]);
    }
    assert_eq!(bench.me().incarnation, (1 << 61) + 2);
    bench.node.leave(bench.now);
    assert!(!bench.sent().is_empty());
}

#[test]
fn a_mark_is_announced_now_and_then_only() {
    let mut bench = Bench::new();
    let peer = Peer::ours(1);
    bench.meet(&[peer]);
    bench.prove(&peer, &[]);
    let mut marks = Vec::new();
    let mut record = bench.me().said(Health::Suspect, 0);
    for number in 3..203 {
        record.member.incarnation = incarnation(number);
        let mut datagram = bench.datagram(&peer.ack(0), &[record]);
        bench
            .node
            .handle_datagram(bench.now, peer.addr, &mut datagram);
        if let Some(mark) = bench.node.poll_reserve() {
            bench.node.handle_stored(bench.now, mark);
            marks.push(mark);
        }
    }
    assert!((2..=5).contains(&marks.len()), "{marks:?}");
    assert_eq!(bench.me().incarnation, 203);
}

/// What others remember is far above what is reserved: after a crash it could be used again.
#[test]
fn no_incarnation_is_told_before_its_mark_is_on_disk() {
    let mut bench = Bench::new();
    let peer = Peer::ours(1);
    bench.meet(&[peer]);
    bench.prove(&peer, &[]);
    let before = bench.me().incarnation;
    let hears = |bench: &mut Bench, health, number| {
        let record = bench.me().said(health, number);
        let mut datagram = bench.datagram(&peer.ack(0), &[record]);
        let now = bench.now;
        bench.node.handle_datagram(now, peer.addr, &mut datagram);
    };
    // Each is about the same life, however often it is said; the highest counts.
    for number in [100_000, 100_000, 200_000, 150_000] {
        hears(&mut bench, Health::Suspect, number);
        assert_eq!(bench.me().incarnation, before);
    }
    let mark = bench.node.poll_reserve().unwrap();
    assert!(mark > incarnation(200_001), "{mark}");
    // The disk is slow, and answered for an older one.
    bench.node.handle_stored(bench.now, incarnation(100_001));
    assert_eq!(bench.me().incarnation, before);
    bench.node.handle_stored(bench.now, mark);
    assert_eq!(bench.me().incarnation, 200_001);
    assert_eq!(bench.node.stats().refutations, 2);
    // The next ones are reserved.
    hears(&mut bench, Health::Suspect, 200_001);
    assert_eq!(bench.me().incarnation, 200_002);
}

/// The id that the node went on under, if it did, and the one before.
fn new_id(bench: &mut Bench) -> Option<(butterfly::MemberId, butterfly::MemberId)> {
    bench.events().into_iter().find_map(|event| match event {
        Event::NewId { before, id } => Some((before, id)),
        _ => None,
    })
}

/// Nothing is higher, so nothing could refute it, and a leave would be the last word on that id.
#[test]
fn a_member_without_an_incarnation_left_goes_on_under_a_new_id() {
    for (health, below) in [
        (Health::Suspect, 0),
        (Health::Suspect, 1),
        (Health::Confirmed, 0),
        (Health::Alive, 0),
    ] {
        let mut bench = Bench::new();
        let peer = Peer::ours(1);
        bench.meet(&[peer]);
        let before = bench.me();
        let forged = before.said(health, Incarnation::MAX.get() - below);
        bench.feed(&peer, peer.ack(0), &[forged]);
        let (old, id) = new_id(&mut bench).expect("a new id");
        assert_eq!((old, id), (before.id, bench.node.id()));
        assert_ne!(old, id);
        assert_eq!(bench.node.poll_new_id(), Some(id));
        assert_eq!(bench.node.poll_new_id(), None);
        assert_eq!(bench.me().incarnation, 0);
        assert_eq!(bench.health(&before), Some(Health::Departed));
        assert_eq!(bench.node.counts().alive, 2);
        // Others hear of both: that the old one left, which nothing outdoes, and that the new one is there.
        let sent = bench.advance_with_living(secs(3.0), &[peer]);
        let records = sent.iter().flat_map(|sent| &sent.records);
        let says: Vec<_> = records.map(|record| record.says()).collect();
        let gone = (before.id, Health::Departed, Incarnation::MAX.get());
        assert!(says.contains(&gone), "{says:?}");
        let after = bench.me();
        assert!(sent.iter().all(|sent| sent.from.id == after.id));
        // It refutes and leaves as any other.
        let now = after.incarnation;
        bench.feed(&peer, peer.ack(0), &[after.said(Health::Suspect, now)]);
        assert_eq!(bench.me().incarnation, now + 1);
        bench.node.leave(bench.now);
        assert_eq!(bench.me().incarnation, now + 2);
    }
}

/// Its old ids stay in all tables for days.
#[test]
fn a_new_id_is_taken_at_most_once_in_a_while() {
    let mut bench = Bench::new();
    let peer = Peer::ours(1);
    bench.meet(&[peer]);
    let push = |bench: &mut Bench| {
        let forged = bench.me().said(Health::Suspect, Incarnation::MAX.get());
        bench.feed(&peer, peer.ack(0), &[forged]);
        new_id(bench).is_some()
    };
    assert!(push(&mut bench));
    assert!(!push(&mut bench) && !push(&mut bench));
    bench.advance_with_living(butterfly::limits::NEW_ID_INTERVAL, &[peer]);
    assert!(push(&mut bench));
    assert_eq!(bench.node.counts().departed, 2);
}

#[test]
fn one_that_leaves_keeps_its_id() {
    let mut bench = Bench::new();
    let peer = Peer::ours(1);
    bench.meet(&[peer]);
    bench.node.leave(bench.now);
    let forged = bench.me().said(Health::Suspect, Incarnation::MAX.get());
    bench.feed(&peer, peer.ack(0), &[forged]);
    assert_eq!(new_id(&mut bench), None);
    assert!(bench.node.is_leaving());
}

/// As its disk says after that, or one that an older version wrote.
#[test]
fn a_member_that_starts_without_an_incarnation_left_takes_a_new_id_at_once() {
    let mut config = config(plain());
    config.incarnation = Incarnation::MAX;
    config.reserved = Incarnation::MAX;
    let mut bench = Bench::with(config);
    let (before, now) = new_id(&mut bench).expect("a new id");
    assert_eq!((before, now), (id(ME), bench.node.id()));
    let peer = Peer::ours(1);
    bench.meet(&[peer]);
    assert_eq!(bench.me().incarnation, 0);
    // Others may hold the old one for anything: it stays gone.
    let old = Peer {
        id: id(ME),
        ..bench.me()
    };
    let alive = old.said(Health::Alive, Incarnation::MAX.get());
    bench.feed(&peer, peer.ack(0), &[alive]);
    assert_eq!(bench.health(&old), Some(Health::Departed));
}

/// A made-up service at the last version cannot be outdone, so its member says what it runs under a new id.
#[test]
fn services_go_on_under_the_new_id() {
    use crate::support::rumors::{group, service};
    use butterfly::limits::MAX_VERSION;
    use butterfly::rumor::{Rumor, RumorId};
    let mut bench = Bench::new();
    let peer = Peer::ours(1);
    bench.meet(&[peer]);
    let (now, before) = (bench.now, bench.node.id());
    let announced = service(before, "default", 0);
    bench.node.announce(now, announced).unwrap();
    let mut forged = service(before, "default", MAX_VERSION);
    forged.pkg = "evil/redis/1/1".to_owned();
    bench.hear(&Rumor::Service(forged), peer.id);
    let (old, id) = new_id(&mut bench).expect("a new id");
    assert_eq!(old, before);
    assert!(bench.holds(&Rumor::Service(service(id, "default", 1))));
    let of_the_old = RumorId::service(&group("default"), before);
    assert!(bench.node.rumor(&of_the_old).is_none());
    assert_eq!(bench.node.rumor_count(), 1);

    // One that it does not run, and that it is told to remove, or to run.
    for runs in [false, true] {
        let before = bench.node.id();
        let forged = service(before, "other", MAX_VERSION);
        bench.hear(&Rumor::Service(forged), peer.id);
        let (now, other) = (bench.now, group("other"));
        if runs {
            let announced = service(before, "other", 0);
            bench.node.announce(now, announced).unwrap();
        } else {
            assert_eq!(bench.node.withdraw(now, &other), Ok(true));
        }
        let (_, id) = new_id(&mut bench).expect("a new id");
        assert!(bench.holds(&Rumor::Service(service(id, "default", 1))));
        let held = Rumor::Service(service(id, "other", 1));
        assert_eq!(bench.holds(&held), runs);
        assert_eq!(bench.node.rumor_count(), 1 + usize::from(runs));
    }
}

fn nowhere() -> Bench {
    let mut config = config(plain());
    config.ip = None;
    Bench::with(config)
}

fn known_at(bench: &Bench, ip: &str, number: u64) -> MembershipRecord<'static> {
    let mut record = bench.me().said(Health::Alive, number);
    record.member.address = Some(ip.parse().unwrap());
    record
}

#[test]
fn its_own_record_goes_out_only_with_an_address_at_which_others_know_it() {
    let mut bench = nowhere();
    let all = [Peer::ours(1), Peer::ours(2)];
    bench.meet(&all);
    bench.feed(&all[0], all[0].probe_ping(), &[]);
    let (mine, me) = (bench.me().incarnation, bench.me());
    let mut sent = bench.advance_with_living(secs(30.0), &all);
    bench.feed(&all[0], all[0].ping_with_digest(1, 5), &[]);
    sent.extend(bench.advance_with_living(secs(0.5), &all));
    assert!(sent.iter().any(|sent| sent.table), "its table goes out too");
    assert!(sent.iter().all(|sent| sent.says_of(&me).is_none()));
    let own = known_at(&bench, "0.0.0.0", mine);
    bench.feed(&all[0], all[0].ack(0), &[own]);
    let sent = bench.advance_with_living(secs(30.0), &all);
    assert!(
        sent.iter().all(|sent| sent.says_of(&me).is_none()),
        "0.0.0.0 is no address"
    );
    let own = known_at(&bench, "198.51.100.44", mine);
    bench.feed(&all[0], all[0].ack(0), &[own]);
    let sent = bench.advance_with_living(secs(30.0), &all);
    let records = sent.iter().flat_map(|sent| &sent.records);
    let own: Vec<_> = records.filter(|record| record.id == me.id).collect();
    assert!(!own.is_empty(), "it is told in its turn");
    assert!(
        own.iter()
            .all(|own| own.ip == Some("198.51.100.44".parse().unwrap()))
    );
}

#[test]
fn an_address_that_was_given_is_not_argued_about() {
    let mut bench = Bench::new();
    let peer = Peer::ours(1);
    bench.meet(&[peer]);
    bench.prove(&peer, &[]);
    let own = known_at(&bench, "198.51.100.44", 9);
    bench.feed(&peer, peer.ack(0), &[own]);
    assert_eq!(bench.node.me().member.ip.to_string(), "192.0.2.1");
}

#[test]
fn a_stranger_does_not_move_it() {
    let mut bench = nowhere();
    let (peer, stranger) = (Peer::ours(1), Peer::ours(2));
    bench.meet(&[peer]);
    bench.prove(&peer, &[]);
    let own = known_at(&bench, "198.51.100.44", 3);
    bench.feed(&peer, peer.ack(0), &[own]);
    let own = known_at(&bench, "203.0.113.66", 9);
    bench.feed(&stranger, stranger.ping(0), &[own]);
    assert_eq!(bench.node.me().member.ip.to_string(), "198.51.100.44");
}

#[test]
fn what_moved_it_once_moves_it_again() {
    let mut bench = nowhere();
    let peer = Peer::ours(1);
    bench.meet(&[peer]);
    bench.prove(&peer, &[]);
    for ip in ["198.51.100.44", "203.0.113.66", "198.51.100.44"] {
        let own = known_at(&bench, ip, bench.me().incarnation);
        for _ in 0..3 {
            bench.feed(&peer, peer.ack(0), &[own]);
            assert_eq!(bench.node.me().member.ip.to_string(), ip);
        }
    }
}

/// A member that was restarted with another id still hears of the old one, which is said to be where it
/// now is itself: it pings itself, and that is nobody else.
#[test]
fn its_own_pings_that_come_back_are_no_conflict() {
    let mut bench = Bench::new();
    let (peer, me) = (Peer::ours(1), bench.me());
    bench.meet(&[peer]);
    let former = Peer::ours(2).at("192.0.2.1:9638");
    let mut helped = 0;
    bench.learn(&peer, &[former.said(Health::Alive, 9)]);
    bench.advance_with(secs(60.0), |bench, sent| {
        bench.answer(sent, &[peer]);
        if sent.to == me.addr {
            let mut back = bench.raw.iter().rev().filter(|raw| raw.0 == me.addr);
            let mut datagram = back.next().unwrap().1.clone();
            bench.feed_bytes(me.addr, &mut datagram);
        }
        if sent.kind == MessageKind::PingReq {
            helped += 1;
            // The helper pings it, and passes on its Ack, filling in where that came from: in time, and late.
            for probe in [sent.probe, 77] {
                let relayed = MemberRecord {
                    address: Some(me.addr.ip()),
                    ..me.from()
                };
                let ack = Message::Ack {
                    from: relayed,
                    forward_to: Some(me.contact()),
                    probe,
                    table: false,
                    rumors: 0,
                    reconcile: &[],
                    starting: false,
                };
                bench.feed(&peer, ack, &[]);
            }
        }
    });
    assert!(helped > 0);
    assert_eq!(bench.health(&former), Some(Health::Confirmed));
    let told = bench.events();
    assert!(
        !told
            .iter()
            .any(|event| matches!(event, Event::IdConflict { .. })),
        "{told:?}"
    );
}
