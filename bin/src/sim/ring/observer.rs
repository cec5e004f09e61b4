//! Sees everything that the members come to know, as it happens, and counts: what it costs does not depend on
//! how often the counts are looked at.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use butterfly::sim::{Index, Sim};
use butterfly::{Cause, Event, Health, MemberId, RumorId, Time};

use super::measure::Measure;
use super::scenario::{Cast, Role, Scenario, side};
use super::times::Times;

/// What a member may hold another for: nothing, or one of the four healths.
type State = usize;
const STATES: usize = 5;
const UNKNOWN: State = 0;

/// What two members are to each other: a view is what the first, a bystander, holds the second for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum View {
    /// Two bystanders that always reach each other.
    Living,
    /// Two that do not while there is a partition.
    Across,
    OfKilled,
    OfLeaving,
    OfPaused,
}

const VIEWS: usize = 5;

/// Something that views come to hold.
struct Fact {
    measure: Measure,
    of: View,
    holds: fn(State) -> bool,
    since: Time,
    over: bool,
    /// For each view, if it holds: since when. By viewer, then by subject.
    learned: Vec<Option<Time>>,
    /// The places of the subjects in it.
    columns: HashMap<Index, usize>,
}

impl Fact {
    fn place(&self, viewer: Index, subject: Index) -> usize {
        viewer * self.columns.len() + self.columns[&subject]
    }
}

/// A rumor that one member tells all others.
struct Rumor {
    teller: Index,
    /// When each member heard it.
    heard: Vec<Option<Time>>,
}

/// False alarms: members that ran, were reached and did nothing wrong, and were accused all the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Alarms {
    /// Members that were suspected by somebody.
    pub suspected: u64,
    /// Probes of them that failed, so that the prober suspected them.
    pub accusations: u64,
    /// Members that were held for dead by somebody.
    pub dead: u64,
    /// By how many members, in all.
    pub dead_views: u64,
}

impl Alarms {
    /// Those of another run.
    pub fn merge(&mut self, other: &Alarms) {
        self.suspected += other.suspected;
        self.accusations += other.accusations;
        self.dead += other.dead;
        self.dead_views += other.dead_views;
    }
}

/// A false alarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alarm {
    Accusation,
    Death,
}

pub struct Observer<'a> {
    cast: &'a Cast,
    divided: bool,
    at: Time,
    numbers: HashMap<MemberId, Index>,
    bystanders: Vec<Index>,
    /// What each member holds each for: by viewer, then by subject.
    states: Vec<u8>,
    /// How many views of each kind hold what.
    counts: [[u64; STATES]; VIEWS],
    /// How many others each member has for Alive.
    alive: Vec<usize>,
    facts: Vec<Fact>,
    acquainted: Times,
    formed: Vec<Option<Time>>,
    rumors: BTreeMap<RumorId, Rumor>,
    suspected: BTreeSet<Index>,
    dead: BTreeSet<Index>,
    alarms: Alarms,
    /// When there was which false alarm since it was asked for last.
    new_alarms: Vec<Alarm>,
}

/// Its beginning.
impl<'a> Observer<'a> {
    pub fn new(scenario: &Scenario, cast: &'a Cast, sim: &Sim) -> Self {
        let members = scenario.members;
        let mut observer = Observer {
            cast,
            divided: scenario.partition.is_some(),
            at: Time::ZERO + scenario.at,
            numbers: (0..members)
                .map(|member| (sim.id(member), member))
                .collect(),
            bystanders: cast.of(Role::Bystander),
            states: vec![0; members * members],
            counts: [[0; STATES]; VIEWS],
            alive: vec![0; members],
            facts: Vec::new(),
            acquainted: Times::new(),
            formed: vec![None; members],
            rumors: BTreeMap::new(),
            suspected: BTreeSet::new(),
            dead: BTreeSet::new(),
            alarms: Alarms::default(),
            new_alarms: Vec::new(),
        };
        let first = if scenario.settled {
            Health::Alive as State
        } else {
            UNKNOWN
        };
        for viewer in observer.bystanders.clone() {
            for subject in (0..members).filter(|subject| *subject != viewer) {
                observer.states[viewer * members + subject] = first as u8;
                observer.counts[observer.view(viewer, subject) as usize][first] += 1;
            }
            observer.alive[viewer] = if scenario.settled { members - 1 } else { 0 };
        }
        observer
    }

