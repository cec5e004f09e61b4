//! Questions: what one member does when it is asked, and whom it answers.

use std::collections::BTreeSet;

use butterfly::limits::{MAX_ANSWER, MAX_ANSWER_SENDS, MAX_QUERIES};
use butterfly::rumor::{Answered, Query, Rumor, TagSet, UserEvent};
use butterfly::wire::feature;
use butterfly::wire::reconcile::{Part, Reply, read_parts};
use butterfly::{CommandError, Event, Health, MemberState};

use crate::support::rumors::bytes_of;
use crate::support::*;

/// One that takes all kinds.
fn takes_all(number: u32) -> Peer {
    let peer = Peer::ours(number);
    let features = peer.features | feature::OWN_KINDS;
    Peer { features, ..peer }
}

/// A question of a peer's.
fn question(by: &Peer, number: u64, name: &str, change: impl FnOnce(&mut Query)) -> UserEvent {
    let mut event = UserEvent::query(name, "payload");
    (event.by, event.series, event.number) = (by.id, 7, number);
    let query = event.query.as_mut().unwrap();
    query.id = 100 + number;
    change(query);
    event
}

fn bench(peers: &[Peer]) -> Bench {
    let mut bench = Bench::timed(plain());
    bench.meet(peers);
    bench.advance_with_living(secs(100.0), peers);
    bench.events();
    bench
}

fn hear(bench: &mut Bench, event: &UserEvent) {
    bench.hear(&Rumor::UserEvent(event.clone()), event.by);
}

/// What was said to questions, and to whom.
fn replies(sent: Vec<Sent>) -> Vec<(std::net::SocketAddr, Part)> {
    let parts = sent.into_iter().flat_map(|sent| {
        let parts = read_parts(&sent.reconcile).unwrap();
        parts.into_iter().map(move |part| (sent.to, part))
    });
    let is_reply = |(_, part): &(_, Part)| matches!(part, Part::Reply { .. });
    parts.filter(is_reply).collect()
}

fn reply(query: u64, reply: Reply, payload: &[u8]) -> Part {
    Part::Reply {
        query,
        reply,
        payload: payload.to_vec(),
    }
}

#[test]
fn a_question_is_told_and_answered_to_the_asker_until_it_has_the_answer() {
    let (asker, other) = (takes_all(1), takes_all(2));
    let peers = [asker, other];
    let mut bench = bench(&peers);
    let asked = question(&asker, 1, "disk", |query| query.timeout = secs(30.0));
    hear(&mut bench, &asked);
    let told = bench.events();
    assert!(
        matches!(&told[..], [Event::Query(event)] if **event == asked),
        "{told:?}"
    );
    let sent = bench.advance_with_living(secs(0.1), &peers);
    assert_eq!(
        replies(sent),
        [(asker.addr, reply(101, Reply::Received, b""))]
    );
    let now = bench.now;
    let large = vec![7; MAX_ANSWER + 1];
    let (size, most) = (MAX_ANSWER + 1, MAX_ANSWER);
    let answered = bench.node.answer(now, &asked, Ok(&large));
    assert_eq!(answered, Err(CommandError::AnswerTooLarge { size, most }));
    assert_eq!(bench.node.answer(now, &asked, Ok(&large[1..])), Ok(()));
    let again = bench.node.answer(now, &asked, Err("no"));
    assert_eq!(again, Err(CommandError::QueryOver));
    // The asker has the first, and of the second nothing comes back.
    let parts = bytes_of(&[Part::Got {
        query: 101,
        reply: Reply::Received,
    }]);
    bench.feed(&asker, asker.compares(&parts), &[]);
    let sent = replies(bench.advance_with_living(secs(20.0), &peers));
    let answer = (asker.addr, reply(101, Reply::Answer, &large[1..]));
    assert_eq!(sent, vec![answer; usize::from(MAX_ANSWER_SENDS)]);
    assert_eq!(bench.node.stats().answers_lost, 1);
}

