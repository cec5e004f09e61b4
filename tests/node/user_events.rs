//! User events: what one member does when its user sends some, and when it hears of others'.

use std::sync::Arc;

use butterfly::error::Reject;
use butterfly::limits::{
    EVENT_BURST, EVENT_COALESCE, EVENT_GAP, EVENT_RATE, MAX_EVENT_PAYLOAD, MAX_EVENTS_OF_ONE,
    MAX_VERSION,
};
use butterfly::rumor::{Rumor, RumorId, RumorKind, UserEvent};
use butterfly::wire::reconcile::Part;
use butterfly::wire::{encode_rumor, feature};
use butterfly::{CommandError, Event};

use crate::support::rumors::{bytes_of, hash_of};
use crate::support::*;

/// One that takes all kinds.
fn takes_all(number: u32) -> Peer {
    let peer = Peer::ours(number);
    let features = peer.features | feature::OWN_KINDS;
    Peer { features, ..peer }
}

/// The event of this number of the first process of a peer.
fn event(by: &Peer, number: u64) -> UserEvent {
    let mut event = UserEvent::new("deploy", number.to_string());
    (event.by, event.series, event.number) = (by.id, 7, number);
    event
}

/// One that has been running for an hour, and these peers.
fn bench(peers: &[Peer]) -> Bench {
    let mut bench = Bench::timed(plain());
    bench.meet(peers);
    bench.advance_with_living(secs(3_600.0), peers);
    bench.events();
    bench
}

fn hear(bench: &mut Bench, event: &UserEvent) {
    bench.hear(&Rumor::UserEvent(event.clone()), event.by);
}

/// What was delivered since the last call: names and payloads.
fn delivered(bench: &mut Bench) -> Vec<String> {
    let events = bench.events().into_iter();
    let ours = events.filter_map(|event| match event {
        Event::UserEvent(event) => Some(event),
        _ => None,
    });
    ours.map(|event| String::from_utf8(event.payload.clone()).unwrap())
        .collect()
}

#[test]
fn an_event_is_delivered_here_and_told_to_those_alone_that_take_it() {
    let (taker, older, original) = (takes_all(1), Peer::ours(2), Peer::original(3));
    let all = [taker, older, original];
    let mut bench = bench(&all);
    let (now, me) = (bench.now, bench.node.id());
    for payload in ["one", "two"] {
        let sent = UserEvent::new("deploy", payload);
        assert!(bench.node.send_event(now, sent).is_ok());
    }
    assert_eq!(delivered(&mut bench), ["one", "two"]);
    let pushed = bench.gossip_for(secs(2.0), &all, |_| true);
    let events: Vec<_> = (pushed.into_iter())
        .filter_map(|push| match push.rumor {
            Some(Rumor::UserEvent(event)) => Some((push.peer, event)),
            _ => None,
        })
        .collect();
    assert!(events.iter().all(|(to, _)| *to == taker.id), "{events:?}");
    let events: Vec<_> = events.into_iter().map(|(_, event)| event).collect();
    let numbers: Vec<_> = events.iter().map(|it| (it.number, it.lamport)).collect();
    assert_eq!(numbers, [(1, 1), (2, 2)]);
    assert!(events.iter().all(|it| it.by == me && it.time > 3_600_000));
    assert_eq!(bench.node.stats().user_events, 2);
    bench.advance_with_living(secs(60.0), &all);
    assert_eq!(bench.node.rumor_count(), 0, "its time is over");
}

