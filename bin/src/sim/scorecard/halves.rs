//! Row 8: a ring is cut in two for long, and heals.

use std::time::Duration;

use butterfly::sim::{Fault, Sim};

use super::plan::{NETWORK, Plan, apply_config, settled};
use super::row::{Figure, RowSpec, Statistic};

pub const ROW: RowSpec = RowSpec {
    number: 8,
    title: "Halves that were apart, until they are one ring again",
    what: "No member is persistent and none has a seed on the other side. While the halves are apart, each is told \
           rumors of its own. Measured is the time from the end of the partition until all hold all for Alive, \
           and the same rumors.",
    conditions: NETWORK,
    source: "Bound: the project's own.",
    measure,
};

const MOST: f64 = 120.0;
const HOUR: Duration = Duration::from_secs(3_600);
const RUMORS: u64 = 10;

fn measure(plan: &Plan) -> Vec<Figure> {
    let members = plan.pick(200, 40);
    let apart: &[u32] = plan.pick(&[1, 24], &[1]);
    apart
        .iter()
        .map(|hours| {
            let times = plan.runs(20, 2, |seed| until_one(plan, seed, members, HOUR * *hours));
            let what = format!("N = {members}, apart for {hours} h");
            Figure::times(what, times).at_most(Statistic::Highest, MOST)
        })
        .collect()
}

/// `None`: not within ten minutes.
fn until_one(plan: &Plan, seed: u64, members: usize, apart: Duration) -> Option<Duration> {
    let mut sim = settled(seed, members);
    sim.partition(|member| u8::from(member % 2 == 0));
    sim.run_for(apart / 2);
    for number in 0..RUMORS {
        apply_config(&mut sim, 0, &format!("even{number}"));
        apply_config(&mut sim, 1, &format!("odd{number}"));
    }
    sim.run_for(apart / 2);
    sim.partition(|_| 0);
    plan.demand(seed, &sim, Fault::Partition);
    let start = sim.now();
    let healed = |sim: &Sim| sim.all_agree() && sim.same_rumors();
    let healed = sim.run_until(Duration::from_secs(600), healed);
    healed.then(|| sim.now().since(start))
}
