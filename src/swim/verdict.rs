//! Others say that a member is dead which counts as living here: it is asked, straight and through others,
//! before they are believed (PROTOCOL.md §2).

use std::collections::BTreeMap;

use super::merge::State;
use super::news::RowKey;
use super::row::flag;
use super::table::Table;
use crate::config::Timing;
use crate::env::{Env, Timer};
use crate::limits::MAX_VERDICTS;
use crate::member::{Health, Incarnation};
use crate::stats::Gauge;
use crate::timer::TimerKey;

/// A claim that is being checked.
#[derive(Hash)]
struct Verdict {
    incarnation: Incarnation,
    timer: TimerKey,
    /// With this number others are asked to ask it; 0: with none.
    number: u64,
}

/// Claims that living members are dead, each of which is being checked.
#[derive(Default, Hash)]
pub(super) struct DeathChecks {
    held: BTreeMap<RowKey, Verdict>,
}

impl DeathChecks {
    /// The claim that this member is dead at this incarnation is being checked, or now is with one that is.
    pub fn joins(&mut self, key: RowKey, incarnation: Incarnation) -> bool {
        let Some(verdict) = self.held.get_mut(&key) else {
            return false;
        };
        verdict.incarnation = verdict.incarnation.max(incarnation);
        true
    }

    pub fn is_full(&self) -> bool {
        self.held.len() >= MAX_VERDICTS
    }

    /// The number with which others are asked to ask this member, if a claim is being checked.
    pub fn number(&self, key: RowKey) -> Option<u64> {
        self.held.get(&key).map(|verdict| verdict.number)
    }

    /// Begins to check that this member is dead at this incarnation.
    pub fn begin(
        &mut self,
        table: &mut Table,
        key: RowKey,
        incarnation: Incarnation,
        timer: TimerKey,
        number: u64,
    ) {
        let verdict = Verdict {
            incarnation,
            timer,
            number,
        };
        self.held.insert(key, verdict);
        table.set_flag(key, flag::ON_TRIAL);
    }

    /// When a check that begins now is over.
    pub fn timer(env: &mut Env, timing: &Timing, key: RowKey) -> TimerKey {
        let over = env.now + timing.verdict_timeout;
        env.timers.insert(over, Timer::VerdictDue(key))
    }

    /// The row gets another state: a death, or a life after the one that is said to have ended, settles
    /// the claim.
    pub fn settle(&mut self, env: &mut Env, table: &mut Table, key: RowKey, state: State) {
        let claimed = self.held.get(&key).map(|verdict| verdict.incarnation);
        if state.health >= Health::Confirmed
            || claimed.is_some_and(|claimed| state.incarnation > claimed)
        {
            self.end(env, table, key);
        }
    }

    /// The claim is settled.
    pub fn end(&mut self, env: &mut Env, table: &mut Table, key: RowKey) {
        let row = table.get_mut(key);
        let Some(row) = row.filter(|row| row.has(flag::ON_TRIAL)) else {
            return;
        };
        row.set(flag::ON_TRIAL, false);
        if let Some(verdict) = self.held.remove(&key) {
            env.timers.cancel(verdict.timer);
        }
    }

    /// The member did not answer for itself in time: what is believed of it; `None`: it refuted the claim.
    pub fn due(&mut self, env: &mut Env, table: &mut Table, key: RowKey) -> Option<State> {
        let incarnation = self.held.get(&key)?.incarnation;
        let row = table.get(key)?;
        if incarnation < row.incarnation {
            // It has gone on since.
            self.end(env, table, key);
            return None;
        }
        Some(State {
            incarnation,
            health: Health::Confirmed,
            left: row.has(flag::LEFT),
        })
    }

    pub fn sizes(&self) -> [Gauge; 1] {
        [Gauge::new("verdicts", self.held.len(), MAX_VERDICTS)]
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{env, id, ring_of};
    use super::*;

    fn number(number: u64) -> Incarnation {
        Incarnation::new(number).unwrap()
    }

    fn alive(incarnation: u64) -> State {
        State {
            incarnation: number(incarnation),
            health: Health::Alive,
            left: false,
        }
    }

    /// A ring of three, of which the last is said to be dead at incarnation 5.
    fn checking() -> (Env, Table, DeathChecks, RowKey) {
        let mut env = env();
        let mut table = ring_of(&mut env, 3);
        let key = table.find(&id(3)).unwrap();
        let mut checks = DeathChecks::default();
        let timer = DeathChecks::timer(&mut env, &Timing::lan(), key);
        assert!(!checks.joins(key, number(5)));
        checks.begin(&mut table, key, number(5), timer, 7);
        (env, table, checks, key)
    }

    #[test]
    fn without_an_answer_the_claim_is_believed_at_its_highest_incarnation() {
        let (mut env, mut table, mut checks, key) = checking();
        assert!(checks.joins(key, number(8)) && checks.joins(key, number(2)));
        let believed = checks.due(&mut env, &mut table, key).unwrap();
        assert_eq!(
            (believed.incarnation, believed.health),
            (number(8), Health::Confirmed)
        );
    }

    #[test]
    fn only_a_life_after_the_one_that_is_said_to_have_ended_settles_it() {
        let (mut env, mut table, mut checks, key) = checking();
        checks.settle(&mut env, &mut table, key, alive(5));
        assert_eq!(checks.number(key), Some(7));
        checks.settle(&mut env, &mut table, key, alive(6));
        assert_eq!(checks.number(key), None);
        assert!(!table.get(key).unwrap().has(flag::ON_TRIAL));
        assert_eq!(env.timers.live(), 0);
    }

    #[test]
    fn one_that_went_on_refuted_the_claim() {
        let (mut env, mut table, mut checks, key) = checking();
        table.set_state(key, alive(6), env.now, &mut env.rng);
        assert_eq!(checks.due(&mut env, &mut table, key), None);
        assert_eq!(env.timers.live(), 0);
    }
}
