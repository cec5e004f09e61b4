//! Services and elections at one node whose ring has members of the original's kind: they write what they relay
//! anew, without fields that they do not know, and have election rules of their own (PROTOCOL.md §3).

use crate::support::rumors::{Pushed, group, service};
use crate::support::*;
use butterfly::rumor::{Election, ElectionStatus, Rumor, RumorId, RumorKind};
use butterfly::{Health, MemberId};

fn bench() -> Bench {
    let mut timing = plain();
    timing.gossip_interval = secs(0.05);
    timing.gossip_fanout = 5;
    timing.gossip_factor = 1.5;
    Bench::timed(timing)
}

fn election(
    candidate: MemberId,
    term: u64,
    suitability: u64,
    status: ElectionStatus,
    votes: &[MemberId],
) -> Election {
    let mut election = Election::new(group("default"), candidate);
    election.term = term;
    election.suitability = suitability;
    election.status = status;
    election.votes = votes.to_vec();
    election.votes.sort_unstable();
    election
}

/// A node in a group with these peers, which run the service too.
fn in_group(bench: &mut Bench, peers: &[Peer]) {
    bench.meet(peers);
    for peer in peers {
        bench.hear(&Rumor::Service(service(peer.id, "default", 1)), peer.id);
    }
    let now = bench.now;
    let mine = service(bench.node.id(), "default", 0);
    bench.node.announce(now, mine).unwrap();
    bench.gossip_for(secs(5.0), peers, |_| true);
}

/// What was said to this peer of the group's election.
fn elections_to(peer: &Peer, pushed: &[Pushed]) -> Vec<Election> {
    let said = pushed.iter().filter(|push| push.to == peer.pull());
    said.filter_map(|push| match &push.rumor {
        Some(Rumor::Election(election)) => Some(election.clone()),
        _ => None,
    })
    .collect()
}

fn held(bench: &Bench) -> Election {
    let held = bench.node.election(RumorKind::Election, &group("default"));
    held.expect("an election").election
}

/// The smaller and the larger id than the node's own.
const LOW: u32 = 1;
const HIGH: u32 = 2_000_000;

#[test]
fn a_withdrawn_service_is_withdrawn_for_originals_too_and_settles() {
    let mut bench = bench();
    let peer = Peer::original(LOW);
    in_group(&mut bench, &[peer]);
    let (now, me) = (bench.now, bench.node.id());
    assert_eq!(bench.node.withdraw(now, &group("default")), Ok(true));
    let id = RumorId::service(&group("default"), me);
    let withdrawn = bench.node.rumor(&id).and_then(|held| held.rumor());
    let Some(Rumor::Service(said)) = withdrawn.clone() else {
        panic!("{withdrawn:?}");
    };
    // As an original knows it: these fields, and no others.
    let mut relayed = service(me, "default", said.incarnation);
    relayed.initialized = said.initialized;
    relayed.pkg.clone_from(&said.pkg);
    relayed.cfg.clone_from(&said.cfg);
    relayed.sys = said.sys.clone();
    relayed.pkg_incarnation = said.pkg_incarnation;
    assert_eq!(relayed.pkg, "core/redis/4.0.14/withdrawn");
    for _ in 0..60 {
        bench.hear(&Rumor::Service(relayed.clone()), peer.id);
        bench.gossip_for(secs(3.0), &[peer], |_| true);
    }
    let now_held = bench.node.rumor(&id).and_then(|held| held.rumor());
    assert_eq!(now_held, withdrawn);
    let members: Vec<_> = bench.node.members_of(&group("default")).collect();
    assert_eq!(members, [peer.id]);
}

#[test]
fn who_withdrew_its_service_votes_and_does_not_stand() {
    let mut bench = bench();
    let (one, two) = (Peer::original(LOW), Peer::original(HIGH));
    in_group(&mut bench, &[one, two]);
    let (now, me) = (bench.now, bench.node.id());
    bench.node.withdraw(now, &group("default")).unwrap();
    bench.gossip_for(secs(5.0), &[one, two], |_| true);
    let stands = election(one.id, 0, 0, ElectionStatus::Running, &[one.id]);
    bench.hear(&Rumor::Election(stands), one.id);
    let pushed = bench.gossip_for(secs(1.0), &[one, two], |_| true);
    let voted = election(one.id, 0, 0, ElectionStatus::Running, &[one.id, me]);
    assert_eq!(held(&bench), voted);
    assert!(elections_to(&one, &pushed).contains(&voted), "{pushed:?}");
}

