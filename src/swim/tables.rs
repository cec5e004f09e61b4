//! What is compared with others and told them beside news.

use super::Swim;
use super::correct::Corrected;
use super::incoming::Incoming;
use super::leave::Leave;
use super::outbox::Compare;
use super::outbox::{Body, Outgoing};
use super::row::flag;
use super::sync::Sync;
use super::transfer::{BURST, Transfers};
use crate::env::Env;
use crate::limits::MAX_DATAGRAM_SENT;
use crate::member::MemberId;
use crate::stats::Gauge;

#[derive(Hash)]
pub(super) struct Tables {
    pub sync: Sync,
    pub transfers: Transfers,
    pub corrected: Corrected,
}

impl Tables {
    pub fn new() -> Self {
        Tables {
            sync: Sync::new(),
            transfers: Transfers::default(),
            corrected: Corrected::default(),
        }
    }

    pub fn sizes(&self) -> impl Iterator<Item = Gauge> {
        let transfers = self.transfers.sizes().into_iter();
        transfers.chain(self.corrected.sizes())
    }
}

impl Swim {
    /// Pings a living member with the digest of the table: if its own differs, it tells its table.
    pub(super) fn sync_due(&mut self, env: &mut Env) {
        let Tables { sync, .. } = &mut self.tables;
        if self.identity.leave != Leave::Not {
            return sync.stop();
        }
        let chosen = &mut self.detector.helpers;
        if let Some(key) = sync.due(env, &self.table, &self.timing, chosen) {
            self.ping_aside(key, Compare::Tables);
        }
    }

    /// The sender knows another set of living members. It is told the table, once it has proved its
    /// address: nobody can have it sent to somebody else.
    pub(super) fn wants_table(&mut self, env: &mut Env, incoming: &mut Incoming<'_>) {
        let id = incoming.sender.id;
        let key = incoming.row;
        // What counts here is a fresher record of it at another address: it has yet to outdo that.
        let elsewhere = |key| {
            let row = self.table.get(key);
            row.is_none_or(|row| !self.is_home(incoming, row))
        };
        if key.is_none_or(elsewhere) {
            return;
        }
        let Some(row) = key.and_then(|key| self.table.get_mut(key)) else {
            return;
        };
        if row.has(flag::PROVED) {
            return self.begin_transfer(env, id);
        }
        row.set(flag::WANTS_TABLE, true);
        self.ask_sender(incoming, Compare::Tables);
    }

    pub(super) fn begin_transfer(&mut self, env: &mut Env, to: MemberId) {
        if !self.is_blocked(&to) {
            self.tables.transfers.begin(env, &self.timing, to);
        }
    }

    /// The next few datagrams of the table leave, for the first of those who wait.
    pub(super) fn table_due(&mut self, env: &mut Env) {
        let key = self.tables.transfers.due(env, &self.table);
        let Some((key, member)) = key.and_then(|key| Some((key, self.table.member(key)?))) else {
            return;
        };
        for _ in 0..BURST {
            let (to, id) = (member.swim_addr(), Some(member.id));
            self.queue(Outgoing {
                to,
                id,
                row: key,
                told: None,
                limit: MAX_DATAGRAM_SENT,
                ages: true,
                body: Body::Table,
            });
        }
    }
}
