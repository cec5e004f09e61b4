//! What must hold of every member after every event, whatever goes wrong around it.

use std::collections::{BTreeMap, BTreeSet};

use super::Index;
use crate::config::Timing;
use crate::event::{Cause, Event};
use crate::limits::{
    LEAVE_FANOUT, MAX_CORRECTED, MAX_CROWD_PUSHES, MAX_DATAGRAM_SENT, MAX_LAST_WORDS,
    ORDINARY_DATAGRAM,
};
use crate::member::{Health, Incarnation, MemberId};
use crate::node::Node;
use crate::rumor::RumorKind;
use crate::stats::{Gauge, MessageKind, Stats};
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
    /// Who departed for good, by the rumors that it holds.
    departed: BTreeSet<MemberId>,
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
    pub fn event(&mut self, event: &Event) -> Option<String> {
        let Event::MemberChanged {
            id,
            from,
            to,
            incarnation,
            cause,
            ..
        } = event
        else {
            self.departure(event);
            return None;
        };
        if self.departed.contains(id) && *to != Health::Departed {
            return Some(format!("{id} departed by a rumor, and is {to}: {cause}"));
        }
        if *to >= Health::Confirmed {
            self.dead.insert(*id, *incarnation);
            return None;
        }
        let died = self.dead.remove(id)?;
        // Who was forgotten is new, whatever was known of it.
        let proved = from.is_none() || matches!(cause, Cause::ProofOfLife | Cause::ItsLeave);
        (*incarnation <= died && !proved)
            .then(|| format!("{id} died at {died}, and is {to} at {incarnation}: {cause}"))
    }

    /// Notes departures for good as rumors come, and go: there may be too many, and the oldest is pardoned.
    fn departure(&mut self, event: &Event) {
        let (Event::RumorChanged(rumor) | Event::RumorGone(rumor)) = event else {
            return;
        };
        if rumor.kind != RumorKind::Departure {
            return;
        }
        if let Ok(id) = rumor.id.parse() {
            match event {
                Event::RumorGone(_) => self.departed.remove(&id),
                _ => self.departed.insert(id),
            };
        }
    }

    /// The member has done all that was to do at this moment.
    pub fn state(&mut self, node: &Node) -> Option<String> {
        let incarnation = node.incarnation();
        let had = std::mem::replace(&mut self.incarnation, incarnation);
        if incarnation < had {
            return Some(format!("its incarnation fell from {had} to {incarnation}"));
        }
        over(node.sizes())
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
        let most = Allowed::new(timing, periods.ceil() as u64, stats, &before, node);
        most.exceeded(stats, &before)
    }
}

/// What is larger than it may be.
fn over(mut sizes: impl Iterator<Item = Gauge>) -> Option<String> {
    let over = sizes.find(|size| size.now > size.most)?;
    Some(format!(
        "{} of {}, at most {}",
        over.now, over.name, over.most
    ))
}

/// A member before or after a datagram.
#[derive(Clone, Copy)]
pub(super) struct Snap {
    understood: u64,
    lags: u64,
    state: u64,
}

impl Snap {
    pub fn of(node: &Node) -> Self {
        Snap {
            understood: node.stats().received_total(),
            lags: node.stats().lags,
            state: node.fingerprint(),
        }
    }

    /// Whether a datagram that was rejected left something behind.
    pub fn changed(&self, after: &Snap) -> Option<String> {
        // That its loop is late shows at whatever comes next, and changes its state, too.
        let rejected = (after.understood, after.lags) == (self.understood, self.lags);
        (rejected && after.state != self.state)
            .then(|| "a datagram that was rejected changed its state".to_owned())
    }
}

/// How many messages of each kind the protocol allows in some periods, given what was received in them.
struct Allowed([(MessageKind, u64); 5]);

