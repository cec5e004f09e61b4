//! What the memberships in a message do: those of others, and those of this very member.

use super::address::is_somewhere;
use super::address::member_at;
use super::incoming::Way;
use super::merge::Spread;
use super::renew::Renewal;
use super::speaker::Speaker;
use std::net::{IpAddr, SocketAddr};

use super::incoming::Incoming;
use super::merge::{self, Merge, Own, State};
use super::news::{COLD, RowKey};
use super::row::flag;
use super::{Row, Swim};
use crate::env::Env;
use crate::error::Reject;
use crate::event::{Cause, Event};
use crate::history::Fact;
use crate::member::{Health, Incarnation, Member, MemberId};
use crate::name::Name;
use crate::text::cleaned;
use crate::wire::{MemberRecord, MembershipRecord, Memberships, feature};

/// What a record is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Worth {
    /// It changed nothing, and in the same bytes never will.
    Nothing,
    /// It did something, or might another time.
    Something,
}

impl Swim {
    /// Whether this membership, by its bytes, was heard before and says nothing new.
    #[inline]
    pub fn knows(&self, membership: &[u8]) -> bool {
        self.trust.echoes.contains(membership)
    }

    /// Merges the memberships that a message carried; `news`: what is adopted is passed on.
    pub(super) fn apply(
        &mut self,
        env: &mut Env,
        incoming: &mut Incoming<'_>,
        mut memberships: Memberships<'_>,
        spread: Spread,
    ) {
        env.journal.stats.records_received += memberships.known() as u64;
        let teller = incoming.row.filter(|_| incoming.speaker.proved);
        if let Some(teller) = teller.filter(|_| self.updates.news.len() > 0) {
            for record in memberships.known_ones() {
                self.heard_back(teller, &record);
            }
        }
        while let Some((bytes, record)) = memberships.next_with_bytes() {
            match record {
                Ok(record) if record.member.id == MemberId::OBSERVER => {
                    self.refuse(env, &incoming.speaker, Reject::BadId);
                }
                Ok(record) if !record.member.address.is_some_and(is_somewhere) => {
                    self.refuse(env, &incoming.speaker, Reject::BadAddress);
                }
                Ok(record) => {
                    env.journal.stats.records_received += 1;
                    if let Some(teller) = teller {
                        self.heard_back(teller, &record);
                    }
                    if self.apply_record(env, &mut incoming.speaker, &record, spread)
                        == Worth::Nothing
                    {
                        self.trust.echoes.add(bytes, self.table.len());
                    }
                }
                Err(reason) => self.refuse(env, &incoming.speaker, reason),
            }
        }
        if !incoming.speaker.left.is_empty() {
            self.correct(incoming);
        }
    }

    /// A member tells a record that is news here, as it is held: it need not be told that. (Deaths and suspicions are
    /// told as often as ever.)
    fn heard_back(&mut self, teller: RowKey, record: &MembershipRecord<'_>) {
        if record.health != Health::Alive {
            return;
        }
        let Some(key) = self.table.find(&record.member.id) else {
            return;
        };
        let is_news = |row: &Row| {
            let same = row.health == Health::Alive && row.incarnation == record.member.incarnation;
            row.news != COLD && same
        };
        if self.table.get(key).is_some_and(is_news) {
            let enough = self.enough_news();
            (self.updates).heard(&mut self.table, key, teller, enough);
        }
    }

    pub(super) fn apply_record(
        &mut self,
        env: &mut Env,
        speaker: &mut Speaker,
        record: &MembershipRecord<'_>,
        spread: Spread,
    ) -> Worth {
        let heard = State {
            incarnation: record.member.incarnation,
            health: record.health,
            left: record.member.departed && record.health == Health::Departed,
        };
        if record.member.id == self.id() {
            return self.hear_of_myself(env, speaker, record, heard);
        }
        let known = self.table.find(&record.member.id);
        if self.is_exiled(&record.member.id) {
            if let Some(key) = known {
                self.hear_of_exiled(env, speaker, key, heard);
            }
            return Worth::Something;
        }
        // It has to say so itself, or something newer.
        if known.is_none()
            && (self.trust.refused).is_forgotten(&record.member.id, heard.incarnation)
        {
            return Worth::Something;
        }
        let held = known.and_then(|key| self.table.get(key)).map(Row::state);
        let merged = merge::merge(held, heard, spread);
        let unheard_of = known.is_none() && heard.health == Health::Departed;
        if (merged == Merge::Adopt || unheard_of)
            && !self.is_to_be_believed(env, speaker, known, heard, record)
        {
            return Worth::Something;
        }
        match (merged, known) {
            (Merge::Ignore, Some(key))
                if heard.health <= Health::Suspect && held.is_some_and(|held| held.left) =>
            {
                speaker.speaks_of_as_present(key);
            }
            // Incarnations never fall, so a member that is said to be Alive at this one is never again news.
            (Merge::Ignore, Some(key)) if heard.health == Health::Alive => {
                let Some(held) = held.filter(|held| held.health >= Health::Confirmed) else {
                    return Worth::Nothing;
                };
                if record.member.id != speaker.id {
                    self.hear_of_life(speaker, key, held, heard);
                }
            }
            (Merge::Ignore, Some(key)) => {
                self.confirm_suspicion(env, key, held, heard, record);
                if speaker.proved {
                    self.see_if_refused(env, key);
                }
            }
            (Merge::Ignore, None) => {}
            // That it lives it has to show by an answer, and not to say.
            (Merge::Adopt, Some(key))
                if record.member.id == speaker.id
                    && heard.health <= Health::Suspect
                    && self.has_to_answer(speaker.features, key, Way::Relayed) => {}
            (Merge::Adopt, known) => self.adopt(env, speaker, known, heard, record, spread),
            (Merge::Check, Some(key)) => self.begin_trial(env, key, speaker, heard.incarnation),
            (Merge::Check, None) => {}
        }
        Worth::Something
    }

