//! Butterfly.

pub mod config;
mod disk;
mod env;
pub mod error;
pub mod event;
mod journal;
pub mod limits;
pub mod lists;
pub mod member;
mod net;
pub mod node;
pub mod sim;
pub mod stats;
mod swim;
pub mod time;
pub mod timer;
pub mod trace;
pub mod wire;

pub use config::{Config, Timing};
pub use disk::DiskError;
pub use error::{CommandError, Reject};
pub use event::{Cause, Event, SeedId};
pub use member::{Health, Incarnation, Member, MemberId};
pub use net::{BindError, Butterfly, Command, Handle, Pinger, Pong};
pub use node::{HealthCounts, MemberView, Node, SuspicionView};
pub use stats::Stats;
pub use time::Time;
pub use wire::{RingKey, RingKeyError};
