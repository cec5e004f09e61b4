//! `butterfly sim`: what a ring of yours would do.
//!
//! | file | subject |
//! |---|---|
//! | `scenario` | what is simulated: the ring, the network, what happens |
//! | `run` | one run, and what came of it |
//! | `observer` | who knows what when |
//! | `measure`, `times`, `load` | what is measured: the knowing, how long it took, the cost |
//! | `progress` | how far it is |
//! | `tune` | which timing is right |
//! | `report`, `plot`, `curves` | the result, for people and programs; the picture of it, and its lines |

mod curves;
mod load;
mod measure;
mod observer;
mod plot;
mod progress;
mod report;
mod run;
mod scenario;
mod times;
mod tune;

use std::fs::File;
use std::io::Write;
use std::path::Path;

use super::parallel;
use crate::cli::{Format, RingArgs};
use crate::failure::Failure;
use crate::output;
use observer::Observer;
use progress::Progress;
use run::Outcome;
use scenario::Scenario;
pub use tune::tune;

/// Runs whose results are kept until they are taken together.
const PART: u64 = 64;

pub fn ring(args: &RingArgs) -> Result<(), Failure> {
    let scenario = Scenario::new(args)?;
    if let Some(warning) = scenario.warning() {
        output::tell(&warning);
    }
    // Before hours are spent on what cannot be written.
    let plot = args.plot.as_deref().map(create).transpose()?;
    let outcome = runs(&scenario, args)?;
    if let Some((mut file, path)) = plot {
        let svg = plot::svg(&scenario, &outcome);
        file.write_all(svg.as_bytes())
            .map_err(|error| cannot_write(path, &error))?;
    }
    match args.output.format() {
        Format::Table => output::print(&report::text(&scenario, &outcome)),
        Format::Json => output::print_line(&report::json(&scenario, &outcome).to_string()),
    }
}

fn create(path: &Path) -> Result<(File, &Path), Failure> {
    let file = File::create(path).map_err(|error| cannot_write(path, &error))?;
    Ok((file, path))
}

fn cannot_write(path: &Path, error: &std::io::Error) -> Failure {
    Failure::failed(format_args!("cannot write {}: {error}", path.display()))
}

/// All runs together.
fn runs(scenario: &Scenario, args: &RingArgs) -> Result<Outcome, Failure> {
    let progress = Progress::new(scenario, args.seeds, args.progress);
    let tell = |seed, now, observer: &Observer| progress.tell(seed, now, observer);
    let mut all: Option<Outcome> = None;
    let last = args.seed + args.seeds;
    // In parts, so that not all results are kept at once.
    for first in (args.seed..last).step_by(PART as usize) {
        let part = first..last.min(first + PART);
        for outcome in parallel::runs(part, |seed| run::run(scenario, seed, &tell)) {
            match &mut all {
                Some(all) => all.merge(outcome?),
                None => all = Some(outcome?),
            }
        }
    }
    progress.done();
    all.ok_or_else(|| Failure::usage("--seeds 0 runs nothing"))
}
