//! Witnesses: some of those who hear that a member is suspected probe it out of turn, so that independent
//! accusers, and not time alone, decide what becomes of it.

use rand::RngExt;

use super::Swim;
use super::news::RowKey;
use crate::env::Env;
use crate::limits::MAX_WITNESSED;
use crate::member::MemberId;

/// Probes out of turn in a row: the next is the round's, else accusations could keep a member from finding
/// the dead.
const IN_A_ROW: u8 = 2;

/// Whom this member is to probe out of turn.
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

    pub fn suspects(&self) -> &[MemberId] {
        &self.suspects
    }

    pub fn in_a_row(&self) -> u8 {
        self.in_a_row
    }
}

impl Swim {
    /// Others suspect this member: with some probability this one is a witness, and probes it in the place of
    /// its next probe, or at once if nothing else is under way.
    pub(super) fn volunteer(&mut self, env: &mut Env, key: RowKey) {
        let others = self.table.living().saturating_sub(1).max(1);
        if self.is_leaving() || env.rng.random_range(0..others) >= self.timing.witnesses {
            return;
        }
        let Some(id) = self.table.get(key).map(|row| row.id) else {
            return;
        };
        let suspects = &mut self.witness.suspects;
        if suspects.len() >= MAX_WITNESSED {
            suspects.remove(0);
        }
        suspects.retain(|suspect| *suspect != id);
        suspects.push(id);
        // Who has accusers enough needs no probe, and its period goes on as it was.
        if self.witness.in_a_row < IN_A_ROW && self.is_idle() && self.wants_witness(key) {
            self.probe_period(env);
        }
    }

    /// The suspect to probe now instead of the next in the round, if it is time for one.
    pub(super) fn next_out_of_turn(&mut self, env: &mut Env) -> Option<RowKey> {
        let due = self.witness.in_a_row < IN_A_ROW;
        let suspect = if due { self.take_suspect(env) } else { None };
        self.witness.in_a_row = match suspect {
            Some(_) => self.witness.in_a_row + 1,
            None => 0,
        };
        suspect
    }

    /// Of those that are still to be accused, one with the fewest accusers: many may be suspected at once, and
    /// who has enough needs no more.
    fn take_suspect(&mut self, env: &mut Env) -> Option<RowKey> {
        let mut suspects = std::mem::take(&mut self.witness.suspects);
        suspects.retain(|id| {
            self.table
                .find(id)
                .is_some_and(|key| self.wants_witness(key))
        });
        let accusers = |id: &MemberId| {
            let row = self.table.find(id).and_then(|key| self.table.get(key));
            row.map_or(0, |row| self.accusers(row).len())
        };
        let fewest = suspects.iter().map(accusers).min();
        let start = match suspects.len() {
            0 => 0,
            len => env.rng.random_range(0..len),
        };
        let mut places = (start..suspects.len()).chain(0..start);
        let place = places.find(|place| Some(accusers(&suspects[*place])) == fewest);
        let chosen = place.and_then(|place| self.table.find(&suspects.remove(place)));
        self.witness.suspects = suspects;
        chosen
    }
}
