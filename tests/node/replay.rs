//! One node on a sealed ring, and datagrams that come again (PROTOCOL.md §2, "Replay").

use std::net::SocketAddr;

use crate::support::*;
use butterfly::error::Reject;
use butterfly::stats::MessageKind;
use butterfly::wire::{
    self, Encoder, HEADROOM, MembershipRecord, Message, RingKey, STAMP_BYTES, Serial, Stamp,
};
use butterfly::{Event, Health, MemberId};

fn key() -> RingKey {
    RingKey::new("ring", "20260101000000", [1; 32]).unwrap()
}

fn sealed() -> Bench {
    let mut config = config(plain());
    config.ring_keys = vec![key()];
    config.epoch = 500;
    Bench::with(config)
}

/// A message sealed and stamped for this one.
fn stamped(
    message: &Message<'_>,
    records: &[MembershipRecord<'_>],
    receiver: Option<MemberId>,
    serial: Serial,
) -> Vec<u8> {
    let mut buf = vec![0; HEADROOM + 1_024];
    let payload = &mut buf[HEADROOM..];
    let mut out = Encoder::new(payload, message).unwrap();
    assert!(records.iter().all(|record| out.push(record, 1_000)));
    let len = out.finish();
    let len = Stamp::of(receiver).append(payload, len);
    let nonce = serial.nonce([9; 12]);
    let range = wire::seal(Some((&key(), nonce)), &mut buf, len);
    buf[range].to_vec()
}

/// A peer of ours, with serial numbers.
#[derive(Clone, Copy)]
struct Speaker {
    peer: Peer,
    serial: Serial,
}

impl Speaker {
    fn new(number: u32) -> Self {
        Speaker::of(Peer::ours(number), 100)
    }

    fn of(peer: Peer, epoch: u64) -> Self {
        let serial = Serial { epoch, number: 0 };
        Speaker { peer, serial }
    }

    /// Its next datagram for the node.
    fn datagram(&mut self, message: &Message<'_>, records: &[MembershipRecord<'_>]) -> Vec<u8> {
        self.serial.number += 1;
        stamped(message, records, Some(id(ME)), self.serial)
    }

    fn says(&mut self, bench: &mut Bench, message: Message<'_>, records: &[MembershipRecord<'_>]) {
        let mut datagram = self.datagram(&message, records);
        bench.feed_bytes(self.peer.addr, &mut datagram);
    }

    /// Answers the question that it was just asked at its address.
    fn answers(&mut self, bench: &mut Bench) {
        let asked = pings(&to(&self.peer, &bench.sent()))
            .pop()
            .expect("a question");
        self.says(bench, self.peer.answers(&asked), &[]);
    }

    fn meets(&mut self, bench: &mut Bench) {
        bench.sent();
        self.says(bench, self.peer.ping(0), &[]);
        self.answers(bench);
        assert_eq!(bench.health(&self.peer), Some(Health::Alive));
        bench.sent();
        bench.events();
    }
}

fn replayed(bench: &Bench) -> u64 {
    bench.node.stats().rejected(Reject::Replayed)
}

/// What was sent since the last look: where to, and its stamp and serial number.
fn stamps(bench: &mut Bench) -> Vec<(SocketAddr, Option<Stamp>, Serial)> {
    let raw = std::mem::take(&mut bench.raw).into_iter();
    raw.map(|(to, mut bytes)| {
        let (payload, nonce) = wire::open_sealed(&[key()], &mut bytes).unwrap();
        let swim = wire::decode(payload).unwrap();
        (to, swim.stamp, Serial::of(&nonce))
    })
    .collect()
}

#[test]
fn what_leaves_is_stamped_for_who_is_meant_and_numbered() {
    let mut bench = sealed();
    let mut one = Speaker::new(1);
    one.meets(&mut bench);
    bench.advance(secs(5.0));
    let seed = "10.9.9.9:1".parse().unwrap();
    let now = bench.now;
    bench.node.join(now, seed).unwrap();
    bench.advance(secs(2.0));
    let stamps = stamps(&mut bench);
    assert!(stamps.len() > 8);
    for (place, (to, stamp, serial)) in stamps.iter().enumerate() {
        let meant = (*to != seed).then_some(one.peer.id);
        assert_eq!(*stamp, Some(Stamp::of(meant)), "to {to}");
        let number = place as u64 + 1;
        assert_eq!(*serial, Serial { epoch: 500, number });
    }
    // With the twelve bytes of the nonce.
    const { assert!(STAMP_BYTES + 12 <= 32) };
}

