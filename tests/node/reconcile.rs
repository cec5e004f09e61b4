//! Comparing stores: two nodes back to back end with the same, at a bounded cost, and nobody can have a node
//! do more than its share.

use std::time::Duration;

use crate::support::pair::Pair;
use crate::support::rumors::{bytes_of, config, file, hash_of, service};
use crate::support::*;
use butterfly::Timing;
use butterfly::error::Reject;
use butterfly::node::Node;
use butterfly::rumor::Rumor;
use butterfly::wire::RingKey;
use butterfly::wire::reconcile::{Part, read_parts};
use proptest::prelude::*;

fn timing() -> Timing {
    let mut timing = plain();
    timing.drip = Duration::ZERO;
    timing
}

fn key() -> RingKey {
    RingKey::new("ring", "20260101000000", [7; 32]).unwrap()
}

/// Has a node hold something.
type Fill<'f> = &'f dyn Fn(&mut Node, butterfly::Time);

/// Two that hold these, long since, and do not know each other.
fn apart(keys: Vec<RingKey>, held: [Fill<'_>; 2]) -> Pair {
    let mut pair = Pair::new(timing(), keys);
    for (node, held) in pair.nodes.iter_mut().zip(held) {
        held(node, pair.now);
    }
    pair.run_for(secs(5.0));
    for node in &pair.nodes {
        assert_eq!(node.hot_rumors(), 0, "nobody is there to be told");
    }
    pair
}

/// They meet, and agree within this time.
fn agree_within(pair: &mut Pair, seconds: f64) {
    pair.meet();
    let took = pair.run_until_agreed(secs(seconds));
    assert!(
        took.is_some(),
        "{:?}",
        pair.nodes.each_ref().map(Node::rumor_count)
    );
}

/// After a while nothing more has been said.
fn is_quiet(pair: &mut Pair) {
    pair.run_for(secs(2.0));
    let before = (pair.compared, pair.pushed);
    pair.run_for(secs(60.0));
    assert_eq!((pair.compared, pair.pushed), before);
}

fn configs(node: &mut Node, now: butterfly::Time, numbers: std::ops::Range<u32>, text: &str) {
    for number in numbers {
        node.apply_config(now, config(&format!("g{number}"), 1, text))
            .unwrap();
    }
}

#[test]
fn a_newcomer_with_nothing_gets_everything_once() {
    for keys in [vec![], vec![key()]] {
        let mut pair = apart(
            keys,
            [&|node, now| configs(node, now, 0..1_000, "a"), &|_, _| ()],
        );
        agree_within(&mut pair, 10.0);
        assert_eq!(pair.pushed, [1_000, 0]);
        let compared: usize = pair.compared.iter().sum();
        assert!(compared <= 100, "{compared} datagrams");
        is_quiet(&mut pair);
    }
}

#[test]
fn a_thousand_each_with_ten_differing_swap_those() {
    let all = |text: &'static str, own: std::ops::Range<u32>| {
        move |node: &mut Node, now| {
            configs(node, now, 0..990, "a");
            configs(node, now, own.clone(), text);
        }
    };
    let mut pair = apart(vec![], [&all("a", 1_000..1_010), &all("b", 2_000..2_010)]);
    agree_within(&mut pair, 10.0);
    assert_eq!(pair.pushed, [10, 10]);
    let compared: usize = pair.compared.iter().sum();
    assert!(compared <= 60, "{compared} datagrams");
    assert_eq!(pair.nodes[0].rumor_count(), 1_010);
    is_quiet(&mut pair);
}

