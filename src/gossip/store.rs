//! All rumors that a member holds, of all kinds: found by what they are, and by what they say.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Bound, RangeInclusive};
use std::sync::Arc;

use dryoc::classic::crypto_generichash::crypto_generichash;
use slab::Slab;

use super::known::Known;
use super::sums::{Node, Sums};
use crate::limits::{MAX_REMOVED, MAX_RUMOR, MAX_RUMORS};
use crate::member::MemberId;
use crate::rumor::{Audience, Rumor, RumorId, RumorKind, ServiceGroup};
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
    /// It says that a configuration or file was removed: the later, the higher. 0: it does not.
    removal: u64,
    /// Nothing of this id was held before it.
    pub is_new: bool,
    /// How often it was told since it is hot.
    pub told: u8,
    /// How often it was heard back since it is hot.
    pub heard: u8,
}

impl Entry {
    pub fn payload(&self) -> &[u8] {
        self.bytes.get(self.payload as usize..).unwrap_or_default()
    }

    /// Whether it says that a configuration or file was removed.
    pub fn is_removal(&self) -> bool {
        self.removal != 0
    }

    /// The member that it comes from, if it says so: a client's is none.
    pub fn said_by(&self) -> Option<MemberId> {
        read_rumor(&self.bytes).ok()?.from_id.parse().ok()
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
    /// It is what the disk held, which counts from now on.
    Confirmed(Place),
    /// It takes the place of what the disk held, which said something else in the same version.
    Corrected(Place),
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

/// A payload of a kind that is known from where it is used, with its hash, which takes longer than comparing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hashed<'a> {
    pub payload: &'a [u8],
    pub hash: u64,
}

fn is_withdrawn(rumor: &Rumor) -> bool {
    matches!(rumor, Rumor::Service(service) if service.is_withdrawn())
}

/// The kind's place among all.
fn nth(kind: RumorKind) -> usize {
    let mut all = RumorKind::ALL.iter();
    all.position(|of_all| *of_all == kind).unwrap_or(0)
}

/// Whether a rumor counts once it is held, or is only what the disk held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keep {
    Live,
    Provisional,
}

pub(crate) struct Store {
    entries: Slab<Entry>,
    by_id: BTreeMap<Arc<RumorId>, Place>,
    /// How many there are of each kind, in the order of [`RumorKind::ALL`].
    of_kinds: [usize; RumorKind::ALL.len()],
    by_hash: BTreeMap<u64, Place>,
    /// Those that count, by what they say.
    known: Known,
    /// Rumors from the disk that do not count yet, by hash: found by what they are only, they are neither told nor
    /// compared. Empty once this member has started.
    provisional: BTreeMap<u64, Place>,
    /// What each member says of itself: its services and its tags.
    owned: BTreeSet<(MemberId, Place)>,
    /// Configurations and files that were removed, the longest ago first.
    removals: BTreeSet<(u64, Place)>,
    /// The number of the next of them.
    next_removal: u64,
    /// Of the rumors for each audience alone.
    sums: [Sums; 2],
    bytes: usize,
    /// Rumors, and bytes of them, that fit.
    most: usize,
    most_bytes: usize,
}

impl Store {
    /// One that holds rumors of at most so many bytes; the seed is nobody else's.
    pub fn new(most_bytes: usize, seed: u64) -> Self {
        Store::bounded(MAX_RUMORS, most_bytes, seed)
    }

