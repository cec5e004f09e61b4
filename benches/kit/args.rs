//! What a benchmark is told.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use std::path::PathBuf;
use std::process::{ExitCode, exit};

/// What every benchmark knows beside its own.
const COMMON: &str = "\n
  -o json         print one JSON object instead of tables
  --plot FILE     draw the percentile curves, as SVG, into FILE";

/// The arguments of a benchmark.
pub struct Args {
    /// Whether to measure: `cargo bench` says so. Otherwise it is enough to show that all still works.
    pub measure: bool,
    /// Whether to print JSON.
    pub json: bool,
    /// Where to draw the percentile curves, if anywhere.
    pub plot: Option<PathBuf>,
    /// What else was said.
    pub rest: Vec<String>,
}

impl Args {
    /// The arguments; `None`: help was asked for, and given. Whatever makes no sense ends the program.
    pub fn read(help: &str) -> Option<Args> {
        let mut args = Args {
            measure: false,
            json: false,
            plot: None,
            rest: Vec::new(),
        };
        let mut given = std::env::args().skip(1);
        while let Some(arg) = given.next() {
            match arg.as_str() {
                "--help" | "-h" => {
                    say(format_args!("{help}{COMMON}"));
                    return None;
                }
                "--bench" => args.measure = true,
                "--test" => args.measure = false,
                "-o" | "--output" => match given.next().as_deref() {
                    Some("json") => args.json = true,
                    Some("text") => args.json = false,
                    _ => refuse("-o takes json or text"),
                },
                "--plot" => match given.next() {
                    Some(file) => args.plot = Some(file.into()),
                    None => refuse("--plot takes the name of the SVG file to write"),
                },
                _ => args.rest.push(arg),
            }
        }
        Some(args)
    }

    /// The number after this option, which is taken out of the rest; `None`: it was not given.
    pub fn number(&mut self, option: &str) -> Option<f64> {
        let at = self.rest.iter().position(|arg| arg == option)?;
        self.rest.remove(at);
        let value = (at < self.rest.len()).then(|| self.rest.remove(at));
        match value.as_deref().map(str::parse::<f64>) {
            Some(Ok(number)) if number.is_finite() && number >= 0.0 => Some(number),
            _ => refuse(&format!("{option} takes a number")),
        }
    }

    /// Words that choose among this benchmark's parts; an option that is left is one that nobody knows.
    pub fn words(&self) -> &[String] {
        if let Some(option) = self.rest.iter().find(|arg| arg.starts_with('-')) {
            refuse(&format!(
                "there is no option {option}; --help lists those there are"
            ));
        }
        &self.rest
    }

    /// Whether the words choose what has this name: one of them is in it, or there are none.
    pub fn wants(&self, name: &str) -> bool {
        let words = self.words();
        words.is_empty() || words.iter().any(|word| name.contains(word.as_str()))
    }
}

/// Ends a benchmark: what went wrong is a line on standard error.
pub fn conclude(result: io::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Writes a line to standard output. If it takes none any more, the benchmark is over: who read it went away.
pub fn say(line: impl Display) {
    if let Err(error) = writeln!(io::stdout(), "{line}") {
        if error.kind() != ErrorKind::BrokenPipe {
            eprintln!("cannot write to standard output: {error}");
        }
        exit(1)
    }
}

fn refuse(why: &str) -> ! {
    eprintln!("{why}");
    exit(2)
}
