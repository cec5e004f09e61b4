//! The hand-written codec against the generated one, and the seal against another implementation.
//!
//! What ours takes, the generated code takes too, as the same content. Never the converse: the generated
//! code accepts nested messages that run past their end.

use std::net::IpAddr;

use butterfly::error::Reject;
use butterfly::limits::{MAX_ACCUSERS, MAX_NAME};
use butterfly::member::{Health, Incarnation, MemberId};
use butterfly::wire::{
    Accusers, Encoder, HEADROOM, MemberRecord, MembershipRecord, Message, RingKey, Swim, decode,
    membership_len, open, overhead, seal,
};
use butterfly_protocols::{common, swim as pb};
use crypto_secretbox::{AeadInPlace, KeyInit, XSalsa20Poly1305};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use protobuf::{Enum, EnumOrUnknown, Message as _, MessageField};

// ---------------------------------------------------------------- what a message says, in plain values

#[derive(Clone, Debug, PartialEq)]
struct SeenMember {
    id: MemberId,
    incarnation: u64,
    address: Option<IpAddr>,
    ports: (u16, u16),
    flags: [bool; 3],
    features: u32,
    name: String,
}

type SeenMembership = (SeenMember, Health, Vec<MemberId>);

#[derive(Clone, Debug, PartialEq)]
struct Seen {
    kind: u8,
    from: SeenMember,
    other: Option<SeenMember>,
    probe: u64,
    /// A Ping's digest, or whether an Ack holds a part of a table.
    extra: u32,
    /// An Ack's checksum of rumors, and its parts of a comparison as the generated code writes them.
    rumors: u32,
    reconcile: Vec<u8>,
    starting: bool,
    memberships: Vec<Result<SeenMembership, Reject>>,
}

impl SeenMember {
    fn ours(member: &MemberRecord<'_>) -> Self {
        SeenMember {
            id: member.id,
            incarnation: member.incarnation.get(),
            address: member.address,
            ports: (member.swim_port, member.gossip_port),
            flags: [member.persistent, member.departed, member.probe_ping],
            features: member.features,
            name: member.name.to_owned(),
        }
    }

    /// The record with the address as the caller reads it, or why there is none.
    fn generated(member: &pb::Member, address: Option<IpAddr>) -> Result<Self, Reject> {
        let mut name = member.name().to_owned();
        while name.len() > MAX_NAME {
            name.pop();
        }
        Ok(SeenMember {
            id: member.id().parse().map_err(|_| Reject::BadId)?,
            incarnation: match member.incarnation() {
                number if number >> 62 == 0 => number,
                _ => return Err(Reject::BadIncarnation),
            },
            address,
            ports: (
                member.swim_port().try_into().unwrap(),
                member.gossip_port().try_into().unwrap(),
            ),
            flags: [member.persistent(), member.departed(), member.probe_ping()],
            features: member.features(),
            name,
        })
    }

    fn record(&self) -> MemberRecord<'_> {
        MemberRecord {
            id: self.id,
            incarnation: Incarnation::new(self.incarnation).unwrap(),
            address: self.address,
            swim_port: self.ports.0,
            gossip_port: self.ports.1,
            persistent: self.flags[0],
            departed: self.flags[1],
            probe_ping: self.flags[2],
            features: self.features,
            name: &self.name,
        }
    }
}

/// The parts of a comparison as the generated code writes them.
fn canonical(parts: &[u8]) -> Vec<u8> {
    without_unknown(&pb::Reconcile::parse_from_bytes(parts).expect("ours accepted it"))
}

fn without_unknown(parts: &pb::Reconcile) -> Vec<u8> {
    let special_fields = Default::default();
    let parts = pb::Reconcile {
        special_fields,
        ..parts.clone()
    };
    parts.write_to_bytes().unwrap()
}

fn ip(member: &pb::Member) -> Option<IpAddr> {
    member
        .address()
        .parse()
        .ok()
        .map(|ip: IpAddr| ip.to_canonical())
}

