//! What waits to be sent, and how it becomes bytes at the moment it is taken: always from the newest
//! state, straight into the caller's buffer.

use std::net::{IpAddr, SocketAddr};

use super::merge::State;
use super::news::{self, RowKey};
use super::records::is_somewhere;
use super::records::listed;
use super::row::{NONE, flag};
use super::{Row, Swim};
use crate::env::Env;
use crate::growth;
use crate::journal::Peer;
use crate::limits::{MAX_DATAGRAM_SENT, MAX_QUEUED_DATAGRAMS};
use crate::member::{Health, Incarnation, MemberId};
use crate::stats::MessageKind;
use crate::time::Time;
use crate::wire::{
    self, Accusers, Content, EncodedMember, Encoder, MemberRecord, MembershipRecord, Memberships,
    Message, feature,
};

/// A message decided on, to be encoded when it is taken.
pub(super) struct Outgoing {
    pub to: SocketAddr,
    /// Who is there, if that is known.
    pub id: Option<MemberId>,
    /// Where it was in the table, or `NONE`.
    pub row: RowKey,
    /// What the receiver is told of itself: what was held of it when the message was decided on.
    pub told: Option<State>,
    /// Bytes that the datagram may have.
    pub limit: usize,
    /// Whether news that goes with it counts as told: not if it goes to a stranger, who might be nobody.
    pub ages: bool,
    pub body: Body,
}

/// What kind of message, with what only that kind has.
pub(super) enum Body {
    Ping {
        forward_to: Option<Box<MemberRecord<'static>>>,
        number: u64,
        /// Whether it carries the digest of the table: "tell me of those I don't know".
        digest: bool,
        /// Whether it is the probe under way.
        probe: bool,
    },
    Ack {
        forward_to: Option<Box<MemberRecord<'static>>>,
        number: u64,
        /// Whether it carries news.
        news: bool,
    },
    /// A ping that has somebody prove its address, and carries nothing else.
    Question {
        number: u64,
        digest: bool,
        /// The number hides where a peer that knows no numbers copies it from.
        hides: bool,
    },
    /// An Ack to a peer that knows no extensions and has still to be asked, in as few bytes as it can be said.
    BriefAck {
        forward_to: Option<Box<MemberRecord<'static>>>,
    },
    /// An Ack to a message that was meant for another member, or came from another ring.
    Astray {
        number: u64,
    },
    /// An Ack nobody asked for: these left.
    Left(Vec<RowKey>),
    PingReq {
        target: MemberId,
        number: u64,
    },
    ProbePing,
    Forward(Box<Forward>),
    /// The next part of the member table for the first of those who wait for it.
    Table,
}

/// Someone else's Ack on its way through this member; goes on as it came, but for what would harm its
/// receiver.
pub(super) struct Forward {
    pub from: MemberRecord<'static>,
    pub name: String,
    pub to: MemberRecord<'static>,
    pub number: u64,
    pub memberships: Vec<u8>,
}

/// The own record, encoded once for all messages until it changes.
pub(super) struct Myself {
    /// What may change of it.
    state: (Incarnation, u16, u16, u16),
    bytes: EncodedMember,
}

/// The most news that one datagram can hold: records have at least 50 bytes.
const MOST_NEWS: usize = MAX_DATAGRAM_SENT / 50;

impl Swim {
    pub(super) fn queue(&mut self, message: Outgoing) {
        self.outbox.push_back(message);
    }

