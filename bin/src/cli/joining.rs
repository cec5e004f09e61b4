//! The command line of whom a member asks for its ring.

use std::time::Duration;

use clap::Args;

use super::{GatewayArgs, seconds};

#[derive(Debug, Args)]
pub struct JoinArgs {
    /// Peers to ask, or srv:NAME
    #[arg(value_name = "HOST:PORT", required = true)]
    pub peers: Vec<String>,
    /// How long to wait at most until all have answered; or with a unit, like 2m
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    pub timeout: Duration,
    #[command(flatten)]
    pub gateway: GatewayArgs,
}

#[derive(Debug, Args)]
pub struct UnjoinArgs {
    /// Peers to ask no more, as they were given
    #[arg(value_name = "HOST:PORT", required = true)]
    pub peers: Vec<String>,
    #[command(flatten)]
    pub gateway: GatewayArgs,
}
