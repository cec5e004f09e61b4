//! The command line of the simulator.

use std::path::PathBuf;
use std::time::Duration;

use butterfly::Timing;
use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand, ValueEnum};
use jiff::SignedDuration;

use super::{EXIT_CODES, OutputArgs, long};

pub const SIM: &str = "\
Examples:
  butterfly sim --members 1000 --timing lan --loss 5 --kill 3 --for 60s --seed 7
  butterfly sim --members 100 --kill 1 --seeds 20                  percentiles over twenty runs
  butterfly sim --members 100 --kill 1 --set period=500ms,timeout=200ms --plot fast.svg
  butterfly sim --members 200 --partition 30s --for 2m             halves apart, and together again
  butterfly sim --members 50 --pause 5 --pause-for 8s -o json      five stand still for a while
  butterfly sim tune --members 300 --detect-within 10s             which timing to run them with
  butterfly sim scorecard --quick        how the protocol does beside what others published, in a minute
  butterfly sim chaos --seeds 1000       rings in which things go wrong have to come to rest";

const SCORECARD: &str = "\
Examples:
  butterfly sim scorecard --quick                     small rings and few seeds: about a minute
  butterfly sim scorecard -o markdown                 all of it: some seven hours of CPU, half of them
                                                      row 9, and 12 GB of memory
  butterfly sim scorecard --seeds 2 -o markdown       all of it, the short way
  butterfly sim scorecard --rows 3,11 --seeds 100     two rows, with more seeds
  butterfly sim scorecard --rows 6 --from 7 --seeds 1 -o json     one run of a row again";

const TUNE: &str = "\
Examples:
  butterfly sim tune --members 300 --delay 40ms --loss 2 --detect-within 10s
  butterfly sim tune --members 1000 --detect-within 5s --max-rate 1000
  butterfly sim tune --members 50 --delay 1ms --detect-within 1s -o json";

const CHAOS: &str = "\
Examples:
  butterfly sim chaos --seeds 5000
  butterfly sim chaos --from 49 --seeds 1 -v      one seed, and what happened in it";

const EXIT_CODES_OF_CHAOS: &str = "Exit codes: 0 ok, 1 a seed failed, 2 usage.";

const EXIT_CODES_OF_SCORECARD: &str =
    "Exit codes: 0 ok, 1 failed (with --strict also: a bound was missed), 2 usage.";

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, arg_required_else_help = true)]
pub struct SimArgs {
    #[command(subcommand)]
    pub command: Option<SimCommand>,
    #[command(flatten)]
    pub ring: RingArgs,
}

/// A ring, and what happens to it.
#[derive(Debug, Args)]
pub struct RingArgs {
    /// How many members, 2 to 10000; memory grows with the square, and a thousand take 0.1 GiB
    #[arg(long, value_name = "N", default_value = "100", value_parser = clap::value_parser!(u32).range(2..=10_000))]
    pub members: u32,
    /// How the ring starts
    #[arg(long, value_name = "HOW", default_value = "cold")]
    pub start: Start,
    /// The timing of all members
    #[arg(long, value_name = "PRESET", default_value = "lan", value_parser = PossibleValuesParser::new(Timing::PRESETS))]
    pub timing: String,
    /// Changes the timing, as in period=500ms or witnesses=0; more after commas, or again
    #[arg(long, value_name = "FIELD=VALUE", value_delimiter = ',')]
    pub set: Vec<String>,

    /// How much of all messages is lost
    #[arg(long, value_name = "PERCENT", default_value = "0", value_parser = percent, help_heading = "Network")]
    pub loss: f64,
    /// What every message takes at least
    #[arg(long, value_name = "DURATION", default_value = "500us", value_parser = duration, help_heading = "Network")]
    pub delay: Duration,
    /// The mean of what it takes on top, exponentially distributed
    #[arg(long, value_name = "DURATION", default_value = "500us", value_parser = duration, help_heading = "Network")]
    pub jitter: Duration,

    /// So many end without a word
    #[arg(
        long,
        value_name = "N",
        default_value = "0",
        help_heading = "What happens"
    )]
    pub kill: u32,
    /// Their hosts end with them: else their systems refuse what is sent to them, and end their connections
    #[arg(long, help_heading = "What happens")]
    pub lost_hosts: bool,
    /// So many leave, and say so
    #[arg(
        long,
        value_name = "N",
        default_value = "0",
        help_heading = "What happens"
    )]
    pub leave: u32,
    /// So many stand still for a while
    #[arg(
        long,
        value_name = "N",
        default_value = "0",
        help_heading = "What happens"
    )]
    pub pause: u32,
    /// For how long
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration, help_heading = "What happens")]
    pub pause_for: Duration,
    /// Halves of the ring do not reach each other for so long
    #[arg(long, value_name = "DURATION", value_parser = duration, help_heading = "What happens")]
    pub partition: Option<Duration>,
    /// So many members each tell all a rumor
    #[arg(
        long,
        value_name = "N",
        default_value = "1",
        help_heading = "What happens"
    )]
    pub rumors: u32,
    /// The size of a rumor's body, 8 MiB at most
    #[arg(long, value_name = "BYTES", default_value = "256", value_parser = clap::value_parser!(u32).range(0..=8 << 20), help_heading = "What happens")]
    pub rumor_bytes: u32,
    /// When all that happens [default: after a third of the run]
    #[arg(long, value_name = "DURATION", value_parser = duration, help_heading = "What happens")]
    pub at: Option<Duration>,

    /// How long the run is, of the ring's time
    #[arg(long = "for", value_name = "DURATION", default_value = "60s", value_parser = duration, help_heading = "The run")]
    pub length: Duration,
    /// The same seed gives the same run
    #[arg(long, value_name = "N", default_value = "0", value_parser = clap::value_parser!(u64).range(..=1 << 62), help_heading = "The run")]
    pub seed: u64,
    /// So many runs, with this seed and those after it, on all cores; the result is of all together
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u64).range(1..=100_000), help_heading = "The run")]
    pub seeds: u64,
    /// Says how far it is also if standard error is no terminal
    #[arg(long, help_heading = "The run")]
    pub progress: bool,
    /// Draws who knew what when, as SVG
    #[arg(long, value_name = "FILE", help_heading = "The run")]
    pub plot: Option<PathBuf>,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// How a simulated ring starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Start {
    /// All at once, with the first as their seed
    Cold,
    /// All know each other, as after some hours
    Settled,
}

