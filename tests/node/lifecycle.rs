//! Finding the ring, finding it again, and leaving it.

use std::net::SocketAddr;
use std::time::Duration;

use crate::support::*;
use butterfly::limits::{LEAVE_FANOUT, MAX_BLOCKED, MAX_SEEDS};
use butterfly::{CommandError, Event, Health, Reject, Time};

const SEED: &str = "198.51.100.1:9638";

fn seed() -> SocketAddr {
    SEED.parse().unwrap()
}

fn pauses(at: &[Time]) -> Vec<f64> {
    let pairs = at.windows(2);
    pairs
        .map(|pair| pair[1].since(pair[0]).as_secs_f64())
        .collect()
}

/// Each about twice the one before, from one period to `retry_max`.
fn assert_growing(pauses: &[f64]) {
    let mut expected: f64 = 1.0;
    for pause in pauses {
        assert!((pause / expected - 1.0).abs() <= 0.1001, "{pauses:?}");
        expected = (expected * 2.0).min(30.0);
    }
}

#[test]
fn a_seed_is_asked_for_ever_ever_more_slowly() {
    let mut bench = Bench::new();
    bench.node.join(bench.now, seed()).unwrap();
    let mut sent = bench.sent();
    assert_eq!(sent.len(), 1, "at once, and not at the next tick");
    sent.extend(bench.advance(secs(1_000.0)));
    assert!(
        sent.iter()
            .all(|sent| sent.to == seed() && sent.digest != 0 && sent.probe != 0)
    );
    let at: Vec<_> = pings(&sent).iter().map(|ping| ping.at).collect();
    assert!(at.len() > 35, "{}", at.len());
    assert_growing(&pauses(&at));
}

#[test]
fn a_seed_that_is_given_again_is_asked_at_once_and_is_no_second_one() {
    let mut bench = Bench::new();
    let first = bench.node.join(bench.now, seed()).unwrap();
    bench.advance(secs(100.0));
    assert_eq!(bench.node.join(bench.now, seed()), Ok(first));
    assert_eq!(bench.node.seeds(), 1);
    let sent = bench.advance(secs(2.0));
    assert_eq!(sent.len(), 2, "as if it were new");
}

#[test]
fn a_seed_that_is_known_does_not_stop_being_asked() {
    let mut bench = Bench::new();
    let peer = Peer::ours(1).at(SEED);
    bench.node.join(bench.now, seed()).unwrap();
    let sent = bench.advance_with_living(secs(500.0), &[peer]);
    assert_eq!(bench.health(&peer), Some(Health::Alive));
    let late = sent
        .iter()
        .filter(|sent| sent.digest != 0 && sent.at > bench.now - secs(100.0));
    assert!(late.count() >= 2);
}

#[test]
fn a_named_seed_is_to_be_resolved_each_time() {
    let mut bench = Bench::new();
    let named = bench.node.join_named(bench.now).unwrap();
    let other: SocketAddr = "[::ffff:198.51.100.2]:9638".parse().unwrap();
    let mut due = Vec::new();
    while bench.now < Time::from_millis(1_500_000) {
        if bench.events().contains(&Event::SeedDue { seed: named }) {
            due.push(bench.now);
            assert!(bench.sent().is_empty());
            bench.node.seed_resolved(bench.now, named, &[seed(), other]);
            let sent = bench.sent();
            let to: Vec<_> = sent.iter().map(|sent| sent.to.to_string()).collect();
            assert_eq!(to, [SEED, "198.51.100.2:9638"]);
        }
        bench.now = bench.node.next_timer().unwrap();
        bench.node.handle_timeout(bench.now);
    }
    assert!(due.len() > 15);
    assert_growing(&pauses(&due));
}

