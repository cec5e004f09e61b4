//! The command line of what has to do with rumors.

use std::path::PathBuf;
use std::time::Duration;

use butterfly::{MemberId, RumorKind, ServiceGroup};
use clap::{Args, Subcommand};

use super::{EXIT_CODES, GatewayArgs, ListOutputArgs, OutputArgs, WhichArgs, long, seconds};
use crate::version::{self, Version};
use crate::view::MemberRow;

pub const SERVICE: &str = "\
Examples:
  butterfly service add redis.default --pkg acme/redis/7.2.1/20260101000000 --cfg redis.toml
  butterfly service list
  butterfly service remove redis.default";

pub const CONFIG: &str = "\
Examples:
  butterfly config apply redis.default redis.toml
  echo 'port = 6380' | butterfly config apply redis.default -
  butterfly config apply redis.default 7 redis.toml      only if it is newer than what is held
  butterfly config show redis.default
  butterfly config remove redis.default";

pub const FILE: &str = "\
Examples:
  butterfly file upload redis.default users.acl
  butterfly file get redis.default users.acl --out users.acl
  butterfly file remove redis.default users.acl";

pub const ELECTION: &str = "\
Examples:
  butterfly election start redis.default
  butterfly election start redis.default --suitability 7
  butterfly election show redis.default
Those who run a service of the group elect, and do so again by themselves when their leader is gone.";

pub const DEPART: &str = "\
Examples:
  butterfly depart web-2         by its name
  butterfly depart 1a2b3c4d      by the beginning of its id
It stops, and no ring takes its id again: that is a ban, and cannot be undone. To drop dead members from the lists, there is
\"butterfly forget\"; to have one leave for now, \"butterfly leave\" at it.";

pub const FORGET: &str = "\
Examples:
  butterfly forget web-2                     the dead member of this name; of several, all
  butterfly forget 1a2b3c4d                  by the beginning of its id
  butterfly forget --dead --older-than 1h    all that have been dead for an hour
It is no ban: a member that lives after all, or starts again, is welcome.";

pub const RUMORS: &str = "\
Examples:
  butterfly rumors
  butterfly rumors --kind service_config -o json
  butterfly rumors --group redis.default";

pub const INJECT: &str = "\
Examples:
  butterfly inject --to 10.0.0.7:9638 config redis.default now redis.toml
  butterfly inject --to web-1:9638 file redis.default now users.acl
  butterfly inject --to 10.0.0.7:9638 --ring-key ring-20261123120000.sym.key depart 1a2b3c4d5e6f708192a3b4c5d6e7f809
Gossip is never confirmed: \"butterfly rumors\", asked of a member, shows what came of it.";

#[derive(Debug, Args)]
pub struct ServiceArgs {
    #[command(subcommand)]
    pub command: ServiceCommand,
}

#[derive(Debug, Subcommand)]
pub enum ServiceCommand {
    /// Announce a service; once more to change what was said of it
    #[command(after_help = EXIT_CODES, after_long_help = long(SERVICE, EXIT_CODES))]
    Add(ServiceAddArgs),
    /// Withdraw a service
    #[command(after_help = EXIT_CODES, after_long_help = long(SERVICE, EXIT_CODES))]
    Remove(ServiceRemoveArgs),
    /// List the services that members run
    #[command(after_help = EXIT_CODES, after_long_help = long(SERVICE, EXIT_CODES))]
    List(ServiceListArgs),
}

#[derive(Debug, Args)]
pub struct ServiceAddArgs {
    /// The service group: service.group or service.group@organization
    pub group: ServiceGroup,
    /// The package: origin/name/version/release
    #[arg(long)]
    pub pkg: String,
    /// What it tells the other services, in TOML, passed on unchecked; - is standard input
    #[arg(long, value_name = "FILE")]
    pub cfg: Option<PathBuf>,
    /// The service has been initialized
    #[arg(long)]
    pub initialized: bool,
    #[command(flatten)]
    pub gateway: GatewayArgs,
}

#[derive(Debug, Args)]
pub struct ServiceRemoveArgs {
    /// The service group
    pub group: ServiceGroup,
    #[command(flatten)]
    pub gateway: GatewayArgs,
}

#[derive(Debug, Args)]
pub struct ServiceListArgs {
    /// Those of this service group alone
    #[arg(long)]
    pub group: Option<ServiceGroup>,
    /// Those of members that are alive alone: the same as --health alive
    #[arg(long, conflicts_with = "health")]
    pub alive: bool,
    #[command(flatten)]
    pub which: WhichArgs,
    #[command(flatten)]
    pub output: ListOutputArgs,
    #[command(flatten)]
    pub gateway: GatewayArgs,
}

