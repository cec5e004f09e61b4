//! Row 3: how long a crashed member is not probed by anybody.

use std::f64::consts::E;
use std::time::Duration;

use butterfly::sim::{Fault, Sim, id_of};
use butterfly::trace::TraceKind;
use butterfly::{Time, Timing};

use super::plan::{NETWORK, Plan, network};
use super::row::{Figure, RowSpec, Statistic, Unit};

pub const ROW: RowSpec = RowSpec {
    number: 3,
    title: "Whole periods, rounded up, until the first ping at a crashed member",
    what: "N members, settled; one of them crashes. Measured is when the first of the others begins to probe it. \
           If each probes a random one in each period, that takes e/(e − 1) = 1.582 periods on average, and any time at \
           worst; here every second probe goes to the member that comes next.",
    conditions: NETWORK,
    source: "Bound: 5 % above the expectation in the SWIM paper, §3.1, and three periods at worst.",
    measure,
};

const SHARE: f64 = 0.05;
const MOST: f64 = 3.0;

fn measure(plan: &Plan) -> Vec<Figure> {
    let expected = E / (E - 1.0);
    [32, 100]
        .into_iter()
        .flat_map(|members| {
            let periods = plan.runs(2_000, 500, |seed| until_first_ping(plan, seed, members));
            let figure = |values| Figure::new(format!("N = {members}"), Unit::Number, values);
            let mean = figure(periods.clone()).at_most(Statistic::Mean, expected * (1.0 + SHARE));
            [mean, figure(periods).at_most(Statistic::Highest, MOST)]
        })
        .collect()
}

/// In whole periods, rounded up; infinite: not within a minute.
fn until_first_ping(plan: &Plan, seed: u64, members: usize) -> f64 {
    let mut sim = network(seed);
    let ids = sim.start_ring(members);
    if !sim.run_until(Duration::from_secs(20), Sim::all_agree) {
        return f64::INFINITY;
    }
    sim.run_for(Duration::from_secs(10));
    let (victim, crash) = (ids[seed as usize % members], sim.now());
    sim.crash(victim);
    plan.demand(seed, &sim, Fault::Crash);
    for member in sim.up().collect::<Vec<_>>() {
        sim.command(member, |node, _| node.set_tracing(true));
    }
    let period = Timing::lan().period;
    for _ in 0..60 {
        sim.run_for(period);
        if let Some(first) = first_probe_of(&mut sim, victim) {
            let periods = first.since(crash).as_secs_f64() / period.as_secs_f64();
            return periods.ceil();
        }
    }
    f64::INFINITY
}

/// When the first of all began to probe this member, since it was last asked.
fn first_probe_of(sim: &mut Sim, victim: usize) -> Option<Time> {
    let mut first: Option<Time> = None;
    for member in sim.up().collect::<Vec<_>>() {
        sim.command(member, |node, _| {
            while let Some(trace) = node.poll_trace() {
                let begins = trace.kind == TraceKind::ProbeBegin && trace.to == Some(id_of(victim));
                if begins && first.is_none_or(|first| trace.time < first) {
                    first = Some(trace.time);
                }
            }
        });
    }
    first
}
