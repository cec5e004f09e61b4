//! Every cap of the engine, one constant each, with its reason. Their values may change from one release to the
//! next.

use std::time::Duration;

/// The largest datagram that is ever sent, bytes, sealed or not: peers read into a buffer of this size.
pub const MAX_DATAGRAM_SENT: usize = 1024;

/// What an ordinary datagram stays within, bytes: fits in any path's MTU with room for tunnels.
pub const ORDINARY_DATAGRAM: usize = 512;

/// The largest datagram that is read, bytes: the most that UDP over IPv4 carries.
pub const MAX_DATAGRAM_RECEIVED: usize = 65_507;

/// Members in the table, this one included: a hundred thousand and room for the departed.
pub const MAX_MEMBERS: usize = 131_072;

/// Bytes of a member's name: as many as Linux lets a host name have, and few enough to ride in every message.
pub const MAX_NAME: usize = 64;

/// Bytes of a ring's name.
pub const MAX_RING_NAME: usize = 32;

/// Sources of messages of other rings that were told of; then all are told of anew.
pub const MAX_FOREIGNERS: usize = 1_024;

/// While others hold a member to be elsewhere than where it says, its operator is told so this often.
pub const ELSEWHERE_INTERVAL: Duration = Duration::from_secs(600);

/// Ids on the block list.
pub const MAX_BLOCKED: usize = 1_024;

/// Addresses asked for members of the ring.
pub const MAX_SEEDS: usize = 256;

/// Addresses that one seed's name may stand for.
pub const MAX_SEED_ADDRESSES: usize = 16;

/// Datagrams that wait to be taken by `poll_datagram`; what comes on top is dropped and counted.
pub const MAX_QUEUED_DATAGRAMS: usize = 1_024;

/// Events that wait to be taken by `poll_event`; the oldest go first, and are counted.
pub const MAX_QUEUED_EVENTS: usize = 65_536;

/// Trace entries that wait to be taken by `poll_trace`; the oldest go first, and are counted.
pub const MAX_QUEUED_TRACES: usize = 65_536;

/// Entries of the history of transitions, of which a failed probe makes two or three; the oldest go first.
pub const MAX_HISTORY: usize = 512;

/// Bytes of memory that the history takes, with what its entries point to.
pub const MAX_HISTORY_BYTES: usize = 48 << 10;

/// Bytes of the history that a data directory keeps across restarts, and of memory that it takes then.
pub const MAX_HISTORY_FILE: usize = 48 << 10;

/// Helpers of a failed probe that the history names: all of a round or two.
pub const MAX_PROBE_HELPERS: usize = 8;

/// Accusers remembered for one suspicion: more than any timing asks for.
pub const MAX_ACCUSERS: usize = 4;

/// Suspects that are asked for their last word through others in one period; more are asked straight only, so that
/// the loss of half a ring, or a forged suspicion of all, is no storm of PingReqs.
pub const MAX_LAST_WORDS: usize = 32;

/// Suspects that a member may be about to probe as a witness; more displace the oldest.
pub const MAX_WITNESSED: usize = 8;

/// Pings outside of probes that may be refused by their receivers' systems; more displace the oldest.
pub const MAX_NUMBERS: usize = 64;

/// Members that are asked about at the same time, as their system refused a ping or a connection with them ended, and
/// suspects that are pinged out of turn in one period to see if they refuse; the probe cycle finds out about more.
pub const MAX_INQUIRIES: usize = 32;

/// Members that answered though their system refused pings, and so for [`REFUTED_MEMORY`] accuse nobody of it; more
/// displace the oldest.
pub const MAX_REFUTED_REFUSALS: usize = 256;

/// How long such a member is remembered.
pub const REFUTED_MEMORY: Duration = Duration::from_secs(600);

/// Helpers that were refused, too, and are remembered for one inquiry.
pub const MAX_HELPER_REPORTS: usize = 8;

/// Members to which connections are kept open, so that their end is a hint: two that hear of it are as good as five.
pub const MAX_WATCHED: usize = 4;

/// Claims that a member is dead, being checked at the same time; more are ignored until they come again.
pub const MAX_VERDICTS: usize = 1_024;

/// Dead members that say that they live, being probed at the same time; others say so again.
pub const MAX_RETURNING: usize = 1_024;

/// Dead members that are asked in a period because another came back, or because a member says that they live.
pub const MAX_ASKED_BACK: usize = 32;

