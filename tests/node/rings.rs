//! Rings' names at one node, and messages that were meant for another member (PROTOCOL.md §2, "Rings have names").

use crate::support::*;
use butterfly::error::Reject;
use butterfly::limits::{MAX_DATAGRAM_SENT, MAX_NAME, MAX_RING_NAME};
use butterfly::wire::{self, Extras, HEADROOM, Message, RingKey, feature};
use butterfly::{Event, Health, Incarnation, MemberId, Timing};

/// A node of the ring of this name.
fn bench(ring: Option<&str>) -> Bench {
    let mut config = config(plain());
    config.ring = ring.map(|name| name.parse().unwrap());
    Bench::with(config)
}

/// What a message of a member of that ring says beside.
fn in_ring(name: &str) -> Extras<'_> {
    let mut other = bench(Some(name));
    let seed = Peer::ours(99);
    other.node.join(other.now, seed.addr).unwrap();
    other.advance(secs(0.1));
    let hash = extras(&other.raw.last().unwrap().1).0;
    let ring_name = name.as_bytes();
    Extras {
        ring: hash,
        ring_name,
        ..Extras::default()
    }
}

/// What a plain datagram says beside its message: ring, name, whom it is for, and whether it is astray.
fn extras(datagram: &[u8]) -> (u32, Vec<u8>, Option<MemberId>, bool) {
    let mut datagram = datagram.to_vec();
    let payload = wire::open(&[], &mut datagram).unwrap();
    let extras = wire::decode(payload).unwrap().extras;
    (
        extras.ring,
        extras.ring_name.to_vec(),
        extras.to,
        extras.astray,
    )
}

/// A message arrives that says this beside.
fn feed(bench: &mut Bench, peer: &Peer, message: &Message<'_>, extras: &Extras<'_>) {
    let mut buf = vec![0; HEADROOM + 2_000];
    let plain = bench.datagram(message, &[]);
    let mut plain = plain.clone();
    let payload = wire::open(&[], &mut plain).unwrap();
    let end = HEADROOM + payload.len();
    buf[HEADROOM..end].copy_from_slice(payload);
    extras.write(&mut buf[end..end + extras.len()]);
    let len = payload.len() + extras.len();
    let range = wire::seal(None, &mut buf, len);
    let mut datagram = buf[range].to_vec();
    bench.feed_bytes(peer.addr, &mut datagram);
}

fn foreigners(bench: &mut Bench) -> Vec<(String, bool, String)> {
    let events = bench.events().into_iter();
    let all = events.filter_map(|event| match event {
        Event::OtherRing {
            from,
            named,
            theirs,
            ..
        } => Some((from.to_string(), named, theirs)),
        _ => None,
    });
    all.collect()
}

#[test]
fn who_is_taken_in_by_whom() {
    let (one, other) = (in_ring("one"), in_ring("other"));
    let none = Extras::default();
    let (ours, original) = (Peer::ours(1), Peer::original(1));
    for (mine, peer, theirs, taken) in [
        (Some("one"), ours, one, true),
        (Some("one"), ours, other, false),
        (Some("one"), ours, none, false),
        (Some("one"), original, none, true),
        (None, ours, none, true),
        (None, ours, one, false),
        (None, original, none, true),
    ] {
        let mut bench = bench(mine);
        feed(&mut bench, &peer, &peer.ping(7), &theirs);
        let sent = bench.sent();
        let asked = pings(&to(&peer, &sent)).pop();
        assert_eq!(asked.is_some(), taken, "{mine:?} {theirs:?}");
        assert_eq!(acks(&sent).len(), 1, "a ping is answered");
        if let Some(asked) = asked {
            feed(&mut bench, &peer, &peer.answers(&asked), &theirs);
        } else {
            // Neither does it believe whoever answers all the same.
            let number = acks(&sent)[0].probe;
            assert_eq!(number, 7);
            feed(&mut bench, &peer, &peer.ack(number), &theirs);
        }
        let held = taken.then_some(Health::Alive);
        assert_eq!(bench.health(&peer), held, "{mine:?} {theirs:?}");
        let refused = bench.node.stats().rejected(Reject::OtherRing);
        assert_eq!(refused, if taken { 0 } else { 2 });
    }
}

