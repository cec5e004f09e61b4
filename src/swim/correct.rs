//! Telling who speaks of a member as living that it left. No table says so and no probe finds it out, so whoever
//! missed the news would go on, and compare tables with everyone in vain.

use super::outbox::Compare;
use super::speaker::Speaker;
use std::net::SocketAddr;

use super::incoming::Incoming;
use super::merge::State;
use super::news::RowKey;
use super::outbox::{Body, Outgoing};
use super::{Notice, Swim};
use crate::env::Env;
use crate::expected::Expected;
use crate::limits::{MAX_CORRECTED, ORDINARY_DATAGRAM};
use crate::member::{Health, MemberId};
use crate::stats::Gauge;
use crate::wire::Message;

/// Who was told in this period of members that left, having spoken of them as living.
#[derive(Default, Hash)]
pub(super) struct Corrected {
    rows: Vec<RowKey>,
}

impl Corrected {
    /// Whether this one may be told now: once a period, and not too many.
    fn may_be_told(&self, key: RowKey) -> bool {
        self.rows.len() < MAX_CORRECTED && !self.rows.contains(&key)
    }

    fn note(&mut self, key: RowKey) {
        self.rows.push(key);
    }

    pub fn begin_period(&mut self) {
        self.rows.clear();
    }

    pub fn sizes(&self) -> [Gauge; 1] {
        [Gauge::new("corrected", self.rows.len(), MAX_CORRECTED)]
    }
}

impl Swim {
    /// Somebody doubts that a member lives which departed for good, and may have refuted that before it knew better.
    /// What is held of it follows, as others hold only what is at least as fresh for true. While it is said to be
    /// Alive nothing follows: it may never hear the rumor, and would refute whatever is said, for ever.
    pub(super) fn hear_of_exiled(
        &mut self,
        env: &mut Env,
        speaker: &mut Speaker,
        key: RowKey,
        heard: State,
    ) {
        let Some(row) = self.table.get(key).expected() else {
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
            speaker.speaks_of_as_present(key);
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
        if incoming.speaker.proved || number != 0 && self.is_question(number, incoming.contact()) {
            let addr = SocketAddr::new(incoming.contact().ip(), incoming.sender.gossip_port);
            return self
                .gossip
                .notices
                .push_back(Notice::Exiled(incoming.sender.id, addr));
        }
        if self.may_provoke(env, &incoming.speaker) {
            let question =
                incoming.speaker.budget.overhead + self.question_len(incoming, Compare::Nothing);
            incoming.speaker.budget.reserve(question);
            self.ask_sender(incoming, Compare::Nothing);
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

    /// Tells the sender who left of those it speaks of as living: to a proved address only, once a period, and only
    /// so many in a period, whatever comes in.
    pub(super) fn correct(&mut self, incoming: &mut Incoming<'_>) {
        let Some(key) = incoming.row.filter(|_| incoming.speaker.proved) else {
            return;
        };
        let Some(row) = self
            .table
            .get(key)
            .filter(|row| self.is_home(incoming, row))
        else {
            return;
        };
        if !self.tables.corrected.may_be_told(key) {
            return;
        }
        let (id, told) = (Some(row.id), Some(row.state()));
        let left = std::mem::take(&mut incoming.speaker.left);
        self.tables.corrected.note(key);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_told_once_a_period_and_not_too_many_are() {
        let mut corrected = Corrected::default();
        for _ in 0..2 {
            for key in 0..MAX_CORRECTED as RowKey {
                assert!(corrected.may_be_told(key));
                corrected.note(key);
                assert!(!corrected.may_be_told(key));
            }
            assert!(!corrected.may_be_told(RowKey::MAX), "too many");
            corrected.begin_period();
        }
    }
}
