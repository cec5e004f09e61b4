//! News that is pushed, witnesses that are called, tables that are compared: what is sent out of turn, and
//! that it ends.

use crate::support::*;
use butterfly::limits::MAX_CROWD_PUSHES;
use butterfly::stats::MessageKind;
use butterfly::wire::{Accusers, MembershipRecord};
use butterfly::{Health, Timing};

fn pushing() -> Timing {
    let mut timing = plain();
    (timing.push_fanout, timing.push_tellings) = (3, 6);
    timing.push_interval = secs(0.05);
    timing
}

/// A member that knows so many others, each of which has proved its address.
fn proved(timing: Timing, others: u32) -> (Bench, Vec<Peer>) {
    let mut bench = Bench::timed(timing);
    let all: Vec<_> = (1..=others).map(Peer::ours).collect();
    bench.meet(&all);
    for peer in &all {
        bench.prove(peer, &all);
    }
    (bench, all)
}

#[test]
fn news_is_pushed_at_once_and_soon_no_more() {
    let (mut bench, all) = proved(pushing(), 20);
    bench.advance_with_living(secs(60.0), &all);
    bench.learn(&all[0], &[Peer::ours(50).said(Health::Alive, 1)]);
    let began = bench.now;
    // Before it is probed itself, which is other news.
    let sent = bench.advance_with_living(secs(0.9), &all);
    // The member itself may be one of those: it is asked to prove its address.
    let soon = sent.iter().filter(|sent| sent.at.since(began) < secs(0.3));
    let told = soon.filter(|sent| sent.says_of(&Peer::ours(50)).is_some());
    let told = told.count();
    assert!((6..=9).contains(&told), "{told}");
    let sent = acks(&sent);
    assert!(sent[..3].iter().all(|ack| ack.at == began), "at once");
    assert!(sent.last().unwrap().at.since(began) < secs(0.3));
}

/// By luck alone, some would be left out.
#[test]
fn news_goes_to_the_successor_first() {
    let (mut bench, all) = proved(pushing(), 30);
    // The own id is the last, so the first of the others comes next, around the circle.
    let mut firsts = Vec::new();
    for number in 6..16 {
        bench.advance_with_living(secs(60.0), &all);
        bench.learn(&all[7], &[all[9].said(Health::Alive, number)]);
        let sent = acks(&bench.advance_with_living(secs(0.01), &all));
        assert_eq!(sent.len(), 3, "no more datagrams than without");
        firsts.push(sent[0].to);
        assert!(sent[1..].iter().all(|sent| sent.to != all[0].addr));
    }
    assert_eq!(firsts, [all[0].addr; 10]);
    // Who is gone is not the successor any more, and who comes back is.
    let first_told = |bench: &mut Bench, living: &[Peer], number| {
        bench.advance_with_living(secs(60.0), living);
        bench.learn(&all[7], &[all[9].said(Health::Alive, number)]);
        acks(&bench.advance_with_living(secs(0.01), living))[0].to
    };
    bench.learn(&all[7], &[left(&all[0])]);
    assert_eq!(first_told(&mut bench, &all[1..], 30), all[1].addr);
    let back = all[0].incarnated(9);
    bench.feed(&back, back.ping(1), &[]);
    assert_eq!(first_told(&mut bench, &all, 31), all[0].addr);
}

fn left(peer: &Peer) -> MembershipRecord<'static> {
    let mut record = peer.said(Health::Departed, peer.incarnation);
    record.member.departed = true;
    record
}

