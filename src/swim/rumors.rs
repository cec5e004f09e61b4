//! What gossip sees of the membership, and has it do.

use super::merge::Spread;
use super::outbox::Compare;
use super::speaker::Speaker;
use std::collections::VecDeque;
use std::net::SocketAddr;

use rand::rngs::StdRng;

use super::address::is_somewhere;
use super::incoming::Incoming;
use super::merge::State;
use super::news::RowKey;
use super::row::flag;
use super::unproved::Word;
use super::{Notice, Row, Swim};
use crate::env::Env;
use crate::error::Reject;
use crate::event::Cause;
use crate::expected::Expected;
use crate::journal;
use crate::limits::MAX_DATAGRAM_SENT;
use crate::member::{Health, MemberId};
use crate::ring::{Peer, Ring};
use crate::rumor::Audience;
use crate::stats::MessageKind;
use crate::time::Time;
use crate::wire::{Accusers, Encoder, MembershipRecord, Message, encode_membership};

/// What gossip told this member, and what it is to be told.
#[derive(Default, Hash)]
pub(super) struct ForGossip {
    /// Stands for the rumors that this member holds, those for each audience, to be told in Acks.
    pub rumors: [u32; 2],
    /// This member has not compared its rumors yet, which its Acks say.
    pub starting: bool,
    /// What gossip has to know.
    pub notices: VecDeque<Notice>,
}

impl Swim {
    pub fn has_notices(&self) -> bool {
        !self.gossip.notices.is_empty()
    }

    pub fn poll_notice(&mut self) -> Option<Notice> {
        self.gossip.notices.pop_front()
    }

    /// What stands for the rumors of this member from now on, and whether it still has to compare them.
    pub fn set_rumors(&mut self, checksums: [u32; 2], starting: bool) {
        (self.gossip.rumors, self.gossip.starting) = (checksums, starting);
    }

    /// A member is gone for good, whatever it says. The departure rumor tells the others, and is what it cannot
    /// refute: its record, if that is news yet, has not to get there first.
    pub fn exile(&mut self, env: &mut Env, id: MemberId) {
        self.trust.refused.exile(id);
        self.depart(env, id, Cause::Departure);
        if let Some(key) = self.table.find(&id) {
            self.updates.cool(&mut self.table, key);
        }
    }

    /// The id may be used again, from whatever incarnation on.
    pub fn pardon(&mut self, env: &mut Env, id: &MemberId) {
        self.trust.refused.pardon(id);
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
        let Some(held) = self.table.get(key).expected().map(Row::state) else {
            return;
        };
        self.checks.end(env, &mut self.table, key);
        let state = State {
            health: Health::Departed,
            left: held.left || cause == Cause::Departure,
            ..held
        };
        // A departure rumor tells the others.
        let spread = match cause {
            Cause::Departure => Spread::Quiet,
            _ => Spread::News,
        };
        self.change(env, key, state, cause, spread);
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
            self.ask(member.swim_addr(), Some(*id), told, limit, Compare::Nothing);
        }
    }

    /// The same of one in whose name a question came by a rumor, which anyone may have made up.
    pub fn introduce_asker(&mut self, env: &Env, id: &MemberId) {
        if self.may_provoke(env, &Speaker::by_rumor(*id, 0, Word::Nothing)) {
            self.introduce(id);
        }
    }

    /// A record of a member came as a rumor, which proves nothing of who sent it.
    pub fn handle_rumor(
        &mut self,
        env: &mut Env,
        sender: MemberId,
        bytes: usize,
        record: &MembershipRecord<'_>,
    ) -> Result<(), Reject> {
        let word = match self.table.find(&sender) {
            Some(_) => Word::Hearsay,
            None => Word::Nothing,
        };
        let mut speaker = Speaker::by_rumor(sender, bytes, word);
        self.hear_record(env, &mut speaker, record, Spread::News)
    }

    /// A record of a member that this member itself wrote down.
    pub fn remember(
        &mut self,
        env: &mut Env,
        record: &MembershipRecord<'_>,
        spread: Spread,
    ) -> Result<(), Reject> {
        let mut speaker = Speaker::disk(self.id());
        self.hear_record(env, &mut speaker, record, spread)
    }

    fn hear_record(
        &mut self,
        env: &mut Env,
        speaker: &mut Speaker,
        record: &MembershipRecord<'_>,
        spread: Spread,
    ) -> Result<(), Reject> {
        if record.member.id == MemberId::OBSERVER {
            return Err(Reject::BadId);
        }
        if !record.member.address.is_some_and(is_somewhere) {
            return Err(Reject::BadAddress);
        }
        env.journal.stats.records_received += 1;
        self.apply_record(env, speaker, record, spread);
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
        let told = |key| key != self.table.me() || self.identity.addressed;
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
        let key = self.table.find(to)?;
        let member = self.table.member(key)?;
        let ack = Message::Ack {
            from: self.own_record(),
            forward_to: None,
            probe: 0,
            table: false,
            rumors: self.rumors_for(Some(key)),
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
        if !self.gossip.starting || starting || rumors == 0 {
            return;
        }
        let row = incoming.row.and_then(|key| self.table.get(key));
        if let Some(row) = row.filter(|row| self.is_home(incoming, row)) {
            let (id, same) = (row.id, rumors == self.rumors_for(incoming.row));
            self.gossip.notices.push_back(Notice::Running { id, same });
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
            audience: row.audience(),
        })
    }
}

impl Ring for Swim {
    fn me(&self) -> MemberId {
        self.id()
    }

    fn name(&self) -> &str {
        self.table.name_of(self.table.own())
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

    fn is_forgotten(&self, id: &MemberId) -> bool {
        let row = self.table.find(id).and_then(|key| self.table.get(key));
        let known = row.map(|row| row.incarnation).unwrap_or_default();
        self.trust.refused.is_forgotten(id, known)
    }

    fn peer(&self, id: &MemberId) -> Option<Peer> {
        self.peer_of(self.table.get(self.table.find(id)?)?)
    }

    fn peers(&self) -> impl Iterator<Item = Peer> {
        self.table.iter().filter_map(|(_, row)| self.peer_of(row))
    }

    fn pick(&self, audience: Audience, most: usize, rng: &mut StdRng, chosen: &mut Vec<Peer>) {
        chosen.clear();
        let fits = |peer: &Peer| peer.audience >= audience;
        self.table.sample(most, rng, |row| {
            chosen.extend(self.peer_of(row).filter(fits));
            chosen.len()
        });
        if audience > Audience::Everyone && chosen.len() < most {
            // Few of a large ring may be: they are looked for.
            self.table.scan(most, rng, |row| {
                let peer = self.peer_of(row).filter(fits);
                let is_new = |peer: &Peer| chosen.iter().all(|one| one.id != peer.id);
                let peer = peer.filter(is_new);
                chosen.extend(peer);
                chosen.len()
            });
        }
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
