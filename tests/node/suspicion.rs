//! Suspicion, the check of a claimed death, and how far a member trusts itself (PROTOCOL.md §2, Lifeguard).

use std::time::Duration;

use crate::support::*;
use butterfly::stats::MessageKind;
use butterfly::wire::MembershipRecord;
use butterfly::{Cause, Event, Health, MemberId, Timing};

/// `count` members, all alive, of which the last is suspected by records only; nobody is probed.
fn quiet(timing: Timing, count: u32) -> (Bench, Vec<Peer>, Peer) {
    let mut bench = Bench::timed(timing);
    let all: Vec<_> = (1..=count).map(Peer::ours).collect();
    bench.meet(&all[..1]);
    let known: Vec<_> = all[1..]
        .iter()
        .map(|peer| peer.said(Health::Alive, 5))
        .collect();
    bench.learn(&all[0].clone(), &known);
    let suspect = all[all.len() - 1];
    (bench, all, suspect)
}

fn accused<'a>(peer: &Peer, incarnation: u64, accusers: &'a [MemberId]) -> MembershipRecord<'a> {
    MembershipRecord {
        accusers: accusers.into(),
        ..peer.said(Health::Suspect, incarnation)
    }
}

/// How long the suspicion lasts in all, from now, by what the node says of it.
fn left(bench: &Bench, peer: &Peer) -> Duration {
    let view = bench.node.member(peer.id).unwrap();
    view.suspicion
        .expect("it is suspected")
        .until
        .since(bench.now)
}

fn close(one: Duration, other: f64) -> bool {
    (one.as_secs_f64() - other).abs() < 1e-3
}

#[test]
fn it_shortens_with_each_independent_accuser_as_lifeguard_says() {
    let (mut bench, all, suspect) = quiet(plain(), 20);
    let teller = all[0];
    let longest = 9.0;
    let shortest = 3.0;
    for (confirmations, accuser) in [(0, 50), (1, 51), (2, 52), (3, 53)] {
        bench.feed(
            &teller,
            teller.ack(0),
            &[accused(&suspect, 5, &[id(accuser)])],
        );
        let share = f64::ln(f64::from(confirmations) + 1.0) / f64::ln(4.0);
        let expected: f64 = longest - (longest - shortest) * share;
        assert!(
            close(left(&bench, &suspect), expected),
            "{confirmations} confirmations"
        );
        // Nobody counts twice, and who does not say who accuses does not count.
        bench.feed(
            &teller,
            teller.ack(0),
            &[accused(&suspect, 5, &[id(accuser)])],
        );
        bench.feed(&teller, teller.ack(0), &[suspect.said(Health::Suspect, 5)]);
        bench.feed(&all[1], all[1].ack(0), &[suspect.said(Health::Suspect, 5)]);
        assert!(close(left(&bench, &suspect), expected));
    }
    bench.feed(&teller, teller.ack(0), &[accused(&suspect, 5, &[id(54)])]);
    assert!(close(left(&bench, &suspect), shortest));
}

#[test]
fn the_suspect_itself_is_no_accuser() {
    let (mut bench, all, suspect) = quiet(plain(), 20);
    let accusers = [id(50), suspect.id];
    bench.feed(&all[0], all[0].ack(0), &[accused(&suspect, 5, &accusers)]);
    assert!(close(left(&bench, &suspect), 9.0));
}

#[test]
fn it_grows_with_the_logarithm_of_the_ring() {
    let mut timing = plain();
    timing.suspicion_scaled = true;
    for (count, scale) in [(5, 1.0), (999, 3.0)] {
        let (mut bench, all, suspect) = quiet(timing.clone(), count);
        bench.feed(&all[0], all[0].ack(0), &[suspect.said(Health::Suspect, 5)]);
        assert!(close(left(&bench, &suspect), 9.0 * scale), "{count}");
    }
}

#[test]
fn where_nobody_else_could_accuse_it_is_short_but_twice_the_shortest() {
    let mut bench = Bench::new();
    let peer = Peer::ours(1);
    bench.meet(&[peer]);
    bench.until_pinged(&peer, &[]);
    bench.advance(secs(1.0));
    assert!(close(left(&bench, &peer), 6.0));
}