impl Seen {
    fn ours(swim: &Swim<'_>) -> Self {
        let (kind, other, probe, extra) = match &swim.message {
            Message::Ping {
                forward_to,
                probe,
                digest,
                ..
            } => (1, *forward_to, *probe, *digest),
            Message::Ack {
                forward_to,
                probe,
                table,
                ..
            } => (2, *forward_to, *probe, u32::from(*table)),
            Message::PingReq { target, probe, .. } => (3, Some(*target), *probe, 0),
            Message::ProbePing { .. } => (4, None, 0, 0),
        };
        let seen = |record: MembershipRecord<'_>| {
            assert_eq!(record.accusers.is_empty(), record.accusers.count() == 0);
            (
                SeenMember::ours(&record.member),
                record.health,
                record.accusers.collect(),
            )
        };
        let (rumors, reconcile, starting) = match swim.message {
            Message::Ack {
                rumors,
                reconcile,
                starting,
                ..
            } => (rumors, canonical(reconcile), starting),
            _ => (0, Vec::new(), false),
        };
        Seen {
            kind,
            rumors,
            reconcile,
            starting,
            from: SeenMember::ours(swim.message.from()),
            other: other.as_ref().map(SeenMember::ours),
            probe,
            extra,
            memberships: swim
                .memberships
                .clone()
                .map(|record| record.map(seen))
                .collect(),
        }
    }

    /// The same from the generated types, for a message that ours accepted.
    fn generated(swim: &pb::Swim) -> Self {
        let (kind, from, other, probe, extra) = match swim.payload.as_ref().unwrap() {
            pb::swim::Payload::Ping(m) => {
                (1, &m.from, m.forward_to.as_ref(), m.probe(), m.digest())
            }
            pb::swim::Payload::Ack(m) => {
                let table = u32::from(m.table());
                (2, &m.from, m.forward_to.as_ref(), m.probe(), table)
            }
            pb::swim::Payload::Pingreq(m) => (3, &m.from, m.target.as_ref(), m.probe(), 0),
            pb::swim::Payload::Probeping(m) => (4, &m.from, None, 0, 0),
            other => panic!("{other:?}"),
        };
        assert_eq!(swim.type_().value(), i32::from(kind));
        let membership = |m: &pb::Membership| {
            let health = m.health.map_or(1, |health| health.value());
            let health = Health::from_wire(health as u64).unwrap_or(Health::Alive);
            let ids = m
                .accuser
                .iter()
                .filter_map(|id| Some(MemberId::from_bytes(id[..].try_into().ok()?)));
            let address = ip(&m.member).ok_or(Reject::BadAddress)?;
            let member = SeenMember::generated(&m.member, Some(address))?;
            Ok((member, health, ids.take(MAX_ACCUSERS).collect()))
        };
        let (rumors, reconcile, starting) = match swim.payload.as_ref().unwrap() {
            pb::swim::Payload::Ack(m) => {
                let parts = m.reconcile.as_ref();
                let parts = parts.map(without_unknown);
                (m.rumors(), parts.unwrap_or_default(), m.starting())
            }
            _ => (0, Vec::new(), false),
        };
        Seen {
            kind,
            rumors,
            reconcile,
            starting,
            from: SeenMember::generated(from, ip(from)).unwrap(),
            other: other.map(|m| SeenMember::generated(m, ip(m)).unwrap()),
            probe,
            extra,
            memberships: swim.membership.iter().map(membership).collect(),
        }
    }

    fn message(&self) -> Message<'_> {
        let (from, other, probe) = (
            self.from.record(),
            self.other.as_ref().map(SeenMember::record),
            self.probe,
        );
        match self.kind {
            1 => Message::Ping {
                from,
                forward_to: other,
                probe,
                digest: self.extra,
            },
            2 => Message::Ack {
                from,
                forward_to: other,
                probe,
                table: self.extra != 0,
                rumors: self.rumors,
                reconcile: &self.reconcile,
                starting: self.starting,
            },
            3 => Message::PingReq {
                from,
                target: other.unwrap(),
                probe,
            },
            _ => Message::ProbePing { from },
        }
    }

    /// Ours-encoded; what does not fit into `limit` bytes is left out, and taken out of `self`.
    fn encode(&mut self, limit: usize) -> Vec<u8> {
        let mut buf = vec![0xee; 65_536];
        let message = self.message();
        let mut encoder = Encoder::new(&mut buf, &message).unwrap();
        let mut kept = Vec::new();
        for (member, health, accusers) in self.memberships.iter().flatten() {
            let record = MembershipRecord {
                member: member.record(),
                health: *health,
                accusers: Accusers::new(accusers),
            };
            let before = encoder.len();
            let fits = before + membership_len(&record) <= limit && self.kind != 4;
            assert_eq!(encoder.push(&record, limit), fits);
            assert_eq!(
                encoder.len(),
                if fits {
                    before + membership_len(&record)
                } else {
                    before
                }
            );
            if fits {
                kept.push(Ok((member.clone(), *health, accusers.clone())));
            }
        }
        let len = encoder.finish();
        assert!(
            buf[len..].iter().all(|byte| *byte == 0xee),
            "wrote past its end"
        );
        buf.truncate(len);
        self.memberships = kept;
        buf
    }
}

