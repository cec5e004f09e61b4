//! What each message does, and what is answered (PROTOCOL.md §2, the table of messages).

use crate::support::*;
use butterfly::stats::MessageKind;
use butterfly::wire::{MemberRecord, Message, feature};
use butterfly::{Event, Health, MemberId};

const SHOWN: u64 = 1 << 40 | 7;

#[test]
fn a_name_is_held_without_what_people_would_not_see() {
    let mut bench = Bench::new();
    let peer = Peer::ours(1);
    bench.meet(&[peer]);
    for (name, held) in [
        ("web-1", "web-1"),
        (
            "red\n2026-11-30 ERROR forged",
            "red?2026-11-30 ERROR forged",
        ),
        ("\x1b[2J\u{202e}web", "?[2J?web"),
        ("größe", "größe"),
    ] {
        let from = MemberRecord {
            name,
            ..peer.from()
        };
        for _ in 0..2 {
            let ping = Message::Ping {
                from,
                forward_to: None,
                probe: 0,
                digest: 0,
            };
            bench.feed(&peer, ping, &[]);
            assert_eq!(bench.node.member(peer.id).unwrap().name, held);
        }
    }
}

#[test]
fn a_ping_is_answered_to_its_source_with_its_number_and_whom_to_forward_to() {
    let mut bench = Bench::new();
    let (peer, asker) = (Peer::ours(1), Peer::ours(2));
    let source = "203.0.113.9:777".parse().unwrap();
    let ping = Message::Ping {
        from: peer.from(),
        forward_to: Some(asker.contact()),
        probe: SHOWN,
        digest: 0,
    };
    bench.feed_from(source, ping, &[]);
    let sent = acks(&bench.sent());
    assert_eq!(sent.len(), 1, "{sent:?}");
    assert_eq!(sent[0].to, source);
    assert_eq!(sent[0].probe, SHOWN);
    let forward_to = sent[0].other.as_ref().unwrap();
    assert_eq!(
        (forward_to.id, forward_to.ip, forward_to.swim_port),
        (asker.id, Some(asker.addr.ip()), asker.addr.port())
    );
}

#[test]
fn an_unknown_sender_that_answers_is_taken_in_at_its_source_with_the_ports_it_claims() {
    let mut bench = Bench::new();
    let peer = Peer::ours(1);
    let source = "203.0.113.9:777".parse().unwrap();
    let mut from = peer.from();
    from.address = Some("198.51.100.1".parse().unwrap());
    let ping = Message::Ping {
        from,
        forward_to: None,
        probe: 0,
        digest: 0,
    };
    bench.feed_from(source, ping, &[]);
    assert_eq!(bench.health(&peer), None, "it has yet to answer");
    let sent = bench.sent();
    assert_eq!(acks(&sent)[0].to, source);
    let asked = &pings(&sent)[0];
    assert_eq!(asked.to, "203.0.113.9:9000".parse().unwrap());
    bench.feed_from(source, peer.ack(asked.probe), &[]);
    let view = bench.node.member(peer.id).unwrap();
    assert_eq!(view.health, Health::Alive);
    assert_eq!(view.member.ip.to_string(), "203.0.113.9");
    assert_eq!(
        (view.member.swim_port, view.member.gossip_port),
        (9000, 9001)
    );
    assert_eq!(view.member.incarnation.get(), 5);
    assert_eq!(bench.node.news(), 1);
}

#[test]
fn an_ipv4_mapped_source_is_an_ipv4_one() {
    let mut bench = Bench::new();
    let peer = Peer::ours(1);
    let source = "[::ffff:203.0.113.9]:777".parse().unwrap();
    bench.feed_from(source, peer.ping(0), &[]);
    let sent = bench.sent();
    assert_eq!(acks(&sent)[0].to, "203.0.113.9:777".parse().unwrap());
    bench.feed_from(source, peer.ack(pings(&sent)[0].probe), &[]);
    let ip = bench.node.member(peer.id).unwrap().member.ip;
    assert_eq!(ip.to_string(), "203.0.113.9");
    let mapped = MembershipOf::at("::ffff:10.9.9.9");
    let bytes = butterfly::wire::encode_membership(&mapped.0);
    bench.node.restore_member(&bytes).unwrap();
    let ip = bench.node.member(mapped.0.member.id).unwrap().member.ip;
    assert_eq!(ip.to_string(), "10.9.9.9");
}

