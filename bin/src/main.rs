//! The program `butterfly`: runs a member of a ring and looks into it.

use std::process::ExitCode;

fn main() -> ExitCode {
    butterfly_bin::main()
}
