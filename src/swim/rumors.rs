//! What gossip sees of the membership, and has it do.

use std::net::SocketAddr;

use rand::rngs::StdRng;

use super::incoming::Incoming;
use super::merge::State;
use super::news::RowKey;
use super::records::is_somewhere;
use super::row::flag;
use super::unproved::Word;
use super::{Notice, Row, Swim};
use crate::env::Env;
use crate::error::Reject;
use crate::event::Cause;
use crate::journal;
use crate::limits::{MAX_DATAGRAM_SENT, MAX_EXILED};
use crate::member::{Health, MemberId};
use crate::ring::{Peer, Ring};
use crate::stats::MessageKind;
use crate::time::Time;
use crate::wire::{Accusers, Encoder, MemberRecord, MembershipRecord, Message, encode_membership};

/// So many periods without a datagram, and this member may be deaf: each of its own probes has an answer, or helpers that
/// say they were asked, and so soon nobody holds it for dead.
const HEARING: u32 = 2;

impl Swim {
    /// Whether some member was heard of late. One that hears nobody tells nobody that others are dead.
    #[inline]
    pub(super) fn heard_of_late(&self, now: Time) -> bool {
        now.since(self.last_heard) < self.timing.period * HEARING
    }

    /// A message came from a member that is where it says it is.
    #[inline]
    pub(super) fn heard_somebody(&mut self, env: &mut Env) {
        if !self.heard_of_late(env.now) {
            self.speak_again(env);
        }
        self.last_heard = env.now;
    }

    pub(super) fn is_accused(&self, key: RowKey) -> bool {
        self.table.get(key).is_some_and(Row::is_accused)
    }

    /// Whether a member may be shown what is held of it. Who hears nobody accuses nobody: it may be the only one that
    /// does not hear this member.
    pub(super) fn may_accuse(&self, now: Time, key: Option<RowKey>) -> bool {
        self.heard_of_late(now) || !key.is_some_and(|key| self.is_accused(key))
    }

    /// It hears again: whom it accused or gave up meanwhile is news.
    fn speak_again(&mut self, env: &mut Env) {
        self.end_isolation(env);
        let since = self.last_heard;
        let kept = |(_, row): &(RowKey, &Row)| row.is_accused() && row.since >= since;
        let rows: Vec<RowKey> = self.table.iter().filter(kept).map(|(key, _)| key).collect();
        env.journal.stats.records_adopted += rows.len() as u64;
        rows.into_iter().for_each(|key| self.heat(env, key));
        if self.news.len() > 0 {
            self.push_soon(env);
        }
    }

    /// A probe brought nothing from anybody, though others were asked for help.
    pub(super) fn hears_nobody(&mut self, now: Time) {
        self.last_heard = self.last_heard.min(now - self.timing.period * HEARING);
    }

    pub fn has_notices(&self) -> bool {
        !self.notices.is_empty()
    }

    pub fn poll_notice(&mut self) -> Option<Notice> {
        self.notices.pop_front()
    }

    /// What stands for the rumors of this member from now on, and whether it still has to compare them.
    pub fn set_rumors(&mut self, checksum: u32, starting: bool) {
        (self.rumors, self.starting) = (checksum, starting);
    }

    pub fn is_exiled(&self, id: &MemberId) -> bool {
        !self.exiled.is_empty() && self.exiled.contains(id)
    }

    /// A member is gone for good, whatever it says. The departure rumor tells the others, and is what it cannot
    /// refute: its record, if that is news yet, has not to get there first.
    pub fn exile(&mut self, env: &mut Env, id: MemberId) {
        if self.exiled.len() < MAX_EXILED {
            self.exiled.insert(id);
        }
        self.depart(env, id, Cause::Departure);
        if let Some(key) = self.table.find(&id) {
            self.cool(key);
        }
    }

    /// The id may be used again, from whatever incarnation on.
    pub fn pardon(&mut self, env: &mut Env, id: &MemberId) {
        self.exiled.remove(id);
        if let Some(key) = self.table.find(id)
            && self.table.get(key).is_some_and(|row| row.has(flag::LEFT))
        {
            self.forget(env, key);
        }
    }

