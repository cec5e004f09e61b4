//! Elections on real sockets.

use butterfly::{Event, Health, RumorKind};

use crate::harness::Mesh;
use crate::support::*;

#[test]
fn three_members_elect_the_fittest() {
    let mut mesh = Mesh::meshed("three_elect", 3);
    let (first, _) = elect(&mut mesh);
    assert_eq!(first, mesh.id(2));
    for place in 0..3 {
        let elected = told(
            &mesh,
            place,
            |event| matches!(event, Event::LeaderElected { leader, .. } if *leader == first),
        );
        assert!(elected >= 1, "{place} tells of it");
    }
    // Who updates first is another election.
    for place in 0..3 {
        mesh.get_mut(place)
            .start_election(RumorKind::ElectionUpdate, &group(), 0)
            .unwrap();
    }
    mesh.await_condition("all agree on who updates first", |mesh| {
        let leader = |place| {
            let node = mesh.get(place).node();
            node.election(RumorKind::ElectionUpdate, &group())?.leader()
        };
        leader(0).is_some() && leader(0) == leader(1) && leader(1) == leader(2)
    });
}

#[test]
fn five_members_elect_anew_when_their_leader_dies() {
    let mut mesh = Mesh::meshed("five_elect", 5);
    let (first, term) = elect(&mut mesh);
    assert_eq!(first, mesh.id(4));
    mesh.kill(4);
    let rest = mesh.running();
    mesh.await_condition("the rest agree on another", |mesh| {
        leader(mesh, &rest).is_some_and(|(leader, _)| leader != first)
    });
    let (second, next) = leader(&mesh, &rest).unwrap();
    assert_eq!(second, mesh.id(3), "the fittest of those that are left");
    assert!(next > term);
}

#[test]
fn of_a_ring_cut_in_two_the_larger_part_elects_and_all_agree_after_it() {
    const MANY: [usize; 3] = [0, 1, 2];
    const FEW: [usize; 2] = [3, 4];
    let mut mesh = Mesh::meshed("quorum", 5);
    let (first, term) = elect(&mut mesh);
    assert_eq!(first, mesh.id(4), "it is in the smaller part");
    // All of each part block all of the other: neither datagrams nor rumors cross.
    mesh.partition(&MANY, &FEW);
    mesh.await_condition("the larger part elects another", |mesh| {
        leader(mesh, &MANY).is_some_and(|(leader, _)| leader != first)
    });
    mesh.await_condition("the smaller part has no leader", |mesh| {
        let leads = |place| {
            let node = mesh.get(place).node();
            node.election(RumorKind::Election, &group())
                .and_then(|view| view.leader())
        };
        FEW.iter().all(|&place| leads(place).is_none())
    });
    let (second, next) = leader(&mesh, &MANY).unwrap();
    assert!(next > term && second == mesh.id(2));
    // What is said meanwhile stays on its side.
    mesh.get_mut(0).apply_config(config(1)).unwrap();
    mesh.get_mut(3).apply_config(config(2)).unwrap();
    mesh.holds_for(5, "each part keeps to itself", |mesh| {
        let version = |place| {
            let id = butterfly::RumorId::config(&group());
            mesh.get(place).node().rumor(&id).map(|view| view.version)
        };
        MANY.iter().all(|&place| version(place) != Some(2))
            && FEW.iter().all(|&place| version(place) != Some(1))
    });
    mesh.heal(&MANY, &FEW);
    mesh.await_agreement();
    let all = mesh.running();
    mesh.await_condition("all agree on one leader, and on everything", |mesh| {
        leader(mesh, &all).is_some() && same(mesh, &all)
    });
    assert_eq!(leader(&mesh, &all).unwrap().0, second);
}

#[test]
fn a_follower_that_was_cut_off_deposes_nobody() {
    let mut mesh = Mesh::meshed("follower", 5);
    let (first, _) = elect(&mut mesh);
    let rest = [1, 2, 3, 4];
    mesh.partition(&[0], &rest);
    mesh.await_condition("both sides notice", |mesh| {
        mesh.all_hold(&rest, 0, Health::Confirmed)
            && rest
                .iter()
                .all(|&of| mesh.health(0, of) == Some(Health::Confirmed))
    });
    let mark = mesh.mark();
    mesh.heal(&[0], &rest);
    mesh.await_agreement();
    let all = mesh.running();
    let agreed = |mesh: &Mesh| leader(mesh, &all).is_some_and(|(leader, _)| leader == first);
    mesh.await_condition("all know the leader that there was", agreed);
    mesh.holds_for(10, "it leads", agreed);
    for place in rest {
        let another = mesh
            .events_since(&mark, place)
            .any(|event| matches!(event, Event::LeaderElected { leader, .. } if *leader != first));
        assert!(!another, "{place} never saw another");
    }
}