#[test]
fn what_cannot_be_sent_is_refused_with_what_to_do() {
    let mut bench = bench(&[]);
    let now = bench.now;
    let mut send = |event: UserEvent| bench.node.send_event(now, event).map(drop);
    let named = |name: &str| UserEvent::new(name, []);
    let lasts = |seconds| {
        let mut event = UserEvent::new("deploy", []);
        event.ttl = secs(seconds);
        event
    };
    let large = UserEvent::new("deploy", vec![0; MAX_EVENT_PAYLOAD + 1]);
    for (event, error) in [
        (named(""), CommandError::BadEventName),
        (named("a b"), CommandError::BadEventName),
        (lasts(0.5), CommandError::BadEventTtl),
        (lasts(601.0), CommandError::BadEventTtl),
        (
            large,
            CommandError::EventTooLarge {
                size: MAX_EVENT_PAYLOAD + 1,
                most: MAX_EVENT_PAYLOAD,
            },
        ),
    ] {
        assert_eq!(send(event), Err(error));
    }
    assert_eq!(send(lasts(600.0)), Ok(()));
    let sent = (0..10_000).filter(|_| send(named("flood")).is_ok()).count();
    assert_eq!(sent, EVENT_BURST as usize - 1);
    let wait = std::time::Duration::from_secs(1) / EVENT_RATE;
    let error = send(named("flood")).unwrap_err();
    assert_eq!(error, CommandError::TooManyEvents { wait });
    assert!(error.to_string().contains("wait 51 ms"), "{error}");
}

#[test]
fn events_are_delivered_once_in_order_and_a_gap_is_waited_for() {
    let (one, other) = (takes_all(1), takes_all(2));
    let mut bench = bench(&[one, other]);
    for number in [1, 3, 1, 4] {
        hear(&mut bench, &event(&one, number));
    }
    hear(&mut bench, &event(&other, 1));
    assert_eq!(delivered(&mut bench), ["1", "1"]);
    hear(&mut bench, &event(&one, 2));
    assert_eq!(delivered(&mut bench), ["2", "3", "4"]);
    hear(&mut bench, &event(&one, 7));
    bench.advance_with_living(EVENT_GAP - secs(0.1), &[one, other]);
    assert_eq!(delivered(&mut bench), [""; 0]);
    bench.advance_with_living(secs(0.2), &[one, other]);
    assert_eq!(delivered(&mut bench), ["7"]);
    assert_eq!(bench.node.stats().user_events_skipped, 2);
    hear(&mut bench, &event(&one, 6));
    assert_eq!(delivered(&mut bench), [""; 0], "too late");
    let mut ahead = event(&one, 8);
    ahead.lamport = 90;
    hear(&mut bench, &ahead);
    let now = bench.now;
    let sent = bench.node.send_event(now, UserEvent::new("mine", "mine"));
    assert!(sent.is_ok());
    let mine = bench.node.rumors_of(RumorKind::UserEvent);
    let mine = mine.filter_map(|view| match view.rumor()? {
        Rumor::UserEvent(event) if event.name == "mine" => Some(event.lamport),
        _ => None,
    });
    assert_eq!(mine.collect::<Vec<_>>(), [91]);
}

#[test]
fn an_event_whose_time_is_over_is_neither_delivered_nor_asked_for_again() {
    let peer = takes_all(1);
    let mut bench = bench(&[peer]);
    let (first, second) = (event(&peer, 1), event(&peer, 2));
    hear(&mut bench, &first);
    assert_eq!(delivered(&mut bench), ["1"]);
    bench.advance_with_living(first.ttl, &[peer]);
    assert_eq!(bench.node.rumor_count(), 0);
    hear(&mut bench, &first);
    assert_eq!(
        (delivered(&mut bench).len(), bench.node.rumor_count()),
        (0, 0)
    );
    let hash = |event: &UserEvent| hash_of(&Rumor::UserEvent(event.clone()));
    let parts = bytes_of(&[Part::Have(vec![hash(&first), hash(&second)])]);
    bench.feed(&peer, peer.compares(&parts), &[]);
    let wanted: Vec<_> = (bench.sent().into_iter())
        .flat_map(|sent| butterfly::wire::reconcile::read_parts(&sent.reconcile).unwrap())
        .collect();
    assert_eq!(wanted, [Part::Want(vec![hash(&second)])]);
}

