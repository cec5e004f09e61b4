//! Records that were heard before and say nothing new. Most are: each datagram brings some that its receiver
//! has known for long. They are told by the hash of their bytes, and need not be read.

use rand::RngExt;
use rand::rngs::StdRng;

/// Hashes that share a bucket.
const WAYS: usize = 4;

/// The hash of a record, never 0: that is an empty place.
type Tag = u32;

/// Hashes of records, about one for each member. One that was never heard is taken for known once in a
/// thousand million times, and then it is as if its datagram had been lost.
#[derive(Hash)]
pub(super) struct Echoes {
    /// As many as a power of two, or none; in each the newest first. A record goes into the emptier of two, so
    /// hardly any overflow; if both do, the oldest of one makes room.
    buckets: Vec<[Tag; WAYS]>,
    /// What others send must not decide where it falls.
    key: (u64, u64),
    /// A member left or died in this period.
    stale: bool,
}

impl Echoes {
    pub fn new(rng: &mut StdRng) -> Self {
        Echoes {
            buckets: Vec::new(),
            key: (rng.random(), rng.random()),
            stale: false,
        }
    }

    /// Whether this record was added before.
    #[inline]
    pub fn contains(&self, record: &[u8]) -> bool {
        let (places, tag) = self.places(record);
        let has = |place: usize| {
            let bucket = self.buckets.get(place).unwrap_or(&[0; WAYS]);
            bucket
                .iter()
                .fold(false, |found, one| found | (*one == tag))
        };
        // Without a branch that nobody could predict.
        has(places[0]) | has(places[1])
    }

    /// This record says nothing new, and never will as long as so many members are known.
    pub fn add(&mut self, record: &[u8], members: usize) {
        // With a quarter more places than members.
        let wanted = (members + members / 4).div_ceil(WAYS).next_power_of_two();
        if self.buckets.len() < wanted {
            self.buckets = vec![[0; WAYS]; wanted];
        }
        let ([one, other], tag) = self.places(record);
        let taken = |place: usize| {
            let bucket = self.buckets.get(place).into_iter().flatten();
            bucket.filter(|tag| **tag != 0).count()
        };
        let place = if taken(one) <= taken(other) {
            one
        } else {
            other
        };
        if let Some(bucket) = self.buckets.get_mut(place) {
            bucket.rotate_right(1);
            bucket[0] = tag;
        }
    }

    /// They may say something again.
    pub fn clear(&mut self) {
        self.buckets = Vec::new();
    }

    /// A member left, or died: what was said of it before is worth reading again, from the next period on.
    pub fn somebody_went(&mut self) {
        self.stale = true;
    }

    pub fn begin_period(&mut self) {
        if std::mem::take(&mut self.stale) {
            self.clear();
        }
    }

    /// The two buckets it may be in.
    #[inline]
    fn places(&self, record: &[u8]) -> ([usize; 2], Tag) {
        let hash = self.hash(record);
        let mask = self.buckets.len().wrapping_sub(1);
        let tag = (hash as Tag).max(1);
        let one = (hash >> 32) as usize;
        // The other is as far from it as the tag says.
        let other = one ^ (tag as usize).wrapping_mul(0x9e37_79b9) >> 7;
        ([one & mask, other & mask], tag)
    }

    /// Multiplies and folds sixteen bytes at a time, as wyhash does.
    #[inline]
    fn hash(&self, bytes: &[u8]) -> u64 {
        let mut hash = self.key.0 ^ bytes.len() as u64;
        let (chunks, rest) = bytes.as_chunks::<16>();
        for chunk in chunks {
            hash = self.absorb(hash, chunk);
        }
        if !rest.is_empty() {
            // The last sixteen, some of them again, are quicker to get than those that are left.
            let mut short = [0; 16];
            let last = bytes.last_chunk::<16>().unwrap_or_else(|| {
                for (place, byte) in short.iter_mut().zip(rest) {
                    *place = *byte;
                }
                &short
            });
            hash = self.absorb(hash, last);
        }
        fold(hash, self.key.1)
    }

    #[inline]
    fn absorb(&self, hash: u64, chunk: &[u8; 16]) -> u64 {
        let number = u128::from_le_bytes(*chunk);
        fold(number as u64 ^ self.key.1, (number >> 64) as u64 ^ hash)
    }
}

#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    fn record(number: u32) -> Vec<u8> {
        format!("what is said of member {number}").into_bytes()
    }

    #[test]
    fn what_was_added_is_known_and_nothing_else_is() {
        let mut echoes = Echoes::new(&mut StdRng::seed_from_u64(1));
        for number in 0..1_000 {
            assert!(!echoes.contains(&record(number)));
            echoes.add(&record(number), 1_000);
            assert!(echoes.contains(&record(number)));
        }
        let known = (0..1_000).filter(|number| echoes.contains(&record(*number)));
        assert!(known.count() > 990, "hardly any bucket overflows");
        echoes.clear();
        assert!((0..1_000).all(|number| !echoes.contains(&record(number))));
    }

    #[test]
    fn every_bit_and_the_length_count() {
        let echoes = Echoes::new(&mut StdRng::seed_from_u64(2));
        for len in 0..70 {
            let mut bytes = vec![0; len];
            let hash = echoes.hash(&bytes);
            for bit in 0..8 * len {
                bytes[bit / 8] ^= 1 << (bit % 8);
                assert_ne!(echoes.hash(&bytes), hash, "{len} {bit}");
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
            bytes.push(0);
            assert_ne!(echoes.hash(&bytes), hash, "{len}");
        }
    }

    #[test]
    fn it_grows_with_the_ring_to_a_few_bytes_for_each() {
        let mut echoes = Echoes::new(&mut StdRng::seed_from_u64(3));
        for members in [1, 10, 100_000] {
            echoes.add(b"", members);
            assert!(echoes.contains(b""));
        }
        assert_eq!(size_of_val(&echoes.buckets[..]), 512 << 10);
    }
}
