//! How large everything in here is, and what stands for its state.

use std::hash::{Hash, Hasher};

use super::Swim;
use crate::limits::{
    MAX_BLOCKED, MAX_CORRECTED, MAX_EXILED, MAX_MEMBERS, MAX_QUEUED_DATAGRAMS, MAX_SEEDS,
    MAX_TRANSFERS, MAX_VERDICTS,
};
use crate::stats::Gauge;

impl Swim {
    /// Everything that grows, with its cap.
    pub fn sizes(&self) -> [Gauge; 13] {
        [
            Gauge::new("members", self.table.len(), MAX_MEMBERS),
            Gauge::new("ipv6_addresses", self.table.ipv6_addresses(), MAX_MEMBERS),
            Gauge::new("news", self.news.len(), MAX_MEMBERS),
            Gauge::new("suspicions", self.suspicions.len(), MAX_MEMBERS),
            Gauge::new("graves", self.graves.len(), MAX_MEMBERS),
            Gauge::new("verdicts", self.verdicts.len(), MAX_VERDICTS),
            Gauge::new("seeds", self.seeds.len(), MAX_SEEDS),
            Gauge::new("transfers", self.transfers.len(), MAX_TRANSFERS),
            Gauge::new("told_tables", self.told.len(), MAX_TRANSFERS),
            Gauge::new("corrected", self.corrected.len(), MAX_CORRECTED),
            Gauge::new("queued_datagrams", self.outbox.len(), MAX_QUEUED_DATAGRAMS),
            Gauge::new("blocked", self.blocked.len(), MAX_BLOCKED),
            Gauge::new("exiled", self.exiled.len(), MAX_EXILED),
        ]
    }

    /// What decides what it will do; of some collections their size stands for them. What limits who is answered
    /// (`meter`) is left out, as it counts the rejected, too.
    pub fn hash_state(&self, hasher: &mut impl Hasher) {
        for (key, row) in self.table.iter() {
            (key, row.id, row.incarnation, row.health).hash(hasher);
            (self.table.ip_of(row), row.swim_port, row.gossip_port).hash(hasher);
            (row.flags, row.rtt, self.table.name_of(row)).hash(hasher);
            self.accusers(row).hash(hasher);
            self.news.tellings_of(row.news).hash(hasher);
        }
        for size in self.sizes() {
            size.now.hash(hasher);
        }
        (
            self.local_health.score(),
            self.pushing,
            self.somebody_left,
            self.rumors,
        )
            .hash(hasher);
        (self.witness.in_a_row(), self.witness.suspects()).hash(hasher);
        (&self.probe, &self.sync, self.leave, self.last_words).hash(hasher);
        (&self.verdicts, &self.transfers, &self.told, &self.corrected).hash(hasher);
        (&self.blocked, &self.exiled).hash(hasher);
        (self.addressed, self.next_probe_ping, self.filler).hash(hasher);
        self.echoes.hash_state(hasher);
    }
}
