//! Who comes next: the living member whose id follows the own one, around the circle of all ids. Whoever has
//! something new to tell tells it that one among the first. So, if nothing is lost and views agree, nobody is left
//! out: of those that have not heard it, one would be the successor of somebody who has. Random choice alone would miss
//! some now and then.

use crate::member::MemberId;

#[derive(Hash)]
pub(crate) struct Successor {
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
    pub fn came(&mut self, me: &MemberId, id: MemberId) {
        let nearer = |known| distance(me, &id) < distance(me, &known);
        if self.searched && self.known.is_none_or(nearer) {
            self.known = Some(id);
        }
    }

    /// The successor among `all` others, each of which `lives`. Only if the one that was known is gone, all are
    /// looked at: in a ring where members die at random, that happens once for each that dies, at one of the others.
    pub fn get<All: Iterator<Item = MemberId>>(
        &mut self,
        me: &MemberId,
        lives: impl FnOnce(&MemberId) -> bool,
        all: impl FnOnce() -> All,
    ) -> Option<MemberId> {
        if match self.known {
            Some(id) => !lives(&id),
            None => !self.searched,
        } {
            self.known = all().min_by_key(|id| distance(me, id));
            self.searched = true;
        }
        self.known
    }
}

/// How far it is from one id to another, upwards and around the end.
pub(crate) fn distance(from: &MemberId, to: &MemberId) -> u128 {
    let number = |id: &MemberId| u128::from_be_bytes(*id.as_bytes());
    number(to).wrapping_sub(number(from))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u8) -> MemberId {
        MemberId::from_bytes([number; 16])
    }

    /// The successor of `me` among these, and whether all were looked at for it.
    fn next(successor: &mut Successor, me: u8, others: &[u8]) -> (Option<MemberId>, bool) {
        let mut searched = false;
        let lives = |wanted: &MemberId| others.iter().any(|number| id(*number) == *wanted);
        let next = successor.get(&id(me), lives, || {
            searched = true;
            others.iter().map(|number| id(*number))
        });
        (next, searched)
    }

    #[test]
    fn the_next_id_around_the_circle_follows() {
        let next = |me, others: &[u8]| next(&mut Successor::new(), me, others).0;
        assert_eq!(next(5, &[1, 4, 6, 9]), Some(id(6)));
        assert_eq!(next(9, &[1, 4, 6]), Some(id(1)));
        assert_eq!(next(5, &[]), None);
    }

    #[test]
    fn all_are_looked_at_only_when_the_successor_is_gone() {
        let mut successor = Successor::new();
        let mut next = |came: Option<u8>, others: &[u8]| {
            if let Some(came) = came {
                successor.came(&id(5), id(came));
            }
            next(&mut successor, 5, others)
        };
        assert_eq!(next(None, &[3, 6, 9]), (Some(id(6)), true));
        assert_eq!(next(None, &[6, 9]), (Some(id(6)), false), "another is gone");
        assert_eq!(next(Some(8), &[6, 8, 9]), (Some(id(6)), false), "behind it");
        assert_eq!(next(Some(7), &[6, 7, 8]), (Some(id(6)), false), "behind it");
        assert_eq!(next(None, &[7, 8]), (Some(id(7)), true), "it is gone");
        assert_eq!(next(Some(6), &[6, 7]), (Some(id(6)), false), "it is back");
        assert_eq!(next(None, &[]), (None, true));
        assert_eq!(next(None, &[]), (None, false), "nobody is there");
        assert_eq!(next(Some(2), &[2]), (Some(id(2)), false));
    }
}
