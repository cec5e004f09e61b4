//! Comparing stores with a peer (slow anti-entropy, and how a newcomer gets everything): who sees in an Ack
//! that the other one's checksum differs tells it what stands for its own contents; the two walk down to
//! where they differ, and each asks for what it lacks. Nothing is pushed that was not asked for.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::Gossip;
use super::hot::Class;
use super::outbox::What;
use super::sums::{FANOUT, Node};
use crate::env::Env;
use crate::error::Reject;
use crate::limits::MAX_WANTED;
use crate::member::MemberId;
use crate::ring::{Peer, Ring};
use crate::rumor::Audience;
use crate::time::Time;
use crate::wire::reconcile::{Part, read_parts};

/// With no more hashes than this, they are told themselves and not what stands for them.
const FEW: usize = 64;

/// Hashes in one part.
pub(super) const HASHES: usize = 90;

/// Bytes of parts in one datagram: with the rest of an Ack and its envelope at most what a datagram may have.
pub(super) const PARTS: usize = 780;

/// Datagrams that one datagram of a comparison provokes at most, from a peer whose address is proved.
const MOST_REPLIES: usize = 16;

/// While rumors are on their way, stores differ anyway: after a change, so many intervals pass before they
/// are compared.
const SETTLE: u32 = 4;

/// But rumors may never cease: so many periods after a comparison there may be another one, whatever changed.
const PATIENCE: u32 = 8;

/// How far comparing has got.
pub(super) struct Reconciling {
    /// When the store changed last.
    changed: Time,
    /// When this member began to compare last; `None`: never.
    compared: Option<Time>,
    /// What came because it was asked for, and was not kept: it is not asked for again for a while, else it
    /// would come for ever. Since `refused_since`, and in the time before.
    refused: [BTreeSet<u64>; 2],
    refused_since: Time,
    /// With whom to go on once all that was asked for is here.
    partner: Option<MemberId>,
}

impl Reconciling {
    pub fn new() -> Self {
        Reconciling {
            changed: Time::ZERO,
            compared: None,
            refused: [BTreeSet::new(), BTreeSet::new()],
            refused_since: Time::ZERO,
            partner: None,
        }
    }

    pub fn changed(&mut self, now: Time) {
        self.changed = now;
    }

    /// It came, and was not kept.
    fn refuse(&mut self, now: Time, pause: Duration, hash: u64) {
        let [recent, old] = &mut self.refused;
        let since = now.since(self.refused_since);
        if since >= pause {
            std::mem::swap(recent, old);
            recent.clear();
            if since >= pause * 2 {
                old.clear();
            }
            self.refused_since = now;
        }
        if recent.len() < MAX_WANTED {
            recent.insert(hash);
        }
    }

    /// Whether it is not to be asked for yet.
    fn is_refused(&self, now: Time, pause: Duration, hash: u64) -> bool {
        let [recent, old] = &self.refused;
        let since = now.since(self.refused_since);
        since < pause * 2 && recent.contains(&hash) || since < pause && old.contains(&hash)
    }

    /// Rumors that came and were not kept.
    pub fn refused(&self) -> usize {
        self.refused.iter().map(BTreeSet::len).sum()
    }

    /// Somebody came back: what was not kept because of its absence may be kept now.
    pub fn forget_refused(&mut self) {
        self.refused.iter_mut().for_each(BTreeSet::clear);
    }
}

/// Parts for one peer, packed into datagrams.
struct Replies {
    datagrams: Vec<Vec<u8>>,
    full: bool,
}

impl Replies {
    fn new() -> Self {
        Replies {
            datagrams: Vec::new(),
            full: false,
        }
    }

    fn add(&mut self, part: &Part) {
        let fits = |datagram: &Vec<u8>| datagram.len() + part.len() <= PARTS;
        if !self.datagrams.last().is_some_and(fits) {
            if self.datagrams.len() >= MOST_REPLIES {
                self.full = true;
                return;
            }
            self.datagrams.push(Vec::with_capacity(PARTS));
        }
        if let Some(datagram) = self.datagrams.last_mut() {
            part.write(datagram);
        }
    }

    fn hashes(&mut self, hashes: &[u64], part: fn(Vec<u64>) -> Part) {
        for hashes in hashes.chunks(HASHES) {
            self.add(&part(hashes.to_vec()));
        }
    }
}

