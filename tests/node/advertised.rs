//! Members that say where they are reached, as their datagrams come from elsewhere (PROTOCOL.md §2, "Advertised addresses").

use std::net::{IpAddr, SocketAddr};

use crate::support::*;
use butterfly::error::Reject;
use butterfly::limits::DATAGRAM_HEADERS;
use butterfly::stats::MessageKind;
use butterfly::wire::{self, Extras, HEADROOM, Message};
use butterfly::{Event, Health};

/// The source of its datagrams.
const SOURCE: &str = "198.51.100.1:9000";
/// Where it says that it is reached; its port is the one that it tells.
const THERE: &str = "203.0.113.9:9000";

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// A message that says where its sender is reached.
fn saying(message: &Message<'_>, advertised: IpAddr) -> Vec<u8> {
    let mut buf = vec![0; HEADROOM + 1_024];
    let mut out = wire::Encoder::new(&mut buf[HEADROOM..], message)
        .unwrap()
        .finish();
    let extras = Extras {
        advertised: Some(advertised),
        ..Extras::default()
    };
    extras.write(&mut buf[HEADROOM + out..]);
    out += extras.len();
    let range = wire::seal(None, &mut buf, out);
    buf[range].to_vec()
}

trait Advertising {
    fn hears(&mut self, from: &str, message: &Message<'_>, advertised: &str) -> usize;
    fn held_at(&self, peer: &Peer) -> Option<SocketAddr>;
}

impl Advertising for Bench {
    fn hears(&mut self, from: &str, message: &Message<'_>, advertised: &str) -> usize {
        let mut datagram = saying(message, addr(advertised).ip());
        self.feed_bytes(addr(from), &mut datagram);
        datagram.len()
    }

