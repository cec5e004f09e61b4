//! The probe cycle: one member a period, directly and then through others (SWIM §3.1, PROTOCOL.md §2).

use std::net::{IpAddr, SocketAddr};

use rand::RngExt;

use super::incoming::Incoming;
use super::merge::State;
use super::news::RowKey;
use super::records::is_somewhere;
use super::row::flag;
use super::send::{Body, Outgoing};
use super::{Row, Swim};
use crate::env::{Env, Timer};
use crate::event::Cause;
use crate::journal::Peer;
use crate::limits::ORDINARY_DATAGRAM;
use crate::member::{Health, Incarnation, MemberId};
use crate::time::Time;
use crate::timer::TimerKey;
use crate::trace::TraceKind;
use crate::wire::{MemberRecord, feature};

/// The probe under way.
#[derive(Hash)]
pub(super) struct Probe {
    target: MemberId,
    began: Time,
    /// What was held of the target when the probe began.
    held: State,
    /// Pings of this probe carry it, and so do their Acks from peers that know it.
    number: u64,
    /// When the direct ping left, by the driver's time.
    left: Option<Time>,
    answered: bool,
    /// How often others were asked.
    asked: usize,
    /// How many of those answer such a request, and how many did.
    helpers: usize,
    helped: usize,
    /// Others are to be asked then; `None`: they were, often enough.
    late: Option<TimerKey>,
}

impl Probe {
    /// Whether this member was heard by those whom it asked for help, and heard them (Lifeguard §III, "nack"):
    /// then it is not to blame for a probe that failed. A third of them is enough, as datagrams are lost.
    fn was_heard(&self) -> bool {
        self.helpers > 0 && self.helped * 3 >= self.helpers
    }
}

impl Swim {
    /// A period ends, and with it its probe; the next begins.
    pub(super) fn probe_period(&mut self, env: &mut Env) {
        self.conclude(env);
        if self.is_leaving() {
            return;
        }
        let out_of_turn = self.next_out_of_turn(env);
        let next = out_of_turn.or_else(|| self.table.next_in_round(&mut env.rng));
        if let Some(key) = next {
            self.begin_probe(env, key);
        }
        self.begin_period(env);
    }

    fn begin_period(&mut self, env: &mut Env) {
        env.timers.cancel(self.next_period);
        let next = env.now + self.local_health.stretch(self.timing.period);
        self.next_period = env.timers.insert(next, Timer::ProbePeriod);
        self.look_for_silence(env);
        self.last_words = 0;
        self.corrected.clear();
        self.periods = self.periods.wrapping_add(1);
        self.unproved.forget(env.now, self.timing.period);
        if std::mem::take(&mut self.somebody_went) {
            self.echoes.clear();
        }
        self.begin_healing_period(env);
    }

    /// Whether no Ack is being waited for.
    pub(super) fn is_idle(&self) -> bool {
        self.probe.as_ref().is_none_or(|probe| probe.answered)
    }

    fn begin_probe(&mut self, env: &mut Env, key: RowKey) {
        let (Some(member), Some(row)) = (self.table.member(key), self.table.get(key)) else {
            return;
        };
        let held = row.state();
        let number = u64::from(env.rng.random::<u32>().max(1));
        let late = env.now + self.local_health.stretch(self.timing.timeout);
        let late = Some(env.timers.insert(late, Timer::AckLate));
        self.probe = Some(Probe {
            target: member.id,
            began: env.now,
            held,
            number,
            left: None,
            answered: false,
            asked: 0,
            helpers: 0,
            helped: 0,
            late,
        });
        env.journal.stats.probes += 1;
        env.journal
            .trace(env.wall, TraceKind::ProbeBegin, (&member).into(), Vec::new);
        self.ping_probed(key, number, true);
    }

