//! What a member keeps on disk (PROTOCOL.md §4): its id and its incarnation.

mod identity;
mod writer;

pub use identity::{DataDir, DiskError, StoredIdentity};
