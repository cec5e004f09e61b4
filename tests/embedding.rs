//! What it costs a program to have members in its loop: descriptors, threads, wakes; and what is left
//! of them afterwards.
//!
//! Descriptors and threads are the whole process's, so these tests run one at a time.

#![cfg(feature = "gossip")]

use std::sync::{Mutex, MutexGuard, PoisonError};

#[path = "embedding/crowd.rs"]
mod crowd;
#[cfg(feature = "disk")]
#[path = "embedding/drops.rs"]
mod drops;
#[path = "embedding/fleet.rs"]
mod fleet;
#[allow(dead_code)]
mod harness;
#[path = "embedding/process.rs"]
mod process;
#[path = "embedding/wakes.rs"]
mod wakes;

fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}
