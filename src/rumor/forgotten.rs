//! Dead members that an operator had the ring forget.

use crate::member::{Incarnation, MemberId};

/// That dead members are forgotten: who holds them as dead drops them, and believes nobody that they live unless they say so
/// themselves, or at a higher incarnation. It is no ban.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Forgotten {
    /// The member that was told to.
    pub by: MemberId,
    /// When, in milliseconds since 1970; with `by`, it names the rumor.
    pub time: u64,
    /// Whom, each with the last incarnation that was known: sorted by their ids, none twice, at most
    /// [`MAX_FORGOTTEN_AT_ONCE`](crate::limits::MAX_FORGOTTEN_AT_ONCE).
    pub members: Vec<(MemberId, Incarnation)>,
}

impl Forgotten {
    /// This member was told at this time to forget these.
    pub fn new(by: MemberId, time: u64, mut members: Vec<(MemberId, Incarnation)>) -> Self {
        members.sort_unstable();
        // Of one that stands there twice, the later incarnation stays.
        members.reverse();
        members.dedup_by_key(|(id, _)| *id);
        members.reverse();
        Forgotten { by, time, members }
    }
}
