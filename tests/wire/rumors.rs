//! The rumors' wire: captured bytes, the generated types as an oracle, and the envelope of any size.
//!
//! What ours takes, the generated code takes too, as the same content. Never the converse: ours refuses what
//! PROTOCOL.md §2's table asks for and is not there.

use butterfly::error::Reject;
use butterfly::limits::{MAX_TERM, MAX_VERSION};
use butterfly::member::{Health, MemberId};
use butterfly::rumor::{
    Election, ElectionStatus, Rumor, RumorKind, Service, ServiceConfig, ServiceFile,
};
use butterfly::wire::{
    RingKey, encode_member_rumor, encode_membership, encode_rumor, open, overhead, read_rumor,
    seal_into,
};
use butterfly_protocols::newscast as pb;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use protobuf::{EnumOrUnknown, Message as _, MessageField};
use serde_json::Value;

// ---------------------------------------------------------------- captured bytes

fn file() -> Value {
    serde_json::from_str(include_str!("../data/wire-vectors.json")).unwrap()
}

fn vectors() -> Vec<Value> {
    let file = file();
    let all = file["vectors"].as_array().unwrap();
    let rumors = all.iter().filter(|vector| vector["transport"] != "udp");
    let rumors: Vec<Value> = rumors.cloned().collect();
    assert_eq!(rumors.len(), 6, "the file has that many");
    rumors
}

fn ring_key() -> RingKey {
    RingKey::parse(file()["ring_key"]["file_text"].as_str().unwrap()).unwrap()
}

fn hex(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap();
    let at = (0..text.len()).step_by(2);
    at.map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap()
}

/// The rumor that the values beside the bytes describe; `None`: a record of a member.
fn described(rumor: &Value) -> Option<Rumor> {
    let (kind, body) = rumor["payload"].as_object().unwrap().iter().next().unwrap();
    let id = |value: &Value| text(value).parse::<MemberId>().unwrap();
    Some(match kind.as_str() {
        "Member" => return None,
        "Service" => {
            let sys = &body["sys"];
            let port = |name: &str| number(&sys[name]).try_into().unwrap();
            let group = text(&body["service_group"]).parse().unwrap();
            let mut service = Service::new(group, text(&body["pkg"]));
            service.member = id(&body["member_id"]);
            service.incarnation = number(&body["incarnation"]);
            service.initialized = body["initialized"].as_bool().unwrap();
            service.cfg = hex(&body["cfg"]["hex"]);
            service.sys.ip = text(&sys["ip"]);
            service.sys.hostname = text(&sys["hostname"]);
            service.sys.gossip_ip = text(&sys["gossip_ip"]);
            service.sys.gossip_port = port("gossip_port");
            service.sys.http_gateway_ip = text(&sys["http_gateway_ip"]);
            service.sys.http_gateway_port = port("http_gateway_port");
            service.sys.ctl_gateway_ip = text(&sys["ctl_gateway_ip"]);
            service.sys.ctl_gateway_port = port("ctl_gateway_port");
            service.pkg_incarnation = number(&body["pkg_incarnation"]);
            Rumor::Service(service)
        }
        "ServiceConfig" => {
            let group = text(&body["service_group"]).parse().unwrap();
            let bytes = hex(&body["config"]["hex"]);
            let mut config = ServiceConfig::new(group, number(&body["incarnation"]), bytes);
            config.encrypted = body["encrypted"].as_bool().unwrap();
            Rumor::ServiceConfig(config)
        }
        "Election" => {
            let group = text(&body["service_group"]).parse().unwrap();
            let mut election = Election::new(group, id(&body["member_id"]));
            election.term = number(&body["term"]);
            election.suitability = number(&body["suitability"]);
            election.votes = body["votes"].as_array().unwrap().iter().map(id).collect();
            Rumor::Election(election)
        }
        "Departure" => Rumor::Departure(id(&body["member_id"])),
        other => panic!("{other}"),
    })
}