impl Allowed {
    fn new(timing: &Timing, periods: u64, now: &Stats, before: &Stats, node: &Node) -> Self {
        let received = |kind| now.received(kind) - before.received(kind);
        let pings = received(MessageKind::Ping);
        let acks = received(MessageKind::Ack) + received(MessageKind::ForwardedAck);
        let records = now.records_received - before.records_received;
        let rounds = 1 + periods;
        // While many leave, as many pushes as tell of them all.
        let crowd = node.counts().departed.min(node.news());
        let crowd = crowd.min(MAX_CROWD_PUSHES);
        let pushes = timing.period.div_duration_f64(timing.push_interval).ceil() as u64 + 2;
        let pushed = timing.push_fanout.max(crowd) as u64 * pushes * rounds;
        // The probe, a witness in its place, each of them again; the dead and the seeds that are asked; tables
        // compared, at first sixteen times a period.
        let again = timing.indirect_rounds.max(1) as u64;
        let own = (2 * again + 2 + 16 + 2 * node.seeds() as u64) * rounds;
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
                    + MAX_CORRECTED as u64 * rounds
                    + received(MessageKind::ProbePing)
                    + received(MessageKind::PingReq)
                    + pushed
                    + told
                    + leave
                    + talks,
            ),
            (
                MessageKind::PingReq,
                helpers * ((2 * again + MAX_LAST_WORDS as u64) * rounds + records),
            ),
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

/// Each can be broken.
#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::rumor::RumorId;
    use crate::sim::{Sim, SimConfig, id_of};
    use crate::wire::{Accusers, Encoder, MemberRecord, MembershipRecord};

    /// A ring of three.
    fn ring() -> Sim {
        let mut sim = Sim::new(SimConfig::new(1));
        sim.start_settled(3);
        sim
    }

    fn incarnation(number: u64) -> Incarnation {
        Incarnation::new(number).unwrap()
    }

    fn change(to: Health, number: u64, cause: Cause) -> Event {
        Event::MemberChanged {
            id: id_of(1),
            addr: "10.0.0.2:9638".parse().unwrap(),
            from: Some(Health::Alive),
            to,
            incarnation: incarnation(number),
            cause,
        }
    }

    #[test]
    fn an_incarnation_must_not_fall_nor_be_used_again_with_the_same_disk() {
        let sim = ring();
        let mut watch = Watch::default();
        assert_eq!(watch.state(sim.node(0)), None);
        watch.incarnation = incarnation(1);
        assert!(watch.state(sim.node(0)).is_some());
        for (number, same_disk, wrong) in [
            (7, true, true),
            (7, false, false),
            (8, true, false),
            (0, false, false),
        ] {
            watch.incarnation = incarnation(7);
            let began = watch.begins(Time::ZERO, incarnation(number), same_disk);
            assert_eq!(began.is_some(), wrong, "{number}, {same_disk}");
        }
    }

    #[test]
    fn who_died_must_not_live_again_without_a_proof_or_a_refutation() {
        let hearsay = Cause::Record { via: id_of(2) };
        for (number, cause, wrong) in [
            (4, hearsay, true),
            (3, hearsay, true),
            (5, hearsay, false),
            (4, Cause::ProofOfLife, false),
        ] {
            for dead in [Health::Confirmed, Health::Departed] {
                let mut watch = Watch::default();
                let died = change(dead, 4, Cause::SuspicionTimeout);
                assert_eq!(watch.event(&died), None);
                let lives = change(Health::Alive, number, cause);
                assert_eq!(watch.event(&lives).is_some(), wrong, "{number} {cause}");
                // It lives: that it goes on doing so is nothing.
                assert_eq!(watch.event(&lives), None);
            }
        }
        // Who was forgotten meanwhile is new.
        let mut watch = Watch::default();
        watch.event(&change(Health::Departed, 4, Cause::DeadTooLong));
        let mut again = change(Health::Alive, 4, hearsay);
        if let Event::MemberChanged { from, .. } = &mut again {
            *from = None;
        }
        assert_eq!(watch.event(&again), None);
    }

    #[test]
    fn who_departed_by_a_rumor_must_not_come_back() {
        let rumor = Arc::new(RumorId::departure(id_of(1)));
        let departs = Event::RumorChanged(Arc::clone(&rumor));
        let departed = change(Health::Departed, 0, Cause::Departure);
        for (to, cause) in [
            (Health::Alive, Cause::ProofOfLife),
            (Health::Suspect, Cause::ProbeFailed),
            (Health::Confirmed, Cause::SuspicionTimeout),
        ] {
            let back = change(to, 99, cause);
            let mut watch = Watch::default();
            assert_eq!(watch.event(&back), None, "it knows of no departure");
            assert_eq!(watch.event(&departs), None);
            assert_eq!(watch.event(&departed), None);
            assert!(watch.event(&back).is_some(), "{to}");
            assert!(watch.event(&back).is_some(), "{to}, for good");
            // Of too many departures the oldest is forgotten.
            watch.event(&Event::RumorGone(Arc::clone(&rumor)));
            assert_eq!(watch.event(&back), None);
        }
    }

    #[test]
    fn a_departure_is_known_by_its_rumor() {
        let mut sim = ring();
        sim.command(0, |node, now| node.depart(now, id_of(1)).unwrap());
        assert!(sim.hosts[0].watch.departed.contains(&id_of(1)));
        assert!(sim.hosts[2].watch.departed.is_empty());
        assert_eq!(sim.violations(), []);
    }

