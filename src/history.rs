//! What led to each transition of a member: which probe failed, what the helpers answered, who accused whom, and how late
//! this member's own loop was. Off unless [`Node::set_history`](crate::Node::set_history) asks for it.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use crate::event::Cause;
use crate::limits::{MAX_HISTORY, MAX_HISTORY_BYTES};
use crate::member::{Evidence, Health, Incarnation, MemberId};
use crate::time::Time;

/// How many entries back a late answer is looked for: what came before them is long past.
const LOOKED_AT: usize = 64;

/// One fact about a member, in the order in which this member learned them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HistoryEntry {
    /// Its number, which rises by one from entry to entry.
    pub number: u64,
    /// When, by the driver's time.
    pub time: Time,
    /// The member that it is about; this member itself for what concerns its own loop or network.
    pub member: MemberId,
    /// What happened.
    pub fact: Fact,
}

/// What is known to have happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fact {
    /// The member became known (`from` is `None`), or its health changed.
    #[non_exhaustive]
    Changed {
        /// Its health before.
        from: Option<Health>,
        /// Its health now.
        to: Health,
        /// The incarnation of the record that says so.
        incarnation: Incarnation,
        /// Why.
        cause: Cause,
    },
    /// It raised its incarnation, and its health stayed the same: it refuted a claim, or started again.
    #[non_exhaustive]
    Raised {
        /// Its incarnation before.
        from: Incarnation,
        /// Its incarnation now.
        to: Incarnation,
    },
    /// It answers as another process than before: it ended, and was started again.
    Restarted,
    /// It did not answer a probe of this member in time.
    ProbeFailed(Box<FailedProbe>),
    /// It answered a failed probe after all: its host kept what it was sent, and the process read it late.
    #[non_exhaustive]
    AnsweredLate {
        /// The number of the probe.
        number: u64,
        /// From the beginning of that probe to the answer.
        after: Duration,
    },
    /// It sent a message by itself, which answers nothing, while it was not Alive.
    SpokeUnasked,
    /// Somebody says that it does not answer; the accuser may be this member.
    #[non_exhaustive]
    Accused {
        /// Who.
        by: MemberId,
        /// What stands behind it.
        evidence: Evidence,
    },
    /// Before it is Confirmed, it was asked once more, directly and through this many helpers.
    #[non_exhaustive]
    LastWord {
        /// Helpers that were asked.
        helpers: u8,
    },
    /// Somebody says that it is dead; it is asked, directly and through helpers, before that is believed.
    #[non_exhaustive]
    DeathClaimed {
        /// Who.
        by: MemberId,
        /// The incarnation at which it is said to be dead.
        incarnation: Incarnation,
    },
    /// It is at another address.
    #[non_exhaustive]
    Moved {
        /// Where it was.
        from: SocketAddr,
        /// Where it is.
        to: SocketAddr,
    },
    /// Of this member: somebody said that it is not Alive, and it refuted that with this incarnation. At most one such
    /// entry a second.
    #[non_exhaustive]
    Refuted {
        /// Who passed that on, and need not be who first said so.
        by: MemberId,
        /// What was said.
        claimed: Health,
        /// The incarnation from then on.
        incarnation: Incarnation,
    },
    /// Of this member: its loop was late by this much.
    #[non_exhaustive]
    Lagged {
        /// From the missed deadline to the call that came late.
        by: Duration,
    },
    /// Of this member: it heard no other.
    #[non_exhaustive]
    Isolated {
        /// How long it had heard nobody.
        silent: Duration,
    },
    /// Of this member: it hears others again.
    #[non_exhaustive]
    IsolationEnded {
        /// How long it heard nobody.
        lasted: Duration,
    },
}

/// A probe without an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FailedProbe {
    /// Its number, which its pings carried.
    pub number: u64,
    /// When it began, by the driver's time.
    pub began: Time,
    /// How often helpers were asked.
    pub rounds: u8,
    /// The first [`MAX_PROBE_HELPERS`](crate::limits::MAX_PROBE_HELPERS) helpers that were asked.
    pub helpers: Box<[Helper]>,
    /// The system could not send to it, or said that nobody is there.
    pub unreachable: bool,
    /// This member heard another one while the probe ran.
    pub heard_others: bool,
    /// How late this member's own loop was while the probe ran, at most.
    pub lag: Duration,
}

/// A member that was asked to ping the target of a probe. None of them passed an answer of the target on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Helper {
    /// Who.
    pub id: MemberId,
    /// How often it was asked.
    pub asked: u8,
    /// How often it answered that it was.
    pub answered: u8,
    /// Whether it is one that answers that: peers without the extension never do.
    pub tells: bool,
}

impl Helper {
    pub(crate) fn new(id: MemberId, asked: u8, answered: u8, tells: bool) -> Self {
        Helper {
            id,
            asked,
            answered,
            tells,
        }
    }
}

/// The latest entries, within [`MAX_HISTORY`] and [`MAX_HISTORY_BYTES`].
#[derive(Default)]
pub(crate) struct History {
    /// `None`: nobody asked for it, and it costs one branch.
    entries: Option<VecDeque<HistoryEntry>>,
    bytes: usize,
    /// The number of the next one.
    next: u64,
    /// How late the loop was since the probe under way began.
    pub lag: Duration,
}

/// The memory that an entry takes.
fn bytes_of(entry: &HistoryEntry) -> usize {
    let more = match &entry.fact {
        Fact::ProbeFailed(probe) => {
            size_of::<FailedProbe>() + size_of::<Helper>() * probe.helpers.len()
        }
        _ => 0,
    };
    size_of::<HistoryEntry>() + more
}

