//! What peers that cannot compare stores have yet to get: what no connection took for them, and everything
//! for those that are new or started again, told by a few responsible members; and one rumor after the other again, slowly, so
//! that whatever was lost is made good.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::hot::Class;
use super::outbox::What;
use super::{Effect, Gossip};
use crate::env::{Env, Timer};
use crate::expected::Expected;
use crate::limits::MAX_DEBTORS;
use crate::member::MemberId;
use crate::ring::{Peer, Ring};
use crate::rumor::Audience;
use crate::time::Time;

/// Single rumors that a peer is owed; who is owed more gets everything.
const MOST_OWED: usize = 64;

/// Rumors pushed to one peer in one go.
const BATCH: usize = 64;

/// Members that tell a newcomer everything, on average.
const RESPONSIBLE: u64 = 4;

/// Rounds in which a newcomer may show that it compares, before it is taken for one that does not.
const DOUBT: u8 = 3;

/// How far a peer was told everything.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tour {
    /// The members from this place on, then the rumors.
    Members(u32),
    /// The rumors with hashes from this one on.
    Rumors(u64),
}

/// What one peer is owed.
struct Debt {
    tour: Option<Tour>,
    owed: VecDeque<What>,
    /// Pushes of which it is not known yet whether they were taken.
    under_way: usize,
    /// Nothing is pushed before then: the peer took nothing of late.
    wait_until: Time,
    pause: Duration,
}

impl Debt {
    fn new(pause: Duration) -> Self {
        Debt {
            tour: None,
            owed: VecDeque::new(),
            under_way: 0,
            wait_until: Time::ZERO,
            pause,
        }
    }

    fn is_settled(&self) -> bool {
        self.tour.is_none() && self.owed.is_empty() && self.under_way == 0
    }
}

/// Who may have to be told everything.
struct Newcomer {
    id: MemberId,
    /// Rounds that are left to find out whether it compares.
    rounds: u8,
    /// It was greeted of late.
    not_before: Time,
}

pub(super) struct Arrears {
    debts: BTreeMap<MemberId, Debt>,
    newcomers: VecDeque<Newcomer>,
    /// Until when members that were greeted again are not greeted once more.
    greeted: BTreeMap<MemberId, Time>,
    round: bool,
    /// How many living members were known to be originals at that time.
    originals: Option<(Time, usize)>,
    /// From where on rumors are told again, slowly.
    drip: u64,
}

impl Arrears {
    pub fn new() -> Self {
        Arrears {
            debts: BTreeMap::new(),
            newcomers: VecDeque::new(),
            greeted: BTreeMap::new(),
            round: false,
            originals: None,
            drip: 0,
        }
    }

    /// The peer is gone: when it is back, it gets everything anew.
    pub fn forget(&mut self, id: &MemberId) {
        self.debts.remove(id);
    }

    /// Peers that are owed something, newcomers that may come to be, and those that were greeted again of late.
    pub fn remembered(&self) -> (usize, usize, usize) {
        (self.debts.len(), self.newcomers.len(), self.greeted.len())
    }

    /// Something for this peer is not held any more.
    pub fn out_of_date(&mut self, id: &MemberId) {
        if let Some(debt) = self.debts.get_mut(id) {
            debt.under_way = debt.under_way.saturating_sub(1);
        }
    }

    fn debt(&mut self, id: MemberId, pause: Duration) -> Option<&mut Debt> {
        if self.debts.len() >= MAX_DEBTORS && !self.debts.contains_key(&id) {
            return None;
        }
        Some(self.debts.entry(id).or_insert_with(|| Debt::new(pause)))
    }

    /// The peer did not get this rumor. Who compares finds out by itself.
    pub fn owe(&mut self, peer: &Peer, what: What) {
        if !peer.ours
            && let Some(debt) = self.debt(peer.id, Duration::ZERO)
        {
            debt.add(what);
        }
    }
}

impl Debt {
    fn add(&mut self, what: What) {
        if self.owed.len() < MOST_OWED {
            self.owed.push_back(what);
        } else {
            self.owed.clear();
            self.tour = Some(Tour::Members(0));
        }
    }
}

impl Gossip {
    /// A member is new here, or came back: a few members see to it that it hears of everything, the same
    /// ones by everyone's reckoning.
    pub(super) fn greet(&mut self, env: &mut Env, ring: &impl Ring, newcomer: MemberId) {
        let sharing = self.sharing(env, ring);
        if newcomer == ring.me() || !is_responsible(ring.me(), newcomer, sharing) {
            return;
        }
        self.greet_from(env, newcomer, env.now);
    }

