//! What one member says, or is told from outside, reaches all.

use std::io::Write;

use butterfly::{Event, Health, Reject, Rumor};

use crate::harness::Mesh;
use crate::support::*;

#[test]
fn services_configurations_and_files_reach_all() {
    let mut mesh = Mesh::meshed("spread", 6);
    let places = mesh.running();
    announce_all(&mut mesh);
    mesh.get_mut(1).apply_config(config(1)).unwrap();
    mesh.get_mut(2).apply_file(file("big", 4 << 20)).unwrap();
    mesh.get_mut(3).apply_file(file("small", 100)).unwrap();
    let rumors = [
        Rumor::ServiceConfig(config(1)),
        Rumor::ServiceFile(file("big", 4 << 20)),
        Rumor::ServiceFile(file("small", 100)),
    ];
    mesh.await_condition("all have all", |mesh| {
        rumors.iter().all(|rumor| all_have(mesh, &places, rumor)) && same(mesh, &places)
    });
    // What is newer replaces what they have, and what is older nothing.
    mesh.get_mut(4).apply_config(config(7)).unwrap();
    mesh.get_mut(5).apply_config(config(3)).unwrap();
    mesh.await_condition("all have the newer one", |mesh| {
        all_have(mesh, &places, &Rumor::ServiceConfig(config(7))) && same(mesh, &places)
    });
    mesh.get_mut(0).withdraw(&group()).unwrap();
    mesh.await_condition("all know that it runs no service any more", |mesh| {
        let services = |&place| mesh.get(place).node().members_of(&group()).count();
        places.iter().map(services).all(|services| services == 5)
    });
    mesh.await_condition("nothing is hot any more", |mesh| {
        let hot = |&place| mesh.get(place).node().hot_rumors();
        places.iter().all(|place| hot(place) == 0)
    });
    // Who comes late gets all of it.
    let late = mesh.add(|_| ());
    mesh.join(late, 0);
    mesh.await_condition("the newcomer has all", |mesh| same(mesh, &[0, late]));
}

#[test]
fn what_is_pushed_in_from_outside_reaches_all() {
    let mut mesh = Mesh::meshed("injected", 5);
    let places = mesh.running();
    let mut member = service();
    member.member = mesh.id(4);
    member.incarnation = 1;
    let rumors = [
        Rumor::Service(member),
        Rumor::ServiceConfig(config(5)),
        Rumor::ServiceFile(file("big", 4 << 20)),
    ];
    let outside = pusher(gossip_addr(&mesh, 0));
    for rumor in &rumors {
        outside.send(frame(rumor, None), 0).unwrap();
    }
    mesh.await_condition("all have all", |mesh| {
        rumors.iter().all(|rumor| all_have(mesh, &places, rumor))
    });
    let departed = mesh.id(3);
    outside
        .send(frame(&Rumor::Departure(departed), None), 0)
        .unwrap();
    mesh.await_condition("all hold it for departed", |mesh| {
        mesh.all_hold(&[0, 1, 2, 4], 3, Health::Departed)
    });
    mesh.await_condition("it knows too", |mesh| {
        told(mesh, 3, |event| *event == Event::Expelled) == 1
    });
}

#[test]
fn a_sealed_ring_gossips_and_who_has_another_key_learns_nothing() {
    let mut mesh = Mesh::new("sealed");
    for _ in 0..3 {
        mesh.add(|config| config.ring_keys = vec![key(1)]);
    }
    let members = mesh.running();
    let other = mesh.add(|config| config.ring_keys = vec![key(2)]);
    let plain = mesh.add(|_| ());
    mesh.mesh();
    mesh.await_condition("the ring forms", |mesh| mesh.agree(&members));
    mesh.get_mut(0).apply_config(config(1)).unwrap();
    mesh.get_mut(0).apply_file(file("secret", 100_000)).unwrap();
    mesh.await_condition("all have it", |mesh| {
        all_have(mesh, &members, &Rumor::ServiceConfig(config(1))) && same(mesh, &members)
    });
    // Whatever is pushed to them: recorded frames of the ring, theirs to the ring.
    let to_other = pusher(gossip_addr(&mesh, other));
    let to_plain = pusher(gossip_addr(&mesh, plain));
    let to_member = pusher(gossip_addr(&mesh, 0));
    let news = Rumor::ServiceConfig(config(9));
    to_other.send(frame(&news, Some(&key(1))), 0).unwrap();
    to_plain.send(frame(&news, Some(&key(1))), 0).unwrap();
    to_member.send(frame(&news, Some(&key(2))), 0).unwrap();
    to_member.send(frame(&news, None), 0).unwrap();
    mesh.await_condition("all was dropped", |mesh| {
        let heard = |place| mesh.get(place).node().stats().rumors_received;
        heard(other) == 1 && heard(plain) == 1
    });
    mesh.await_condition("the member dropped both", |mesh| {
        let rejected =
            |reason| told(mesh, 0, |event| matches!(event, Event::Rejected { reason: it, from, .. } if *it == reason && from.ip().is_loopback()));
        rejected(Reject::WrongKey) > 0 && rejected(Reject::NotSealed) > 0
    });
    mesh.holds_for(5, "nobody learned anything", |mesh| {
        let count = |place| mesh.get(place).node().rumor_count();
        count(other) == 0 && count(plain) == 0 && !all_have(mesh, &[0], &news)
    });
}

