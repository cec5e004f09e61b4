//! The command line. What it means is with the commands.

mod event;
mod examples;
mod joining;
mod lists;
mod past;
mod query;
mod replaying;
mod ring_keys;
mod rumors;
mod sim;
mod sizes;
mod tags;

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use butterfly::text::is_hidden;
use butterfly::{MemberId, RingName, Timing};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

use crate::handlers::Hook;
use crate::logging::LogFormat;
use crate::tags::Tag;
pub use event::*;
use examples::*;
pub use joining::*;
pub use lists::*;
pub use past::*;
pub use query::*;
pub use replaying::*;
pub use ring_keys::*;
pub use rumors::*;
pub use sim::*;
use sizes::{record_max, store_limit};
pub use tags::*;

/// Where a member's gateway is, unless said otherwise.
pub const DEFAULT_GATEWAY: &str = "127.0.0.1:9631";

const EXIT_CODES: &str = "Exit codes: 0 ok, 1 failed, 2 usage.";
const EXIT_CODES_OF_WAITING: &str = "Exit codes: 0 ok, 1 failed, 2 usage, 3 not reached in time.";
const EXIT_CODES_OF_RUN: &str = "Exit codes: 0 ok, 1 failed, 2 usage, 4 told to depart for good, 5 its last snapshot is not stored.";
const TOP: &str = "\
Start with: butterfly demo. Examples: butterfly --help, butterfly COMMAND --help.
Exit codes: 0 ok, 1 failed, 2 usage, 3 not reached in time, 4 told to depart for good, 5 not stored.";
const EXIT_CODES_OF_ALL: &str = "Exit codes: 0 ok, 1 failed, 2 usage, 3 not reached in time, 4 told to depart for good, 5 not stored.";

/// Butterfly keeps a group of machines aware of each other: who is up, who is gone, what they run.
#[derive(Debug, Parser)]
#[command(
    name = "butterfly",
    version,
    arg_required_else_help = true,
    max_term_width = 120
)]
#[command(after_help = TOP, after_long_help = long(EXAMPLES, EXIT_CODES_OF_ALL))]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

