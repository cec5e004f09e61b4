//! Members that are gone for good (PROTOCOL.md §3, "Departure"): their services are retired, and what is heard
//! of them is answered and not adopted.

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use super::hot::Class;
use super::outbox::What;
use super::store::Put;
use super::{Effect, Gossip};
use crate::env::Env;
use crate::error::Reject;
use crate::limits::MAX_EXILED;
use crate::member::MemberId;
use crate::ring::{Peer, Ring};
use crate::rumor::{Audience, Rumor, RumorId};
use crate::time::Time;

pub(super) struct Departures {
    /// Departures that are held, the oldest first. They have no date, so that members could not agree on when
    /// to forget one, and would tell it each other for ever: they are held until there are too many.
    held: VecDeque<MemberId>,
    /// The same of members that were not known here when they departed, and may be made up: they make room first.
    of_strangers: VecDeque<MemberId>,
    /// No departure is told again before then.
    next_reminder: Time,
    /// Nobody is told again before then that a member is gone whose services it holds.
    next_gone_reminder: Time,
    /// No member that is gone for good is answered before then.
    next_answer: Time,
}

impl Departures {
    pub fn new() -> Self {
        Departures {
            held: VecDeque::new(),
            of_strangers: VecDeque::new(),
            next_reminder: Time::ZERO,
            next_gone_reminder: Time::ZERO,
            next_answer: Time::ZERO,
        }
    }

    /// Departures that are held.
    pub fn count(&self) -> usize {
        self.held.len() + self.of_strangers.len()
    }

    /// One more would take the place of a real one.
    fn is_full_of_known(&self) -> bool {
        self.held.len() >= MAX_EXILED
    }
}

/// Who says that a member is gone for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// This member's own user or disk.
    Own,
    Others,
}

/// Whether a departure is not one that anybody may have made up.
fn is_known(ring: &impl Ring, member: MemberId, word: Word) -> bool {
    word == Word::Own || member == ring.me() || ring.health(&member).is_some()
}

impl Gossip {
    /// A member is gone for good: the first who says so is believed, and nothing can undo it.
    pub(super) fn departure_heard(
        &mut self,
        env: &mut Env,
        ring: &impl Ring,
        member: MemberId,
        word: Word,
    ) -> Result<(), Reject> {
        let known = is_known(ring, member, word);
        let held = self.store.find(&RumorId::departure(member)).is_some();
        if !held && !known && self.departures.is_full_of_known() {
            return Err(Reject::StoreFull);
        }
        let place = match self.put(env, ring, &Rumor::Departure(member), "", None) {
            Put::New(place) => place,
            Put::Same(place) | Put::Older(place) => {
                self.heard_back(place);
                return Ok(());
            }
            Put::Confirmed(_) | Put::Corrected(_) => return Ok(()),
            Put::Full => return Err(Reject::StoreFull),
        };
        self.changed(env, place);
        self.carry_out_departure(env, ring, member, word);
        Ok(())
    }

    /// What a departure that is held now brings about.
    pub(super) fn carry_out_departure(
        &mut self,
        env: &mut Env,
        ring: &impl Ring,
        member: MemberId,
        word: Word,
    ) {
        let known = is_known(ring, member, word);
        if self.departures.count() >= MAX_EXILED {
            self.forget_one(env);
        }
        if known {
            self.departures.held.push_back(member);
        } else {
            self.departures.of_strangers.push_back(member);
        }
        self.retire_owned(env, member);
        self.effects.push_back(if member == ring.me() {
            Effect::Expelled
        } else {
            Effect::Exile(member)
        });
    }