/// The address is the same, however it is written.
#[test]
fn a_seed_in_ipv4_mapped_form_proves_its_address_like_any() {
    let mut bench = Bench::new();
    bench
        .node
        .join(bench.now, "[::ffff:198.51.100.1]:9638".parse().unwrap())
        .unwrap();
    let sent = bench.advance(Duration::ZERO);
    assert_eq!(sent[0].to, seed());
    let peer = Peer::ours(1).at(SEED);
    bench.feed(&peer, peer.ack(sent[0].probe), &[]);
    bench.feed(&peer, peer.ping_with_digest(1, 77), &[]);
    let sent = bench.advance(secs(0.05));
    assert!(sent.iter().any(|sent| sent.table), "{sent:?}");
}

#[test]
fn a_seed_that_is_this_very_member_is_dropped_without_a_word() {
    let mut bench = Bench::new();
    let me = bench.me();
    bench.node.join(bench.now, me.addr).unwrap();
    let named = bench.node.join_named(bench.now).unwrap();
    let sent = bench.advance(Duration::ZERO);
    bench
        .node
        .seed_resolved(bench.now, named, &[me.addr, seed()]);
    assert_eq!((sent.len(), bench.sent().len()), (1, 2));
    let to_itself = [bench.raw[0].1.clone(), bench.raw[1].1.clone()];
    for mut datagram in to_itself {
        bench.feed_bytes(me.addr, &mut datagram);
    }
    assert_eq!(
        bench.node.seeds(),
        1,
        "the one with a name may stand for others"
    );
    let due = |event: &Event| matches!(event, Event::SeedDue { .. });
    let told = bench.events();
    assert!(told.iter().all(due), "{told:?}");
    assert_eq!(bench.node.stats().rejected(Reject::OwnId), 2);
}

#[test]
fn there_are_only_so_many_seeds_and_blocks() {
    let mut bench = Bench::new();
    let others: Vec<_> = (0..MAX_SEEDS as u32).map(Peer::ours).collect();
    for peer in &others {
        bench.node.join(bench.now, peer.addr).unwrap();
    }
    // One that never answered makes room; of the others each did.
    bench.advance_with_living(secs(1.0), &others[1..]);
    bench.node.join(bench.now, seed()).unwrap();
    assert_eq!(bench.node.seeds(), MAX_SEEDS);
    let sent = bench.advance_with_living(secs(100.0), &others);
    assert_eq!(to(&others[0], &sent), []);
    let another = Peer::ours(6_000).addr;
    bench.node.join(bench.now, another).unwrap();
    let answers = Peer::ours(6_000);
    bench.advance_with_living(secs(1.0), &[answers]);
    let full = Err(CommandError::TooManySeeds(MAX_SEEDS));
    assert_eq!(bench.node.join(bench.now, seed()), full);
    assert_eq!(bench.node.join_named(bench.now), full);
    assert_eq!(bench.node.seeds(), MAX_SEEDS);
    assert!(
        bench.node.join(bench.now, Peer::ours(1).addr).is_ok(),
        "this one is known"
    );
    for number in 0..MAX_BLOCKED as u32 {
        bench.node.block(id(number)).unwrap();
    }
    let full = Err(CommandError::TooManyBlocked(MAX_BLOCKED));
    assert_eq!(bench.node.block(id(5_000)), full);
    assert_eq!(
        bench.node.block(id(7)),
        Ok(()),
        "this one is blocked already"
    );
    assert_eq!(bench.node.block(bench.node.id()), Err(CommandError::OwnId));
    assert!(!bench.node.unblock(id(5_000)));
    assert!(bench.node.unblock(id(0)) && bench.node.block(id(5_000)).is_ok());
    assert_eq!(bench.node.blocked().count(), MAX_BLOCKED);
}

