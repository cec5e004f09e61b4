//! Others say that a member is dead which counts as living here: ask it, straight and through others,
//! before believing them (PROTOCOL.md §2).

use super::Swim;
use super::incoming::Incoming;
use super::merge::State;
use super::news::RowKey;
use super::row::flag;
use super::send::{Body, Outgoing};
use super::suspicion::Suspicion;
use crate::env::{Env, Timer};
use crate::event::Cause;
use crate::limits::{MAX_VERDICTS, ORDINARY_DATAGRAM};
use crate::member::{Health, Incarnation, MemberId};
use crate::timer::TimerKey;
use crate::trace::TraceKind;

/// A claim that is being checked.
#[derive(Hash)]
pub(super) struct Verdict {
    incarnation: Incarnation,
    timer: TimerKey,
    /// With this number others are asked to ask it; 0: with none.
    number: u64,
}

impl Verdict {
    pub fn number(&self) -> u64 {
        self.number
    }
}

impl Swim {
    /// Others say that this member is dead, at this incarnation.
    pub(super) fn begin_trial(
        &mut self,
        env: &mut Env,
        key: RowKey,
        incoming: &mut Incoming<'_>,
        incarnation: Incarnation,
    ) {
        if let Some(verdict) = self.verdicts.get_mut(&key) {
            verdict.incarnation = verdict.incarnation.max(incarnation);
            return;
        }
        let (Some(member), Some(row)) = (self.table.member(key), self.table.get(key)) else {
            return;
        };
        let ending = |suspicion: &Suspicion| suspicion.is_ending();
        if incarnation == row.incarnation && self.suspicion(row).is_some_and(ending) {
            // It is being asked already, and what comes of it is the same.
            return;
        }
        let bare = self.bare_datagram();
        if self.verdicts.len() >= MAX_VERDICTS || incoming.spend(bare) < bare {
            return;
        }
        let timer = env.timers.insert(
            env.now + self.timing.verdict_timeout,
            Timer::VerdictDue(key),
        );
        let number = self.number_for_others(env);
        let verdict = Verdict {
            incarnation,
            timer,
            number,
        };
        self.verdicts.insert(key, verdict);
        if let Some(row) = self.table.get_mut(key) {
            row.set(flag::ON_TRIAL, true);
        }
        let (to, id) = (member.swim_addr(), Some(member.id));
        self.queue(Outgoing {
            to,
            id,
            row: key,
            told: None,
            limit: ORDINARY_DATAGRAM,
            ages: true,
            body: Body::ProbePing,
        });
        self.ask_witnesses(env, incoming, member.id, number);
    }

    /// Others may reach a member that this one cannot. A stranger's word is not worth their trouble.
    fn ask_witnesses(
        &mut self,
        env: &mut Env,
        incoming: &Incoming<'_>,
        target: MemberId,
        number: u64,
    ) {
        if incoming.proved {
            self.ask_others(env, target, number);
        }
    }

    /// The row gets another state: a death, or a life after the one that is said to have ended, settles
    /// the claim.
    pub(super) fn settle_trial(&mut self, env: &mut Env, key: RowKey, state: State) {
        let claimed = self.verdicts.get(&key).map(|verdict| verdict.incarnation);
        if state.health >= Health::Confirmed
            || claimed.is_some_and(|claimed| state.incarnation > claimed)
        {
            self.end_trial(env, key);
        }
    }

    /// The claim is settled.
    pub(super) fn end_trial(&mut self, env: &mut Env, key: RowKey) {
        let Some(row) = self
            .table
            .get_mut(key)
            .filter(|row| row.has(flag::ON_TRIAL))
        else {
            return;
        };
        row.set(flag::ON_TRIAL, false);
        if let Some(verdict) = self.verdicts.remove(&key) {
            env.timers.cancel(verdict.timer);
        }
    }

    /// It did not answer for itself in time: the claim is believed.
    pub(super) fn verdict_due(&mut self, env: &mut Env, key: RowKey) {
        let Some(verdict) = self.verdicts.get(&key) else {
            return;
        };
        let incarnation = verdict.incarnation;
        let (Some(row), Some(member)) = (self.table.get(key), self.table.member(key)) else {
            return;
        };
        if incarnation < row.incarnation {
            // It has gone on since, and so refuted the claim.
            return self.end_trial(env, key);
        }
        let state = State {
            incarnation,
            health: Health::Confirmed,
            left: row.has(flag::LEFT),
        };
        env.journal.trace(
            env.wall,
            TraceKind::ProbeConfirmed,
            (&member).into(),
            Vec::new,
        );
        self.change(env, key, state, Cause::VerdictBelieved, true);
    }
}
