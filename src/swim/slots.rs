//! A slab whose content can be hashed, as what stands for a member's state is derived.

use std::hash::{Hash, Hasher};
use std::ops::{Deref, DerefMut};

use slab::Slab;

pub(super) struct Slots<T>(Slab<T>);

impl<T> Slots<T> {
    pub fn new() -> Self {
        Slots(Slab::new())
    }
}

impl<T> Deref for Slots<T> {
    type Target = Slab<T>;

    fn deref(&self) -> &Slab<T> {
        &self.0
    }
}

impl<T> DerefMut for Slots<T> {
    fn deref_mut(&mut self) -> &mut Slab<T> {
        &mut self.0
    }
}

impl<T: Hash> Hash for Slots<T> {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.0.len().hash(hasher);
        self.0.iter().for_each(|one| one.hash(hasher));
    }
}
