//! Rumors at one node: what its user says, what it hears, what it pushes and to whom.

use crate::support::rumors::{Pushed, bytes_of, config, file, group, hash_of, service};
use crate::support::*;
use butterfly::error::{CommandError, Reject};
use butterfly::limits::{EAGER_RUMOR, MAX_RUMOR};
use butterfly::rumor::{Rumor, RumorId, RumorKind};
use butterfly::wire;
use butterfly::wire::reconcile::{Part, read_parts};
use butterfly::{Event, Health, MemberId, Timing};

fn gossiping() -> Timing {
    let mut timing = plain();
    timing.gossip_interval = secs(0.05);
    timing.gossip_fanout = 5;
    timing.gossip_factor = 1.5;
    timing.drip = std::time::Duration::ZERO;
    timing
}

fn bench() -> Bench {
    bench_with(|_| ())
}

fn bench_with(change: impl FnOnce(&mut Timing)) -> Bench {
    let mut timing = gossiping();
    change(&mut timing);
    Bench::timed(timing)
}

fn of_rumor(rumor: &Rumor, pushed: &[Pushed]) -> Vec<Pushed> {
    let these = pushed
        .iter()
        .filter(|push| push.rumor.as_ref() == Some(rumor));
    these.cloned().collect()
}

/// What has to be said of a store to the peer, in datagrams that went to it.
fn parts_to(peer: &Peer, sent: &[Sent]) -> Vec<Part> {
    let parts = to(peer, sent).into_iter();
    parts
        .flat_map(|sent| read_parts(&sent.reconcile).unwrap())
        .collect()
}

/// One of ours that is known to answer at its address.
fn met_and_proved(bench: &mut Bench, number: u32) -> Peer {
    let peer = Peer::ours(number);
    bench.meet(&[peer]);
    bench.prove(&peer, &[peer]);
    peer
}

// ---------------------------------------------------------------- what the user says

#[test]
fn what_is_not_newer_is_refused_with_both_incarnations() {
    let mut bench = bench();
    let now = bench.now;
    let refusals = [
        bench
            .node
            .apply_config(now, config("default", 5, "a"))
            .and(bench.node.apply_config(now, config("default", 5, "b"))),
        bench
            .node
            .apply_file(now, file("f", 5, 1))
            .and(bench.node.apply_file(now, file("f", 4, 9))),
        bench
            .node
            .announce(now, service(id(0), "default", 5))
            .and(bench.node.announce(now, service(id(0), "default", 2))),
    ];
    let given = [5, 4, 2];
    for (refusal, given) in refusals.into_iter().zip(given) {
        assert_eq!(refusal, Err(CommandError::NotNewer { given, held: 5 }));
    }
    assert!(bench.holds(&Rumor::ServiceConfig(config("default", 5, "a"))));
    assert!(bench.holds(&Rumor::ServiceFile(file("f", 5, 1))));
    assert_eq!(
        (bench.changed().len(), bench.node.stats().rumors_adopted),
        (3, 3)
    );
    let text = CommandError::NotNewer { given: 4, held: 5 }.to_string();
    assert!(text.contains('4') && text.contains('5'));
}

#[test]
fn what_is_too_large_is_refused_and_the_largest_is_taken_by_another() {
    let key = butterfly::wire::RingKey::new("ring", "20260101000000", [7; 32]).unwrap();
    let sealed = || {
        let mut config = config_of_node();
        config.ring_keys = vec![key.clone()];
        Bench::with(config)
    };
    let (mut one, mut other) = (sealed(), sealed());
    let now = one.now;
    let Err(CommandError::TooLarge { size, most }) =
        one.node.apply_file(now, file("f", 1, MAX_RUMOR))
    else {
        panic!("taken");
    };
    assert_eq!((most, one.node.rumor_count()), (MAX_RUMOR, 0));
    let largest = file("f", 1, MAX_RUMOR - (size - MAX_RUMOR));
    one.node.apply_file(now, largest.clone()).unwrap();
    assert_eq!(one.node.rumor_bytes(), MAX_RUMOR);
    other.hear(&Rumor::ServiceFile(largest.clone()), id(ME));
    assert!(
        other.holds(&Rumor::ServiceFile(largest)),
        "{:?}",
        other.events()
    );

    let long = file(&"n".repeat(257), 1, 0);
    assert_eq!(
        one.node.apply_file(now, long),
        Err(CommandError::TooLarge {
            size: 257,
            most: 256
        })
    );
    assert_eq!(
        one.node.apply_file(now, file("", 1, 0)),
        Err(CommandError::BadRumor(Reject::MissingField))
    );
}

