//! Whoever says something of members: by a datagram, by a rumor, or this very member by what it wrote down.

use std::net::SocketAddr;

use super::budget::Budget;
use super::news::RowKey;
use super::unproved::Word;
use crate::member::MemberId;

/// How a record came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// In a datagram from this address.
    Datagram(SocketAddr),
    /// By a rumor, which proves nothing of who sent it.
    Rumor,
    /// From this member's own disk.
    Disk,
}

pub(super) struct Speaker {
    pub source: Source,
    pub id: MemberId,
    /// What it says that it knows of extensions.
    pub features: u32,
    /// It once answered at this address, so that is no spoofed one.
    pub proved: bool,
    /// What its word is worth about members that are not known.
    pub word: Word,
    /// What its message may provoke.
    pub budget: Budget,
    /// Members that it speaks of as if they had not left.
    pub left: Vec<RowKey>,
    /// It is the first to vouch for some who were not asked: one more who does is enough.
    pub waits: bool,
}

impl Speaker {
    #[inline]
    pub fn new(source: Source, id: MemberId, features: u32, budget: Budget) -> Self {
        Speaker {
            source,
            id,
            features,
            proved: false,
            word: Word::Nothing,
            budget,
            left: Vec::new(),
            waits: false,
        }
    }

    /// This member began a rumor of so many bytes; `word`: what it is worth. It may provoke what a stranger's datagram
    /// may, so that a claimed death can be checked.
    pub fn by_rumor(id: MemberId, bytes: usize, word: Word) -> Self {
        Speaker {
            word,
            ..Speaker::new(Source::Rumor, id, 0, Budget::of_stranger(bytes, 0))
        }
    }

    /// What this very member wrote down.
    pub fn disk(id: MemberId) -> Self {
        Speaker {
            word: Word::Own,
            ..Speaker::new(Source::Disk, id, 0, Budget::of_stranger(0, 0))
        }
    }

    /// Notes that it spoke of this member as if that had not left.
    pub fn speaks_of_as_present(&mut self, key: RowKey) {
        /// More do not fit in the datagram that tells it so; the rest has its turn the next time.
        const MOST: usize = 6;
        if self.proved && self.left.len() < MOST && !self.left.contains(&key) {
            self.left.push(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::id;
    use super::*;

    #[test]
    fn only_one_that_proved_its_address_is_to_be_corrected_and_of_few() {
        let source = Source::Datagram(([10, 0, 0, 1], 1).into());
        let mut speaker = Speaker::new(source, id(1), 0, Budget::of_stranger(50, 0));
        speaker.speaks_of_as_present(1);
        assert!(speaker.left.is_empty());
        speaker.proved = true;
        (0..20).for_each(|key| speaker.speaks_of_as_present(key / 2));
        assert_eq!(speaker.left, [0, 1, 2, 3, 4, 5]);
    }
}
