//! Rings of the same nodes as in production, on a virtual network and clock.

use std::time::Duration;

use butterfly::sim::{Fault, Sim, SimConfig};
use butterfly::{Cause, Event, Health, Incarnation, Timing};

const SEEDS: u64 = 20;

fn ring(seed: u64, members: usize, timing: Timing) -> (Sim, Vec<usize>) {
    let mut config = SimConfig::new(seed);
    config.timing = timing;
    let mut sim = Sim::new(config);
    let members = sim.start_ring(members);
    (sim, members)
}

#[test]
fn everyone_learns_of_everyone() {
    for members in [2, 10, 60] {
        for seed in 0..SEEDS {
            let (mut sim, _) = ring(seed, members, Timing::lan());
            let agreed = sim.run_until(Duration::from_secs(20), Sim::all_agree);
            assert!(agreed, "{members} members, seed {seed}");
            println!("{members} members, seed {seed}: {}", sim.now());
        }
    }
}

#[test]
fn a_crash_is_confirmed_everywhere_and_nobody_else() {
    for members in [3, 10, 60] {
        for seed in 0..SEEDS {
            let (mut sim, ids) = ring(seed, members, Timing::lan());
            assert!(sim.run_until(Duration::from_secs(20), Sim::all_agree));
            let victim = ids[seed as usize % members];
            let start = sim.now();
            sim.crash(victim);
            let confirmed = sim.run_until(Duration::from_secs(60), |sim| {
                sim.all_hold(victim, Health::Confirmed)
            });
            assert!(confirmed, "{members} members, seed {seed}");
            println!(
                "{members} members, seed {seed}: {:?}",
                sim.now().since(start)
            );
            assert!(
                sim.all_agree(),
                "{members} members, seed {seed}: somebody else was accused"
            );
        }
    }
}

