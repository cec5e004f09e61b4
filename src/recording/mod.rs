//! A recording: every input of a [`Node`](crate::Node) as it came, so that the same node can be run through it again.
//!
//! | file | subject |
//! |---|---|
//! | `code` | values ⇄ bytes |
//! | `nouns` | the configuration, and what commands carry |
//! | `input` | every call that changes a node |
//! | `tape` | inputs → bytes |
//! | `reader` | chunks of a file → inputs |
//!
//! docs/reference/recording.md describes the file. [`Replay`](crate::node::Replay) plays it.

mod code;
mod input;
mod nouns;
mod reader;
mod tape;

pub(crate) use input::Input;
pub(crate) use nouns::{Beginning, KeyId};
pub(crate) use reader::Reader;
pub use reader::{CHUNK_HEAD, Damage, chunk_head};
pub use tape::{End, MAGIC};
pub(crate) use tape::{EventSum, Mark, Record, Tape};
