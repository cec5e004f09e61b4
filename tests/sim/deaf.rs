//! A member that gets no datagrams, though it sends them and its TCP works, disturbs nobody but itself.

use std::time::Duration;

use butterfly::sim::{Index, Sim, SimConfig, id_of};
use butterfly::{Event, Health, RumorKind, Service, ServiceGroup};

const SEEDS: u64 = 12;
const HEALTHY: usize = 7;
/// The one that gets deaf.
const DEAF: Index = HEALTHY;
const MINUTES: u64 = 5;

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn group() -> ServiceGroup {
    "db.default".parse().unwrap()
}

/// So many in one group, led by the last of them that is not to be led by another.
fn ring(seed: u64, members: usize, fittest: Index) -> Sim {
    let mut sim = Sim::new(SimConfig::new(seed));
    sim.start_ring(members);
    assert!(sim.run_until(secs(60), Sim::all_agree));
    for member in 0..members {
        sim.command(member, |node, now| {
            let service = Service::new(group(), "core/db/1/20260101000000");
            node.announce(now, service).unwrap();
        });
    }
    sim.run_for(secs(5));
    for member in 0..members {
        let fit = u64::from(member == fittest);
        sim.command(member, |node, now| {
            node.start_election(now, RumorKind::Election, &group(), fit)
                .unwrap();
        });
    }
    sim.run_for(secs(30));
    (0..members).for_each(|member| assert_eq!(led(&sim, member), Some((fittest, 0))));
    (0..members).for_each(|member| drop(sim.take_events(member)));
    sim
}

/// Who leads by this member's view, and in which term.
fn led(sim: &Sim, member: Index) -> Option<(Index, u64)> {
    let view = sim
        .node(member)
        .election(RumorKind::Election, &group())
        .unwrap();
    let leader = view.leader()?;
    let index = (0..sim.processes()).find(|index| id_of(*index) == leader);
    Some((index.unwrap(), view.election.term))
}

/// Datagrams that the first seven sent and got.
fn datagrams(sim: &Sim) -> u64 {
    let each = (0..HEALTHY).map(|member| sim.node(member).stats());
    each.map(|stats| stats.sent_total() + stats.received_total())
        .sum()
}

fn share(sim: &mut Sim) -> u64 {
    let before = datagrams(sim);
    sim.run_for(secs(60 * MINUTES));
    datagrams(sim) - before
}

#[test]
fn a_deaf_member_disturbs_nobody() {
    let (mut worst, mut sum, mut most_confirmed) = (0.0_f64, 0.0, 0);
    for seed in 0..SEEDS {
        for fittest in [0, DEAF] {
            let mut alone = ring(seed, HEALTHY, 0);
            let usual = share(&mut alone);
            let mut sim = ring(seed, HEALTHY + 1, fittest);
            sim.link_mut(DEAF).udp_in = false;
            let now = share(&mut sim);
            let ratio = now as f64 / usual as f64;
            worst = worst.max(ratio);
            sum += ratio;
            let terms = u64::from(fittest == DEAF);
            for member in 0..HEALTHY {
                let mut confirmed = 0;
                for (at, event) in sim.take_events(member) {
                    if let Event::MemberChanged { id, to, .. } = event
                        && to >= Health::Confirmed
                    {
                        assert_eq!(
                            id,
                            id_of(DEAF),
                            "seed {seed}: {at}: {member} holds for {to}"
                        );
                        confirmed += 1;
                    }
                }
                most_confirmed = most_confirmed.max(confirmed);
                assert_eq!(sim.view(member, DEAF), Some(Health::Confirmed));
                let (leader, term) = led(&sim, member).unwrap();
                assert!(
                    leader < HEALTHY && term <= terms,
                    "seed {seed}: {leader} t{term}"
                );
            }
            assert_eq!(led(&sim, DEAF), None, "it has no quorum");
            assert_eq!(sim.violations(), []);
            // It hears again.
            sim.heal();
            assert!(sim.run_until(secs(70), Sim::all_agree), "seed {seed}");
            sim.run_for(secs(10));
            let first = led(&sim, 0).unwrap();
            (0..=HEALTHY).for_each(|member| assert_eq!(led(&sim, member), Some(first)));
            assert!(first.1 <= terms, "{first:?}");
        }
    }
    let mean = sum / (2 * SEEDS) as f64;
    println!(
        "Confirmed {most_confirmed} times at most, {mean:.3} times the datagrams, at worst {worst:.3}"
    );
    assert!(most_confirmed <= 2, "{most_confirmed}");
    // The bound of a ring, and what chance may add in a single one.
    assert!(mean <= 1.2 && worst <= 1.25, "{mean} {worst}");
}
