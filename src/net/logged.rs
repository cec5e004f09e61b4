//! What is logged, for tests to look at: each looks at its own thread's lines.

use std::cell::RefCell;
use std::sync::Once;

thread_local! {
    static LINES: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

struct Log;

impl log::Log for Log {
    fn enabled(&self, _: &log::Metadata) -> bool {
        true
    }

    fn log(&self, record: &log::Record) {
        LINES.with_borrow_mut(|lines| {
            if let Some(lines) = lines {
                lines.push(format!("{} {}", record.level(), record.args()));
            }
        });
    }

    fn flush(&self) {}
}

/// The lines that this logs in this thread, each with its level.
pub(crate) fn by(act: impl FnOnce()) -> Vec<String> {
    static SET: Once = Once::new();
    SET.call_once(|| {
        // It fails if there is one already, and then the tests do.
        let _ = log::set_boxed_logger(Box::new(Log));
        log::set_max_level(log::LevelFilter::Warn);
    });
    LINES.set(Some(Vec::new()));
    act();
    LINES.take().unwrap_or_default()
}