#[test]
fn of_a_name_that_coalesces_the_last_is_delivered_after_a_second() {
    let (one, other) = (takes_all(1), takes_all(2));
    let mut bench = bench(&[one, other]);
    let coalesced = |by: &Peer, number, lamport| {
        let mut event = event(by, number);
        (event.coalesce, event.lamport) = (true, lamport);
        event
    };
    hear(&mut bench, &coalesced(&one, 1, 1));
    hear(&mut bench, &coalesced(&one, 2, 5));
    hear(&mut bench, &coalesced(&other, 1, 3));
    assert_eq!(delivered(&mut bench), [""; 0]);
    bench.advance_with_living(EVENT_COALESCE, &[one, other]);
    assert_eq!(delivered(&mut bench), ["2"]);
    assert_eq!(bench.node.stats().user_events_coalesced, 2);
    hear(&mut bench, &coalesced(&one, 3, 6));
    bench.advance_with_living(EVENT_COALESCE, &[one, other]);
    assert_eq!(delivered(&mut bench), ["3"], "the next is another");
}

/// One sends ten thousand, which a member of ours does not.
#[test]
fn a_flood_of_one_is_bounded_and_costs_others_nothing() {
    let (flood, quiet) = (takes_all(1), takes_all(2));
    let mut bench = bench(&[flood, quiet]);
    hear(&mut bench, &event(&quiet, 1));
    for number in 1..=10_000 {
        hear(&mut bench, &event(&flood, number));
    }
    hear(&mut bench, &event(&quiet, 2));
    assert_eq!(delivered(&mut bench).len(), MAX_EVENTS_OF_ONE + 3);
    let stats = bench.node.stats();
    let refused = stats.rejected(Reject::EventFlood) as usize;
    assert_eq!(refused, 10_000 - MAX_EVENTS_OF_ONE - 1);
    assert_eq!(stats.user_events_dropped, 1);
    let first = RumorId::user_event(quiet.id, 7, 1);
    assert!(bench.node.rumor(&first).is_some());
    for gauge in bench.node.sizes() {
        assert!(gauge.now <= gauge.most, "{gauge:?}");
    }
}

#[test]
fn what_was_delivered_before_a_restart_is_not_delivered_again() {
    let peer = takes_all(1);
    let mut bench = Bench::timed(plain());
    let stored = encode_rumor(&Rumor::UserEvent(event(&peer, 2)), "");
    bench.node.restore_rumor(&stored.bytes).unwrap();
    bench.meet(&[peer]);
    for number in 1..=3 {
        hear(&mut bench, &event(&peer, number));
    }
    assert_eq!(delivered(&mut bench), ["3"]);
}

/// It counts on above what somebody else said in its name, so that others take its own.
#[test]
fn a_member_goes_on_above_events_that_others_made_up() {
    let peer = takes_all(1);
    let mut bench = bench(&[peer]);
    let mut made_up = event(&peer, 9);
    made_up.by = bench.node.id();
    hear(&mut bench, &made_up);
    assert_eq!(delivered(&mut bench), [""; 0]);
    let now = bench.now;
    let sent = bench.node.send_event(now, UserEvent::new("mine", "mine"));
    assert!(sent.is_ok());
    assert_eq!(delivered(&mut bench), ["mine"]);
    let mine = RumorId::user_event(bench.node.id(), made_up.series + 1, 1);
    assert!(bench.node.rumor(&mine).is_some());
}

/// The highest series, and the highest number, in the name of one that others hear, and in this member's own.
#[test]
fn an_event_that_its_sender_cannot_have_sent_mutes_nobody() {
    let (peer, me) = (takes_all(1), Peer::ours(ME));
    let mut bench = bench(&[peer]);
    hear(&mut bench, &event(&peer, 1));
    for by in [&peer, &me] {
        let mut later = event(by, 1);
        later.series = MAX_VERSION;
        hear(&mut bench, &later);
        hear(&mut bench, &event(by, MAX_VERSION));
    }
    assert_eq!(delivered(&mut bench), ["1"]);
    assert_eq!(bench.node.stats().rejected(Reject::BadEvent), 4);
    hear(&mut bench, &event(&peer, 2));
    assert_eq!(delivered(&mut bench), ["2"]);
    let (now, started) = (bench.now, 1);
    let sent = bench.node.send_event(now, UserEvent::new("mine", "mine"));
    let sent = sent.unwrap();
    assert_eq!((sent.series, sent.number), (started, 1));
}

