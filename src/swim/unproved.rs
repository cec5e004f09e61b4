//! Members that are spoken of and not known, or not known there: whom to ask, and when others' word is enough.
//!
//! None of them is in the member table, so none is told on, pushed to, probed, or takes anybody's place. A member
//! gets into the table by answering a number that only its address was told, or on the word of two members that
//! share no address. What is kept here is who spoke of whom, for a few periods.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use dryoc::classic::crypto_shorthash::{Hash, crypto_shorthash};
use rand::RngExt;

use super::comeback::is_dead;
use super::incoming::Incoming;
use super::news::RowKey;
use super::records::{is_somewhere, member_at};
use super::replay::Turn;
use super::row::{NONE, flag};
use super::send::{Body, Outgoing};
use super::{Notice, Swim};
use crate::env::Env;
use crate::event::Cause;
use crate::limits::{MAX_DATAGRAM_SENT, MAX_SPOKEN_OF, MAX_UNVOUCHED};
use crate::member::{Health, MemberId};
use crate::time::Time;
use crate::wire::{Encoder, MemberRecord, Message, feature};

/// Periods of a turn. Who spoke of whom is remembered in this turn and the next.
pub(super) const TURN: u32 = 4;

/// Members that ask one who is vouched for once, on average; in large rings it is a part of all, so that word of a
/// newcomer does not die out before two members vouch for it.
const ASKERS: usize = 128;
const PART: usize = 5;

/// Members that ask one of whom only peers speak that don't vouch.
const HEARSAY_ASKERS: usize = 4;

/// What somebody's word about a member is worth that is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// Nothing: its address is not proved.
    Nothing,
    /// It speaks of whomever it heard: reason to ask, with some luck.
    Hearsay,
    /// It speaks only of members that it knows to be there.
    Vouch,
    /// This member's own disk.
    Own,
}

/// What to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Belief {
    Ignore,
    /// One more who vouches is enough.
    Wait,
    Ask,
    Believe,
}

/// Who spoke of a member first.
#[derive(Clone, Copy, Debug, Hash)]
struct Spoken {
    by: u64,
    asked: bool,
}

/// What a peer said that does not vouch is no reason to believe the next that does.
const APART: u64 = 0x9e37_79b9_7f4a_7c15;

/// A member that says of itself where it is reached is counted apart from those of whom others speak.
const ADVERTISED: u64 = 0xc2b2_ae3d_27d4_eb4f;

#[derive(Hash)]
pub(super) struct Unproved {
    /// By a number for the member and its address.
    spoken: BTreeMap<u64, Spoken>,
    /// The same, in the turn before.
    before: BTreeMap<u64, Spoken>,
    /// Members that were asked in this turn on the word of each informant, and neither answered nor were vouched for by another.
    asked: BTreeMap<u64, usize>,
    /// When the present turn began.
    began: Time,
}

impl Unproved {
    pub fn new(now: Time) -> Self {
        Unproved {
            spoken: BTreeMap::new(),
            before: BTreeMap::new(),
            asked: BTreeMap::new(),
            began: now,
        }
    }

    /// Members that were spoken of in this turn and the one before.
    pub fn len(&self) -> usize {
        self.spoken.len() + self.before.len()
    }

    /// A turn may be over: what was said in the one before it is forgotten.
    pub fn forget(&mut self, now: Time, period: std::time::Duration) {
        let (age, turn) = (now.since(self.began), period * TURN);
        if age < turn && self.spoken.len() < MAX_SPOKEN_OF / 2 {
            return;
        }
        let spoken = std::mem::take(&mut self.spoken);
        *self = Unproved::new(now);
        if age < 2 * turn {
            self.before = spoken;
        }
    }

    /// An informant vouches for a member; `lucky`: it is this member's turn to ask.
    fn vouch(&mut self, member: u64, by: u64, lucky: bool) -> Belief {
        let spoken = self.spoken.get(&member).copied();
        let first = spoken.or_else(|| self.before.remove(&member));
        if first.is_some_and(|first| first.by != by) {
            self.settle(member);
            return Belief::Believe;
        }
        let was_asked = spoken.is_some_and(|spoken| spoken.asked);
        let asks = !was_asked && lucky && self.may_ask(by);
        let asked = was_asked || asks;
        self.spoken.insert(member, Spoken { by, asked });
        match spoken {
            _ if asks => Belief::Ask,
            None => Belief::Wait,
            Some(_) => Belief::Ignore,
        }
    }

