//! Messages that peers, or strangers, may send: well formed, and sensible or not.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use butterfly::MemberId;
use butterfly::wire::feature;
use butterfly_protocols::{newscast, swim};
use protobuf::{EnumOrUnknown, Message, MessageField};

use crate::input::Input;

/// The member that is fed.
pub const ME: u8 = 0;

/// Eight members, the fed one among them, at one address each, the last over IPv6.
pub fn id(number: u8) -> MemberId {
    MemberId::from_bytes([number; 16])
}

/// Where it is.
pub fn addr(number: u8) -> SocketAddr {
    let ip = match number {
        7 => "2001:db8::7"
            .parse()
            .unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        number => Ipv4Addr::new(192, 0, 2, number).into(),
    };
    SocketAddr::new(ip, 9638)
}

pub const GROUPS: [&str; 8] = [
    "redis.default",
    "web.default",
    "web.default@acme",
    "a.b#redis.default",
    "red\n2026-11-30 ERROR forged.default",
    "redis.\u{202e}tluafed",
    "redis",
    "",
];

pub const FILES: [&str; 8] = [
    "users.acl",
    "a",
    ".env",
    "../../etc/passwd",
    "..",
    "a\nb",
    "\u{feff}a",
    "",
];

fn member(input: &mut Input<'_>) -> swim::Member {
    let number = input.byte() & 7;
    let mut member = swim::Member::new();
    member.set_id(id(number).to_string());
    member.set_incarnation(input.number());
    let at = addr(number);
    member.set_swim_port(at.port().into());
    member.set_gossip_port(at.port().into());
    let bits = input.byte();
    member.set_persistent(bits & 1 != 0);
    member.set_departed(bits & 2 != 0);
    member.set_probe_ping(bits & 4 != 0);
    if bits & 8 != 0 {
        member.set_address(at.ip().to_string());
    }
    if bits & 16 != 0 {
        member.set_features(feature::EXTENSIONS | feature::OWN_KINDS);
    }
    if bits & 32 != 0 {
        member.set_name(String::from_utf8_lossy(input.bytes()).into_owned());
    }
    if bits & 64 != 0 {
        member.set_address("not an address".to_owned());
    }
    if bits & 128 != 0 {
        member.set_swim_port(input.number() as i32);
    }
    member
}

fn membership(input: &mut Input<'_>) -> swim::Membership {
    let mut membership = swim::Membership::new();
    let mut member = member(input);
    if !member.has_address() {
        let number = input.byte() & 7;
        member.set_address(addr(number).ip().to_string());
    }
    membership.member = MessageField::some(member);
    membership.health = Some(EnumOrUnknown::from_i32(i32::from(input.byte() & 7)));
    for _ in 0..input.below(6) {
        membership
            .accuser
            .push(id(input.byte() & 7).as_bytes().to_vec());
    }
    membership
}

/// A SWIM message.
pub fn swim(input: &mut Input<'_>) -> Vec<u8> {
    let mut message = swim::Swim::new();
    let from = MessageField::some(member(input));
    let kind = input.below(5);
    let other = input.flag().then(|| member(input)).into();
    let probe = input.flag().then(|| input.number());
    let payload = match kind {
        0 => swim::swim::Payload::Ping(swim::Ping {
            from,
            forward_to: other,
            probe,
            digest: input.flag().then(|| input.number() as u32),
            ..Default::default()
        }),
        1 => swim::swim::Payload::Ack(swim::Ack {
            from,
            forward_to: other,
            probe,
            table: input.flag().then_some(true),
            rumors: input.flag().then(|| input.number() as u32),
            reconcile: input.flag().then(|| reconcile(input)).into(),
            ..Default::default()
        }),
        2 => swim::swim::Payload::Pingreq(swim::PingReq {
            from,
            target: other,
            probe,
            ..Default::default()
        }),
        _ => swim::swim::Payload::Probeping(swim::ProbePing {
            from,
            ..Default::default()
        }),
    };
    message.type_ = Some(EnumOrUnknown::from_i32([1, 2, 3, 4, 4][kind]));
    message.payload = Some(payload);
    for _ in 0..input.below(9) {
        message.membership.push(membership(input));
    }
    message.write_to_bytes().unwrap_or_default()
}

