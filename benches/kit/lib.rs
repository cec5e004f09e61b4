//! What the benchmarks and the tests of allocations share.

pub mod args;
pub mod counting;
pub mod echo;
pub mod known;
pub mod machine;
pub mod measure;
pub mod plot;
pub mod report;
pub mod ring;
pub mod times;
pub mod world;
