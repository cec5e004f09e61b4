//! Telling what is hot: to a few random members at once, then to others after each interval, until it was
//! told or heard back often enough. Peers that can ask for rumors get them only at the first telling, and not
//! if they are big; later they are just told what there is, by a datagram.

use super::Gossip;
use super::hot::{Class, tellings};
use super::outbox::{PushId, What};
use super::store::Place;
use crate::env::{Env, Timer};
use crate::ring::{Peer, Ring};
use crate::wire::reconcile::Part;

/// Rumors told in one go at most; the rest is told at the next.
const MOST_AT_ONCE: usize = 1_024;

/// Hashes in one datagram.
const HASHES: usize = 96;

impl Gossip {
    /// There is something to tell: it is told soon, together with what comes until then.
    pub(super) fn push_soon(&mut self, env: &mut Env) {
        if !self.pushing {
            self.pushing = true;
            env.timers.insert(env.now, Timer::RumorPush);
        }
    }

    /// Tells what is hot to some members, and goes on until nothing is.
    pub fn push_due(&mut self, env: &mut Env, ring: &impl Ring) {
        self.pushing = false;
        let mut chosen = std::mem::take(&mut self.chosen);
        ring.pick(self.timing.gossip_fanout, &mut env.rng, &mut chosen);
        if !chosen.is_empty() {
            self.tell(ring, &chosen);
            self.again(env);
        } else {
            self.cool_all();
        }
        self.chosen = chosen;
    }

    fn again(&mut self, env: &mut Env) {
        if !self.hot.is_empty() && !self.pushing {
            self.pushing = true;
            let next = env.now + self.timing.gossip_interval;
            env.timers.insert(next, Timer::RumorPush);
        }
    }

    /// Nobody is there to be told: whoever comes is a newcomer, and gets everything.
    fn cool_all(&mut self) {
        for class in Class::ALL {
            while let Some(place) = self.hot.first(class) {
                self.hot.cool(&mut self.store, place);
            }
        }
    }

    fn tell(&mut self, ring: &impl Ring, peers: &[Peer]) {
        let enough = tellings(self.timing.gossip_factor, ring.living());
        let mut offers = vec![Vec::new(); peers.len()];
        let mut left = self.hot.len().min(MOST_AT_ONCE);
        for class in Class::ALL {
            let mut first = None;
            while let Some(place) = self.hot.first(class).filter(|_| left > 0) {
                // Once around is enough.
                if first == Some(place) {
                    break;
                }
                first = first.or(Some(place));
                left -= 1;
                if self.tell_one(place, class, peers, &mut offers, enough) {
                    // It went cold: another is first now.
                    first = first.filter(|first| *first != place);
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
        let Some(entry) = self.store.get_mut(place) else {
            return true;
        };
        let (hash, first) = (entry.hash, entry.told == 0);
        entry.told = entry
            .told
            .saturating_add(u8::try_from(peers.len()).unwrap_or(u8::MAX));
        let cold = entry.told.saturating_add(entry.heard) >= enough;
        for (peer, offer) in peers.iter().zip(offers) {
            if peer.compares && (class == Class::Bulky || !first) {
                offer.push(hash);
            } else if class == Class::Bulky && !peer.heard {
                // Whether it can ask shows soon; others tell it until then.
            } else if !self.outbox.push(peer, What::Rumor(hash), class) {
                self.arrears.owe(peer, hash);
            }
        }
        if cold {
            self.hot.cool(&mut self.store, place);
        } else {
            self.hot.told(&self.store, place);
        }
        cold
    }

    /// A peer told what is held here already: one more that need not be told.
    pub(super) fn heard_back(&mut self, place: Place) {
        if let Some(entry) = self.store.get_mut(place)
            && entry.hot.is_some()
        {
            entry.heard = entry.heard.saturating_add(1);
        }
    }

    /// ZeroMQ took a push, or did not: then the peer is owed it, unless it finds out by itself.
    pub fn handle_sent(&mut self, env: &mut Env, ring: &impl Ring, id: PushId, taken: bool) {
        let Some(peer) = ring.peer(&id.peer) else {
            self.arrears.forget(&id.peer);
            return;
        };
        self.arrears_settled(env, &peer, id.what, taken);
    }
}
