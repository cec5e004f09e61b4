//! What must hold of every member after every event, whatever goes wrong around it.

use std::collections::BTreeMap;

use super::Index;
use crate::config::Timing;
use crate::event::{Cause, Event};
use crate::limits::{LEAVE_FANOUT, MAX_DATAGRAM_SENT, ORDINARY_DATAGRAM};
use crate::member::{Health, Incarnation, MemberId};
use crate::node::Node;
use crate::stats::{MessageKind, Stats};
use crate::time::Time;
use crate::wire::{self, Message, RingKey};

/// Something that must not happen, and did.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Violation {
    /// When.
    pub at: Time,
    /// At which member.
    pub member: Index,
    /// What.
    pub what: String,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: member {}: {}", self.at, self.member, self.what)
    }
}

/// What one life of a member is held to.
#[derive(Default)]
pub(super) struct Watch {
    /// The highest incarnation that it had.
    incarnation: Incarnation,
    /// Whom it holds for dead, and at which incarnation.
    dead: BTreeMap<MemberId, Incarnation>,
    /// When the present period began, and what had been counted by then.
    window: Time,
    before: Stats,
}

impl Watch {
    /// It starts with this incarnation, which may not be below what it had unless its disk is another.
    pub fn begins(
        &mut self,
        now: Time,
        incarnation: Incarnation,
        same_disk: bool,
    ) -> Option<String> {
        let had = self.incarnation;
        *self = Watch {
            incarnation,
            window: now,
            ..Watch::default()
        };
        (same_disk && incarnation <= had)
            .then(|| format!("it starts with incarnation {incarnation}, and had {had}"))
    }

    /// Something happened at the member.
    pub fn event(&mut self, node: &Node, event: &Event) -> Option<String> {
        let Event::MemberChanged {
            id,
            from,
            to,
            incarnation,
            cause,
            ..
        } = event
        else {
            return None;
        };
        if *to >= Health::Confirmed {
            self.dead.insert(*id, *incarnation);
            return None;
        }
        if node.is_exiled(id) {
            return Some(format!("{id} departed by a rumor, and is {to}: {cause}"));
        }
        let died = self.dead.remove(id)?;
        // Who was forgotten is new, whatever was known of it.
        let proved = from.is_none() || matches!(cause, Cause::ProofOfLife | Cause::ItsLeave);
        (*incarnation <= died && !proved)
            .then(|| format!("{id} died at {died}, and is {to} at {incarnation}: {cause}"))
    }

    /// The member has done all that was to do at this moment.
    pub fn state(&mut self, node: &Node) -> Option<String> {
        let incarnation = node.incarnation();
        let had = std::mem::replace(&mut self.incarnation, incarnation);
        if incarnation < had {
            return Some(format!("its incarnation fell from {had} to {incarnation}"));
        }
        let over = node.sizes().find(|size| size.now > size.most)?;
        Some(format!(
            "{} of {}, at most {}",
            over.now, over.name, over.most
        ))
    }

    /// A deadline of the member came: it may be the end of a period.
    pub fn period(&mut self, now: Time, node: &Node, timing: &Timing) -> Option<String> {
        if now.since(self.window) < timing.period {
            return None;
        }
        let periods = now.since(self.window).as_secs_f64() / timing.period.as_secs_f64();
        let stats = node.stats();
        let before = std::mem::replace(&mut self.before, stats.clone());
        self.window = now;
        let most = Allowed::new(timing, periods.ceil() as u64, stats, &before, node.seeds());
        most.exceeded(stats, &before)
    }
}

/// How many messages of each kind the protocol allows in some periods, given what was received in them.
struct Allowed([(MessageKind, u64); 5]);

impl Allowed {
    fn new(timing: &Timing, periods: u64, now: &Stats, before: &Stats, seeds: usize) -> Self {
        let received = |kind| now.received(kind) - before.received(kind);
        let pings = received(MessageKind::Ping);
        let acks = received(MessageKind::Ack) + received(MessageKind::ForwardedAck);
        let records = now.records_received - before.records_received;
        let rounds = 1 + periods;
        let pushes = timing.period.div_duration_f64(timing.push_interval).ceil() as u64 + 2;
        let pushed = timing.push_fanout as u64 * pushes * rounds;
        // The probe, a witness in its place; the dead and the seeds that are asked; tables compared, at first
        // sixteen times a period.
        let own = (2 + 2 + 16 + 2 * seeds as u64) * rounds;
        let helpers = timing.indirect_probes as u64;
        // A table in 16 datagrams each 5 ms, as long as somebody wants it.
        let table = 16 * (timing.period.as_millis() as u64 / 5 + 1) * rounds;
        let told = if pings + acks > 0 { table } else { 0 };
        let leave = 2 * LEAVE_FANOUT as u64;
        // Sixteen parts of a comparison for each Ack that says something of rumors.
        let talks = 16 * (acks + rounds);
        Allowed([
            (
                MessageKind::Ping,
                // Whoever pings may be asked to prove its address, and so may who was told of.
                own + pushed + 2 * pings + received(MessageKind::PingReq) + records + acks,
            ),
            (
                MessageKind::Ack,
                pings
                    + received(MessageKind::ProbePing)
                    + received(MessageKind::PingReq)
                    + pushed
                    + told
                    + leave
                    + talks,
            ),
            (MessageKind::PingReq, helpers * (2 * rounds + records)),
            (MessageKind::ProbePing, records),
            (
                MessageKind::ForwardedAck,
                received(MessageKind::ForwardedAck),
            ),
        ])
    }

