//! Elections in simulated rings: one leader for each group and term, whatever happens to messages and members.

use std::collections::BTreeMap;
use std::time::Duration;

use butterfly::limits::MAX_TERM;
use butterfly::sim::{Index, Sim, SimConfig, id_of};
use butterfly::{
    CommandError, Election, ElectionStatus, Health, Incarnation, MemberId, Reject, Rumor,
    RumorKind, Service, ServiceGroup, wire,
};

const SEEDS: u64 = 20;

fn secs(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

fn group() -> ServiceGroup {
    "redis.default".parse().unwrap()
}

fn service(group: &ServiceGroup) -> Service {
    Service::new(group.clone(), "core/redis/7.0.0/20260101000000")
}

/// A settled ring, all members of it in the group.
fn ring(seed: u64, members: usize) -> Sim {
    let mut sim = Sim::new(SimConfig::new(seed));
    sim.start_ring(members);
    assert!(sim.run_until(secs(60.0), |sim| sim.all_agree()));
    (0..members).for_each(|member| announce(&mut sim, member, &group()));
    sim.run_for(secs(5.0));
    sim
}

fn announce(sim: &mut Sim, member: Index, group: &ServiceGroup) {
    sim.command(member, |node, now| {
        node.announce(now, service(group)).unwrap();
    });
}

fn start(sim: &mut Sim, member: Index, kind: RumorKind, group: &ServiceGroup, suitability: u64) {
    sim.command(member, |node, now| {
        node.start_election(now, kind, group, suitability).unwrap();
    });
}

/// All start an election in the same moment, as fit for it as their number.
fn start_all(sim: &mut Sim, members: usize) {
    for member in 0..members {
        start(sim, member, RumorKind::Election, &group(), member as u64);
    }
}

/// Who leads by the view of these members, if they agree; with the term.
fn leader_of(
    sim: &Sim,
    members: impl IntoIterator<Item = Index>,
    kind: RumorKind,
    group: &ServiceGroup,
) -> Option<(MemberId, u64)> {
    let mut agreed = None;
    for member in members {
        let view = sim.node(member).election(kind, group)?;
        let led = (view.leader()?, view.election.term);
        if *agreed.get_or_insert(led) != led {
            return None;
        }
    }
    agreed
}

fn leader(sim: &Sim) -> Option<(MemberId, u64)> {
    leader_of(sim, sim.up(), RumorKind::Election, &group())
}

fn elected(sim: &mut Sim, within: f64) -> (MemberId, u64) {
    let done = sim.run_until(secs(within), |sim| leader(sim).is_some());
    assert!(done, "no leader after {within} s: {}", told(sim));
    leader(sim).unwrap()
}

/// What each member holds, for a failure's message.
fn told(sim: &Sim) -> String {
    let all = sim.up().map(|member| {
        let view = sim.node(member).election(RumorKind::Election, &group());
        let view = view.map(|view| view.election).map(|it| {
            let candidate = it.candidate.to_string();
            let votes = it.votes.len();
            format!(
                "{} t{} {} {votes} votes",
                &candidate[28..],
                it.term,
                it.status
            )
        });
        format!("m{member}: {}\n", view.unwrap_or_default())
    });
    all.collect()
}

/// Quiet: all agree, nothing is hot, all hold the same, and no term was won by two.
fn assert_quiet(sim: &mut Sim) -> (MemberId, u64) {
    let quiet = |sim: &Sim| {
        let cold = sim.up().all(|member| sim.node(member).hot_rumors() == 0);
        cold && sim.same_rumors() && leader(sim).is_some() && sim.all_agree()
    };
    assert!(sim.run_until(secs(120.0), quiet), "{}", told(sim));
    let agreed = leader(sim).unwrap();
    sim.run_for(secs(20.0));
    assert!(quiet(sim), "not for good: {}", told(sim));
    assert_eq!(leader(sim), Some(agreed));
    agreed
}

/// Who won each term, by all events so far; nobody else may have.
fn assert_one_winner_each(sim: &mut Sim, members: usize) {
    let mut winners = BTreeMap::new();
    for member in 0..members {
        for (_, event) in sim.take_events(member) {
            if let butterfly::Event::LeaderElected {
                kind,
                group,
                leader,
                term,
                ..
            } = event
            {
                let key = (kind, group, term);
                assert_eq!(
                    *winners.entry(key.clone()).or_insert(leader),
                    leader,
                    "{key:?}"
                );
            }
        }
    }
    assert!(!winners.is_empty());
}

fn index_of(leader: MemberId) -> Index {
    (0..).find(|index| id_of(*index) == leader).unwrap()
}

#[test]
fn the_fittest_is_elected() {
    for members in [3, 5, 20] {
        let (mut worst, mut pushes) = (0.0_f64, 0);
        for seed in 0..SEEDS {
            let mut sim = ring(seed, members);
            let (begun, before) = (sim.now(), sim.pushes);
            start_all(&mut sim, members);
            assert_eq!(elected(&mut sim, 2.0), (id_of(members - 1), 0));
            worst = worst.max(sim.now().since(begun).as_secs_f64());
            assert_quiet(&mut sim);
            pushes = pushes.max(sim.pushes - before);
            assert_one_winner_each(&mut sim, members);
        }
        println!("{members} members: elected after at most {worst:.3} s, {pushes} pushes");
        assert!(worst < 0.5, "{worst}");
        assert!(pushes < 100 * members as u64, "{pushes}");
    }
}

#[test]
fn one_is_elected_though_messages_are_lost_and_late() {
    for members in [3, 5, 20] {
        let mut worst = 0.0_f64;
        for seed in 0..SEEDS {
            let mut sim = ring(seed, members);
            sim.network_mut().loss = 0.2;
            sim.network_mut().jitter = secs(0.02);
            let begun = sim.now();
            let others = 1 + seed as usize % members;
            for member in 0..others {
                let fit = (member as u64 * 7 + seed) % 3;
                start(&mut sim, member, RumorKind::Election, &group(), fit);
                sim.run_for(secs(0.01 * (seed % 5) as f64));
            }
            elected(&mut sim, 30.0);
            worst = worst.max(sim.now().since(begun).as_secs_f64());
            sim.network_mut().loss = 0.0;
            assert_quiet(&mut sim);
            assert_one_winner_each(&mut sim, members);
        }
        println!("{members} members, 20 % lost: elected after at most {worst:.3} s");
    }
}

#[test]
fn a_crashed_leader_is_replaced() {
    for members in [3, 5, 20] {
        let mut worst = 0.0_f64;
        for seed in 0..SEEDS {
            let mut sim = ring(seed, members);
            start_all(&mut sim, members);
            let (first, _) = elected(&mut sim, 2.0);
            sim.run_for(secs(2.0));
            sim.crash(index_of(first));
            let begun = sim.now();
            let another = |sim: &Sim| leader(sim).is_some_and(|(leader, _)| leader != first);
            assert!(sim.run_until(secs(30.0), another), "{}", told(&sim));
            worst = worst.max(sim.now().since(begun).as_secs_f64());
            sim.run_for(secs(20.0));
            assert_eq!(
                leader(&sim),
                Some((id_of(members - 2), 1)),
                "{}",
                told(&sim)
            );
            assert!(sim.same_rumors());
            assert_one_winner_each(&mut sim, members);
        }
        println!("{members} members: another leader at most {worst:.3} s after the crash");
        // Two periods for the probe, and a suspicion that nobody confirms lasts eight at most.
        assert!(worst < 12.0, "{worst}");
    }
}

#[test]
fn a_leader_that_leaves_or_ends_its_service_is_replaced() {
    for seed in 0..SEEDS {
        let mut sim = ring(seed, 5);
        start_all(&mut sim, 5);
        assert_eq!(elected(&mut sim, 2.0).0, id_of(4));
        sim.run_for(secs(1.0));
        sim.command(4, |node, now| {
            assert!(node.withdraw(now, &group()).unwrap())
        });
        let by = |index| move |sim: &Sim| leader(sim).is_some_and(|(it, _)| it == id_of(index));
        assert!(sim.run_until(secs(1.0), by(3)), "{}", told(&sim));
        sim.command(3, |node, now| node.leave(now));
        sim.run_for(secs(1.0));
        sim.crash(3);
        assert!(sim.run_until(secs(2.0), by(2)), "{}", told(&sim));
    }
}

/// The side with these members, and the others.
fn split(sim: &mut Sim, apart: &[Index]) {
    sim.partition(|member| u8::from(apart.contains(&member)));
}

fn status(sim: &Sim, member: Index) -> ElectionStatus {
    let view = sim.node(member).election(RumorKind::Election, &group());
    view.unwrap().election.status
}

#[test]
fn nobody_leads_a_group_whose_last_instance_withdrew_and_the_next_one_does() {
    for seed in 0..SEEDS {
        let mut sim = Sim::new(SimConfig::new(seed));
        sim.start_ring(4);
        assert!(sim.run_until(secs(60.0), |sim| sim.all_agree()));
        (0..2).for_each(|member| announce(&mut sim, member, &group()));
        sim.run_for(secs(3.0));
        start_all(&mut sim, 2);
        let (leader, term) = elected(&mut sim, 30.0);
        assert_eq!(leader, id_of(1), "seed {seed}");
        let withdraw = |sim: &mut Sim, member: Index| {
            sim.command(member, |node, now| {
                assert!(node.withdraw(now, &group()).unwrap())
            });
        };
        withdraw(&mut sim, 0);
        sim.run_for(secs(3.0));
        withdraw(&mut sim, 1);
        let leads = |sim: &Sim, member: Index| {
            let view = sim.node(member).election(RumorKind::Election, &group());
            view.and_then(|view| view.leader())
        };
        let nobody = |sim: &Sim| sim.up().all(|member| leads(sim, member).is_none());
        assert!(
            sim.run_until(secs(5.0), nobody),
            "seed {seed}: {}",
            told(&sim)
        );
        sim.run_for(secs(60.0));
        assert!(
            nobody(&sim) && sim.same_rumors(),
            "seed {seed}: {}",
            told(&sim)
        );
        // A newcomer hears that, too, and who joins the group leads it.
        let newcomer = sim.start();
        sim.join(newcomer, 3);
        sim.run_for(secs(10.0));
        assert_eq!(leads(&sim, newcomer), None, "seed {seed}");
        announce(&mut sim, newcomer, &group());
        let (leader, next) = elected(&mut sim, 30.0);
        assert!(leader == id_of(newcomer) && next > term, "seed {seed}");
    }
}

#[test]
fn in_a_split_the_side_with_quorum_elects_and_after_it_all_agree() {
    let (mut most_terms, mut worst) = (0, 0.0_f64);
    for seed in 0..SEEDS {
        // The leader, 4, is on the smaller side, or on the bigger.
        for (few, many) in [([3, 4], [0, 1, 2]), ([0, 1], [2, 3, 4])] {
            let mut sim = ring(seed, 5);
            start_all(&mut sim, 5);
            assert_eq!(elected(&mut sim, 2.0), (id_of(4), 0));
            sim.run_for(secs(2.0));
            split(&mut sim, &few);
            // The smaller side trusts itself less and less, and takes its time to Confirm three of five.
            sim.run_for(secs(30.0));
            let led = leader_of(&sim, many, RumorKind::Election, &group());
            let best = if many.contains(&4) { 4 } else { 2 };
            assert_eq!(led.unwrap().0, id_of(best), "{}", told(&sim));
            for member in few {
                assert_eq!(
                    status(&sim, member),
                    ElectionStatus::NoQuorum,
                    "{}",
                    told(&sim)
                );
            }
            sim.partition(|_| 0);
            let begun = sim.now();
            let agree = |sim: &Sim| leader(sim).is_some_and(|(it, _)| it == id_of(best));
            assert!(sim.run_until(secs(120.0), agree), "{}", told(&sim));
            worst = worst.max(sim.now().since(begun).as_secs_f64());
            let (it, term) = assert_quiet(&mut sim);
            assert_eq!(it, id_of(best));
            most_terms = most_terms.max(term);
            assert_one_winner_each(&mut sim, 5);
        }
    }
    println!("healed: agreed after at most {worst:.3} s, in term {most_terms} at most");
    assert!(most_terms <= 4, "{most_terms}");
}

#[test]
fn in_an_even_split_nobody_leads() {
    for seed in 0..SEEDS {
        let mut sim = ring(seed, 4);
        start_all(&mut sim, 4);
        elected(&mut sim, 2.0);
        sim.run_for(secs(2.0));
        split(&mut sim, &[0, 1]);
        sim.run_for(secs(20.0));
        for member in 0..4 {
            assert_eq!(
                status(&sim, member),
                ElectionStatus::NoQuorum,
                "{}",
                told(&sim)
            );
        }
        sim.partition(|_| 0);
        let (leader, _) = assert_quiet(&mut sim);
        // Who led goes on.
        assert_eq!(leader, id_of(3));
        assert_one_winner_each(&mut sim, 4);
    }
}

#[test]
fn a_member_cut_off_and_back() {
    for seed in 0..SEEDS {
        for apart in [0, 4] {
            let mut sim = ring(seed, 5);
            start_all(&mut sim, 5);
            elected(&mut sim, 2.0);
            sim.run_for(secs(2.0));
            split(&mut sim, &[apart]);
            sim.run_for(secs(15.0));
            sim.partition(|_| 0);
            let (leader, _) = assert_quiet(&mut sim);
            // A leader that was cut off was replaced; another's absence changes nothing.
            let expected = if apart == 4 { 3 } else { 4 };
            assert_eq!(leader, id_of(expected), "seed {seed}");
            assert_one_winner_each(&mut sim, 5);
        }
    }
}

#[test]
fn all_start_again_from_nothing() {
    for seed in 0..SEEDS {
        let mut sim = ring(seed, 5);
        start_all(&mut sim, 5);
        elected(&mut sim, 2.0);
        (0..5).for_each(|member| sim.crash(member));
        sim.run_for(secs(5.0));
        for member in 0..5 {
            sim.restart(member, Incarnation::new(9).unwrap());
            announce(&mut sim, member, &group());
            // Alone, each is the whole group.
            start(&mut sim, member, RumorKind::Election, &group(), 1);
        }
        for member in 1..5 {
            sim.join(member, 0);
        }
        assert_quiet(&mut sim);
    }
}

#[test]
fn groups_and_kinds_do_not_mix() {
    let other: ServiceGroup = "nginx.default".parse().unwrap();
    for seed in 0..SEEDS {
        let mut sim = ring(seed, 5);
        (0..3).for_each(|member| announce(&mut sim, member, &other));
        sim.run_for(secs(2.0));
        for member in 0..5 {
            let fit = member as u64;
            start(&mut sim, member, RumorKind::Election, &group(), fit);
            start(
                &mut sim,
                member,
                RumorKind::ElectionUpdate,
                &group(),
                9 - fit,
            );
        }
        (0..3).for_each(|it| start(&mut sim, it, RumorKind::Election, &other, 9 - it as u64));
        sim.command(4, |node, now| {
            let refused = node.start_election(now, RumorKind::Election, &other, 0);
            assert_eq!(refused, Err(CommandError::NotInGroup));
        });
        assert_quiet(&mut sim);
        let led = |kind, group: &ServiceGroup| {
            leader_of(&sim, 0..5, kind, group).map(|(leader, _)| leader)
        };
        assert_eq!(led(RumorKind::Election, &group()), Some(id_of(4)));
        // Suitability does not count in an update's.
        assert_eq!(led(RumorKind::ElectionUpdate, &group()), Some(id_of(4)));
        assert_eq!(led(RumorKind::Election, &other), Some(id_of(0)));
        sim.crash(4);
        sim.run_for(secs(15.0));
        let led = |kind, group: &ServiceGroup| leader_of(&sim, 0..4, kind, group);
        assert_eq!(
            led(RumorKind::ElectionUpdate, &group()),
            Some((id_of(3), 1))
        );
        assert_eq!(led(RumorKind::Election, &other), Some((id_of(0), 0)));
        assert_one_winner_each(&mut sim, 5);
    }
}

#[test]
fn an_election_that_is_heard_before_the_services_ends_too() {
    for seed in 0..SEEDS {
        let mut sim = ring(seed, 3);
        start_all(&mut sim, 3);
        assert_eq!(elected(&mut sim, 2.0).0, id_of(2));
        // A newcomer, fitter than all, changes nothing.
        let late = sim.start();
        sim.join(late, 0);
        announce(&mut sim, late, &group());
        assert!(sim.run_until(secs(10.0), |sim| leader(sim).is_some() && sim.all_agree()));
        start(&mut sim, late, RumorKind::Election, &group(), 100);
        assert_eq!(assert_quiet(&mut sim), (id_of(2), 0), "seed {seed}");
    }
}

#[test]
fn a_newcomer_takes_the_place_of_a_dead_member() {
    for seed in 0..SEEDS {
        let mut sim = ring(seed, 3);
        start_all(&mut sim, 3);
        elected(&mut sim, 2.0);
        sim.crash(1);
        sim.crash(2);
        sim.run_for(secs(30.0));
        assert_eq!(status(&sim, 0), ElectionStatus::NoQuorum);
        let late = sim.start();
        sim.join(late, 0);
        sim.run_for(secs(3.0));
        announce(&mut sim, late, &group());
        let (it, _) = elected(&mut sim, 10.0);
        assert!([0, late].contains(&index_of(it)));
        assert_eq!(sim.view(0, 1), Some(Health::Departed));
        assert_eq!(sim.view(0, 2), Some(Health::Confirmed));
    }
}

#[test]
fn whatever_happened_all_agree_once_it_is_quiet() {
    let mut most = 0;
    for seed in 0..2 * SEEDS {
        // The last three are in no group: they pass on.
        let mut sim = Sim::new(SimConfig::new(seed));
        sim.start_ring(8);
        assert!(sim.run_until(secs(60.0), Sim::all_agree));
        (0..5).for_each(|member| announce(&mut sim, member, &group()));
        sim.run_for(secs(1.0));
        let mut dice = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut roll = |sides: u64| {
            dice ^= dice << 13;
            dice ^= dice >> 7;
            dice ^= dice << 17;
            dice % sides
        };
        sim.network_mut().loss = 0.1;
        for _ in 0..8 {
            let sides = roll(256);
            sim.partition(|member| (sides >> member & 1) as u8);
            let fit = roll(3);
            start(
                &mut sim,
                roll(5) as Index,
                RumorKind::Election,
                &group(),
                fit,
            );
            sim.run_for(secs(roll(80) as f64 / 10.0));
        }
        sim.partition(|_| 0);
        sim.network_mut().loss = 0.0;
        let (_, term) = assert_quiet(&mut sim);
        most = most.max(term);
    }
    println!("after 8 splits: term {most} at most");
    assert!(most < 30, "{most}");
}

/// A rumor of this election is pushed to a member by a stranger.
fn push(sim: &mut Sim, member: Index, election: &Election) {
    let rumor = Rumor::Election(election.clone());
    let bytes = wire::encode_rumor(&rumor, "nobody").bytes;
    sim.command(member, |node, now| {
        let mut frame = Vec::new();
        wire::seal_into(None, &bytes, &mut frame);
        node.handle_rumor(now, &mut frame, || "10.9.9.9:0".parse().unwrap());
    });
}

/// That candidate has won, in that term.
fn won(candidate: MemberId, term: u64) -> Election {
    let mut election = Election::new(group(), candidate);
    (election.term, election.suitability) = (term, u64::MAX);
    election.status = ElectionStatus::Finished;
    election
}

/// The group has a leader, then strangers make one up, in the last terms there are and beyond: it leads nobody, and is
/// forgotten.
#[test]
fn a_candidate_that_nobody_knows_leads_nobody() {
    let phantom = MemberId::from_bytes([0xff; 16]);
    for seed in 0..5 {
        let mut sim = ring(seed, 5);
        sim.start();
        sim.join(5, 0);
        start_all(&mut sim, 5);
        let led = elected(&mut sim, 10.0);
        for term in [MAX_TERM - 1, MAX_TERM, MAX_TERM + 1, u64::MAX] {
            (0..6).for_each(|member| push(&mut sim, member, &won(phantom, term)));
        }
        let waiting = |sim: &Sim, member: Index| {
            let gauge = sim
                .node(member)
                .sizes()
                .find(|gauge| gauge.name == "candidates");
            gauge.unwrap().now
        };
        assert!(
            (0..6).all(|member| waiting(&sim, member) == 1),
            "one, of one candidate"
        );
        for _ in 0..100 {
            sim.run_for(secs(0.1));
            assert_eq!(leader(&sim), Some(led), "seed {seed}: {}", told(&sim));
        }
        for member in 0..6 {
            assert_eq!(waiting(&sim, member), 0);
            let stats = sim.node(member).stats();
            assert_eq!(stats.rejected(Reject::BadVersion), 2);
            assert_eq!(stats.rejected(Reject::UnknownCandidate), 1);
        }
        assert_eq!(assert_quiet(&mut sim), led);
        // It goes on as if nothing had been.
        sim.crash(index_of(led.0));
        let another = |sim: &Sim| leader(sim).is_some_and(|next| next != led);
        assert!(
            sim.run_until(secs(60.0), another),
            "seed {seed}: {}",
            told(&sim)
        );
        assert!(leader(&sim).unwrap().1 < 10);
    }
}

/// One that runs the service is followed in whatever term, and when it is gone, the group begins anew.
#[test]
fn after_the_last_term_a_group_begins_anew() {
    for seed in 0..5 {
        let mut sim = ring(seed, 6);
        start_all(&mut sim, 5);
        elected(&mut sim, 10.0);
        push(&mut sim, 0, &won(id_of(1), MAX_TERM));
        sim.run_for(secs(2.0));
        assert_eq!(leader(&sim), Some((id_of(1), MAX_TERM)));
        sim.crash(1);
        let another = |sim: &Sim| leader(sim).is_some_and(|(leader, _)| leader != id_of(1));
        assert!(
            sim.run_until(secs(60.0), another),
            "seed {seed}: {}",
            told(&sim)
        );
        let (leader, term) = assert_quiet(&mut sim);
        assert!(leader != id_of(1) && term < 10, "{leader} in term {term}");
    }
}

/// A newcomer may hear of an election before it hears of the services: it follows once it knows the candidate.
#[test]
fn a_candidate_whose_service_comes_later_is_followed_then() {
    let mut sim = ring(7, 4);
    sim.crash(3);
    let newcomer = 3;
    start_all(&mut sim, 3);
    sim.run_for(secs(5.0));
    sim.restart(newcomer, Incarnation::new(9).unwrap());
    let election = sim
        .node(0)
        .election(RumorKind::Election, &group())
        .unwrap()
        .election;
    push(&mut sim, newcomer, &election);
    assert_eq!(
        sim.node(newcomer).election(RumorKind::Election, &group()),
        None
    );
    sim.join(newcomer, 0);
    let knows = |sim: &Sim| {
        let view = sim.node(newcomer).election(RumorKind::Election, &group());
        view.and_then(|view| view.leader()) == Some(election.candidate)
    };
    assert!(sim.run_until(secs(10.0), knows));
}

/// All of a group are gone, its leader too: what others hold of its election goes, so that nobody is taught it.
#[test]
fn an_election_without_a_group_is_forgotten_by_all() {
    let mut sim = Sim::new(SimConfig::new(9));
    sim.start_ring(5);
    assert!(sim.run_until(secs(60.0), |sim| sim.all_agree()));
    announce(&mut sim, 0, &group());
    sim.run_for(secs(2.0));
    start(&mut sim, 0, RumorKind::Election, &group(), 0);
    sim.run_for(secs(2.0));
    assert_eq!(leader(&sim), Some((id_of(0), 0)));
    sim.command(0, |node, now| node.leave(now));
    sim.run_for(secs(5.0));
    sim.crash(0);
    sim.run_for(secs(300.0));
    let none = |member: Index| {
        sim.node(member)
            .election(RumorKind::Election, &group())
            .is_none()
    };
    assert!((1..5).all(none), "{}", told(&sim));
    assert!(sim.same_rumors());
}

/// Each of two members knows the other as the last leader, as one of them restarted and did not hear of its own term; a
/// third calls a new one. A new term waits for the vote of the leader that lives, but not for ever.
#[test]
fn two_that_each_hold_the_other_for_the_leader_do_not_wait_for_each_other() {
    for seed in 0..SEEDS {
        let mut sim = ring(seed, 3);
        sim.partition(|member| member as u8);
        push(&mut sim, 0, &won(id_of(1), 6));
        push(&mut sim, 1, &won(id_of(0), 5));
        let mut called = won(id_of(2), 7);
        called.status = ElectionStatus::Running;
        for member in 0..3 {
            push(&mut sim, member, &called);
        }
        split(&mut sim, &[]);
        elected(&mut sim, 60.0);
        let (_, term) = assert_quiet(&mut sim);
        assert_eq!(term, 7);
        assert_one_winner_each(&mut sim, 3);
    }
}
