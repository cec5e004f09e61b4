//! Dead members that are forgotten: what one member does when it is told to, and when it hears of it.

use butterfly::rumor::{Forgotten, Rumor, RumorId, RumorKind};
use butterfly::wire::{MemberRecord, Message, encode_rumor, feature};
use butterfly::{CommandError, Event, Health, MemberId};

use crate::support::rumors::service;
use crate::support::*;

/// One that takes all kinds.
fn takes_all(number: u32) -> Peer {
    let peer = Peer::ours(number);
    let features = peer.features | feature::OWN_KINDS;
    Peer { features, ..peer }
}

/// Milliseconds since 1970 of a bench that starts: its epoch.
const NOW: u64 = 1;

fn forgotten(by: MemberId, members: &[&Peer]) -> Rumor {
    let members = members
        .iter()
        .map(|peer| (peer.id, incarnation(peer.incarnation)));
    Rumor::Forgotten(Forgotten::new(by, NOW, members.collect()))
}

/// A node that knows one living peer, and another that is dead.
fn bench() -> (Bench, Peer, Peer) {
    let mut bench = Bench::timed(plain());
    let (living, dead) = (takes_all(1), takes_all(2));
    bench.meet(&[living, dead]);
    bench.hear(&Rumor::Service(service(dead.id, "default", 1)), dead.id);
    bench.advance_with_living(secs(60.0), &[living]);
    assert_eq!(bench.health(&dead), Some(Health::Confirmed));
    bench.events();
    (bench, living, dead)
}

fn services(bench: &Bench) -> usize {
    bench.node.rumors_of(RumorKind::Service).count()
}

#[test]
fn only_the_dead_are_forgotten_and_all_or_none() {
    let (mut bench, living, dead) = bench();
    let (now, me) = (bench.now, bench.node.id());
    let health = Health::Alive;
    for (others, error) in [
        (
            living.id,
            CommandError::NotDead {
                id: living.id,
                health,
            },
        ),
        (id(9), CommandError::UnknownMember(id(9))),
        (me, CommandError::OwnId),
    ] {
        assert_eq!(bench.node.forget(now, &[dead.id, others]), Err(error));
    }
    assert_eq!(
        (bench.health(&dead), services(&bench)),
        (Some(Health::Confirmed), 1)
    );
    assert_eq!(bench.node.forget(now, &[dead.id]), Ok(()));
    assert_eq!((bench.health(&dead), services(&bench)), (None, 0));
    let told = bench.events();
    let is_it =
        |event: &Event| matches!(event, Event::MemberForgotten { id, .. } if *id == dead.id);
    assert_eq!(told.iter().filter(|event| is_it(event)).count(), 1);
    let pushed = bench.gossip_for(secs(1.0), &[living], |_| true);
    let rumors: Vec<_> = pushed.into_iter().filter_map(|push| push.rumor).collect();
    assert!(matches!(&rumors[..], [Rumor::Forgotten(said)] if said.members.len() == 1));
}

#[test]
fn who_was_forgotten_is_taken_up_by_its_own_word_or_a_newer_one_alone() {
    let (mut bench, living, dead) = bench();
    bench.hear(&forgotten(living.id, &[&dead]), living.id);
    assert_eq!((bench.health(&dead), services(&bench)), (None, 0));
    let other = takes_all(3);
    bench.meet(&[other]);
    for via in [&living, &other] {
        bench.feed(
            via,
            via.ack(0),
            &[dead.said(Health::Alive, dead.incarnation)],
        );
    }
    assert!(
        bench
            .node
            .hear_membership(&dead.said(Health::Suspect, dead.incarnation))
            .is_ok()
    );
    bench.hear(&Rumor::Service(service(dead.id, "default", 2)), dead.id);
    assert_eq!((bench.health(&dead), services(&bench)), (None, 0));
    // At a higher incarnation it has to be vouched for, as anybody.
    for via in [&living, &other] {
        bench.feed(
            via,
            via.ack(0),
            &[dead.said(Health::Alive, dead.incarnation + 1)],
        );
    }
    assert_eq!(bench.health(&dead), Some(Health::Alive));

    let (mut bench, living, dead) = self::bench();
    bench.hear(&forgotten(living.id, &[&dead]), living.id);
    bench.greet(&dead);
    assert_eq!(bench.health(&dead), Some(Health::Alive), "it answered");
    // What it says of itself counts.
    bench.hear(&Rumor::Service(service(dead.id, "default", 2)), dead.id);
    assert_eq!(services(&bench), 1);
}

