//! `butterfly sim`: rings on a virtual network and clock.

mod chaos;
mod scorecard;

use crate::cli::{SimArgs, SimCommand};
use crate::failure::Failure;

pub fn sim(args: &SimArgs) -> Result<(), Failure> {
    match &args.command {
        Some(SimCommand::Scorecard(args)) => scorecard::scorecard(args),
        Some(SimCommand::Chaos(args)) => chaos::chaos(args),
        None => Err(Failure::usage(
            "say what to simulate, as in butterfly sim scorecard",
        )),
    }
}
