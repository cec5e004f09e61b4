//! What a member tells of others beside their health: names, ports, and which rumors are new.

#[cfg(feature = "gossip")]
use butterfly::Rumor;
use butterfly::wire::Message;
use butterfly::{Event, Health};

use crate::support::*;

/// A ping of this member, which has this name.
fn named(peer: &Peer, name: &'static str) -> Message<'static> {
    let mut ping = peer.ping(0);
    if let Message::Ping { from, .. } = &mut ping {
        from.name = name;
    }
    ping
}

#[test]
fn a_new_name_or_port_is_told_once_with_the_name() {
    let mut bench = Bench::new();
    let peer = Peer::ours(1);
    bench.meet(&[peer]);
    bench.prove(&peer, &[peer]);
    bench.events();
    bench.feed(&peer, named(&peer.incarnated(6), "amber"), &[]);
    let events = bench.events();
    let [
        Event::MemberRenamed {
            id, before, name, ..
        },
    ] = &events[..]
    else {
        panic!("{events:?}");
    };
    assert_eq!((*id, &**before, &**name), (peer.id, "", "amber"));

    let other = Peer {
        gossip_port: 9_002,
        ..peer.incarnated(7)
    };
    bench.feed(&other, named(&other, "birch"), &[]);
    let events = bench.events();
    let [
        Event::MemberMoved {
            from,
            to,
            gossip_port,
            name: moved,
            ..
        },
        Event::MemberRenamed { before, name, .. },
    ] = &events[..]
    else {
        panic!("{events:?}");
    };
    assert_eq!((*from, *to, *gossip_port), (peer.addr, peer.addr, 9_002));
    assert_eq!((&**before, &**name, &**moved), ("amber", "birch", "birch"));
    bench.feed(&other, named(&other, "birch"), &[]);
    assert!(bench.events().is_empty(), "it is known");

    // What happens to it later has its name.
    let gone = Peer {
        departed: true,
        ..other.incarnated(8)
    };
    bench.feed(&gone, gone.ping(0), &[]);
    let events = bench.events();
    let left = events.iter().find_map(|event| match event {
        Event::MemberChanged { to, name, .. } => Some((*to, name.to_string())),
        _ => None,
    });
    assert_eq!(
        left,
        Some((Health::Departed, "birch".to_owned())),
        "{events:?}"
    );
}

#[test]
fn a_member_that_becomes_known_has_its_name_at_once() {
    let mut bench = Bench::new();
    let peer = Peer::ours(1);
    bench.feed(&peer, named(&peer, "amber"), &[]);
    let asked = pings(&to(&peer, &bench.sent())).pop().expect("a question");
    let mut answer = peer.answers(&asked);
    if let Message::Ack { from, .. } = &mut answer {
        from.name = "amber";
    }
    bench.feed(&peer, answer, &[]);
    let events = bench.events();
    let [
        Event::MemberChanged {
            from: None, name, ..
        },
    ] = &events[..]
    else {
        panic!("{events:?}");
    };
    assert_eq!(&**name, "amber");
}

#[cfg(feature = "gossip")]
#[test]
fn a_rumor_is_new_once() {
    let mut bench = Bench::new();
    let peer = Peer::ours(1);
    bench.meet(&[peer]);
    for (incarnation, expected) in [(1, true), (2, false), (5, false)] {
        let rumor = Rumor::ServiceConfig(rumors::config("redis", incarnation, "port = 1"));
        bench.hear(&rumor, peer.id);
        let events = bench.events();
        let told = events.iter().find_map(|event| match event {
            Event::RumorChanged { is_new, .. } => Some(*is_new),
            _ => None,
        });
        assert_eq!(told, Some(expected), "{incarnation}: {events:?}");
    }
}