#[test]
fn captured_rumors_open_to_their_payload_and_are_sealed_to_the_same_bytes() {
    for vector in vectors() {
        let (frame, payload) = (
            hex(&vector["frame_hex"]),
            hex(&vector["plaintext_rumor_hex"]),
        );
        let key = ring_key();
        let sealed = vector["wire"]["encrypted"] == true;
        let keys = if sealed { vec![key.clone()] } else { vec![] };
        assert_eq!(open(&keys, &mut frame.clone()), Ok(&payload[..]));

        let nonce = sealed.then(|| hex(&vector["wire"]["nonce"]["hex"]).try_into().unwrap());
        let mut written = vec![0xee];
        seal_into(nonce.map(|nonce| (&key, nonce)), &payload, &mut written);
        assert_eq!(written[1..], frame, "{}", vector["name"]);
    }
}

#[test]
fn captured_rumors_read_as_the_values_beside_them_and_are_written_as_the_same_bytes() {
    for vector in vectors() {
        let payload = hex(&vector["plaintext_rumor_hex"]);
        let frame = read_rumor(&payload).unwrap();
        let from_id = vector["rumor"]["from_id"].as_str().unwrap();
        assert_eq!(frame.from_id, from_id, "{}", vector["name"]);
        match described(&vector["rumor"]) {
            Some(rumor) => {
                assert_eq!(frame.rumor(), Ok(rumor.clone()), "{}", vector["name"]);
                let encoded = encode_rumor(&rumor, frame.from_id);
                assert_eq!(encoded.bytes, payload, "{}", vector["name"]);
                assert_eq!(encoded.bytes[encoded.payload..], *frame.payload);
            }
            None => {
                let record = frame.membership().unwrap();
                let member = &vector["rumor"]["payload"]["Member"]["member"];
                assert_eq!(record.member.id.to_string(), member["id"]);
                assert_eq!(record.member.incarnation.get(), member["incarnation"]);
                assert_eq!(
                    record.member.address.unwrap().to_string(),
                    member["address"]
                );
                assert_eq!(record.member.swim_port, member["swim_port"]);
                assert_eq!(record.member.gossip_port, member["gossip_port"]);
                assert_eq!(record.health, Health::Alive);
                let membership = encode_membership(&record);
                let sender = from_id.parse().unwrap();
                assert_eq!(encode_member_rumor(&membership, sender), payload);
            }
        }
    }
}

// ---------------------------------------------------------------- what the generated types say

/// The same rumor from the generated types, for one that ours accepted.
fn generated(rumor: &pb::Rumor) -> Rumor {
    let id = |text: &str| text.parse::<MemberId>().unwrap();
    match rumor.payload.as_ref().unwrap() {
        pb::rumor::Payload::Service(service) => {
            let sys = &service.sys;
            // Absent is empty here, and not the .proto's default.
            let or_empty = |text: &Option<String>| text.clone().unwrap_or_default();
            let mut read = Service::new(service.service_group().parse().unwrap(), service.pkg());
            read.member = id(service.member_id());
            read.incarnation = service.incarnation();
            read.initialized = service.initialized();
            read.cfg = service.cfg().to_vec();
            read.sys.ip = sys.ip.clone().unwrap();
            read.sys.hostname = sys.hostname.clone().unwrap();
            read.sys.gossip_ip = or_empty(&sys.gossip_ip);
            read.sys.gossip_port = sys.gossip_port.unwrap_or(0);
            read.sys.http_gateway_ip = or_empty(&sys.http_gateway_ip);
            read.sys.http_gateway_port = sys.http_gateway_port.unwrap_or(0);
            read.sys.ctl_gateway_ip = or_empty(&sys.ctl_gateway_ip);
            read.sys.ctl_gateway_port = sys.ctl_gateway_port.unwrap_or(0);
            read.pkg_incarnation = service.pkg_incarnation();
            Rumor::Service(read)
        }
        pb::rumor::Payload::ServiceConfig(config) => {
            let group = config.service_group().parse().unwrap();
            let mut read = ServiceConfig::new(group, config.incarnation(), config.config());
            read.encrypted = config.encrypted();
            Rumor::ServiceConfig(read)
        }
        pb::rumor::Payload::ServiceFile(file) => {
            let group = file.service_group().parse().unwrap();
            let (name, body) = (file.filename(), file.body());
            let mut read = ServiceFile::new(group, file.incarnation(), name, body);
            read.encrypted = file.encrypted();
            Rumor::ServiceFile(read)
        }
        pb::rumor::Payload::Election(election) => {
            let mut votes: Vec<_> = election.votes.iter().map(|vote| id(vote)).collect();
            votes.sort();
            votes.dedup();
            let status = match election.status.map_or(1, |status| status.value()) {
                2 => ElectionStatus::NoQuorum,
                3 => ElectionStatus::Finished,
                _ => ElectionStatus::Running,
            };
            let group = election.service_group().parse().unwrap();
            let mut read = Election::new(group, id(rumor.from_id()));
            read.term = election.term();
            read.suitability = election.suitability();
            (read.status, read.votes) = (status, votes);
            match rumor.type_.unwrap().value() {
                3 => Rumor::Election(read),
                _ => Rumor::ElectionUpdate(read),
            }
        }
        pb::rumor::Payload::Departure(departure) => Rumor::Departure(id(departure.member_id())),
        other => panic!("{other:?}"),
    }
}