#[test]
fn each_source_is_told_of_once_and_the_answer_names_the_ring() {
    let other = in_ring("other");
    let mut bench = bench(Some("one"));
    let (peer, unnamed) = (Peer::ours(1), Peer::ours(2));
    bench.raw.clear();
    for _ in 0..5 {
        feed(&mut bench, &peer, &peer.ping(7), &other);
        bench.feed(&unnamed, unnamed.ping(8), &[]);
    }
    let told = foreigners(&mut bench);
    let expected = [(peer, true, "other"), (unnamed, false, "")];
    let expected =
        expected.map(|(peer, named, name)| (peer.addr.to_string(), named, name.to_owned()));
    assert_eq!(told, expected);
    assert_eq!(bench.raw.len(), 10);
    for (_, datagram) in &bench.raw {
        let (ring, name, to, astray) = extras(datagram);
        assert_eq!(
            (ring, &name[..], to, astray),
            (in_ring("one").ring, &b"one"[..], None, true)
        );
    }
    // Strangers get no more answers than others.
    for _ in 0..200 {
        feed(&mut bench, &peer, &peer.ping(7), &other);
    }
    assert!(bench.node.stats().rejected(Reject::RateLimited) > 100);
    // Other messages get none.
    bench.sent();
    let probe_ping = Peer::ours(3);
    feed(&mut bench, &probe_ping, &probe_ping.probe_ping(), &other);
    feed(
        &mut bench,
        &probe_ping,
        &probe_ping.ping_req(&peer, 3),
        &other,
    );
    feed(&mut bench, &probe_ping, &probe_ping.ack(3), &other);
    assert_eq!(bench.sent().len(), 0);
    // Whoever only looks belongs to no ring.
    let observer = Peer {
        features: feature::EXTENSIONS | feature::OBSERVER,
        ..Peer::ours(4)
    };
    bench.feed(&observer, observer.ping(7), &[]);
    assert_eq!(acks(&bench.sent()).len(), 1);
    assert_eq!(foreigners(&mut bench).len(), 1, "that was the third source");
}

/// A copy of production that starts from its disks has production's ids.
#[test]
fn a_copy_of_the_ring_under_another_name_is_another_ring() {
    let mut bench = bench(Some("one"));
    let copy = Peer {
        id: bench.node.id(),
        ..Peer::ours(1)
    };
    feed(&mut bench, &copy, &copy.ping(7), &in_ring("other"));
    let told = [(copy.addr.to_string(), true, "other".to_owned())];
    assert_eq!(foreigners(&mut bench), told);
    assert_eq!(bench.node.stats().rejected(Reject::OwnId), 0);
}

#[test]
fn a_ring_without_a_name_says_nothing_more_than_before() {
    let mut bench = bench(None);
    let peers: Vec<_> = (1..=5).map(Peer::ours).collect();
    bench.meet(&peers);
    bench.raw.clear();
    bench.advance_with_living(secs(20.0), &peers);
    assert!(bench.raw.len() >= 20);
    for (_, datagram) in &bench.raw {
        assert_eq!(extras(datagram), (0, Vec::new(), None, false));
    }
}