    /// Whether a record may be adopted: who is spoken of at an address where it is not known has to be there.
    fn is_to_be_believed(
        &mut self,
        env: &mut Env,
        speaker: &mut Speaker,
        known: Option<RowKey>,
        heard: State,
        record: &MembershipRecord<'_>,
    ) -> bool {
        let Some(ip) = record.member.address else {
            return false;
        };
        let addr = SocketAddr::new(ip, record.member.swim_port);
        let is_news = match known.and_then(|key| self.table.get(key)) {
            Some(row) => is_move(row, heard) && !self.table.is_at(row, addr),
            None => true,
        };
        !is_news || self.hear_of_unproved(env, speaker, record.member.id, addr, heard.health)
    }

    fn adopt(
        &mut self,
        env: &mut Env,
        speaker: &Speaker,
        known: Option<RowKey>,
        heard: State,
        record: &MembershipRecord<'_>,
        spread: Spread,
    ) {
        let Some(ip) = record.member.address else {
            return;
        };
        let held = known.and_then(|key| self.table.get(key));
        let lived = held.is_none_or(|row| row.health == Health::Alive);
        let via = speaker.id;
        let cause = match via == record.member.id {
            true if heard.left => Cause::ItsLeave,
            true => Cause::ProofOfLife,
            false => Cause::Record { via },
        };
        let key = match known {
            Some(key) => {
                if held.is_some_and(|row| is_move(row, heard)) {
                    self.note_contact(env, key, &record.member, ip, Way::Relayed);
                }
                self.change(env, key, heard, cause, spread);
                key
            }
            None => {
                let member = Member {
                    departed: heard.left,
                    ..member_at(&record.member, ip)
                };
                let Some(key) = self.learn(
                    env,
                    &member,
                    record.member.name,
                    heard.health,
                    cause,
                    spread,
                ) else {
                    return self.refuse(env, speaker, Reject::TableFull);
                };
                key
            }
        };
        self.accuse_all(env, key, record);
        // A stranger's word is not worth a probe, which would cost more than the word.
        if heard.health == Health::Suspect && lived && spread == Spread::News && speaker.proved {
            self.volunteer(env, key);
            self.see_if_refused(env, key);
            self.test_port(key);
        }
    }

    /// Whether what a member says of itself, from this address, is just what is held.
    #[inline]
    pub(super) fn is_as_held(&self, row: &Row, sender: &MemberRecord<'_>, ip: IpAddr) -> bool {
        let flags = [
            (flag::PERSISTENT, sender.persistent),
            (flag::OURS, sender.features & feature::EXTENSIONS != 0),
            (flag::PLACED, sender.features & feature::PLACED != 0),
            (flag::OWN_KINDS, sender.features & feature::OWN_KINDS != 0),
            (flag::ON_TRIAL, false),
        ];
        row.incarnation == sender.incarnation
            && row.health == Health::Alive
            && !sender.departed
            && row.swim_port == sender.swim_port
            && row.gossip_port == sender.gossip_port
            && flags.into_iter().all(|(flag, on)| row.has(flag) == on)
            && self.table.ip_of(row) == ip
            // Another that passes for it is noticed by the next answer to a probe.
            && (sender.name.is_empty() || row.may_be_named(sender.name))
    }

    /// The name of who answered a probe is compared letter by letter: in its pings another may pass for the one held.
    pub(super) fn correct_name(&mut self, env: &mut Env, incoming: &Incoming<'_>) {
        let sender = incoming.sender;
        let is_held = |key: &RowKey| {
            let row = self.table.get(*key);
            row.is_some_and(|row| row.incarnation == sender.incarnation)
        };
        if let Some(key) = incoming.row.filter(is_held)
            && !sender.name.is_empty()
        {
            self.rename(env, key, sender.name);
        }
    }