impl Gossip {
    /// An Ack of this peer, whose address is proved, shows that it holds something else.
    pub fn mismatch(&mut self, env: &mut Env, ring: &impl Ring, peer: MemberId) {
        let quiet = self.timing.gossip_interval * SETTLE;
        let settled = env.now.since(self.reconciling.changed) >= quiet;
        let due = self.enabled
            && match self.reconciling.compared {
                Some(compared) => {
                    let since = env.now.since(compared);
                    since >= self.timing.period * PATIENCE || settled && since >= quiet
                }
                // A newcomer.
                None => true,
            };
        if due && let Some(peer) = ring.peer(&peer) {
            self.compare(env, &peer);
        }
    }

    fn compare(&mut self, env: &mut Env, peer: &Peer) {
        env.journal.stats.comparisons += 1;
        self.reconciling.compared = Some(env.now);
        self.reconciling.partner = Some(peer.id);
        let mut replies = Replies::new();
        self.describe(peer.audience, Node::ROOT, &mut replies);
        self.reply(peer.id, replies);
    }

    fn reply(&mut self, to: MemberId, replies: Replies) {
        for parts in replies.datagrams {
            self.outbox.talk(to, parts);
        }
    }

    /// Says what is held below a node, as far as this audience takes it.
    fn describe(&self, audience: Audience, node: Node, replies: &mut Replies) {
        if node.is_leaf() || self.store.count(audience, node) <= FEW {
            return self.list(audience, node.hashes(), replies);
        }
        let sums = (0..FANOUT).map(|index| self.store.sum(audience, node.child(index)));
        replies.add(&Part::Sums {
            depth: node.depth(),
            prefix: node.prefix(),
            sums: sums.collect(),
        });
    }

    /// Lists all hashes of a range, in as many parts as they need.
    fn list(&self, audience: Audience, range: RangeInclusive<u64>, replies: &mut Replies) {
        let (mut first, end) = range.into_inner();
        let mut held = self
            .store
            .hashes(audience, first..=end)
            .map(|(hash, _)| hash)
            .peekable();
        loop {
            let hashes: Vec<_> = held.by_ref().take(HASHES).collect();
            let last = match held.peek() {
                Some(next) => next - 1,
                None => end,
            };
            replies.add(&Part::All {
                first,
                last,
                hashes,
            });
            if held.peek().is_none() || replies.full {
                return;
            }
            first = last + 1;
        }
    }

    /// A peer, whose address is proved, says something of its store.
    pub fn compared(
        &mut self,
        env: &mut Env,
        ring: &impl Ring,
        from: MemberId,
        parts: &[u8],
    ) -> Result<(), Reject> {
        let Some(peer) = ring.peer(&from) else {
            return Ok(());
        };
        let audience = peer.audience;
        let mut replies = Replies::new();
        let (mut wants, mut wanted) = (Vec::new(), Vec::new());
        for part in read_parts(parts)? {
            match part {
                Part::Sums {
                    depth,
                    prefix,
                    sums,
                } => self.compare_sums(audience, (depth, prefix, &sums), &mut replies),
                Part::All {
                    first,
                    last,
                    hashes,
                } => {
                    self.offer_missing(audience, first..=last, hashes.clone(), &mut replies);
                    wants.extend(self.want(env, from, &hashes));
                }
                Part::Have(hashes) => {
                    for hash in &hashes {
                        if let Some(place) = self.store.find_hash(*hash) {
                            self.heard_back(place);
                        }
                    }
                    wants.extend(self.want(env, from, &hashes));
                }
                Part::Want(hashes) => wanted.extend(hashes),
                // They have nothing to do with stores: see `queries`.
                Part::Reply { .. } | Part::Got { .. } => {}
            }
        }
        wanted.sort_unstable();
        wanted.dedup();
        self.serve(env, &peer, &wanted);
        replies.hashes(&wants, Part::Want);
        self.reply(from, replies);
        Ok(())
    }

    /// Describes what is below those children whose sums differ.
    fn compare_sums(
        &self,
        audience: Audience,
        (depth, prefix, sums): (u8, u16, &[u32]),
        replies: &mut Replies,
    ) {
        let Some(node) = Node::inner(depth, prefix) else {
            return;
        };
        for (index, sum) in sums.iter().enumerate().take(FANOUT) {
            let child = node.child(index);
            if self.store.sum(audience, child) != *sum && !replies.full {
                self.describe(audience, child, replies);
            }
        }
    }

    /// Offers what a peer that listed all it holds in a range does not hold.
    fn offer_missing(
        &self,
        audience: Audience,
        range: RangeInclusive<u64>,
        mut theirs: Vec<u64>,
        replies: &mut Replies,
    ) {
        if range.is_empty() || replies.full {
            return;
        }
        theirs.sort_unstable();
        let missing = self
            .store
            .hashes(audience, range)
            .map(|(hash, _)| hash)
            .filter(|hash| theirs.binary_search(hash).is_err());
        let offered: Vec<_> = missing.take(MOST_REPLIES * HASHES).collect();
        replies.hashes(&offered, Part::Have);
    }

