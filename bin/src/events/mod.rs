//! What happens to a member, for those who follow it.

mod command;
mod feed;
mod row;
mod telling;

pub use command::{events, shown};
pub use feed::{EventId, Feed, Kinds, Reader, Start};
#[cfg(test)]
pub use row::is_kind;
pub use row::{EventRow, Says};
pub use telling::{Teller, was};
