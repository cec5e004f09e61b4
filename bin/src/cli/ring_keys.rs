//! The command line of ring keys.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::examples::RING_KEY;
use super::{EXIT_CODES, GatewayArgs, OutputArgs, long, seconds};

#[derive(Debug, Args)]
pub struct RingKeyArgs {
    #[command(subcommand)]
    pub command: RingKeyCommand,
}

#[derive(Debug, Subcommand)]
pub enum RingKeyCommand {
    /// Write a new key to NAME-YYYYMMDDhhmmss.sym.key, for you alone to read, and print its path
    #[command(after_help = EXIT_CODES, after_long_help = long(RING_KEY, EXIT_CODES))]
    Generate {
        /// The name of the ring
        name: String,
        /// The directory to write it to
        #[arg(long, value_name = "DIR", default_value = ".")]
        dir: PathBuf,
    },
    /// List the keys that the members of a ring hold, by short ids, and who lacks which
    #[command(after_help = EXIT_CODES, after_long_help = long(RING_KEY, EXIT_CODES))]
    List(KeysArgs),
    /// Give all members of a sealed ring another key, with which they open from then on. Whoever has the present key reads it: if
    /// that leaked, change keys by files
    #[command(after_help = EXIT_CODES, after_long_help = long(RING_KEY, EXIT_CODES))]
    Install(InstallKeyArgs),
    /// Have all members seal with a key that they hold
    #[command(after_help = EXIT_CODES, after_long_help = long(RING_KEY, EXIT_CODES))]
    Use(ChangeKeyArgs),
    /// Have all members drop a key, with which nobody seals
    #[command(after_help = EXIT_CODES, after_long_help = long(RING_KEY, EXIT_CODES))]
    Remove(ChangeKeyArgs),
}

#[derive(Debug, Args)]
pub struct KeysArgs {
    /// How long answers are waited for: 0.1 to 60; or with a unit, like 500ms
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = seconds)]
    pub timeout: Duration,
    #[command(flatten)]
    pub output: OutputArgs,
    #[command(flatten)]
    pub gateway: GatewayArgs,
}

#[derive(Debug, Args)]
pub struct InstallKeyArgs {
    /// The file of the key
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Also where a living member takes no keys, and through a gateway of another machine
    #[arg(long)]
    pub force: bool,
    #[command(flatten)]
    pub keys: KeysArgs,
}

#[derive(Debug, Args)]
pub struct ChangeKeyArgs {
    /// The key's short id, as list shows it
    #[arg(value_name = "KEY")]
    pub id: String,
    /// Also where that cuts somebody off
    #[arg(long)]
    pub force: bool,
    #[command(flatten)]
    pub keys: KeysArgs,
}
