//! The merge rules of PROTOCOL.md §2, as functions of what is held and what is heard and nothing else.
//! `tests/tables/` holds them as tables.

use crate::member::{Health, Incarnation};

/// What decides about a record of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    /// How fresh it is.
    pub incarnation: Incarnation,
    /// How the member fares.
    pub health: Health,
    /// Whether it left of its own will.
    pub left: bool,
}

/// What to do about a record of another member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merge {
    /// It changes nothing.
    Ignore,
    /// It takes the place of what is held, and is a new rumor.
    Adopt,
    /// It says that a member is dead which counts as living: ask that member before believing it.
    Check,
}

/// A record of another member was heard.
pub fn merge(held: Option<State>, heard: State) -> Merge {
    let Some(held) = held else { return Merge::Adopt };
    if heard.incarnation < held.incarnation {
        return Merge::Ignore;
    }
    if heard.health == Health::Confirmed && held.health <= Health::Suspect {
        return Merge::Check;
    }
    if heard.incarnation > held.incarnation || heard.health > held.health {
        return Merge::Adopt;
    }
    Merge::Ignore
}

/// A record of this very member was heard: the incarnation to go on with, if it has to be raised.
///
/// Who lost its disk wins back its id so, and any untruth is refuted. A member that `left` has nothing
/// to refute, but its leave has to stay the freshest record.
pub fn merge_own(mine: Incarnation, left: bool, heard: State) -> Option<Incarnation> {
    let untrue = if left { heard.health != Health::Departed } else { heard.health != Health::Alive };
    if heard.incarnation > mine {
        return Some(if untrue { heard.incarnation.next() } else { heard.incarnation });
    }
    (untrue && !left && heard.incarnation == mine).then(|| mine.next())
}

/// What a message straight from a member makes of its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proof {
    /// What is held from now on.
    pub state: State,
    /// Whether others have to hear of it.
    pub rumor: bool,
}

/// A message came straight from a member, which says it has this incarnation and whether it leaves.
/// `None`: it changes nothing.
pub fn proof_of_life(held: Option<State>, incarnation: Incarnation, left: bool) -> Option<Proof> {
    let said = State { incarnation, health: if left { Health::Departed } else { Health::Alive }, left };
    let Some(held) = held else { return Some(Proof { state: said, rumor: true }) };
    let fresher = incarnation > held.incarnation;
    if left {
        // An older leave is a replay of one before a return.
        let news = incarnation >= held.incarnation && (fresher || !held.left);
        return news.then_some(Proof { state: said, rumor: true });
    }
    if held.left && !fresher {
        return None;
    }
    let state = State { incarnation: held.incarnation.max(incarnation), ..said };
    (state != held).then_some(Proof { state, rumor: fresher })
}
