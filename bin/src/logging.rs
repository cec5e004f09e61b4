//! The log on standard error: a time, a level and a line.

use std::io::Write;

use env_logger::{Builder, Env};

/// Starts it: everything from level info on, unless `RUST_LOG` says otherwise.
pub fn start() {
    let started = Builder::from_env(Env::default().default_filter_or("info"))
        .format(|out, record| {
            let (time, level) = (out.timestamp_millis(), record.level());
            let style = out.default_level_style(level);
            writeln!(out, "{time} {style}{level:<5}{style:#} {}", record.args())
        })
        .try_init();
    // It fails only if a log was started before, and then there is one.
    drop(started);
}
