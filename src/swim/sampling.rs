//! Random members of the table.

use rand::RngExt;
use rand::rngs::StdRng;

use super::news::RowKey;
use super::row::Row;
use super::table::Table;
use crate::member::Health;

impl Table {
    /// Up to `most` Alive members that fit, from a random place of the round on, in `found`.
    pub fn some_alive(
        &self,
        most: usize,
        fits: impl Fn(&Row) -> bool,
        rng: &mut StdRng,
        found: &mut Vec<RowKey>,
    ) {
        /// Bounds the walk in a ring of which most is suspect.
        const STEPS: usize = 64;
        found.clear();
        if self.round.is_empty() {
            return;
        }
        let start = rng.random_range(0..self.round.len());
        let (before, after) = self.round.split_at(start);
        let walk = after.iter().chain(before).take(STEPS.max(most));
        let alive = |key: &&RowKey| {
            self.get(**key)
                .is_some_and(|row| row.health == Health::Alive && fits(row))
        };
        found.extend(walk.filter(alive).take(most));
    }

    /// Shows rows of living members, each at most once and independently chosen, until `take` has `most`.
    pub fn sample(&self, most: usize, rng: &mut StdRng, mut take: impl FnMut(&Row) -> usize) {
        /// Draws for each one wanted: those that were drawn before, or do not fit, cost one.
        const DRAWS: usize = 8;
        let len = self.round.len();
        if len <= 2 * most {
            return self.scan(most, rng, take);
        }
        let mut drawn = [usize::MAX; 64];
        for draw in 0..(DRAWS * most).min(drawn.len()) {
            let place = rng.random_range(0..len);
            if drawn.iter().take(draw).any(|before| *before == place) {
                continue;
            }
            if let Some(next) = drawn.get_mut(draw) {
                *next = place;
            }
            let row = self.round.get(place).and_then(|key| self.get(*key));
            if row.map_or(0, &mut take) >= most {
                return;
            }
        }
    }

    /// Shows the rows of all living members, each once, from a random one of the round on, until `take` has `most`.
    pub fn scan(&self, most: usize, rng: &mut StdRng, mut take: impl FnMut(&Row) -> usize) {
        if self.round.is_empty() {
            return;
        }
        let start = rng.random_range(0..self.round.len());
        let (before, after) = self.round.split_at(start);
        for key in after.iter().chain(before) {
            if self.get(*key).map_or(0, &mut take) >= most {
                return;
            }
        }
    }
}
