//! What a member's history says of what happened to others.

use std::time::Duration;

use butterfly::sim::{Index, Sim, SimConfig, id_of};
use butterfly::{Cause, Fact, Health, HistoryEntry, Incarnation};

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A ring of five that agrees, whose members keep a history.
fn ring(seed: u64) -> Sim {
    let mut config = SimConfig::new(seed);
    config.network.delay = Duration::from_millis(5);
    let mut sim = Sim::new(config);
    for member in sim.start_settled(5) {
        sim.command(member, |node, _| node.set_history(true));
    }
    // Until each has answered a probe of each other.
    sim.run_for(secs(12));
    sim
}

/// What a member knows of what happened to another.
fn facts(sim: &Sim, of: Index, about: Index) -> Vec<&Fact> {
    let entries = sim.node(of).history();
    let about = entries.filter(|entry| entry.member == id_of(about));
    about.map(|entry| &entry.fact).collect()
}

fn dies_at_all(sim: &mut Sim, member: Index) {
    let dead = sim.run_until(secs(60), |sim| {
        (0..5).all(|of| of == member || sim.view(of, member) == Some(Health::Confirmed))
    });
    assert!(dead);
}

#[test]
fn a_death_has_its_probes_helpers_accusers_and_last_word() {
    for seed in 0..20 {
        let mut sim = ring(seed);
        sim.crash(4);
        dies_at_all(&mut sim, 4);
        let mut probed = 0;
        for of in 0..4 {
            let facts = facts(&sim, of, 4);
            let numbers: Vec<_> = sim.node(of).history().map(|entry| entry.number).collect();
            assert!(numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]));
            for fact in &facts {
                let Fact::ProbeFailed(probe) = fact else {
                    continue;
                };
                probed += 1;
                assert!(probe.number != 0 && probe.rounds > 0 && probe.heard_others);
                let helped = probe
                    .helpers
                    .iter()
                    .all(|helper| helper.id != id_of(4) && helper.asked > 0 && helper.answered > 0);
                assert!(
                    helped && !probe.helpers.is_empty(),
                    "seed {seed}: {probe:?}"
                );
            }
            let accusers = facts
                .iter()
                .filter(|fact| matches!(fact, Fact::Accused { .. }));
            assert!(accusers.count() > 0, "seed {seed}: {facts:?}");
            let asked = facts
                .iter()
                .any(|fact| matches!(fact, Fact::LastWord { .. } | Fact::DeathClaimed { .. }));
            assert!(asked, "seed {seed}: {facts:?}");
            let last = facts.last();
            let died = matches!(
                last,
                Some(Fact::Changed {
                    to: Health::Confirmed,
                    cause: Cause::SuspicionTimeout | Cause::VerdictBelieved,
                    ..
                })
            );
            assert!(died, "seed {seed}: {last:?}");
        }
        assert!(probed > 0, "seed {seed}: who suspected it, then?");
    }
}

#[test]
fn a_restart_is_told_from_a_thaw_and_from_a_cut_that_ends() {
    for seed in 0..20 {
        let restarted = |facts: &[&Fact]| facts.contains(&&Fact::Restarted);
        let late = |facts: &[&Fact]| {
            let is_late = |fact: &&Fact| matches!(fact, Fact::AnsweredLate { after, .. } if *after >= secs(2));
            facts.iter().any(is_late)
        };
        for (way, expected) in [
            ("crash", (true, false)),
            ("freeze", (false, true)),
            ("cut", (false, false)),
        ] {
            let mut sim = ring(seed);
            match way {
                "crash" => sim.crash(4),
                "freeze" => sim.freeze(4),
                _ => sim.partition(|member| u8::from(member == 4)),
            }
            dies_at_all(&mut sim, 4);
            // Until it is isolated, if it is cut off.
            sim.run_for(secs(10));
            match way {
                "crash" => {
                    sim.restart(4, Incarnation::new(7).unwrap());
                    sim.join(4, 0);
                }
                "freeze" => sim.thaw(4),
                _ => sim.partition(|_| 0),
            }
            assert!(
                sim.run_until(secs(60), Sim::all_agree),
                "{way}, seed {seed}"
            );
            sim.run_for(secs(10));
            let seen = |test: &dyn Fn(&[&Fact]) -> bool| (0..4).any(|of| test(&facts(&sim, of, 4)));
            assert_eq!(
                (seen(&restarted), seen(&late)),
                expected,
                "{way}, seed {seed}"
            );
            // What the member itself went through.
            let own = facts(&sim, 4, 4);
            let lagged = own
                .iter()
                .any(|fact| matches!(fact, Fact::Lagged { by, .. } if *by >= secs(2)));
            let isolated = own
                .iter()
                .any(|fact| matches!(fact, Fact::IsolationEnded { .. }));
            assert_eq!(
                (lagged, isolated),
                (way == "freeze", way == "cut"),
                "{way}, seed {seed}: {own:?}"
            );
        }
    }
}

#[test]
fn a_history_is_off_unless_it_is_asked_for() {
    let mut sim = Sim::new(SimConfig::new(1));
    sim.start_settled(3);
    sim.crash(2);
    sim.run_for(secs(20));
    assert_eq!(sim.view(0, 2), Some(Health::Confirmed));
    let none: Vec<&HistoryEntry> = sim.node(0).history().collect();
    assert!(none.is_empty() && sim.node(0).history_end() == 0);
}
