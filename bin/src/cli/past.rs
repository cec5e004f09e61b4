//! The command lines of those that look at what happens, and what happened.

use clap::{Args, ValueEnum};

use super::{GatewayArgs, OutputArgs, Seconds};
use crate::events::Kinds;

pub const EVENTS: &str = "\
Examples:
  butterfly events
  butterfly events --since 10m --kind suspect,confirmed
  butterfly events -o ndjson | jq -r 'select(.kind == \"leader\") | .group'";

pub const HISTORY: &str = "\
Examples:
  butterfly history
  butterfly history web-2 --since 1h
  butterfly history -o ndjson | jq -r 'select(.kind == \"probe_failed\") | .probe'";

pub const EXPLAIN: &str = "\
Examples:
  butterfly explain web-2
  butterfly explain web-2 -o json | jq -r .likely
  butterfly explain web-2 --http 10.0.0.7:9631       what another member knows of it";

#[derive(Debug, Args)]
pub struct EventsArgs {
    /// Begin with what happened so long ago, as far as it is kept (1,024 events or 256 KiB); with a unit, like 30s or 10m
    #[arg(long, value_name = "DURATION")]
    pub since: Option<Seconds>,
    /// Only these kinds, as in alive,suspect,confirmed,departed; others are moved, renamed, restarted, leader, service, config, file, election,
    /// departure, gone, isolated, reconnected, refuted, lagged, address, rejected, conflict, overruled, other_ring, new_id,
    /// expelled, left
    #[arg(long, value_name = "KIND,…")]
    pub kind: Option<Kinds>,
    /// How to print
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub output: EventFormat,
    #[command(flatten)]
    pub gateway: GatewayArgs,
}

/// How events are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum EventFormat {
    /// For people, a line each
    Table,
    /// For programs: JSON, a line each
    Ndjson,
}

#[derive(Debug, Args)]
pub struct HistoryArgs {
    /// Only what is about this member: its id, the beginning of it, or its name
    #[arg(value_name = "MEMBER")]
    pub member: Option<String>,
    /// Begin with what happened so long ago; with a unit, like 30s or 10m
    #[arg(long, value_name = "DURATION")]
    pub since: Option<Seconds>,
    /// How to print
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub output: EventFormat,
    #[command(flatten)]
    pub gateway: GatewayArgs,
}

#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// Its id, the beginning of it, or its name
    #[arg(value_name = "MEMBER")]
    pub member: String,
    #[command(flatten)]
    pub output: OutputArgs,
    #[command(flatten)]
    pub gateway: GatewayArgs,
}
