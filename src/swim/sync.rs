//! Comparing tables with others, one at a time, ever more slowly: how a newcomer hears of everyone
//! without asking its seed alone, and how whatever was lost is made good.

use std::collections::VecDeque;
use std::time::Duration;

use rand::RngExt;

use super::news::RowKey;
use super::seeds::jittered;
use super::transfer::AGAIN;
use super::unproved::TURN;
use super::{Row, Swim};
use crate::env::{Env, Timer};
use crate::limits::ORDINARY_DATAGRAM;
use crate::member::MemberId;
use crate::time::Time;
use crate::timer::TimerKey;

/// When the table is compared next.
#[derive(Hash)]
pub(super) struct Sync {
    timer: Option<TimerKey>,
    pause: Duration,
    /// Who told its table here of late, and when: it will not so soon again.
    tellers: VecDeque<(Time, MemberId)>,
    /// No table has another one asked for sooner before then.
    next_sooner: Time,
}

/// Tellers that are remembered: more comparisons than a newcomer makes while they count.
const TELLERS: usize = 8;

/// A newcomer's first pause is this part of a period.
const EAGER: u32 = 16;

/// The pause before a second opinion is this part of a period.
const SECOND: u32 = 4;

impl Sync {
    pub fn new() -> Self {
        Sync {
            timer: None,
            pause: Duration::ZERO,
            tellers: VecDeque::new(),
            next_sooner: Time::ZERO,
        }
    }

    /// This member told its table, or a part of it.
    pub fn told_by(&mut self, now: Time, id: MemberId) {
        if self.tellers.iter().any(|(_, teller)| *teller == id) {
            return;
        }
        if self.tellers.len() >= TELLERS {
            self.tellers.pop_front();
        }
        self.tellers.push_back((now, id));
    }

    pub fn is_under_way(&self) -> bool {
        self.timer.is_some()
    }
}

impl Swim {
    /// This member was alone and is no longer: it wants to hear of everyone.
    pub(super) fn sync_soon(&mut self, env: &mut Env) {
        if self.timing.sync_max.is_zero() {
            return;
        }
        if let Some(timer) = self.sync.timer.take() {
            env.timers.cancel(timer);
        }
        self.sync.pause = self.timing.period / EAGER;
        self.sync_later(env);
    }

    /// This member has long known of everyone: it compares its table as seldom as it ever does.
    pub(super) fn sync_in_time(&mut self, env: &mut Env) {
        if self.timing.sync_max.is_zero() || self.sync.is_under_way() {
            return;
        }
        self.sync.pause = self.timing.sync_max;
        let next = env.now + self.sync.pause.mul_f64(env.rng.random::<f64>());
        self.sync.timer = Some(env.timers.insert(next, Timer::SyncDue));
    }

    /// A table named members that another has to name, too, before they are believed to be there: it is asked soon,
    /// while it is remembered who named them first. Once in a turn: who makes up members must not have all compare, and
    /// tell each other their tables, all the time.
    pub(super) fn sync_sooner(&mut self, env: &mut Env) {
        if env.now < self.sync.next_sooner {
            return;
        }
        let soon = env.now + jittered(self.timing.period / SECOND, &mut env.rng);
        let Some(timer) = self
            .sync
            .timer
            .filter(|timer| env.timers.deadline_of(*timer) > Some(soon))
        else {
            return;
        };
        env.timers.cancel(timer);
        self.sync.timer = Some(env.timers.insert(soon, Timer::SyncDue));
        self.sync.next_sooner = env.now + self.timing.period * TURN;
    }

    fn sync_later(&mut self, env: &mut Env) {
        let next = env.now + jittered(self.sync.pause, &mut env.rng);
        self.sync.timer = Some(env.timers.insert(next, Timer::SyncDue));
    }

    /// Pings a living member with the digest of the table: if its own differs, it tells its table. Rather one
    /// that did not tell it of late, as it would not do so again.
    pub(super) fn sync_due(&mut self, env: &mut Env) {
        self.sync.timer = None;
        if self.is_leaving() || self.table.living() <= 1 {
            return;
        }
        self.sync.pause = (self.sync.pause * 2).min(self.timing.sync_max);
        self.sync_later(env);
        let old = env.now - self.timing.period * AGAIN;
        let tellers = &mut self.sync.tellers;
        while tellers.front().is_some_and(|(time, _)| *time <= old) {
            tellers.pop_front();
        }
        let mut chosen = std::mem::take(&mut self.helpers);
        let told = |row: &Row| tellers.iter().any(|(_, id)| *id == row.id);
        self.table
            .some_alive(1, |row| !told(row), &mut env.rng, &mut chosen);
        if chosen.is_empty() {
            self.table
                .some_alive(1, |_| true, &mut env.rng, &mut chosen);
        }
        if let Some(key) = chosen.first() {
            self.ping_aside(*key, true);
        }
        self.helpers = chosen;
    }

    /// Pings a member outside the probe cycle, with the digest of the table if they are to be compared.
    pub(super) fn ping_aside(&mut self, key: RowKey, digest: bool) {
        let (Some(member), told) = (self.table.member(key), self.table.get(key).map(Row::state))
        else {
            return;
        };
        self.ask(
            member.swim_addr(),
            Some(member.id),
            told,
            ORDINARY_DATAGRAM,
            digest,
        );
        self.ask_silent_at_source(key);
    }
}
