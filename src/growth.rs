//! How collections grow that take most of a node's memory. Doubling would leave a quarter of it empty on
//! average, and half at worst.

use std::collections::VecDeque;

use slab::Slab;

/// As long as a collection is no larger, its memory is not worth saving.
const SMALL: usize = 256;

/// For how many more there is to be room when a collection of this many is full: small ones double, large
/// ones grow by an eighth.
pub(crate) fn step(len: usize) -> usize {
    if len <= SMALL { len.max(4) } else { len / 8 }
}

/// Makes room for one more.
pub(crate) fn make_room<T>(list: &mut Vec<T>) {
    if list.len() == list.capacity() {
        list.reserve_exact(step(list.len()));
    }
}

/// Makes room for one more.
pub(crate) fn make_room_in_slab<T>(slab: &mut Slab<T>) {
    if slab.len() == slab.capacity() {
        slab.reserve_exact(step(slab.len()));
    }
}

/// A queue that is empty again gives back what a crowd took.
pub(crate) fn slim<T>(queue: &mut VecDeque<T>) {
    if queue.is_empty() && queue.capacity() > SMALL {
        *queue = VecDeque::new();
    }
}

/// The same for a list.
pub(crate) fn slim_list<T>(list: &mut Vec<T>) {
    if list.is_empty() && list.capacity() > SMALL {
        *list = Vec::new();
    }
}

/// The same for a slab.
pub(crate) fn slim_slab<T>(slab: &mut Slab<T>) {
    if slab.is_empty() && slab.capacity() > SMALL {
        *slab = Slab::new();
    }
}
