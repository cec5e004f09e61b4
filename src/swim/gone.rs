//! What follows when a member's system says that nobody listens at its port, or a connection with it ends: it is asked
//! again, others are, and only then is it accused. Any answer of its own is worth more than all refusals.

use std::net::SocketAddr;

use rand::RngExt;

use super::incoming::Incoming;
use super::merge::{Spread, State};
use super::news::RowKey;
use super::outbox::{Body, Compare, Outgoing};
use super::refusals::{Occasion, Step, Why};
use super::row::{NONE, flag};
use super::suspicion::confirmations_needed;
use super::{Row, Swim};
use crate::env::Env;
use crate::event::Cause;
use crate::expected::Expected;
use crate::limits::ORDINARY_DATAGRAM;
use crate::member::{Evidence, Health, Incarnation, MemberId};
use crate::trace::TraceKind;
use crate::wire::feature;

impl Swim {
    /// The system says that nobody listens there, and quotes a ping of this member's with this number.
    pub fn refused(&mut self, env: &mut Env, to: SocketAddr, number: u64) {
        if !self.is_refusal(env, to, number) {
            env.journal.stats.refusals_ignored += 1;
        }
    }

    /// Whether a refusal counts, and what follows if it does.
    fn is_refusal(&mut self, env: &mut Env, to: SocketAddr, number: u64) -> bool {
        if self.is_leaving() || self.timing.refused_suspicion.is_zero() {
            return false;
        }
        let probe = self.probe_with(number);
        let probed = probe.map(|probe| (probe.target(), probe.is_waiting()));
        let hinted = || Some((self.detector.refusals.inquiry(number)?.target, true));
        let Some((target, waits)) = probed.or_else(hinted) else {
            return self.refused_aside(env, to, number);
        };
        let Some((key, held)) = self.living_at(&target, to) else {
            return false;
        };
        if !waits {
            // It answered this very number.
            self.detector.refusals.refute(env.now, target);
            return false;
        }
        if self.detector.refusals.is_refuted(&target) {
            return false;
        }
        let refusals = &mut self.detector.refusals;
        refusals.begin(env, target, number, held.incarnation, Occasion::Refusal);
        if !refusals.refused(env, number) {
            return false;
        }
        if self.is_refused_elsewhere(key) {
            self.settle_gone(env, number, Step::Accuse);
            return true;
        }
        self.ask_about(env, key, number);
        let others = self.others_needed();
        let step = self.detector.refusals.may_accuse(env.now, number, others);
        self.settle_gone(env, number, step);
        true
    }

    /// A ping outside of probes is refused: one that another member asked for, or one of a witness.
    fn refused_aside(&mut self, env: &mut Env, to: SocketAddr, number: u64) -> bool {
        let Some(ping) = self.detector.refusals.take(number, to) else {
            return false;
        };
        let (target, why) = (ping.target, ping.why);
        let Some((key, held)) = self.living_at(&target, to) else {
            return false;
        };
        if held.incarnation > ping.incarnation || self.detector.refusals.is_refuted(&target) {
            return false;
        }
        match why {
            Why::For { asker, row, at } => self.report_refused(asker, row, at, number),
            Why::Witness if held.health == Health::Suspect => {
                let me = self.id();
                self.accuse(env, key, me, Evidence::Refused);
            }
            Why::Witness => {}
        }
        true
    }

    /// The member's row and state, if it is held to be living there.
    fn living_at(&self, id: &MemberId, to: SocketAddr) -> Option<(RowKey, State)> {
        let key = self.table.find(id)?;
        let row = self.table.get(key)?;
        let lives = row.health <= Health::Suspect && self.table.is_at(row, to);
        lives.then(|| (key, row.state()))
    }

    /// Whether others were refused by this suspect, and more are needed to be sure.
    fn is_refused_elsewhere(&self, key: RowKey) -> bool {
        let row = self.table.get(key);
        row.is_some_and(|row| {
            self.suspicions
                .wants_refusal(&self.table, &self.timing, row)
        })
    }

