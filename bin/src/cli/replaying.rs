//! The command lines of those that look into what was recorded.

use std::path::PathBuf;

use clap::Args;

use super::{EventFormat, Seconds};

pub const REPLAY: &str = "\
Examples:
  butterfly run --record amber.rec --name amber --peer 10.0.0.8:9638       records, until it ends
  butterfly replay amber.rec                                               what happened
  butterfly replay amber.rec --explain birch --until 90s
  butterfly replay amber.rec --ring-key ring-20261123120000.sym.key";

#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// The recording
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// A key that the member had; as often as it had others
    #[arg(long, value_name = "FILE")]
    pub ring_key: Vec<PathBuf>,
    /// Go so far only, from the beginning; with a unit, like 90s or 10m
    #[arg(long, value_name = "DURATION")]
    pub until: Option<Seconds>,
    /// Explain why a member is suspect, dead or gone at the end, instead of the events: its id, the beginning of it, or its name
    #[arg(long, value_name = "MEMBER")]
    pub explain: Option<String>,
    /// How to print
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub output: EventFormat,
}
