//! The probe cycle: who is asked, when, by whom, and what silence means (PROTOCOL.md §2).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::support::*;
use butterfly::stats::MessageKind;
use butterfly::wire::Message;
use butterfly::{Cause, Event, Health, Timing};

fn peers(count: u32) -> Vec<Peer> {
    (1..=count).map(Peer::ours).collect()
}

/// A node that does not gossip, which would have it ping newcomers.
fn timed(timing: Timing) -> Bench {
    let mut config = config(timing);
    config.gossip_port = 0;
    Bench::with(config)
}

fn bench() -> Bench {
    timed(plain())
}

#[test]
fn one_ping_a_period_and_everybody_once_a_round() {
    let mut bench = bench();
    let all = peers(7);
    bench.meet(&all);
    let sent = bench.advance_with_living(secs(70.5), &all);
    let pings = probes(&sent);
    assert!((70..=71).contains(&pings.len()), "{}", pings.len());
    for pair in pings.windows(2) {
        assert_eq!(pair[1].at.since(pair[0].at), secs(1.0));
    }
    // The first round began before all were known.
    for round in pings[7..].chunks_exact(7) {
        let asked: BTreeSet<_> = round.iter().map(|ping| ping.to).collect();
        assert_eq!(asked.len(), 7);
    }
    assert!(ping_reqs(&sent).is_empty(), "as all answer");
    assert_eq!(bench.node.stats().probes_failed, 0);
}

#[test]
fn every_second_probe_goes_to_the_living_member_that_comes_next() {
    let mut timing = plain();
    timing.push_fanout = 3;
    let mut bench = timed(timing);
    let all = peers(7);
    bench.meet(&all);
    let after_me = |living: &[Peer], me| {
        let after = living.iter().map(|peer| peer.id).filter(|id| *id > me);
        after.min().or(living.iter().map(|peer| peer.id).min())
    };
    let successor = after_me(&all, bench.node.id());
    let pings = probes(&bench.advance_with_living(secs(70.5), &all));
    let at = |peer: &Peer| pings.iter().filter(|ping| ping.to == peer.addr).count();
    for peer in &all {
        // Half of them, and one in seven of the others.
        let expected = match Some(peer.id) == successor {
            true => 38..=42,
            false => 4..=6,
        };
        assert!(expected.contains(&at(peer)), "{}", at(peer));
    }
    for two in pings.windows(2) {
        let is_next = |ping: &&Sent| {
            all.iter()
                .any(|peer| Some(peer.id) == successor && ping.to == peer.addr)
        };
        assert!(two.iter().any(|ping| is_next(&ping)));
    }
    // Once it is suspected, the one behind it has its place.
    let (gone, living): (Vec<_>, Vec<_>) = all.iter().partition(|peer| Some(peer.id) == successor);
    bench.until_pinged(&gone[0], &living);
    bench.advance_with_living(secs(1.01), &living);
    assert_eq!(bench.health(&gone[0]), Some(Health::Suspect));
    let next = after_me(&living, bench.node.id());
    let pings = probes(&bench.advance_with_living(secs(20.0), &living));
    let next = living.iter().find(|peer| Some(peer.id) == next).unwrap();
    let asked = pings.iter().filter(|ping| ping.to == next.addr).count();
    assert!((10..=14).contains(&asked), "{asked}");
}

#[test]
fn what_becomes_of_probes_is_counted() {
    let mut bench = bench();
    let all = peers(6);
    bench.meet(&all);
    bench.advance_with_living(secs(30.5), &all);
    let stats = bench.node.stats();
    assert!(stats.probes_answered > 28, "{}", stats.probes_answered);
    assert_eq!((stats.probes_answered_late, stats.probes_failed), (0, 0));
    assert_eq!(stats.probe_rtt.count(), stats.probes_answered);
    // One is silent until others were asked, in the end for good.
    let (silent, living) = (all[0], &all[1..]);
    let ping = bench.until_pinged(&silent, living);
    bench.advance_with_living(secs(0.6), living);
    bench.feed(&silent, silent.ack(ping.probe), &[]);
    let stats = bench.node.stats();
    assert_eq!((stats.probes_answered_late, stats.probes_failed), (1, 0));
    bench.until_pinged(&silent, living);
    bench.advance_with_living(secs(1.1), living);
    let stats = bench.node.stats();
    assert_eq!((stats.probes_answered_late, stats.probes_failed), (1, 1));
    assert_eq!(stats.transitions(Some(Health::Alive), Health::Suspect), 1);
    assert_eq!(stats.transitions(None, Health::Alive), 6);
}

