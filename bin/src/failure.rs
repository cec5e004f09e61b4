//! How the program ends when it does not end well: a line for people, an exit code for scripts.

use std::fmt::{self, Display};
use std::process::ExitCode;

use crate::output;

/// Something went wrong.
const FAILED: u8 = 1;
/// The command line makes no sense; clap ends with the same code.
const USAGE: u8 = 2;
/// What was waited for did not come in time.
const NOT_REACHED: u8 = 3;
/// This member was told to depart for good.
const EXPELLED: u8 = 4;

/// What this member knew last is not on disk.
const NOT_STORED: u8 = 5;

/// Why the program ends, and with which code.
#[derive(Debug, PartialEq, Eq)]
pub struct Failure {
    code: u8,
    /// One clear line; empty: there is nobody left to tell.
    message: String,
}

impl Failure {
    /// Something went wrong: exit code 1.
    pub fn failed(message: impl Display) -> Self {
        Failure::new(FAILED, message)
    }

    /// The command line makes no sense: exit code 2.
    pub fn usage(message: impl Display) -> Self {
        Failure::new(USAGE, message)
    }

    /// What was waited for did not come in time: exit code 3.
    pub fn not_reached(message: impl Display) -> Self {
        Failure::new(NOT_REACHED, message)
    }

    /// This member was told to depart for good: exit code 4.
    pub fn expelled(message: impl Display) -> Self {
        Failure::new(EXPELLED, message)
    }

    /// What this member knew last is not on disk: exit code 5.
    pub fn not_stored(message: impl Display) -> Self {
        Failure::new(NOT_STORED, message)
    }

    /// Who read standard output has seen enough (`butterfly members | head -1`): a quiet end.
    pub fn reader_gone() -> Self {
        Failure::new(0, "")
    }

    fn new(code: u8, message: impl Display) -> Self {
        Failure {
            code,
            message: message.to_string(),
        }
    }

    /// The line for people, if there is somebody to tell.
    pub fn line(&self) -> Option<String> {
        (!self.message.is_empty()).then(|| format!("butterfly: {self}"))
    }

    /// The same end, whose line somebody else has written.
    pub fn said(self) -> Self {
        Failure::new(self.code, "")
    }

    /// Says it on standard error; returns the exit code.
    pub fn report(self) -> ExitCode {
        if let Some(line) = self.line() {
            output::tell(&line);
        }
        ExitCode::from(self.code)
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