#[test]
fn names_that_do_not_show_or_are_paths_are_refused_wherever_they_come_from() {
    let forged = Rumor::ServiceConfig(config("red!2026-11-30 ERROR a forged line", 1, "a"));
    let reversed = Rumor::ServiceConfig(config("~~~tluafed", 1, "a"));
    let path = Rumor::ServiceFile(file("..!..!etc!passwd", 1, 3));
    for (rumor, harmless, evil, reason) in [
        (&forged, "!", "\n", Reject::BadGroup),
        (&reversed, "~~~", "\u{202e}", Reject::BadGroup),
        (&path, "!", "/", Reject::BadFilename),
        (&path, "!", "\0", Reject::BadFilename),
    ] {
        let encoded = wire::encode_rumor(rumor, "").bytes;
        let text = String::from_utf8(encoded).unwrap();
        let bytes = text.replace(harmless, evil).into_bytes();
        let mut bench = bench();
        bench.hear_bytes(&bytes);
        assert_eq!(bench.node.restore_rumor(&bytes), Err(reason));
        assert_eq!(bench.node.rumor_count(), 0, "{rumor:?}");
        assert_eq!(bench.node.stats().rejected(reason), 1);
        let rejected = Event::Rejected {
            reason,
            from: "10.9.9.9:0".parse().unwrap(),
            unreported: 0,
        };
        assert_eq!(bench.events(), [rejected]);
    }
    let mut bench = bench();
    for name in ["../../etc/passwd", "..", r"a\b", "a\nb", "a\u{200b}"] {
        let done = bench.node.apply_file(bench.now, file(name, 1, 3));
        assert_eq!(
            done,
            Err(CommandError::BadRumor(Reject::BadFilename)),
            "{name:?}"
        );
    }
    assert_eq!(bench.node.rumor_count(), 0);
}

fn config_of_node() -> butterfly::node::NodeConfig {
    crate::support::config(gossiping())
}

#[test]
fn a_frame_larger_than_any_rumor_is_not_read() {
    let mut bench = bench();
    bench.hear_frame(&mut vec![0; MAX_RUMOR + 100]);
    assert_eq!(bench.node.stats().rejected(Reject::Oversized), 1);
}

#[test]
fn a_service_is_announced_withdrawn_and_announced_again() {
    let mut bench = bench();
    let (now, me) = (bench.now, id(ME));
    let rumor = RumorId::service(&group("default"), me);
    let members = |bench: &Bench| bench.node.members_of(&group("default")).collect::<Vec<_>>();
    assert_eq!(
        bench.node.withdraw(now, &group("default")),
        Ok(false),
        "it runs none"
    );
    bench
        .node
        .announce(now, service(id(77), "default", 0))
        .unwrap();
    assert_eq!(
        (bench.node.rumor(&rumor).unwrap().version, members(&bench)),
        (3, vec![me])
    );
    assert_eq!(bench.node.withdraw(now, &group("default")), Ok(true));
    assert_eq!(
        bench.node.withdraw(now, &group("default")),
        Ok(false),
        "it was"
    );
    assert_eq!(
        (bench.node.rumor(&rumor).unwrap().version, members(&bench)),
        (4, vec![])
    );
    let Some(Rumor::Service(held)) = bench.node.rumor(&rumor).unwrap().rumor() else {
        panic!()
    };
    assert!(held.is_withdrawn() && held.cfg.is_empty());
    bench.node.announce(now, service(me, "default", 0)).unwrap();
    assert_eq!(
        (bench.node.rumor(&rumor).unwrap().version, members(&bench)),
        (5, vec![me])
    );
    assert_eq!(bench.changed(), vec![rumor; 3]);
}

// ---------------------------------------------------------------- what is heard

#[test]
fn a_rumor_is_news_once() {
    let mut bench = bench();
    let peer = Peer::original(1);
    let (old, new) = (config("default", 1, "old"), config("default", 2, "new"));
    for rumor in [&old, &old, &new, &old, &new] {
        bench.hear(&Rumor::ServiceConfig(rumor.clone()), peer.id);
    }
    assert!(bench.holds(&Rumor::ServiceConfig(new)));
    assert_eq!(bench.changed(), vec![RumorId::config(&group("default")); 2]);
    let stats = bench.node.stats();
    assert_eq!(
        (
            stats.rumors_received,
            stats.rumors_adopted,
            stats.rumors_stale
        ),
        (5, 2, 1)
    );
    assert!(stats.rumor_bytes_received > 5 * 40);
}

#[test]
fn the_same_rumor_in_other_bytes_is_no_news() {
    let mut bench = bench();
    let rumor = Rumor::ServiceConfig(config("default", 0, ""));
    // Without the fields that say nothing, which a canonical one has.
    let group = b"redis.default";
    let bytes = [&[8, 4, 26, 1, b'x', 50, 15, 10, 13][..], group].concat();
    bench.hear_bytes(&bytes);
    assert!(bench.holds(&rumor));
    let checksum = bench.node.rumor_checksum();
    bench.hear_bytes(&bytes);
    bench.hear(&rumor, id(1));
    assert_eq!(
        (bench.changed().len(), bench.node.rumor_checksum()),
        (1, checksum)
    );
}

#[test]
fn what_comes_to_a_paused_member_is_counted_and_changes_nothing() {
    let mut bench = bench();
    bench.node.pause(bench.now);
    bench.hear(&Rumor::Departure(id(3)), id(1));
    assert_eq!(
        (
            bench.node.rumor_count(),
            bench.node.stats().rejected(Reject::Paused)
        ),
        (0, 1)
    );
    assert_eq!(bench.node.stats().rumors_received, 1);
    bench.node.resume(bench.now);
    bench.hear(&Rumor::Departure(id(3)), id(1));
    assert_eq!(bench.node.rumor_count(), 1);
}

