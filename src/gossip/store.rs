//! All rumors that a member holds, of all kinds: found by what they are, and by what they say.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Bound, RangeInclusive};
use std::sync::Arc;

use dryoc::classic::crypto_generichash::crypto_generichash;
use slab::Slab;

use super::sums::{Node, Sums};
use crate::limits::{MAX_RUMOR_BYTES, MAX_RUMORS};
use crate::member::MemberId;
use crate::rumor::{Rumor, RumorId, RumorKind, ServiceGroup};
use crate::wire::{EncodedRumor, encode_rumor, read_rumor};

/// A rumor's place in the store; reused once the rumor is gone.
pub(crate) type Place = u32;

/// A rumor as it is held: in the bytes in which it is sent.
pub(crate) struct Entry {
    pub id: Arc<RumorId>,
    /// The whole `Rumor` message, canonical.
    pub bytes: Arc<[u8]>,
    payload: u32,
    /// The higher one wins.
    pub version: u64,
    /// Stands for the kind and the payload.
    pub hash: u64,
    /// Its node among the hot, if it is hot.
    pub hot: Option<u32>,
    /// It says that a service is run no more.
    pub withdrawn: bool,
    /// How often it was told since it is hot.
    pub told: u8,
    /// How often it was heard back since it is hot.
    pub heard: u8,
}

impl Entry {
    pub fn payload(&self) -> &[u8] {
        self.bytes.get(self.payload as usize..).unwrap_or_default()
    }

    /// The rumor; its bytes were written here, so they do read.
    pub fn rumor(&self) -> Option<Rumor> {
        read_rumor(&self.bytes).ok()?.rumor().ok()
    }
}

/// What became of a rumor that was put into the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Put {
    /// It is new, or takes the place of an older one.
    New(Place),
    /// It is held already.
    Same(Place),
    /// A newer one is held.
    Older(Place),
    /// There is no room.
    Full,
}

/// Stands for what a rumor says: equal for equal contents, and else different but for a chance of 2⁻⁶⁴.
pub(crate) fn content_hash(kind: RumorKind, payload: &[u8]) -> u64 {
    let mut hash = [0; 16];
    // Keyed by the kind, as both kinds of elections have the same payload. It only fails for sizes out of
    // range.
    let _ = crypto_generichash(&mut hash, payload, Some(&[kind as u8; 16]));
    let (half, _) = hash.split_at(8);
    u64::from_le_bytes(half.try_into().unwrap_or_default())
}

fn is_withdrawn(rumor: &Rumor) -> bool {
    matches!(rumor, Rumor::Service(service) if service.withdrawn)
}

pub(crate) struct Store {
    entries: Slab<Entry>,
    by_id: BTreeMap<Arc<RumorId>, Place>,
    by_hash: BTreeMap<u64, Place>,
    /// The services of each member.
    services: BTreeSet<(MemberId, Place)>,
    sums: Sums,
    bytes: usize,
}

impl Store {
    pub fn new() -> Self {
        Store {
            entries: Slab::new(),
            by_id: BTreeMap::new(),
            by_hash: BTreeMap::new(),
            services: BTreeSet::new(),
            sums: Sums::new(),
            bytes: 0,
        }
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Bytes of all rumors.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Equal at two members that hold the same, but for a chance of 2⁻³²; never 0.
    pub fn checksum(&self) -> u32 {
        let all = self.sums.all();
        ((all ^ all >> 32) as u32).max(1)
    }

    pub fn sums(&self) -> &Sums {
        &self.sums
    }

    pub fn get(&self, place: Place) -> Option<&Entry> {
        self.entries.get(place as usize)
    }

    pub fn get_mut(&mut self, place: Place) -> Option<&mut Entry> {
        self.entries.get_mut(place as usize)
    }

    pub fn find(&self, id: &RumorId) -> Option<Place> {
        self.by_id.get(id).copied()
    }

    pub fn find_hash(&self, hash: u64) -> Option<Place> {
        self.by_hash.get(&hash).copied()
    }

    /// All of them, by kind, key and id.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.by_id.values().filter_map(|place| self.get(*place))
    }

    /// Those that come after this id, which need not be held.
    pub fn after(&self, id: &RumorId) -> impl Iterator<Item = &Entry> {
        self.by_id
            .range::<RumorId, _>((Bound::Excluded(id), Bound::Unbounded))
            .filter_map(|(_, place)| self.get(*place))
    }

