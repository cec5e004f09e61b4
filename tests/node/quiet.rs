//! What a member need not say: what its receiver knows, what all know, and what says nothing.

use butterfly::wire::{self, feature};
use butterfly::{Health, Timing};
use butterfly_protocols::swim as proto;
use protobuf::Message as _;

use crate::support::*;

/// One of ours that knows its own address.
fn placed(number: u32) -> Peer {
    let features = Peer::ours(number).features | feature::PLACED;
    let peer = Peer::ours(number);
    Peer { features, ..peer }
}

/// A member that compares tables and knows these, each of which has proved its address, and nothing of which is news.
fn settled(config: butterfly::node::NodeConfig, peers: &[Peer]) -> Bench {
    let mut bench = Bench::with(config);
    bench.meet(peers);
    for peer in peers {
        bench.prove(peer, peers);
    }
    bench.advance_with_living(secs(120.0), peers);
    bench.raw.clear();
    bench
}

fn comparing() -> Timing {
    let mut timing = plain();
    timing.sync_max = secs(60.0);
    timing
}

/// The last datagram to this peer that is not a comparison, as the .proto files have it.
fn last_to(bench: &Bench, peer: &Peer) -> proto::Swim {
    let (_, datagram) = bench.raw.iter().rfind(|(to, _)| *to == peer.addr).unwrap();
    let mut datagram = datagram.clone();
    proto::Swim::parse_from_bytes(wire::open(&[], &mut datagram).unwrap()).unwrap()
}

#[test]
fn a_ping_says_nothing_that_its_receiver_knows() {
    let peers = [placed(1), Peer::ours(2), Peer::original(3)];
    let mut bench = settled(config(comparing()), &peers);
    let mut probed = |peer: &Peer| bench.until_pinged(peer, &peers);
    let ping = probed(&peers[0]);
    assert_eq!(ping.records, []);
    assert!(ping.bytes < 80, "{}", ping.bytes);
    // One that has yet to learn its address hears it, and one that compares no tables hears of others.
    assert_eq!(
        probed(&peers[1]).says_of(&peers[1]),
        Some((Health::Alive, 5))
    );
    // Once in a round there is nobody left to tell it of.
    let pings = [probed(&peers[2]), probed(&peers[2])];
    let of_itself = |ping: &Sent| ping.says_of(&peers[2]) == Some((Health::Alive, 5));
    assert!(pings.iter().all(of_itself));
    assert!(
        pings.iter().any(|ping| ping.records.len() == 2),
        "{pings:?}"
    );
}

/// What others see of a member may differ from where it listens.
#[test]
fn now_and_then_a_member_hears_where_it_is_all_the_same() {
    let peers = [placed(1), placed(2)];
    let mut bench = settled(config(comparing()), &peers);
    let sent = bench.advance_with_living(secs(400.0), &peers);
    let pings = probes(&sent);
    let says = |ping: &&Sent| peers.iter().any(|peer| ping.says_of(peer).is_some());
    let said = pings.iter().filter(says).count();
    let share = pings.len() / said.max(1);
    assert!((8..=32).contains(&share), "{said} of {}", pings.len());
}

#[test]
fn of_the_dead_all_hear_again_and_again() {
    let peers = [placed(1), placed(2), placed(3)];
    let mut bench = settled(config(comparing()), &peers);
    bench.advance_with_living(secs(30.0), &peers[1..]);
    assert_eq!(bench.health(&peers[0]), Some(Health::Confirmed));
    bench.advance_with_living(secs(60.0), &peers[1..]);
    let sent = bench.advance_with_living(secs(30.0), &peers[1..]);
    let pings = probes(&sent);
    let of_it = |ping: &&Sent| ping.says_of(&peers[0]) == Some((Health::Confirmed, 5));
    assert!(pings.iter().filter(of_it).count() > 3);
    assert!(pings.iter().all(|ping| ping.records.len() <= 1));
}

#[test]
fn a_suspect_is_told() {
    let peers = [placed(1), placed(2), placed(3)];
    let mut bench = settled(config(comparing()), &peers);
    let silent = &peers[1..];
    while bench.health(&peers[0]) == Some(Health::Alive) {
        bench.advance_with_living(secs(0.1), silent);
    }
    bench.sent();
    let ping = pings(&to(
        &peers[0],
        &bench.advance_with_living(secs(4.0), silent),
    ));
    let says = ping.first().and_then(|ping| ping.says_of(&peers[0]));
    assert_eq!(says, Some((Health::Suspect, 5)));
}

#[test]
fn what_says_nothing_is_left_out_for_members_of_ours_alone() {
    let peers = [placed(1), Peer::original(2)];
    let mut bench = settled(config(comparing()), &peers);
    for (peer, all) in peers.iter().zip([false, true]) {
        bench.until_pinged(peer, &peers);
        let mut swim = last_to(&bench, peer);
        let mut from = swim.mut_ping().from.take().unwrap();
        let written = [
            from.has_address(),
            from.has_persistent(),
            from.has_departed(),
            from.has_probe_ping(),
        ];
        assert_eq!(written, [all; 4], "{peer:?}");
        assert_eq!((from.incarnation(), from.swim_port()), (3, 9638));
        bench.raw.clear();
        bench.feed(peer, peer.ping(77), &[]);
        from = last_to(&bench, peer).mut_ack().from.take().unwrap();
        assert_eq!(from.has_address(), all);
        assert_eq!(from.gossip_port(), 9639);
    }
}

/// How often a member tells that another one lives, of which it hears from this many others.
fn tellings(copies: usize) -> usize {
    let mut timing = comparing();
    (timing.push_fanout, timing.push_tellings) = (3, 6);
    let peers: Vec<_> = (1..=20).map(placed).collect();
    let mut bench = settled(config(timing), &peers);
    let (new, others) = (&peers[9], [&peers[..9], &peers[10..]].concat());
    let news = new.said(Health::Alive, 6);
    bench.feed(&others[0], others[0].ack(0), &[news]);
    let mut sent = bench.advance_with_living(secs(0.3), &peers);
    for peer in &others[..copies] {
        bench.feed(peer, peer.ack(0), &[news]);
    }
    sent.extend(bench.advance_with_living(secs(60.0), &peers));
    let others = sent.iter().filter(|sent| sent.to != new.addr);
    let told = others.filter(|sent| sent.says_of(new).is_some());
    told.count()
}

#[test]
fn what_others_tell_back_is_pushed_and_then_told_no_more() {
    // 4 · log₂(21 + 1), or twice ln 21 + 4, with what is heard; some are for the member itself.
    let counts = [0, 6, 12].map(tellings);
    assert!((15..=18).contains(&counts[0]), "{counts:?}");
    assert!((10..=12).contains(&counts[1]), "{counts:?}");
    assert!((7..=10).contains(&counts[2]), "{counts:?}");
}
