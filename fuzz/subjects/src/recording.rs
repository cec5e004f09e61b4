//! Recordings: whatever a file says, a replay of it ends, and the node keeps its bounds.

use butterfly::node::{Replay, ReplayError, Step};
use butterfly::recording::{MAGIC, chunk_head};

use crate::node::check_sizes;

/// More than any input has.
const MOST_STEPS: usize = 20_000;

/// The bytes as a file, and as the records of one chunk, whose checksum is right.
pub fn recording(data: &[u8]) {
    play(data);
    let mut file = MAGIC.to_vec();
    file.extend_from_slice(&chunk_head(data));
    file.extend_from_slice(data);
    play(&file);
}

fn play(file: &[u8]) {
    let mut replay = Replay::new(Vec::new());
    replay.set_tracing(file.len().is_multiple_of(2));
    replay.feed(file);
    for _ in 0..MOST_STEPS {
        match replay.step() {
            // What follows may be as it was recorded, or not.
            Ok(Step::Done | Step::Event(_) | Step::Mark | Step::Ended(_)) => {}
            Err(ReplayError::Differs { .. } | ReplayError::BadOrder) => {}
            Ok(_) | Err(_) => break,
        }
        while replay.poll_trace().is_some() {}
    }
    let _ = replay.finish();
    if let Some(node) = replay.node() {
        check_sizes(node);
    }
}
