//! Who comes next: the living peer whose id follows the own one, around the circle of all ids. Whoever has a
//! new rumor tells it that one among the first. So, if nothing is lost, views agree and all heard it by a
//! push, nobody is left out: of those that have not heard a rumor, one would be the successor of somebody who has. By
//! luck alone a member of a hundred would be missed once in a hundred rumors, until stores are compared. (Who got it
//! because it asked for it, as for all above 8 KiB, tells it on by hashes only.)

use crate::member::MemberId;
use crate::ring::{Peer, Ring};

pub(super) struct Successor {
    known: Option<MemberId>,
    /// Whether all were looked at; without a successor there is none until somebody comes.
    searched: bool,
}

impl Successor {
    pub fn new() -> Self {
        Successor {
            known: None,
            searched: false,
        }
    }

    /// A member came, or came back: it may stand between this one and its successor.
    pub fn came(&mut self, ring: &impl Ring, id: MemberId) {
        let me = ring.me();
        let nearer = |known| distance(&me, &id) < distance(&me, &known);
        if self.searched && self.known.is_none_or(nearer) && ring.peer(&id).is_some() {
            self.known = Some(id);
        }
    }

    /// The successor. Only if the one that was known is gone, all members are looked at: in a ring where
    /// members die at random, that happens once for each that dies, at one of the others.
    pub fn get(&mut self, ring: &impl Ring) -> Option<Peer> {
        let known = self.known.map(|id| ring.peer(&id));
        match known {
            Some(Some(peer)) => return Some(peer),
            None if self.searched => return None,
            _ => {}
        }
        let me = ring.me();
        let next = ring.peers().min_by_key(|peer| distance(&me, &peer.id));
        self.known = next.map(|peer| peer.id);
        self.searched = true;
        next
    }
}

/// How far it is from one id to another, upwards and around the end.
fn distance(from: &MemberId, to: &MemberId) -> u128 {
    let number = |id: &MemberId| u128::from_be_bytes(*id.as_bytes());
    number(to).wrapping_sub(number(from))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::net::SocketAddr;

    use rand::rngs::StdRng;

    use super::*;
    use crate::member::Health;

    /// A ring of these living members, of which number 0 is this one; and how often all were looked at.
    struct Living(Vec<u8>, u8, Cell<usize>);

    fn id(number: u8) -> MemberId {
        MemberId::from_bytes([number; 16])
    }

    impl Ring for Living {
        fn me(&self) -> MemberId {
            id(self.1)
        }

        fn living(&self) -> usize {
            self.0.len() + 1
        }

        fn health(&self, _: &MemberId) -> Option<Health> {
            None
        }

        fn is_exiled(&self, _: &MemberId) -> bool {
            false
        }

        fn peer(&self, wanted: &MemberId) -> Option<Peer> {
            let lives = self.0.iter().any(|number| id(*number) == *wanted);
            lives.then_some(Peer {
                id: *wanted,
                addr: SocketAddr::from(([127, 0, 0, 1], 1)),
                ours: true,
                compares: true,
                heard: true,
            })
        }

        fn peers(&self) -> impl Iterator<Item = Peer> {
            self.2.set(self.2.get() + 1);
            self.0.iter().filter_map(|number| self.peer(&id(*number)))
        }

        fn pick(&self, _: usize, _: &mut StdRng, chosen: &mut Vec<Peer>) {
            chosen.clear();
        }

        fn living_from(&self, _: u32) -> Option<(MemberId, u32)> {
            None
        }
    }

    #[test]
    fn the_next_id_around_the_circle_follows() {
        let next = |me: u8, others: &[u8]| {
            let ring = Living(others.to_vec(), me, Cell::new(0));
            Successor::new().get(&ring).map(|peer| peer.id)
        };
        assert_eq!(next(5, &[1, 4, 6, 9]), Some(id(6)));
        assert_eq!(next(9, &[1, 4, 6]), Some(id(1)));
        assert_eq!(next(5, &[]), None);
    }

    #[test]
    fn all_are_looked_at_only_when_the_successor_is_gone() {
        let mut ring = Living(vec![3, 6, 9], 5, Cell::new(0));
        let mut successor = Successor::new();
        let mut next = |ring: &Living, came: Option<u8>| {
            if let Some(came) = came {
                successor.came(ring, id(came));
            }
            let peer = successor.get(ring).map(|peer| peer.id);
            (peer, ring.2.get())
        };
        assert_eq!(next(&ring, None), (Some(id(6)), 1));
        ring.0 = vec![6, 9];
        assert_eq!(next(&ring, None), (Some(id(6)), 1), "another one is gone");
        ring.0 = vec![6, 8, 9];
        assert_eq!(next(&ring, Some(8)), (Some(id(6)), 1), "behind it");
        ring.0 = vec![6, 7, 8, 9, 5];
        assert_eq!(next(&ring, Some(7)), (Some(id(6)), 1), "behind it");
        ring.0 = vec![7, 8];
        assert_eq!(next(&ring, None), (Some(id(7)), 2), "it is gone");
        ring.0 = vec![6, 7];
        assert_eq!(next(&ring, Some(6)), (Some(id(6)), 2), "it is back");
        ring.0 = Vec::new();
        assert_eq!(next(&ring, None), (None, 3));
        assert_eq!(next(&ring, None), (None, 3), "nobody is there");
        ring.0 = vec![2];
        assert_eq!(next(&ring, Some(2)), (Some(id(2)), 3));
    }
}