/// No table tells it and no probe finds it out, so it must not wait behind the rest.
#[test]
fn the_news_of_a_crowd_that_leaves_goes_out_in_more_datagrams_within_bounds() {
    let mut bench = Bench::timed(pushing());
    let all: Vec<_> = (1..=300).map(Peer::ours).collect();
    bench.meet(&all);
    let stay: Vec<_> = all[..100].to_vec();
    for peer in &stay {
        bench.prove(peer, &all);
    }
    bench.advance_with_living(secs(300.0), &all);
    let mut told = vec![0; all.len()];
    let began = bench.now;
    for (crowd, most) in [(&all[100..140], 10), (&all[140..300], MAX_CROWD_PUSHES)] {
        let news: Vec<_> = crowd.iter().map(left).collect();
        bench.learn(&stay[3], &news);
        for _ in 0..20 {
            let sent = acks(&bench.advance_with_living(secs(0.05), &stay));
            let pushes = sent
                .iter()
                .filter(|ack| !ack.records.is_empty() && ack.probe == 0);
            let pushes: Vec<_> = pushes.collect();
            assert!(pushes.len() <= 2 * most, "{} datagrams", pushes.len());
            for (about, count) in all.iter().zip(&mut told) {
                *count += pushes
                    .iter()
                    .filter(|push| push.says_of(about).is_some())
                    .count();
            }
        }
    }
    let seldom = told[100..].iter().filter(|count| **count < 6).count();
    assert_eq!(seldom, 0, "{told:?} after {:?}", bench.now.since(began));
}

/// Anybody can make up a crowd, and have it leave.
#[test]
fn a_crowd_that_never_proved_its_addresses_is_not_hurried_for() {
    let (mut bench, all) = proved(pushing(), 20);
    bench.advance_with_living(secs(60.0), &all);
    let crowd: Vec<_> = (100..200).map(Peer::ours).collect();
    let come: Vec<_> = crowd
        .iter()
        .map(|peer| peer.said(Health::Alive, 5))
        .collect();
    let go: Vec<_> = crowd.iter().map(left).collect();
    bench.learn(&all[0], &come);
    let stranger = Peer::ours(999);
    bench.feed(&stranger, stranger.ack(0), &go);
    assert_eq!(bench.health(&crowd[50]), Some(Health::Departed));
    for _ in 0..40 {
        let sent = acks(&bench.advance_with_living(secs(0.05), &all));
        assert!(sent.len() <= 6, "{}", sent.len());
    }
}

/// It missed the news, and would go on for ever.
#[test]
fn who_speaks_of_a_member_as_living_that_left_is_told() {
    let mut bench = Bench::timed(plain());
    let all: Vec<_> = (1..=3).map(Peer::ours).collect();
    bench.meet(&all);
    bench.prove(&all[0], &all);
    // It was said before, when it was true.
    bench.learn(&all[0], &[all[2].said(Health::Alive, 5)]);
    bench.learn(&all[0], &[left(&all[2])]);
    // So that it is no news any more.
    bench.advance_with_living(secs(120.0), &all[..2]);
    for health in [Health::Alive, Health::Suspect, Health::Alive] {
        bench.advance_with_living(secs(1.1), &all[..2]);
        bench.feed(&all[0], all[0].ack(0), &[all[2].said(health, 5)]);
        let sent = bench.sent();
        assert_eq!((sent.len(), sent[0].to), (1, all[0].addr));
        assert_eq!(sent[0].says_of(&all[2]), Some((Health::Departed, 5)));
        // Once a period.
        bench.feed(&all[0], all[0].ack(0), &[all[2].said(health, 5)]);
        assert_eq!(bench.sent(), []);
    }
    bench.advance_with_living(secs(1.1), &all[..2]);
    let silent = |bench: &mut Bench, peer: &Peer, record| {
        bench.feed(peer, peer.ack(0), &[record]);
        assert_eq!(bench.sent(), [], "{record:?}");
    };
    silent(&mut bench, &all[0], left(&all[2]));
    silent(&mut bench, &all[0], all[2].said(Health::Confirmed, 5));
    // It came back.
    silent(&mut bench, &all[0], all[2].said(Health::Alive, 6));
    // Whose address is not proved.
    let stranger = Peer::ours(9);
    bench.learn(&all[0], &[left(&all[1])]);
    bench.feed(&stranger, stranger.ack(0), &[all[1].said(Health::Alive, 5)]);
    let sent = bench.sent();
    assert_eq!(
        (pings(&sent).len(), sent.len()),
        (1, 1),
        "it is asked where it is"
    );
}

