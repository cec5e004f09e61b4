//! A message straight from a member, or an Ack that was passed on, is proof that it lives.

use std::net::{IpAddr, SocketAddr};

use super::address::{is_somewhere, member_at};
use super::incoming::{Incoming, Way};
use super::merge::{self, Spread};
use super::news::RowKey;
use super::row::{NONE, flag};
use super::{Notice, Row, Swim};
use crate::env::Env;
use crate::error::Reject;
use crate::event::Cause;
use crate::expected::Expected;
use crate::member::Health;
use crate::wire::{MemberRecord, feature};

impl Swim {
    /// A message straight from a member, or an Ack that was passed on, is proof that it lives.
    pub(super) fn take_in(
        &mut self,
        env: &mut Env,
        incoming: &mut Incoming<'_>,
        ip: IpAddr,
        way: Way,
    ) {
        let sender = incoming.sender;
        let direct = way == Way::Straight;
        if incoming.observer {
            return;
        }
        if !is_somewhere(ip) {
            return env
                .journal
                .rejected(env.now, Reject::BadAddress, incoming.from);
        }
        let known = self
            .table
            .find_again(&sender.id, incoming.row.unwrap_or(NONE));
        if let Some(row) = known.and_then(|key| self.table.get(key))
            && direct
            && self.is_as_held(row, sender, ip)
        {
            incoming.row = known;
            return;
        }
        let there = SocketAddr::new(ip, sender.swim_port);
        let is_there = |row: &Row| self.table.is_at(row, there);
        let here = known
            .and_then(|key| self.table.get(key))
            .is_some_and(is_there);
        if !here && direct && !incoming.answers.question {
            // It has yet to prove that it is there.
            return;
        }
        let key = match known {
            Some(key) => key,
            // A relay's word is not enough.
            None if !direct => return,
            None if sender.departed => {
                self.gossip
                    .notices
                    .push_back(Notice::StrangerGone(sender.id));
                return;
            }
            None => {
                let Some(key) = self.take_in_stranger(env, sender, ip) else {
                    env.journal
                        .rejected(env.now, Reject::TableFull, incoming.from);
                    return;
                };
                key
            }
        };
        incoming.row = Some(key);
        self.checks.end(env, &mut self.table, key);
        let Some(held) = self.table.get(key).expected().map(Row::state) else {
            return;
        };
        let proof = merge::proof_of_life(Some(held), sender.incarnation, sender.departed);
        // A relay does not say where a member is.
        let fresh = sender.incarnation > held.incarnation
            || direct && sender.incarnation == held.incarnation;
        if fresh && (here || direct) {
            self.note_contact(env, key, sender, ip, way);
        }
        let lives = proof.is_some_and(|proof| proof.state.health == Health::Alive);
        if lives && held.health != Health::Alive && !held.left && direct && !incoming.answers.ack {
            env.journal.history.note_unasked(env.wall, sender.id);
        }
        if lives && self.stays_dead(env, incoming, key, way) {
            return;
        }
        if let Some(proof) = proof {
            let cause = if sender.departed {
                Cause::ItsLeave
            } else {
                Cause::ProofOfLife
            };
            self.change(env, key, proof.state, cause, proof.spread);
        }
    }

    /// A member that was not known proved that it is there.
    fn take_in_stranger(
        &mut self,
        env: &mut Env,
        sender: &MemberRecord<'_>,
        ip: IpAddr,
    ) -> Option<RowKey> {
        let member = member_at(sender, ip);
        let key = self.learn(
            env,
            &member,
            sender.name,
            Health::Alive,
            Cause::ProofOfLife,
            Spread::News,
        )?;
        self.is_there(&sender.id, member.swim_addr());
        if let Some(row) = self.table.get_mut(key) {
            let ours = sender.features & feature::EXTENSIONS != 0;
            row.set(flag::OURS, ours);
            row.set(flag::PLACED, sender.features & feature::PLACED != 0);
            row.set(flag::OWN_KINDS, sender.features & feature::OWN_KINDS != 0);
            // A peer that cannot ask for the member table wants it all the same.
            row.set(flag::WANTS_TABLE, !ours);
        }
        self.suspect_former(env, key, member.swim_addr());
        Some(key)
    }
}
