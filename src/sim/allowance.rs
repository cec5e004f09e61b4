//! How many messages the protocol allows a member, given what came to it.

use crate::config::Timing;
use crate::gossip::tellings;
use crate::limits::{LEAVE_FANOUT, MAX_CORRECTED, MAX_CROWD_PUSHES, MAX_LAST_WORDS};
use crate::node::Node;
use crate::stats::{MessageKind, Stats};
use crate::time::Time;

/// A member is told the table once in so many periods (PROTOCOL.md §2).
const TABLE_AGAIN: u64 = 8;

/// Records that a part of a table holds at least: they have up to 110 bytes each.
const RECORDS: usize = 4;

/// Rumors that an Ack can ask for: 8 bytes each.
const WANTS: u64 = 97;

/// Pushes to one peer in a period that are neither heat nor asked for.
const OWED: usize = 64;

/// What a member sent, period by period, beside what it may.
#[derive(Default)]
pub(super) struct Allowance {
    /// When the present period began, and what had been counted by then.
    began: Time,
    before: Stats,
    /// Rumors that were hot then.
    hot: usize,
    /// The most members that it knew.
    members: usize,
    /// Parts of tables that it told of late: as many as each member may be told leak away in [`TABLE_AGAIN`] periods.
    tables: u64,
}

impl Allowance {
    /// From now on.
    pub fn since(now: Time) -> Self {
        Allowance {
            began: now,
            ..Allowance::default()
        }
    }

    /// A period may be over: whether more was sent in it than may be.
    pub fn period(&mut self, now: Time, node: &Node, timing: &Timing) -> Option<String> {
        if now.since(self.began) < timing.period {
            return None;
        }
        let periods = now.since(self.began).as_secs_f64() / timing.period.as_secs_f64();
        let most = self.most(timing, periods.ceil() as u64, node);
        let found = self.exceeded(&most, node.stats());
        self.began = now;
        self.before = node.stats().clone();
        self.hot = node.hot_rumors();
        found
    }

    /// What is allowed in so many periods.
    fn most(&mut self, timing: &Timing, periods: u64, node: &Node) -> Most {
        self.members = self.members.max(node.member_count());
        let now = node.stats();
        let received = |kind| now.received(kind) - self.before.received(kind);
        let pings = received(MessageKind::Ping);
        let acks = received(MessageKind::Ack) + received(MessageKind::ForwardedAck);
        let records = now.records_received - self.before.records_received;
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
        let leave = 2 * LEAVE_FANOUT as u64;
        // Sixteen parts of a comparison for each Ack that says something of rumors.
        let talks = 16 * (acks + rounds);
        let table = self.members * (self.members.div_ceil(RECORDS) + 1);
        Most {
            datagrams: [
                (
                    MessageKind::Ping,
                    // Whoever pings may be asked to prove its address, and so may who was told of.
                    own + pushed + 2 * pings + received(MessageKind::PingReq) + records + acks,
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
            ],
            acks: pings
                + MAX_CORRECTED as u64 * rounds
                + received(MessageKind::ProbePing)
                + received(MessageKind::PingReq)
                + pushed
                + leave
                + talks,
            tables: table as u64,
            leak: (table as u64 * periods).div_ceil(TABLE_AGAIN),
            rumors: self.rumors(timing, rounds, acks, node),
        }
    }

    /// Pushes of rumors: each that was hot until it is cold, those that were asked for, and what peers get that cannot ask.
    fn rumors(&self, timing: &Timing, rounds: u64, acks: u64, node: &Node) -> u64 {
        let adopted = node.stats().rumors_adopted - self.before.rumors_adopted;
        let heat = usize::from(tellings(timing.gossip_factor, self.members)) + timing.gossip_fanout;
        let hot = (self.hot as u64 + adopted) * heat as u64;
        let owed = OWED.min(self.members + node.rumor_count()) * self.members;
        hot + acks * WANTS + owed as u64 * rounds
    }

    fn exceeded(&mut self, most: &Most, now: &Stats) -> Option<String> {
        let before = &self.before;
        let sent = |kind| now.sent(kind) - before.sent(kind);
        for (kind, most) in most.datagrams {
            if kind != MessageKind::Ack && sent(kind) > most {
                return Some(too_many(&format!("{kind:?}"), sent(kind), most));
            }
        }
        // What is no other Ack is a part of a table.
        let parts = sent(MessageKind::Ack).saturating_sub(most.acks);
        self.tables = (self.tables + parts).saturating_sub(most.leak);
        if self.tables > most.tables {
            return Some(too_many("parts of tables", self.tables, most.tables));
        }
        let pushes = |stats: &Stats| stats.rumors_sent + stats.rumors_not_taken;
        let pushed = pushes(now) - pushes(before);
        (pushed > most.rumors).then(|| too_many("rumors", pushed, most.rumors))
    }
}

fn too_many(what: &str, sent: u64, most: u64) -> String {
    format!("{sent} of {what} in a period, at most {most}")
}

/// What a member may send in some periods.
struct Most {
    datagrams: [(MessageKind, u64); 4],
    /// Those that are no parts of tables.
    acks: u64,
    /// Parts of tables: of late, and how many of those are forgiven by now.
    tables: u64,
    leak: u64,
    rumors: u64,
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::sim::{Sim, SimConfig};

