//! Addresses asked for ever, ever more slowly: how a member finds its ring, and finds it again.

use std::net::SocketAddr;
use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;

use super::Swim;
use super::outbox::Compare;
use super::slots::Slots;
use crate::config::Timing;
use crate::env::{Env, Timer};
use crate::event::{Event, SeedId};
use crate::limits::{MAX_SEED_ADDRESSES, MAX_SEEDS, ORDINARY_DATAGRAM};
use crate::member::MemberId;
use crate::stats::Gauge;
use crate::time::Time;
use crate::timer::TimerKey;
use crate::view::{SeedAnswer, SeedView};

/// An address, or a name that the driver resolves, at which members of the ring may be found.
#[derive(Hash)]
struct Seed {
    /// `None`: known by name only.
    addr: Option<SocketAddr>,
    /// What its name stood for when it was resolved last.
    resolved: Vec<SocketAddr>,
    timer: Option<TimerKey>,
    pause: Duration,
    /// Who answered there last.
    answer: Option<SeedAnswer>,
}

impl Seed {
    fn is_at(&self, addr: SocketAddr) -> bool {
        self.addr == Some(addr) || self.resolved.contains(&addr)
    }
}

#[derive(Hash)]
pub(super) struct Seeds {
    held: Slots<Seed>,
}

impl Seeds {
    pub fn new() -> Self {
        Seeds { held: Slots::new() }
    }

    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// This address is asked from now on; `None`: there are too many that answered.
    fn add(&mut self, env: &mut Env, timing: &Timing, addr: Option<SocketAddr>) -> Option<SeedId> {
        let known = self.find(|seed| addr.is_some() && seed.addr == addr);
        let key = match known {
            Some(key) => key,
            None if !self.make_room(env) => return None,
            None => self.held.insert(Seed {
                addr,
                resolved: Vec::new(),
                timer: None,
                pause: timing.period,
                answer: None,
            }),
        };
        self.begin(env, timing, key);
        Some(SeedId(key as u32))
    }

    fn find(&self, is_it: impl Fn(&Seed) -> bool) -> Option<usize> {
        let found = self.held.iter().find(|(_, seed)| is_it(seed));
        found.map(|(key, _)| key)
    }

    /// Whether one more seed fits, if need be in the place of the address that was asked for longest and never answered.
    fn make_room(&mut self, env: &mut Env) -> bool {
        if self.held.len() < MAX_SEEDS {
            return true;
        }
        let silent = self.held.iter();
        let silent = silent.filter(|(_, seed)| seed.addr.is_some() && seed.answer.is_none());
        let oldest = silent
            .max_by_key(|(_, seed)| seed.pause)
            .map(|(key, _)| key);
        oldest.is_some_and(|key| self.drop(env, key))
    }

    /// This member answered a question at this address.
    pub fn answered(&mut self, at: Time, by: MemberId, addr: SocketAddr) {
        for (_, seed) in self.held.iter_mut() {
            if seed.is_at(addr) {
                seed.answer = Some(SeedAnswer { by, addr, at });
            }
        }
    }

    /// What is known of this one.
    pub fn view(&self, seed: SeedId) -> Option<SeedView> {
        let held = self.held.get(seed.0 as usize)?;
        Some(SeedView {
            addr: held.addr,
            answer: held.answer,
        })
    }

    /// What this one's name stands for; whether it is one.
    fn resolved(&mut self, seed: SeedId, addrs: &[SocketAddr]) -> bool {
        let held = self.held.get_mut(seed.0 as usize);
        held.map(|seed| seed.resolved = addrs.to_vec()).is_some()
    }

    fn drop(&mut self, env: &mut Env, key: usize) -> bool {
        let seed = self.held.try_remove(key);
        if let Some(timer) = seed.as_ref().and_then(|seed| seed.timer) {
            env.timers.cancel(timer);
        }
        seed.is_some()
    }

    /// A seed is asked as if it were new.
    fn begin(&mut self, env: &mut Env, timing: &Timing, key: usize) -> Option<&mut Seed> {
        let seed = self.held.get_mut(key)?;
        if let Some(timer) = seed.timer.take() {
            env.timers.cancel(timer);
        }
        seed.pause = timing.period;
        Some(seed)
    }

    /// Asks a seed soon, and then as if it were new.
    fn ask_soon(&mut self, env: &mut Env, timing: &Timing, key: usize) {
        if let Some(seed) = self.begin(env, timing, key) {
            seed.timer = Some(env.timers.insert(env.now, Timer::SeedDue(key as u32)));
        }
    }

    /// Nobody is left: all are asked as if they were new.
    pub fn ask_again(&mut self, env: &mut Env, timing: &Timing) {
        for key in 0..self.held.capacity() {
            self.ask_soon(env, timing, key);
        }
    }

    /// This one is asked now, and again later; its address, if it has one. `None`: it is no seed any more.
    fn due(&mut self, env: &mut Env, timing: &Timing, key: u32) -> Option<Option<SocketAddr>> {
        let seed = self.held.get_mut(key as usize)?;
        let next = env.now + jittered(seed.pause, &mut env.rng);
        seed.timer = Some(env.timers.insert(next, Timer::SeedDue(key)));
        seed.pause = (seed.pause * 2).min(timing.retry_max);
        Some(seed.addr)
    }

    pub fn sizes(&self) -> [Gauge; 1] {
        [Gauge::new("seeds", self.held.len(), MAX_SEEDS)]
    }
}

/// The pause, up to a tenth shorter or longer, so that members which began together spread out.
pub(super) fn jittered(pause: Duration, rng: &mut StdRng) -> Duration {
    pause.mul_f64(rng.random_range(0.9..1.1))
}