    fn held_at(&self, peer: &Peer) -> Option<SocketAddr> {
        Some(self.node.member(peer.id)?.member.swim_addr())
    }
}

/// The questions that went to an address.
fn asked_at(place: &str, sent: &[Sent]) -> Vec<Sent> {
    let there = sent.iter().filter(|sent| sent.to == addr(place)).cloned();
    pings(&there.collect::<Vec<_>>())
}

/// One that is reached at `THERE`, and sends from `SOURCE`.
fn peer() -> Peer {
    Peer::ours(1).at(SOURCE)
}

/// It answers what it was asked at one of its addresses.
fn answers(bench: &mut Bench, peer: &Peer, place: &str, sent: &[Sent]) {
    let question = asked_at(place, sent).pop().expect("a question");
    bench.hears(SOURCE, &peer.answers(&question), THERE);
}

/// A node that holds it where it is reached, and knows where its datagrams come from.
fn acquainted() -> (Bench, Peer) {
    let (mut bench, peer) = (Bench::new(), peer());
    bench.hears(SOURCE, &peer.ping(7), THERE);
    let sent = bench.sent();
    answers(&mut bench, &peer, THERE, &sent);
    bench.hears(SOURCE, &peer.ping(8), THERE);
    let sent = bench.sent();
    answers(&mut bench, &peer, SOURCE, &sent);
    bench.sent();
    bench.events();
    assert_eq!(bench.held_at(&peer), Some(addr(THERE)));
    (bench, peer)
}

#[test]
fn a_stranger_is_asked_where_it_says_that_it_is_reached_and_held_there() {
    let (mut bench, peer) = (Bench::new(), peer());
    bench.hears(SOURCE, &peer.ping(7), THERE);
    let sent = bench.sent();
    assert_eq!(bench.held_at(&peer), None, "it has not answered yet");
    assert_eq!(acks(&sent)[0].to, addr(SOURCE), "Acks go to the source");
    assert!(asked_at(SOURCE, &sent).is_empty(), "one at a time");
    answers(&mut bench, &peer, THERE, &sent);
    assert_eq!(bench.held_at(&peer), Some(addr(THERE)));
    // Rumors go there, too.
    let gossip = bench.node.member(peer.id).unwrap().member;
    assert_eq!((gossip.ip, gossip.gossip_port), (addr(THERE).ip(), 9001));
    let probe = bench.until_pinged(
        &Peer {
            addr: addr(THERE),
            ..peer
        },
        &[],
    );
    assert_eq!(probe.to, addr(THERE));
}

#[test]
fn one_that_is_held_at_its_source_moves_once_it_answered_there() {
    let (mut bench, peer) = (Bench::new(), peer());
    bench.meet(&[peer]);
    bench.prove(&peer, &[]);
    bench.hears(SOURCE, &peer.ping(7), THERE);
    assert_eq!(bench.held_at(&peer), Some(addr(SOURCE)));
    let sent = bench.sent();
    answers(&mut bench, &peer, THERE, &sent);
    assert_eq!(bench.held_at(&peer), Some(addr(THERE)));
    let moved = |event: &Event| {
        matches!(event, Event::MemberMoved { id, from, to, .. }
            if (*id, *from, *to) == (peer.id, addr(SOURCE), addr(THERE)))
    };
    assert_eq!(
        bench.events().iter().filter(|event| moved(event)).count(),
        1
    );
}

/// The answer to its probe says where it is reached, too.
#[test]
fn an_answer_to_a_probe_has_it_asked_there() {
    let (mut bench, peer) = (Bench::new(), peer());
    bench.meet(&[peer]);
    let ping = bench.until_pinged(&peer, &[]);
    bench.sent();
    bench.hears(SOURCE, &peer.ack(ping.probe), THERE);
    assert_eq!(asked_at(THERE, &bench.sent()).len(), 1);
}

#[test]
fn once_it_answered_at_its_source_too_its_datagrams_are_those_of_a_proved_member() {
    let (mut bench, peer) = acquainted();
    let before = bench.node.stats().rejected_total();
    for number in 0..200 {
        bench.hears(SOURCE, &peer.ping(number), THERE);
        let sent = bench.sent();
        assert_eq!(sent.len(), 1, "{sent:?}");
        assert_eq!((sent[0].kind, sent[0].to), (MessageKind::Ack, addr(SOURCE)));
        let knows = number == 0 || sent[0].records.is_empty();
        assert!(knows, "it was told what is held of it");
    }
    assert_eq!(
        bench.node.stats().rejected_total(),
        before,
        "without a limit"
    );
    assert_eq!(bench.held_at(&peer), Some(addr(THERE)));
    assert!(bench.events().is_empty());
    // And its word counts as one of two.
    let (other, third) = (Peer::ours(2), Peer::ours(3));
    bench.meet(&[other]);
    let mut record = vec![0; HEADROOM + 1_024];
    let mut out = wire::Encoder::new(&mut record[HEADROOM..], &peer.ack(0)).unwrap();
    assert!(out.push(&third.said(Health::Alive, 5), 1_024));
    let len = out.finish();
    let extras = Extras {
        advertised: Some(addr(THERE).ip()),
        ..Extras::default()
    };
    extras.write(&mut record[HEADROOM + len..]);
    let range = wire::seal(None, &mut record, len + extras.len());
    bench.feed_bytes(addr(SOURCE), &mut record[range]);
    assert_eq!(bench.health(&third), None);
    bench.feed(&other, other.ack(0), &[third.said(Health::Alive, 5)]);
    assert_eq!(bench.health(&third), Some(Health::Alive));
}

/// A source is worth what it is to other members: whoever forges another one gets as little as a stranger.
#[test]
fn from_another_source_it_gets_what_a_stranger_does() {
    let (mut bench, peer) = acquainted();
    let forged = "198.51.100.77:9000";
    let bytes = bench.hears(forged, &peer.ping(1), THERE);
    let sent = bench.sent();
    let back: usize = sent.iter().map(|sent| sent.bytes + DATAGRAM_HEADERS).sum();
    assert!(sent.iter().all(|sent| sent.to == addr(forged)), "{sent:?}");
    assert!(back <= 3 * (bytes + DATAGRAM_HEADERS), "{back} for {bytes}");
    assert_eq!(bench.held_at(&peer), Some(addr(THERE)));
}

#[test]
fn where_nobody_answers_it_neither_is_held_nor_asked_more_than_once_in_a_turn() {
    let (mut bench, peer) = (Bench::new(), peer());
    let mut there = 0;
    for number in 0..20 {
        bench.hears(SOURCE, &peer.ping(number), THERE);
        let sent = bench.sent();
        there += asked_at(THERE, &sent).len();
        if let Some(question) = asked_at(SOURCE, &sent).pop() {
            bench.hears(SOURCE, &peer.answers(&question), THERE);
        }
        bench.sent();
        bench.advance_with_living(secs(0.1), &[peer]);
    }
    assert_eq!(there, 1, "within two of its periods");
    assert_eq!(
        bench.held_at(&peer),
        Some(addr(SOURCE)),
        "in by its second message"
    );
    // Nor later: it goes on being held where it answers.
    for _ in 0..40 {
        bench.advance_with_living(secs(1.0), &[peer]);
        bench.hears(SOURCE, &peer.ping(1), THERE);
        bench.sent();
        assert_eq!(bench.health(&peer), Some(Health::Alive));
    }
    assert_eq!(bench.held_at(&peer), Some(addr(SOURCE)));
}

/// Each names another victim: all of it comes out of three times the bytes.
#[test]
fn a_forged_message_provokes_three_times_its_bytes_wherever_they_go() {
    let mut bench = Bench::new();
    for number in 0..60 {
        let victim = format!("203.0.113.{number}:9000");
        let stranger = Peer::ours(500 + number);
        let bytes = bench.hears(SOURCE, &stranger.ping(1), &victim);
        let sent = bench.sent();
        let all: usize = sent.iter().map(|sent| sent.bytes + DATAGRAM_HEADERS).sum();
        assert!(all <= 3 * (bytes + DATAGRAM_HEADERS), "{all} for {bytes}");
        assert!(asked_at(&victim, &sent).len() <= 1);
        assert_eq!(bench.node.counts().alive, 1);
    }
}

/// One that is known names one address after the other.
#[test]
fn no_more_than_so_many_addresses_are_asked_on_the_word_of_one() {
    let (mut bench, peer) = (Bench::new(), peer());
    bench.meet(&[peer]);
    bench.prove(&peer, &[]);
    let mut asked = 0;
    for number in 0..250 {
        let victim = format!("203.0.113.{number}:9000");
        bench.hears(SOURCE, &peer.ping(1), &victim);
        asked += asked_at(&victim, &bench.sent()).len();
    }
    assert_eq!(asked, butterfly::limits::MAX_UNVOUCHED);
    assert_eq!(bench.held_at(&peer), Some(addr(SOURCE)));
}

/// An Ack that was made up by one that does not get what is sent there.
#[test]
fn a_made_up_number_moves_nobody() {
    let (mut bench, peer) = (Bench::new(), peer());
    bench.meet(&[peer]);
    bench.prove(&peer, &[]);
    bench.hears(SOURCE, &peer.ping(7), THERE);
    let question = asked_at(THERE, &bench.sent()).pop().unwrap();
    for wrong in [question.probe ^ 1, 1, u64::MAX] {
        bench.hears(SOURCE, &peer.ack(wrong), THERE);
        assert_eq!(bench.held_at(&peer), Some(addr(SOURCE)));
    }
    // A number is good for the address that was told it alone.
    bench.hears(SOURCE, &peer.ack(question.probe), "203.0.113.10:9000");
    assert_eq!(bench.held_at(&peer), Some(addr(SOURCE)));
    bench.hears(SOURCE, &peer.ack(question.probe), THERE);
    assert_eq!(bench.held_at(&peer), Some(addr(THERE)));
}

#[test]
fn nonsense_is_refused_and_counted_and_the_member_held_at_its_source() {
    for nonsense in [
        "224.0.0.1",
        "255.255.255.255",
        "0.0.0.0",
        "127.0.0.1",
        "fe80::1",
        "ff02::1",
        "::",
        "::1",
    ] {
        let (mut bench, peer) = (Bench::new(), peer());
        let place = SocketAddr::new(nonsense.parse().unwrap(), 9000).to_string();
        bench.hears(SOURCE, &peer.ping(7), &place);
        let sent = bench.sent();
        assert!(
            sent.iter().all(|sent| sent.to == addr(SOURCE)),
            "{nonsense}"
        );
        let question = asked_at(SOURCE, &sent).pop().expect("a question");
        bench.hears(SOURCE, &peer.answers(&question), &place);
        assert_eq!(bench.held_at(&peer), Some(addr(SOURCE)), "{nonsense}");
        assert_eq!(
            bench.node.stats().rejected(Reject::BadAddress),
            2,
            "{nonsense}"
        );
    }
}

/// The address translation is gone: it is suspected once, and held where it answers.
#[test]
fn one_that_is_reached_there_no_more_is_held_at_its_source() {
    let (mut bench, peer) = acquainted();
    bench.advance_with_living(secs(12.0), &[peer]);
    // It answers at its source only, whatever it is asked there.
    let answers = |bench: &mut Bench, sent: &Sent| {
        if sent.kind == MessageKind::Ping && sent.to == addr(SOURCE) {
            bench.hears(SOURCE, &peer.ack(sent.probe), THERE);
        }
    };
    bench.advance_with(secs(10.0), answers);
    assert_eq!(bench.held_at(&peer), Some(addr(SOURCE)));
    bench.events();
    bench.advance_with(secs(60.0), answers);
    assert_eq!(bench.health(&peer), Some(Health::Alive));
    assert_eq!(bench.held_at(&peer), Some(addr(SOURCE)));
    assert!(bench.events().is_empty(), "and stays there");
}

/// It starts again without that address.
#[test]
fn one_that_says_so_no_more_moves_to_its_source() {
    let (mut bench, peer) = acquainted();
    let again = peer.incarnated(6);
    bench.feed(&again, again.ping(1), &[]);
    let sent = bench.sent();
    let question = asked_at(SOURCE, &sent).pop().expect("a question");
    bench.feed(&again, again.answers(&question), &[]);
    assert_eq!(bench.held_at(&peer), Some(addr(SOURCE)));
    assert_eq!(bench.held(&peer), Some((Health::Alive, 6)));
}

/// Whoever it asks for help passes the answer on to where it is reached.
#[test]
fn an_ack_goes_on_to_where_the_asker_is_reached() {
    let (mut bench, peer) = acquainted();
    let target = Peer::ours(2);
    bench.meet(&[target]);
    bench.hears(SOURCE, &peer.ping_req(&target, 77), THERE);
    let sent = bench.sent();
    let ping = pings(&to(&target, &sent)).pop().unwrap();
    let asker = ping.other.as_ref().unwrap();
    assert_eq!(asker.ip, Some(addr(THERE).ip()));
}

/// What this member is told to advertise stands in every message of its own.
#[test]
fn each_message_says_where_its_sender_is_reached() {
    let there: IpAddr = "203.0.113.9".parse().unwrap();
    let mut told = config(plain());
    (told.ip, told.advertise) = (None, Some(there));
    let mut bench = Bench::with(told);
    let (one, other) = (Peer::ours(1), Peer::ours(2));
    bench.meet(&[one, other]);
    bench
        .node
        .join(bench.now, "10.9.9.9:9638".parse().unwrap())
        .unwrap();
    bench.feed(&one, one.ping_req(&other, 3), &[]);
    bench.feed(&one, one.ack(0), &[other.said(Health::Confirmed, 5)]);
    bench.advance_with_living(secs(5.0), &[one]);
    let mine = |bytes: &Vec<u8>| {
        let mut bytes = bytes.clone();
        let payload = wire::open(&[], &mut bytes).unwrap();
        let swim = wire::decode(payload).unwrap();
        (swim.message.from().id == id(ME)).then_some(swim.extras.advertised)
    };
    let said: Vec<_> = bench
        .raw
        .iter()
        .filter_map(|(_, bytes)| mine(bytes))
        .collect();
    assert!(said.len() > 10, "{said:?}");
    assert!(said.iter().all(|said| *said == Some(there)), "{said:?}");
    // Originals are told nothing that they do not know, where each byte counts.
    let original = Peer::original(3);
    bench.raw.clear();
    bench.greet(&original);
    let brief = bench.raw.iter().filter(|(to, _)| *to == original.addr);
    let brief: Vec<_> = brief.filter_map(|(_, bytes)| mine(bytes)).collect();
    assert_eq!(brief.first(), Some(&None));
}
