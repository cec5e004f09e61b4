//! Recognizes payloads that are held, without their content hash: most of what is heard is known, and hashing it
//! would take longest.

use std::hash::Hasher;

use foldhash::SharedSeed;
use foldhash::quality::FoldHasher;
use hashbrown::HashTable;
use slab::Slab;

use super::store::{Entry, Place};
use crate::rumor::RumorKind;

/// The places of rumors by what they say. It compares bytes, so who finds payloads of equal keys costs us a comparison
/// each and is never taken for another; the keys depend on a seed that nobody else knows.
pub(crate) struct Known {
    seed: u64,
    places: HashTable<Place>,
}

impl Known {
    pub fn new(seed: u64) -> Self {
        Known {
            seed,
            places: HashTable::new(),
        }
    }

    fn key(seed: u64, kind: RumorKind, payload: &[u8]) -> u64 {
        let mut hasher = FoldHasher::with_seed(seed, SharedSeed::global_fixed());
        hasher.write_u8(kind as u8);
        hasher.write(payload);
        hasher.finish()
    }

    /// Where the rumor of this kind and payload is held.
    pub fn find(&self, entries: &Slab<Entry>, kind: RumorKind, payload: &[u8]) -> Option<Place> {
        let says = |place: &Place| {
            let entry = entries.get(*place as usize);
            entry.is_some_and(|entry| entry.id.kind == kind && entry.payload() == payload)
        };
        let key = Known::key(self.seed, kind, payload);
        self.places.find(key, says).copied()
    }

    /// The rumor in this place can be found from now on.
    pub fn insert(&mut self, entries: &Slab<Entry>, place: Place) {
        let Some(entry) = entries.get(place as usize) else {
            return;
        };
        let seed = self.seed;
        let key = |entry: &Entry| Known::key(seed, entry.id.kind, entry.payload());
        let rehash = |place: &Place| entries.get(*place as usize).map_or(0, key);
        self.places.insert_unique(key(entry), place, rehash);
    }

    /// What this entry says is not held in this place any more.
    pub fn remove(&mut self, entry: &Entry, place: Place) {
        let key = Known::key(self.seed, entry.id.kind, entry.payload());
        if let Ok(found) = self.places.find_entry(key, |at| *at == place) {
            found.remove();
        }
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.places.len()
    }
}