#[test]
fn a_living_member_is_kept_and_forgotten_if_it_dies_at_that_incarnation() {
    let mut bench = Bench::timed(plain());
    let (one, other, third) = (takes_all(1), takes_all(2), takes_all(3));
    bench.meet(&[one, other, third]);
    bench.hear(&forgotten(one.id, &[&other, &third]), one.id);
    assert_eq!(bench.health(&other), Some(Health::Alive));
    // The third heard of it, and goes on above it.
    let third = third.incarnated(third.incarnation + 1);
    bench.feed(&third, third.ping(0), &[]);
    bench.advance_with_living(secs(60.0), &[one]);
    assert_eq!(bench.health(&other), None);
    assert_eq!(bench.health(&third), Some(Health::Confirmed));
}

#[test]
fn a_member_that_is_forgotten_itself_goes_on_above_what_was_known_of_it() {
    let mut bench = Bench::timed(plain());
    let me = bench.me();
    let before = me.incarnation;
    bench.hear(&forgotten(id(1), &[&me.incarnated(before + 7)]), id(1));
    assert_eq!(bench.me().incarnation, before + 8);
    bench.hear(&forgotten(id(2), &[&me.incarnated(before)]), id(2));
    assert_eq!(bench.me().incarnation, before + 8, "that was long ago");
}

#[test]
fn after_ten_days_nothing_is_left_of_it() {
    let mut timing = plain();
    timing.drip = secs(3_600.0);
    (timing.period, timing.timeout) = (secs(600.0), secs(300.0));
    let mut bench = Bench::timed(timing);
    let dead = takes_all(2);
    let said = forgotten(id(1), &[&dead]);
    bench.hear(&said, id(1));
    let remember = |bench: &mut Bench| {
        bench
            .node
            .hear_membership(&dead.said(Health::Alive, dead.incarnation))
    };
    remember(&mut bench).unwrap();
    assert_eq!((bench.health(&dead), bench.node.rumor_count()), (None, 1));
    bench.advance(secs(9.9 * 86_400.0));
    assert_eq!(bench.node.rumor_count(), 1);
    bench.advance(secs(0.2 * 86_400.0));
    assert_eq!(bench.node.rumor_count(), 0);
    // Whoever still holds it does not bring it back.
    bench.hear(&said, id(1));
    assert_eq!(bench.node.rumor_count(), 0);
    remember(&mut bench).unwrap();
    assert_eq!(bench.health(&dead), Some(Health::Alive));
}

#[test]
fn what_the_disk_held_is_forgotten_on() {
    let mut bench = Bench::timed(plain());
    let dead = takes_all(2);
    let said = forgotten(id(1), &[&dead]);
    let stored = encode_rumor(&said, "").bytes;
    bench.node.restore_rumor(&stored).unwrap();
    bench
        .node
        .hear_membership(&dead.said(Health::Alive, dead.incarnation))
        .unwrap();
    assert_eq!(bench.health(&dead), None);
    assert!(
        bench
            .node
            .rumor(&RumorId::forgotten(id(1), NOW))
            .unwrap()
            .provisional
    );
}

/// A peer of this name says hello, and answers the question that this provokes.
fn greet_named(bench: &mut Bench, peer: &Peer, name: &'static str) {
    let from = MemberRecord {
        name,
        ..peer.from()
    };
    let ping = Message::Ping {
        from,
        forward_to: None,
        probe: 0,
        digest: 0,
    };
    bench.sent();
    bench.feed(peer, ping, &[]);
    let asked = pings(&to(peer, &bench.sent())).pop().expect("a question");
    let ack = Message::Ack {
        from,
        forward_to: None,
        probe: asked.probe,
        table: false,
        rumors: 0,
        reconcile: &[],
        starting: false,
    };
    bench.feed(peer, ack, &[]);
    assert_eq!(bench.health(peer), Some(Health::Alive));
}

/// Without its disk it is another member, which answers at the same address and has the same name.
#[test]
fn a_member_that_lost_its_disk_replaces_its_former_self_at_once() {
    for (names, replaced) in [
        (["web", "web"], true),
        (["web", "db"], false),
        (["", ""], false),
    ] {
        for dies_first in [true, false] {
            let mut bench = Bench::timed(plain());
            let (other, former) = (takes_all(1), takes_all(2));
            let at = former.addr.to_string();
            let latter = takes_all(3).at(&at);
            bench.meet(&[other]);
            greet_named(&mut bench, &former, names[0]);
            if dies_first {
                bench.advance_with_living(secs(60.0), &[other]);
                assert_eq!(bench.health(&former), Some(Health::Confirmed));
            }
            greet_named(&mut bench, &latter, names[1]);
            assert_eq!(bench.health(&former).is_none(), replaced, "{names:?}");
            let told = bench.gossip_for(secs(0.5), &[other, latter], |_| true);
            let is_it = |rumor: &Rumor| matches!(rumor, Rumor::Forgotten(said) if said.members[0].0 == former.id);
            let rumors = told.iter().filter_map(|push| push.rumor.as_ref());
            assert_eq!(rumors.filter(|rumor| is_it(rumor)).count() > 0, replaced);
        }
    }
}
