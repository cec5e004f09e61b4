//! The command line of the simulator.

use clap::{Args, Subcommand, ValueEnum};

pub const SIM: &str = "\
Examples:
  butterfly sim scorecard --quick        how the protocol does beside what others published, in a minute";

const SCORECARD: &str = "\
Examples:
  butterfly sim scorecard --quick                     small rings and few seeds: about a minute
  butterfly sim scorecard -o markdown                 all of it: half an hour on two cores
  butterfly sim scorecard --rows 3,11 --seeds 100     two rows, with more seeds";

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
}

#[derive(Debug, Subcommand)]
pub enum SimCommand {
    /// Measure the protocol on the simulator, beside what is published of others
    #[command(before_help = SCORECARD, after_help = EXIT_CODES_OF_SCORECARD)]
    Scorecard(ScorecardArgs),
    /// Run seeds of trouble: rings in which things go wrong have to come to rest
    #[command(before_help = CHAOS, after_help = EXIT_CODES_OF_CHAOS)]
    Chaos(ChaosArgs),
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
    /// So many runs of each experiment, with the seeds 0, 1, … [default: what each row says, 20 in general]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub seeds: Option<u64>,
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
