//! `butterfly sim`: rings on a virtual network and clock.

mod chaos;
mod parallel;
mod ring;
mod scorecard;

use crate::cli::{SimArgs, SimCommand};
use crate::failure::Failure;

pub fn sim(args: &SimArgs) -> Result<(), Failure> {
    match &args.command {
        Some(SimCommand::Scorecard(args)) => scorecard::scorecard(args),
        Some(SimCommand::Tune(args)) => ring::tune(args),
        Some(SimCommand::Chaos(args)) => chaos::chaos(args),
        None => ring::ring(&args.ring),
    }
}
