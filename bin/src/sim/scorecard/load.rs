//! Row 2: what a settled ring costs each of its members.

use std::time::Duration;

use butterfly::Timing;
use butterfly::sim::Sim;

use super::plan::{NETWORK, Plan, settled};
use super::row::{Figure, RowSpec, Statistic, Unit, highest_over_lowest};

pub const ROW: RowSpec = RowSpec {
    number: 2,
    title: "Load per member and period in a settled ring",
    what: "N members that know each other, without loss, watched for a minute of periods after a minute of quiet. \
           Measured are the datagrams that a member sends and receives in a period, on average over all members; \
           the worst is the worst seed.",
    conditions: NETWORK,
    source: "Bound: the project's own. A probe is a ping and an Ack at each of two members: 2 datagrams sent and 2 received.",
    measure,
};

const MOST: f64 = 2.1;
/// What the costliest size may cost more than the cheapest.
const FLAT: f64 = 1.05;
const PERIODS: u32 = 60;
/// Members of the largest ring.
const HUGE: usize = 10_000;

fn measure(plan: &Plan) -> Vec<Figure> {
    let sizes: &[usize] = plan.pick(&[8, 32, 100, 1_000, HUGE], &[8, 100]);
    let mut figures = Vec::new();
    let mut means = Vec::new();
    for members in sizes {
        let load = |seed| load(seed, *members);
        let loads = match *members {
            HUGE => plan.runs_one_by_one(20, 3, load),
            _ => plan.runs(20, 3, load),
        };
        for (what, take) in [("sent", 0), ("received", 1)] {
            let values = loads.iter().map(|load| load[take]).collect();
            let figure = Figure::new(format!("N = {members}, {what}"), Unit::Number, values)
                .at_most(Statistic::Mean, MOST);
            means.extend(figure.statistic(Statistic::Mean));
            figures.push(figure);
        }
    }
    let ratio = highest_over_lowest(means);
    let flat = Figure::new("the costliest over the cheapest", Unit::Number, vec![ratio]);
    figures.push(flat.of("in all").at_most(Statistic::Highest, FLAT));
    figures
}

/// Datagrams sent, and received, by a member in a period.
fn load(seed: u64, members: usize) -> [f64; 2] {
    let mut sim = settled(seed, members);
    let watched = Timing::lan().period * PERIODS;
    sim.run_for(watched.max(Duration::from_secs(60)));
    let before = datagrams(&sim);
    sim.run_for(watched);
    let after = datagrams(&sim);
    let each =
        |place: usize| (after[place] - before[place]) as f64 / members as f64 / f64::from(PERIODS);
    [each(0), each(1)]
}

/// Sent and received by all so far.
fn datagrams(sim: &Sim) -> [u64; 2] {
    sim.up().fold([0, 0], |[sent, received], member| {
        let stats = sim.node(member).stats();
        [sent + stats.sent_total(), received + stats.received_total()]
    })
}
