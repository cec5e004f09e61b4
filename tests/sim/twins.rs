//! Two processes with one id, as of a copied data directory, in simulated rings: all see it, and nobody sees it in one that
//! starts again or moves.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use butterfly::sim::{Disk, Index, Sim, SimConfig, id_of};
use butterfly::wire::RingKey;
use butterfly::{Event, Timing};

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn simulation(seed: u64, sealed: bool) -> Sim {
    let mut config = SimConfig::new(seed);
    config.timing = Timing::lan();
    if sealed {
        let key = RingKey::new("ring", "20260101000000", [7; 32]).unwrap();
        config.ring_keys = vec![key];
    }
    Sim::new(config)
}

/// What a member was told of conflicts of ids since the last look, the addresses in order.
fn conflicts(sim: &mut Sim, of: Index) -> Vec<BTreeSet<SocketAddr>> {
    let events = sim.take_events(of).into_iter();
    let told = events.filter_map(|(_, event)| match event {
        Event::IdConflict { id, one, other, .. } => {
            assert_eq!(id, id_of(3));
            Some([one, other].into())
        }
        _ => None,
    });
    told.collect()
}

fn counted(sim: &Sim, of: Index) -> u64 {
    sim.node(of).stats().id_conflicts
}

#[test]
fn all_are_told_of_twins_once_with_both_addresses_and_so_are_the_twins() {
    for (seed, sealed) in [(1, false), (2, false), (3, true), (4, true)] {
        let mut sim = simulation(seed, sealed);
        sim.start_ring(6);
        assert!(sim.run_until(secs(30), Sim::all_agree));
        sim.run_for(secs(60));
        let twin = sim.start_twin(3);
        sim.join(twin, 0);
        let both: BTreeSet<_> = [sim.addr(3), sim.addr(twin)].into();
        let began = sim.now();
        let all_saw = |sim: &Sim| (0..=twin).all(|member| counted(sim, member) > 0);
        let seen = sim.run_until(secs(180), all_saw);
        let each: Vec<_> = (0..=twin).map(|member| counted(&sim, member)).collect();
        println!(
            "sealed {sealed}: {each:?} after {:?}",
            sim.now().since(began)
        );
        assert!(seen, "seed {seed}, sealed {sealed}: {each:?}");
        sim.run_for(secs(300));
        for member in 0..=twin {
            let told = conflicts(&mut sim, member);
            assert_eq!(
                told,
                std::slice::from_ref(&both),
                "seed {seed}, member {member}"
            );
        }
        assert_eq!(sim.violations(), []);
    }
}

/// Restarts with and without a disk, at the same address and at another, and a clock that was set back.
#[test]
fn nobody_is_told_of_a_member_that_starts_again_or_moves() {
    for (seed, sealed) in [(5, false), (6, true)] {
        let mut sim = simulation(seed, sealed);
        sim.start_ring(6);
        assert!(sim.run_until(secs(30), Sim::all_agree));
        for (disk, moves) in [
            (Disk::Kept, false),
            (Disk::Lost, false),
            (Disk::Kept, true),
            (Disk::Lost, true),
            (Disk::Lost, true),
        ] {
            sim.run_for(secs(20));
            sim.crash(3);
            if moves {
                sim.move_away(3);
            }
            sim.run_for(Duration::from_millis(200));
            sim.restart_with(3, disk);
            sim.join(3, 0);
            assert!(sim.run_until(secs(90), Sim::all_agree), "{disk:?}");
        }
        sim.run_for(secs(60));
        for member in 0..6 {
            assert_eq!(conflicts(&mut sim, member), []);
            assert_eq!(counted(&sim, member), 0, "member {member}");
        }
    }
}

/// All that a member sent in its former life comes again, to all, from where it was then.
#[test]
fn what_was_recorded_makes_no_twins() {
    for (seed, sealed) in [(7, false), (8, true)] {
        let mut sim = simulation(seed, sealed);
        sim.start_ring(5);
        assert!(sim.run_until(secs(30), Sim::all_agree));
        sim.record_all();
        let before = sim.addr(3);
        sim.run_for(secs(40));
        let taken = sim.take_recorded();
        sim.crash(3);
        sim.move_away(3);
        sim.restart_with(3, Disk::Kept);
        assert!(sim.run_until(secs(90), Sim::all_agree));
        let mut sent = 0;
        for _ in 0..3 {
            for datagram in taken.iter().filter(|taken| taken.from == 3) {
                for to in 0..5 {
                    sim.forge(before, to, &datagram.bytes);
                    sent += 1;
                }
                sim.run_for(Duration::from_millis(100));
            }
        }
        assert!(sent > 500, "{sent}");
        for member in 0..5 {
            assert_eq!(conflicts(&mut sim, member), [], "sealed {sealed}");
            assert_eq!(counted(&sim, member), 0);
        }
    }
}
