//! What a member sees of a ring, to look at.

use std::time::Duration;

use crate::member::{Health, Member, MemberId};
use crate::time::Time;

/// A member as this one sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemberView<'a> {
    /// Who and where it is.
    pub member: Member,
    /// Its name, empty if it has none.
    pub name: &'a str,
    /// How it fares.
    pub health: Health,
    /// Whether it is this very member.
    pub is_self: bool,
    /// The last direct round trip; `None`: never measured.
    pub rtt: Option<Duration>,
    /// When its health changed last, by the node's time ([`now`](crate::Node::now)).
    pub since: Time,
    /// By whom it is suspected and until when, if it is Suspect.
    pub suspicion: Option<SuspicionView<'a>>,
}

/// A suspicion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SuspicionView<'a> {
    /// Who is known to suspect it; peers without the extension don't say.
    pub accusers: &'a [MemberId],
    /// When it is Confirmed if nobody vouches for it, by the node's time.
    pub until: Time,
}

/// How many members there are of each health, this one included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct HealthCounts {
    pub alive: usize,
    pub suspect: usize,
    pub confirmed: usize,
    pub departed: usize,
}
