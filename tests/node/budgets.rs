//! What a datagram may hold, which news goes first, how often, and to whom.

use std::collections::BTreeMap;

use crate::support::*;
use butterfly::limits::ORDINARY_DATAGRAM;
use butterfly::wire::{MembershipRecord, RingKey};
use butterfly::{Health, MemberId, Timing};

fn sealed() -> butterfly::node::NodeConfig {
    let mut config = config(plain());
    config.ring_keys = vec![RingKey::new("ring", "20260101000000", [3; 32]).unwrap()];
    config
}

/// Members from `first` on, with a name each that takes all of its room, suspected by four.
fn bulky(first: u32, count: u32) -> Vec<MembershipRecord<'static>> {
    static ACCUSERS: std::sync::LazyLock<[MemberId; 4]> =
        std::sync::LazyLock::new(|| [id(90), id(91), id(92), id(93)]);
    (first..first + count)
        .map(|number| {
            let mut record = Peer::ours(number).said(Health::Suspect, 1 << 60);
            record.member.name = "a name that takes all of its room";
            record.accusers = ACCUSERS[..].into();
            record
        })
        .collect()
}

/// The harness looks at the size of each datagram that leaves.
#[test]
fn no_datagram_is_larger_than_an_ordinary_one_however_much_there_is_to_say() {
    for config in [config(plain()), sealed()] {
        let mut config = config;
        config.name = "a name that takes all of its room".to_owned();
        let mut bench = Bench::with(config);
        let all: Vec<_> = (1..=10).map(Peer::ours).collect();
        bench.meet(&all);
        bench.prove(&all[1], &all);
        bench.learn(&all[0], &bulky(100, 240));
        let alive: Vec<_> = (1_000..1_250)
            .map(|number| Peer::ours(number).said(Health::Alive, 1))
            .collect();
        bench.learn(&all[0], &alive);
        assert_eq!(bench.node.counts().alive + bench.node.counts().suspect, 501);
        let mut sent = bench.advance_with_living(secs(60.0), &all);
        bench.feed(&all[1], all[1].ping_with_digest(1, 5), &[]);
        sent.extend(bench.advance_with_living(secs(2.0), &all));
        bench.node.leave(bench.now);
        sent.extend(bench.advance_with_living(secs(2.0), &all));
        assert!(sent.iter().filter(|sent| sent.table).count() > 30);
        let full = sent
            .iter()
            .filter(|sent| sent.bytes > ORDINARY_DATAGRAM - 60);
        assert!(full.count() > 20, "what is said takes its room");
    }
}

/// The news is told until it is none any more.
fn quieten(bench: &mut Bench, all: &[Peer]) {
    for _ in 0..1_000 {
        for peer in all {
            bench.feed(peer, peer.ping(1), &[]);
        }
    }
    assert_eq!(bench.node.news(), 0);
    bench.sent();
}

/// Nobody answers a ping here; nobody but the teller is told.
#[test]
fn the_least_told_goes_first_and_the_newest_of_those() {
    let mut bench = Bench::new();
    let all = [Peer::ours(1), Peer::ours(2)];
    bench.meet(&all);
    bench.prove(&all[0], &all);
    bench.prove(&all[1], &all);
    quieten(&mut bench, &all);
    let many: Vec<_> = (100..140)
        .map(|number| Peer::ours(number).said(Health::Alive, 1))
        .collect();
    bench.learn(&all[0], &many);
    let mut told: BTreeMap<MemberId, usize> = BTreeMap::new();
    for _ in 0..50 {
        let least = many
            .iter()
            .map(|record| told.get(&record.member.id).copied().unwrap_or(0))
            .min();
        bench.feed(&all[1], all[1].ping(1), &[]);
        let ack = &bench.sent()[0];
        let news: Vec<_> = ack
            .records
            .iter()
            .filter(|record| record.id != all[1].id)
            .collect();
        assert!(news.len() >= 5, "as many as fit");
        assert_eq!(told.get(&news[0].id).copied().unwrap_or(0), least.unwrap());
        let counts: Vec<_> = news
            .iter()
            .map(|record| told.get(&record.id).copied().unwrap_or(0))
            .collect();
        assert!(counts.is_sorted(), "{counts:?}");
        for record in news {
            *told.entry(record.id).or_default() += 1;
        }
        let (most, least) = (told.values().max(), told.values().min());
        assert!(
            told.len() < 40 || most.unwrap() - least.unwrap() <= 1,
            "{told:?}"
        );
    }
    bench.learn(&all[0], &[Peer::ours(200).said(Health::Alive, 1)]);
    bench.feed(&all[1], all[1].ping(1), &[]);
    let ack = &bench.sent()[0];
    assert_eq!(
        ack.records[0].id,
        id(200),
        "fresh news passes a crowd of old news"
    );
}

#[test]
fn each_piece_of_news_is_told_so_often_and_no_more() {
    let mut bench = Bench::timed(Timing::habitat());
    let all = [Peer::ours(1), Peer::ours(2)];
    bench.meet(&all);
    bench.prove(&all[1], &all);
    let many: Vec<_> = (100..160)
        .map(|number| Peer::ours(number).said(Health::Alive, 1))
        .collect();
    bench.learn(&all[0], &many);
    let mut told: BTreeMap<MemberId, usize> = BTreeMap::new();
    for _ in 0..2_000 {
        bench.feed(&all[1], all[1].ping(1), &[]);
        for record in &bench.sent()[0].records {
            *told.entry(record.id).or_default() += 1;
        }
    }
    told.remove(&all[1].id);
    // 4 · log₂(63 + 1)
    for record in &many {
        assert_eq!(told[&record.member.id], 24);
    }
}

