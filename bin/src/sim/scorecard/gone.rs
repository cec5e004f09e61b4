//! Row 13: a process ends while its host lives on; a process stands still.

use std::time::Duration;

use butterfly::Health;
use butterfly::sim::{Fault, Sim, SimConfig};

use super::plan::{NETWORK, Plan};
use super::row::{Figure, RowSpec, Statistic, Unit};

pub const ROW: RowSpec = RowSpec {
    number: 13,
    title: "A process ends and its host lives on: until all know it Confirmed",
    what: "N members, settled; the process of one is killed, and its system refuses what comes to its port (ICMP port \
           unreachable, within Linux's limits). Measured is how long it takes until the last of the others holds it for \
           Confirmed: with connections to the next two members, whose end is a hint, and without; with datagrams lost, \
           too. And how often it is Confirmed anywhere if it starts again after 0.5 s.",
    conditions: NETWORK,
    source: "Bound: the project's own; beside: what silence alone takes.",
    measure,
};

/// What is measured, and how long it may take: half of the times, and the worst of them.
struct Case {
    what: &'static str,
    watch: usize,
    loss: f64,
    median: f64,
    worst: f64,
}

const CASES: [Case; 4] = [
    Case {
        what: "with connections",
        watch: 2,
        loss: 0.0,
        median: 1.1,
        worst: 1.2,
    },
    Case {
        what: "with connections, 25 % lost",
        watch: 2,
        loss: 0.25,
        median: 1.2,
        worst: 1.3,
    },
    Case {
        what: "without",
        watch: 0,
        loss: 0.0,
        median: 1.75,
        worst: 3.05,
    },
    Case {
        what: "without, 15 % lost",
        watch: 0,
        loss: 0.15,
        median: 2.0,
        worst: 3.6,
    },
];

fn measure(plan: &Plan) -> Vec<Figure> {
    let sizes = plan.pick(&[10, 100, 1_000][..], &[10, 60]);
    let mut figures = Vec::new();
    for case in &CASES {
        for members in sizes.iter().copied() {
            let times = plan.runs(20, 5, |seed| until_confirmed(plan, seed, members, case));
            let what = format!("{}, N = {members}", case.what);
            let median = Figure::times(what.clone(), times.clone());
            figures.push(median.at_most(Statistic::Median, case.median));
            figures.push(Figure::times(what, times).at_most(Statistic::Highest, case.worst));
        }
    }
    let views = plan.runs(20, 5, |seed| restarted(plan, seed));
    let restart = Figure::new("Confirmed after a restart in 0.5 s", Unit::Count, views);
    figures.push(restart.at_most(Statistic::Highest, 0.0));
    figures
}

fn ring(seed: u64, members: usize, change: impl FnOnce(&mut SimConfig)) -> Sim {
    let mut config = SimConfig::new(seed);
    (config.watched, config.network.icmp) = (false, true);
    change(&mut config);
    let mut sim = Sim::new(config);
    sim.start_settled(members);
    // Any moment of a period.
    sim.run_for(Duration::from_millis(5_000 + seed * 137 % 1_000));
    sim
}

fn confirmed(sim: &Sim, victim: usize) -> usize {
    let views = sim.up().filter(|member| *member != victim);
    views
        .filter(|member| sim.view(*member, victim) == Some(Health::Confirmed))
        .count()
}

/// `None`: not within a minute.
fn until_confirmed(plan: &Plan, seed: u64, members: usize, case: &Case) -> Option<Duration> {
    let mut sim = ring(seed, members, |config| {
        config.timing.watch_connections = case.watch;
        config.network.loss = case.loss;
    });
    let (victim, start) = (seed as usize % members, sim.now());
    sim.crash(victim);
    let known = sim.run_until(Duration::from_secs(60), |sim| {
        sim.all_hold(victim, Health::Confirmed)
    });
    plan.demand(seed, &sim, Fault::Refusal);
    known.then(|| sim.now().since(start))
}

/// At how many members a member is Confirmed at some time that starts again after half a second.
fn restarted(plan: &Plan, seed: u64) -> f64 {
    let mut sim = ring(seed, 10, |_| {});
    let victim = 1 + seed as usize % 9;
    sim.crash(victim);
    sim.run_for(Duration::from_millis(500));
    sim.restart_with(victim, butterfly::sim::Disk::Kept);
    sim.join(victim, 0);
    let mut worst = 0;
    for _ in 0..200 {
        sim.run_for(Duration::from_millis(50));
        worst = worst.max(confirmed(&sim, victim));
    }
    plan.demand(seed, &sim, Fault::Refusal);
    worst as f64
}
