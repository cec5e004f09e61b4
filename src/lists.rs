//! Many queues over one slab: a node leaves or changes its queue in constant time, wherever it stands in it.

use std::mem;
use std::num::NonZeroU32;

use slab::Slab;

use crate::expected::Expected;
use crate::growth;

/// The link that leads nowhere: an index that the slab never gives out.
const NIL: u32 = u32::MAX;

/// A fixed number of doubly linked lists whose nodes share one slab. Memory is taken from the allocator only
/// while the number of nodes grows past all that went before.
///
/// Lists are named by numbers below the one given to [`Lists::new`]; any other is the caller's bug and panics
/// where it would have to be written to. Nodes are named by the number that [`push_back`](Lists::push_back)
/// returned. It is reused once the node was removed; whoever keeps it longer must be able to tell.
#[derive(Debug)]
pub struct Lists<T> {
    nodes: Slab<Node<T>>,
    ends: Box<[Ends]>,
}

/// A value and its place.
#[derive(Debug)]
struct Node<T> {
    value: T,
    prev: u32,
    next: u32,
    /// The list's number and one: that it is never zero saves the slab a word for each node.
    list: NonZeroU32,
}

impl<T> Node<T> {
    fn list(&self) -> usize {
        self.list.get() as usize - 1
    }
}

fn numbered(list: usize) -> NonZeroU32 {
    NonZeroU32::MIN.saturating_add(list as u32)
}

/// First and last node of one list; both `NIL` while it is empty.
#[derive(Clone, Copy, Debug)]
struct Ends {
    front: u32,
    back: u32,
}

const EMPTY: Ends = Ends {
    front: NIL,
    back: NIL,
};

/// Memory for so many nodes is never too much.
const FEW: usize = 256;

impl<T> Lists<T> {
    /// That many lists, all empty.
    pub fn new(lists: usize) -> Self {
        Lists {
            nodes: Slab::new(),
            ends: vec![EMPTY; lists].into_boxed_slice(),
        }
    }

    /// Appends `value` to `list`; the number of its node.
    pub fn push_back(&mut self, list: usize, value: T) -> u32 {
        growth::make_room_in_slab(&mut self.nodes);
        // Four thousand million nodes do not fit in memory, so the index does fit in 32 bits.
        let node = self.nodes.insert(Node {
            value,
            prev: NIL,
            next: NIL,
            list: numbered(list),
        }) as u32;
        self.link_back(node, list);
        node
    }

    /// Takes the node out of its list and forgets it; its value, or `None` if there is no such node.
    pub fn remove(&mut self, node: u32) -> Option<T> {
        self.unlink(node);
        Some(self.nodes.try_remove(node as usize)?.value)
    }

    /// Makes the node the last of `list`, be it its own or another. Does nothing if there is no such node.
    pub fn move_to_back(&mut self, node: u32, list: usize) {
        if self.nodes.contains(node as usize) {
            self.unlink(node);
            self.link_back(node, list);
        }
    }

    /// The first node of `list`; `None` if it is empty.
    pub fn front(&self, list: usize) -> Option<u32> {
        some(self.ends.get(list)?.front)
    }

    /// The node after this one in its list; `None` after the last, and for a node that doesn't exist.
    pub fn next(&self, node: u32) -> Option<u32> {
        some(self.nodes.get(node as usize)?.next)
    }

    /// The last node of `list`; `None` if it is empty.
    pub fn back(&self, list: usize) -> Option<u32> {
        some(self.ends.get(list)?.back)
    }

    /// The node before this one in its list; `None` before the first, and for a node that doesn't exist.
    pub fn prev(&self, node: u32) -> Option<u32> {
        some(self.nodes.get(node as usize)?.prev)
    }

    /// The node's value.
    pub fn get_mut(&mut self, node: u32) -> Option<&mut T> {
        Some(&mut self.nodes.get_mut(node as usize)?.value)
    }

    /// The node's value.
    pub fn get(&self, node: u32) -> Option<&T> {
        Some(&self.nodes.get(node as usize)?.value)
    }

    /// The list that the node is in.
    pub fn list_of(&self, node: u32) -> Option<usize> {
        Some(self.nodes.get(node as usize)?.list())
    }

