//! One run of a scenario, and what came of it.

use std::time::Duration;

use butterfly::sim::{Fault, FaultCounts, Index, Sim};
use butterfly::{RumorId, ServiceConfig, Stats, Time};

use super::load::Load;
use super::measure::Measure;
use super::observer::{Alarm, Alarms, Observer};
use super::scenario::{Cast, Role, Scenario, side};
use super::times::Times;
use crate::failure::Failure;

/// Points of a run's timeline, its beginning aside.
pub const POINTS: usize = 500;

/// What came of a run, or of several together.
pub struct Outcome {
    pub times: Vec<(Measure, Times)>,
    /// For each measure of which that is known: what share of all views held it, at `POINTS` + 1 equidistant
    /// moments.
    pub timeline: Vec<(Measure, Vec<f64>)>,
    pub alarms: Alarms,
    /// False accusations and false deaths between two points of the timeline.
    pub accusations: Vec<u64>,
    pub deaths: Vec<u64>,
    /// Until the half of the time before it happens, the other half, and from then on.
    pub loads: Vec<Load>,
    pub ends: Vec<End>,
}

/// How a run ended.
pub struct End {
    pub seed: u64,
    /// Whether all that run hold each other for Alive, and nobody else.
    pub agreed: bool,
    /// Whether they hold the same rumors.
    pub same_rumors: bool,
    pub datagrams: u64,
    /// What went wrong.
    pub faults: FaultCounts,
    /// Members that left; their processes' ends are counted as crashes, too.
    pub left: u64,
    /// Stands for every message that arrived, where and when.
    pub trace_hash: u64,
}

/// What happens at a moment of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Moment {
    /// Half the time before it happens is over.
    Quiet,
    Happens,
    PauseEnds,
    PartitionEnds,
}

/// Told how far a run is.
pub type Tell<'t> = &'t (dyn Fn(u64, Duration, &Observer) + Sync);

/// Runs it; the same seed brings the same.
pub fn run(scenario: &Scenario, seed: u64, tell: Tell) -> Result<Outcome, Failure> {
    let cast = Cast::new(scenario, seed);
    let mut sim = scenario.network(seed);
    if scenario.settled {
        sim.start_settled(scenario.members);
    } else {
        sim.start_ring(scenario.members);
    }
    let observer = Observer::new(scenario, &cast, &sim);
    let mut run = Run::new(scenario, &cast, sim, observer);
    if scenario.settled {
        run.forget_the_past();
    }
    run.look(0);
    for point in 1..=POINTS {
        run.until(scenario.length * point as u32 / POINTS as u32)?;
        run.look(point);
        tell(seed, run.now(), &run.observer);
    }
    run.load();
    Ok(run.outcome(seed))
}

struct Run<'a> {
    scenario: &'a Scenario,
    cast: &'a Cast,
    sim: Sim,
    observer: Observer<'a>,
    /// What is still to happen, the last first.
    moments: Vec<(Time, Moment)>,
    bystanders: Vec<Index>,
    /// When the present stretch of load began, and what had been counted by then.
    stretch: (Duration, Vec<Stats>),
    loads: Vec<Load>,
    measures: Vec<Measure>,
    timeline: Vec<(Measure, Vec<f64>)>,
    accusations: Vec<u64>,
    deaths: Vec<u64>,
    left: u64,
}

impl<'a> Run<'a> {
    fn new(scenario: &'a Scenario, cast: &'a Cast, sim: Sim, observer: Observer<'a>) -> Self {
        let measures = Measure::all_of(scenario);
        let at = scenario.at;
        let mut moments = vec![(at / 2, Moment::Quiet), (at, Moment::Happens)];
        if scenario.paused > 0 {
            moments.push((at + scenario.pause_for, Moment::PauseEnds));
        }
        moments.extend(
            scenario
                .partition
                .map(|lasts| (at + lasts, Moment::PartitionEnds)),
        );
        let mut moments: Vec<_> = moments
            .into_iter()
            .map(|(at, moment)| (Time::ZERO + at, moment))
            .collect();
        moments.sort_by(|one, other| other.cmp(one));
        let bystanders = cast.of(Role::Bystander);
        let none = vec![Stats::default(); bystanders.len()];
        Run {
            scenario,
            cast,
            sim,
            observer,
            moments,
            bystanders,
            stretch: (Duration::ZERO, none),
            loads: Vec::new(),
            measures,
            timeline: Vec::new(),
            accusations: vec![0; POINTS],
            deaths: vec![0; POINTS],
            left: 0,
        }
    }

    fn now(&self) -> Duration {
        self.sim.now().since(Time::ZERO)
    }

    /// Members that know each other from the start did not come to know each other in this run.
    fn forget_the_past(&mut self) {
        for member in 0..self.scenario.members {
            self.sim.take_events(member);
        }
    }