impl ServiceListArgs {
    /// Whether the services of this member are meant.
    pub fn fit(&self, member: &MemberRow) -> bool {
        self.which.fit(member) && (!self.alive || member.health == "alive")
    }

    /// Whether those of a member that is not known are.
    pub fn fit_unknown(&self) -> bool {
        let WhichArgs {
            members,
            health,
            name,
            tag,
        } = &self.which;
        !self.alive && members.is_empty() && health.is_none() && name.is_none() && tag.is_empty()
    }
}

#[derive(Debug, Args)]
pub struct ConfigArgs {
    #[command(subcommand)]
    pub command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Give a service group a configuration
    #[command(after_help = EXIT_CODES, after_long_help = long(CONFIG, EXIT_CODES), allow_missing_positional = true)]
    Apply(ConfigApplyArgs),
    /// Print the configuration of a service group
    #[command(after_help = EXIT_CODES, after_long_help = long(CONFIG, EXIT_CODES))]
    Show(ConfigShowArgs),
    /// Remove the configuration of a service group, at all members
    #[command(after_help = EXIT_CODES, after_long_help = long(CONFIG, EXIT_CODES))]
    Remove(ConfigRemoveArgs),
}

#[derive(Debug, Args)]
pub struct ConfigApplyArgs {
    /// The service group: service.group or service.group@organization
    pub group: ServiceGroup,
    /// A number, `next` (one above the current version) or `now` (seconds since 1970, or next if that is more)
    #[arg(default_value = "next")]
    pub version: Version,
    /// The configuration, in TOML, passed on unchecked; - is standard input
    pub file: PathBuf,
    /// Take a version more than 2^32 above the one held; or any, where the last ones are held
    #[arg(long)]
    pub force: bool,
    #[command(flatten)]
    pub gateway: GatewayArgs,
}

/// A configuration as it is injected.
#[derive(Debug, Args)]
pub struct ConfigBody {
    /// The service group: service.group or service.group@organization
    pub group: ServiceGroup,
    /// A number higher than the current version, or `now`: the seconds since 1970
    #[arg(value_parser = version::without_a_member)]
    pub version: u64,
    /// The configuration, in TOML, passed on unchecked; - is standard input
    pub file: PathBuf,
}

#[derive(Debug, Args)]
pub struct ConfigShowArgs {
    /// The service group
    pub group: ServiceGroup,
    #[command(flatten)]
    pub output: OutputArgs,
    #[command(flatten)]
    pub gateway: GatewayArgs,
}

#[derive(Debug, Args)]
pub struct ConfigRemoveArgs {
    /// The service group
    pub group: ServiceGroup,
    #[command(flatten)]
    pub gateway: GatewayArgs,
}

#[derive(Debug, Args)]
pub struct FileArgs {
    #[command(subcommand)]
    pub command: FileCommand,
}

#[derive(Debug, Subcommand)]
pub enum FileCommand {
    /// Give a service group a file
    #[command(after_help = EXIT_CODES, after_long_help = long(FILE, EXIT_CODES), allow_missing_positional = true)]
    Upload(FileUploadArgs),
    /// Print a file of a service group, or write it to another file
    #[command(after_help = EXIT_CODES, after_long_help = long(FILE, EXIT_CODES))]
    Get(FileGetArgs),
    /// Remove a file of a service group, at all members
    #[command(after_help = EXIT_CODES, after_long_help = long(FILE, EXIT_CODES))]
    Remove(FileRemoveArgs),
}

#[derive(Debug, Args)]
pub struct FileUploadArgs {
    /// The service group: service.group or service.group@organization
    pub group: ServiceGroup,
    /// A number, `next` (one above the current version) or `now` (seconds since 1970, or next if that is more)
    #[arg(default_value = "next")]
    pub version: Version,
    /// The file, 8 MiB at most; - is standard input
    pub file: PathBuf,
    /// Its name in the group, if not that of FILE
    #[arg(long)]
    pub name: Option<String>,
    /// Take a version more than 2^32 above the one held; or any, where the last ones are held
    #[arg(long)]
    pub force: bool,
    #[command(flatten)]
    pub gateway: GatewayArgs,
}

/// A file as it is injected.
#[derive(Debug, Args)]
pub struct FileBody {
    /// The service group: service.group or service.group@organization
    pub group: ServiceGroup,
    /// A number higher than the current version, or `now`: the seconds since 1970
    #[arg(value_parser = version::without_a_member)]
    pub version: u64,
    /// The file, 8 MiB at most; - is standard input
    pub file: PathBuf,
    /// Its name in the group, if not that of FILE
    #[arg(long)]
    pub name: Option<String>,
}

