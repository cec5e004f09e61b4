//! Row 6: a big ring starts at once.

use std::time::Duration;

use butterfly::sim::Sim;

use super::plan::{NETWORK, Plan, network};
use super::row::{Figure, RowSpec, Statistic};

pub const ROW: RowSpec = RowSpec {
    number: 6,
    title: "Bootstrap of 2 000 through one seed",
    what: "All start at once, with the first as their seed. Measured is how long it takes until each holds all \
           for Alive.",
    conditions: NETWORK,
    source: "Bound: the project's own; beside: figures in the Rapid paper (USENIX ATC 2018).",
    measure,
};

const MOST: f64 = 15.0;

fn measure(plan: &Plan) -> Vec<Figure> {
    let members = plan.pick(2_000, 200);
    let times = plan.runs(20, 2, |seed| until_all_agree(seed, members));
    let figure = Figure::times(format!("N = {members}"), times)
        .at_most(Statistic::Highest, MOST)
        .beside("memberlist up to 95 s");
    vec![figure]
}

/// `None`: not within two minutes.
fn until_all_agree(seed: u64, members: usize) -> Option<Duration> {
    let mut sim = network(seed);
    sim.start_ring(members);
    let agreed = sim.run_until(Duration::from_secs(120), Sim::all_agree);
    agreed.then(|| sim.now().since(butterfly::Time::ZERO))
}
