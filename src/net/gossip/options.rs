//! How the sockets behave; the defaults are what members use.

use std::time::Duration;

use crate::limits::{
    GOSSIP_FLOOR, GOSSIP_HANDSHAKE, GOSSIP_LINGER, GOSSIP_STALL, MAX_CLOSING_SOCKETS,
    MAX_GOSSIP_BYTES, MAX_GOSSIP_CONNECTIONS, MAX_GOSSIP_FRAME, MAX_PEER_BYTES, MAX_PEER_FRAMES,
    MAX_PULL_BYTES, MAX_PUSH_BYTES, MAX_PUSH_SOCKETS, PUSH_GIVE_UP, PUSH_GRACE, PUSH_HIGH_WATER,
    PUSH_IDLE, PUSH_UNREACHED,
};

/// See the constants in [`crate::limits`] for the reasons.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "zmq", allow(dead_code))] // ZeroMQ bounds less.
pub(in crate::net) struct Options {
    /// Stands for the name of the member's ring, 0 if it has none; `None`: whoever is no member pushes to any.
    pub ring: Option<u32>,
    pub max_frame: usize,
    pub max_push_sockets: usize,
    pub max_closing_sockets: usize,
    pub max_peer_frames: usize,
    pub max_peer_bytes: usize,
    pub max_push_bytes: usize,
    pub max_connections: usize,
    pub max_pull_bytes: usize,
    /// In both directions.
    pub max_bytes: usize,
    pub push_high_water: usize,
    pub give_up: Duration,
    pub grace: Duration,
    /// How long nothing may get through to a living peer until that is told.
    pub unreached: Duration,
    pub idle: Duration,
    pub linger: Duration,
    /// The pauses between attempts to connect: the first, and the longest.
    pub reconnect: (Duration, Duration),
    /// A connection to a peer ends when what was sent on it is not acknowledged for so long. Nothing has to be
    /// asked for that, but something to be sent, and not every system does it.
    pub unacknowledged: Duration,
    /// So each connection on which nothing came for so long is asked for a sign of life, too: seldom, as it wakes
    /// both ends, and never if it is used once and closed when idle,
    pub heartbeat: Duration,
    /// and is closed if none comes in this time. TCP's own keepalive may be absent.
    pub heartbeat_timeout: Duration,
    /// How long connecting may take, and then the handshake.
    pub handshake: Duration,
    /// How long a frame may take, however small,
    pub stall: Duration,
    /// and how many of its bytes must come in a second beyond that.
    pub floor: usize,
}

/// A kept connection is asked for a sign of life so many times more seldom: its end is told by the peer's kernel, and one
/// whose host is gone only takes a place.
const KEPT: u32 = 10;

impl Options {
    /// For how long nothing may come before a sign of life is asked for.
    pub(super) fn silence(&self, is_kept: bool) -> Duration {
        self.heartbeat * if is_kept { KEPT } else { 1 }
    }
}

impl Default for Options {
    fn default() -> Self {
        Options {
            ring: None,
            max_frame: MAX_GOSSIP_FRAME,
            max_push_sockets: MAX_PUSH_SOCKETS,
            max_closing_sockets: MAX_CLOSING_SOCKETS,
            max_peer_frames: MAX_PEER_FRAMES,
            max_peer_bytes: MAX_PEER_BYTES,
            max_push_bytes: MAX_PUSH_BYTES,
            max_connections: MAX_GOSSIP_CONNECTIONS,
            max_pull_bytes: MAX_PULL_BYTES,
            max_bytes: MAX_GOSSIP_BYTES,
            push_high_water: PUSH_HIGH_WATER,
            give_up: PUSH_GIVE_UP,
            grace: PUSH_GRACE,
            unreached: PUSH_UNREACHED,
            idle: PUSH_IDLE,
            linger: GOSSIP_LINGER,
            reconnect: (Duration::from_millis(100), Duration::from_secs(5)),
            unacknowledged: Duration::from_secs(20),
            heartbeat: PUSH_IDLE * 3 / 2,
            heartbeat_timeout: Duration::from_secs(20),
            handshake: GOSSIP_HANDSHAKE,
            stall: GOSSIP_STALL,
            floor: GOSSIP_FLOOR,
        }
    }
}
