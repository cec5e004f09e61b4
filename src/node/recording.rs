//! A [`Node`] that writes all calls that change it to a tape, for a [`Replay`](super::Replay).

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use super::Node;
use crate::config::NodeConfig;
use crate::recording::{Beginning, End, Input, KeyId, Tape};
#[cfg(feature = "gossip")]
use crate::rumor::UserEvent;
use crate::time::Time;
#[cfg(feature = "gossip")]
use crate::wire;

/// Recording.
impl Node {
    /// As [`new`](Node::new), and records all that it is told from now on. The driver's time zero is so long after 1970.
    /// [`poll_recorded`](Node::poll_recorded) has to be called often, as what it gives is kept until then.
    pub fn new_recorded(config: NodeConfig, now: Time, zero: Duration) -> Self {
        let beginning = Beginning {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            zero,
            now,
            keys: config.ring_keys.iter().map(KeyId::of).collect(),
            config: NodeConfig {
                ring_keys: Vec::new(),
                ..config.clone()
            },
        };
        let mut node = Node::new(config, now);
        node.tape = Some(Box::new(Tape::new(beginning)));
        node
    }

    /// The next chunk of a recording: a file has [`MAGIC`](crate::recording::MAGIC), and then each chunk behind its
    /// [head](crate::recording::chunk_head). Chunks are large; [`cut_recording`](Node::cut_recording) ends one early.
    pub fn poll_recorded(&mut self) -> Option<Vec<u8>> {
        self.tape.as_mut()?.poll_chunk()
    }

    /// Has what was recorded up to now be a chunk.
    pub fn cut_recording(&mut self) {
        if let Some(tape) = &mut self.tape {
            tape.cut();
        }
    }

    /// Gives back the buffer of a chunk, to be used again.
    pub fn reuse_recorded(&mut self, chunk: Vec<u8>) {
        if let Some(tape) = &mut self.tape {
            tape.reuse(chunk);
        }
    }

    /// Records the state once more, and that this is the end: the last chunks. `None`: nothing is recorded.
    pub fn end_recording(&mut self, why: End) -> Option<impl Iterator<Item = Vec<u8>> + use<>> {
        let state = self.checkpoint();
        let mut tape = self.tape.take()?;
        tape.mark(self.env.wall, state);
        tape.end(why);
        tape.cut();
        Some(std::iter::from_fn(move || tape.poll_chunk()))
    }

    /// Whether it records what it is told.
    pub fn is_recording(&self) -> bool {
        self.tape.is_some()
    }

    /// Whether anything was recorded since the last chunk.
    pub(crate) fn has_recorded(&self) -> bool {
        self.tape.as_ref().is_some_and(|tape| tape.has_more())
    }

    /// Notes a call, at this time if it has one, before it has any effect.
    #[inline]
    pub(super) fn record<'a>(
        &mut self,
        time: impl Into<Option<Time>>,
        input: impl FnOnce() -> Input<'a>,
    ) {
        if let Some(tape) = &mut self.tape {
            tape.input(time.into(), &input());
        }
    }

    /// Notes what stands for the state, now and then.
    #[inline]
    pub(super) fn record_mark(&mut self, now: Time) {
        if self.tape.as_ref().is_some_and(|tape| tape.is_due(now)) {
            let state = self.checkpoint();
            if let Some(tape) = &mut self.tape {
                tape.mark(now, state);
            }
        }
    }

    /// An event as it is recorded: on a sealed ring its payload is sealed, as it may be a key that the ring is given.
    #[cfg(feature = "gossip")]
    pub(super) fn sealed_event(&self, event: &UserEvent) -> UserEvent {
        let mut event = event.clone();
        if let Some(key) = self.keys.first() {
            let (nonce, mut sealed) = (key.nonce_of(&event.payload), Vec::new());
            wire::seal_into(Some((key, nonce)), &event.payload, &mut sealed);
            event.payload = sealed;
        }
        event
    }

    /// Stands for what decides what it will do, and the time. Other dice show in what follows.
    pub(super) fn checkpoint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.fingerprint(), self.env.now).hash(&mut hasher);
        hasher.finish()
    }
}