// ---------------------------------------------------------------- arbitrary messages

fn id() -> impl Strategy<Value = MemberId> {
    any::<[u8; 16]>().prop_map(MemberId::from_bytes)
}

fn address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        any::<[u8; 4]>().prop_map(IpAddr::from),
        any::<[u16; 8]>().prop_map(IpAddr::from),
        Just("2001:db8::1".parse().unwrap()),
        Just("::".parse().unwrap()),
    ]
    .prop_map(|ip: IpAddr| ip.to_canonical())
}

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![
        0..3u64,
        (0..64u32, any::<u64>()).prop_map(|(shift, number)| number >> shift)
    ]
}

prop_compose! {
    fn seen_member()(
        id in id(),
        incarnation in number(),
        address in option::of(address()),
        ports in any::<(u16, u16)>(),
        flags in any::<[bool; 3]>(),
        features in prop_oneof![Just(0), any::<u32>()],
        name in prop_oneof![Just(String::new()), "[a-zäß字]{1,10}"],
    ) -> SeenMember {
        SeenMember { id, incarnation: incarnation >> 2, address, ports, flags, features, name }
    }
}

fn seen_membership() -> impl Strategy<Value = SeenMembership> {
    let health = prop::sample::select(Health::ALL.to_vec());
    (
        seen_member(),
        address(),
        health,
        vec(id(), 0..=MAX_ACCUSERS),
    )
        .prop_map(|(member, ip, health, accusers)| {
            (
                SeenMember {
                    address: Some(ip),
                    ..member
                },
                health,
                accusers,
            )
        })
}

prop_compose! {
    fn pb_reconcile()(parts in [vec(part(), 0..3), vec(part(), 0..3), vec(part(), 0..3), vec(part(), 0..3)]) -> pb::Reconcile {
        let [sums, all, have, want] = parts;
        pb::Reconcile { sums, all, have, want, ..Default::default() }
    }
}

/// Bytes of any part, sense or nonsense.
fn part() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        vec(any::<u8>(), 0..20),
        vec(any::<u64>(), 0..6)
            .prop_map(|hashes| hashes.iter().flat_map(|hash| hash.to_le_bytes()).collect()),
    ]
}