#[test]
fn members_that_do_not_gossip_disturb_nobody() {
    let mut mesh = Mesh::start("quiet", 3);
    for _ in 0..2 {
        mesh.add(|config| config.gossip = false);
    }
    mesh.mesh();
    mesh.await_agreement();
    let mark = mesh.mark();
    mesh.get_mut(0).apply_config(config(1)).unwrap();
    mesh.get_mut(3).apply_config(config(9)).unwrap();
    mesh.await_condition("those that gossip have it", |mesh| {
        all_have(mesh, &[0, 1, 2], &Rumor::ServiceConfig(config(1)))
    });
    mesh.holds_for(5, "the others have only their own", |mesh| {
        mesh.get(4).node().rumor_count() == 0
            && all_have(mesh, &[3], &Rumor::ServiceConfig(config(9)))
            && all_have(mesh, &[0, 1, 2], &Rumor::ServiceConfig(config(1)))
    });
    mesh.nobody_changed_since(&mark);
    assert!(mesh.get(3).gossip_stats().is_none());
    let stats = mesh.get(0).node().stats();
    assert_eq!(stats.rumors_not_taken, 0, "nobody is pushed to in vain");
}

#[test]
fn members_gossip_over_ipv6() {
    if std::net::UdpSocket::bind("[::1]:0").is_err() {
        // Straight to the stream, since the test harness swallows what `eprintln!` says.
        let _ = writeln!(std::io::stderr(), "skipped: this machine has no IPv6");
        return;
    }
    let mut mesh = Mesh::new("ipv6");
    for _ in 0..3 {
        mesh.add(|config| config.listen = "[::1]:0".parse().unwrap());
    }
    mesh.mesh();
    mesh.await_agreement();
    mesh.get_mut(0).apply_file(file("big", 1 << 20)).unwrap();
    mesh.await_condition("all have it", |mesh| {
        all_have(mesh, &[0, 1, 2], &Rumor::ServiceFile(file("big", 1 << 20)))
    });
}

/// A rumor names who said it first, not who passed it on: others still reach each for the other (PROTOCOL.md
/// §3, "Block list").
#[test]
fn two_that_block_each_other_hear_of_each_other_by_a_third() {
    let mut mesh = Mesh::meshed("blocked", 3);
    mesh.block(0, 1);
    mesh.get_mut(1).apply_config(config(1)).unwrap();
    mesh.await_condition("all have what one of them says", |mesh| {
        all_have(mesh, &[0, 1, 2], &Rumor::ServiceConfig(config(1)))
    });
    mesh.get_mut(0).apply_config(config(2)).unwrap();
    mesh.await_condition("all have what the other says", |mesh| {
        all_have(mesh, &[0, 1, 2], &Rumor::ServiceConfig(config(2)))
    });
}

/// A member that leaves and ends has told what it was told just before.
#[test]
fn what_a_member_was_told_before_it_left_reaches_all() {
    for name in ["parting", "parting_cold"] {
        let mut mesh = Mesh::meshed(name, 4);
        if name == "parting" {
            // It has pushed before, so its connections stand.
            mesh.get_mut(3).apply_config(config(1)).unwrap();
            mesh.await_condition("all have the first", |mesh| {
                all_have(mesh, &[0, 1, 2, 3], &Rumor::ServiceConfig(config(1)))
            });
        }
        let member = mesh.get_mut(3);
        member.apply_config(config(2)).unwrap();
        member.leave();
        mesh.await_condition("it has left", |mesh| {
            told(mesh, 3, |event| *event == Event::Left) == 1
        });
        mesh.kill(3);
        mesh.await_condition("the others have the last", |mesh| {
            all_have(mesh, &[0, 1, 2], &Rumor::ServiceConfig(config(2)))
        });
    }
}

/// The loop ends in the same moment: what ZeroMQ takes at once still leaves.
#[test]
fn what_a_member_was_told_before_it_was_dropped_reaches_all() {
    let mut mesh = Mesh::meshed("dropped", 4);
    mesh.get_mut(3).apply_config(config(1)).unwrap();
    mesh.await_condition("all have the first", |mesh| {
        all_have(mesh, &[0, 1, 2, 3], &Rumor::ServiceConfig(config(1)))
    });
    mesh.get_mut(3).apply_config(config(2)).unwrap();
    mesh.kill(3);
    mesh.await_condition("the others have the last", |mesh| {
        all_have(mesh, &[0, 1, 2], &Rumor::ServiceConfig(config(2)))
    });
}
