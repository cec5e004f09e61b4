//! What the fuzzers call: each subject takes any bytes, and panics if something does not hold that has to.
//!
//! `fuzz/fuzz_targets` gives them to libFuzzer; `tests/corpus.rs` here replays the corpus on any toolchain.

mod input;
mod key;
mod node;
mod recording;
mod said;
mod snapshot;
mod trace;
mod zmtp;

pub use butterfly_bin::fuzz::gateway;
pub use key::key;
pub use node::node;
pub use recording::recording;
pub use snapshot::snapshot;
pub use trace::trace;
pub use zmtp::zmtp;

/// A subject, by the name of its corpus.
pub type Subject = (&'static str, fn(&[u8]));

/// All of them.
pub const SUBJECTS: [Subject; 7] = [
    ("gateway", gateway),
    ("key", key),
    ("node", node),
    ("recording", recording),
    ("snapshot", snapshot),
    ("trace", trace),
    ("zmtp", zmtp),
];