prop_compose! {
    fn seen()(
        kind in 1..=4u8,
        from in seen_member(),
        other in seen_member(),
        has_other in any::<bool>(),
        probe in number(),
        extra in any::<u32>(),
        (rumors, reconcile, starting) in (prop_oneof![Just(0), any::<u32>()], pb_reconcile(), any::<bool>()),
        memberships in vec(seen_membership(), 0..8),
    ) -> Seen {
        Seen {
            kind,
            from,
            other: (kind == 3 || (kind < 3 && has_other)).then_some(other),
            probe: if kind == 4 { 0 } else { probe },
            extra: match kind {
                1 => extra,
                2 => extra & 1,
                _ => 0,
            },
            rumors: if kind == 2 { rumors } else { 0 },
            reconcile: match kind {
                2 => reconcile.write_to_bytes().unwrap(),
                _ => Vec::new(),
            },
            starting: kind == 2 && starting,
            memberships: memberships.into_iter().map(Ok).collect(),
        }
    }
}

/// What the generated types can say, beyond what ours says: fields absent, records that are skipped alone.
fn pb_member(is_record: bool) -> impl Strategy<Value = pb::Member> {
    let good = seen_member().prop_map(|member| pb::Member {
        id: Some(member.id.to_string()),
        incarnation: (member.incarnation != 0).then_some(member.incarnation),
        address: member.address.map(|ip| ip.to_string()),
        swim_port: Some(member.ports.0.into()),
        gossip_port: Some(member.ports.1.into()),
        persistent: member.flags[0].then_some(true),
        departed: member.flags[1].then_some(true),
        probe_ping: Some(member.flags[2]),
        features: Some(member.features),
        name: Some(member.name.repeat(4)),
        ..Default::default()
    });
    (good, 0..16u8, any::<u64>()).prop_map(move |(mut member, flaw, number)| {
        match flaw {
            0 => member.address = Some("::ffff:10.0.0.1".to_owned()),
            1 if is_record => member.incarnation = Some(number),
            2 if is_record => member.id = Some("no id".to_owned()),
            3 if is_record => member.address = Some("no address ü".to_owned()),
            4 => member.address = Some(String::new()),
            _ => {}
        }
        member
    })
}

fn pb_membership() -> impl Strategy<Value = pb::Membership> {
    let accusers = vec(
        prop_oneof![vec(any::<u8>(), 16), vec(any::<u8>(), 0..20)],
        0..7,
    );
    (pb_member(true), option::of(-1..9i32), accusers).prop_map(|(member, health, accuser)| {
        pb::Membership {
            member: MessageField::some(member),
            health: health.map(EnumOrUnknown::from_i32),
            accuser,
            ..Default::default()
        }
    })
}