    /// How many must be refused beside this member.
    fn others_needed(&self) -> usize {
        confirmations_needed(&self.timing, self.table.living())
    }

    /// Others are asked to ping it, twice as many as usual: each of them may be one that its firewall refuses.
    fn ask_about(&mut self, env: &mut Env, key: RowKey, number: u64) {
        let Some(target) = self.table.get(key).expected().map(|row| row.id) else {
            return;
        };
        let most = 2 * self.timing.indirect_probes.max(1);
        let ours = self.ask_some(env, target, number, most);
        self.detector.refusals.asked(env.now, number, ours);
        let probe = self.detector.probe.as_mut();
        if let Some(probe) = probe.filter(|probe| probe.number() == number) {
            probe.cannot_be_sent();
            probe.asked(&self.detector.helpers, ours);
        }
    }

    /// Tells the member that asked for a ping that it was refused.
    fn report_refused(&mut self, asker: MemberId, row: RowKey, at: SocketAddr, number: u64) {
        let body = Body::Ack {
            forward_to: None,
            number,
            news: false,
            refused: true,
        };
        self.queue(Outgoing {
            to: at,
            id: Some(asker),
            row,
            told: None,
            limit: ORDINARY_DATAGRAM,
            ages: false,
            body,
        });
    }

    /// A member asks to ping another: whether that was refused here a moment ago. If the ping now is, the member is told.
    pub(super) fn refused_of_late(
        &mut self,
        env: &Env,
        incoming: &Incoming<'_>,
        key: RowKey,
        number: u64,
    ) -> bool {
        let ours = incoming.sender.features & feature::EXTENSIONS != 0;
        let Some(row) = self.table.get(key).expected() else {
            return false;
        };
        if !ours || !incoming.speaker.proved || number == 0 || row.health > Health::Suspect {
            return false;
        }
        let (target, incarnation) = (row.id, row.incarnation);
        let to = SocketAddr::new(self.table.ip_of(row), row.swim_port);
        let refusals = &mut self.detector.refusals;
        if refusals.is_refuted(&target) {
            return false;
        }
        let (asker, row) = (incoming.sender.id, incoming.row.unwrap_or(NONE));
        let at = incoming.from;
        let why = Why::For { asker, row, at };
        refusals.sent(env.now, (number, to, target, incarnation), why);
        refusals.was_refused(&target)
    }

    /// A helper says that the ping with this number was refused.
    pub(super) fn helper_refused(&mut self, env: &mut Env, helper: MemberId, number: u64) {
        self.ask_if_others_are_refused(env, number);
        let others = self.others_needed();
        let refusals = &mut self.detector.refusals;
        let step = refusals.reported(env, number, helper, others);
        if step == Step::AccuseToo {
            self.add_refused(env, number, helper);
        }
        self.settle_gone(env, number, step);
    }

    /// A helper is refused where a probe of this member has no answer, and no refusal, which may be lost: it asks for one.
    fn ask_if_others_are_refused(&mut self, env: &mut Env, number: u64) {
        let probe = self.probe_with(number).filter(|probe| probe.is_waiting());
        let Some(target) = probe.map(|probe| probe.target()) else {
            return;
        };
        let Some(key) = self.table.find(&target) else {
            return;
        };
        let Some(held) = self.table.get(key).expected().map(Row::state) else {
            return;
        };
        let refusals = &mut self.detector.refusals;
        if self.timing.refused_suspicion.is_zero()
            || held.health > Health::Suspect
            || refusals.is_refuted(&target)
            || refusals.inquiry(number).is_some()
        {
            return;
        }
        if refusals.begin(env, target, number, held.incarnation, Occasion::Hint) {
            self.ping_with(key, number);
        }
    }