#[test]
fn rounds_are_in_another_order_each_time() {
    let mut bench = bench();
    let all = peers(7);
    bench.meet(&all);
    let sent = probes(&bench.advance_with_living(secs(70.5), &all));
    let orders: BTreeSet<Vec<_>> = sent[..70]
        .chunks_exact(7)
        .map(|round| round.iter().map(|ping| ping.to).collect())
        .collect();
    assert!(orders.len() > 5, "{}", orders.len());
}

#[test]
fn new_members_enter_the_round() {
    let mut bench = bench();
    let mut all = peers(3);
    bench.meet(&all);
    bench.advance_with_living(secs(10.0), &all);
    let new = [Peer::ours(10), Peer::ours(11)];
    bench.meet(&new[..1]);
    bench.learn(&all[0].clone(), &[new[1].said(Health::Alive, 1)]);
    all.extend(new);
    let sent = bench.advance_with_living(secs(10.0), &all);
    for peer in new {
        assert!(!to(&peer, &sent).is_empty(), "{peer:?} is not asked");
    }
}

#[test]
fn silence_is_followed_by_requests_to_others_and_then_by_suspicion() {
    let mut bench = bench();
    let all = peers(6);
    let (silent, living) = (all[0], &all[1..]);
    bench.meet(&all);
    let ping = bench.until_pinged(&silent, living);
    assert_ne!(ping.probe, 0);
    assert_eq!(ping.records[0].says(), (silent.id, Health::Alive, 5));
    assert!(ping_reqs(&bench.advance_with_living(secs(0.499), living)).is_empty());
    let requests = ping_reqs(&bench.advance_with_living(secs(0.002), living));
    assert_eq!(requests.len(), 3);
    let asked: BTreeSet<_> = requests.iter().map(|request| request.to).collect();
    assert_eq!(asked.len(), 3, "three different ones");
    for request in &requests {
        assert_ne!(request.to, silent.addr, "never through the silent one");
        let target = request.other.as_ref().unwrap();
        assert_eq!((target.id, target.ip), (silent.id, Some(silent.addr.ip())));
        assert_eq!(target.swim_port, silent.addr.port());
        assert_eq!(request.probe, ping.probe);
        assert_eq!(
            request.records[0].id, silent.id,
            "the target's record comes first"
        );
    }
    bench.advance_with_living(secs(0.498), living);
    assert_eq!(bench.health(&silent), Some(Health::Alive));
    bench.advance_with_living(secs(0.01), living);
    assert_eq!(bench.held(&silent), Some((Health::Suspect, 5)));
    let view = bench.node.member(silent.id).unwrap();
    assert_eq!(view.suspicion.unwrap().accusers, [bench.node.id()]);
    let cause = |event: &Event| {
        matches!(
            event,
            Event::MemberChanged {
                cause: Cause::ProbeFailed,
                ..
            }
        )
    };
    assert_eq!(
        bench.events().iter().filter(|event| cause(event)).count(),
        1
    );
}

/// With four others, three of whom are asked each time.
fn insistent() -> (Bench, Peer, Vec<Peer>) {
    let mut timing = plain();
    timing.indirect_rounds = 3;
    let mut bench = timed(timing);
    let all = peers(5);
    bench.meet(&all);
    (bench, all[0], all[1..].to_vec())
}