    /// Those of a kind and key, by id.
    pub fn of_key<'s>(
        &'s self,
        kind: RumorKind,
        key: &'s str,
    ) -> impl Iterator<Item = &'s Entry> + 's {
        let first = RumorId::new(kind, key, "");
        self.by_id
            .range(first..)
            .take_while(move |(id, _)| id.kind == kind && &*id.key == key)
            .filter_map(|(_, place)| self.get(*place))
    }

    /// Those of a kind, by key and id.
    pub fn of_kind(&self, kind: RumorKind) -> impl Iterator<Item = &Entry> {
        let first = RumorId::new(kind, "", "");
        self.by_id
            .range(first..)
            .take_while(move |(id, _)| id.kind == kind)
            .filter_map(|(_, place)| self.get(*place))
    }

    /// The members that run a service of the group, by id.
    pub fn members_of<'s>(
        &'s self,
        group: &'s ServiceGroup,
    ) -> impl Iterator<Item = MemberId> + 's {
        self.of_key(RumorKind::Service, group.as_str())
            .filter(|entry| !entry.withdrawn)
            .filter_map(|entry| entry.id.id.parse().ok())
    }

    /// The services that a member runs.
    pub fn services_of(&self, member: MemberId) -> impl Iterator<Item = Place> {
        self.services
            .range((member, 0)..=(member, Place::MAX))
            .map(|(_, place)| *place)
    }

    /// Hashes in this range, ascending, with their places.
    pub fn hashes(&self, range: RangeInclusive<u64>) -> impl Iterator<Item = (u64, Place)> {
        self.by_hash
            .range(range)
            .map(|(hash, place)| (*hash, *place))
    }

    /// How many hashes are below a node of the sums.
    pub fn count(&self, node: Node) -> usize {
        self.sums.count(node)
    }

    /// Puts in a rumor by the rule of versions: the higher one wins, and of equal ones the greater payload,
    /// bytewise, so that all members end with the same (PROTOCOL.md §3, "ours").
    pub fn merge(&mut self, rumor: &Rumor, from_id: &str) -> Put {
        let encoded = encode_rumor(rumor, from_id);
        let (id, version) = (rumor.id(), rumor.version());
        if let Some(place) = self.find(&id)
            && let Some(held) = self.get(place)
        {
            let payload = encoded.bytes.get(encoded.payload..).unwrap_or_default();
            match (version, payload).cmp(&(held.version, held.payload())) {
                std::cmp::Ordering::Less => return Put::Older(place),
                std::cmp::Ordering::Equal => return Put::Same(place),
                std::cmp::Ordering::Greater => {}
            }
        }
        self.put(id, version, encoded, is_withdrawn(rumor))
    }

    /// Puts in a rumor in the place of what is held, whatever that is.
    pub fn replace(&mut self, rumor: &Rumor, from_id: &str) -> Put {
        let encoded = encode_rumor(rumor, from_id);
        self.put(rumor.id(), rumor.version(), encoded, is_withdrawn(rumor))
    }

    fn put(&mut self, id: RumorId, version: u64, encoded: EncodedRumor, withdrawn: bool) -> Put {
        let payload = encoded.bytes.get(encoded.payload..).unwrap_or_default();
        let hash = content_hash(id.kind, payload);
        if let Some(place) = self.find_hash(hash) {
            return Put::Same(place);
        }
        let place = self.find(&id);
        let before = place.and_then(|place| self.get(place));
        let freed = before.map_or(0, |held| held.bytes.len());
        let bytes = self.bytes - freed + encoded.bytes.len();
        if bytes > MAX_RUMOR_BYTES || place.is_none() && self.len() >= MAX_RUMORS {
            return Put::Full;
        }
        self.bytes = bytes;
        let entry = Entry {
            id: Arc::new(id),
            payload: encoded.payload as u32,
            bytes: encoded.bytes.into(),
            version,
            hash,
            withdrawn,
            hot: None,
            told: 0,
            heard: 0,
        };
        let place = match place {
            Some(place) => self.renew(place, entry),
            None => self.insert(entry),
        };
        self.by_hash.insert(hash, place);
        self.sums.add(hash);
        Put::New(place)
    }

    /// The same rumor says something else; it stays as hot as it is.
    fn renew(&mut self, place: Place, entry: Entry) -> Place {
        if let Some(held) = self.entries.get_mut(place as usize) {
            let (id, hot, before) = (Arc::clone(&held.id), held.hot, held.hash);
            *held = Entry { id, hot, ..entry };
            self.by_hash.remove(&before);
            self.sums.remove(before);
        }
        place
    }

    fn insert(&mut self, entry: Entry) -> Place {
        let id = Arc::clone(&entry.id);
        let place = self.entries.insert(entry) as Place;
        if id.kind == RumorKind::Service
            && let Ok(member) = id.id.parse()
        {
            self.services.insert((member, place));
        }
        self.by_id.insert(id, place);
        place
    }

    /// Takes a rumor out.
    pub fn remove(&mut self, place: Place) -> Option<Entry> {
        let entry = self.entries.try_remove(place as usize)?;
        self.by_id.remove(&*entry.id);
        self.by_hash.remove(&entry.hash);
        self.sums.remove(entry.hash);
        self.bytes -= entry.bytes.len();
        if let Ok(member) = entry.id.id.parse() {
            self.services.remove(&(member, place));
        }
        Some(entry)
    }
}