#[test]
fn a_new_accuser_is_news_and_an_old_one_is_not() {
    let (mut bench, all, suspect) = quiet(plain(), 20);
    bench.prove(&all[1], &all);
    bench.feed(&all[0], all[0].ack(0), &[accused(&suspect, 5, &[id(50)])]);
    let said = |bench: &mut Bench| -> Vec<Vec<MemberId>> {
        bench.feed(&all[1], all[1].ping(1), &[]);
        let sent = bench.sent();
        let of_it = sent
            .iter()
            .flat_map(|sent| &sent.records)
            .filter(|record| record.id == suspect.id);
        of_it.map(|record| record.accusers.clone()).collect()
    };
    assert_eq!(said(&mut bench), [[id(50)]]);
    for _ in 0..100 {
        bench.feed(&all[1], all[1].ping(1), &[]);
        bench.sent();
    }
    bench.sent();
    let news = bench.node.news();
    bench.feed(&all[0], all[0].ack(0), &[accused(&suspect, 5, &[id(50)])]);
    assert_eq!(bench.node.news(), news);
    bench.feed(&all[0], all[0].ack(0), &[accused(&suspect, 5, &[id(51)])]);
    assert_eq!(said(&mut bench), [[id(50), id(51)]]);
}

#[test]
fn a_higher_incarnation_ends_it_and_an_accusation_at_a_higher_one_begins_anew() {
    let (mut bench, all, suspect) = quiet(plain(), 20);
    let teller = all[0];
    bench.feed(
        &teller,
        teller.ack(0),
        &[accused(&suspect, 5, &[id(50), id(51)])],
    );
    bench.feed(&teller, teller.ack(0), &[suspect.said(Health::Alive, 5)]);
    assert_eq!(
        bench.held(&suspect),
        Some((Health::Suspect, 5)),
        "not by the same one"
    );
    bench.feed(&teller, teller.ack(0), &[suspect.said(Health::Alive, 6)]);
    assert_eq!(bench.held(&suspect), Some((Health::Alive, 6)));
    assert_eq!(bench.node.member(suspect.id).unwrap().suspicion, None);
    bench.feed(
        &teller,
        teller.ack(0),
        &[accused(&suspect, 6, &[id(50), id(51), id(52)])],
    );
    bench.now += secs(0.01);
    let short = left(&bench, &suspect);
    assert!(short < secs(6.0));
    bench.feed(&teller, teller.ack(0), &[accused(&suspect, 7, &[id(50)])]);
    assert!(close(left(&bench, &suspect), 9.0), "from now");
    let view = bench.node.member(suspect.id).unwrap();
    assert_eq!(view.suspicion.unwrap().accusers, [id(50)]);
    bench.advance_with_living(secs(8.9), &all);
    assert_ne!(
        bench.health(&suspect),
        Some(Health::Confirmed),
        "the old timer is gone"
    );
}

#[test]
fn after_it_comes_the_confirmation_at_the_time_that_was_said() {
    let mut timing = plain();
    timing.suspicion_confirmations = 0;
    let (mut bench, all, suspect) = quiet(timing, 20);
    let living = &all[..19];
    bench.feed(&all[0], all[0].ack(0), &[accused(&suspect, 5, &[id(50)])]);
    bench.advance_with_living(secs(2.99), living);
    assert_eq!(bench.health(&suspect), Some(Health::Suspect));
    bench.events();
    bench.advance_with_living(secs(0.02), living);
    assert_eq!(bench.held(&suspect), Some((Health::Confirmed, 5)));
    let told = bench.events();
    assert!(
        told.iter().any(|event| matches!(event, Event::MemberChanged { cause: Cause::SuspicionTimeout, id, .. } if *id == suspect.id)),
        "{told:?}"
    );
    let sent = bench.advance_with_living(secs(2.0), living);
    let told = sent.iter().filter_map(|sent| sent.says_of(&suspect));
    assert!(told.count() > 0, "it is told");
}