#[test]
fn who_does_not_answer_is_asked_again_straight_and_through_others_until_the_period_ends() {
    let (mut bench, silent, living) = insistent();
    let first = bench.until_pinged(&silent, &living);
    let sent = bench.advance_with_living(secs(0.99), &living);
    let after = |sent: &Sent| sent.at.since(first.at).as_millis();
    let asked: Vec<_> = ping_reqs(&sent).iter().map(after).collect();
    assert_eq!(asked, [500, 500, 500, 667, 667, 667, 834, 834, 834]);
    let again = probes(&to(&silent, &sent));
    assert_eq!(again.iter().map(after).collect::<Vec<_>>(), [667, 834]);
    assert!(again.iter().all(|ping| ping.probe == first.probe));
    assert_eq!(bench.health(&silent), Some(Health::Alive));
    bench.advance_with_living(secs(0.02), &living);
    assert_eq!(bench.health(&silent), Some(Health::Suspect));
    let stats = bench.node.stats();
    assert_eq!((stats.probes_indirect, stats.probes_failed), (1, 1));
}

#[test]
fn who_answers_when_it_is_asked_again_is_asked_no_more() {
    let (mut bench, late, living) = insistent();
    let ping = bench.until_pinged(&late, &living);
    bench.advance_with_living(secs(0.7), &living);
    bench.feed(&late, late.ack(ping.probe), &[]);
    assert!(ping_reqs(&bench.advance_with_living(secs(0.29), &living)).is_empty());
    bench.advance_with_living(secs(0.02), &living);
    assert_eq!(bench.health(&late), Some(Health::Alive));
    assert_eq!(bench.node.stats().probes_failed, 0);
    let rtt = bench.node.member(late.id).unwrap().rtt;
    assert_eq!(rtt, None, "it may be the answer to either ping");
}

#[test]
fn only_the_first_time_an_unreachable_address_has_others_asked_at_once() {
    let (mut bench, silent, living) = insistent();
    bench.until_pinged(&silent, &living);
    bench.node.handle_unreachable(bench.now, silent.addr);
    assert_eq!(ping_reqs(&bench.sent()).len(), 3);
    bench.node.handle_unreachable(bench.now, silent.addr);
    bench.node.handle_receive_error(bench.now);
    assert!(bench.sent().is_empty());
}

#[test]
fn a_new_suspicion_is_told_with_me_as_its_accuser() {
    let mut bench = bench();
    let all = peers(4);
    let (silent, living) = (all[0], &all[1..]);
    bench.meet(&all);
    bench.until_pinged(&silent, living);
    let sent = bench.advance_with_living(secs(2.5), living);
    let told = sent
        .iter()
        .filter(|sent| sent.kind == MessageKind::Ping && sent.to != silent.addr);
    let rumors: Vec<_> = told
        .flat_map(|sent| &sent.records)
        .filter(|record| record.id == silent.id)
        .collect();
    assert!(!rumors.is_empty());
    for rumor in rumors
        .iter()
        .filter(|rumor| rumor.health == Health::Suspect)
    {
        assert_eq!(rumor.accusers, [bench.node.id()]);
    }
    assert!(rumors.iter().any(|rumor| rumor.health == Health::Suspect));
}

#[test]
fn a_suspect_is_still_asked_and_told_each_time_until_it_is_confirmed_and_not_asked() {
    let mut bench = bench();
    let all = peers(3);
    let (silent, living) = (all[0], &all[1..]);
    bench.meet(&all);
    bench.until_pinged(&silent, living);
    bench.advance_with_living(secs(1.01), living);
    assert_eq!(bench.health(&silent), Some(Health::Suspect));
    let sent = bench.advance_with_living(secs(8.9), living);
    let asked = probes(&to(&silent, &sent));
    assert!(!asked.is_empty());
    for ping in asked {
        assert_eq!(ping.records[0].says(), (silent.id, Health::Suspect, 5));
    }
    assert_eq!(bench.health(&silent), Some(Health::Suspect));
    bench.advance_with_living(secs(0.2), living);
    assert_eq!(bench.held(&silent), Some((Health::Confirmed, 5)));
    // Beside the pings that ask if it is back: those have no part in the round.
    let sent = bench.advance_with_living(secs(30.0), living);
    let round = bench.node.stats().probes;
    bench.advance_with_living(secs(30.0), living);
    assert_eq!(bench.node.stats().probes, round + 30);
    assert_eq!(
        bench.node.stats().probes_indirect,
        bench.node.stats().probes_failed
    );
    assert!(ping_reqs(&sent).is_empty());
}