    /// A member may have started again. Whoever keeps raising its incarnation is not told everything each time.
    pub(super) fn greet_again(&mut self, env: &mut Env, ring: &impl Ring, id: MemberId) {
        let waits = self.arrears.newcomers.iter().any(|one| one.id == id);
        let sharing = self.sharing(env, ring);
        if waits || !is_responsible(ring.me(), id, sharing) {
            return;
        }
        let greeted = &mut self.arrears.greeted;
        greeted.retain(|_, until| *until > env.now);
        // Who finds no room here is told everything again slowly.
        if greeted.len() < MAX_DEBTORS || greeted.contains_key(&id) {
            let not_before = greeted.get(&id).copied().unwrap_or(env.now);
            greeted.insert(id, not_before + self.timing.retry_max);
            self.greet_from(env, id, not_before);
        }
    }

    /// Members that share this duty: the living ones but for originals, which have no such duties. Counted once a
    /// period at most.
    fn sharing(&mut self, env: &Env, ring: &impl Ring) -> usize {
        let counted = self.arrears.originals;
        let fresh = counted.filter(|(at, _)| env.now < *at + self.timing.period);
        let originals = match fresh {
            Some((_, originals)) => originals,
            None => {
                let originals = ring.peers().filter(|peer| peer.heard && !peer.ours).count();
                self.arrears.originals = Some((env.now, originals));
                originals
            }
        };
        ring.living().saturating_sub(originals)
    }

    fn greet_from(&mut self, env: &mut Env, id: MemberId, not_before: Time) {
        let waits = self.arrears.newcomers.iter().any(|one| one.id == id);
        if !waits && self.arrears.newcomers.len() < MAX_DEBTORS {
            // It is not asked at once: a stranger's ping must not provoke more than its answer.
            self.arrears.newcomers.push_back(Newcomer {
                id,
                rounds: DOUBT,
                not_before,
            });
            self.round_soon(env);
        }
    }

    fn round_soon(&mut self, env: &mut Env) {
        if !self.arrears.round {
            self.arrears.round = true;
            let next = env.now + self.timing.period;
            env.timers.insert(next, Timer::RumorRound);
        }
    }

    /// Once a period, while there are newcomers or debts.
    pub(super) fn round_due(&mut self, env: &mut Env, ring: &impl Ring) {
        self.arrears.round = false;
        // Whoever gets everything is not to miss what the disk held.
        let sorted = match self.store.provisional() {
            0 => self.arrears.newcomers.len(),
            _ => 0,
        };
        for _ in 0..sorted {
            let Some(newcomer) = self.arrears.newcomers.pop_front() else {
                break;
            };
            if newcomer.not_before > env.now {
                self.arrears.newcomers.push_back(newcomer);
            } else {
                self.sort_newcomer(ring, newcomer);
            }
        }
        let debtors: Vec<_> = self.arrears.debts.keys().copied().collect();
        for id in debtors {
            self.pay(env, ring, id);
        }
        if !self.arrears.newcomers.is_empty() || !self.arrears.debts.is_empty() {
            self.round_soon(env);
        }
    }

    /// A newcomer that compares gets what it lacks by itself; any other is owed everything.
    fn sort_newcomer(&mut self, ring: &impl Ring, newcomer: Newcomer) {
        let Newcomer { id, rounds, .. } = newcomer;
        let Some(peer) = ring.peer(&id).filter(|peer| !peer.ours) else {
            return;
        };
        if !peer.heard && rounds > 0 {
            let rounds = rounds - 1;
            self.arrears
                .newcomers
                .push_back(Newcomer { rounds, ..newcomer });
            self.effects.push_back(Effect::Introduce(id));
        } else if let Some(debt) = self.arrears.debt(id, Duration::ZERO) {
            debt.tour = Some(Tour::Members(0));
        }
    }

    /// Pushes the next batch of what a peer is owed.
    fn pay(&mut self, env: &mut Env, ring: &impl Ring, id: MemberId) {
        let Some(peer) = ring.peer(&id).filter(|peer| !peer.ours) else {
            return self.arrears.forget(&id);
        };
        let Some(mut debt) = self.arrears.debts.remove(&id).expected() else {
            return;
        };
        if debt.under_way == 0 && env.now >= debt.wait_until {
            for _ in 0..BATCH {
                let Some(what) = self.next_owed(ring, &mut debt) else {
                    break;
                };
                if !self.outbox.push(&peer, what, self.class_of(what)) {
                    debt.owed.push_front(what);
                    break;
                }
                debt.under_way += 1;
            }
        }
        if !debt.is_settled() {
            self.arrears.debts.insert(id, debt);
        }
    }

