//! `butterfly sim`: rings on a virtual network and clock.

mod scorecard;

use crate::cli::{SimArgs, SimCommand};
use crate::failure::Failure;

pub fn sim(args: &SimArgs) -> Result<(), Failure> {
    match &args.command {
        Some(SimCommand::Scorecard(args)) => scorecard::scorecard(args),
        None => Err(Failure::usage(
            "say what to simulate, as in butterfly sim scorecard",
        )),
    }
}
