//! The rules of elections (PROTOCOL.md §3, "Elections", with *ours*), as functions of values.
//!
//! What is held is one value for each group, and [`merge`] is its join: whatever the order in which members
//! hear of each other's values, they end with the same one. What a member does of itself is [`next`].

use std::time::Duration;

use crate::limits::MAX_TERM;
use crate::member::MemberId;
use crate::rumor::{Election, ElectionStatus};
use crate::time::Time;

/// The suitability of who leads and has to be elected anew, so that it goes on leading.
pub(super) const INCUMBENT: u64 = u64::MAX;

/// How a member fares as a leader, or as who may become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Alive or Suspect, and in the group.
    Living,
    /// Not known, or not known to be in the group: word of it may be on its way.
    Unknown,
    /// Confirmed, Departed, or in the group no more.
    Lost,
}

/// What a member is in a service group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// It is Alive and runs a service of the group: only then it stands, finishes, and begins terms.
    Member,
    /// It ran one and withdrew it. Originals count it among the voters as long as it lives, so it votes.
    Withdrawn,
    /// It runs none, and never did.
    Outsider,
}

/// What a member sees when it looks at an election.
#[derive(Clone, Debug)]
pub(super) struct Outlook {
    pub me: MemberId,
    pub role: Role,
    /// The Alive members of the group, ascending.
    pub electorate: Vec<MemberId>,
    /// How many members of the group are not Departed.
    pub population: usize,
    /// This member hears others: if not, those that it holds for living may have gone on without it.
    pub hears: bool,
    /// This member's.
    pub suitability: u64,
    /// Of who is voted for, or leads.
    pub candidate: Standing,
    /// The last leader that this member knew, with its standing; never one of an update's election.
    pub leader: Option<(MemberId, Standing)>,
    /// A leader stays leader when it is elected anew; never one of an update's election.
    pub incumbency: bool,
}

impl Outlook {
    pub fn has_quorum(&self) -> bool {
        is_quorum(self.electorate.len(), self.population)
    }

    /// "A new term is ignored unless it comes from the leader that I know": it is passed on, but has no vote
    /// while that leader lives, until the leader votes in it.
    pub fn may_vote(&self, held: &Election) -> bool {
        match self.leader {
            Some((leader, Standing::Living)) if leader != self.me => {
                held.candidate == leader || has_vote(held, leader)
            }
            _ => true,
        }
    }
}

/// How long a member leaves its vote to the leader that it knows: that one may wait for its own.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Deference {
    /// In which term it does, and since when.
    since: Option<(u64, Time)>,
}

impl Deference {
    /// Periods.
    const MOST: u32 = 8;

    /// If it `waits` for that vote: until when.
    pub fn until(
        &mut self,
        waits: bool,
        held: &Election,
        now: Time,
        period: Duration,
    ) -> Option<Time> {
        if !waits || is_finished(held) {
            self.since = None;
            return None;
        }
        let since = match self.since {
            Some((term, since)) if term == held.term => since,
            _ => now,
        };
        self.since = Some((held.term, since));
        Some(since + period * Deference::MOST)
    }
}

/// "quorum = electorate > population / 2"
pub(super) fn is_quorum(electorate: usize, population: usize) -> bool {
    electorate * 2 > population
}

/// What a member is to do with an election.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Nothing,
    /// It has this to say to it.
    Say(Election),
    /// It has to begin the next term, with this.
    Restart(Election),
}

/// Merging what was heard into what is held. The higher term wins; of one term Finished, then the better
/// candidate ("suitability, then id"); votes for the same one are one set. Votes for another do not count: who gave
/// them may yet win with them (ours; originals add them up, PROTOCOL.md §3).
pub(super) fn merge(mine: &Election, other: &Election) -> Election {
    let mut merged = match rank(other) > rank(mine) {
        true => other.clone(),
        false => mine.clone(),
    };
    if rank(mine) == rank(other) {
        // Of what is not Finished, each member sets the status by its own view.
        merged.status = mine.status.max(other.status);
        merged.votes.extend_from_slice(&other.votes);
        merged.votes.sort_unstable();
        merged.votes.dedup();
    }
    merged
}

fn rank(election: &Election) -> (u64, bool, u64, MemberId) {
    (
        election.term,
        is_finished(election),
        election.suitability,
        election.candidate,
    )
}

/// Whether the two say the same, up to what each member sets by its own view.
pub(super) fn same(one: &Election, other: &Election) -> bool {
    rank(one) == rank(other) && one.votes == other.votes
}

pub(super) fn is_finished(election: &Election) -> bool {
    election.status == ElectionStatus::Finished
}