    fn view(&self, viewer: Index, subject: Index) -> View {
        match self.cast.roles[subject] {
            Role::Killed => View::OfKilled,
            Role::Leaving => View::OfLeaving,
            Role::Paused => View::OfPaused,
            Role::Bystander if self.divided && side(viewer) != side(subject) => View::Across,
            Role::Bystander => View::Living,
        }
    }

    fn state(&self, viewer: Index, subject: Index) -> State {
        self.states[viewer * self.cast.roles.len() + subject].into()
    }

    /// From now on it counts who comes to hold that.
    pub fn begin(&mut self, measure: Measure, now: Time) {
        let (of, holds): (View, fn(State) -> bool) = match measure {
            Measure::Suspected => (View::OfKilled, |state| state >= Health::Suspect as State),
            Measure::Confirmed => (View::OfKilled, |state| state >= Health::Confirmed as State),
            Measure::Left => (View::OfLeaving, |state| state == Health::Departed as State),
            Measure::PausedDead => (View::OfPaused, |state| state >= Health::Confirmed as State),
            Measure::PausedBack => (View::OfPaused, |state| state == Health::Alive as State),
            Measure::AcrossDead => (View::Across, |state| state >= Health::Confirmed as State),
            Measure::AcrossBack => (View::Across, |state| state == Health::Alive as State),
            // These are counted from the start, or come of others.
            _ => return,
        };
        let members = self.cast.roles.len();
        let is_subject = |subject: &Index| {
            let mut viewers = self.bystanders.iter();
            viewers.any(|viewer| viewer != subject && self.view(*viewer, *subject) == of)
        };
        let columns: HashMap<_, _> = (0..members)
            .filter(is_subject)
            .enumerate()
            .map(|(column, subject)| (subject, column))
            .collect();
        let mut fact = Fact {
            measure,
            of,
            holds,
            since: now,
            over: false,
            learned: vec![None; members * columns.len()],
            columns,
        };
        for viewer in &self.bystanders {
            for subject in fact.columns.keys() {
                let place = fact.place(*viewer, *subject);
                fact.learned[place] = holds(self.state(*viewer, *subject)).then_some(now);
            }
        }
        self.facts.push(fact);
    }

    /// From now on it does not.
    pub fn end(&mut self, measure: Measure) {
        let ended = self.facts.iter_mut().filter(|fact| fact.measure == measure);
        ended.for_each(|fact| fact.over = true);
    }

    /// This rumor is about to be told by a member.
    pub fn expect_rumor(&mut self, id: RumorId, teller: Index) {
        let heard = vec![None; self.cast.roles.len()];
        self.rumors.insert(id, Rumor { teller, heard });
    }
}

/// What it sees.
impl Observer<'_> {
    /// Takes what happened at all members; returns who has left.
    pub fn take(&mut self, sim: &mut Sim) -> Vec<Index> {
        let mut left = Vec::new();
        for member in 0..self.cast.roles.len() {
            for (at, event) in sim.take_events(member) {
                match event {
                    Event::Left => left.push(member),
                    _ if self.cast.roles[member] == Role::Bystander => {
                        self.event(at, member, &event)
                    }
                    _ => {}
                }
            }
        }
        left
    }

    fn event(&mut self, at: Time, viewer: Index, event: &Event) {
        match event {
            Event::MemberChanged { id, to, cause, .. } => {
                if let Some(subject) = self
                    .numbers
                    .get(id)
                    .copied()
                    .filter(|subject| *subject != viewer)
                {
                    self.changed(at, viewer, subject, *to as State, *cause);
                }
            }
            Event::RumorChanged { id, .. } => {
                if let Some(rumor) = self.rumors.get_mut(&**id) {
                    rumor.heard[viewer].get_or_insert(at);
                }
            }
            _ => {}
        }
    }

    fn changed(&mut self, at: Time, viewer: Index, subject: Index, state: State, cause: Cause) {
        let (before, view) = (self.state(viewer, subject), self.view(viewer, subject));
        self.states[viewer * self.cast.roles.len() + subject] = state as u8;
        self.counts[view as usize][before] -= 1;
        self.counts[view as usize][state] += 1;
        self.form(at, viewer, before, state);
        self.learn(at, viewer, subject, view, state);
        if view == View::Living || at < self.at {
            self.raise(subject, state, cause);
        }
    }

    fn form(&mut self, at: Time, viewer: Index, before: State, state: State) {
        if before == UNKNOWN {
            self.acquainted.add(Time::ZERO, Some(at));
        }
        let alive = |state: State| usize::from(state == Health::Alive as State);
        self.alive[viewer] = self.alive[viewer] + alive(state) - alive(before);
        if self.alive[viewer] + 1 == self.cast.roles.len() {
            self.formed[viewer].get_or_insert(at);
        }
    }

    fn learn(&mut self, at: Time, viewer: Index, subject: Index, view: View, state: State) {
        for fact in self
            .facts
            .iter_mut()
            .filter(|fact| fact.of == view && !fact.over)
        {
            let place = fact.place(viewer, subject);
            // What is taken back was not known.
            fact.learned[place] = match fact.learned[place] {
                _ if !(fact.holds)(state) => None,
                None => Some(at),
                earlier => earlier,
            };
        }
    }

    /// One that lives is no longer held for Alive, or is again.
    fn raise(&mut self, subject: Index, state: State, cause: Cause) {
        if state >= Health::Suspect as State {
            self.suspected.insert(subject);
        }
        if cause == Cause::ProbeFailed {
            self.alarms.accusations += 1;
            self.new_alarms.push(Alarm::Accusation);
        }
        if state >= Health::Confirmed as State {
            self.dead.insert(subject);
            self.alarms.dead_views += 1;
            self.new_alarms.push(Alarm::Death);
        }
    }
}

