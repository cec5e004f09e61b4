//! What waits to be sent: rumors to be pushed, the urgent and small before the bulky, within so many bytes a
//! second; and the short messages by which stores are compared.

use std::collections::VecDeque;
use std::net::SocketAddr;

use super::Gossip;
use super::hot::Class;
use super::store::Place;
use crate::expected::Expected;
use crate::limits::MAX_QUEUED_PUSHES;
use crate::member::MemberId;
use crate::ring::Peer;
use crate::time::Time;

/// What a push holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// The rumor in this place, as long as its content has this hash.
    Rumor(Place, u64),
    /// The record of this member.
    Member(MemberId),
    /// That this member stands in the election in this place, as long as its content has this hash: for
    /// originals, which move to another term only if the leader that they know calls them there.
    Candidacy(Place, u64),
}

/// Names a push, for the driver to say what became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PushId {
    pub peer: MemberId,
    pub what: What,
}

/// Something for a peer's PULL socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Push {
    pub id: PushId,
    pub addr: SocketAddr,
}

/// A part of a comparison of stores, for a peer that can compare.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Talk {
    pub to: MemberId,
    /// Parts of `wire::reconcile`.
    pub parts: Vec<u8>,
}

/// Comparisons that wait to be sent; who misses one compares again.
pub(super) const MAX_TALKS: usize = 1_024;

pub(crate) struct Outbox {
    /// By class, the urgent first.
    pushes: [VecDeque<Push>; 3],
    talks: VecDeque<Talk>,
    /// Bytes a second.
    rate: u64,
    /// Bytes that may be sent now; negative after a big one.
    credit: i64,
    counted: Time,
}

impl Outbox {
    pub fn new(rate: usize) -> Self {
        Outbox {
            pushes: Default::default(),
            talks: VecDeque::new(),
            rate: (rate as u64).clamp(1, 1 << 40),
            credit: rate as i64,
            counted: Time::ZERO,
        }
    }

    /// Queues a push; `false`: too much waits already.
    pub fn push(&mut self, peer: &Peer, what: What, class: Class) -> bool {
        let Some(queue) = self.pushes.get_mut(class as usize).expected() else {
            return false;
        };
        let room = queue.len() < MAX_QUEUED_PUSHES;
        if room {
            let id = PushId {
                peer: peer.id,
                what,
            };
            queue.push_back(Push {
                id,
                addr: peer.addr,
            });
        }
        room
    }

    /// Queues a part of a comparison.
    pub fn talk(&mut self, to: MemberId, parts: Vec<u8>) {
        if self.talks.len() < MAX_TALKS && !parts.is_empty() {
            self.talks.push_back(Talk { to, parts });
        }
    }

    pub fn next_talk(&mut self) -> Option<Talk> {
        self.talks.pop_front()
    }

    pub fn has_talk(&self) -> bool {
        !self.talks.is_empty()
    }

    /// The next push, if the budget has bytes left.
    pub fn next(&mut self, now: Time) -> Option<Push> {
        // Mostly nothing waits, and then there is nothing to reckon.
        if self.is_empty() {
            return None;
        }
        self.count(now);
        if self.credit <= 0 {
            return None;
        }
        self.pushes.iter_mut().find_map(VecDeque::pop_front)
    }

    /// So many bytes were taken.
    pub fn spend(&mut self, bytes: usize) {
        self.credit -= bytes as i64;
    }

    /// Pushes, and parts of comparisons, that wait.
    pub fn queued(&self) -> (usize, usize) {
        let pushes = self.pushes.iter().map(VecDeque::len).sum();
        (pushes, self.talks.len())
    }

    fn is_empty(&self) -> bool {
        self.pushes.iter().all(VecDeque::is_empty)
    }

    /// Lets in the credit of the time that has passed: what is left of it is never more than a second's.
    fn count(&mut self, now: Time) {
        // The driver's clock may have been set back.
        self.counted = self.counted.min(now);
        let passed = now.since(self.counted).as_micros();
        let earned = passed.saturating_mul(self.rate.into()) / 1_000_000;
        if earned > 0 {
            self.counted = now;
            let earned = i64::try_from(earned).unwrap_or(i64::MAX);
            self.credit = self.credit.saturating_add(earned).min(self.rate as i64);
        }
    }

    /// When the next push may be taken; `None`: there is none.
    pub fn deadline(&self) -> Option<Time> {
        if self.is_empty() {
            return None;
        }
        if self.credit > 0 {
            return Some(self.counted);
        }
        let missing = 1 + self.credit.unsigned_abs();
        let micros = (missing * 1_000_000).div_ceil(self.rate);
        Some(self.counted + std::time::Duration::from_micros(micros))
    }
}

impl Gossip {
    pub fn next_talk(&mut self) -> Option<Talk> {
        self.outbox.next_talk()
    }

    pub fn has_talk(&self) -> bool {
        self.outbox.has_talk()
    }

    /// When the next push may be taken; `None`: there is none.
    pub fn push_deadline(&self) -> Option<Time> {
        self.outbox.deadline()
    }
}
