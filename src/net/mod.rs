//! Driver 1: one mio poll over the UDP socket, gossip's TCP sockets and the node's deadlines, single-threaded.

mod bind;
mod butterfly;
#[allow(unsafe_code)]
mod ffi;
mod gossip;
mod handle;
mod inbox;
mod injector;
#[cfg(test)]
pub(crate) mod logged;
mod outbox;
mod pinger;
mod rumors;
mod snapshot;
mod socket;
mod trace_file;
mod wake_timer;

pub use bind::BindError;
pub use butterfly::Butterfly;
pub use ffi::trim_memory;
pub use gossip::GossipStats;
pub use handle::Handle;
pub use injector::{InjectError, Injector};
pub use pinger::{Pinger, Pong};
