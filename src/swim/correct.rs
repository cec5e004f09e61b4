//! Telling who speaks of a member as living that it left. No table says so and no probe finds it out, so whoever
//! missed the news would go on, and compare tables with everyone in vain.

use super::Swim;
use super::incoming::Incoming;
use super::news::RowKey;
use super::row::NONE;
use super::send::{Body, Outgoing};
use crate::limits::ORDINARY_DATAGRAM;

impl Swim {
    /// The sender was told of members as living that left, in its turn: one datagram for one of its own, and to a
    /// proved address only.
    pub(super) fn correct(&mut self, incoming: &mut Incoming<'_>) {
        let left = std::mem::take(&mut incoming.left);
        let row = incoming.row.and_then(|key| self.table.get(key));
        let Some(row) = row.filter(|row| incoming.proved && self.table.is_at(row, incoming.from))
        else {
            return;
        };
        let (id, told) = (Some(row.id), Some(row.state()));
        self.queue(Outgoing {
            to: incoming.from,
            id,
            row: incoming.row.unwrap_or(NONE),
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
