//! Hundreds of members on one thread, under one poll.

use std::time::Duration;

use butterfly::{ServiceConfig, Timing};

use crate::alone;
use crate::harness::Mesh;
use crate::process::{Descriptors, contexts};

const MEMBERS: usize = 200;

/// Descriptors that there may be beside connections: a poll and another for it, a UDP socket, a TCP one that listens and
/// one that is kept back, for each member; with ZeroMQ, those of its sockets and of its context.
const MOST: usize = MEMBERS * if cfg!(feature = "zmq") { 14 } else { 5 };

/// They agree within two seconds here; unoptimised and on a machine that is busy, it takes longer.
const LIMIT: Duration = Duration::from_secs(60);

/// The sum over all members of how large this is now.
fn sum(mesh: &Mesh, gauge: &str) -> usize {
    let of = |place: usize| mesh.get(place).gossip_stats().unwrap();
    let now = |place| of(place).gauges().find(|it| it.name == gauge).unwrap().now as usize;
    mesh.running().into_iter().map(now).sum()
}

/// Descriptors that the members have together beside their connections, a connection being its socket and, with
/// ZeroMQ, what wakes us for it.
fn beside_connections(mesh: &Mesh, before: Descriptors) -> usize {
    let now = Descriptors::count();
    let watched = if cfg!(feature = "zmq") {
        sum(mesh, "push_sockets")
    } else {
        0
    };
    let own = now.listening + now.events + now.others - watched;
    own - before.listening - before.events - before.others
}

#[test]
fn two_hundred_on_one_thread_agree_within_few_descriptors_and_no_thread_more() {
    let _alone = alone();
    let mut mesh = Mesh::new("two-hundred");
    let before = Descriptors::count();
    for _ in 0..MEMBERS {
        mesh.add(|config| config.timing = Timing::lan());
    }
    mesh.set_tracing(false);
    for place in 1..MEMBERS {
        mesh.join(place, 0);
    }
    let took = mesh.await_for(LIMIT, "all agree", Mesh::all_agree);
    let beside = beside_connections(&mesh, before);
    println!("all agree after {took:?}, with {beside} descriptors");
    assert!(beside <= MOST, "{beside}");

    let config = ServiceConfig::new("redis.default".parse().unwrap(), 1, "port = 6379");
    mesh.get_mut(0).apply_config(config).unwrap();
    let took = mesh.await_for(LIMIT, "all have it", |mesh| {
        mesh.running()
            .into_iter()
            .all(|place| mesh.get(place).node().rumor_count() == 1)
    });
    // Connections that were closed linger for a moment.
    mesh.await_for(LIMIT, "few descriptors", |mesh| {
        beside_connections(mesh, before) <= MOST
    });
    let (beside, open) = (beside_connections(&mesh, before), Descriptors::count());
    println!("all have a configuration after {took:?}, with {beside} descriptors of {open:?}");
    assert!(open.connections > MEMBERS, "they do have connections");
    assert_eq!(contexts(), if cfg!(feature = "zmq") { MEMBERS } else { 0 });
}
