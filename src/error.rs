//! One small error enum for each boundary.

use crate::limits::{EVENT_RATE, MAX_TAG_KEY, MAX_TAGS_BYTES, QUERY_RATE};

/// Why a datagram, or something in it, was dropped. The state is as it was before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
#[repr(u8)]
pub enum Reject {
    /// Larger than [`crate::limits::MAX_DATAGRAM_RECEIVED`], or in a rumor than that limit of its own.
    #[error("larger than it may be")]
    Oversized,
    /// A length runs past the end of what holds it.
    #[error("cut off: a length runs past the end")]
    Truncated,
    /// Not protobuf, or a part that may stand once stands twice.
    #[error("does not read as the protocol's messages")]
    Malformed,
    /// A text is not UTF-8.
    #[error("a text is not UTF-8")]
    BadUtf8,
    /// The message's type is none of 1..4.
    #[error("unknown message type")]
    UnknownType,
    /// Something that the message needs is missing, or its payload is not of its type.
    #[error("a needed field is missing")]
    MissingField,
    /// A port is not in 0..65535.
    #[error("a port is out of range")]
    BadPort,
    /// An id is not 32 lowercase hexadecimal digits. In a membership, this and the next two skip that
    /// record alone, and the rest of the message counts.
    #[error("a member id is not 32 lowercase hexadecimal digits")]
    BadId,
    /// An address that has to be an IP address is not.
    #[error("an address is not an IP address")]
    BadAddress,
    /// A member's incarnation is 2⁶² or more.
    #[error("an incarnation is 2^62 or more")]
    BadIncarnation,
    /// No nonce, though this member has a ring key: sent by someone without one.
    #[error("plain, on a ring that is sealed with a key")]
    NotSealed,
    /// Sealed, though this member has no ring key.
    #[error("sealed, but this member has no ring key")]
    NoKey,
    /// None of this member's ring keys opens it, or it was changed on the way.
    #[error("no ring key opens it")]
    WrongKey,
    /// It says it comes from this very member.
    #[error("it carries this member's own id")]
    OwnId,
    /// Its sender is on the block list.
    #[error("its sender is blocked")]
    Blocked,
    /// Its source provoked more answers than a stranger may.
    #[error("its source asks for too many answers")]
    RateLimited,
    /// The table of members is full.
    #[error("the table of members is full")]
    TableFull,
    /// The member is paused.
    #[error("this member is paused")]
    Paused,
    /// A rumor of one of the types that only tests of the protocol use.
    #[error("a rumor of a type for tests")]
    Fake,
    /// A rumor's service group is not `service.group` or `service.group@organization`, or holds what does not show.
    #[error(
        "a service group is not service.group or service.group@organization, or holds what no name may"
    )]
    BadGroup,
    /// There is no room for more rumors.
    #[error("the store of rumors is full")]
    StoreFull,
    /// A message of several frames: a rumor is one.
    #[error("a message of several parts")]
    Multipart,
    /// A file's name is not [one](crate::rumor::is_filename).
    #[error(
        "a file's name is no path, neither . nor .., and has no control characters, nor others that do not show"
    )]
    BadFilename,
    /// A rumor's version is above [`crate::limits::MAX_VERSION`], or its term above [`crate::limits::MAX_TERM`]; or a
    /// rumor that was forced to a lower version here is said to be near that limit again.
    #[error(
        "a version of 2^62 or more, a term of 2^32 or more, or one near that limit again after a reset"
    )]
    BadVersion,
    /// An election's candidate did not become known in time as one that runs a service of the group. It comes from
    /// nowhere: it was held for a while.
    #[error("an election's candidate is not known to run a service of the group")]
    UnknownCandidate,
    /// Its sender belongs to another ring: see [`Event::OtherRing`](crate::Event::OtherRing).
    #[error("its sender belongs to another ring, or says no ring's name")]
    OtherRing,
    /// On a sealed ring: it was heard before, or is too old to tell. The network doubles or delays datagrams, or
    /// somebody sends again what was recorded.
    #[error("heard before, or too late to tell: doubled on its way, or recorded and sent again")]
    Replayed,
    /// On a sealed ring: it is for another member, at whose address this one is now, or to whom it was sent before.
    #[error("for another member: its sender knows that one at this address, or it was recorded")]
    OtherReceiver,
    /// It came from a link-local address. Members cannot tell each other the interfaces that such an address needs, so
    /// nobody could find its sender.
    #[error(
        "from a link-local address, which means nothing without its interface: members need global or unique-local \
         (fd00::/8) addresses"
    )]
    LinkLocal,
    /// A member's tags are none, or too many.
    #[error(
        "a member's tags: a key of 1 to {MAX_TAG_KEY} bytes each, nothing that does not show, at most {MAX_TAGS_BYTES} \
         bytes in all"
    )]
    BadTags,
    /// A user event has no name, or another ttl than it may have, or no number; or it is of a process that starts over an hour
    /// from now, or its sender cannot have got to its number.
    #[error(
        "a user event: a name of 1 to {MAX_TAG_KEY} bytes without what does not show, a ttl of 1 s to 10 min, a number that \
         its sender can have got to, a start at most an hour ahead of this member's clock: compare the clocks of both"
    )]
    BadEvent,
    /// More user events came of a member, or of all, than are taken.
    #[error("more user events of that member, or of all members, than are taken in a second")]
    EventFlood,
}