    /// One that holds at most so many rumors of at most so many bytes.
    fn bounded(most: usize, most_bytes: usize, seed: u64) -> Self {
        Store {
            entries: Slab::new(),
            by_id: BTreeMap::new(),
            of_kinds: [0; RumorKind::ALL.len()],
            by_hash: BTreeMap::new(),
            known: Known::new(seed),
            provisional: BTreeMap::new(),
            owned: BTreeSet::new(),
            removals: BTreeSet::new(),
            next_removal: 1,
            sums: [Sums::new(), Sums::new()],
            bytes: 0,
            most,
            most_bytes,
        }
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// How many there are of each kind.
    pub fn of_kinds(&self) -> impl Iterator<Item = (RumorKind, usize)> {
        RumorKind::ALL.into_iter().zip(self.of_kinds)
    }

    /// Bytes of all rumors.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Rumors, and bytes of them, that fit.
    pub fn room(&self) -> (usize, usize) {
        (self.most, self.most_bytes)
    }

    /// Configurations and files that are held as removed.
    pub fn removed(&self) -> usize {
        self.removals.len()
    }

    /// The removal that is to be forgotten, as there are too many.
    pub fn surplus_removal(&self) -> Option<Place> {
        let too_many = self.removals.len() > MAX_REMOVED;
        let (_, oldest) = self.removals.first().filter(|_| too_many)?;
        Some(*oldest)
    }

    /// Equal at two members that hold the same for this audience, what is provisional aside, but for a chance of 2⁻³²;
    /// never 0.
    pub fn checksum(&self, audience: Audience) -> u32 {
        fold(
            self.sums_for(audience)
                .map(Sums::all)
                .fold(0, u64::wrapping_add),
        )
        .max(1)
    }

    /// The same of all that lasts: user events come and go, and members drop them at different times.
    pub fn lasting_checksum(&self) -> u32 {
        let all = self.sums_for(Audience::Ours).map(Sums::all);
        let events = self.of_kind(RumorKind::UserEvent);
        let events = events.map(|entry| entry.hash.wrapping_neg());
        fold(all.chain(events).fold(0, u64::wrapping_add)).max(1)
    }

    /// What stands for the contents below a node, as far as this audience takes them.
    pub fn sum(&self, audience: Audience, node: Node) -> u32 {
        let sums = self.sums_for(audience).map(|sums| sums.sum(node));
        fold(sums.fold(0, u64::wrapping_add))
    }

    /// The sums of all that is for this audience or for a wider one.
    fn sums_for(&self, audience: Audience) -> impl Iterator<Item = &Sums> {
        self.sums.iter().take(audience as usize + 1)
    }

    pub fn get(&self, place: Place) -> Option<&Entry> {
        self.entries.get(place as usize)
    }

    /// The rumor in this place, if it still says what has this hash.
    pub fn get_if(&self, place: Place, hash: u64) -> Option<&Entry> {
        self.get(place).filter(|entry| entry.hash == hash)
    }

    pub fn get_mut(&mut self, place: Place) -> Option<&mut Entry> {
        self.entries.get_mut(place as usize)
    }

    pub fn find(&self, id: &RumorId) -> Option<Place> {
        self.by_id.get(id).copied()
    }

    /// Whether it came from the disk and does not count yet.
    pub fn is_provisional(&self, entry: &Entry) -> bool {
        !self.provisional.is_empty() && self.provisional.contains_key(&entry.hash)
    }

    /// Rumors from the disk that do not count yet.
    pub fn provisional(&self) -> usize {
        self.provisional.len()
    }

    /// What the disk held with this hash counts from now on; whether it held any.
    pub fn make_live(&mut self, hash: u64) -> bool {
        let Some(place) = self.provisional.remove(&hash) else {
            return false;
        };
        self.count_in(hash, place);
        true
    }

    /// All that the disk held counts from now on.
    pub fn make_all_live(&mut self) {
        while let Some((hash, place)) = self.provisional.pop_first() {
            self.count_in(hash, place);
        }
    }

    /// What is held in this place, with this hash, counts.
    fn count_in(&mut self, hash: u64, place: Place) {
        self.by_hash.insert(hash, place);
        self.known.insert(&self.entries, place);
        let audience = self.get(place).map(|entry| entry.id.kind.audience());
        if let Some(sums) = audience.and_then(|it| self.sums.get_mut(it as usize)) {
            sums.add(hash);
        }
    }

    /// Where a rumor of this kind and payload is held and counts.
    pub fn find_payload(&self, kind: RumorKind, payload: &[u8]) -> Option<Place> {
        self.known.find(&self.entries, kind, payload)
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

    /// The members that say something of themselves, each as often as it does.
    pub fn owners(&self) -> impl Iterator<Item = MemberId> {
        self.owned.iter().map(|(member, _)| *member)
    }

    /// What a member says of itself: its services and its tags.
    pub fn owned_by(&self, member: MemberId) -> impl Iterator<Item = (Place, &Entry)> {
        self.owned
            .range((member, 0)..=(member, Place::MAX))
            .filter_map(|(_, place)| Some((*place, self.get(*place)?)))
    }

    /// The services that a member runs.
    pub fn services_of(&self, member: MemberId) -> impl Iterator<Item = &Entry> {
        let owned = self.owned_by(member).map(|(_, entry)| entry);
        owned.filter(|entry| entry.id.kind == RumorKind::Service)
    }

    /// The tags of a member, found without an allocation.
    pub fn tags_of(&self, member: MemberId) -> Option<&Entry> {
        let mut owned = self.owned_by(member).map(|(_, entry)| entry);
        owned.find(|entry| entry.id.kind == RumorKind::Tags)
    }

    /// Hashes in this range of what this audience takes, ascending, with their places.
    pub fn hashes(
        &self,
        audience: Audience,
        range: RangeInclusive<u64>,
    ) -> impl Iterator<Item = (u64, Place)> {
        let is_for = move |place: Place| {
            audience == Audience::Ours
                || self
                    .get(place)
                    .is_some_and(|entry| entry.id.kind.audience() <= audience)
        };
        self.by_hash
            .range(range)
            .map(|(hash, place)| (*hash, *place))
            .filter(move |(_, place)| is_for(*place))
    }

    /// How many hashes are below a node of the sums, as far as this audience takes them.
    pub fn count(&self, audience: Audience, node: Node) -> usize {
        self.sums_for(audience).map(|sums| sums.count(node)).sum()
    }

    /// Puts in a rumor by the rule of versions: the higher one wins, and of equal ones the greater payload,
    /// bytewise, so that all members end with the same (PROTOCOL.md §3, "ours"). What is held provisionally loses to
    /// any other of its version; if it is newer than this one, it counts from now on. Of what was
    /// heard the hash is known: mostly it came as it is kept.
    pub fn merge_heard(&mut self, rumor: &Rumor, from_id: &str, heard: Option<Hashed<'_>>) -> Put {
        let encoded = encode_rumor(rumor, from_id);
        let (id, version) = (rumor.id(), rumor.version());
        let mut corrects = false;
        if let Some(place) = self.find(&id)
            && let Some(held) = self.get(place)
        {
            let payload = encoded.bytes.get(encoded.payload..).unwrap_or_default();
            let (hash, says) = (held.hash, payload.cmp(held.payload()));
            let order = version.cmp(&held.version);
            if self.is_provisional(held) {
                corrects = order == Ordering::Equal && says != Ordering::Equal;
                if order == Ordering::Less || order == Ordering::Equal && !corrects {
                    self.make_live(hash);
                    return match order {
                        Ordering::Equal => Put::Confirmed(place),
                        _ => Put::Older(place),
                    };
                }
            } else {
                match order.then(says) {
                    Ordering::Less => return Put::Older(place),
                    Ordering::Equal => return Put::Same(place),
                    Ordering::Greater => {}
                }
            }
        }
        match self.put(rumor, encoded, Keep::Live, heard) {
            Put::New(place) if corrects => Put::Corrected(place),
            put => put,
        }
    }

    /// Puts in a rumor from the disk, provisionally, unless what is held is as new.
    pub fn hold(&mut self, rumor: &Rumor, from_id: &str) -> Put {
        let encoded = encode_rumor(rumor, from_id);
        let (id, version) = (rumor.id(), rumor.version());
        if let Some(place) = self.find(&id)
            && let Some(held) = self.get(place)
            && held.version >= version
        {
            return Put::Older(place);
        }
        self.put(rumor, encoded, Keep::Provisional, None)
    }

    /// Puts in a rumor in the place of what is held, whatever that is.
    pub fn replace(&mut self, rumor: &Rumor, from_id: &str) -> Put {
        let encoded = encode_rumor(rumor, from_id);
        self.put(rumor, encoded, Keep::Live, None)
    }

    fn put(
        &mut self,
        rumor: &Rumor,
        encoded: EncodedRumor,
        keep: Keep,
        heard: Option<Hashed<'_>>,
    ) -> Put {
        let id = rumor.id();
        let payload = encoded.bytes.get(encoded.payload..).unwrap_or_default();
        let hash = heard
            .filter(|heard| heard.payload == payload)
            .map_or_else(|| content_hash(id.kind, payload), |heard| heard.hash);
        if let Some(place) = self.find_hash(hash) {
            return Put::Same(place);
        }
        let place = self.find(&id);
        let before = place.and_then(|place| self.get(place));
        let freed = before.map_or(0, |held| held.bytes.len());
        let bytes = self.bytes - freed + encoded.bytes.len();
        // Written canonically it may be larger than it came, and nobody takes what is too large.
        let too_large = encoded.bytes.len() > MAX_RUMOR || bytes > self.most_bytes;
        if too_large || place.is_none() && self.len() >= self.most {
            return Put::Full;
        }
        self.bytes = bytes;
        let removal = if rumor.is_removal() {
            self.next_removal += 1;
            self.next_removal - 1
        } else {
            0
        };
        let entry = Entry {
            id: Arc::new(id),
            payload: encoded.payload as u32,
            bytes: encoded.bytes.into(),
            version: rumor.version(),
            hash,
            withdrawn: is_withdrawn(rumor),
            removal,
            hot: None,
            is_new: place.is_none(),
            told: 0,
            heard: 0,
        };
        let place = match place {
            Some(place) => self.renew(place, entry),
            None => self.insert(entry),
        };
        if removal != 0 {
            self.removals.insert((removal, place));
        }
        if keep == Keep::Live {
            self.count_in(hash, place);
        } else {
            self.provisional.insert(hash, place);
        }
        Put::New(place)
    }

    /// The same rumor says something else; it stays as hot as it is.
    fn renew(&mut self, place: Place, entry: Entry) -> Place {
        if let Some(held) = self.entries.get_mut(place as usize) {
            let (id, hot) = (Arc::clone(&held.id), held.hot);
            let before = std::mem::replace(held, Entry { id, hot, ..entry });
            self.removals.remove(&(before.removal, place));
            self.forget(&before, place);
        }
        place
    }

    /// What this place held is found no more by what it says.
    fn forget(&mut self, entry: &Entry, place: Place) {
        if self.provisional.remove(&entry.hash).is_none() {
            self.by_hash.remove(&entry.hash);
            self.known.remove(entry, place);
            if let Some(sums) = self.sums.get_mut(entry.id.kind.audience() as usize) {
                sums.remove(entry.hash);
            }
        }
    }

    fn insert(&mut self, entry: Entry) -> Place {
        let id = Arc::clone(&entry.id);
        let place = self.entries.insert(entry) as Place;
        if let Some(owner) = owner(&id) {
            self.owned.insert((owner, place));
        }
        if let Some(count) = self.of_kinds.get_mut(nth(id.kind)) {
            *count += 1;
        }
        self.by_id.insert(id, place);
        place
    }

    /// Takes a rumor out.
    pub fn remove(&mut self, place: Place) -> Option<Entry> {
        let entry = self.entries.try_remove(place as usize)?;
        self.by_id.remove(&*entry.id);
        if let Some(count) = self.of_kinds.get_mut(nth(entry.id.kind)) {
            *count -= 1;
        }
        self.removals.remove(&(entry.removal, place));
        self.forget(&entry, place);
        self.bytes -= entry.bytes.len();
        if let Some(owner) = owner(&entry.id) {
            self.owned.remove(&(owner, place));
        }
        Some(entry)
    }
}

/// The member that says it of itself.
fn owner(id: &RumorId) -> Option<MemberId> {
    let is_owned = matches!(id.kind, RumorKind::Service | RumorKind::Tags);
    is_owned.then(|| id.id.parse().ok())?
}

fn fold(sum: u64) -> u32 {
    (sum ^ sum >> 32) as u32
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    impl Store {
        fn merge(&mut self, rumor: &Rumor, from_id: &str) -> Put {
            self.merge_heard(rumor, from_id, None)
        }
    }
    use crate::gossip::sums::FANOUT;
    use crate::limits::MAX_RUMOR_BYTES;
    use crate::rumor::{Service, ServiceConfig, ServiceFile, SysInfo, TagSet, Tags};

    /// Who takes all kinds.
    const ALL: Audience = Audience::Ours;

    fn member(number: u8) -> MemberId {
        MemberId::from_bytes([number; 16])
    }

    fn service(group: u8, number: u8, incarnation: u64, cfg: Vec<u8>) -> Rumor {
        Rumor::Service(Service {
            member: member(number),
            group: format!("redis.g{group}").parse().unwrap(),
            incarnation,
            initialized: cfg.is_empty(),
            pkg: format!(
                "core/redis/1/{}",
                ["1", "withdrawn"][usize::from(cfg.len() == 2)]
            ),
            cfg,
            sys: SysInfo::default(),
            pkg_incarnation: 0,
        })
    }

    fn config(group: u8, incarnation: u64, config: Vec<u8>) -> Rumor {
        Rumor::ServiceConfig(ServiceConfig {
            group: format!("redis.g{group}").parse().unwrap(),
            incarnation,
            encrypted: false,
            config,
        })
    }

    fn file(group: u8, number: u8, incarnation: u64, body: Vec<u8>) -> Rumor {
        Rumor::ServiceFile(ServiceFile {
            group: format!("redis.g{group}").parse().unwrap(),
            incarnation,
            encrypted: false,
            filename: format!("file-{number}"),
            body,
        })
    }

    fn tags(number: u8, incarnation: u64, values: &[u8]) -> Rumor {
        let mut set = TagSet::new();
        for value in values {
            set.insert(format!("k{value}"), "").unwrap();
        }
        Rumor::Tags(Tags::new(member(number), incarnation, set))
    }

    /// Of few groups, members, incarnations and contents, so that many meet.
    fn rumor() -> impl Strategy<Value = Rumor> {
        let content = || vec(0..3u8, 0..3);
        prop_oneof![
            (0..2u8, 0..3u8, 0..3u64, content()).prop_map(|(g, m, i, c)| service(g, m, i, c)),
            (0..2u8, 0..3u64, content()).prop_map(|(g, i, c)| config(g, i, c)),
            (0..2u8, 0..3u8, 0..3u64, content()).prop_map(|(g, f, i, c)| file(g, f, i, c)),
            (0..3u8, 0..3u64, content()).prop_map(|(m, i, c)| tags(m, i, &c)),
            (0..4u8).prop_map(|m| Rumor::Departure(member(m))),
        ]
    }

    fn holding(rumors: &[Rumor]) -> Store {
        let mut store = Store::new(MAX_RUMOR_BYTES, 7);
        for rumor in rumors {
            store.merge(rumor, "somebody");
        }
        store
    }

    fn contents(store: &Store) -> Vec<Rumor> {
        store.iter().map(|entry| entry.rumor().unwrap()).collect()
    }

    /// Everything that is kept beside the entries follows from them.
    fn check(store: &Store) {
        let mut sums = [Sums::new(), Sums::new()];
        let (mut bytes, mut provisional, mut live, mut owned) = (0, 0, 0, 0);
        for entry in store.iter() {
            assert_eq!(entry.hash, content_hash(entry.id.kind, entry.payload()));
            let place = store.find(&entry.id).unwrap();
            let hash = (
                store.find_hash(entry.hash),
                store.provisional.get(&entry.hash),
            );
            if store.is_provisional(entry) {
                provisional += 1;
                assert_eq!(hash, (None, Some(&place)));
            } else {
                assert_eq!(hash, (Some(place), None));
                sums[entry.id.kind.audience() as usize].add(entry.hash);
                live += 1;
            }
            let known = store.find_payload(entry.id.kind, entry.payload());
            assert_eq!(known, hash.0);
            assert_eq!(store.get(place).unwrap().hash, entry.hash);
            let rumor = entry.rumor().unwrap();
            assert_eq!(
                (rumor.id(), rumor.version()),
                ((*entry.id).clone(), entry.version)
            );
            assert_eq!(entry.withdrawn, is_withdrawn(&rumor));
            assert_eq!(entry.is_removal(), rumor.is_removal());
            if let Some(owner) = rumor.owner() {
                owned += 1;
                assert!(store.owned_by(owner).any(|(at, _)| at == place));
            }
            bytes += entry.bytes.len();
        }
        let removals = store.iter().filter(|entry| entry.is_removal());
        assert_eq!(removals.count(), store.removed());
        for (number, place) in &store.removals {
            assert_eq!(store.get(*place).unwrap().removal, *number);
        }
        let of_kinds = RumorKind::ALL.map(|kind| (kind, store.of_kind(kind).count()));
        assert!(store.of_kinds().eq(of_kinds));
        assert_eq!((store.owned.len(), store.bytes()), (owned, bytes));
        assert_eq!(
            (store.provisional(), store.known.len()),
            (provisional, live)
        );
        assert_eq!(
            store.hashes(ALL, 0..=u64::MAX).count(),
            store.len() - provisional
        );
        for audience in [Audience::Everyone, ALL] {
            let parts = &sums[..=audience as usize];
            let sum = |node| {
                fold(
                    parts
                        .iter()
                        .map(|it| it.sum(node))
                        .fold(0, u64::wrapping_add),
                )
            };
            let agrees = |node: Node| {
                assert_eq!(store.sum(audience, node), sum(node));
                let held = store.hashes(audience, node.hashes()).count();
                assert_eq!(store.count(audience, node), held);
            };
            for index in 0..FANOUT {
                let child = Node::ROOT.child(index);
                agrees(child);
                (0..FANOUT).for_each(|index| agrees(child.child(index)));
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_order_of_the_same_rumors_ends_in_the_same_contents(
            (rumors, shuffled) in vec(rumor(), 0..24).prop_flat_map(|rumors| (Just(rumors.clone()), Just(rumors).prop_shuffle())),
            again in vec(any::<prop::sample::Index>(), 0..24),
        ) {
            let one = holding(&rumors);
            let mut other = holding(&shuffled);
            for index in again {
                if !rumors.is_empty() {
                    let put = other.merge(index.get(&rumors), "somebody else");
                    prop_assert!(matches!(put, Put::Same(_) | Put::Older(_)), "nothing comes of a duplicate");
                }
            }
            prop_assert_eq!(contents(&one), contents(&other));
            prop_assert_eq!(one.checksum(ALL), other.checksum(ALL));
            check(&one);
        }

        #[test]
        fn what_two_hold_is_the_same_whoever_tells_the_other(
            ours in vec(rumor(), 0..12), theirs in vec(rumor(), 0..12), thirds in vec(rumor(), 0..12),
        ) {
            let told = |to: &[Rumor], by: &[Rumor]| {
                let (mut to, by) = (holding(to), holding(by));
                for rumor in contents(&by) {
                    to.merge(&rumor, "somebody");
                }
                contents(&to)
            };
            prop_assert_eq!(told(&ours, &theirs), told(&theirs, &ours), "commutative");
            let (left, right) = (told(&ours, &theirs), told(&theirs, &thirds));
            prop_assert_eq!(told(&left, &thirds), told(&ours, &right), "associative");
            prop_assert_eq!(told(&left, &left), left, "idempotent");
        }

        #[test]
        fn all_books_are_kept_whatever_comes_and_goes(steps in vec((rumor(), 0..6u8), 1..60)) {
            let mut store = Store::new(MAX_RUMOR_BYTES, 7);
            for (rumor, step) in steps {
                let held = store.find(&rumor.id());
                match (step, held) {
                    (0, Some(place)) => {
                        let removed = store.remove(place).unwrap();
                        prop_assert_eq!(removed.rumor().map(|rumor| rumor.id()), Some(rumor.id()));
                        prop_assert!(store.remove(place).is_none());
                        prop_assert_eq!(store.find(&rumor.id()), None);
                    }
                    (1, _) => {
                        store.replace(&rumor, "somebody");
                        let place = store.find(&rumor.id()).unwrap();
                        prop_assert_eq!(store.get(place).unwrap().rumor(), Some(rumor));
                    }
                    (2, _) => {
                        store.hold(&rumor, "somebody");
                    }
                    (3, Some(place)) => {
                        let hash = store.get(place).unwrap().hash;
                        let was = store.provisional();
                        prop_assert_eq!(store.make_live(hash), was > store.provisional());
                    }
                    _ => {
                        store.merge(&rumor, "somebody");
                        let place = store.find(&rumor.id()).unwrap();
                        prop_assert!(!store.is_provisional(store.get(place).unwrap()));
                    }
                }
                check(&store);
            }
            store.make_all_live();
            check(&store);
            prop_assert_eq!(store.provisional(), 0);
            for place in store.hashes(ALL, 0..=u64::MAX).map(|(_, place)| place).collect::<Vec<_>>() {
                store.remove(place);
            }
            check(&store);
            prop_assert_eq!((store.len(), store.bytes(), store.checksum(ALL)), (0, 0, Store::new(MAX_RUMOR_BYTES, 7).checksum(ALL)));
        }

        #[test]
        fn a_full_store_loses_nothing_and_stays_within_its_bounds(
            rumors in vec(rumor(), 1..60), most in 0..6usize, most_bytes in 0..800usize,
        ) {
            let mut store = Store::bounded(most, most_bytes, 7);
            for rumor in rumors {
                let before = contents(&store);
                let put = store.merge(&rumor, "somebody");
                prop_assert!(store.len() <= most && store.bytes() <= most_bytes);
                let held = store.find(&rumor.id()).and_then(|place| store.get(place)?.rumor());
                match put {
                    Put::Confirmed(_) | Put::Corrected(_) => unreachable!("nothing is provisional"),
                    Put::New(_) | Put::Same(_) => prop_assert_eq!(held, Some(rumor)),
                    Put::Older(_) | Put::Full => prop_assert_eq!(contents(&store), before),
                }
            }
            check(&store);
        }
    }

    #[test]
    fn the_higher_incarnation_wins_and_of_equal_ones_the_greater_content() {
        for (weaker, stronger) in [
            (service(0, 1, 1, vec![2, 2]), service(0, 1, 2, vec![])),
            (service(0, 1, 1, vec![1]), service(0, 1, 1, vec![2])),
            (config(0, 4, vec![9; 99]), config(0, 5, vec![])),
            (config(0, 4, vec![1]), config(0, 4, vec![2])),
            (file(0, 1, 0, vec![7]), file(0, 1, 1, vec![])),
            (file(0, 1, 0, vec![7]), file(0, 1, 0, vec![8])),
        ] {
            let mut store = holding(&[weaker.clone(), stronger.clone()]);
            assert_eq!(contents(&store), std::slice::from_ref(&stronger));
            assert!(matches!(store.merge(&weaker, ""), Put::Older(_)));
            assert!(matches!(store.merge(&stronger, "another"), Put::Same(_)));
        }
    }

    #[test]
    fn what_the_disk_held_loses_to_any_other_of_its_version() {
        let disk = config(0, 4, vec![9]);
        let (older, newer) = (config(0, 3, vec![1]), config(0, 5, vec![]));
        let (lesser, greater) = (config(0, 4, vec![8]), config(0, 4, vec![10]));
        type Case = (Rumor, fn(Place) -> Put, Rumor);
        let cases: [Case; 5] = [
            (disk.clone(), Put::Confirmed, disk.clone()),
            (lesser.clone(), Put::Corrected, lesser),
            (greater.clone(), Put::Corrected, greater),
            (newer.clone(), Put::New, newer),
            (older, Put::Older, disk.clone()),
        ];
        for (heard, put, kept) in cases {
            let mut store = Store::new(MAX_RUMOR_BYTES, 7);
            assert!(matches!(store.hold(&disk, "disk"), Put::New(_)));
            assert_eq!((store.len(), store.provisional()), (1, 1));
            assert_eq!(
                store.checksum(ALL),
                Store::new(MAX_RUMOR_BYTES, 7).checksum(ALL),
                "it does not count"
            );
            assert_eq!(store.merge(&heard, "ring"), put(0));
            assert_eq!(contents(&store), std::slice::from_ref(&kept));
            assert_eq!(
                (store.provisional(), store.checksum(ALL)),
                (0, holding(&[kept]).checksum(ALL))
            );
            check(&store);
            // What is heard is not outdone by the disk.
            assert_eq!(store.hold(&disk, "disk"), Put::Older(0));
        }
    }

    #[test]
    fn another_bit_kind_group_or_id_is_another_checksum() {
        let differing = [
            config(0, 1, vec![0]),
            config(0, 1, vec![1]),
            config(0, 2, vec![0]),
            config(1, 1, vec![0]),
            file(0, 1, 1, vec![0]),
            file(0, 2, 1, vec![0]),
            service(0, 1, 1, vec![0]),
            service(0, 2, 1, vec![0]),
            Rumor::Departure(member(1)),
            Rumor::Departure(member(2)),
        ];
        let checksum = |rumor: &Rumor| holding(std::slice::from_ref(rumor)).checksum(ALL);
        let mut checksums: Vec<_> = differing.iter().map(checksum).collect();
        checksums.push(Store::new(MAX_RUMOR_BYTES, 7).checksum(ALL));
        checksums.sort_unstable();
        checksums.dedup();
        assert_eq!(checksums.len(), differing.len() + 1);
        assert_ne!(
            content_hash(RumorKind::Election, b"same"),
            content_hash(RumorKind::ElectionUpdate, b"same")
        );
        // Who applied it is no part of what it says.
        let (mut one, mut other) = (
            Store::new(MAX_RUMOR_BYTES, 7),
            Store::new(MAX_RUMOR_BYTES, 7),
        );
        one.merge(&differing[0], "me");
        other.merge(&differing[0], "you");
        assert_eq!(one.checksum(ALL), other.checksum(ALL));
    }

    #[test]
    fn what_is_larger_than_any_may_be_is_not_held() {
        let mut store = Store::new(MAX_RUMOR_BYTES, 7);
        let overhead = encode_rumor(&file(0, 1, 1, vec![0; MAX_RUMOR]), "me")
            .bytes
            .len()
            - MAX_RUMOR;
        let largest = file(0, 1, 1, vec![0; MAX_RUMOR - overhead]);
        assert!(matches!(store.merge(&largest, "me"), Put::New(_)));
        assert_eq!(store.bytes(), MAX_RUMOR);
        let larger = file(0, 1, 2, vec![0; MAX_RUMOR - overhead + 1]);
        assert_eq!(store.merge(&larger, "me"), Put::Full);
        assert_eq!(contents(&store), [largest]);
    }

    #[test]
    fn who_takes_no_kinds_of_our_own_is_shown_none() {
        let (told, own) = (config(1, 1, vec![1]), tags(1, 1, &[1]));
        let (both, alone) = (holding(&[told.clone(), own]), holding(&[told]));
        let everyone = Audience::Everyone;
        assert_eq!(both.checksum(everyone), alone.checksum(everyone));
        assert_ne!(both.checksum(everyone), both.checksum(ALL));
        assert_eq!(both.hashes(everyone, 0..=u64::MAX).count(), 1);
        assert_eq!(both.hashes(ALL, 0..=u64::MAX).count(), 2);
        assert_eq!(both.tags_of(member(1)).map(|it| it.version), Some(1));
        assert_eq!(both.services_of(member(1)).count(), 0);
    }
}
