//! Log lines, told to a function of the embedder's.

use std::ffi::{c_char, c_void};
use std::panic::{self, AssertUnwindSafe};

use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::raw;
use crate::status::{Failure, butterfly_status, guard};

/// How much a log line matters, the most first.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum butterfly_level {
    /// Something does not work.
    BUTTERFLY_ERROR = 1,
    /// Something is not as it should be.
    BUTTERFLY_WARN = 2,
    /// What an operator may want to know.
    BUTTERFLY_INFO = 3,
    /// What happens, in detail.
    BUTTERFLY_DEBUG = 4,
    /// Everything.
    BUTTERFLY_TRACE = 5,
}

use butterfly_level::*;

/// Takes a log line: the context as it was given, a butterfly_level, where in the library it comes from, and the line.
/// The texts are valid during the call only.
pub type butterfly_log = Option<
    extern "C" fn(
        context: *mut c_void,
        level: butterfly_level,
        target: *const c_char,
        line: *const c_char,
    ),
>;

struct Told {
    to: extern "C" fn(*mut c_void, butterfly_level, *const c_char, *const c_char),
    context: *mut c_void,
}

// SAFETY: butterfly_set_log() asks for a function and a context that any thread may use at any time.
unsafe impl Send for Told {}
// SAFETY: the same.
unsafe impl Sync for Told {}

impl Log for Told {
    fn enabled(&self, _: &Metadata) -> bool {
        true
    }

    fn log(&self, record: &Record) {
        // Also called by a thread that nothing guards.
        let _ = panic::catch_unwind(AssertUnwindSafe(|| {
            let target = raw::text_for_c(record.target());
            let line = raw::text_for_c(&record.args().to_string());
            let level = match record.level() {
                Level::Error => BUTTERFLY_ERROR,
                Level::Warn => BUTTERFLY_WARN,
                Level::Info => BUTTERFLY_INFO,
                Level::Debug => BUTTERFLY_DEBUG,
                Level::Trace => BUTTERFLY_TRACE,
            };
            (self.to)(self.context, level, target.as_ptr(), line.as_ptr());
        }));
    }

    fn flush(&self) {}
}

/// Has this function called with each log line of this level or a more important one, from now until the process ends;
/// once in a process. Both function and context have to be of use to any thread at any time: a line may come from the
/// thread that writes a data directory. The function must not call back into this library.
#[unsafe(no_mangle)]
pub extern "C" fn butterfly_set_log(
    log: butterfly_log,
    context: *mut c_void,
    level: i32,
) -> butterfly_status {
    guard(|| {
        let to = log.ok_or_else(|| Failure::argument("log", "it is NULL"))?;
        let level = match level {
            1 => LevelFilter::Error,
            2 => LevelFilter::Warn,
            3 => LevelFilter::Info,
            4 => LevelFilter::Debug,
            5 => LevelFilter::Trace,
            _ => return Err(Failure::argument("level", "it is no butterfly_level")),
        };
        log::set_boxed_logger(Box::new(Told { to, context })).map_err(|_| {
            let why = "a function takes the log lines already".to_owned();
            Failure(butterfly_status::BUTTERFLY_REFUSED, why)
        })?;
        log::set_max_level(level);
        Ok(())
    })
}
