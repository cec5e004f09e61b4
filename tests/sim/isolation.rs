//! A member that hears nobody says so, and when that ends.

use std::time::Duration;

use butterfly::sim::{Index, Sim, SimConfig};
use butterfly::{Event, Time};

const SEEDS: u64 = 20;

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A ring of so many that agrees.
fn ring(seed: u64, members: usize) -> Sim {
    let mut config = SimConfig::new(seed);
    config.network.delay = Duration::from_millis(20);
    let mut sim = Sim::new(config);
    sim.start_ring(members);
    assert!(sim.run_until(secs(60), Sim::all_agree));
    sim
}

/// What it said of its isolation: when it began, and when it ended.
fn told(sim: &mut Sim, member: Index) -> Vec<(Time, bool, Duration)> {
    let events = sim.take_events(member).into_iter();
    let told = events.filter_map(|(at, event)| match event {
        Event::Isolated { silent, .. } => Some((at, true, silent)),
        Event::IsolationEnded { lasted, .. } => Some((at, false, lasted)),
        _ => None,
    });
    told.collect()
}

#[test]
fn a_member_that_is_cut_off_says_so_within_ten_seconds_and_when_that_ends() {
    for seed in 0..SEEDS {
        let mut sim = ring(seed, 5);
        sim.run_for(Duration::from_millis(200 * seed));
        let cut = sim.now();
        sim.partition(|member| u8::from(member == 4));
        sim.run_for(secs(10));
        let began = told(&mut sim, 4);
        let [(_, true, silent)] = began[..] else {
            panic!("seed {seed}: {began:?}");
        };
        assert!(silent >= secs(4), "seed {seed}: {silent:?}");
        assert!(sim.node(4).isolated_for().is_some_and(|it| it >= secs(9)));
        // As long as it lasts it is said once.
        sim.run_for(secs(60));
        assert_eq!(told(&mut sim, 4), [], "seed {seed}");

        sim.partition(|_| 0);
        let mended = sim.now();
        let heard = sim.run_until(secs(30), |sim| sim.node(4).isolated_for().is_none());
        assert!(heard, "seed {seed}");
        let ended = told(&mut sim, 4);
        let [(at, false, lasted)] = ended[..] else {
            panic!("seed {seed}: {ended:?}");
        };
        assert!(
            at >= mended && lasted <= at.since(cut) + secs(3),
            "seed {seed}: {lasted:?}"
        );
        for other in 0..4 {
            assert_eq!(told(&mut sim, other), [], "seed {seed}: {other}");
        }
    }
}

#[test]
fn neither_loss_nor_the_others_leave_isolate_a_member() {
    for seed in 0..SEEDS {
        let mut sim = ring(seed, 3);
        sim.network_mut().loss = 0.2;
        sim.run_for(secs(120));
        sim.network_mut().loss = 0.0;
        // What was frozen did not listen.
        sim.freeze(0);
        sim.run_for(secs(20));
        sim.thaw(0);
        sim.run_for(secs(20));
        for leaving in [1, 2] {
            sim.command(leaving, |node, now| node.leave(now));
            sim.run_for(secs(5));
            sim.crash(leaving);
        }
        sim.run_for(secs(60));
        for member in 0..3 {
            assert_eq!(told(&mut sim, member), [], "seed {seed}: {member}");
        }
        assert_eq!(sim.node(0).isolated_for(), None);
    }
}

#[test]
fn a_member_whose_others_are_dead_is_isolated_until_it_hears_one() {
    let mut sim = ring(1, 3);
    sim.crash(1);
    sim.run_for(secs(30));
    assert_eq!(told(&mut sim, 0), [], "it hears the other one");
    sim.crash(2);
    sim.run_for(secs(10));
    let began = told(&mut sim, 0);
    assert!(matches!(began[..], [(_, true, _)]), "{began:?}");
    let incarnation = butterfly::Incarnation::new(1).unwrap();
    sim.restart(1, incarnation);
    sim.join(1, 0);
    sim.run_for(secs(10));
    let ended = told(&mut sim, 0);
    assert!(matches!(ended[..], [(_, false, _)]), "{ended:?}");
}