    /// Notes which of these rumors, which this member holds, are not held here and are to be asked for. What the disk
    /// held counts from now on.
    fn want(&mut self, env: &mut Env, of: MemberId, hashes: &[u64]) -> Vec<u64> {
        let mut wants = Vec::new();
        for hash in hashes {
            let known = self.store.find_hash(*hash).is_some()
                || self.store.make_live(*hash)
                || self.is_done_with(*hash)
                || self.is_refused(env.now, *hash);
            if !known && self.wanted.want(env.now, self.timing.period, *hash, of) {
                wants.push(*hash);
            }
        }
        self.wanted.look_again(env, &self.timing);
        wants
    }

    /// What was asked for and has not come is asked for again.
    pub(super) fn wanted_due(&mut self, env: &mut Env) {
        let again = self.wanted.due(env, &self.timing);
        for of_one in again.chunk_by(|(one, _), (other, _)| one == other) {
            for some in of_one.chunks(HASHES) {
                let mut parts = Vec::new();
                Part::Want(some.iter().map(|(_, hash)| *hash).collect()).write(&mut parts);
                if let Some((of, _)) = some.first() {
                    self.outbox.talk(*of, parts);
                }
            }
        }
    }

    /// Pushes what a peer asked for.
    fn serve(&mut self, env: &Env, peer: &Peer, hashes: &[u64]) {
        let (now, period) = (env.now, self.timing.period);
        for hash in hashes {
            let place = self.store.find_hash(*hash);
            let held = place.and_then(|place| Some((place, self.store.get(place)?)));
            let Some((place, entry)) = held else {
                continue;
            };
            if entry.id.kind.audience() > peer.audience {
                continue;
            }
            let class = Class::of(entry.id.kind, entry.bytes.len());
            if class != Class::Bulky || self.served.serve(now, period, peer.id, *hash) {
                // What does not fit is asked for again.
                self.outbox.push(peer, What::Rumor(place, *hash), class);
            }
        }
    }

    /// It is not asked for again for a while: longer than anybody holds the services of a member that is gone
    /// ([`Gossip::sweep_services`] takes two rounds), else two would get them from each other for ever.
    pub(super) fn refuse(&mut self, env: &Env, hash: u64) {
        let pause = self.refusal();
        self.reconciling.refuse(env.now, pause, hash);
    }

    /// Whether this is not to be asked for yet.
    pub(super) fn is_refused(&self, now: Time, hash: u64) -> bool {
        self.reconciling.is_refused(now, self.refusal(), hash)
    }

    pub(super) fn refusal(&self) -> Duration {
        self.timing.retry_max.max(self.timing.drip * 3)
    }

    /// A rumor came that was not held. If it was the last of those asked for, there may be more.
    pub(super) fn arrived(&mut self, env: &mut Env, ring: &impl Ring, hash: u64) {
        if !self.wanted.came(hash) {
            return;
        }
        let place = self.store.find_hash(hash);
        let Some(entry) = place.and_then(|place| self.store.get_mut(place)) else {
            // Going on would have it come again.
            return self.refuse(env, hash);
        };
        // Others may know it as well as who was asked: they are offered it, as if it had been told before,
        // else each newcomer would push everything that there is.
        entry.told = entry.told.max(1);
        if self.wanted.len() == 0
            && let Some(partner) = self.reconciling.partner
            && let Some(partner) = ring.peer(&partner)
        {
            self.compare(env, &partner);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_kept_is_asked_for_again_after_a_while() {
        let secs = Duration::from_secs;
        let (pause, start) = (secs(60), Time::ZERO + secs(1_000));
        let mut it = Reconciling::new();
        it.refuse(start, pause, 7);
        assert!(it.is_refused(start + secs(119), pause, 7));
        assert!(!it.is_refused(start + secs(120), pause, 7));
        // One that is refused later keeps it no longer than one more pause.
        it.refuse(start + secs(70), pause, 8);
        assert!(it.is_refused(start + secs(129), pause, 7));
        assert!(!it.is_refused(start + secs(130), pause, 7));
        assert!(it.is_refused(start + secs(130), pause, 8));
        it.refuse(start + secs(500), pause, 9);
        assert_eq!(it.refused(), 1, "the old are gone");
    }
}