    /// A ping outside the probe cycle: its number has the address proved, and with a digest of the table it
    /// asks for those whom the sender does not know.
    pub(super) fn ask(
        &mut self,
        to: SocketAddr,
        id: Option<MemberId>,
        told: Option<State>,
        limit: usize,
        digest: bool,
    ) {
        let body = Body::Ping {
            forward_to: None,
            number: self.cookie(to),
            digest,
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

    pub fn has_outgoing(&self) -> bool {
        !self.outbox.is_empty()
    }

    pub fn outgoing(&self) -> usize {
        self.outbox.len()
    }

    /// Drops what does not fit in the queue any more.
    #[inline]
    pub fn trim_outbox(&mut self, env: &mut Env) {
        let excess = self.outbox.len().saturating_sub(MAX_QUEUED_DATAGRAMS);
        if excess > 0 {
            self.outbox.truncate(MAX_QUEUED_DATAGRAMS);
            env.journal.stats.datagrams_lost += excess as u64;
        }
    }

    /// Encodes the next message into `buf`, of which the envelope and the stamp take `overhead` more bytes of the
    /// datagram. Returns where it goes and its length.
    #[inline]
    pub fn poll(
        &mut self,
        env: &mut Env,
        buf: &mut [u8],
        overhead: usize,
    ) -> Option<(SocketAddr, usize)> {
        loop {
            let message = self.outbox.pop_front()?;
            growth::slim(&mut self.outbox);
            let again = |id| self.table.find_again(&id, message.row);
            let receiver = message.id.and_then(again);
            let extra = self.extras_of(&message, receiver).len();
            let hard = MAX_DATAGRAM_SENT.saturating_sub(overhead).min(buf.len());
            let hard = hard.saturating_sub(extra);
            let soft = message.limit.saturating_sub(overhead + extra).min(hard);
            let Some(mut len) = self.encode(env, &message, receiver, &mut buf[..hard], soft) else {
                continue;
            };
            if extra > 0
                && let Some(end) = buf.get_mut(len..len + extra)
            {
                self.extras_of(&message, receiver).write(end);
                len += extra;
            }
            let kind = message.body.kind();
            let peer = Peer {
                id: message.id,
                addr: Some(message.to),
            };
            let payload = &buf[..len];
            env.journal.sent(env.wall, kind, len + overhead, peer, || {
                wire::decode(payload)
                    .map(|swim| listed(&swim.memberships))
                    .unwrap_or_default()
            });
            let len = match &message.body {
                // What it says is its first sender's, and the end of the way stands in it.
                Body::Forward(_) => len,
                _ => self.stamped(message.id, buf, len),
            };
            return Some((message.to, len));
        }
    }

    fn encode(
        &mut self,
        env: &mut Env,
        message: &Outgoing,
        receiver: Option<RowKey>,
        buf: &mut [u8],
        soft: usize,
    ) -> Option<usize> {
        self.encode_myself();
        match &message.body {
            Body::Ping {
                forward_to,
                number,
                digest,
                probe,
            } => {
                if *probe {
                    self.probe_leaves(env, *number);
                }
                let digest = if *digest { self.table.digest() } else { 0 };
                let ping = Content::ping(forward_to.as_deref(), *number, digest);
                let mut out = Encoder::from_sender(buf, self.encoded()?, &ping)
                    .filter(|out| out.len() <= soft)?;
                let told = message.told.filter(|_| self.may_accuse(env.now, receiver));
                self.push_told(&mut out, receiver, told, soft);
                if self.push_news(env, &mut out, receiver, message.ages, soft) == 0 && *probe {
                    self.push_filler(env.now, &mut out, receiver, soft);
                }
                Some(out.finish())
            }
            Body::Ack {
                forward_to,
                number,
                news,
            } => {
                let ack = Content::ack(forward_to.as_deref(), *number, self.rumors, self.starting);
                let mut out = Encoder::from_sender(buf, self.encoded()?, &ack)
                    .filter(|out| out.len() <= soft)?;
                if *news {
                    self.push_told(&mut out, receiver, message.told, soft);
                    self.push_news(env, &mut out, receiver, message.ages, soft);
                }
                Some(out.finish())
            }
            Body::Question {
                number,
                digest,
                hides,
            } => {
                let question = self.question_message(*number, *digest, *hides);
                let out = if *hides {
                    Encoder::briefly(buf, &question)
                } else {
                    Encoder::new(buf, &question)
                };
                Some(out.filter(|out| out.len() <= soft)?.finish())
            }
            Body::BriefAck { forward_to } => {
                let ack = self.brief_ack(forward_to.as_deref().copied());
                let out = Encoder::briefly(buf, &ack).filter(|out| out.len() <= soft)?;
                Some(out.finish())
            }
            Body::Astray { number } => {
                let ack = Content::ack(None, *number, 0, false);
                let out = Encoder::from_sender(buf, self.encoded()?, &ack)?;
                Some(out.finish()).filter(|len| *len <= soft)
            }
            Body::Left(rows) => {
                let ack = Content::ack(None, 0, self.rumors, self.starting);
                let mut out = Encoder::from_sender(buf, self.encoded()?, &ack)
                    .filter(|out| out.len() <= soft)?;
                self.push_told(&mut out, receiver, message.told, soft);
                let mut told = 0;
                for key in rows {
                    let left = self.table.get(*key).is_some_and(|row| row.has(flag::LEFT));
                    told += u64::from(left && self.push_row(&mut out, *key, receiver, None, soft));
                }
                env.journal.stats.records_sent += told;
                if told == 0 {
                    return None;
                }
                Some(out.finish())
            }
            Body::PingReq { target, number } => {
                let key = self.table.find(target)?;
                let from = self.own_record();
                let request = Message::PingReq {
                    from,
                    target: self.record_of(key)?,
                    probe: *number,
                };
                let mut out = Encoder::new(buf, &request)?;
                // Relays that do not merge it skip it; the field's habit is to send the target's record.
                self.push_row(&mut out, key, receiver, None, soft);
                Some(out.finish())
            }
            Body::ProbePing => {
                let from = MemberRecord {
                    probe_ping: true,
                    ..self.own_record()
                };
                Some(Encoder::new(buf, &Message::ProbePing { from })?.finish())
            }
            Body::Forward(forward) => encode_forward(buf, forward, self.hears_of_v6(receiver)),
            Body::Table => self.encode_table(env, receiver, buf, soft),
        }
    }

    /// Sees to it that the own record is encoded as it is now.
    fn encode_myself(&mut self) {
        let me = self.me();
        let state = (me.incarnation, me.flags, me.swim_port, me.gossip_port);
        if self.myself.as_ref().is_none_or(|old| old.state != state) {
            let bytes = EncodedMember::of(&self.own_record());
            self.myself = Some(Myself { state, bytes });
        }
    }

    fn encoded(&self) -> Option<&EncodedMember> {
        self.myself.as_ref().map(|myself| &myself.bytes)
    }

    /// The own record as a message's `from`.
    #[inline]
    pub(super) fn own_record(&self) -> MemberRecord<'_> {
        let me = self.me();
        MemberRecord {
            id: me.id,
            incarnation: me.incarnation,
            address: None,
            swim_port: me.swim_port,
            gossip_port: me.gossip_port,
            persistent: me.has(flag::PERSISTENT),
            departed: me.has(flag::LEFT),
            probe_ping: false,
            features: feature::EXTENSIONS | feature::VOUCHES,
            name: self.table.name_of(me),
        }
    }

    /// The most that a datagram of this member takes without memberships and others' addresses, sealed.
    pub(super) fn bare_datagram(&self) -> usize {
        const WITHOUT_NAME: usize = 150;
        WITHOUT_NAME + self.extras_len() + self.stamp_bytes() + self.table.name_of(self.me()).len()
    }

    /// Peers that are not known to be ours die of IPv6 members, so they hear of none (PROTOCOL.md §2,
    /// "Addresses").
    fn hears_of_v6(&self, receiver: Option<RowKey>) -> bool {
        receiver
            .and_then(|key| self.table.get(key))
            .is_some_and(|row| row.has(flag::OURS))
    }

    /// Whether this row's record is one for this receiver.
    pub(super) fn may_be_told(&self, key: RowKey, receiver: Option<RowKey>) -> bool {
        let v6 = self.table.get(key).is_some_and(|row| row.has(flag::V6));
        (!v6 || self.hears_of_v6(receiver)) && (key != self.table.me() || self.addressed)
    }

    /// Appends a row's record, in its state or in this one.
    pub(super) fn push_row(
        &self,
        out: &mut Encoder<'_>,
        key: RowKey,
        receiver: Option<RowKey>,
        state: Option<State>,
        soft: usize,
    ) -> bool {
        let (Some(row), Some(mut member)) = (self.table.get(key), self.record_of(key)) else {
            return false;
        };
        if !self.may_be_told(key, receiver) {
            return false;
        }
        let state = state.unwrap_or(row.state());
        (member.incarnation, member.departed) = (state.incarnation, state.left);
        let accusers = if state.health == Health::Suspect {
            self.accusers(row)
        } else {
            &[]
        };
        out.push(
            &MembershipRecord {
                member,
                health: state.health,
                accusers: Accusers::from(accusers),
            },
            soft,
        )
    }

    /// The receiver's own record comes first, so that it always hears what is held of it. But not if it departed for
    /// good: the rumor tells it so, and this it would refute.
    fn push_told(
        &self,
        out: &mut Encoder<'_>,
        receiver: Option<RowKey>,
        told: Option<State>,
        soft: usize,
    ) {
        if let (Some(key), Some(_)) = (receiver, told)
            && let Some(row) = self.table.get(key)
            && !self.departed_for_good(row)
        {
            self.push_row(out, key, receiver, told, soft);
        }
    }

    /// Appends as much news as fits, the least told first; if it `ages`, it counts as told.
    fn push_news(
        &mut self,
        env: &mut Env,
        out: &mut Encoder<'_>,
        receiver: Option<RowKey>,
        ages: bool,
        soft: usize,
    ) -> usize {
        /// After so many records that do not fit, the rest won't either.
        const MISSES: usize = 3;
        /// Those that are not for this receiver count as told, else they would stand before all others
        /// for ever. No more of them than this are looked at.
        const PASSED: usize = 64;
        if self.news.len() == 0 {
            return 0;
        }
        let mut told = [(0, 0); MOST_NEWS];
        let mut passed = [(0, 0); PASSED];
        let (mut count, mut skipped, mut misses) = (0, 0, 0);
        let mut walk = self.news.walk();
        let mute = !self.heard_of_late(env.now);
        while let Some((place, key)) = self.news.step(&mut walk) {
            // Its own record it hears first, and not as news.
            if Some(key) == receiver
                || !self.may_be_told(key, receiver)
                || mute && self.is_accused(key)
            {
                if skipped == PASSED {
                    break;
                }
                passed[skipped] = (place, key);
                skipped += 1;
                continue;
            }
            if count < MOST_NEWS && self.push_row(out, key, receiver, None, soft) {
                told[count] = (place, key);
                count += 1;
            } else {
                misses += 1;
            }
            if misses >= MISSES {
                break;
            }
        }
        env.journal.stats.records_sent += count as u64;
        if !ages || count + skipped == 0 {
            return count;
        }
        let enough = news::tellings(self.timing.news_factor, self.table.living());
        for (place, key) in told[..count].iter().chain(&passed[..skipped]) {
            let kept = self.news.told(*place, enough);
            if let Some(row) = self.table.get_mut(*key) {
                row.news = kept.unwrap_or(news::COLD);
            }
        }
        self.shrink_news();
        count
    }

    fn shrink_news(&mut self) {
        self.news.shrink(|key, place| {
            if let Some(row) = self.table.get_mut(key) {
                row.news = place;
            }
        });
    }

    /// Without news, a ping carries one record of the table in turn: slow anti-entropy, so that whatever
    /// was lost is made good.
    fn push_filler(
        &mut self,
        now: Time,
        out: &mut Encoder<'_>,
        receiver: Option<RowKey>,
        soft: usize,
    ) {
        /// A table of which most left is walked in pieces.
        const STEPS: u32 = 64;
        match self.table.first_within(self.filler, STEPS) {
            Some(key) => {
                self.filler = key + 1;
                let fits =
                    |row: &Row| self.may_accuse(now, Some(key)) && !self.is_rumors_turn(now, row);
                if Some(key) != receiver && self.table.get(key).is_none_or(fits) {
                    self.push_row(out, key, receiver, None, soft);
                }
            }
            None if self.filler >= self.table.end() => self.filler = 0,
            None => self.filler += STEPS,
        }
    }

    /// Passes an Ack on (PROTOCOL.md §2): from where it came, to whoever asked for it.
    pub(super) fn forward(
        &mut self,
        incoming: &super::incoming::Incoming<'_>,
        to: &MemberRecord<'_>,
        number: u64,
        memberships: Memberships<'_>,
    ) {
        /// No Ack that is to be passed on is longer, but what a stranger makes up may be.
        const MOST: usize = MAX_DATAGRAM_SENT;
        let Some(ip) = to.address.filter(|ip| is_somewhere(*ip)) else {
            return;
        };
        let to_addr = SocketAddr::new(ip, to.swim_port);
        let key = self.table.find(&to.id);
        let known = key
            .and_then(|key| self.table.member(key))
            .is_some_and(|member| member.swim_addr() == to_addr);
        // A stranger does not choose whom this member sends to.
        if !known && !incoming.proved || memberships.as_bytes().len() > MOST {
            return;
        }
        let from = MemberRecord {
            address: Some(incoming.contact().ip()),
            ..*incoming.sender
        };
        let forward = Forward {
            from: MemberRecord {
                features: from.features,
                ..from.contact()
            },
            name: from.name.to_owned(),
            to: to.contact(),
            number,
            memberships: memberships.as_bytes().to_vec(),
        };
        let (id, limit) = (Some(to.id), MAX_DATAGRAM_SENT);
        let body = Body::Forward(Box::new(forward));
        self.queue(Outgoing {
            to: to_addr,
            id,
            row: key.unwrap_or(NONE),
            told: None,
            limit,
            ages: true,
            body,
        });
    }
}

fn encode_forward(buf: &mut [u8], forward: &Forward, hears_of_v6: bool) -> Option<usize> {
    let harmless = |ip: Option<IpAddr>| hears_of_v6 || !ip.is_some_and(|ip| ip.is_ipv6());
    if !harmless(forward.from.address) {
        return None;
    }
    let from = MemberRecord {
        name: &forward.name,
        ..forward.from
    };
    let ack = Message::Ack {
        from,
        forward_to: Some(forward.to),
        probe: forward.number,
        table: false,
        rumors: 0,
        reconcile: &[],
        starting: false,
    };
    let hard = buf.len();
    let mut out = Encoder::new(buf, &ack)?;
    for record in Memberships::from_bytes(&forward.memberships).flatten() {
        if harmless(record.member.address) {
            out.push(&record, hard);
        }
    }
    Some(out.finish())
}

impl Body {
    fn kind(&self) -> MessageKind {
        match self {
            Body::Ping { .. } | Body::Question { .. } => MessageKind::Ping,
            Body::Ack { .. }
            | Body::BriefAck { .. }
            | Body::Astray { .. }
            | Body::Left(_)
            | Body::Table => MessageKind::Ack,
            Body::PingReq { .. } => MessageKind::PingReq,
            Body::ProbePing => MessageKind::ProbePing,
            Body::Forward(_) => MessageKind::ForwardedAck,
        }
    }
}
