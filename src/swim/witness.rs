//! Witnesses: some of those who hear that a member is suspected probe it out of turn, so that independent
//! accusers, and not time alone, decide what becomes of it.

use rand::RngExt;

use super::news::RowKey;
use super::suspicion::Suspicions;
use super::table::Table;
use crate::config::Timing;
use crate::env::Env;
use crate::limits::MAX_WITNESSED;
use crate::member::MemberId;

/// Probes out of turn in a row: the next is the round's, else accusations could keep a member from finding
/// the dead.
const IN_A_ROW: u8 = 2;

/// Whom this member is to probe out of turn.
#[derive(Hash)]
pub(super) struct Witness {
    suspects: Vec<MemberId>,
    /// Probes out of turn since the round's last.
    in_a_row: u8,
}

impl Witness {
    pub fn new() -> Self {
        Witness {
            suspects: Vec::new(),
            in_a_row: 0,
        }
    }

    /// Others suspect this member, of so many that live: with some probability this one is a witness, and probes it in
    /// the place of its next probe.
    pub fn volunteer(
        &mut self,
        env: &mut Env,
        timing: &Timing,
        id: MemberId,
        living: usize,
    ) -> bool {
        let others = living.saturating_sub(1).max(1);
        if env.rng.random_range(0..others) >= timing.witnesses {
            return false;
        }
        if self.suspects.len() >= MAX_WITNESSED {
            self.suspects.remove(0);
        }
        self.suspects.retain(|suspect| *suspect != id);
        self.suspects.push(id);
        true
    }

    /// Whether the next probe may be one out of turn.
    pub fn is_due(&self) -> bool {
        self.in_a_row < IN_A_ROW
    }

    /// The suspect to probe now instead of the next in the round, if it is time for one.
    pub fn next(
        &mut self,
        env: &mut Env,
        table: &Table,
        suspicions: &Suspicions,
        timing: &Timing,
    ) -> Option<RowKey> {
        let suspect = if self.is_due() {
            self.take(env, table, suspicions, timing)
        } else {
            None
        };
        self.in_a_row = match suspect {
            Some(_) => self.in_a_row + 1,
            None => 0,
        };
        suspect
    }

    /// Of those that are still to be accused, one with the fewest accusers: many may be suspected at once, and
    /// who has enough needs no more.
    fn take(
        &mut self,
        env: &mut Env,
        table: &Table,
        suspicions: &Suspicions,
        timing: &Timing,
    ) -> Option<RowKey> {
        let suspects = &mut self.suspects;
        let wants = |key| suspicions.wants_witness(table, timing, key);
        suspects.retain(|id| table.find(id).is_some_and(wants));
        let accusers = |id: &MemberId| {
            let row = table.find(id).and_then(|key| table.get(key));
            row.map_or(0, |row| suspicions.accusers(row).len())
        };
        let fewest = suspects.iter().map(accusers).min();
        let start = match suspects.len() {
            0 => 0,
            len => env.rng.random_range(0..len),
        };
        let mut places = (start..suspects.len()).chain(0..start);
        let place = places.find(|place| suspects.get(*place).map(accusers) == fewest);
        place.and_then(|place| table.find(&suspects.remove(place)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{env, id, ring_of};
    use super::*;
    use crate::member::Health;

    #[test]
    fn suspects_are_probed_out_of_turn_and_those_with_the_fewest_accusers_first() {
        let timing = Timing::lan();
        let mut env = env();
        let mut table = ring_of(&mut env, 20);
        let mut suspicions = Suspicions::new();
        let mut witness = Witness::new();
        let mut keys = Vec::new();
        for number in 17..=20 {
            let key = table.find(&id(number)).unwrap();
            table.get_mut(key).unwrap().health = Health::Suspect;
            suspicions.begin(&mut env, &mut table, &timing, key);
            assert!(witness.volunteer(&mut env, &timing, id(number), 1));
            keys.push(key);
        }
        // One has an accuser, one was accused by this very member.
        let silent = crate::member::Evidence::Silent;
        suspicions.accuse(&mut env, &table, &timing, keys[0], id(5), silent);
        suspicions.accuse(&mut env, &table, &timing, keys[1], id(1), silent);
        let mut next = || witness.next(&mut env, &table, &suspicions, &timing);
        let mut first = [next().unwrap(), next().unwrap()];
        first.sort_unstable();
        assert_eq!(first, [keys[2], keys[3]]);
        assert_eq!(next(), None, "the round has its turn");
        assert_eq!(next(), Some(keys[0]));
        assert_eq!(next(), None, "this member accused the last one");
    }

    #[test]
    fn no_more_than_so_many_are_remembered() {
        let mut witness = Witness::new();
        for number in 0..100 {
            assert!(witness.volunteer(&mut env(), &Timing::lan(), id(number), 1));
        }
        assert_eq!(witness.suspects.len(), MAX_WITNESSED);
    }
}
