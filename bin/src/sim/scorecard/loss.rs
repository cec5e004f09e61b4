//! Row 10: datagrams are lost for an hour, and nobody is dead.

use std::collections::BTreeSet;
use std::time::Duration;

use butterfly::sim::{Fault, Sim};
use butterfly::{Event, Health, Incarnation, MemberId};

use super::plan::{Plan, settled};
use super::row::{Figure, RowSpec, Statistic, Unit};

pub const ROW: RowSpec = RowSpec {
    number: 10,
    title: "Healthy members Confirmed while datagrams are lost for an hour, per member-hour",
    what: "N members that know each other; from then on each datagram is lost with the same probability. Counted \
           are the false deaths: a member, which lives, held for Confirmed by anybody; each of its incarnations \
           once. The mean is per member and hour, the worst run's too.",
    conditions: "lan, delay 0.5 ms + exp(0.5 ms), loss as said",
    source: "Bound: the project's own; beside: measured with 25 % loss, N = 20, 60 s.",
    measure,
};

const HOUR: Duration = Duration::from_secs(3_600);

fn measure(plan: &Plan) -> Vec<Figure> {
    let sizes: &[usize] = plan.pick(&[20, 100, 1_000], &[20]);
    let mut figures = Vec::new();
    for members in sizes {
        for percent in [5, 15, 25] {
            let time = plan.pick(HOUR, HOUR / 6);
            let hours = *members as f64 * time.as_secs_f64() / HOUR.as_secs_f64();
            let deaths = plan.runs(20, 2, |seed| {
                false_deaths(plan, seed, *members, percent, time) as f64 / hours
            });
            let figure = Figure::new(
                format!("N = {members}, loss {percent} %"),
                Unit::Rate,
                deaths,
            );
            figures.push(if percent <= 15 {
                figure.at_most(Statistic::Highest, 0.0)
            } else {
                figure
            });
        }
    }
    let minute = Duration::from_secs(60);
    let deaths = plan.runs(200, 20, |seed| {
        false_deaths(plan, seed, 20, 25, minute) as f64
    });
    figures.push(
        Figure::new("N = 20, loss 25 %, 60 s: false deaths", Unit::Count, deaths)
            .at_most(Statistic::Highest, 0.0)
            .beside("memberlist 0 to 1, foca 3"),
    );
    figures
}

fn false_deaths(plan: &Plan, seed: u64, members: usize, percent: u32, time: Duration) -> usize {
    let mut sim = settled(seed, members);
    sim.network_mut().loss = f64::from(percent) / 100.0;
    let mut deaths = BTreeSet::new();
    // In parts, so that what happened does not pile up.
    const PARTS: u32 = 60;
    for _ in 0..PARTS {
        sim.run_for(time / PARTS);
        count_deaths(&mut sim, &mut deaths);
    }
    plan.demand(seed, &sim, Fault::Loss);
    deaths.len()
}

/// Adds who was Confirmed by anybody since this was last asked, and at which incarnation.
fn count_deaths(sim: &mut Sim, deaths: &mut BTreeSet<(MemberId, Incarnation)>) {
    for member in sim.up().collect::<Vec<_>>() {
        for (_, event) in sim.take_events(member) {
            if let Event::MemberChanged {
                id,
                to,
                incarnation,
                ..
            } = event
                && to >= Health::Confirmed
            {
                deaths.insert((id, incarnation));
            }
        }
    }
}