    /// A member counts no more. Who hears of the same cause does the same, so it is no news of its own.
    pub fn depart(&mut self, env: &mut Env, id: MemberId, cause: Cause) {
        let Some(key) = self.table.find(&id).filter(|key| *key != self.table.me()) else {
            return;
        };
        let Some(held) = self.table.get(key).map(Row::state) else {
            return;
        };
        self.end_trial(env, key);
        let state = State {
            health: Health::Departed,
            left: held.left || cause == Cause::Departure,
            ..held
        };
        self.change(env, key, state, cause, cause != Cause::Departure);
    }

    /// Pings a member, if it is known: its answer shows whether it compares stores.
    pub fn introduce(&mut self, id: &MemberId) {
        /// Bytes of a member's own record at most.
        const ITS_RECORD: usize = 160;
        let key = self.table.find(id);
        if let Some(member) = key.and_then(|key| self.table.member(key)) {
            let told = key.and_then(|key| self.table.get(key)).map(Row::state);
            // Little more than that, as the address may be made up.
            let limit = self.bare_datagram() + ITS_RECORD;
            self.ask(member.swim_addr(), Some(*id), told, limit, false);
        }
    }

    /// A record of a member came as a rumor, which proves nothing of who sent it.
    pub fn handle_rumor(
        &mut self,
        env: &mut Env,
        from: SocketAddr,
        sender: MemberId,
        bytes: usize,
        record: &MembershipRecord<'_>,
    ) -> Result<(), Reject> {
        let known = self.table.find(&sender).is_some();
        let sender = MemberRecord {
            id: sender,
            ..record.member.contact()
        };
        let mut incoming = Incoming::by_rumor(from, &sender, bytes);
        if known {
            incoming.word = Word::Hearsay;
        }
        self.hear_record(env, &mut incoming, record, true)
    }

    /// A record of a member that this member itself wrote down.
    pub fn remember(
        &mut self,
        env: &mut Env,
        record: &MembershipRecord<'_>,
        news: bool,
    ) -> Result<(), Reject> {
        let sender = MemberRecord {
            id: self.id(),
            ..record.member.contact()
        };
        let from = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut incoming = Incoming::by_rumor(from, &sender, 0);
        incoming.word = Word::Own;
        self.hear_record(env, &mut incoming, record, news)
    }

    fn hear_record(
        &mut self,
        env: &mut Env,
        incoming: &mut Incoming<'_>,
        record: &MembershipRecord<'_>,
        news: bool,
    ) -> Result<(), Reject> {
        if record.member.id == MemberId::OBSERVER {
            return Err(Reject::BadId);
        }
        if !record.member.address.is_some_and(is_somewhere) {
            return Err(Reject::BadAddress);
        }
        env.journal.stats.records_received += 1;
        self.apply_record(env, incoming, record, news);
        Ok(())
    }

    /// The bytes of a member's record, for peers that get members by rumors; `None`: it is not known, or
    /// peers die of it, or another rumor says that it departed for good.
    pub fn membership(&self, id: &MemberId) -> Option<Vec<u8>> {
        let key = self.table.find(id).filter(|_| !self.is_exiled(id))?;
        self.encode_row(key).filter(|_| self.may_be_told(key, None))
    }

    /// The records of all members, as they are sent.
    pub fn memberships(&self) -> impl Iterator<Item = Vec<u8>> {
        let told = |key| key != self.table.me() || self.addressed;
        let keys = self.table.iter().map(|(key, _)| key);
        keys.filter(move |key| told(*key))
            .filter_map(|key| self.encode_row(key))
    }

    fn encode_row(&self, key: RowKey) -> Option<Vec<u8>> {
        Some(encode_membership(&MembershipRecord {
            member: self.record_of(key)?,
            health: self.table.get(key)?.health,
            accusers: Accusers::NONE,
        }))
    }