#[derive(Debug, Subcommand)]
pub enum SimCommand {
    /// Measure the protocol on the simulator, beside what is published of others
    #[command(after_help = EXIT_CODES_OF_SCORECARD, after_long_help = long(SCORECARD, EXIT_CODES_OF_SCORECARD))]
    Scorecard(ScorecardArgs),
    /// Search the timing that finds a lost host in time, at the lowest load
    #[command(after_help = EXIT_CODES, after_long_help = long(TUNE, EXIT_CODES))]
    Tune(TuneArgs),
    /// Run seeds of trouble: rings in which things go wrong have to come to rest
    #[command(after_help = EXIT_CODES_OF_CHAOS, after_long_help = long(CHAOS, EXIT_CODES_OF_CHAOS))]
    Chaos(ChaosArgs),
}

#[derive(Debug, Args)]
pub struct TuneArgs {
    /// How many members, 4 to 10000
    #[arg(long, value_name = "N", default_value = "100", value_parser = clap::value_parser!(u32).range(4..=10_000))]
    pub members: u32,
    /// What every message takes at least, one way
    #[arg(long, value_name = "DURATION", default_value = "500us", value_parser = duration)]
    pub delay: Duration,
    /// The mean of what it takes on top, exponentially distributed [default: a quarter of the delay]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub jitter: Option<Duration>,
    /// How much of all messages is lost
    #[arg(long, value_name = "PERCENT", default_value = "0", value_parser = percent)]
    pub loss: f64,
    /// When all have to know that a host is lost, with the slowest of all runs
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub detect_within: Duration,
    /// The most that a member may send while nothing happens, bytes a second
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(1..))]
    pub max_rate: Option<u32>,
    /// So many runs of each timing, in each of which another host is lost
    #[arg(long, value_name = "N", default_value = "10", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub seeds: u64,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Debug, Args)]
pub struct ChaosArgs {
    /// How many seeds
    #[arg(long, value_name = "N", default_value = "1000", value_parser = clap::value_parser!(u64).range(1..))]
    pub seeds: u64,
    /// The first of them
    #[arg(long, value_name = "SEED", default_value = "0")]
    pub from: u64,
    /// Print each seed's report, and not only of those that failed
    #[arg(short, long)]
    pub verbose: bool,
}

#[derive(Debug, Args)]
pub struct ScorecardArgs {
    /// Only these rows, separated by commas [default: all]
    #[arg(long, value_name = "ROWS", value_delimiter = ',')]
    pub rows: Vec<u8>,
    /// So many runs of each experiment [default: 20 and more; with --quick fewer]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub seeds: Option<u64>,
    /// The first of their seeds
    #[arg(long, value_name = "SEED", default_value = "0", value_parser = clap::value_parser!(u64).range(..=1 << 62))]
    pub from: u64,
    /// Smaller rings and fewer seeds: to see that it works, not what it is worth
    #[arg(long)]
    pub quick: bool,
    /// Fail with exit code 1 if a bound is missed
    #[arg(long)]
    pub strict: bool,
    /// How to print
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub output: ReportFormat,
}

/// How a report is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// For people
    Table,
    /// For programs
    Json,
    /// For documents
    Markdown,
}

/// A duration as people write it, everywhere: `500ms`, `60s`, `2m`, `1m 30s`; a bare number is of seconds.
pub fn duration(text: &str) -> Result<Duration, String> {
    let duration = match text.parse() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).ok(),
        Err(_) => {
            let parsed = text.parse::<SignedDuration>().ok();
            parsed.and_then(|duration| Duration::try_from(duration).ok())
        }
    };
    // A hundred years: can be added to any time.
    const MOST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
    duration
        .filter(|duration| *duration <= MOST)
        .ok_or_else(|| "write seconds, like 0.5, or with a unit, like 500ms or 2m".to_owned())
}

/// A share of all, from 0 to 1, of a number of percent.
fn percent(text: &str) -> Result<f64, String> {
    match text.strip_suffix('%').unwrap_or(text).parse() {
        Ok(percent @ 0.0..=100.0) => Ok(percent / 100.0),
        _ => Err("write a number of percent from 0 to 100, like 5 or 0.5".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        for (text, millis) in [
            ("500ms", 500),
            ("60s", 60_000),
            ("1m 30s", 90_000),
            ("0s", 0),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in [
            "",
            "-1",
            "inf",
            "NaN",
            "-1s",
            "x",
            "1 parsec",
            "99999999999999h",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn percents_are_shares() {
        assert_eq!(percent("5"), Ok(0.05));
        assert_eq!(percent("0.5%"), Ok(0.005));
        for text in ["", "-1", "101", "NaN", "five"] {
            assert!(percent(text).is_err(), "{text}");
        }
    }
}