#[test]
fn nobody_is_falsely_confirmed_without_loss() {
    for seed in 0..SEEDS {
        let (mut sim, members) = ring(seed, 20, Timing::lan());
        sim.run_for(Duration::from_secs(600));
        assert!(sim.all_agree());
        for member in members {
            for (time, event) in sim.take_events(member) {
                if let Event::MemberChanged { id, to, .. } = event {
                    assert!(
                        to == Health::Alive,
                        "seed {seed}, {time}: {member} holds {id} {to}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_run_replays_byte_for_byte_from_its_seed() {
    let run = |seed| {
        let (mut sim, members) = ring(seed, 12, Timing::lan());
        sim.network_mut().loss = 0.1;
        sim.run_for(Duration::from_secs(20));
        sim.crash(members[3]);
        sim.run_for(Duration::from_secs(40));
        (sim.trace_hash(), sim.datagrams, sim.lost)
    };
    for seed in 0..5 {
        assert_eq!(run(seed), run(seed));
    }
    assert_ne!(run(1).0, run(2).0);
}

#[test]
fn halves_without_persistent_members_find_each_other_again() {
    for seed in 0..SEEDS {
        let (mut sim, _) = ring(seed, 20, Timing::lan());
        assert!(sim.run_until(Duration::from_secs(20), Sim::all_agree));
        sim.partition(|member| u8::from(member % 2 == 0));
        sim.run_for(Duration::from_secs(300));
        for of in 0..20 {
            for about in (0..20).filter(|about| about % 2 != of % 2) {
                assert_eq!(sim.view(of, about), Some(Health::Confirmed), "seed {seed}");
            }
        }
        sim.partition(|_| 0);
        let start = sim.now();
        let healed = sim.run_until(Duration::from_secs(120), Sim::all_agree);
        assert!(healed, "seed {seed}");
        println!("seed {seed}: healed in {:?}", sim.now().since(start));
    }
}

#[test]
fn who_restarts_without_its_disk_wins_back_its_id() {
    for seed in 0..SEEDS {
        let (mut sim, members) = ring(seed, 10, Timing::lan());
        assert!(sim.run_until(Duration::from_secs(20), Sim::all_agree));
        sim.crash(members[4]);
        assert!(sim.run_until(Duration::from_secs(60), |sim| {
            sim.all_hold(4, Health::Confirmed)
        }));
        sim.restart(members[4], Incarnation::ZERO);
        sim.join(members[4], members[0]);
        assert!(
            sim.run_until(Duration::from_secs(20), Sim::all_agree),
            "seed {seed}"
        );
    }
}

#[test]
fn who_leaves_is_departed_everywhere_and_stays_so() {
    for seed in 0..SEEDS {
        let (mut sim, members) = ring(seed, 10, Timing::lan());
        assert!(sim.run_until(Duration::from_secs(20), Sim::all_agree));
        sim.command(members[4], |node, now| node.leave(now));
        sim.run_for(Duration::from_secs(2));
        let left = sim
            .take_events(members[4])
            .into_iter()
            .any(|(_, event)| event == Event::Left);
        assert!(left, "seed {seed}");
        sim.crash(members[4]);
        let start = sim.now();
        assert!(
            sim.run_until(Duration::from_secs(10), |sim| sim
                .all_hold(4, Health::Departed)),
            "seed {seed}"
        );
        println!("seed {seed}: {:?}", sim.now().since(start));
        sim.run_for(Duration::from_secs(60));
        assert!(sim.all_hold(4, Health::Departed), "seed {seed}");
    }
}

/// It goes on working, and asks; but nobody hears it and it hears nobody.
#[test]
fn what_a_stalled_member_sends_and_is_sent_waits_until_it_is_not() {
    let (mut sim, members) = ring(1, 10, Timing::lan());
    assert!(sim.run_until(Duration::from_secs(20), Sim::all_agree));
    let heard = |sim: &Sim| sim.node(members[2]).stats().received_total();
    sim.stall(members[2]);
    let (before, probes) = (heard(&sim), sim.node(members[2]).stats().probes);
    let suspected = |sim: &Sim| sim.view(members[3], members[2]) == Some(Health::Suspect);
    assert!(sim.run_until(Duration::from_secs(5), suspected));
    assert_eq!(heard(&sim), before);
    assert!(sim.node(members[2]).stats().probes > probes);
    sim.unstall(members[2]);
    assert!(sim.run_until(Duration::from_secs(5), Sim::all_agree));
    assert!(heard(&sim) > before);
    assert_eq!(sim.faults().of(Fault::Stall), 1);
}

#[test]
fn who_was_paused_does_not_hold_it_against_others() {
    for seed in 0..SEEDS {
        let (mut sim, members) = ring(seed, 10, Timing::lan());
        assert!(sim.run_until(Duration::from_secs(20), Sim::all_agree));
        sim.command(members[2], |node, now| node.pause(now));
        sim.run_for(Duration::from_secs(30));
        sim.take_events(members[2]);
        sim.command(members[2], |node, now| node.resume(now));
        assert!(
            sim.run_until(Duration::from_secs(60), Sim::all_agree),
            "seed {seed}"
        );
        for (_, event) in sim.take_events(members[2]) {
            if let Event::MemberChanged { to, cause, .. } = event {
                assert_ne!(to, Health::Confirmed, "seed {seed}: {cause:?}");
                assert_ne!(cause, Cause::SuspicionTimeout);
            }
        }
    }
}

/// The whole table comes from others than the seed too, and news takes a round trip a hop.
#[test]
fn a_hundred_that_start_at_once_find_each_other_within_a_second() {
    for seed in 0..SEEDS {
        let (mut sim, _) = ring(seed, 100, Timing::lan());
        let agreed = sim.run_until(Duration::from_millis(900), Sim::all_agree);
        assert!(agreed, "seed {seed}");
    }
}

/// Witnesses decide, not the size of the ring.
#[test]
fn a_crash_is_confirmed_by_all_in_five_seconds_however_large_the_ring() {
    for members in [10, 50, 100] {
        let mut times: Vec<_> = (0..SEEDS)
            .map(|seed| {
                let (mut sim, ids) = ring(seed, members, Timing::lan());
                assert!(sim.run_until(Duration::from_secs(20), Sim::all_agree));
                sim.run_for(Duration::from_secs(10));
                let (victim, start) = (ids[1 + seed as usize % (members - 1)], sim.now());
                sim.crash(victim);
                let all_know = |sim: &Sim| sim.all_hold(victim, Health::Confirmed);
                assert!(
                    sim.run_until(Duration::from_secs(30), all_know),
                    "{members}, {seed}"
                );
                sim.now().since(start)
            })
            .collect();
        times.sort_unstable();
        let (median, worst) = (times[times.len() / 2], times[times.len() - 1]);
        println!("{members} members: median {median:?}, worst {worst:?}");
        assert!(
            median <= Duration::from_secs(5),
            "{members} members: {median:?}"
        );
        assert!(
            worst <= Duration::from_secs(20),
            "{members} members: {worst:?}"
        );
    }
}

#[test]
fn a_quarter_of_all_datagrams_lost_and_still_nobody_is_confirmed() {
    for seed in 0..5 {
        let (mut sim, members) = ring(seed, 20, Timing::lan());
        sim.network_mut().loss = 0.25;
        sim.run_for(Duration::from_secs(600));
        assert!(sim.lost > 10_000, "the network loses nothing");
        for member in members {
            for (time, event) in sim.take_events(member) {
                if let Event::MemberChanged { id, to, .. } = event {
                    assert!(to < Health::Confirmed, "seed {seed}, {time}: {id} is {to}");
                }
            }
        }
    }
}

/// Pushes, witnesses and comparisons cost nothing while nothing happens.
#[test]
fn a_settled_ring_sends_a_ping_and_an_ack_a_period_and_little_more() {
    for members in [2, 3, 8, 100] {
        let (mut sim, _) = ring(1, members, Timing::lan());
        sim.run_for(Duration::from_secs(120));
        let before = sim.datagrams;
        sim.run_for(Duration::from_secs(120));
        let each = (sim.datagrams - before) as f64 / members as f64 / 120.0;
        assert!((1.9..2.1).contains(&each), "{members} members: {each}");
    }
}

/// A timing in which days are minutes.
fn short_lived() -> Timing {
    let mut timing = Timing::lan();
    timing.departed_after = Duration::from_secs(60);
    timing.forget_after = Duration::from_secs(120);
    timing
}

#[test]
fn the_dead_are_forgotten_by_all_whoever_joins_meanwhile() {
    for seed in 0..SEEDS {
        let (mut sim, members) = ring(seed, 10, short_lived());
        assert!(sim.run_until(Duration::from_secs(20), Sim::all_agree));
        sim.crash(members[3]);
        for _ in 0..4 {
            sim.run_for(Duration::from_secs(50));
            let newcomer = sim.start();
            sim.join(newcomer, members[0]);
        }
        sim.run_for(Duration::from_secs(300));
        for member in sim.up().collect::<Vec<_>>() {
            let view = sim.view(member, members[3]);
            assert_eq!(view, None, "seed {seed}, {member}");
        }
    }
}

#[test]
fn halves_that_gave_each_other_up_heal_and_bury_nobody_that_lives() {
    for seed in 0..SEEDS {
        let (mut sim, members) = ring(seed, 20, short_lived());
        assert!(sim.run_until(Duration::from_secs(20), Sim::all_agree));
        sim.partition(|member| u8::from(member % 2 == 0));
        sim.run_for(Duration::from_secs(100));
        assert_eq!(sim.view(0, 1), Some(Health::Departed), "seed {seed}");
        for member in &members {
            sim.take_events(*member);
        }
        sim.partition(|_| 0);
        assert!(
            sim.run_until(Duration::from_secs(120), Sim::all_agree),
            "seed {seed}"
        );
        for member in members {
            for (time, event) in sim.take_events(member) {
                if let Event::MemberChanged { id, to, .. } = event {
                    assert!(
                        to < Health::Confirmed,
                        "seed {seed}, {time}: {member} holds {id} {to}"
                    );
                }
            }
        }
    }
}

/// The bytes of an Ack in which this member says of another that it is Suspect, at any incarnation.
fn suspecting(by: &butterfly::Member, of: &butterfly::Member, incarnation: u64) -> Vec<u8> {
    use butterfly_protocols::{common, swim};
    use protobuf::{EnumOrUnknown, Message, MessageField};
    let record = |member: &butterfly::Member, incarnation: u64| {
        let mut record = swim::Member::new();
        record.set_id(member.id.to_string());
        record.set_incarnation(incarnation);
        record.set_address(member.ip.to_string());
        record.set_swim_port(member.swim_port.into());
        record.set_gossip_port(member.gossip_port.into());
        record
    };
    let mut said = swim::Membership::new();
    said.member = MessageField::some(record(of, incarnation));
    said.health = Some(EnumOrUnknown::from_i32(Health::Suspect as i32));
    let mut ack = swim::Ack::new();
    ack.from = MessageField::some(record(by, by.incarnation.get()));
    let mut message = swim::Swim::new();
    message.type_ = Some(EnumOrUnknown::from_i32(2));
    message.set_ack(ack);
    message.membership.push(said);
    let mut envelope = common::Wire::new();
    envelope.set_payload(message.write_to_bytes().unwrap());
    envelope.write_to_bytes().unwrap()
}

/// A stranger says of a member that it is Suspect, to all, at an incarnation that nothing can outdo. The member stays in
/// the ring, and comes back from an orderly restart: above the limit as if nothing had been said, at the limit under
/// another id, and under yet another if its disk forgot that.
#[test]
fn a_suspicion_at_the_highest_incarnation_costs_an_id_at_most() {
    let max = Incarnation::MAX.get();
    for (number, keeps) in [
        (max, false),
        (max - 1, false),
        (max + 1, true),
        ((1 << 63) - 1, true),
    ] {
        let (mut sim, members) = ring(number, 10, Timing::lan());
        assert!(sim.run_until(Duration::from_secs(20), Sim::all_agree));
        let (victim, forger) = (sim.node(0).me().member, sim.node(1).me().member);
        for member in &members {
            sim.command(*member, |node, now| {
                let mut datagram = suspecting(&forger, &victim, number);
                node.handle_datagram(now, forger.swim_addr(), &mut datagram);
            });
        }
        let everybody = |sim: &Sim, others: &[usize], of: usize| {
            let id = sim.node(of).id();
            let alive = |member: &usize| sim.node(*member).health_of(id) == Some(Health::Alive);
            others.iter().all(alive) && sim.node(of).counts().alive == 10
        };
        let whole = |sim: &Sim| everybody(sim, &members, 0);
        assert!(sim.run_until(Duration::from_secs(30), whole), "{number}");
        assert_eq!(sim.node(0).id() == victim.id, keeps, "{number}");
        sim.run_for(Duration::from_secs(60));
        assert!(whole(&sim), "{number}: not for good");

        // The simulator starts it under the id that it had at first.
        let last = sim.node(0).me().member.incarnation;
        sim.command(0, |node, now| node.leave(now));
        sim.run_for(Duration::from_secs(5));
        sim.crash(0);
        sim.run_for(Duration::from_secs(60));
        sim.restart(0, last.plus(100));
        sim.join(0, 1);
        assert!(sim.run_until(Duration::from_secs(30), whole), "{number}");
        assert_eq!(sim.node(0).id() == victim.id, keeps, "{number}");
    }
}