#[test]
fn every_message_of_a_named_ring_says_so_and_fits() {
    let name = "r".repeat(MAX_RING_NAME);
    let key = RingKey::new("ring", "20260101000000", [7; 32]).unwrap();
    for keys in [vec![], vec![key]] {
        let mut config = config(plain());
        config.ring = Some(name.parse().unwrap());
        config.name = "n".repeat(MAX_NAME);
        config.ring_keys = keys.clone();
        let (mut one, mut other) = (Bench::with(config.clone()), {
            config.id = id(5);
            config.ip = Some("10.0.0.5".parse().unwrap());
            config.swim_port = 9000;
            Bench::with(config)
        });
        let addrs = ["192.0.2.1:9638", "10.0.0.5:9000"].map(|addr| addr.parse().unwrap());
        one.node.join(one.now, addrs[1]).unwrap();
        let mut seen = 0;
        for _ in 0..200 {
            one.advance(secs(0.05));
            other.advance(secs(0.05));
            let out = [std::mem::take(&mut one.raw), std::mem::take(&mut other.raw)];
            for (from, raw) in out.into_iter().enumerate() {
                for (to, mut datagram) in raw {
                    assert!(datagram.len() <= MAX_DATAGRAM_SENT);
                    let copy = &mut datagram.clone();
                    let payload = wire::open(&keys, copy).unwrap();
                    assert_ne!(wire::decode(payload).unwrap().extras.ring, 0);
                    seen += 1;
                    let receiver = if to == addrs[1] { &mut other } else { &mut one };
                    receiver.feed_bytes(addrs[from], &mut datagram);
                }
            }
        }
        assert!(seen > 20);
        assert_eq!(one.node.health_of(id(5)), Some(Health::Alive));
        assert_eq!(other.node.health_of(one.node.id()), Some(Health::Alive));
    }
}

#[test]
fn a_ping_to_a_dead_member_names_it_and_whoever_else_lives_there_is_not_taken_in() {
    let mut timing: Timing = plain();
    timing.retry_max = secs(2.0);
    let mut config = config(timing);
    config.reserved = Incarnation::MAX;
    let mut bench = Bench::with(config);
    let (dead, living) = (Peer::ours(1), Peer::ours(2));
    bench.meet(&[dead, living]);
    bench.advance_with_living(secs(30.0), &[living]);
    assert_eq!(bench.health(&dead), Some(Health::Confirmed));
    bench.raw.clear();
    bench.sent();
    let sent = bench.advance_with_living(secs(10.0), &[living]);
    let raw = std::mem::take(&mut bench.raw);
    let asked: Vec<_> = raw.iter().filter(|(to, _)| *to == dead.addr).collect();
    assert!(!asked.is_empty());
    for (_, datagram) in &asked {
        assert_eq!(extras(datagram).2, Some(dead.id));
    }
    // Another lives there, and answers so.
    let sent = to(&dead, &sent);
    let probe = sent.last().unwrap().probe;
    let tenant = Peer { id: id(77), ..dead };
    let astray = Extras {
        astray: true,
        ..Extras::default()
    };
    feed(&mut bench, &tenant, &tenant.ack(probe), &astray);
    assert_eq!(
        (bench.health(&tenant), bench.health(&dead)),
        (None, Some(Health::Confirmed))
    );
    assert_eq!(to(&tenant, &bench.sent()).len(), 0, "it is not asked");
    // The very answer without that word would have it taken in.
    bench.feed(&tenant, tenant.ack(probe), &[]);
    assert_eq!(bench.health(&tenant), Some(Health::Alive));
}

#[test]
fn what_is_meant_for_another_is_answered_and_changes_nothing() {
    let mut bench = bench(None);
    let peer = Peer::ours(1);
    let for_another = Extras {
        to: Some(id(50)),
        ..Extras::default()
    };
    let before = bench.fingerprint();
    bench.raw.clear();
    feed(&mut bench, &peer, &peer.ping(9), &for_another);
    let sent = bench.sent();
    assert_eq!((sent.len(), acks(&sent)[0].probe), (1, 9));
    assert!(extras(&bench.raw[0].1).3, "it is astray");
    // Nor does it refute a death that is another's.
    feed(&mut bench, &peer, &peer.probe_ping(), &for_another);
    assert_eq!(bench.sent().len(), 0);
    assert_eq!(bench.fingerprint(), before);
    assert_eq!(bench.node.me().member.incarnation.get(), 3);
    // What is meant for this member is as ever.
    let for_me = Extras {
        to: Some(bench.node.id()),
        ..Extras::default()
    };
    feed(&mut bench, &peer, &peer.ping(9), &for_me);
    assert_eq!(pings(&bench.sent()).len(), 1, "it is asked");
}
