//! What will happen, in the order of time, then of its coming about.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use slab::Slab;

use crate::time::Time;

pub(super) struct Queue<T> {
    /// Small, so that sorting moves little: what happens lies beside it.
    order: BinaryHeap<Reverse<(Time, u64, usize)>>,
    items: Slab<T>,
    sequence: u64,
}

impl<T> Queue<T> {
    pub fn new() -> Self {
        Queue {
            order: BinaryHeap::new(),
            items: Slab::new(),
            sequence: 0,
        }
    }

    pub fn push(&mut self, at: Time, item: T) {
        self.sequence += 1;
        let place = self.items.insert(item);
        self.order.push(Reverse((at, self.sequence, place)));
    }

    /// When the next one happens.
    pub fn next(&self) -> Option<Time> {
        self.order.peek().map(|Reverse((at, ..))| *at)
    }

    pub fn pop(&mut self) -> Option<(Time, T)> {
        let Reverse((at, _, place)) = self.order.pop()?;
        Some((at, self.items.try_remove(place)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happens_at_the_same_time_happens_in_the_order_of_its_coming_about() {
        let mut queue = Queue::new();
        for (at, item) in [(5, 'a'), (3, 'b'), (5, 'c'), (3, 'd')] {
            queue.push(Time::from_millis(at), item);
        }
        assert_eq!(queue.next(), Some(Time::from_millis(3)));
        let order: Vec<_> = std::iter::from_fn(|| queue.pop())
            .map(|(_, item)| item)
            .collect();
        assert_eq!(order, ['b', 'd', 'a', 'c']);
    }
}
