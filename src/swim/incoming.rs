//! A message on its way through the rules: where it came from, and what was found out of it.

use std::net::SocketAddr;

use super::news::RowKey;
use super::speaker::Speaker;
use crate::member::MemberId;
use crate::wire::{MemberRecord, Serial, feature};

pub(super) struct Incoming<'a> {
    /// Where its datagram came from.
    pub from: SocketAddr,
    pub sender: &'a MemberRecord<'a>,
    pub speaker: Speaker,
    pub place: Place,
    /// The sender only looks.
    pub observer: bool,
    /// The sender's row, if it is known.
    pub row: Option<RowKey>,
    /// Nobody else may have sent it a second time; on a plain ring, that counts for all.
    pub fresh: bool,
    /// Which of its sender's datagrams it is; `None` on a plain ring.
    pub serial: Option<Serial>,
    /// Which life of its sender it is from; 0: it does not say.
    pub life: u32,
    pub answers: Answers,
}

/// How a message came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// From its sender.
    Straight,
    /// Passed on by another, or read in another's.
    Relayed,
}

/// Where the sender of a message is.
#[derive(Clone, Copy)]
pub(super) struct Place {
    /// Where it is taken to be: at its datagram's source, but for the port, or where it says that it is reached.
    pub at: SocketAddr,
    /// Where it says that it is reached, if that is not where its datagrams come from.
    pub advertised: Option<SocketAddr>,
    /// Where a question to it goes.
    pub ask_at: SocketAddr,
}

/// What a message answers.
#[derive(Clone, Copy, Default)]
pub(super) struct Answers {
    /// It brings the number of a question that only its address was told.
    pub question: bool,
    /// That question went to its datagram's source, though the sender is held to be where it says that it is reached.
    pub at_source: bool,
    /// It brings the number of a question or of the probe under way.
    pub probe: bool,
    /// It is an Ack, whatever it answers.
    pub ack: bool,
}

impl Incoming<'_> {
    /// Where the sender is taken to be.
    pub fn contact(&self) -> SocketAddr {
        self.place.at
    }
}

pub(super) fn is_observer(sender: &MemberRecord<'_>) -> bool {
    sender.features & feature::OBSERVER != 0 || sender.id == MemberId::OBSERVER
}

/// Whether a number has to be hidden from this peer.
pub(super) fn hides_number(peer: &MemberRecord<'_>) -> bool {
    peer.features & feature::EXTENSIONS == 0
}
