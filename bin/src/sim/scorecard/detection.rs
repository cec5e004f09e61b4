//! Row 11: one is killed; how long until all know?

use std::time::Duration;

use butterfly::Health;
use butterfly::sim::{Fault, Sim};

use super::plan::{NETWORK, Plan, network};
use super::row::{Figure, RowSpec, Statistic, Unit, highest_over_lowest};

pub const ROW: RowSpec = RowSpec {
    number: 11,
    title: "One is killed: until all know it Confirmed",
    what: "N members that know each other for ten seconds; one of them ends without a word. Measured is how long \
           it takes until the last of the others holds it for Confirmed; and whether that is the same at every size.",
    conditions: NETWORK,
    source: "Bound: the project's own; beside: measured of memberlist, foca and the original on one machine.",
    measure,
};

const MOST: f64 = 5.0;
/// What the slowest size may take more than the fastest.
const FLAT: f64 = 1.25;

/// Members, and what others took with as many.
const SIZES: [(usize, &str); 3] = [
    (10, "memberlist 6.8 s, foca 6.1 s, the original 16 s"),
    (50, "memberlist 8.9 s, foca 9.0 s"),
    (100, "memberlist 10.1 s, foca 10.4 s"),
];

fn measure(plan: &Plan) -> Vec<Figure> {
    let mut figures: Vec<_> = SIZES
        .into_iter()
        .map(|(members, beside)| {
            let times = plan.runs(20, 5, |seed| until_confirmed(plan, seed, members));
            Figure::times(format!("N = {members}"), times)
                .at_most(Statistic::Median, MOST)
                .beside(beside)
        })
        .collect();
    let medians = figures
        .iter()
        .filter_map(|figure| figure.statistic(Statistic::Median));
    let ratio = highest_over_lowest(medians);
    let flat = Figure::new(
        "the slowest median over the fastest",
        Unit::Number,
        vec![ratio],
    );
    figures.push(flat.of("in all").at_most(Statistic::Highest, FLAT));
    figures
}

/// `None`: not within a minute.
fn until_confirmed(plan: &Plan, seed: u64, members: usize) -> Option<Duration> {
    let mut sim = network(seed);
    let ids = sim.start_ring(members);
    if !sim.run_until(Duration::from_secs(20), Sim::all_agree) {
        return None;
    }
    sim.run_for(Duration::from_secs(10));
    let (victim, start) = (ids[1 + seed as usize % (members - 1)], sim.now());
    sim.crash(victim);
    plan.demand(seed, &sim, Fault::Crash);
    let known = sim.run_until(Duration::from_secs(60), |sim| {
        sim.all_hold(victim, Health::Confirmed)
    });
    known.then(|| sim.now().since(start))
}