#[test]
fn of_the_same_rumors_in_other_versions_the_newer_ones_stay() {
    let mut pair = apart(
        vec![key()],
        [
            &|node, now| configs(node, now, 0..300, "older"),
            &|node, now| {
                configs(node, now, 0..290, "older");
                for number in 290..300 {
                    node.apply_config(now, config(&format!("g{number}"), 2, "newer"))
                        .unwrap();
                }
            },
        ],
    );
    agree_within(&mut pair, 10.0);
    let newer = |node: &Node| node.rumors().filter(|held| held.version == 2).count();
    assert_eq!(pair.nodes.each_ref().map(newer), [10, 10]);
    assert!(
        pair.pushed[0] <= 10 && pair.pushed[1] == 10,
        "{:?}",
        pair.pushed
    );
    is_quiet(&mut pair);
}

#[test]
fn ten_thousand_come_to_a_newcomer_once() {
    let mut pair = apart(
        vec![],
        [&|_, _| (), &|node, now| configs(node, now, 0..10_000, "a")],
    );
    agree_within(&mut pair, 20.0);
    assert_eq!(pair.pushed, [0, 10_000]);
    let compared: usize = pair.compared.iter().sum();
    assert!(compared <= 700, "{compared} datagrams");
    is_quiet(&mut pair);
}

