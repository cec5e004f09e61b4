//! Who is suspected by whom, and until when: the more independent accusers, the sooner it is over
//! (Lifeguard §III, "local health aware suspicion").

use std::net::SocketAddr;
use std::time::Duration;

use super::merge::State;
use super::news::RowKey;
use super::{Row, Swim};
use crate::env::{Env, Timer};
use crate::event::Cause;
use crate::limits::{MAX_ACCUSERS, MAX_LAST_WORDS};
use crate::member::{Health, MemberId};
use crate::time::Time;
use crate::timer::TimerKey;
use crate::trace::TraceKind;
use crate::wire::MembershipRecord;

/// One member is suspected.
pub(crate) struct Suspicion {
    began: Time,
    /// When the member is Confirmed.
    over: Time,
    /// Whether it was asked for its last word.
    asked: bool,
    /// The number with which others are to ask it; 0: with none.
    number: u64,
    pub(super) timer: TimerKey,
    accusers: [MemberId; MAX_ACCUSERS],
    count: usize,
}

impl Suspicion {
    pub fn accusers(&self) -> &[MemberId] {
        &self.accusers[..self.count]
    }

    pub fn over(&self) -> Time {
        self.over
    }

    pub fn number(&self) -> u64 {
        self.number
    }

    /// Whether the member is being asked for its last word.
    pub fn is_ending(&self) -> bool {
        self.asked
    }
}

impl Swim {
    /// The row's suspicion, if it is Suspect.
    pub fn suspicion(&self, row: &Row) -> Option<&Suspicion> {
        if row.health == Health::Suspect {
            self.suspicions.get(row.side as usize)
        } else {
            None
        }
    }

    pub(super) fn accusers(&self, row: &Row) -> &[MemberId] {
        self.suspicion(row).map_or(&[], Suspicion::accusers)
    }

    pub(super) fn begin_suspicion(&mut self, env: &mut Env, key: RowKey) {
        let over = env.now + self.suspicion_length(0);
        let timer = self.ask_before(env, key, over);
        let nobody = MemberId::from_bytes([0; 16]);
        let suspicion = Suspicion {
            began: env.now,
            over,
            asked: false,
            number: 0,
            timer,
            accusers: [nobody; MAX_ACCUSERS],
            count: 0,
        };
        let side = self.suspicions.insert(suspicion) as u32;
        if let Some(row) = self.table.get_mut(key) {
            row.side = side;
        }
    }

    /// This member says that the one in the row does not answer. A new accuser shortens the suspicion,
    /// and is news as long as it does.
    pub(super) fn accuse(&mut self, env: &mut Env, key: RowKey, accuser: MemberId) {
        let Some(row) = self
            .table
            .get(key)
            .filter(|row| row.health == Health::Suspect)
        else {
            return;
        };
        let side = row.side as usize;
        let needed = self.confirmations_needed();
        let Some(suspicion) = self.suspicions.get_mut(side) else {
            return;
        };
        if suspicion.count >= MAX_ACCUSERS
            || suspicion.accusers().contains(&accuser)
            || accuser == row.id
        {
            return;
        }
        suspicion.accusers[suspicion.count] = accuser;
        suspicion.count += 1;
        let confirmations = suspicion.count - 1;
        if confirmations == 0 || confirmations > needed {
            return;
        }
        let (began, asked, timer) = (suspicion.began, suspicion.asked, suspicion.timer);
        if !asked {
            env.timers.cancel(timer);
            let over = (began + self.suspicion_length(confirmations)).max(env.now);
            let timer = self.ask_before(env, key, over);
            if let Some(suspicion) = self.suspicions.get_mut(side) {
                (suspicion.over, suspicion.timer) = (over, timer);
            }
        }
        self.heat(env, key);
    }

    /// A record that changes nothing may still confirm a suspicion. One without accusers, from a peer
    /// that does not name them, may be the echo of one that counted already, so it does not count.
    pub(super) fn confirm_suspicion(
        &mut self,
        env: &mut Env,
        key: RowKey,
        held: Option<State>,
        heard: State,
        record: &MembershipRecord<'_>,
    ) {
        if heard.health == Health::Suspect && held == Some(heard) {
            for accuser in record.accusers {
                self.accuse(env, key, accuser);
            }
        }
    }

    /// Whether one more accuser, this member, would shorten the suspicion.
    pub(super) fn wants_witness(&self, key: RowKey) -> bool {
        let row = self.table.get(key);
        let suspicion = row.and_then(|row| self.suspicion(row));
        suspicion.is_some_and(|suspicion| {
            let accusers = suspicion.accusers();
            !suspicion.asked
                && accusers.len() <= self.confirmations_needed()
                && !accusers.contains(&self.id())
        })
    }