/// Ever more slowly, until the living ask every second period together, or each once in `retry_max`.
#[test]
fn the_dead_are_asked_ever_more_slowly_and_sooner_when_one_returns() {
    for (count, pause) in [(1, 4.0), (40, 30.0)] {
        let mut bench = Bench::new();
        let living: Vec<_> = (1..=count).map(Peer::ours).collect();
        let dead: Vec<_> = (101..104).map(Peer::ours).collect();
        bench.meet(&living);
        bench.meet(&dead);
        bench.advance_with_living(secs(120.0), &living);
        assert_eq!(bench.node.counts().confirmed, 3);
        let is_asked = |sent: &&Sent| dead.iter().any(|peer| peer.addr == sent.to);
        let sent = bench.advance_with_living(secs(600.0), &living);
        let asked: Vec<_> = sent.iter().filter(is_asked).collect();
        for ping in &asked {
            let to = dead.iter().find(|peer| peer.addr == ping.to).unwrap();
            let says = ping.says_of(to);
            assert_eq!(
                says,
                Some((Health::Confirmed, 5)),
                "it hears what is said of it"
            );
        }
        let at: Vec<_> = asked.iter().map(|ping| ping.at).collect();
        let last = &pauses(&at)[at.len() - 6..];
        let expected = 0.49 * pause..1.51 * pause;
        assert!(
            last.iter().all(|pause| expected.contains(pause)),
            "{last:?}"
        );
        let back = dead[0].incarnated(6);
        bench.feed(&back, back.ping(0), &[]);
        let all = [living, vec![back]].concat();
        let sent = bench.advance_with_living(secs(2.0), &all);
        assert!(
            sent.iter()
                .filter(|sent| sent.to != back.addr && is_asked(sent))
                .count()
                >= 2
        );
    }
}

/// A member that starts while the ring is split is told of the other half as dead.
#[test]
fn who_was_dead_from_the_first_is_asked_too() {
    let mut bench = Bench::new();
    let (living, dead) = (Peer::ours(1), Peer::ours(2));
    bench.meet(&[living]);
    bench.learn(&living, &[dead.said(Health::Confirmed, 5)]);
    let sent = bench.advance_with_living(secs(10.0), &[living]);
    assert!(!to(&dead, &sent).is_empty());
}

#[test]
fn leaving_tells_up_to_ten_at_once_and_once_more_and_says_when_it_is_done() {
    for (count, told) in [(4, 4), (30, LEAVE_FANOUT)] {
        let mut bench = Bench::new();
        let all: Vec<_> = (1..=count).map(Peer::ours).collect();
        bench.meet(&all);
        bench.node.leave(bench.now);
        let sent = bench.sent();
        assert_eq!(sent.len(), told);
        let mut to: Vec<_> = sent.iter().map(|sent| sent.to).collect();
        to.sort();
        to.dedup();
        assert_eq!(to.len(), told);
        for ack in &sent {
            assert!(ack.from.departed && ack.from.incarnation == 4, "{ack:?}");
            assert_eq!(ack.kind, butterfly::stats::MessageKind::Ack);
        }
        assert!(bench.node.is_leaving());
        assert!(!bench.events().contains(&Event::Left));
        let sent = bench.advance_with_living(secs(0.501), &all);
        assert!(sent.iter().all(|sent| sent.from.departed) && sent.len() >= told);
        assert!(!bench.events().contains(&Event::Left));
        bench.advance_with_living(secs(0.5), &all);
        assert!(bench.events().contains(&Event::Left));
        bench.node.leave(bench.now);
        assert!(
            bench.sent().is_empty() && bench.events().is_empty(),
            "once is enough"
        );
    }
}

#[test]
fn who_is_alone_has_left_at_once() {
    let mut bench = Bench::new();
    bench.node.leave(bench.now);
    let sent = bench.advance(Duration::ZERO);
    assert_eq!((sent.len(), bench.events()), (0, vec![Event::Left]));
}

#[test]
fn while_leaving_it_still_answers_and_refutes_nothing() {
    let mut bench = Bench::new();
    let all: Vec<_> = (1..=3).map(Peer::ours).collect();
    bench.meet(&all);
    bench.prove(&all[0], &all);
    bench.node.leave(bench.now);
    bench.sent();
    bench.events();
    let me = bench.me();
    let records = [me.said(Health::Suspect, 4), me.said(Health::Confirmed, 4)];
    bench.feed(&all[0], all[0].ping(8), &records);
    bench.feed(&all[0], all[0].probe_ping(), &[]);
    let sent = bench.sent();
    assert_eq!((acks(&sent).len(), sent[0].probe), (2, 8));
    assert!(
        sent.iter()
            .all(|sent| sent.from.departed && sent.from.incarnation == 4)
    );
    assert_eq!(
        sent[0].says_of(&me),
        Some((Health::Departed, 4)),
        "it is a rumor"
    );
    assert!(bench.events().is_empty());
    bench.feed(&all[0], all[0].ping_req(&all[1], 3), &[]);
    assert_eq!(pings(&bench.sent()).len(), 1, "others may rely on it yet");
    // Its leave has to stay the freshest that is known.
    bench.feed(&all[0], all[0].ack(0), &[me.said(Health::Alive, 9)]);
    assert_eq!(bench.me().incarnation, 10);
    assert!(bench.me().departed);
}