/// Those of them that are asked because a member says that they live: it may say so of anybody, at any time.
pub const MAX_ASKED_ON_HEARSAY: usize = 8;

/// Returns from the dead within [`RETURN_MEMORY`] that are remembered, the latest: while more come back, as after a
/// split, they come back as if for the first time.
pub const MAX_RETURNS: usize = 1_024;

/// How long a return from the dead counts.
pub const RETURN_MEMORY: Duration = Duration::from_secs(600);

/// Probes in a row that a member has to answer at most before it counts as living again.
pub const MAX_ANSWERS: u32 = 8;

/// Slots in which the answers to strangers are metered: sources that fall into the same one share it.
pub const METER_SLOTS: usize = 512;

/// Members that were told the member table of late, or wait for it; who comes on top asks again.
pub const MAX_TRANSFERS: usize = 256;

/// Answers that a source which has not proved its address may provoke at once.
pub const STRANGER_BURST: u32 = 64;

/// Answers a second that such a source may provoke in the long run.
pub const STRANGER_RATE: u32 = 64;

/// How many times its own bytes a datagram may provoke, in sum, from such a source (as QUIC's RFC 9000 §8).
pub const STRANGER_AMPLIFICATION: usize = 3;

/// Members that nobody else vouches for which are asked on the word of one informant at the same time.
pub const MAX_UNVOUCHED: usize = 64;

/// Members that others speak of and that are not known, remembered for some periods: all of a full table that a
/// newcomer is told.
pub const MAX_SPOKEN_OF: usize = MAX_MEMBERS;

/// Members of a sealed ring that spoke and have yet to answer, of whose datagrams is remembered which was the last.
pub const MAX_FIRST_CONTACTS: usize = 64;

/// Bytes of a datagram's IPv4 and UDP headers, which a victim's line carries, too.
pub const DATAGRAM_HEADERS: usize = 28;

/// Members that news is pushed to at the same time while many leave: a ring of 10 000 of which 200 leave each second
/// keeps up with its news.
pub const MAX_CROWD_PUSHES: usize = 24;

/// Members that are told in a period who left, as they spoke of it as living; others have their turn later.
pub const MAX_CORRECTED: usize = 64;

/// Members that a leaving one tells at once (PROTOCOL.md §2).
pub const LEAVE_FANOUT: usize = 10;

/// How often at most a ProbePing raises the own incarnation (PROTOCOL.md §2).
pub const PROBE_PING_INTERVAL: Duration = Duration::from_secs(1);

/// The worst score of local health (Lifeguard's S, memberlist's default).
pub const MAX_LOCAL_HEALTH: u8 = 8;

/// Members of which more than one life answered, as far as that is remembered: then the eldest is forgotten.
pub const MAX_LIFE_CHANGES: usize = 256;

/// One log line at most in this time for each reason to drop a datagram.
pub const REJECT_LOG_INTERVAL: Duration = Duration::from_secs(10);

/// A member takes a new id at most once in this time, as its old one stays in all tables for days.
pub const NEW_ID_INTERVAL: Duration = Duration::from_secs(60);

/// How far ahead of the incarnation in use the mark on disk lies (PROTOCOL.md §4).
pub const INCARNATION_RESERVE: u64 = 64;

/// How long an incarnation waits at most until its mark is on disk: a disk that hangs must not keep a member from
/// saying that it lives, and nobody is given up sooner.
pub const MARK_PATIENCE: Duration = Duration::from_secs(1);

/// Commands of other threads that one wake of the loop carries out before the ring gets its turn.
pub const COMMANDS_PER_WAKE: usize = 256;

/// Frames of rumors that one wake of the loop reads before timers and datagrams get their turn.
pub const FRAMES_PER_WAKE: usize = 256;

/// Datagrams that one wake of the loop reads before timers get their turn.
pub const DATAGRAMS_PER_WAKE: usize = 256;

/// Errors of datagrams that one wake of the loop, or one failed call, reads: any host can forge them, and those that lie
/// unread take of the room for datagrams.
pub const ERRORS_PER_WAKE: usize = 64;

/// The largest rumor that is sent or taken, bytes, envelope aside: a file of 8 MiB and what names it.
pub const MAX_RUMOR: usize = (8 << 20) + 4_096;

/// Bytes of a service group's name.
pub const MAX_GROUP: usize = 256;

/// Bytes of a tag's key.
pub const MAX_TAG_KEY: usize = 64;