#[test]
fn a_blocked_sender_has_no_say_and_nothing_is_pushed_to_it() {
    let mut bench = bench();
    let peers = [Peer::original(1), Peer::original(2)];
    bench.meet(&peers);
    let rumor = |number| Rumor::ServiceConfig(config("default", number, "a"));
    bench.hear(&rumor(1), peers[1].id);
    bench.node.handle_timeout(bench.now);
    // It is blocked while a push to it waits.
    bench.node.block(peers[0].id).unwrap();
    bench.hear(&rumor(2), peers[0].id);
    bench.hear_of(&peers[0], &peers[1].said(Health::Departed, 5));
    // What it said first came by somebody else; what comes from itself does not count.
    assert!(bench.holds(&rumor(2)));
    assert_eq!(bench.node.stats().rejected(Reject::Blocked), 1);
    assert_eq!(bench.health(&peers[1]), Some(Health::Alive));
    let pushed = bench.gossip_for(secs(2.0), &peers, |_| true);
    assert!(
        !pushed.is_empty() && pushed.iter().all(|push| push.to == peers[1].pull()),
        "{pushed:?}"
    );
}

#[test]
fn forged_claims_of_its_death_are_refuted_no_more_often_by_rumor_than_by_datagram() {
    let liar = Peer::ours(100).at("203.0.113.9:9638");
    // Each claim is at the incarnation that refuted the last one.
    let refutations = |bench: &mut Bench, by_rumor: bool| {
        let before = bench.node.stats().refutations;
        for number in 0..10_000 {
            let me = bench.me();
            let claim = me.said(Health::Confirmed, me.incarnation);
            if by_rumor {
                bench.hear_of(&Peer::ours(100 + number), &claim);
            } else {
                bench.feed(&liar, liar.ping(1), &[claim]);
            }
        }
        bench.node.stats().refutations - before
    };
    let by_datagram = refutations(&mut bench(), false);
    assert_eq!(by_datagram, 32);
    let mut bench = bench();
    let by_rumor = refutations(&mut bench, true);
    assert!(0 < by_rumor && by_rumor <= by_datagram, "{by_rumor}");
    let rejected = bench.node.stats().rejected(Reject::RateLimited);
    assert_eq!(rejected, 10_000 - by_rumor);
    bench.advance(secs(0.25));
    let later = refutations(&mut bench, true);
    assert!(0 < later && later <= by_datagram / 4, "{later}");
}

#[test]
fn a_record_of_a_member_does_what_it_does_in_a_message() {
    let mut bench = bench();
    let (peer, other) = (Peer::ours(1), Peer::ours(2));
    bench.meet(&[peer]);
    let before = bench.node.stats().records_received;
    bench.hear_of(&peer, &other.said(Health::Alive, 5));
    assert_eq!(bench.held(&other), None);
    bench.answer_question(&other);
    assert_eq!(bench.held(&other), Some((Health::Alive, 5)));
    bench.hear_of(&peer, &other.said(Health::Suspect, 4));
    assert_eq!(bench.held(&other), Some((Health::Alive, 5)), "an old one");
    bench.hear_of(&peer, &other.said(Health::Suspect, 6));
    assert_eq!(bench.held(&other), Some((Health::Suspect, 6)));
    // A death is not believed before the member was asked.
    bench.hear_of(&peer, &peer.said(Health::Confirmed, 7));
    assert_eq!(bench.health(&peer), Some(Health::Alive));
    assert_eq!(to(&peer, &probe_pings(&bench.sent())).len(), 1);

    let me = bench.me();
    bench.hear_of(&peer, &me.said(Health::Suspect, me.incarnation));
    assert_eq!(bench.me().incarnation, me.incarnation + 1);
    assert_eq!(bench.node.stats().refutations, 1);

    let received = bench.node.stats().records_received - before;
    assert_eq!(received, 5);
    for address in ["0.0.0.0:9000", "224.0.0.1:9000", "255.255.255.255:9000"] {
        bench.hear_of(&peer, &Peer::ours(3).at(address).said(Health::Alive, 5));
    }
    assert_eq!(bench.health(&Peer::ours(3)), None);
    assert_eq!(bench.node.stats().rejected(Reject::BadAddress), 3);
    let stranger = Peer {
        id: MemberId::OBSERVER,
        ..Peer::ours(4)
    };
    bench.hear_of(&peer, &stranger.said(Health::Alive, 5));
    assert_eq!(bench.node.stats().rejected(Reject::BadId), 1);
}

// ---------------------------------------------------------------- departures

#[test]
fn a_member_that_hears_of_its_own_departure_is_expelled_once() {
    let mut bench = bench();
    let mine = Rumor::Departure(id(ME));
    for _ in 0..2 {
        bench.hear(&mine, id(1));
    }
    let expelled = bench
        .events()
        .into_iter()
        .filter(|event| *event == Event::Expelled);
    assert_eq!(expelled.count(), 1);
    assert!(bench.node.is_expelled() && bench.holds(&mine));

    let mut bench = self::bench();
    assert!(!bench.node.is_expelled());
    bench.node.depart(bench.now, id(ME)).unwrap();
    assert!(bench.node.is_expelled());
}

