//! The ring that this member belongs to.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use crate::limits::MAX_FOREIGNERS;
use crate::member::MemberId;
use crate::ring_name::RingName;
use crate::stats::Gauge;
use crate::wire::Extras;

/// The ring that this member belongs to.
#[derive(Hash)]
pub(super) struct Home {
    name: Option<RingName>,
    /// Stands for the name; 0: it has none.
    hash: u32,
    /// Where messages of other rings came from, as far as that was told.
    foreigners: BTreeSet<SocketAddr>,
    /// The id that this member had before, for which others may look here.
    former: Option<MemberId>,
    /// Where this member is reached, if its datagrams may come from elsewhere.
    advertised: Option<IpAddr>,
}

impl Home {
    pub fn new(name: Option<&RingName>, advertised: Option<IpAddr>) -> Self {
        Home {
            name: name.cloned(),
            hash: name.map_or(0, RingName::hash),
            foreigners: BTreeSet::new(),
            former: None,
            advertised,
        }
    }

    pub fn name(&self) -> Option<&RingName> {
        self.name.as_ref()
    }

    /// Whether this source of messages of another ring was not told of yet.
    pub fn is_new_foreigner(&mut self, from: SocketAddr) -> bool {
        if self.foreigners.len() >= MAX_FOREIGNERS {
            self.foreigners.clear();
        }
        self.foreigners.insert(from)
    }

    /// The id that this member had before.
    pub fn former(&self) -> Option<MemberId> {
        self.former
    }

    pub fn was(&self, id: &MemberId) -> bool {
        self.former.as_ref() == Some(id)
    }

    pub fn hash(&self) -> u32 {
        self.hash
    }

    pub fn sizes(&self) -> [Gauge; 1] {
        let (now, most) = (self.foreigners.len(), MAX_FOREIGNERS);
        [Gauge::new("foreigners", now, most)]
    }

    /// This member had that id until now.
    pub fn renewed(&mut self, former: MemberId) {
        self.former = Some(former);
    }

    /// What stands in every message.
    pub fn extras(&self) -> Extras<'static> {
        Extras {
            ring: self.hash,
            advertised: self.advertised,
            ..Extras::default()
        }
    }

    /// Bytes of what stands in every message.
    pub fn len(&self) -> usize {
        self.extras().len()
    }

    /// The same, with the name.
    pub fn named_len(&self) -> usize {
        let ring_name = self.name.as_ref().map_or("", RingName::as_str).as_bytes();
        Extras {
            ring_name,
            ..self.extras()
        }
        .len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_source_of_another_ring_is_told_of_once_and_not_too_many_are_kept() {
        let mut home = Home::new(None, None);
        let from = |port| SocketAddr::from(([10, 0, 0, 1], port));
        assert!(home.is_new_foreigner(from(1)) && !home.is_new_foreigner(from(1)));
        for port in 0..3 * MAX_FOREIGNERS as u16 {
            home.is_new_foreigner(from(port));
        }
        assert!(home.foreigners.len() <= MAX_FOREIGNERS);
    }

    #[test]
    fn the_id_before_the_last_renewal_is_its_own() {
        let id = |number| MemberId::from_bytes([number; 16]);
        let mut home = Home::new(None, None);
        assert!(!home.was(&id(1)));
        home.renewed(id(1));
        assert!(home.was(&id(1)) && !home.was(&id(2)));
    }
}
