//! Bare PUSH sockets that send nonsense.

use butterfly::limits::MAX_RUMOR;
use butterfly::{Event, Reject, Rumor};

use crate::harness::Mesh;
use crate::support::*;

fn rejected(mesh: &Mesh, reason: Reject) -> u64 {
    mesh.get(0).node().stats().rejected(reason)
}

#[test]
fn nonsense_is_counted_by_reason_told_with_its_source_and_breaks_nothing() {
    let mut mesh = Mesh::meshed("nonsense", 3);
    let places = mesh.running();
    let mark = mesh.mark();
    let good = frame(&Rumor::ServiceConfig(config(1)), None);
    let outside = pusher(gossip_addr(&mesh, 0));
    for _ in 0..20 {
        outside.send("what is this?", 0).unwrap();
        outside.send(&good[..good.len() - 1], 0).unwrap();
        outside
            .send(frame(&Rumor::ServiceConfig(config(2)), Some(&key(1))), 0)
            .unwrap();
    }
    outside.send(vec![0; MAX_RUMOR + 8_192], 0).unwrap();
    // Each ends its connection.
    let several: Vec<_> = (0..20).map(|_| pusher(gossip_addr(&mesh, 0))).collect();
    for outside in &several {
        outside
            .send_multipart([&good[..], b"and", b"more"], 0)
            .unwrap();
    }
    mesh.await_condition("all of it was dropped", |mesh| {
        let bad = rejected(mesh, Reject::Malformed) + rejected(mesh, Reject::Truncated);
        bad == 40
            && rejected(mesh, Reject::Multipart) == 20
            && rejected(mesh, Reject::NoKey) == 20
            && rejected(mesh, Reject::Oversized) == 1
    });
    for reason in [Reject::Multipart, Reject::NoKey, Reject::Oversized] {
        let told: Vec<_> = mesh
            .events_since(&mark, 0)
            .filter_map(|event| match event {
                Event::Rejected {
                    reason: it, from, ..
                } if *it == reason => Some(from.ip()),
                _ => None,
            })
            .collect();
        assert_eq!(told, [mesh.addr(0).ip()], "one event of {reason:?}");
    }
    let counted = mesh.get(0).gossip_stats().unwrap();
    let counter = |name| counted.iter().find(|it| it.0 == name).unwrap().1;
    let cut = if cfg!(feature = "zmq") { 0 } else { 20 };
    assert_eq!(counter("connections_cut_parts"), cut);
    // What no message may be ends its connection, and ZeroMQ makes it anew.
    outside.send(vec![0; 9 << 20], 0).unwrap();
    mesh.holds_for(2, "nobody has anything", |mesh| {
        places
            .iter()
            .all(|&place| mesh.get(place).node().rumor_count() == 0)
    });
    let outside = pusher(gossip_addr(&mesh, 0));
    outside.send(good, 0).unwrap();
    mesh.await_condition("what is good reaches all", |mesh| {
        all_have(mesh, &places, &Rumor::ServiceConfig(config(1)))
    });
    mesh.nobody_changed_since(&mark);
}

#[test]
fn a_flood_of_many_frames_in_one_message_holds_nothing_up() {
    let mut mesh = Mesh::meshed("parts", 3);
    let (to, mark) = (gossip_addr(&mesh, 0), mesh.mark());
    let flood = std::thread::spawn(move || {
        let outside = pusher(to);
        let parts = vec![&b"part"[..]; 1_000];
        for _ in 0..300 {
            outside.send_multipart(&parts, 0).unwrap();
        }
        outside
    });
    // Each that begins ends its connection, which ZeroMQ makes anew for the next.
    mesh.await_condition("some of them were dropped", |mesh| {
        rejected(mesh, Reject::Multipart) >= 3
    });
    let good = Rumor::ServiceConfig(config(1));
    let outside = pusher(gossip_addr(&mesh, 0));
    outside.send(frame(&good, None), 0).unwrap();
    mesh.await_condition("what is good reaches all", |mesh| {
        all_have(mesh, &mesh.running(), &good)
    });
    mesh.nobody_changed_since(&mark);
    drop(flood.join().unwrap());
}
