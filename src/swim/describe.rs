//! What this member says of itself and of others.

use super::merge::State;
use super::news::RowKey;
use super::outbox::Compare;
use super::row::flag;
use super::{Row, Swim};
use crate::config::Timing;
use crate::expected::Expected;
use crate::member::Health;
use crate::rumor::Audience;
use crate::wire::{Accusers, Encoder, MemberRecord, MembershipRecord, Message, feature};

impl Swim {
    /// How fast it probes.
    pub fn timing(&self) -> &Timing {
        &self.timing
    }

    /// A row as a record for others.
    pub(super) fn record_of(&self, key: RowKey) -> Option<MemberRecord<'_>> {
        let row = self.table.get(key)?;
        Some(MemberRecord {
            id: row.id,
            incarnation: row.incarnation,
            address: Some(self.table.ip_of(row)),
            swim_port: row.swim_port,
            gossip_port: row.gossip_port,
            persistent: row.has(flag::PERSISTENT),
            departed: row.has(flag::LEFT),
            probe_ping: false,
            features: 0,
            name: self.table.name_of(row),
        })
    }

    /// The own record as a message's `from`.
    #[inline]
    pub(super) fn own_record(&self) -> MemberRecord<'_> {
        let me = self.me();
        let placed = match self.identity.placed {
            true => feature::PLACED,
            false => 0,
        };
        MemberRecord {
            id: me.id,
            incarnation: me.incarnation,
            address: None,
            swim_port: me.swim_port,
            gossip_port: me.gossip_port,
            persistent: me.has(flag::PERSISTENT),
            departed: me.has(flag::LEFT),
            probe_ping: false,
            features: feature::EXTENSIONS | feature::VOUCHES | feature::OWN_KINDS | placed,
            name: self.table.name_of(me),
        }
    }

    /// The most that a datagram of this member takes without memberships and others' addresses, sealed.
    pub(super) fn bare_datagram(&self) -> usize {
        const WITHOUT_NAME: usize = 150;
        WITHOUT_NAME + self.extras_len() + self.stamp_bytes() + self.table.name_of(self.me()).len()
    }

    /// Whether this member is known to be ours. Others die of IPv6 members, so they hear of none (PROTOCOL.md §2,
    /// "Addresses").
    #[inline]
    pub(super) fn is_ours(&self, receiver: Option<RowKey>) -> bool {
        receiver
            .and_then(|key| self.table.get(key))
            .is_some_and(|row| row.has(flag::OURS))
    }

    /// Whether this row's record is one for this receiver.
    pub(super) fn may_be_told(&self, key: RowKey, receiver: Option<RowKey>) -> bool {
        let v6 = self.table.get(key).is_some_and(|row| row.has(flag::V6));
        (!v6 || self.is_ours(receiver)) && (key != self.table.me() || self.identity.addressed)
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
        let (Some(row), Some(mut member)) = (
            self.table.get(key).expected(),
            self.record_of(key).expected(),
        ) else {
            return false;
        };
        if !self.may_be_told(key, receiver) {
            return false;
        }
        let state = state.unwrap_or(row.state());
        (member.incarnation, member.departed) = (state.incarnation, state.left);
        let suspicion = self.suspicions.of(row);
        let suspicion = suspicion.filter(|_| state.health == Health::Suspect);
        let accusers = suspicion.map_or(Accusers::NONE, |suspicion| {
            Accusers::new(suspicion.accusers())
                .refused(suspicion.refusals())
                .stalled(suspicion.stalled())
        });
        out.push(
            &MembershipRecord {
                member,
                health: state.health,
                accusers,
            },
            soft,
        )
    }

    /// What stands for the rumors that the member in this row takes.
    #[inline]
    pub(super) fn rumors_for(&self, key: Option<RowKey>) -> u32 {
        let row = key.and_then(|key| self.table.get(key));
        let [common, all] = self.gossip.rumors;
        match row.map(Row::audience) {
            Some(Audience::Ours) => all,
            _ => common,
        }
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

    /// The digest of the table, if tables are to be compared.
    pub(super) fn digest_for(&self, compare: Compare) -> u32 {
        match compare {
            Compare::Tables => self.table.digest(),
            Compare::Nothing => 0,
        }
    }

    /// A question: a ping that carries nothing but its number, not even a name, and the digest of the table to who wants to compare.
    /// A peer that knows no numbers copies whom it is to forward to, so there it is hidden.
    pub(super) fn question_message(
        &self,
        number: u64,
        compare: Compare,
        hides: bool,
    ) -> Message<'_> {
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
            digest: self.digest_for(compare),
        }
    }
}