struct MembershipOf(butterfly::wire::MembershipRecord<'static>);

impl MembershipOf {
    fn at(ip: &str) -> Self {
        let mut record = Peer::ours(77).said(Health::Alive, 1);
        record.member.address = Some(ip.parse().unwrap());
        MembershipOf(record)
    }
}

#[test]
fn a_sender_that_says_it_leaves_is_departed() {
    let mut bench = Bench::new();
    let mut peer = Peer::ours(1);
    peer.departed = true;
    bench.greet(&peer);
    assert_eq!(bench.held(&peer), None, "nobody is learned of as Departed");
    bench.sent();
    let mut other = Peer::ours(2);
    bench.meet(&[other]);
    other.departed = true;
    bench.feed(&other, other.ack(0), &[]);
    assert_eq!(bench.held(&other), Some((Health::Departed, 5)));
    other.departed = false;
    bench.feed(&other, other.ping(0), &[]);
    assert_eq!(
        bench.held(&other),
        Some((Health::Departed, 5)),
        "an old ping"
    );
    assert_eq!(
        bench.sent().last().unwrap().says_of(&other),
        Some((Health::Departed, 5))
    );
    bench.feed(&other, other.incarnated(6).ping(0), &[]);
    assert_eq!(bench.held(&other), Some((Health::Alive, 6)));
}

#[test]
fn the_answer_shows_what_was_held_before_and_the_ping_undoes_it_quietly() {
    for health in [Health::Suspect, Health::Confirmed, Health::Departed] {
        let mut bench = Bench::new();
        // One of ours that is dead has to answer first.
        let dead = health >= Health::Confirmed;
        let peer = if dead {
            Peer::original(2)
        } else {
            Peer::ours(2)
        };
        let witness = Peer::ours(1);
        bench.meet(&[witness]);
        // Nobody is learned of as Departed.
        bench.learn(&witness, &[peer.said(health.min(Health::Confirmed), 5)]);
        bench.learn(&witness, &[peer.said(health, 5)]);
        let news = bench.node.news();
        bench.feed(&peer, peer.ping(1), &[]);
        let sent = bench.sent();
        let first = &sent[0].records[0];
        assert_eq!(first.says(), (peer.id, health, 5));
        assert_eq!(
            first.ip,
            Some(peer.addr.ip()),
            "a membership has an address"
        );
        assert_eq!(bench.held(&peer), Some((Health::Alive, 5)));
        assert!(bench.node.news() <= news, "no rumor");
    }
}

#[test]
fn a_ping_with_a_lower_incarnation_is_alive_at_the_higher() {
    let mut bench = Bench::new();
    let peer = Peer::ours(1);
    bench.meet(&[peer]);
    bench.feed(&peer, peer.incarnated(2).ping(1), &[]);
    assert_eq!(bench.held(&peer), Some((Health::Alive, 5)));
    let sent = bench.sent();
    assert_eq!(sent[0].says_of(&peer), Some((Health::Alive, 5)));
    bench.feed(&peer, peer.incarnated(9).ping(1), &[]);
    assert_eq!(bench.held(&peer), Some((Health::Alive, 9)));
}

#[test]
fn the_memberships_of_a_ping_and_of_an_ack_are_applied() {
    let mut bench = Bench::new();
    let peer = Peer::ours(1);
    let (one, two) = (Peer::ours(2), Peer::ours(3));
    bench.meet(&[peer, one, two]);
    bench.feed(&peer, peer.ping(0), &[one.said(Health::Alive, 9)]);
    bench.feed(&peer, peer.ack(0), &[two.said(Health::Suspect, 8)]);
    assert_eq!(bench.held(&one), Some((Health::Alive, 9)));
    assert_eq!(bench.held(&two), Some((Health::Suspect, 8)));
}

#[test]
fn the_sender_of_an_ack_nobody_asked_for_is_asked() {
    for peer in [Peer::original(1), Peer::ours(1)] {
        let mut bench = Bench::new();
        bench.feed(&peer, peer.ack(0), &[]);
        assert_eq!(bench.held(&peer), None);
        bench.answer_question(&peer);
        assert_eq!(bench.held(&peer), Some((Health::Alive, 5)));
        assert!(acks(&bench.sent()).is_empty(), "an Ack is not answered");
    }
}

#[test]
fn a_ping_req_makes_a_ping_to_a_known_target_and_applies_nothing() {
    let mut bench = Bench::new();
    let (asker, target, rumored) = (Peer::ours(1), Peer::ours(2), Peer::ours(3));
    bench.meet(&[asker, target]);
    bench.learn(&asker, &[target.said(Health::Suspect, 6)]);
    let source = "203.0.113.9:4242".parse().unwrap();
    bench.feed_from(
        source,
        asker.ping_req(&target, SHOWN),
        &[rumored.said(Health::Alive, 1)],
    );
    // Where an Ack is a little shorter, the ration is enough for one to the asker, too.
    let mut sent = bench.sent();
    sent.retain(|it| it.kind == MessageKind::Ping);
    assert_eq!(sent.len(), 1, "{sent:?}");
    let ping = &sent[0];
    assert_eq!(
        (ping.kind, ping.to, ping.probe),
        (MessageKind::Ping, target.addr, SHOWN)
    );
    let forward_to = ping.other.as_ref().unwrap();
    assert_eq!(forward_to.id, asker.id);
    assert_eq!(
        forward_to.ip,
        Some(source.ip()),
        "filled in from the datagram"
    );
    assert_eq!(
        forward_to.swim_port,
        asker.addr.port(),
        "the port is the message's"
    );
    assert_eq!(ping.records[0].says(), (target.id, Health::Suspect, 6));
    assert_eq!(bench.health(&rumored), None);
}

/// Lifeguard's "nack", sent at once: so the asker knows that it was heard, whatever comes of it.
#[test]
fn who_asks_for_a_ping_hears_that_it_was_heard_if_it_knows_what_that_means() {
    let mut bench = Bench::new();
    let (ours, original, target) = (Peer::ours(1), Peer::original(2), Peer::ours(3));
    bench.meet(&[ours, original, target]);
    bench.prove(&ours, &[ours, original, target]);
    bench.prove(&original, &[ours, original, target]);
    for (asker, answers) in [(ours, 1), (original, 0)] {
        bench.feed(&asker, asker.ping_req(&target, SHOWN), &[]);
        let sent = bench.sent();
        assert_eq!(pings(&to(&target, &sent)).len(), 1);
        let heard = acks(&to(&asker, &sent));
        assert_eq!(heard.len(), answers);
        assert!(
            heard
                .iter()
                .all(|ack| ack.probe == SHOWN && ack.other.is_none())
        );
    }
}

#[test]
fn a_ping_req_about_someone_unknown_does_nothing_and_takes_nobody_in() {
    let mut bench = Bench::new();
    let (asker, target) = (Peer::ours(1), Peer::ours(2));
    bench.feed(&asker, asker.ping_req(&target, 1), &[]);
    assert_eq!(bench.sent(), []);
    assert_eq!((bench.health(&asker), bench.health(&target)), (None, None));
}

#[test]
fn an_ack_for_someone_else_goes_on_as_it_came_with_its_address_filled_in() {
    let mut bench = Bench::new();
    let (asker, target, other) = (Peer::ours(1), Peer::ours(2), Peer::ours(3));
    bench.meet(&[asker, target]);
    let accusers = [id(50), id(51)];
    let mut said = other.said(Health::Suspect, 4);
    said.accusers = accusers[..].into();
    let source = "203.0.113.9:777".parse().unwrap();
    let ack = target.ack_to(Some(asker.contact()), SHOWN);
    bench.feed_from(source, ack, &[asker.said(Health::Confirmed, 3), said]);
    let sent = bench.sent();
    assert_eq!(sent.len(), 1, "{sent:?}");
    let ack = &sent[0];
    assert_eq!((ack.kind, ack.to), (MessageKind::ForwardedAck, asker.addr));
    assert_eq!((ack.from.id, ack.from.ip), (target.id, Some(source.ip())));
    assert_eq!((ack.from.incarnation, ack.from.swim_port), (5, 9000));
    assert_eq!(ack.probe, SHOWN);
    assert_eq!(ack.other.as_ref().unwrap().id, asker.id);
    let said: Vec<_> = ack.records.iter().map(Record::says).collect();
    let expected = [
        (asker.id, Health::Confirmed, 3),
        (other.id, Health::Suspect, 4),
    ];
    assert_eq!(said, expected);
    assert_eq!(ack.records[1].accusers, accusers);
    assert_eq!(
        bench.health(&other),
        None,
        "its memberships are not the relay's"
    );
}

#[test]
fn a_forwarded_ack_is_a_sign_of_life_and_moves_nobody() {
    let mut bench = Bench::new();
    let (relay, target) = (Peer::ours(1), Peer::ours(2));
    bench.meet(&[relay]);
    let mut from = target.incarnated(9).from();
    from.address = Some("198.51.100.7".parse().unwrap());
    let ack = Message::Ack {
        from,
        forward_to: Some(bench.me().contact()),
        probe: 0,
        table: false,
        rumors: 0,
        reconcile: &[],
        starting: false,
    };
    bench.feed(&relay, ack, &[]);
    assert_eq!(bench.health(&target), None, "nor is anybody taken in");
    bench.meet(&[target]);
    bench.feed(&relay, relay.ping(0), &[target.said(Health::Suspect, 7)]);
    bench.feed(&relay, ack, &[]);
    let view = bench.node.member(target.id).unwrap();
    assert_eq!(view.member.swim_addr(), target.addr);
    assert_eq!(
        (view.health, view.member.incarnation.get()),
        (Health::Alive, 9)
    );
}

#[test]
fn a_probe_ping_raises_at_most_once_a_second_and_is_answered_each_time() {
    let mut bench = Bench::new();
    let peer = Peer::ours(1);
    bench.meet(&[peer]);
    let before = bench.me().incarnation;
    for _ in 0..3 {
        bench.feed(&peer, peer.probe_ping(), &[]);
    }
    let sent = acks(&bench.sent());
    assert_eq!(sent.len(), 3);
    assert!(sent.iter().all(|ack| ack.to == peer.addr));
    assert_eq!(sent[0].from.incarnation, before + 1);
    assert_eq!(bench.me().incarnation, before + 1);
    bench.advance_with_living(secs(1.1), &[peer]);
    bench.feed(&peer, peer.probe_ping(), &[]);
    assert_eq!(bench.me().incarnation, before + 2);
    let stranger = Peer::ours(2);
    bench.sent();
    bench.feed(&stranger, stranger.probe_ping(), &[]);
    bench.answer_question(&stranger);
    assert_eq!(bench.health(&stranger), Some(Health::Alive), "taken in");
}

#[test]
fn an_observer_is_answered_and_leaves_no_trace() {
    let mut watching = Peer::ours(1);
    watching.features |= feature::OBSERVER;
    let mut constant = Peer::original(2);
    constant.id = MemberId::OBSERVER;
    for observer in [watching, constant] {
        for departed in [false, true] {
            let observer = Peer {
                departed,
                ..observer
            };
            let mut bench = Bench::new();
            let before = bench.fingerprint();
            let rumored = Peer::ours(9);
            bench.feed(
                &observer,
                observer.ping(42),
                &[rumored.said(Health::Alive, 1)],
            );
            let sent = bench.sent();
            assert_eq!(sent.len(), 1, "{sent:?}");
            assert_eq!(
                (sent[0].kind, sent[0].to),
                (MessageKind::Ack, observer.addr)
            );
            assert_eq!((sent[0].probe, sent[0].records.len()), (42, 0));
            assert_eq!(bench.fingerprint(), before);
            let records = [rumored.said(Health::Alive, 1)];
            bench.feed(&observer, observer.ack(42), &records);
            assert_eq!(bench.fingerprint(), before, "after an Ack");
        }
    }
}

/// A blocked member's messages are ignored, but what goes between it and others passes.
#[test]
fn a_blocked_member_is_ignored_but_for_acks_that_are_passed_on() {
    let mut bench = Bench::new();
    let (blocked, other, rumored) = (Peer::ours(1), Peer::ours(2), Peer::ours(3));
    bench.meet(&[blocked, other]);
    bench.node.block(blocked.id).unwrap();
    let before = bench.fingerprint();
    let records = [rumored.said(Health::Alive, 1)];
    bench.feed(&blocked, blocked.incarnated(9).ping(1), &records);
    bench.feed(&blocked, blocked.incarnated(9).ack(1), &records);
    bench.feed(&blocked, blocked.ping_req(&other, 1), &[]);
    bench.feed(&blocked, blocked.probe_ping(), &[]);
    assert_eq!(bench.sent(), []);
    assert_eq!(bench.fingerprint(), before);
    bench.feed(&blocked, blocked.ack_to(Some(other.contact()), 1), &[]);
    assert_eq!(bench.sent().len(), 1, "passed on");
    let mut from = blocked.incarnated(9).from();
    from.address = Some(blocked.addr.ip());
    let forwarded = Message::Ack {
        from,
        forward_to: Some(bench.me().contact()),
        probe: 0,
        table: false,
        rumors: 0,
        reconcile: &[],
        starting: false,
    };
    bench.feed(&other, forwarded, &[]);
    assert_eq!(bench.held(&blocked), Some((Health::Alive, 9)));
    bench.feed(&other, other.ping_req(&blocked, 4), &[]);
    assert_eq!(
        pings(&bench.sent())[0].to,
        blocked.addr,
        "it may still be pinged"
    );
    assert!(bench.node.unblock(blocked.id));
    bench.feed(&blocked, blocked.ping(1), &[]);
    assert_eq!(acks(&bench.sent()).len(), 1);
}

/// Anybody may send a message with another's id, so only one that answers from there is told of.
#[test]
fn somebody_with_the_own_id_is_asked_and_told_of_once_it_answers() {
    let mut bench = Bench::new();
    let (me, twin) = (bench.me(), bench.me().at("203.0.113.9:9638"));
    let before = bench.fingerprint();
    let conflicts = |bench: &mut Bench| {
        let told = bench.events().into_iter().filter_map(|event| match event {
            Event::IdConflict { id, one, other, .. } => Some((id, one, other)),
            _ => None,
        });
        told.collect::<Vec<_>>()
    };
    bench.feed(&twin, twin.incarnated(90).ping(1), &[]);
    let sent = bench.sent();
    assert_eq!(to(&twin, &sent).len(), 2, "so that it is told, too");
    assert_eq!((acks(&sent)[0].probe, pings(&sent).len()), (1, 1));
    let question = pings(&sent)[0].probe;
    for _ in 0..5 {
        bench.feed(&twin, twin.ping(2), &[]);
        bench.feed(&twin, twin.ack(question + 1), &[]);
    }
    assert_eq!(pings(&bench.sent()), [], "once in a while");
    assert_eq!(conflicts(&mut bench), []);
    assert_eq!(bench.node.stats().id_conflicts, 0);
    assert_eq!(bench.fingerprint(), before);
    // From elsewhere, the number proves nothing.
    let elsewhere = twin.at("203.0.113.77:9638");
    bench.feed(&elsewhere, twin.ack(question), &[]);
    assert_eq!(conflicts(&mut bench), []);
    for _ in 0..3 {
        bench.feed(&twin, twin.ack(question), &[]);
    }
    assert_eq!(conflicts(&mut bench), [(me.id, me.addr, twin.addr)]);
    assert_eq!(bench.node.stats().id_conflicts, 3);
    assert_eq!(bench.fingerprint(), before);
}

/// A peer says that this member is where it is not: it asks who is there, at most once a period.
#[test]
fn a_member_that_is_said_to_be_elsewhere_asks_there() {
    let mut bench = Bench::new();
    let peer = Peer::ours(1);
    bench.meet(&[peer]);
    bench.prove(&peer, &[peer]);
    let stranger = Peer::ours(2);
    let (first, second) = (
        bench.me().at("203.0.113.1:9638"),
        bench.me().at("203.0.113.2:9638"),
    );
    bench.feed(&stranger, stranger.ping(0), &[first.said(Health::Alive, 3)]);
    assert_eq!(
        to(&first, &bench.sent()),
        [],
        "a stranger's word is not enough"
    );
    bench.feed(&peer, peer.ack(0), &[first.said(Health::Alive, 3)]);
    let asked = to(&first, &bench.sent());
    assert_eq!(asked.len(), 1);
    bench.feed(&peer, peer.ack(0), &[second.said(Health::Alive, 3)]);
    assert_eq!(to(&second, &bench.sent()), []);
    bench.feed(&first, first.ack(asked[0].probe), &[]);
    let told = bench.events();
    assert!(
        told.iter()
            .any(|event| matches!(event, Event::IdConflict { other, .. } if *other == first.addr)),
        "{told:?}"
    );
}

/// Records that were heard before are not read again, and all else is as if they were.
#[test]
fn records_that_say_nothing_new_count_and_excuse_nothing() {
    let mut bench = Bench::new();
    let all: Vec<_> = (1..=150).map(Peer::ours).collect();
    bench.meet(&all[..1]);
    let known: Vec<_> = all.iter().map(|peer| peer.said(Health::Alive, 5)).collect();
    for record in &known[1..] {
        bench.node.hear_membership(record).unwrap();
    }
    let before = bench.node.stats().records_received;
    bench.learn(&all[0], &known);
    for round in 1..=3 {
        bench.learn(&all[0], &known);
        let received = bench.node.stats().records_received - before;
        assert_eq!(received, (1 + round) * 150);
    }
    let raised = all[7].said(Health::Alive, 6);
    let records: Vec<_> = [known[3], raised, known[5]].into();
    bench.learn(&all[0], &records);
    assert_eq!(bench.held(&all[7]), Some((Health::Alive, 6)));
    bench.learn(&all[0], &known);
    assert_eq!(bench.held(&all[7]), Some((Health::Alive, 6)));
    // What is wrong with one of them drops the message, whatever is beside it.
    let newcomer = Peer::ours(999).said(Health::Alive, 1);
    let mut bad = bench.datagram(&all[0].ack(0), &[known[1], newcomer, known[2]]);
    let before = bench.fingerprint();
    let last = bad.len() - 1;
    bad[last] = 0xff;
    bench.node.handle_datagram(bench.now, all[0].addr, &mut bad);
    assert_eq!(bench.node.stats().rejected_total(), 1);
    assert_eq!(bench.fingerprint(), before);
}

/// Its pings can be sent again by others, and on a ring without a key forged.
#[test]
fn a_member_is_told_the_table_once_in_eight_periods() {
    let mut bench = Bench::new();
    let peers = [Peer::ours(1), Peer::ours(2), Peer::ours(3)];
    bench.meet(&peers);
    bench.prove(&peers[0], &peers);
    let told = |bench: &mut Bench, wait: f64| {
        bench.advance_with_living(secs(wait), &peers);
        bench.feed(&peers[0], peers[0].ping_with_digest(5, 1), &[]);
        let sent = bench.advance(secs(0.05));
        to(&peers[0], &sent).iter().filter(|it| it.table).count()
    };
    assert!(told(&mut bench, 0.0) > 0);
    for _ in 0..7 {
        assert_eq!(told(&mut bench, 0.9), 0);
    }
    assert!(told(&mut bench, 2.0) > 0);
}
