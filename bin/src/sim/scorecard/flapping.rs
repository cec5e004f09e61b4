//! Row 5: few of many have bad links, or crash.

use std::time::Duration;

use butterfly::sim::{Fault, Index, Sim};
use butterfly::{Event, Health};

use super::plan::{NETWORK, Plan, settled};
use super::row::{Figure, RowSpec, Statistic, Unit};

pub const ROW: RowSpec = RowSpec {
    number: 5,
    title: "1 % of 1 000 lose 80 % of what they send; take nothing in for 20 s in 40; crash",
    what: "Three experiments of the Rapid paper, 200 s each. Counted at the healthy members are verdicts that a \
           healthy member is dead; and how often their view of a healthy member went back and forth. Of the \
           crashed: how long it takes until all know all of them Confirmed.",
    conditions: NETWORK,
    source: "Rapid paper (USENIX ATC 2018), §7.",
    measure,
};

const TIME: Duration = Duration::from_secs(200);
const LOSS: f64 = 0.8;
const FLIP_FLOP: Duration = Duration::from_secs(20);

/// What the healthy members made of it.
struct Seen {
    /// A healthy one held for dead.
    false_deaths: usize,
    /// A healthy one alive again.
    returns: usize,
    /// A faulty one alive again, of those that were held for dead: for each view and faulty one.
    faulty_returns: f64,
    /// The share of views that hold the faulty ones for dead at the end.
    faulty_dead: f64,
}

fn measure(plan: &Plan) -> Vec<Figure> {
    let members = plan.pick(1_000, 200);
    let mut figures = Vec::new();
    type Spoil = fn(&mut Sim, Index);
    let faults: [(&str, Fault, Spoil); 2] = [
        (
            "80 % of what they send lost",
            Fault::LinkLoss,
            |sim, member| sim.link_mut(member).loss_out = LOSS,
        ),
        (
            "nothing in for 20 s in 40",
            Fault::FlipFlop,
            |sim, member| sim.link_mut(member).flip_flop = Some(FLIP_FLOP),
        ),
    ];
    for (name, fault, spoil) in faults {
        let seen = plan.runs(20, 1, |seed| {
            let mut sim = suffer(seed, members, spoil);
            plan.demand(seed, &sim, fault);
            look(&mut sim, &faulty(seed, members))
        });
        let figure = |what: &str, take: fn(&Seen) -> f64| {
            let values = seen.iter().map(take).collect();
            Figure::new(format!("{name}: {what}"), Unit::Count, values)
        };
        figures.extend([
            figure("healthy ones held for dead", |seen| {
                seen.false_deaths as f64
            })
            .at_most(Statistic::Highest, 0.0),
            figure("healthy ones taken back", |seen| seen.returns as f64)
                .at_most(Statistic::Highest, 0.0),
            figure("a faulty one taken back, per view", |seen| {
                seen.faulty_returns
            }),
            figure("views in which a faulty one is dead at the end", |seen| {
                seen.faulty_dead
            }),
        ]);
    }
    let crashed = plan.runs(20, 2, |seed| until_confirmed(plan, seed, members));
    let (times, deaths): (Vec<_>, Vec<_>) = crashed.into_iter().unzip();
    figures.extend([
        Figure::times("10 crash: all Confirmed by all", times)
            .at_most(Statistic::Highest, TIME.as_secs_f64()),
        Figure::new("10 crash: healthy ones held for dead", Unit::Count, deaths)
            .at_most(Statistic::Highest, 0.0),
    ]);
    figures
}

/// One in a hundred.
fn faulty(seed: u64, members: usize) -> Vec<Index> {
    let count = members / 100;
    (0..count)
        .map(|number| (seed as usize * 7 + number * 97) % members)
        .collect()
}

/// A ring in which some have had bad links for long.
fn suffer(seed: u64, members: usize, spoil: fn(&mut Sim, Index)) -> Sim {
    let mut sim = settled(seed, members);
    sim.run_for(Duration::from_secs(10));
    for member in faulty(seed, members) {
        spoil(&mut sim, member);
    }
    sim.run_for(TIME);
    sim
}

fn look(sim: &mut Sim, faulty: &[Index]) -> Seen {
    let ids: Vec<_> = faulty.iter().map(|member| sim.id(*member)).collect();
    let healthy: Vec<_> = sim.up().filter(|member| !faulty.contains(member)).collect();
    let mut seen = Seen {
        false_deaths: 0,
        returns: 0,
        faulty_returns: 0.0,
        faulty_dead: 0.0,
    };
    let pairs = (healthy.len() * faulty.len()) as f64;
    for member in &healthy {
        for (_, event) in sim.take_events(*member) {
            let Event::MemberChanged { id, from, to, .. } = event else {
                continue;
            };
            let dies = to >= Health::Confirmed;
            let returns = from.is_some_and(|from| from >= Health::Confirmed) && !dies;
            match ids.contains(&id) {
                true => seen.faulty_returns += f64::from(u8::from(returns)) / pairs,
                false => {
                    seen.false_deaths += usize::from(dies);
                    seen.returns += usize::from(returns);
                }
            }
        }
        let dead = faulty.iter().filter(|about| {
            sim.view(*member, **about)
                .is_none_or(|health| health >= Health::Confirmed)
        });
        seen.faulty_dead += dead.count() as f64 / pairs;
    }
    seen
}

/// Until all know all of the crashed for Confirmed, and how many living ones were held for dead.
fn until_confirmed(plan: &Plan, seed: u64, members: usize) -> (Option<Duration>, f64) {
    let mut sim = settled(seed, members);
    sim.run_for(Duration::from_secs(10));
    let crashed = faulty(seed, members);
    let start = sim.now();
    crashed.iter().for_each(|member| sim.crash(*member));
    plan.demand(seed, &sim, Fault::Crash);
    let known = sim.run_until(TIME, |sim| {
        crashed
            .iter()
            .all(|member| sim.all_hold(*member, Health::Confirmed))
    });
    let took = known.then(|| sim.now().since(start));
    sim.run_for(Duration::from_secs(30));
    (took, look(&mut sim, &crashed).false_deaths as f64)
}
