//! What a member knows, kept on disk and taken up again (PROTOCOL.md §4), off the packet path.

use std::time::{Duration, Instant};

use super::Butterfly;
use crate::disk::{DiskError, Section, Snapshot};
use crate::error::Reject;
use crate::limits::SNAPSHOT_INTERVAL;
use crate::node::Node;
use crate::rumor::RumorKind;

/// When the next snapshot is due, and what the last one held.
#[derive(Default)]
pub(super) struct Schedule {
    due: Option<Instant>,
    /// How many changes there had been at the last one.
    changes: u64,
}

impl Schedule {
    pub fn deadline(&self) -> Option<Instant> {
        self.due
    }
}

fn section_of(kind: RumorKind) -> Section {
    match kind {
        RumorKind::Service => Section::Service,
        RumorKind::ServiceConfig => Section::ServiceConfig,
        RumorKind::ServiceFile => Section::ServiceFile,
        RumorKind::Election => Section::Election,
        RumorKind::ElectionUpdate => Section::ElectionUpdate,
        RumorKind::Departure => Section::Departure,
    }
}

/// All that a node knows, as it is kept.
fn of(node: &Node) -> Snapshot {
    let mut snapshot = Snapshot::new();
    for membership in node.memberships() {
        snapshot.push(Section::Member, membership);
    }
    for (kind, rumor) in node.encoded_rumors() {
        snapshot.push(section_of(kind), rumor);
    }
    snapshot.stamp();
    snapshot
}

/// Gives a node that starts what was kept; what is not taken is left out, and said once, by reason.
pub(super) fn restore(node: &mut Node, snapshot: &Snapshot) {
    let (mut unreadable, mut beyond, mut full) = (0, 0, 0);
    for section in Section::ALL {
        for message in snapshot.messages(section) {
            let restored = match section {
                Section::Member => node.restore_member(message),
                _ => node.restore_rumor(message),
            };
            match restored {
                Ok(()) => {}
                Err(Reject::BadVersion | Reject::BadIncarnation) => beyond += 1,
                Err(Reject::StoreFull | Reject::TableFull) => full += 1,
                Err(_) => unreadable += 1,
            }
        }
    }
    for (entries, why) in [
        (unreadable, "do not read"),
        (
            beyond,
            "have a version, term or incarnation beyond what members take",
        ),
        (full, "do not fit, as the store is full (--store-limit)"),
    ] {
        if entries > 0 {
            log::warn!("{entries} entries of the snapshot {why}, and are left out");
        }
    }
}

fn changes(node: &Node) -> u64 {
    node.stats().rumors_adopted + node.stats().records_adopted
}

/// Ending.
impl Butterfly {
    /// Says what was still to be told, and gives the disk what is to be stored last. It waits for nothing: the descriptor
    /// becomes readable, and [`stored`](Butterfly::stored) says so, once the disk has it. What comes later is not stored.
    pub fn finish(&mut self) {
        if self.finished {
            return;
        }
        self.node.hurry_rumors(self.clock());
        self.push_rumors(Instant::now());
        self.store_mark();
        self.store_snapshot_now();
        self.write_traces();
        (self.finished, self.mark) = (true, None);
        if let Some(data_dir) = &self.data_dir {
            data_dir.end();
        }
    }

    /// After [`finish`](Butterfly::finish): whether the data directory has what this member knew last; `None`: it is still
    /// being written, though the caller waited for as long as that. Without a data directory there is nothing to wait for.
    pub fn stored(&self, patience: Duration) -> Option<Result<(), DiskError>> {
        match &self.data_dir {
            Some(data_dir) => data_dir.outcome(patience),
            None => Some(Ok(())),
        }
    }

    /// What the disk has not taken yet is given up, so that dropping this waits for nothing.
    pub fn abandon_disk(&mut self) {
        if let Some(data_dir) = &mut self.data_dir {
            data_dir.abandon();
        }
    }
}

impl Butterfly {
    /// Has a snapshot stored if one is due; it becomes due a while after something changed.
    pub(super) fn store_snapshot(&mut self) {
        if self.finished || self.data_dir.is_none() || changes(&self.node) == self.snapshots.changes
        {
            return;
        }
        let now = Instant::now();
        match self.snapshots.due {
            None => self.snapshots.due = Some(now + SNAPSHOT_INTERVAL),
            Some(due) if due <= now => self.store_snapshot_now(),
            Some(_) => {}
        }
    }

    /// Has a snapshot stored, if anything changed since the last.
    pub(super) fn store_snapshot_now(&mut self) {
        let changes = changes(&self.node);
        self.snapshots.due = None;
        if let Some(data_dir) = &mut self.data_dir
            && changes != self.snapshots.changes
        {
            self.snapshots.changes = changes;
            data_dir.store_snapshot(of(&self.node));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::NodeConfig;
    use crate::member::{Incarnation, MemberId};
    use crate::net::logged;
    use crate::rumor::{Rumor, ServiceConfig};
    use crate::time::Time;
    use crate::wire::encode_rumor;

    #[test]
    fn what_is_not_taken_is_counted_and_said_by_reason() {
        let config = |incarnation, bytes| {
            let rumor = Rumor::ServiceConfig(ServiceConfig {
                group: "redis.default".parse().unwrap(),
                incarnation,
                encrypted: false,
                config: vec![b'a'; bytes],
            });
            encode_rumor(&rumor, "nobody").bytes
        };
        let mut snapshot = Snapshot::new();
        for message in [
            config(1, 1),
            config(1 << 62, 1),
            config(2, 5_000),
            vec![0xff; 9],
        ] {
            snapshot.push(Section::ServiceConfig, message);
        }
        let mut small = NodeConfig::new(MemberId::from_bytes([1; 16]), 1, [0; 32]);
        small.gossip_port = 1;
        small.store_limit = 2_000;
        assert_eq!(small.incarnation, Incarnation::ZERO);
        let mut node = Node::new(small, Time::ZERO);
        let lines = logged::by(|| restore(&mut node, &snapshot));
        let said = |why: &str| format!("WARN 1 entries of the snapshot {why}, and are left out");
        assert_eq!(lines[0], said("do not read"));
        assert_eq!(
            lines[1..],
            [
                "WARN 1 entries of the snapshot have a version, term or incarnation beyond what members take, and are left out",
                "WARN 1 entries of the snapshot do not fit, as the store is full (--store-limit), and are left out",
            ]
        );
    }
}
