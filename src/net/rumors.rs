//! Rumors between the node and ZeroMQ, and what a [`Butterfly`] is told of them by its user.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Instant;

use mio::{Registry, Token};
use slab::Slab;

use super::Butterfly;
use super::gossip::{Frame, Gossip, GossipStats, Options};
use crate::error::CommandError;
use crate::limits::FRAMES_PER_WAKE;
use crate::member::MemberId;
use crate::node::PushName;
use crate::rumor::{RumorKind, Service, ServiceConfig, ServiceFile, ServiceGroup};

/// Commanding: rumors.
impl Butterfly {
    /// This member runs a service. Its `member` is filled in; an incarnation of 0 stands for the next one.
    ///
    /// # Errors
    /// See [`Node::announce`](crate::Node::announce).
    pub fn announce(&mut self, service: Service) -> Result<(), CommandError> {
        self.node.announce(self.clock(), service)
    }

    /// This member runs no service of the group any more; whether it did.
    ///
    /// # Errors
    /// See [`Node::withdraw`](crate::Node::withdraw).
    pub fn withdraw(&mut self, group: &ServiceGroup) -> Result<bool, CommandError> {
        self.node.withdraw(self.clock(), group)
    }

    /// Gives a service group this configuration.
    ///
    /// # Errors
    /// See [`Node::apply_config`](crate::Node::apply_config).
    pub fn apply_config(&mut self, config: ServiceConfig) -> Result<(), CommandError> {
        self.node.apply_config(self.clock(), config)
    }

    /// Gives a service group this file.
    ///
    /// # Errors
    /// See [`Node::apply_file`](crate::Node::apply_file).
    pub fn apply_file(&mut self, file: ServiceFile) -> Result<(), CommandError> {
        self.node.apply_file(self.clock(), file)
    }

    /// Has a service group elect a leader.
    ///
    /// # Errors
    /// See [`Node::start_election`](crate::Node::start_election).
    pub fn start_election(
        &mut self,
        kind: RumorKind,
        group: &ServiceGroup,
        suitability: u64,
    ) -> Result<(), CommandError> {
        let now = self.clock();
        self.node.start_election(now, kind, group, suitability)
    }

    /// Has a member depart for good: it stops, and its id is not accepted again.
    ///
    /// # Errors
    /// See [`Node::depart`](crate::Node::depart).
    pub fn depart(&mut self, member: MemberId) -> Result<(), CommandError> {
        self.node.depart(self.clock(), member)
    }
}

/// A buffer that grew beyond this for a big rumor is given back.
const KEEP: usize = 1 << 18;

/// What the PULL socket has.
enum Came {
    Rumor,
    Part { first: bool },
}

/// The ZeroMQ side of a member, and what is on its way there.
pub(super) struct Rumors {
    sockets: Gossip,
    /// Pushes of which it is not known yet what became of them; their keys are the labels.
    under_way: Slab<PushName>,
    /// The frame that came last, or that goes next.
    frame: Vec<u8>,
}

impl Rumors {
    pub fn bind(registry: &Registry, addr: SocketAddr) -> io::Result<Self> {
        Ok(Rumors {
            sockets: Gossip::bind(registry, addr, Options::default())?,
            under_way: Slab::new(),
            frame: Vec::new(),
        })
    }

    pub fn local_port(&self) -> u16 {
        self.sockets.local_port()
    }

    pub fn wake(&mut self, token: Token) {
        self.sockets.wake(token);
    }

    pub fn has_work(&self) -> bool {
        self.sockets.has_work()
    }

    pub fn deadline(&self) -> Option<Instant> {
        self.sockets.deadline()
    }

    /// The next frame: a rumor, which is then in `frame`, or a part of what is none.
    fn receive(&mut self) -> Option<Came> {
        let came = match self.sockets.receive() {
            Some(Frame::Whole(frame)) => {
                self.frame.clear();
                self.frame.extend_from_slice(frame);
                Came::Rumor
            }
            Some(Frame::Part { first }) => Came::Part { first },
            None => {
                if self.frame.capacity() > KEEP {
                    self.frame = Vec::new();
                }
                return None;
            }
        };
        Some(came)
    }

    pub fn stats(&self) -> GossipStats {
        self.sockets.stats()
    }

    fn source(&mut self) -> SocketAddr {
        let unknown = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        SocketAddr::new(self.sockets.source().unwrap_or(unknown), 0)
    }
}

/// Rumors between the node and ZeroMQ.
impl Butterfly {
    /// Reads what came to the PULL socket, up to a bound.
    pub(super) fn hear_rumors(&mut self) {
        for _ in 0..FRAMES_PER_WAKE {
            // Mostly there is nothing, and reading the clock would cost more than the question.
            let Some(came) = self.gossip.as_mut().and_then(Rumors::receive) else {
                return;
            };
            let now = self.clock();
            let Some(gossip) = self.gossip.as_mut() else {
                return;
            };
            match came {
                Came::Rumor => {
                    let mut frame = std::mem::take(&mut gossip.frame);
                    self.node.handle_rumor(now, &mut frame, || gossip.source());
                    gossip.frame = frame;
                }
                Came::Part { first: true } => {
                    let from = gossip.source();
                    self.node.handle_multipart(now, from);
                }
                Came::Part { first: false } => {}
            }
        }
    }

    /// Hands ZeroMQ what the node has to push, and tells the node what became of it.
    pub(super) fn push_rumors(&mut self, at: Instant) {
        let now = self.time_of(at);
        let Some(gossip) = self.gossip.as_mut() else {
            return;
        };
        while let Some(addr) = self.node.poll_gone() {
            gossip.sockets.forget_peer(at, addr);
        }
        gossip.sockets.handle_timeout(at);
        loop {
            while let Some(push) = self.node.poll_push(now, &mut gossip.frame) {
                let label = gossip.under_way.insert(push.id) as u64;
                gossip.sockets.push(at, push.to, label, &gossip.frame);
            }
            let Some(outcome) = gossip.sockets.poll_outcome() else {
                break;
            };
            if let Some(id) = gossip.under_way.try_remove(outcome.label as usize) {
                self.node.handle_sent(now, id, outcome.taken);
            }
        }
    }
}
