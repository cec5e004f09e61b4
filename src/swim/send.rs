//! What waits to be sent, and how it becomes bytes at the moment it is taken: always from the newest
//! state, straight into the caller's buffer.

use crate::time::Time;
use std::net::{IpAddr, SocketAddr};

use super::address::is_somewhere;
use super::merge::State;
use super::news::RowKey;
use super::outbox::{Body, Forward, Outgoing};
use super::records::listed;
use super::row::{NONE, flag};
use super::{Row, Swim};
use crate::env::Env;
use crate::journal::Peer;
use crate::limits::MAX_DATAGRAM_SENT;
use crate::member::Health;
use crate::wire::{
    self, Content, EncodedMember, Encoder, Extras, MemberRecord, Memberships, Message,
};

/// The most news that one datagram can hold: records have at least 50 bytes.
const MOST_NEWS: usize = MAX_DATAGRAM_SENT / 50;

/// One ping of so many shows a member what is held of it, whether it knows that or not.
const SAID: u64 = 16;

impl Swim {
    pub fn has_outgoing(&self) -> bool {
        self.outbox.len() > 0
    }

    pub fn outgoing(&self) -> usize {
        self.outbox.len()
    }

    /// Drops what does not fit in the queue any more.
    #[inline]
    pub fn trim_outbox(&mut self, env: &mut Env) {
        self.outbox.trim(env);
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
            let message = self.outbox.pop()?;
            let again = |id| self.table.find_again(&id, message.row);
            let receiver = message.id.and_then(again);
            let extra = self.extras_of(&message, receiver).len();
            let hard = MAX_DATAGRAM_SENT.saturating_sub(overhead).min(buf.len());
            let hard = hard.saturating_sub(extra);
            let soft = message.limit.saturating_sub(overhead + extra).min(hard);
            let room = buf.get_mut(..hard).unwrap_or_default();
            let Some(mut len) = self.encode(env, &message, receiver, room, soft) else {
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
            let payload = buf.get(..len).unwrap_or_default();
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
                compare,
                probe,
            } => {
                if *probe {
                    self.probe_leaves(env, *number);
                }
                let digest = self.digest_for(*compare);
                let ping = Content::ping(forward_to.as_deref(), *number, digest);
                let mut out = Encoder::from_sender(buf, self.myself_for(receiver)?, &ping)
                    .filter(|out| out.len() <= soft)?;
                let told = message.told.filter(|_| self.may_accuse(env.now, receiver));
                let told = told.filter(|told| !self.goes_without_saying(receiver, *told, *number));
                self.push_told(&mut out, receiver, told, soft);
                // News would count as told, and the dead pass nothing on.
                if self.is_held_dead(receiver) {
                    return Some(out.finish());
                }
                let told = self.push_news(env, &mut out, receiver, message.ages, soft);
                if told == 0 && *probe {
                    self.push_filler(env.now, &mut out, receiver, soft);
                }
                Some(out.finish())
            }
            Body::Ack {
                forward_to,
                number,
                news,
                ..
            } => {
                let ack = Content::ack(forward_to.as_deref(), *number)
                    .with_rumors(self.rumors_for(receiver), self.gossip.starting);
                let mut out = Encoder::from_sender(buf, self.myself_for(receiver)?, &ack)
                    .filter(|out| out.len() <= soft)?;
                if *news {
                    self.push_told(&mut out, receiver, message.told, soft);
                    self.push_news(env, &mut out, receiver, message.ages, soft);
                }
                Some(out.finish())
            }
            Body::Question {
                number,
                compare,
                hides,
            } => {
                let question = self.question_message(*number, *compare, *hides);
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
                let ack = Content::ack(None, *number);
                let out = Encoder::from_sender(buf, self.outbox.encoded()?, &ack)?;
                Some(out.finish()).filter(|len| *len <= soft)
            }
            Body::Left(rows) => {
                let ack = Content::ack(None, 0)
                    .with_rumors(self.rumors_for(receiver), self.gossip.starting);
                let mut out = Encoder::from_sender(buf, self.myself_for(receiver)?, &ack)
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
            Body::Forward(forward) => encode_forward(buf, forward, self.is_ours(receiver)),
            Body::Table => self.encode_table(env, receiver, buf, soft),
        }
    }

    /// Sees to it that the own record is encoded as it is now.
    fn encode_myself(&mut self) {
        let me = self.me();
        let ports = (me.swim_port, me.gossip_port);
        let state = (me.incarnation, me.flags, ports, self.identity.addressed);
        if !self.outbox.is_encoded(state) {
            let record = self.own_record();
            let (bytes, short) = (EncodedMember::of(&record), EncodedMember::short(&record));
            self.outbox.set_encoded(state, bytes, short);
        }
    }

    /// The own record as it is encoded for this receiver: to one of ours, without what says nothing.
    #[inline]
    fn myself_for(&self, receiver: Option<RowKey>) -> Option<&EncodedMember> {
        match self.is_ours(receiver) {
            true => self.outbox.encoded_short(),
            false => self.outbox.encoded(),
        }
    }

