//! Members that others speak of: who is asked, who is believed, and who is forgotten.

use crate::support::*;
use butterfly::Health;
use butterfly::limits::{DATAGRAM_HEADERS, MAX_UNVOUCHED, STRANGER_AMPLIFICATION};
use butterfly::wire::{MembershipRecord, Message, feature};

/// A ring of this many that proved their addresses.
fn ring(count: u32) -> (Bench, Vec<Peer>) {
    let all: Vec<_> = (1..=count).map(Peer::ours).collect();
    let mut bench = Bench::new();
    bench.meet(&all);
    bench.advance_with_living(secs(60.0), &all);
    (bench, all)
}

/// A ring of six that compares its tables, by now once a minute.
fn comparing_ring() -> (Bench, Vec<Peer>) {
    let all: Vec<_> = (1..=5).map(Peer::ours).collect();
    let mut timing = plain();
    timing.sync_max = secs(60.0);
    let mut bench = Bench::timed(timing);
    bench.meet(&all);
    bench.advance_with_living(secs(300.0), &all);
    (bench, all)
}

/// The head of an Ack that brings a part of this peer's table.
fn table(peer: &Peer) -> Message<'static> {
    Message::Ack {
        from: peer.from(),
        forward_to: None,
        probe: 0,
        table: true,
        rumors: 0,
        reconcile: &[],
        starting: false,
    }
}

/// Members that nobody ever heard of, each at an address of its own.
fn made_up(count: u32, health: Health) -> Vec<MembershipRecord<'static>> {
    let numbers = 5_000..5_000 + count;
    numbers
        .map(|number| Peer::ours(number).said(health, 1))
        .collect()
}

fn wire_bytes(sent: &[Sent]) -> usize {
    sent.iter().map(|sent| sent.bytes + DATAGRAM_HEADERS).sum()
}

/// What went anywhere but to these.
fn elsewhere(all: &[Peer], sent: &[Sent]) -> Vec<Sent> {
    let known = |sent: &&Sent| all.iter().any(|peer| peer.addr == sent.to);
    sent.iter().filter(|sent| !known(sent)).cloned().collect()
}

#[test]
fn what_a_stranger_says_of_others_is_no_reason_to_ask_or_to_hold_anybody() {
    for peer in [Peer::ours(900), Peer::original(900)] {
        let (mut bench, all) = ring(5);
        let mut bytes = 0;
        for health in Health::ALL {
            let records = made_up(969, health);
            bytes += bench.feed(&peer, peer.ping(1), &records) + DATAGRAM_HEADERS;
        }
        let sent = bench.advance_with_living(secs(60.0), &all);
        let strayed = elsewhere(&all, &sent);
        assert!(
            strayed.iter().all(|sent| sent.to == peer.addr),
            "{strayed:?}"
        );
        assert!(wire_bytes(&strayed) <= STRANGER_AMPLIFICATION * bytes);
        assert_eq!(bench.node.members().count(), 6);
    }
}

#[test]
fn a_stranger_gets_an_answer_and_a_question_and_is_forgotten() {
    for peer in [Peer::ours(900), Peer::original(900)] {
        let (mut bench, all) = ring(5);
        let bytes = bench.feed(&peer, peer.ping(1), &[]) + DATAGRAM_HEADERS;
        let sent = elsewhere(&all, &bench.advance_with_living(secs(60.0), &all));
        assert_eq!(
            (acks(&sent).len(), pings(&sent).len(), sent.len()),
            (1, 1, 2)
        );
        assert!(wire_bytes(&sent) <= STRANGER_AMPLIFICATION * bytes);
        assert_eq!((bench.node.news(), bench.health(&peer)), (0, None));
    }
}

#[test]
fn an_unknown_member_that_is_reported_dead_is_never_held() {
    let (mut bench, all) = ring(5);
    for health in [Health::Confirmed, Health::Departed] {
        for informant in &all {
            bench.feed(informant, informant.ack(0), &made_up(100, health));
        }
    }
    let sent = bench.advance_with_living(secs(60.0), &all);
    assert_eq!(elsewhere(&all, &sent), []);
    assert_eq!(bench.node.members().count(), 6);
}

#[test]
fn who_is_vouched_for_by_one_is_asked_and_held_once_it_answers() {
    let (mut bench, all) = ring(5);
    let newcomer = Peer::ours(900);
    bench.feed(&all[0], all[0].ack(0), &[newcomer.said(Health::Alive, 5)]);
    assert_eq!(bench.health(&newcomer), None);
    bench.answer_question(&newcomer);
    assert_eq!(bench.held(&newcomer), Some((Health::Alive, 5)));
    assert_eq!(bench.node.news(), 1, "it is told on");
}

