//! Connections that are kept open to see them end, and tests of a peer's port.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::super::cuts::Report;
use super::super::options::Options;
use super::super::peer::{Peer, PortTest};
use super::PushSet;
use crate::member::MemberId;
use crate::node::Port;

/// How long a peer's system may take to answer: longer than any round trip, and shorter than what its answer is for.
const PORT_PATIENCE: Duration = Duration::from_millis(300);

/// What is kept and tested, and what came of it.
#[derive(Default)]
pub(super) struct Kept {
    by: Option<MemberId>,
    peers: Vec<SocketAddr>,
    /// Whose kept connections have ended.
    ended: Vec<SocketAddr>,
    /// What tests found, with their labels.
    found: Vec<(u64, Port)>,
}

impl PushSet {
    /// Keeps connections to these peers, and no longer to others; this member says so in them.
    pub(in crate::net::gossip) fn keep(
        &mut self,
        now: Instant,
        (by, peers): (MemberId, &[SocketAddr]),
        options: &Options,
        report: &mut Report,
    ) {
        for (_, peer) in &mut self.peers {
            if peer.link.is_kept() && !(peers.contains(&peer.addr) && self.kept.by == Some(by)) {
                peer.link.keep(None);
                peer.last_used = now;
            }
        }
        self.kept.by = Some(by);
        self.kept.peers.clear();
        self.kept.peers.extend_from_slice(peers);
        self.due = Some(now);
        self.handle_timeout(now, options, report);
    }

    /// Opens what is to be kept and is not. A connection that is there already is closed first, as only a new one can say
    /// that it is kept; but not while something waits to leave on it.
    pub(super) fn open_kept(&mut self, now: Instant, options: &Options, report: &mut Report) {
        for place in 0..self.kept.peers.len() {
            let Some(to) = self.kept.peers.get(place).copied() else {
                return;
            };
            let key = self.by_addr.get(&to).copied();
            let key = key.map_or_else(|| self.open(now, to, options, report), Ok);
            let by = self.kept.by;
            let said = key.map(|key| {
                self.tend(key, |peer| {
                    peer.link.is_kept() || peer.link.keep(by) || peer.bytes() > 0
                })
            });
            match (said, key) {
                (Ok(Some(false)), Ok(key)) => {
                    self.close(key, now, options, report);
                    if let Ok(key) = self.open(now, to, options, report) {
                        self.tend(key, |peer| peer.link.keep(by));
                        self.look_by(key);
                    }
                }
                (Ok(_), Ok(key)) => self.look_by(key),
                // There is no place for it, or no socket: the next one may find one.
                _ => self.wake_by(now + options.reconnect.1),
            }
        }
    }

    /// A peer whose kept connection has ended since it was asked last.
    pub(in crate::net::gossip) fn poll_ended(&mut self) -> Option<SocketAddr> {
        self.kept.ended.pop()
    }

    /// Finds out whether somebody listens at this port: by a sign of life if there is a connection, else by opening one.
    pub(in crate::net::gossip) fn test_port(
        &mut self,
        (now, to, label): (Instant, SocketAddr, u64),
        options: &Options,
        report: &mut Report,
    ) {
        let known = self.by_addr.get(&to).copied();
        let key = known.map_or_else(|| self.open(now, to, options, report), Ok);
        let is_under_way = key.ok().and_then(|key| {
            let until = now + PORT_PATIENCE;
            let test = PortTest { label, until, is_alone: known.is_none() };
            self.tend(key, |peer| {
                if peer.link.is_ready() {
                    peer.link.ask(now, options);
                } else {
                    peer.link.connect_now(now, options);
                }
                // An earlier one has its answer with this.
                peer.test.replace(test).map(|earlier| earlier.label)
            })
        });
        match is_under_way {
            None => self.kept.found.push((label, Port::Silent)),
            Some(Some(earlier)) => self.kept.found.push((earlier, Port::Silent)),
            Some(None) => {}
        }
        if let Ok(key) = key {
            self.wake_by(now + PORT_PATIENCE);
            self.see(key, now);
        }
    }

    /// What a test found, with its label.
    pub(in crate::net::gossip) fn poll_tested(&mut self) -> Option<(u64, Port)> {
        self.kept.found.pop()
    }

    pub(super) fn has_news(&self) -> bool {
        !(self.kept.ended.is_empty() && self.kept.found.is_empty())
    }

    /// Looks what became of a peer's connection: whether a kept one ended, and what a test found.
    pub(super) fn see(&mut self, key: usize, now: Instant) {
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        if peer.link.take_end() {
            self.kept.ended.push(peer.addr);
        }
        let Some(test) = &peer.test else {
            return;
        };
        let found = peer.link.port();
        let Some(port) = found.or_else(|| (test.until <= now).then(|| peer.link.port_at_last()))
        else {
            let until = test.until;
            return self.wake_by(until);
        };
        self.kept.found.push((test.label, port));
        // Whoever stands still has a bounded number of places for those who knock.
        if test.is_alone && is_idle(peer) {
            peer.link.reset();
        }
        peer.test = None;
    }
}

fn is_idle(peer: &Peer) -> bool {
    peer.bytes() == 0 && !peer.link.is_kept()
}
