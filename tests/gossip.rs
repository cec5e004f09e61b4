//! Rumors in simulated rings: how fast and at what cost they reach everybody.

use std::time::Duration;

use butterfly::sim::{Index, Sim, SimConfig};
use butterfly::{ServiceConfig, ServiceGroup};

fn secs(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

fn group(name: &str) -> ServiceGroup {
    format!("{name}.default").parse().unwrap()
}

fn config(group: ServiceGroup, incarnation: u64) -> ServiceConfig {
    ServiceConfig {
        group,
        incarnation,
        encrypted: false,
        config: b"port = 6380\n".to_vec(),
    }
}

fn apply(sim: &mut Sim, member: Index, config: ServiceConfig) {
    sim.command(member, |node, now| node.apply_config(now, config).unwrap());
}

/// A settled ring.
fn ring(seed: u64, members: usize) -> Sim {
    let mut sim = Sim::new(SimConfig::new(seed));
    sim.start_ring(members);
    assert!(sim.run_until(secs(60.0), |sim| sim.all_agree()));
    sim.run_for(secs(10.0));
    sim
}

#[test]
fn a_rumor_reaches_everybody() {
    for members in [10, 100, 1000] {
        for loss in [0.0, 0.2] {
            let mut worst: f64 = 0.0;
            let mut sum = 0.0;
            let mut sends = 0.0;
            let seeds = if members == 1000 { 3 } else { 10 };
            for seed in 0..seeds {
                let mut sim = ring(seed, members);
                sim.network_mut().loss = loss;
                let (start, pushes) = (sim.now(), sim.pushes);
                apply(&mut sim, 0, config(group("redis"), 1));
                let all = |sim: &Sim| sim.up().all(|member| sim.node(member).rumor_count() == 1);
                assert!(sim.run_until(secs(60.0), all), "{members} {loss}");
                let took = sim.now().since(start).as_secs_f64();
                worst = worst.max(took);
                sum += took;
                sim.run_for(secs(5.0));
                sends += (sim.pushes - pushes) as f64 / members as f64;
            }
            let seeds = seeds as f64;
            println!(
                "N={members} loss={loss}: mean {:.3} worst {worst:.3} s; sends/member {:.2}",
                sum / seeds,
                sends / seeds
            );
        }
    }
}