    /// Encodes a part of a comparison of stores for this member: an Ack that it did not ask for.
    pub fn encode_talk(
        &mut self,
        env: &mut Env,
        to: &MemberId,
        parts: &[u8],
        buf: &mut [u8],
        overhead: usize,
    ) -> Option<(SocketAddr, usize)> {
        let member = self.table.member(self.table.find(to)?)?;
        let ack = Message::Ack {
            from: self.own_record(),
            forward_to: None,
            probe: 0,
            table: false,
            rumors: self.rumors,
            reconcile: parts,
            starting: false,
        };
        let most = MAX_DATAGRAM_SENT.saturating_sub(overhead);
        let end = Encoder::new(buf, &ack)?.finish();
        let extras = self.own_extras();
        let len = end + extras.len();
        if len > most {
            return None;
        }
        extras.write(buf.get_mut(end..len)?);
        let peer = journal::Peer::from(&member);
        env.journal
            .sent(env.wall, MessageKind::Ack, len + overhead, peer, Vec::new);
        let len = self.stamped(Some(*to), buf, len);
        Some((member.swim_addr(), len))
    }

    /// While this member starts, it wants to know who was running before, and whether it holds the same rumors.
    pub(super) fn on_comparable(&mut self, incoming: &Incoming<'_>, rumors: u32, starting: bool) {
        if !self.starting || starting || rumors == 0 {
            return;
        }
        let row = incoming.row.and_then(|key| self.table.get(key));
        if let Some(row) = row.filter(|row| self.is_home(incoming, row)) {
            let (id, same) = (row.id, rumors == self.rumors);
            self.notices.push_back(Notice::Running { id, same });
        }
    }

    /// Where a member's PULL socket is, or was.
    pub fn gossip_addr(&self, id: &MemberId) -> Option<SocketAddr> {
        let row = self.table.get(self.table.find(id)?)?;
        Some(SocketAddr::new(self.table.ip_of(row), row.gossip_port))
    }

    fn peer_of(&self, row: &Row) -> Option<Peer> {
        let fits = row.health <= Health::Suspect
            && row.id != self.id()
            && row.gossip_port != 0
            && !self.is_blocked(&row.id);
        let ours = row.has(flag::OURS);
        fits.then(|| Peer {
            id: row.id,
            addr: SocketAddr::new(self.table.ip_of(row), row.gossip_port),
            compares: ours && row.has(flag::PROVED),
            ours,
            heard: row.has(flag::PROVED) || row.rtt().is_some() && !ours,
        })
    }
}

impl Ring for Swim {
    fn me(&self) -> MemberId {
        self.id()
    }

    fn incarnation(&self) -> u64 {
        self.me().incarnation.get()
    }

    fn living(&self) -> usize {
        self.table.living()
    }

    fn hears(&self, now: Time) -> bool {
        self.living() <= 1 || self.heard_of_late(now)
    }

    fn health(&self, id: &MemberId) -> Option<Health> {
        Some(self.table.get(self.table.find(id)?)?.health)
    }

    fn is_exiled(&self, id: &MemberId) -> bool {
        self.is_exiled(id)
    }

    fn peer(&self, id: &MemberId) -> Option<Peer> {
        self.peer_of(self.table.get(self.table.find(id)?)?)
    }

    fn peers(&self) -> impl Iterator<Item = Peer> {
        self.table.iter().filter_map(|(_, row)| self.peer_of(row))
    }

    fn pick(&self, most: usize, rng: &mut StdRng, chosen: &mut Vec<Peer>) {
        chosen.clear();
        self.table.sample(most, rng, |row| {
            chosen.extend(self.peer_of(row));
            chosen.len()
        });
    }

    fn living_from(&self, place: u32) -> Option<(MemberId, u32)> {
        let mut next = place;
        loop {
            let key = self.table.first_from(next)?;
            next = key + 1;
            let row = self.table.get(key)?;
            if row.health <= Health::Suspect && self.may_be_told(key, None) {
                return Some((row.id, next));
            }
        }
    }
}