/// Of twenty, suspected by the first; nobody else accuses it, so it lasts 3 s.
fn suspected() -> (Bench, Vec<Peer>, Peer) {
    let mut timing = plain();
    timing.suspicion_confirmations = 0;
    let (mut bench, all, suspect) = quiet(timing, 20);
    bench.prove(&all[0], &all);
    bench.feed(&all[0], all[0].ack(0), &[accused(&suspect, 5, &[id(50)])]);
    (bench, all, suspect)
}

/// The refutation may have come to everyone but this member.
#[test]
fn a_suspect_is_asked_for_its_last_word_straight_and_through_others() {
    let (mut bench, all, suspect) = suspected();
    let living = &all[..19];
    let sent = bench.advance_with_living(secs(2.49), living);
    let asked = |sent: &[Sent]| {
        let of = |sent: &&Sent| {
            sent.other
                .as_ref()
                .is_some_and(|other| other.id == suspect.id)
        };
        ping_reqs(sent).iter().filter(of).count()
    };
    assert_eq!(asked(&sent), 0, "it is not its turn in the round");
    let sent = bench.advance_with_living(secs(0.02), living);
    let pings = pings(&to(&suspect, &sent));
    assert_eq!(pings.len(), 1);
    assert_eq!(pings[0].records[0].says(), (suspect.id, Health::Suspect, 5));
    assert_eq!(asked(&sent), 3);
    assert_eq!(left(&bench, &suspect).as_millis(), 490, "no later for that");
    bench.advance_with_living(secs(0.3), living);
    bench.feed(&suspect, suspect.ack(pings[0].probe), &[]);
    bench.advance_with_living(secs(1.0), living);
    assert_eq!(bench.health(&suspect), Some(Health::Alive));
}

#[test]
fn a_claim_of_the_death_that_is_about_to_be_believed_is_not_checked_once_more() {
    let (mut bench, all, suspect) = suspected();
    let living = &all[..19];
    bench.advance_with_living(secs(2.6), living);
    let claim = suspect.said(Health::Confirmed, 5);
    bench.feed(&all[0], all[0].ack(0), &[claim]);
    assert!(probe_pings(&bench.sent()).is_empty());
    bench.advance_with_living(secs(0.41), living);
    assert_eq!(bench.held(&suspect), Some((Health::Confirmed, 5)));
    // At a higher incarnation it is another claim.
    let (mut bench, all, suspect) = suspected();
    bench.advance_with_living(secs(2.6), &all[..19]);
    let claim = suspect.said(Health::Confirmed, 6);
    bench.feed(&all[0], all[0].ack(0), &[claim]);
    assert_eq!(probe_pings(&bench.sent()).len(), 1);
}

#[test]
fn a_claimed_death_is_checked_straight_and_through_others() {
    let (mut bench, all, claimed) = quiet(plain(), 10);
    let teller = all[0];
    bench.prove(&teller, &all);
    let news = bench.node.news();
    bench.feed(
        &teller,
        teller.ack(0),
        &[claimed.said(Health::Confirmed, 8)],
    );
    let sent = bench.sent();
    assert_eq!(
        probe_pings(&sent)
            .iter()
            .map(|sent| sent.to)
            .collect::<Vec<_>>(),
        [claimed.addr]
    );
    let requests = ping_reqs(&sent);
    assert_eq!(requests.len(), 3);
    assert!(requests.iter().all(|request| request.to != claimed.addr));
    assert!(
        requests
            .iter()
            .all(|request| request.other.as_ref().unwrap().id == claimed.id)
    );
    assert_eq!(bench.held(&claimed), Some((Health::Alive, 5)));
    assert_eq!(bench.node.news(), news, "no rumor yet");
    // Said again, it is not checked twice.
    bench.feed(
        &teller,
        teller.ack(0),
        &[claimed.said(Health::Confirmed, 8)],
    );
    assert!(bench.sent().is_empty());
    bench.feed(&claimed, claimed.incarnated(9).ack(0), &[]);
    bench.advance_with_living(secs(2.0), &all);
    assert_eq!(bench.held(&claimed), Some((Health::Alive, 9)));
}

