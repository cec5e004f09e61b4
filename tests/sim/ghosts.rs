//! Members that are gone, in simulated rings: how soon another's presence at their address tells, who leads a group
//! that nobody is in, and that services of members that departed long ago stay gone.

use std::time::Duration;

use butterfly::sim::{Disk, Index, Sim, SimConfig};
use butterfly::{Event, Health, Incarnation, RumorKind, Service, Timing};

fn secs(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

fn announce(sim: &mut Sim, member: Index) {
    let group = format!("web{}.default", member % 5).parse().unwrap();
    let service = Service::new(group, "acme/web/1.0.0/20260101000000");
    sim.command(member, |node, now| node.announce(now, service).unwrap());
}

/// Machines are replaced and restarted for some minutes in a ring that forgets the dead quickly; then how long it takes
/// until all hold the same, and how many services of members gone for more than a minute were adopted.
fn churn(seed: u64) -> (Option<Duration>, usize) {
    let mut config = SimConfig::new(seed);
    config.timing = Timing::lan();
    (config.timing.departed_after, config.timing.forget_after) = (secs(20.0), secs(40.0));
    let mut sim = Sim::new(config);
    let mut living = sim.start_ring(30);
    assert!(sim.run_until(secs(60.0), |sim| sim.all_agree()));
    for member in living.clone() {
        announce(&mut sim, member);
    }
    let mut gone = Vec::new();
    for turn in 0..40 {
        sim.run_for(secs(5.0));
        let place = (seed as usize * 7 + turn * 11) % living.len();
        let dead = living.swap_remove(place);
        sim.crash(dead);
        gone.push((sim.now(), sim.id(dead)));
        let newcomer = sim.start();
        let peer = living[turn % living.len()];
        sim.join(newcomer, peer);
        announce(&mut sim, newcomer);
        living.push(newcomer);
        if turn % 4 == 0 {
            let restarts = living[(turn * 3) % living.len()];
            sim.copy_disk(restarts);
        }
        if turn % 4 == 3 {
            let restarts = living[((turn - 3) * 3) % living.len()];
            sim.crash(restarts);
            sim.run_for(secs(1.0));
            sim.restart_with(restarts, Disk::Older);
            let peer = *living.iter().find(|member| **member != restarts).unwrap();
            sim.join(restarts, peer);
            announce(&mut sim, restarts);
        }
    }
    let start = sim.now();
    let mut ghosts = 0;
    let agreed = sim.run_until(secs(600.0), |sim| sim.same_rumors() && sim.all_agree());
    let took = sim.now().since(start);
    for member in &living {
        for (at, event) in sim.take_events(*member) {
            if let Event::RumorChanged { id, .. } = event
                && id.kind == RumorKind::Service
                && gone
                    .iter()
                    .any(|(died, who)| *id.id == *who.to_string() && at.since(*died) > secs(60.0))
            {
                ghosts += 1;
            }
        }
    }
    (agreed.then_some(took), ghosts)
}

#[test]
fn services_of_members_long_gone_stay_gone() {
    for seed in [1, 3, 5, 7] {
        let (agreed, ghosts) = churn(seed);
        assert!(
            agreed.is_some_and(|took| took < secs(60.0)),
            "seed {seed}: {agreed:?}"
        );
        assert_eq!(ghosts, 0, "seed {seed}");
    }
}

/// A machine dies, and at once another member starts at its address: how long until all hold the dead one for Confirmed.
fn replaced(seed: u64, members: usize, joins: bool) -> Duration {
    let mut sim = Sim::new(SimConfig::new(seed));
    sim.start_ring(members);
    assert!(sim.run_until(secs(60.0), |sim| sim.all_agree()));
    sim.run_for(secs(5.0 + seed as f64 * 0.37));
    let (former, latter) = (members - 1, sim.start());
    sim.crash(latter);
    sim.crash(former);
    sim.swap_addresses(former, latter);
    sim.restart(latter, Incarnation::ZERO);
    if joins {
        sim.join(latter, 0);
    }
    let start = sim.now();
    let known =
        |sim: &Sim| (0..members - 1).all(|of| sim.view(of, former) == Some(Health::Confirmed));
    assert!(sim.run_until(secs(60.0), known), "seed {seed}");
    let took = sim.now().since(start);
    if joins {
        assert!(sim.run_until(secs(30.0), |sim| sim.all_hold(latter, Health::Alive)));
    }
    took
}

#[test]
fn whoever_is_replaced_at_its_address_is_soon_known_to_be_gone() {
    for members in [5, 10, 30] {
        let times = |joins| {
            let mut times: Vec<_> = (0..20).map(|seed| replaced(seed, members, joins)).collect();
            times.sort_unstable();
            times
        };
        // By a probe's failure and a suspicion it would take 4 s, and 8 s at worst.
        let times_of_joining = times(true);
        assert!(times_of_joining[19] < secs(1.5), "{times_of_joining:?}");
        // One that joins nobody is found by the first probe.
        let times = times(false);
        assert!(times[10] < secs(2.5), "{times:?}");
    }
}
