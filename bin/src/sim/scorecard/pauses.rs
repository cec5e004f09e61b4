//! Row 4: some members stand still again and again; whom do the others accuse?

use std::time::Duration;

use butterfly::sim::{Fault, Index, Sim};
use butterfly::{Event, Health, Timing};

use super::plan::{NETWORK, Plan, timed};
use super::row::{Figure, RowSpec, Statistic, Unit};

pub const ROW: RowSpec = RowSpec {
    number: 4,
    title: "Members that are stuck again and again: false positives at healthy members",
    what: "As in the Lifeguard paper: C of 128 members are stuck for D, all at the same time, run for I, and so on for \
           two minutes. Each verdict of a healthy member that another healthy one is dead counts. C is 1, 4, 16, 32; D \
           0.128, 0.512, 2.048, 8.192, 32.768 s; I 1 ms, 1.024 s, 16.384 s: 60 cases, all with each seed. Whose \
           messages are stuck works on, but reads nothing and nothing that it sends leaves (the paper's slow \
           processing of messages); whose process stands still does nothing at all. Then: how long it takes until \
           members that stand still for 32.768 s are Confirmed by the first healthy one, and by all. Without \
           Lifeguard means: no local health, no witnesses, and suspicions of a fixed length, the shortest that ours \
           have (2 s), as the paper compares them. SWIM alone means: nor a last word of a suspect, nor a check of a \
           claimed death, which others don't have; what is bounded is compared with that.",
    conditions: NETWORK,
    source: "Lifeguard paper (DSN 2018), §V.",
    measure,
};

const MEMBERS: usize = 128;
const ANOMALOUS: [usize; 4] = [1, 4, 16, 32];
const PAUSES: [u64; 5] = [128, 512, 2_048, 8_192, 32_768];
const RUNS: [u64; 3] = [1, 1_024, 16_384];
const TIME: Duration = Duration::from_secs(120);
/// Accusations take that long to end one way or the other.
const AFTERWARDS: Duration = Duration::from_secs(30);

/// How many times fewer false positives.
const FEWER: f64 = 50.0;
/// In at least so many without Lifeguard.
const ENOUGH: f64 = 500.0;
/// How much later the median of detection may be.
const LATER: f64 = 1.1;

/// What is wrong with the anomalous members.
#[derive(Clone, Copy, PartialEq)]
enum Anomaly {
    /// The process stands still.
    Frozen,
    /// Its messages are stuck.
    Stalled,
}

#[derive(Clone, Copy)]
struct Case {
    anomaly: Anomaly,
    members: usize,
    pause: Duration,
    run: Duration,
}

fn measure(plan: &Plan) -> Vec<Figure> {
    let (ours, without, alone) = (Timing::lan(), without_lifeguard(), swim_alone());
    let sums = |timing: &Timing, anomaly: Anomaly| {
        plan.runs(20, 1, |seed| false_positives(plan, seed, timing, anomaly))
    };
    let frozen = sums(&ours, Anomaly::Frozen);
    let [stalled, lesser, compared] =
        [&ours, &without, &alone].map(|timing| sums(timing, Anomaly::Stalled));
    let total = |sums: &[f64]| sums.iter().sum::<f64>();
    // Without a single one, there may have been almost one.
    let ratio = total(&compared) / total(&stalled).max(1.0);
    let mut figures = vec![
        Figure::new("ours, the process stands still", Unit::Count, frozen),
        Figure::new("ours, messages are stuck", Unit::Count, stalled),
        Figure::new("ours without Lifeguard, the same", Unit::Count, lesser),
        Figure::new("SWIM alone, the same", Unit::Count, compared.clone()),
        Figure::new("… with all seeds", Unit::Count, vec![total(&compared)])
            .of("in all")
            .at_least(Statistic::Lowest, ENOUGH),
        Figure::new("so many times fewer with it", Unit::Number, vec![ratio])
            .of("in all")
            .at_least(Statistic::Lowest, FEWER),
    ];
    figures.extend(detection(plan, &ours, &alone));
    figures
}

/// How long it takes to find out who stands still, with and without.
fn detection(plan: &Plan, ours: &Timing, without: &Timing) -> Vec<Figure> {
    let delays = |timing: &Timing| {
        let seeds = plan.runs(20, 2, |seed| {
            let delays = ANOMALOUS.map(|members| delays(plan, seed, timing, members));
            delays.concat()
        });
        seeds.concat().into_iter().unzip::<_, _, Vec<_>, Vec<_>>()
    };
    let (first, all) = delays(ours);
    let (first_without, all_without) = delays(without);
    let mut figures = Vec::new();
    for (what, with, without) in [
        ("Confirmed by the first", first, first_without),
        ("Confirmed by all", all, all_without),
    ] {
        let without = Figure::times(format!("{what}, SWIM alone"), without).of("pauses");
        let most = without
            .statistic(Statistic::Median)
            .map_or(0.0, |median| median * LATER);
        let with = Figure::times(format!("{what}, ours"), with).of("pauses");
        figures.extend([with.at_most(Statistic::Median, most), without]);
    }
    figures
}

