//! One process of a simulated ring, with its disk, its clock and its socket.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::network::Link;
use super::systems::Limits;
use super::watch::Watch;
use super::{Index, address_of};
use crate::event::Event;
use crate::limits::INCARNATION_RESERVE;
use crate::member::{Incarnation, MemberId};
use crate::node::{Node, Port, PortTest};
use crate::time::Time;

/// With what a crashed process starts again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disk {
    /// Its own disk, as it was when it ended.
    Kept,
    /// Another, empty one.
    Lost,
    /// The copy that was made of it last ([`Sim::copy_disk`](super::Sim::copy_disk)); without one, an empty
    /// one.
    Older,
}

/// What is on a disk (PROTOCOL.md §4).
#[derive(Clone)]
pub(super) struct Content {
    /// Incarnations below it may have been used.
    pub mark: Incarnation,
    members: Vec<Vec<u8>>,
    rumors: Vec<Arc<[u8]>>,
}

impl Content {
    /// What this host would find if it started again now.
    pub fn of(host: &Host) -> Self {
        Content {
            mark: host.mark,
            members: host.node.memberships().collect(),
            rumors: host.node.encoded_rumors().map(|(_, rumor)| rumor).collect(),
        }
    }

    /// Gives it to a node that starts.
    pub fn restore(&self, node: &mut Node) {
        // What was written here does read, but there may be less room than there was.
        for member in &self.members {
            let _ = node.restore_member(member);
        }
        for rumor in &self.rumors {
            let _ = node.restore_rumor(rumor);
        }
    }
}

/// Something that came and was not read yet.
pub(super) enum Parcel {
    Datagram {
        from: SocketAddr,
        bytes: Vec<u8>,
    },
    Frame {
        from: SocketAddr,
        bytes: Vec<u8>,
    },
    /// The system there says that nobody listens, and quotes what it was sent.
    Refused {
        at: SocketAddr,
        bytes: Vec<u8>,
    },
    /// A connection with this member ended.
    Ended {
        id: MemberId,
    },
    /// A test of a port has come to an end.
    Tested {
        test: PortTest,
        port: Port,
    },
}

/// Something that a process sent and that did not leave yet.
pub(super) struct Held {
    pub to: SocketAddr,
    pub bytes: Vec<u8>,
    pub what: Unit,
}

/// What the network carries in one piece.
#[derive(Clone, Copy)]
pub(super) enum Unit {
    Datagram,
    /// With a rumor.
    Frame,
}

pub(super) struct Host {
    pub node: Node,
    pub id: MemberId,
    /// The number of its address.
    pub place: usize,
    pub up: bool,
    /// It does nothing at all until it is thawed.
    pub frozen: bool,
    /// What comes and what it sends waits, though it works.
    pub stalled: bool,
    pub held: Vec<Held>,
    /// What its loop does beside, each time around.
    pub slow: Duration,
    /// Microseconds by which its clock is ahead of the simulation's.
    pub clock: i64,
    pub link: Link,
    /// The sides of a partition on which it is, one bit each.
    pub sides: u32,
    /// The wake-up that is scheduled.
    pub wake: Option<Time>,
    /// When its loop comes around next, if it is late.
    pub turn: Option<Time>,
    /// Its loop does not come around before then.
    pub busy_until: Time,
    pub inbox: VecDeque<Parcel>,
    pub events: VecDeque<(Time, Event)>,
    /// What is on its disk: incarnations below it may be used.
    pub mark: Incarnation,
    /// With what its present life began, which is on its disk, too.
    pub epoch: u64,
    pub copy: Option<Content>,
    /// How often it started.
    pub lives: u64,
    /// Messages that it sent.
    pub sent: u64,
    pub watch: Watch,
    /// The members with which it keeps connections.
    pub watched: Vec<(MemberId, SocketAddr)>,
    /// Its host ended with it.
    pub lost: bool,
    /// When its sockets were, or will be, closed.
    pub closed_at: Time,
    /// What its system may still refuse.
    pub limits: Limits,
}

impl Host {
    pub fn new(node: Node, id: MemberId, place: usize) -> Self {
        Host {
            node,
            id,
            place,
            up: true,
            frozen: false,
            stalled: false,
            held: Vec::new(),
            slow: Duration::ZERO,
            clock: 0,
            link: Link::default(),
            sides: 1,
            wake: None,
            turn: None,
            busy_until: Time::ZERO,
            inbox: VecDeque::new(),
            events: VecDeque::new(),
            mark: Incarnation::ZERO.plus(INCARNATION_RESERVE),
            epoch: 0,
            copy: None,
            lives: 1,
            sent: 0,
            watch: Watch::default(),
            watched: Vec::new(),
            lost: false,
            closed_at: Time::ZERO,
            limits: Limits::default(),
        }
    }

    /// Where it is.
    pub fn addr(&self) -> SocketAddr {
        address_of(self.place)
    }

    /// What its clock says at this moment.
    pub fn local(&self, now: Time) -> Time {
        Time::from_micros(now.as_micros().saturating_add_signed(self.clock))
    }

    /// The moment at which its clock says this.
    pub fn global(&self, local: Time) -> Time {
        Time::from_micros(local.as_micros().saturating_add_signed(-self.clock))
    }

    /// Whether what comes has to wait until its loop comes around.
    pub fn is_late(&self) -> bool {
        self.frozen || self.stalled || !self.slow.is_zero() || !self.inbox.is_empty()
    }

    /// A number for the next message that `from` sends.
    pub fn next_number(&mut self, from: Index) -> u64 {
        self.sent += 1;
        (from as u64) << 40 | self.sent
    }

    /// Datagrams that lie in its socket.
    pub fn unread_datagrams(&self) -> usize {
        let is_datagram = |parcel: &&Parcel| matches!(parcel, Parcel::Datagram { .. });
        self.inbox.iter().filter(is_datagram).count()
    }
}
