//! The probe cycle: one member a period, directly and then through others (SWIM §3.1, PROTOCOL.md §2).

use super::incoming::Way;
use super::merge::Spread;
use super::outbox::Compare;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use rand::RngExt;

use super::address::is_somewhere;
use super::incoming::Incoming;
use super::merge::State;
use super::news::RowKey;
use super::outbox::{Body, Outgoing};
use super::probe::Probe;
use super::row::flag;
use super::{Row, Swim};
use crate::env::Env;
use crate::event::Cause;
use crate::expected::Expected;
use crate::history::Fact;
use crate::journal::Peer;
use crate::limits::ORDINARY_DATAGRAM;
use crate::member::{Evidence, Health, Incarnation};
use crate::trace::TraceKind;
use crate::wire::{MemberRecord, feature};

/// Which ping of a probe it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Attempt {
    First,
    Again,
}

impl Swim {
    /// A period ends, and with it its probe; the next begins.
    pub(super) fn probe_period(&mut self, env: &mut Env) {
        self.conclude(env);
        if self.is_leaving() {
            return;
        }
        let witness = &mut self.detector.witness;
        let out_of_turn = witness.next(env, &self.table, &self.suspicions, &self.timing);
        let next = out_of_turn.or_else(|| self.next_in_turn(env));
        if let Some(key) = next {
            self.begin_probe(env, key);
        }
        self.begin_period(env);
    }

    /// Every second probe goes to the successor, so that somebody pings a dead member within two periods: by the round
    /// alone, chance may leave one out for many. The others go around. Without pushes all do, as news then rides on probes
    /// alone, and has to get around.
    fn next_in_turn(&mut self, env: &mut Env) -> Option<RowKey> {
        let to_successor = self.timing.push_fanout > 0 && self.detector.alternate();
        let successor = to_successor.then(|| self.next_alive()).flatten();
        successor.or_else(|| self.table.next_in_round(&mut env.rng))
    }

    fn begin_period(&mut self, env: &mut Env) {
        self.detector.begin_period(env, &self.timing);
        self.look_for_silence(env);
        self.suspicions.begin_period();
        self.tables.corrected.begin_period();
        self.numbers.begin_period();
        self.trust.unproved.forget(env.now, self.timing.period);
        self.trust.echoes.begin_period();
        self.begin_healing_period(env);
    }

    fn begin_probe(&mut self, env: &mut Env, key: RowKey) {
        let (Some(member), Some(row)) = (
            self.table.member(key).expected(),
            self.table.get(key).expected(),
        ) else {
            return;
        };
        let held = row.state();
        let number = u64::from(env.rng.random::<u32>().max(1));
        let timeout = self.detector.local_health.stretch(self.timing.timeout);
        let probe = Probe::new(env, member.id, held, number, timeout);
        self.detector.probe = Some(probe);
        env.journal.history.lag = Duration::ZERO;
        env.journal.stats.probes += 1;
        env.journal
            .trace(env.wall, TraceKind::ProbeBegin, (&member).into(), Vec::new);
        self.ping_probed(key, number, Attempt::First);
    }

    /// Pings the member that is being probed, for the first time or again.
    fn ping_probed(&mut self, key: RowKey, number: u64, attempt: Attempt) {
        let (Some(member), Some(row)) = (
            self.table.member(key).expected(),
            self.table.get(key).expected(),
        ) else {
            return;
        };
        let told = Some(row.state());
        let body = Body::Ping {
            forward_to: self.number_to_copy(row, number).map(Box::new),
            number,
            compare: Compare::Nothing,
            probe: attempt == Attempt::First,
        };
        let (to, id, limit) = (member.swim_addr(), Some(member.id), ORDINARY_DATAGRAM);
        self.queue(Outgoing {
            to,
            id,
            row: key,
            told,
            limit,
            ages: true,
            body,
        });
    }