fn reconcile(input: &mut Input<'_>) -> swim::Reconcile {
    let mut parts = swim::Reconcile::new();
    for _ in 0..input.below(4) {
        let bytes = input.bytes().to_vec();
        match input.byte() & 3 {
            0 => parts.sums.push(bytes),
            1 => parts.all.push(bytes),
            2 => parts.have.push(bytes),
            _ => parts.want.push(bytes),
        }
    }
    parts
}

fn tag(input: &mut Input<'_>) -> newscast::tags::Tag {
    let text = |bytes: &[u8]| Some(String::from_utf8_lossy(bytes).into_owned());
    newscast::tags::Tag {
        key: text(input.bytes()),
        value: text(input.bytes()),
        ..Default::default()
    }
}

/// A rumor.
pub fn rumor(input: &mut Input<'_>) -> Vec<u8> {
    use newscast::rumor::Payload;
    let mut rumor = newscast::Rumor::new();
    rumor.set_from_id(id(input.byte() & 7).to_string());
    let about = || Some(id(ME).to_string());
    let group = Some(input.pick(&GROUPS).to_owned());
    let incarnation = Some(input.number());
    // The kinds of our own have other numbers.
    let kind = match i32::from(input.byte() % 11) {
        10 => 100,
        7 => 101,
        6 => 102,
        kind => kind,
    };
    rumor.type_ = Some(EnumOrUnknown::from_i32(kind));
    rumor.payload = match kind {
        1 => Some(Payload::Member(membership(input))),
        2 => Some(Payload::Service(newscast::Service {
            member_id: Some(id(input.byte() & 7).to_string()),
            service_group: group,
            incarnation,
            initialized: Some(input.flag()),
            pkg: Some("acme/web/1/2".to_owned()),
            cfg: Some(input.bytes().to_vec()),
            sys: MessageField::some(newscast::SysInfo {
                ip: Some(String::new()),
                hostname: Some("h".to_owned()),
                ..Default::default()
            }),
            ..Default::default()
        })),
        4 => Some(Payload::ServiceConfig(newscast::ServiceConfig {
            service_group: group,
            incarnation,
            config: Some(input.bytes().to_vec()),
            ..Default::default()
        })),
        5 => Some(Payload::ServiceFile(newscast::ServiceFile {
            service_group: group,
            incarnation,
            filename: Some(input.pick(&FILES).to_owned()),
            body: Some(input.bytes().to_vec()),
            ..Default::default()
        })),
        3 | 8 => Some(Payload::Election(newscast::Election {
            member_id: about(),
            service_group: group,
            term: incarnation,
            suitability: Some(input.number()),
            status: Some(EnumOrUnknown::from_i32(i32::from(input.byte() & 3))),
            votes: (0..input.below(8))
                .map(|_| id(input.byte() & 7).to_string())
                .collect(),
            ..Default::default()
        })),
        100 => Some(Payload::Tags(newscast::Tags {
            member_id: Some(id(input.byte() & 7).to_string()),
            incarnation,
            tag: (0..input.below(4)).map(|_| tag(input)).collect(),
            ..Default::default()
        })),
        101 => Some(Payload::Forgotten(newscast::Forgotten {
            member_id: Some(id(input.byte() & 7).to_string()),
            time: Some(input.number()),
            member: (0..input.below(4))
                .map(|_| newscast::forgotten::Member {
                    id: Some(id(input.byte() & 7).as_bytes().to_vec()),
                    incarnation: Some(input.number()),
                    ..Default::default()
                })
                .collect(),
            ..Default::default()
        })),
        102 => Some(Payload::UserEvent(newscast::UserEvent {
            member_id: Some(id(input.byte() & 7).to_string()),
            series: Some(input.number()),
            number: Some(u64::from(input.byte() & 15)),
            time: Some(input.number()),
            lamport: incarnation,
            ttl_ms: Some(1_000 + u64::from(input.byte())),
            coalesce: Some(input.flag()),
            name: Some(input.pick(&FILES).to_owned()),
            payload: Some(input.bytes().to_vec()),
            query: MessageField(input.flag().then(|| {
                Box::new(newscast::user_event::Query {
                    id: Some(input.number()),
                    timeout_ms: Some(100 + u64::from(input.byte())),
                    ..Default::default()
                })
            })),
            ..Default::default()
        })),
        9 => Some(Payload::Departure(newscast::Departure {
            member_id: Some(id(input.byte() & 7).to_string()),
            ..Default::default()
        })),
        _ => None,
    };
    // A type is needed on the wire, and 0 is none: what cannot be written is nothing.
    rumor.write_to_bytes().unwrap_or_default()
}
