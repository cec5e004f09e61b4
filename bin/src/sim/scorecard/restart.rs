//! Row 7: all members restart at once.

use std::time::Duration;

use butterfly::Health;
use butterfly::node::Node;
use butterfly::sim::{Disk, Fault, Index, Sim};

use super::plan::{NETWORK, Plan, settled};
use super::row::{Figure, RowSpec, Statistic};

pub const ROW: RowSpec = RowSpec {
    number: 7,
    title: "All of 4 500 restart at once",
    what: "A settled ring; all members end at the same moment, and start again a second later: with their disks, and \
           nothing else to find each other by; or having lost them, through one seed. Measured is how long it takes \
           from then until each holds all for Alive, at the incarnation at which they started again.",
    conditions: NETWORK,
    source: "Bound: the project's own.",
    measure,
};

const MOST: f64 = 60.0;

fn measure(plan: &Plan) -> Vec<Figure> {
    let members = plan.pick(4_500, 200);
    let disks = [
        (Disk::Kept, Fault::RestartKept, "disks kept"),
        (Disk::Lost, Fault::RestartLost, "disks lost"),
    ];
    disks
        .into_iter()
        .map(|(disk, restart, what)| {
            let times = plan.runs(20, 2, |seed| {
                let mut sim = settled(seed, members);
                let took = until_all_agree(&mut sim, disk);
                for fault in [Fault::Crash, restart] {
                    plan.demand(seed, &sim, fault);
                }
                took
            });
            Figure::times(format!("N = {members}, {what}"), times).at_most(Statistic::Highest, MOST)
        })
        .collect()
}

/// `None`: not within five minutes.
fn until_all_agree(sim: &mut Sim, disk: Disk) -> Option<Duration> {
    sim.keep_events(false);
    sim.run_for(Duration::from_secs(5));
    let all: Vec<_> = sim.up().collect();
    all.iter().for_each(|member| sim.crash(*member));
    sim.run_for(Duration::from_secs(1));
    let start = sim.now();
    for member in &all {
        sim.restart_with(*member, disk);
        if disk == Disk::Lost && *member != all[0] {
            sim.join(*member, all[0]);
        }
    }
    // For each member how many of all it has been seen to know: incarnations never fall, so what was once seen
    // need not be looked at again.
    let mut known = vec![0; all.len()];
    let agreed = sim.run_until(Duration::from_secs(300), |sim| {
        let know_all = known
            .iter_mut()
            .zip(&all)
            .all(|(known, of)| knows_from(sim, *of, &all, known));
        know_all && sim.all_agree()
    });
    agreed.then(|| sim.now().since(start))
}

/// Whether the member knows of each that it started again; counts on from those `known` before.
fn knows_from(sim: &Sim, of: Index, all: &[Index], known: &mut usize) -> bool {
    while let Some(about) = all.get(*known) {
        let is_new = |node: &Node| {
            let held = node.member(sim.id(*about))?;
            let started = sim.node(*about).me().member.incarnation;
            Some(held.health == Health::Alive && held.member.incarnation >= started)
        };
        if is_new(sim.node(of)) != Some(true) {
            return false;
        }
        *known += 1;
    }
    true
}
