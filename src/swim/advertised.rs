//! Members that say where they are reached, as their datagrams come from elsewhere: behind an address translation, a load
//! balancer, a VPN (PROTOCOL.md §2, "Advertised addresses").
//!
//! Such a member is held there once it answered a question there, and only then. Its datagrams go on coming from their
//! source, and their answers go back to it. A source can be forged, so what an answer may hold is bounded until the member
//! answered a question there, too; that is what is remembered here.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::news::RowKey;
use crate::limits::MAX_MEMBERS;
use crate::stats::Gauge;

/// Of a member that is held where it says that it is reached.
#[derive(Clone, Copy, Hash)]
struct Advertiser {
    /// Where its datagrams come from: it answered there.
    source: SocketAddr,
    /// A probe of it failed since it last answered where it is held.
    silent: bool,
}

#[derive(Default, Hash)]
pub(super) struct Advertisers {
    held: BTreeMap<RowKey, Advertiser>,
}

impl Advertisers {
    pub fn sizes(&self) -> [Gauge; 1] {
        [Gauge::new("advertisers", self.held.len(), MAX_MEMBERS)]
    }

    /// The member in this row answered a question at the source of its datagrams.
    pub fn note_source(&mut self, key: RowKey, source: SocketAddr) {
        let silent = self.is_silent(key);
        self.held.insert(key, Advertiser { source, silent });
    }

    /// It answered where it is held.
    pub fn answered(&mut self, key: RowKey) {
        if let Some(it) = self.held.get_mut(&key) {
            it.silent = false;
        }
    }

    /// A probe of it failed.
    pub fn fell_silent(&mut self, key: RowKey) {
        if let Some(it) = self.held.get_mut(&key) {
            it.silent = true;
        }
    }

    /// Where its datagrams come from, if it does not answer where it is held.
    pub fn silent_source(&self, key: RowKey) -> Option<SocketAddr> {
        let silent = self.held.get(&key).filter(|it| it.silent);
        silent.map(|it| it.source)
    }

    /// It moved, or is forgotten.
    pub fn forget(&mut self, key: RowKey) {
        self.held.remove(&key);
    }

    pub fn comes_from(&self, key: RowKey, source: SocketAddr) -> bool {
        self.held.get(&key).is_some_and(|it| it.source == source)
    }

    pub fn is_silent(&self, key: RowKey) -> bool {
        self.held.get(&key).is_some_and(|it| it.silent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_that_fell_silent_where_it_is_held_is_asked_at_its_source() {
        let source = SocketAddr::from(([10, 0, 0, 1], 1));
        let mut advertisers = Advertisers::default();
        advertisers.fell_silent(3);
        assert_eq!(
            advertisers.silent_source(3),
            None,
            "it is held at its source"
        );
        advertisers.note_source(3, source);
        assert!(advertisers.comes_from(3, source) && !advertisers.is_silent(3));
        advertisers.fell_silent(3);
        advertisers.note_source(3, source);
        assert_eq!(
            advertisers.silent_source(3),
            Some(source),
            "an answer there is none"
        );
        advertisers.answered(3);
        assert_eq!(advertisers.silent_source(3), None);
        advertisers.forget(3);
        assert!(!advertisers.comes_from(3, source));
    }
}
