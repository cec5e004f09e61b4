//! Row 7: all members restart at once.

use std::time::Duration;

use butterfly::sim::{Disk, Sim};

use super::plan::{NETWORK, Plan, settled};
use super::row::{Figure, RowSpec, Statistic};

pub const ROW: RowSpec = RowSpec {
    number: 7,
    title: "All of 4 500 restart at once",
    what: "A settled ring; all members end at the same moment, and start again a second later: with their disks, and \
           nothing else to find each other by; or having lost them, through one seed. Measured is how long it takes \
           from then until each holds all for Alive.",
    conditions: NETWORK,
    source: "Bound: the issue.",
    measure,
};

const MOST: f64 = 60.0;

fn measure(plan: &Plan) -> Vec<Figure> {
    let members = plan.pick(4_500, 200);
    let disks = [(Disk::Kept, "disks kept"), (Disk::Lost, "disks lost")];
    disks
        .into_iter()
        .map(|(disk, what)| {
            let times = plan.runs(2, 2, |seed| until_all_agree(seed, members, disk));
            Figure::times(format!("N = {members}, {what}"), times).at_most(Statistic::Highest, MOST)
        })
        .collect()
}

/// `None`: not within five minutes.
fn until_all_agree(seed: u64, members: usize, disk: Disk) -> Option<Duration> {
    let mut sim = settled(seed, members);
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
    let agreed = sim.run_until(Duration::from_secs(300), Sim::all_agree);
    agreed.then(|| sim.now().since(start))
}
