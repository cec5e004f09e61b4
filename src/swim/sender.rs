//! Who sent a message, as far as it is known, and what that is worth.

use super::address::is_somewhere;
use super::incoming::Answers;
use super::incoming::Place;
use super::incoming::hides_number;
use super::incoming::is_observer;
use std::net::{IpAddr, SocketAddr};

use super::budget::Budget;
use super::incoming::Incoming;
use super::news::RowKey;
use super::row::{flag, is_dead};
use super::speaker::{Source, Speaker};
use super::unproved::Word;
use super::{Row, Swim};
use crate::env::Env;
use crate::error::Reject;
use crate::member::Health;
use crate::wire::{Extras, MemberRecord, feature};

impl Swim {
    /// Who sent this, as far as it is known.
    #[inline]
    pub(super) fn identify<'a>(
        &self,
        from: SocketAddr,
        bytes: usize,
        overhead: usize,
        sender: &'a MemberRecord<'a>,
    ) -> Incoming<'a> {
        let row = self.table.find(&sender.id);
        let proved = row.is_some_and(|key| self.is_proved_at(key, from));
        let at = SocketAddr::new(from.ip(), sender.swim_port);
        let budget = if proved {
            Budget::unlimited(bytes, overhead)
        } else {
            Budget::of_stranger(bytes, overhead)
        };
        let source = Source::Datagram(from);
        let mut incoming = Incoming {
            from,
            sender,
            speaker: Speaker::new(source, sender.id, sender.features, budget),
            place: Place {
                at,
                advertised: None,
                ask_at: at,
            },
            observer: is_observer(sender),
            row,
            fresh: true,
            serial: None,
            life: 0,
            answers: Answers::default(),
        };
        incoming.speaker.proved = proved;
        incoming.speaker.word = self.word_of(&incoming);
        incoming
    }

    pub(super) fn is_held_at(&self, key: RowKey, addr: SocketAddr) -> bool {
        let row = self.table.get(key);
        row.is_some_and(|row| self.table.is_at(row, addr))
    }

    /// Whether the sender is held to be where its message came from, or where it says that it is reached, and answered at
    /// this source.
    #[inline]
    pub(super) fn is_home(&self, incoming: &Incoming<'_>, row: &Row) -> bool {
        self.table.is_at(row, incoming.from) || self.is_home_elsewhere(incoming, row)
    }

    pub(super) fn is_home_elsewhere(&self, incoming: &Incoming<'_>, row: &Row) -> bool {
        let (Some(there), Some(key)) = (incoming.place.advertised, incoming.row) else {
            return false;
        };
        self.table.is_at(row, there) && self.trust.advertisers.comes_from(key, incoming.from)
    }

    /// Whether it is home in that sense, and answered where it is held.
    pub(super) fn is_proved_home(&self, incoming: &Incoming<'_>, key: RowKey) -> bool {
        let proved = |row: &Row| row.has(flag::PROVED) && self.is_home(incoming, row);
        self.table.get(key).is_some_and(proved)
    }

    /// The sender says that it is reached at this address.
    #[cold]
    pub(super) fn note_advertised(&self, env: &mut Env, incoming: &mut Incoming<'_>, ip: IpAddr) {
        let (from, port) = (incoming.from, incoming.sender.swim_port);
        // It comes from there, as most do.
        if ip == from.ip() || incoming.observer || port == 0 {
            return;
        }
        // Loopback is another host's own.
        if !is_somewhere(ip) || ip.is_loopback() && !from.ip().is_loopback() {
            return env.journal.rejected(env.now, Reject::BadAddress, from);
        }
        let there = SocketAddr::new(ip, port);
        incoming.place.advertised = Some(there);
        if let Some(key) = incoming.row
            && self.is_held_at(key, there)
        {
            (incoming.place.at, incoming.place.ask_at) = (there, there);
            incoming.speaker.proved = self.is_proved_home(incoming, key);
            incoming.speaker.word = self.word_of(incoming);
            if incoming.speaker.proved {
                incoming.speaker.budget.lift();
            }
        }
    }

    pub(super) fn is_given_up(&self, key: RowKey) -> bool {
        let row = self.table.get(key);
        row.is_some_and(super::row::is_dead)
    }

    /// Whether the member in this row once answered from there.
    #[inline]
    pub(super) fn is_proved_at(&self, key: RowKey, from: SocketAddr) -> bool {
        let proved = |row: &Row| row.has(flag::PROVED) && self.table.is_at(row, from);
        self.table.get(key).is_some_and(proved)
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

    /// Whether the sender is not known at the address from which it speaks, may have said this long ago, or is dead and
    /// not proved to be there, so that it has to be asked there.
    pub(super) fn is_to_be_asked(&self, incoming: &Incoming<'_>) -> bool {
        let row = incoming.row.and_then(|key| self.table.get(key));
        let contact = incoming.contact();
        let reachable = is_somewhere(contact.ip()) && contact.port() != 0;
        let known = row.is_some_and(|row| self.table.is_at(row, contact));
        let dead = || row.is_some_and(is_dead) && !hides_number(incoming.sender);
        let there = known && incoming.fresh && (incoming.speaker.proved || !dead());
        !incoming.observer && reachable && !there
    }

    /// Whether this one may provoke one more answer. Nobody outside can pretend to be on loopback.
    pub(super) fn may_provoke(&mut self, env: &Env, speaker: &Speaker) -> bool {
        match speaker.source {
            Source::Datagram(from) => {
                let ip = from.ip();
                speaker.proved || ip.is_loopback() || self.trust.meter.allow(env.now, ip)
            }
            Source::Rumor => self.trust.meter.allow_rumor(env.now),
            Source::Disk => true,
        }
    }

    /// A number for whoever says something: what comes by rumors comes from one.
    pub(super) fn informant(&self, speaker: &Speaker) -> u64 {
        match speaker.source {
            Source::Datagram(from) => self.numbers.informant(from),
            Source::Rumor | Source::Disk => self.numbers.hearsay(),
        }
    }

    /// Something that was said is refused.
    pub(super) fn refuse(&self, env: &mut Env, speaker: &Speaker, reason: Reject) {
        match speaker.source {
            Source::Datagram(from) => env.journal.rejected(env.now, reason, from),
            Source::Rumor | Source::Disk => env.journal.stats.count_rejected(reason),
        }
    }

    /// Whether the sender has to hear what is held of it first: it forgot its past, or has to refute what is said.
    pub(super) fn is_outdone(&self, incoming: &Incoming<'_>) -> bool {
        let held = incoming.row.and_then(|key| self.table.get(key));
        held.map(Row::state).is_some_and(|held| {
            let said = incoming.sender.incarnation;
            held.incarnation > said || held.incarnation == said && held.health != Health::Alive
        })
    }

    /// Whether the sender says that it is of another ring, or is one of ours that would say if it were of this one.
    #[inline]
    pub(super) fn is_foreign(&self, incoming: &Incoming<'_>, extras: &Extras<'_>) -> bool {
        let ours = incoming.sender.features & feature::EXTENSIONS != 0;
        extras.ring != self.identity.home.hash() && (extras.ring != 0 || ours) && !incoming.observer
    }

    /// Whether a message comes from another ring, or is about one that was meant for another member.
    #[inline]
    pub(super) fn is_astray(&self, incoming: &Incoming<'_>, extras: &Extras<'_>) -> bool {
        self.is_foreign(incoming, extras)
            || extras.astray
            || extras.to.is_some_and(|to| !self.is_me(to))
    }
}
