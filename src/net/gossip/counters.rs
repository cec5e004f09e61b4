//! What is counted, and how large things are.

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
    /// Open PUSH sockets.
    pub push_sockets: usize,
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
    pub const COUNT: usize = 6;
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