/// Ours does not panic, and accepts only what the generated code reads as the same.
fn check(bytes: &[u8]) -> Option<Rumor> {
    let frame = read_rumor(bytes).ok()?;
    if frame.kind.is_none() {
        let read = frame.membership().is_ok();
        assert!(!read || pb::Rumor::parse_from_bytes(bytes).is_ok());
        return None;
    }
    let ours = frame.rumor().ok()?;
    let theirs = pb::Rumor::parse_from_bytes(bytes).expect("ours accepted it");
    assert_eq!(ours, generated(&theirs));
    assert_eq!(frame.from_id, theirs.from_id());
    assert_eq!(frame.kind, Some(ours.kind()));
    Some(ours)
}

// ---------------------------------------------------------------- arbitrary rumors

fn id() -> impl Strategy<Value = MemberId> {
    any::<[u8; 16]>().prop_map(MemberId::from_bytes)
}

fn any_number() -> impl Strategy<Value = u64> {
    prop_oneof![
        0..3u64,
        (0..64u32, any::<u64>()).prop_map(|(shift, number)| number >> shift)
    ]
}

/// One that members take.
fn version() -> impl Strategy<Value = u64> {
    any_number().prop_map(|number| number & MAX_VERSION)
}

fn group() -> impl Strategy<Value = String> {
    "[a-zü_-]{1,8}\\.[a-z]{1,8}(@[a-z]{1,5})?"
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..200)
}

prop_compose! {
    fn pb_sys()(
        ip in "[0-9.ü]{0,9}",
        hostname in "[a-z]{0,200}",
        texts in [option::of("[0-9.]{0,9}"), option::of("[0-9.]{0,9}"), option::of("[0-9.]{0,9}")],
        ports in any::<[Option<u32>; 3]>(),
    ) -> pb::SysInfo {
        let [gossip_ip, http_gateway_ip, ctl_gateway_ip] = texts;
        pb::SysInfo {
            ip: Some(ip),
            hostname: Some(hostname),
            gossip_ip,
            gossip_port: ports[0],
            http_gateway_ip,
            http_gateway_port: ports[1],
            ctl_gateway_ip,
            ctl_gateway_port: ports[2],
            ..Default::default()
        }
    }
}

prop_compose! {
    fn pb_service()(
        member in id(),
        group in group(),
        numbers in (option::of(version()), option::of(any_number())),
        flags in any::<[Option<bool>; 1]>(),
        pkg in "[a-z/ü0-9.]{0,40}",
        cfg in option::of(bytes()),
        sys in pb_sys(),
    ) -> pb::rumor::Payload {
        pb::rumor::Payload::Service(pb::Service {
            member_id: Some(member.to_string()),
            service_group: Some(group),
            incarnation: numbers.0,
            initialized: flags[0],
            pkg: Some(pkg),
            cfg,
            sys: MessageField::some(sys),
            pkg_incarnation: numbers.1,
            ..Default::default()
        })
    }
}

prop_compose! {
    fn pb_config()(
        group in group(),
        incarnation in option::of(version()),
        encrypted in any::<Option<bool>>(),
        config in option::of(bytes()),
    ) -> pb::rumor::Payload {
        pb::rumor::Payload::ServiceConfig(pb::ServiceConfig {
            service_group: Some(group),
            incarnation,
            encrypted,
            config,
            ..Default::default()
        })
    }
}

