//! What a member knows, as it is kept on disk and taken up again (PROTOCOL.md §4).

use crate::disk::{DataDir, DiskError, Section, Snapshot};
use crate::error::Reject;
use crate::node::Node;
use crate::rumor::RumorKind;

impl DataDir {
    /// Gives a node that starts what was kept.
    pub(super) fn restore(&self, node: &mut Node) -> Result<(), DiskError> {
        // First, as those that are forgotten are not to be taken up again.
        let mut left_out = LeftOut::default();
        for rumor in self.load_own_rumors()? {
            left_out.count(node.restore_rumor(&rumor));
        }
        left_out.say();
        if let Some(snapshot) = self.load_snapshot()? {
            restore(node, &snapshot);
        }
        Ok(())
    }

    /// Has all that a node knows stored.
    pub(super) fn store_state(&mut self, node: &Node) {
        self.store_snapshot(of(node));
        let rumors = node.encoded_rumors();
        let own = rumors.filter(|(kind, _)| section_of(*kind).is_none());
        self.store_own_rumors(&own.map(|(_, rumor)| rumor).collect::<Vec<_>>());
    }
}

/// Where in a snapshot rumors of this kind are; it has no place for those of our own.
fn section_of(kind: RumorKind) -> Option<Section> {
    Some(match kind {
        RumorKind::Service => Section::Service,
        RumorKind::ServiceConfig => Section::ServiceConfig,
        RumorKind::ServiceFile => Section::ServiceFile,
        RumorKind::Election => Section::Election,
        RumorKind::ElectionUpdate => Section::ElectionUpdate,
        RumorKind::Departure => Section::Departure,
        RumorKind::Tags | RumorKind::Forgotten | RumorKind::UserEvent => return None,
    })
}

/// All that a node knows, as it is kept.
fn of(node: &Node) -> Snapshot {
    let mut snapshot = Snapshot::new();
    for membership in node.memberships() {
        snapshot.push(Section::Member, membership);
    }
    for (kind, rumor) in node.encoded_rumors() {
        if let Some(section) = section_of(kind) {
            snapshot.push(section, rumor);
        }
    }
    snapshot.stamp();
    snapshot
}

/// Gives a node that starts what was kept; what is not taken is left out, and said once, by reason.
fn restore(node: &mut Node, snapshot: &Snapshot) {
    let mut left_out = LeftOut::default();
    for section in Section::ALL {
        for message in snapshot.messages(section) {
            left_out.count(match section {
                Section::Member => node.restore_member(message),
                _ => node.restore_rumor(message),
            });
        }
    }
    left_out.say();
}

/// Entries that a node does not take, by reason.
#[derive(Default)]
struct LeftOut {
    unreadable: usize,
    beyond: usize,
    full: usize,
}

impl LeftOut {
    fn count(&mut self, restored: Result<(), Reject>) {
        match restored {
            Ok(()) => {}
            Err(Reject::BadVersion | Reject::BadIncarnation) => self.beyond += 1,
            Err(Reject::StoreFull | Reject::TableFull) => self.full += 1,
            Err(_) => self.unreadable += 1,
        }
    }

    fn say(&self) {
        for (entries, why) in [
            (self.unreadable, "do not read"),
            (
                self.beyond,
                "have a version, term or incarnation beyond what members take",
            ),
            (
                self.full,
                "do not fit, as the store is full (--store-limit)",
            ),
        ] {
            if entries > 0 {
                log::warn!("{entries} entries of the snapshot {why}, and are left out");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    /// Without gossip nothing is taken, and nothing said.
    #[cfg(feature = "gossip")]
    #[test]
    fn what_is_not_taken_is_counted_and_said_by_reason() {
        use super::*;
        use crate::config::NodeConfig;
        use crate::member::{Incarnation, MemberId};
        use crate::net::logged;
        use crate::rumor::{Rumor, ServiceConfig};
        use crate::time::Time;
        use crate::wire::encode_rumor;

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