#[test]
fn a_claimed_death_that_nobody_denies_is_believed_at_its_incarnation() {
    for (held, claim) in [(Health::Alive, 8), (Health::Alive, 5), (Health::Suspect, 5)] {
        let (mut bench, all, claimed) = quiet(plain(), 10);
        let living = &all[..9];
        let teller = all[0];
        bench.prove(&teller, &all);
        bench.learn(&teller, &[claimed.said(held, 5)]);
        bench.feed(
            &teller,
            teller.ack(0),
            &[claimed.said(Health::Confirmed, claim)],
        );
        bench.advance_with_living(secs(0.49), living);
        assert_eq!(bench.held(&claimed), Some((held, 5)));
        bench.events();
        bench.advance_with_living(secs(0.02), living);
        assert_eq!(bench.held(&claimed), Some((Health::Confirmed, claim)));
        let believed = |event: &Event| {
            matches!(
                event,
                Event::MemberChanged {
                    cause: Cause::VerdictBelieved,
                    ..
                }
            )
        };
        assert_eq!(
            bench
                .events()
                .iter()
                .filter(|event| believed(event))
                .count(),
            1
        );
        bench.feed(&teller, teller.ping(1), &[]);
        assert_eq!(
            bench.sent()[0].says_of(&claimed),
            Some((Health::Confirmed, claim)),
            "a rumor"
        );
    }
}

#[test]
fn an_older_claim_of_death_is_no_claim() {
    let (mut bench, all, claimed) = quiet(plain(), 10);
    bench.feed(
        &all[0],
        all[0].ack(0),
        &[claimed.said(Health::Confirmed, 4)],
    );
    assert!(bench.sent().is_empty());
}

/// It refuted the claim, and others heard that.
#[test]
fn a_claim_of_death_is_dropped_when_the_member_has_gone_on_since() {
    let (mut bench, all, claimed) = quiet(plain(), 10);
    let living = &all[..9];
    bench.feed(
        &all[0],
        all[0].ack(0),
        &[claimed.said(Health::Confirmed, 5)],
    );
    bench.feed(&all[1], all[1].ack(0), &[claimed.said(Health::Alive, 6)]);
    bench.advance_with_living(secs(0.6), living);
    assert_eq!(
        bench.held(&claimed),
        Some((Health::Alive, 6)),
        "nobody said Confirmed@6"
    );
}

#[test]
fn failures_and_refutations_make_it_slower_and_successes_mend_it() {
    let mut bench = Bench::timed(doubtful());
    let all: Vec<_> = (1..=3).map(Peer::ours).collect();
    bench.meet(&all);
    bench.until_pinged(&all[0], &all[1..]);
    bench.sent();
    let own = bench.me().said(Health::Suspect, bench.me().incarnation);
    let before = bench.node.local_health();
    bench.feed(&all[1], all[1].ack(0), &[own]);
    assert_eq!(bench.node.local_health(), before + 1, "a refutation");
    bench.advance_with_living(secs(1.01), &all[1..]);
    assert!(
        bench.node.local_health() > before,
        "a failed probe, perhaps an answered one"
    );
    bench.advance_with_living(secs(60.0), &all);
    assert_eq!(bench.node.local_health(), 0);
}

/// Lifeguard's "nack": helpers that were asked say so, and then the silence is not the asker's fault.
#[test]
fn who_was_heard_by_its_helpers_does_not_doubt_itself_for_a_probe_that_failed() {
    for (answers, score) in [(0, 1), (1, 0), (3, 0)] {
        let mut bench = Bench::timed(doubtful());
        let all: Vec<_> = (1..=4).map(Peer::ours).collect();
        let (silent, living) = (all[0], &all[1..]);
        bench.meet(&all);
        bench.advance_with_living(secs(10.0), &all);
        let ping = bench.until_pinged(&silent, living);
        let requests = ping_reqs(&bench.advance_with_living(secs(0.6), living));
        assert_eq!(requests.len(), 3);
        for request in &requests[..answers] {
            let helper = living.iter().find(|peer| peer.addr == request.to).unwrap();
            bench.feed(helper, helper.ack(ping.probe), &[]);
        }
        bench.advance(secs(0.41));
        assert_eq!(bench.health(&silent), Some(Health::Suspect));
        assert_eq!(bench.node.local_health(), score, "{answers} answers");
    }
}