    fn class_of(&self, what: What) -> Class {
        match what {
            What::Member(_) | What::Candidacy(..) => Class::Urgent,
            What::Rumor(place, hash) => {
                let held = self.store.get_if(place, hash);
                held.map_or(Class::Ordinary, |entry| {
                    Class::of(entry.id.kind, entry.bytes.len())
                })
            }
        }
    }

    fn next_owed(&self, ring: &impl Ring, debt: &mut Debt) -> Option<What> {
        if let Some(what) = debt.owed.pop_front() {
            return Some(what);
        }
        if let Some(Tour::Members(place)) = debt.tour {
            match ring.living_from(place) {
                Some((member, next)) => {
                    debt.tour = Some(Tour::Members(next));
                    return Some(What::Member(member));
                }
                None => debt.tour = Some(Tour::Rumors(0)),
            }
        }
        if let Some(Tour::Rumors(from)) = debt.tour {
            let next = self
                .store
                .hashes(Audience::Everyone, from..=u64::MAX)
                .next();
            debt.tour = next.and_then(|(hash, _)| hash.checked_add(1).map(Tour::Rumors));
            return next.map(|(hash, place)| What::Rumor(place, hash));
        }
        None
    }

    /// Something was taken for a peer, or was not.
    pub(super) fn arrears_settled(&mut self, env: &mut Env, peer: &Peer, what: What, taken: bool) {
        if peer.ours {
            return self.arrears.forget(&peer.id);
        }
        let (least, most) = (self.timing.period, self.timing.retry_max);
        if taken {
            if let Some(debt) = self.arrears.debts.get_mut(&peer.id) {
                debt.under_way = debt.under_way.saturating_sub(1);
                debt.pause = least;
                if debt.under_way == 0 {
                    debt.wait_until = env.now;
                }
            }
            return;
        }
        if let Some(debt) = self.arrears.debt(peer.id, least) {
            debt.under_way = debt.under_way.saturating_sub(1);
            debt.add(what);
            if env.now >= debt.wait_until {
                debt.wait_until = env.now + debt.pause;
                debt.pause = (debt.pause * 2).clamp(least, most);
            }
            self.round_soon(env);
        }
    }

    pub(super) fn drip_later(&self, env: &mut Env) {
        if !self.timing.drip.is_zero() {
            let next = env.now + self.timing.drip;
            env.timers.insert(next, Timer::RumorDrip);
        }
    }

    /// Tells a random peer that cannot compare some of the rumors again.
    pub(super) fn drip_due(&mut self, env: &mut Env, ring: &impl Ring) {
        self.drip_later(env);
        self.sweep_services(env, ring);
        let mut chosen = std::mem::take(&mut self.chosen);
        ring.pick(Audience::Everyone, 1, &mut env.rng, &mut chosen);
        for peer in chosen.iter().filter(|peer| !peer.ours && peer.heard) {
            let from = self.arrears.drip;
            let next = self.store.hashes(Audience::Everyone, from..=u64::MAX);
            let rumors: Vec<_> = next.take(BATCH).collect();
            for (hash, place) in &rumors {
                let what = What::Rumor(*place, *hash);
                self.outbox.push(peer, what, self.class_of(what));
            }
            let last = rumors.last().filter(|_| rumors.len() == BATCH);
            self.arrears.drip = last.map_or(0, |(last, _)| last.saturating_add(1));
        }
        self.chosen = chosen;
    }
}

/// Whether this member is one of those that tell a newcomer everything: about [`RESPONSIBLE`] of all living
/// ones, chosen by the ids alone, so that nobody has to be asked or looked at.
fn is_responsible(me: MemberId, newcomer: MemberId, living: usize) -> bool {
    let (me, newcomer) = (half(me), half(newcomer));
    let draw = (me ^ newcomer.rotate_left(32))
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .rotate_left(29)
        .wrapping_mul(0xbf58_476d_1ce4_e5b9);
    draw <= (u64::MAX / living.max(1) as u64).saturating_mul(RESPONSIBLE)
}

/// Both halves of an id in one number.
fn half(id: MemberId) -> u64 {
    let id = u128::from_be_bytes(*id.as_bytes());
    (id ^ id >> 64) as u64
}