#[test]
fn who_is_vouched_for_by_two_is_held() {
    let (mut bench, all) = ring(5);
    let record = [Peer::ours(900).said(Health::Alive, 5)];
    for _ in 0..3 {
        bench.feed(&all[0], all[0].ack(0), &record);
        assert_eq!(bench.health(&Peer::ours(900)), None);
    }
    assert_eq!(bench.sent().len(), 1, "asked once");
    // Another member at the same address is no other witness.
    let twin = Peer::ours(901).at(&format!("{}:7777", all[0].addr.ip()));
    bench.meet(&[twin]);
    bench.feed(&twin, twin.ack(0), &record);
    assert_eq!(bench.health(&Peer::ours(900)), None);
    bench.feed(&all[1], all[1].ack(0), &record);
    assert_eq!(bench.health(&Peer::ours(900)), Some(Health::Alive));
}

#[test]
fn whom_only_one_table_names_another_is_asked_about_soon() {
    let (mut bench, all) = comparing_ring();
    // More than are asked on the word of one.
    let newcomers = made_up(MAX_UNVOUCHED as u32 + 10, Health::Alive);
    for some in newcomers.chunks(20) {
        bench.feed(&all[0], table(&all[0]), some);
    }
    let soon = bench.advance_with_living(secs(0.5), &all);
    let asked: Vec<_> = pings(&soon)
        .into_iter()
        .filter(|ping| ping.digest != 0)
        .collect();
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert_ne!(asked[0].to, all[0].addr, "rather another");
    for some in newcomers.chunks(20) {
        bench.feed(&all[1], table(&all[1]), some);
    }
    assert_eq!(bench.node.members().count(), 6 + newcomers.len());
}

/// A comparison has whoever knows another set tell its table, which takes many times the bytes of what brought it about.
#[test]
fn nobody_has_others_compare_all_the_time_by_members_that_it_makes_up() {
    let (mut bench, all) = comparing_ring();
    let mut compared = 0;
    for some in made_up(6_000, Health::Alive).chunks(20) {
        bench.feed(&all[0], table(&all[0]), some);
        let sent = bench.advance_with_living(secs(0.1), &all);
        compared += pings(&sent).iter().filter(|ping| ping.digest != 0).count();
    }
    // In 30 periods, one in four, and one of those that come of themselves.
    assert!(compared <= 9, "{compared}");
}

#[test]
fn two_that_speak_of_other_addresses_do_not_vouch_for_the_same() {
    let (mut bench, all) = ring(5);
    let newcomer = Peer::ours(900);
    let there = newcomer.at("203.0.113.9:9000");
    bench.feed(&all[0], all[0].ack(0), &[newcomer.said(Health::Alive, 5)]);
    bench.feed(&all[1], all[1].ack(0), &[there.said(Health::Alive, 5)]);
    assert_eq!(bench.health(&newcomer), None);
}

/// However often they are told, and from whatever ports.
#[test]
fn so_many_that_nobody_else_vouches_for_are_asked_on_the_word_of_one() {
    let (mut bench, all) = ring(5);
    let mut bytes = 0;
    for _ in 0..20 {
        let records = made_up(969, Health::Alive);
        bytes += bench.feed(&all[0], all[0].ack(0), &records) + DATAGRAM_HEADERS;
    }
    let sent = elsewhere(&all, &bench.sent());
    assert_eq!(sent.len(), MAX_UNVOUCHED);
    assert!(wire_bytes(&sent) <= STRANGER_AMPLIFICATION * bytes);
    let sent = bench.advance_with_living(secs(60.0), &all);
    assert_eq!(elsewhere(&all, &sent), []);
    assert_eq!(bench.node.members().count(), 6);
    // Another is listened to.
    bench.feed(
        &all[1],
        all[1].ack(0),
        &[Peer::ours(900).said(Health::Alive, 5)],
    );
    bench.answer_question(&Peer::ours(900));
    assert_eq!(bench.health(&Peer::ours(900)), Some(Health::Alive));
}

