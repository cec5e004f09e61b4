//! Rumors between the node and its peers, and what a [`Butterfly`] is told of them by its user.

use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use mio::{Registry, Token};
use slab::Slab;

use super::Butterfly;
use super::butterfly::time_since;
#[cfg(not(feature = "zmq"))]
use super::gossip::Ended;
use super::gossip::{Frame, Gossip, GossipStats, Options};
use crate::disk::by_the_clock;
use crate::error::CommandError;
use crate::limits::{EAGER_RUMOR, FRAMES_PER_WAKE};
use crate::member::MemberId;
#[cfg(not(feature = "zmq"))]
use crate::node::PortTest;
use crate::node::{Port, PushName};
use crate::ring_name::RingName;
use crate::rumor::{
    Rumor, RumorKind, Service, ServiceConfig, ServiceFile, ServiceGroup, TagSet, UserEvent,
};
use crate::time::Time;
#[cfg(not(feature = "zmq"))]
use crate::view::MemberView;

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

    /// From now on this member says these tags of itself, and no others.
    ///
    /// # Errors
    /// See [`Node::set_tags`](crate::Node::set_tags).
    pub fn set_tags(&mut self, tags: TagSet) -> Result<(), CommandError> {
        self.node.set_tags(self.clock(), tags)
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

    /// Removes a service group's configuration; whether there was one.
    ///
    /// # Errors
    /// See [`Node::remove_config`](crate::Node::remove_config).
    pub fn remove_config(&mut self, group: &ServiceGroup) -> Result<bool, CommandError> {
        self.node.remove_config(self.clock(), group)
    }

    /// Removes a service group's file; whether there was one.
    ///
    /// # Errors
    /// See [`Node::remove_file`](crate::Node::remove_file).
    pub fn remove_file(
        &mut self,
        group: &ServiceGroup,
        filename: &str,
    ) -> Result<bool, CommandError> {
        self.node.remove_file(self.clock(), group, filename)
    }

    /// Says a service, configuration or file however far its version leaps; a stuck one may be set back.
    ///
    /// # Errors
    /// See [`Node::force`](crate::Node::force).
    pub fn force(&mut self, rumor: Rumor) -> Result<(), CommandError> {
        self.node.force(self.clock(), rumor)
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

    /// Tells all members an event of the user's, each once, and returns it as it was sent; its `time` is the system's, unless it has one.
    ///
    /// # Errors
    /// See [`Node::send_event`](crate::Node::send_event).
    pub fn send_event(&mut self, mut event: UserEvent) -> Result<UserEvent, CommandError> {
        if event.time == 0 {
            event.time = by_the_clock();
        }
        self.node.send_event(self.clock(), event)
    }

    /// Answers a question, or says why there is no answer.
    ///
    /// # Errors
    /// See [`Node::answer`](crate::Node::answer).
    pub fn answer(
        &mut self,
        question: &UserEvent,
        answer: Result<&[u8], &str>,
    ) -> Result<(), CommandError> {
        self.node.answer(self.clock(), question, answer)
    }

    /// Has the ring forget dead members.
    ///
    /// # Errors
    /// See [`Node::forget`](crate::Node::forget).
    pub fn forget(&mut self, members: &[MemberId]) -> Result<(), CommandError> {
        self.node.forget(self.clock(), members)
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

/// Messages that are handled with one reading of the clock.
const FRAMES_PER_CLOCK: usize = 16;

/// A member's gossip connections, and what is on its way there.
pub(super) struct Rumors {
    sockets: Gossip,
    /// Pushes of which it is not known yet what became of them; their keys are the labels.
    under_way: Slab<PushName>,
    /// The message that goes next.
    frame: Vec<u8>,
    /// Whose connections are kept.
    #[cfg(not(feature = "zmq"))]
    watched: Vec<(MemberId, SocketAddr)>,
    /// Ports that are being tested; their keys are the labels.
    #[cfg(not(feature = "zmq"))]
    tests: Slab<PortTest>,
}

impl Rumors {
    /// For a member of this ring.
    pub fn bind(
        registry: &Registry,
        addr: SocketAddr,
        ring: Option<&RingName>,
    ) -> io::Result<Self> {
        let options = Options {
            ring: Some(ring.map_or(0, RingName::hash)),
            ..Options::default()
        };
        Ok(Rumors {
            sockets: Gossip::bind(registry, addr, options)?,
            under_way: Slab::new(),
            frame: Vec::new(),
            #[cfg(not(feature = "zmq"))]
            watched: Vec::new(),
            #[cfg(not(feature = "zmq"))]
            tests: Slab::new(),
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

    pub fn stats(&self) -> GossipStats {
        self.sockets.stats()
    }
}

/// Rumors between the node and its peers.
impl Butterfly {
    /// Reads what came to the gossip port, up to a bound.
    pub(super) fn hear_rumors(&mut self) {
        let epoch = self.epoch();
        let mut clock = None;
        for count in 0..FRAMES_PER_WAKE {
            let Some(gossip) = self.gossip.as_mut() else {
                return;
            };
            // Mostly there is nothing, and reading the clock would cost more than the question.
            let Some(frame) = gossip.sockets.receive() else {
                return;
            };
            // A few small ones take next to no time.
            let at = match clock {
                Some(at) if count % FRAMES_PER_CLOCK != 0 => at,
                _ => Instant::now(),
            };
            clock = Some(at);
            let now = time_since(epoch, at);
            match frame {
                Frame::Whole { bytes, from } => {
                    let is_large = bytes.len() > EAGER_RUMOR;
                    if is_large {
                        clock = None;
                    }
                    if self.node.handle_rumor(now, bytes, || from) {
                        gossip.sockets.approve(at);
                    }
                    if is_large {
                        self.save_recording(at);
                    }
                }
                Frame::Part { from } => self.node.handle_multipart(now, from),
            }
        }
    }

    /// Hands over what the node has to push, and tells the node what became of it.
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
                gossip.sockets.push(at, push.to, label, &mut gossip.frame);
            }
            let Some(outcome) = gossip.sockets.poll_outcome() else {
                break;
            };
            if let Some(id) = gossip.under_way.try_remove(outcome.label as usize) {
                self.node.handle_sent(now, id, outcome.taken);
            }
        }
        if gossip.frame.capacity() > KEEP {
            gossip.frame = Vec::new();
        }
    }
}

/// What connections tell of members.
#[cfg(not(feature = "zmq"))]
impl Butterfly {
    /// Keeps the connections that the node wants to see end, tests the ports that it asks for, and tells it what was seen.
    pub(super) fn watch(&mut self, at: Instant) {
        let (now, id) = (self.time_of(at), self.node.id());
        let Some(gossip) = self.gossip.as_mut() else {
            return self.watch_nothing(now);
        };
        if let Some(watched) = self.node.poll_watched() {
            gossip.watched.clear();
            gossip.watched.extend_from_slice(watched);
            let peers: Vec<_> = watched.iter().map(|(_, addr)| *addr).collect();
            gossip.sockets.keep(at, id, &peers);
        }
        while let Some(test) = self.node.poll_port_test() {
            let label = gossip.tests.insert(test) as u64;
            gossip.sockets.test_port(at, test.addr, label);
        }
        while let Some((label, port)) = gossip.sockets.poll_tested() {
            if let Some(test) = gossip.tests.try_remove(label as usize) {
                self.node.handle_port_test(now, test, port);
            }
        }
        while let Some(ended) = gossip.sockets.poll_ended() {
            let id = match ended {
                Ended::To(addr) => gossip.watched.iter().find(|it| it.1 == addr).map(|it| it.0),
                // Whoever opened it only said so; it came from that member's host at least.
                Ended::From(id, ip) => {
                    let is_there = |it: &MemberView<'_>| it.member.ip == ip.to_canonical();
                    self.node.member(id).filter(is_there).map(|_| id)
                }
            };
            if let Some(id) = id {
                self.node.handle_hint(now, id);
            }
        }
    }
}

impl Butterfly {
    /// Without connections of our own, there is nothing to see.
    pub(super) fn watch_nothing(&mut self, now: Time) {
        while let Some(test) = self.node.poll_port_test() {
            self.node.handle_port_test(now, test, Port::Silent);
        }
    }

    #[cfg(feature = "zmq")]
    pub(super) fn watch(&mut self, at: Instant) {
        self.watch_nothing(self.time_of(at));
    }
}
