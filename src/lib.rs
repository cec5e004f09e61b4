//! Butterfly (this front door is a placeholder of the `wire` room).

pub mod config;
pub mod error;
pub mod limits;
pub mod member;
pub mod time;
pub mod wire;

pub use config::{Config, Timing};
