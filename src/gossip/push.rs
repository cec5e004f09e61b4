//! Telling what is hot: to the successor and a few random members at once, then to others after each interval,
//! until it was told or heard back often enough. Peers that can ask for rumors get them only at the first telling, and not
//! if they are big; later they are just told what there is, by a datagram.

use super::Gossip;
use super::hot::{Class, Telling};
use super::outbox::{Push, PushId, What};
use super::reconcile::HASHES;
use super::store::{Entry, Place};
use crate::env::{Env, Timer};
use crate::expected::Expected;
use crate::member::MemberId;
use crate::ring::{Peer, Ring};
use crate::rumor::Audience;
use crate::time::Time;
use crate::wire::reconcile::Part;

/// Rumors told in one go at most; the rest is told at the next.
const MOST_AT_ONCE: usize = 1_024;

impl Gossip {
    /// Tells what is fresh to some members, at once.
    pub(super) fn push_due(&mut self, env: &mut Env, ring: &impl Ring) {
        self.pushing = false;
        self.tell_some(env, ring, Telling::First);
        if self.hot.has_fresh() {
            self.push_soon(env);
        }
    }

    /// Tells what is hot again, to others, and goes on until nothing is.
    pub(super) fn again_due(&mut self, env: &mut Env, ring: &impl Ring) {
        self.telling = false;
        self.tell_some(env, ring, Telling::Again);
    }

    /// Tells all that is hot, due or not.
    pub fn tell_now(&mut self, env: &mut Env, ring: &impl Ring) {
        self.tell_some(env, ring, Telling::First);
        self.tell_some(env, ring, Telling::Again);
    }

    pub(super) fn tell_some(&mut self, env: &mut Env, ring: &impl Ring, telling: Telling) {
        for audience in Audience::ALL {
            if self.hot.has(audience, telling) {
                self.tell_audience(env, ring, audience, telling);
            }
        }
        if !self.hot.is_empty() && !self.telling {
            self.telling = true;
            let next = env.now + self.timing.gossip_interval;
            env.timers.insert(next, Timer::RumorAgain);
        }
    }

    fn tell_audience(
        &mut self,
        env: &mut Env,
        ring: &impl Ring,
        audience: Audience,
        telling: Telling,
    ) {
        let mut chosen = std::mem::take(&mut self.chosen);
        let fanout = self.timing.gossip_fanout;
        ring.pick(audience, fanout, &mut env.rng, &mut chosen);
        if chosen.is_empty() {
            self.cool_all(audience);
        } else {
            // Behind the others, as it is only for rumors that were told to nobody yet. One alone is random,
            // else the rumor would go around the circle.
            let is_new = |next: &Peer| chosen.iter().all(|peer| peer.id != next.id);
            let next = self.successor(ring).filter(|_| fanout > 1);
            let next = next.filter(|next| next.audience >= audience && is_new(next));
            chosen.extend(next);
            self.tell(ring, &chosen, audience, telling);
        }
        self.chosen = chosen;
    }

    /// The peer that comes next. (Who got a rumor because it asked for it, as for all above 8 KiB, tells it on by
    /// hashes only.)
    fn successor(&mut self, ring: &impl Ring) -> Option<Peer> {
        let lives = |id: &MemberId| ring.peer(id).is_some();
        let all = || ring.peers().map(|peer| peer.id);
        ring.peer(&self.successor.get(&ring.me(), lives, all)?)
    }

    /// Nobody is there to be told: whoever comes is a newcomer, and gets everything.
    fn cool_all(&mut self, audience: Audience) {
        for class in Class::ALL {
            for telling in [Telling::First, Telling::Again] {
                while let Some(place) = self.hot.first(audience, class, telling) {
                    self.hot.cool(&mut self.store, place);
                }
            }
        }
    }

    /// Tells rumors to these peers, which take them: each of those that are fresh, or of those that are not, once.
    fn tell(&mut self, ring: &impl Ring, peers: &[Peer], audience: Audience, telling: Telling) {
        let enough = self.enough(ring);
        let mut offers = vec![Vec::new(); peers.len()];
        let mut left = MOST_AT_ONCE;
        for class in Class::ALL {
            let mut first = None;
            while let Some(place) = self
                .hot
                .first(audience, class, telling)
                .filter(|_| left > 0)
            {
                // Those that were told are behind the others: once around is enough.
                if first == Some(place) {
                    break;
                }
                left -= 1;
                let is_cold = self.tell_one(place, class, peers, &mut offers, enough);
                if !is_cold && telling == Telling::Again {
                    first = first.or(Some(place));
                }
            }
        }
        for (peer, hashes) in peers.iter().zip(offers) {
            for hashes in hashes.chunks(HASHES) {
                let mut parts = Vec::new();
                Part::Have(hashes.to_vec()).write(&mut parts);
                self.outbox.talk(peer.id, parts);
            }
        }
    }

    /// Tells one rumor to these peers; whether it is cold now.
    fn tell_one(
        &mut self,
        place: Place,
        class: Class,
        peers: &[Peer],
        offers: &mut [Vec<u64>],
        enough: u8,
    ) -> bool {
        let Some(entry) = self.store.get_mut(place).expected() else {
            return true;
        };
        let is_cold = |entry: &Entry| entry.told.saturating_add(entry.heard) >= enough;
        if entry.told > 0 && is_cold(entry) {
            self.hot.cool(&mut self.store, place);
            return true;
        }
        let (hash, first) = (entry.hash, entry.told == 0);
        let what = What::Rumor(place, hash);
        let told = self.timing.gossip_fanout.min(peers.len());
        entry.told = entry
            .told
            .saturating_add(u8::try_from(told).unwrap_or(u8::MAX));
        let cold = is_cold(entry);
        // The successor, if it is none of the random ones, in the place of one of them.
        let skipped = if first { peers.len() - told } else { 0 };
        for (peer, offer) in peers.iter().zip(offers).skip(skipped).take(told) {
            if peer.compares && (class == Class::Bulky || !first) {
                offer.push(hash);
            } else if class == Class::Bulky && !peer.heard {
                // Whether it can ask shows soon; others tell it until then.
            } else if !self.outbox.push(peer, what, class) {
                self.arrears.owe(peer, what);
            }
        }
        if cold {
            self.hot.cool(&mut self.store, place);
        } else {
            self.hot.told(&self.store, place, class);
        }
        cold
    }

    /// The next push that is not out of date; `bytes` tells the size of what it holds, and `None` that it is
    /// not held any more, or not for that peer any more.
    pub fn next_push(
        &mut self,
        now: Time,
        bytes: impl Fn(&super::Store, &PushId) -> Option<usize>,
    ) -> Option<Push> {
        loop {
            let push = self.outbox.next(now)?;
            if let Some(bytes) = bytes(&self.store, &push.id) {
                self.outbox.spend(bytes);
                return Some(push);
            }
            self.arrears.out_of_date(&push.id.peer);
        }
    }

    /// A push was taken, or was not: then the peer is owed it, unless it finds out by itself.
    pub fn handle_sent(&mut self, env: &mut Env, ring: &impl Ring, id: PushId, taken: bool) {
        let Some(peer) = ring.peer(&id.peer) else {
            self.arrears.forget(&id.peer);
            return;
        };
        if let (What::Rumor(_, hash), false) = (id.what, taken) {
            self.served.failed(id.peer, hash);
        }
        self.arrears_settled(env, &peer, id.what, taken);
    }
}
