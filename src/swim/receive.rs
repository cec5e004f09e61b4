//! What each message does (PROTOCOL.md §2, the table of messages).

use super::incoming::Way;
use super::merge::Spread;
use super::numbers::wanted_table;
use super::outbox::Compare;
use super::renew::Renewal;
use std::net::SocketAddr;

use super::incoming::Incoming;
use super::outbox::{Body, Outgoing};
use super::probe::Probe;
use super::records::listed;
use super::row::{NONE, flag};
use super::{Notice, Swim};
use crate::env::Env;
use crate::error::Reject;
use crate::expected::Expected;
use crate::journal::Peer;
use crate::limits::{ORDINARY_DATAGRAM, PROBE_PING_INTERVAL};
use crate::member::{Health, Incarnation};
use crate::stats::MessageKind;
use crate::wire::{self, MemberRecord, Memberships, Message, Serial, feature};

/// What an Ack says of itself.
struct AckKind {
    probe: u64,
    table: bool,
}

impl AckKind {
    fn new(probe: u64, table: bool) -> Self {
        AckKind { probe, table }
    }
}

/// Whether an answer says that the ping which its receiver asks for was refused.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Report {
    Refused,
    Nothing,
}

/// What an answer carries.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Content {
    News,
    /// Nothing else.
    Bare,
}

impl Swim {
    /// A message arrived from this address, `bytes` long as a datagram, sealed if it has a `serial` number. The envelope
    /// and the stamp take `overhead` bytes of an answer.
    ///
    /// # Errors
    /// It does not read.
    pub fn hear(
        &mut self,
        env: &mut Env,
        from: SocketAddr,
        bytes: usize,
        overhead: usize,
        payload: &[u8],
        serial: Option<&Serial>,
    ) -> Result<(), Reject> {
        let usual = wire::decode_usual(payload, |record| self.knows(record));
        match &usual {
            Some(swim) => self.handle(env, from, bytes, overhead, swim, serial),
            None => self.handle(env, from, bytes, overhead, &wire::decode(payload)?, serial),
        }
        Ok(())
    }

    fn handle(
        &mut self,
        env: &mut Env,
        from: SocketAddr,
        bytes: usize,
        overhead: usize,
        swim: &wire::Swim<'_>,
        serial: Option<&Serial>,
    ) {
        let kind = self.kind_of(&swim.message);
        let peer = Peer {
            id: Some(swim.message.from().id),
            addr: Some(from),
        };
        env.journal
            .received(env.wall, kind, peer, || listed(&swim.memberships));
        let mut incoming = self.identify(from, bytes, overhead, swim.message.from());
        if let Some(ip) = swim.extras.advertised {
            self.note_advertised(env, &mut incoming, ip);
        }
        // A copy of this ring under another name has the same ids.
        if incoming.sender.id == self.id() && !self.is_foreign(&incoming, &swim.extras) {
            return self.own_id_heard(env, &mut incoming, serial.copied(), swim);
        }
        if self.is_astray(&incoming, &swim.extras) {
            return self.hear_astray(env, &mut incoming, swim);
        }
        if let Some(serial) = serial
            && let Err(reason) = self.judge(&mut incoming, swim, *serial)
        {
            return env.journal.rejected(env.now, reason, from);
        }
        incoming.life = self.life_in(incoming.serial, swim.extras.life);
        if let Err(reason) = self.admit(env, kind, &incoming, &swim.message) {
            return env.journal.rejected(env.now, reason, from);
        }
        if incoming.speaker.proved {
            self.heard_somebody(env);
        }
        self.act(env, &mut incoming, swim, kind);
        self.note_serial(&incoming);
    }

    #[inline(always)]
    fn act(
        &mut self,
        env: &mut Env,
        incoming: &mut Incoming<'_>,
        swim: &wire::Swim<'_>,
        kind: MessageKind,
    ) {
        if self.is_exiled(&incoming.sender.id) && kind != MessageKind::ForwardedAck {
            return self.hear_from_exiled(env, incoming, &swim.message);
        }
        let memberships = swim.memberships.clone();
        match &swim.message {
            Message::Ping {
                forward_to,
                probe,
                digest,
                ..
            } => {
                let forward_to = forward_to.as_ref();
                self.on_ping(env, incoming, forward_to, *probe, *digest, memberships);
            }
            Message::Ack {
                forward_to: Some(to),
                probe,
                ..
            } if kind == MessageKind::ForwardedAck => {
                let (id, incarnation) = (incoming.sender.id, incoming.sender.incarnation);
                if incoming.fresh {
                    self.answers_refusal(env, &id, *probe, incarnation);
                }
                self.forward(incoming, to, *probe, memberships);
            }
            Message::Ack {
                forward_to,
                probe,
                table,
                rumors,
                reconcile,
                starting,
                ..
            } => {
                let (forward_to, kind) = (forward_to.as_ref(), AckKind::new(*probe, *table));
                let direct = self.on_ack(env, incoming, forward_to, kind, memberships);
                if direct && swim.extras.refused && incoming.fresh && incoming.speaker.proved {
                    self.helper_refused(env, incoming.sender.id, *probe);
                }
                if direct {
                    self.on_rumors(env, incoming, *rumors, reconcile);
                    self.on_comparable(incoming, *rumors, *starting);
                }
            }
            Message::PingReq { target, probe, .. } => {
                self.on_ping_req(env, incoming, target, *probe);
            }
            Message::ProbePing { .. } => self.on_probe_ping(env, incoming),
        }
    }