prop_compose! {
    fn pb_swim()(
        kind in 1..=4,
        from in pb_member(false),
        other in option::of(pb_member(false)),
        probe in option::of(number()),
        digest in option::of(any::<u32>()),
        table in option::of(any::<bool>()),
        (rumors, reconcile, starting) in (option::of(any::<u32>()), option::of(pb_reconcile()), option::of(any::<bool>())),
        membership in vec(pb_membership(), 0..6),
    ) -> pb::Swim {
        let from = MessageField::some(from);
        let special_fields = Default::default();
        let payload = match kind {
            1 => pb::swim::Payload::Ping(pb::Ping { from, forward_to: other.into(), probe, digest, special_fields }),
            2 => pb::swim::Payload::Ack(pb::Ack { from, forward_to: other.into(), probe, table, rumors, reconcile: reconcile.into(), starting, special_fields }),
            3 => {
                let target = MessageField::some(other.unwrap_or_else(|| (*from).clone()));
                pb::swim::Payload::Pingreq(pb::PingReq { from, target, probe, special_fields })
            }
            _ => pb::swim::Payload::Probeping(pb::ProbePing { from, special_fields }),
        };
        pb::Swim { type_: Some(EnumOrUnknown::from_i32(kind)), payload: Some(payload), membership, ..Default::default() }
    }
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

#[derive(Clone, Copy, PartialEq)]
enum Level {
    Swim,
    Body,
    Membership,
    Leaf,
}

fn inner(level: Level, number: u32) -> Level {
    match (level, number) {
        (Level::Swim, 5) => Level::Membership,
        (Level::Swim, 2..=6) => Level::Body,
        (Level::Body, 1 | 2 | 103) | (Level::Membership, 1) => Level::Leaf,
        _ => level,
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
    varint
        .iter()
        .rev()
        .fold(0, |value, byte| value << 7 | u64::from(byte & 0x7f))
}

/// A field that no message of ours has.
fn unknown_field(choices: &mut Choices) -> Vec<u8> {
    let number = [9, 15, 50, 99, 105, 12_345, (1 << 29) - 1][choices.below(7)];
    let mut out = Vec::new();
    let wire_type = [0, 1, 2, 5][choices.below(4)];
    put_varint(&mut out, number << 3 | wire_type);
    match wire_type {
        0 => put_varint(&mut out, u64::MAX >> choices.below(64)),
        1 => out.extend([0xff; 8]),
        5 => out.extend([0xff; 4]),
        _ => {
            let len = choices.below(200);
            put_varint(&mut out, len as u64);
            out.extend(vec![0xff; len]);
        }
    }
    out
}

/// The same message with its fields in another order, at every level, and unknown fields in between.
fn rewritten(mut bytes: &[u8], level: Level, choices: &mut Choices) -> Vec<u8> {
    let mut fields: Vec<(u32, Vec<u8>)> = Vec::new();
    while !bytes.is_empty() {
        let tag = get_varint(&mut bytes);
        let number = (tag >> 3) as u32;
        let mut field = Vec::new();
        put_varint(&mut field, tag);
        let value = get_varint(&mut bytes);
        if tag & 7 == 2 {
            let (content, rest) = bytes.split_at(value as usize);
            bytes = rest;
            let content = match inner(level, number) {
                inner if inner == level => content.to_vec(),
                inner => rewritten(content, inner, choices),
            };
            put_varint(&mut field, content.len() as u64);
            field.extend(content);
        } else {
            put_varint(&mut field, value);
        }
        fields.push((number, field));
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
            out.extend(unknown_field(choices));
        }
        out.extend(field);
    }
    out.extend(unknown_field(choices));
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
                let piece: Vec<u8> = bytes.drain(at..end).collect();
                let to = choices.below(bytes.len());
                bytes.splice(to..to, piece);
            }
            _ => {}
        }
    }
    bytes
}

/// Ours does not panic, and accepts only what the generated code reads as the same.
fn check(bytes: &[u8]) -> bool {
    let Ok(swim) = decode(bytes) else {
        return false;
    };
    let ours = Seen::ours(&swim);
    let generated = pb::Swim::parse_from_bytes(bytes).expect("ours accepted it");
    assert_eq!(ours, Seen::generated(&generated));
    true
}

