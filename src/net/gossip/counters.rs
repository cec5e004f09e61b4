//! What is counted, and how large things are.

use super::options::Options;
use crate::stats::Gauge;

/// What a member's gossip sockets did since the start, and what they hold.
#[derive(Clone, Debug)]
pub struct GossipStats {
    counters: Counters,
    gauges: [Gauge; 5],
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
                gauge("connections", sizes.connections, options.max_connections),
            ],
        }
    }

    /// All counters with their names, lowercase, words joined by `_`; they only grow.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        let counters = &self.counters;
        let plain = [
            ("frames_received", counters.received_frames),
            ("frame_bytes_received", counters.received_bytes),
            ("multipart_dropped", counters.multipart_dropped),
            ("frames_sent", counters.sent_frames),
            ("frame_bytes_sent", counters.sent_bytes),
            ("connections_accepted", counters.accepted),
            ("connections_greeted", counters.greeted),
            ("connections_cut_endless", counters.cut_endless),
            ("connections_cut_surplus", counters.cut_surplus),
        ];
        let refused = Refusal::ALL.map(|why| (why.name(), counters.refused(why)));
        plain.into_iter().chain(refused)
    }

    /// How large things are, with their caps.
    pub fn gauges(&self) -> impl Iterator<Item = Gauge> + '_ {
        self.gauges.iter().copied()
    }
}

/// What happened since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::net) struct Counters {
    /// Frames that came in whole messages of one frame, and their bytes.
    pub received_frames: u64,
    pub received_bytes: u64,
    /// Messages of several frames, which nobody of ours sends: dropped.
    pub multipart_dropped: u64,
    /// Frames that ZeroMQ took, and their bytes.
    pub sent_frames: u64,
    pub sent_bytes: u64,
    /// Frames that it did not take, by [`Refusal`].
    pub refused: [u64; Refusal::COUNT],
    /// Connections that came in.
    pub accepted: u64,
    /// Those of them that turned out to speak ZMTP 3 and to push; the others' bytes came to nothing.
    pub greeted: u64,
    /// Connections cut since they sent what was never delivered.
    pub cut_endless: u64,
    /// Connections cut since there were too many.
    pub cut_surplus: u64,
}

/// What there is now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::net) struct Sizes {
    /// Open PUSH sockets, and those closed of late that may still linger.
    pub push_sockets: usize,
    pub closing: usize,
    /// Frames that wait until ZeroMQ takes them, and their bytes.
    pub queued_frames: usize,
    pub queued_bytes: usize,
    /// Connections from others.
    pub connections: usize,
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

    /// Frames that were not sent for this reason.
    pub fn refused(&self, why: Refusal) -> u64 {
        self.refused.get(why as usize).copied().unwrap_or(0)
    }
}
