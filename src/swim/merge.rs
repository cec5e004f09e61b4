//! The merge rules of PROTOCOL.md §2, as functions of what is held and what is heard and nothing else.
//! `tests/tables/` holds them as tables.

use crate::member::{Health, Incarnation};

/// What decides about a record of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// How fresh it is.
    pub incarnation: Incarnation,
    /// How the member fares.
    pub health: Health,
    /// Whether it left of its own will.
    pub left: bool,
}

/// Whether what is heard is passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spread {
    /// It is news, and told others.
    News,
    /// Nobody is told: it stood in somebody's table, or comes from the disk, or others hear it otherwise.
    Quiet,
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

/// A record of another member was heard, as news or as a part of somebody's table.
///
/// Who is gone is not learned of, else every newcomer would be taught, and would teach, who left long ago.
/// And an old table is no news of a death: two halves of a ring that meet again would otherwise put each
/// other's members all on trial.
pub fn merge(held: Option<State>, heard: State, spread: Spread) -> Merge {
    let Some(held) = held else {
        return if heard.health == Health::Departed {
            Merge::Ignore
        } else {
            Merge::Adopt
        };
    };
    if heard.incarnation < held.incarnation {
        return Merge::Ignore;
    }
    let says_dead = heard.health >= Health::Confirmed && !heard.left;
    if says_dead && held.health <= Health::Suspect {
        return match spread {
            Spread::News => Merge::Check,
            Spread::Quiet => Merge::Ignore,
        };
    }
    if heard.incarnation > held.incarnation || heard.health > held.health {
        return Merge::Adopt;
    }
    Merge::Ignore
}

/// What a record of this very member has it do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Own {
    /// Nothing.
    Keep,
    /// It goes on with this incarnation.
    Raise(Incarnation),
    /// No incarnation is left to go on with: it goes on with another id.
    Renew,
}

/// A record of this very member was heard.
///
/// Who lost its disk wins back its id so, and any untruth is refuted. A member that `left` has nothing
/// to refute, but its leave has to stay the freshest record. One that goes on always keeps an incarnation above its own
/// for its leave.
pub fn merge_own(mine: Incarnation, left: bool, heard: State) -> Own {
    let untrue = if left {
        heard.health != Health::Departed
    } else {
        heard.health != Health::Alive
    };
    let raised = if heard.incarnation > mine {
        if untrue {
            heard.incarnation.next()
        } else {
            heard.incarnation
        }
    } else if untrue && !left && heard.incarnation == mine {
        mine.next()
    } else {
        return Own::Keep;
    };
    if raised == Incarnation::MAX && !left {
        Own::Renew
    } else {
        Own::Raise(raised)
    }
}

/// What a message straight from a member makes of its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proof {
    /// What is held from now on.
    pub state: State,
    /// Whether others have to hear of it.
    pub spread: Spread,
}

/// A message came straight from a member, which says it has this incarnation and whether it leaves.
/// `None`: it changes nothing.
pub fn proof_of_life(held: Option<State>, incarnation: Incarnation, left: bool) -> Option<Proof> {
    let said = State {
        incarnation,
        health: if left {
            Health::Departed
        } else {
            Health::Alive
        },
        left,
    };
    let Some(held) = held else {
        return Some(Proof {
            state: said,
            spread: Spread::News,
        });
    };
    let fresher = incarnation > held.incarnation;
    if left {
        // An older leave is a replay of one before a return.
        let news = incarnation >= held.incarnation && (fresher || !held.left);
        return news.then_some(Proof {
            state: said,
            spread: Spread::News,
        });
    }
    if held.left && !fresher {
        return None;
    }
    let state = State {
        incarnation: held.incarnation.max(incarnation),
        ..said
    };
    (state != held).then_some(Proof {
        state,
        spread: if fresher { Spread::News } else { Spread::Quiet },
    })
}

/// The rules as tables: `tests/tables/*.txt`, which anyone can read.
#[cfg(test)]
mod tests {
    use super::*;

    /// The rows of a table, with what they expect last, each checked by `actual`.
    fn check(table: &str, columns: usize, actual: impl Fn(&[&str]) -> String) {
        let mut rows = 0;
        for line in table
            .lines()
            .filter(|line| !line.starts_with('#') && !line.trim().is_empty())
        {
            let cells: Vec<_> = line.split_whitespace().collect();
            assert_eq!(
                actual(&cells[..columns]),
                cells[columns..].join(" "),
                "in the row: {line}"
            );
            rows += 1;
        }
        assert!(rows > 20, "only {rows} rows");
    }

    fn incarnation(text: &str) -> Incarnation {
        match text {
            "max" => Incarnation::MAX,
            "max-1" => Incarnation::new(Incarnation::MAX.get() - 1).unwrap(),
            "max-2" => Incarnation::new(Incarnation::MAX.get() - 2).unwrap(),
            number => Incarnation::new(number.parse().unwrap()).unwrap(),
        }
    }

    fn state(cell: &str) -> Option<State> {
        let (health, number) = cell.split_once('@')?;
        let health = match health {
            "alive" => Health::Alive,
            "suspect" => Health::Suspect,
            "confirmed" => Health::Confirmed,
            "departed" | "left" => Health::Departed,
            other => panic!("{other} is no health"),
        };
        Some(State {
            incarnation: incarnation(number),
            health,
            left: cell.starts_with("left"),
        })
    }

    fn cell(state: State) -> String {
        let health = if state.left {
            "left"
        } else {
            state.health.as_str()
        };
        format!("{health}@{}", state.incarnation)
    }

    #[test]
    fn a_record_of_another_member() {
        let table = include_str!("../../tests/tables/record_of_another.txt");
        records(table, Spread::News);
    }

    #[test]
    fn a_record_of_another_member_in_a_table() {
        let table = include_str!("../../tests/tables/record_in_a_table.txt");
        records(table, Spread::Quiet);
    }

    fn records(table: &str, spread: Spread) {
        check(table, 2, |cells| {
            let (held, heard) = (state(cells[0]), state(cells[1]).unwrap());
            match merge(held, heard, spread) {
                Merge::Ignore => format!("{} no", held.map_or("unknown".to_owned(), cell)),
                Merge::Adopt => format!("{} yes", cell(heard)),
                Merge::Check => "ask no".to_owned(),
            }
        });
    }

    #[test]
    fn a_record_of_this_very_member() {
        let table = include_str!("../../tests/tables/record_of_myself.txt");
        check(table, 2, |cells| {
            let (mine, heard) = (state(cells[0]).unwrap(), state(cells[1]).unwrap());
            match merge_own(mine.incarnation, mine.left, heard) {
                Own::Raise(raised) if raised.get() > 1_000 => {
                    match Incarnation::MAX.get() - raised.get() {
                        0 => "max".to_owned(),
                        less => format!("max-{less}"),
                    }
                }
                Own::Raise(raised) => raised.to_string(),
                Own::Renew => "new-id".to_owned(),
                Own::Keep => "-".to_owned(),
            }
        });
    }

    #[test]
    fn a_message_straight_from_a_member() {
        let table = include_str!("../../tests/tables/proof_of_life.txt");
        check(table, 2, |cells| {
            let (held, says) = (state(cells[0]), state(cells[1]).unwrap());
            match proof_of_life(held, says.incarnation, says.left) {
                Some(Proof { state, spread }) => {
                    format!(
                        "{} {}",
                        cell(state),
                        if spread == Spread::News { "yes" } else { "no" }
                    )
                }
                None => format!("{} no", cell(held.unwrap())),
            }
        });
    }
}
