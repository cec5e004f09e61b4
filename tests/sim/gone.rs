//! Processes that end while their hosts live on: their systems refuse what is sent to them (PROTOCOL.md §2).

use std::time::Duration;

use butterfly::sim::{Disk, Fault, Index, Sim, SimConfig};
use butterfly::{Cause, Event, Evidence, Health, Time, Timing};

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A ring that has been there for long, and for some seconds more, after a moment that the seed chooses.
fn settled(members: usize, seed: u64, change: impl FnOnce(&mut SimConfig)) -> Sim {
    let mut config = SimConfig::new(seed);
    config.network.icmp = true;
    change(&mut config);
    let mut sim = Sim::new(config);
    sim.start_settled(members);
    sim.run_for(millis(5_000 + seed * 137 % 1_000));
    for member in 0..members {
        sim.take_events(member);
    }
    sim
}

/// How long until all hold a member for Confirmed, from now.
fn until_confirmed(sim: &mut Sim, member: Index) -> Duration {
    let since = sim.now();
    let confirmed = |sim: &Sim| sim.all_hold(member, Health::Confirmed);
    assert!(sim.run_until(Duration::from_secs(30), confirmed));
    sim.now().since(since)
}

fn no_watching(config: &mut SimConfig) {
    config.timing.watch_connections = 0;
}

/// All at which some member was held for that, by whom.
fn held(sim: &mut Sim, about: Index, health: Health) -> usize {
    let id = sim.id(about);
    let mut views = 0;
    for member in 0..sim.processes() {
        let is_it = |(_, event): &(Time, Event)| matches!(event, Event::MemberChanged { id: who, to, .. } if *who == id && *to == health);
        views += usize::from(sim.take_events(member).iter().any(is_it));
    }
    views
}

#[test]
fn who_ends_is_confirmed_in_a_second_if_a_connection_ends_with_it() {
    for (members, loss, most) in [
        (2, 0.0, 1_100),
        (3, 0.0, 1_100),
        (10, 0.0, 1_100),
        (60, 0.0, 1_100),
        (10, 0.15, 1_300),
        (60, 0.25, 1_550),
    ] {
        for seed in 0..8 {
            let mut sim = settled(members, seed, |config| config.network.loss = loss);
            sim.crash(members / 2);
            let took = until_confirmed(&mut sim, members / 2);
            assert!(
                took <= millis(most),
                "{members} members, loss {loss}, seed {seed}: {took:?}"
            );
            assert!(
                took >= millis(950),
                "{members} members, seed {seed}: {took:?}"
            );
            assert_eq!(sim.violations(), []);
        }
    }
}

#[test]
fn who_ends_is_confirmed_a_second_after_the_first_ping() {
    for members in [3, 10, 60] {
        for seed in 0..8 {
            let mut sim = settled(members, seed, no_watching);
            sim.crash(1);
            let took = until_confirmed(&mut sim, 1);
            assert!(
                took <= millis(3_050),
                "{members} members, seed {seed}: {took:?}"
            );
            let causes = (0..members).filter(|member| *member != 1).map(|member| {
                let events = sim.take_events(member);
                let refused = |(_, event): &(Time, Event)| {
                    matches!(
                        event,
                        Event::MemberChanged {
                            cause: Cause::Refused,
                            ..
                        }
                    )
                };
                events.iter().any(refused)
            });
            assert!(causes.into_iter().any(|refused| refused));
            assert_eq!(sim.violations(), []);
        }
    }
}

#[test]
fn a_lost_host_is_found_by_its_predecessor_within_five_seconds() {
    for members in [10, 60] {
        for seed in 0..8 {
            let mut sim = settled(members, seed, |_| {});
            sim.lose_host(members - 1);
            let took = until_confirmed(&mut sim, members - 1);
            let expected = millis(2_000)..=millis(5_050);
            assert!(
                expected.contains(&took),
                "{members} members, seed {seed}: {took:?}"
            );
        }
    }
}

#[test]
fn who_starts_again_within_half_a_second_is_never_confirmed() {
    for (gap, seeds) in [(300, 10), (500, 10), (800, 10)] {
        for seed in 0..seeds {
            let mut sim = settled(10, seed, |_| {});
            sim.crash(4);
            sim.run_for(millis(gap));
            sim.restart_with(4, Disk::Kept);
            sim.join(4, 0);
            sim.run_for(Duration::from_secs(20));
            assert_eq!(
                held(&mut sim, 4, Health::Confirmed),
                0,
                "after {gap} ms, seed {seed}"
            );
            assert!(sim.all_hold(4, Health::Alive));
        }
    }
}

#[test]
fn a_core_dump_delays_what_a_ping_finds_and_no_more() {
    for seed in 0..6 {
        let mut sim = settled(20, seed, |_| {});
        sim.dump_core(3, millis(1_400));
        let took = until_confirmed(&mut sim, 3);
        let expected = millis(2_000)..=millis(5_000);
        assert!(expected.contains(&took), "seed {seed}: {took:?}");
        assert_eq!(sim.faults().of(Fault::CoreDump), 1);
    }
}

/// What the first member goes through after a change: how far its incarnation rises in so many minutes, and the datagrams
/// that all send.
fn after(sim: &mut Sim, minutes: u64) -> (u64, u64) {
    let incarnation = |sim: &Sim| sim.node(0).me().member.incarnation.get();
    let (start, before) = (incarnation(sim), sim.datagrams);
    sim.run_for(Duration::from_secs(60 * minutes));
    assert_eq!(held(sim, 0, Health::Confirmed), 0);
    assert_eq!(sim.violations(), []);
    (incarnation(sim) - start, sim.datagrams - before)
}

