//! Tags, and whom rumors of kinds of our own go to: only to members that say that they take them.

use butterfly::error::Reject;
use butterfly::node::Node;
use butterfly::rumor::{Rumor, RumorId, RumorKind, TagSet, Tags};
use butterfly::wire::feature;
use butterfly::wire::reconcile::{Part, read_parts};
use butterfly::{Event, MemberId, Time};

use crate::support::pair::Pair;
use crate::support::rumors::{bytes_of, config, hash_of};
use crate::support::*;

fn set(pairs: &[(&str, &str)]) -> TagSet {
    let mut set = TagSet::new();
    for (key, value) in pairs {
        set.insert(*key, *value).unwrap();
    }
    set
}

fn tags(member: MemberId, incarnation: u64, pairs: &[(&str, &str)]) -> Rumor {
    Rumor::Tags(Tags::new(member, incarnation, set(pairs)))
}

/// The tags that a node holds of a member, and their incarnation.
fn held(node: &Node, member: MemberId) -> Option<(u64, Vec<(String, String)>)> {
    let view = node.tags(member)?;
    let pairs = view.iter().map(|(key, value)| (key.into(), value.into()));
    Some((view.incarnation, pairs.collect()))
}

fn own(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let pairs = pairs.iter();
    pairs
        .map(|(key, value)| (key.to_string(), value.to_string()))
        .collect()
}

/// One that takes all kinds.
fn takes_all(number: u32) -> Peer {
    let peer = Peer::ours(number);
    let features = peer.features | feature::OWN_KINDS;
    Peer { features, ..peer }
}

fn bench() -> Bench {
    let mut timing = plain();
    timing.gossip_interval = secs(0.05);
    Bench::timed(timing)
}

#[test]
fn tags_go_to_those_alone_that_take_them_however_few_they_are() {
    let mut bench = bench();
    let originals: Vec<_> = (1..60).map(Peer::original).collect();
    let older: Vec<_> = (60..70).map(Peer::ours).collect();
    let takers: Vec<_> = (70..72).map(takes_all).collect();
    let all = [&originals[..], &older, &takers].concat();
    bench.meet(&all);
    // What newcomers are told is over.
    bench.gossip_for(secs(20.0), &all, |_| true);
    let now = bench.now;
    bench.node.set_tags(now, set(&[("zone", "eu")])).unwrap();
    bench
        .node
        .apply_config(now, config("default", 1, "a"))
        .unwrap();
    // Long enough for everything that is told again, slowly.
    let pushed = bench.gossip_for(secs(200.0), &all, |_| true);
    let kinds = |peers: &[Peer], kind: RumorKind| {
        let is_to = |to| peers.iter().any(|peer| peer.pull() == to);
        let of_kind = |rumor: &Option<Rumor>| rumor.as_ref().is_some_and(|it| it.kind() == kind);
        let these = pushed
            .iter()
            .filter(|it| is_to(it.to) && of_kind(&it.rumor));
        let mut to: Vec<_> = these.map(|push| push.to).collect();
        to.sort();
        to.dedup();
        to.len()
    };
    assert_eq!(kinds(&takers, RumorKind::Tags), takers.len());
    assert_eq!(kinds(&older, RumorKind::Tags), 0);
    assert_eq!(kinds(&originals, RumorKind::Tags), 0);
    assert!(kinds(&originals, RumorKind::ServiceConfig) > 10);
}

#[test]
fn a_comparison_shows_each_peer_only_what_it_takes() {
    for (peer, takes) in [(Peer::ours(1), false), (takes_all(1), true)] {
        let mut bench = bench();
        bench.meet(&[peer]);
        bench.prove(&peer, &[peer]);
        let now = bench.now;
        bench.node.set_tags(now, set(&[("zone", "eu")])).unwrap();
        bench
            .node
            .apply_config(now, config("default", 1, "a"))
            .unwrap();
        bench.gossip_for(secs(20.0), &[peer], |_| true);
        let me = bench.node.id();
        let held = bench
            .node
            .rumor(&RumorId::tags(me))
            .unwrap()
            .rumor()
            .unwrap();
        let hash = hash_of(&held);
        bench.sent();
        let nothing = Part::All {
            first: 0,
            last: u64::MAX,
            hashes: vec![],
        };
        bench.feed(&peer, peer.compares(&bytes_of(&[nothing])), &[]);
        let said = to(&peer, &bench.sent());
        let parts = said
            .iter()
            .flat_map(|sent| read_parts(&sent.reconcile).unwrap());
        let offered: Vec<u64> = parts
            .filter_map(|part| match part {
                Part::Have(hashes) => Some(hashes),
                _ => None,
            })
            .flatten()
            .collect();
        assert_eq!(offered.len(), 1 + usize::from(takes));
        assert_eq!(offered.contains(&hash), takes);
        let wants = bytes_of(&[Part::Want(vec![hash])]);
        bench.feed(&peer, peer.compares(&wants), &[]);
        let pushed = bench.pushes(|_| true);
        let pushed: Vec<_> = pushed.into_iter().filter_map(|push| push.rumor).collect();
        assert_eq!(pushed, Vec::from_iter(takes.then_some(held)));
    }
}