prop_compose! {
    fn pb_file()(
        group in group(),
        incarnation in option::of(version()),
        encrypted in any::<Option<bool>>(),
        filename in "[a-zü][a-z.ü]{0,29}",
        body in option::of(bytes()),
    ) -> pb::rumor::Payload {
        pb::rumor::Payload::ServiceFile(pb::ServiceFile {
            service_group: Some(group),
            incarnation,
            encrypted,
            filename: Some(filename),
            body,
            ..Default::default()
        })
    }
}

prop_compose! {
    fn pb_election()(
        member in option::of(id()),
        group in group(),
        numbers in [option::of(any_number()), option::of(any_number())],
        status in option::of(-1..5i32),
        votes in vec(id(), 0..6),
        again in 0..3usize,
    ) -> pb::rumor::Payload {
        let votes = votes.iter().chain(votes.iter().take(again)).map(MemberId::to_string);
        pb::rumor::Payload::Election(pb::Election {
            member_id: member.map(|id| id.to_string()),
            service_group: Some(group),
            term: numbers[0].map(|term| term & MAX_TERM),
            suitability: numbers[1],
            status: status.map(EnumOrUnknown::from_i32),
            votes: votes.collect(),
            ..Default::default()
        })
    }
}

fn pb_departure() -> impl Strategy<Value = pb::rumor::Payload> {
    id().prop_map(|id| {
        pb::rumor::Payload::Departure(pb::Departure {
            member_id: Some(id.to_string()),
            ..Default::default()
        })
    })
}

/// What the generated types can say that ours accepts.
fn pb_rumor() -> impl Strategy<Value = pb::Rumor> {
    let payload = prop_oneof![
        pb_service().prop_map(|payload| (2, payload)),
        pb_election().prop_map(|payload| (3, payload)),
        pb_config().prop_map(|payload| (4, payload)),
        pb_file().prop_map(|payload| (5, payload)),
        pb_election().prop_map(|payload| (8, payload)),
        pb_departure().prop_map(|payload| (9, payload)),
    ];
    (payload, id(), vec("[a-z]{0,5}", 0..2)).prop_map(|((kind, payload), from, tag)| pb::Rumor {
        type_: Some(EnumOrUnknown::from_i32(kind)),
        tag,
        from_id: Some(from.to_string()),
        payload: Some(payload),
        ..Default::default()
    })
}

// ---------------------------------------------------------------- changing bytes

/// Choices that follow from a seed.
struct Choices(u64);

impl Choices {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound.max(1)
    }
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn get_varint(bytes: &mut &[u8]) -> u64 {
    let len = bytes.iter().position(|byte| *byte < 0x80).unwrap() + 1;
    let (varint, rest) = bytes.split_at(len);
    *bytes = rest;
    let digits = varint.iter().rev();
    digits.fold(0, |value, byte| value << 7 | u64::from(byte & 0x7f))
}

/// Where a message stands: what in it is a message too.
#[derive(Clone, Copy, PartialEq)]
enum Level {
    Rumor,
    Service,
    Leaf,
}

fn inner(level: Level, number: u64) -> Option<Level> {
    match (level, number) {
        (Level::Rumor, 5) => Some(Level::Service),
        (Level::Rumor, 6..=9) | (Level::Service, 12) => Some(Level::Leaf),
        _ => None,
    }
}

/// The same message with its fields in another order, at every level, and unknown fields in between.
fn rewritten(mut bytes: &[u8], level: Level, choices: &mut Choices) -> Vec<u8> {
    let mut fields: Vec<(u64, Vec<u8>)> = Vec::new();
    while !bytes.is_empty() {
        let tag = get_varint(&mut bytes);
        let mut field = Vec::new();
        put_varint(&mut field, tag);
        let value = get_varint(&mut bytes);
        if tag & 7 == 2 {
            let (content, rest) = bytes.split_at(value as usize);
            bytes = rest;
            let content = match inner(level, tag >> 3) {
                Some(inner) => rewritten(content, inner, choices),
                None => content.to_vec(),
            };
            put_varint(&mut field, content.len() as u64);
            field.extend(content);
        } else {
            put_varint(&mut field, value);
        }
        fields.push((tag >> 3, field));
    }
    for _ in 0..fields.len() {
        // Repeated fields keep the order among themselves.
        let at = choices.below(fields.len() - 1);
        if fields.len() > 1 && fields[at].0 != fields[at + 1].0 {
            fields.swap(at, at + 1);
        }
    }
    let mut out = Vec::new();
    for (_, field) in fields {
        if choices.below(3) == 0 {
            out.extend([0xf8, 0x07, choices.below(128) as u8]);
        }
        out.extend(field);
    }
    out.extend([0xd2, 0x0f, 2, 0xff, 0xff]);
    out
}

