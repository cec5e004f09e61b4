//! The log on standard error: a time, a level, a member and a line, whatever texts are in it.

use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use clap::ValueEnum;

use butterfly::text::visible;
use env_logger::{Builder, DEFAULT_FILTER_ENV, Env, Target, WriteStyle};
use jiff::Timestamp;
use log::{Level, LevelFilter};
use rustix::fs::fstat;
use serde_json::json;

use crate::background::Background;
use crate::failure::Failure;
use crate::output;

/// How long the end waits for a log that nobody reads.
const LAST_LINES: Duration = Duration::from_secs(1);

/// The log of a program whose loop must never wait for who reads it.
#[derive(Clone)]
pub struct Log {
    background: Background,
    format: LogFormat,
}

/// How the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people
    Text,
    /// For systemd's journal, which adds the time: a priority before each line, as in sd-daemon(3)
    Journal,
    /// For programs: an object a line
    Json,
}

/// Where `run` is told of the stream that the journal reads (systemd.exec(5)).
const JOURNAL: &str = "JOURNAL_STREAM";

impl LogFormat {
    /// The one that suits standard error.
    pub fn of_stderr() -> Self {
        let journal = std::env::var(JOURNAL).unwrap_or_default();
        let stream = fstat(io::stderr()).map(|it| format!("{}:{}", it.st_dev, it.st_ino));
        match stream {
            Ok(stream) if stream == journal => LogFormat::Journal,
            _ => LogFormat::Text,
        }
    }

    /// A line without its style, as the log and what stands in it are written.
    fn line(self, time: &str, level: Level, line: &str) -> String {
        let whose = MEMBER.lock().unwrap_or_else(PoisonError::into_inner);
        match self {
            LogFormat::Text => format!("{time} {level:<5} {}{}\n", whose.prefix(), visible(line)),
            LogFormat::Journal => {
                let priority = match level {
                    Level::Error => 3,
                    Level::Warn => 4,
                    Level::Info => 6,
                    Level::Debug | Level::Trace => 7,
                };
                format!("<{priority}>{}{}\n", whose.prefix(), visible(line))
            }
            LogFormat::Json => {
                let level = level.as_str().to_lowercase();
                let row = json!({
                    "time": time,
                    "level": level,
                    "member": whose.id,
                    "name": whose.name,
                    "message": visible(line).to_string(),
                });
                format!("{row}\n")
            }
        }
    }

    /// One that the program itself adds to the log.
    fn own(self, level: Level, line: &str) -> String {
        match self {
            LogFormat::Text => format!("{}\n", visible(line)),
            _ => self.line(&now(), level, line),
        }
    }
}

fn now() -> String {
    format!("{:.3}", Timestamp::now())
}

/// Whose log it is.
struct Member {
    id: String,
    name: String,
}

impl Member {
    /// What its lines begin with: two members may share a terminal.
    fn prefix(&self) -> String {
        match (self.name.as_str(), self.id.get(..8)) {
            ("", None) => String::new(),
            ("", Some(short)) => format!("{short}: "),
            (name, _) => format!("{}: ", visible(name)),
        }
    }
}

static MEMBER: Mutex<Member> = Mutex::new(Member {
    id: String::new(),
    name: String::new(),
});

/// From now on the log is this member's.
pub fn belongs_to(id: &str, name: &str) {
    *MEMBER.lock().unwrap_or_else(PoisonError::into_inner) = Member {
        id: id.to_owned(),
        name: name.to_owned(),
    };
}