#[test]
fn who_departed_for_good_is_gone_with_its_services_and_cannot_come_back() {
    let mut bench = bench();
    let (gone, other) = (Peer::original(1), Peer::original(2));
    bench.meet(&[gone, other]);
    let its = Rumor::Service(service(gone.id, "default", 1));
    bench.hear(&its, gone.id);
    bench.hear(&Rumor::Service(service(other.id, "default", 1)), other.id);
    bench.events();

    bench.hear(&Rumor::Departure(gone.id), other.id);
    assert_eq!(bench.health(&gone), Some(Health::Departed));
    let retired = Event::RumorGone(std::sync::Arc::new(its.id()));
    let events = bench.events();
    assert_eq!(
        events.iter().filter(|event| **event == retired).count(),
        1,
        "{events:?}"
    );
    assert_eq!(
        bench.node.members_of(&group("default")).collect::<Vec<_>>(),
        [other.id]
    );

    let back = gone.incarnated(1_000);
    bench.hear_of(&other, &back.said(Health::Alive, 1_000));
    bench.feed(&other, other.ping(0), &[back.said(Health::Alive, 1_001)]);
    bench.feed(&back, back.ping(0), &[]);
    bench.feed(&back, back.ack(0), &[]);
    bench.hear(&Rumor::Service(service(gone.id, "default", 9)), gone.id);
    assert_eq!(bench.health(&gone), Some(Health::Departed));
    assert_eq!(
        bench.node.members_of(&group("default")).collect::<Vec<_>>(),
        [other.id]
    );
    assert_eq!(bench.node.stats().rumors_stale, 1);
    assert_eq!(
        bench
            .events()
            .iter()
            .filter(|event| matches!(event, Event::MemberChanged { id, .. } if *id == gone.id))
            .count(),
        0
    );
}

#[test]
fn who_departed_for_good_is_told_so_once_a_period_for_ever() {
    let mut bench = bench_with(|timing| timing.forget_after = secs(60.0));
    let (gone, other) = (Peer::original(1), Peer::original(2));
    bench.meet(&[other]);
    // It is not even known.
    bench.node.depart(bench.now, gone.id).unwrap();
    let departure = Rumor::Departure(gone.id);
    bench.gossip_for(secs(5.0), &[other], |_| true);
    assert!(!bench.is_hot(&departure.id()));
    let mut told = Vec::new();
    for _ in 0..40 {
        bench.greet(&gone);
        told.extend(bench.gossip_for(secs(0.1), &[other], |_| true));
    }
    assert_eq!(bench.health(&gone), None);
    let answers = told.iter().filter(|push| push.to == gone.pull()).count();
    assert!((4..=5).contains(&answers), "{answers} in 4 s");
    assert_eq!(of_rumor(&departure, &told).len(), told.len());

    // A departure has no date, so it is not forgotten.
    bench.gossip_for(secs(120.0), &[other], |_| true);
    assert!(bench.holds(&departure));
}

/// A peer that hears of it before the rumor comes refutes, and others of its kind outlive the departure.
#[test]
fn who_departed_for_good_is_told_of_by_the_rumor_and_not_as_news_of_members() {
    let mut bench = bench();
    let (gone, other) = (Peer::original(1), Peer::original(2));
    bench.meet(&[gone, other]);
    bench.sent();
    bench.node.depart(bench.now, gone.id).unwrap();
    let says_of_gone = |sent: &[Sent]| sent.iter().any(|sent| sent.says_of(&gone).is_some());
    bench.feed(&other, other.ping_req(&gone, 7), &[]);
    let soon = bench.advance_with_living(secs(2.5), &[other]);
    assert!(!to(&other, &soon).is_empty() && !to(&gone, &soon).is_empty());
    assert!(!says_of_gone(&soon), "{soon:?}");
    // Those whom the rumor cannot reach hear of it in time; itself never.
    let mut later = bench.advance_with_living(secs(20.0), &[other]);
    bench.feed(&other, other.ping_req(&gone, 8), &[]);
    later.extend(bench.sent());
    assert!(says_of_gone(&to(&other, &later)), "{later:?}");
    let told = to(&gone, &later);
    assert!(!told.is_empty() && !says_of_gone(&told), "{later:?}");
}

#[test]
fn a_table_says_nothing_of_who_departed_for_good_before_the_rumor_had_its_time() {
    let mut bench = bench();
    let (gone, other) = (Peer::original(1), Peer::ours(2));
    bench.meet(&[gone, other]);
    bench.prove(&other, &[gone, other]);
    bench.advance_with_living(secs(20.0), &[gone, other]);
    bench.node.depart(bench.now, gone.id).unwrap();
    for (after, says) in [(0.0, false), (20.0, true)] {
        bench.advance_with_living(secs(after), &[other]);
        bench.feed(&other, other.ping_with_digest(0, 1), &[]);
        let sent = bench.advance_with_living(secs(1.0), &[other]);
        let tables: Vec<_> = sent.into_iter().filter(|sent| sent.table).collect();
        assert!(!tables.is_empty());
        let said = tables.iter().any(|sent| sent.says_of(&gone).is_some());
        assert_eq!(said, says, "after {after} s");
    }
}