    /// How many nodes there are in all lists together.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether most of the memory is held for a crowd that has gone.
    pub fn is_sparse(&self) -> bool {
        self.nodes.capacity() > FEW && self.nodes.len() < self.nodes.capacity() / 4
    }

    /// Gives back most of the memory that is not needed any more. `moved` is told each value, and the new
    /// number of its node.
    pub fn shrink(&mut self, mut moved: impl FnMut(&T, u32)) {
        let mut all = mem::take(&mut self.nodes);
        self.nodes.reserve_exact(2 * all.len());
        let mut list = 0;
        while let Some(ends) = self.ends.get_mut(list) {
            let mut next = mem::replace(ends, EMPTY).front;
            while let Some(node) = all.try_remove(next as usize) {
                next = node.next;
                moved(&node.value, self.nodes.vacant_key() as u32);
                self.push_back(list, node.value);
            }
            list += 1;
        }
    }

    /// Ties the node's neighbours to each other. What the node says of them is then out of date.
    fn unlink(&mut self, node: u32) {
        let Some(node) = self.nodes.get(node as usize) else {
            return;
        };
        let (prev, next) = (node.prev, node.next);
        let Some(ends) = self.ends.get_mut(node.list()).expected() else {
            return;
        };
        match self.nodes.get_mut(prev as usize) {
            Some(before) => before.next = next,
            None => ends.front = next,
        }
        match self.nodes.get_mut(next as usize) {
            Some(after) => after.prev = prev,
            None => ends.back = prev,
        }
    }

    /// Ties a node that is in no list to the end of `list`.
    fn link_back(&mut self, node: u32, list: usize) {
        let Some(ends) = self.ends.get_mut(list).expected() else {
            return;
        };
        let last = mem::replace(&mut ends.back, node);
        match self.nodes.get_mut(last as usize) {
            Some(before) => before.next = node,
            None => ends.front = node,
        }
        if let Some(linked) = self.nodes.get_mut(node as usize) {
            linked.prev = last;
            linked.next = NIL;
            linked.list = numbered(list);
        }
    }
}

