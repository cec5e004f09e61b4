//! Telling who speaks of a member as living that it left. No table says so and no probe finds it out, so whoever
//! missed the news would go on, and compare tables with everyone in vain.

use super::Swim;
use super::incoming::Incoming;
use super::send::{Body, Outgoing};
use crate::limits::{MAX_CORRECTED, ORDINARY_DATAGRAM};

impl Swim {
    /// Tells the sender who left of those it speaks of as living: to a proved address only, once a period, and only
    /// so many in a period, whatever comes in.
    pub(super) fn correct(&mut self, incoming: &mut Incoming<'_>) {
        let Some(key) = incoming.row.filter(|_| incoming.proved) else {
            return;
        };
        let Some(row) = self
            .table
            .get(key)
            .filter(|row| self.table.is_at(row, incoming.from))
        else {
            return;
        };
        if self.corrected.len() >= MAX_CORRECTED || self.corrected.contains(&key) {
            return;
        }
        let (id, told) = (Some(row.id), Some(row.state()));
        let left = std::mem::take(&mut incoming.left);
        self.corrected.push(key);
        self.queue(Outgoing {
            to: incoming.from,
            id,
            row: key,
            told,
            limit: ORDINARY_DATAGRAM,
            ages: false,
            body: Body::Left(left),
        });
    }
}
