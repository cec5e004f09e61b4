//! The command line of user events.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::{EXIT_CODES, GatewayArgs, long, seconds};

pub const EVENT: &str = "\
Examples:
  butterfly event send deploy 'web 1.4.2'
  butterfly event send motd - < /etc/motd          the payload from standard input
  butterfly event send reload --coalesce           of several within a second, the last
  butterfly events --kind user                     follows them
  butterfly run --on 'user:deploy=/etc/butterfly/deploy'
All living members get it once, those of one sender in its order; what runs Habitat's implementation does not.";

#[derive(Debug, Args)]
pub struct EventArgs {
    #[command(subcommand)]
    pub command: EventCommand,
}

#[derive(Debug, Subcommand)]
pub enum EventCommand {
    /// Send an event to all members
    #[command(after_help = EXIT_CODES, after_long_help = long(EVENT, EXIT_CODES))]
    Send(EventSendArgs),
}

#[derive(Debug, Args)]
pub struct EventSendArgs {
    /// What it is about: 1 to 64 bytes without spaces, = and commas
    #[arg(value_name = "NAME")]
    pub name: String,
    /// At most 64 KiB; - reads it from standard input
    #[arg(value_name = "PAYLOAD|-", allow_hyphen_values = true)]
    pub payload: Option<String>,
    /// How long members that start later get it, too: 1 to 600; or with a unit, like 5m
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    pub ttl: Duration,
    /// Of several of this name within a second, members get only the last
    #[arg(long)]
    pub coalesce: bool,
    #[command(flatten)]
    pub gateway: GatewayArgs,
}
