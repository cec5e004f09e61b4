//! The member table: rows in a slab, found by id, with the round of those to be probed and the list of the
//! dead beside them.

use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use hashbrown::HashTable;
use rand::RngExt;
use rand::rngs::StdRng;
use slab::Slab;

use super::merge::State;
use super::names::{NameRef, Names};
use super::news::{COLD, RowKey};
use super::row::{NONE, Row, flag};
use crate::expected::Expected;
use crate::growth;
use crate::limits::MAX_MEMBERS;
use crate::member::{Health, Incarnation, Member, MemberId};
use crate::stats::Gauge;
use crate::text;
use crate::time::Time;

/// A member that wants to be in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Newcomer {
    /// It answered.
    Answered,
    /// Others speak of it.
    SpokenOf,
}

pub(crate) struct Table {
    rows: Slab<Row>,
    index: HashTable<RowKey>,
    hash_key: HashKey,
    v6: Slab<Ipv6Addr>,
    names: Names,
    me: RowKey,
    /// Those to be probed, in random order: before `visited` this round's past, after it its future.
    pub(super) round: Vec<RowKey>,
    visited: usize,
    dead: Vec<RowKey>,
    /// Those that left.
    gone: Vec<RowKey>,
    counts: [usize; 4],
    digest: u64,
}

impl Table {
    /// A table that holds this member alone.
    pub fn new(me: &Member, name: &str, now: Time, rng: &mut StdRng) -> Self {
        let mut table = Table {
            rows: Slab::new(),
            index: HashTable::new(),
            hash_key: HashKey(rng.random(), rng.random()),
            v6: Slab::new(),
            names: Names::new(),
            me: 0,
            round: Vec::new(),
            visited: 0,
            dead: Vec::new(),
            gone: Vec::new(),
            counts: [0; 4],
            digest: 0,
        };
        table.me = table.insert(me, Health::Alive, now);
        table.set_name(table.me, name);
        table
    }

    /// The own row.
    pub fn me(&self) -> RowKey {
        self.me
    }

    /// This member goes on under another id, in another row. Returns the row of the old one, which is listed once its
    /// state is set.
    pub fn renew_me(&mut self, id: MemberId, now: Time) -> RowKey {
        let before = self.me;
        if let Some(member) = self.member(before) {
            let name = self.name_of(self.own()).to_owned();
            let member = Member {
                id,
                incarnation: Incarnation::ZERO,
                departed: false,
                ..member
            };
            self.me = self.insert(&member, Health::Alive, now);
            self.set_name(self.me, &name);
        }
        before
    }

