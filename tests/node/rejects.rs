//! What is dropped, is counted, told now and then, and changes nothing.

use crate::support::*;
use butterfly::limits::{MAX_DATAGRAM_RECEIVED, REJECT_LOG_INTERVAL};
use butterfly::wire::{HEADROOM, RingKey, seal};
use butterfly::{CommandError, Event, Health, Reject};

fn key(byte: u8) -> RingKey {
    RingKey::new("ring", "20260101000000", [byte; 32]).unwrap()
}

/// A node that knows two members, one of them blocked.
fn bench(keys: Vec<RingKey>) -> (Bench, Peer, Peer) {
    let mut config = config(plain());
    config.ring_keys = keys;
    let mut bench = Bench::with(config);
    let (peer, blocked) = (Peer::ours(1), Peer::ours(2));
    bench.meet(&[peer, blocked]);
    bench.node.block(blocked.id).unwrap();
    (bench, peer, blocked)
}

fn envelope(payload: &[u8]) -> Vec<u8> {
    let mut buf = [&[0; HEADROOM][..], payload].concat();
    let range = seal(None, &mut buf, payload.len());
    buf[range].to_vec()
}

/// The payload of a plain datagram, changed.
fn changed(bench: &Bench, peer: &Peer, from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut datagram = bench.datagram(&peer.ping(1), &[]);
    let at = datagram.windows(from.len()).position(|part| part == from);
    let at = at.expect("it is in there");
    datagram.splice(at..at + from.len(), to.iter().copied());
    assert_eq!(from.len(), to.len());
    datagram
}

fn cases(bench: &Bench, peer: &Peer, blocked: &Peer) -> Vec<(Reject, Vec<u8>)> {
    let ping = bench.datagram(&peer.ping(1), &[]);
    let hex = peer.id.to_hex();
    let mut bad_utf8 = hex;
    bad_utf8[5] = 0xff;
    let mut bad_id = hex;
    bad_id[5] = b'X';
    // swim_port 9000 is a8 46 in two bytes; the next larger one that is no port has three.
    let bad_port = {
        let mut payload = vec![0x08, 1, 0x12, 2 + 43, 0x0a, 43, 0x0a, 32];
        payload.extend(hex);
        payload.extend([0x20, 0x80, 0x80, 0x80, 0x01, 0x28, 1, 0x30, 0]);
        envelope(&payload)
    };
    let bad_incarnation = {
        let mut payload = vec![0x08, 1, 0x12, 2 + 49, 0x0a, 49, 0x0a, 32];
        payload.extend(hex);
        payload.extend([
            0x10, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01, 0x20, 1, 0x28, 1,
        ]);
        envelope(&payload)
    };
    let sealed = {
        let payload = &ping[2..];
        let mut buf = [&[0; HEADROOM][..], payload].concat();
        let range = seal(Some((&key(1), [4; 24])), &mut buf, payload.len());
        buf[range].to_vec()
    };
    vec![
        (Reject::Oversized, vec![0; MAX_DATAGRAM_RECEIVED + 1]),
        (Reject::Truncated, ping[..ping.len() - 1].to_vec()),
        (Reject::Malformed, vec![0x0b, 0, 0]),
        (Reject::BadUtf8, changed(bench, peer, &hex, &bad_utf8)),
        (Reject::UnknownType, envelope(&[0x08, 9, 0x12, 0])),
        (Reject::MissingField, envelope(&[0x08, 1])),
        (Reject::BadPort, bad_port),
        (Reject::BadId, changed(bench, peer, &hex, &bad_id)),
        (Reject::BadIncarnation, bad_incarnation),
        (Reject::NoKey, sealed),
        (Reject::OwnId, bench.datagram(&bench.me().ping(1), &[])),
        (Reject::Blocked, bench.datagram(&blocked.ping(1), &[])),
    ]
}

fn sealed_cases(bench: &Bench, peer: &Peer) -> Vec<(Reject, Vec<u8>)> {
    let plain = Bench::new().datagram(&peer.ping(1), &[]);
    let good = bench.datagram(&peer.ping(1), &[]);
    let mut touched = good.clone();
    *touched.last_mut().unwrap() ^= 1;
    vec![(Reject::NotSealed, plain), (Reject::WrongKey, touched)]
}