/// Bytes of a member's tags, keys and values together: eight times what serf has room for, and small enough to be pushed
/// unasked.
pub const MAX_TAGS_BYTES: usize = 4 << 10;

/// Dead members that one rumor has the ring forget: it stays below [`EAGER_RUMOR`].
pub const MAX_FORGOTTEN_AT_ONCE: usize = 256;

/// Forgotten members that are remembered as such: a full table of them. Of more, those that were forgotten first go.
pub const MAX_FORGOTTEN: usize = MAX_MEMBERS;

/// Of those, the ones that one member said are to be forgotten: one that makes them up displaces its own.
pub const MAX_FORGOTTEN_BY_ONE: usize = MAX_FORGOTTEN / 4;

/// For how long: as long as others remember the dead by themselves, with the timing's defaults.
pub const FORGOTTEN_FOR: Duration = Duration::from_secs(10 * 24 * 60 * 60);

/// Bytes of a user event's payload: it is fetched in one go, and a handler reads it in one.
pub const MAX_EVENT_PAYLOAD: usize = 64 << 10;

/// How long a user event is told to members that start later, unless it says otherwise.
pub const EVENT_TTL: Duration = Duration::from_secs(60);

/// The shortest that it may say: the time to get to all.
pub const MIN_EVENT_TTL: Duration = Duration::from_secs(1);

/// The longest that it may say.
pub const MAX_EVENT_TTL: Duration = Duration::from_secs(600);

/// User events that a member may send in a second, in the long run: people and scripts send fewer, and floods are of no use.
pub const EVENT_RATE: u32 = 20;

/// User events that a member may send at once.
pub const EVENT_BURST: u32 = 200;

/// User events that are taken of one member in a second, in the long run: more than it may send, as they come in bunches.
pub const EVENT_RATE_HEARD: u32 = 2 * EVENT_RATE;

/// User events of all members that are taken in a second, in the long run: what members of a large ring send now and then.
pub const EVENT_RATE_OF_ALL: u32 = 1_000;

/// How long a member waits for a user event before it delivers those of the same sender that come after it.
pub const EVENT_GAP: Duration = Duration::from_secs(2);

/// Of the user events of a name that come within this time, the last is delivered, if they say so.
pub const EVENT_COALESCE: Duration = Duration::from_secs(1);

/// Names of user events of which the last is waited for at the same time; those of others are delivered at once.
pub const MAX_COALESCING: usize = 256;

/// User events that are held until their time is over; of more, as many go as of [`MAX_EVENT_BYTES`].
pub const MAX_EVENTS: usize = 8_192;

/// User events of one member that are held: a minute of all that it may send, and more. One that sends more displaces its
/// own only; ids that no member has are one together in what is taken of them.
pub const MAX_EVENTS_OF_ONE: usize = 2_048;

/// Bytes of user events that are held; of more, the oldest go of the member that holds most of them, and first those of ids
/// that no member has.
pub const MAX_EVENT_BYTES: usize = 16 << 20;

/// Members of which is remembered which user event came last; those that sent none for the longest go.
pub const MAX_EVENT_SENDERS: usize = 4_096;

/// User events that are held no more and are not asked for again, as others may hold them for longer.
pub const MAX_SPENT_EVENTS: usize = 32_768;

/// Bytes of user events that wait to be taken by `poll_event`; of more, the oldest events go.
pub const MAX_QUEUED_EVENT_BYTES: usize = 16 << 20;

/// How long answers to a question are taken, unless it says otherwise.
pub const QUERY_TIMEOUT: Duration = Duration::from_secs(5);

/// The shortest that it may say: an answer takes a round trip or two.
pub const MIN_QUERY_TIMEOUT: Duration = Duration::from_millis(100);

/// The longest that it may say: twice what a command may take.
pub const MAX_QUERY_TIMEOUT: Duration = Duration::from_secs(60);

/// Bytes of what a question says of the members that it asks.
pub const MAX_QUERY_TERMS: usize = 1 << 10;

/// Bytes of an answer to a question: with all the rest it stays within [`MAX_DATAGRAM_SENT`].
pub const MAX_ANSWER: usize = 400;

/// Questions of one member that wait for answers, at it and at those that it asks: one that asks more displaces nobody's.
pub const MAX_QUERIES: usize = 16;

/// Questions that a member may ask in a second, in the long run: each has all that it asks answer.
pub const QUERY_RATE: u32 = 4;

