//! Cuts connections that send without end what never becomes a message.
//!
//! ZeroMQ keeps the parts of a message until its last one is there, and no option of it bounds how many. But
//! it tells which connections there are, the system tells how many bytes came in on each, and each message
//! tells on which it came: the difference is what a connection makes us hold.

use std::collections::HashMap;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::Instant;

use mio::{Registry, Token};
use socket2::Socket as Descriptor;
use zmq::Message;

use super::super::zmq_ffi::{self, Context, Kind, Socket};
use super::counters::Counters;
use super::options::Options;
use super::watched::Watched;
use crate::limits::CONNECTION_EVENTS_PER_WAKE;

const ACCEPTED: u16 = zmq_sys::ZMQ_EVENT_ACCEPTED as u16;
const DISCONNECTED: u16 = zmq_sys::ZMQ_EVENT_DISCONNECTED as u16;

/// Connections that one sweep looks at in each of its intervals.
const SWEEP: u32 = 1_000;

pub(super) struct Guard {
    monitor: Watched,
    /// There may be events to read.
    ready: bool,
    port: u16,
    connections: HashMap<RawFd, Connection>,
    /// Counts how often the events were read to the end.
    round: u64,
    /// When the connections are looked at next.
    due: Option<Instant>,
    message: Message,
}

struct Connection {
    peer: SocketAddr,
    /// Bytes of the stream that need not be held any more.
    delivered: u64,
    /// Of those, the ones delivered in this round.
    round: u64,
    delivered_in_round: u64,
    /// Bytes that had come in at the last look.
    received: u64,
    open: bool,
}

impl Guard {
    /// Watches the connections of a PULL socket, which is to be bound hereafter.
    pub(super) fn new(
        context: &Arc<Context>,
        registry: &Arc<Registry>,
        token: Token,
        pull: &Socket,
    ) -> io::Result<Self> {
        // The address only has to be the PULL socket's own: its descriptor is no other one's.
        let address = format!("inproc://connections-{}", pull.get_fd()?);
        pull.monitor(&address, i32::from(ACCEPTED | DISCONNECTED))?;
        let monitor = context.socket(Kind::Pair)?;
        monitor.set_linger(0)?;
        // ZeroMQ's thread, which serves all sockets, would wait when an event does not fit.
        monitor.set_rcvhwm(0)?;
        monitor.connect(&address)?;
        Ok(Guard {
            monitor: Watched::new(monitor, registry, token)?,
            ready: true,
            port: 0,
            connections: HashMap::new(),
            round: 0,
            due: None,
            message: Message::new(),
        })
    }

    /// The port that the PULL socket is bound to.
    pub(super) fn set_port(&mut self, port: u16) {
        self.port = port;
    }

    pub(super) fn wake(&mut self) {
        self.ready = true;
    }

    pub(super) fn has_work(&self) -> bool {
        self.ready
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.due
    }

    pub(super) fn connections(&self) -> usize {
        self.connections.len()
    }

    /// A frame came on this connection, the last of its message or not. `drained`: no whole message that had
    /// come in at the last look was undelivered when this one came.
    pub(super) fn delivered(
        &mut self,
        fd: RawFd,
        len: usize,
        (last, drained): (bool, bool),
        options: &Options,
        counters: &mut Counters,
    ) {
        if !self.connections.contains_key(&fd) {
            // ZeroMQ told of it before it delivered anything.
            self.read_events(options, counters);
        }
        let Some(connection) = self.connections.get_mut(&fd) else {
            return;
        };
        // ZMTP's frame header: flags, and a length of one byte or eight.
        let bytes = len as u64 + if len < 256 { 2 } else { 9 };
        if connection.round != self.round {
            connection.round = self.round;
            connection.delivered_in_round = 0;
        }
        connection.delivered_in_round += bytes;
        connection.delivered += bytes;
        if last && drained {
            // It was whole after the last look, and so all that came before is gone: signs of life too.
            connection.delivered = connection.delivered.max(connection.received);
        }
    }

    /// Reads what became of connections.
    pub(super) fn read_events(&mut self, options: &Options, counters: &mut Counters) {
        for _ in 0..CONNECTION_EVENTS_PER_WAKE {
            match self.next_event() {
                Some((ACCEPTED, fd)) => self.accept(fd, options, counters),
                Some((DISCONNECTED, fd)) => {
                    if let Some(connection) = self.connections.get_mut(&fd) {
                        connection.open = false;
                    }
                }
                Some(_) => {}
                None => {
                    self.ready = false;
                    self.round += 1;
                    self.connections.retain(|_, connection| connection.open);
                    return;
                }
            }
        }
        self.ready = true;
    }

