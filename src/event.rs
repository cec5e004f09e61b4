//! What an embedder is told: transitions of members and whatever asks for its attention.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use crate::error::Reject;
use crate::member::{Health, Incarnation, MemberId};
use crate::name::Name;
use crate::rumor::{Answer, RumorId, RumorKind, ServiceGroup, UserEvent};

/// Something that happened, in the order in which it did. Taken by `poll_event`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A member became known (`from` is `None`) or its health changed.
    #[non_exhaustive]
    MemberChanged {
        /// Who.
        id: MemberId,
        /// Where it is.
        addr: SocketAddr,
        /// Its health before; `None`: it was not known.
        from: Option<Health>,
        /// Its health now.
        to: Health,
        /// The incarnation of the record that says so.
        incarnation: Incarnation,
        /// Why.
        cause: Cause,
        /// Its name.
        name: Name,
    },
    /// A member is at another address than before, or takes gossip at another port: it proved to be there, or two others
    /// vouch for that. It is the same member, be it after a restart.
    #[non_exhaustive]
    MemberMoved {
        /// Who.
        id: MemberId,
        /// Where it was.
        from: SocketAddr,
        /// Where it is; as before, if only its port for gossip changed.
        to: SocketAddr,
        /// Its TCP port for gossip; 0: it takes none.
        gossip_port: u16,
        /// Its name.
        name: Name,
    },
    /// A dead member was forgotten, as [`forget`](crate::Node::forget) asked for here or at another member, or as its place
    /// was taken by one of the same name and address.
    #[non_exhaustive]
    MemberForgotten {
        /// Who.
        id: MemberId,
        /// The name that it had.
        name: Name,
    },
    /// A member has another name than before.
    #[non_exhaustive]
    MemberRenamed {
        /// Who.
        id: MemberId,
        /// Its name before; empty: it had none, or had not said it yet.
        before: Name,
        /// Its name now.
        name: Name,
    },
    /// A member answers as another process than before: it ended, and was started again. Only members of ours say which
    /// process they are.
    #[non_exhaustive]
    MemberRestarted {
        /// Who.
        id: MemberId,
        /// Its incarnation now.
        incarnation: Incarnation,
        /// Its name.
        name: Name,
    },
    /// This member heard something untrue of itself and raised its incarnation to refute it. At most one
    /// such event a second; `stats()` counts all.
    Refuted {
        /// What was said.
        claimed: Health,
        /// The incarnation from now on.
        incarnation: Incarnation,
    },
    /// It is time to ask a seed that was given by name: resolve the name and call `seed_resolved`.
    SeedDue {
        /// The seed, as `join_named` returned it.
        seed: SeedId,
    },
    /// A datagram, a record in one, or a rumor was dropped. At most one such event in
    /// [`crate::limits::REJECT_LOG_INTERVAL`] for each reason; `stats()` counts all.
    Rejected {
        /// Why.
        reason: Reject,
        /// Where it came from; of a rumor, port 0.
        from: SocketAddr,
        /// How many of this reason were dropped without an event since the last one.
        unreported: u64,
    },
    /// This member goes on under a new id, as no incarnation is left for the old one: somebody said something of it
    /// at the highest there is. The old one has left.
    NewId {
        /// The id that it had.
        before: MemberId,
        /// The id from now on.
        id: MemberId,
    },
    /// A member of another ring sent a message: neither takes the other in. Told of each source once.
    #[non_exhaustive]
    OtherRing {
        /// Where it is.
        from: SocketAddr,
        /// Whether its ring has a name at all.
        named: bool,
        /// The name of its ring, as it says it: text that others wrote. Empty: not in this message.
        theirs: String,
    },
    /// Others know this member at this address, which it was not given (it listens on all of them) and tells others from
    /// now on.
    #[non_exhaustive]
    AddressLearned {
        /// Where they knew it before, if anywhere.
        before: Option<IpAddr>,
        /// Where they know it.
        ip: IpAddr,
    },
    /// Others go on holding this member to be elsewhere than where it was told to say that it is: two that proved where
    /// they are, or the only one. At most one such event in [`crate::limits::ELSEWHERE_INTERVAL`].
    #[non_exhaustive]
    SeenElsewhere {
        /// Where it says that it is.
        told: SocketAddr,
        /// Where they hold it to be.
        seen: SocketAddr,
    },
    /// Two processes use one id: each answered after the other had, so neither is the other's restart. They undo each
    /// other's moves and refutations until one stops. Told once for each two, and at most once in
    /// [`crate::limits::REJECT_LOG_INTERVAL`]; `stats()` counts all.
    #[non_exhaustive]
    IdConflict {
        /// Their id; it may be this member's.
        id: MemberId,
        /// Where the one is; if it is this member's id, where this member is, as far as it knows.
        one: SocketAddr,
        /// Where the other is.
        other: SocketAddr,
    },
    /// This member has heard no other for four periods, though it knows some: the network is cut, or all the others are
    /// gone. What it believes of them is old until [`IsolationEnded`](Event::IsolationEnded).
    #[non_exhaustive]
    Isolated {
        /// How long it has heard nobody.
        silent: Duration,
    },
    /// This member hears another one again, or knows none any more.
    #[non_exhaustive]
    IsolationEnded {
        /// How long it heard nobody.
        lasted: Duration,
    },
    /// The loop was late by this much: that time does not count against other members.
    Lagged {
        /// From the missed deadline to the call that came late.
        by: Duration,
    },
    /// A rumor is new here, or says something else than before.
    #[non_exhaustive]
    RumorChanged {
        /// Which one.
        id: Arc<RumorId>,
        /// It was not held before.
        is_new: bool,
    },
    /// A member says something else of itself than before, or says something for the first time: see
    /// [`Node::tags`](crate::Node::tags). [`RumorChanged`](Event::RumorChanged) comes, too.
    #[non_exhaustive]
    TagsChanged {
        /// Who.
        id: MemberId,
    },
    /// A user event, of this member's own too: each comes once, those of one sender in its order (see
    /// [`Node::send_event`](crate::Node::send_event)).
    UserEvent(Arc<UserEvent>),
    /// A member, maybe this one, asks this one, which answers with [`Node::answer`](crate::Node::answer) within the question's
    /// timeout. Each comes once, as soon as it was heard. (`ping` and `state` are answered by themselves, and do not come.)
    Query(Arc<UserEvent>),
    /// What a member says to a question of this member's user: of each at most that it has the question, and one answer.
    Answer(Arc<Answer>),
    /// No more answers to this question are taken.
    #[non_exhaustive]
    QueryOver {
        /// Its [`id`](crate::rumor::Query::id).
        query: u64,
    },
    /// A copy of the ring's took the place of what the disk held, which said something else in the same version: the
    /// disk is damaged, or what it held is old. [`RumorChanged`](Event::RumorChanged) comes, too.
    RumorCorrected(Arc<RumorId>),
    /// A configuration or file that this member's user gave it lost against another of the same version, which somebody
    /// gave another member at the same time; all members keep that one.
    /// [`RumorChanged`](Event::RumorChanged) comes, too.
    #[non_exhaustive]
    RumorOverruled {
        /// Which one.
        id: Arc<RumorId>,
        /// The version of both.
        version: u64,
        /// The member that was given the other one, if it says so.
        winner: Option<MemberId>,
    },
    /// A rumor is held no more: its member departed, or nobody vouches for an election's candidate, or too many were
    /// removed.
    RumorGone(Arc<RumorId>),
    /// A group has a leader, also if it is the one that it had, in a new term.
    #[non_exhaustive]
    LeaderElected {
        /// [`RumorKind::Election`] or [`RumorKind::ElectionUpdate`].
        kind: RumorKind,
        /// The group.
        group: ServiceGroup,
        /// Who leads.
        leader: MemberId,
        /// The term of the election.
        term: u64,
    },
    /// This member was told to depart for good: it has to end, and its id cannot be used again.
    Expelled,
    /// Leaving is done: others were told, and the loop may end.
    Left,
}