#[test]
fn a_confirmed_member_is_departed_and_then_forgotten() {
    let mut timing = plain();
    (timing.departed_after, timing.forget_after) = (secs(100.0), secs(50.0));
    let mut bench = timed(timing);
    let all = peers(3);
    let (dead, living) = (all[0], &all[1..]);
    bench.meet(&all);
    bench.learn(&all[1].clone(), &[dead.said(Health::Departed, 5)]);
    let mut timing = plain();
    (timing.departed_after, timing.forget_after) = (secs(100.0), secs(50.0));
    let mut bench = timed(timing);
    bench.meet(living);
    bench.learn(&living[0], &[dead.said(Health::Confirmed, 5)]);
    bench.advance_with_living(secs(99.0), living);
    assert_eq!(bench.held(&dead), Some((Health::Confirmed, 5)));
    bench.advance_with_living(secs(2.0), living);
    assert_eq!(bench.held(&dead), Some((Health::Departed, 5)));
    bench.advance_with_living(secs(48.0), living);
    assert_eq!(bench.health(&dead), Some(Health::Departed));
    bench.advance_with_living(secs(2.0), living);
    assert_eq!(bench.health(&dead), None);
    // By time-out it may come back at any time.
    bench.learn(&living[0], &[dead.said(Health::Departed, 5)]);
    bench.greet(&dead);
    assert_eq!(bench.held(&dead), Some((Health::Alive, 5)));
}

#[test]
fn a_record_that_said_nothing_new_says_something_once_its_member_is_forgotten() {
    let mut timing = plain();
    (timing.departed_after, timing.forget_after) = (secs(100.0), secs(50.0));
    let mut bench = timed(timing);
    let (one, other) = (Peer::ours(1), Peer::ours(2));
    bench.meet(&[one, other]);
    let alive = other.said(Health::Alive, 5);
    for _ in 0..3 {
        bench.learn(&one, &[alive]);
    }
    bench.feed(&one, one.ack(0), &[other.said(Health::Suspect, 5)]);
    bench.learn(&one, &[alive]);
    assert_eq!(bench.held(&other), Some((Health::Suspect, 5)));
    bench.advance_with_living(secs(300.0), &[one]);
    assert_eq!(bench.held(&other), None);
    bench.learn(&one, &[alive]);
    assert_eq!(bench.held(&other), Some((Health::Alive, 5)));
}

#[test]
fn a_persistent_member_is_asked_whatever_its_health() {
    let mut bench = bench();
    let living = [Peer::ours(1)];
    let mut dead = Peer::ours(2);
    dead.persistent = true;
    bench.meet(&living);
    bench.learn(&living[0], &[dead.said(Health::Confirmed, 5)]);
    let sent = bench.advance_with_living(secs(20.0), &living);
    let asked = probes(&to(&dead, &sent)).len();
    assert!((9..=11).contains(&asked), "{asked}");
    assert_eq!(bench.held(&dead), Some((Health::Confirmed, 5)));
}

#[test]
fn a_late_ack_with_an_old_number_ends_no_other_probe_but_proves_life() {
    let mut bench = bench();
    let peer = Peer::ours(1);
    bench.meet(&[peer]);
    let old = bench.until_pinged(&peer, &[]).probe;
    bench.advance(secs(1.01));
    assert_eq!(bench.health(&peer), Some(Health::Suspect));
    bench.feed(&peer, peer.ack(old), &[]);
    assert_eq!(bench.health(&peer), Some(Health::Alive));
    bench.advance(secs(1.0));
    assert_eq!(
        bench.health(&peer),
        Some(Health::Suspect),
        "its second probe failed"
    );
    assert_eq!(bench.node.stats().probes_failed, 2);
}

