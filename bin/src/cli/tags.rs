//! The command line of tags.

use clap::{Args, Subcommand};

use super::{EXIT_CODES, GatewayArgs, OutputArgs, long};
use crate::tags::Tag;

pub const TAG: &str = "\
Examples:
  butterfly tag set role=web rack=7
  butterfly tag delete rack
  butterfly tag list
  butterfly members --tag role=web
With a data directory they are kept, and count more than --tag when the member starts again.";

#[derive(Debug, Args)]
pub struct TagArgs {
    #[command(subcommand)]
    pub command: TagCommand,
}

#[derive(Debug, Subcommand)]
pub enum TagCommand {
    /// Set tags of a running member
    #[command(after_help = EXIT_CODES, after_long_help = long(TAG, EXIT_CODES))]
    Set(TagSetArgs),
    /// Delete tags of a running member
    #[command(after_help = EXIT_CODES, after_long_help = long(TAG, EXIT_CODES))]
    Delete(TagDeleteArgs),
    /// List the tags of a running member
    #[command(after_help = EXIT_CODES, after_long_help = long(TAG, EXIT_CODES))]
    List(TagListArgs),
}

#[derive(Debug, Args)]
pub struct TagSetArgs {
    /// The tags; all of a member have at most 4 KiB
    #[arg(value_name = "KEY=VALUE", required = true)]
    pub tags: Vec<Tag>,
    #[command(flatten)]
    pub gateway: GatewayArgs,
}

#[derive(Debug, Args)]
pub struct TagDeleteArgs {
    /// The keys of the tags
    #[arg(value_name = "KEY", required = true)]
    pub keys: Vec<String>,
    #[command(flatten)]
    pub gateway: GatewayArgs,
}

#[derive(Debug, Args)]
pub struct TagListArgs {
    #[command(flatten)]
    pub output: OutputArgs,
    #[command(flatten)]
    pub gateway: GatewayArgs,
}
