//! How soon a ring is one again after a partition.

use std::time::Duration;

use butterfly::sim::{Index, Sim, SimConfig};
use butterfly::{Health, Incarnation, Timing};

const SEEDS: u64 = 6;

/// From the partition's end until anybody holds a member of the other half Alive, and until all see all, in seconds.
fn heal(seed: u64, members: usize, long_dead: usize, apart: Duration) -> (f64, f64) {
    let mut config = SimConfig::new(seed);
    config.timing = Timing::lan();
    let mut sim = Sim::new(config);
    let ring = sim.start_ring(members + long_dead);
    assert!(sim.run_until(Duration::from_secs(30), Sim::all_agree));
    let (living, dead) = ring.split_at(members);
    for member in dead {
        sim.crash(*member);
    }
    sim.run_for(Duration::from_secs(if dead.is_empty() { 1 } else { 120 }));
    sim.partition(|member| u8::from(member < members / 2));
    sim.run_for(apart);
    let (one, other) = living.split_at(members / 2);
    let sees = |sim: &Sim, from: &[Index], to: &[Index]| {
        from.iter().any(|a| to.iter().any(|b| sees(sim, *a, *b)))
    };
    assert!(!sees(&sim, one, other) && !sees(&sim, other, one));
    sim.partition(|_| 0);
    let end = sim.now();
    let patience = Duration::from_secs(120);
    assert!(sim.run_until(patience, |sim| {
        sees(sim, one, other) || sees(sim, other, one)
    }));
    let contact = sim.now().since(end).as_secs_f64();
    assert!(sim.run_until(patience, |sim| {
        living
            .iter()
            .all(|a| living.iter().all(|b| a == b || self::sees(sim, *a, *b)))
    }));
    (contact, sim.now().since(end).as_secs_f64())
}

fn sees(sim: &Sim, member: Index, other: Index) -> bool {
    sim.node(member).health_of(sim.id(other)) == Some(Health::Alive)
}

/// Medians and worst: from contact to one ring, and from the partition's end.
fn figures(members: usize, long_dead: usize, apart: u64) -> [f64; 4] {
    let apart = Duration::from_secs(apart);
    let seeds: Vec<_> = (0..SEEDS)
        .map(|seed| heal(seed, members, long_dead, apart))
        .collect();
    let summary = |mut times: Vec<f64>| {
        times.sort_by(f64::total_cmp);
        [times[times.len() / 2], times[times.len() - 1]]
    };
    let [median, worst] = summary(seeds.iter().map(|(contact, one)| one - contact).collect());
    let [all_median, all_worst] = summary(seeds.iter().map(|(_, one)| *one).collect());
    let figures = [median, worst, all_median, all_worst];
    println!("{members} and {long_dead} dead, apart {apart:?}: {figures:.2?}");
    figures
}

#[test]
fn one_contact_heals_a_ring_of_twenty() {
    for apart in [60, 320] {
        let [median, worst, all_median, all_worst] = figures(20, 0, apart);
        assert!(median <= 0.3 && worst <= 1.0 && all_median <= 2.0 && all_worst <= 6.0);
    }
}

#[test]
fn long_dead_members_are_no_hindrance() {
    let [_, _, median, worst] = figures(30, 23, 60);
    assert!(median <= 5.0 && worst <= 10.0);
}

/// What is new is not told to the dead: a return of one has all the others asked, and they do not pass it on.
#[test]
fn one_that_comes_back_among_many_dead_is_known_to_all_at_once() {
    let mut worst = 0.0_f64;
    for seed in 0..8 {
        let mut config = SimConfig::new(seed);
        config.timing = Timing::lan();
        let mut sim = Sim::new(config);
        let ring = sim.start_ring(38);
        assert!(sim.run_until(Duration::from_secs(30), Sim::all_agree));
        let (living, dead) = ring.split_at(8);
        for member in dead {
            sim.crash(*member);
        }
        sim.run_for(Duration::from_secs(120));
        let back = dead[0];
        sim.restart(back, Incarnation::new(1_000).unwrap());
        sim.join(back, living[0]);
        let start = sim.now();
        let all = |sim: &Sim| living.iter().all(|member| sees(sim, *member, back));
        assert!(sim.run_until(Duration::from_secs(60), all), "seed {seed}");
        worst = worst.max(sim.now().since(start).as_secs_f64());
    }
    println!("known to all after {worst:.2} s at worst");
    assert!(worst <= 1.0, "{worst}");
}
