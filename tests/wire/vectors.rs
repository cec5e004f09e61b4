//! Bytes captured from a real ring: we read them as what they are, and write them the same.

use std::net::IpAddr;

use butterfly::error::Reject;
use butterfly::member::{Health, Incarnation, MemberId};
use butterfly::wire::{
    Accusers, Encoder, HEADROOM, MemberRecord, MembershipRecord, Message, RingKey, Swim, decode,
    open, overhead, seal,
};
use serde_json::Value;

const FILE: &str = include_str!("../data/wire-vectors.json");

fn file() -> Value {
    serde_json::from_str(FILE).unwrap()
}

fn udp_vectors() -> Vec<Value> {
    let file = file();
    let all = file["vectors"].as_array().unwrap();
    let udp: Vec<Value> = all
        .iter()
        .filter(|v| v["transport"] == "udp")
        .cloned()
        .collect();
    assert_eq!(udp.len(), 9, "the file has that many");
    udp
}

fn key() -> RingKey {
    RingKey::parse(file()["ring_key"]["file_text"].as_str().unwrap()).unwrap()
}

fn is_sealed(vector: &Value) -> bool {
    vector["wire"]["encrypted"] == true
}

fn hex(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap();
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

/// The payload of a vector, opened by us.
fn opened(vector: &Value) -> Vec<u8> {
    let mut datagram = hex(&vector["datagram_hex"]);
    let keys = if is_sealed(vector) {
        vec![key()]
    } else {
        vec![]
    };
    open(&keys, &mut datagram).unwrap().to_vec()
}

fn member(value: &Value) -> Option<MemberRecord<'_>> {
    let flag = |name: &str| value[name].as_bool().unwrap();
    let port = |name: &str| value[name].as_u64().unwrap().try_into().unwrap();
    let address = match value.get("address")?.as_str().unwrap() {
        "" => None,
        address => Some(address.parse::<IpAddr>().unwrap()),
    };
    Some(MemberRecord {
        id: value["id"].as_str().unwrap().parse::<MemberId>().unwrap(),
        incarnation: Incarnation::new(value["incarnation"].as_u64().unwrap()).unwrap(),
        address,
        swim_port: port("swim_port"),
        gossip_port: port("gossip_port"),
        persistent: flag("persistent"),
        departed: flag("departed"),
        probe_ping: flag("probe_ping"),
        features: 0,
        name: "",
    })
}

/// The message that the values beside the bytes describe.
fn message(swim: &Value) -> Message<'_> {
    let (kind, body) = swim["payload"].as_object().unwrap().iter().next().unwrap();
    let from = member(&body["from"]).unwrap();
    let probe = 0;
    match kind.as_str() {
        "Ping" => Message::Ping {
            from,
            forward_to: member(&body["forward_to"]),
            probe,
            digest: 0,
        },
        "Ack" => Message::Ack {
            from,
            forward_to: member(&body["forward_to"]),
            probe,
            table: false,
            rumors: 0,
            reconcile: &[],
            starting: false,
        },
        "Pingreq" => Message::PingReq {
            from,
            target: member(&body["target"]).unwrap(),
            probe,
        },
        "Probeping" => Message::ProbePing { from },
        other => panic!("{other}"),
    }
}

fn memberships(swim: &Value) -> Vec<MembershipRecord<'_>> {
    swim["membership"]
        .as_array()
        .unwrap()
        .iter()
        .map(membership)
        .collect()
}

fn membership(value: &Value) -> MembershipRecord<'_> {
    MembershipRecord {
        member: member(&value["member"]).unwrap(),
        health: Health::from_wire(value["health"].as_u64().unwrap()).unwrap(),
        accusers: Accusers::NONE,
    }
}

/// Encodes what was decoded, and puts it into a buffer as a sender does.
fn encoded(swim: Swim<'_>, buf: &mut [u8]) -> usize {
    let mut encoder = Encoder::new(&mut buf[HEADROOM..], &swim.message).unwrap();
    for record in swim.memberships {
        assert!(encoder.push(&record.unwrap(), 1024));
    }
    encoder.finish()
}

#[test]
fn they_open_to_their_payload() {
    for vector in udp_vectors() {
        assert_eq!(
            opened(&vector),
            hex(&vector["plaintext_swim_hex"]),
            "{}",
            vector["name"]
        );
    }
}

#[test]
fn they_decode_to_the_values_beside_them() {
    for vector in udp_vectors() {
        let payload = opened(&vector);
        let swim = decode(&payload).unwrap();
        assert_eq!(swim.message, message(&vector["swim"]), "{}", vector["name"]);
        let records: Vec<_> = swim.memberships.map(Result::unwrap).collect();
        assert_eq!(records, memberships(&vector["swim"]), "{}", vector["name"]);
    }
}

#[test]
fn they_are_written_as_the_same_bytes() {
    for vector in udp_vectors() {
        let payload = hex(&vector["plaintext_swim_hex"]);
        let mut buf = [0xee; 1024];
        let len = encoded(decode(&payload).unwrap(), &mut buf);
        assert_eq!(buf[HEADROOM..HEADROOM + len], payload, "{}", vector["name"]);

        let datagram = hex(&vector["datagram_hex"]);
        let nonce = is_sealed(&vector).then(|| {
            let nonce = hex(&vector["wire"]["nonce"]["hex"]);
            <[u8; 24]>::try_from(nonce).unwrap()
        });
        let key = key();
        let range = seal(nonce.map(|nonce| (&key, nonce)), &mut buf, len);
        assert_eq!(range.len(), len + overhead(nonce.is_some(), len));
        assert_eq!(buf[range], datagram, "{}", vector["name"]);
    }
}

#[test]
fn sealed_with_another_nonce_they_open_again() {
    for vector in udp_vectors().iter().filter(|v| is_sealed(v)) {
        let payload = hex(&vector["plaintext_swim_hex"]);
        let mut buf = [0; 1024];
        buf[HEADROOM..HEADROOM + payload.len()].copy_from_slice(&payload);
        let range = seal(Some((&key(), [7; 24])), &mut buf, payload.len());
        let datagram = &mut buf[range];
        assert_eq!(open(&[], &mut datagram.to_vec()), Err(Reject::NoKey));
        assert_ne!(*datagram, hex(&vector["datagram_hex"]));
        assert_eq!(open(&[key()], datagram), Ok(&payload[..]));
    }
}

#[test]
fn the_ring_key_file_is_read_and_written_byte_for_byte() {
    let file = file();
    let text = file["ring_key"]["file_text"].as_str().unwrap();
    let bytes: [u8; 32] = hex(&file["ring_key"]["raw_key_hex"]).try_into().unwrap();
    assert_eq!(
        RingKey::parse(text),
        RingKey::new("interop-test", "20261122232917", bytes)
    );
    assert_eq!(key().to_file_text(), text);
}
