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
/// each and is never taken for another; the keys depend on seeds that nobody else knows. None may be one of the hasher's
/// fixed ones: with those, everybody can write what multiplies all before it with 0.
pub(crate) struct Known {
    seeds: Seeds,
    places: HashTable<Place>,
}

/// What the keys depend on.
struct Seeds {
    start: u64,
    /// What is multiplied with.
    factors: SharedSeed,
}

impl Seeds {
    fn key(&self, kind: RumorKind, payload: &[u8]) -> u64 {
        let mut hasher = FoldHasher::with_seed(self.start, &self.factors);
        hasher.write_u8(kind as u8);
        hasher.write(payload);
        hasher.finish()
    }

    fn key_of(&self, entry: &Entry) -> u64 {
        self.key(entry.id.kind, entry.payload())
    }
}

impl Known {
    pub fn new(seed: u64) -> Self {
        Known {
            seeds: Seeds {
                start: seed,
                factors: SharedSeed::from_u64(seed),
            },
            places: HashTable::new(),
        }
    }

    /// Where the rumor of this kind and payload is held.
    pub fn find(&self, entries: &Slab<Entry>, kind: RumorKind, payload: &[u8]) -> Option<Place> {
        let says = |place: &Place| {
            let entry = entries.get(*place as usize);
            entry.is_some_and(|entry| entry.id.kind == kind && entry.payload() == payload)
        };
        let key = self.seeds.key(kind, payload);
        self.places.find(key, says).copied()
    }

    /// The rumor in this place can be found from now on.
    pub fn insert(&mut self, entries: &Slab<Entry>, place: Place) {
        let Some(entry) = entries.get(place as usize) else {
            return;
        };
        let seeds = &self.seeds;
        let key_of = |entry: &Entry| seeds.key_of(entry);
        let rehash = |place: &Place| entries.get(*place as usize).map_or(0, key_of);
        self.places.insert_unique(key_of(entry), place, rehash);
    }

    /// What this entry says is not held in this place any more.
    pub fn remove(&mut self, entry: &Entry, place: Place) {
        let key = self.seeds.key_of(entry);
        if let Ok(found) = self.places.find_entry(key, |at| *at == place) {
            found.remove();
        }
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.places.len()
    }
}
