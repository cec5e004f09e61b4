//! The types that protobuf's generator makes of [Butterfly](https://docs.rs/butterfly-gossip)'s `.proto` files.
//!
//! The library itself reads and writes these messages with code of its own, which allocates nothing. This crate is for
//! programs that look into messages and snapshots, and for tests: it is what that code is held to.

/// `common.proto`: the envelope.
pub const COMMON_PROTO: &str = include_str!("../common.proto");
/// `swim.proto`: membership.
pub const SWIM_PROTO: &str = include_str!("../swim.proto");
/// `newscast.proto`: rumors.
pub const NEWSCAST_PROTO: &str = include_str!("../newscast.proto");

#[allow(missing_docs, clippy::all)]
mod proto {
    include!(concat!(env!("OUT_DIR"), "/proto/mod.rs"));
}

pub use proto::{common, newscast, swim};
