//! `butterfly sim`: rings on a virtual network and clock.

mod parallel;
mod ring;
mod scorecard;

use crate::cli::{SimArgs, SimCommand};
use crate::failure::Failure;

pub fn sim(args: &SimArgs) -> Result<(), Failure> {
    match &args.command {
        Some(SimCommand::Scorecard(args)) => scorecard::scorecard(args),
        None => ring::ring(&args.ring),
    }
}