#[test]
fn on_a_plain_ring_nothing_is_stamped() {
    let mut bench = Bench::new();
    bench.meet(&[Peer::ours(1)]);
    bench.advance(secs(5.0));
    for (_, mut bytes) in std::mem::take(&mut bench.raw) {
        let payload = wire::open(&[], &mut bytes).unwrap();
        assert_eq!(wire::decode(payload).unwrap().stamp, None);
    }
}

#[test]
fn a_ping_that_comes_again_is_counted_and_neither_answered_nor_heeded() {
    let mut bench = sealed();
    let (mut one, mut two) = (Speaker::new(1), Speaker::new(2));
    one.meets(&mut bench);
    two.meets(&mut bench);
    let suspect = two.peer.said(Health::Suspect, two.peer.incarnation);
    let recorded = one.datagram(&one.peer.ping(7), &[suspect]);
    bench.feed_bytes(one.peer.addr, &mut recorded.clone());
    assert_eq!(bench.health(&two.peer), Some(Health::Suspect));
    two.says(&mut bench, two.peer.ping(8), &[]);
    assert_eq!(bench.health(&two.peer), Some(Health::Alive));
    bench.sent();
    for (times, from) in [one.peer.addr, two.peer.addr, "10.9.9.9:1".parse().unwrap()]
        .into_iter()
        .enumerate()
    {
        bench.feed_bytes(from, &mut recorded.clone());
        assert_eq!(bench.sent(), [], "{from}");
        assert_eq!(bench.health(&two.peer), Some(Health::Alive));
        assert_eq!(replayed(&bench), times as u64 + 1);
    }
    let told = bench.events().into_iter();
    let told = told.filter(|event| matches!(event, Event::Rejected { .. }));
    assert_eq!(told.count(), 1, "once in ten seconds");
}

#[test]
fn ping_reqs_probe_pings_and_acks_count_once_too() {
    let mut bench = sealed();
    let (mut one, mut two) = (Speaker::new(1), Speaker::new(2));
    one.meets(&mut bench);
    two.meets(&mut bench);
    let suspect = two.peer.said(Health::Suspect, two.peer.incarnation);
    let recorded = [
        one.datagram(&one.peer.ping_req(&two.peer, 7), &[]),
        one.datagram(&one.peer.probe_ping(), &[]),
        one.datagram(&one.peer.ack(0), &[suspect]),
    ];
    for datagram in &recorded {
        bench.feed_bytes(one.peer.addr, &mut datagram.clone());
    }
    assert_eq!(bench.health(&two.peer), Some(Health::Suspect));
    assert_eq!(bench.node.me().member.incarnation.get(), 4);
    two.says(&mut bench, two.peer.ping(8), &[]);
    bench.now += secs(1.5);
    bench.sent();
    for datagram in &recorded {
        bench.feed_bytes(one.peer.addr, &mut datagram.clone());
    }
    assert_eq!(to(&two.peer, &bench.sent()), []);
    assert_eq!(bench.health(&two.peer), Some(Health::Alive));
    assert_eq!(bench.node.me().member.incarnation.get(), 4);
    assert_eq!(replayed(&bench), 3);
}

#[test]
fn what_is_for_another_is_counted_and_not_answered() {
    let mut bench = sealed();
    let mut one = Speaker::new(1);
    one.meets(&mut bench);
    one.serial.number += 1;
    let other = MemberId::from_bytes([7; 16]);
    let mut datagram = stamped(&one.peer.ping(7), &[], Some(other), one.serial);
    bench.feed_bytes(one.peer.addr, &mut datagram);
    assert_eq!(bench.sent(), []);
    assert_eq!(bench.node.stats().rejected(Reject::OtherReceiver), 1);
}

