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
