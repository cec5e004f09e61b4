//! Commands from other threads: a queue and a waker, no lock.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use mio::Waker;

use crate::event::SeedId;
use crate::member::MemberId;
use crate::rumor::{RumorKind, Service, ServiceConfig, ServiceFile, ServiceGroup};
use crate::wire::RingKey;

/// What another thread may ask of a [`Butterfly`](crate::Butterfly).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Command {
    /// End [`run`](crate::Butterfly::run) at once.
    Stop,
    /// See [`join`](crate::Butterfly::join).
    Join(SocketAddr),
    /// See [`seed_resolved`](crate::Butterfly::seed_resolved).
    SeedResolved(SeedId, Vec<SocketAddr>),
    /// See [`leave`](crate::Butterfly::leave).
    Leave,
    /// See [`block`](crate::Butterfly::block).
    Block(MemberId),
    /// See [`unblock`](crate::Butterfly::unblock).
    Unblock(MemberId),
    /// See [`announce`](crate::Butterfly::announce).
    Announce(Box<Service>),
    /// See [`withdraw`](crate::Butterfly::withdraw).
    Withdraw(ServiceGroup),
    /// See [`apply_config`](crate::Butterfly::apply_config).
    ApplyConfig(Box<ServiceConfig>),
    /// See [`apply_file`](crate::Butterfly::apply_file).
    ApplyFile(Box<ServiceFile>),
    /// See [`start_election`](crate::Butterfly::start_election).
    StartElection {
        /// [`RumorKind::Election`] or [`RumorKind::ElectionUpdate`].
        kind: RumorKind,
        /// The group.
        group: ServiceGroup,
        /// How fit this member is to lead.
        suitability: u64,
    },
    /// See [`depart`](crate::Butterfly::depart).
    Depart(MemberId),
    /// See [`set_ring_keys`](crate::Butterfly::set_ring_keys).
    SetRingKeys(Vec<RingKey>),
}

/// Reaches a [`Butterfly`](crate::Butterfly) from other threads. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    pub(super) commands: Sender<Command>,
    pub(super) waker: Arc<Waker>,
}

impl Handle {
    /// Has the command carried out soon, on the loop's thread.
    ///
    /// # Errors
    /// `BrokenPipe`: the Butterfly is gone; otherwise what the system says about waking the loop.
    pub fn send(&self, command: Command) -> io::Result<()> {
        self.commands
            .send(command)
            .map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        self.waker.wake()
    }

    /// Ends [`run`](crate::Butterfly::run), without leaving the ring.
    ///
    /// # Errors
    /// As [`send`](Handle::send).
    pub fn stop(&self) -> io::Result<()> {
        self.send(Command::Stop)
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").finish_non_exhaustive()
    }
}
