//! What a source can provoke that has not proved its address: never more than a few times its own bytes,
//! and only so often.

use std::time::Duration;

use crate::support::*;
use butterfly::limits::{STRANGER_AMPLIFICATION, STRANGER_BURST, STRANGER_RATE};
use butterfly::wire::{MembershipRecord, Message, RingKey};
use butterfly::{Health, Reject};
use proptest::prelude::*;

fn peers(count: u32) -> Vec<Peer> {
    (1..=count).map(Peer::ours).collect()
}

/// A ring of this many, all of whom have proved their addresses.
fn ring(mut bench: Bench, count: u32) -> (Bench, Vec<Peer>) {
    let all = peers(count);
    bench.meet(&all);
    bench.advance_with_living(secs(f64::from(count) * 3.0 + 50.0), &all);
    assert_eq!(bench.node.news(), 0);
    (bench, all)
}

fn sealed() -> butterfly::node::NodeConfig {
    let mut config = config(plain());
    config.ring_keys = vec![RingKey::new("ring", "20260101000000", [3; 32]).unwrap()];
    config.name = "a name that takes all of its room".to_owned();
    config
}

fn bytes_of(sent: &[Sent]) -> usize {
    sent.iter().map(|sent| sent.bytes).sum()
}

#[test]
fn the_address_is_proved_before_the_table_is_sent() {
    let (mut bench, all) = ring(Bench::new(), 40);
    let stranger = Peer::ours(100);
    let asked = bench.feed(&stranger, stranger.ping_with_digest(5, 77), &[]);
    let sent = bench.advance_with_living(secs(0.1), &all);
    assert!(bytes_of(&sent) <= 3 * asked);
    assert_eq!(acks(&sent).len(), 1, "its ping is answered");
    let cookie = pings(&sent)[0].probe;
    assert_eq!(pings(&sent)[0].to, stranger.addr);
    // An Ack without the number, or with another, proves nothing.
    for forged in [0, 5, cookie + 1] {
        bench.feed(&stranger, stranger.ack(forged), &[]);
        let elsewhere = stranger.at("203.0.113.9:9000");
        bench.feed(&elsewhere, stranger.ack(cookie), &[]);
        bench.feed(&stranger, stranger.ping(0), &[]);
        let sent = bench.advance_with_living(secs(0.1), &all);
        assert!(sent.iter().all(|sent| !sent.table), "{sent:?}");
    }
    bench.feed(&stranger, stranger.ping_with_digest(5, 77), &[]);
    bench.feed(&stranger, stranger.ack(cookie), &[]);
    let sent = bench.advance_with_living(secs(0.2), &all);
    let told: std::collections::BTreeSet<_> = sent
        .iter()
        .filter(|sent| sent.table && sent.to == stranger.addr)
        .flat_map(|sent| &sent.records)
        .map(|record| record.id)
        .collect();
    assert!(
        all.iter().all(|peer| told.contains(&peer.id)),
        "{}",
        told.len()
    );
    assert!(told.contains(&bench.node.id()));
}

#[test]
fn who_holds_the_same_table_is_answered_and_not_told_it() {
    let (mut bench, all) = ring(Bench::new(), 5);
    let stranger = Peer::ours(100);
    // What it would be asked with shows the node's own digest.
    bench.feed(&stranger, stranger.ping_with_digest(1, 77), &[]);
    let digest = pings(&bench.sent())[0].digest;
    let sent = {
        bench.feed(&stranger, stranger.ping_with_digest(2, digest), &[]);
        bench.sent()
    };
    assert_eq!((acks(&sent).len(), sent[0].probe), (1, 2), "{sent:?}");
    // It is asked where it is, and not compared with.
    assert_eq!(pings(&sent)[0].digest, 0);
    bench.feed(&stranger, stranger.ack(pings(&sent)[0].probe), &[]);
    let sent = bench.advance_with_living(secs(0.2), &all);
    assert!(sent.iter().all(|sent| !sent.table), "{sent:?}");
}

#[test]
fn an_ack_without_a_number_proves_no_address() {
    for stranger in [Peer::ours(100), Peer::original(100)] {
        let (mut bench, all) = ring(Bench::new(), 20);
        bench.feed(&stranger, stranger.ping_with_digest(0, 77), &[]);
        bench.feed(&stranger, stranger.ack(0), &[]);
        bench.feed(&stranger, stranger.ping_with_digest(0, 77), &[]);
        let sent = bench.advance_with_living(secs(0.2), &all);
        assert!(sent.iter().all(|sent| !sent.table), "{stranger:?}");
        assert_eq!(bench.health(&stranger), None);
    }
}