    /// The event's number and its connection's descriptor: 16 and 32 bits, and then a frame with an address.
    fn next_event(&mut self) -> Option<(u16, RawFd)> {
        let mut event = None;
        while self.monitor.is(zmq::POLLIN) {
            if self.monitor.recv(&mut self.message, zmq::DONTWAIT).is_err() {
                continue;
            }
            if let Some((number, rest)) = self.message.split_first_chunk()
                && let Some(fd) = rest.first_chunk()
                && event.is_none()
            {
                event = Some((u16::from_ne_bytes(*number), RawFd::from_ne_bytes(*fd)));
            }
            if !self.message.get_more() {
                return event;
            }
        }
        None
    }

    fn accept(&mut self, fd: RawFd, options: &Options, counters: &mut Counters) {
        counters.accepted += 1;
        let old = self.connections.remove(&fd);
        // It may be gone already, and told so by an event to come.
        let Some((_, peer)) = self.connection(fd, None) else {
            return;
        };
        if self.connections.len() >= options.max_connections {
            counters.cut_surplus += u64::from(self.cut(fd, peer));
            return;
        }
        // What came under this number since the events were last read to the end came from this connection.
        let delivered = old
            .filter(|old| old.round == self.round)
            .map_or(0, |old| old.delivered_in_round);
        self.connections.insert(
            fd,
            Connection {
                peer,
                delivered,
                round: self.round,
                delivered_in_round: delivered,
                received: 0,
                open: true,
            },
        );
    }

    /// Looks at all connections when it is time. `drained`: every message that is whole was delivered.
    pub(super) fn handle_timeout(
        &mut self,
        now: Instant,
        drained: bool,
        options: &Options,
        counters: &mut Counters,
    ) -> bool {
        if self.connections.is_empty() {
            self.due = None;
            return false;
        }
        let count = u32::try_from(self.connections.len()).unwrap_or(u32::MAX);
        let interval = options.guard_interval * (1 + count / SWEEP);
        let due = *self.due.get_or_insert(now + interval);
        if due > now {
            return false;
        }
        self.due = Some(now + interval);
        self.sweep(drained, options, counters);
        true
    }

    fn sweep(&mut self, drained: bool, options: &Options, counters: &mut Counters) {
        let slack = options.guard_slack as u64;
        let most = options.max_frame as u64 + slack;
        let mut held = Vec::new();
        let mut sum = 0;
        for (&fd, connection) in &mut self.connections {
            let Some(received) = zmq_ffi::bytes_received(fd) else {
                continue;
            };
            connection.received = received;
            connection.delivered = connection.delivered.min(received);
            let ahead = received - connection.delivered;
            if ahead > slack {
                held.push((ahead, fd, connection.peer));
                sum += ahead - slack;
            }
        }
        held.sort_unstable_by_key(|&(ahead, ..)| std::cmp::Reverse(ahead));
        for (ahead, fd, peer) in held {
            let too_much = drained && ahead > most;
            if !too_much && sum <= options.max_undelivered_bytes as u64 {
                break;
            }
            sum -= ahead - slack;
            if self.cut(fd, peer) {
                counters.cut_endless += 1;
                log::warn!("cut off {peer}: it sent {ahead} bytes that are no whole message");
            }
        }
    }

    /// Ends a connection, if the number still stands for it; ZeroMQ notices and closes it.
    fn cut(&self, fd: RawFd, peer: SocketAddr) -> bool {
        self.connection(fd, Some(peer))
            .is_some_and(|(descriptor, _)| descriptor.shutdown(Shutdown::Both).is_ok())
    }

    /// The connection to our port, from this peer if one is given, that the number stands for now. Held by a
    /// descriptor of our own, it stays that one.
    fn connection(&self, fd: RawFd, from: Option<SocketAddr>) -> Option<(Descriptor, SocketAddr)> {
        let descriptor = Descriptor::from(zmq_ffi::duplicate(fd).ok()?);
        let peer = descriptor.peer_addr().ok()?.as_socket()?;
        let own = descriptor.local_addr().ok()?.as_socket()?;
        let same = own.port() == self.port && from.is_none_or(|from| from == peer);
        same.then_some((descriptor, peer))
    }
}
