//! What follows when the time of a suspicion, of a death check or of a grave is over.

use super::merge::Spread;
use super::outbox::Compare;
use std::net::SocketAddr;

use super::merge::State;
use super::news::RowKey;
use super::row::flag;
use super::suspicion::{Accused, Due, Suspicion};
use super::{Notice, Row, Swim};
use crate::env::Env;
use crate::event::Cause;
use crate::expected::Expected;
use crate::history::Fact;
use crate::member::{Evidence, Health, MemberId};
use crate::trace::TraceKind;
use crate::wire::MembershipRecord;

impl Swim {
    /// This member says that the one in the row does not answer.
    pub(super) fn accuse(
        &mut self,
        env: &mut Env,
        key: RowKey,
        accuser: MemberId,
        evidence: Evidence,
    ) {
        let suspicions = &mut self.suspicions;
        match suspicions.accuse(env, &self.table, &self.timing, key, accuser, evidence) {
            Accused::Before => return,
            Accused::Anew => {}
            Accused::Sooner => self.heat(env, key),
        }
        self.note_accusation(env, key, accuser, evidence);
    }

    fn note_accusation(&self, env: &mut Env, key: RowKey, by: MemberId, evidence: Evidence) {
        if let Some(row) = self.table.get(key) {
            let fact = Fact::Accused { by, evidence };
            env.journal.history.add(env.wall, row.id, fact);
        }
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
            self.accuse_all(env, key, record);
        }
    }

    /// All that a record names say that the member in the row does not answer.
    pub(super) fn accuse_all(&mut self, env: &mut Env, key: RowKey, record: &MembershipRecord<'_>) {
        for (accuser, refused) in record.accusers.with_refusals() {
            let evidence = match refused {
                true => Evidence::Refused,
                false => Evidence::Silent,
            };
            self.accuse(env, key, accuser, evidence);
        }
        if let Some(by) = record.accusers.stalled_by() {
            self.stall(env, key, by);
        }
    }

    /// This member found that the process of the one in the row only stands still.
    pub(super) fn stall(&mut self, env: &mut Env, key: RowKey, by: MemberId) {
        let suspicions = &mut self.suspicions;
        if suspicions.stall(env, &self.table, &self.timing, key, by) {
            self.heat(env, key);
            self.note_accusation(env, key, by, Evidence::Stalled);
        }
    }

    /// The member answered there for the first time: if another one is held for living there, that is gone. One of the same
    /// name is its former self, which lost its disk: it is replaced at once.
    pub(super) fn suspect_former(&mut self, env: &mut Env, key: RowKey, addr: SocketAddr) {
        let me = self.table.me();
        let name = self.table.get(key).map(|row| self.table.name_of(row));
        let name = name.filter(|name| !name.is_empty());
        let is_same = |(other, row): &(RowKey, &Row)| {
            ![key, me].contains(other)
                && !row.has_left()
                && self.table.is_at(row, addr)
                && name.is_some_and(|name| self.table.name_of(row) == name)
        };
        let same: Vec<RowKey> = match name {
            Some(_) => self
                .table
                .iter()
                .filter(is_same)
                .map(|(key, _)| key)
                .collect(),
            None => Vec::new(),
        };
        for former in same {
            self.replace(env, former);
        }
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

    /// This member's address and name are another's: it is gone, and the ring may forget it.
    fn replace(&mut self, env: &mut Env, key: RowKey) {
        let Some(row) = self.table.get(key) else {
            return;
        };
        let (id, held) = (row.id, row.state());
        if held.health <= Health::Suspect {
            let health = Health::Confirmed;
            let dead = State { health, ..held };
            self.change(env, key, dead, Cause::AddressTaken, Spread::News);
        }
        self.gossip
            .notices
            .push_back(Notice::Replaced(id, held.incarnation));
    }

    /// Another member lives at this one's address: unless it is heard from elsewhere, it is gone. It is asked for its last
    /// word at once.
    pub(super) fn suspect_replaced(&mut self, env: &mut Env, key: RowKey) {
        let Some(held) = self.table.get(key).expected().map(Row::state) else {
            return;
        };
        if held.health == Health::Alive {
            let health = Health::Suspect;
            let suspect = State { health, ..held };
            self.change(env, key, suspect, Cause::AddressTaken, Spread::News);
        }
        let me = self.id();
        self.accuse(env, key, me, Evidence::Silent);
        let row = self.table.get(key);
        let suspicion = row.and_then(|row| self.suspicion(row));
        if let Some(timer) = suspicion.and_then(Suspicion::cut_short)
            && !self.timing.verdict_timeout.is_zero()
        {
            env.timers.cancel(timer);
            self.suspicion_due(env, key);
        }
    }

    /// The time of a suspicion is over.
    pub(super) fn suspicion_due(&mut self, env: &mut Env, key: RowKey) {
        let suspect = |row: &&Row| row.health == Health::Suspect;
        let Some(row) = self.table.get(key).filter(suspect) else {
            return;
        };
        let (id, number) = (row.id, self.number_for_others(env));
        match self
            .suspicions
            .due(env, &self.table, &self.timing, key, number)
        {
            Due::Nothing => {}
            Due::LastWord { number } => {
                self.ping_aside(key, Compare::Nothing);
                let mut helpers = 0;
                if self.heard_of_late(env.now) && self.suspicions.may_ask_others() {
                    self.ask_others(env, id, number);
                    helpers = u8::try_from(self.detector.helpers.len()).unwrap_or(u8::MAX);
                }
                let fact = Fact::LastWord { helpers };
                env.journal.history.add(env.wall, id, fact);
            }
            Due::Confirm => self.confirm(env, key),
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
        self.change(env, key, state, Cause::SuspicionTimeout, Spread::News);
    }

    /// It did not answer for itself in time: the claim is believed.
    pub(super) fn verdict_due(&mut self, env: &mut Env, key: RowKey) {
        let Some(member) = self.table.member(key).expected() else {
            return;
        };
        if let Some(state) = self.checks.due(env, &mut self.table, key) {
            env.journal.trace(
                env.wall,
                TraceKind::ProbeConfirmed,
                (&member).into(),
                Vec::new,
            );
            self.change(env, key, state, Cause::VerdictBelieved, Spread::News);
        }
    }

    /// A Confirmed member is given up, a Departed one forgotten.
    pub(super) fn grave_due(&mut self, env: &mut Env, key: RowKey) {
        let (Some(row), Some(member)) = (
            self.table.get(key).expected(),
            self.table.member(key).expected(),
        ) else {
            return;
        };
        match row.health {
            Health::Confirmed => {
                let state = State {
                    health: Health::Departed,
                    ..row.state()
                };
                env.journal.trace(
                    env.wall,
                    TraceKind::ProbeDeparted,
                    (&member).into(),
                    Vec::new,
                );
                self.change(env, key, state, Cause::DeadTooLong, Spread::News);
            }
            Health::Departed if row.has(flag::PERSISTENT) && !row.has(flag::LEFT) => {
                self.end_side(env, key);
                self.dead.bury(env, &mut self.table, &self.timing, key);
            }
            Health::Departed => self.forget(env, key),
            Health::Alive | Health::Suspect => {}
        }
    }
}