    /// What members say of themselves that nobody speaks of any more is gone too: who came after they left would hold
    /// them for ever, and everybody else not. A member has from one sweep to the next to become known.
    pub(super) fn sweep_services(&mut self, env: &mut Env, ring: &impl Ring) {
        let (me, patience) = (ring.me(), self.word_lasts(ring));
        self.strangers.retain_dead(|member, heard| {
            env.now.since(heard) < patience && ring.health(member).is_none()
        });
        let is_lost = |member: &MemberId| {
            *member != me && ring.health(member).is_none() && !self.strangers.is_dead(member)
        };
        let lost: BTreeSet<MemberId> = self.store.owners().filter(is_lost).collect();
        self.strangers.forget_ghosts(env.now, self.refusal() * 2);
        for member in self.strangers.sweep(lost) {
            // Those whose sweep comes later still hold them: asked for again, they would go to and fro.
            let owned = self.store.owned_by(member);
            let hashes: Vec<u64> = owned.map(|(_, entry)| entry.hash).collect();
            for hash in hashes {
                self.refuse(env, hash);
            }
            self.retire_owned(env, member);
            self.strangers.add_ghost(env.now, member);
        }
    }

    /// How long the word counts that a stranger is Confirmed: whoever holds it for that says so in each comparison, so that in
    /// this time each member hears it again, but for a chance of e⁻⁶ (each begins one with a random other in `sync_max`).
    /// If nobody says so any more, all who did are gone.
    fn word_lasts(&self, ring: &impl Ring) -> Duration {
        let timing = &self.timing;
        let comparisons = timing.sync_max.saturating_mul(3 * ring.living() as u32);
        if comparisons.is_zero() {
            return timing.departed_after;
        }
        comparisons.min(timing.departed_after)
    }

    /// Somebody holds a service of a member that departed: that is told again, at most once a period.
    pub(super) fn remind_of_gone(&mut self, env: &Env, member: MemberId) {
        if env.now >= self.departures.next_gone_reminder {
            self.departures.next_gone_reminder = env.now + self.timing.period;
            self.effects.push_back(Effect::Remind(member));
        }
    }

    /// Others hold a member for Confirmed that is not known here.
    pub fn stranger_dead(&mut self, env: &Env, member: MemberId) {
        self.strangers.note_dead(env.now, self.refusal(), member);
    }

    /// Others say that a member is Departed that is not known here: its services are gone.
    pub fn stranger_gone(&mut self, env: &mut Env, member: MemberId) {
        self.strangers.note_gone(env.now, member);
        self.retire_owned(env, member);
    }

    /// Somebody believes in a member that is gone for good: it is told again, at most once a period.
    pub fn remind_of_departure(&mut self, env: &mut Env, member: MemberId) {
        if env.now < self.departures.next_reminder {
            return;
        }
        self.departures.next_reminder = env.now + self.timing.period;
        if let Some(place) = self.store.find(&RumorId::departure(member))
            && let Some(entry) = self.store.get(place)
            && !self.store.is_provisional(entry)
        {
            self.hot.heat(&mut self.store, place);
            self.push_soon(env);
        }
    }

    /// A member that is gone for good sent a message: it is told so, at most one such member a period.
    pub fn tell_exiled(&mut self, env: &mut Env, id: MemberId, addr: SocketAddr) {
        if env.now < self.departures.next_answer || addr.port() == 0 {
            return;
        }
        self.departures.next_answer = env.now + self.timing.period;
        let place = self.store.find(&RumorId::departure(id));
        if let Some((place, entry)) = place.and_then(|place| Some((place, self.store.get(place)?)))
            && !self.store.is_provisional(entry)
        {
            let peer = Peer {
                id,
                addr,
                ours: false,
                compares: false,
                heard: false,
                audience: Audience::Everyone,
            };
            self.outbox
                .push(&peer, What::Rumor(place, entry.hash), Class::Urgent);
        }
    }

    /// There are too many: the oldest departure of a member that was never known is forgotten, else the oldest of all.
    fn forget_one(&mut self, env: &mut Env) {
        let departures = &mut self.departures;
        let stranger = departures.of_strangers.pop_front();
        let Some(member) = stranger.or_else(|| departures.held.pop_front()) else {
            return;
        };
        if let Some(place) = self.store.find(&RumorId::departure(member)) {
            if let Some(entry) = self.store.get(place) {
                self.tombstones.bury(entry.hash);
            }
            self.retire(env, place);
        }
        self.effects.push_back(Effect::Pardon(member));
    }
}