/// Questions that are taken of one member in a second, in the long run: more than it may ask, as they come in bunches. Those
/// that others ask in its name bring no more answers upon it than that.
pub const QUERY_RATE_HEARD: u32 = 2 * QUERY_RATE;

/// Questions of others that this member may answer yet, and answers that their askers do not have yet.
pub const MAX_ANSWERS_WAITING: usize = 256;

/// An answer is sent again so long after the first time, and later and later.
pub const ANSWER_AGAIN: Duration = Duration::from_millis(250);

/// How often an answer is sent.
pub const MAX_ANSWER_SENDS: u8 = 5;

/// Bytes of a file's name.
pub const MAX_FILENAME: usize = 256;

/// Votes in one election: members of one service group.
pub const MAX_VOTES: usize = 4_096;

/// The highest version of a service, configuration or file that is taken, 2⁶² − 1: a higher one is refused by all,
/// whatever they hold, so that members do not differ.
pub const MAX_VERSION: u64 = (1 << 62) - 1;

/// The highest term of an election that is taken: a new term a second for 136 years.
pub const MAX_TERM: u64 = (1 << 32) - 1;

/// How far a command may raise a version unless it is forced: the seconds since 1970 fit, a typo of a few digits does
/// not. With less room than that below [`MAX_VERSION`] a rumor is stuck, and a forced command may lower it.
pub const MAX_LEAP: u64 = 1 << 32;

/// Elections that wait for their candidate's service to become known: those that a newcomer hears of at once.
pub const MAX_CANDIDATES: usize = 16_384;

/// Bytes that those elections take.
pub const MAX_CANDIDATE_BYTES: usize = 8 << 20;

/// Configurations and files that were forced to a lower version here, remembered at the same time.
pub const MAX_RESETS: usize = 1_024;

/// Rumors held: the tags and one service of each member of a full table.
pub const MAX_RUMORS: usize = 2 * MAX_MEMBERS;

/// Bytes of all rumors held, unless a lower limit is configured, so that nobody fills the memory with files; with all
/// members they fit in [`MAX_SNAPSHOT`].
pub const MAX_RUMOR_BYTES: usize = 192 << 20;

/// Configurations and files that are held as removed: so long an older copy cannot bring one back. Of more, the oldest
/// goes.
pub const MAX_REMOVED: usize = 16_384;

/// Rumors larger than this, bytes, are offered to peers that can ask for them, not pushed unasked.
pub const EAGER_RUMOR: usize = 8 << 10;

/// Pushes that wait to be taken by `poll_push`; who misses one on top gets it by comparing stores.
pub const MAX_QUEUED_PUSHES: usize = 65_536;

/// Rumors that were asked for and have not come yet.
pub const MAX_WANTED: usize = 16_384;

/// Big rumors that are not pushed again to those who asked, for a period: more than leave in that time, and beyond that one
/// is pushed twice.
pub const MAX_SERVED: usize = 256;

/// Tombstones of rumors that are gone: they are not taken again before these are forgotten.
pub const MAX_TOMBSTONES: usize = 131_072;

/// Peers that died, of which the driver has yet to be told.
pub const MAX_GONE: usize = 1_024;

/// Members that are not known here and that others hold for Confirmed, remembered so that their services stay: as many
/// as die in a large ring while they count as dead; those on top lose their services here until they are known.
pub const MAX_DEAD_STRANGERS: usize = 16_384;

/// Members that are not known here and whose services stay dropped; those on top may be taken up once more.
pub const MAX_GHOSTS: usize = 16_384;

/// Members that can be gone for good at the same time, as far as one member remembers.
pub const MAX_EXILED: usize = 65_536;

/// Peers that did not get all they should have, remembered at the same time.
pub const MAX_DEBTORS: usize = 1_024;

/// The largest snapshot file that is written or read, bytes: a full table of members takes some 20 MiB, and
/// rumors may take ten times that; while it is read, twice as much memory is used.
pub const MAX_SNAPSHOT: u64 = 1 << 28;

/// How long after a change the next snapshot is written (PROTOCOL.md §4).
pub const SNAPSHOT_INTERVAL: Duration = Duration::from_secs(30);

/// Bad snapshot files that are kept for people to look at; the oldest goes first.
pub const MAX_BAD_SNAPSHOTS: usize = 3;