#[derive(Debug, Args)]
pub struct FileGetArgs {
    /// The service group
    pub group: ServiceGroup,
    /// The file's name
    pub name: String,
    /// Where to write it, if not to standard output
    #[arg(long, value_name = "FILE", aliases = ["to", "output"])]
    pub out: Option<PathBuf>,
    #[command(flatten)]
    pub gateway: GatewayArgs,
}

#[derive(Debug, Args)]
pub struct FileRemoveArgs {
    /// The service group
    pub group: ServiceGroup,
    /// The file's name
    pub name: String,
    #[command(flatten)]
    pub gateway: GatewayArgs,
}

#[derive(Debug, Args)]
pub struct ElectionArgs {
    #[command(subcommand)]
    pub command: ElectionCommand,
}

#[derive(Debug, Subcommand)]
pub enum ElectionCommand {
    /// Start the election of a leader, or take part in it
    #[command(after_help = EXIT_CODES, after_long_help = long(ELECTION, EXIT_CODES))]
    Start(ElectionStartArgs),
    /// Show how far the elections are, and who leads
    #[command(after_help = EXIT_CODES, after_long_help = long(ELECTION, EXIT_CODES))]
    Show(ElectionShowArgs),
}

#[derive(Debug, Args)]
pub struct ElectionStartArgs {
    /// The service group, of which this member runs a service
    pub group: ServiceGroup,
    /// How fit this member is to lead: the fittest one wins
    #[arg(long, value_name = "N", default_value = "0", conflicts_with = "update")]
    pub suitability: u64,
    /// Elect who updates its package first, not who leads
    #[arg(long)]
    pub update: bool,
    #[command(flatten)]
    pub gateway: GatewayArgs,
}

#[derive(Debug, Args)]
pub struct ElectionShowArgs {
    /// The service group; without it, all of them
    pub group: Option<ServiceGroup>,
    #[command(flatten)]
    pub output: OutputArgs,
    #[command(flatten)]
    pub gateway: GatewayArgs,
}

#[derive(Debug, Args)]
pub struct DepartArgs {
    /// Its id, the beginning of it, or its name
    #[arg(value_name = "ID")]
    pub id: String,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
    /// Also an id that the asked member does not know
    #[arg(long)]
    pub unknown: bool,
    #[command(flatten)]
    pub gateway: GatewayArgs,
}

#[derive(Debug, Args)]
pub struct ForgetArgs {
    /// Dead members: ids, beginnings of them, or names
    #[arg(value_name = "MEMBER", required_unless_present = "dead")]
    pub members: Vec<String>,
    /// All dead members
    #[arg(long, conflicts_with = "members")]
    pub dead: bool,
    /// Of those, the ones that have been dead for so long; or with a unit, like 1h
    #[arg(long, value_name = "SECONDS", requires = "dead", conflicts_with = "members", value_parser = seconds)]
    pub older_than: Option<Duration>,
    #[command(flatten)]
    pub gateway: GatewayArgs,
}

#[derive(Debug, Args)]
pub struct RumorsArgs {
    /// Those of one kind: service, election, service_config, service_file, election_update, departure, tags, forgotten or
    /// user_event
    #[arg(long)]
    pub kind: Option<RumorKind>,
    /// Those of one service group
    #[arg(long)]
    pub group: Option<ServiceGroup>,
    #[command(flatten)]
    pub output: OutputArgs,
    #[command(flatten)]
    pub gateway: GatewayArgs,
}

#[derive(Debug, Args)]
pub struct InjectArgs {
    /// The member's address for gossip, over TCP: the SWIM port, unless it has a --gossip-port
    // Options that stand before the subcommand or behind it cannot be required ones.
    #[arg(long, value_name = "HOST:PORT", global = true)]
    pub to: Option<String>,
    /// A key of the ring, if it has one; more than one: the first seals
    #[arg(long, value_name = "FILE", global = true)]
    pub ring_key: Vec<PathBuf>,
    /// Push what no member of this program takes, but one of the original's does
    #[arg(long, global = true)]
    pub force: bool,
    #[command(subcommand)]
    pub what: Injected,
}

#[derive(Debug, Subcommand)]
pub enum Injected {
    /// The configuration of a service group
    #[command(after_help = EXIT_CODES, after_long_help = long(INJECT, EXIT_CODES))]
    Config(ConfigBody),
    /// A file of a service group
    #[command(after_help = EXIT_CODES, after_long_help = long(INJECT, EXIT_CODES))]
    File(FileBody),
    /// A member's departure for good
    #[command(after_help = EXIT_CODES, after_long_help = long(INJECT, EXIT_CODES))]
    Depart {
        /// Its whole id
        id: MemberId,
    },
}