/// A seed that was given by name, see [`Event::SeedDue`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SeedId(pub(crate) u32);

/// Why a member's health changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// A message came straight from it.
    ProofOfLife,
    /// It said that it leaves.
    ItsLeave,
    /// Another member's record of it.
    #[non_exhaustive]
    Record {
        /// Who sent the record, which need not be who first said so; this member itself: it was restored from
        /// the data directory.
        via: MemberId,
    },
    /// It answered neither this member's ping nor those of others.
    ProbeFailed,
    /// Its system says that nobody listens at its port, to this member and to others.
    Refused,
    /// Another member answered a ping at its address.
    AddressTaken,
    /// Nobody vouched for it in time.
    SuspicionTimeout,
    /// Others say it is dead, and it did not answer for itself in time.
    VerdictBelieved,
    /// It was Confirmed for so long that it is given up.
    DeadTooLong,
    /// A departure rumor says that it is gone for good.
    Departure,
    /// Another member took its place in its service group, which has no quorum while it counts.
    Replaced,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::ProofOfLife => f.write_str("it sent a message itself"),
            Cause::ItsLeave => f.write_str("it said that it leaves"),
            Cause::Record { via } => write!(f, "heard from {via}"),
            Cause::ProbeFailed => f.write_str("it answered neither a ping nor those of others"),
            Cause::Refused => f.write_str("its system says that nobody listens at its port"),
            Cause::AddressTaken => f.write_str("another member answered at its address"),
            Cause::SuspicionTimeout => f.write_str("nobody vouched for it in time"),
            Cause::VerdictBelieved => f.write_str("others say so, and it did not answer"),
            Cause::DeadTooLong => f.write_str("it was dead for too long"),
            Cause::Departure => f.write_str("it is gone for good, by a departure rumor"),
            Cause::Replaced => f.write_str("another member took its place in its service group"),
        }
    }
}
