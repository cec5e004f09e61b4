//! What the systems of other members say of them, beside what the members say themselves.
//!
//! | the member | its system's answer to a ping | to a SYN at its gossip port |
//! |---|---|---|
//! | ended | ICMP port unreachable, if it is not filtered | RST |
//! | stands still | nothing | SYN-ACK |
//! | lost its host, or is cut off | nothing | nothing |

use std::net::SocketAddr;

use super::{Node, canonical};
use crate::member::MemberId;
use crate::recording::Input;
use crate::time::Time;
use crate::wire::{self, Message};

/// A gossip port that is to be tested, by a SYN or on a connection that is open: [`Node::poll_port_test`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PortTest {
    /// Whose port it is.
    pub id: MemberId,
    /// Where it is.
    pub addr: SocketAddr,
}

/// What a test of a port found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Port {
    /// Nobody listens: the system answered the SYN with RST.
    Closed,
    /// Somebody does, be it a process that stands still: the system took the connection, or acknowledged what was sent on
    /// one, but the process said nothing.
    Open,
    /// The system answers nothing.
    Silent,
}

/// Feeding and draining what systems say.
impl Node {
    /// The system says that nobody listens at `to`, and quotes this datagram, which was sent there (on Linux: `IP_RECVERR`,
    /// ICMP type 3 code 3 or ICMPv6 type 1 code 4, from that very address). It is decrypted where it lies. It counts
    /// only if it is a ping whose number is made up freshly and outstanding, else it has no effect.
    pub fn handle_refused(&mut self, now: Time, to: SocketAddr, quoted: &mut [u8]) {
        self.record(now, || Input::Refused { to, quoted });
        if self.paused {
            return;
        }
        self.advance(now);
        self.env.journal.stats.refusals += 1;
        match self.quoted_number(quoted) {
            Some(number) => self.swim.refused(&mut self.env, canonical(to), number),
            None => self.env.journal.stats.refusals_ignored += 1,
        }
        self.settle();
    }

    /// The system said something of a datagram that did not arrive, but no refusal by its target's own host: it is counted,
    /// as any host can forge it.
    pub fn handle_stray_error(&mut self) {
        self.record(None, || Input::StrayError);
        self.env.journal.stats.stray_errors += 1;
    }

    /// The number of an own ping.
    fn quoted_number(&self, quoted: &mut [u8]) -> Option<u64> {
        let payload: &[u8] = if self.keys.is_empty() {
            wire::open(&[], quoted).ok()?
        } else {
            wire::open_sealed(&self.keys, quoted).ok()?.0
        };
        match wire::decode(payload).ok()?.message {
            Message::Ping { from, probe, .. } if probe != 0 && from.id == self.id() => Some(probe),
            _ => None,
        }
    }

    /// A connection with this member ended: it may be gone, and is pinged at once. A hint accuses nobody.
    pub fn handle_hint(&mut self, now: Time, id: MemberId) {
        self.record(now, || Input::Hint { id });
        if self.paused {
            return;
        }
        self.advance(now);
        self.swim.hint(&mut self.env, &id);
        self.settle();
    }

    /// The next gossip port to test.
    pub fn poll_port_test(&mut self) -> Option<PortTest> {
        // Also if there is none: what is in vain is passed over.
        self.record(None, || Input::PollPortTest);
        let (id, addr) = self.swim.poll_port_test()?;
        Some(PortTest { id, addr })
    }

    /// What the test of a port found.
    pub fn handle_port_test(&mut self, now: Time, test: PortTest, port: Port) {
        let PortTest { id, addr } = test;
        self.record(now, || Input::PortTested {
            id,
            addr,
            port: port as u8,
        });
        if self.paused {
            return;
        }
        self.advance(now);
        match port {
            Port::Open => self.swim.port_open(&mut self.env, &test.id),
            Port::Closed => self.swim.port_closed(&mut self.env, &test.id),
            Port::Silent => {}
        }
        self.settle();
    }

    /// The members to whose gossip ports a connection is to be kept open, nearest first, if they are others than at the last
    /// call: its end is a hint ([`handle_hint`](Node::handle_hint)).
    pub fn poll_watched(&mut self) -> Option<&[(MemberId, SocketAddr)]> {
        self.record(None, || Input::PollWatched);
        self.swim.poll_watched()
    }
}