#[test]
fn a_bad_score_stretches_the_period_and_the_timeout() {
    let mut bench = Bench::timed(doubtful());
    let peer = Peer::ours(1);
    let helper = Peer::ours(2);
    bench.meet(&[peer, helper]);
    bench.prove(&helper, &[peer, helper]);
    bench.advance_with_living(secs(5.0), &[peer, helper]);
    for _ in 0..3 {
        let own = bench.me().said(Health::Suspect, bench.me().incarnation);
        bench.feed(&helper, helper.ack(0), &[own]);
    }
    assert_eq!(bench.node.local_health(), 3);
    bench.sent();
    let began = bench.until_pinged(&peer, &[helper]).at;
    let score = f64::from(bench.node.local_health());
    let mut at = Vec::new();
    bench.advance_with(secs(20.0), |_, sent| {
        at.push((sent.kind, sent.at.since(began), sent.digest))
    });
    let asked = at
        .iter()
        .find(|(kind, ..)| *kind == MessageKind::PingReq)
        .unwrap();
    assert!(
        close(asked.1, 0.5 * (score + 1.0)),
        "{asked:?} with {score}"
    );
    let next = at
        .iter()
        .find(|(kind, _, digest)| *kind == MessageKind::Ping && *digest == 0)
        .unwrap();
    assert!(close(next.1, 1.0 * (score + 1.0)), "{next:?} with {score}");
    for _ in 0..50 {
        let own = bench.me().said(Health::Suspect, bench.me().incarnation);
        bench.feed(&helper, helper.ack(0), &[own]);
    }
    assert_eq!(
        bench.node.local_health(),
        butterfly::limits::MAX_LOCAL_HEALTH
    );
}

/// That the dead do not answer says nothing about the asker.
#[test]
fn a_dead_persistent_member_does_not_make_it_doubt_itself() {
    let mut bench = Bench::timed(doubtful());
    let living = Peer::ours(1);
    bench.meet(&[living]);
    let dead: Vec<_> = (2..8)
        .map(|number| Peer {
            persistent: true,
            ..Peer::ours(number)
        })
        .collect();
    let records: Vec<_> = dead
        .iter()
        .map(|peer| peer.said(Health::Confirmed, 5))
        .collect();
    bench.learn(&living, &records);
    bench.advance_with_living(secs(60.0), &[living]);
    assert_eq!(bench.node.local_health(), 0);
}

#[test]
fn what_it_slept_through_is_not_held_against_others() {
    let mut bench = Bench::timed(doubtful());
    let all: Vec<_> = (1..=5).map(Peer::ours).collect();
    bench.meet(&all);
    bench.learn(&all[0].clone(), &[all[4].said(Health::Suspect, 5)]);
    let (before, score) = (left(&bench, &all[4]), bench.node.local_health());
    let (_, deadline) = (bench.events(), bench.node.next_timer().unwrap());
    let late = secs(3_600.0);
    bench.now = deadline + late;
    bench.node.handle_timeout(bench.now);
    assert_eq!(bench.health(&all[4]), Some(Health::Suspect));
    assert!(bench.events().contains(&Event::Lagged { by: late }));
    assert_eq!(bench.node.local_health(), score + 1);
    assert_eq!(bench.node.stats().lags, 1);
    let lag = &bench.node.stats().loop_lag;
    assert_eq!((lag.count(), lag.sum()), (1, late));
    // The suspect has all of its time yet.
    bench.feed(&all[4], all[4].ack(0), &[]);
    assert_eq!(bench.health(&all[4]), Some(Health::Alive));
    assert!(before > secs(8.0));
    bench.advance_with_living(secs(60.0), &all);
    assert_eq!(bench.node.counts().alive, 6, "and goes on as ever");
}

