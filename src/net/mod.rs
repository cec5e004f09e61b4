//! Driver 1: one mio poll over the UDP socket, gossip's TCP sockets and the node's deadlines, single-threaded.

#[cfg(feature = "tokio")]
mod async_member;
mod bind;
mod butterfly;
mod complaints;
mod error_queue;
#[allow(unsafe_code)]
mod ffi;
mod fleet;
#[cfg(feature = "gossip")]
mod gossip;
mod handle;
mod inbox;
#[cfg(feature = "gossip")]
mod injector;
#[cfg(feature = "disk")]
mod kept;
#[cfg(test)]
pub(crate) mod logged;
#[cfg(not(feature = "gossip"))]
mod no_rumors;
mod outbox;
#[cfg(any(target_os = "linux", target_os = "android"))]
mod packet_info;
mod pinger;
mod recorder;
#[cfg(feature = "gossip")]
mod rumors;
mod seeds;
mod sending;
mod snapshot;
mod socket;
mod trace_file;
mod wake_timer;

#[cfg(not(feature = "gossip"))]
use no_rumors as rumors;

#[cfg(feature = "tokio")]
pub use async_member::{AsyncHandle, AsyncMember};
pub use bind::BindError;
pub use butterfly::Butterfly;
pub use ffi::trim_memory;
pub use fleet::{Fleet, FleetKey};
#[cfg(feature = "gossip")]
pub use gossip::GossipStats;
pub use handle::Handle;
#[cfg(feature = "gossip")]
pub use injector::{InjectError, Injector};
pub use pinger::{Pinger, Pong};
pub use seeds::{Answer, Resolve, Seed, SystemResolver};
