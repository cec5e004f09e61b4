//! Driver 1: one mio poll over the UDP socket and the node's deadlines, single-threaded.

mod butterfly;
mod handle;
mod injector;
mod pinger;
mod rumors;
mod socket;
mod trace_file;

pub use butterfly::{BindError, Butterfly};
pub use handle::{Command, Handle};
pub use injector::{InjectError, Injector};
pub use pinger::{Pinger, Pong};
