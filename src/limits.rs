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

/// Bytes of a member's name: enough for a host name's first label, little enough to ride in every message.
pub const MAX_NAME: usize = 32;

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

/// Accusers remembered for one suspicion: more than any timing asks for.
pub const MAX_ACCUSERS: usize = 4;

/// Suspects that are asked for their last word through others in one period; more are asked straight only, so that
/// the loss of half a ring, or a forged suspicion of all, is no storm of PingReqs.
pub const MAX_LAST_WORDS: usize = 32;

/// Suspects that a member may be about to probe as a witness; more displace the oldest.
pub const MAX_WITNESSED: usize = 8;

/// Claims that a member is dead, being checked at the same time; more are ignored until they come again.
pub const MAX_VERDICTS: usize = 1_024;

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

/// One log line at most in this time for each reason to drop a datagram.
pub const REJECT_LOG_INTERVAL: Duration = Duration::from_secs(10);

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

/// The largest rumor that is sent or taken, bytes, envelope aside: a file of 8 MiB and what names it.
pub const MAX_RUMOR: usize = (8 << 20) + 4_096;

/// Bytes of a service group's name.
pub const MAX_GROUP: usize = 256;

/// Bytes of a file's name.
pub const MAX_FILENAME: usize = 256;

/// Votes in one election: members of one service group.
pub const MAX_VOTES: usize = 4_096;

/// Rumors held: one service on each of a hundred thousand members, and more.
pub const MAX_RUMORS: usize = 131_072;

/// Bytes of all rumors held, so that nobody fills the memory with files; with all members they fit in
/// [`MAX_SNAPSHOT`].
pub const MAX_RUMOR_BYTES: usize = 192 << 20;

/// Rumors larger than this, bytes, are offered to peers that can ask for them, not pushed unasked.
pub const EAGER_RUMOR: usize = 8 << 10;

/// Pushes that wait to be taken by `poll_push`; who misses one on top gets it by comparing stores.
pub const MAX_QUEUED_PUSHES: usize = 65_536;

/// Rumors that were asked for and have not come yet.
pub const MAX_WANTED: usize = 16_384;

/// Tombstones of rumors that are gone: they are not taken again before these are forgotten.
pub const MAX_TOMBSTONES: usize = 131_072;

/// Peers that died, of which the driver has yet to be told.
pub const MAX_GONE: usize = 1_024;

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

/// The largest ZeroMQ frame that is taken or sent, bytes: the largest file (8 MiB) in its envelopes.
pub const MAX_GOSSIP_FRAME: usize = (8 << 20) + (64 << 10);

/// PUSH sockets that a member keeps open: a full mesh of a small ring, and 27 kB and two or three
/// descriptors each.
pub const MAX_PUSH_SOCKETS: usize = 64;

/// PUSH sockets closed within [`GOSSIP_LINGER`], each of which may still hold its descriptors and its place
/// in the context.
pub const MAX_CLOSING_SOCKETS: usize = 256;

/// ZeroMQ sockets that the members of one thread have together; descriptors run out earlier.
pub const MAX_CONTEXT_SOCKETS: u16 = 16_384;

/// Frames that ZeroMQ queues for one peer: little, as it counts frames and not bytes; what does not fit
/// waits with us, where bytes are counted.
pub const PUSH_HIGH_WATER: u16 = 32;

/// Frames that wait until ZeroMQ takes them, for one peer: what a newcomer asks for at once.
pub const MAX_PEER_FRAMES: usize = 4_096;

/// Bytes that wait until ZeroMQ takes them, for one peer: one frame of any size fits.
pub const MAX_PEER_BYTES: usize = MAX_GOSSIP_FRAME;

/// Bytes that wait until ZeroMQ takes them, for all peers.
pub const MAX_PUSH_BYTES: usize = 64 << 20;

/// How long a frame waits for a peer that is not connected or takes nothing; gossip tries others.
pub const PUSH_GIVE_UP: Duration = Duration::from_secs(2);

/// How long a peer that has frames waiting keeps its socket when a new peer wants it: many round trips.
pub const PUSH_GRACE: Duration = Duration::from_millis(250);

/// A PUSH socket that was not used for so long is closed.
pub const PUSH_IDLE: Duration = Duration::from_secs(60);

/// How long a closed socket may go on sending what it was given; stopping waits no longer than that.
pub const GOSSIP_LINGER: Duration = Duration::from_secs(1);

/// Messages that ZeroMQ queues from one connection before it stops reading it.
pub const PULL_HIGH_WATER: u16 = 1_000;

/// Connections to the gossip port: more are cut as they come.
pub const MAX_GOSSIP_CONNECTIONS: usize = 8_192;

/// How often the connections' bytes are looked at: what a stranger can send us in this time is what an
/// endless message may cost. With more than a thousand connections it takes longer, to stay cheap. After next to
/// nothing came, they are looked at when something comes: once in four times as long, or at the latest after
/// fifty times.
pub const GUARD_INTERVAL: Duration = Duration::from_millis(100);

/// Bytes that a connection may be ahead of the messages it delivered, beside one message: what the kernel
/// and ZeroMQ buffer.
pub const GUARD_SLACK: usize = 1 << 20;

/// Bytes that all connections together may be ahead of their messages, each one's slack aside.
pub const MAX_UNDELIVERED_BYTES: usize = 64 << 20;

/// Events about connections that one wake of the loop reads before others get their turn.
pub const CONNECTION_EVENTS_PER_WAKE: usize = 1_024;