/// It copies what it is to forward to, and so a number hidden there.
#[test]
fn a_peer_that_knows_no_numbers_can_prove_its_address_too() {
    let (mut bench, all) = ring(Bench::new(), 20);
    let newcomer = Peer::original(100);
    let asked = bench.feed(&newcomer, newcomer.ping(0), &[]);
    let sent = bench.sent();
    assert!(bytes_of(&sent) <= 3 * asked);
    assert_eq!(acks(&sent).len(), 1);
    let to = pings(&sent)[0].other.clone().expect("it is to copy this");
    assert_eq!(to.id, bench.node.id());
    let before = bench.node.stats().records_sent;
    bench.feed(&newcomer, newcomer.answers(&pings(&sent)[0]), &[]);
    assert_eq!(bench.health(&newcomer), Some(Health::Alive));
    bench.advance_with_living(secs(0.1), &all);
    let told = bench.node.stats().records_sent - before;
    assert!(told >= 20, "it is told the table: {told}");
}

/// A transfer goes on for seconds, and the member may claim to be elsewhere in between.
#[test]
fn the_table_does_not_follow_a_member_to_an_address_it_has_not_proved() {
    let (mut bench, mut all) = ring(Bench::new(), 3);
    let many: Vec<_> = (1_000..3_000)
        .map(|number| Peer::ours(number).said(Health::Alive, 1))
        .collect();
    bench.learn(&all[0].clone(), &many);
    let thief = Peer::ours(100);
    bench.feed(&thief, thief.ping_with_digest(1, 77), &[]);
    let cookie = pings(&to(&thief, &bench.sent()))[0].probe;
    bench.feed(&thief, thief.ack(cookie), &[]);
    let sent = bench.advance_with_living(Duration::from_millis(20), &all);
    assert!(sent.iter().any(|sent| sent.table && sent.to == thief.addr));
    let victim = thief.at("198.51.100.1:53").incarnated(6);
    let asked = bench.feed(&victim, victim.ping(0), &[]);
    assert_eq!(
        bench.held(&thief),
        Some((Health::Alive, 5)),
        "it did not move"
    );
    all.push(thief);
    let sent = bench.advance_with_living(secs(0.4), &all);
    let there = bytes_of(&to(&victim, &sent));
    assert!(there <= 3 * asked, "{there} bytes to one that never asked");
}

#[test]
fn answers_to_one_source_come_in_a_burst_and_then_at_a_rate() {
    let mut bench = Bench::new();
    let stranger = Peer::ours(100);
    for number in 0..1_000 {
        // Many ids and ports behind one address.
        let peer = Peer::ours(100 + number % 7).at(&format!("203.0.113.9:{}", 1_000 + number));
        bench.feed(&peer, peer.ping(1), &[]);
    }
    assert_eq!(acks(&bench.sent()).len() as u32, STRANGER_BURST);
    let rejected = bench.node.stats().rejected(Reject::RateLimited);
    assert_eq!(rejected as u32, 1_000 - STRANGER_BURST);
    let mut later = 0;
    for _ in 0..1_000 {
        bench.advance(Duration::from_millis(5));
        bench.sent();
        let peer = stranger.at("203.0.113.9:4000");
        bench.feed(&peer, peer.probe_ping(), &[]);
        later += acks(&to(&peer, &bench.sent())).len();
    }
    assert!(later.abs_diff(STRANGER_RATE as usize * 5) <= 2, "{later}");
    let other = Peer::ours(101);
    bench.feed(&other, other.ping(1), &[]);
    assert_eq!(acks(&bench.sent()).len(), 1, "others are answered");
}

#[test]
fn who_has_proved_its_address_is_not_metered() {
    let (mut bench, all) = ring(Bench::new(), 2);
    for _ in 0..1_000 {
        bench.feed(&all[0], all[0].ping(1), &[]);
    }
    assert_eq!(bench.sent().len(), 1_000);
}

/// A hundred datagrams from as many forged sources, each of which says that everybody is dead.
#[test]
fn forged_claims_of_death_are_checked_at_the_forgers_expense() {
    let (mut bench, all) = ring(Bench::new(), 30);
    let claims: Vec<_> = all
        .iter()
        .map(|peer| peer.said(Health::Confirmed, 5))
        .collect();
    let mut budget = 0;
    for number in 0..5 {
        let stranger = Peer::ours(500 + number);
        budget += STRANGER_AMPLIFICATION * bench.feed(&stranger, stranger.ping(1), &claims);
    }
    let sent = bench.sent();
    assert!(bytes_of(&sent) <= budget);
    assert!(!probe_pings(&sent).is_empty());
    for probe_ping in probe_pings(&sent) {
        let asked = all.iter().find(|peer| peer.addr == probe_ping.to).unwrap();
        bench.feed(asked, asked.incarnated(6).ack(0), &[]);
    }
    bench.advance_with_living(secs(3.0), &all);
    assert!(
        all.iter()
            .all(|peer| bench.health(peer) == Some(Health::Alive))
    );
}