impl Reject {
    /// All reasons, in the order of their numbers.
    pub const ALL: &[Reject] = &[
        Reject::Oversized,
        Reject::Truncated,
        Reject::Malformed,
        Reject::BadUtf8,
        Reject::UnknownType,
        Reject::MissingField,
        Reject::BadPort,
        Reject::BadId,
        Reject::BadAddress,
        Reject::BadIncarnation,
        Reject::NotSealed,
        Reject::NoKey,
        Reject::WrongKey,
        Reject::OwnId,
        Reject::Blocked,
        Reject::RateLimited,
        Reject::TableFull,
        Reject::Paused,
        Reject::Fake,
        Reject::BadGroup,
        Reject::StoreFull,
        Reject::Multipart,
        Reject::BadFilename,
        Reject::BadVersion,
        Reject::UnknownCandidate,
        Reject::OtherRing,
        Reject::Replayed,
        Reject::OtherReceiver,
        Reject::LinkLocal,
        Reject::BadTags,
        Reject::BadEvent,
        Reject::EventFlood,
    ];

    /// Its name in counters: lowercase, words joined by `_`.
    pub const fn name(self) -> &'static str {
        match self {
            Reject::Oversized => "oversized",
            Reject::Truncated => "truncated",
            Reject::Malformed => "malformed",
            Reject::BadUtf8 => "bad_utf8",
            Reject::UnknownType => "unknown_type",
            Reject::MissingField => "missing_field",
            Reject::BadPort => "bad_port",
            Reject::BadId => "bad_id",
            Reject::BadAddress => "bad_address",
            Reject::BadIncarnation => "bad_incarnation",
            Reject::NotSealed => "not_sealed",
            Reject::NoKey => "no_key",
            Reject::WrongKey => "wrong_key",
            Reject::OwnId => "own_id",
            Reject::Blocked => "blocked",
            Reject::RateLimited => "rate_limited",
            Reject::TableFull => "table_full",
            Reject::Paused => "paused",
            Reject::Fake => "fake",
            Reject::BadGroup => "bad_group",
            Reject::StoreFull => "store_full",
            Reject::Multipart => "multipart",
            Reject::BadFilename => "bad_filename",
            Reject::BadVersion => "bad_version",
            Reject::UnknownCandidate => "unknown_candidate",
            Reject::OtherRing => "other_ring",
            Reject::Replayed => "replayed",
            Reject::OtherReceiver => "other_receiver",
            Reject::LinkLocal => "link_local",
            Reject::BadTags => "bad_tags",
            Reject::BadEvent => "bad_event",
            Reject::EventFlood => "event_flood",
        }
    }
}