impl History {
    pub fn set(&mut self, on: bool) {
        if on != self.entries.is_some() {
            (self.entries, self.bytes) = (on.then(VecDeque::new), 0);
        }
    }

    pub fn is_on(&self) -> bool {
        self.entries.is_some()
    }

    pub fn entries(&self) -> impl DoubleEndedIterator<Item = &HistoryEntry> {
        self.entries.iter().flatten()
    }

    /// The number of the next entry.
    pub fn end(&self) -> u64 {
        self.next
    }

    pub fn add(&mut self, time: Time, member: MemberId, fact: Fact) {
        let Some(entries) = &mut self.entries else {
            return;
        };
        let entry = HistoryEntry {
            number: self.next,
            time,
            member,
            fact,
        };
        self.next += 1;
        self.bytes += bytes_of(&entry);
        entries.push_back(entry);
        while entries.len() > MAX_HISTORY || self.bytes > MAX_HISTORY_BYTES {
            let Some(oldest) = entries.pop_front() else {
                break;
            };
            self.bytes -= bytes_of(&oldest);
        }
    }

    /// A member answers with this number, which is that of no probe under way: whether one with it failed lately.
    pub fn note_late_answer(&mut self, time: Time, member: MemberId, number: u64) {
        let mut began = None;
        for entry in self.entries().rev().take(LOOKED_AT) {
            match &entry.fact {
                Fact::AnsweredLate { number: known, .. } if *known == number => return,
                Fact::ProbeFailed(probe) if probe.number == number && entry.member == member => {
                    began = Some(probe.began);
                    break;
                }
                _ => {}
            }
        }
        if let Some(began) = began {
            let after = time.since(began);
            self.add(time, member, Fact::AnsweredLate { number, after });
        }
    }

    /// A member that is not Alive sent a message that answers nothing: noted once, until something else happens to it.
    pub fn note_unasked(&mut self, time: Time, member: MemberId) {
        let latest = self.entries().rev().take(LOOKED_AT).find_map(|entry| {
            let is_its = entry.member == member;
            is_its.then_some(&entry.fact)
        });
        if !matches!(latest, Some(Fact::SpokeUnasked | Fact::AnsweredLate { .. })) {
            self.add(time, member, Fact::SpokeUnasked);
        }
    }

    /// The loop was late by this much.
    pub fn note_lag(&mut self, by: Duration) {
        self.lag = self.lag.max(by);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(byte: u8) -> MemberId {
        MemberId::from_bytes([byte; 16])
    }

    fn failed(number: u64) -> Fact {
        Fact::ProbeFailed(Box::new(FailedProbe {
            number,
            began: Time::from_millis(100),
            rounds: 1,
            helpers: vec![Helper::new(id(9), 1, 1, true); 8].into(),
            unreachable: false,
            heard_others: true,
            lag: Duration::ZERO,
        }))
    }

    #[test]
    fn nothing_is_kept_unless_it_is_asked_for() {
        let mut history = History::default();
        history.add(Time::ZERO, id(1), Fact::Restarted);
        assert_eq!((history.entries().count(), history.end()), (0, 0));
        history.set(true);
        history.add(Time::ZERO, id(1), Fact::Restarted);
        assert_eq!((history.entries().count(), history.end()), (1, 1));
        history.set(false);
        assert_eq!((history.entries().count(), history.bytes), (0, 0));
    }

    #[test]
    fn what_is_kept_is_bounded_in_number_and_bytes() {
        let mut history = History::default();
        history.set(true);
        (0..2_000).for_each(|_| history.add(Time::ZERO, id(1), Fact::Restarted));
        assert_eq!(history.entries().count(), MAX_HISTORY);
        (0..2_000).for_each(|number| history.add(Time::ZERO, id(1), failed(number)));
        assert!(history.bytes <= MAX_HISTORY_BYTES && history.entries().count() < MAX_HISTORY);
        assert_eq!(
            history.bytes,
            history.entries().map(bytes_of).sum::<usize>()
        );
        let last = history.entries().next_back().map(|entry| entry.number);
        assert_eq!((last, history.end()), (Some(3_999), 4_000));
    }

    #[test]
    fn a_late_answer_is_told_once_and_only_of_a_failed_probe_of_its_sender() {
        let mut history = History::default();
        history.set(true);
        history.add(Time::ZERO, id(1), failed(7));
        let late = Time::from_millis(8_100);
        for (member, number) in [(id(1), 8), (id(2), 7), (id(1), 7), (id(1), 7)] {
            history.note_late_answer(late, member, number);
        }
        let facts: Vec<_> = history.entries().map(|entry| &entry.fact).skip(1).collect();
        let after = Duration::from_secs(8);
        assert_eq!(facts, [&Fact::AnsweredLate { number: 7, after }]);
    }

    #[test]
    fn a_member_that_goes_on_sending_makes_one_entry_until_something_happens_to_it() {
        let mut history = History::default();
        history.set(true);
        let facts = |history: &History| history.entries().count();
        (0..3).for_each(|_| history.note_unasked(Time::ZERO, id(1)));
        history.note_unasked(Time::ZERO, id(2));
        assert_eq!(facts(&history), 2);
        history.add(Time::ZERO, id(1), failed(1));
        (0..3).for_each(|_| history.note_unasked(Time::ZERO, id(1)));
        assert_eq!(facts(&history), 4);
    }
}