    /// A peer that does not vouch speaks of a member. Whether to ask is decided once in a turn.
    fn mention(&mut self, member: u64, by: u64, lucky: bool) -> Belief {
        let member = member ^ APART;
        if self.spoken.contains_key(&member) {
            return Belief::Ignore;
        }
        let asks = lucky && self.may_ask(by);
        self.spoken.insert(member, Spoken { by, asked: asks });
        if asks { Belief::Ask } else { Belief::Ignore }
    }

    /// Whether one more may be asked on this informant's word, which is then counted.
    fn may_ask(&mut self, by: u64) -> bool {
        let asked = self.asked.get(&by).copied().unwrap_or(0);
        let may = asked < MAX_UNVOUCHED;
        if may {
            self.asked.insert(by, asked + 1);
        }
        may
    }

    /// A member says that it is reached somewhere else than where its datagrams come from: whether to ask there, once in
    /// a turn.
    fn advertise(&mut self, member: u64, by: u64) -> bool {
        self.mention(member ^ ADVERTISED, by, true) == Belief::Ask
    }

    /// The member is known to be there.
    fn settle(&mut self, member: u64) {
        self.before.remove(&member);
        let asked = self.spoken.remove(&member).filter(|spoken| spoken.asked);
        if let Some(Spoken { by, .. }) = asked
            && let Some(count) = self.asked.get_mut(&by)
        {
            *count = count.saturating_sub(1);
        }
    }
}

/// Whether who is asked wanted to be told the table.
const WANTS_TABLE: u64 = 1 << 48;

/// Whether the question was asked in a turn with an odd number. Below it is what only who is asked can know.
const ODD_TURN: u64 = 1 << 47;

impl Swim {
    /// Somebody speaks of a member that is not known at this address: whether it is to be taken for being there. If
    /// not, it may be asked.
    pub(super) fn hear_of_unproved(
        &mut self,
        env: &mut Env,
        incoming: &mut Incoming<'_>,
        id: MemberId,
        addr: SocketAddr,
        health: Health,
    ) -> bool {
        if incoming.word == Word::Own {
            return true;
        }
        if incoming.word != Word::Nothing && health >= Health::Confirmed {
            self.notices.push_back(match health {
                Health::Departed => Notice::StrangerGone(id),
                _ => Notice::StrangerDead(id),
            });
        }
        if incoming.word == Word::Nothing || health > Health::Suspect || addr.port() == 0 {
            return false;
        }
        self.unproved.forget(env.now, self.timing.period);
        let (member, by) = (self.place_of(&id, addr), self.informant(incoming.from));
        let living = self.table.living();
        let mut lucky = |askers: usize| env.rng.random_range(0..living.max(1)) < askers;
        let belief = match incoming.word {
            Word::Vouch => {
                let lucky = lucky(ASKERS.max(living / PART));
                self.unproved.vouch(member, by, lucky)
            }
            _ => {
                let lucky = lucky(HEARSAY_ASKERS);
                self.unproved.mention(member, by, lucky)
            }
        };
        incoming.waits |= belief == Belief::Wait;
        if belief == Belief::Ask {
            self.question(addr, Some(id), self.bare_datagram(), false, false);
        }
        belief == Belief::Believe
    }

    /// A member that was not known proved that it is there.
    pub(super) fn take_in_stranger(
        &mut self,
        env: &mut Env,
        sender: &MemberRecord<'_>,
        ip: IpAddr,
    ) -> Option<RowKey> {
        let member = member_at(sender, ip);
        let key = self.learn(env, &member, Health::Alive, Cause::ProofOfLife, true)?;
        self.is_there(&sender.id, member.swim_addr());
        self.table.set_name(key, sender.name);
        if let Some(row) = self.table.get_mut(key) {
            let ours = sender.features & feature::EXTENSIONS != 0;
            row.set(flag::OURS, ours);
            // A peer that cannot ask for the member table wants it all the same.
            row.set(flag::WANTS_TABLE, !ours);
        }
        self.suspect_former(env, key, member.swim_addr());
        Some(key)
    }

