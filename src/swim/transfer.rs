//! Telling the member table to who knows another set of living members: in pieces, as Acks nobody asked
//! for, at a pace that drowns nobody.

use std::collections::VecDeque;
use std::time::Duration;

use super::news::RowKey;
use super::row::flag;
use super::table::Table;
use crate::config::Timing;
use crate::env::{Env, Timer};
use crate::limits::MAX_TRANSFERS;
use crate::member::MemberId;
use crate::stats::Gauge;
use crate::time::Time;

/// Datagrams of the table that leave together.
pub(super) const BURST: usize = 16;
/// The pause between two such bursts.
const PACE: Duration = Duration::from_millis(5);
/// A member is told the table at most once in so many periods: its pings can be replayed, and on a ring
/// without a key forged.
pub(super) const AGAIN: u32 = 8;

/// Someone who is being told the table.
#[derive(Hash)]
struct Transfer {
    to: MemberId,
    /// The row to go on with.
    next: RowKey,
}

#[derive(Default, Hash)]
pub(super) struct Transfers {
    /// The first is being told, the others wait.
    waiting: VecDeque<Transfer>,
    /// Who was told the table of late, and when that began.
    told: VecDeque<(Time, MemberId)>,
}

impl Transfers {
    /// This member is told the table, unless it was of late, or too many others were.
    pub fn begin(&mut self, env: &mut Env, timing: &Timing, to: MemberId) {
        let old = env.now - timing.period * AGAIN;
        while self.told.front().is_some_and(|(time, _)| *time <= old) {
            self.told.pop_front();
        }
        let told = self.told.iter().any(|(_, id)| *id == to);
        if self.told.len() >= MAX_TRANSFERS || told {
            return;
        }
        self.told.push_back((env.now, to));
        self.waiting.push_back(Transfer { to, next: 0 });
        if self.waiting.len() == 1 {
            env.timers.insert(env.now, Timer::TableDue);
        }
    }

    /// Who is told the next few datagrams of the table now.
    pub fn due(&mut self, env: &mut Env, table: &Table) -> Option<RowKey> {
        while let Some(transfer) = self.waiting.front() {
            let key = table.find(&transfer.to);
            // It may have moved since, to an address that it has not proved.
            let proved = |key: &RowKey| table.get(*key).is_some_and(|row| row.has(flag::PROVED));
            let key = key.filter(proved);
            if key.is_some() && table.first_from(transfer.next).is_some() {
                env.timers.insert(env.now + PACE, Timer::TableDue);
                return key;
            }
            self.waiting.pop_front();
        }
        None
    }

    /// The row to go on with, if this member is the first of those who wait.
    pub fn next_for(&self, table: &Table, receiver: Option<RowKey>) -> Option<RowKey> {
        let transfer = self.waiting.front()?;
        if receiver.is_none() || table.find(&transfer.to) != receiver {
            return None;
        }
        table.first_from(transfer.next)
    }

    /// The first of those who wait was told the rows before this one.
    pub fn go_on(&mut self, next: RowKey) {
        if let Some(transfer) = self.waiting.front_mut() {
            transfer.next = next;
        }
    }

    pub fn sizes(&self) -> [Gauge; 2] {
        [
            Gauge::new("transfers", self.waiting.len(), MAX_TRANSFERS),
            Gauge::new("told_tables", self.told.len(), MAX_TRANSFERS),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{env, id, ring_of};
    use super::*;

    #[test]
    fn a_member_is_told_the_table_once_in_eight_periods() {
        let (timing, mut env) = (Timing::lan(), env());
        let mut transfers = Transfers::default();
        for _ in 0..3 {
            transfers.begin(&mut env, &timing, id(2));
        }
        assert_eq!((transfers.waiting.len(), env.timers.live()), (1, 1));
        transfers.waiting.clear();
        env.now += timing.period * AGAIN;
        transfers.begin(&mut env, &timing, id(2));
        assert_eq!(transfers.waiting.len(), 1);
    }

    #[test]
    fn who_proved_its_address_is_told_and_goes_on_where_it_was() {
        let (timing, mut env) = (Timing::lan(), env());
        let mut table = ring_of(&mut env, 4);
        let mut transfers = Transfers::default();
        transfers.begin(&mut env, &timing, id(2));
        transfers.begin(&mut env, &timing, id(3));
        let third = table.find(&id(3));
        table.set_flag(third.unwrap(), flag::PROVED);
        assert_eq!(
            transfers.due(&mut env, &table),
            third,
            "the other one proved nothing"
        );
        assert_eq!(transfers.next_for(&table, table.find(&id(4))), None);
        assert_eq!(transfers.next_for(&table, third), Some(0));
        transfers.go_on(2);
        assert_eq!(transfers.next_for(&table, third), Some(2));
        transfers.go_on(RowKey::MAX);
        assert_eq!(transfers.due(&mut env, &table), None, "all is told");
    }
}
