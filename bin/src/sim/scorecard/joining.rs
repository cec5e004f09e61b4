//! Row 1: members join while a tenth of all datagrams is lost.

use std::collections::BTreeSet;
use std::time::Duration;

use butterfly::sim::{Fault, Sim, id_of};
use butterfly::{Event, Health};

use super::plan::{Plan, network};
use super::row::{Figure, RowSpec, Statistic, Unit};

pub const ROW: RowSpec = RowSpec {
    number: 1,
    title: "17 join while 10 % of all datagrams are lost: how many are stable",
    what: "17 start at once, all but one with the first as their seed, and run for 175 s. A member is stable if \
           nobody held it for Confirmed in all that time, and everybody counts it as living at the end.",
    conditions: "lan, delay 0.5 ms + exp(0.5 ms), 10 % loss",
    source: "SWIM paper, Fig. 4.",
    measure,
};

const MEMBERS: usize = 17;
const TIME: Duration = Duration::from_secs(175);
const LOSS: f64 = 0.1;

fn measure(plan: &Plan) -> Vec<Figure> {
    let stable = plan.runs(50, 5, |seed| stable(plan, seed) as f64);
    let figure = Figure::new("stable members", Unit::Count, stable)
        .at_least(Statistic::Lowest, MEMBERS as f64)
        .beside("SWIM: 12 with suspicion, 4 and 2 without");
    vec![figure]
}

fn stable(plan: &Plan, seed: u64) -> usize {
    let mut sim = network(seed);
    sim.network_mut().loss = LOSS;
    let members = sim.start_ring(MEMBERS);
    sim.run_for(TIME);
    plan.demand(seed, &sim, Fault::Loss);
    let mut accused = BTreeSet::new();
    for member in &members {
        for (_, event) in sim.take_events(*member) {
            if let Event::MemberChanged { id, to, .. } = event
                && to >= Health::Confirmed
            {
                accused.insert(id);
            }
        }
    }
    let is_stable =
        |member: &usize| !accused.contains(&id_of(*member)) && lives_for_all(&sim, *member);
    members.into_iter().filter(is_stable).count()
}

/// Whether all others count it as living.
fn lives_for_all(sim: &Sim, about: usize) -> bool {
    let mut others = sim.up().filter(|of| *of != about);
    others.all(|of| {
        sim.view(of, about)
            .is_some_and(|health| health <= Health::Suspect)
    })
}
