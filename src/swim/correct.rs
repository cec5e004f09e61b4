//! Telling who speaks of a member as living that it left. No table says so and no probe finds it out, so whoever
//! missed the news would go on, and compare tables with everyone in vain.

use super::Swim;
use super::incoming::Incoming;
use super::news::RowKey;
use super::row::NONE;
use super::send::{Body, Outgoing};
use crate::limits::{MAX_CORRECTED, ORDINARY_DATAGRAM};

impl Swim {
    /// Tells the sender who left of those it speaks of as living: to a proved address only, once a period, and only
    /// so many in a period, whatever comes in.
    pub(super) fn correct(&mut self, incoming: &mut Incoming<'_>) {
        let left = std::mem::take(&mut incoming.left);
        let row = incoming.row.and_then(|key| self.table.get(key));
        let Some(row) = row.filter(|row| incoming.proved && self.table.is_at(row, incoming.from))
        else {
            return;
        };
        let (id, told) = (Some(row.id), Some(row.state()));
        let key = incoming.row.unwrap_or(NONE);
        if self.corrected.len() >= MAX_CORRECTED || self.corrected.contains(&key) {
            return;
        }
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

    /// Notes that the sender spoke of this member as living, although it left.
    pub(super) fn spoken_of_as_living(incoming: &mut Incoming<'_>, key: RowKey) {
        /// More do not fit in the datagram; the rest has its turn the next time.
        const MOST: usize = 6;
        if incoming.left.len() < MOST && !incoming.left.contains(&key) {
            incoming.left.push(key);
        }
    }
}
