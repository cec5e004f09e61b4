//! What a [`Node`] is told of members but by their datagrams, and what is kept of them.

use std::borrow::Cow;

use super::Node;
use crate::error::Reject;
use crate::member::{Member, MemberId};
use crate::recording::Input;
use crate::swim::merge::Spread;
use crate::wire::{self, MembershipRecord, Serial};

impl Node {
    /// The records of all members, as they are sent.
    #[cfg_attr(not(feature = "disk"), allow(dead_code))]
    pub(crate) fn memberships(&self) -> impl Iterator<Item = Vec<u8>> {
        self.swim.memberships()
    }

    /// Whether this member was told to depart for good.
    pub fn is_expelled(&self) -> bool {
        self.expelled
    }

    /// A record of a member that was kept on disk: it is no news, but whoever it says is there is asked.
    ///
    /// # Errors
    /// It does not read, or is not of a member that could be anywhere.
    pub fn restore_member(&mut self, bytes: &[u8]) -> Result<(), Reject> {
        self.record(None, || Input::RestoredMember { bytes });
        let record = wire::read_membership(bytes)?;
        let restored = self.swim.remember(&mut self.env, &record, Spread::Quiet);
        self.settle();
        restored
    }

    /// Takes in a record of a member that is read already, as one that came with a rumor.
    ///
    /// # Errors
    /// It is not of a member that could be anywhere.
    #[doc(hidden)] // For the benchmarks: what taking it in costs, apart from reading it.
    pub fn hear_membership(&mut self, record: &MembershipRecord<'_>) -> Result<(), Reject> {
        self.swim.remember(&mut self.env, record, Spread::News)
    }

    /// A living member, as one of ours that was met long ago: for rings that are to be there at once. It is no
    /// news and no event, and is neither asked nor greeted. One that is known stays as it is. This member counts as
    /// one that was running before.
    #[doc(hidden)] // For the simulator and the benchmarks.
    pub fn know(&mut self, member: &Member, name: &str) {
        self.record(None, || Input::Known {
            member: Cow::Borrowed(member),
            name,
        });
        self.swim.know(&mut self.env, member, name);
        self.gossip.count_provisional();
        self.settle();
    }

    /// On a sealed ring: of a member that is known, all datagrams up to this one were heard.
    #[doc(hidden)] // For the simulator and the benchmarks.
    pub fn heard(&mut self, id: MemberId, serial: Serial) {
        self.record(None, || Input::Heard { id, serial });
        self.swim.heard(&id, serial);
    }
}
