//! Telling the member table to who knows another set of living members: in pieces, as Acks nobody asked
//! for, at a pace that drowns nobody.

use std::time::Duration;

use super::Swim;
use super::incoming::Incoming;
use super::news::RowKey;
use super::row::{NONE, flag};
use super::send::{Body, Outgoing};
use crate::env::{Env, Timer};
use crate::limits::{MAX_DATAGRAM_SENT, MAX_TRANSFERS};
use crate::member::MemberId;
use crate::wire::{Encoder, Message};

/// Datagrams of the table that leave together.
const BURST: usize = 16;
/// The pause between two such bursts.
const PACE: Duration = Duration::from_millis(5);
/// A member is told the table at most once in so many periods: its pings can be replayed, and on a ring
/// without a key forged.
pub(super) const AGAIN: u32 = 8;

/// Someone who is being told the table.
#[derive(Hash)]
pub(super) struct Transfer {
    to: MemberId,
    /// The row to go on with.
    next: RowKey,
}

impl Swim {
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
        self.ask_sender(incoming, true);
    }

    pub(super) fn begin_transfer(&mut self, env: &mut Env, to: MemberId) {
        let old = env.now - self.timing.period * AGAIN;
        while self.told.front().is_some_and(|(time, _)| *time <= old) {
            self.told.pop_front();
        }
        let told = self.told.iter().any(|(_, id)| *id == to);
        if self.told.len() >= MAX_TRANSFERS || told || self.is_blocked(&to) {
            return;
        }
        self.told.push_back((env.now, to));
        self.transfers.push_back(Transfer { to, next: 0 });
        if self.transfers.len() == 1 {
            env.timers.insert(env.now, Timer::TableDue);
        }
    }

    /// The next few datagrams of the table leave, for the first of those who wait.
    pub(super) fn table_due(&mut self, env: &mut Env) {
        while let Some(transfer) = self.transfers.front() {
            let key = self.table.find(&transfer.to);
            // It may have moved since, to an address that it has not proved.
            let proved = |key: &RowKey| {
                self.table
                    .get(*key)
                    .is_some_and(|row| row.has(flag::PROVED))
            };
            let member = key.filter(proved).and_then(|key| self.table.member(key));
            let Some(member) = member.filter(|_| self.table.first_from(transfer.next).is_some())
            else {
                self.transfers.pop_front();
                continue;
            };
            for _ in 0..BURST {
                let (to, id) = (member.swim_addr(), Some(member.id));
                self.queue(Outgoing {
                    to,
                    id,
                    row: key.unwrap_or(NONE),
                    told: None,
                    limit: MAX_DATAGRAM_SENT,
                    ages: true,
                    body: Body::Table,
                });
            }
            env.timers.insert(env.now + PACE, Timer::TableDue);
            return;
        }
    }

    /// The next piece of the table; `None`: all is told, or the receiver is no longer the first.
    pub(super) fn encode_table(
        &mut self,
        env: &mut Env,
        receiver: Option<RowKey>,
        buf: &mut [u8],
        soft: usize,
    ) -> Option<usize> {
        let transfer = self.transfers.front()?;
        if receiver.is_none() || self.table.find(&transfer.to) != receiver {
            return None;
        }
        let mut next = self.table.first_from(transfer.next)?;
        let ack = Message::Ack {
            from: self.own_record(),
            forward_to: None,
            probe: 0,
            table: true,
            rumors: 0,
            reconcile: &[],
            starting: false,
        };
        let mut out = Encoder::new(buf, &ack)?;
        let bare = out.len();
        loop {
            let before = out.len();
            // What a ping or an Ack says of the receiver itself, they say better, and so do rumors.
            let row = self.table.get(next);
            let told = Some(next) == receiver
                || row.is_some_and(|row| self.is_rumors_turn(env.now, row))
                || self.push_row(&mut out, next, receiver, None, soft);
            if !told && before > bare {
                break;
            }
            env.journal.stats.records_sent += u64::from(told);
            match self.table.first_from(next + 1) {
                Some(key) => next = key,
                None => {
                    next = RowKey::MAX;
                    break;
                }
            }
        }
        let len = out.finish();
        if let Some(transfer) = self.transfers.front_mut() {
            transfer.next = next;
        }
        (len > bare).then_some(len)
    }
}
