//! Why a datagram, or a record in it, is dropped: each reason with bytes made by hand (PROTOCOL.md §2).

use butterfly::error::Reject;
use butterfly::member::Health;
use butterfly::wire::{HEADROOM, Message, RingKey, decode, feature, open, seal};

const ID: &[u8] = b"0123456789abcdef0123456789abcdef";

/// A number's field.
fn num(number: u8, value: u64) -> Vec<u8> {
    let mut out = vec![number << 3];
    let mut value = value;
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

/// A field of bytes, text or a message, of at most 16 383 bytes.
fn bytes(number: u8, value: &[u8]) -> Vec<u8> {
    let len = value.len();
    let head = if len < 0x80 {
        vec![len as u8]
    } else {
        vec![len as u8 | 0x80, (len >> 7) as u8]
    };
    [&[number << 3 | 2][..], &head, value].concat()
}

/// A member with these id and address, and extra fields, which win over the others.
fn member(id: &[u8], address: &[u8], extra: &[u8]) -> Vec<u8> {
    [
        &bytes(1, id)[..],
        &num(2, 5),
        &bytes(3, address),
        &num(4, 9638),
        &num(5, 9639),
        extra,
    ]
    .concat()
}

fn good() -> Vec<u8> {
    member(ID, b"10.0.0.1", &[])
}

/// A Swim of this type, whose payload stands in field `number`.
fn swim(kind: u64, number: u8, body: &[u8], rest: &[u8]) -> Vec<u8> {
    [&num(1, kind)[..], &bytes(number, body), rest].concat()
}

fn ping_from(from: &[u8]) -> Vec<u8> {
    swim(1, 2, &bytes(1, from), &[])
}

fn ping_forwarded_to(forward_to: &[u8]) -> Vec<u8> {
    swim(
        1,
        2,
        &[bytes(1, &good()), bytes(2, forward_to)].concat(),
        &[],
    )
}

fn ping_req_for(target: &[u8]) -> Vec<u8> {
    swim(3, 4, &[bytes(1, &good()), bytes(2, target)].concat(), &[])
}

fn ping_with(membership: &[u8]) -> Vec<u8> {
    swim(1, 2, &bytes(1, &good()), &bytes(5, membership))
}

fn ping_with_member(member: &[u8]) -> Vec<u8> {
    ping_with(&[bytes(1, member), num(2, 2)].concat())
}

/// A negative int32 is written as a 64-bit number.
const MINUS_ONE: u64 = u64::MAX;

#[test]
fn a_message_that_fails_the_table_is_dropped_whole() {
    use Reject::*;
    let from = bytes(1, &good());
    let both = [from.clone(), bytes(2, &good())].concat();
    let no_id = [bytes(3, b"10.0.0.1"), num(4, 1), num(5, 1)].concat();
    let no_swim_port = [bytes(1, ID), num(5, 1)].concat();
    let no_gossip_port = [bytes(1, ID), num(4, 1)].concat();
    let cases: Vec<(&str, Vec<u8>, Reject)> = vec![
        ("nothing", vec![], MissingField),
        ("no type", bytes(2, &from), MissingField),
        ("no payload", num(1, 1), MissingField),
        ("type 0", swim(0, 2, &from, &[]), UnknownType),
        ("type 5", swim(5, 2, &from, &[]), UnknownType),
        ("type -1", swim(MINUS_ONE, 2, &from, &[]), UnknownType),
        (
            "a type that is no int32",
            swim(1 << 32 | 1, 2, &from, &[]),
            Malformed,
        ),
        ("an Ack as a Ping", swim(1, 3, &from, &[]), MissingField),
        ("a Ping as an Ack", swim(2, 2, &from, &[]), MissingField),
        ("a Ping as a PingReq", swim(3, 2, &both, &[]), MissingField),
        (
            "a Ping as a ProbePing",
            swim(4, 2, &from, &[]),
            MissingField,
        ),
        ("no from", swim(1, 2, &[], &[]), MissingField),
        ("no from in a ProbePing", swim(4, 6, &[], &[]), MissingField),
        ("no target", swim(3, 4, &from, &[]), MissingField),
        (
            "from twice",
            swim(1, 2, &[from.clone(), from.clone()].concat(), &[]),
            Malformed,
        ),
        (
            "target twice",
            swim(3, 4, &[both.clone(), bytes(2, &good())].concat(), &[]),
            Malformed,
        ),
        (
            "payload twice",
            swim(1, 2, &from, &bytes(2, &from)),
            Malformed,
        ),
        (
            "two payloads",
            swim(1, 2, &from, &bytes(3, &from)),
            Malformed,
        ),
        ("no id", ping_from(&no_id), MissingField),
        ("no swim_port", ping_from(&no_swim_port), MissingField),
        ("no gossip_port", ping_from(&no_gossip_port), MissingField),
        (
            "port 65536",
            ping_from(&member(ID, b"", &num(4, 65_536))),
            BadPort,
        ),
        (
            "port -1",
            ping_from(&member(ID, b"", &num(5, MINUS_ONE))),
            BadPort,
        ),
        (
            "a port that is no int32",
            ping_from(&member(ID, b"", &num(5, 1 << 32 | 80))),
            BadPort,
        ),
        (
            "target: port",
            ping_req_for(&member(ID, b"", &num(5, 70_000))),
            BadPort,
        ),
        ("short id", ping_from(&member(&ID[1..], b"", &[])), BadId),
        (
            "uppercase id",
            ping_from(&member(&ID.to_ascii_uppercase(), b"", &[])),
            BadId,
        ),
        (
            "forward_to: id",
            ping_forwarded_to(&member(b"", b"", &[])),
            BadId,
        ),
        ("target: id", ping_req_for(&member(b"x", b"", &[])), BadId),
        (
            "incarnation",
            ping_from(&member(ID, b"", &num(2, 1 << 62))),
            BadIncarnation,
        ),
        (
            "target: incarnation",
            ping_req_for(&member(ID, b"", &num(2, 1 << 62))),
            BadIncarnation,
        ),
        (
            "forward_to: address",
            ping_forwarded_to(&member(ID, b"host", &[])),
            BadAddress,
        ),
        (
            "target: address",
            ping_req_for(&member(ID, b"10.0.0", &[])),
            BadAddress,
        ),
        (
            "id not UTF-8",
            ping_from(&member(b"\xff", b"", &[])),
            BadUtf8,
        ),
        (
            "address not UTF-8",
            ping_from(&member(ID, b"\xc3", &[])),
            BadUtf8,
        ),
        (
            "a text not UTF-8, then a good one",
            ping_from(&member(ID, b"\xc3", &bytes(3, b""))),
            BadUtf8,
        ),
        (
            "name not UTF-8",
            ping_from(&member(ID, b"", b"\xaa\x06\x01\xff")),
            BadUtf8,
        ),
        (
            "features that are no uint32",
            ping_from(&member(ID, b"", b"\xa0\x06\xff\xff\xff\xff\x1f")),
            Malformed,
        ),
        ("membership: no member", ping_with(&num(2, 1)), MissingField),
        ("membership: empty", ping_with(&[]), MissingField),
        (
            "membership: member twice",
            ping_with(&[from.clone(), from.clone()].concat()),
            Malformed,
        ),
        ("membership: no id", ping_with_member(&no_id), MissingField),
        (
            "membership: no port",
            ping_with_member(&no_swim_port),
            MissingField,
        ),
        (
            "membership: port",
            ping_with_member(&member(ID, b"10.0.0.1", &num(4, 65_536))),
            BadPort,
        ),
        (
            "membership: UTF-8",
            ping_with_member(&member(b"\xff", b"10.0.0.1", &[])),
            BadUtf8,
        ),
        (
            "membership: health no int32",
            ping_with(&[from.clone(), num(2, 1 << 40)].concat()),
            Malformed,
        ),
        (
            "membership: the same first",
            ping_with(&[num(9, 0), num(2, 1 << 40), from.clone()].concat()),
            Malformed,
        ),
        (
            "membership: cut off",
            ping_with(&[&from[..], b"\x0a\x05\x01"].concat()),
            Truncated,
        ),
        ("a group", swim(1, 2, &from, b"\x4b\x4c"), Malformed),
        ("the end of a group", swim(1, 2, &from, b"\x4c"), Malformed),
        ("wire type 6", swim(1, 2, &from, b"\x4e"), Malformed),
        ("wire type 7", swim(1, 2, &from, b"\x4f"), Malformed),
        ("field 0", swim(1, 2, &from, b"\x00\x01"), Malformed),
        ("a tag alone", swim(1, 2, &from, b"\x48"), Truncated),
        ("half a varint", swim(1, 2, &from, b"\x48\x80"), Truncated),
        (
            "4 of 8 bytes",
            swim(1, 2, &from, b"\x49\x01\x02\x03\x04"),
            Truncated,
        ),
        (
            "3 of 4 bytes",
            swim(1, 2, &from, b"\x4d\x01\x02\x03"),
            Truncated,
        ),
        (
            "4 GiB",
            swim(1, 2, &from, b"\x4a\xff\xff\xff\xff\x0f"),
            Truncated,
        ),
        (
            "more than there is",
            swim(1, 2, &from, b"\x4a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
            Truncated,
        ),
        (
            "a number of 65 bits",
            swim(1, 2, &from, b"\x48\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"),
            Malformed,
        ),
        (
            "a number of 11 bytes",
            swim(
                1,
                2,
                &from,
                b"\x48\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01",
            ),
            Malformed,
        ),
        (
            "a number padded to 6 bytes",
            swim(1, 2, &from, b"\x48\x81\x80\x80\x80\x80\x00"),
            Malformed,
        ),
        (
            "a tag of 33 bits",
            swim(1, 2, &from, b"\xc8\x80\x80\x80\x10\x00"),
            Malformed,
        ),
    ];
    for (what, payload, reason) in cases {
        assert_eq!(
            decode(&payload).map(|swim| swim.message),
            Err(reason),
            "{what}"
        );
    }
}

#[test]
fn a_nested_message_may_not_run_past_its_end() {
    // The generated code accepts these.
    assert_eq!(
        decode(b"\x08\x01\x12\x05").map(|swim| swim.message),
        Err(Reject::Truncated)
    );
    let mut payload = ping_with_member(&good());
    for len in (1..payload.len()).rev() {
        payload.truncate(len);
        let whole = ping_from(&good()).len();
        assert_eq!(decode(&payload).is_ok(), len == whole, "{len}");
    }
}

#[test]
fn a_bad_record_is_skipped_alone() {
    let cases: Vec<(&str, Vec<u8>, Reject)> = vec![
        ("id", member(b"x", b"10.0.0.1", &[]), Reject::BadId),
        (
            "uppercase",
            member(&ID.to_ascii_uppercase(), b"10.0.0.1", &[]),
            Reject::BadId,
        ),
        (
            "incarnation",
            member(ID, b"10.0.0.1", &num(2, 1 << 62)),
            Reject::BadIncarnation,
        ),
        ("no address", member(ID, b"", &[]), Reject::BadAddress),
        ("address", member(ID, b"localhost", &[]), Reject::BadAddress),
        (
            "address with a port",
            member(ID, b"10.0.0.1:80", &[]),
            Reject::BadAddress,
        ),
    ];
    for (what, bad, reason) in cases {
        let record = |member: &[u8]| bytes(5, &bytes(1, member));
        let rest = [record(&good()), record(&bad), record(&good())].concat();
        let payload = swim(1, 2, &bytes(1, &good()), &rest);
        let records: Vec<_> = decode(&payload).unwrap().memberships.collect();
        assert_eq!(records.len(), 3, "{what}");
        assert_eq!(records[1], Err(reason), "{what}");
        assert!(records[0].is_ok() && records[0] == records[2], "{what}");
    }
}

#[test]
fn what_is_absent_or_unknown_is_filled_in() {
    let bare = [bytes(1, ID), num(4, 1), num(5, 2)].concat();
    let payload = ping_from(&bare);
    let swim = decode(&payload).unwrap();
    let from = swim.message.from();
    assert_eq!(from.incarnation.get(), 0);
    assert_eq!(from.address, None);
    assert_eq!((from.swim_port, from.gossip_port), (1, 2));
    assert!(!from.persistent && !from.departed && !from.probe_ping);
    assert_eq!((from.features & feature::EXTENSIONS, from.name), (0, ""));
    assert!(matches!(
        swim.message,
        Message::Ping {
            forward_to: None,
            probe: 0,
            ..
        }
    ));
    assert!(swim.memberships.is_empty());

    for (health, expected) in [
        (vec![], Health::Alive),
        (num(2, 0), Health::Alive),
        (num(2, 5), Health::Alive),
        (num(2, MINUS_ONE), Health::Alive),
        (num(2, 1), Health::Alive),
        (num(2, 2), Health::Suspect),
        (num(2, 3), Health::Confirmed),
        (num(2, 4), Health::Departed),
        // As bytes, it is another field.
        (bytes(2, b"\x03"), Health::Alive),
    ] {
        let payload = ping_with(&[bytes(1, &good()), health].concat());
        let record = decode(&payload)
            .unwrap()
            .memberships
            .next()
            .unwrap()
            .unwrap();
        assert_eq!(record.health, expected);
    }
}

#[test]
fn a_probe_ping_has_no_second_member() {
    let other = bytes(2, b"not read");
    let body = [bytes(1, &good()), other.clone(), other].concat();
    let payload = swim(4, 6, &body, &[]);
    assert!(matches!(
        decode(&payload).unwrap().message,
        Message::ProbePing { .. }
    ));
}

#[test]
fn an_id_is_32_lowercase_hexadecimal_digits() {
    for byte in 0..=0x7f {
        for at in 0..32 {
            let mut id = ID.to_vec();
            id[at] = byte;
            let payload = ping_from(&member(&id, b"", &[]));
            let read = decode(&payload).map(|swim| swim.message.from().id.to_string().into_bytes());
            let good = byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
            assert_eq!(
                read,
                if good { Ok(id) } else { Err(Reject::BadId) },
                "{byte} at {at}"
            );
        }
    }
}

#[test]
fn a_bad_address_of_the_sender_counts_as_none() {
    for address in [&b""[..], b"localhost", "ünix".as_bytes()] {
        let payload = ping_from(&member(ID, address, &[]));
        assert_eq!(decode(&payload).unwrap().message.from().address, None);
    }
    let payload = ping_from(&member(ID, b"::ffff:10.0.0.1", &[]));
    assert_eq!(
        decode(&payload).unwrap().message.from().address,
        "10.0.0.1".parse().ok()
    );
}

#[test]
fn the_last_of_a_scalar_counts() {
    let extra = [
        num(2, 9),
        bytes(3, b"::1"),
        num(4, 7),
        num(6, 1),
        num(6, 0),
        num(7, 300),
    ]
    .concat();
    let payload = ping_from(&member(
        b"not this",
        b"10.0.0.1",
        &[extra, bytes(1, ID)].concat(),
    ));
    let swim = decode(&payload).unwrap();
    let from = swim.message.from();
    assert_eq!(from.id.to_string().as_bytes(), ID);
    assert_eq!((from.incarnation.get(), from.swim_port), (9, 7));
    assert_eq!(from.address, "::1".parse().ok());
    assert!(!from.persistent && from.departed);
}

#[test]
fn ill_sized_accusers_are_passed_over_and_many_are_cut() {
    let accuser = |id: &[u8]| [&[0xa2, 0x06, id.len() as u8][..], id].concat();
    let mut membership = [
        accuser(b"short"),
        bytes(1, &good()),
        accuser(&[1; 16]),
        accuser(&[9; 17]),
    ]
    .concat();
    membership.extend(num(2, 2));
    for id in 2..10 {
        membership.extend(accuser(&[id; 16]));
    }
    let payload = ping_with(&membership);
    let record = decode(&payload)
        .unwrap()
        .memberships
        .next()
        .unwrap()
        .unwrap();
    assert_eq!(record.health, Health::Suspect);
    let first_bytes: Vec<u8> = record.accusers.map(|id| id.as_bytes()[0]).collect();
    assert_eq!(first_bytes, [1, 2, 3, 4]);

    let payload = ping_with(&[bytes(1, &good()), accuser(b"short")].concat());
    let record = decode(&payload)
        .unwrap()
        .memberships
        .next()
        .unwrap()
        .unwrap();
    assert!(record.accusers.is_empty());
}

// ---------------------------------------------------------------- the envelope

fn key(byte: u8) -> RingKey {
    RingKey::new("ring", "20260101000000", [byte; 32]).unwrap()
}

fn sealed_with(key: &RingKey) -> Vec<u8> {
    let mut buf = [7; HEADROOM + 5];
    let range = seal(Some((key, [1; 24])), &mut buf, 5);
    buf[range].to_vec()
}

#[test]
fn envelopes_are_refused_with_the_reason() {
    use Reject::*;
    let nonce = bytes(2, &[0; 24]);
    let payload = bytes(3, &[0; 40]);
    let sealed = sealed_with(&key(1));
    let (without, with): (&[RingKey], &[RingKey]) = (&[], &[key(1), key(2)]);
    let cases: Vec<(&str, &[RingKey], Vec<u8>, Reject)> = vec![
        ("nothing", without, vec![], MissingField),
        ("no payload", without, num(1, 0), MissingField),
        ("cut off", without, payload[..20].to_vec(), Truncated),
        (
            "a group",
            without,
            [&payload[..], b"\x23"].concat(),
            Malformed,
        ),
        (
            "nonce",
            without,
            [nonce.clone(), payload.clone()].concat(),
            NoKey,
        ),
        (
            "encrypted",
            without,
            [num(1, 1), payload.clone()].concat(),
            NoKey,
        ),
        ("sealed", without, sealed.clone(), NoKey),
        ("nothing", with, vec![], NotSealed),
        ("plain", with, payload.clone(), NotSealed),
        (
            "encrypted, no nonce",
            with,
            [num(1, 1), payload.clone()].concat(),
            NotSealed,
        ),
        (
            "short nonce",
            with,
            [bytes(2, &[0; 23]), payload.clone()].concat(),
            Malformed,
        ),
        (
            "long nonce",
            with,
            [bytes(2, &[0; 25]), payload.clone()].concat(),
            Malformed,
        ),
        (
            "empty nonce",
            with,
            [bytes(2, &[]), payload.clone()].concat(),
            Malformed,
        ),
        ("nonce alone", with, nonce.clone(), MissingField),
        (
            "not sealed by us",
            with,
            [nonce.clone(), payload].concat(),
            WrongKey,
        ),
        (
            "shorter than a tag",
            with,
            [nonce.clone(), bytes(3, &[0; 15])].concat(),
            WrongKey,
        ),
        ("empty", with, [nonce, bytes(3, &[])].concat(), WrongKey),
        ("another key", &with[1..], sealed, WrongKey),
    ];
    for (what, keys, datagram, reason) in cases {
        let mut opened = datagram.clone();
        assert_eq!(open(keys, &mut opened), Err(reason), "{what}");
        assert_eq!(opened, datagram, "{what}: the datagram was changed");
    }
}

#[test]
fn any_of_the_keys_opens() {
    let keys = [key(1), key(2), key(3)];
    for key in &keys {
        assert_eq!(open(&keys, &mut sealed_with(key)), Ok(&[7; 5][..]));
    }
}

#[test]
fn a_payload_may_be_empty_and_the_last_one_counts() {
    assert_eq!(open(&[], &mut bytes(3, b"")), Ok(&b""[..]));
    let mut twice = [bytes(3, b"a"), num(1, 0), bytes(4, b"?"), bytes(3, b"bc")].concat();
    assert_eq!(open(&[], &mut twice), Ok(&b"bc"[..]));
}

#[test]
fn what_does_not_stand_in_the_buffer_is_not_sealed() {
    let mut buf = [0; HEADROOM + 10];
    assert_eq!(seal(None, &mut buf, 11), 0..0);
    assert_eq!(seal(Some((&key(1), [1; 24])), &mut buf, 11), 0..0);
    assert_eq!(seal(None, &mut buf, usize::MAX), 0..0);
    assert_eq!(seal(None, &mut [], 0), 0..0);
    assert_eq!(seal(None, &mut buf, 10).len(), 12);
    let mut large = vec![0; HEADROOM + (2 << 20)];
    assert_eq!(seal(None, &mut large, 2 << 20), 0..0);
    assert_eq!(
        seal(Some((&key(1), [1; 24])), &mut large, (2 << 20) - 17).start,
        0
    );
}

/// As the generated code has it; for the Ack, whose field of that number is a bool, any number will do.
#[test]
fn a_digest_is_a_uint32_also_if_another_follows() {
    let body = |digests: &[u64]| {
        let mut body = bytes(1, &good());
        for digest in digests {
            // 101, a varint.
            body.extend([0xa8, 0x06]);
            let (mut left, mut more) = (*digest, true);
            while more {
                more = left > 0x7f;
                body.push(left as u8 & 0x7f | u8::from(more) << 7);
                left >>= 7;
            }
        }
        body
    };
    let too_large = u64::from(u32::MAX) + 1;
    for digests in [&[too_large][..], &[too_large, 5]] {
        let ping = decode(&swim(1, 2, &body(digests), &[])).map(drop);
        assert_eq!(ping, Err(Reject::Malformed), "{digests:?}");
    }
    let payload = swim(1, 2, &body(&[4, 5]), &[]);
    let ping = decode(&payload).unwrap().message;
    assert!(matches!(ping, Message::Ping { digest: 5, .. }), "{ping:?}");
}
