//! Members that are spoken of and not known, or not known there: whom to ask, and when others' word is enough.
//!
//! None of them is in the member table, so none is told on, pushed to, probed, or takes anybody's place. A member
//! gets into the table by answering a number that only its address was told, or on the word of two members that
//! share no address. What is kept here is who spoke of whom, for a few periods.

use super::outbox::Compare;
use super::speaker::Speaker;
use crate::stats::Gauge;
use std::collections::BTreeMap;
use std::net::SocketAddr;

use rand::RngExt;

use super::{Notice, Swim};
use crate::env::Env;
use crate::limits::{MAX_DATAGRAM_SENT, MAX_SPOKEN_OF, MAX_UNVOUCHED};
use crate::member::{Health, MemberId};
use crate::time::Time;
use crate::wire::{Encoder, Message};

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

    pub fn sizes(&self) -> [Gauge; 1] {
        let spoken = self.spoken.len() + self.before.len();
        [Gauge::new("unproved", spoken, MAX_SPOKEN_OF)]
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
            self.settle_one(member);
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
    pub fn advertise(&mut self, member: u64, by: u64) -> bool {
        let lucky = true;
        self.mention(member ^ ADVERTISED, by, lucky) == Belief::Ask
    }

    /// The member is known to be there, whoever spoke of it.
    fn settle(&mut self, member: u64) {
        self.settle_one(member);
        self.settle_one(member ^ APART ^ ADVERTISED);
    }

    fn settle_one(&mut self, member: u64) {
        self.before.remove(&member);
        let asked = self.spoken.remove(&member).filter(|spoken| spoken.asked);
        if let Some(Spoken { by, .. }) = asked
            && let Some(count) = self.asked.get_mut(&by)
        {
            *count = count.saturating_sub(1);
        }
    }
}

impl Swim {
    /// Somebody speaks of a member that is not known at this address: whether it is to be taken for being there. If
    /// not, it may be asked.
    pub(super) fn hear_of_unproved(
        &mut self,
        env: &mut Env,
        speaker: &mut Speaker,
        id: MemberId,
        addr: SocketAddr,
        health: Health,
    ) -> bool {
        if speaker.word == Word::Own {
            return true;
        }
        if speaker.word != Word::Nothing && health >= Health::Confirmed {
            self.gossip.notices.push_back(match health {
                Health::Departed => Notice::StrangerGone(id),
                _ => Notice::StrangerDead(id),
            });
        }
        if speaker.word == Word::Nothing || health > Health::Suspect || addr.port() == 0 {
            return false;
        }
        self.trust.unproved.forget(env.now, self.timing.period);
        let (member, by) = (self.numbers.place_of(&id, addr), self.informant(speaker));
        let living = self.table.living();
        let mut lucky = |askers: usize| env.rng.random_range(0..living.max(1)) < askers;
        let belief = match speaker.word {
            Word::Vouch => {
                let lucky = lucky(ASKERS.max(living / PART));
                self.trust.unproved.vouch(member, by, lucky)
            }
            _ => {
                let lucky = lucky(HEARSAY_ASKERS);
                self.trust.unproved.mention(member, by, lucky)
            }
        };
        speaker.waits |= belief == Belief::Wait;
        if belief == Belief::Ask {
            let (limit, hides) = (self.bare_datagram(), false);
            self.question(addr, Some(id), limit, Compare::Nothing, hides);
        }
        belief == Belief::Believe
    }

    /// The member answered there.
    pub(super) fn is_there(&mut self, id: &MemberId, addr: SocketAddr) {
        let member = self.numbers.place_of(id, addr);
        self.trust.unproved.settle(member);
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const PERIOD: Duration = Duration::from_secs(1);

    fn at(periods: u32) -> Time {
        Time::from_millis(1_000_000) + PERIOD * periods
    }

    #[test]
    fn two_informants_are_enough_and_one_is_not() {
        let mut unproved = Unproved::new(at(0));
        assert_eq!(unproved.vouch(7, 1, false), Belief::Wait);
        assert_eq!(
            unproved.vouch(7, 1, false),
            Belief::Ignore,
            "the same again"
        );
        assert_eq!(unproved.vouch(7, 1, true), Belief::Ask);
        assert_eq!(unproved.vouch(7, 1, true), Belief::Ignore, "it was asked");
        unproved.forget(at(TURN), PERIOD);
        assert_eq!(
            unproved.vouch(7, 2, false),
            Belief::Believe,
            "in the next turn"
        );
        assert_eq!(unproved.vouch(7, 2, false), Belief::Wait, "it begins anew");
        unproved.forget(at(3 * TURN), PERIOD);
        assert_eq!(
            unproved.vouch(7, 3, false),
            Belief::Wait,
            "that was long ago"
        );
    }

    #[test]
    fn hearsay_is_reason_to_ask_and_never_to_believe() {
        let mut unproved = Unproved::new(at(0));
        assert_eq!(unproved.mention(7, 1, true), Belief::Ask);
        assert_eq!(
            unproved.mention(7, 2, true),
            Belief::Ignore,
            "once in a turn"
        );
        assert_eq!(unproved.vouch(7, 3, false), Belief::Wait, "it counts apart");
    }

    #[test]
    fn one_informant_has_so_many_asked_as_were_not_found() {
        let mut unproved = Unproved::new(at(0));
        let ask = |unproved: &mut Unproved, member| unproved.vouch(member, 1, true) == Belief::Ask;
        let asked = (0..1_000)
            .filter(|member| ask(&mut unproved, *member))
            .count();
        assert_eq!(asked, MAX_UNVOUCHED);
        unproved.settle(0);
        assert!(ask(&mut unproved, 2_000) && !ask(&mut unproved, 2_001));
    }
}