    /// The member answered there.
    pub(super) fn is_there(&mut self, id: &MemberId, addr: SocketAddr) {
        let member = self.place_of(id, addr);
        self.unproved.settle(member);
        self.unproved.settle(member ^ APART ^ ADVERTISED);
    }

    /// Whether to ask the sender where it says that it is reached: once in a turn, and no more on the word of one address
    /// than of others of whom it speaks.
    pub(super) fn may_ask_advertiser(
        &mut self,
        env: &Env,
        incoming: &Incoming<'_>,
        there: SocketAddr,
    ) -> bool {
        self.unproved.forget(env.now, self.timing.period);
        let member = self.place_of(&incoming.sender.id, there);
        let by = self.informant(incoming.from);
        self.unproved.advertise(member, by)
    }

    /// A number for a member at an address.
    fn place_of(&self, id: &MemberId, addr: SocketAddr) -> u64 {
        let mut place = [0; 34];
        place[..16].copy_from_slice(id.as_bytes());
        place[16..32].copy_from_slice(&mapped(addr.ip()));
        place[32..].copy_from_slice(&addr.port().to_be_bytes());
        self.keyed(&place)
    }

    /// A number for whoever sends from there: an IPv4 address or an IPv6 network, as whoever has one may have many
    /// ids; on loopback, where all members have the same address, the port too.
    pub(super) fn informant(&self, addr: SocketAddr) -> u64 {
        let mut place = [0; 18];
        place[..16].copy_from_slice(&mapped(addr.ip()));
        if addr.ip().is_loopback() {
            place[16..].copy_from_slice(&addr.port().to_be_bytes());
        } else if addr.is_ipv6() {
            place[8..16].fill(0);
        }
        self.keyed(&place)
    }

    fn keyed(&self, bytes: &[u8]) -> u64 {
        let mut hash = Hash::default();
        crypto_shorthash(&mut hash, bytes, &self.cookie_key);
        u64::from_le_bytes(hash)
    }

    /// A number for a ping to this address outside the probe cycle: only who gets the ping knows it, so
    /// an Ack with it proves the address. SipHash, as whoever has some numbers must not find the key, and
    /// with it those of others. It is good until the end of the turn after this one, so that an Ack with it is no use
    /// to whoever recorded it.
    pub(super) fn cookie(&self, addr: SocketAddr) -> u64 {
        self.cookie_of(self.turn(), addr)
    }

    fn cookie_of(&self, turn: Turn, addr: SocketAddr) -> u64 {
        let mut place = [0; 22];
        place[..16].copy_from_slice(&mapped(addr.ip()));
        place[16..18].copy_from_slice(&addr.port().to_be_bytes());
        place[18..].copy_from_slice(&turn.to_be_bytes());
        let odd = if turn & 1 == 0 { 0 } else { ODD_TURN };
        (self.keyed(&place) & (ODD_TURN - 1) | odd).max(1)
    }

    /// In which turn a question with this number was asked, if it is one of this turn or the one before.
    pub(super) fn turn_of(&self, number: u64) -> Turn {
        let turn = self.turn();
        let before = (turn & 1 == 0) != (number & ODD_TURN == 0);
        turn.saturating_sub(before.into())
    }

    /// Whether the number is one that this address was told in a question of late.
    pub(super) fn is_cookie(&self, number: u64, addr: SocketAddr) -> bool {
        // Most are of probes, and need no look at what it would be.
        !self.is_probe_number(number)
            && number & !WANTS_TABLE == self.cookie_of(self.turn_of(number), addr)
    }

    /// Whether whoever answers a question with this number wanted to be told the table.
    pub(super) fn wanted_table(number: u64) -> bool {
        number & WANTS_TABLE != 0
    }

    /// Whether the sender is not known at the address from which it speaks, may have said this long ago, or is dead and
    /// not proved to be there, so that it has to be asked there.
    pub(super) fn is_to_be_asked(&self, incoming: &Incoming<'_>) -> bool {
        let row = incoming.row.and_then(|key| self.table.get(key));
        let contact = incoming.contact();
        let reachable = is_somewhere(contact.ip()) && contact.port() != 0;
        let known = row.is_some_and(|row| self.table.is_at(row, contact));
        let dead = || row.is_some_and(is_dead) && !hides_number(incoming.sender);
        let there = known && incoming.fresh && (incoming.proved || !dead());
        !incoming.observer && reachable && !there
    }

