//! What the rooms of a node share: the time, the randomness, the timers and the journal.

use rand::rngs::StdRng;

use crate::journal::Journal;
use crate::time::Time;
use crate::timer::TimerWheel;

/// Every deadline of a node, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timer {
    /// The probe under way ends, the next begins.
    ProbePeriod,
    /// The probed member has not answered: others are asked.
    AckLate,
    /// Nobody vouched for the suspect in this row.
    SuspicionDue(u32),
    /// The member of the inquiry with this number is to be pinged again, or others are.
    InquiryDue(u32),
    /// The member in this row did not answer for itself, though others say it is dead.
    VerdictDue(u32),
    /// The dead member in this row, which says that it lives, is to be probed again.
    ComebackDue(u32),
    /// The member in this row was dead, or gone, for long enough.
    GraveDue(u32),
    /// This seed is to be asked.
    SeedDue(u32),
    /// One of the dead is to be asked.
    RetryDead,
    /// The next part of the member table goes to those who asked for it.
    TableDue,
    /// Fresh news is to be pushed.
    PushDue,
    /// The table is to be compared with another member's.
    SyncDue,
    /// Fresh rumors are to be pushed.
    RumorPush,
    /// Hot rumors are to be told again.
    RumorAgain,
    /// Rumors that were asked for may not have come.
    RumorWanted,
    /// Newcomers and peers that are owed rumors have their turn.
    RumorRound,
    /// Some rumors are to be told again to a peer that cannot compare stores.
    RumorDrip,
    /// The time to compare with others before the disk's rumors count may be over.
    StartDue,
    /// Elections are to be looked at.
    ElectionDue,
    /// A user event is waited for no longer, or held no longer.
    EventDue,
    /// Answers to questions are due, or a question is over.
    QueryDue,
    /// The next step of leaving.
    LeaveStep,
}

pub(crate) struct Env {
    /// The node's time: stands still while the loop sleeps through a deadline, so that a member which
    /// was stopped for a while does not hold that against others.
    pub now: Time,
    /// The driver's time, for round trips.
    pub wall: Time,
    pub rng: StdRng,
    pub timers: TimerWheel<Timer>,
    pub journal: Journal,
}