/// The only news is about the only other member, who does not hear of itself as news.
#[test]
fn two_members_fall_silent() {
    let mut bench = Bench::timed(pushing());
    let peer = Peer::ours(1);
    bench.meet(&[peer]);
    bench.prove(&peer, &[peer]);
    bench.advance_with_living(secs(10.0), &[peer]);
    let sent = bench.advance_with_living(secs(10.0), &[peer]);
    assert!(acks(&sent).is_empty(), "{} pushes", acks(&sent).len());
}

#[test]
fn a_suspicion_calls_witnesses_out_of_turn() {
    let mut timing = plain();
    timing.witnesses = 8;
    let (mut bench, all) = proved(timing, 5);
    bench.feed(&all[0], all[0].ack(0), &[all[3].said(Health::Suspect, 5)]);
    let sent = probes(&to(&all[3], &bench.sent()));
    assert_eq!(sent[0].says_of(&all[3]), Some((Health::Suspect, 5)));
}

/// Else a forged suspicion with accusers enough would have it probe as fast as it comes.
#[test]
fn a_suspicion_with_accusers_enough_calls_nobody_out_of_turn() {
    let mut timing = plain();
    timing.witnesses = 8;
    let (mut bench, all) = proved(timing, 6);
    let accusers: Vec<_> = all[..4].iter().map(|peer| peer.id).collect();
    let accused = MembershipRecord {
        accusers: Accusers::new(&accusers),
        ..all[4].said(Health::Suspect, 5)
    };
    bench.feed(&all[0], all[0].ack(0), &[accused]);
    assert_eq!(bench.health(&all[4]), Some(Health::Suspect));
    assert_eq!(probes(&bench.sent()), []);
}

/// Each word of its would cost more than its own bytes, towards whom it names.
#[test]
fn a_strangers_suspicion_calls_no_witnesses() {
    let mut timing = plain();
    timing.witnesses = 8;
    let (mut bench, all) = proved(timing, 5);
    let stranger = Peer::ours(100);
    bench.feed(
        &stranger,
        stranger.ping(1),
        &[all[3].said(Health::Suspect, 5)],
    );
    assert_eq!(to(&all[3], &bench.sent()), []);
    assert_eq!(bench.health(&all[3]), Some(Health::Suspect));
}

/// Members that are made up at the address of somebody else, and news that is made up for them: the victim
/// may get what the forger's datagrams are worth by the rules, and what the probe cycle sends anyway.
#[test]
fn nobody_is_drowned_in_pushes_that_it_never_asked_for() {
    let (mut bench, all) = proved(pushing(), 3);
    bench.advance_with_living(secs(20.0), &all);
    let (mut forged, mut received) = (0, 0);
    for number in 0..200 {
        let victim = Peer::ours(100 + number % 20).at("198.51.100.1:53");
        let made_up = Peer::ours(1_000 + number).said(Health::Alive, 1);
        forged += bench.feed(&victim, victim.ack(0), &[made_up]);
        let sent = to(&victim, &bench.advance_with_living(secs(0.1), &all));
        let provoked = sent.iter().filter(|sent| sent.kind == MessageKind::Ack);
        received += provoked.map(|sent| sent.bytes).sum::<usize>();
    }
    assert!(received <= 3 * forged, "{received} bytes for {forged}");
}

/// The first that a newcomer hears of anyone is that somebody is suspected.
#[test]
fn a_newcomer_compares_its_table_whatever_it_hears_first() {
    for first in [Health::Alive, Health::Suspect] {
        let mut timing = plain();
        timing.sync_max = secs(30.0);
        let mut bench = Bench::timed(timing);
        let peer = Peer::ours(1);
        bench.feed(&peer, peer.ack(0), &[Peer::ours(2).said(first, 5)]);
        let sent = bench.advance_with_living(secs(5.0), &[peer]);
        let compared = sent
            .iter()
            .filter(|sent| sent.kind == MessageKind::Ping && sent.digest != 0);
        assert!(compared.count() > 2, "{first}");
    }
}