fn mutated(mut bytes: Vec<u8>, choices: &mut Choices) -> Vec<u8> {
    for _ in 0..=choices.below(3) {
        let at = choices.below(bytes.len());
        match choices.below(6) {
            0 => bytes.truncate(at),
            1 | 2 if !bytes.is_empty() => bytes[at] ^= 1 << choices.below(8),
            3 if !bytes.is_empty() => bytes[at] = choices.below(256) as u8,
            4 => bytes.insert(at, choices.below(256) as u8),
            _ if !bytes.is_empty() => {
                let end = at + choices.below(bytes.len() - at);
                let piece: Vec<u8> = bytes[at..end].to_vec();
                let to = choices.below(bytes.len());
                bytes.splice(to..to, piece);
            }
            _ => {}
        }
    }
    bytes
}

// ---------------------------------------------------------------- the properties

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_the_generated_code_writes_ours_reads_the_same(rumor in pb_rumor()) {
        let bytes = rumor.write_to_bytes().unwrap();
        prop_assert_eq!(check(&bytes), Some(generated(&rumor)));
    }

    #[test]
    fn what_ours_writes_reads_the_same_everywhere_and_is_canonical(rumor in pb_rumor()) {
        let (rumor, from) = (generated(&rumor), rumor.from_id().to_owned());
        let encoded = encode_rumor(&rumor, &from);
        prop_assert_eq!(check(&encoded.bytes), Some(rumor.clone()));
        let frame = read_rumor(&encoded.bytes).unwrap();
        prop_assert_eq!(frame.payload, &encoded.bytes[encoded.payload..]);
        prop_assert_eq!(encode_rumor(&frame.rumor().unwrap(), frame.from_id), encoded.clone());
        // Known fields, ascending, all explicit: as the generated code writes them.
        let theirs = pb::Rumor::parse_from_bytes(&encoded.bytes).unwrap();
        prop_assert_eq!(theirs.write_to_bytes().unwrap(), encoded.bytes);
        if let Some(pb::rumor::Payload::Service(service)) = &theirs.payload {
            prop_assert!(service.cfg.is_some() && service.initialized.is_some());
            prop_assert!(service.sys.gossip_ip.is_some() && service.sys.ctl_gateway_port.is_some());
        }
    }

    #[test]
    fn unknown_fields_and_another_order_change_nothing(rumor in pb_rumor(), seed in any::<u64>()) {
        let bytes = rewritten(&rumor.write_to_bytes().unwrap(), Level::Rumor, &mut Choices(seed));
        prop_assert_eq!(check(&bytes), Some(generated(&rumor)));
    }

    #[test]
    fn ours_accepts_no_more_than_the_generated_code(rumor in pb_rumor(), seed in any::<u64>()) {
        let bytes = rumor.write_to_bytes().unwrap();
        let mut choices = Choices(seed);
        for _ in 0..8 {
            check(&mutated(bytes.clone(), &mut choices));
            check(&mutated(rewritten(&bytes, Level::Rumor, &mut choices), &mut choices));
        }
    }

    #[test]
    fn a_rumor_that_was_cut_off_is_refused_or_reads_equal(rumor in pb_rumor()) {
        let bytes = rumor.write_to_bytes().unwrap();
        for end in 0..bytes.len() {
            check(&bytes[..end]);
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in vec(prop_oneof![0..0x50u8, any::<u8>()], 0..200)) {
        check(&bytes);
        for kind in 1..=9 {
            let mut rumor = vec![8, kind, 26, 1, b'x', (kind + 3) << 3 | 2];
            put_varint(&mut rumor, bytes.len() as u64);
            rumor.extend(&bytes);
            check(&rumor);
        }
    }

    #[test]
    fn an_envelope_of_any_size_opens(len in prop_oneof![0..300usize, 0..100_000usize], seed in any::<u8>(), nonce in any::<[u8; 24]>()) {
        survives_the_envelope(&vec![seed; len], nonce);
    }
}