    /// One more was refused by a member that was accused of it.
    fn add_refused(&mut self, env: &mut Env, number: u64, helper: MemberId) {
        let target = self.detector.refusals.inquiry(number).map(|one| one.target);
        if let Some(key) = target.and_then(|target| self.table.find(&target)) {
            let me = self.id();
            let row = self.table.get(key);
            let suspicion = row.and_then(|row| self.suspicion(row));
            if suspicion.is_some_and(|suspicion| suspicion.is_refused_by(&me)) {
                self.accuse(env, key, helper, Evidence::Refused);
            }
        }
    }

    /// The time of an inquiry has come.
    pub(super) fn inquiry_due(&mut self, env: &mut Env, number: u32) {
        let (number, others) = (u64::from(number), self.others_needed());
        let target = self.detector.refusals.inquiry(number).map(|one| one.target);
        let refusals = &mut self.detector.refusals;
        let step = refusals.due(env, &self.timing, number, others);
        let Some(key) = target.and_then(|target| self.table.find(&target)) else {
            return;
        };
        match step {
            Step::Ping => self.ping_with(key, number),
            Step::AskOthers => self.ask_about(env, key, number),
            Step::Accuse => self.settle_gone(env, number, step),
            Step::Nothing | Step::AccuseToo | Step::End => {}
        }
    }

    /// Accuses the member of an inquiry, if that is what is to be done: this member does, and those that were refused, too.
    fn settle_gone(&mut self, env: &mut Env, number: u64, step: Step) {
        let inquiry = self.detector.refusals.inquiry(number);
        let Some(inquiry) = inquiry.filter(|_| step == Step::Accuse).cloned() else {
            return;
        };
        let Some(key) = self.table.find(&inquiry.target) else {
            return;
        };
        let Some(held) = self.table.get(key).expected().map(Row::state) else {
            return;
        };
        // It has spoken up since, or its answer may lie unread.
        if held.incarnation > inquiry.incarnation
            || held.health > Health::Suspect
            || self.detector.hearing.unread
        {
            return;
        }
        if held.health == Health::Alive {
            let health = Health::Suspect;
            let suspect = State { health, ..held };
            if let Some(member) = self.table.member(key) {
                let peer = (&member).into();
                env.journal
                    .trace(env.wall, TraceKind::ProbeSuspect, peer, Vec::new);
            }
            self.change(env, key, suspect, Cause::Refused, Spread::News);
        }
        let me = self.id();
        self.accuse(env, key, me, Evidence::Refused);
        for helper in inquiry.reports() {
            self.accuse(env, key, *helper, Evidence::Refused);
        }
        let probe = self.detector.probe.as_mut();
        if let Some(probe) = probe.filter(|probe| probe.number() == number) {
            probe.cancel(env);
        }
    }

    /// A member answers with this number, be it through another: if its system refused it before, such refusals say nothing
    /// for a while.
    #[inline]
    pub(super) fn answers_refusal(
        &mut self,
        env: &Env,
        id: &MemberId,
        number: u64,
        incarnation: Incarnation,
    ) {
        let refusals = &mut self.detector.refusals;
        if number != 0 && !refusals.is_idle() && refusals.answered(id, number, incarnation) {
            refusals.refute(env.now, *id);
        }
    }

    /// A connection with this member ended: it may be gone, and is pinged at once.
    pub fn hint(&mut self, env: &mut Env, id: &MemberId) {
        let key = self.table.find(id).filter(|key| *key != self.table.me());
        let row = key.and_then(|key| self.table.get(key));
        let (Some(key), Some(row)) = (key, row.filter(|row| row.health <= Health::Suspect)) else {
            return;
        };
        if self.is_leaving() {
            return;
        }
        env.journal.stats.hints += 1;
        let (incarnation, number) = (row.incarnation, fresh(env));
        let refusals = &mut self.detector.refusals;
        if refusals.begin(env, *id, number, incarnation, Occasion::Hint) {
            self.ping_with(key, number);
        }
    }

