//! When what a member knows is kept on disk (PROTOCOL.md §4), off the packet path.

use std::time::{Duration, Instant};

use super::Butterfly;
use crate::disk::{DataDir, DiskError};
use crate::limits::SNAPSHOT_INTERVAL;
use crate::node::Node;
use crate::stats::DiskWrites;

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
        self.end_recording();
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

    /// What became of what the data directory was given; `None`: there is no data directory.
    pub fn disk_writes(&self) -> Option<DiskWrites> {
        self.data_dir.as_ref().map(DataDir::writes)
    }

    /// What the data directory keeps of an earlier run's history, as [`store_history`](Butterfly::store_history) was given
    /// it; empty, if it keeps none, or there is no data directory.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn stored_history(&self) -> Result<Vec<u8>, DiskError> {
        let load = |data_dir: &DataDir| data_dir.load_history();
        self.data_dir.as_ref().map_or(Ok(Vec::new()), load)
    }

    /// Has the data directory, if there is one, keep this until the next run: what is known of the past, at most
    /// [`MAX_HISTORY_FILE`](crate::limits::MAX_HISTORY_FILE) bytes in any format. The disk's thread writes it.
    pub fn store_history(&mut self, lines: Vec<u8>) {
        if let Some(data_dir) = &self.data_dir
            && !self.finished
        {
            data_dir.store_history(lines);
        }
    }

    /// What the data directory keeps of what an earlier run said of this member's tags, as
    /// [`store_tags`](Butterfly::store_tags) was given it; empty, if it keeps none, or there is no data directory.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn stored_tags(&self) -> Result<Vec<u8>, DiskError> {
        let load = |data_dir: &DataDir| data_dir.load_tags();
        self.data_dir.as_ref().map_or(Ok(Vec::new()), load)
    }

    /// Has the data directory, if there is one, keep this until the next run: what was said of this member's tags, at most
    /// [`MAX_TAGS_FILE`](crate::limits::MAX_TAGS_FILE) bytes in any format. The disk's thread writes it.
    pub fn store_tags(&mut self, lines: Vec<u8>) {
        if let Some(data_dir) = &self.data_dir
            && !self.finished
        {
            data_dir.store_tags(lines);
        }
    }

    /// The ring keys that the data directory keeps, as [`store_ring_keys`](Butterfly::store_ring_keys) was given them; empty,
    /// if it keeps none, or there is no data directory.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn stored_ring_keys(&self) -> Result<Vec<u8>, DiskError> {
        let load = |data_dir: &DataDir| data_dir.load_keys();
        self.data_dir.as_ref().map_or(Ok(Vec::new()), load)
    }

    /// Has the data directory, if there is one, keep this until the next run, for its owner alone to read: ring keys, at most
    /// [`MAX_KEYS_FILE`](crate::limits::MAX_KEYS_FILE) bytes in any format. The disk's thread writes it.
    pub fn store_ring_keys(&mut self, lines: Vec<u8>) {
        if let Some(data_dir) = &self.data_dir
            && !self.finished
        {
            data_dir.store_keys(lines);
        }
    }

    /// What became of the ring keys that [`store_ring_keys`](Butterfly::store_ring_keys) was given last, with the reason if they
    /// are not on disk; `None`: they are being written, and the descriptor is readable once they are. Without a data directory
    /// they are never stored.
    pub fn ring_keys_stored(&self) -> Option<Result<(), String>> {
        match &self.data_dir {
            Some(data_dir) => data_dir.keys_outcome(),
            None => Some(Err("there is no data directory".to_owned())),
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
            data_dir.store_state(&self.node);
        }
    }
}