/// Whoever recorded events sends them to a member that started again, and remembers nothing.
#[test]
fn what_was_sent_before_a_start_is_delivered_while_it_lasts_and_never_answered() {
    let peer = takes_all(1);
    let started = 1_800_000_000_000;
    let mut config = config(plain());
    config.epoch = started;
    let mut bench = Bench::with(config);
    bench.meet(&[peer]);
    let at = |number, time, query: bool| {
        let mut event = match query {
            true => UserEvent::query("disk", "asked"),
            false => event(&peer, number),
        };
        (event.by, event.series, event.number) = (peer.id, 7, number);
        event.time = time;
        event
    };
    // A minute is what it lasts.
    bench.advance_with_living(secs(30.0), &[peer]);
    bench.events();
    hear(&mut bench, &at(1, started - 40_000, false));
    assert_eq!(delivered(&mut bench), [""; 0]);
    hear(&mut bench, &at(1, started - 20_000, false));
    assert_eq!(delivered(&mut bench), ["1"]);
    hear(&mut bench, &at(2, started - 20_000, true));
    assert_eq!(bench.events(), []);
    assert_eq!(bench.node.stats().queries_refused, 1);
    hear(&mut bench, &at(3, started - 2_000, true));
    assert_eq!(bench.events().len(), 1);
    // One that ran for long, and knows nothing of the sender.
    let other = takes_all(2);
    bench.meet(&[other]);
    bench.advance_with_living(secs(600.0), &[peer, other]);
    bench.events();
    let mut recorded = event(&other, 1);
    recorded.time = started - 60_000;
    hear(&mut bench, &recorded);
    assert_eq!(delivered(&mut bench), [""; 0]);
    assert!(!bench.holds(&Rumor::UserEvent(recorded.clone())));
    recorded.time = started + 1;
    hear(&mut bench, &recorded);
    assert_eq!(delivered(&mut bench), ["1"]);
}

#[test]
fn ids_that_no_member_has_are_one_sender_together() {
    let quiet = takes_all(1);
    let mut bench = bench(&[quiet]);
    let first = event(&quiet, 1);
    hear(&mut bench, &first);
    for number in 0..10_000 {
        hear(&mut bench, &event(&takes_all(1_000 + number), 1));
    }
    hear(&mut bench, &event(&quiet, 2));
    assert_eq!(delivered(&mut bench).len(), MAX_EVENTS_OF_ONE + 2);
    let refused = bench.node.stats().rejected(Reject::EventFlood) as usize;
    assert_eq!(refused, 10_000 - MAX_EVENTS_OF_ONE);
    assert!(bench.holds(&Rumor::UserEvent(first)));
    for gauge in bench.node.sizes() {
        assert!(gauge.now <= gauge.most, "{gauge:?}");
    }
}

/// Nobody has to take them: the oldest go once they are too large together.
#[test]
fn events_that_nobody_takes_are_bounded_in_bytes() {
    let peer = takes_all(1);
    let mut bench = bench(&[peer]);
    let payload: Arc<[u8]> = vec![7; MAX_EVENT_PAYLOAD].into();
    for number in 1..=600 {
        let mut event = event(&peer, number);
        event.payload = payload.to_vec();
        let rumor = encode_rumor(&Rumor::UserEvent(event), "");
        let mut frame = Vec::new();
        butterfly::wire::seal_into(None, &rumor.bytes, &mut frame);
        let from = || "10.9.9.9:0".parse().unwrap();
        assert!(bench.node.handle_rumor(bench.now, &mut frame, from));
    }
    let stats = bench.node.stats();
    assert_eq!(stats.user_events, 600);
    assert!(
        stats.user_events_dropped > 300 && stats.events_lost > 300,
        "{stats:?}"
    );
    let held = bench.node.rumor_bytes();
    assert!(held <= butterfly::limits::MAX_EVENT_BYTES, "{held}");
}
