//! Row 9: many leave within seconds.

use std::time::Duration;

use butterfly::Health;
use butterfly::sim::{Fault, Index, Sim};

use super::plan::{NETWORK, Plan, settled};
use super::row::{Figure, RowSpec, Statistic, Unit};

pub const ROW: RowSpec = RowSpec {
    number: 9,
    title: "2 000 of 10 000 leave within 10 s",
    what: "Each leaves, and its process ends when it is done. Measured from the last leave on: until all others hold \
           them all for Departed and each other for Alive; a minute later, how much still waits at any member to be \
           sent or checked, what is larger than its cap, and how many of those that left are held for anything but \
           Departed. News of them that was pushed often enough rides on in the free room of pings and Acks, for hours; \
           it is counted, too.",
    conditions: NETWORK,
    source: "Bound: the project's own.",
    measure,
};

const WITHIN: Duration = Duration::from_secs(10);
const MINUTE: Duration = Duration::from_secs(60);
/// So long it may take until all agree.
const MOST: f64 = 60.0;
/// So long that is waited for, to see how late it is.
const PATIENCE: Duration = Duration::from_secs(300);

struct Seen {
    took: Option<Duration>,
    /// The most that one member still has to do.
    left_over: f64,
    /// Things that are larger than their cap, at all members.
    over_cap: f64,
    /// The most news at one member.
    news: f64,
    resurrected: f64,
}

fn measure(plan: &Plan) -> Vec<Figure> {
    let members = plan.pick(10_000, 200);
    let seen = plan.runs_one_by_one(20, 1, |seed| leave(plan, seed, members));
    let values = |take: fn(&Seen) -> f64| seen.iter().map(take).collect::<Vec<_>>();
    let name = format!("N = {members}");
    vec![
        Figure::times(
            format!("{name}: converged"),
            seen.iter().map(|seen| seen.took),
        )
        .at_most(Statistic::Highest, MOST),
        Figure::new(
            format!("{name}: the most that waits at one"),
            Unit::Count,
            values(|seen| seen.left_over),
        )
        .at_most(Statistic::Highest, 0.0),
        Figure::new(
            format!("{name}: larger than its cap"),
            Unit::Count,
            values(|seen| seen.over_cap),
        )
        .at_most(Statistic::Highest, 0.0),
        Figure::new(
            format!("{name}: the most news at one"),
            Unit::Count,
            values(|seen| seen.news),
        ),
        Figure::new(
            format!("{name}: resurrected"),
            Unit::Count,
            values(|seen| seen.resurrected),
        )
        .at_most(Statistic::Highest, 0.0),
    ]
}

fn leave(plan: &Plan, seed: u64, members: usize) -> Seen {
    let mut sim = settled(seed, members);
    sim.keep_events(false);
    sim.run_for(Duration::from_secs(5));
    let gone: Vec<Index> = (0..members / 5).map(|number| number * 5).collect();
    let pause = WITHIN / gone.len() as u32;
    let grace = butterfly::Timing::lan().leave_grace * 2;
    let mut ended = 0;
    for (number, member) in gone.iter().enumerate() {
        sim.command(*member, |node, now| node.leave(now));
        sim.run_for(pause);
        // Those that are done with it.
        while pause * (number - ended) as u32 > grace {
            sim.crash(gone[ended]);
            ended += 1;
        }
    }
    let start = sim.now();
    sim.run_for(grace);
    gone[ended..].iter().for_each(|member| sim.crash(*member));
    plan.demand(seed, &sim, Fault::Crash);
    let converged = |sim: &Sim| {
        let living = sim.up().count();
        sim.up().all(|member| {
            let counts = sim.node(member).counts();
            (counts.alive, counts.departed) == (living, gone.len())
        })
    };
    let took = sim
        .run_until(PATIENCE, converged)
        .then(|| sim.now().since(start));
    sim.run_for(MINUTE);
    let waits = [
        "suspicions",
        "verdicts",
        "transfers",
        "queued_datagrams",
        "queued_pushes",
    ];
    let most = |names: &[&str]| {
        let sizes = sim.up().map(|member| size_of(&sim, member, names));
        sizes.max().unwrap_or(0) as f64
    };
    let (left_over, news) = (most(&waits), most(&["news"]));
    let sizes = sim.up().flat_map(|member| sim.node(member).sizes());
    let over_cap = sizes.filter(|size| size.now > size.most).count() as f64;
    let departed = |of: Index, about: Index| {
        sim.view(of, about)
            .is_none_or(|health| health == Health::Departed)
    };
    let resurrected = gone
        .iter()
        .filter(|about| sim.up().any(|of| !departed(of, **about)));
    let resurrected = resurrected.count() as f64;
    Seen {
        took,
        left_over,
        over_cap,
        news,
        resurrected,
    }
}

/// How much there is of these at a member, in sum.
fn size_of(sim: &Sim, member: Index, names: &[&str]) -> u64 {
    let sizes = sim.node(member).sizes();
    let named = sizes.filter(|size| names.contains(&size.name));
    named.map(|size| size.now).sum()
}