/// One log line at most in this time for each file that cannot be written: ten snapshots come and go in it.
pub const WRITE_LOG_INTERVAL: Duration = Duration::from_secs(300);

/// Bytes that a data directory keeps of what a member's user said of its tags: those, and the keys of others.
pub const MAX_TAGS_FILE: usize = 32 << 10;

/// Ring keys that a member holds at the same time: two while one is changed, and more by mistake.
pub const MAX_RING_KEYS: usize = 16;

/// Bytes that a data directory keeps of ring keys.
pub const MAX_KEYS_FILE: usize = 16 << 10;

/// The largest message of gossip that is taken or sent, bytes: the largest file (8 MiB) in its envelopes.
pub const MAX_GOSSIP_FRAME: usize = (8 << 20) + (64 << 10);

/// Peers that a member keeps connections to for its pushes: a full mesh of a small ring.
pub const MAX_PUSH_SOCKETS: usize = 64;

/// Connections that were closed while what they took was still leaving, or was not read by the peer, within
/// [`GOSSIP_LINGER`]; each has a descriptor.
pub const MAX_CLOSING_SOCKETS: usize = 256;

/// Messages that a peer's connection takes ahead of the system, if they are more than 16 KiB together: those count as
/// sent, so they are few; what does not fit waits.
pub const PUSH_HIGH_WATER: usize = 32;

/// Messages that wait for one peer: what a newcomer asks for at once.
pub const MAX_PEER_FRAMES: usize = 4_096;

/// Bytes that wait for one peer, and bytes that its connection takes ahead: one message of any size fits.
pub const MAX_PEER_BYTES: usize = MAX_GOSSIP_FRAME;

/// Bytes that have not left, for all peers: what `Timing::rumor_budget` lets go in one second.
pub const MAX_PUSH_BYTES: usize = 32 << 20;

/// How long a message waits for a peer that is not connected or takes nothing; gossip tries others.
pub const PUSH_GIVE_UP: Duration = Duration::from_secs(2);

/// How long a peer that has messages waiting keeps its place when a new peer wants it: many round trips.
pub const PUSH_GRACE: Duration = Duration::from_millis(250);

/// How long nothing may get through to a living peer until that is told: one that starts again, or is about to be found dead,
/// needs less.
pub const PUSH_UNREACHED: Duration = Duration::from_secs(30);

/// A connection to a peer that was not used for so long is closed.
pub const PUSH_IDLE: Duration = Duration::from_secs(60);

/// How long a closed connection may go on sending what it was given; stopping waits no longer than that.
pub const GOSSIP_LINGER: Duration = Duration::from_secs(1);

/// How long connecting for gossip may take, and then the handshake, in all: many round trips.
pub const GOSSIP_HANDSHAKE: Duration = Duration::from_secs(2);

/// How long the smallest message may take from its first byte to its last.
pub const GOSSIP_STALL: Duration = Duration::from_secs(10);

/// Bytes of a message that must come in each second beyond [`GOSSIP_STALL`].
pub const GOSSIP_FLOOR: usize = 64 << 10;

/// Connections to the gossip port: for more, those that matter least are closed.
pub const MAX_GOSSIP_CONNECTIONS: usize = 8_192;

/// Bytes of memory that unfinished messages of others take: beyond, the connection that holds most is cut. As they grow
/// side by side, the allocator takes up to six tenths more.
pub const MAX_PULL_BYTES: usize = 28 << 20;

/// Bytes of memory that they and what waits to leave take together, so that it all stays below 64 MiB.
pub const MAX_GOSSIP_BYTES: usize = 42 << 20;

/// How often a recording has a mark, which a replay must come to; what was recorded is handed to the disk as often.
pub const MARK_INTERVAL: Duration = Duration::from_secs(1);

/// Bytes of the file of a recording, unless another limit is configured: a month of a quiet ring of ten.
pub const MAX_RECORDING: u64 = 1 << 30;

/// Bytes of a recording that are handed to the disk at once, a last large input aside.
pub const RECORDED_CHUNK: usize = 64 << 10;

/// Bytes of a chunk of a recording: one with more is not written, and none that is read.
pub const MAX_RECORDED_CHUNK: usize = 32 << 20;

/// Bytes of a recording that wait for the disk: as many as a full store that is restored has, and a quarter more. With
/// more, the recording ends.
pub const MAX_RECORDING_WAITING: usize = MAX_RUMOR_BYTES + MAX_RUMOR_BYTES / 4;
