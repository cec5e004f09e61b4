//! The command lines of those that look into what was recorded.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::{EXIT_CODES, EventFormat, Seconds, long, seconds};

pub const REPLAY: &str = "\
Examples:
  butterfly run --record amber.rec --name amber --peer 10.0.0.8:9638       records, until it ends
  butterfly replay amber.rec                                               what happened
  butterfly replay amber.rec --explain birch --until 90s
  butterfly replay amber.rec --ring-key ring-20261123120000.sym.key
  butterfly replay amber.rec --diagram --until 10s > amber.mmd";

pub const TRACE: &str = "\
Examples:
  butterfly trace draw /tmp/habitat-swim-trace --out ring.svg
  butterfly trace draw /tmp/habitat-swim-trace --member birch --from 12s --until 15s --out birch.html
  butterfly trace draw amber.rec birch.rec --out ring.html
  butterfly trace draw amber.rec > amber.mmd                   Mermaid, as pages and pull requests show it

TRACE_SWIM=1 has a member write trace files; a message that a member wrote of and its receiver, which writes, too, did not, is lost.";

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
    /// Print a sequence diagram in Mermaid's language, instead of the events: `trace draw` makes others
    #[arg(long, conflicts_with_all = ["explain", "output"])]
    pub diagram: bool,
    /// How to print
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub output: EventFormat,
}

#[derive(Debug, Args)]
pub struct TraceArgs {
    #[command(subcommand)]
    pub command: TraceCommand,
}

#[derive(Debug, Subcommand)]
pub enum TraceCommand {
    /// Draw who sent what to whom, from trace files or recordings: lost and late messages, too
    #[command(after_help = EXIT_CODES, after_long_help = long(TRACE, EXIT_CODES))]
    Draw(DrawArgs),
}

#[derive(Debug, Args)]
pub struct DrawArgs {
    /// Directories of trace files, trace files, or recordings
    #[arg(value_name = "DIR|RECORDING", required = true)]
    pub paths: Vec<PathBuf>,
    /// The file to write, as its name ends: .svg, .html or .mmd (Mermaid) [default: Mermaid to standard output]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Only what this member did, sent or was sent: its name, its id or the beginning of it; as often as you like
    #[arg(long, value_name = "MEMBER")]
    pub member: Vec<String>,
    /// Begin so long after the first line; with a unit, like 1.5s or 10m
    #[arg(long, value_name = "DURATION")]
    pub from: Option<Seconds>,
    /// End so long after the first line
    #[arg(long, value_name = "DURATION")]
    pub until: Option<Seconds>,
    /// A message that took longer is late; or with a unit, like 20ms
    #[arg(long, value_name = "SECONDS", default_value = "0.1", value_parser = seconds)]
    pub late: Duration,
    /// A key that a recorded member had; as often as there are others
    #[arg(long, value_name = "FILE")]
    pub ring_key: Vec<PathBuf>,
}