    /// A member says that this is its name.
    fn rename(&mut self, env: &mut Env, key: RowKey, name: &str) {
        let before = self.name_of(key);
        self.table.set_name(key, name);
        let name = self.name_of(key);
        if let Some(row) = self.table.get(key).filter(|_| name != before) {
            let id = row.id;
            env.journal.event(Event::MemberRenamed { id, before, name });
        }
    }

    /// What a fresh record says of a member beyond its health.
    pub(super) fn note_contact(
        &mut self,
        env: &mut Env,
        key: RowKey,
        sender: &MemberRecord<'_>,
        ip: IpAddr,
        way: Way,
    ) {
        let Some(row) = self.table.get(key) else {
            return;
        };
        let moved = self.table.ip_of(row) != ip
            || row.swim_port != sender.swim_port
            || row.gossip_port != sender.gossip_port;
        let renamed = !sender.name.is_empty() && self.table.name_of(row) != sender.name;
        let before = SocketAddr::new(self.table.ip_of(row), row.swim_port);
        let (id, to) = (row.id, SocketAddr::new(ip, sender.swim_port));
        if moved {
            self.table
                .set_contact(key, ip, sender.swim_port, sender.gossip_port);
            self.trust.advertisers.forget(key);
        }
        let (from, held) = (before, self.name_of(key));
        if moved {
            let name = match renamed {
                true => Name::of(&cleaned(sender.name)),
                false => held,
            };
            let gossip_port = sender.gossip_port;
            env.journal.event(Event::MemberMoved {
                id,
                from,
                to,
                gossip_port,
                name,
            });
        }
        if from != to {
            let fact = Fact::Moved { from, to };
            env.journal.history.add(env.wall, id, fact);
        }
        if renamed {
            self.rename(env, key, sender.name);
        }
        let mut changed = moved;
        if let Some(row) = self.table.get_mut(key) {
            row.set(flag::PERSISTENT, sender.persistent);
            if moved {
                row.set(
                    flag::PROVED | flag::ASKED | flag::TOLD | flag::PLACED,
                    false,
                );
            }
            if way == Way::Straight {
                let ours = sender.features & feature::EXTENSIONS != 0;
                changed |= row.has(flag::OURS) != ours;
                row.set(flag::OURS, ours);
                row.set(flag::PLACED, sender.features & feature::PLACED != 0);
                row.set(flag::OWN_KINDS, sender.features & feature::OWN_KINDS != 0);
            }
        }
        // Looking for those to watch costs a look at each row.
        if changed {
            self.touch(&id);
        }
    }

    /// A record of this very member.
    fn hear_of_myself(
        &mut self,
        env: &mut Env,
        speaker: &Speaker,
        record: &MembershipRecord<'_>,
        heard: State,
    ) -> Worth {
        if let Some(ip) = record.member.address {
            let there = SocketAddr::new(ip, record.member.swim_port);
            if speaker.proved && !self.table.is_at(self.me(), there) {
                self.ask_namesake(env, there, self.bare_datagram());
            }
        }
        self.hear_where_it_is(env, speaker, record);
        let mine = self.me();
        let own = merge::merge_own(mine.incarnation, self.is_leaving(), heard);
        if own == Own::Keep {
            // That others hold it elsewhere is heard each time.
            let is_here = |ip| {
                self.table
                    .is_at(mine, SocketAddr::new(ip, record.member.swim_port))
            };
            let settled = self.identity.addressed && record.member.address.is_some_and(is_here);
            return if settled && heard.health == Health::Alive {
                Worth::Nothing
            } else {
                Worth::Something
            };
        }
        if let Own::Raise(raised) = own
            && self.identity.marks.is_due(raised)
        {
            // It is about to say so.
            return Worth::Nothing;
        }
        let untrue = heard.health != Health::Alive && !self.is_leaving();
        if !self.may_provoke(env, speaker) {
            self.refuse(env, speaker, Reject::RateLimited);
            return Worth::Something;
        }
        match own {
            Own::Keep => {}
            Own::Raise(raised) if untrue => {
                self.refute(env, raised, heard.health, speaker);
            }
            Own::Raise(raised) => self.raise(env, raised),
            Own::Renew => {
                self.renew(env, Renewal::WhenDue);
            }
        }
        Worth::Something
    }
}

/// For a trace: what the memberships say, those that are known, too. Whether there is a trace changes nothing.
pub(super) fn listed(memberships: &Memberships<'_>) -> Vec<(MemberId, Incarnation, Health)> {
    let records = Memberships::from_bytes(memberships.as_bytes()).flatten();
    records
        .map(|record| (record.member.id, record.member.incarnation, record.health))
        .collect()
}

/// Whether a record may move its member: who is dead is not elsewhere, and who moved says so at a higher incarnation.
fn is_move(row: &Row, heard: State) -> bool {
    heard.health <= Health::Suspect && heard.incarnation > row.incarnation
}