    fn exceeded(&self, now: &Stats, before: &Stats) -> Option<String> {
        let sent = |kind| now.sent(kind) - before.sent(kind);
        let (kind, most) = self.0.iter().find(|(kind, most)| sent(*kind) > *most)?;
        Some(format!(
            "{} of {kind:?} in a period, at most {most}",
            sent(*kind)
        ))
    }
}

/// A datagram leaves a member: whether it is within its budget.
pub(super) fn datagram(bytes: &[u8], keys: &[RingKey]) -> Option<String> {
    if bytes.len() > MAX_DATAGRAM_SENT {
        return Some(format!("a datagram of {} bytes", bytes.len()));
    }
    if bytes.len() <= ORDINARY_DATAGRAM {
        return None;
    }
    let mut copy = bytes.to_vec();
    let payload = wire::open(keys, &mut copy);
    match payload.and_then(wire::decode).map(|swim| swim.message) {
        // A part of a table, or of a comparison of rumors, and what is passed on, as it came.
        Ok(Message::Ack {
            table,
            reconcile,
            forward_to,
            ..
        }) if table || !reconcile.is_empty() || forward_to.is_some() => None,
        Ok(message) => Some(format!(
            "an ordinary datagram of {} bytes: {message:?}",
            bytes.len()
        )),
        Err(why) => Some(format!("a datagram that does not read: {why}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::{Sim, SimConfig, id_of};

    fn changed(from: Option<Health>, to: Health, incarnation: u64, cause: Cause) -> Event {
        Event::MemberChanged {
            id: id_of(1),
            addr: ([10, 0, 0, 2], 9638).into(),
            from,
            to,
            incarnation: Incarnation::new(incarnation).unwrap(),
            cause,
        }
    }

    fn ring() -> Sim {
        let mut sim = Sim::new(SimConfig::new(1));
        sim.start_settled(3);
        sim
    }

    #[test]
    fn the_dead_are_not_alive_again_by_hearsay() {
        let sim = ring();
        let via = Cause::Record { via: id_of(2) };
        let died = changed(Some(Health::Suspect), Health::Confirmed, 4, via);
        for (from, incarnation, cause, wrong) in [
            (Some(Health::Confirmed), 4, via, true),
            (Some(Health::Confirmed), 5, via, false),
            (Some(Health::Confirmed), 4, Cause::ProofOfLife, false),
            (None, 4, via, false),
        ] {
            let mut watch = Watch::default();
            assert_eq!(watch.event(sim.node(0), &died), None);
            let back = changed(from, Health::Alive, incarnation, cause);
            let said = watch.event(sim.node(0), &back);
            assert_eq!(said.is_some(), wrong, "{from:?} {incarnation} {cause:?}");
        }
    }

    #[test]
    fn who_departed_for_good_does_not_live_again() {
        let mut sim = ring();
        sim.command(0, |node, now| node.depart(now, id_of(1)).unwrap());
        let back = changed(Some(Health::Departed), Health::Alive, 9, Cause::ProofOfLife);
        assert!(Watch::default().event(sim.node(0), &back).is_some());
        assert!(Watch::default().event(sim.node(2), &back).is_none());
    }

    #[test]
    fn an_incarnation_does_not_fall() {
        let sim = ring();
        let high = Incarnation::new(7).unwrap();
        let mut watch = Watch::default();
        assert_eq!(watch.begins(Time::ZERO, high, true), None);
        assert!(watch.state(sim.node(0)).is_some());
        watch.begins(Time::ZERO, high, false);
        assert!(watch.begins(Time::ZERO, high, true).is_some());
        assert!(watch.begins(Time::ZERO, Incarnation::ZERO, false).is_none());
    }

    #[test]
    fn more_messages_than_the_protocol_knows_are_noticed() {
        let (before, mut now) = (Stats::default(), Stats::default());
        let exceeded = |now: &Stats| {
            let allowed = Allowed::new(&Timing::lan(), 1, now, &before, 1);
            allowed.exceeded(now, &before)
        };
        for kind in [
            MessageKind::Ping,
            MessageKind::Ack,
            MessageKind::PingReq,
            MessageKind::ProbePing,
            MessageKind::ForwardedAck,
        ] {
            let mut many = now.clone();
            (0..400).for_each(|_| many.count_sent(kind, 100));
            let expected = format!("{kind:?}");
            assert!(exceeded(&many).is_some_and(|said| said.contains(&expected)));
        }
        now.count_sent(MessageKind::Ping, 100);
        now.count_sent(MessageKind::Ack, 100);
        assert_eq!(exceeded(&now), None);
    }

    #[test]
    fn a_datagram_has_its_budget() {
        let garbage = vec![0; MAX_DATAGRAM_SENT + 1];
        assert!(datagram(&garbage, &[]).is_some());
        assert!(datagram(&garbage[..ORDINARY_DATAGRAM + 1], &[]).is_some());
        assert_eq!(datagram(&garbage[..ORDINARY_DATAGRAM], &[]), None);
    }
}