fn has_vote(election: &Election, member: MemberId) -> bool {
    election.votes.binary_search(&member).is_ok()
}

/// What this member does with an election that it holds, by what it sees.
pub(super) fn next(held: &Election, outlook: &Outlook) -> Next {
    let mine = held.candidate == outlook.me;
    // "restarts with term + 1 when the leader is Confirmed, Departed or unknown (its members do it)"; a candidate that
    // is gone would never finish it. Ours only with quorum, and so not when the leader itself has lost it: nobody could
    // win such a term, and it would depose whom the others elected. The same goes for who hears nobody.
    if outlook.role == Role::Member
        && !mine
        && outlook.candidate == Standing::Lost
        && outlook.has_quorum()
        && outlook.hears
    {
        return restart(held, outlook, suitability(outlook));
    }
    if is_finished(held) {
        // Who led and withdrew the group's last service leads nobody. Others begin a new term as soon as they join.
        return match outlook.role {
            Role::Withdrawn if mine && outlook.electorate.is_empty() => restart(held, outlook, 0),
            _ => Next::Nothing,
        };
    }
    let said = set_status(vote(held, outlook), outlook);
    if said == *held {
        Next::Nothing
    } else {
        Next::Say(said)
    }
}

/// This member's suitability as a candidate: "I am that leader (then I start with suitability 2⁶⁴−1, so that
/// I stay leader)".
fn suitability(outlook: &Outlook) -> u64 {
    let leads = outlook
        .leader
        .is_some_and(|(leader, _)| leader == outlook.me);
    if leads && outlook.incumbency {
        INCUMBENT
    } else {
        outlook.suitability
    }
}

fn restart(held: &Election, outlook: &Outlook, suitability: u64) -> Next {
    Next::Restart(start(held, after(held.term), suitability, outlook))
}

/// The term after this one. Terms end, and the last one is as good as none once its candidate is lost.
pub(super) fn after(term: u64) -> u64 {
    match term {
        term if term < MAX_TERM => term + 1,
        _ => 0,
    }
}

/// "An election starts with a rumor for oneself: my id, a term, my suitability, status Running (NoQuorum
/// without quorum), my own vote."
pub(super) fn start(held: &Election, term: u64, suitability: u64, outlook: &Outlook) -> Election {
    set_status(candidacy(held, term, suitability, outlook.me), outlook)
}

pub(super) fn candidacy(held: &Election, term: u64, suitability: u64, me: MemberId) -> Election {
    Election {
        candidate: me,
        group: held.group.clone(),
        term,
        suitability,
        status: ElectionStatus::Running,
        votes: vec![me],
    }
}

/// "A member of the group that hears of an election it doesn't know first starts its own with the same term,
/// then merges": its vote goes to the better candidate.
fn vote(held: &Election, outlook: &Outlook) -> Election {
    // Who hears nobody stands in nobody's way: by its vote a leader would claim the term that the others called without it.
    if has_vote(held, outlook.me) || !outlook.hears || !outlook.may_vote(held) {
        return held.clone();
    }
    let own = candidacy(held, held.term, suitability(outlook), outlook.me);
    match outlook.role {
        Role::Outsider => return held.clone(),
        Role::Member if rank(&own) > rank(held) => return own,
        Role::Member | Role::Withdrawn => {}
    }
    let mut voted = held.clone();
    voted.votes.push(outlook.me);
    voted.votes.sort_unstable();
    voted
}

/// "Who hears of an election that votes for itself, with quorum and the votes of the whole electorate, makes
/// it Finished; without quorum, NoQuorum"; Running or NoQuorum by the own view.
fn set_status(election: Election, outlook: &Outlook) -> Election {
    let elected = || {
        outlook.role == Role::Member
            && election.candidate == outlook.me
            && outlook.electorate.iter().all(|id| has_vote(&election, *id))
    };
    let status = if !outlook.has_quorum() {
        ElectionStatus::NoQuorum
    } else if elected() {
        ElectionStatus::Finished
    } else {
        ElectionStatus::Running
    };
    Election { status, ..election }
}

/// The rules as tables: `tests/tables/election_*.txt`, which anyone can read.
#[cfg(test)]
mod tests {
    use super::*;

    fn rows(table: &str) -> Vec<Vec<&str>> {
        let lines = table.lines().filter(|line| !line.starts_with('#'));
        let rows: Vec<Vec<_>> = lines
            .map(|line| line.split_whitespace().collect())
            .filter(|cells: &Vec<_>| !cells.is_empty())
            .collect();
        assert!(rows.len() > 20, "only {} rows", rows.len());
        rows
    }