#[test]
fn only_those_that_are_asked_are_told_and_what_is_built_in_answers_by_itself() {
    let asker = takes_all(1);
    let mut bench = bench(&[asker]);
    let now = bench.now;
    let mut tags = TagSet::new();
    tags.insert("zone", "eu").unwrap();
    bench.node.set_tags(now, tags).unwrap();
    bench.events();
    let by_tag = |tag: &str| {
        let tag = tag.to_owned();
        move |query: &mut Query| query.tags.push(tag)
    };
    hear(&mut bench, &question(&asker, 1, "disk", by_tag("zone=us")));
    assert_eq!(bench.events(), []);
    hear(&mut bench, &question(&asker, 2, "disk", by_tag("zone=eu")));
    assert_eq!(bench.events().len(), 1);
    hear(&mut bench, &question(&asker, 3, "ping", |_| ()));
    hear(&mut bench, &question(&asker, 4, "state", |_| ()));
    // It does not wait for those before it.
    hear(&mut bench, &question(&asker, 9, "ping", |_| ()));
    assert_eq!(bench.events(), []);
    let sent = replies(bench.advance_with_living(secs(0.1), &[asker]));
    let said = |number: u64| {
        let of = |part: &Part| match part {
            Part::Reply {
                query,
                reply,
                payload,
            } if *query == number => Some((*reply, payload.clone())),
            _ => None,
        };
        sent.iter().find_map(|(_, part)| of(part))
    };
    assert_eq!(said(103), Some((Reply::Answer, vec![])));
    assert_eq!(said(109), Some((Reply::Answer, vec![])));
    let (_, state) = said(104).unwrap();
    let state = MemberState::parse(std::str::from_utf8(&state).unwrap());
    assert_eq!(state, bench.node.state());
    assert_eq!(state.living, 2);
    assert_ne!(state.rumors, bench.node.rumor_checksum(), "events aside");
}

/// It is no member, and what it says of its address is not believed: nothing goes there but a question.
#[test]
fn a_forged_asker_gets_no_answer() {
    let (known, forged) = (takes_all(1), takes_all(9));
    let mut bench = bench(&[known]);
    hear(&mut bench, &question(&forged, 1, "state", |_| ()));
    let sent = replies(bench.advance_with_living(secs(20.0), &[known]));
    assert_eq!(sent, []);
    let stats = bench.node.stats();
    assert_eq!((stats.queries_refused, stats.answers_lost), (1, 0));
}

/// Each answer would go to the one in whose name it was asked.
#[test]
fn questions_in_the_name_of_one_bring_no_more_answers_upon_it_than_its_own() {
    let (victim, original) = (takes_all(1), Peer::original(2));
    let peers = [victim, original];
    let mut bench = bench(&peers);
    for number in 1..=200 {
        hear(&mut bench, &question(&victim, number, "ping", |_| ()));
        hear(&mut bench, &question(&original, number, "ping", |_| ()));
    }
    let sent = replies(bench.advance_with_living(secs(20.0), &peers));
    let most = 2 * MAX_QUERIES;
    let asked: BTreeSet<_> = sent
        .iter()
        .map(|(to, part)| (*to, format!("{part:?}")))
        .collect();
    assert_eq!(asked.len(), most);
    assert!(sent.len() <= most * usize::from(MAX_ANSWER_SENDS));
    assert!(sent.iter().all(|(to, _)| *to == victim.addr));
    let refused = bench.node.stats().queries_refused;
    assert_eq!(refused as usize, 400 - most);
}

/// Of many questions, one ping goes there in a second: an answer proves the address.
#[test]
fn an_asker_that_was_never_heard_is_asked_for_its_address_once_a_second() {
    let (known, unheard) = (takes_all(1), takes_all(9));
    let mut bench = bench(&[known]);
    bench.learn(&known, &[unheard.said(Health::Alive, 1)]);
    bench.sent();
    for number in 1..=10 {
        hear(&mut bench, &question(&unheard, number, "ping", |_| ()));
    }
    let sent = bench.advance_with_living(secs(0.9), &[known]);
    let to_it: Vec<_> = (sent.into_iter())
        .filter(|sent| sent.to == unheard.addr)
        .collect();
    assert!((1..=2).contains(&to_it.len()), "its probe aside: {to_it:?}");
    assert_eq!(replies(to_it), []);
}