/// What a long help ends with.
fn long(examples: &str, exit_codes: &str) -> String {
    format!("{examples}\n\n{exit_codes}")
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Watch a ring on this machine form, agree, lose its leader, get it back, and let one go
    #[command(after_help = EXIT_CODES_OF_WAITING, after_long_help = long(DEMO, EXIT_CODES_OF_WAITING))]
    Demo(DemoArgs),
    /// Run one member, until SIGINT or SIGTERM
    #[command(after_help = EXIT_CODES_OF_RUN, after_long_help = long(RUN, EXIT_CODES_OF_RUN))]
    Run(Box<RunArgs>),
    /// List the members of a ring, as a running member sees them
    #[command(after_help = EXIT_CODES, after_long_help = long(MEMBERS, EXIT_CODES))]
    Members(MembersArgs),
    /// Watch a ring live in the terminal, those in trouble first
    #[command(after_help = EXIT_CODES, after_long_help = long(TOP_COMMAND, EXIT_CODES))]
    Top(TopArgs),
    /// Show how a running member fares, or wait until its ring is as large as it should be
    #[command(after_help = EXIT_CODES_OF_WAITING, after_long_help = long(STATUS, EXIT_CODES_OF_WAITING))]
    Status(StatusArgs),
    /// Follow what a running member sees happen, until it ends
    #[command(after_help = EXIT_CODES, after_long_help = long(EVENTS, EXIT_CODES))]
    Events(EventsArgs),
    /// Show what a running member knows of past transitions: probes, helpers, accusers, causes
    #[command(after_help = EXIT_CODES, after_long_help = long(HISTORY, EXIT_CODES))]
    History(HistoryArgs),
    /// Explain why a member is suspect, dead or gone, as a running member knows it
    #[command(after_help = EXIT_CODES, after_long_help = long(EXPLAIN, EXIT_CODES))]
    Explain(ExplainArgs),
    /// Write what a running member knows into an archive, for a report of a fault
    #[command(after_help = EXIT_CODES, after_long_help = long(DEBUG, EXIT_CODES))]
    Debug(DebugArgs),
    /// Join a ring through peers, and say who answered
    #[command(after_help = EXIT_CODES, after_long_help = long(JOIN, EXIT_CODES))]
    Join(JoinArgs),
    /// Ask peers for their ring no more; members that are known stay known
    #[command(after_help = EXIT_CODES, after_long_help = long(UNJOIN, EXIT_CODES))]
    Unjoin(UnjoinArgs),
    /// Leave the ring, and end the running member
    #[command(after_help = EXIT_CODES_OF_WAITING, after_long_help = long(LEAVE, EXIT_CODES_OF_WAITING))]
    Leave(LeaveArgs),
    /// Ignore a member
    #[command(after_help = EXIT_CODES, after_long_help = long(BLOCK, EXIT_CODES))]
    Block(BlockArgs),
    /// Listen to an ignored member again
    #[command(after_help = EXIT_CODES, after_long_help = long(UNBLOCK, EXIT_CODES))]
    Unblock(BlockArgs),
    /// Announce, withdraw or list services
    #[command(after_help = EXIT_CODES, after_long_help = long(SERVICE, EXIT_CODES))]
    Service(ServiceArgs),
    /// Apply, show or remove the configuration of a service group
    #[command(after_help = EXIT_CODES, after_long_help = long(CONFIG, EXIT_CODES))]
    Config(ConfigArgs),
    /// Upload, get or remove files of a service group
    #[command(after_help = EXIT_CODES, after_long_help = long(FILE, EXIT_CODES))]
    File(FileArgs),
    /// Start an election in a service group, or show who leads it
    #[command(after_help = EXIT_CODES, after_long_help = long(ELECTION, EXIT_CODES))]
    Election(ElectionArgs),
    /// Set, delete or list the tags of a running member
    #[command(after_help = EXIT_CODES, after_long_help = long(TAG, EXIT_CODES))]
    Tag(TagArgs),
    /// Ask the members of a ring, and print what they answer
    #[command(after_help = EXIT_CODES, after_long_help = long(QUERY, EXIT_CODES))]
    Query(QueryArgs),
    /// Check that all members of a ring can be reached and hold the same
    #[command(after_help = EXIT_CODES, after_long_help = long(DOCTOR, EXIT_CODES))]
    Doctor(DoctorArgs),
    /// Send an event to all members
    #[command(after_help = EXIT_CODES, after_long_help = long(EVENT, EXIT_CODES))]
    Event(EventArgs),
    /// Have the ring forget dead members
    #[command(after_help = EXIT_CODES, after_long_help = long(FORGET, EXIT_CODES))]
    Forget(ForgetArgs),
    /// Make a member depart for good
    #[command(after_help = EXIT_CODES, after_long_help = long(DEPART, EXIT_CODES))]
    Depart(DepartArgs),
    /// List all rumors that a running member holds
    #[command(after_help = EXIT_CODES, after_long_help = long(RUMORS, EXIT_CODES))]
    Rumors(RumorsArgs),
    /// Push a rumor straight to a member of a ring, without being one
    #[command(after_help = EXIT_CODES, after_long_help = long(INJECT, EXIT_CODES))]
    Inject(InjectArgs),
    /// Ping a member as its peers do, without becoming one
    #[command(after_help = EXIT_CODES, after_long_help = long(PING, EXIT_CODES))]
    Ping(PingArgs),
    /// Simulate a ring, or measure the protocol, on a virtual network and clock
    #[command(after_help = EXIT_CODES, after_long_help = long(SIM, EXIT_CODES))]
    Sim(SimArgs),
    /// Make a ring key, or list, install, use and remove those of a ring
    #[command(after_help = EXIT_CODES, after_long_help = long(RING_KEY, EXIT_CODES))]
    RingKey(RingKeyArgs),
    /// Print a script that completes commands and options in a shell
    #[command(after_help = EXIT_CODES, after_long_help = long(COMPLETIONS, EXIT_CODES))]
    Completions(CompletionsArgs),
    /// Print a manual page, or write those of all commands to a directory
    #[command(after_help = EXIT_CODES, after_long_help = long(MAN, EXIT_CODES))]
    Man(ManArgs),
    /// Print the version
    #[command(after_help = EXIT_CODES, after_long_help = EXIT_CODES)]
    Version,
    /// Run a member through what was recorded of it, and show what happened
    #[command(after_help = EXIT_CODES, after_long_help = long(REPLAY, EXIT_CODES))]
    Replay(ReplayArgs),
    /// Draw what members wrote of their messages (TRACE_SWIM=1), or what was recorded of them
    #[command(after_help = EXIT_CODES, after_long_help = long(TRACE, EXIT_CODES))]
    Trace(TraceArgs),
    /// Look into the snapshot of rumors in a data directory
    #[command(after_help = EXIT_CODES, after_long_help = long(STORE, EXIT_CODES))]
    Store(StoreArgs),
}