/// One that lives on would refute whatever is said.
#[test]
fn who_outlived_a_departure_with_others_is_told_of_unless_they_call_it_alive() {
    let mut bench = bench();
    let (gone, other, unproved) = (Peer::original(1), Peer::ours(2), Peer::ours(3));
    bench.meet(&[gone, other]);
    bench.remember(&unproved);
    bench.prove(&other, &[gone, other]);
    bench.node.depart(bench.now, gone.id).unwrap();
    let told = |bench: &mut Bench, by: &Peer, health, incarnation| {
        bench.feed(by, by.ping(0), &[gone.said(health, incarnation)]);
        let sent = bench.sent();
        let told: Vec<_> = sent.iter().filter_map(|sent| sent.says_of(&gone)).collect();
        told
    };
    assert_eq!(told(&mut bench, &other, Health::Alive, 6), []);
    assert_eq!(bench.held(&gone), Some((Health::Departed, 5)));
    assert_eq!(told(&mut bench, &other, Health::Suspect, 7), []);
    assert_eq!(bench.held(&gone), Some((Health::Departed, 7)));

    bench.advance_with_living(secs(10.0), &[other]);
    assert_eq!(told(&mut bench, &other, Health::Alive, 8), []);
    assert_eq!(told(&mut bench, &unproved, Health::Suspect, 7), []);
    for health in [Health::Suspect, Health::Confirmed] {
        let once = [(Health::Departed, 7)];
        assert_eq!(told(&mut bench, &other, health, 7), once, "{health}");
        assert_eq!(told(&mut bench, &other, health, 7), [], "once a period");
        bench.advance_with_living(secs(2.0), &[other]);
    }
    assert_eq!(told(&mut bench, &other, Health::Departed, 8), []);
    assert_eq!(bench.held(&gone), Some((Health::Departed, 8)));
}

#[test]
fn a_member_outdoes_what_the_ring_remembers_of_its_service() {
    let mut bench = bench();
    let peer = Peer::original(1);
    bench.meet(&[peer]);
    let (now, me) = (bench.now, bench.node.id());
    let running = service(me, "default", 0);
    bench.node.announce(now, running.clone()).unwrap();
    let mut past = service(me, "default", 5);
    past.cfg = b"past".to_vec();
    bench.hear(&Rumor::Service(past.clone()), peer.id);
    let mut outdone = running;
    outdone.incarnation = 6;
    assert!(bench.holds(&Rumor::Service(outdone)));
    // What it said nothing of since it started, the ring knows better.
    past.group = group("other");
    bench.hear(&Rumor::Service(past.clone()), peer.id);
    assert!(bench.holds(&Rumor::Service(past)));
}

#[test]
fn services_of_who_left_are_retired_and_stale() {
    let mut bench = bench();
    let gone = Peer::original(1);
    bench.meet(&[gone]);
    let its = Rumor::Service(service(gone.id, "default", 1));
    bench.hear(&its, gone.id);
    assert!(bench.holds(&its));
    let leaving = Peer {
        departed: true,
        ..gone.incarnated(6)
    };
    bench.feed(&leaving, leaving.ack(0), &[]);
    assert_eq!(
        (bench.health(&gone), bench.node.rumor_count()),
        (Some(Health::Departed), 0)
    );
    bench.hear(&its, gone.id);
    assert_eq!(
        (bench.node.rumor_count(), bench.node.stats().rumors_stale),
        (0, 1)
    );
}

/// Its services can be here before anything is known of itself (chaos, seed 88).
#[test]
fn services_of_who_is_known_from_its_leave_alone_are_retired() {
    let mut bench = bench();
    let gone = Peer::original(1);
    bench.hear(&Rumor::Service(service(gone.id, "default", 1)), gone.id);
    assert_eq!(bench.node.rumor_count(), 1);
    let leaving = Peer {
        departed: true,
        ..gone
    };
    bench.feed(&leaving, leaving.ack(0), &[]);
    assert_eq!(
        bench.node.rumor_count(),
        1,
        "it has yet to prove that it is there"
    );
    bench.answer_question(&leaving);
    assert_eq!((bench.health(&gone), bench.node.rumor_count()), (None, 0));
}

/// A member that came later is told that it is gone, and not of it.
#[test]
fn services_of_whom_others_call_departed_are_retired() {
    let mut bench = bench();
    let (gone, other) = (Peer::ours(1), Peer::ours(2));
    bench.meet(&[other]);
    bench.hear(&Rumor::Service(service(gone.id, "default", 1)), gone.id);
    let stranger = Peer::ours(3);
    for (peer, left) in [(stranger, 1), (other, 0)] {
        bench.feed(&peer, peer.ack(0), &[gone.said(Health::Departed, 5)]);
        assert_eq!(
            (bench.health(&gone), bench.node.rumor_count()),
            (None, left)
        );
    }
}

#[test]
fn services_of_whom_nobody_speaks_are_swept_away_in_time() {
    let mut bench = bench_with(|timing| timing.drip = secs(10.0));
    let known = Peer::original(1);
    bench.meet(&[known]);
    let its = Rumor::Service(service(known.id, "default", 1));
    let stray = Rumor::Service(service(Peer::original(2).id, "default", 1));
    bench.hear(&its, known.id);
    bench.hear(&stray, known.id);
    bench.advance_with_living(secs(15.0), &[known]);
    assert!(bench.holds(&stray), "it may still become known");
    bench.advance_with_living(secs(15.0), &[known]);
    assert!(bench.holds(&its) && !bench.holds(&stray));
}

// ---------------------------------------------------------------- telling