    /// Lets time pass, takes notes, and lets happen what is to happen by then.
    fn until(&mut self, end: Duration) -> Result<(), Failure> {
        // So that events do not pile up.
        let step = self.scenario.timing.period / 10;
        // In the simulation's whole microseconds: less than one would never be over.
        let end = Time::ZERO + end;
        while self.sim.now() < end {
            let now = self.sim.now();
            let next = self.moments.last().map_or(end, |(at, _)| (*at).min(end));
            self.sim.run_for(step.min(next.since(now)));
            for gone in self.observer.take(&mut self.sim) {
                self.left += 1;
                self.sim.crash(gone);
            }
            let now = self.sim.now();
            while let Some((_, moment)) = self.moments.pop_if(|(at, _)| *at <= now) {
                self.happen(moment)?;
            }
        }
        Ok(())
    }

    fn happen(&mut self, moment: Moment) -> Result<(), Failure> {
        let (cast, now) = (self.cast, self.sim.now());
        match moment {
            Moment::Quiet => self.load(),
            Moment::Happens => {
                self.load();
                self.strike();
                self.tell_rumors()?;
            }
            Moment::PauseEnds => {
                self.observer.end(Measure::PausedDead);
                self.observer.begin(Measure::PausedBack, now);
                cast.of(Role::Paused)
                    .into_iter()
                    .for_each(|member| self.sim.thaw(member));
            }
            Moment::PartitionEnds => {
                self.observer.end(Measure::AcrossDead);
                self.observer.begin(Measure::AcrossBack, now);
                self.sim.partition(|_| 0);
            }
        }
        Ok(())
    }

    fn strike(&mut self) {
        let (cast, now) = (self.cast, self.sim.now());
        for measure in self.measures.clone() {
            if !matches!(measure, Measure::PausedBack | Measure::AcrossBack) {
                self.observer.begin(measure, now);
            }
        }
        cast.of(Role::Killed)
            .into_iter()
            .for_each(|member| self.sim.crash(member));
        cast.of(Role::Paused)
            .into_iter()
            .for_each(|member| self.sim.freeze(member));
        for member in cast.of(Role::Leaving) {
            self.sim.command(member, |node, now| node.leave(now));
        }
        if self.scenario.partition.is_some() {
            self.sim.partition(side);
        }
    }

    fn tell_rumors(&mut self) -> Result<(), Failure> {
        for (number, teller) in self.cast.tellers.iter().enumerate() {
            let group = format!("rumor-{number}.sim")
                .parse()
                .map_err(Failure::failed)?;
            self.observer.expect_rumor(RumorId::config(&group), *teller);
            let config = ServiceConfig::new(group, 1, vec![b'#'; self.scenario.rumor_bytes]);
            let told = self
                .sim
                .command(*teller, |node, now| node.apply_config(now, config));
            told.map_err(Failure::failed)?;
        }
        Ok(())
    }

    /// Notes the load of the stretch that ends now.
    fn load(&mut self) {
        let now = self.now();
        let (from, before) = &self.stretch;
        self.loads
            .push(Load::of(&self.sim, &self.bystanders, before, *from, now));
        let stats = self
            .bystanders
            .iter()
            .map(|member| self.sim.node(*member).stats().clone());
        self.stretch = (now, stats.collect());
    }

    /// Notes a point of the timeline.
    fn look(&mut self, point: usize) {
        for alarm in self.observer.new_alarms() {
            let counts = match alarm {
                Alarm::Accusation => &mut self.accusations,
                Alarm::Death => &mut self.deaths,
            };
            counts[point.saturating_sub(1)] += 1;
        }
        for measure in &self.measures {
            let Some(share) = self.observer.share(*measure) else {
                continue;
            };
            match self.timeline.iter_mut().find(|(of, _)| of == measure) {
                Some((_, shares)) => shares.push(share),
                None => {
                    // What is not there yet is held by nobody.
                    let mut shares = vec![0.0; point];
                    shares.push(share);
                    self.timeline.push((*measure, shares));
                }
            }
        }
    }

    fn outcome(self, seed: u64) -> Outcome {
        let times = self
            .measures
            .iter()
            .map(|measure| (*measure, self.observer.times(*measure)));
        Outcome {
            times: times.collect(),
            timeline: self.timeline,
            alarms: self.observer.alarms(),
            accusations: self.accusations,
            deaths: self.deaths,
            loads: self.loads,
            ends: vec![End {
                seed,
                agreed: self.sim.all_agree(),
                same_rumors: self.sim.same_rumors(),
                datagrams: self.sim.datagrams,
                faults: self.sim.faults().clone(),
                left: self.left,
                trace_hash: self.sim.trace_hash(),
            }],
        }
    }
}

impl End {
    /// How often this went wrong.
    pub fn of(&self, fault: Fault) -> u64 {
        self.faults.of(fault)
    }
}

impl Outcome {
    /// Takes another run of the same scenario in.
    pub fn merge(&mut self, other: Outcome) {
        let runs = (self.ends.len() as f64, other.ends.len() as f64);
        for ((_, times), (_, more)) in self.times.iter_mut().zip(&other.times) {
            times.merge(more);
        }
        for ((_, shares), (_, more)) in self.timeline.iter_mut().zip(&other.timeline) {
            for (share, more) in shares.iter_mut().zip(more) {
                *share = (*share * runs.0 + more * runs.1) / (runs.0 + runs.1);
            }
        }
        for (counts, more) in [
            (&mut self.accusations, &other.accusations),
            (&mut self.deaths, &other.deaths),
        ] {
            counts
                .iter_mut()
                .zip(more)
                .for_each(|(count, more)| *count += more);
        }
        self.loads
            .iter_mut()
            .zip(&other.loads)
            .for_each(|(load, more)| load.merge(more));
        self.alarms.merge(&other.alarms);
        self.ends.extend(other.ends);
    }
}