fn survives_the_envelope(payload: &[u8], nonce: [u8; 24]) {
    let (key, other) = (
        ring_key(),
        RingKey::new("ring", "20260101000000", [1; 32]).unwrap(),
    );
    for key in [None, Some(&key)] {
        let mut frame = Vec::new();
        seal_into(key.map(|key| (key, nonce)), payload, &mut frame);
        let over = overhead(key.is_some(), payload.len());
        assert_eq!(frame.len(), payload.len() + over);
        let keys: Vec<_> = key
            .into_iter()
            .flat_map(|key| [other.clone(), key.clone()])
            .collect();
        let opened = open(&keys, &mut frame);
        assert!(opened == Ok(payload), "{} bytes", payload.len());
    }
}

#[test]
fn lengths_of_every_number_of_digits_survive_the_envelope() {
    for digits in [1, 2, 3] {
        let edge = 1usize << (7 * digits);
        for len in [edge - 17, edge - 16, edge - 15, edge - 1, edge, edge + 1] {
            survives_the_envelope(&vec![digits as u8; len], [5; 24]);
        }
    }
    survives_the_envelope(&[], [5; 24]);
    survives_the_envelope(&vec![7; 9 << 20], [5; 24]);
}

// ---------------------------------------------------------------- what is refused, and why

