//! Rumors that were forgotten, as there were too many, or as their time was over: they are not taken again from those who have
//! not forgotten them yet.

use std::collections::{BTreeSet, VecDeque};

/// Hashes of what was forgotten.
pub(super) struct Tombstones {
    most: usize,
    /// The oldest first.
    order: VecDeque<u64>,
    hashes: BTreeSet<u64>,
}

impl Tombstones {
    /// As many hashes are remembered.
    pub fn new(most: usize) -> Self {
        Tombstones {
            most,
            order: VecDeque::new(),
            hashes: BTreeSet::new(),
        }
    }

    /// A rumor with this content is not taken again.
    pub fn bury(&mut self, hash: u64) {
        if self.hashes.insert(hash) {
            self.order.push_back(hash);
        }
        if self.order.len() > self.most
            && let Some(oldest) = self.order.pop_front()
        {
            self.hashes.remove(&oldest);
        }
    }

    /// Whether a rumor with this content was forgotten, and is not to be taken again.
    pub fn is_buried(&self, hash: u64) -> bool {
        !self.hashes.is_empty() && self.hashes.contains(&hash)
    }

    pub fn len(&self) -> usize {
        self.order.len()
    }
}
