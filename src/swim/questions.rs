//! Having a sender prove its address.

use std::net::SocketAddr;

use super::Swim;
use super::incoming::Incoming;
use super::incoming::hides_number;
use super::outbox::Compare;
use super::unproved::{bare_len, brief_len};
use crate::env::Env;
use crate::wire::{MemberRecord, Message};

impl Swim {
    /// Whether, and where, the sender is to be asked if it is there.
    #[inline]
    pub(super) fn chooses_to_ask(&mut self, env: &Env, incoming: &mut Incoming<'_>) -> bool {
        match incoming.place.advertised {
            None => !incoming.speaker.proved && self.is_to_be_asked(incoming),
            Some(there) => self.chooses_where_to_ask(env, incoming, there),
        }
    }

    /// The same for one that says where it is reached: there, once in a turn; else where its message came from, like any
    /// other. So a wrong address neither has more sent to it, nor keeps the member out.
    #[cold]
    pub(super) fn chooses_where_to_ask(
        &mut self,
        env: &Env,
        incoming: &mut Incoming<'_>,
        there: SocketAddr,
    ) -> bool {
        let source = incoming.from;
        let asks = !incoming.speaker.proved && self.is_to_be_asked(incoming);
        let is_held_there = incoming.row.is_some_and(|key| self.is_held_at(key, there));
        if is_held_there && !asks {
            incoming.place.ask_at = source;
            let answered = |key| self.trust.advertisers.comes_from(key, source);
            return !incoming.row.is_some_and(answered);
        }
        // One that has to hear first what is held of it is not asked, and so not in vain.
        let may_ask = !self.is_outdone(incoming) || incoming.speaker.proved;
        if may_ask && self.may_ask_advertiser(env, incoming, there) {
            incoming.place.ask_at = there;
            return true;
        }
        incoming.place.ask_at = SocketAddr::new(source.ip(), incoming.sender.swim_port);
        asks
    }

    /// Whether an Ack brings the number of a question that its sender was asked: where it is taken to be, where it says
    /// that it is reached, or where its datagrams come from.
    #[inline]
    pub(super) fn answers_question(&self, incoming: &mut Incoming<'_>, number: u64) -> bool {
        self.is_question(number, incoming.place.at)
            || incoming
                .place
                .advertised
                .is_some_and(|there| self.answers_elsewhere(incoming, number, there))
    }

    #[cold]
    pub(super) fn answers_elsewhere(
        &self,
        incoming: &mut Incoming<'_>,
        number: u64,
        there: SocketAddr,
    ) -> bool {
        let source = incoming.from;
        if self.is_question(number, there) {
            incoming.place.at = there;
            return true;
        }
        let contact = SocketAddr::new(source.ip(), incoming.sender.swim_port);
        let key = incoming.row.filter(|key| self.is_held_at(*key, there));
        let silent =
            key.is_some_and(|key| self.trust.advertisers.is_silent(key) || self.is_given_up(key));
        if silent && self.is_question(number, contact) {
            // It is not reached where it says, any more.
            incoming.place.at = contact;
            return true;
        }
        incoming.answers.at_source =
            self.is_question(number, source) || self.is_question(number, contact);
        incoming.answers.at_source
    }

    /// Whether to ask the sender where it says that it is reached: once in a turn, and no more on the word of one address
    /// than of others of whom it speaks.
    pub(super) fn may_ask_advertiser(
        &mut self,
        env: &Env,
        incoming: &Incoming<'_>,
        there: SocketAddr,
    ) -> bool {
        self.trust.unproved.forget(env.now, self.timing.period);
        let member = self.numbers.place_of(&incoming.sender.id, there);
        let by = self.numbers.informant(incoming.from);
        self.trust.unproved.advertise(member, by)
    }

    /// Asks the sender whether it is where its message says it is, out of what was put aside for that.
    pub(super) fn ask_sender(&mut self, incoming: &Incoming<'_>, compare: Compare) {
        if incoming.speaker.budget.reserved > 0 {
            let (to, id) = (incoming.place.ask_at, Some(incoming.sender.id));
            let hides = hides_number(incoming.sender);
            self.question(to, id, incoming.speaker.budget.reserved, compare, hides);
        }
    }

    /// The same for a message that gets no answer beside it.
    pub(super) fn ask_sender_of_ack(&mut self, env: &mut Env, incoming: &mut Incoming<'_>) {
        if self.chooses_to_ask(env, incoming) && self.may_provoke(env, &incoming.speaker) {
            let question =
                incoming.speaker.budget.overhead + self.question_len(incoming, Compare::Nothing);
            incoming.speaker.budget.reserve(question);
            self.ask_sender(incoming, Compare::Nothing);
        }
    }

    /// Bytes of a question to the sender, envelope aside.
    pub(super) fn question_len(&self, incoming: &Incoming<'_>, compare: Compare) -> usize {
        let hides = hides_number(incoming.sender);
        let number = self.numbers.question_of(incoming.place.ask_at, compare);
        let question = self.question_message(number, compare, hides);
        if hides {
            brief_len(&question)
        } else {
            self.identity.home.len() + bare_len(&question)
        }
    }

    /// Whether the sender gets a brief answer, so that a question fits beside it.
    pub(super) fn is_brief_with(incoming: &Incoming<'_>) -> bool {
        incoming.speaker.budget.reserved > 0 && hides_number(incoming.sender)
    }

    /// Puts aside what the question takes that has a stranger prove its address, if the answer to its
    /// ping fits beside it.
    pub(super) fn reserve_question(
        &self,
        incoming: &mut Incoming<'_>,
        forward_to: Option<&MemberRecord<'_>>,
        number: u64,
        compare: Compare,
    ) {
        let forward_to = forward_to.map(|to| to.contact());
        let ack = if hides_number(incoming.sender) {
            brief_len(&self.brief_ack(forward_to))
        } else {
            self.extras_len()
                + bare_len(&Message::Ack {
                    from: self.own_record(),
                    forward_to,
                    probe: number,
                    table: false,
                    rumors: self.rumors_for(incoming.row),
                    reconcile: &[],
                    starting: self.gossip.starting,
                })
        };
        let ack = incoming.speaker.budget.overhead + ack;
        let question = incoming.speaker.budget.overhead + self.question_len(incoming, compare);
        incoming.speaker.budget.reserve_beside(question, ack);
    }
}