/// How a list is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Table,
    /// For programs
    Json,
}

#[derive(Debug, Args)]
pub struct OutputArgs {
    /// How to print
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: Format,
    /// The same as --output json
    #[arg(long, conflicts_with = "output")]
    json: bool,
}

impl OutputArgs {
    pub fn format(&self) -> Format {
        if self.json { Format::Json } else { self.output }
    }
}

/// Which running member is asked.
#[derive(Debug, Args)]
pub struct GatewayArgs {
    /// The gateway of the member to ask: HOST:PORT, a URL or unix:PATH [default: what BUTTERFLY_HTTP says, or
    /// 127.0.0.1:9631]
    #[arg(long, value_name = "GATEWAY")]
    pub http: Option<String>,
    /// The file with the gateway's bearer token, if it wants one [default: what BUTTERFLY_HTTP_TOKEN_FILE says]
    #[arg(long, value_name = "FILE")]
    pub http_token_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct DemoArgs {
    /// How many members, 3 to 64
    #[arg(long, value_name = "N", default_value = "5", value_parser = demo_members)]
    pub members: usize,
    /// How fast they probe
    #[arg(long, value_name = "PRESET", default_value = "local", value_parser = timing(&["local", "lan"]))]
    pub timing: Timing,
    /// The TCP port for gossip of the first member, those of the others follow [default: the
    /// numbers of the UDP ports]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..=65_472))]
    pub gossip_port: Option<u16>,
}

#[derive(Clone, Debug, Args)]
pub struct RunArgs {
    /// The file with settings: a key for each option below, as in listen = "10.0.0.7:9638"
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print the settings and where each comes from, and end
    #[arg(long)]
    pub print_config: bool,
    /// The UDP address to listen on; port 0: the system chooses [default: 0.0.0.0:9638 with a ring key, else
    /// 127.0.0.1:9638]
    #[arg(long, value_name = "IP:PORT")]
    pub listen: Option<String>,
    /// Where others reach it, if not where it listens
    #[arg(long, value_name = "IP:PORT")]
    pub advertise: Option<String>,
    /// The TCP port for gossip; 0: the system chooses [default: the number of the UDP port]
    #[arg(long, value_name = "PORT")]
    pub gossip_port: Option<u16>,
    /// A member of the ring to join, or srv:NAME for those that the SRV records of a name list; as often as you like
    #[arg(long, value_name = "HOST:PORT")]
    pub peer: Vec<String>,
    /// A file with more of them, one a line: those that others add are asked within seconds, those that they remove are not
    /// asked any more
    #[arg(long, value_name = "FILE")]
    pub peer_file: Option<PathBuf>,
    /// Others probe it for ever, so that a ring that was cut in two heals through it
    #[arg(
        long,
        value_name = "true|false",
        action = ArgAction::Set,
        num_args = 0..=1,
        require_equals = true,
        default_value = "false",
        default_missing_value = "true",
        hide_default_value = true,
        hide_possible_values = true
    )]
    pub permanent_peer: bool,
    /// A key of the ring, or a directory of keys; more than one: the first seals, any opens. Those that `butterfly ring-key` gave
    /// the ring, and the data directory keeps, count more
    #[arg(long, value_name = "FILE|DIR")]
    pub ring_key: Vec<PathBuf>,
    /// The ring's name, the same at all members: members of other names, or of none, are kept out. It is no secret
    #[arg(long, value_name = "NAME")]
    pub ring: Option<RingName>,
    /// A name for people, at most 64 bytes: a longer one is cut
    #[arg(
        long,
        value_name = "NAME",
        default_value = "",
        hide_default_value = true,
        value_parser = member_name
    )]
    pub name: String,
    /// What it says of itself to the others, as in zone=eu or role=web; as often as you like. What `butterfly tag` set counts more
    #[arg(long, value_name = "KEY=VALUE")]
    pub tag: Vec<Tag>,
    /// Its id, 32 lowercase hexadecimal digits; else that in the data directory, or a random one
    #[arg(long, value_name = "HEX")]
    pub id: Option<MemberId>,
    /// How long dead members are remembered, at most; or with a unit, like 1h; the same at all members [default: 10 days]
    #[arg(long, value_name = "SECONDS", value_parser = forget_after)]
    pub forget_dead_after: Option<Duration>,
    /// Where it keeps its id and incarnation, its members and rumors; without it each start is a new member
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// How much it holds of rumors, at most 192MiB; the same at all members
    #[arg(long, value_name = "SIZE", default_value = "192MiB", value_parser = store_limit)]
    pub store_limit: usize,
    /// How fast it probes; all members of a ring should use the same
    #[arg(long, value_name = "PRESET", default_value = "lan", value_parser = timing(Timing::PRESETS))]
    pub timing: Timing,
    /// Changes the timing, as in period=500ms,timeout=250ms, by what `butterfly sim --set` showed to be good
    #[arg(long, value_name = "FIELD=VALUE", value_delimiter = ',')]
    pub set: Vec<String>,
    /// Its HTTP gateway: HOST:PORT or a URL of this machine, unix:PATH for a socket that only its user may connect to, or
    /// none; port 0: the system chooses [default: 127.0.0.1:9631]
    #[arg(long, value_name = "GATEWAY|none")]
    pub http: Option<String>,
    /// The file with the bearer token that every request must carry; needed beyond loopback
    #[arg(long, value_name = "FILE")]
    pub http_token_file: Option<PathBuf>,
    /// The file with another bearer token, which is good for reading (GET) only
    #[arg(long, value_name = "FILE")]
    pub http_read_token_file: Option<PathBuf>,
    /// Also answers GET /metrics, /healthz and /readyz at this address, to anybody, without a token; port 0: the system chooses
    #[arg(long, value_name = "IP:PORT")]
    pub metrics: Option<String>,
    /// A command for `sh -c` when something happens; EVENT is alive, suspect, confirmed, departed, leader, config, file, isolated,
    /// user:NAME, query:NAME or * for all; as often as you like. It finds the event in BUTTERFLY_EVENT* and, as JSON, on standard
    /// input; of user:NAME and query:NAME, which need a ring key, the payload. What it prints answers a query
    #[arg(long, value_name = "EVENT=COMMAND")]
    pub on: Vec<Hook>,
    /// Runs the commands of --on user:NAME and query:NAME without a ring key, too: then everybody who reaches this member can have them run
    #[arg(
        long,
        value_name = "true|false",
        action = ArgAction::Set,
        num_args = 0..=1,
        require_equals = true,
        default_value = "false",
        default_missing_value = "true",
        hide_default_value = true,
        hide_possible_values = true
    )]
    pub unsafe_handlers: bool,
    /// Records all that it is told, for `butterfly replay`; a file that is there becomes FILE.old. The docs say what is in it
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
    /// How large a recording gets: then it ends, and the member goes on
    #[arg(long, value_name = "SIZE", default_value = "1GiB", value_parser = record_max)]
    pub record_max: u64,
    /// What is logged: lines of this level and above [default: info, or what RUST_LOG says]
    #[arg(long, value_name = "LEVEL", value_parser = PossibleValuesParser::new(LEVELS))]
    pub log: Option<String>,
    /// How it is logged [default: journal where systemd reads the log, else text]
    #[arg(long, value_name = "FORMAT", value_enum)]
    pub log_format: Option<LogFormat>,
    /// Log more: -v is --log debug, -vv is --log trace
    #[arg(short, action = ArgAction::Count, conflicts_with = "quiet")]
    pub verbose: u8,
    /// Log less: -q is --log warn, -qq is --log error
    #[arg(short, action = ArgAction::Count)]
    pub quiet: u8,
}