/// What it can say.
impl Observer<'_> {
    /// The share of all views that hold what this is about at the moment; `None`: that is not known of this
    /// measure, or there are no such views.
    pub fn share(&self, measure: Measure) -> Option<f64> {
        let of = |views: &[View], holds: fn(State) -> bool| {
            let counts = || views.iter().map(|view| self.counts[*view as usize]);
            let all: u64 = counts().flatten().sum();
            let holding: u64 = counts()
                .flat_map(|counts| counts.into_iter().enumerate())
                .filter(|(state, _)| holds(*state))
                .map(|(_, count)| count)
                .sum();
            (all > 0).then(|| holding as f64 / all as f64)
        };
        let dead = |state| state >= Health::Confirmed as State;
        match measure {
            Measure::Acquainted => of(&[View::Living, View::Across], |state| {
                state == Health::Alive as State
            }),
            Measure::Suspected => of(&[View::OfKilled], |state| state >= Health::Suspect as State),
            Measure::Confirmed => of(&[View::OfKilled], dead),
            Measure::Left => of(&[View::OfLeaving], |state| {
                state == Health::Departed as State
            }),
            Measure::PausedDead => of(&[View::OfPaused], dead),
            Measure::AcrossDead => of(&[View::Across], dead),
            Measure::Rumor => {
                let heard = self.rumors.values().flat_map(|rumor| self.heard(rumor));
                let (all, have) = heard.fold((0, 0), |(all, have), heard| {
                    (all + 1, have + u32::from(heard.is_some()))
                });
                (all > 0).then(|| f64::from(have) / f64::from(all))
            }
            _ => None,
        }
    }

    /// The false alarms since this was asked last.
    pub fn new_alarms(&mut self) -> Vec<Alarm> {
        std::mem::take(&mut self.new_alarms)
    }

    /// All false alarms.
    pub fn alarms(&self) -> Alarms {
        Alarms {
            suspected: self.suspected.len() as u64,
            dead: self.dead.len() as u64,
            ..self.alarms.clone()
        }
    }

    /// How long it took until it was known; who told a rumor itself does not count.
    pub fn times(&self, measure: Measure) -> Times {
        match measure {
            Measure::Acquainted => self.acquaintances(),
            Measure::Formed => {
                let formed = self.bystanders.iter().map(|viewer| self.formed[*viewer]);
                Times::of(Time::ZERO, formed)
            }
            Measure::ConfirmedByAll => self.times_by_all(Measure::Confirmed),
            Measure::Rumor => Times::of(
                self.at,
                self.rumors.values().flat_map(|rumor| self.heard(rumor)),
            ),
            Measure::RumorByAll => {
                let by_all = self.rumors.values().map(|rumor| last(self.heard(rumor)));
                Times::of(self.at, by_all)
            }
            _ => self.times_of_fact(measure),
        }
    }

    fn acquaintances(&self) -> Times {
        let mut times = self.acquainted.clone();
        let unknown: u64 = self.counts.iter().map(|counts| counts[UNKNOWN]).sum();
        (0..unknown).for_each(|_| times.add(Time::ZERO, None));
        times
    }

    fn heard<'r>(&'r self, rumor: &'r Rumor) -> impl Iterator<Item = Option<Time>> + 'r {
        let others = self
            .bystanders
            .iter()
            .filter(|member| **member != rumor.teller);
        others.map(|member| rumor.heard[*member])
    }

    fn times_of_fact(&self, measure: Measure) -> Times {
        let Some(fact) = self.facts.iter().find(|fact| fact.measure == measure) else {
            return Times::new();
        };
        let subjects = fact.columns.keys();
        Times::of(
            fact.since,
            subjects.flat_map(|subject| self.learned(fact, *subject)),
        )
    }

    fn times_by_all(&self, measure: Measure) -> Times {
        let Some(fact) = self.facts.iter().find(|fact| fact.measure == measure) else {
            return Times::new();
        };
        let subjects = fact.columns.keys();
        Times::of(
            fact.since,
            subjects.map(|subject| last(self.learned(fact, *subject))),
        )
    }

    /// Since when each bystander holds this of the subject.
    fn learned<'f>(
        &'f self,
        fact: &'f Fact,
        subject: Index,
    ) -> impl Iterator<Item = Option<Time>> + 'f {
        let others = self
            .bystanders
            .iter()
            .filter(move |viewer| **viewer != subject);
        others
            .filter(move |viewer| self.view(**viewer, subject) == fact.of)
            .map(move |viewer| fact.learned[fact.place(*viewer, subject)])
    }
}

