//! What members send each other, counted by what it is for, as it says itself.

use crate::error::Reject;
use crate::limits::{MAX_DATAGRAM_SENT, ORDINARY_DATAGRAM};
use crate::member::MemberId;
use crate::wire::reconcile::{Part, read_parts};
use crate::wire::{self, Message, RingKey};

/// What a datagram is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(super) enum Purpose {
    Ping,
    /// An Ack with the number of a ping.
    Answer,
    /// An Ack that nobody asked for.
    News,
    /// A part of a table.
    Table,
    /// A part of a comparison of rumors.
    Comparison,
    PingReq,
    ProbePing,
    /// Another one's Ack, or one that is to be passed on.
    PassedOn,
}

const PURPOSES: usize = Purpose::PassedOn as usize + 1;

/// Which end of a datagram a member is.
#[derive(Clone, Copy)]
enum Side {
    Sender,
    Receiver,
}

impl Side {
    fn of(self, sender: MemberId, receiver: MemberId) -> MemberId {
        match self {
            Side::Sender => sender,
            Side::Receiver => receiver,
        }
    }
}

impl Purpose {
    /// What it is for at the member that sends it, or gets it.
    fn of(message: &Message<'_>, member: MemberId, side: Side) -> Self {
        match message {
            Message::Ping { .. } => Purpose::Ping,
            Message::PingReq { .. } => Purpose::PingReq,
            Message::ProbePing { .. } => Purpose::ProbePing,
            Message::Ack {
                from,
                forward_to: Some(to),
                ..
            } if member != side.of(from.id, to.id) => Purpose::PassedOn,
            Message::Ack { table: true, .. } => Purpose::Table,
            Message::Ack { reconcile, .. } if !reconcile.is_empty() => Purpose::Comparison,
            Message::Ack { probe: 0, .. } => Purpose::News,
            Message::Ack { .. } => Purpose::Answer,
        }
    }

    /// Whether it may be larger than an ordinary datagram: what is passed on is as large as it came.
    fn may_be_large(self) -> bool {
        matches!(
            self,
            Purpose::Table | Purpose::Comparison | Purpose::PassedOn
        )
    }
}

/// Datagrams that a member sent, or got.
#[derive(Clone, Default)]
pub(super) struct Traffic {
    counts: [u64; PURPOSES],
    /// Pings without a number: their answers have none.
    pub unnumbered: u64,
    /// Memberships on board.
    pub records: u64,
    /// Rumors that are asked for.
    pub wants: u64,
}

impl Traffic {
    pub fn of(&self, purpose: Purpose) -> u64 {
        self.counts[purpose as usize]
    }

    /// Both.
    pub fn and(&self, other: &Traffic) -> Traffic {
        Traffic {
            counts: std::array::from_fn(|at| self.counts[at] + other.counts[at]),
            unnumbered: self.unnumbered + other.unnumbered,
            records: self.records + other.records,
            wants: self.wants + other.wants,
        }
    }

    /// All datagrams.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    #[cfg(test)]
    pub fn with(mut self, purpose: Purpose, count: u64) -> Self {
        self.counts[purpose as usize] = count;
        self
    }

    /// Counts what a member got. What does not read does not count.
    pub fn got(&mut self, member: MemberId, bytes: &[u8], keys: &[RingKey]) {
        let _ = self.count(member, Side::Receiver, bytes, keys);
    }

    /// Counts what a member sent; what is wrong with it.
    pub fn sent(&mut self, member: MemberId, bytes: &[u8], keys: &[RingKey]) -> Option<String> {
        if bytes.len() > MAX_DATAGRAM_SENT {
            return Some(format!("a datagram of {} bytes", bytes.len()));
        }
        match self.count(member, Side::Sender, bytes, keys) {
            Ok(purpose) if bytes.len() > ORDINARY_DATAGRAM && !purpose.may_be_large() => Some(
                format!("an ordinary datagram of {} bytes: {purpose:?}", bytes.len()),
            ),
            Ok(_) => None,
            Err(why) => Some(format!("a datagram that does not read: {why}")),
        }
    }

    fn count(
        &mut self,
        member: MemberId,
        side: Side,
        bytes: &[u8],
        keys: &[RingKey],
    ) -> Result<Purpose, Reject> {
        let mut copy = bytes.to_vec();
        let swim = wire::open(keys, &mut copy).and_then(wire::decode)?;
        let purpose = Purpose::of(&swim.message, member, side);
        self.counts[purpose as usize] += 1;
        self.records += swim.memberships.count() as u64;
        match swim.message {
            Message::Ping { probe: 0, .. } => self.unnumbered += 1,
            Message::Ack { reconcile, .. } => {
                for part in read_parts(reconcile).unwrap_or_default() {
                    if let Part::Want(hashes) = part {
                        self.wants += hashes.len() as u64;
                    }
                }
            }
            _ => {}
        }
        Ok(purpose)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::member::{Health, Incarnation};
    use crate::sim::id_of;
    use crate::wire::{Accusers, Encoder, MemberRecord, MembershipRecord};

    fn sent(bytes: &[u8], keys: &[RingKey]) -> Option<String> {
        Traffic::default().sent(id_of(0), bytes, keys)
    }

    /// A datagram with so many records in it.
    fn message(message: &Message<'_>, records: usize) -> Vec<u8> {
        let mut buf = [0; 2_000];
        let mut out = Encoder::new(&mut buf, message).unwrap();
        for number in 0..records {
            let record = MembershipRecord {
                member: sender(number),
                health: Health::Alive,
                accusers: Accusers::NONE,
            };
            assert!(out.push(&record, 2_000));
        }
        let len = out.finish();
        let mut sealed = Vec::new();
        wire::seal_into(None, &buf[..len], &mut sealed);
        sealed
    }

    fn sender(number: usize) -> MemberRecord<'static> {
        MemberRecord {
            id: id_of(number),
            incarnation: Incarnation::ZERO,
            address: Some([10, 0, 0, 1].into()),
            swim_port: 1,
            gossip_port: 1,
            persistent: false,
            departed: false,
            probe_ping: false,
            features: 0,
            name: "",
        }
    }

    #[test]
    fn a_datagram_must_be_within_its_budget() {
        let ping = Message::Ping {
            from: sender(0),
            forward_to: None,
            probe: 1,
            digest: 0,
        };
        let ack = |table| Message::Ack {
            from: sender(0),
            forward_to: None,
            probe: 0,
            table,
            rumors: 0,
            reconcile: &[],
            starting: false,
        };
        let wrong = |message: &Message<'_>, records| sent(&self::message(message, records), &[]);
        assert_eq!(wrong(&ping, 4), None);
        assert!(wrong(&ping, 10).is_some(), "an ordinary one");
        assert!(wrong(&ack(false), 10).is_some(), "an ordinary one");
        assert_eq!(wrong(&ack(true), 10), None);
        assert!(wrong(&ack(true), 20).is_some(), "too large for anything");
        assert!(sent(&[0xff; 600], &[]).is_some(), "unreadable");
        let key = RingKey::new("ring", "20260101000000", [1; 32]).unwrap();
        assert!(
            sent(&self::message(&ack(true), 10), &[key]).is_some(),
            "not sealed"
        );
    }
}