/// Between two pushes it starts again as an older one, under the same id.
#[test]
fn what_waits_for_a_peer_is_not_sent_if_it_does_not_take_it_any_more() {
    let mut bench = bench();
    let peer = takes_all(1);
    bench.meet(&[peer]);
    let now = bench.now;
    bench.node.set_tags(now, set(&[("zone", "eu")])).unwrap();
    bench.node.handle_timeout(now);
    let older = Peer::ours(1).incarnated(6);
    bench.feed(&older, older.ping(0), &[]);
    assert_eq!(bench.pushes(|_| true), []);
    let peer = peer.incarnated(7);
    bench.feed(&peer, peer.ping(0), &[]);
    bench.node.set_tags(now, set(&[("zone", "us")])).unwrap();
    let pushed = bench.gossip_for(secs(1.0), &[peer], |_| true);
    assert_eq!(pushed.len(), 1);
}

#[test]
fn tags_of_others_are_held_by_their_incarnation_until_the_member_is_gone() {
    let mut bench = bench();
    let peer = takes_all(1);
    bench.meet(&[peer]);
    assert_eq!(held(&bench.node, peer.id), None);
    for (incarnation, pairs, expected) in [
        (5, &[("zone", "eu")][..], &[("zone", "eu")][..]),
        (4, &[("zone", "us")], &[("zone", "eu")]),
        (6, &[("a", "1"), ("b", "2")], &[("a", "1"), ("b", "2")]),
        (7, &[], &[]),
    ] {
        bench.hear(&tags(peer.id, incarnation, pairs), peer.id);
        assert_eq!(held(&bench.node, peer.id).unwrap().1, own(expected));
    }
    let told = bench.events();
    let changes = told
        .iter()
        .filter(|event| matches!(event, Event::TagsChanged { id, .. } if *id == peer.id));
    assert_eq!(changes.count(), 3);
    let gone = Peer {
        departed: true,
        ..peer
    }
    .incarnated(6);
    bench.feed(&gone, gone.ack(0), &[]);
    assert_eq!(held(&bench.node, peer.id), None);
    bench.hear(&tags(peer.id, 8, &[("zone", "eu")]), peer.id);
    assert_eq!(held(&bench.node, peer.id), None, "it left");
}

#[test]
fn whoever_says_something_newer_in_a_members_name_is_contradicted() {
    let mut bench = bench();
    let me = bench.node.id();
    let now = bench.now;
    bench.hear(&tags(me, 900, &[("forged", "")]), me);
    assert_eq!(
        held(&bench.node, me),
        Some((901, vec![])),
        "it never said anything"
    );
    bench.advance(secs(2.0));
    bench.node.set_tags(now, set(&[("zone", "eu")])).unwrap();
    assert_eq!(held(&bench.node, me), Some((902, own(&[("zone", "eu")]))));
    bench.hear(&tags(me, 901, &[("old", "")]), me);
    bench.hear(&tags(me, 950, &[("forged", "")]), me);
    assert_eq!(held(&bench.node, me), Some((951, own(&[("zone", "eu")]))));
    // Two with one id would never end.
    bench.hear(&tags(me, 960, &[("forged", "")]), me);
    assert_eq!(held(&bench.node, me).unwrap().0, 951);
    bench.advance(secs(2.0));
    bench.hear(&tags(me, 970, &[("zone", "eu")]), me);
    assert_eq!(held(&bench.node, me), Some((970, own(&[("zone", "eu")]))));
}

#[test]
fn tags_of_the_last_incarnation_cost_the_id_and_not_the_tags() {
    let mut bench = bench();
    let before = bench.node.id();
    let now = bench.now;
    bench.node.set_tags(now, set(&[("zone", "eu")])).unwrap();
    bench.hear(&tags(before, (1 << 62) - 1, &[("forged", "")]), before);
    bench.advance(secs(120.0));
    let me = bench.node.id();
    assert_ne!(me, before);
    assert_eq!(held(&bench.node, me).unwrap().1, own(&[("zone", "eu")]));
    assert_eq!(held(&bench.node, before), None);
    bench.hear(&tags(me, 1 << 62, &[]), me);
    assert_eq!(bench.node.stats().rejected(Reject::BadVersion), 1);
}

#[test]
fn a_member_that_starts_again_says_what_its_disk_held() {
    let mut bench = bench();
    let me = bench.node.id();
    let stored = butterfly::wire::encode_rumor(&tags(me, 40, &[("zone", "eu")]), "").bytes;
    bench.node.restore_rumor(&stored).unwrap();
    assert_eq!(held(&bench.node, me), Some((40, own(&[("zone", "eu")]))));
    bench.hear(&tags(me, 41, &[("zone", "forged")]), me);
    assert_eq!(held(&bench.node, me), Some((42, own(&[("zone", "eu")]))));
}

#[test]
fn two_that_differ_by_tags_alone_find_that_out_and_are_quiet_then() {
    let mut timing = plain();
    timing.drip = std::time::Duration::ZERO;
    let mut pair = Pair::new(timing, vec![]);
    let say = |node: &mut Node, now: Time| node.set_tags(now, set(&[("zone", "eu")])).unwrap();
    let now = pair.now;
    say(&mut pair.nodes[0], now);
    pair.run_for(secs(5.0));
    assert_eq!(pair.nodes[0].hot_rumors(), 0, "nobody is there to be told");
    pair.meet();
    assert!(pair.run_until_agreed(secs(10.0)).is_some());
    let of = pair.nodes[0].id();
    assert_eq!(held(&pair.nodes[1], of).unwrap().1, own(&[("zone", "eu")]));
    assert_eq!(pair.pushed, [1, 0]);
    pair.run_for(secs(2.0));
    let before = (pair.compared, pair.pushed);
    pair.run_for(secs(60.0));
    assert_eq!((pair.compared, pair.pushed), before);
}