#[test]
fn all_kinds_and_sizes_come_over() {
    let mut pair = apart(
        vec![key()],
        [
            &|node, now| {
                node.announce(now, service(id(1), "default", 3)).unwrap();
                node.apply_config(now, config("default", 1, "a")).unwrap();
                node.apply_file(now, file("small", 1, 1)).unwrap();
                node.apply_file(now, file("big", 1, 3 << 20)).unwrap();
                node.depart(now, id(99)).unwrap();
            },
            &|_, _| (),
        ],
    );
    agree_within(&mut pair, 10.0);
    let held = |node: &Node| {
        node.rumors()
            .map(|held| held.rumor().unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(held(&pair.nodes[0]), held(&pair.nodes[1]));
    assert_eq!((held(&pair.nodes[1]).len(), pair.pushed), (5, [5, 0]));
}

#[test]
fn whatever_is_lost_is_made_good() {
    let held = |from: u32| move |node: &mut Node, now| configs(node, now, from..from + 1_000, "a");
    let mut pair = apart(vec![], [&held(0), &held(5_000)]);
    pair.loss = 0.25;
    agree_within(&mut pair, 120.0);
    assert_eq!(pair.nodes[0].rumor_count(), 2_000);
    let pushed: usize = pair.pushed.iter().sum();
    assert!(
        pushed <= 3_200,
        "{pushed} pushes, of which a quarter was lost"
    );
}

#[test]
fn what_is_news_while_they_know_each_other_is_pushed_at_once_and_once() {
    let mut pair = apart(vec![key()], [&|_, _| (), &|_, _| ()]);
    pair.meet();
    pair.run_for(secs(20.0));
    let before = pair.pushed;
    configs(&mut pair.nodes[0], pair.now, 0..100, "a");
    pair.run_for(secs(0.0));
    assert!(pair.agree());
    pair.run_for(secs(30.0));
    // The other one does not know whether the first was the only one to know.
    let pushed = [pair.pushed[0] - before[0], pair.pushed[1] - before[1]];
    assert!(pushed[0] == 100 && pushed[1] <= 100, "{pushed:?}");
}

// ---------------------------------------------------------------- hostile peers

/// A node that holds so many rumors, all cold, and one of ours that is known to answer at its address.
fn holding(number: u32) -> (Bench, Peer) {
    let mut bench = Bench::timed(timing());
    let now = bench.now;
    configs(&mut bench.node, now, 0..number, "a");
    bench.advance(secs(1.0));
    let peer = Peer::ours(1);
    bench.meet(&[peer]);
    bench.prove(&peer, &[peer]);
    bench.gossip_for(secs(5.0), &[peer], |_| true);
    assert_eq!(bench.node.hot_rumors(), 0);
    bench.sent();
    (bench, peer)
}

fn said_to(peer: &Peer, sent: &[Sent]) -> (usize, Vec<Part>) {
    let said: Vec<_> = to(peer, sent)
        .into_iter()
        .filter(|sent| !sent.reconcile.is_empty())
        .collect();
    let parts = said
        .iter()
        .flat_map(|sent| read_parts(&sent.reconcile).unwrap());
    (said.len(), parts.collect())
}

#[test]
fn who_has_not_proved_its_address_gets_nothing() {
    let (mut bench, proved) = holding(10);
    let hash = hash_of(&Rumor::ServiceConfig(config("g1", 1, "a")));
    let all = Part::All {
        first: 0,
        last: u64::MAX,
        hashes: vec![1, 2, 3],
    };
    let greedy = bytes_of(&[Part::Want(vec![hash]), Part::Have(vec![5]), all]);
    let stranger = Peer::ours(2);
    // Known but not proved, not known at all, and one that says it is of the originals.
    bench.remember(&stranger);
    let original = Peer {
        features: 0,
        ..stranger
    };
    for peer in [stranger, Peer::ours(3), original] {
        bench.feed(&peer, peer.compares(&greedy), &[]);
        assert_eq!(said_to(&peer, &bench.sent()).0, 0, "{peer:?}");
    }
    assert_eq!(bench.pushes(|_| true), []);
    // The same from the proved one counts, until it sends from elsewhere.
    bench.feed(&proved, proved.compares(&greedy), &[]);
    assert_eq!(bench.pushes(|_| true).len(), 1);
    assert!(said_to(&proved, &bench.sent()).0 > 0);
    let elsewhere = proved.at("10.0.0.77:9000");
    bench.feed(&elsewhere, elsewhere.compares(&greedy), &[]);
    let sent = bench.sent();
    assert_eq!(said_to(&elsewhere, &sent).0 + said_to(&proved, &sent).0, 0);
    assert_eq!(bench.pushes(|_| true), []);
}

#[test]
fn who_compares_unproved_is_asked_to_prove_its_address_and_then_compared_with() {
    let (mut bench, _) = holding(10);
    let stranger = Peer::ours(2);
    bench.remember(&stranger);
    let all = Part::All {
        first: 0,
        last: u64::MAX,
        hashes: vec![1, 2, 3],
    };
    let parts = bytes_of(&[all]);
    let ack = stranger.compares(&parts);
    bench.feed(&stranger, ack, &[]);
    let sent = bench.sent();
    let pings = pings(&to(&stranger, &sent));
    let [ping] = &pings[..] else {
        panic!("{pings:?}");
    };
    assert_eq!(said_to(&stranger, &sent).0, 0);
    let before = bench.node.stats().comparisons;
    let proof = butterfly::wire::Message::Ack {
        from: stranger.from(),
        forward_to: None,
        probe: ping.probe,
        table: false,
        rumors: bench.node.rumor_checksum() ^ 1,
        reconcile: &[],
        starting: false,
    };
    bench.feed(&stranger, proof, &[]);
    assert_eq!(bench.node.stats().comparisons, before + 1);
    assert_eq!(said_to(&stranger, &bench.sent()).0, 1);
}

#[test]
fn an_ack_with_another_checksum_begins_a_comparison_now_and_then() {
    let (mut bench, peer) = holding(10);
    let ack = |rumors| butterfly::wire::Message::Ack {
        from: peer.from(),
        forward_to: None,
        probe: 0,
        table: false,
        rumors,
        reconcile: &[],
        starting: false,
    };
    let checksum = bench.node.rumor_checksum();
    let before = bench.node.stats().comparisons;
    for same in [0, checksum] {
        bench.feed(&peer, ack(same), &[]);
    }
    assert_eq!(bench.node.stats().comparisons, before);
    for _ in 0..100 {
        bench.feed(&peer, ack(checksum ^ 1), &[]);
    }
    assert_eq!(bench.node.stats().comparisons, before + 1);
    let (datagrams, parts) = said_to(&peer, &bench.sent());
    assert!(
        datagrams == 1 && matches!(&parts[..], [Part::All { hashes, .. }] if hashes.len() == 10)
    );
}

#[test]
fn one_datagram_provokes_no_more_than_sixteen_and_each_rumor_once() {
    let (mut bench, peer) = holding(3_000);
    let everything = Part::All {
        first: 0,
        last: u64::MAX,
        hashes: vec![],
    };
    let sums = |depth, prefix, count: u32| Part::Sums {
        depth,
        prefix,
        sums: (0..count).collect(),
    };
    let hash = hash_of(&Rumor::ServiceConfig(config("g1", 1, "a")));
    let hostile: [Vec<Part>; 9] = [
        vec![everything.clone(); 2_000],
        vec![sums(0, 0, 32); 300],
        vec![sums(0, 0, 10_000)],
        (0..400).map(|prefix| sums(1, prefix, 32)).collect(),
        vec![
            sums(2, 0, 32),
            sums(255, u16::MAX, 32),
            sums(1, 32, 32),
            sums(0, 1, 32),
        ],
        vec![sums(0, 0, 0), Part::Have(vec![]), Part::Want(vec![])],
        vec![
            Part::All {
                first: u64::MAX,
                last: 0,
                hashes: vec![]
            };
            500
        ],
        vec![Part::Have((0..8_000).collect())],
        vec![Part::Want(vec![hash; 4_000]), Part::Want(vec![hash; 4_000])],
    ];
    for (number, parts) in hostile.iter().enumerate() {
        let checksum = bench.node.rumor_checksum();
        let before = std::time::Instant::now();
        bench.feed(&peer, peer.compares(&bytes_of(parts)), &[]);
        let took = before.elapsed();
        let (datagrams, _) = said_to(&peer, &bench.sent());
        assert!(datagrams <= 16, "{datagrams} datagrams for {number}");
        let pushes = bench.pushes(|_| true).len();
        assert_eq!(pushes, usize::from(number == 8), "{number}");
        assert_eq!(bench.node.rumor_checksum(), checksum);
        assert!(took < Duration::from_millis(200), "{number} takes {took:?}");
    }
}

#[test]
fn parts_that_do_not_read_are_counted() {
    let (mut bench, peer) = holding(1);
    for parts in [
        &[10, 1, 0][..],
        &[18, 15, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        &[26, 1, 0],
        &[34, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    ] {
        let before = bench.node.stats().rejected(Reject::Truncated)
            + bench.node.stats().rejected(Reject::Malformed);
        bench.feed(&peer, peer.compares(parts), &[]);
        let after = bench.node.stats().rejected(Reject::Truncated)
            + bench.node.stats().rejected(Reject::Malformed);
        assert_eq!(after, before + 1, "{parts:?}");
    }
    bench.feed(&peer, peer.compares(&[74, 1, 0]), &[]);
    assert_eq!(
        said_to(&peer, &bench.sent()).0,
        0,
        "a part of a later version says nothing"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nonsense_changes_nothing(
        junk in proptest::collection::vec(proptest::collection::vec(prop_oneof![0..0x40u8, any::<u8>()], 0..80), 1..8),
    ) {
        let mut bench = Bench::timed(timing());
        let peer = Peer::ours(1);
        bench.meet(&[peer]);
        bench.prove(&peer, &[peer]);
        bench.node.apply_config(bench.now, config("g", 1, "a")).unwrap();
        let checksum = bench.node.rumor_checksum();
        for bytes in junk {
            bench.hear_frame(&mut bytes.clone());
            bench.hear_bytes(&bytes);
            for kind in 1..=9 {
                bench.hear_bytes(&[&[8, kind, 26, 1, b'x', (kind + 3) << 3 | 2, bytes.len() as u8], &bytes[..]].concat());
            }
            bench.feed(&peer, peer.compares(&bytes), &[]);
            for part in 1..=4u8 {
                bench.feed(&peer, peer.compares(&[&[part << 3 | 2, bytes.len() as u8], &bytes[..]].concat()), &[]);
            }
        }
        prop_assert_eq!((bench.node.rumor_checksum(), bench.node.rumor_count()), (checksum, 1));
    }
}