/// As seeds are pinged: another member may have got the same.
#[test]
fn what_is_for_anyone_is_answered_and_has_no_other_effect() {
    let mut bench = sealed();
    let (mut one, mut two) = (Speaker::new(1), Speaker::new(2));
    one.meets(&mut bench);
    two.meets(&mut bench);
    let suspect = two.peer.said(Health::Suspect, two.peer.incarnation);
    one.serial.number += 1;
    let mut datagram = stamped(&one.peer.ping(7), &[suspect], None, one.serial);
    bench.feed_bytes(one.peer.addr, &mut datagram);
    let sent = bench.sent();
    assert_eq!((acks(&sent).len(), pings(&sent).len()), (1, 1), "{sent:?}");
    assert_eq!(bench.health(&two.peer), Some(Health::Alive));
}

#[test]
fn a_member_that_started_again_is_answered_and_heeded_once_it_answered() {
    let mut bench = sealed();
    let (mut one, mut two) = (Speaker::new(1), Speaker::new(2));
    one.meets(&mut bench);
    two.meets(&mut bench);
    let suspect = two.peer.said(Health::Suspect, two.peer.incarnation);
    let mut before = one;
    let mut again = Speaker::of(one.peer.incarnated(6), 101);
    again.says(&mut bench, again.peer.ping(7), &[suspect]);
    let held = bench.node.member(one.peer.id).unwrap().member.incarnation;
    assert_eq!(held.get(), 5, "it has yet to answer");
    assert_eq!(bench.health(&two.peer), Some(Health::Alive));
    let sent = bench.sent();
    assert_eq!(acks(&sent).len(), 1);
    let asked = pings(&sent).pop().unwrap();
    // Its former life does not answer in its place, though the number is right.
    before.says(&mut bench, before.peer.answers(&asked), &[]);
    again.says(&mut bench, again.peer.answers(&asked), &[]);
    let held = bench.node.member(one.peer.id).unwrap().member.incarnation;
    assert_eq!(held.get(), 6);
    bench.sent();
    again.says(&mut bench, again.peer.ping(8), &[suspect]);
    assert_eq!(bench.health(&two.peer), Some(Health::Suspect));
    // And now what comes of its former life has no effect, answer or not.
    two.says(&mut bench, two.peer.ping(8), &[]);
    bench.sent();
    before.peer = again.peer;
    before.says(&mut bench, before.peer.ping(9), &[suspect]);
    let asked = pings(&bench.sent()).pop().unwrap();
    before.says(&mut bench, before.peer.answers(&asked), &[suspect]);
    assert_eq!(bench.health(&two.peer), Some(Health::Alive));
}

/// Its clock was set back and its disk lost, or it is one of the original's now: a question that was asked later than
/// its other life was heard first proves that it is there.
#[test]
fn an_earlier_life_and_one_without_stamps_come_back_by_a_later_question() {
    for original in [false, true] {
        let mut bench = sealed();
        let mut one = Speaker::new(1);
        one.meets(&mut bench);
        let peer = Peer {
            features: if original { 0 } else { one.peer.features },
            ..one.peer.incarnated(6)
        };
        let mut back = Speaker::of(peer, 50);
        let mut tries = 0;
        loop {
            let mut ping = match original {
                true => bench.datagram(&peer.ping(0), &[]),
                false => back.datagram(&peer.ping(0), &[]),
            };
            bench.sent();
            bench.feed_bytes(peer.addr, &mut ping);
            let asked = pings(&to(&peer, &bench.sent())).pop().expect("a question");
            let mut ack = match original {
                true => bench.datagram(&peer.answers(&asked), &[]),
                false => back.datagram(&peer.answers(&asked), &[]),
            };
            bench.feed_bytes(peer.addr, &mut ack);
            let held = bench.node.member(peer.id).unwrap();
            if held.member.incarnation.get() == 6 {
                break assert_eq!(held.health, Health::Alive);
            }
            let asked = pings(&to(&peer, &bench.sent()));
            assert_eq!(asked, [], "an answer is not asked again");
            assert!(tries < 20, "original: {original}");
            tries += 1;
            bench.advance(secs(1.0));
        }
        assert!(tries > 10, "original: {original}: after {tries}");
    }
}