#[test]
fn a_little_late_is_not_lag() {
    let mut bench = Bench::timed(doubtful());
    let peer = Peer::ours(1);
    bench.meet(&[peer]);
    for _ in 0..100 {
        bench.now = bench.node.next_timer().unwrap() + secs(0.249);
        bench.node.handle_timeout(bench.now);
        let sent = bench.sent();
        for ping in pings(&sent) {
            bench.feed(&peer, peer.ack(ping.probe), &[]);
        }
    }
    assert_eq!((bench.node.stats().lags, bench.node.local_health()), (0, 0));
    let lag = &bench.node.stats().loop_lag;
    assert_eq!((lag.count(), lag.sum()), (100, secs(24.9)), "it is counted");
    assert_eq!(bench.health(&peer), Some(Health::Alive));
}

#[test]
fn a_clock_that_is_set_back_stops_nothing() {
    let mut bench = Bench::timed(doubtful());
    let all: Vec<_> = (1..=5).map(Peer::ours).collect();
    bench.meet(&all);
    bench.advance_with_living(secs(60.0), &all);
    for _ in 0..3 {
        bench.now = bench.now - secs(17.0);
        let probes = bench.node.stats().probes;
        bench.node.handle_timeout(bench.now);
        let deadline = bench.node.next_timer().unwrap();
        assert!(
            deadline.since(bench.now) <= secs(1.0),
            "the next probe is due as ever"
        );
        bench.advance_with_living(secs(10.0), &all);
        let more = bench.node.stats().probes - probes;
        assert!((9..=11).contains(&more), "{more} probes");
    }
    assert_eq!((bench.node.stats().lags, bench.node.counts().alive), (0, 6));
}

#[test]
fn whoever_answers_a_probe_in_the_place_of_another_has_that_asked_for_its_last_word() {
    let peers: Vec<_> = (1..=5).map(Peer::ours).collect();
    let (target, living) = (peers[0], &peers[1..]);
    let tenant = Peer {
        id: id(77),
        ..target
    };
    let probed = || {
        let mut bench = Bench::timed(doubtful());
        bench.meet(&peers);
        let ping = bench.until_pinged(&target, living);
        (bench, ping.probe)
    };
    // A helper's Ack, one with another number, and one from elsewhere say nothing.
    let (mut bench, probe) = probed();
    bench.feed(&living[0], living[0].ack(probe), &[]);
    bench.feed(&tenant, tenant.ack(probe ^ 1), &[]);
    bench.feed(&tenant.at("10.0.0.99:9000"), tenant.ack(probe), &[]);
    bench.feed(&tenant.at("10.0.0.1:9009"), tenant.ack(probe), &[]);
    assert_eq!(bench.health(&target), Some(Health::Alive));

    let (mut bench, probe) = probed();
    bench.drain();
    bench.sent();
    bench.feed(&tenant, tenant.ack(probe), &[]);
    assert_eq!(bench.health(&target), Some(Health::Suspect));
    bench.drain();
    let sent = bench.sent();
    assert!(
        pings(&sent).iter().any(|ping| ping.to == target.addr),
        "{sent:?}"
    );
    assert!(!ping_reqs(&sent).is_empty(), "{sent:?}");
    let until = bench
        .node
        .member(target.id)
        .unwrap()
        .suspicion
        .unwrap()
        .until;
    assert_eq!(until, bench.now + doubtful().verdict_timeout);
    let events = bench.events();
    let why = |event: &Event| {
        matches!(
            event,
            Event::MemberChanged {
                cause: Cause::AddressTaken,
                ..
            }
        )
    };
    assert!(events.iter().any(why), "{events:?}");
    // It moved, and says so in time.
    let moved = target.at("10.0.0.98:9000").incarnated(6);
    bench.meet(&[moved]);
    bench.advance_with_living(secs(10.0), &[&[moved], living].concat());
    assert_eq!(bench.health(&moved), Some(Health::Alive));
}