    #[test]
    fn a_slow_process_is_held_to_its_messages_too() {
        let mut sim = ring();
        sim.slow_down(0, Duration::from_millis(1));
        sim.run_for(Duration::from_secs(3));
        assert!(sim.hosts[0].watch.window > Time::ZERO);
    }

    #[test]
    fn nothing_may_be_larger_than_its_cap() {
        let size = |now| [Gauge::new("news", 0, 1), Gauge::new("members", now, 5)].into_iter();
        assert_eq!(over(size(5)), None);
        assert!(over(size(6)).is_some());
        assert_eq!(Watch::default().state(ring().node(0)), None);
    }

    #[test]
    fn a_rejected_datagram_must_leave_no_trace() {
        let snap = |understood, lags, state| Snap {
            understood,
            lags,
            state,
        };
        let changed = |after: Snap| snap(1, 1, 1).changed(&after).is_some();
        let after = [(1, 1, 1), (2, 1, 2), (1, 2, 2), (1, 1, 2)];
        let changed = after.map(|(understood, lags, state)| changed(snap(understood, lags, state)));
        assert_eq!(changed, [false, false, false, true]);
        // What stands for the state does change with it.
        let mut sim = ring();
        let before = Snap::of(sim.node(0));
        sim.command(0, |node, now| node.depart(now, id_of(1)).unwrap());
        assert!(before.changed(&Snap::of(sim.node(0))).is_some());
    }

    #[test]
    fn messages_of_no_kind_may_be_more_than_allowed() {
        let timing = Timing::lan();
        let sim = ring();
        let (none, node) = (Stats::default(), sim.node(0));
        let allowed = Allowed::new(&timing, 1, &none, &none, node);
        for (kind, most) in allowed.0 {
            let before = Stats::default();
            let mut now = Stats::default();
            (0..most).for_each(|_| now.count_sent(kind, 100));
            assert_eq!(allowed.exceeded(&now, &before), None);
            now.count_sent(kind, 100);
            assert!(allowed.exceeded(&now, &before).is_some(), "{kind:?}");
            assert_eq!(allowed.exceeded(&now, &now), None);
        }
        // Who was asked nothing has nothing to answer, but its own pushes and comparisons.
        let most_acks = allowed.0[1].1;
        assert!(most_acks < 1_000, "{most_acks}");
    }

    /// A datagram with so many records in it.
    fn message(message: &Message<'_>, records: usize) -> Vec<u8> {
        let mut buf = [0; 2_000];
        let mut out = Encoder::new(&mut buf, message).unwrap();
        for number in 0..records {
            let record = MembershipRecord {
                member: sender(number),
                health: Health::Alive,
                accusers: Accusers::NONE,
            };
            assert!(out.push(&record, 2_000));
        }
        let len = out.finish();
        let mut sealed = Vec::new();
        wire::seal_into(None, &buf[..len], &mut sealed);
        sealed
    }

    fn sender(number: usize) -> MemberRecord<'static> {
        MemberRecord {
            id: id_of(number),
            incarnation: Incarnation::ZERO,
            address: Some([10, 0, 0, 1].into()),
            swim_port: 1,
            gossip_port: 1,
            persistent: false,
            departed: false,
            probe_ping: false,
            features: 0,
            name: "",
        }
    }

    #[test]
    fn a_datagram_must_be_within_its_budget() {
        let ping = Message::Ping {
            from: sender(0),
            forward_to: None,
            probe: 1,
            digest: 0,
        };
        let ack = |table| Message::Ack {
            from: sender(0),
            forward_to: None,
            probe: 0,
            table,
            rumors: 0,
            reconcile: &[],
        };
        let wrong =
            |message: &Message<'_>, records| datagram(&self::message(message, records), &[]);
        assert_eq!(wrong(&ping, 4), None);
        assert!(wrong(&ping, 10).is_some(), "an ordinary one");
        assert!(wrong(&ack(false), 10).is_some(), "an ordinary one");
        assert_eq!(wrong(&ack(true), 10), None);
        assert!(wrong(&ack(true), 20).is_some(), "too large for anything");
        assert!(datagram(&[0xff; 600], &[]).is_some(), "unreadable");
        let key = RingKey::new("ring", "20260101000000", [1; 32]).unwrap();
        assert!(
            datagram(&self::message(&ack(true), 10), &[key]).is_some(),
            "not sealed"
        );
    }
}