impl Swim {
    /// Asks this address, at once and from now on; `None`: there are too many that answered.
    pub fn join(&mut self, env: &mut Env, addr: Option<SocketAddr>) -> Option<SeedId> {
        let seed = self.seeds.add(env, &self.timing, addr)?;
        self.seed_due(env, seed.0);
        Some(seed)
    }

    pub(super) fn seed_due(&mut self, env: &mut Env, key: u32) {
        if self.is_leaving() {
            return;
        }
        match self.seeds.due(env, &self.timing, key) {
            Some(Some(addr)) => self.ping_seed(addr),
            Some(None) => env.journal.event(Event::SeedDue { seed: SeedId(key) }),
            None => {}
        }
    }

    /// Asks this seed no more; whether it did.
    pub fn unjoin(&mut self, env: &mut Env, seed: SeedId) -> bool {
        self.seeds.drop(env, seed.0 as usize)
    }

    /// What is known of a seed.
    pub fn seed(&self, seed: SeedId) -> Option<SeedView> {
        self.seeds.view(seed)
    }

    /// A seed's name stands for these addresses at the moment.
    pub fn seed_resolved(&mut self, seed: SeedId, addrs: impl Iterator<Item = SocketAddr>) {
        let addrs: Vec<_> = addrs.take(MAX_SEED_ADDRESSES).collect();
        if !self.is_leaving() && self.seeds.resolved(seed, &addrs) {
            for addr in addrs {
                self.ping_seed(addr);
            }
        }
    }

    fn ping_seed(&mut self, to: SocketAddr) {
        self.ask(to, None, None, ORDINARY_DATAGRAM, Compare::Tables);
    }

    /// A ping with the own id and this number arrived: if it is one that went to a seed, that seed is
    /// this very member, and is not asked again.
    pub(super) fn seed_is_myself(&mut self, env: &mut Env, number: u64) -> bool {
        let is_mine = |addr| self.is_question(number, addr);
        let mine = self.seeds.find(|seed| seed.addr.is_some_and(is_mine));
        mine.is_some_and(|key| self.seeds.drop(env, key))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::env;
    use super::*;

    fn at(number: usize) -> Option<SocketAddr> {
        Some(SocketAddr::from((
            [10, 0, (number >> 8) as u8, number as u8],
            1,
        )))
    }

    #[test]
    fn a_seed_is_asked_at_once_and_then_ever_more_slowly() {
        let (timing, mut env) = (Timing::lan(), env());
        let mut seeds = Seeds::new();
        let seed = seeds.add(&mut env, &timing, at(1)).unwrap();
        assert_eq!(
            seeds.add(&mut env, &timing, at(1)),
            Some(seed),
            "the same again"
        );
        let deadline = |seeds: &Seeds, env: &Env| {
            let timer = seeds.held.get(seed.0 as usize).unwrap().timer.unwrap();
            env.timers.deadline_of(timer).unwrap()
        };
        assert_eq!(env.timers.live(), 0, "it is not waited for");
        for periods in [1.0, 2.0, 4.0] {
            assert_eq!(seeds.due(&mut env, &timing, seed.0), Some(at(1)));
            let pause = deadline(&seeds, &env).since(env.now).as_secs_f64();
            let jitter = pause / timing.period.as_secs_f64() / periods;
            assert!((0.89..1.11).contains(&jitter), "{jitter}");
        }
        seeds.ask_again(&mut env, &timing);
        assert_eq!(deadline(&seeds, &env), env.now);
    }

    #[test]
    fn one_that_never_answered_makes_room_and_one_that_did_stays() {
        let (timing, mut env) = (Timing::lan(), env());
        let mut seeds = Seeds::new();
        for number in 0..MAX_SEEDS {
            assert!(seeds.add(&mut env, &timing, at(number)).is_some());
            if number > 0 {
                answer(&mut seeds, number);
            }
        }
        assert!(seeds.add(&mut env, &timing, at(MAX_SEEDS)).is_some());
        assert_eq!(seeds.find(|seed| seed.addr == at(0)), None);
        answer(&mut seeds, MAX_SEEDS);
        assert_eq!(seeds.add(&mut env, &timing, at(MAX_SEEDS + 1)), None);
    }

    fn answer(seeds: &mut Seeds, number: usize) {
        seeds.answered(
            Time::ZERO,
            MemberId::from_bytes([7; 16]),
            at(number).unwrap(),
        );
    }

    #[test]
    fn one_is_known_to_have_answered_also_by_what_its_name_stands_for() {
        let (timing, mut env) = (Timing::lan(), env());
        let mut seeds = Seeds::new();
        let named = seeds.add(&mut env, &timing, None).unwrap();
        let by_addr = seeds.add(&mut env, &timing, at(1)).unwrap();
        for seed in [named, by_addr] {
            seeds.due(&mut env, &timing, seed.0);
        }
        let by = |seeds: &Seeds, seed| seeds.view(seed).unwrap().answer.map(|it| it.addr);
        assert!(seeds.resolved(named, &[at(2).unwrap(), at(3).unwrap()]));
        answer(&mut seeds, 3);
        assert_eq!((by(&seeds, named), by(&seeds, by_addr)), (at(3), None));
        answer(&mut seeds, 1);
        assert_eq!((by(&seeds, named), by(&seeds, by_addr)), (at(3), at(1)));
        assert!(seeds.drop(&mut env, named.0 as usize));
        assert!(seeds.view(named).is_none() && !seeds.resolved(named, &[]));
        assert_eq!(env.timers.live(), 1, "it is asked no more");
    }
}