    /// Asks the sender whether it is where its message says it is, out of what was put aside for that.
    pub(super) fn ask_sender(&mut self, incoming: &Incoming<'_>, wants_table: bool) {
        if incoming.reserved > 0 {
            let (to, id) = (incoming.ask_at, Some(incoming.sender.id));
            let hides = hides_number(incoming.sender);
            self.question(to, id, incoming.reserved, wants_table, hides);
        }
    }

    /// The same for a message that gets no answer beside it.
    pub(super) fn ask_sender_of_ack(&mut self, env: &mut Env, incoming: &mut Incoming<'_>) {
        if self.chooses_to_ask(env, incoming) && self.may_provoke(env, incoming) {
            let question = incoming.overhead + self.question_len(incoming, false);
            incoming.reserved = incoming.spend_all(question);
            self.ask_sender(incoming, false);
        }
    }

    /// Bytes of a question to the sender, envelope aside.
    pub(super) fn question_len(&self, incoming: &Incoming<'_>, wants_table: bool) -> usize {
        let hides = hides_number(incoming.sender);
        let number = self.question_number(incoming.ask_at, wants_table);
        let question = self.question_message(number, wants_table, hides);
        if hides {
            brief_len(&question)
        } else {
            self.home.len() + bare_len(&question)
        }
    }

    /// Whether the sender gets a brief answer, so that a question fits beside it.
    pub(super) fn is_brief_with(incoming: &Incoming<'_>) -> bool {
        incoming.reserved > 0 && hides_number(incoming.sender)
    }

    /// An Ack for a peer that knows no extensions.
    pub(super) fn brief_ack<'a>(&'a self, forward_to: Option<MemberRecord<'a>>) -> Message<'a> {
        Message::Ack {
            from: self.own_record(),
            forward_to,
            probe: 0,
            table: false,
            rumors: 0,
            reconcile: &[],
            starting: false,
        }
    }

    fn question_number(&self, to: SocketAddr, wants_table: bool) -> u64 {
        self.cookie(to) | if wants_table { WANTS_TABLE } else { 0 }
    }

    /// A question: a ping that carries nothing but its number, not even a name, and the digest of the table to who wants to compare.
    /// A peer that knows no numbers copies whom it is to forward to, so there it is hidden.
    pub(super) fn question_message(&self, number: u64, digest: bool, hides: bool) -> Message<'_> {
        let from = MemberRecord {
            name: "",
            ..self.own_record()
        };
        let forward_to = hides.then(|| from.contact());
        let incarnation = crate::member::Incarnation::new(number).unwrap_or_default();
        Message::Ping {
            from,
            forward_to: forward_to.map(|to| MemberRecord { incarnation, ..to }),
            probe: if hides { 0 } else { number },
            digest: if digest { self.table.digest() } else { 0 },
        }
    }

    fn question(
        &mut self,
        to: SocketAddr,
        id: Option<MemberId>,
        limit: usize,
        wants_table: bool,
        hides: bool,
    ) {
        let body = Body::Question {
            number: self.question_number(to, wants_table),
            digest: wants_table,
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

    /// What the sender's word is worth about members that are not known.
    pub(super) fn word_of(&self, incoming: &Incoming<'_>) -> Word {
        let row = incoming.row.and_then(|key| self.table.get(key));
        match row.filter(|row| row.health <= Health::Suspect && self.is_home(incoming, row)) {
            None => Word::Nothing,
            Some(_) if incoming.sender.features & feature::VOUCHES != 0 => Word::Vouch,
            Some(_) => Word::Hearsay,
        }
    }
}

/// Bytes of a message that carries no memberships.
pub(super) fn bare_len(message: &Message<'_>) -> usize {
    Encoder::new(&mut [0; MAX_DATAGRAM_SENT], message).map_or(MAX_DATAGRAM_SENT, |out| out.len())
}

/// The same, in as few bytes as it can be said.
pub(super) fn brief_len(message: &Message<'_>) -> usize {
    Encoder::briefly(&mut [0; MAX_DATAGRAM_SENT], message)
        .map_or(MAX_DATAGRAM_SENT, |out| out.len())
}

/// Whether a number has to be hidden from this peer.
pub(super) fn hides_number(peer: &MemberRecord<'_>) -> bool {
    peer.features & feature::EXTENSIONS == 0
}

fn mapped(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    }
}