#[test]
fn an_ack_without_a_number_ends_the_probe_of_a_peer_that_knows_no_numbers() {
    let mut bench = bench();
    let peer = Peer::original(1);
    bench.meet(&[peer]);
    bench.until_pinged(&peer, &[]);
    bench.feed(&peer, peer.ack(0), &[]);
    bench.advance(secs(1.01));
    assert_eq!(bench.health(&peer), Some(Health::Alive));
    assert_eq!(bench.node.stats().probes_failed, 0);
}

/// A part of its table, the news that it leaves, an answer to a ProbePing: Acks without a number that
/// answer no ping. They are proof of life, but would give a false round trip.
#[test]
fn an_ack_without_a_number_from_a_peer_that_knows_numbers_shows_life_and_no_round_trip() {
    let mut bench = bench();
    let peer = Peer::ours(1);
    bench.meet(&[peer]);
    bench.until_pinged(&peer, &[]);
    bench.feed(&peer, peer.ack(0), &[]);
    assert_eq!(bench.node.member(peer.id).unwrap().rtt, None);
    bench.advance(secs(1.01));
    assert_eq!(bench.node.stats().probes_failed, 0);
    assert_eq!(bench.health(&peer), Some(Health::Alive));
}

/// A relay that knows no numbers drops them.
#[test]
fn a_forwarded_ack_ends_the_probe_with_its_number_or_without() {
    for numbered in [true, false] {
        let mut bench = bench();
        let (peer, relay) = (Peer::ours(1), Peer::ours(2));
        bench.meet(&[peer, relay]);
        let ping = bench.until_pinged(&peer, &[relay]);
        bench.advance(secs(0.6));
        let mut from = peer.from();
        from.address = Some(peer.addr.ip());
        let ack = Message::Ack {
            from,
            forward_to: Some(bench.me().contact()),
            probe: if numbered { ping.probe } else { 0 },
            table: false,
            rumors: 0,
            reconcile: &[],
            starting: false,
        };
        bench.feed(&relay, ack, &[]);
        bench.advance_with_living(secs(0.45), &[relay]);
        assert_eq!(bench.node.stats().probes_failed, 0);
        assert_eq!(bench.health(&peer), Some(Health::Alive));
        let view = bench.node.member(peer.id).unwrap();
        assert_eq!(view.rtt, None, "the way through a relay is no round trip");
    }
}

#[test]
fn an_ack_of_somebody_else_ends_no_probe() {
    let mut bench = bench();
    let (peer, other) = (Peer::ours(1), Peer::ours(2));
    bench.meet(&[peer, other]);
    let ping = bench.until_pinged(&peer, &[other]);
    bench.feed(&other, other.ack(ping.probe), &[]);
    bench.advance_with_living(secs(1.01), &[other]);
    assert_eq!(bench.health(&peer), Some(Health::Suspect));
}

#[test]
fn the_round_trip_is_measured() {
    let mut bench = bench();
    let peer = Peer::ours(1);
    bench.meet(&[peer]);
    let ping = bench.until_pinged(&peer, &[]);
    bench.advance(Duration::from_micros(1_234));
    bench.feed(&peer, peer.ack(ping.probe), &[]);
    let rtt = bench.node.member(peer.id).unwrap().rtt;
    assert_eq!(rtt, Some(Duration::from_micros(1_234)));
}

#[test]
fn an_address_that_cannot_be_reached_is_a_missed_ack_at_once() {
    let mut bench = bench();
    let all = peers(4);
    let (silent, living) = (all[0], &all[1..]);
    bench.meet(&all);
    bench.until_pinged(&silent, living);
    bench.node.handle_unreachable(bench.now, silent.addr);
    assert_eq!(ping_reqs(&bench.sent()).len(), 3);
    bench.node.handle_unreachable(bench.now, silent.addr);
    assert!(bench.sent().is_empty());
    assert_eq!(
        bench.health(&silent),
        Some(Health::Alive),
        "others may reach it"
    );
    assert!(
        ping_reqs(&bench.advance_with_living(secs(0.9), living)).is_empty(),
        "asked once"
    );
}

