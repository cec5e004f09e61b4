//! The log on standard error: a time, a level and a line.

use std::io::{self, Write};
use std::time::Duration;

use env_logger::{Builder, Env, Target, WriteStyle};

use crate::background::Background;
use crate::failure::Failure;
use crate::output;

/// How long the end waits for a log that nobody reads.
const LAST_LINES: Duration = Duration::from_secs(1);

/// The log of a program whose loop must never wait for who reads it.
#[derive(Clone)]
pub struct Log {
    background: Background,
}

/// Starts it: everything from level info on, unless `RUST_LOG` says otherwise.
///
/// # Errors
/// The system gives no thread.
pub fn start() -> io::Result<Log> {
    let background = Background::start("log", io::stderr(), |lost| {
        format!("butterfly: {lost} log lines were lost here, as nobody read the log in time\n")
    })?;
    let mut builder = Builder::from_env(Env::default().default_filter_or("info"));
    // Behind the thread the logger cannot see what standard error is.
    let style = std::env::var("RUST_LOG_STYLE");
    if style.is_ok_and(|style| style == "always" || style == "never") {
        // Taken from the environment already.
    } else if output::colours_wanted(&io::stderr()) {
        builder.write_style(WriteStyle::Always);
    }
    let started = builder
        .target(Target::Pipe(Box::new(background.clone())))
        .format(|out, record| {
            let (time, level) = (out.timestamp_millis(), record.level());
            let style = out.default_level_style(level);
            writeln!(out, "{time} {style}{level:<5}{style:#} {}", record.args())
        })
        .try_init();
    // It fails only if a log was started before, and then there is one.
    drop(started);
    Ok(Log { background })
}

impl Log {
    /// Lines lost so far, as nobody read them in time.
    pub fn lost(&self) -> u64 {
        self.background.lost()
    }

    /// The last line, why the program ends, behind all others; waits for it a second at most.
    pub fn finish(&self, ended: Result<(), Failure>) -> Result<(), Failure> {
        let ended = ended.map_err(|failure| {
            if let Some(line) = failure.line() {
                self.background.hand_over(format!("{line}\n").as_bytes());
            }
            failure.said()
        });
        self.background.flush(LAST_LINES);
        ended
    }
}
