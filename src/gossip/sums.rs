//! Sums over the hashes of a store's contents, by the first bits of the hashes: two stores are compared by
//! walking from the root to where they differ (a Merkle tree of two levels).

use std::ops::RangeInclusive;

/// Children of a node.
pub(crate) const FANOUT: usize = 1 << BITS;
const BITS: u32 = 5;
/// Below the nodes of this depth there are hashes only.
const DEPTH: u8 = 2;
const LEAVES: usize = FANOUT * FANOUT;

/// A part of all hashes: those that begin with the first `depth * BITS` bits of `prefix`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    depth: u8,
    prefix: u16,
}

impl Node {
    pub const ROOT: Node = Node {
        depth: 0,
        prefix: 0,
    };

    /// The node with these coordinates, if there is one that has children.
    pub fn inner(depth: u8, prefix: u16) -> Option<Node> {
        let there = depth < DEPTH && usize::from(prefix) < FANOUT.pow(depth.into());
        there.then_some(Node { depth, prefix })
    }

    pub fn depth(self) -> u8 {
        self.depth
    }

    pub fn prefix(self) -> u16 {
        self.prefix
    }

    pub fn is_leaf(self) -> bool {
        self.depth == DEPTH
    }

    pub fn child(self, index: usize) -> Node {
        Node {
            depth: self.depth + 1,
            prefix: self.prefix << BITS | index as u16,
        }
    }

    /// The hashes below it.
    pub fn hashes(self) -> RangeInclusive<u64> {
        let bits = u32::from(self.depth) * BITS;
        if bits == 0 {
            return 0..=u64::MAX;
        }
        let first = u64::from(self.prefix) << (64 - bits);
        first..=first | u64::MAX >> bits
    }
}

/// Sum and number of the hashes below each leaf, and of all.
pub(crate) struct Sums {
    all: u64,
    count: usize,
    /// Empty until the first hash comes.
    leaves: Vec<(u64, u32)>,
}

impl Sums {
    pub fn new() -> Self {
        Sums {
            all: 0,
            count: 0,
            leaves: Vec::new(),
        }
    }

    pub fn add(&mut self, hash: u64) {
        if self.leaves.is_empty() {
            self.leaves = vec![(0, 0); LEAVES];
        }
        self.all = self.all.wrapping_add(hash);
        self.count += 1;
        if let Some((sum, count)) = self.leaves.get_mut(leaf_of(hash)) {
            *sum = sum.wrapping_add(hash);
            *count += 1;
        }
    }

    /// Takes out a hash that was added.
    pub fn remove(&mut self, hash: u64) {
        self.all = self.all.wrapping_sub(hash);
        self.count -= 1;
        if let Some((sum, count)) = self.leaves.get_mut(leaf_of(hash)) {
            *sum = sum.wrapping_sub(hash);
            *count -= 1;
        }
    }

    /// Stands for all contents.
    pub fn all(&self) -> u64 {
        self.all
    }

    /// How many hashes are below a node.
    pub fn count(&self, node: Node) -> usize {
        if node.depth == 0 {
            return self.count;
        }
        let counts = self.below(node).iter().map(|(_, count)| *count as usize);
        counts.sum()
    }

    /// What stands for the contents below a node; to be added to that of others, and folded then.
    pub fn sum(&self, node: Node) -> u64 {
        let sums = self.below(node).iter().map(|(sum, _)| *sum);
        sums.fold(0, u64::wrapping_add)
    }

    fn below(&self, node: Node) -> &[(u64, u32)] {
        let per_node = FANOUT.pow(u32::from(DEPTH - node.depth));
        let first = usize::from(node.prefix) * per_node;
        self.leaves.get(first..first + per_node).unwrap_or_default()
    }
}

fn leaf_of(hash: u64) -> usize {
    (hash >> (64 - u32::from(DEPTH) * BITS)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_has_the_hashes_of_its_children() {
        let node = Node::ROOT.child(3);
        let (first, last) = (node.child(0), node.child(FANOUT - 1));
        assert_eq!(first.hashes().start(), node.hashes().start());
        assert_eq!(last.hashes().end(), node.hashes().end());
        assert_eq!(
            node.child(4).hashes().end() + 1,
            *node.child(5).hashes().start()
        );
        assert!(first.is_leaf() && !node.is_leaf());
        assert_eq!(Node::inner(1, 3), Some(node));
        assert_eq!((Node::inner(1, 32), Node::inner(2, 0)), (None, None));
    }

    #[test]
    fn sums_follow_what_is_added_and_removed() {
        let mut sums = Sums::new();
        assert_eq!((sums.count(Node::ROOT), sums.sum(Node::ROOT)), (0, 0));
        // Not u64::MAX, whose halves cancel out as those of one in 2³² do.
        let hashes = [1, u64::MAX - 1, 1 << 63, 77 << 50];
        for hash in hashes {
            sums.add(hash);
        }
        for hash in hashes {
            let child = Node::ROOT.child((hash >> 59) as usize);
            assert!(child.hashes().contains(&hash) && sums.count(child) > 0);
            assert_ne!(sums.sum(child), 0);
        }
        for hash in hashes {
            sums.remove(hash);
        }
        assert_eq!((sums.count(Node::ROOT), sums.all()), (0, 0));
        assert!((0..FANOUT).all(|index| sums.sum(Node::ROOT.child(index)) == 0));
    }
}
