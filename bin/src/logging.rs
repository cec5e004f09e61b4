//! The log on standard error: a time, a level and a line, whatever texts are in it.

use std::io::{self, Write};
use std::time::Duration;

use butterfly::text::visible;
use env_logger::{Builder, DEFAULT_FILTER_ENV, Env, Target, WriteStyle};
use log::LevelFilter;

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

/// The line that stands where others are missing.
pub fn lines_lost(count: u64) -> String {
    format!("butterfly: {count} log lines were lost here, as nobody read the log in time\n")
}

/// The level if nobody says otherwise.
pub const LEVEL: &str = "info";

/// Logs from this level on, from now on, unless `RUST_LOG` decides instead.
pub fn set_level(level: Option<&str>) {
    if level.is_some() || !is_set_by_rust_log() {
        let level = level.unwrap_or(LEVEL).parse();
        log::set_max_level(level.unwrap_or(LevelFilter::Info));
    }
}

fn is_set_by_rust_log() -> bool {
    std::env::var_os(DEFAULT_FILTER_ENV).is_some_and(|filter| !filter.is_empty())
}

/// Starts it: everything from this level on, or from info on, or as `RUST_LOG` says.
///
/// # Errors
/// The system gives no thread.
pub fn start(level: Option<&str>) -> io::Result<Log> {
    let background = Background::start("log", io::stderr(), lines_lost)?;
    let by_level = level.is_some() || !is_set_by_rust_log();
    let mut builder = builder(Env::default());
    if by_level {
        // `log` itself holds the level, which may change.
        builder.filter(None, LevelFilter::Trace);
    }
    // Behind the thread the logger cannot see what standard error is.
    let style = std::env::var("RUST_LOG_STYLE");
    if style.is_ok_and(|style| style == "always" || style == "never") {
        // Taken from the environment already.
    } else if output::colours_wanted(&io::stderr()) {
        builder.write_style(WriteStyle::Always);
    }
    let started = builder
        .target(Target::Pipe(Box::new(background.clone())))
        .try_init();
    // It fails only if a log was started before, and then there is one.
    drop(started);
    set_level(level);
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
                self.background
                    .hand_over(format!("{}\n", visible(&line)).as_bytes());
            }
            failure.said()
        });
        self.background.flush(LAST_LINES);
        ended
    }
}

fn builder(env: Env<'_>) -> Builder {
    let mut builder = Builder::from_env(env.default_filter_or("info"));
    builder.format(|out, record| {
        let (time, level) = (out.timestamp_millis(), record.level());
        let style = out.default_level_style(level);
        let line = record.args().to_string();
        writeln!(out, "{time} {style}{level:<5}{style:#} {}", visible(&line))
    });
    builder
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use log::{Level, Log, Record};

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_record_is_one_line_whatever_is_in_it() {
        let written = Written::default();
        let mut builder = builder(Env::new().filter("NO_SUCH_VARIABLE"));
        let logger = builder
            .target(Target::Pipe(Box::new(written.clone())))
            .build();
        let text = "red\n2026-11-30T12:00:00.000Z ERROR forged\u{202e}\x1b[2J";
        logger.log(
            &Record::builder()
                .level(Level::Warn)
                .args(format_args!("group {text}"))
                .build(),
        );
        let log = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        let (time, rest) = log.split_once(' ').unwrap();
        assert!(time.ends_with('Z'), "{log}");
        assert_eq!(
            rest,
            "WARN  group red\\n2026-11-30T12:00:00.000Z ERROR forged\\u{202e}\\u{1b}[2J\n"
        );
    }
}