impl RunArgs {
    /// The level of the log that was asked for.
    pub fn log_level(&self) -> Option<&str> {
        match (self.verbose, self.quiet) {
            (1, _) => Some("debug"),
            (2.., _) => Some("trace"),
            (_, 1) => Some("warn"),
            (_, 2..) => Some("error"),
            _ => self.log.as_deref(),
        }
    }
}

/// Levels of the log.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Wait for that many: members=N counts all that are not Departed, alive=N the Alive, itself included; N+ means N or more
    #[arg(long, value_name = "members=N|alive=N")]
    pub wait: Option<Wait>,
    /// How long to wait at most; or with a unit, like 500ms or 2m
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    pub timeout: Duration,
    #[command(flatten)]
    pub output: OutputArgs,
    #[command(flatten)]
    pub gateway: GatewayArgs,
}

#[derive(Debug, Args)]
pub struct DebugArgs {
    /// The file to write, which must not be there yet [default: butterfly-debug-TIME.tar.gz]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// For how long the metrics are read, once a second; or with a unit, like 1m
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    pub seconds: Duration,
    #[command(flatten)]
    pub gateway: GatewayArgs,
}

#[derive(Debug, Args)]
pub struct LeaveArgs {
    /// How long to wait at most until it is gone; or with a unit, like 2m
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    pub timeout: Duration,
    #[command(flatten)]
    pub gateway: GatewayArgs,
}