    fn kind_of(&self, message: &Message<'_>) -> MessageKind {
        match message {
            Message::Ping { .. } => MessageKind::Ping,
            Message::Ack {
                forward_to: Some(to),
                ..
            } if to.id != self.id() => MessageKind::ForwardedAck,
            Message::Ack { .. } => MessageKind::Ack,
            Message::PingReq { .. } => MessageKind::PingReq,
            Message::ProbePing { .. } => MessageKind::ProbePing,
        }
    }

    /// Whether the message is one to act on.
    fn admit(
        &mut self,
        env: &mut Env,
        kind: MessageKind,
        incoming: &Incoming<'_>,
        message: &Message<'_>,
    ) -> Result<(), Reject> {
        let id = incoming.sender.id;
        // Acks that are passed on, or were, get through (PROTOCOL.md §2, "Block list").
        let passed_on = matches!(
            message,
            Message::Ack {
                forward_to: Some(_),
                ..
            }
        );
        if self.is_blocked(&id) && !passed_on {
            return Err(Reject::Blocked);
        }
        if kind != MessageKind::Ack && !self.may_provoke(env, &incoming.speaker) {
            return Err(Reject::RateLimited);
        }
        Ok(())
    }

    fn on_ping(
        &mut self,
        env: &mut Env,
        incoming: &mut Incoming<'_>,
        forward_to: Option<&MemberRecord<'_>>,
        number: u64,
        digest: u32,
        memberships: Memberships<'_>,
    ) {
        let observer = incoming.observer;
        let asks = self.chooses_to_ask(env, incoming);
        let compare_if = |differs| match differs {
            true => Compare::Tables,
            false => Compare::Nothing,
        };
        let (compare, compares) = (
            compare_if(digest != 0),
            compare_if(digest != 0 && digest != self.table.digest()),
        );
        let content = if observer {
            Content::Bare
        } else {
            Content::News
        };
        // The allowance is for one: to ask back, or to tell a sender what it has to outdo first.
        if (asks || digest != 0 && !observer) && !self.is_outdone(incoming) {
            self.reserve_question(incoming, forward_to, number, compare);
        }
        let most = if observer {
            self.bare_datagram()
        } else {
            ORDINARY_DATAGRAM
        };
        let limit = incoming.speaker.budget.spend(most);
        // The answer shows what is held now, before this very ping counts as proof of life, so that the
        // sender hears what was said of it and can refute it.
        let forward_to = forward_to.map(|to| Box::new(to.contact()));
        self.answer(
            incoming,
            limit,
            forward_to,
            number,
            content,
            Report::Nothing,
        );
        if observer {
            return;
        }
        if incoming.fresh {
            self.apply(env, incoming, memberships, Spread::News);
            let ip = incoming.contact().ip();
            self.take_in(env, incoming, ip, Way::Straight);
        }
        if asks {
            self.ask_sender(incoming, compares);
        } else if incoming.fresh && digest != 0 && digest != self.table.digest() {
            self.wants_table(env, incoming);
        }
    }

