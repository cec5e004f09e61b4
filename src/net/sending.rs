//! Sending what the node has to say, as far as the system takes it.

use std::time::Instant;

use mio::Interest;

use super::butterfly::{Butterfly, UDP};
use super::outbox::Sent;
use crate::time::Time;

impl Butterfly {
    /// Sends what waits to be sent, until the system takes no more. What answers datagrams leaves at the time at which
    /// their row was `heard`: a reading of the clock less. (A probe that a suspicion began is timed from then, too.) What
    /// is stuck is encoded already: it leaves as it was decided, sealed with the key of that time.
    pub(super) fn flush(&mut self, heard: Option<Time>) {
        if !self.outbox.is_empty() && !self.writable || self.node.is_paused() {
            return;
        }
        while !self.outbox.is_empty() || self.encode(heard) {
            let socket = &self.socket;
            match self
                .outbox
                .send(|datagram, to, at| socket.send(datagram, to, at))
            {
                Sent::All => {}
                Sent::Blocked => return self.watch_writable(true),
                Sent::Error => {
                    self.has_errors = true;
                    self.hear_errors();
                }
                Sent::Failed(to, why) => {
                    self.complaints.unsent(to, why, Instant::now());
                    self.node.handle_unreachable(self.clock(), to);
                }
            }
        }
        if self.writable {
            self.watch_writable(false);
        }
    }

    /// Encodes what waits to be sent, as far as it fits; whether there was anything.
    fn encode(&mut self, heard: Option<Time>) -> bool {
        // Mostly there is nothing, and reading the clock would cost more than the question.
        if !self.node.has_outgoing() {
            return false;
        }
        let now = heard.unwrap_or_else(|| self.clock());
        let inbox = &self.inbox;
        // Only an answer was asked for somewhere.
        let answers = heard.is_some() && self.socket.says_where();
        let at = |to| if answers { inbox.asked_at(to) } else { None };
        self.outbox
            .fill(|room| self.node.poll_datagram(now, room), at);
        !self.outbox.is_empty()
    }

    /// Writability is only watched while something is stuck: the kernel would announce it after each send.
    fn watch_writable(&mut self, on: bool) {
        self.writable = false;
        let interest = if on {
            Interest::READABLE | Interest::WRITABLE
        } else {
            Interest::READABLE
        };
        if let Err(error) = self
            .poll
            .registry()
            .reregister(&mut self.socket.udp, UDP, interest)
        {
            log::error!("cannot watch the UDP socket: {error}");
        }
        // Registering anew announces anew what is there to read; reading finds out.
        self.readable = true;
    }
}
