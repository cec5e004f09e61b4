//! Gossip through ZeroMQ's own sockets and descriptors, in the same poll: for trusted networks only. ZeroMQ counts
//! messages and not their parts, and reads before any code of ours runs, so nothing bounds what a stranger makes it
//! hold: 29 MB of empty parts become 930 MB.

mod link;
mod pull;
mod watched;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use mio::Registry;

pub(super) use super::link::Seen;
pub(super) use link::{Lingering, Link};
pub(super) use pull::Inbox;

/// Whether libzmq, which the package `zmq-sys` builds from source, was built with what Linux has. Left to itself it knows of
/// no eventfd, no close-on-exec, no TCP keepalive, and goes by a clock that jumps with the wall clock's. Only the
/// environment reaches that build, and only of this workspace's builds is it set for (.cargo/config.toml): any other
/// must not end in such a library in silence.
const KNOWS_LINUX: bool = match option_env!("CXXFLAGS") {
    Some(flags) => contains(flags.as_bytes(), b"-DZMQ_HAVE_EVENTFD=1"),
    None => false,
};

const fn contains(text: &[u8], word: &[u8]) -> bool {
    let mut start = 0;
    while start + word.len() <= text.len() {
        let mut same = 0;
        while same < word.len() && text[start + same] == word[same] {
            same += 1;
        }
        if same == word.len() {
            return true;
        }
        start += 1;
    }
    false
}

const _: () = assert!(
    KNOWS_LINUX || !cfg!(target_os = "linux"),
    "the feature `zmq`: set CXXFLAGS as docs/guides/embedding.md has it (\"ZeroMQ's flags\"), or libzmq is built without eventfd, close-on-exec and TCP keepalive"
);

/// What sockets are opened with. Its last owner waits until they have lingered.
pub(super) type Home = Arc<Shared>;

/// A member's context and poll.
pub(super) struct Shared {
    context: zmq::Context,
    registry: Registry,
}

pub(super) fn home(registry: &Registry) -> io::Result<Home> {
    Ok(Arc::new(Shared {
        context: zmq::Context::new(),
        registry: registry.try_clone()?,
    }))
}

/// Milliseconds, as ZeroMQ wants them.
fn millis(time: Duration) -> i32 {
    i32::try_from(time.as_millis()).unwrap_or(i32::MAX)
}