#[derive(Clone, Debug)]
struct Knock {
    kind: u8,
    from: u8,
    source: u8,
    target: u8,
    probe: u64,
    digest: u32,
    features: u32,
    original: bool,
    records: Vec<(u8, u8, u64)>,
}

fn knock() -> impl Strategy<Value = Knock> {
    let record = (0..60u8, 1..=4u8, 0..9u64);
    let records = prop::collection::vec(record, 0..40);
    let probe = prop_oneof![Just(0), any::<u64>(), 1..9u64];
    let digest = prop_oneof![Just(0), any::<u32>()];
    let features = prop_oneof![Just(0), Just(1), Just(3)];
    (
        0..6u8,
        0..60u8,
        0..4u8,
        0..60u8,
        probe,
        digest,
        features,
        any::<bool>(),
        records,
    )
        .prop_map(
            |(kind, from, source, target, probe, digest, features, original, records)| Knock {
                kind,
                from,
                source,
                target,
                probe,
                digest,
                features,
                original,
                records,
            },
        )
}

fn message(bench: &Bench, knock: &Knock, from: &Peer) -> Message<'static> {
    let target = Peer::ours(knock.target.into());
    match knock.kind {
        0 => from.ping_with_digest(knock.probe, knock.digest),
        1 => from.ack(knock.probe),
        2 => from.ack_to(Some(target.contact()), knock.probe),
        3 => from.ping_req(&target, knock.probe),
        4 => from.ack_to(Some(bench.me().contact()), knock.probe),
        _ => from.probe_ping(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Known ids (1..=20), unknown ones, its own address, forged ones: whatever a stranger sends.
    #[test]
    fn a_datagram_provokes_at_most_three_times_its_bytes(
        knocks in prop::collection::vec(knock(), 1..6),
        seal in any::<bool>(),
    ) {
        let bench = if seal { Bench::with(sealed()) } else { Bench::new() };
        let all = peers(20);
        let mut bench = bench;
        bench.meet(&all);
        bench.advance_with_living(secs(0.001), &all);
        bench.sent();
        for knock in knocks {
            let mut from = Peer::ours(knock.from.into());
            from.features = if knock.original { 0 } else { knock.features };
            let source = format!("203.0.113.{}:{}", knock.source, 4_000 + u16::from(knock.source));
            let source = if knock.source == 3 { from.addr } else { source.parse().unwrap() };
            let records: Vec<MembershipRecord<'_>> = if knock.kind == 5 { Vec::new() } else {
                knock.records.iter().map(|(of, health, number)| {
                    let of = if *of == 0 { bench.me() } else { Peer::ours((*of).into()) };
                    of.said(Health::ALL[usize::from(*health) - 1], *number)
                }).collect()
            };
            let message = message(&bench, &knock, &from);
            let timers = bench.node.next_timer();
            let allowance = STRANGER_AMPLIFICATION * bench.feed_from(source, message, &records);
            let mut out = bytes_of(&bench.sent());
            // What was put off: a part of the table, say. Timers of the probe cycle are not provoked.
            if bench.node.next_timer() < timers && bench.node.next_timer() <= Some(bench.now + secs(0.05)) {
                let probes = bench.node.stats().probes;
                let later = bench.advance(secs(0.05));
                if bench.node.stats().probes == probes {
                    out += bytes_of(&later);
                }
            }
            // It proved that it is there.
            if source == from.addr && bench.node.member(from.id).is_some() {
                continue;
            }
            prop_assert!(out <= allowance, "{} bytes, allowed {}: {:?}", out, allowance, knock);
        }
    }
}

#[test]
fn the_smallest_ping_is_answered_within_its_allowance() {
    let long = "a name that takes all of its room";
    for (digest, name) in [(0, ""), (77, ""), (0, long), (77, long)] {
        let mut config = config(plain());
        config.name = name.to_owned();
        let mut bench = Bench::with(config);
        let mut stranger = Peer::original(3).at("203.0.113.9:1").incarnated(0);
        stranger.gossip_port = 1;
        let bytes = bench.feed(&stranger, stranger.ping_with_digest(0, digest), &[]);
        let sent = bench.sent();
        assert_eq!(acks(&sent).len(), 1, "digest {digest}, name {name:?}");
        assert!(bytes_of(&sent) <= STRANGER_AMPLIFICATION * bytes);
    }
}
