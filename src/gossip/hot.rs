//! What is hot: rumors that are still to be told, the essential and small before the big, and of the same
//! class those first that were told the longest ago (Demers et al., "Epidemic algorithms", §1.4: a counter
//! with feedback).

use super::store::{Place, Store};
use crate::limits::EAGER_RUMOR;
use crate::lists::Lists;
use crate::rumor::RumorKind;

/// In which order rumors are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    /// Elections and departures: small, and others wait for them.
    Urgent,
    Ordinary,
    /// Too big to be pushed unasked to who can ask.
    Bulky,
}

impl Class {
    pub const ALL: [Class; 3] = [Class::Urgent, Class::Ordinary, Class::Bulky];

    pub fn of(kind: RumorKind, bytes: usize) -> Class {
        match kind {
            _ if bytes > EAGER_RUMOR => Class::Bulky,
            RumorKind::Departure => Class::Urgent,
            kind if kind.is_election() => Class::Urgent,
            _ => Class::Ordinary,
        }
    }
}

/// How often a rumor is told or heard back in a ring of that many living members before it is cold: so often
/// that, by luck alone, hardly a member is missed, and no more often than all can be told twice.
pub(crate) fn tellings(factor: f64, living: usize) -> u8 {
    let others = living.saturating_sub(1).max(1);
    let enough = (factor * (living as f64).log2()).ceil() as usize + 4;
    enough.min(2 * others).min(usize::from(u8::MAX)) as u8
}

pub(crate) struct Hot {
    lists: Lists<Place>,
}

impl Hot {
    pub fn new() -> Self {
        Hot {
            lists: Lists::new(Class::ALL.len()),
        }
    }

    pub fn len(&self) -> usize {
        self.lists.len()
    }

    /// The rumor is news, again if it was so before.
    pub fn heat(&mut self, store: &mut Store, place: Place) {
        let Some(entry) = store.get_mut(place) else {
            return;
        };
        let class = Class::of(entry.id.kind, entry.bytes.len()) as usize;
        (entry.told, entry.heard) = (0, 0);
        match entry.hot {
            Some(node) => self.lists.move_to_back(node, class),
            None => entry.hot = Some(self.lists.push_back(class, place)),
        }
    }

    /// The rumor is no news any more.
    pub fn cool(&mut self, store: &mut Store, place: Place) {
        if let Some(node) = store.get_mut(place).and_then(|entry| entry.hot.take()) {
            self.lists.remove(node);
        }
    }

    /// A rumor that left the store was hot.
    pub fn forget(&mut self, node: Option<u32>) {
        if let Some(node) = node {
            self.lists.remove(node);
        }
    }

    /// The rumor that was told the longest ago, of a class.
    pub fn first(&self, class: Class) -> Option<Place> {
        let node = self.lists.front(class as usize)?;
        self.lists.get(node).copied()
    }

    /// It was told: the others of its class are first.
    pub fn told(&mut self, store: &Store, place: Place) {
        if let Some(node) = store.get(place).and_then(|entry| entry.hot)
            && let Some(class) = self.lists.list_of(node)
        {
            self.lists.move_to_back(node, class);
        }
    }

    /// How many there are of a class: what is told in one go is bounded by it.
    pub fn is_empty(&self) -> bool {
        self.lists.len() == 0
    }
}
