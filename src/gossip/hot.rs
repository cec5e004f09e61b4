//! What is hot: rumors that are still to be told, the essential and small before the big, and of the same
//! class those first that were told the longest ago (Demers et al., "Epidemic algorithms", §1.4: a counter
//! with feedback).

use super::store::{Place, Store};
use crate::limits::EAGER_RUMOR;
use crate::lists::Lists;
use crate::rumor::{Audience, RumorKind};

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

/// Whether a rumor was told before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Telling {
    Again,
    First,
}

/// How often a rumor is told or heard back in a ring of that many living members before it is cold: so often
/// that, by luck alone, hardly a member is missed, and no more often than all can be told twice.
pub(crate) fn tellings(factor: f64, living: usize) -> u8 {
    let others = living.saturating_sub(1).max(1);
    let enough = (factor * libm::log2(living as f64)).ceil() as usize + 4;
    enough.min(2 * others).min(usize::from(u8::MAX)) as u8
}

pub(crate) struct Hot {
    lists: Lists<Place>,
}

impl Hot {
    pub fn new() -> Self {
        Hot {
            lists: Lists::new(2 * 2 * Class::ALL.len()),
        }
    }

    pub fn len(&self) -> usize {
        self.lists.len()
    }

    /// The rumor is news. If it was so before, it waits until it would be told again: what changes all the
    /// time, as an election does, is not told all the time.
    pub fn heat(&mut self, store: &mut Store, place: Place) {
        let Some(entry) = store.get_mut(place) else {
            return;
        };
        let class = Class::of(entry.id.kind, entry.bytes.len());
        let audience = entry.id.kind.audience();
        (entry.told, entry.heard) = (0, 0);
        match entry.hot {
            Some(node) => self
                .lists
                .move_to_back(node, list(audience, class, self.telling(node))),
            None => {
                entry.hot = Some(
                    self.lists
                        .push_back(list(audience, class, Telling::First), place),
                )
            }
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

    /// The rumor of a class that was told the longest ago, of those that were told, or of the fresh ones.
    pub fn first(&self, audience: Audience, class: Class, telling: Telling) -> Option<Place> {
        let node = self.lists.front(list(audience, class, telling))?;
        self.lists.get(node).copied()
    }

    /// It was told: the others of its class are first.
    pub fn told(&mut self, store: &Store, place: Place, class: Class) {
        if let Some(entry) = store.get(place)
            && let Some(node) = entry.hot
        {
            let audience = entry.id.kind.audience();
            self.lists
                .move_to_back(node, list(audience, class, Telling::Again));
        }
    }

    fn telling(&self, node: u32) -> Telling {
        match self.lists.list_of(node) {
            Some(list) if list % 2 == Telling::First as usize => Telling::First,
            _ => Telling::Again,
        }
    }

    /// Whether there are any that were never told.
    pub fn has_fresh(&self) -> bool {
        let is_fresh = |audience| self.has(audience, Telling::First);
        Audience::ALL.into_iter().any(is_fresh)
    }

    /// Whether there are any for this audience that were never told, or that were.
    pub fn has(&self, audience: Audience, telling: Telling) -> bool {
        let has = |class| self.first(audience, class, telling).is_some();
        Class::ALL.into_iter().any(has)
    }

    pub fn is_empty(&self) -> bool {
        self.lists.len() == 0
    }
}

/// The number of a list.
fn list(audience: Audience, class: Class, telling: Telling) -> usize {
    let class = Class::ALL.len() * audience as usize + class as usize;
    2 * class + telling as usize
}