#[test]
fn after_leaving_it_asks_nobody() {
    let mut bench = Bench::new();
    let all: Vec<_> = (1..=3).map(Peer::ours).collect();
    bench.meet(&all);
    bench.learn(&all[0].clone(), &[Peer::ours(9).said(Health::Confirmed, 1)]);
    bench.node.join(bench.now, seed()).unwrap();
    let named = bench.node.join_named(bench.now).unwrap();
    bench.advance_with_living(secs(3.0), &all);
    bench.node.leave(bench.now);
    bench.advance_with_living(secs(2.0), &all);
    bench.events();
    bench.node.seed_resolved(bench.now, named, &[seed()]);
    let sent = bench.advance_with_living(secs(300.0), &all);
    assert!(sent.is_empty(), "{sent:?}");
    assert!(bench.events().is_empty());
}

#[test]
fn the_time_of_a_pause_does_not_count() {
    let mut bench = Bench::new();
    let all: Vec<_> = (1..=3).map(Peer::ours).collect();
    bench.meet(&all);
    bench.learn(&all[0].clone(), &[all[2].said(Health::Suspect, 5)]);
    bench.node.pause(bench.now);
    let before = bench.fingerprint();
    assert_eq!(
        (bench.node.poll_timeout(), bench.node.next_timer()),
        (None, None)
    );
    bench.now += secs(1_000.0);
    bench.feed(&all[1], all[1].incarnated(8).ping(1), &[]);
    bench.node.handle_timeout(bench.now);
    bench.node.handle_unreachable(bench.now, all[1].addr);
    assert_eq!((bench.sent().len(), bench.fingerprint()), (0, before));
    bench.node.resume(bench.now);
    assert_eq!(bench.health(&all[2]), Some(Health::Suspect));
    bench.advance_with_living(secs(20.0), &all);
    assert_eq!(bench.node.counts().alive, 4);
    assert_eq!(bench.node.stats().lags, 0);
}

#[test]
fn who_is_known_from_the_start_is_probed_and_nothing_else() {
    let mut timing = plain();
    (timing.push_fanout, timing.sync_max) = (3, secs(60.0));
    let mut bench = Bench::timed(timing);
    let all: Vec<_> = (1..=20).map(Peer::ours).collect();
    for peer in &all {
        let mut member = butterfly::Member::new(peer.id, peer.addr);
        member.incarnation = incarnation(peer.incarnation);
        member.gossip_port = peer.gossip_port;
        bench.node.know(&member, "one");
        bench.node.know(&member, "again");
    }
    let sent = bench.advance_with_living(secs(20.0), &all);
    assert_eq!((bench.node.counts().alive, bench.node.news()), (21, 0));
    assert_eq!(bench.events(), []);
    let view = bench.node.member(all[0].id).unwrap();
    assert_eq!((view.name, view.member.swim_addr()), ("one", all[0].addr));
    assert!((19..=20).contains(&probes(&sent).len()), "one a period");
    let others = sent.len() - probes(&sent).len();
    assert!(others <= 1, "the tables are compared once a minute");
    // Their addresses are proved: news goes to them at once.
    bench.learn(&all[0].clone(), &[Peer::ours(30).said(Health::Alive, 1)]);
    let sent = bench.advance_with_living(secs(0.5), &all);
    assert!(acks(&sent).len() >= 3, "{sent:?}");
}