    /// Others were refused by a suspect: with some probability this member pings it out of turn, to see for itself.
    pub(super) fn see_if_refused(&mut self, env: &mut Env, key: RowKey) {
        if !self.is_refused_elsewhere(key) || self.is_leaving() {
            return;
        }
        let living = self.table.living();
        let Some(row) = self.table.get(key).expected() else {
            return;
        };
        let (id, incarnation) = (row.id, row.incarnation);
        let to = SocketAddr::new(self.table.ip_of(row), row.swim_port);
        let suspicion = self.suspicions.of_mut(row);
        if suspicion.is_none_or(|suspicion| std::mem::replace(&mut suspicion.drawn, true))
            || self.detector.refusals.is_refuted(&id)
        {
            return;
        }
        let others = living.saturating_sub(1).max(1);
        if env.rng.random_range(0..others) < self.timing.witnesses
            && self.detector.refusals.may_witness()
        {
            let number = fresh(env);
            let ping = (number, to, id, incarnation);
            self.detector.refusals.sent(env.now, ping, Why::Witness);
            self.ping_with(key, number);
        }
    }

    /// A member of ours is Suspect, and nobody was refused: its port is to be tested, as its process may only stand still. Its
    /// first accuser does that, and those that watch it: each test takes a place in the queue of a process that stands
    /// still.
    pub(super) fn test_port(&mut self, key: RowKey) {
        let fits = |row: &&Row| {
            row.health == Health::Suspect
                && row.has_all(flag::OURS | flag::PROVED)
                && row.gossip_port != 0
        };
        let Some(row) = self.table.get(key).filter(fits) else {
            return;
        };
        let Some(suspicion) = self.suspicions.of(row) else {
            return;
        };
        let is_first = suspicion.accusers().first() == Some(&self.table.own().id);
        let watches = self.detector.watched.contains(&row.id);
        if (is_first || watches)
            && suspicion.evidence() == Evidence::Silent
            && !self.timing.stall_patience.is_zero()
        {
            self.detector.refusals.test(row.id);
        }
    }

    /// The next member whose port is to be tested, and where it is.
    pub fn poll_port_test(&mut self) -> Option<(MemberId, SocketAddr)> {
        loop {
            let id = self.detector.refusals.next_test()?;
            let row = self.table.find(&id).and_then(|key| self.table.get(key));
            if let Some(row) = row.filter(|row| row.health == Health::Suspect) {
                return Some((id, SocketAddr::new(self.table.ip_of(row), row.gossip_port)));
            }
        }
    }

    /// The system of this member answers at its port, though the member does not: its process stands still.
    pub fn port_open(&mut self, env: &mut Env, id: &MemberId) {
        let me = self.id();
        if let Some(key) = self.table.find(id) {
            self.stall(env, key, me);
        }
    }

    /// The system of this member says that nobody listens at its port.
    pub fn port_closed(&mut self, env: &mut Env, id: &MemberId) {
        let me = self.id();
        let suspect = |row: &Row| row.health == Health::Suspect;
        if let Some(key) = self.table.find(id)
            && self.table.get(key).is_some_and(suspect)
            && !self.detector.refusals.is_refuted(id)
            && !self.timing.refused_suspicion.is_zero()
        {
            self.accuse(env, key, me, Evidence::Refused);
        }
    }

    /// Pings a member outside of the probe cycle with a number that nobody has seen.
    fn ping_with(&mut self, key: RowKey, number: u64) {
        let (Some(member), told) = (
            self.table.member(key).expected(),
            self.table.get(key).expected().map(Row::state),
        ) else {
            return;
        };
        let body = Body::Ping {
            forward_to: None,
            number,
            compare: Compare::Nothing,
            probe: false,
        };
        self.queue(Outgoing {
            to: member.swim_addr(),
            id: Some(member.id),
            row: key,
            told,
            limit: ORDINARY_DATAGRAM,
            ages: true,
            body,
        });
    }
}

/// A number that is made up now.
fn fresh(env: &mut Env) -> u64 {
    env.rng.random::<u32>().max(1).into()
}