/// The same for a ring whose members take no refusals.
fn before_refusals(config: &mut SimConfig) {
    config.timing.refused_suspicion = Duration::ZERO;
}

#[test]
fn a_firewall_that_rejects_half_of_the_ring_kills_nobody() {
    for seed in 0..2 {
        let reject = |sim: &mut Sim| (1..50).step_by(2).for_each(|other| sim.reject(other, 0));
        let (mut usual, mut sim) = (
            settled(50, seed, before_refusals),
            settled(50, seed, |_| {}),
        );
        reject(&mut usual);
        reject(&mut sim);
        let ((_, usual), (raised, sent)) = (after(&mut usual, 1), after(&mut sim, 1));
        assert!(raised <= 3, "seed {seed}: {raised}");
        let traffic = sent as f64 / usual as f64;
        assert!(traffic <= 1.2, "seed {seed}: {traffic}");
        if seed == 0 {
            let raised = after(&mut sim, 9).0;
            assert!(raised <= 1, "seed {seed}: {raised}");
        }
    }
}

#[test]
fn refusals_that_are_forged_on_the_way_do_no_more_than_an_ack_undoes() {
    for seed in 0..2 {
        let (mut usual, mut sim) = (settled(50, seed, |_| {}), settled(50, seed, |_| {}));
        sim.link_mut(0).forged = true;
        let ((_, usual), (raised, sent)) = (after(&mut usual, 1), after(&mut sim, 1));
        assert_eq!(raised, 0, "seed {seed}");
        let traffic = sent as f64 / usual as f64;
        assert!(traffic <= 1.2, "seed {seed}: {traffic}");
    }
}

#[test]
fn refusals_of_somebody_who_sees_nothing_have_no_effect() {
    let mut sim = settled(10, 1, |_| {});
    let mut usual = settled(10, 1, |_| {});
    sim.record_all();
    sim.run_for(Duration::from_secs(3));
    usual.run_for(Duration::from_secs(3));
    // Pings of the past, their number changed or not, and what is no ping.
    let old = sim.take_recorded();
    for (place, taken) in old.iter().enumerate() {
        let Some(of) = sim.who_is_at(taken.to) else {
            continue;
        };
        let mut quoted = taken.bytes.clone();
        let end = quoted.len() - 20;
        quoted[end] ^= (place % 3) as u8;
        sim.forge_refused(taken.from, of, &quoted);
    }
    sim.run_for(Duration::from_secs(20));
    usual.run_for(Duration::from_secs(20));
    assert!(sim.faults().of(Fault::ForgedRefusal) > 40);
    assert_eq!(sim.datagrams, usual.datagrams);
    assert!(sim.all_agree());
}

#[test]
fn originals_and_members_that_take_no_refusals_go_on_as_before() {
    for seed in 0..6 {
        let mut sim = settled(10, seed, |config| {
            config.timing = Timing::habitat();
            config.network.icmp = true;
        });
        sim.crash(3);
        let took = until_confirmed(&mut sim, 3);
        assert!(took > Duration::from_secs(9), "seed {seed}: {took:?}");
    }
}

#[test]
fn half_of_a_ring_that_ends_at_once_is_confirmed_within_three_seconds() {
    for seed in 0..4 {
        let mut sim = settled(50, seed, |_| {});
        for member in 0..25 {
            sim.crash(2 * member);
        }
        let gone = |sim: &Sim| (0..25).all(|member| sim.all_hold(2 * member, Health::Confirmed));
        assert!(sim.run_until(millis(3_000), gone), "seed {seed}");
    }
}

#[test]
fn a_process_that_stands_still_for_five_seconds_is_confirmed_by_nobody() {
    for (members, frozen) in [(10, 1), (40, 2), (40, 10)] {
        for seed in 0..4 {
            let mut sim = settled(members, seed, |_| {});
            (0..frozen).for_each(|member| sim.freeze(member));
            sim.run_for(millis(5_000));
            let stalled = |sim: &Sim| {
                let view = sim.node(members - 1).member(sim.id(0)).unwrap();
                view.suspicion.map(|suspicion| suspicion.evidence)
            };
            assert_eq!(
                stalled(&sim),
                Some(Evidence::Stalled),
                "{members} members, seed {seed}"
            );
            (0..frozen).for_each(|member| sim.thaw(member));
            assert!(
                sim.run_until(millis(1_500), Sim::all_agree),
                "{members} members, seed {seed}"
            );
            for member in 0..members {
                assert_eq!(held(&mut sim, member, Health::Confirmed), 0, "seed {seed}");
            }
            assert_eq!(sim.violations(), []);
        }
    }
}

#[test]
fn a_process_that_stands_still_for_good_is_confirmed_when_the_patience_is_over() {
    for seed in 0..4 {
        let mut sim = settled(20, seed, |_| {});
        sim.freeze(7);
        let took = until_confirmed(&mut sim, 7);
        let expected = millis(7_900)..=millis(11_000);
        assert!(expected.contains(&took), "seed {seed}: {took:?}");
    }
    // One that ends while it stands still is gone.
    for seed in 0..4 {
        let mut sim = settled(20, seed, |_| {});
        sim.freeze(7);
        sim.run_for(millis(4_000));
        sim.crash(7);
        let took = until_confirmed(&mut sim, 7);
        assert!(took <= millis(1_100), "seed {seed}: {took:?}");
    }
    // Without patience it is as dead as a lost host.
    for seed in 0..4 {
        let impatient = |config: &mut SimConfig| config.timing.stall_patience = Duration::ZERO;
        let mut sim = settled(20, seed, impatient);
        sim.freeze(7);
        assert!(until_confirmed(&mut sim, 7) <= millis(5_050), "seed {seed}");
    }
}