    /// Independent accusations, beside the first, that make a suspicion as short as it gets: no more than
    /// there are others who could accuse.
    fn confirmations_needed(&self) -> usize {
        let others = self.table.living().saturating_sub(2);
        self.timing
            .suspicion_confirmations
            .min(others)
            .min(MAX_ACCUSERS - 1)
    }

    /// How long a suspicion lasts with so many confirmations. Who has few others to ask, in a small ring,
    /// gives a suspect more time.
    fn suspicion_length(&self, confirmations: usize) -> Duration {
        let timing = &self.timing;
        let (needed, wanted) = (self.confirmations_needed(), timing.suspicion_confirmations);
        let lacking = if wanted == 0 {
            0.0
        } else {
            1.0 - needed as f64 / wanted as f64
        };
        let shortest = timing
            .period
            .mul_f64(timing.suspicion_periods * (1.0 + lacking));
        if confirmations >= needed {
            return shortest;
        }
        let living = self.table.living() as f64;
        let scale = if timing.suspicion_scaled {
            libm::log10(living).max(1.0)
        } else {
            1.0
        };
        let longest = timing
            .period
            .mul_f64(timing.suspicion_periods * timing.suspicion_stretch * scale);
        let share = libm::log(confirmations as f64 + 1.0) / libm::log(needed as f64 + 1.0);
        longest.saturating_sub(longest.saturating_sub(shortest).mul_f64(share))
    }

    /// Sets the timer that has a suspect asked for its last word, early enough for the answer to come before
    /// the suspicion is over.
    fn ask_before(&self, env: &mut Env, key: RowKey, over: Time) -> TimerKey {
        let ask = (over - self.timing.verdict_timeout).max(env.now);
        env.timers.insert(ask, Timer::SuspicionDue(key))
    }

    /// The member answered there for the first time: if another one is held for living there, that is gone.
    pub(super) fn suspect_former(&mut self, env: &mut Env, key: RowKey, addr: SocketAddr) {
        let me = self.table.me();
        let is_former = |other: RowKey, row: &Row| {
            other != key
                && other != me
                && row.health <= Health::Suspect
                && self.table.is_at(row, addr)
        };
        let former = self.table.iter().find(|(key, row)| is_former(*key, row));
        if let Some(former) = former.map(|(former, _)| former) {
            self.suspect_replaced(env, former);
        }
    }

    /// Another member lives at this one's address: unless it is heard from elsewhere, it is gone. It is asked for its last
    /// word at once.
    pub(super) fn suspect_replaced(&mut self, env: &mut Env, key: RowKey) {
        let Some(held) = self.table.get(key).map(Row::state) else {
            return;
        };
        if held.health == Health::Alive {
            let health = Health::Suspect;
            let suspect = State { health, ..held };
            self.change(env, key, suspect, Cause::AddressTaken, true);
        }
        let me = self.id();
        self.accuse(env, key, me);
        let row = self.table.get(key);
        let suspicion = row.and_then(|row| self.suspicion(row));
        if let Some(suspicion) = suspicion.filter(|it| !it.asked)
            && !self.timing.verdict_timeout.is_zero()
        {
            env.timers.cancel(suspicion.timer);
            self.suspicion_due(env, key);
        }
    }

    /// Nobody vouched for the suspect yet. Its refutation may have come to everyone but this member, so it is
    /// asked for its last word, straight and through others; then it is Confirmed.
    pub(super) fn suspicion_due(&mut self, env: &mut Env, key: RowKey) {
        let Some(row) = self
            .table
            .get(key)
            .filter(|row| row.health == Health::Suspect)
        else {
            return;
        };
        let (id, side) = (row.id, row.side as usize);
        let (verdict, hears) = (self.timing.verdict_timeout, self.heard_of_late(env.now));
        let number = self.number_for_others(env);
        let Some(suspicion) = self.suspicions.get_mut(side) else {
            return;
        };
        if suspicion.asked || verdict.is_zero() {
            return self.confirm(env, key);
        }
        suspicion.asked = true;
        suspicion.number = number;
        suspicion.over = env.now + verdict;
        suspicion.timer = env.timers.insert(suspicion.over, Timer::SuspicionDue(key));
        self.ping_aside(key, false);
        if self.last_words < MAX_LAST_WORDS && hears {
            self.last_words += 1;
            self.ask_others(env, id, number);
        }
    }

    /// Nobody vouched for the suspect in time.
    fn confirm(&mut self, env: &mut Env, key: RowKey) {
        let Some(row) = self.table.get(key) else {
            return;
        };
        let state = State {
            health: Health::Confirmed,
            ..row.state()
        };
        if let Some(member) = self.table.member(key) {
            env.journal.trace(
                env.wall,
                TraceKind::ProbeConfirmed,
                (&member).into(),
                Vec::new,
            );
        }
        self.change(env, key, state, Cause::SuspicionTimeout, true);
    }
}
