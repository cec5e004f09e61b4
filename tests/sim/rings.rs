//! Two rings in one simulated network, whose members get each other's addresses: they never merge.

use std::time::Duration;

use butterfly::sim::{Disk, Index, Sim, SimConfig};
use butterfly::{Event, Health, RingName, Service};

fn secs(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

fn name(text: &str) -> Option<RingName> {
    Some(text.parse().unwrap())
}

/// Two rings of so many members each, of these names, with a service each of their own.
fn two(seed: u64, members: usize, names: [Option<RingName>; 2]) -> (Sim, [Vec<Index>; 2]) {
    let mut sim = Sim::new(SimConfig::new(seed));
    let rings = names.map(|name| {
        let ring: Vec<_> = (0..members).map(|_| sim.start_in(name.clone())).collect();
        for member in &ring[1..] {
            sim.join(*member, ring[0]);
        }
        ring
    });
    for (number, ring) in rings.iter().enumerate() {
        let within = |sim: &Sim| is_whole(sim, ring);
        assert!(sim.run_until(secs(60.0), within), "seed {seed}");
        for member in ring {
            let group = format!("ring{number}.default").parse().unwrap();
            let service = Service::new(group, "acme/web/1.0.0/20260101000000");
            sim.command(*member, |node, now| node.announce(now, service).unwrap());
        }
    }
    sim.run_for(secs(5.0));
    (sim, rings)
}

/// Whether all of them hold all of them for Alive, and hold their services.
fn is_whole(sim: &Sim, ring: &[Index]) -> bool {
    let alive = |of: &Index| {
        let held = |about: &Index| sim.view(*of, *about) == Some(Health::Alive);
        ring.iter().all(held)
    };
    ring.iter().all(alive)
}

/// What a member knows of the other ring.
fn merged(sim: &Sim, rings: &[Vec<Index>; 2]) -> Option<String> {
    for (number, ring) in rings.iter().enumerate() {
        for member in ring.iter().filter(|member| sim.is_up(**member)) {
            let others = &rings[1 - number];
            if let Some(other) = others
                .iter()
                .find(|other| sim.view(*member, **other).is_some())
            {
                return Some(format!("{member} knows {other}"));
            }
            let theirs = format!("ring{}.default", 1 - number);
            if sim
                .node(*member)
                .rumors()
                .any(|rumor| *rumor.id.key == *theirs)
            {
                return Some(format!("{member} holds a service of {theirs}"));
            }
        }
    }
    None
}

/// Lets time pass and looks at it every so often.
fn watch(sim: &mut Sim, rings: &[Vec<Index>; 2], seconds: usize, seed: u64) {
    for _ in 0..seconds * 4 {
        sim.run_for(secs(0.25));
        assert_eq!(merged(sim, rings), None, "seed {seed}, at {:?}", sim.now());
    }
}

/// In each ring one member stops, and each starts again at the other's address.
fn swap(sim: &mut Sim, rings: &[Vec<Index>; 2], place: usize, pause: f64) {
    let [one, other] = [rings[0][place], rings[1][place]];
    sim.crash(one);
    sim.crash(other);
    sim.run_for(secs(pause));
    sim.swap_addresses(one, other);
    for (member, ring) in [(one, &rings[0]), (other, &rings[1])] {
        sim.restart_with(member, if pause < 1.0 { Disk::Kept } else { Disk::Lost });
        let peer = *ring.iter().find(|peer| **peer != member).unwrap();
        sim.join(member, peer);
    }
}

#[test]
fn rings_of_two_names_with_swapped_addresses_never_merge() {
    for seed in 0..100 {
        let names = [
            name("production"),
            name("staging").filter(|_| seed % 4 != 0),
        ];
        let (mut sim, rings) = two(seed, 4, names);
        for turn in 0..3 {
            let pause = [0.1, 3.0, 20.0][(seed as usize + turn) % 3];
            swap(&mut sim, &rings, (seed as usize + turn) % 4, pause);
            watch(&mut sim, &rings, 10, seed);
        }
        // A wrong seed is no way in, either.
        let spared = rings[1][(seed as usize + 3) % 4];
        sim.join(rings[0][1], spared);
        watch(&mut sim, &rings, 30, seed);
        for ring in &rings {
            let whole = sim.run_until(secs(120.0), |sim| is_whole(sim, ring));
            assert!(whole, "seed {seed}");
        }
        assert_eq!(merged(&sim, &rings), None, "seed {seed}");
        let events = sim.take_events(spared).into_iter();
        let told: Vec<_> = events
            .filter_map(|(_, event)| match event {
                Event::OtherRing { from, theirs, .. } => Some((from, theirs)),
                _ => None,
            })
            .collect();
        assert!(
            told.iter().any(|(_, theirs)| theirs == "production"),
            "{told:?}"
        );
        let mut sources: Vec<_> = told.iter().map(|(from, _)| from).collect();
        sources.sort_unstable();
        sources.dedup();
        assert_eq!(sources.len(), told.len(), "each once: {told:?}");
        assert!(sim.violations().is_empty(), "{:?}", sim.violations());
    }
}

#[test]
fn without_a_name_the_address_of_a_dead_member_is_no_way_in() {
    for seed in 0..30 {
        let (mut sim, rings) = two(seed, 4, [None, None]);
        let former = rings[0][3];
        sim.crash(former);
        let known = |sim: &Sim| {
            rings[0][..3]
                .iter()
                .all(|of| sim.view(*of, former) == Some(Health::Confirmed))
        };
        assert!(sim.run_until(secs(30.0), known));
        // A member of the other ring gets its address.
        let moves = rings[1][3];
        sim.crash(moves);
        sim.run_for(secs(10.0));
        sim.swap_addresses(former, moves);
        sim.restart_with(moves, Disk::Lost);
        sim.join(moves, rings[1][0]);
        watch(&mut sim, &rings, 300, seed);
        assert!(is_whole(&sim, &rings[1]), "seed {seed}");
        // The dead one comes back where the other one was, which its ring holds for dead by then or not.
        sim.restart_with(former, Disk::Kept);
        let back = sim.run_until(secs(60.0), |sim| is_whole(sim, &rings[0]));
        assert!(back, "seed {seed}");
    }
}