    /// Pings the member that is being probed, for the first time or again.
    fn ping_probed(&mut self, key: RowKey, number: u64, first: bool) {
        let (Some(member), Some(row)) = (self.table.member(key), self.table.get(key)) else {
            return;
        };
        let told = Some(row.state());
        let body = Body::Ping {
            forward_to: self.number_to_copy(row, number).map(Box::new),
            number,
            digest: false,
            probe: first,
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

    /// Whether this is the number of the probe under way.
    pub(super) fn is_probe_number(&self, number: u64) -> bool {
        self.probe
            .as_ref()
            .is_some_and(|probe| probe.number == number)
    }

    /// When the probe with this number began.
    pub(super) fn probe_began(&self, number: u64) -> Option<Time> {
        let probe = self.probe.as_ref()?;
        (probe.number == number).then_some(probe.began)
    }

    /// Whether this is the number of a probe of this member which has no answer yet.
    pub(super) fn answers_probe(&self, id: &MemberId, number: u64) -> bool {
        let waits = |probe: &Probe| probe.number == number && probe.target == *id;
        self.is_probing() && self.probe.as_ref().is_some_and(waits)
    }

    /// A number with which others are asked to ask a member beside its probe: on a sealed ring, what they pass on counts
    /// only with it.
    pub(super) fn number_for_others(&self, env: &mut Env) -> u64 {
        if self.sealed {
            env.rng.random::<u32>().max(1).into()
        } else {
            0
        }
    }

    /// Whether the probe under way has no answer yet.
    pub(super) fn is_probing(&self) -> bool {
        self.probe.as_ref().is_some_and(|probe| !probe.answered)
    }

    /// The probe's ping is being handed to the driver: its round trip begins.
    pub(super) fn probe_leaves(&mut self, env: &Env, number: u64) {
        if let Some(probe) = self.probe.as_mut().filter(|probe| probe.number == number) {
            probe.left = Some(env.wall);
        }
    }

    /// No Ack in time: others are asked to ping the member too. If that does not help either, so they are
    /// again, and the member is.
    pub(super) fn ack_late(&mut self, env: &mut Env) {
        self.look_for_silence(env);
        let hears = self.heard_of_late(env.now);
        let Some(probe) = &mut self.probe else { return };
        let Some(timer) = probe.late.take() else {
            return;
        };
        env.timers.cancel(timer);
        if probe.answered {
            return;
        }
        let again = probe.asked > 0;
        probe.asked += 1;
        let rounds = self.timing.indirect_rounds;
        // Who hears nobody troubles others no more than it has to.
        if probe.asked < rounds && hears {
            let left = self.timing.period.saturating_sub(self.timing.timeout);
            let next = env.now + self.local_health.stretch(left) / rounds as u32;
            probe.late = Some(env.timers.insert(next, Timer::AckLate));
        }
        let (target, number) = (probe.target, probe.number);
        if again {
            // Which of the pings an Ack answers cannot be told, so it gives no round trip (Karn).
            probe.left = None;
            if let Some(key) = self.table.find(&target) {
                self.ping_probed(key, number, false);
            }
        } else {
            env.journal.stats.probes_indirect += 1;
        }
        let helpers = self.ask_others(env, target, number);
        if let Some(probe) = &mut self.probe {
            probe.helpers += helpers;
        }
    }

    /// The direct ping did not get there: others are asked at once, unless they were.
    fn unanswered(&mut self, env: &mut Env) {
        let waits = |probe: &Probe| !probe.answered && probe.asked == 0;
        if self.probe.as_ref().is_some_and(waits) {
            self.ack_late(env);
        }
    }

    /// Asks some Alive members to ping this one. How many of them are ours, and say so.
    pub(super) fn ask_others(&mut self, env: &mut Env, target: MemberId, number: u64) -> usize {
        let mut ours = 0;
        let mut helpers = std::mem::take(&mut self.helpers);
        let row = self.table.find(&target).and_then(|key| self.table.get(key));
        // Who does not know of IPv6 knows no such member.
        let v6 = row.is_some_and(|row| row.has(flag::V6));
        let fits = |row: &Row| row.id != target && (!v6 || row.has(flag::OURS));
        let most = self.timing.indirect_probes;
        self.table
            .some_alive(most, fits, &mut env.rng, &mut helpers);
        for key in &helpers {
            let Some(helper) = self.table.member(*key) else {
                continue;
            };
            let row = self.table.get(*key);
            ours += usize::from(row.is_some_and(|row| row.has(flag::OURS)));
            env.journal.trace(
                env.wall,
                TraceKind::ProbePingReq,
                (&helper).into(),
                Vec::new,
            );
            let (to, id, limit) = (helper.swim_addr(), Some(helper.id), ORDINARY_DATAGRAM);
            self.queue(Outgoing {
                to,
                id,
                row: *key,
                told: None,
                limit,
                ages: true,
                body: Body::PingReq { target, number },
            });
        }
        self.helpers = helpers;
        ours
    }

    /// Somebody else answers with the number of the probe: it was asked to help, and heard that.
    pub(super) fn note_help(&mut self, sender: MemberId, number: u64) {
        let asked =
            |probe: &&mut Probe| number != 0 && probe.number == number && probe.target != sender;
        if let Some(probe) = self.probe.as_mut().filter(asked) {
            probe.helped += 1;
        }
    }

    /// Another member answers with the number of the probe, at the very address of the probed one: that is there no more.
    pub(super) fn note_tenant(&mut self, env: &mut Env, incoming: &Incoming<'_>, number: u64) {
        let Some(probe) = self.probe.as_ref() else {
            return;
        };
        let is_answer = number != 0 && number == probe.number && !probe.answered;
        if !is_answer || probe.target == incoming.sender.id {
            return;
        }
        let key = self.table.find(&probe.target);
        let is_there = |key: &RowKey| {
            let row = self.table.get(*key);
            row.is_some_and(|row| self.table.is_at(row, incoming.from))
        };
        let Some(key) = key.filter(is_there) else {
            return;
        };
        // It was answered, so that it fails is nobody's fault.
        if let Some(timer) = self.probe.take().and_then(|probe| probe.late) {
            env.timers.cancel(timer);
        }
        self.suspect_replaced(env, key);
    }

    /// Whether more has come in than the driver reads at once, at this moment.
    pub fn set_unread(&mut self, unread: bool) {
        self.unread = unread;
    }

    /// Some datagram came to nobody: if it was the probe's, others are asked.
    pub fn missed_direct_ack(&mut self, env: &mut Env) {
        self.unanswered(env);
    }

    /// A datagram to this address could not be sent, or came back: that is a missed direct Ack.
    pub fn unreachable(&mut self, env: &mut Env, addr: SocketAddr) {
        let Some(probe) = self.probe.as_ref().filter(|probe| !probe.answered) else {
            return;
        };
        let target = self
            .table
            .find(&probe.target)
            .and_then(|key| self.table.member(key));
        if target.is_some_and(|target| target.swim_addr() == addr) {
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
            let limit = incoming.spend(self.bare_datagram());
            self.ask(there, Some(incoming.sender.id), Some(held), limit, false);
        }
    }

    /// Ends the probe under way if this Ack shows that the probed member lives. Whether the Ack is the
    /// answer to the probe: with a number it has to have the right one; without, from a member that knows
    /// of numbers, it is some other sign of life.
    pub(super) fn end_probe(
        &mut self,
        env: &mut Env,
        incoming: &Incoming<'_>,
        was_forwarded: bool,
        number: u64,
    ) -> bool {
        let row = incoming.row.and_then(|key| self.table.get_mut(key));
        let Some((probe, row)) = self.probe.as_mut().zip(row) else {
            return false;
        };
        if probe.target != incoming.sender.id || number != 0 && number != probe.number {
            return false;
        }
        let knows_numbers =
            incoming.sender.features & feature::EXTENSIONS != 0 || row.has(flag::OURS);
        let is_answer = number != 0 || was_forwarded || !knows_numbers;
        if probe.answered {
            return is_answer;
        }
        probe.answered = true;
        env.journal.stats.count_answer(probe.asked > 0);
        if let Some(timer) = probe.late.take() {
            env.timers.cancel(timer);
        }
        if let Some(left) = probe.left.filter(|_| is_answer && !was_forwarded) {
            let rtt = env.wall.since(left);
            row.rtt = u32::try_from(rtt.as_micros()).unwrap_or(u32::MAX - 1);
            env.journal.stats.probe_rtt.record(rtt);
        }
        self.local_health.improve();
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
        let Some(probe) = self.probe.take() else {
            return;
        };
        if let Some(timer) = probe.late {
            env.timers.cancel(timer);
        }
        let Some(key) = self.table.find(&probe.target) else {
            return;
        };
        let Some(member) = self.table.member(key) else {
            return;
        };
        if probe.answered {
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
        if probe.held.health >= Health::Confirmed {
            return;
        }
        if !probe.was_heard() {
            self.local_health.worsen();
        }
        // The Ack may lie unread: the own loop is what is too slow, and that accuses nobody.
        if self.unread {
            return;
        }
        let Some(held) = self.table.get(key).map(Row::state) else {
            return;
        };
        // It has spoken up since the probe began: the next probe will tell.
        if held.incarnation > probe.held.incarnation {
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
            if probe.helpers > 0 && self.last_heard < probe.began {
                self.hears_nobody(env.now);
            }
            self.change(env, key, suspect, Cause::ProbeFailed, true);
        }
        self.advertisers.fell_silent(key);
        self.ask_silent_at_source(key);
        if held.health <= Health::Suspect {
            let me = self.id();
            self.accuse(env, key, me);
        }
    }
}