#[test]
fn questions_of_one_member_leave_room_for_those_of_others() {
    let (loud, quiet) = (takes_all(1), takes_all(2));
    let mut bench = bench(&[loud, quiet]);
    for number in 1..=2 * MAX_QUERIES as u64 {
        hear(&mut bench, &question(&loud, number, "disk", |_| ()));
    }
    hear(&mut bench, &question(&quiet, 1, "disk", |_| ()));
    let told = bench.events();
    assert_eq!(told.len(), MAX_QUERIES + 1);
    assert_eq!(bench.node.stats().queries_refused as usize, MAX_QUERIES);
    let of_quiet = |event: &Event| matches!(event, Event::Query(event) if event.by == quiet.id);
    assert!(told.iter().any(of_quiet));
    let open = bench
        .node
        .sizes()
        .find(|gauge| gauge.name == "open_queries");
    assert_eq!(open.map(|gauge| gauge.now), Some(MAX_QUERIES as u64 + 1));
    // One that answers by itself does not stay open.
    hear(&mut bench, &question(&quiet, 2, "ping", |_| ()));
    let open = bench
        .node
        .sizes()
        .find(|gauge| gauge.name == "open_queries");
    assert_eq!(open.map(|gauge| gauge.now), Some(MAX_QUERIES as u64 + 1));
}

/// They say that they are had in one datagram, and only of questions that were asked.
#[test]
fn a_datagram_of_replies_provokes_one() {
    let peer = takes_all(1);
    let mut bench = bench(&[peer]);
    let now = bench.now;
    let sent = bench.node.send_event(now, UserEvent::query("disk", []));
    let id = sent.unwrap().query.unwrap().id;
    bench.gossip_for(secs(0.5), &[peer], |_| true);
    let many = |id: u64| bytes_of(&vec![reply(id, Reply::Answer, b""); 90]);
    let mut says = |parts: &[u8]| {
        bench.sent();
        bench.feed(&peer, peer.compares(parts), &[]);
        let sent = bench.sent().into_iter().map(|sent| sent.reconcile);
        sent.filter(|parts| !parts.is_empty()).collect::<Vec<_>>()
    };
    assert_eq!(says(&many(id + 1)), Vec::<Vec<u8>>::new());
    let said = says(&many(id));
    assert_eq!(said.len(), 1);
    let got = Part::Got {
        query: id,
        reply: Reply::Answer,
    };
    let parts = read_parts(&said[0]).unwrap();
    assert!(said[0].len() <= 780 && parts.len() > 50, "{}", parts.len());
    assert!(parts.iter().all(|part| *part == got));
}

#[test]
fn answers_to_own_questions_are_told_once_and_to_others_not_at_all() {
    let peer = takes_all(1);
    let mut bench = bench(&[peer]);
    let now = bench.now;
    let sent = bench.node.send_event(now, UserEvent::query("disk", []));
    let id = sent.unwrap().query.unwrap().id;
    bench.events();
    let parts = bytes_of(&[
        reply(id, Reply::Answer, b"90 %"),
        reply(id, Reply::Answer, b"91 %"),
        reply(id + 1, Reply::Answer, b"?"),
    ]);
    bench.feed(&peer, peer.compares(&parts), &[]);
    let told = bench.events();
    let [Event::Answer(answer)] = &told[..] else {
        panic!("{told:?}");
    };
    assert_eq!((answer.query, answer.member), (id, peer.id));
    assert_eq!(answer.what, Answered::With(b"90 %".to_vec()));
    bench.advance_with_living(secs(5.1), &[peer]);
    let told = bench.events();
    assert!(
        matches!(told[..], [Event::QueryOver { query, .. }] if query == id),
        "{told:?}"
    );
    let now = bench.now;
    let mut ask = || bench.node.send_event(now, UserEvent::query("disk", []));
    let asked = (0..MAX_QUERIES + 1).filter(|_| ask().is_ok()).count();
    assert_eq!(asked, MAX_QUERIES);
    let error = ask().map(drop);
    assert_eq!(error, Err(CommandError::TooManyQueries(MAX_QUERIES)));
}
