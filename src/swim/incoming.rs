//! A message on its way through the rules: who sent it from where, and what it may provoke.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::Swim;
use super::news::RowKey;
use super::unproved::Word;
use crate::limits::{DATAGRAM_HEADERS, STRANGER_AMPLIFICATION};
use crate::member::MemberId;
use crate::wire::{MemberRecord, Serial, feature};

/// A message on its way through the rules: where it came from, and what it may provoke.
pub(super) struct Incoming<'a> {
    pub from: SocketAddr,
    pub sender: &'a MemberRecord<'a>,
    /// Where the sender is taken to be: at its datagram's source, but for the port, or where it says that it is reached.
    pub place: SocketAddr,
    /// Where it says that it is reached, if that is not where its datagrams come from.
    pub advertised: Option<SocketAddr>,
    /// Where a question to it goes.
    pub ask_at: SocketAddr,
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
    /// The sender once answered at this address, so it is no spoofed one.
    pub proved: bool,
    /// What its word is worth about members that are not known.
    pub word: Word,
    /// It brings the number of a question that only its address was told.
    pub answers: bool,
    /// That question went to its datagram's source, though the sender is held to be where it says that it is reached.
    pub answers_at_source: bool,
    /// It brings the number of a question or of the probe under way.
    pub answers_probe: bool,
    /// Bytes of the datagram.
    pub bytes: usize,
    /// Bytes that its answers may have in sum.
    pub allowance: usize,
    /// The same, headers included.
    pub on_the_wire: usize,
    /// Of those, put aside for the question that has its sender prove its address.
    pub reserved: usize,
    /// Bytes that the envelope takes in an answer.
    pub overhead: usize,
    /// Members that it speaks of as if they had not left.
    pub left: Vec<RowKey>,
    /// It is the first to vouch for some who were not asked: one more who does is enough.
    pub waits: bool,
}

impl Incoming<'_> {
    /// Where the sender is taken to be.
    pub fn contact(&self) -> SocketAddr {
        self.place
    }

    /// Takes up to `bytes` from the allowance; 0: there is nothing left worth sending.
    pub fn spend(&mut self, bytes: usize) -> usize {
        let granted = bytes.min(self.room());
        if granted > 0 {
            self.allowance -= granted;
            self.on_the_wire -= granted + DATAGRAM_HEADERS;
        }
        granted
    }

    /// The same for a datagram that needs all of these bytes; 0: there are not as many left.
    pub fn spend_all(&mut self, bytes: usize) -> usize {
        if bytes > self.room() {
            0
        } else {
            self.spend(bytes)
        }
    }

    /// Bytes that one more answer may have.
    pub fn room(&self) -> usize {
        self.allowance
            .min(self.on_the_wire.saturating_sub(DATAGRAM_HEADERS))
    }

    /// Notes that the sender spoke of this member as if it had not left.
    pub fn speaks_of_as_present(&mut self, key: RowKey) {
        /// More do not fit in the datagram that tells it so; the rest has its turn the next time.
        const MOST: usize = 6;
        if self.proved && self.left.len() < MOST && !self.left.contains(&key) {
            self.left.push(key);
        }
    }

    /// A rumor's source is no address that a datagram could come from, and no stranger.
    pub fn by_rumor<'a>(
        from: SocketAddr,
        sender: &'a MemberRecord<'a>,
        bytes: usize,
    ) -> Incoming<'a> {
        let ip = match from.ip() {
            ip if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
            ip => ip,
        };
        let place = SocketAddr::new(ip, sender.swim_port);
        Incoming {
            from: SocketAddr::new(ip, from.port()),
            sender,
            place,
            advertised: None,
            ask_at: place,
            observer: false,
            row: None,
            fresh: true,
            serial: None,
            life: 0,
            proved: false,
            word: Word::Nothing,
            answers: false,
            answers_at_source: false,
            answers_probe: false,
            bytes,
            // As a stranger's datagram: so that a claimed death can be put on trial.
            allowance: STRANGER_AMPLIFICATION * bytes,
            on_the_wire: STRANGER_AMPLIFICATION * (bytes + DATAGRAM_HEADERS),
            reserved: 0,
            overhead: 0,
            left: Vec::new(),
            waits: false,
        }
    }
}

impl Swim {
    /// Who sent this, as far as it is known.
    #[inline]
    pub(super) fn identify<'a>(
        &self,
        from: SocketAddr,
        bytes: usize,
        overhead: usize,
        sender: &'a MemberRecord<'a>,
    ) -> Incoming<'a> {
        let row = self.table.find(&sender.id);
        let proved = row.is_some_and(|key| self.is_proved_at(key, from));
        let place = SocketAddr::new(from.ip(), sender.swim_port);
        let (allowance, on_the_wire) = if proved {
            (usize::MAX, usize::MAX)
        } else {
            allowances(bytes)
        };
        let mut incoming = Incoming {
            from,
            sender,
            place,
            advertised: None,
            ask_at: place,
            observer: is_observer(sender),
            row,
            fresh: true,
            serial: None,
            life: 0,
            proved,
            word: Word::Nothing,
            answers: false,
            answers_at_source: false,
            answers_probe: false,
            bytes,
            allowance,
            on_the_wire,
            reserved: 0,
            overhead,
            left: Vec::new(),
            waits: false,
        };
        incoming.word = self.word_of(&incoming);
        incoming
    }
}

/// Bytes that the answers to a datagram of so many may have together if its source is not proved, without headers and
/// with.
pub(super) fn allowances(bytes: usize) -> (usize, usize) {
    let wire = bytes + DATAGRAM_HEADERS;
    (
        STRANGER_AMPLIFICATION * bytes,
        STRANGER_AMPLIFICATION * wire,
    )
}

pub(super) fn is_observer(sender: &MemberRecord<'_>) -> bool {
    sender.features & feature::OBSERVER != 0 || sender.id == MemberId::OBSERVER
}