#[test]
fn a_change_is_news_again() {
    let mut bench = Bench::new();
    let all = [Peer::ours(1), Peer::ours(2), Peer::ours(3)];
    bench.meet(&all);
    all.iter().for_each(|peer| bench.prove(peer, &all));
    quieten(&mut bench, &all);
    bench.learn(&all[0], &[all[2].said(Health::Suspect, 5)]);
    assert_eq!(bench.node.news(), 1);
    bench.learn(
        &all[0],
        &[
            all[2].said(Health::Suspect, 5),
            all[2].said(Health::Alive, 4),
        ],
    );
    assert_eq!(bench.node.news(), 1);
    bench.feed(&all[1], all[1].ping(1), &[]);
    assert_eq!(bench.sent()[0].says_of(&all[2]), Some((Health::Suspect, 5)));
    bench.learn(&all[0], &[all[2].said(Health::Alive, 6)]);
    bench.feed(&all[1], all[1].ping(1), &[]);
    assert_eq!(bench.sent()[0].says_of(&all[2]), Some((Health::Alive, 6)));
}

/// What was lost is made good, slowly, without anything new happening.
#[test]
fn without_news_a_ping_carries_a_record_in_turn() {
    let mut bench = Bench::new();
    let all: Vec<_> = (1..=6).map(Peer::ours).collect();
    bench.meet(&all);
    bench.advance_with_living(secs(300.0), &all);
    assert_eq!(bench.node.news(), 0);
    let sent = bench.advance_with_living(secs(100.0), &all);
    let mut told: BTreeMap<MemberId, usize> = BTreeMap::new();
    for record in sent.iter().flat_map(|sent| sent.records.iter().skip(1)) {
        *told.entry(record.id).or_default() += 1;
    }
    assert_eq!(told.len(), 7, "everybody, itself included: {told:?}");
}

const V6: &str = "[2001:db8::7]:9000";

fn told_v6(sent: &[Sent], to: &Peer) -> usize {
    let there = sent.iter().filter(|sent| sent.to == to.addr);
    let records = there.flat_map(|sent| sent.records.iter().chain(&sent.other));
    records
        .filter(|record| record.ip.is_some_and(|ip| ip.is_ipv6()))
        .count()
}

#[test]
fn members_with_ipv6_are_told_to_ours_only() {
    let mut bench = Bench::new();
    let (ours, original) = (Peer::ours(1), Peer::original(2));
    let v6 = Peer::ours(3).at(V6);
    let all = [ours, original, v6];
    bench.meet(&all);
    let mut sent = bench.advance_with_living(secs(20.0), &all);
    // It is a hot rumor, a suspect, a part of the table, and in want of helpers.
    sent.extend(bench.advance_with_living(secs(30.0), &all[..2]));
    bench.feed(&original, original.ping_with_digest(1, 7), &[]);
    sent.extend(bench.advance_with_living(secs(30.0), &all[..2]));
    assert!(told_v6(&sent, &ours) > 0);
    assert_eq!(told_v6(&sent, &original), 0);
    assert!(ping_reqs(&sent).iter().any(|sent| sent.to == ours.addr));
}

#[test]
fn an_ack_that_is_passed_on_to_an_original_loses_what_would_harm_it() {
    let mut bench = Bench::new();
    let (ours, original) = (Peer::ours(1), Peer::original(2));
    let (target, v6) = (Peer::ours(3), Peer::ours(4).at(V6));
    bench.meet(&[ours, original, target]);
    let records = [
        original.said(Health::Alive, 1),
        v6.said(Health::Alive, 1),
        ours.said(Health::Alive, 1),
    ];
    for (asker, expected) in [(ours, 3), (original, 2)] {
        bench.feed(&target, target.ack_to(Some(asker.contact()), 0), &records);
        let sent = bench.sent();
        assert_eq!((sent[0].to, sent[0].records.len()), (asker.addr, expected));
    }
}

/// Many members with IPv6 addresses are news; the originals that hear none of them hear of the others.
#[test]
fn news_that_is_not_for_a_peer_does_not_keep_other_news_from_it() {
    let mut bench = Bench::new();
    let all = [Peer::original(1), Peer::original(2)];
    bench.meet(&all);
    all.iter().for_each(|peer| bench.prove(peer, &all));
    let of_v6: Vec<_> = (100..400)
        .map(|number| {
            Peer::ours(number)
                .at(&format!("[2001:db8::{number}]:9000"))
                .said(Health::Alive, 1)
        })
        .collect();
    bench.learn(&all[1], &[Peer::ours(50).said(Health::Alive, 1)]);
    bench.learn(&all[1], &of_v6);
    let mut pings = 0..20;
    let told = pings.any(|_| {
        bench.feed(&all[0], all[0].ping(0), &[]);
        bench.sent()[0].says_of(&Peer::ours(50)).is_some()
    });
    assert!(told);
}
