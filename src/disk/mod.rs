//! What a member keeps on disk (PROTOCOL.md §4): its id, its incarnation, its epoch, and a snapshot of all rumors.
//!
//! [`Butterfly`](crate::Butterfly) keeps a [`DataDir`] by itself; who drives a [`Node`](crate::Node) with a
//! loop of their own may use one too. A [`Snapshot`] alone is bytes ⇄ messages, and knows no directory.

mod checksum;
mod epoch;
mod id_file;
mod identity;
mod own_rumors;
mod regular;
mod replace;
mod snapshot;
mod snapshot_file;
mod writer;

pub(crate) use epoch::by_the_clock;
pub use identity::{DataDir, DiskError, StoredIdentity};
pub use snapshot::{Section, Snapshot, SnapshotError};
pub use snapshot_file::SnapshotFileError;