/// Suspicions of a fixed length, and no doubts of oneself.
fn without_lifeguard() -> Timing {
    let mut timing = Timing::lan();
    timing.local_health = false;
    timing.witnesses = 0;
    timing.suspicion_confirmations = 0;
    timing.suspicion_stretch = 1.0;
    timing
}

/// Nor what ours does beyond Lifeguard before it holds a member for dead.
fn swim_alone() -> Timing {
    let mut timing = without_lifeguard();
    timing.verdict_timeout = Duration::ZERO;
    timing
}

/// In all cases.
fn false_positives(plan: &Plan, seed: u64, timing: &Timing, anomaly: Anomaly) -> f64 {
    let mut sum = 0;
    for members in ANOMALOUS {
        for pause in plan.pick(&PAUSES[..], &PAUSES[3..4]) {
            for run in plan.pick(&RUNS[..], &RUNS[1..2]) {
                let (pause, run) = (Duration::from_millis(*pause), Duration::from_millis(*run));
                let case = Case {
                    anomaly,
                    members,
                    pause,
                    run,
                };
                sum += false_positives_of(plan, seed, timing, case);
            }
        }
    }
    sum as f64
}

fn false_positives_of(plan: &Plan, seed: u64, timing: &Timing, case: Case) -> usize {
    let (mut sim, still) = ring(seed, timing, case.members);
    let end = sim.now() + TIME;
    type Do = fn(&mut Sim, Index);
    let (stop, go_on, fault): (Do, Do, _) = match case.anomaly {
        Anomaly::Frozen => (Sim::freeze, Sim::thaw, Fault::Freeze),
        Anomaly::Stalled => (Sim::stall, Sim::unstall, Fault::Stall),
    };
    while sim.now() < end {
        still.iter().for_each(|member| stop(&mut sim, *member));
        sim.run_for(case.pause);
        still.iter().for_each(|member| go_on(&mut sim, *member));
        sim.run_for(case.run);
    }
    sim.run_for(AFTERWARDS);
    plan.demand(seed, &sim, fault);
    let ids: Vec<_> = still.iter().map(|member| sim.id(*member)).collect();
    let mut count = 0;
    for member in healthy(&sim, &still) {
        let events = sim.take_events(member).into_iter();
        count += events
            .filter(|(_, event)| {
                matches!(event, Event::MemberChanged { id, to: Health::Confirmed, .. } if !ids.contains(id))
            })
            .count();
    }
    count
}

/// Of each that stands still once: until the first healthy member holds it for Confirmed, and until all do.
fn delays(
    plan: &Plan,
    seed: u64,
    timing: &Timing,
    anomalous: usize,
) -> Vec<(Option<Duration>, Option<Duration>)> {
    let (mut sim, still) = ring(seed, timing, anomalous);
    let start = sim.now();
    still.iter().for_each(|member| sim.freeze(*member));
    sim.run_for(Duration::from_millis(32_768));
    plan.demand(seed, &sim, Fault::Freeze);
    let healthy = healthy(&sim, &still);
    let mut verdicts = vec![Vec::new(); still.len()];
    for member in &healthy {
        for (at, event) in sim.take_events(*member) {
            if let Event::MemberChanged {
                id,
                to: Health::Confirmed,
                ..
            } = event
                && let Some(place) = still.iter().position(|still| sim.id(*still) == id)
            {
                verdicts[place].push(at.since(start));
            }
        }
    }
    let times = |verdicts: Vec<Duration>| {
        let all = verdicts
            .iter()
            .max()
            .filter(|_| verdicts.len() >= healthy.len());
        (verdicts.iter().min().copied(), all.copied())
    };
    verdicts.into_iter().map(times).collect()
}

/// A settled ring, and those of it that will stand still.
fn ring(seed: u64, timing: &Timing, anomalous: usize) -> (Sim, Vec<Index>) {
    let mut sim = timed(seed, timing.clone());
    let members = sim.start_settled(MEMBERS);
    sim.run_for(Duration::from_secs(10));
    let first = seed as usize * 37;
    let still = (first..first + anomalous).map(|place| members[place % MEMBERS]);
    (sim, still.collect())
}

fn healthy(sim: &Sim, still: &[Index]) -> Vec<Index> {
    sim.up().filter(|member| !still.contains(member)).collect()
}
