//! How the sockets behave; the defaults are what members use.

use std::time::Duration;

use crate::limits::{
    GOSSIP_LINGER, GUARD_INTERVAL, GUARD_SLACK, MAX_CLOSING_SOCKETS, MAX_GOSSIP_CONNECTIONS,
    MAX_GOSSIP_FRAME, MAX_PEER_BYTES, MAX_PEER_FRAMES, MAX_PUSH_BYTES, MAX_PUSH_SOCKETS,
    MAX_UNDELIVERED_BYTES, PULL_HIGH_WATER, PUSH_GIVE_UP, PUSH_GRACE, PUSH_HIGH_WATER, PUSH_IDLE,
};

/// See the constants in [`crate::limits`] for the reasons.
#[derive(Clone, Debug)]
pub(in crate::net) struct Options {
    pub max_frame: usize,
    pub max_push_sockets: usize,
    pub max_closing_sockets: usize,
    pub max_peer_frames: usize,
    pub max_peer_bytes: usize,
    pub max_push_bytes: usize,
    pub max_connections: usize,
    pub max_undelivered_bytes: usize,
    pub push_high_water: u16,
    pub pull_high_water: u16,
    pub give_up: Duration,
    pub grace: Duration,
    pub idle: Duration,
    pub linger: Duration,
    pub guard_interval: Duration,
    pub guard_slack: usize,
    /// A connection to a peer ends when what was sent on it is not acknowledged for so long. Nothing has to be
    /// asked for that, but something to be sent, and not every system does it.
    pub unacknowledged: Duration,
    /// So each connection is asked for a sign of life this often, too: seldom, as it wakes both ends, and never
    /// if it is used once and closed when idle,
    pub heartbeat: Duration,
    /// and is closed if none comes in this time. TCP's own keepalive may be absent.
    pub heartbeat_timeout: Duration,
    /// How long ZeroMQ's handshake may take.
    pub handshake: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            max_frame: MAX_GOSSIP_FRAME,
            max_push_sockets: MAX_PUSH_SOCKETS,
            max_closing_sockets: MAX_CLOSING_SOCKETS,
            max_peer_frames: MAX_PEER_FRAMES,
            max_peer_bytes: MAX_PEER_BYTES,
            max_push_bytes: MAX_PUSH_BYTES,
            max_connections: MAX_GOSSIP_CONNECTIONS,
            max_undelivered_bytes: MAX_UNDELIVERED_BYTES,
            push_high_water: PUSH_HIGH_WATER,
            pull_high_water: PULL_HIGH_WATER,
            give_up: PUSH_GIVE_UP,
            grace: PUSH_GRACE,
            idle: PUSH_IDLE,
            linger: GOSSIP_LINGER,
            guard_interval: GUARD_INTERVAL,
            guard_slack: GUARD_SLACK,
            unacknowledged: Duration::from_secs(20),
            heartbeat: PUSH_IDLE * 3 / 2,
            heartbeat_timeout: Duration::from_secs(20),
            handshake: Duration::from_secs(2),
        }
    }
}

/// Milliseconds, as ZeroMQ wants them.
pub(super) fn millis(time: Duration) -> i32 {
    i32::try_from(time.as_millis()).unwrap_or(i32::MAX)
}
