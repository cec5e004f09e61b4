//! Signs that a partition ended: one of the dead came back, or a member says that one lives. The dead are asked at once
//! then, and not one after the other.

use rand::RngExt;
use rand::rngs::StdRng;

use super::merge::State;
use super::news::RowKey;
use super::outbox::Compare;
use super::speaker::Speaker;
use super::{Row, Swim};
use crate::env::Env;
use crate::growth;
use crate::limits::{MAX_ASKED_BACK, MAX_ASKED_ON_HEARSAY};
use crate::member::Health;

/// Which of the dead are asked, and were in this period.
#[derive(Default, Hash)]
pub(super) struct Healing {
    waiting: Vec<RowKey>,
    asked: Vec<RowKey>,
    /// So many of these because a member said that they live: others' words make fewer pings than an answer of one of
    /// the dead.
    on_hearsay: usize,
}

impl Healing {
    /// All of these are to be asked, unless others still wait.
    fn ask(&mut self, dead: &[RowKey]) {
        if self.waiting.is_empty() {
            self.waiting.extend_from_slice(dead);
        }
    }

    /// A random one of those that wait, while more may be asked in this period.
    fn next(&mut self, rng: &mut StdRng) -> Option<RowKey> {
        if self.asked.len() >= MAX_ASKED_BACK || self.waiting.is_empty() {
            return None;
        }
        let next = self
            .waiting
            .swap_remove(rng.random_range(0..self.waiting.len()));
        growth::slim_list(&mut self.waiting);
        Some(next)
    }

    /// Whether this one may be asked now: once in a period, and not too many.
    fn takes(&mut self, key: RowKey) -> bool {
        let may = self.asked.len() < MAX_ASKED_BACK && !self.asked.contains(&key);
        if may {
            self.asked.push(key);
        }
        may
    }

    fn begin_period(&mut self) {
        self.asked.clear();
        self.on_hearsay = 0;
    }

    /// Those that wait.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }
}

impl Swim {
    /// One of the dead came back, so all may: they are asked.
    pub(super) fn heal(&mut self, env: &mut Env) {
        self.dead.healing.ask(self.table.dead());
        self.go_on_healing(env);
    }

    /// Another period: more may be asked.
    pub(super) fn begin_healing_period(&mut self, env: &mut Env) {
        self.dead.healing.begin_period();
        self.go_on_healing(env);
    }

    fn go_on_healing(&mut self, env: &mut Env) {
        while let Some(key) = self.dead.healing.next(&mut env.rng) {
            self.ask_back(key);
        }
    }

    /// A member says that one lives that is held dead at the same incarnation: nobody's news, and it may be true.
    pub(super) fn hear_of_life(
        &mut self,
        speaker: &Speaker,
        key: RowKey,
        held: State,
        heard: State,
    ) {
        let is_same = speaker.proved && heard.incarnation == held.incarnation;
        if is_same && self.dead.healing.on_hearsay < MAX_ASKED_ON_HEARSAY && self.ask_back(key) {
            self.dead.healing.on_hearsay += 1;
        }
    }

    /// Whether this member is held dead.
    pub(super) fn is_held_dead(&self, member: Option<RowKey>) -> bool {
        let row = member.and_then(|key| self.table.get(key));
        row.is_some_and(|row| row.health >= Health::Confirmed)
    }

    /// Pings one of the dead, which hears what is held of it, and if it lives refutes that; whether it was its turn.
    fn ask_back(&mut self, key: RowKey) -> bool {
        let is_dead = |row: &Row| row.health >= Health::Confirmed && !row.state().left;
        let asks = !self.is_leaving()
            && self.table.get(key).is_some_and(is_dead)
            && self.dead.healing.takes(key);
        if asks {
            self.ping_aside(key, Compare::Nothing);
        }
        asks
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn each_is_asked_once_in_a_period_and_not_too_many() {
        let dead: Vec<RowKey> = (0..2 * MAX_ASKED_BACK as RowKey + 1).collect();
        let mut rng = StdRng::seed_from_u64(1);
        let mut healing = Healing::default();
        healing.ask(&dead);
        let mut asked = Vec::new();
        for period in 0..3 {
            healing.begin_period();
            let before = asked.len();
            while let Some(key) = healing.next(&mut rng) {
                assert!(healing.takes(key) && (!healing.takes(key)), "once");
                asked.push(key);
            }
            let most = [MAX_ASKED_BACK, MAX_ASKED_BACK, 1][period];
            assert_eq!(asked.len() - before, most);
        }
        asked.sort_unstable();
        assert_eq!(asked, dead);
        assert_eq!(healing.waiting(), 0);
    }

    #[test]
    fn who_waits_is_not_asked_twice_because_another_came_back() {
        let mut healing = Healing::default();
        healing.ask(&[1, 2, 3]);
        healing.ask(&[1, 2, 3, 4]);
        assert_eq!(healing.waiting(), 3);
    }
}
