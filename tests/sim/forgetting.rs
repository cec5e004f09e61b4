//! Dead members that are forgotten, in simulated rings with churn, a partition and old disks.

use std::time::Duration;

use butterfly::sim::{Disk, Index, Sim, SimConfig};
use butterfly::{Health, MemberId, Service};

fn secs(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

fn announce(sim: &mut Sim, member: Index) {
    let service = Service::new(
        "web.default".parse().unwrap(),
        "acme/web/1.0.0/20260101000000",
    );
    sim.command(member, |node, now| node.announce(now, service).unwrap());
}

/// Nobody that is up knows any of these, nor holds their services.
fn are_forgotten(sim: &Sim, dead: &[Index]) -> bool {
    let ids: Vec<MemberId> = dead.iter().map(|member| sim.id(*member)).collect();
    sim.up().all(|of| {
        let node = sim.node(of);
        let group = "web.default".parse().unwrap();
        let serves = node.members_of(&group).any(|member| ids.contains(&member));
        !serves && ids.iter().all(|id| node.health_of(*id).is_none())
    })
}

/// Of a ring of so many, three tenths die and are forgotten while a fifth is cut off and others come and go.
fn forget_three_tenths(seed: u64, members: usize) {
    let mut sim = Sim::new(SimConfig::new(seed));
    sim.start_settled(members);
    let dead: Vec<Index> = (0..members * 3 / 10).collect();
    let last = members - 1;
    for member in dead.iter().take(20).chain([&last]) {
        announce(&mut sim, *member);
    }
    sim.run_for(secs(5.0));
    // Knows all of them as living.
    let (old, leaves) = (members / 2, members / 2 + 1);
    sim.copy_disk(old);
    for member in &dead {
        sim.crash(*member);
    }
    let all_dead = |sim: &Sim| {
        let dead = dead.iter();
        dead.clone()
            .all(|member| sim.all_hold(*member, Health::Confirmed))
    };
    assert!(sim.run_until(secs(120.0), all_dead), "seed {seed}");
    let cut = members * 8 / 10;
    sim.partition(|member| u8::from(member >= cut));
    let ids: Vec<MemberId> = dead.iter().map(|member| sim.id(*member)).collect();
    sim.command(cut - 1, |node, now| node.forget(now, &ids).unwrap());
    // Others come and go meanwhile.
    sim.crash(old);
    sim.command(leaves, |node, now| node.leave(now));
    let newcomer = sim.start();
    sim.join(newcomer, cut - 1);
    sim.run_for(secs(60.0));
    sim.crash(leaves);
    sim.heal();
    sim.restart_with(old, Disk::Older);
    sim.join(old, cut - 1);
    let agreed = sim.run_until(secs(300.0), |sim| {
        sim.all_agree() && sim.same_rumors() && are_forgotten(sim, &dead)
    });
    let known: Vec<_> = (sim.up())
        .flat_map(|of| dead.iter().map(move |member| (of, *member)))
        .filter_map(|(of, member)| Some((of, member, sim.view(of, member)?)))
        .collect();
    assert!(agreed, "seed {seed}: {known:?}");
    sim.run_for(secs(120.0));
    assert!(sim.all_agree() && are_forgotten(&sim, &dead), "seed {seed}");
    // It is no ban.
    let back = dead[1];
    sim.restart_with(back, Disk::Kept);
    assert!(
        sim.run_until(secs(120.0), |sim| sim.all_agree()),
        "seed {seed}"
    );
}

#[test]
fn whoever_is_forgotten_stays_so_and_nobody_alive_is_lost() {
    for seed in 0..4 {
        forget_three_tenths(seed, 40);
    }
    forget_three_tenths(9, 400);
}

#[test]
#[ignore = "minutes: cargo test --release --test sim forgetting -- --ignored"]
fn of_ten_thousand_three_tenths_are_forgotten() {
    forget_three_tenths(1, 10_000);
}
