//! Where others hold this very member to be: its address, if it was given none, and a word to its operator if it was.

use std::net::SocketAddr;

use crate::support::*;
use butterfly::wire::MembershipRecord;
use butterfly::{Event, Health};

const THERE: &str = "198.51.100.44";

fn seen() -> SocketAddr {
    SocketAddr::new(THERE.parse().unwrap(), 9638)
}

/// Members of a ring that answer and proved where they are.
fn met(bench: &mut Bench, count: u32) -> Vec<Peer> {
    let peers: Vec<_> = (1..=count).map(Peer::ours).collect();
    bench.meet(&peers);
    for peer in &peers {
        bench.prove(peer, &peers);
    }
    peers
}

/// This member as one holds it that looks for it there.
fn held_at(bench: &Bench, ip: &str) -> MembershipRecord<'static> {
    let mut record = bench.me().said(Health::Alive, bench.me().incarnation);
    record.member.address = Some(ip.parse().unwrap());
    record
}

/// For so many seconds, these say now and then that it is there.
fn say(bench: &mut Bench, by: &[Peer], all: &[Peer], ip: &str, seconds: u32) -> Vec<Event> {
    for _ in 0..seconds {
        for peer in by {
            let record = held_at(bench, ip);
            bench.feed(peer, peer.ack(0), &[record]);
        }
        bench.advance_with_living(secs(1.0), all);
    }
    bench.events()
}

fn elsewhere(events: &[Event]) -> Vec<SocketAddr> {
    let seen = |event: &Event| match event {
        Event::SeenElsewhere { seen, .. } => Some(*seen),
        _ => None,
    };
    events.iter().filter_map(seen).collect()
}

#[test]
fn its_operator_is_told_once_two_go_on_seeing_it_elsewhere() {
    let mut bench = Bench::new();
    let peers = met(&mut bench, 3);
    let told = say(&mut bench, &peers[..2], &peers, THERE, 4);
    assert!(elsewhere(&told).is_empty(), "they may be about to find out");
    assert_eq!(bench.node.seen_elsewhere(), None);
    let told = say(&mut bench, &peers[..2], &peers, THERE, 60);
    assert_eq!(elsewhere(&told), [seen()], "once in a while");
    assert_eq!(bench.node.seen_elsewhere(), Some(seen()));
    assert!(bench.node.stats().seen_elsewhere > 60);
    assert_eq!(bench.node.me().member.ip.to_string(), "192.0.2.1");
    // They found it.
    bench.advance_with_living(secs(40.0), &peers);
    assert_eq!(bench.node.seen_elsewhere(), None);
}

#[test]
fn one_liar_makes_no_noise() {
    let mut bench = Bench::new();
    let peers = met(&mut bench, 3);
    let told = say(&mut bench, &peers[..1], &peers, THERE, 60);
    assert!(elsewhere(&told).is_empty());
    assert_eq!(bench.node.seen_elsewhere(), None);
    // Nor do two that did not prove where they are.
    let strangers = [Peer::ours(50), Peer::ours(51)];
    let told = say(&mut bench, &strangers, &peers, THERE, 60);
    assert!(elsewhere(&told).is_empty());
}

#[test]
fn the_only_other_member_is_believed() {
    let mut bench = Bench::new();
    let peers = met(&mut bench, 1);
    let told = say(&mut bench, &peers, &peers, THERE, 20);
    assert_eq!(elsewhere(&told), [seen()]);
}

/// What was said of an earlier life.
#[test]
fn old_records_say_nothing_of_where_it_is() {
    let mut bench = Bench::new();
    let peers = met(&mut bench, 3);
    for _ in 0..30 {
        for peer in &peers {
            let mut record = held_at(&bench, THERE);
            record.member.incarnation = incarnation(bench.me().incarnation - 1);
            bench.feed(peer, peer.ack(0), &[record]);
        }
        bench.advance_with_living(secs(1.0), &peers);
    }
    assert!(elsewhere(&bench.events()).is_empty());
}

fn nowhere() -> Bench {
    let mut config = config(plain());
    config.ip = None;
    Bench::with(config)
}

fn learned(events: &[Event]) -> Vec<String> {
    let learned = |event: &Event| match event {
        Event::AddressLearned { ip, .. } => Some(ip.to_string()),
        _ => None,
    };
    events.iter().filter_map(learned).collect()
}

#[test]
fn it_follows_its_address_while_it_runs_and_has_others_hear_of_it() {
    let mut bench = nowhere();
    let peers = met(&mut bench, 3);
    let told = say(&mut bench, &peers, &peers, "192.0.2.1", 1);
    assert_eq!(learned(&told), ["192.0.2.1"]);
    let before = bench.me().incarnation;
    let told = say(&mut bench, &peers[..1], &peers, THERE, 30);
    assert!(learned(&told).is_empty(), "one alone does not move it");
    let told = say(&mut bench, &peers[1..], &peers, THERE, 1);
    assert_eq!(learned(&told), [THERE]);
    assert_eq!(bench.node.me().member.ip.to_string(), THERE);
    assert_eq!(bench.me().incarnation, before + 1);
    let sent = bench.advance_with_living(secs(5.0), &peers);
    let own = sent.iter().flat_map(|sent| &sent.records);
    let own: Vec<_> = own.filter(|own| own.id == bench.node.id()).collect();
    assert!(!own.is_empty());
    assert!(own.iter().all(|own| own.ip == Some(seen().ip())));
}

/// In two networks at once, its peers see it at two addresses: it does not change with each of them.
#[test]
fn it_does_not_move_to_and_fro() {
    let mut bench = nowhere();
    let peers = met(&mut bench, 4);
    say(&mut bench, &peers, &peers, "192.0.2.1", 1);
    let mut moves = 0;
    for _ in 0..60 {
        for (some, ip) in [(&peers[..2], "192.0.2.1"), (&peers[2..], THERE)] {
            moves += learned(&say(&mut bench, some, &peers, ip, 1)).len();
        }
    }
    assert!((1..=8).contains(&moves), "{moves} in two minutes");
}

/// A disk says where it was, and not where it is.
#[test]
fn it_does_not_take_its_address_from_its_disk() {
    let mut bench = nowhere();
    let record = held_at(&bench, THERE);
    bench.node.hear_membership(&record).unwrap();
    assert!(bench.node.me().member.ip.is_unspecified());
}
