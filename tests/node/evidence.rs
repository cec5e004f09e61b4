//! What the systems of others say: refused pings, ended connections, tested ports (PROTOCOL.md §2).

use std::net::SocketAddr;

use crate::support::*;
use butterfly::{Health, MemberId};

fn peers(count: u32) -> Vec<Peer> {
    (1..=count).map(Peer::ours).collect()
}

/// Those that the node watches now, by their gossip addresses.
fn watched(bench: &mut Bench) -> Option<Vec<(MemberId, SocketAddr)>> {
    bench.node.poll_watched().map(<[_]>::to_vec)
}

fn gossip_of(peer: &Peer) -> (MemberId, SocketAddr) {
    (peer.id, SocketAddr::new(peer.addr.ip(), peer.gossip_port))
}

#[test]
fn the_next_two_by_id_that_proved_their_addresses_are_watched() {
    let mut bench = Bench::new();
    assert_eq!(watched(&mut bench), None);
    let all = peers(5);
    bench.meet(&all[2..]);
    bench.meet(&[Peer::original(1)]);
    for peer in &all[2..] {
        bench.prove(peer, &all[2..]);
    }
    // The bench's own id is the highest, so its successors are the lowest.
    let expected = vec![gossip_of(&all[2]), gossip_of(&all[3])];
    assert_eq!(watched(&mut bench), Some(expected));
    assert_eq!(watched(&mut bench), None, "the same");
    // A nearer one comes, and one of them ends.
    bench.meet(&all[1..2]);
    bench.prove(&all[1], &all[1..]);
    let expected = vec![gossip_of(&all[1]), gossip_of(&all[2])];
    assert_eq!(watched(&mut bench), Some(expected));
    bench.advance_with_living(secs(40.0), &all[2..]);
    assert!(bench.health(&all[1]) > Some(Health::Suspect));
    let expected = vec![gossip_of(&all[2]), gossip_of(&all[3])];
    assert_eq!(watched(&mut bench), Some(expected));
    bench.node.leave(bench.now);
    assert_eq!(watched(&mut bench), Some(Vec::new()));
}

/// The bytes of the last datagram to this peer.
fn last_to(bench: &Bench, peer: &Peer) -> Vec<u8> {
    let sent = bench.raw.iter().rev().find(|(to, _)| *to == peer.addr);
    sent.unwrap().1.clone()
}

#[test]
fn when_the_ping_of_a_probe_is_refused_others_are_asked_at_once() {
    let mut bench = Bench::new();
    let all = peers(5);
    bench.meet(&all);
    let ping = bench.until_pinged(&all[0], &all[1..]);
    let mut quoted = last_to(&bench, &all[0]);
    bench
        .node
        .handle_refused(bench.now, all[0].addr, &mut quoted);
    bench.drain();
    let asked = ping_reqs(&bench.sent());
    assert!(asked.len() >= 3, "{}", asked.len());
    assert!(asked.iter().all(|request| request.probe == ping.probe));
    assert_eq!(bench.node.stats().refusals_ignored, 0);
}

#[test]
fn a_refusal_that_quotes_no_ping_that_waits_has_no_effect() {
    let mut bench = Bench::new();
    let all = peers(5);
    bench.meet(&all);
    let old = {
        bench.until_pinged(&all[0], &all);
        last_to(&bench, &all[0])
    };
    bench.until_pinged(&all[1], &all[1..]);
    bench.sent();
    let good = last_to(&bench, &all[1]);
    let mut others = good.clone();
    let place = others.len() / 2;
    others[place] ^= 1;
    let before = bench.fingerprint();
    let forged = [
        (all[0].addr, good.clone()),
        (all[0].addr, old.clone()),
        (all[1].addr, old),
        (all[1].addr, good[..good.len() - 1].to_vec()),
        (all[1].addr, good[..8].to_vec()),
        (all[1].addr, Vec::new()),
        (all[1].addr, bench.datagram(&all[1].ping(7), &[])),
    ];
    let count = forged.len() as u64;
    for (to, mut quoted) in forged {
        bench.node.handle_refused(bench.now, to, &mut quoted);
    }
    bench.drain();
    assert_eq!(bench.sent(), []);
    assert_eq!(bench.fingerprint(), before);
    let stats = bench.node.stats();
    assert_eq!((stats.refusals, stats.refusals_ignored), (count, count));
}

#[test]
fn a_hint_has_its_member_pinged_and_accuses_nobody() {
    let mut bench = Bench::new();
    let all = peers(3);
    bench.meet(&all);
    bench.sent();
    let stranger = Peer::ours(9);
    bench.node.handle_hint(bench.now, stranger.id);
    bench.node.handle_hint(bench.now, bench.node.id());
    bench.drain();
    assert_eq!(bench.sent(), []);
    bench.node.handle_hint(bench.now, all[0].id);
    bench.drain();
    let pings = pings(&bench.sent());
    assert_eq!(pings.len(), 1);
    assert_eq!(pings[0].to, all[0].addr);
    bench.advance_with_living(secs(0.4), &all[1..]);
    assert_eq!(bench.health(&all[0]), Some(Health::Alive));
}