#[derive(Debug, Args)]
pub struct BlockArgs {
    /// Its id, the beginning of it, or its name
    #[arg(value_name = "ID")]
    pub id: String,
    #[command(flatten)]
    pub gateway: GatewayArgs,
}

#[derive(Debug, Args)]
pub struct PingArgs {
    /// The member's SWIM address
    #[arg(value_name = "HOST:PORT")]
    pub to: String,
    /// How many pings; without it, until SIGINT
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub count: Option<u32>,
    /// The pause from one ping to the next; or with a unit, like 100ms
    #[arg(short, long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    pub interval: Duration,
    /// How long to wait for each answer; or with a unit, like 100ms
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    pub timeout: Duration,
    /// A key of the ring; more than one: the first seals, any opens
    #[arg(long, value_name = "FILE")]
    pub ring_key: Vec<PathBuf>,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Debug, Args)]
pub struct CompletionsArgs {
    pub shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
pub struct ManArgs {
    /// The command whose page it is, as in: ring-key generate
    #[arg(value_name = "COMMAND", conflicts_with = "dir")]
    pub command: Vec<String>,
    /// Write the pages of all commands to this directory, which is made if it is not there
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct StoreArgs {
    #[command(subcommand)]
    pub command: StoreCommand,
}

#[derive(Debug, Subcommand)]
pub enum StoreCommand {
    /// List the rumors in a snapshot, a line each; bodies are told by their sizes
    #[command(after_help = EXIT_CODES, after_long_help = long(STORE, EXIT_CODES))]
    Show(ShowArgs),
}

#[derive(Debug, Args)]
pub struct ShowArgs {
    /// The snapshot, <member id>.rst
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Only how many entries each section has, and its bytes
    #[arg(short, long)]
    pub summary: bool,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// What `status --wait` waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    pub what: Waited,
    pub count: usize,
    /// More will do, too.
    pub or_more: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited {
    /// All that are not Departed.
    Members,
    /// The Alive.
    Alive,
}

impl FromStr for Wait {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "write members=N or alive=N; N+ for N or more".to_owned();
        let (what, count) = text.split_once('=').ok_or_else(wrong)?;
        let what = match what {
            "members" => Waited::Members,
            "alive" => Waited::Alive,
            _ => return Err(wrong()),
        };
        let (count, or_more) = match count.strip_suffix('+') {
            Some(count) => (count, true),
            None => (count, false),
        };
        let count = count.parse().map_err(|_| wrong())?;
        Ok(Wait {
            what,
            count,
            or_more,
        })
    }
}

fn timing(presets: &[&'static str]) -> impl TypedValueParser<Value = Timing> + use<> {
    // The parser lets no other name than those of presets through.
    PossibleValuesParser::new(presets).map(|name| Timing::preset(&name).unwrap_or_default())
}

fn member_name(text: &str) -> Result<String, String> {
    if text.contains(is_hidden) {
        return Err(
            "write a name without control characters and others that do not show".to_owned(),
        );
    }
    Ok(text.into())
}

/// A time span as it is given: in seconds, or with a unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Seconds(pub Duration);

impl FromStr for Seconds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        seconds(text).map(Seconds)
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    // Longer than anybody waits, and short enough to be added to any time.
    const MOST: Duration = Duration::from_secs(1_000_000_000);
    duration(text).and_then(|parsed| match parsed <= MOST {
        true => Ok(parsed),
        false => Err("that is longer than anybody waits: 1e9 s at most".to_owned()),
    })
}

fn forget_after(text: &str) -> Result<Duration, String> {
    const LEAST: Duration = Duration::from_secs(60);
    seconds(text).and_then(|parsed| match parsed >= LEAST {
        true => Ok(parsed),
        false => Err("the dead are remembered for a minute at least".to_owned()),
    })
}

fn demo_members(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(members @ 3..=64) => Ok(members),
        _ => Err(
            "write a number from 3 to 64: one is killed, one leaves, and one has to see it".into(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    fn all_helps() -> Vec<[String; 2]> {
        let mut cli = Cli::command();
        cli.build();
        helps(&mut cli)
    }

    /// The short and the long help of the command and of all below it, but for clap's own command `help`.
    fn helps(command: &mut clap::Command) -> Vec<[String; 2]> {
        let short = command.render_help().to_string();
        let mut all = vec![[short, command.render_long_help().to_string()]];
        let below = command.get_subcommands_mut();
        all.extend(below.filter(|it| it.get_name() != "help").flat_map(helps));
        all
    }

    #[test]
    fn every_help_begins_with_what_the_command_does() {
        let all = all_helps();
        assert!(all.len() > 30, "{}", all.len());
        for help in all.iter().flatten() {
            let (first, rest) = help.split_once("\n\n").unwrap();
            assert!(first.starts_with(|c: char| c.is_uppercase()), "{help}");
            assert!(!first.contains("Let a running member"), "{help}");
            assert!(rest.starts_with("Usage: butterfly"), "{help}");
        }
    }

    #[test]
    fn only_the_long_help_has_examples() {
        for [short, long] in all_helps() {
            assert!(!short.contains("\nExamples:"), "{short}");
            let takes_nothing = long.contains("Usage: butterfly version");
            assert!(takes_nothing || long.contains("\nExamples:\n  "), "{long}");
        }
    }

    #[test]
    fn what_is_waited_for() {
        let wait = |what, count, or_more| {
            Ok(Wait {
                what,
                count,
                or_more,
            })
        };
        assert_eq!("alive=2".parse(), wait(Waited::Alive, 2, false));
        assert_eq!("members=3+".parse(), wait(Waited::Members, 3, true));
        for text in [
            "",
            "alive",
            "alive=",
            "alive=-1",
            "alive=x",
            "dead=1",
            "alive=1++",
        ] {
            assert!(text.parse::<Wait>().is_err(), "{text}");
        }
    }

    #[test]
    fn usage_errors_end_with_code_2() {
        for line in [
            "butterfly",
            "butterfly nonsense",
            "butterfly run --listen 127.0.0.1:0 --id xyz",
            "butterfly run --listen 127.0.0.1:0 --timing warp",
            "butterfly demo --members 2",
            "butterfly demo --members 65",
            "butterfly demo --timing wan",
            "butterfly status --wait many=3",
            "butterfly status --timeout -1",
            "butterfly ping 127.0.0.1:1 -c 0",
            "butterfly join",
            "butterfly store",
            "butterfly store show",
            "butterfly sim",
            "butterfly sim --members 1",
            "butterfly sim --loss 101",
            "butterfly sim --for 1parsec",
            "butterfly sim --timing warp",
            "butterfly sim --seeds 0",
            "butterfly sim --kill 1 scorecard",
            "butterfly sim scorecard --rows x",
            "butterfly sim scorecard --seeds 0",
        ] {
            let error = Cli::try_parse_from(line.split(' ')).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{line}");
        }
    }

    #[test]
    fn every_help_ends_with_the_exit_codes() {
        for help in all_helps().iter().flatten() {
            let last = help.trim_end().lines().next_back().unwrap_or_default();
            assert!(last.starts_with("Exit codes: 0 ok"), "{help}");
        }
    }

    #[test]
    fn a_name_is_printable_and_a_long_one_is_for_the_library_to_cut() {
        for text in ["web-1".to_owned(), "x".repeat(1_000)] {
            assert_eq!(member_name(&text), Ok(text));
        }
        for text in ["a\nb", "\x1b[2J", "a\u{202e}b"] {
            let error = member_name(text).unwrap_err();
            assert!(error.contains("without control characters"), "{error}");
        }
    }

    #[test]
    fn seconds_may_be_parts_of_one() {
        for text in ["0.25", "250ms", ".25"] {
            assert_eq!(seconds(text), Ok(Duration::from_millis(250)), "{text}");
        }
        for text in [
            "",
            "-1",
            "-1s",
            "inf",
            "NaN",
            "1 parsec",
            "1e10",
            "1e400",
            "2000000000s",
        ] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}
