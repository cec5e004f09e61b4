//! The data directory: what it keeps, and what becomes of damage.

#![cfg(feature = "disk")]

#[cfg(feature = "sim")]
mod damage;
mod dir;
mod snapshot;