#[test]
fn a_question_is_no_longer_than_three_times_the_record_that_provoked_it() {
    let mut settings = config(plain());
    settings.name = "a name that takes all of its room".to_owned();
    let mut bench = Bench::with(settings);
    let all = [Peer::ours(1)];
    bench.meet(&all);
    let mut short = Peer::ours(900).at("1.1.1.1:1");
    short.gossip_port = 1;
    let bare = bench.datagram(&all[0].ack(0), &[]).len();
    let with = bench.feed(&all[0], all[0].ack(0), &[short.said(Health::Alive, 0)]);
    let sent = bench.sent();
    assert_eq!(sent.len(), 1);
    assert!(wire_bytes(&sent) <= STRANGER_AMPLIFICATION * (with - bare));
}

/// It tells on whatever it hears.
#[test]
fn an_originals_word_has_a_few_members_ask_once() {
    let (mut bench, all) = ring(40);
    let original = Peer::original(700);
    bench.meet(&[original]);
    for _ in 0..20 {
        bench.feed(&original, original.ack(0), &made_up(300, Health::Alive));
    }
    let asked = bench.sent().len();
    // Each with a probability of 4 in 42.
    assert!((5..=MAX_UNVOUCHED).contains(&asked), "{asked}");
    assert_eq!(bench.node.members().count(), 42);
    // Nor is anybody believed as the second who says so.
    let record = made_up(1, Health::Alive);
    bench.feed(&all[0], all[0].ack(0), &record);
    assert_eq!(bench.node.members().count(), 42);
}

#[test]
fn originals_are_learned_of_from_each_other() {
    let (mut bench, _) = ring(2);
    let (original, other) = (Peer::original(700), Peer::original(701));
    bench.meet(&[original]);
    bench.feed(&original, original.ack(0), &[other.said(Health::Alive, 5)]);
    bench.answer_question(&other);
    assert_eq!(bench.health(&other), None, "its Ack brings no number back");
    bench.answer_question(&other);
    assert_eq!(bench.held(&other), Some((Health::Alive, 5)));
}

/// What our older releases say is taken as what originals say: they tell on whatever they hear.
#[test]
fn who_does_not_vouch_is_not_believed() {
    let (mut bench, all) = ring(5);
    let record = made_up(1, Health::Alive);
    for old in &all {
        let old = Peer {
            features: feature::EXTENSIONS,
            ..*old
        };
        bench.feed(&old, old.ack(0), &record);
    }
    assert_eq!(bench.node.members().count(), 6);
}

#[test]
fn a_member_moves_once_it_answers_from_there_or_two_vouch_for_it() {
    let there = Peer::ours(1).at("203.0.113.9:9000").incarnated(6);
    let addr = |bench: &Bench| bench.node.member(there.id).unwrap().member.swim_addr();
    let (mut bench, all) = ring(5);
    for message in [there.ping(1), there.ack(0), there.probe_ping()] {
        bench.feed(&there, message, &[]);
        assert_eq!(addr(&bench), all[0].addr);
    }
    bench.answer_question(&there);
    assert_eq!(addr(&bench), there.addr);
    assert_eq!(bench.held(&there), Some((Health::Alive, 6)));
    let (mut bench, all) = ring(5);
    let record = [there.said(Health::Alive, 6)];
    bench.feed(&all[1], all[1].ack(0), &record);
    assert_eq!(addr(&bench), all[0].addr);
    bench.feed(&all[2], all[2].ack(0), &record);
    assert_eq!(addr(&bench), there.addr);
}

#[test]
fn nobody_has_a_member_moved_by_reporting_it_dead_elsewhere() {
    let (mut bench, all) = ring(5);
    let there = all[0].at("203.0.113.9:9000");
    let mut left = there.said(Health::Departed, 6);
    left.member.departed = true;
    bench.feed(&all[1], all[1].ack(0), &[left]);
    let member = bench.node.member(all[0].id).unwrap().member;
    assert_eq!((member.swim_addr(), member.departed), (all[0].addr, true));
}

/// What was said is forgotten, so that a question that was lost is asked again.
#[test]
fn who_did_not_answer_is_asked_again_some_periods_later() {
    let (mut bench, all) = ring(5);
    let record = [Peer::ours(900).said(Health::Alive, 5)];
    let mut asked = 0;
    for _ in 0..100 {
        bench.feed(&all[0], all[0].ack(0), &record);
        let sent = bench.advance_with_living(secs(0.1), &all);
        asked += to(&Peer::ours(900), &sent).len();
    }
    assert!((3..=4).contains(&asked), "{asked}");
    let unproved = |bench: &Bench| {
        let mut sizes = bench.node.sizes();
        sizes.find(|size| size.name == "unproved").unwrap().now
    };
    assert_eq!(unproved(&bench), 1);
    bench.advance_with_living(secs(10.0), &all);
    assert_eq!(unproved(&bench), 0);
}