fn service() -> pb::Service {
    pb::Service {
        member_id: Some("a".repeat(32)),
        service_group: Some("redis.default".to_owned()),
        pkg: Some("core/redis/4/1".to_owned()),
        sys: MessageField::some(pb::SysInfo {
            ip: Some("10.0.0.1".to_owned()),
            hostname: Some("one".to_owned()),
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn rumor_of(kind: i32, payload: Option<pb::rumor::Payload>) -> Vec<u8> {
    let rumor = pb::Rumor {
        type_: Some(EnumOrUnknown::from_i32(kind)),
        from_id: Some("b".repeat(32)),
        payload,
        ..Default::default()
    };
    rumor.write_to_bytes().unwrap()
}

fn refusal(bytes: &[u8]) -> Option<Reject> {
    read_rumor(bytes).and_then(|frame| frame.rumor()).err()
}

#[test]
fn a_service_lacking_something_it_needs_is_refused() {
    let with = |change: &dyn Fn(&mut pb::Service)| {
        let mut service = service();
        change(&mut service);
        refusal(&rumor_of(2, Some(pb::rumor::Payload::Service(service))))
    };
    assert_eq!(with(&|_| ()), None);
    type Change<'c> = &'c dyn Fn(&mut pb::Service);
    let rows: [(&str, Change<'_>, Reject); 12] = [
        ("no member", &|s| s.member_id = None, Reject::MissingField),
        (
            "no group",
            &|s| s.service_group = None,
            Reject::MissingField,
        ),
        ("no pkg", &|s| s.pkg = None, Reject::MissingField),
        ("no sys", &|s| s.sys = None.into(), Reject::MissingField),
        (
            "no ip",
            &|s| s.sys.as_mut().unwrap().ip = None,
            Reject::MissingField,
        ),
        (
            "no hostname",
            &|s| s.sys.as_mut().unwrap().hostname = None,
            Reject::MissingField,
        ),
        (
            "short id",
            &|s| s.member_id = Some("a".repeat(31)),
            Reject::BadId,
        ),
        (
            "uppercase id",
            &|s| s.member_id = Some("A".repeat(32)),
            Reject::BadId,
        ),
        (
            "empty group",
            &|s| s.service_group = Some(String::new()),
            Reject::BadGroup,
        ),
        (
            "no dot",
            &|s| s.service_group = Some("redis".to_owned()),
            Reject::BadGroup,
        ),
        (
            "two dots",
            &|s| s.service_group = Some("a.b.c".to_owned()),
            Reject::BadGroup,
        ),
        (
            "long group",
            &|s| s.service_group = Some(format!("{}.b", "a".repeat(255))),
            Reject::BadGroup,
        ),
    ];
    for (name, change, reason) in rows {
        assert_eq!(with(change), Some(reason), "{name}");
    }
}

#[test]
fn other_kinds_lacking_something_they_need_are_refused() {
    let group = || Some("redis.default".to_owned());
    let config = |service_group| {
        let config = pb::ServiceConfig {
            service_group,
            ..Default::default()
        };
        rumor_of(4, Some(pb::rumor::Payload::ServiceConfig(config)))
    };
    assert_eq!(refusal(&config(group())), None);
    assert_eq!(refusal(&config(None)), Some(Reject::MissingField));
    assert_eq!(
        refusal(&config(Some("a@b.c".to_owned()))),
        Some(Reject::BadGroup)
    );

    let file = |service_group, filename: Option<String>| {
        let file = pb::ServiceFile {
            service_group,
            filename,
            ..Default::default()
        };
        rumor_of(5, Some(pb::rumor::Payload::ServiceFile(file)))
    };
    assert_eq!(refusal(&file(group(), Some("a".repeat(256)))), None);
    for (bytes, reason) in [
        (file(None, Some("a".to_owned())), Reject::MissingField),
        (file(group(), None), Reject::MissingField),
        (file(group(), Some(String::new())), Reject::MissingField),
        (file(group(), Some("a".repeat(257))), Reject::Oversized),
        (
            file(group(), Some("../../etc/passwd".to_owned())),
            Reject::BadFilename,
        ),
        (file(group(), Some("..".to_owned())), Reject::BadFilename),
        (file(group(), Some("a\nb".to_owned())), Reject::BadFilename),
        (
            file(group(), Some("lmth\u{202e}.exe".to_owned())),
            Reject::BadFilename,
        ),
    ] {
        assert_eq!(refusal(&bytes), Some(reason));
    }

    let election = |kind, service_group, votes: &[&str]| {
        let votes = votes.iter().map(|vote| (*vote).to_owned()).collect();
        let election = pb::Election {
            service_group,
            votes,
            ..Default::default()
        };
        rumor_of(kind, Some(pb::rumor::Payload::Election(election)))
    };
    for kind in [3, 8] {
        let forged = Some("red\n2026-11-30 ERROR forged.default".to_owned());
        assert_eq!(
            refusal(&election(kind, forged, &[])),
            Some(Reject::BadGroup)
        );
        assert_eq!(refusal(&election(kind, group(), &[&"c".repeat(32)])), None);
        assert_eq!(
            refusal(&election(kind, None, &[])),
            Some(Reject::MissingField)
        );
        assert_eq!(
            refusal(&election(kind, group(), &["me"])),
            Some(Reject::BadId)
        );
        let everyone: Vec<_> = (0..4_097).map(|number| format!("{number:032x}")).collect();
        let everyone: Vec<&str> = everyone.iter().map(String::as_str).collect();
        assert_eq!(refusal(&election(kind, group(), &everyone[..4_096])), None);
        assert_eq!(
            refusal(&election(kind, group(), &everyone)),
            Some(Reject::Oversized)
        );
    }

    let departure = |member_id| {
        let departure = pb::Departure {
            member_id,
            ..Default::default()
        };
        rumor_of(9, Some(pb::rumor::Payload::Departure(departure)))
    };
    assert_eq!(refusal(&departure(Some("d".repeat(32)))), None);
    assert_eq!(refusal(&departure(None)), Some(Reject::MissingField));
    assert_eq!(
        refusal(&departure(Some("nobody".to_owned()))),
        Some(Reject::BadId)
    );
}

#[test]
fn a_rumor_whose_head_is_wrong_is_refused() {
    let departure = [74, 34, 10, 32]
        .into_iter()
        .chain([b'a'; 32])
        .collect::<Vec<u8>>();
    let config = [50, 5, 10, 3, b'a', b'.', b'b'];
    let from = [26, 1, b'x'];
    let rumor = |parts: &[&[u8]]| refusal(&parts.concat());
    assert_eq!(rumor(&[&[8, 9], &from, &departure]), None);
    let rows: [(&str, &[&[u8]], Reject); 16] = [
        ("nothing", &[], Reject::MissingField),
        ("no type", &[&from, &departure], Reject::MissingField),
        ("no from_id", &[&[8, 9], &departure], Reject::MissingField),
        ("no payload", &[&[8, 9], &from], Reject::MissingField),
        (
            "another type's payload",
            &[&[8, 2], &from, &departure],
            Reject::MissingField,
        ),
        (
            "a record's type",
            &[&[8, 1], &from, &departure],
            Reject::MissingField,
        ),
        ("Fake", &[&[8, 6], &from], Reject::Fake),
        ("Fake2", &[&[8, 7], &from, &departure], Reject::Fake),
        ("type 0", &[&[8, 0], &from, &departure], Reject::UnknownType),
        (
            "type 10",
            &[&[8, 10], &from, &departure],
            Reject::UnknownType,
        ),
        (
            "type 2^32 + 9",
            &[&[8, 0x89, 0x80, 0x80, 0x80, 0x10], &from, &departure],
            Reject::Malformed,
        ),
        (
            "payload twice",
            &[&[8, 9], &from, &departure, &departure],
            Reject::Malformed,
        ),
        (
            "two payloads",
            &[&[8, 9], &from, &config, &departure],
            Reject::Malformed,
        ),
        (
            "from_id not UTF-8",
            &[&[8, 9], &[26, 1, 0xff], &departure],
            Reject::BadUtf8,
        ),
        (
            "tag not UTF-8",
            &[&[8, 9], &[18, 1, 0xff], &from, &departure],
            Reject::BadUtf8,
        ),
        (
            "cut off",
            &[&[8, 9], &from, &departure[..20]],
            Reject::Truncated,
        ),
    ];
    for (name, parts, reason) in rows {
        assert_eq!(rumor(parts), Some(reason), "{name}");
    }
}

#[test]
fn texts_that_are_no_utf8_and_ports_that_are_no_uint32_are_refused() {
    let good = service().write_to_bytes().unwrap();
    let refused = |more: &[u8]| {
        let payload = [&good[..], more].concat();
        let mut bytes = vec![8, 2, 26, 1, b'x', 42];
        put_varint(&mut bytes, payload.len() as u64);
        refusal(&[&bytes[..], &payload].concat())
    };
    assert_eq!(refused(&[]), None);
    for text in [1, 2, 9] {
        // Also where a good one follows, which would count.
        let field = [text << 3 | 2, 1, 0xff];
        assert_eq!(refused(&field), Some(Reject::BadUtf8), "field {text}");
        assert_eq!(
            refused(&[&field[..], &good[..0]].concat()),
            Some(Reject::BadUtf8)
        );
    }
    assert_eq!(refused(&[98, 0]), Some(Reject::Malformed), "a second sys");

    let sys = |more: &[u8]| {
        let sys = [&[10, 1, b'i', 18, 1, b'h'], more].concat();
        let mut service = service();
        service.sys = None.into();
        let mut payload = service.write_to_bytes().unwrap();
        payload.extend([98, sys.len() as u8]);
        payload.extend(sys);
        let mut bytes = vec![8, 2, 26, 1, b'x', 42];
        put_varint(&mut bytes, payload.len() as u64);
        refusal(&[&bytes[..], &payload].concat())
    };
    assert_eq!(sys(&[]), None);
    for text in [1, 2, 3, 5, 7] {
        assert_eq!(
            sys(&[text << 3 | 2, 1, 0xff]),
            Some(Reject::BadUtf8),
            "field {text}"
        );
    }
    for port in [4, 6, 8] {
        assert_eq!(sys(&[port << 3, 0xff, 0xff, 0xff, 0xff, 0x0f]), None);
        assert_eq!(
            sys(&[port << 3, 0x80, 0x80, 0x80, 0x80, 0x10]),
            Some(Reject::Malformed)
        );
    }
}

#[test]
fn a_record_of_a_member_reads_only_as_that() {
    let vector = vectors()
        .into_iter()
        .find(|v| v["name"] == "Rumor Member")
        .unwrap();
    let bytes = hex(&vector["plaintext_rumor_hex"]);
    let frame = read_rumor(&bytes).unwrap();
    assert_eq!(
        (frame.kind, frame.rumor()),
        (None, Err(Reject::UnknownType))
    );
    let departure = rumor_of(9, Some(pb::rumor::Payload::Departure(pb::Departure::new())));
    let frame = read_rumor(&departure).unwrap();
    assert_eq!(frame.kind, Some(RumorKind::Departure));
    assert!(frame.membership().is_err());
}
