//! Telling who speaks of a member as living that it left. No table says so and no probe finds it out, so whoever
//! missed the news would go on, and compare tables with everyone in vain.

use std::net::SocketAddr;

use super::incoming::Incoming;
use super::merge::State;
use super::news::RowKey;
use super::row::flag;
use super::send::{Body, Outgoing};
use super::{Notice, Row, Swim};
use crate::env::Env;
use crate::limits::{MAX_CORRECTED, ORDINARY_DATAGRAM};
use crate::member::{Health, MemberId};
use crate::time::Time;
use crate::wire::Message;

/// Periods in which a departure rumor is left to spread by itself. Who hears of its own departure by a membership
/// first refutes that.
const RUMORS_TURN: u32 = 3;

impl Swim {
    /// Somebody doubts that a member lives which departed for good, and may have refuted that before it knew better.
    /// What is held of it follows, as others hold only what is at least as fresh for true. While it is said to be
    /// Alive nothing follows: it may never hear the rumor, and would refute whatever is said, for ever.
    pub(super) fn hear_of_exiled(
        &mut self,
        env: &mut Env,
        incoming: &mut Incoming<'_>,
        key: RowKey,
        heard: State,
    ) {
        let Some(row) = self.table.get(key) else {
            return;
        };
        if heard.health == Health::Alive {
            return;
        }
        let (spreads, held) = (self.is_rumors_turn(env.now, row), row.state());
        if heard.incarnation > held.incarnation {
            let incarnation = heard.incarnation;
            let state = State {
                incarnation,
                ..held
            };
            self.table.set_state(key, state, env.now, &mut env.rng);
        }
        if heard.health < Health::Departed && !spreads {
            incoming.speaks_of_as_present(key);
        }
    }

    /// Who is gone for good sent a message: it is told so where it proved to be, and nothing else.
    pub(super) fn hear_from_exiled(
        &mut self,
        env: &mut Env,
        incoming: &mut Incoming<'_>,
        message: &Message<'_>,
    ) {
        let number = match message {
            Message::Ack {
                probe, forward_to, ..
            } if *probe == 0 => forward_to.map_or(0, |to| to.incarnation.get()),
            Message::Ack { probe, .. } => *probe,
            _ => 0,
        };
        if incoming.proved || number != 0 && self.is_cookie(number, incoming.contact()) {
            let addr = SocketAddr::new(incoming.contact().ip(), incoming.sender.gossip_port);
            return self
                .notices
                .push_back(Notice::Exiled(incoming.sender.id, addr));
        }
        if self.may_provoke(env, incoming) {
            let question = incoming.overhead + self.question_len(incoming, false);
            incoming.reserved = incoming.spend_all(question);
            self.ask_sender(incoming, false);
        }
    }

    /// Somebody holds what a member said that departed: whoever does not know it is told so once more.
    pub fn remind(&mut self, env: &mut Env, id: MemberId) {
        let key = self.table.find(&id);
        let departed = |key: &RowKey| {
            let row = self.table.get(*key);
            row.is_some_and(|row| row.health == Health::Departed)
        };
        if let Some(key) = key.filter(departed)
            && !self.is_exiled(&id)
        {
            self.heat(env, key);
        }
    }

    /// Whether this member departed for good so lately that the rumor is to tell it.
    pub(super) fn is_rumors_turn(&self, now: Time, row: &Row) -> bool {
        self.departed_for_good(row) && now.since(row.since) < self.timing.period * RUMORS_TURN
    }

    /// Whether a departure rumor says so. Its flag is looked at first, as it is at hand.
    pub(super) fn departed_for_good(&self, row: &Row) -> bool {
        row.has(flag::LEFT) && self.is_exiled(&row.id)
    }

    /// Tells the sender who left of those it speaks of as living: to a proved address only, once a period, and only
    /// so many in a period, whatever comes in.
    pub(super) fn correct(&mut self, incoming: &mut Incoming<'_>) {
        let Some(key) = incoming.row.filter(|_| incoming.proved) else {
            return;
        };
        let Some(row) = self
            .table
            .get(key)
            .filter(|row| self.is_home(incoming, row))
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
