//! The command line of questions to members.

use std::time::Duration;

use clap::Args;

use super::{GatewayArgs, OutputArgs, seconds};
use crate::tags::Wanted;

pub const QUERY: &str = "\
Examples:
  butterfly query ping                            who gets a question, and how fast
  butterfly query state                           how each member holds the ring
  butterfly run --on 'query:load=uptime'          answers with what the command prints, at most 400 bytes
  butterfly query load --tag zone=eu --member 'web-*' --timeout 10
Answers are printed as they arrive. What runs Habitat's implementation is not asked.";

pub const DOCTOR: &str = "\
Examples:
  butterfly doctor
  butterfly doctor -o json
It asks all members how they hold the ring, and connects to the gossip port of each from here. It ends with 1 if somebody does not
answer, or holds another ring than most.";

#[derive(Debug, Args)]
pub struct QueryArgs {
    /// What is asked: ping, state, or a name for which members have a --on query:NAME
    #[arg(value_name = "NAME")]
    pub name: String,
    /// What their commands read from standard input, at most 64 KiB; - reads it from standard input here
    #[arg(value_name = "PAYLOAD|-", allow_hyphen_values = true)]
    pub payload: Option<String>,
    /// Only members with this tag; as often as you like, then with all of them
    #[arg(long, value_name = "KEY[=VALUE]")]
    pub tag: Vec<Wanted>,
    /// Only members of this name, or whose id begins so; as often as you like
    #[arg(long, value_name = "GLOB")]
    pub member: Vec<String>,
    /// How long answers are waited for: 0.1 to 60; or with a unit, like 500ms
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    pub timeout: Duration,
    #[command(flatten)]
    pub output: OutputArgs,
    #[command(flatten)]
    pub gateway: GatewayArgs,
}

#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// How long answers are waited for: 0.1 to 60; or with a unit, like 500ms
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = seconds)]
    pub timeout: Duration,
    #[command(flatten)]
    pub output: OutputArgs,
    #[command(flatten)]
    pub gateway: GatewayArgs,
}
