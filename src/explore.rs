//! Goes through every world that can be reached from a first one: what small-world tests are made of.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher, Hash};

/// A world: what is true in it, and what may happen in it.
pub(crate) trait World: Clone + Hash {
    /// What holds for a run, and is no part of a world.
    type Rules;
    /// What of a world decides whether it comes to rest.
    type Rest: Hash;

    /// All worlds that may come next.
    fn successors(&self, rules: &Self::Rules, to: &mut Vec<Self>);
    /// Whether what must never be is.
    fn is_wrong(&self, rules: &Self::Rules) -> bool;
    fn rest(&self) -> Self::Rest;
    /// Whether all ends well if nothing goes wrong any more.
    fn comes_to_rest(&self, rules: &Self::Rules) -> bool;
}

/// What was found.
#[derive(Debug)]
pub(crate) struct Found<W> {
    pub worlds: usize,
    /// One in which something is wrong.
    pub wrong: Option<W>,
    /// One that does not come to rest.
    pub restless: Option<W>,
}

pub(crate) fn explore<W: World>(first: W, rules: &W::Rules) -> Found<W> {
    let hasher = BuildHasherDefault::<DefaultHasher>::default();
    let mut found = Found {
        worlds: 0,
        wrong: None,
        restless: None,
    };
    // A world is remembered by 64 bits of its hash: of a million, two are taken for one with a chance of 10⁻⁷.
    let mut seen = BTreeSet::from([hasher.hash_one(&first)]);
    let mut rested = BTreeSet::new();
    let mut open = vec![first];
    let mut successors = Vec::new();
    while let Some(world) = open.pop() {
        found.worlds += 1;
        if found.wrong.is_none() && world.is_wrong(rules) {
            found.wrong = Some(world.clone());
        }
        if rested.insert(hasher.hash_one(world.rest()))
            && found.restless.is_none()
            && !world.comes_to_rest(rules)
        {
            found.restless = Some(world.clone());
        }
        world.successors(rules, &mut successors);
        let unseen = |next: &W| seen.insert(hasher.hash_one(next));
        open.extend(successors.drain(..).filter(unseen));
    }
    found
}
