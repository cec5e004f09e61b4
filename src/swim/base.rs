//! What is asked of this member in many places: who it is, who is refused, what was asked.

use std::net::SocketAddr;

use super::leave::Leave;
use super::news::RowKey;
use super::probe::Probe;
use super::row::flag;
use super::suspicion::Suspicion;
use super::table::Table;
use super::{Row, Swim};
use crate::env::Env;
use crate::member::MemberId;
use crate::name::Name;
use crate::time::Time;
use crate::wire::{Extras, LIFE_BYTES, STAMP_BYTES, Serial, Stamp, life_of};
use rand::RngExt;

/// Periods in which a departure rumor is left to spread by itself. Who hears of its own departure by a membership
/// first refutes that.
const RUMORS_TURN: u32 = 3;

impl Swim {
    pub fn table(&self) -> &Table {
        &self.table
    }

    pub fn id(&self) -> MemberId {
        self.me().id
    }

    /// The own row.
    pub(super) fn me(&self) -> &Row {
        self.table.own()
    }

    /// The name of the member in this row; empty: it has none, or nobody is there.
    pub(super) fn name_of(&self, key: RowKey) -> Name {
        let row = self.table.get(key);
        row.map_or(Name::default(), |row| Name::of(self.table.name_of(row)))
    }

    pub(super) fn is_blocked(&self, id: &MemberId) -> bool {
        self.trust.refused.is_blocked(id)
    }

    pub fn is_leaving(&self) -> bool {
        self.identity.leave != Leave::Not
    }

    /// Whether some member was heard of late. One that hears nobody tells nobody that others are dead.
    #[inline]
    pub(super) fn heard_of_late(&self, now: Time) -> bool {
        self.detector.hearing.of_late(now, &self.timing)
    }

    pub(super) fn is_accused(&self, key: RowKey) -> bool {
        self.table.get(key).is_some_and(Row::is_accused)
    }

    /// Whether a member may be shown what is held of it. Who hears nobody accuses nobody: it may be the only one that
    /// does not hear this member.
    pub(super) fn may_accuse(&self, now: Time, key: Option<RowKey>) -> bool {
        self.heard_of_late(now) || !key.is_some_and(|key| self.is_accused(key))
    }

    pub fn is_exiled(&self, id: &MemberId) -> bool {
        self.trust.refused.is_exiled(id)
    }

    /// Whether this member departed for good so lately that the rumor is to tell it.
    pub(super) fn is_rumors_turn(&self, now: Time, row: &Row) -> bool {
        self.departed_for_good(row) && now.since(row.since) < self.timing.period * RUMORS_TURN
    }

    /// Whether a departure rumor says so. Its flag is looked at first, as it is at hand.
    pub(super) fn departed_for_good(&self, row: &Row) -> bool {
        row.has(flag::LEFT) && self.is_exiled(&row.id)
    }

    /// The row's suspicion, if it is Suspect.
    pub fn suspicion(&self, row: &Row) -> Option<&Suspicion> {
        self.suspicions.of(row)
    }

    /// A number with which others are asked to ask a member beside its probe: on a sealed ring, what they pass on counts
    /// only with it.
    pub(super) fn number_for_others(&self, env: &mut Env) -> u64 {
        if self.identity.sealed {
            env.rng.random::<u32>().max(1).into()
        } else {
            0
        }
    }

    /// The probe under way, if it has this number.
    #[inline]
    pub(super) fn probe_with(&self, number: u64) -> Option<&Probe> {
        let probe = self.detector.probe.as_ref();
        probe.filter(|probe| probe.number() == number)
    }

    /// Whether this is the number of a probe of this member which has no answer yet.
    pub(super) fn answers_probe(&self, id: &MemberId, number: u64) -> bool {
        let probe = self.probe_with(number);
        probe.is_some_and(|probe| probe.waits_for(id))
    }

    /// What stands in every message of this member.
    #[inline]
    pub(super) fn own_extras(&self) -> Extras<'static> {
        Extras {
            life: if self.identity.sealed {
                0
            } else {
                self.own_life()
            },
            ..self.identity.home.extras()
        }
    }

    pub(super) fn is_me(&self, id: MemberId) -> bool {
        id == self.id() || self.identity.home.was(&id)
    }

    /// Whether a stamp names this member, by the id that it has or the one that it had before.
    #[inline]
    pub(super) fn is_for_me(&self, stamp: Stamp) -> bool {
        let former = || {
            self.identity
                .home
                .former()
                .is_some_and(|id| stamp.fits(&id))
        };
        stamp.fits(&self.id()) || former()
    }

    /// Which life of its sender a message is from; 0: it does not say.
    pub(super) fn life_in(&self, serial: Option<Serial>, said: u32) -> u32 {
        match serial {
            Some(Serial { epoch: 0, .. }) => 0,
            Some(serial) => life_of(serial.epoch),
            None if self.identity.sealed => 0,
            None => said,
        }
    }

    /// This member's life.
    pub(super) fn own_life(&self) -> u32 {
        life_of(self.trust.replay.epoch())
    }

    /// Bytes that a message of this member ends with, whatever it says.
    pub(super) fn extras_len(&self) -> usize {
        self.identity.home.len() + if self.identity.sealed { 0 } else { LIFE_BYTES }
    }

    /// Bytes of a datagram that its stamp takes.
    pub(super) fn stamp_bytes(&self) -> usize {
        if self.identity.sealed { STAMP_BYTES } else { 0 }
    }

    /// Says in the message at the start of `buf` whom it is for, if it is to be sealed; its length.
    #[inline]
    pub(super) fn stamped(&self, receiver: Option<MemberId>, buf: &mut [u8], len: usize) -> usize {
        if self.identity.sealed {
            Stamp::of(receiver).append(buf, len)
        } else {
            len
        }
    }

    /// Whether this address was asked a question with this number of late.
    pub(super) fn is_question(&self, number: u64, addr: SocketAddr) -> bool {
        // Most numbers are of probes, and need no look at what this one would be.
        self.probe_with(number).is_none() && self.numbers.is_question(number, addr)
    }
}