#[test]
fn a_rumor_is_told_often_enough_and_then_is_cold() {
    let mut bench = bench();
    let peers: Vec<_> = (1..=3).map(Peer::original).collect();
    bench.meet(&peers);
    bench.gossip_for(secs(5.0), &peers, |_| true);
    let sent = bench.node.stats().rumors_sent;
    let rumor = Rumor::ServiceConfig(config("default", 1, "a"));
    bench.hear(&rumor, peers[0].id);
    assert!(bench.is_hot(&rumor.id()) && bench.node.hot_rumors() == 1);
    assert_eq!(bench.spread(&rumor.id()), Some((0, 0, 6)));
    let pushed = bench.gossip_for(secs(3.0), &peers, |_| true);
    assert!(!bench.is_hot(&rumor.id()) && bench.node.hot_rumors() == 0);
    assert_eq!(bench.spread(&rumor.id()), None);
    for peer in &peers {
        let told = pushed.iter().filter(|push| push.to == peer.pull()).count();
        assert_eq!(told, 2, "all are told twice: {pushed:?}");
    }
    // Who hears it back often enough need not tell it.
    let rumor = Rumor::ServiceConfig(config("default", 2, "a"));
    for _ in 0..20 {
        bench.hear(&rumor, peers[0].id);
    }
    assert_eq!(bench.spread(&rumor.id()), Some((0, 19, 6)));
    let pushed = bench.gossip_for(secs(3.0), &peers, |_| true);
    assert_eq!(pushed.len(), 3);
    assert_eq!(bench.node.stats().rumors_sent, sent + 6 + 3);
}

#[test]
fn the_successor_is_told_among_the_first_also_when_it_is_not_blocked_any_more() {
    let mut bench = bench();
    let peers: Vec<_> = (1..=30).map(Peer::original).collect();
    bench.meet(&peers);
    bench.gossip_for(secs(5.0), &peers, |_| true);
    // The own id is the last, so the first of the others comes next, around the circle.
    let told = |bench: &mut Bench, numbers: std::ops::Range<u64>| {
        let firsts = numbers.map(|number| {
            bench.gossip_for(secs(3.0), &peers, |_| true);
            let now = bench.now;
            bench
                .node
                .apply_config(now, config("default", number, "a"))
                .unwrap();
            let first = bench.gossip_for(secs(0.01), &peers, |_| true);
            first.iter().any(|push| push.to == peers[0].pull())
        });
        firsts.filter(|told| *told).count()
    };
    assert_eq!(told(&mut bench, 1..11), 10);
    bench.node.block(peers[0].id).unwrap();
    assert_eq!(told(&mut bench, 11..21), 0);
    bench.node.unblock(peers[0].id);
    assert_eq!(told(&mut bench, 21..31), 10);
}

#[test]
fn a_fanout_of_any_size_ends() {
    let mut bench = bench_with(|timing| timing.gossip_fanout = 256);
    let peers: Vec<_> = (1..=256).map(Peer::original).collect();
    bench.meet(&peers);
    let rumor = Rumor::Departure(id(7_000));
    bench.hear(&rumor, peers[0].id);
    bench.gossip_for(secs(1.0), &peers, |_| true);
    assert!(!bench.is_hot(&rumor.id()));
}

#[test]
fn what_was_not_taken_is_owed_until_it_is_taken() {
    let mut bench = bench();
    let peer = Peer::original(1);
    bench.meet(&[peer]);
    bench.gossip_for(secs(10.0), &[peer], |_| true);
    let rumors: Vec<_> = (0..200)
        .map(|number| Rumor::ServiceConfig(config(&format!("g{number}"), 1, "a")))
        .collect();
    for rumor in &rumors {
        bench.hear(rumor, id(9));
    }
    let failed = bench.gossip_for(secs(300.0), &[peer], |_| false);
    assert_eq!(bench.node.hot_rumors(), 0);
    assert_eq!(bench.node.stats().rumors_not_taken, failed.len() as u64);
    // Twice each while hot, then ever more seldom a batch of 64.
    assert!(failed.len() < 400 + 20 * 64, "{} pushes", failed.len());
    let taken = bench.gossip_for(secs(120.0), &[peer], |_| true);
    for rumor in &rumors {
        assert!(!of_rumor(rumor, &taken).is_empty(), "{rumor:?}");
    }
    assert!(taken.len() < 2 * 200 + 100, "{} pushes", taken.len());
    assert!(
        bench.gossip_for(secs(300.0), &[peer], |_| true).is_empty(),
        "nothing is owed any more"
    );
}

#[test]
fn what_was_not_taken_while_paused_is_owed_too() {
    let mut bench = bench();
    let peer = Peer::original(1);
    bench.meet(&[peer]);
    bench.gossip_for(secs(10.0), &[peer], |_| true);
    let rumor = Rumor::Departure(id(9));
    bench.hear(&rumor, id(9));
    let mut names = Vec::new();
    let mut frame = Vec::new();
    for _ in 0..3 {
        bench.advance_with_living(secs(0.1), &[peer]);
        while let Some(push) = bench.node.poll_push(bench.now, &mut frame) {
            names.push(push.id);
        }
    }
    assert_eq!((names.len(), bench.node.hot_rumors()), (2, 0));
    bench.node.pause(bench.now);
    for name in names {
        bench.node.handle_sent(bench.now, name, false);
    }
    bench.node.resume(bench.now);
    let pushed = bench.gossip_for(secs(10.0), &[peer], |_| true);
    assert!(!of_rumor(&rumor, &pushed).is_empty());
}