#[test]
fn who_is_asked_to_help_changes() {
    let mut timing = plain();
    timing.suspicion_periods = 1_000.0;
    let mut bench = timed(timing);
    let all = peers(10);
    let (silent, living) = (all[0], &all[1..]);
    bench.meet(&all);
    let sent = bench.advance_with_living(secs(200.0), living);
    let mut asked: BTreeMap<_, usize> = BTreeMap::new();
    for request in ping_reqs(&sent) {
        assert_ne!(request.to, silent.addr);
        *asked.entry(request.to).or_default() += 1;
    }
    assert_eq!(asked.len(), 9, "everybody helps: {asked:?}");
}

#[test]
fn habitats_timing_is_the_originals() {
    let mut bench = timed(Timing::habitat());
    let all: Vec<_> = (1..=8).map(Peer::original).collect();
    let (silent, living) = (all[0], &all[1..]);
    bench.meet(&all);
    let began = bench.until_pinged(&silent, living).at;
    let mut seen = Vec::new();
    bench.advance_with(secs(12.6), |bench, sent| {
        bench.answer(sent, living);
        if sent.kind == MessageKind::PingReq && sent.other.as_ref().unwrap().id == silent.id {
            seen.push(sent.at.since(began));
        }
    });
    assert_eq!(seen[..5], [secs(1.0); 5]);
    let at = |bench: &Bench| bench.node.member(silent.id).unwrap().since.since(began);
    assert_eq!(
        (bench.health(&silent), at(&bench)),
        (Some(Health::Confirmed), secs(12.4))
    );
}

/// A flood can fill the socket faster than it is read; what is unread may hold the Ack.
#[test]
fn a_probe_that_ends_while_its_ack_may_lie_unread_accuses_nobody() {
    let mut bench = timed(doubtful());
    let peer = Peer::ours(1);
    bench.meet(&[peer]);
    bench.until_pinged(&peer, &[]);
    bench.node.handle_backlog(true);
    bench.advance(secs(1.01));
    assert_eq!(bench.health(&peer), Some(Health::Alive));
    assert_eq!(bench.node.local_health(), 1, "it doubts itself instead");
    bench.node.handle_backlog(false);
    bench.advance(secs(4.0));
    assert_eq!(bench.health(&peer), Some(Health::Suspect));
}

#[test]
fn a_backlog_that_was_read_before_the_probe_ends_exonerates_nobody() {
    let mut bench = timed(doubtful());
    let peer = Peer::ours(1);
    bench.meet(&[peer]);
    bench.until_pinged(&peer, &[]);
    bench.node.handle_backlog(true);
    bench.advance(secs(0.5));
    bench.node.handle_backlog(false);
    bench.advance(secs(0.51));
    assert_eq!(bench.health(&peer), Some(Health::Suspect));
}

/// A ping's name is compared by a few bits, so one of some hundred others of its length passes for what is held.
#[test]
fn another_name_is_noticed_by_a_ping_mostly_and_by_the_next_answer_to_a_probe_at_last() {
    let mut bench = bench();
    let peer = Peer::ours(1);
    bench.meet(&[peer]);
    bench.prove(&peer, &[peer]);
    let name = |bench: &Bench| bench.node.member(peer.id).map(|it| it.name.to_owned());
    let mut passed = 0;
    for number in 0..2_000 {
        let new = format!("{:08x}", 0x9e37_79b9_u32.wrapping_mul(number));
        let from = butterfly::wire::MemberRecord {
            name: &new,
            ..peer.from()
        };
        let ping = Message::Ping {
            from,
            forward_to: None,
            probe: 1,
            digest: 0,
        };
        bench.feed(&peer, ping, &[]);
        bench.sent();
        if name(&bench).as_ref() == Some(&new) {
            continue;
        }
        passed += 1;
        let probe = bench.until_pinged(&peer, &[peer]).probe;
        let ack = Message::Ack {
            from,
            forward_to: None,
            probe,
            table: false,
            rumors: 0,
            reconcile: &[],
            starting: false,
        };
        bench.feed(&peer, ack, &[]);
        assert_eq!(name(&bench), Some(new));
    }
    assert!((1..50).contains(&passed), "{passed} of 2 000 passed");
}
