//! Rings of real members on loopback that gossip: what one says, all hold, whatever happens on the way.

#![cfg(feature = "gossip")]

#[path = "meshes/crowd.rs"]
mod crowd;
#[cfg(feature = "disk")]
#[path = "meshes/disk.rs"]
mod disk;
#[path = "meshes/elections.rs"]
mod elections;
#[allow(dead_code)]
mod harness;
#[cfg(not(feature = "zmq"))] // ZeroMQ's sockets do not keep pushes apart: docs/explanation/gossip.md.
#[path = "meshes/rings.rs"]
mod rings;
#[path = "meshes/spread.rs"]
mod spread;
#[path = "meshes/strangers.rs"]
mod strangers;
#[path = "meshes/support.rs"]
mod support;
