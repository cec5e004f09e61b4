//! Messages that are queued in many places: pings beside the probe cycle, and requests to ping.

use std::net::SocketAddr;

use super::merge::State;
use super::news::RowKey;
use super::outbox::Compare;
use super::outbox::{Body, Outgoing};
use super::row::{NONE, flag};
use super::{Row, Swim};
use crate::env::Env;
use crate::expected::Expected;
use crate::limits::ORDINARY_DATAGRAM;
use crate::member::MemberId;
use crate::trace::TraceKind;

impl Swim {
    pub(super) fn queue(&mut self, message: Outgoing) {
        self.outbox.push(message);
    }

    /// A ping outside the probe cycle: its number has the address proved, and with a digest of the table it
    /// asks for those whom the sender does not know.
    pub(super) fn ask(
        &mut self,
        to: SocketAddr,
        id: Option<MemberId>,
        told: Option<State>,
        limit: usize,
        compare: Compare,
    ) {
        let body = Body::Ping {
            forward_to: None,
            number: self.numbers.question(to),
            compare,
            probe: false,
        };
        self.queue(Outgoing {
            to,
            id,
            row: NONE,
            told,
            limit,
            ages: true,
            body,
        });
    }

    /// Pings a member outside the probe cycle, with the digest of the table if they are to be compared.
    pub(super) fn ping_aside(&mut self, key: RowKey, compare: Compare) {
        let (Some(member), told) = (
            self.table.member(key).expected(),
            self.table.get(key).expected().map(Row::state),
        ) else {
            return;
        };
        self.ask(
            member.swim_addr(),
            Some(member.id),
            told,
            ORDINARY_DATAGRAM,
            compare,
        );
        self.ask_silent_at_source(key);
    }

    /// A member that does not answer where it says that it is reached is asked where its datagrams come from, too, and is
    /// held there if it answers.
    pub(super) fn ask_silent_at_source(&mut self, key: RowKey) {
        let source = self.trust.advertisers.silent_source(key);
        let (Some(source), Some(row)) = (source, self.table.get(key)) else {
            return;
        };
        let contact = SocketAddr::new(source.ip(), row.swim_port);
        let (id, told) = (row.id, row.state());
        self.ask(
            contact,
            Some(id),
            Some(told),
            ORDINARY_DATAGRAM,
            Compare::Nothing,
        );
    }

    /// Asks some Alive members to ping this one. How many of them are ours, and say so.
    pub(super) fn ask_others(&mut self, env: &mut Env, target: MemberId, number: u64) -> usize {
        self.ask_some(env, target, number, self.timing.indirect_probes)
    }

    /// The same of at most so many.
    pub(super) fn ask_some(
        &mut self,
        env: &mut Env,
        target: MemberId,
        number: u64,
        most: usize,
    ) -> usize {
        let mut ours = 0;
        let mut helpers = std::mem::take(&mut self.detector.helpers);
        let row = self.table.find(&target).and_then(|key| self.table.get(key));
        // Who does not know of IPv6 knows no such member.
        let v6 = row.is_some_and(|row| row.has(flag::V6));
        let fits = |row: &Row| row.id != target && (!v6 || row.has(flag::OURS));
        self.table
            .some_alive(most, fits, &mut env.rng, &mut helpers);
        for key in &helpers {
            let Some(helper) = self.table.member(*key) else {
                continue;
            };
            let row = self.table.get(*key);
            ours += usize::from(row.is_some_and(|row| row.has(flag::OURS)));
            env.journal.trace(
                env.wall,
                TraceKind::ProbePingReq,
                (&helper).into(),
                Vec::new,
            );
            let (to, id, limit) = (helper.swim_addr(), Some(helper.id), ORDINARY_DATAGRAM);
            self.queue(Outgoing {
                to,
                id,
                row: *key,
                told: None,
                limit,
                ages: true,
                body: Body::PingReq { target, number },
            });
        }
        self.detector.helpers = helpers;
        ours
    }

    pub(super) fn question(
        &mut self,
        to: SocketAddr,
        id: Option<MemberId>,
        limit: usize,
        compare: Compare,
        hides: bool,
    ) {
        let body = Body::Question {
            number: self.numbers.question_of(to, compare),
            compare,
            hides,
        };
        self.queue(Outgoing {
            to,
            id,
            row: NONE,
            told: None,
            limit,
            ages: false,
            body,
        });
    }

    /// Tells a member the news, and what is held of it, by an Ack that it did not ask for.
    pub(super) fn tell(&mut self, key: RowKey) {
        let (Some(member), told) = (
            self.table.member(key).expected(),
            self.table.get(key).expected().map(Row::state),
        ) else {
            return;
        };
        let body = Body::Ack {
            refused: false,
            forward_to: None,
            number: 0,
            news: true,
        };
        let (to, id, limit) = (member.swim_addr(), Some(member.id), ORDINARY_DATAGRAM);
        self.queue(Outgoing {
            to,
            id,
            row: key,
            told,
            limit,
            ages: true,
            body,
        });
    }
}
