//! Two rings of which one gets an address of the other.

use std::io::Write;
use std::net::{Ipv4Addr, TcpStream};

use butterfly::wire::zmtp::{Hello, Role};
use butterfly::{Event, Health, Reject, Rumor};

use crate::harness::Mesh;
use crate::support::*;

/// With ZeroMQ's sockets, pushes are not kept apart: docs/explanation/gossip.md.
#[cfg(not(feature = "zmq"))]
#[test]
fn a_member_of_another_ring_at_the_address_of_a_dead_one_gets_nothing_and_joins_nobody() {
    let mut mesh = Mesh::new("rings");
    let named = |name: &'static str| {
        move |config: &mut butterfly::Config| config.ring = Some(name.parse().unwrap())
    };
    let production = [0, 1, 2].map(|_| mesh.add(named("production")));
    let staging = [3, 4].map(|_| mesh.add(named("staging")));
    for (ring, first) in [(&production[..], 0), (&staging[..], 3)] {
        for place in ring.iter().filter(|place| **place != first) {
            mesh.join(*place, first);
        }
    }
    mesh.await_condition("both rings are whole", |mesh| {
        mesh.agree(&production)
            && mesh.agree(&staging)
            && mesh.get(0).node().counts().alive == 3
            && mesh.get(3).node().counts().alive == 2
    });
    // A rumor goes from each to each, so that there are connections.
    let first = Rumor::ServiceConfig(config(1));
    mesh.get_mut(0).apply_config(config(1)).unwrap();
    mesh.await_condition("production is configured", |mesh| {
        all_have(mesh, &production, &first)
    });
    let addr = mesh.addr(2);
    mesh.kill(2);
    let late = mesh.add(|config| {
        named("staging")(config);
        config.listen = addr;
        config.gossip_port = Some(addr.port());
    });
    mesh.join(late, 3);
    let second = Rumor::ServiceConfig(config(2));
    mesh.get_mut(0).apply_config(config(2)).unwrap();
    let staging = [3, 4, late];
    mesh.await_condition("each ring knows its own", |mesh| {
        all_have(mesh, &[0, 1], &second)
            && mesh.health(0, 2) == Some(Health::Confirmed)
            && mesh.health(1, 2) == Some(Health::Confirmed)
            && staging
                .iter()
                .all(|place| mesh.get(*place).node().counts().alive == 3)
    });
    // A wrong peer is no way in, and both sides are told.
    mesh.join(1, 3);
    let mismatch = |mesh: &Mesh, place: usize, from, name: &str| {
        told(
            mesh,
            place,
            |event| matches!(event, Event::OtherRing { from: it, theirs, .. } if *it == from && theirs == name),
        )
    };
    mesh.await_condition("both sides are told", |mesh| {
        mismatch(mesh, 1, mesh.addr(3), "staging") == 1
            && mismatch(mesh, 3, mesh.addr(1), "production") == 1
    });
    mesh.holds_for(2, "the rings stay apart", |mesh| {
        let apart = |ring: &[usize], others: &[usize]| {
            ring.iter().all(|of| {
                others
                    .iter()
                    .all(|about| mesh.health(*of, *about).is_none())
            })
        };
        apart(&[0, 1], &staging)
            && apart(&staging, &production)
            && staging
                .iter()
                .all(|place| mesh.get(*place).node().rumor_count() == 0)
            && mismatch(mesh, 3, mesh.addr(1), "production") == 1
    });
    assert!(mesh.get(late).node().stats().rejected(Reject::OtherRing) > 0);
    // Nor does it get in with rumors: READY says which ring it is of.
    let cut = |mesh: &Mesh| {
        let counted = mesh.get(0).gossip_stats().unwrap();
        let cut = counted.iter().find(|it| it.0 == "connections_cut_ring");
        cut.unwrap().1
    };
    let before = cut(&mesh);
    let gossip = (
        Ipv4Addr::LOCALHOST,
        mesh.get(0).node().me().member.gossip_port,
    );
    let mut stranger = TcpStream::connect(gossip).unwrap();
    stranger
        .write_all(Hello::new(Role::Push, 7).as_bytes())
        .unwrap();
    mesh.await_condition("it is cut off", |mesh| cut(mesh) > before);
}