    fn on_ack(
        &mut self,
        env: &mut Env,
        incoming: &mut Incoming<'_>,
        forward_to: Option<&MemberRecord<'_>>,
        kind: AckKind,
        memberships: Memberships<'_>,
    ) -> bool {
        if incoming.observer {
            return false;
        }
        let (number, table) = (kind.probe, kind.table);
        // A peer that knows no numbers copied the one that hid in whom it is to forward to.
        let hidden = forward_to.map_or(0, |to| to.incarnation.get());
        let copied =
            number == 0 && incoming.sender.address.is_none() && self.is_hidden(incoming, hidden);
        let number = if copied { hidden } else { number };
        let was_forwarded = forward_to.is_some() && !copied;
        let way = if was_forwarded {
            Way::Relayed
        } else {
            Way::Straight
        };
        // A relay filled in where the acker is; straight from it, the source says so.
        let relayed = incoming.sender.address.filter(|_| was_forwarded);
        let straight = !was_forwarded && number != 0;
        incoming.answers.ack = true;
        if number != 0 && self.probe_with(number).is_none() {
            let history = &mut env.journal.history;
            history.note_late_answer(env.wall, incoming.sender.id, number);
        }
        incoming.answers.question = straight && self.answers_question(incoming, number);
        let ip = relayed.unwrap_or(incoming.contact().ip());
        if !self.is_fresh_ack(incoming, way, number) {
            self.on_stale_ack(env, incoming, way, number);
            return false;
        }
        let (id, incarnation) = (incoming.sender.id, incoming.sender.incarnation);
        self.answers_refusal(env, &id, number, incarnation);
        if incoming.answers.question {
            for at in [incoming.contact(), incoming.from] {
                self.seeds.answered(env.now, id, at);
            }
        }
        let waiting = self.detector.probe.as_ref().is_some_and(Probe::is_waiting);
        let ours = self.end_probe(env, incoming, way, number);
        incoming.answers.probe = incoming.answers.question || ours && number != 0;
        if !was_forwarded {
            if let Some(probe) = &mut self.detector.probe {
                probe.note_help(&incoming.sender.id, incoming.row, number);
            }
            self.note_tenant(env, incoming, number);
        }
        if let Some(ip) = relayed.filter(|_| ours && waiting) {
            self.ask_where_it_answered(incoming, ip);
        }
        if table && incoming.speaker.proved {
            self.tables.sync.told_by(env.now, incoming.sender.id);
        }
        let newly = incoming.answers.question && self.is_to_be_asked(incoming);
        if newly {
            // Then what it says counts.
            self.take_in(env, incoming, ip, Way::Straight);
            self.note_life(env, incoming, number);
            self.prove(env, incoming, wanted_table(number));
            incoming.speaker.word = self.word_of(incoming);
        }
        let spread = if table { Spread::Quiet } else { Spread::News };
        let before = self.table.digest();
        self.apply(env, incoming, memberships, spread);
        if table && incoming.speaker.proved && self.table.digest() != before {
            self.tables.sync.taught();
        }
        if newly {
            return true;
        }
        if table && incoming.speaker.waits {
            self.tables.sync.sooner(env, &self.timing);
        }
        self.take_in(env, incoming, ip, way);
        if ours && !was_forwarded {
            self.correct_name(env, incoming);
        }
        if straight && (ours || incoming.answers.question) {
            // On a plain ring, the row says so if it is known.
            let asked_for = incoming.serial.is_some() && incoming.answers.question;
            let wants_table = asked_for && wanted_table(number);
            self.note_life(env, incoming, number);
            self.prove(env, incoming, wants_table);
        }
        if !was_forwarded
            && (incoming.place.advertised.is_some()
                || !straight
                || !ours && !incoming.answers.question)
        {
            self.ask_sender_of_ack(env, incoming);
        }
        !was_forwarded
    }

    /// Whether this is a number that the sender was told, hidden where it copied it from.
    fn is_hidden(&self, incoming: &Incoming<'_>, number: u64) -> bool {
        self.probe_with(number).is_some() || self.is_question(number, incoming.contact())
    }

    /// A direct Ack says something of its sender's rumors, which counts from a proved address only.
    fn on_rumors(
        &mut self,
        env: &mut Env,
        incoming: &mut Incoming<'_>,
        rumors: u32,
        reconcile: &[u8],
    ) {
        let Some(row) = incoming.row.and_then(|key| self.table.get(key)) else {
            return;
        };
        if !row.has(flag::OURS) || row.health > Health::Suspect || !self.is_home(incoming, row) {
            return;
        }
        let (id, proved) = (row.id, row.has(flag::PROVED));
        if !proved {
            // The answer to this shows that it holds something else, and that begins a comparison.
            if !reconcile.is_empty() && self.may_provoke(env, &incoming.speaker) {
                let limit = incoming.speaker.budget.spend(ORDINARY_DATAGRAM);
                self.ask(incoming.from, Some(id), None, limit, Compare::Nothing);
            }
        } else if !reconcile.is_empty() {
            let parts = reconcile.to_vec();
            self.gossip
                .notices
                .push_back(Notice::Compared { id, parts });
        } else if rumors != 0 && rumors != self.rumors_for(incoming.row) {
            self.gossip.notices.push_back(Notice::Mismatch(id));
        }
    }

