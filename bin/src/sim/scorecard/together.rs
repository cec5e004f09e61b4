//! Row 12: a hundred start at once, and one tells all the others something.

use std::time::Duration;

use butterfly::Time;
use butterfly::sim::Sim;

use super::plan::{NETWORK, Plan, apply_config, network};
use super::row::{Figure, RowSpec, Statistic, Unit};

pub const ROW: RowSpec = RowSpec {
    number: 12,
    title: "100 start at once through one seed; one rumor to all",
    what: "Measured is how long it takes until each holds all for Alive; and, ten seconds later, how long a \
           configuration that one member is given takes until all hold it.",
    conditions: NETWORK,
    source: "Bound: the project's own; beside: measured of memberlist and foca on one machine.",
    measure,
};

const MEMBERS: usize = 100;
const SEEN: f64 = 0.5;
const TOLD: f64 = 0.3;

fn measure(plan: &Plan) -> Vec<Figure> {
    let runs = plan.runs(1_000, 10, start_and_tell);
    let seen = runs.iter().map(|run| run.seen);
    let told = runs.iter().map(|run| run.told);
    let pushes = runs.iter().map(|run| run.pushes).collect();
    vec![
        Figure::times("all see all", seen)
            .at_most(Statistic::Highest, SEEN)
            .beside("memberlist 2.5 s; foca 0.9 s, but 30 s in 1 of 15"),
        Figure::times("the rumor is everywhere", told)
            .at_most(Statistic::Highest, TOLD)
            .beside("memberlist 0.64 s, foca 0.59 s"),
        Figure::new("pushes of the rumor, a member", Unit::Number, pushes)
            .beside("the original 198"),
    ]
}

struct Run {
    /// Until all see all; `None`: not within a minute.
    seen: Option<Duration>,
    /// Until all hold the rumor; `None`: not within a minute.
    told: Option<Duration>,
    /// Sent by a member, on average over all.
    pushes: f64,
}

fn start_and_tell(seed: u64) -> Run {
    const MINUTE: Duration = Duration::from_secs(60);
    let mut sim = network(seed);
    sim.start_ring(MEMBERS);
    let seen = sim.run_until(MINUTE, Sim::all_agree);
    let seen = seen.then(|| sim.now().since(Time::ZERO));
    sim.run_for(Duration::from_secs(10));
    let (start, pushes) = (sim.now(), sim.pushes);
    apply_config(&mut sim, seed as usize % MEMBERS, "redis");
    let all_told = |sim: &Sim| sim.up().all(|member| sim.node(member).rumor_count() == 1);
    let told = sim.run_until(MINUTE, all_told);
    let told = told.then(|| sim.now().since(start));
    // By then it is cold.
    sim.run_for(Duration::from_secs(5));
    Run {
        seen,
        told,
        pushes: (sim.pushes - pushes) as f64 / MEMBERS as f64,
    }
}
