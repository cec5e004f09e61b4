//! What is known of one member, in few bytes: there may be a hundred thousand.

use std::time::Duration;

use super::merge::State;
use super::names::NameRef;
use crate::member::{Health, Incarnation, MemberId};
use crate::rumor::Audience;
use crate::time::Time;

/// No index: of a name, a place or a side table.
pub(crate) const NONE: u32 = u32::MAX;

/// What is known of one member, in 64 bytes: one line of a cache.
#[repr(align(64))]
pub(crate) struct Row {
    pub id: MemberId,
    pub incarnation: Incarnation,
    /// When its health changed last.
    pub since: Time,
    /// The IPv4 address, or an index into the table of IPv6 addresses.
    pub(super) ip: u32,
    /// The last round trip in microseconds; `NONE`: never measured.
    pub rtt: u32,
    /// Its place in the list that it is in.
    pub(super) place: u32,
    /// Where its name is.
    pub(super) name: NameRef,
    /// Its suspicion, or its grave.
    pub side: u32,
    /// Its place among the news, or `COLD`.
    pub news: u32,
    pub swim_port: u16,
    pub gossip_port: u16,
    pub flags: u16,
    pub health: Health,
    /// Bytes of its name.
    pub(super) name_len: u8,
}

/// Bits of [`Row::flags`].
pub(crate) mod flag {
    pub const PERSISTENT: u16 = 1;
    /// It left of its own will.
    pub const LEFT: u16 = 1 << 1;
    pub const V6: u16 = 1 << 2;
    /// It answered at this address, so nobody else can have made it up.
    pub const PROVED: u16 = 1 << 3;
    /// It knows the extensions.
    pub const OURS: u16 = 1 << 4;
    /// Others say it is dead, and that is being checked.
    pub const ON_TRIAL: u16 = 1 << 5;
    /// It wants to be told the member table, once it proved its address.
    pub const WANTS_TABLE: u16 = 1 << 6;
    pub const IN_ROUND: u16 = 1 << 7;
    pub const AMONG_DEAD: u16 = 1 << 8;
    pub const AMONG_GONE: u16 = 1 << 9;
    /// It was asked to prove its address.
    pub const ASKED: u16 = 1 << 10;
    /// It was told what is held of it, as being at this address.
    pub const TOLD: u16 = 1 << 11;
    /// It takes rumors of kinds of our own.
    pub const OWN_KINDS: u16 = 1 << 12;
    /// It knows its own address.
    pub const PLACED: u16 = 1 << 13;
    /// Every row but the own is in one of them.
    pub const LISTS: u16 = IN_ROUND | AMONG_DEAD | AMONG_GONE;
}

impl Row {
    pub fn has(&self, flag: u16) -> bool {
        self.flags & flag != 0
    }

    pub fn has_all(&self, flags: u16) -> bool {
        self.flags & flags == flags
    }

    pub fn set(&mut self, flag: u16, on: bool) {
        if on {
            self.flags |= flag;
        } else {
            self.flags &= !flag;
        }
    }

    pub fn state(&self) -> State {
        State {
            incarnation: self.incarnation,
            health: self.health,
            left: self.has(flag::LEFT),
        }
    }

    /// Which kinds of rumors it takes.
    #[inline]
    pub fn audience(&self) -> Audience {
        match self.has_all(flag::OURS | flag::OWN_KINDS) {
            true => Audience::Ours,
            false => Audience::Everyone,
        }
    }

    pub fn is_persistent(&self) -> bool {
        self.has(flag::PERSISTENT)
    }

    pub fn has_left(&self) -> bool {
        self.has(flag::LEFT)
    }

    /// Whether others say that it does not live, or this member does; who left said so itself.
    pub fn is_accused(&self) -> bool {
        self.health > Health::Alive && !self.has(flag::LEFT)
    }

    pub fn rtt(&self) -> Option<Duration> {
        (self.rtt != NONE).then(|| Duration::from_micros(self.rtt.into()))
    }

    pub(super) fn name_mut(&mut self) -> (&mut NameRef, u8) {
        (&mut self.name, self.name_len)
    }

    /// Whether it has this name, or one of those few that need a look at it to be told from this.
    #[inline]
    pub fn may_be_named(&self, name: &str) -> bool {
        self.name.may_be(self.name_len, name)
    }

    /// Whether it is to be probed in turn.
    fn belongs_in_round(&self) -> bool {
        self.health <= Health::Suspect || self.has(flag::PERSISTENT) && !self.has(flag::LEFT)
    }

    /// The list in which it belongs. The dead are asked now and then if they are back; who left is not.
    pub(super) fn list(&self) -> u16 {
        if self.belongs_in_round() {
            flag::IN_ROUND
        } else if self.has(flag::LEFT) {
            flag::AMONG_GONE
        } else {
            flag::AMONG_DEAD
        }
    }
}

/// Whether this member is dead, and did not leave.
pub(super) fn is_dead(row: &Row) -> bool {
    row.health >= Health::Confirmed && !row.has(flag::LEFT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_small() {
        assert!(size_of::<Row>() <= 64, "{}", size_of::<Row>());
    }
}
