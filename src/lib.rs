//! Butterfly: SWIM membership and newscast-inspired gossip.

pub mod lists;
pub mod time;
pub mod timer;