    /// The sender answered a number that only its address was told.
    fn prove(&mut self, env: &mut Env, incoming: &Incoming<'_>, wants_table: bool) {
        let Some(key) = incoming.row else {
            return;
        };
        let Some(row) = self.table.get(key).expected() else {
            return;
        };
        if !self.table.is_at(row, incoming.contact()) {
            return;
        }
        if incoming.answers.at_source {
            // That is where its datagrams come from, and not where it is.
            return self.trust.advertisers.note_source(key, incoming.from);
        }
        self.trust.advertisers.answered(key);
        let waiting = row.has(flag::WANTS_TABLE) || wants_table;
        let newly = !row.has(flag::PROVED);
        if let Some(row) = self.table.get_mut(key) {
            row.set(flag::PROVED, true);
            row.set(flag::WANTS_TABLE, false);
        }
        if newly {
            self.touch(&incoming.sender.id);
        }
        if waiting {
            self.begin_transfer(env, incoming.sender.id);
        }
    }

    fn on_ping_req(
        &mut self,
        env: &Env,
        incoming: &mut Incoming<'_>,
        target: &MemberRecord<'_>,
        number: u64,
    ) {
        let asker = MemberRecord {
            address: Some(incoming.contact().ip()),
            ..incoming.sender.contact()
        };
        if target.id == self.id() {
            let limit = incoming.speaker.budget.spend(self.bare_datagram());
            return self.answer(
                incoming,
                limit,
                None,
                number,
                Content::Bare,
                Report::Nothing,
            );
        }
        let Some(key) = self.table.find(&target.id) else {
            return;
        };
        let (Some(member), Some(row)) = (
            self.table.member(key).expected(),
            self.table.get(key).expected(),
        ) else {
            return;
        };
        let told = Some(row.state());
        let limit = incoming.speaker.budget.spend(ORDINARY_DATAGRAM);
        let body = Body::Ping {
            forward_to: Some(Box::new(asker)),
            number,
            compare: Compare::Nothing,
            probe: false,
        };
        self.queue(Outgoing {
            to: member.swim_addr(),
            id: Some(target.id),
            row: key,
            told,
            limit,
            ages: true,
            body,
        });
        let refused = match self.refused_of_late(env, incoming, key, number) {
            true => Report::Refused,
            false => Report::Nothing,
        };
        // So that the asker knows that it was heard, whatever comes of it.
        if incoming.sender.features & feature::EXTENSIONS != 0 {
            let limit = incoming.speaker.budget.spend(ORDINARY_DATAGRAM);
            self.answer(incoming, limit, None, number, Content::News, refused);
        }
    }

    fn on_probe_ping(&mut self, env: &mut Env, incoming: &mut Incoming<'_>) {
        if incoming.fresh && env.now >= self.identity.next_probe_ping && !self.is_leaving() {
            self.identity.next_probe_ping = env.now + PROBE_PING_INTERVAL;
            match self.me().incarnation.next() {
                Incarnation::MAX => {
                    self.renew(env, Renewal::WhenDue);
                }
                next => self.refute(env, next, Health::Confirmed, &incoming.speaker),
            }
        }
        let asks = self.chooses_to_ask(env, incoming);
        if asks && !self.is_outdone(incoming) {
            self.reserve_question(incoming, None, 0, Compare::Nothing);
        }
        let limit = incoming.speaker.budget.spend(ORDINARY_DATAGRAM);
        self.answer(incoming, limit, None, 0, Content::News, Report::Nothing);
        if incoming.fresh {
            let ip = incoming.contact().ip();
            self.take_in(env, incoming, ip, Way::Straight);
        }
        if asks {
            self.ask_sender(incoming, Compare::Nothing);
        }
    }

    /// Queues an Ack to the source of a message, with what is held of its sender if there is to be `news`. That
    /// is left out if the sender said just that itself, and heard it before: one of ours, Alive, at home.
    fn answer(
        &mut self,
        incoming: &Incoming<'_>,
        limit: usize,
        forward_to: Option<Box<MemberRecord<'static>>>,
        number: u64,
        content: Content,
        refused: Report,
    ) {
        let (mut told, mut ages) = (None, false);
        if let Some(key) = incoming.row
            && let Some(row) = self.table.get(key)
        {
            let state = row.state();
            ages = self.is_home(incoming, row);
            let same = ages
                && state.health == Health::Alive
                && state.incarnation == incoming.sender.incarnation;
            if !same || !row.has_all(flag::OURS | flag::TOLD) {
                told = Some(state);
                if incoming.speaker.proved && content == Content::News {
                    self.table.set_flag(key, flag::TOLD);
                }
            }
        }
        let body = if Swim::is_brief_with(incoming) {
            Body::BriefAck { forward_to }
        } else {
            Body::Ack {
                forward_to,
                number,
                refused: refused == Report::Refused,
                news: content == Content::News,
            }
        };
        self.queue(Outgoing {
            to: incoming.from,
            id: Some(incoming.sender.id),
            row: incoming.row.unwrap_or(NONE),
            told,
            limit,
            ages,
            body,
        });
    }
}
