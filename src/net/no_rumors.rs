//! Stands in the place of `rumors` without the feature `gossip`: there are no gossip sockets.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Instant;

use mio::{Registry, Token};

use super::Butterfly;
use crate::node::Port;
use crate::ring_name::RingName;

/// There are none.
pub(super) enum Rumors {}

impl Rumors {
    pub fn bind(_: &Registry, _: SocketAddr, _: Option<&RingName>) -> io::Result<Self> {
        let why = "this program was built without the cargo feature `gossip`: set Config::gossip to false";
        Err(io::Error::new(ErrorKind::Unsupported, why))
    }

    pub fn local_port(&self) -> u16 {
        match *self {}
    }

    pub fn wake(&mut self, _: Token) {
        match *self {}
    }

    pub fn has_work(&self) -> bool {
        match *self {}
    }

    pub fn deadline(&self) -> Option<Instant> {
        match *self {}
    }
}

impl Butterfly {
    pub(super) fn hear_rumors(&mut self) {}

    pub(super) fn push_rumors(&mut self, _: Instant) {}

    /// Without connections, no port is tested.
    pub(super) fn watch(&mut self, at: Instant) {
        let now = self.time_of(at);
        while let Some(test) = self.node.poll_port_test() {
            self.node.handle_port_test(now, test, Port::Silent);
        }
    }
}