// ---------------------------------------------------------------- the properties

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn what_the_generated_code_writes_ours_reads_the_same(swim in pb_swim()) {
        let bytes = swim.write_to_bytes().unwrap();
        let ours = Seen::ours(&decode(&bytes).unwrap());
        prop_assert_eq!(ours, Seen::generated(&swim));
    }

    #[test]
    fn what_ours_writes_the_generated_code_reads_the_same(mut seen in seen(), limit in 100..1500usize) {
        let bytes = seen.encode(limit);
        let generated = pb::Swim::parse_from_bytes(&bytes).unwrap();
        prop_assert_eq!(&seen, &Seen::generated(&generated));
        prop_assert_eq!(&seen, &Seen::ours(&decode(&bytes).unwrap()));
        // Every scalar of the contract is there, and an extension only if it says something.
        for member in generated.membership.iter().map(|membership| &membership.member) {
            prop_assert!(member.incarnation.is_some() && member.address.is_some() && member.persistent.is_some());
            prop_assert!(member.departed.is_some() && member.probe_ping.is_some());
            prop_assert!(member.features != Some(0) && member.name.as_deref() != Some(""));
        }
    }

    #[test]
    fn a_buffer_too_small_takes_nothing(seen in seen(), size in 0..300usize) {
        let message = seen.message();
        let mut large = [0; 2048];
        let need = Encoder::new(&mut large, &message).unwrap().finish();
        let mut buf = vec![0xee; size];
        match Encoder::new(&mut buf, &message) {
            Some(encoder) => prop_assert_eq!(encoder.finish(), need),
            None => prop_assert!(size < need && buf.iter().all(|byte| *byte == 0xee)),
        }
    }

    #[test]
    fn unknown_fields_and_another_order_change_nothing(swim in pb_swim(), seed in any::<u64>()) {
        let bytes = rewritten(&swim.write_to_bytes().unwrap(), Level::Swim, &mut Choices(seed));
        prop_assert_eq!(pb::Swim::parse_from_bytes(&bytes).map(|swim| Seen::generated(&swim)).ok(), Some(Seen::generated(&swim)));
        prop_assert_eq!(Seen::ours(&decode(&bytes).unwrap()), Seen::generated(&swim));
    }

    #[test]
    fn ours_accepts_no_more_than_the_generated_code(swim in pb_swim(), seed in any::<u64>()) {
        let bytes = swim.write_to_bytes().unwrap();
        let mut choices = Choices(seed);
        for _ in 0..8 {
            check(&mutated(bytes.clone(), &mut choices));
            check(&mutated(rewritten(&bytes, Level::Swim, &mut choices), &mut choices));
        }
    }

    #[test]
    fn a_message_that_was_cut_off_is_refused_or_is_shorter(swim in pb_swim()) {
        let bytes = swim.write_to_bytes().unwrap();
        for end in 0..bytes.len() {
            check(&bytes[..end]);
        }
        prop_assert!(check(&bytes));
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in vec(prop_oneof![0..0x40u8, any::<u8>()], 0..200)) {
        check(&bytes);
        let mut datagram = bytes.clone();
        if let Ok(payload) = open(&[], &mut datagram) {
            let wire = common::Wire::parse_from_bytes(&bytes).expect("ours accepted it");
            prop_assert_eq!(payload, wire.payload());
        }
        let _ = open(&[key(1)], &mut datagram);
    }

    #[test]
    fn an_envelope_reads_as_the_generated_code_reads_it(payload in vec(any::<u8>(), 0..600), seed in any::<u64>()) {
        let mut buf = vec![0; HEADROOM];
        buf.extend(&payload);
        let range = seal(None, &mut buf, payload.len());
        prop_assert_eq!(range.len(), payload.len() + overhead(false, payload.len()));
        let bytes = buf[range].to_vec();
        let wire = common::Wire { payload: Some(payload.clone()), ..Default::default() };
        prop_assert_eq!(&bytes, &wire.write_to_bytes().unwrap());
        let mut datagram = bytes.clone();
        prop_assert_eq!(open(&[], &mut datagram), Ok(&payload[..]));

        let changed = mutated(bytes, &mut Choices(seed));
        if let Ok(payload) = open(&[], &mut changed.clone()) {
            let wire = common::Wire::parse_from_bytes(&changed).expect("ours accepted it");
            prop_assert_eq!(payload, wire.payload());
            prop_assert!(!wire.encrypted() && wire.nonce.is_none());
        }
    }
}