/// When the last one knew; `None`: one never did.
fn last(mut times: impl Iterator<Item = Option<Time>>) -> Option<Time> {
    times.try_fold(Time::ZERO, |last, time| Some(last.max(time?)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::scenario::tests::asked;
    use super::*;

    /// Whether the counts are what looking at each view finds.
    fn check(observer: &Observer, sim: &Sim) {
        let members = observer.cast.roles.len();
        let mut counts = [[0; STATES]; VIEWS];
        for viewer in &observer.bystanders {
            for subject in (0..members).filter(|subject| subject != viewer) {
                let state = sim
                    .view(*viewer, subject)
                    .map_or(UNKNOWN, |health| health as State);
                assert_eq!(
                    observer.state(*viewer, subject),
                    state,
                    "{viewer} of {subject}"
                );
                counts[observer.view(*viewer, subject) as usize][state] += 1;
            }
        }
        assert_eq!(observer.counts, counts);
    }

    #[test]
    fn its_counts_are_what_members_hold() {
        for start in ["cold", "settled"] {
            let options = format!("--members 16 --kill 2 --pause 2 --loss 40 --start {start}");
            let scenario = asked(&options).unwrap();
            let cast = Cast::new(&scenario, 5);
            let mut sim = scenario.network(5);
            if scenario.settled {
                sim.start_settled(16);
                (0..16).for_each(|member| drop(sim.take_events(member)));
            } else {
                sim.start_ring(16);
            }
            let mut observer = Observer::new(&scenario, &cast, &sim);
            check(&observer, &sim);
            sim.run_for(Duration::from_secs(5));
            cast.of(Role::Killed)
                .into_iter()
                .for_each(|member| sim.crash(member));
            for _ in 0..10 {
                sim.run_for(Duration::from_secs(3));
                observer.take(&mut sim);
                check(&observer, &sim);
            }
            assert!(observer.share(Measure::Confirmed) > Some(0.5));
            assert_eq!(observer.share(Measure::Left), None, "nobody leaves");
        }
    }

    #[test]
    fn what_is_taken_back_was_not_known() {
        let scenario = asked("--members 4 --kill 1 --start settled").unwrap();
        let cast = Cast::new(&scenario, 0);
        let mut sim = scenario.network(0);
        sim.start_settled(4);
        let mut observer = Observer::new(&scenario, &cast, &sim);
        let killed = cast.of(Role::Killed)[0];
        observer.begin(Measure::Confirmed, Time::ZERO);
        let mut hear = |viewer, millis, health: Health| {
            let cause = Cause::VerdictBelieved;
            observer.changed(
                Time::from_millis(millis),
                viewer,
                killed,
                health as State,
                cause,
            );
        };
        let viewers: Vec<_> = (0..4).filter(|member| *member != killed).collect();
        hear(viewers[0], 10, Health::Confirmed);
        hear(viewers[0], 20, Health::Alive);
        hear(viewers[0], 30, Health::Confirmed);
        hear(viewers[0], 40, Health::Departed);
        hear(viewers[1], 50, Health::Confirmed);
        let times = observer.times(Measure::Confirmed);
        assert_eq!((times.count(), times.never()), (3, 1));
        assert!(
            times.first() >= Some(Duration::from_millis(29)),
            "{:?}",
            times.first()
        );
        let by_all = observer.times(Measure::ConfirmedByAll);
        assert_eq!((by_all.count(), by_all.never()), (1, 1));
    }
}
