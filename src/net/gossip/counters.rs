//! What is counted, and how large things are.

use super::cuts::Cut;
use super::options::Options;
use crate::stats::Gauge;

/// What a member's gossip sockets did since the start, and what they hold.
#[derive(Clone, Debug)]
pub struct GossipStats {
    counters: Counters,
    gauges: [Gauge; 7],
}

impl GossipStats {
    pub(super) fn new(counters: Counters, sizes: Sizes, options: &Options) -> Self {
        let gauge = Gauge::new;
        let frames = options.max_push_sockets * options.max_peer_frames;
        GossipStats {
            counters,
            gauges: [
                gauge("push_sockets", sizes.push_sockets, options.max_push_sockets),
                gauge("push_closing", sizes.closing, options.max_closing_sockets),
                gauge("push_queued_frames", sizes.queued_frames, frames),
                gauge(
                    "push_queued_bytes",
                    sizes.queued_bytes,
                    options.max_push_bytes,
                ),
                gauge("peers_unreached", sizes.broken, options.max_push_sockets),
                gauge("connections", sizes.connections, options.max_connections),
                gauge("connection_bytes", sizes.held_bytes, options.max_pull_bytes),
            ],
        }
    }

    /// All counters with their names, lowercase, words joined by `_`; they only grow.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        let counters = &self.counters;
        let plain = [
            ("frames_received", counters.received_frames),
            ("frame_bytes_received", counters.received_bytes),
            ("frames_sent", counters.sent_frames),
            ("frame_bytes_sent", counters.sent_bytes),
            ("connections_accepted", counters.accepted),
            ("connections_greeted", counters.greeted),
            ("connection_bytes_peak", counters.held_peak),
        ];
        let cuts = Cut::ALL.map(|why| (why.name(), counters.cut(why)));
        let refused = Refusal::ALL.map(|why| (why.name(), counters.refused(why)));
        plain.into_iter().chain(cuts).chain(refused)
    }

    /// How large things are, with their caps.
    pub fn gauges(&self) -> impl Iterator<Item = Gauge> + '_ {
        self.gauges.iter().copied()
    }
}

/// What happened since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::net) struct Counters {
    /// Messages that came whole, and their bytes.
    pub received_frames: u64,
    pub received_bytes: u64,
    /// Messages that a connected peer's connection took, and their bytes.
    pub sent_frames: u64,
    pub sent_bytes: u64,
    /// Messages that it did not take, by [`Refusal`].
    pub refused: [u64; Refusal::COUNT],
    /// Connections that came in.
    pub accepted: u64,
    /// Those of them that shook hands as PUSH sockets.
    pub greeted: u64,
    /// Connections that we closed, in both directions, by [`Cut`].
    pub cuts: [u64; Cut::COUNT],
    /// The most memory that unfinished messages took, bytes.
    pub held_peak: u64,
}

/// What there is now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::net) struct Sizes {
    /// Connections to others, and those closed that still linger.
    pub push_sockets: usize,
    pub closing: usize,
    /// Living peers with whom no connection has come about for long.
    pub broken: usize,
    /// Messages that wait until a connection takes them, and the bytes that have not left, lingering ones included.
    pub queued_frames: usize,
    pub queued_bytes: usize,
    /// Connections from others, and the memory that what came of messages takes.
    pub connections: usize,
    pub held_bytes: usize,
}

/// Why a frame was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::net) enum Refusal {
    /// Larger than any frame may be.
    TooLarge,
    /// Too much waits for this peer, or for all.
    QueueFull,
    /// The peer did not take it in time.
    TimedOut,
    /// Too many sockets are open to peers that still get something, or were closed just now.
    Busy,
    /// The system gave no socket.
    NoSocket,
    /// The peer's socket was closed: another peer needed it, or the peer is dead.
    Closed,
}

impl Refusal {
    pub const COUNT: usize = Refusal::ALL.len();

    pub const ALL: [Refusal; 6] = [
        Refusal::TooLarge,
        Refusal::QueueFull,
        Refusal::TimedOut,
        Refusal::Busy,
        Refusal::NoSocket,
        Refusal::Closed,
    ];

    /// Its counter's name.
    pub const fn name(self) -> &'static str {
        match self {
            Refusal::TooLarge => "refused_too_large",
            Refusal::QueueFull => "refused_queue_full",
            Refusal::TimedOut => "refused_timed_out",
            Refusal::Busy => "refused_busy",
            Refusal::NoSocket => "refused_no_socket",
            Refusal::Closed => "refused_closed",
        }
    }
}

impl Counters {
    pub(super) fn refuse(&mut self, why: Refusal) {
        if let Some(count) = self.refused.get_mut(why as usize) {
            *count += 1;
        }
    }

    /// Connections that were closed for this reason.
    pub(super) fn cut(&self, why: Cut) -> u64 {
        self.cuts.get(why.index()).copied().unwrap_or(0)
    }

    /// Frames that were not sent for this reason.
    pub fn refused(&self, why: Refusal) -> u64 {
        self.refused.get(why as usize).copied().unwrap_or(0)
    }
}