    /// The own row's content. It is put in by `new`, and nobody removes it.
    #[expect(clippy::indexing_slicing)] // So there is nothing else to say.
    pub fn own(&self) -> &Row {
        &self.rows[self.me as usize]
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn sizes(&self) -> [Gauge; 2] {
        [
            Gauge::new("members", self.rows.len(), MAX_MEMBERS),
            Gauge::new("ipv6_addresses", self.v6.len(), MAX_MEMBERS),
        ]
    }

    /// Those that are Alive or Suspect, this member included.
    pub fn living(&self) -> usize {
        self.count(Health::Alive) + self.count(Health::Suspect)
    }

    pub fn count(&self, health: Health) -> usize {
        let count = self.counts.get(health as usize - 1);
        count.copied().unwrap_or(0)
    }

    /// Equal at two members that hold the same members for living, at the same incarnations, but for a chance of 2⁻³²;
    /// never 0.
    pub fn digest(&self) -> u32 {
        (mix(self.digest) as u32).max(1)
    }

    pub fn find(&self, id: &MemberId) -> Option<RowKey> {
        let is_it = |key: &RowKey| {
            self.rows
                .get(*key as usize)
                .is_some_and(|row| row.id == *id)
        };
        self.index.find(self.hash_key.hash(id), is_it).copied()
    }

    /// The same for a member that was in this row a moment ago, if it was anywhere.
    #[inline]
    pub fn find_again(&self, id: &MemberId, key: RowKey) -> Option<RowKey> {
        if self.get(key).is_some_and(|row| row.id == *id) {
            return Some(key);
        }
        self.find(id)
    }

    pub fn get(&self, key: RowKey) -> Option<&Row> {
        self.rows.get(key as usize)
    }

    pub fn get_mut(&mut self, key: RowKey) -> Option<&mut Row> {
        self.rows.get_mut(key as usize)
    }

    pub fn set_flag(&mut self, key: RowKey, flag: u16) {
        if let Some(row) = self.get_mut(key) {
            row.set(flag, true);
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = (RowKey, &Row)> {
        self.rows.iter().map(|(key, row)| (key as RowKey, row))
    }

    /// The first row at or after this key, for a walk in pieces.
    pub fn first_from(&self, key: RowKey) -> Option<RowKey> {
        self.first_within(key, RowKey::MAX)
    }

    /// No row is at or after this key.
    pub fn end(&self) -> RowKey {
        self.rows.capacity() as RowKey
    }

    /// The same among so many rows at most, full and empty.
    pub fn first_within(&self, key: RowKey, most: u32) -> Option<RowKey> {
        let end = self.end().min(key.saturating_add(most));
        (key..end).find(|key| self.rows.contains(*key as usize))
    }

    /// The member in this row; `None`: the row is empty.
    pub fn member(&self, key: RowKey) -> Option<Member> {
        let row = self.get(key)?;
        Some(Member {
            id: row.id,
            incarnation: row.incarnation,
            ip: self.ip_of(row),
            swim_port: row.swim_port,
            gossip_port: row.gossip_port,
            persistent: row.has(flag::PERSISTENT),
            departed: row.has(flag::LEFT),
        })
    }

    /// Whether that is where the member is.
    #[inline]
    pub fn is_at(&self, row: &Row, addr: SocketAddr) -> bool {
        row.swim_port == addr.port() && self.ip_of(row) == addr.ip()
    }

    #[inline]
    pub fn ip_of(&self, row: &Row) -> IpAddr {
        if !row.has(flag::V6) {
            return Ipv4Addr::from_bits(row.ip).into();
        }
        self.v6
            .get(row.ip as usize)
            .copied()
            .unwrap_or(Ipv6Addr::UNSPECIFIED)
            .into()
    }

    pub fn name_of(&self, row: &Row) -> &str {
        self.names.get(row.name, row.name_len)
    }

    /// Adds a member that is not in the table yet.
    pub fn insert(&mut self, member: &Member, health: Health, now: Time) -> RowKey {
        let row = Row {
            id: member.id,
            incarnation: member.incarnation,
            since: now,
            ip: 0,
            rtt: NONE,
            place: NONE,
            name: NameRef::EMPTY,
            side: NONE,
            news: COLD,
            swim_port: member.swim_port,
            gossip_port: member.gossip_port,
            flags: 0,
            health,
            name_len: 0,
        };
        growth::make_room_in_slab(&mut self.rows);
        let key = self.rows.insert(row) as RowKey;
        let (rows, hash_key) = (&self.rows, &self.hash_key);
        let rehash = |key: &RowKey| {
            rows.get(*key as usize)
                .map_or(0, |row| hash_key.hash(&row.id))
        };
        self.index
            .insert_unique(hash_key.hash(&member.id), key, rehash);
        self.set_contact(key, member.ip, member.swim_port, member.gossip_port);
        if let Some(row) = self.get_mut(key) {
            row.set(flag::PERSISTENT, member.persistent);
            row.set(flag::LEFT, member.departed);
        }
        self.add(member.id, member.incarnation, health);
        key
    }

    /// Forgets another member; its suspicion, grave and news are the caller's to end before.
    pub fn remove(&mut self, key: RowKey) {
        let Some(row) = self.rows.get(key as usize).filter(|_| key != self.me) else {
            return;
        };
        let (id, incarnation, health) = (row.id, row.incarnation, row.health);
        let (ip, v6) = (row.ip, row.has(flag::V6));
        self.set_name(key, "");
        self.leave_lists(key);
        if let Ok(entry) = self
            .index
            .find_entry(self.hash_key.hash(&id), |other| *other == key)
        {
            entry.remove();
        }
        if v6 {
            self.v6.try_remove(ip as usize);
        }
        self.subtract(id, incarnation, health);
        self.rows.remove(key as usize);
    }

    pub fn set_contact(&mut self, key: RowKey, ip: IpAddr, swim_port: u16, gossip_port: u16) {
        let Some(row) = self.rows.get_mut(key as usize).expected() else {
            return;
        };
        (row.swim_port, row.gossip_port) = (swim_port, gossip_port);
        match ip {
            IpAddr::V4(ip) => {
                if row.has(flag::V6) {
                    self.v6.try_remove(row.ip as usize);
                }
                row.set(flag::V6, false);
                row.ip = ip.to_bits();
            }
            IpAddr::V6(ip) => match self.v6.get_mut(row.ip as usize) {
                Some(place) if row.has(flag::V6) => *place = ip,
                _ => {
                    row.set(flag::V6, true);
                    row.ip = self.v6.insert(ip) as u32;
                }
            },
        }
    }

    /// The name has at most [`MAX_NAME`](crate::limits::MAX_NAME) bytes, and is kept without what people would not see.
    pub fn set_name(&mut self, key: RowKey, name: &str) {
        let name = &*text::cleaned(name);
        let Some(row) = self.rows.get_mut(key as usize).expected() else {
            return;
        };
        if self.names.get(row.name, row.name_len) == name {
            return;
        }
        self.names.remove(row.name_len);
        (row.name, row.name_len) = self.names.add(name);
        if self.names.is_sparse() {
            self.names = Names::of(
                &self.names,
                self.rows.iter_mut().map(|(_, row)| row.name_mut()),
            );
        }
    }

    /// Changes what decides about a member, and with it where it is listed.
    pub fn set_state(&mut self, key: RowKey, state: State, now: Time, rng: &mut StdRng) {
        let Some(row) = self.rows.get_mut(key as usize).expected() else {
            return;
        };
        let (id, older, before) = (row.id, row.incarnation, row.health);
        row.incarnation = state.incarnation;
        row.health = state.health;
        row.set(flag::LEFT, state.left);
        if before != state.health {
            row.since = now;
        }
        if before != state.health || older != state.incarnation {
            self.subtract(id, older, before);
            self.add(id, state.incarnation, state.health);
        }
        self.settle(key, rng);
    }

    /// Counts a member in.
    fn add(&mut self, id: MemberId, incarnation: Incarnation, health: Health) {
        if let Some(count) = self.counts.get_mut(health as usize - 1) {
            *count += 1;
        }
        let bits = bits_of(&id, incarnation, health);
        self.digest = self.digest.wrapping_add(bits);
    }

    /// And out.
    fn subtract(&mut self, id: MemberId, incarnation: Incarnation, health: Health) {
        if let Some(count) = self.counts.get_mut(health as usize - 1) {
            *count = count.saturating_sub(1);
        }
        let bits = bits_of(&id, incarnation, health);
        self.digest = self.digest.wrapping_sub(bits);
    }

    /// Lists the member where it belongs.
    pub fn settle(&mut self, key: RowKey, rng: &mut StdRng) {
        let Some(row) = self.rows.get(key as usize) else {
            return;
        };
        let list = row.list();
        if key == self.me || row.has(list) {
            return;
        }
        self.leave_lists(key);
        if list == flag::IN_ROUND {
            self.enter_round(key, rng);
        } else {
            let others = self.unasked(list);
            growth::make_room(others);
            others.push(key);
            let last = others.len() - 1;
            self.set_place(key, last);
        }
        if let Some(row) = self.get_mut(key) {
            row.set(list, true);
        }
    }

    /// One of the lists beside the round.
    fn unasked(&mut self, list: u16) -> &mut Vec<RowKey> {
        if list == flag::AMONG_GONE {
            &mut self.gone
        } else {
            &mut self.dead
        }
    }

    /// At a random place (SWIM §4.3), which may lie in this round's past or its future.
    fn enter_round(&mut self, key: RowKey, rng: &mut StdRng) {
        let last = self.round.len();
        growth::make_room(&mut self.round);
        self.round.push(key);
        self.set_place(key, last);
        let place = rng.random_range(0..=last);
        if place < self.visited {
            self.swap_in_round(self.visited, last);
            self.visited += 1;
        } else {
            self.swap_in_round(place, last);
        }
    }

    fn leave_lists(&mut self, key: RowKey) {
        let Some(row) = self.rows.get_mut(key as usize) else {
            return;
        };
        let (place, list) = (row.place as usize, row.flags & flag::LISTS);
        row.place = NONE;
        row.set(flag::LISTS, false);
        if list == flag::IN_ROUND {
            let mut hole = place;
            if hole < self.visited {
                self.visited -= 1;
                self.swap_in_round(hole, self.visited);
                hole = self.visited;
            }
            self.swap_in_round(hole, self.round.len() - 1);
            self.round.pop();
        } else if list != 0 {
            let others = self.unasked(list);
            others.swap_remove(place);
            if let Some(moved) = others.get(place).copied() {
                self.set_place(moved, place);
            }
        }
    }

    fn swap_in_round(&mut self, a: usize, b: usize) {
        self.round.swap(a, b);
        for place in [a, b] {
            if let Some(key) = self.round.get(place).copied() {
                self.set_place(key, place);
            }
        }
    }

    fn set_place(&mut self, key: RowKey, place: usize) {
        if let Some(row) = self.rows.get_mut(key as usize) {
            row.place = place as u32;
        }
    }

    /// The next member to probe; after the last of a round a new one begins, shuffled.
    pub fn next_in_round(&mut self, rng: &mut StdRng) -> Option<RowKey> {
        if self.visited >= self.round.len() {
            self.visited = 0;
            for place in (1..self.round.len()).rev() {
                let other = rng.random_range(0..=place);
                self.swap_in_round(place, other);
            }
        }
        let key = self.round.get(self.visited).copied()?;
        self.visited += 1;
        Some(key)
    }

    /// The dead that are not in the round.
    pub fn dead(&self) -> &[RowKey] {
        &self.dead
    }

    /// One of the dead.
    pub fn random_dead(&self, rng: &mut StdRng) -> Option<RowKey> {
        random_of(&self.dead, rng)
    }

    /// Of a few random ones, the one to forget for another: one of the dead that never answered here, else the one longest
    /// Departed, else, for one that answered, a living one that never did.
    pub fn least_wanted(&self, newcomer: Newcomer, rng: &mut StdRng) -> Option<RowKey> {
        const SAMPLE: usize = 16;
        let mut some = |list: &[RowKey]| -> Vec<RowKey> {
            (0..SAMPLE).filter_map(|_| random_of(list, rng)).collect()
        };
        let (dead, gone) = (some(&self.dead), some(&self.gone));
        let round = if newcomer == Newcomer::Answered {
            some(&self.round)
        } else {
            Vec::new()
        };
        let is_silent = |key: &&RowKey| self.get(**key).is_some_and(|row| !row.has(flag::PROVED));
        let is_departed = |key: &&RowKey| {
            let row = self.get(**key);
            row.is_some_and(|row| row.health == Health::Departed)
        };
        let since = |key: &&RowKey| self.get(**key).map(|row| row.since);
        let longest = |list: &[RowKey]| list.iter().filter(is_departed).min_by_key(since).copied();
        dead.iter()
            .find(is_silent)
            .copied()
            .or_else(|| longest(&gone))
            .or_else(|| longest(&dead))
            .or_else(|| round.iter().find(is_silent).copied())
    }
}

/// What is known of each member. Where they stand in the round shows in what they do.
impl Hash for Table {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        for (key, row) in self.iter() {
            (key, row.id, row.incarnation, row.health).hash(hasher);
            (self.ip_of(row), row.swim_port, row.gossip_port).hash(hasher);
            (row.flags, row.rtt, self.name_of(row)).hash(hasher);
            (row.since, row.place, row.side).hash(hasher);
        }
    }
}

/// What a member adds to the digest of those that live.
fn bits_of(id: &MemberId, incarnation: Incarnation, health: Health) -> u64 {
    if health > Health::Suspect {
        return 0;
    }
    let (low, high) = halves(id);
    mix(mix(mix(low) ^ high) ^ incarnation.get())
}

fn random_of(list: &[RowKey], rng: &mut StdRng) -> Option<RowKey> {
    if list.is_empty() {
        return None;
    }
    list.get(rng.random_range(0..list.len())).copied()
}

/// Ids are chosen by others, so the index is keyed. The key comes from the node's own generator, so
/// that a replay does the same.
struct HashKey(u64, u64);

impl HashKey {
    fn hash(&self, id: &MemberId) -> u64 {
        let (low, high) = halves(id);
        mix(mix(low ^ self.0) ^ high ^ self.1)
    }
}

fn halves(id: &MemberId) -> (u64, u64) {
    let number = u128::from_le_bytes(*id.as_bytes());
    (number as u64, (number >> 64) as u64)
}

/// The finalizer of MurmurHash3: every bit of the input moves every bit of the output.
pub(super) fn mix(mut bits: u64) -> u64 {
    bits ^= bits >> 33;
    bits = bits.wrapping_mul(0xff51_afd7_ed55_8ccd);
    bits ^= bits >> 33;
    bits = bits.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    bits ^ bits >> 33
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::member::Incarnation;
    use rand::SeedableRng;

    fn member(number: u8) -> Member {
        Member {
            id: MemberId::from_bytes([number; 16]),
            incarnation: Incarnation::ZERO,
            ip: Ipv4Addr::new(10, 0, 0, number).into(),
            swim_port: 9638,
            gossip_port: 9638,
            persistent: false,
            departed: false,
        }
    }

    fn table(members: u8, rng: &mut StdRng) -> Table {
        let mut table = Table::new(&member(0), "", Time::ZERO, rng);
        for number in 1..=members {
            let key = table.insert(&member(number), Health::Alive, Time::ZERO);
            table.settle(key, rng);
        }
        table
    }

    fn set_health(table: &mut Table, key: RowKey, health: Health, rng: &mut StdRng) {
        let state = State {
            incarnation: Incarnation::ZERO,
            health,
            left: false,
        };
        table.set_state(key, state, Time::ZERO, rng);
    }

    #[test]
    fn each_member_is_visited_once_a_round_and_the_own_row_never() {
        let mut rng = StdRng::seed_from_u64(1);
        let mut table = table(20, &mut rng);
        for _ in 0..5 {
            let mut seen: Vec<_> = (0..20)
                .filter_map(|_| table.next_in_round(&mut rng))
                .collect();
            seen.sort_unstable();
            assert_eq!(seen, (1..=20).collect::<Vec<_>>());
        }
    }

    /// Whoever comes and goes in the middle of a round: nobody is visited twice, nobody who stays is left out.
    #[test]
    fn the_round_survives_coming_and_going() {
        for seed in 0..200 {
            let mut rng = StdRng::seed_from_u64(seed);
            let mut table = table(30, &mut rng);
            let mut seen = Vec::new();
            for step in 0..15 {
                seen.extend(table.next_in_round(&mut rng));
                if step % 3 == 0 {
                    set_health(&mut table, step + 1, Health::Confirmed, &mut rng);
                }
                if step % 5 == 0 {
                    let key = table.insert(&member(40 + step as u8), Health::Alive, Time::ZERO);
                    table.settle(key, &mut rng);
                }
            }
            while table.visited < table.round.len() {
                seen.extend(table.next_in_round(&mut rng));
            }
            let mut once = seen.clone();
            once.sort_unstable();
            once.dedup();
            assert_eq!(once.len(), seen.len(), "seed {seed}: {seen:?}");
            for key in (1..=30).filter(|key| (key - 1) % 3 != 0 || *key > 13) {
                assert!(seen.contains(&key), "seed {seed}: {key} was left out");
            }
            for (place, key) in table.round.iter().enumerate() {
                assert_eq!(table.get(*key).map(|row| row.place as usize), Some(place));
            }
        }
    }

    #[test]
    fn the_dead_are_out_of_the_round_unless_they_are_persistent() {
        let mut rng = StdRng::seed_from_u64(2);
        let mut table = table(3, &mut rng);
        if let Some(row) = table.get_mut(2) {
            row.set(flag::PERSISTENT, true);
        }
        set_health(&mut table, 1, Health::Confirmed, &mut rng);
        set_health(&mut table, 2, Health::Confirmed, &mut rng);
        let mut round: Vec<_> = (0..2)
            .filter_map(|_| table.next_in_round(&mut rng))
            .collect();
        round.sort_unstable();
        assert_eq!(round, [2, 3]);
        assert_eq!(table.random_dead(&mut rng), Some(1));
        set_health(&mut table, 1, Health::Alive, &mut rng);
        assert_eq!(table.random_dead(&mut rng), None);
        assert_eq!((table.living(), table.count(Health::Confirmed)), (3, 1));
    }

    #[test]
    fn the_digest_depends_on_who_lives_and_on_nothing_else() {
        let mut rng = StdRng::seed_from_u64(3);
        let mut one = table(5, &mut rng);
        let mut other = Table::new(&member(5), "", Time::ZERO, &mut rng);
        for number in (0..5).rev() {
            let key = other.insert(&member(number), Health::Suspect, Time::ZERO);
            other.settle(key, &mut rng);
        }
        assert_eq!(one.digest(), other.digest());
        set_health(&mut one, 1, Health::Confirmed, &mut rng);
        assert_ne!(one.digest(), other.digest());
        set_health(&mut one, 1, Health::Alive, &mut rng);
        assert_eq!(one.digest(), other.digest());
    }

    #[test]
    fn what_is_removed_is_gone_and_its_row_is_used_again() {
        let mut rng = StdRng::seed_from_u64(4);
        let mut table = table(3, &mut rng);
        table.set_name(2, "two");
        let ip: Ipv6Addr = "fd00::2".parse().unwrap();
        table.set_contact(2, ip.into(), 1, 2);
        assert_eq!(table.member(2).map(|member| member.ip), Some(ip.into()));
        table.remove(2);
        assert_eq!((table.find(&member(2).id), table.v6.len()), (None, 0));
        let key = table.insert(&member(9), Health::Alive, Time::ZERO);
        assert_eq!((key, table.find(&member(9).id)), (2, Some(2)));
        assert_eq!(table.name_of(table.get(2).unwrap()), "");
    }
}
