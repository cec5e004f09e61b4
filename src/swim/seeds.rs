//! Addresses asked for ever, ever more slowly: how a member finds its ring, and finds it again.

use std::net::SocketAddr;
use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;

use super::Swim;
use crate::env::{Env, Timer};
use crate::event::{Event, SeedId};
use crate::limits::{MAX_SEED_ADDRESSES, MAX_SEEDS, ORDINARY_DATAGRAM};
use crate::timer::TimerKey;

/// An address, or a name that the driver resolves, at which members of the ring may be found.
pub(super) struct Seed {
    /// `None`: known by name only.
    addr: Option<SocketAddr>,
    timer: Option<TimerKey>,
    pause: Duration,
    /// It answered once.
    answered: bool,
}

/// The pause, up to a tenth shorter or longer, so that members which began together spread out.
pub(super) fn jittered(pause: Duration, rng: &mut StdRng) -> Duration {
    pause.mul_f64(rng.random_range(0.9..1.1))
}

impl Swim {
    /// Asks this address from now on; `None`: there are too many that answered. One that is asked already is asked
    /// again soon.
    pub fn join(&mut self, env: &mut Env, addr: Option<SocketAddr>) -> Option<SeedId> {
        let known = self
            .seeds
            .iter()
            .find(|(_, seed)| addr.is_some() && seed.addr == addr)
            .map(|(key, _)| key);
        let key = match known {
            Some(key) => key,
            None if !self.make_room_for_seed(env) => return None,
            None => self.seeds.insert(Seed {
                addr,
                timer: None,
                pause: self.timing.period,
                answered: false,
            }),
        };
        self.ask_seed_soon(env, key);
        Some(SeedId(key as u32))
    }

    /// Whether one more seed fits, if need be in the place of the address that was asked for longest and never answered.
    fn make_room_for_seed(&mut self, env: &mut Env) -> bool {
        if self.seeds.len() < MAX_SEEDS {
            return true;
        }
        let silent = self.seeds.iter();
        let silent = silent.filter(|(_, seed)| seed.addr.is_some() && !seed.answered);
        let oldest = silent
            .max_by_key(|(_, seed)| seed.pause)
            .map(|(key, _)| key);
        oldest.is_some_and(|key| self.drop_seed(env, key))
    }

    /// Somebody answered a question at this address.
    pub(super) fn seed_answered(&mut self, addr: SocketAddr) {
        for (_, seed) in &mut self.seeds {
            seed.answered |= seed.addr == Some(addr);
        }
    }

    fn drop_seed(&mut self, env: &mut Env, key: usize) -> bool {
        let seed = self.seeds.try_remove(key);
        if let Some(timer) = seed.as_ref().and_then(|seed| seed.timer) {
            env.timers.cancel(timer);
        }
        seed.is_some()
    }

    /// Asks a seed at once, and then as if it were new.
    fn ask_seed_soon(&mut self, env: &mut Env, key: usize) {
        let Some(seed) = self.seeds.get_mut(key) else {
            return;
        };
        if let Some(timer) = seed.timer.take() {
            env.timers.cancel(timer);
        }
        seed.pause = self.timing.period;
        seed.timer = Some(env.timers.insert(env.now, Timer::SeedDue(key as u32)));
    }

    /// Nobody is left: the seeds are asked as if they were new.
    pub(super) fn ask_seeds_again(&mut self, env: &mut Env) {
        for key in 0..self.seeds.capacity() {
            self.ask_seed_soon(env, key);
        }
    }

    pub(super) fn seed_due(&mut self, env: &mut Env, key: u32) {
        let leaving = self.is_leaving();
        let Some(seed) = self.seeds.get_mut(key as usize) else {
            return;
        };
        seed.timer = None;
        if leaving {
            return;
        }
        let next = env.now + jittered(seed.pause, &mut env.rng);
        seed.timer = Some(env.timers.insert(next, Timer::SeedDue(key)));
        seed.pause = (seed.pause * 2).min(self.timing.retry_max);
        match seed.addr {
            Some(addr) => self.ping_seed(addr),
            None => env.journal.event(Event::SeedDue { seed: SeedId(key) }),
        }
    }

    /// A seed's name stands for these addresses at the moment.
    pub fn seed_resolved(&mut self, seed: SeedId, addrs: impl Iterator<Item = SocketAddr>) {
        if self.seeds.contains(seed.0 as usize) && !self.is_leaving() {
            for addr in addrs.take(MAX_SEED_ADDRESSES) {
                self.ping_seed(addr);
            }
        }
    }

    fn ping_seed(&mut self, to: SocketAddr) {
        self.ask(to, None, None, ORDINARY_DATAGRAM, true);
    }

    /// A ping with the own id and this number arrived: if it is one that went to a seed, that seed is
    /// this very member, and is not asked again.
    pub(super) fn seed_is_myself(&mut self, env: &mut Env, number: u64) -> bool {
        let mine = |seed: &Seed| seed.addr.is_some_and(|addr| self.is_cookie(number, addr));
        let Some(key) = self
            .seeds
            .iter()
            .find(|(_, seed)| mine(seed))
            .map(|(key, _)| key)
        else {
            return false;
        };
        self.drop_seed(env, key)
    }
}