#[test]
fn who_compares_is_not_owed_anything() {
    let mut bench = bench();
    let peer = met_and_proved(&mut bench, 1);
    let rumor = Rumor::ServiceConfig(config("default", 1, "a"));
    bench.hear(&rumor, id(9));
    let pushed = bench.gossip_for(secs(60.0), &[peer], |_| false);
    assert_eq!(
        of_rumor(&rumor, &pushed).len(),
        1,
        "pushed once, then offered"
    );
    let offers = parts_to(&peer, &bench.sent());
    assert!(
        offers.contains(&Part::Have(vec![hash_of(&rumor)])),
        "{offers:?}"
    );
}

#[test]
fn a_newcomer_of_the_originals_is_told_all_members_and_rumors_once() {
    let mut bench = bench();
    // So few that all of them are responsible for it.
    let members: Vec<_> = (10..12).map(Peer::original).collect();
    bench.meet(&members[..1]);
    for member in &members[1..] {
        bench.remember(member);
    }
    let rumors: Vec<_> = (0..150)
        .map(|number| Rumor::ServiceConfig(config(&format!("g{number}"), 1, "a")))
        .collect();
    for rumor in &rumors {
        bench.hear(rumor, id(9));
    }
    bench.gossip_for(secs(30.0), &members, |_| true);
    assert_eq!(bench.node.hot_rumors(), 0);
    let newcomer = Peer::original(1);
    bench.meet(&[newcomer]);
    let everyone: Vec<_> = members.iter().copied().chain([newcomer]).collect();
    let pushed = bench.gossip_for(secs(30.0), &everyone, |_| true);
    let told: Vec<_> = pushed
        .into_iter()
        .filter(|push| push.to == newcomer.pull())
        .collect();
    for rumor in &rumors {
        assert_eq!(of_rumor(rumor, &told).len(), 1);
    }
    let records = told.iter().filter(|push| push.rumor.is_none()).count();
    assert_eq!((records, told.len()), (4, 154), "all members, itself too");
}

/// What is pushed to a peer.
fn pushed_to(peer: &Peer, pushed: &[Pushed]) -> usize {
    pushed.iter().filter(|push| push.to == peer.pull()).count()
}

#[test]
fn who_cannot_compare_is_told_everything_again_after_a_restart() {
    let mut bench = bench_with(|timing| timing.retry_max = secs(60.0));
    let (peer, other) = (Peer::original(1), Peer::original(2));
    bench.meet(&[peer, other]);
    for number in 0..150 {
        bench.hear(
            &Rumor::ServiceConfig(config(&format!("g{number}"), 1, "a")),
            id(9),
        );
    }
    bench.gossip_for(secs(30.0), &[peer, other], |_| true);
    assert_eq!(bench.node.hot_rumors(), 0);

    // So fast that nobody missed it.
    let peer = peer.incarnated(6);
    bench.feed(&peer, peer.ping(0), &[]);
    let pushed = bench.gossip_for(secs(30.0), &[peer, other], |_| true);
    assert_eq!(pushed_to(&peer, &pushed), 153, "all members and rumors");
    assert_eq!(pushed_to(&other, &pushed), 0);

    // Others noticed, and then saw it first.
    bench.hear_of(&other, &peer.said(Health::Suspect, 6));
    assert_eq!(bench.health(&peer), Some(Health::Suspect));
    let peer = peer.incarnated(7);
    bench.hear_of(&other, &peer.said(Health::Alive, 7));
    let soon = bench.gossip_for(secs(25.0), &[peer, other], |_| true);
    assert_eq!(pushed_to(&peer, &soon), 0, "not that soon after the last");
    let later = bench.gossip_for(secs(60.0), &[peer, other], |_| true);
    assert_eq!(pushed_to(&peer, &later), 153, "once more");
}

#[test]
fn who_compares_is_not_told_everything_after_a_restart() {
    let mut bench = bench();
    let peer = met_and_proved(&mut bench, 1);
    bench.hear(&Rumor::ServiceConfig(config("default", 1, "a")), id(9));
    bench.gossip_for(secs(30.0), &[peer], |_| true);
    let peer = peer.incarnated(6);
    bench.feed(&peer, peer.ping(0), &[]);
    let pushed = bench.gossip_for(secs(30.0), &[peer], |_| true);
    assert_eq!(pushed_to(&peer, &pushed), 0);
}