    /// A ring of three.
    fn ring() -> Sim {
        let mut sim = Sim::new(SimConfig::new(1));
        sim.start_settled(3);
        sim
    }

    #[test]
    fn a_slow_process_is_held_to_its_messages_too() {
        let mut sim = ring();
        sim.slow_down(0, Duration::from_millis(1));
        sim.run_for(Duration::from_secs(3));
        assert!(sim.hosts[0].watch.allowance.began > Time::ZERO);
    }

    /// What a member of three may send in a period in which nothing came.
    fn most() -> Most {
        let sim = ring();
        let mut allowance = Allowance {
            before: sim.node(0).stats().clone(),
            ..Allowance::default()
        };
        allowance.most(&Timing::lan(), 1, sim.node(0))
    }

    fn sent(kind: MessageKind, count: u64) -> Stats {
        let mut stats = Stats::default();
        (0..count).for_each(|_| stats.count_sent(kind, 100));
        stats
    }

    #[test]
    fn messages_of_no_kind_may_be_more_than_allowed() {
        let most = most();
        for (kind, allowed) in most.datagrams {
            let mut allowance = Allowance::default();
            assert_eq!(allowance.exceeded(&most, &sent(kind, allowed)), None);
            let found = allowance.exceeded(&most, &sent(kind, allowed + 1));
            assert!(found.is_some(), "{kind:?}");
            allowance.before = sent(kind, 1);
            assert_eq!(allowance.exceeded(&most, &sent(kind, allowed + 1)), None);
        }
        // Who was asked nothing has nothing to say, but its own pushes and comparisons.
        assert!(most.acks < 400, "{}", most.acks);
    }

    #[test]
    fn tables_are_told_to_each_once_in_eight_periods() {
        let most = most();
        // Three members are told in two parts each.
        assert_eq!((most.tables, most.leak), (6, 1));
        let mut allowance = Allowance::default();
        let mut told = |parts| {
            let acks = sent(MessageKind::Ack, most.acks + parts);
            allowance.exceeded(&most, &acks).is_some()
        };
        assert!(!told(7));
        assert!(told(2));
        assert!((0..6).all(|_| !told(0)));
        assert!(!told(6));
        assert!(told(2));
    }

    #[test]
    fn rumors_may_be_no_more_than_heat_and_questions_allow() {
        let most = most();
        for (extra, wrong) in [(0, false), (1, true)] {
            let mut stats = Stats::default();
            (stats.rumors_sent, stats.rumors_not_taken) = (most.rumors - 1, 1 + extra);
            let found = Allowance::default().exceeded(&most, &stats);
            assert_eq!(found.is_some(), wrong);
        }
        assert!(most.rumors < 100, "{}", most.rumors);
    }
}