/// The line that stands where others are missing.
pub fn lines_lost(count: u64) -> String {
    format!("butterfly: {count} log lines were lost here, as nobody read the log in time")
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
pub fn start(level: Option<&str>, format: LogFormat) -> io::Result<Log> {
    let lost = move |count| format.own(Level::Warn, &lines_lost(count));
    let background = Background::start("log", io::stderr(), lost)?;
    let by_level = level.is_some() || !is_set_by_rust_log();
    // A level that was asked for wins over all that `RUST_LOG` says, of one module too.
    let style = std::env::var("RUST_LOG_STYLE");
    let mut builder = if by_level {
        let mut builder = Builder::new();
        builder.parse_write_style(style.as_deref().unwrap_or_default());
        builder
    } else {
        Builder::from_env(Env::default().default_filter_or("info"))
    };
    write_lines(&mut builder, format);
    if by_level {
        // `log` itself holds the level, which may change.
        builder.filter(None, LevelFilter::Trace);
    }
    // Behind the thread the logger cannot see what standard error is.
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
    Ok(Log { background, format })
}

impl Log {
    /// Lines lost so far, as nobody read them in time.
    pub fn lost(&self) -> u64 {
        self.background.lost()
    }

    /// The latest lines, also of those that nobody reads.
    pub fn recent(&self) -> String {
        self.background.recent()
    }

    /// The last line, why the program ends, behind all others; waits for it a second at most.
    pub fn finish(&self, ended: Result<(), Failure>) -> Result<(), Failure> {
        let ended = ended.map_err(|failure| {
            if let Some(line) = failure.line() {
                let line = self.format.own(Level::Error, &line);
                self.background.hand_over(line.as_bytes());
            }
            failure.said()
        });
        self.background.flush(LAST_LINES);
        ended
    }
}

/// As they are to look.
fn write_lines(builder: &mut Builder, format: LogFormat) {
    builder.format(move |out, record| {
        let level = record.level();
        let line = format.line(&now(), level, &record.args().to_string());
        let style = out.default_level_style(level);
        match line.split_once(level.as_str()) {
            Some((time, rest)) if format == LogFormat::Text => {
                write!(out, "{time}{style}{level}{style:#}{rest}")
            }
            _ => out.write_all(line.as_bytes()),
        }
    });
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use log::{Log as _, Record};

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

    /// What a warning about this group is written as.
    fn written(format: LogFormat, text: &str) -> String {
        let written = Written::default();
        let mut builder = Builder::new();
        write_lines(&mut builder, format);
        let logger = builder
            .filter(None, LevelFilter::Trace)
            .target(Target::Pipe(Box::new(written.clone())))
            .build();
        logger.log(
            &Record::builder()
                .level(Level::Warn)
                .args(format_args!("group {text}"))
                .build(),
        );
        let log = String::from_utf8(written.0.lock().unwrap().clone());
        log.unwrap()
    }

    #[test]
    fn a_record_is_one_line_whatever_is_in_it() {
        let text = "red\n2026-11-30T12:00:00.000Z ERROR forged\u{202e}\x1b[2J";
        let escaped = "group red\\n2026-11-30T12:00:00.000Z ERROR forged\\u{202e}\\u{1b}[2J";
        let log = written(LogFormat::Text, text);
        let (time, rest) = log.split_once(' ').unwrap();
        assert!(time.len() == 24 && time.ends_with('Z'), "{log}");
        assert_eq!(rest, format!("WARN  {escaped}\n"));
        let log = written(LogFormat::Journal, text);
        assert_eq!(log, format!("<4>{escaped}\n"));
        let log = written(LogFormat::Json, text);
        assert_eq!(log.matches('\n').count(), 1);
        let row: serde_json::Value = serde_json::from_str(&log).unwrap();
        assert_eq!(row["message"], escaped);
        assert_eq!(row["level"], "warn");
    }

    #[test]
    fn a_line_says_whose_it_is() {
        let member = |name: &str| Member {
            id: "0123456789abcdef0123456789abcdef".into(),
            name: name.into(),
        };
        assert_eq!(member("amber").prefix(), "amber: ");
        assert_eq!(member("").prefix(), "01234567: ");
        assert_eq!(member("a\nb").prefix(), "a\\nb: ");
    }
}