#[cfg(test)]
mod tests {
    use super::super::scenario::tests::asked;
    use super::*;

    fn outcome(options: &str, seed: u64) -> Outcome {
        run(&asked(options).unwrap(), seed, &|_, _, _| {}).unwrap()
    }

    fn times(outcome: &Outcome, wanted: Measure) -> &Times {
        let found = outcome.times.iter().find(|(measure, _)| *measure == wanted);
        &found.unwrap().1
    }

    #[test]
    fn everything_that_happens_comes_to_be_known() {
        let options = "--members 24 --kill 2 --leave 1 --pause 2 --pause-for 20s --partition 40s --rumors 2 --at 10s \
                       --for 150s";
        let outcome = outcome(options, 3);
        // Nineteen look on, and each half has its own.
        for (measure, count) in [
            (Measure::Acquainted, 19 * 23),
            (Measure::Formed, 19),
            (Measure::Confirmed, 2 * 19),
            (Measure::ConfirmedByAll, 2),
            (Measure::Left, 19),
            (Measure::Rumor, 2 * 18),
            (Measure::RumorByAll, 2),
            (Measure::PausedBack, 2 * 19),
        ] {
            let times = times(&outcome, measure);
            assert_eq!((times.count(), times.never()), (count, 0), "{measure:?}");
        }
        assert!(times(&outcome, Measure::AcrossDead).first() > Some(Duration::from_secs(2)));
        assert!(times(&outcome, Measure::AcrossDead).within(0.9) < Some(Duration::from_secs(40)));
        assert!(times(&outcome, Measure::AcrossBack).within(1.0).is_some());
        // A rumor crosses when the halves meet again.
        assert!(times(&outcome, Measure::RumorByAll).first() >= Some(Duration::from_secs(40)));
        assert!(outcome.ends[0].agreed && outcome.ends[0].same_rumors);
        let (_, alive) = &outcome.timeline[0];
        assert_eq!(
            (alive.len(), alive[0], alive[POINTS]),
            (POINTS + 1, 0.0, 1.0)
        );
        assert!(
            alive[POINTS / 4] < 0.7,
            "the halves do not see each other: {}",
            alive[POINTS / 4]
        );
        assert!(
            outcome
                .timeline
                .iter()
                .all(|(_, shares)| shares.len() == POINTS + 1)
        );
    }

    #[test]
    fn a_partition_is_no_false_alarm() {
        let apart = outcome(
            "--members 12 --start settled --partition 20s --for 40s --rumors 0",
            1,
        );
        assert_eq!(
            (apart.alarms.dead, apart.deaths.iter().sum::<u64>()),
            (0, 0),
            "{:?}",
            apart.alarms
        );
    }

    #[test]
    fn what_loss_alone_does_is_a_false_alarm() {
        let options = "--members 12 --start settled --loss 60 --for 60s --rumors 0";
        let lossy = outcome(options, 1);
        assert!(
            lossy.alarms.suspected > 0 && lossy.alarms.accusations > 0,
            "{:?}",
            lossy.alarms
        );
        assert_eq!(
            lossy.accusations.iter().sum::<u64>(),
            lossy.alarms.accusations
        );
        assert_eq!(lossy.deaths.iter().sum::<u64>(), lossy.alarms.dead_views);
        assert!(lossy.ends[0].of(Fault::Loss) > 0);
    }

    #[test]
    fn a_ring_that_lives_by_asking_others_shows_it() {
        let shares = |options| {
            let rates = outcome(options, 1).loads[0].rates(Duration::from_secs(1));
            (rates.indirect, rates.failed)
        };
        assert_eq!(shares("--members 8 --start settled --for 30s"), (0.0, 0.0));
        let (indirect, failed) = shares("--members 8 --start settled --delay 300ms --for 30s");
        // They answer late, but within the period. The last probes of the stretch are not late yet.
        assert!(indirect > 0.8 && failed == 0.0, "{indirect} {failed}");
    }

    #[test]
    fn several_runs_are_counted_together() {
        let options = "--members 8 --kill 1 --for 30s";
        let (one, other) = (outcome(options, 1), outcome(options, 2));
        let mut both = outcome(options, 1);
        both.merge(other);
        assert_eq!(both.ends.len(), 2);
        assert_eq!(
            times(&both, Measure::Confirmed).count(),
            2 * times(&one, Measure::Confirmed).count()
        );
        let rate = |outcome: &Outcome| outcome.loads[1].rates(Duration::from_secs(1)).sent;
        assert!(
            (rate(&both) / rate(&one) - 1.0).abs() < 0.2,
            "a mean, not a sum"
        );
    }
}