/// The node that a link leads to.
fn some(link: u32) -> Option<u32> {
    (link != NIL).then_some(link)
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::iter;

    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    use super::*;

    fn values(lists: &Lists<u32>, list: usize) -> Vec<u32> {
        iter::successors(lists.front(list), |&node| lists.next(node))
            .map(|node| {
                assert_eq!(lists.list_of(node), Some(list));
                *lists.get(node).unwrap()
            })
            .collect()
    }

    /// The same list read from its end.
    fn values_backwards(lists: &Lists<u32>, list: usize) -> Vec<u32> {
        iter::successors(lists.back(list), |&node| lists.prev(node))
            .map(|node| *lists.get(node).unwrap())
            .collect()
    }

    #[test]
    fn a_list_keeps_the_order_of_arrival() {
        let mut lists = Lists::new(2);
        for value in 0..4 {
            lists.push_back(value as usize % 2, value);
        }
        assert_eq!(values(&lists, 0), [0, 2]);
        assert_eq!(values(&lists, 1), [1, 3]);
        assert_eq!(lists.len(), 4);
    }

    #[test]
    fn first_middle_and_last_can_leave() {
        let mut lists = Lists::new(1);
        let nodes: Vec<u32> = (0..5).map(|value| lists.push_back(0, value)).collect();
        assert_eq!(lists.remove(nodes[2]), Some(2));
        assert_eq!(values(&lists, 0), [0, 1, 3, 4]);
        assert_eq!(lists.remove(nodes[0]), Some(0));
        assert_eq!(values(&lists, 0), [1, 3, 4]);
        assert_eq!(lists.remove(nodes[4]), Some(4));
        assert_eq!(values(&lists, 0), [1, 3]);
        assert_eq!(values_backwards(&lists, 0), [3, 1]);
    }

    #[test]
    fn a_node_moves_within_its_list_and_to_another() {
        let mut lists = Lists::new(2);
        let nodes: Vec<u32> = (0..3).map(|value| lists.push_back(0, value)).collect();
        lists.move_to_back(nodes[0], 0);
        assert_eq!(values(&lists, 0), [1, 2, 0]);
        lists.move_to_back(nodes[0], 0);
        assert_eq!(values(&lists, 0), [1, 2, 0]);
        lists.move_to_back(nodes[2], 1);
        assert_eq!(values(&lists, 0), [1, 0]);
        assert_eq!(values(&lists, 1), [2]);
    }

    #[test]
    fn a_node_that_is_gone_answers_nothing() {
        let mut lists = Lists::new(1);
        let node = lists.push_back(0, 7);
        assert_eq!(lists.remove(node), Some(7));
        for absent in [node, 5, NIL] {
            lists.move_to_back(absent, 0);
            assert_eq!(lists.remove(absent), None);
            assert_eq!(lists.get(absent), None);
            assert_eq!(lists.next(absent), None);
            assert_eq!(lists.list_of(absent), None);
        }
        assert_eq!(lists.front(0), None);
        assert_eq!(lists.front(1), None, "no such list");
        assert_eq!(lists.len(), 0);
    }

    /// As the slab tells its full places from empty ones.
    #[allow(dead_code)]
    enum Place<T> {
        Empty(usize),
        Full(T),
    }

    #[test]
    fn a_place_takes_no_more_than_a_value_and_where_it_stands() {
        assert_eq!(size_of::<Place<Node<u32>>>(), 16);
    }

    #[test]
    fn what_a_crowd_took_is_given_back_and_the_rest_keeps_its_order() {
        let mut lists = Lists::new(3);
        let nodes: Vec<u32> = (0..3_000)
            .map(|value| lists.push_back(value as usize % 3, value))
            .collect();
        for node in &nodes[..2_990] {
            lists.remove(*node);
        }
        assert!(lists.is_sparse());
        let mut moved = Vec::new();
        lists.shrink(|value, node| moved.push((*value, node)));
        assert!(!lists.is_sparse() && lists.nodes.capacity() < 32);
        assert_eq!(values(&lists, 0), [2_991, 2_994, 2_997]);
        assert_eq!(values_backwards(&lists, 1), [2_998, 2_995, 2_992]);
        assert_eq!((lists.len(), moved.len()), (10, 10));
        for (value, node) in moved {
            assert_eq!(lists.get(node), Some(&value));
        }
    }

    #[test]
    fn behaves_like_so_many_queues_and_grows_only_to_its_peak() {
        const LISTS: usize = 4;
        const PEAK: usize = 64;
        for seed in 0..50 {
            let mut rng = StdRng::seed_from_u64(seed);
            let mut lists = Lists::new(LISTS);
            let mut model = vec![VecDeque::new(); LISTS];
            let warm: Vec<u32> = (0..PEAK).map(|_| lists.push_back(0, 0)).collect();
            warm.into_iter()
                .for_each(|node| assert_eq!(lists.remove(node), Some(0)));
            let capacity = lists.nodes.capacity();

            for value in 0..2_000 {
                let list = rng.random_range(0..LISTS);
                let held: Vec<(u32, u32)> = model.iter().flatten().copied().collect();
                if held.len() < PEAK && rng.random_bool(0.4) {
                    model[list].push_back((lists.push_back(list, value), value));
                } else if !held.is_empty() {
                    let chosen = held[rng.random_range(0..held.len())];
                    model
                        .iter_mut()
                        .for_each(|queue| queue.retain(|&other| other != chosen));
                    if rng.random_bool(0.5) {
                        assert_eq!(lists.remove(chosen.0), Some(chosen.1));
                    } else {
                        lists.move_to_back(chosen.0, list);
                        model[list].push_back(chosen);
                    }
                }
                for (list, queue) in model.iter().enumerate() {
                    let mut expected: Vec<u32> = queue.iter().map(|&(_, value)| value).collect();
                    assert_eq!(values(&lists, list), expected, "seed {seed}");
                    expected.reverse();
                    assert_eq!(values_backwards(&lists, list), expected, "seed {seed}");
                }
                assert_eq!(lists.len(), model.iter().map(VecDeque::len).sum::<usize>());
            }
            assert_eq!(lists.nodes.capacity(), capacity, "seed {seed}");
        }
    }
}
