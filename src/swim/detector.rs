//! What finds out who does not answer.

use rand::RngExt;

use super::hearing::Hearing;
use super::local_health::LocalHealth;
use super::news::RowKey;
use super::probe::Probe;
use super::refusals::Refusals;
use super::watched::Watched;
use super::witness::Witness;
use crate::config::Timing;
use crate::env::{Env, Timer};
use crate::timer::TimerKey;

#[derive(Hash)]
pub(super) struct Detector {
    pub probe: Option<Probe>,
    /// The end of the present period.
    next_period: TimerKey,
    pub local_health: LocalHealth,
    pub hearing: Hearing,
    pub witness: Witness,
    pub watched: Watched,
    pub refusals: Refusals,
    /// Whether the next probe in turn goes to the successor.
    to_successor: bool,
    /// Members chosen to help; kept so that choosing allocates nothing.
    pub helpers: Vec<RowKey>,
}

impl Detector {
    /// The first period ends at this time.
    pub fn new(env: &mut Env, timing: &Timing, first: crate::time::Time) -> Self {
        Detector {
            probe: None,
            next_period: env.timers.insert(first, Timer::ProbePeriod),
            local_health: LocalHealth::new(timing.local_health),
            hearing: Hearing::new(env.now),
            witness: Witness::new(),
            watched: Watched::new(),
            refusals: Refusals::default(),
            to_successor: env.rng.random(),
            helpers: Vec::new(),
        }
    }

    /// Whether the probe that begins goes to the successor, as every second one does.
    pub fn alternate(&mut self) -> bool {
        self.to_successor = !self.to_successor;
        !self.to_successor
    }

    pub fn begin_period(&mut self, env: &mut Env, timing: &Timing) {
        env.timers.cancel(self.next_period);
        let next = env.now + self.local_health.stretch(timing.period);
        self.refusals.begin_period(env.now, timing);
        self.next_period = env.timers.insert(next, Timer::ProbePeriod);
    }
}