    /// Whether what this member lacks is found by comparing tables.
    fn compares_tables(&self, receiver: Option<RowKey>) -> bool {
        !self.timing.sync_max.is_zero() && self.is_ours(receiver)
    }

    /// Whether a pinged member need not hear what is held of it: that it lives, and it knows where. If it has another
    /// incarnation, its own pings are answered with the one that is held. Now and then it hears it all the same, as what
    /// others see of it may differ from where it listens.
    fn goes_without_saying(&self, receiver: Option<RowKey>, told: State, number: u64) -> bool {
        let row = receiver.and_then(|key| self.table.get(key));
        told.health == Health::Alive
            && !number.is_multiple_of(SAID)
            && row.is_some_and(|row| row.has_all(flag::OURS | flag::PLACED | flag::PROVED))
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
        if self.updates.news.len() == 0 {
            return 0;
        }
        let mut told = [(0, 0); MOST_NEWS];
        let mut passed = [(0, 0); PASSED];
        let (mut count, mut skipped, mut misses) = (0, 0, 0);
        let mut walk = self.updates.news.walk();
        let mute = !self.heard_of_late(env.now);
        while let Some((place, key)) = self.updates.news.step(&mut walk) {
            // Its own record it hears first, and not as news.
            if Some(key) == receiver
                || !self.may_be_told(key, receiver)
                || mute && self.is_accused(key)
            {
                let Some(next) = passed.get_mut(skipped) else {
                    break;
                };
                *next = (place, key);
                skipped += 1;
                continue;
            }
            match told.get_mut(count) {
                Some(next) if self.push_row(out, key, receiver, None, soft) => {
                    *next = (place, key);
                    count += 1;
                }
                _ => misses += 1,
            }
            if misses >= MISSES {
                break;
            }
        }
        env.journal.stats.records_sent += count as u64;
        if !ages || count + skipped == 0 {
            return count;
        }
        let enough = self.enough_news();
        let (told, passed) = (told.iter().take(count), passed.iter().take(skipped));
        let all = told.chain(passed).copied();
        self.updates.told(&mut self.table, all, enough);
        count
    }

    /// Without news, a ping carries one record of the table in turn: slow anti-entropy, so that whatever was lost is made
    /// good. To one that compares tables, it is only one of the dead: of these tables say nothing.
    fn push_filler(
        &mut self,
        now: Time,
        out: &mut Encoder<'_>,
        receiver: Option<RowKey>,
        soft: usize,
    ) {
        /// A table of which most left is walked in pieces.
        const STEPS: u32 = 64;
        match self.table.first_within(self.updates.filler, STEPS) {
            Some(key) => {
                self.updates.filler = key + 1;
                let compares = self.compares_tables(receiver);
                let fits = |row: &Row| {
                    let in_tables = compares && row.health <= Health::Suspect;
                    !in_tables && self.may_accuse(now, Some(key)) && !self.is_rumors_turn(now, row)
                };
                if Some(key) != receiver && self.table.get(key).is_none_or(fits) {
                    self.push_row(out, key, receiver, None, soft);
                }
            }
            None if self.updates.filler >= self.table.end() => self.updates.filler = 0,
            None => self.updates.filler += STEPS,
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
        if !known && !incoming.speaker.proved || memberships.as_bytes().len() > MOST {
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

    /// The next piece of the table; `None`: all is told, or the receiver is no longer the first.
    fn encode_table(
        &mut self,
        env: &mut Env,
        receiver: Option<RowKey>,
        buf: &mut [u8],
        soft: usize,
    ) -> Option<usize> {
        let mut next = self.tables.transfers.next_for(&self.table, receiver)?;
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
        self.tables.transfers.go_on(next);
        (len > bare).then_some(len)
    }

    /// What is said of a whole message to this receiver.
    #[inline]
    pub(super) fn extras_of(&self, message: &Outgoing, receiver: Option<RowKey>) -> Extras<'_> {
        let mut extras = self.own_extras();
        match message.body {
            Body::Ping { .. } | Body::ProbePing => {
                let trial = matches!(message.body, Body::ProbePing);
                let row = receiver.and_then(|key| self.table.get(key));
                let meant = row.filter(|row| trial || row.health != Health::Alive);
                extras.to = meant.map(|row| row.id);
            }
            // What is to be as short as can be goes to peers that know no extensions.
            Body::BriefAck { .. } | Body::Question { hides: true, .. } => {
                return Extras::default();
            }
            // It is another's.
            Body::Forward(_) => (extras.life, extras.advertised) = (0, None),
            // It has to fit beside an Ack into three times the bytes of a stranger's ping.
            Body::Question { .. } => extras.life = 0,
            Body::Astray { .. } => extras.astray = true,
            Body::Ack { refused, .. } => extras.refused = refused,
            _ => {}
        }
        if (extras.astray || message.id.is_none())
            && let Some(name) = self.identity.home.name()
        {
            extras.ring_name = name.as_str().as_bytes();
        }
        extras
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