fn check(mut bench: Bench, cases: Vec<(Reject, Vec<u8>)>) {
    for (number, (reason, datagram)) in cases.into_iter().enumerate() {
        let from = format!("203.0.113.7:{}", 1_000 + number).parse().unwrap();
        let before = bench.fingerprint();
        let counted = bench.node.stats().rejected_total();
        for _ in 0..5 {
            bench.feed_bytes(from, &mut datagram.clone());
        }
        // Whoever has this member's id is asked who it is.
        let answered = reason == Reject::OwnId;
        assert_eq!(!bench.sent().is_empty(), answered, "{reason:?}");
        assert_eq!(bench.node.stats().rejected(reason), 5, "{reason:?}");
        assert_eq!(
            bench.node.stats().rejected_total(),
            counted + 5,
            "{reason:?}"
        );
        let name = format!("rejected_{}", reason.name());
        let by_name = bench.node.stats().iter().find(|(known, _)| *known == name);
        assert_eq!(by_name.map(|(_, count)| count), Some(5), "{name}");
        assert_eq!(bench.fingerprint(), before, "{reason:?}");
        let told = |bench: &mut Bench| -> Vec<_> {
            let events = bench.events().into_iter();
            let told = events.filter(|event| matches!(event, Event::Rejected { .. }));
            told.collect()
        };
        let expected = Event::Rejected {
            reason,
            from,
            unreported: 0,
        };
        assert_eq!(told(&mut bench), [expected]);
        bench.advance(REJECT_LOG_INTERVAL);
        bench.events();
        bench.feed_bytes(from, &mut datagram.clone());
        let expected = Event::Rejected {
            reason,
            from,
            unreported: 4,
        };
        assert_eq!(told(&mut bench), [expected]);
        bench.sent();
    }
}

#[test]
fn each_reason_is_counted_told_once_in_a_while_and_changes_nothing() {
    let (bench, peer, blocked) = bench(Vec::new());
    let cases = cases(&bench, &peer, &blocked);
    check(bench, cases);
}

#[test]
fn on_a_sealed_ring_too() {
    let (bench, peer, _) = bench(vec![key(1), key(2)]);
    let cases = sealed_cases(&bench, &peer);
    check(bench, cases);
}

#[test]
fn a_paused_node_counts_what_it_does_not_hear() {
    let (mut bench, peer, _) = bench(Vec::new());
    bench.node.pause(bench.now);
    bench.feed(&peer, peer.ping(1), &[]);
    assert_eq!(bench.node.stats().rejected(Reject::Paused), 1);
}

#[test]
fn a_bad_record_is_skipped_alone_and_counted() {
    let (mut bench, peer, _) = bench(Vec::new());
    let good = Peer::ours(8);
    bench.meet(&[good]);
    let mut nowhere = Peer::ours(7).said(Health::Alive, 1);
    nowhere.member.address = None;
    let suspected = good.said(Health::Suspect, good.incarnation);
    bench.feed(&peer, peer.ack(0), &[nowhere, suspected]);
    assert_eq!(bench.health(&good), Some(Health::Suspect));
    assert_eq!(bench.health(&Peer::ours(7)), None);
    assert_eq!(bench.node.stats().rejected(Reject::BadAddress), 1);
}

#[test]
fn a_link_local_source_is_refused_as_no_answer_finds_its_way() {
    let (mut bench, _, _) = bench(Vec::new());
    let newcomer = Peer::ours(7).at("[fe80::7]:9638");
    bench.feed(&newcomer, newcomer.ping(5), &[]);
    assert!(bench.sent().is_empty());
    assert_eq!(bench.health(&newcomer), None);
    assert_eq!(bench.node.stats().rejected(Reject::LinkLocal), 1);
}

#[test]
fn an_address_that_is_no_hosts_cannot_be_joined() {
    let (mut bench, _, _) = bench(Vec::new());
    for nowhere in [
        "0.0.0.0:9638",
        "[::]:9638",
        "224.0.0.1:9638",
        "255.255.255.255:9638",
        "[ff02::1]:9638",
        "[fe80::1]:9638",
        "[::ffff:224.0.0.1]:9638",
    ] {
        let refused = bench.node.join(bench.now, nowhere.parse().unwrap());
        let Err(CommandError::BadAddress { addr, .. }) = refused else {
            panic!("{nowhere}: {refused:?}");
        };
        assert_eq!(addr.to_string(), nowhere);
    }
    let joined = bench.node.join(bench.now, "10.0.0.1:9638".parse().unwrap());
    assert!(joined.is_ok());
}

#[test]
fn any_of_several_keys_opens_and_the_first_seals() {
    let (mut bench, peer, _) = bench(vec![key(1), key(2)]);
    bench.keys = vec![key(2)];
    let mut datagram = bench.datagram(&peer.ping(1), &[]);
    bench.keys = vec![key(1)];
    // The harness opens what leaves with the first key alone.
    bench.feed_bytes(peer.addr, &mut datagram);
    assert_eq!(acks(&bench.sent()).len(), 1);
    bench.node.set_ring_keys(vec![key(2)]);
    bench.keys = vec![key(2)];
    bench.feed(&peer, peer.ping(1), &[]);
    assert_eq!(acks(&bench.sent()).len(), 1);
}
