//! Butterfly.

pub mod config;
mod env;
pub mod error;
pub mod event;
mod journal;
pub mod limits;
pub mod lists;
pub mod member;
pub mod node;
pub mod stats;
mod swim;
pub mod time;
pub mod timer;
pub mod trace;
pub mod wire;

pub use config::{Config, Timing};
pub use error::Reject;
pub use event::{Cause, Event, SeedId};
pub use member::{Health, Incarnation, Member, MemberId};
pub use stats::Stats;
pub use time::Time;
pub use wire::{RingKey, RingKeyError};
