//! Rings in the simulator.

#![cfg(feature = "sim")]

mod chaos;
mod deaf;
mod disks;
mod elections;
mod faults;
mod forgetting;
mod ghosts;
mod gone;
mod gossip;
mod healing;
mod history;
mod isolation;
mod membership;
mod queries;
mod recording;
mod replay;
mod rings;
mod strangers;
mod twins;
mod user_events;
