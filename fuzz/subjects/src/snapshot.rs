//! Snapshots of a member's rumors, and what a member makes of them.

use std::time::Duration;

use butterfly::disk::{Section, Snapshot};
use butterfly::node::NodeConfig;
use butterfly::{MemberId, Node, Time};

use crate::node::check_sizes;

/// A snapshot that is read is written and read again as the same; a member takes it up, whatever its messages say.
pub fn snapshot(data: &[u8]) {
    let Ok(snapshot) = Snapshot::read(data) else {
        return;
    };
    let mut written = Vec::new();
    assert!(snapshot.write_to(&mut written).is_ok());
    assert_eq!(written.len() as u64, snapshot.file_bytes());
    assert_eq!(
        Snapshot::read(&written).as_ref().map(Snapshot::len),
        Ok(snapshot.len())
    );

    let config = NodeConfig::new(MemberId::from_bytes([1; 16]), 1, [7; 32]);
    let mut node = Node::new(config, Time::ZERO);
    for section in Section::ALL {
        for message in snapshot.messages(section) {
            // Whatever is wrong with one, the next is tried.
            let _ = match section {
                Section::Member => node.restore_member(message),
                _ => node.restore_rumor(message),
            };
        }
    }
    node.handle_timeout(Time::ZERO + Duration::from_secs(10));
    check_sizes(&node);
}