/// With one that may suspect the first of them.
fn probed_with_relay() -> (Bench, Speaker, Speaker, Sent) {
    let mut bench = sealed();
    let (mut one, mut relay) = (Speaker::new(1), Speaker::new(2));
    one.meets(&mut bench);
    relay.meets(&mut bench);
    let suspect = one.peer.said(Health::Suspect, one.peer.incarnation);
    loop {
        let sent = bench.advance(secs(0.1));
        let probe = pings(&to(&one.peer, &sent)).pop();
        if let Some(ping) = pings(&to(&relay.peer, &sent)).pop() {
            relay.says(&mut bench, relay.peer.ack(ping.probe), &[]);
        }
        if let Some(probe) = probe {
            relay.says(&mut bench, relay.peer.ping(0), &[suspect]);
            assert_eq!(bench.health(&one.peer), Some(Health::Suspect));
            return (bench, one, relay, probe);
        }
    }
}

fn relayed(bench: &Bench, one: &Peer, number: u64, records: &[MembershipRecord<'_>]) -> Vec<u8> {
    let me = bench.me().contact();
    let Message::Ack {
        mut from,
        forward_to,
        probe,
        table,
        rumors,
        reconcile,
        starting,
    } = one.ack_to(Some(me), number)
    else {
        unreachable!()
    };
    from.address = Some(one.addr.ip());
    let ack = Message::Ack {
        from,
        forward_to,
        probe,
        table,
        rumors,
        reconcile,
        starting,
    };
    bench.datagram(&ack, records)
}

#[test]
fn an_ack_that_was_relayed_without_its_number_ends_the_probe_and_does_nothing_else() {
    let (mut bench, one, relay, _) = probed_with_relay();
    let gone = relay.peer.said(Health::Suspect, relay.peer.incarnation);
    let mut ack = relayed(&bench, &one.peer, 0, &[gone]);
    bench.feed_bytes(relay.peer.addr, &mut ack);
    assert_eq!(bench.health(&one.peer), Some(Health::Suspect));
    assert_eq!(bench.health(&relay.peer), Some(Health::Alive));
    bench.advance(secs(1.2));
    let accusers = bench.node.member(one.peer.id).unwrap();
    let accusers = accusers.suspicion.unwrap().accusers.to_vec();
    assert!(!accusers.contains(&id(ME)), "the probe ended: {accusers:?}");
}

#[test]
fn a_relayed_ack_with_the_number_of_the_probe_is_a_sign_of_life_once() {
    let (mut bench, one, mut relay, probe) = probed_with_relay();
    let ack = relayed(&bench, &one.peer, probe.probe, &[]);
    let mut other = relayed(&bench, &one.peer, probe.probe ^ 1, &[]);
    bench.feed_bytes(relay.peer.addr, &mut other);
    assert_eq!(bench.health(&one.peer), Some(Health::Suspect), "late");
    bench.feed_bytes(relay.peer.addr, &mut ack.clone());
    assert_eq!(bench.health(&one.peer), Some(Health::Alive));
    let suspect = one.peer.said(Health::Suspect, one.peer.incarnation);
    relay.says(&mut bench, relay.peer.ping(0), &[suspect]);
    assert_eq!(bench.health(&one.peer), Some(Health::Suspect));
    bench.feed_bytes(relay.peer.addr, &mut ack.clone());
    assert_eq!(bench.health(&one.peer), Some(Health::Suspect), "again");
}

#[test]
fn an_original_is_heard_on_a_sealed_ring_and_an_ack_is_passed_on_to_it() {
    let mut bench = sealed();
    let (original, mut one) = (Peer::original(1), Speaker::new(2));
    bench.meet(&[original]);
    one.meets(&mut bench);
    bench.feed(&original, original.ping_req(&one.peer, 0), &[]);
    let asked = pings(&to(&one.peer, &bench.sent())).pop().unwrap();
    let to_original = asked.other.unwrap().as_contact();
    one.says(&mut bench, one.peer.ack_to(Some(to_original), 0), &[]);
    let passed_on = of(MessageKind::ForwardedAck, &to(&original, &bench.sent()));
    assert_eq!(passed_on.len(), 1);
}