    /// A peer that knows no numbers copies whom it is to forward to, so the number hides there if this
    /// peer has still to prove its address.
    fn number_to_copy(&self, row: &Row, number: u64) -> Option<MemberRecord<'static>> {
        let wanted = row.has(flag::WANTS_TABLE) && !row.has(flag::OURS);
        let incarnation = Incarnation::new(number).filter(|_| wanted)?;
        Some(MemberRecord {
            incarnation,
            ..self.own_record().contact()
        })
    }

    /// The probe's ping is being handed to the driver.
    pub(super) fn probe_leaves(&mut self, env: &Env, number: u64) {
        let probe = self.detector.probe.as_mut();
        if let Some(probe) = probe.filter(|probe| probe.number() == number) {
            probe.leaves(env.wall);
        }
    }

    /// No Ack in time: others are asked to ping the member too. If that does not help either, so they are
    /// again, and the member is.
    pub(super) fn ack_late(&mut self, env: &mut Env) {
        self.look_for_silence(env);
        // Who hears nobody troubles others no more than it has to.
        let (rounds, helpers) = match self.heard_of_late(env.now) {
            true => (self.timing.indirect_rounds, self.timing.indirect_probes),
            false => (1, self.timing.indirect_probes.min(2)),
        };
        let left = self.timing.period.saturating_sub(self.timing.timeout);
        let next = self.detector.local_health.stretch(left) / rounds.max(1) as u32;
        let Some(probe) = &mut self.detector.probe else {
            return;
        };
        let (target, number) = (probe.target(), probe.number());
        match probe.late(env, rounds, next) {
            None => return,
            Some(0) => env.journal.stats.probes_indirect += 1,
            Some(_) => {
                if let Some(key) = self.table.find(&target) {
                    self.ping_probed(key, number, Attempt::Again);
                }
            }
        }
        let say_so = self.ask_some(env, target, number, helpers);
        if let Some(probe) = &mut self.detector.probe {
            probe.asked(&self.detector.helpers, say_so);
        }
    }

    /// The direct ping did not get there: others are asked at once, unless they were.
    fn unanswered(&mut self, env: &mut Env) {
        if self.detector.probe.as_ref().is_some_and(Probe::is_direct) {
            self.ack_late(env);
        }
    }

    /// Another member answers with the number of the probe, at the very address of the probed one: that is there no more.
    pub(super) fn note_tenant(&mut self, env: &mut Env, incoming: &Incoming<'_>, number: u64) {
        let is_answer = |probe: &&Probe| number != 0 && probe.is_waiting();
        let Some(probe) = self.probe_with(number).filter(is_answer) else {
            return;
        };
        if probe.target() == incoming.sender.id {
            return;
        }
        let key = self.table.find(&probe.target());
        let is_there = |key: &RowKey| {
            let row = self.table.get(*key);
            row.is_some_and(|row| self.table.is_at(row, incoming.from))
        };
        let Some(key) = key.filter(is_there) else {
            return;
        };
        // It was answered, so that it fails is nobody's fault.
        if let Some(mut probe) = self.detector.probe.take() {
            probe.cancel(env);
        }
        self.suspect_replaced(env, key);
    }

    /// Some datagram came to nobody: if it was the probe's, others are asked.
    pub fn missed_direct_ack(&mut self, env: &mut Env) {
        self.unanswered(env);
    }

    /// A datagram to this address could not be sent, or came back: that is a missed direct Ack.
    pub fn unreachable(&mut self, env: &mut Env, addr: SocketAddr) {
        let probe = self.detector.probe.as_ref();
        let key = probe.and_then(|probe| self.table.find(&probe.target()));
        let row = key.and_then(|key| self.table.get(key));
        if row.is_some_and(|row| self.table.is_at(row, addr)) {
            if let Some(probe) = &mut self.detector.probe {
                probe.cannot_be_sent();
            }
            self.unanswered(env);
        }
    }

    /// Others reach the probed member where this one does not look for it, as after two processes had its id: it
    /// is asked there, and its answer counts. A relay's word alone does not.
    pub(super) fn ask_where_it_answered(&mut self, incoming: &mut Incoming<'_>, ip: IpAddr) {
        let Some(row) = incoming.row.and_then(|key| self.table.get(key)) else {
            return;
        };
        let there = SocketAddr::new(ip, incoming.sender.swim_port);
        let held = row.state();
        if incoming.sender.incarnation >= held.incarnation
            && is_somewhere(ip)
            && !self.table.is_at(row, there)
        {
            let limit = incoming.speaker.budget.spend(self.bare_datagram());
            self.ask(
                there,
                Some(incoming.sender.id),
                Some(held),
                limit,
                Compare::Nothing,
            );
        }
    }

    /// Ends the probe under way if this Ack shows that the probed member lives. Whether the Ack is the
    /// answer to the probe: with a number it has to have the right one; without, from a member that knows
    /// of numbers, it is some other sign of life.
    pub(super) fn end_probe(
        &mut self,
        env: &mut Env,
        incoming: &Incoming<'_>,
        way: Way,
        number: u64,
    ) -> bool {
        let was_forwarded = way == Way::Relayed;
        let row = incoming.row.and_then(|key| self.table.get_mut(key));
        let Some((probe, row)) = self.detector.probe.as_mut().zip(row) else {
            return false;
        };
        if !probe.may_be_answered(&incoming.sender.id, number) {
            return false;
        }
        let knows_numbers =
            incoming.sender.features & feature::EXTENSIONS != 0 || row.has(flag::OURS);
        let is_answer = number != 0 || was_forwarded || !knows_numbers;
        if !probe.is_waiting() {
            return is_answer;
        }
        env.journal.stats.count_answer(!probe.is_direct());
        if let Some(left) = probe.answer(env).filter(|_| is_answer && !was_forwarded) {
            let rtt = env.wall.since(left);
            row.rtt = u32::try_from(rtt.as_micros()).unwrap_or(u32::MAX - 1);
            env.journal.stats.probe_rtt.record(rtt);
        }
        self.detector.local_health.improve();
        self.heard_somebody(env);
        let peer = Peer {
            id: Some(incoming.sender.id),
            addr: Some(incoming.from),
        };
        env.journal
            .trace(env.wall, TraceKind::ProbeAckReceived, peer, Vec::new);
        is_answer
    }

    /// The period of a probe is over: who has not answered is Suspect.
    fn conclude(&mut self, env: &mut Env) {
        let Some(mut probe) = self.detector.probe.take() else {
            return;
        };
        probe.cancel(env);
        let Some(key) = self.table.find(&probe.target()) else {
            return;
        };
        let Some(member) = self.table.member(key).expected() else {
            return;
        };
        if !probe.is_waiting() {
            env.journal.trace(
                env.wall,
                TraceKind::ProbeComplete,
                (&member).into(),
                Vec::new,
            );
            return;
        }
        env.journal.stats.probes_failed += 1;
        // That one of the dead does not answer says nothing, not even if it came back meanwhile.
        let Some(failed) = probe.failed() else {
            return;
        };
        if !failed.was_heard {
            self.detector.local_health.worsen();
        }
        if env.journal.history.is_on() {
            let heard = self.detector.hearing.since(probe.began());
            let evidence = probe.evidence(&self.table, heard, env.journal.history.lag);
            let fact = Fact::ProbeFailed(Box::new(evidence));
            env.journal.history.add(env.wall, member.id, fact);
        }
        // The Ack may lie unread: the own loop is what is too slow, and that accuses nobody.
        if self.detector.hearing.unread {
            return;
        }
        let Some(held) = self.table.get(key).map(Row::state) else {
            return;
        };
        // It has spoken up since the probe began: the next probe will tell.
        if held.incarnation > failed.held.incarnation {
            return;
        }
        if held.health == Health::Alive {
            env.journal.trace(
                env.wall,
                TraceKind::ProbeSuspect,
                (&member).into(),
                Vec::new,
            );
            let suspect = State {
                health: Health::Suspect,
                ..held
            };
            let is_deaf = |since| !self.detector.hearing.since(since);
            if failed.asked_since.is_some_and(is_deaf) {
                self.detector.hearing.nobody(env.now, &self.timing);
            }
            self.change(env, key, suspect, Cause::ProbeFailed, Spread::News);
        }
        self.trust.advertisers.fell_silent(key);
        self.ask_silent_at_source(key);
        if held.health <= Health::Suspect {
            let me = self.id();
            self.accuse(env, key, me, Evidence::Silent);
            self.test_port(key);
        }
    }

    /// Others suspect this member: with some probability this one is a witness, and probes it in the place of
    /// its next probe, or at once if nothing else is under way.
    pub(super) fn volunteer(&mut self, env: &mut Env, key: RowKey) {
        let Some(row) = self.table.get(key).filter(|_| !self.is_leaving()) else {
            return;
        };
        let (table, timing) = (&self.table, &self.timing);
        let witness = &mut self.detector.witness;
        if !witness.volunteer(env, timing, row.id, table.living()) || !witness.is_due() {
            return;
        }
        let probe = self.detector.probe.as_ref();
        let is_idle = !probe.is_some_and(Probe::is_waiting);
        // Who has accusers enough needs no probe, and its period goes on as it was.
        if is_idle && self.suspicions.wants_witness(table, timing, key) {
            self.probe_period(env);
        }
    }
}