#[test]
fn a_big_rumor_is_offered_to_who_can_ask_and_pushed_to_who_cannot() {
    let mut bench = bench();
    let (ours, original) = (met_and_proved(&mut bench, 1), Peer::original(2));
    bench.meet(&[original]);
    bench.gossip_for(secs(5.0), &[ours, original], |_| true);
    bench.sent();
    let big = Rumor::ServiceFile(file("f", 1, EAGER_RUMOR));
    bench
        .node
        .apply_file(bench.now, file("f", 1, EAGER_RUMOR))
        .unwrap();
    let pushed = bench.gossip_for(secs(2.0), &[ours, original], |_| true);
    assert!(!pushed.is_empty() && pushed.iter().all(|push| push.to == original.pull()));
    let hash = hash_of(&big);
    let offers = parts_to(&ours, &bench.sent());
    assert!(offers.contains(&Part::Have(vec![hash])), "{offers:?}");

    bench.feed(
        &ours,
        ours.compares(&bytes_of(&[Part::Want(vec![hash])])),
        &[],
    );
    let pushed = bench.gossip_for(secs(0.1), &[ours, original], |_| true);
    assert_eq!(of_rumor(&big, &pushed).len(), 1);
    assert_eq!(pushed[0].to, ours.pull());
}

#[test]
fn what_is_offered_and_lacking_is_asked_for_once() {
    let mut bench = bench();
    let peer = met_and_proved(&mut bench, 1);
    let held = Rumor::Departure(id(50));
    bench.hear(&held, id(9));
    bench.gossip_for(secs(5.0), &[peer], |_| true);
    bench.sent();
    let offer = bytes_of(&[Part::Have(vec![7, hash_of(&held), 8])]);
    for _ in 0..3 {
        bench.feed(&peer, peer.compares(&offer), &[]);
    }
    assert_eq!(parts_to(&peer, &bench.sent()), [Part::Want(vec![7, 8])]);
    bench.advance_with_living(secs(3.0), &[peer]);
    bench.feed(&peer, peer.compares(&offer), &[]);
    assert_eq!(
        parts_to(&peer, &bench.sent()),
        [Part::Want(vec![7, 8])],
        "they did not come"
    );
}

// ---------------------------------------------------------------- the budget

#[test]
fn no_more_bytes_are_pushed_than_the_budget_has() {
    const RATE: usize = 100_000;
    let mut bench = bench_with(|timing| timing.rumor_budget = RATE);
    let peer = Peer::original(1);
    bench.meet(&[peer]);
    bench.gossip_for(secs(5.0), &[peer], |_| true);
    for number in 0..100 {
        bench
            .node
            .apply_file(bench.now, file(&format!("f{number}"), 1, 7_000))
            .unwrap();
    }
    for second in 1..=8 {
        let pushed = bench.gossip_for(secs(1.0), &[peer], |_| true);
        let bytes: usize = pushed.iter().map(|push| push.bytes).sum();
        // What was saved before comes on top.
        let most = if second == 1 { 2 * RATE } else { RATE } + 8_000;
        assert!(
            bytes <= most && bytes > RATE / 2,
            "{bytes} bytes in second {second}"
        );
    }
}

#[test]
fn a_big_rumor_holds_up_the_next_only_as_long_as_it_takes() {
    const RATE: usize = 100_000;
    let mut bench = bench_with(|timing| timing.rumor_budget = RATE);
    let peer = Peer::original(1);
    bench.meet(&[peer]);
    bench.gossip_for(secs(5.0), &[peer], |_| true);
    // Ten seconds' worth, pushed twice; meanwhile comes what is urgent.
    bench
        .node
        .apply_file(bench.now, file("big", 1, 10 * RATE))
        .unwrap();
    assert_eq!(bench.gossip_for(secs(0.01), &[peer], |_| true).len(), 1);
    let urgent = Rumor::Departure(id(50));
    bench.hear(&urgent, id(9));
    assert!(
        bench.gossip_for(secs(8.5), &[peer], |_| true).is_empty(),
        "nothing is left"
    );
    let pushed = bench.gossip_for(secs(1.0), &[peer], |_| true);
    assert_eq!(
        pushed.first().and_then(|push| push.rumor.clone()),
        Some(urgent),
        "first, and now"
    );
    assert_eq!(
        pushed.iter().filter(|push| push.bytes > RATE).count(),
        1,
        "then the big one again"
    );
}

#[test]
fn who_cannot_compare_is_told_again_slowly() {
    let mut bench = bench_with(|timing| timing.drip = secs(60.0));
    let (peer, rumor) = (Peer::original(1), Rumor::Departure(id(50)));
    bench.meet(&[peer]);
    bench.prove(&peer, &[peer]);
    bench.hear(&rumor, id(9));
    bench.gossip_for(secs(10.0), &[peer], |_| true);
    assert_eq!(bench.node.hot_rumors(), 0);
    let pushed = bench.gossip_for(secs(300.0), &[peer], |_| true);
    assert_eq!(pushed.len(), 5, "once a minute");
    assert_eq!(of_rumor(&rumor, &pushed).len(), 5);
}

#[test]
fn kinds_are_listed_in_order() {
    let mut bench = bench();
    let now = bench.now;
    bench.node.apply_config(now, config("b", 1, "x")).unwrap();
    bench.node.apply_config(now, config("a", 1, "x")).unwrap();
    bench.node.depart(now, id(5)).unwrap();
    let of = |kind| {
        bench
            .node
            .rumors_of(kind)
            .map(|held| held.id.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        of(RumorKind::ServiceConfig),
        [RumorId::config(&group("a")), RumorId::config(&group("b"))]
    );
    assert_eq!(of(RumorKind::Departure), [RumorId::departure(id(5))]);
    assert_eq!(
        (bench.node.rumors().count(), bench.node.rumor_count()),
        (3, 3)
    );
}
