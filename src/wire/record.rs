//! The records inside messages: a member, and what someone says about its health.

use std::fmt;
use std::net::IpAddr;

use super::field::{Fields, Value};
use crate::limits::MAX_ACCUSERS;
use crate::member::{Health, Incarnation, MemberId};

/// A `Member` of `protocols/swim.proto`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemberRecord<'a> {
    /// Who it is.
    pub id: MemberId,
    /// How fresh this record is.
    pub incarnation: Incarnation,
    /// Where it is, never IPv4-mapped when decoded; `None` is the empty text that a sender leaves in its
    /// own record, for the receiver to fill in.
    pub address: Option<IpAddr>,
    /// Its UDP port.
    pub swim_port: u16,
    /// The TCP port for gossip.
    pub gossip_port: u16,
    /// Probed for ever, whatever its health.
    pub persistent: bool,
    /// It left of its own will.
    pub departed: bool,
    /// True only in a ProbePing's `from`.
    pub probe_ping: bool,
    /// Extension: bits of [`super::feature`]; 0 is absent.
    pub features: u32,
    /// Extension: a name for people, at most [`crate::limits::MAX_NAME`] bytes (what is longer is cut, when
    /// decoded and when encoded); empty is absent.
    pub name: &'a str,
}

impl MemberRecord<'_> {
    /// Who it is and where, without what only it may say of itself.
    pub fn contact(&self) -> MemberRecord<'static> {
        MemberRecord {
            id: self.id,
            incarnation: self.incarnation,
            address: self.address,
            swim_port: self.swim_port,
            gossip_port: self.gossip_port,
            persistent: self.persistent,
            departed: self.departed,
            probe_ping: false,
            features: 0,
            name: "",
        }
    }
}

/// A `Membership` of `protocols/swim.proto`: what someone says about a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MembershipRecord<'a> {
    /// The member; a decoded one always has an address.
    pub member: MemberRecord<'a>,
    /// How it is said to fare.
    pub health: Health,
    /// Extension: who suspects it.
    pub accusers: Accusers<'a>,
}

/// Who suspects a member: an iterator over at most [`MAX_ACCUSERS`] ids, cheap to copy.
///
/// On the wire each is 16 bytes; what has another size is passed over. The same id may come twice.
#[derive(Clone, Copy, Default)]
pub struct Accusers<'a> {
    source: Source<'a>,
    taken: usize,
    /// A bit for each of them, lowest first: its pings were refused.
    refused: u8,
    /// Who found that the suspect's system answers for it.
    stalled: Option<MemberId>,
}

#[derive(Clone, Copy)]
enum Source<'a> {
    Ids(&'a [MemberId]),
    /// The fields of a `Membership`, from its first accuser on.
    Wire(Fields<'a>),
}

impl Default for Source<'_> {
    fn default() -> Self {
        Source::Ids(&[])
    }
}

impl<'a> Accusers<'a> {
    /// Nobody.
    pub const NONE: Accusers<'static> = Accusers {
        source: Source::Ids(&[]),
        taken: 0,
        refused: 0,
        stalled: None,
    };

    /// These ids, of which those beyond the first [`MAX_ACCUSERS`] are left out.
    pub const fn new(ids: &'a [MemberId]) -> Self {
        Accusers {
            source: Source::Ids(ids),
            taken: 0,
            refused: 0,
            stalled: None,
        }
    }

    /// The accusers in the fields of a `Membership` that was checked.
    pub(super) const fn from_wire(fields: Fields<'a>) -> Self {
        Accusers {
            source: Source::Wire(fields),
            taken: 0,
            refused: 0,
            stalled: None,
        }
    }

    /// The same, and this one found that the suspect's process only stands still.
    pub const fn stalled(self, by: Option<MemberId>) -> Self {
        Accusers {
            stalled: by,
            ..self
        }
    }

    /// Who found so, if anybody.
    pub const fn stalled_by(&self) -> Option<MemberId> {
        self.stalled
    }

    /// The same, of whom those were refused whose bit is set, the first one's lowest.
    pub const fn refused(self, bits: u8) -> Self {
        Accusers {
            refused: bits & ((1 << MAX_ACCUSERS) - 1),
            ..self
        }
    }

    /// The bits of those whose pings were refused.
    pub const fn refusals(&self) -> u8 {
        self.refused
    }

    /// The same ids again, each with whether its pings were refused.
    pub fn with_refusals(&self) -> impl Iterator<Item = (MemberId, bool)> + use<'a> {
        let (first, refused) = (self.taken, self.refused);
        let all = self.iter().enumerate();
        all.map(move |(place, id)| (id, refused >> (first + place) & 1 != 0))
    }

    /// The same ids again, from the first that was not yet taken.
    pub const fn iter(&self) -> Self {
        *self
    }

    /// Whether there are none (left).
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }
}

impl<'a> From<&'a [MemberId]> for Accusers<'a> {
    fn from(ids: &'a [MemberId]) -> Self {
        Accusers::new(ids)
    }
}

impl Iterator for Accusers<'_> {
    type Item = MemberId;

    #[inline]
    fn next(&mut self) -> Option<MemberId> {
        if self.taken == MAX_ACCUSERS {
            return None;
        }
        let id = match &mut self.source {
            Source::Ids(ids) => {
                let (first, rest) = ids.split_first()?;
                *ids = rest;
                *first
            }
            Source::Wire(fields) => next_accuser(fields)?,
        };
        self.taken += 1;
        Some(id)
    }
}

fn next_accuser(fields: &mut Fields<'_>) -> Option<MemberId> {
    // The message was checked before: an error here cannot be, and would end the list.
    while let Ok(Some(field)) = fields.next() {
        if let (ACCUSER, Value::Bytes(bytes)) = field
            && let Ok(id) = bytes.try_into()
        {
            return Some(MemberId::from_bytes(id));
        }
    }
    None
}

/// The number of `Membership.accuser`.
pub(super) const ACCUSER: u32 = 100;

/// The number of `Membership.refused`.
pub(super) const REFUSED: u32 = 101;

/// The number of `Membership.stalled`.
pub(super) const STALLED: u32 = 102;

impl PartialEq for Accusers<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.stalled == other.stalled && self.with_refusals().eq(other.with_refusals())
    }
}

impl Eq for Accusers<'_> {}

impl fmt::Debug for Accusers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.with_refusals()).finish()
    }
}