#[test]
fn an_original_that_led_and_comes_back_is_told_the_new_term_at_once() {
    let mut bench = bench();
    let (leader, other) = (Peer::original(HIGH), Peer::original(LOW));
    in_group(&mut bench, &[leader, other]);
    let me = bench.node.id();
    let all = [leader.id, other.id, me];
    let won = election(leader.id, 0, 7, ElectionStatus::Finished, &all);
    bench.hear(&Rumor::Election(won), leader.id);
    // It does not answer, and is believed dead: a term begins without it.
    bench.gossip_for(secs(30.0), &[other], |_| true);
    assert!(bench.health(&leader) >= Some(Health::Confirmed));
    assert_eq!(held(&bench).term, 1);
    bench.feed(&leader.incarnated(9), leader.ping(0), &[]);
    let pushed = bench.pushes(|_| true);
    let told = elections_to(&leader, &pushed);
    assert_eq!(
        told.iter().map(|it| it.term).collect::<Vec<_>>(),
        [1],
        "{pushed:?}"
    );
}

#[test]
fn a_deposed_leader_calls_the_originals_that_follow_it_to_the_new_term() {
    let mut bench = bench();
    let (follower, ours) = (Peer::original(LOW), Peer::ours(HIGH));
    in_group(&mut bench, &[follower, ours]);
    let me = bench.node.id();
    let all = [follower.id, ours.id, me];
    let mine = election(me, 0, 9, ElectionStatus::Finished, &all);
    bench.hear(&Rumor::Election(mine.clone()), me);
    let theirs = election(ours.id, 3, 1, ElectionStatus::Finished, &[ours.id]);
    bench.hear(&Rumor::Election(theirs.clone()), ours.id);
    let pushed = bench.gossip_for(secs(0.5), &[follower, ours], |_| true);
    assert_eq!(held(&bench), theirs);
    let call = election(me, 3, u64::MAX, ElectionStatus::Running, &[me]);
    let told = elections_to(&follower, &pushed);
    assert_eq!(told.iter().filter(|it| **it == call).count(), 1, "{told:?}");
    assert!(!elections_to(&ours, &pushed).contains(&call));
    // It is still followed, as that was lost.
    bench.gossip_for(secs(2.0), &[follower, ours], |_| true);
    bench.hear(&Rumor::Election(mine), me);
    let pushed = bench.gossip_for(secs(0.5), &[follower, ours], |_| true);
    assert!(elections_to(&follower, &pushed).contains(&call));
}

#[test]
fn a_leader_that_withdraws_its_service_calls_originals_to_elect_another() {
    let mut bench = bench();
    let (one, two) = (Peer::original(LOW), Peer::original(HIGH));
    in_group(&mut bench, &[one, two]);
    let me = bench.node.id();
    let mine = election(me, 0, 9, ElectionStatus::Finished, &[one.id, two.id, me]);
    bench.hear(&Rumor::Election(mine), me);
    let now = bench.now;
    bench.node.withdraw(now, &group("default")).unwrap();
    let pushed = bench.gossip_for(secs(2.0), &[one, two], |_| true);
    let call = election(me, 1, 0, ElectionStatus::Running, &[me]);
    for peer in [one, two] {
        assert!(elections_to(&peer, &pushed).contains(&call), "{pushed:?}");
    }
}

#[test]
fn a_service_announced_after_a_crash_is_newer_than_what_the_ring_remembers() {
    let announced = |incarnation_at_start: u64| {
        let mut config = config(plain());
        config.incarnation = incarnation(incarnation_at_start);
        config.reserved = incarnation(incarnation_at_start + 64);
        let mut bench = Bench::with(config);
        let (now, me) = (bench.now, bench.node.id());
        for _ in 0..5 {
            let mine = service(me, "default", 0);
            bench.node.announce(now, mine).unwrap();
        }
        let id = RumorId::service(&group("default"), me);
        bench.node.rumor(&id).unwrap().version
    };
    // The mark on disk is what it starts with after a crash; its snapshot is older than the changes.
    assert_eq!(announced(0), 5);
    assert_eq!(announced(64), 68);
    assert_eq!(announced(128), 132);
}

/// Four of all members are to tell a newcomer everything; where most are originals, which do not, ours do.
#[test]
fn duties_are_shared_by_ours_only() {
    let mut greeted = 0;
    for newcomer in 0..20 {
        let mut bench = bench();
        let originals: Vec<_> = (1..60).map(Peer::original).collect();
        bench.meet(&originals);
        bench.gossip_for(secs(90.0), &originals, |_| true);
        let config = crate::support::rumors::config("default", 1, "x");
        let now = bench.now;
        bench.node.apply_config(now, config.clone()).unwrap();
        bench.gossip_for(secs(10.0), &originals, |_| true);
        let newcomer = Peer::original(1_000 + newcomer);
        bench.meet(&[newcomer]);
        let living: Vec<_> = originals.iter().copied().chain([newcomer]).collect();
        let pushed = bench.gossip_for(secs(8.0), &living, |_| true);
        let told = pushed.iter().any(|push| {
            push.peer == newcomer.id && push.rumor == Some(Rumor::ServiceConfig(config.clone()))
        });
        greeted += usize::from(told);
    }
    assert_eq!(greeted, 20);
}