/// A command that was refused; nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError {
    /// It is no seed.
    #[error("a seed is written HOST:PORT, like web-1:9638 or 10.0.0.7:9638")]
    BadSeed,
    /// Names are resolved elsewhere, and the system gives no descriptor for the answer.
    #[error(
        "the system gives no descriptor to be woken by; close some, or raise the limit (ulimit -n)"
    )]
    NoDescriptor,
    /// No more addresses can be asked for members.
    #[error("there are {0} seeds already; restart the member with fewer")]
    TooManySeeds(usize),
    /// No more ids can be blocked.
    #[error("{0} ids are blocked already; unblock some first")]
    TooManyBlocked(usize),
    /// The member is leaving, or has left.
    #[error("this member is leaving its ring; start it again to join one")]
    Leaving,
    /// A member cannot block itself.
    #[error("this is the member's own id; name another")]
    OwnId,
    /// A member that lives is not forgotten.
    #[error("{id:.8} is {health}, and only the dead are forgotten; let it leave, or stop it")]
    NotDead {
        /// The member.
        id: crate::member::MemberId,
        /// How it fares.
        health: crate::member::Health,
    },
    /// No member has this id.
    #[error("{0:.8} is not known here; name a member that is listed")]
    UnknownMember(crate::member::MemberId),
    /// What is applied is not newer than what is held.
    #[error("incarnation {given} is not newer than {held}, which is held; give a higher one")]
    NotNewer {
        /// The incarnation that was given.
        given: u64,
        /// The one that is held.
        held: u64,
    },
    /// What is applied is far newer than what is held, which may be a typo.
    #[error(
        "incarnation {given} is more than 2^32 above {held}, the one held; give a lower one, or force it (--force) if \
         it is right"
    )]
    Leap {
        /// The incarnation that was given.
        given: u64,
        /// The one that is held; 0: none.
        held: u64,
    },
    /// No member takes such an incarnation.
    #[error("incarnation {given} is 2^62 or more, which no member takes; give a lower one")]
    Beyond {
        /// The incarnation that was given, or would be the next.
        given: u64,
    },
    /// What is held has next to no room above it.
    #[error(
        "stuck: incarnation {held} is held, and those end at 2^62; force a lower one (--force) at every member of the \
         ring"
    )]
    Stuck {
        /// The one that is held.
        held: u64,
    },
    /// Only what has a version that its user chooses can be forced.
    #[error("{0} has no version to force; say service, service_config or service_file")]
    NotForced(crate::rumor::RumorKind),
    /// A rumor is larger than any may be.
    #[error("that takes {size} bytes as a rumor, and the most is {most}; split or shrink it")]
    TooLarge {
        /// Its size, bytes.
        size: usize,
        /// The largest, bytes.
        most: usize,
    },
    /// There is no room for that rumor beside those that are held.
    #[error(
        "that does not fit: {held} of {limit} bytes are held, in {rumors} of {most} rumors; remove configurations or \
         files (config remove, file remove), or raise the limit (--store-limit) at every member"
    )]
    StoreFull {
        /// Bytes of all rumors held.
        held: usize,
        /// Bytes that may be held: [`Config::store_limit`](crate::Config::store_limit).
        limit: usize,
        /// How many rumors are held.
        rumors: usize,
        /// How many may be held.
        most: usize,
    },
    /// An empty configuration or file is its removal.
    #[error(
        "an empty body removes a {0}, and that is a command of its own: config remove, file remove"
    )]
    EmptyBody(crate::rumor::RumorKind),
    /// The rumor's own id or name cannot be sent.
    #[error("{0}")]
    BadRumor(Reject),
    /// Only a member that runs a service of the group takes part in its elections.
    #[error("this member runs no service of the group; add one first")]
    NotInGroup,
    /// Nobody can be reached there.
    #[error("{addr} cannot be asked: it is {why}; give the address of a host")]
    BadAddress {
        /// The address that was given.
        addr: std::net::SocketAddr,
        /// What is wrong with it.
        why: &'static str,
    },
    /// No user event has such a name.
    #[error(
        "the name of an event has 1 to {MAX_TAG_KEY} bytes, without spaces, =, commas, control characters and what else \
         does not show"
    )]
    BadEventName,
    /// No user event lasts so long.
    #[error("an event is told for 1 second to 10 minutes (--ttl)")]
    BadEventTtl,
    /// A user event is larger than any may be.
    #[error("an event has at most {most} bytes, and this one has {size}; send where to find it")]
    EventTooLarge {
        /// Its size, bytes.
        size: usize,
        /// The largest, bytes.
        most: usize,
    },
    /// This member sent as many user events as it may.
    #[error("this member asks at most {QUERY_RATE} questions and sends at most {EVENT_RATE} events a second; wait {} ms", wait.as_millis() + 1)]
    TooManyEvents {
        /// How long until it may send the next.
        wait: std::time::Duration,
    },
    /// No member takes such a question.
    #[error(
        "a question waits for 100 ms to 60 s (--timeout), and what it says of whom it asks has at most 1 KiB"
    )]
    BadQuery,
    /// As many questions of this member's wait for answers as may.
    #[error("{0} questions of this member wait for answers; wait until one is over")]
    TooManyQueries(usize),
    /// An answer is larger than any may be.
    #[error("an answer has at most {most} bytes, and this one has {size}; say where to find it")]
    AnswerTooLarge {
        /// Its size, bytes.
        size: usize,
        /// The largest, bytes.
        most: usize,
    },
    /// Nobody waits for the answer.
    #[error("that question is over, was answered, or did not ask this member")]
    QueryOver,
    /// Elections are of two kinds.
    #[error("{0} is no kind of elections; say election or election_update")]
    NoElection(crate::rumor::RumorKind),
}