#[test]
fn what_an_ack_says_of_rumors_is_checked_wherever_it_stands() {
    let mut seen = Seen {
        kind: 2,
        from: SeenMember {
            id: MemberId::from_bytes([1; 16]),
            incarnation: 1,
            address: None,
            ports: (1, 2),
            flags: [false; 3],
            features: 1,
            name: String::new(),
        },
        other: None,
        probe: 0,
        extra: 0,
        rumors: 7,
        reconcile: Vec::new(),
        starting: false,
        memberships: Vec::new(),
    };
    let bytes = seen.encode(1_000);
    assert!(check(&bytes));
    let with = |more: &[u8]| {
        // The type, then the body's tag and its length of one byte.
        let mut bytes = bytes.clone();
        bytes[3] += more.len() as u8;
        bytes.extend(more);
        check(&bytes).then_some(()).ok_or(decode(&bytes).err())
    };
    assert_eq!(
        with(&[0xb0, 6, 9]),
        Ok(()),
        "of a number that stands twice the last counts"
    );
    assert_eq!(with(&[0xba, 6, 2, 10, 0]), Ok(()));
    for (name, more, reason) in [
        (
            "no uint32",
            &[0xb0, 6, 0x80, 0x80, 0x80, 0x80, 0x10, 0xb0, 6, 1][..],
            Reject::Malformed,
        ),
        ("parts twice", &[0xba, 6, 0, 0xba, 6, 0], Reject::Malformed),
        ("parts that are none", &[0xba, 6, 1, 10], Reject::Truncated),
        ("a part cut off", &[0xba, 6, 2, 10, 1], Reject::Truncated),
    ] {
        assert_eq!(with(more), Err(Some(reason)), "{name}");
    }
}

// ---------------------------------------------------------------- the seal

fn key(byte: u8) -> RingKey {
    RingKey::new("ring", "20260101000000", [byte; 32]).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn what_ours_seals_another_implementation_opens(
        payload in vec(any::<u8>(), 0..1200), nonce in any::<[u8; 24]>(), byte in any::<u8>(),
    ) {
        let mut buf = vec![0; HEADROOM];
        buf.extend(&payload);
        let range = seal(Some((&key(byte), nonce)), &mut buf, payload.len());
        prop_assert_eq!(range.len(), payload.len() + overhead(true, payload.len()));
        let wire = common::Wire::parse_from_bytes(&buf[range]).unwrap();
        prop_assert!(wire.encrypted());
        prop_assert_eq!(wire.nonce(), &nonce[..]);
        let (tag, ciphertext) = wire.payload().split_at(16);
        let mut opened = ciphertext.to_vec();
        XSalsa20Poly1305::new(&[byte; 32].into())
            .decrypt_in_place_detached(&nonce.into(), b"", &mut opened, tag.into())
            .unwrap();
        prop_assert_eq!(opened, payload);
    }

    #[test]
    fn what_another_implementation_seals_ours_opens_with_any_key(
        payload in vec(any::<u8>(), 0..1200), nonce in any::<[u8; 24]>(), at in 0..3usize, seed in any::<u64>(),
    ) {
        let keys = [key(1), key(2), key(3)];
        let mut ciphertext = payload.clone();
        let tag = XSalsa20Poly1305::new(&[at as u8 + 1; 32].into())
            .encrypt_in_place_detached(&nonce.into(), b"", &mut ciphertext)
            .unwrap();
        let wire = common::Wire {
            nonce: Some(nonce.to_vec()),
            payload: Some([&tag[..], &ciphertext].concat()),
            ..Default::default()
        };
        let datagram = wire.write_to_bytes().unwrap();
        let mut opened = datagram.clone();
        prop_assert_eq!(open(&keys, &mut opened), Ok(&payload[..]));

        let others: Vec<_> = keys.iter().filter(|other| **other != key(at as u8 + 1)).cloned().collect();
        let mut untouched = datagram.clone();
        prop_assert_eq!(open(&others, &mut untouched), Err(Reject::WrongKey));
        prop_assert_eq!(&untouched, &datagram);

        // A single bit, in the tag or in the text, is enough.
        let mut forged = datagram.clone();
        let mut choices = Choices(seed);
        let from_end = choices.below(payload.len() + 16) + 1;
        let place = forged.len() - from_end;
        forged[place] ^= 1 << choices.below(8);
        prop_assert_eq!(open(&keys, &mut forged), Err(Reject::WrongKey));
    }
}