    fn member(letter: char) -> MemberId {
        MemberId::from_bytes((letter.to_ascii_lowercase() as u128).to_be_bytes())
    }

    fn members(letters: &str) -> Vec<MemberId> {
        letters.chars().map(member).collect()
    }

    fn number(cell: &str) -> u64 {
        match cell {
            "max" => u64::MAX,
            "last" => MAX_TERM,
            number => number.parse().unwrap(),
        }
    }

    fn election(cell: &str) -> Election {
        let parts: Vec<_> = cell.split(':').collect();
        let status = match parts[3] {
            "running" => ElectionStatus::Running,
            "no_quorum" => ElectionStatus::NoQuorum,
            "finished" => ElectionStatus::Finished,
            other => panic!("{other} is no status"),
        };
        Election {
            candidate: member(parts[0].chars().next().unwrap()),
            group: "redis.default".parse().unwrap(),
            term: number(parts[1]),
            suitability: number(parts[2]),
            status,
            votes: members(parts[4]),
        }
    }

    fn letter(id: MemberId) -> char {
        char::from(id.as_bytes()[15])
    }

    fn cell(election: &Election) -> String {
        let suitability = match election.suitability {
            u64::MAX => "max".to_owned(),
            number => number.to_string(),
        };
        let term = match election.term {
            MAX_TERM => "last".to_owned(),
            number => number.to_string(),
        };
        format!(
            "{}:{term}:{suitability}:{}:{}",
            letter(election.candidate),
            election.status,
            election
                .votes
                .iter()
                .map(|id| letter(*id))
                .collect::<String>()
        )
    }

    #[test]
    fn an_election_is_merged() {
        for row in rows(include_str!("../../tests/tables/election_merge.txt")) {
            let (held, heard) = (election(row[0]), election(row[1]));
            assert_eq!(cell(&merge(&held, &heard)), row[2], "{row:?}");
            assert_eq!(cell(&merge(&heard, &held)), row[2], "exchanged: {row:?}");
        }
    }

    #[test]
    fn what_a_member_does_with_an_election() {
        for row in rows(include_str!("../../tests/tables/election_next.txt")) {
            let held = row[5];
            let living = |text: &str| text.starts_with(|c: char| c.is_ascii_uppercase());
            let candidate = match living(held) {
                true => Standing::Living,
                false if held.contains('?') => Standing::Unknown,
                false => Standing::Lost,
            };
            let leader = row[4].chars().next().filter(|letter| *letter != '-');
            let standing = if living(row[4]) {
                Standing::Living
            } else {
                Standing::Lost
            };
            let outlook = Outlook {
                me: member('b'),
                hears: row[0] != "deaf",
                role: match row[1] {
                    "-" => Role::Outsider,
                    "w" => Role::Withdrawn,
                    _ => Role::Member,
                },
                electorate: members(row[2].trim_matches('-')),
                population: row[3].parse().unwrap(),
                suitability: row[1].parse().unwrap_or(0),
                candidate,
                leader: leader.map(|leader| (member(leader), standing)),
                incumbency: row[0] != "update",
            };
            let done = match next(&election(held), &outlook) {
                Next::Nothing => "-".to_owned(),
                Next::Say(said) => cell(&said),
                Next::Restart(said) => format!("next {}", cell(&said)),
            };
            assert_eq!(done, row[6..].join(" "), "{row:?}");
        }
    }

    /// Elections of few candidates and terms, so that all cases come about. Within a term a candidate's
    /// suitability is one, as it is in a ring.
    fn any() -> impl proptest::strategy::Strategy<Value = Election> {
        use proptest::prelude::*;
        (0..4_u8, 0..3_u64, 0..3_usize, 0..32_u8).prop_map(|(who, term, status, votes)| {
            let letter = |index: u8| char::from(b'a' + index);
            let all = (0..5).filter(|bit| votes >> bit & 1 == 1);
            Election {
                candidate: member(letter(who)),
                group: "redis.default".parse().unwrap(),
                term,
                suitability: u64::from(who / 2),
                status: [
                    ElectionStatus::Running,
                    ElectionStatus::NoQuorum,
                    ElectionStatus::Finished,
                ][status],
                votes: all.map(|index| member(letter(index))).collect(),
            }
        })
    }

    proptest::proptest! {
        #[test]
        fn the_order_of_merging_does_not_matter(a in any(), b in any(), c in any()) {
            assert_eq!(merge(&a, &a), a);
            assert_eq!(merge(&a, &b), merge(&b, &a));
            assert_eq!(merge(&merge(&a, &b), &c), merge(&a, &merge(&b, &c)));
        }
    }
}
