//! How functions fail: a number, and a sentence for people. No panic leaves this library.

use std::cell::RefCell;
use std::ffi::{CString, c_char};
use std::fmt;
use std::panic::{self, AssertUnwindSafe};

use crate::raw;

/// How a call ended. Numbers are never given another meaning.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum butterfly_status {
    /// It did what it says.
    BUTTERFLY_OK = 0,
    /// An argument is NULL that must not be, does not read, or is out of range.
    BUTTERFLY_BAD_ARGUMENT = 1,
    /// The member cannot start: an address, the data directory, or the system is in the way.
    BUTTERFLY_CANNOT_START = 2,
    /// The command makes no sense now, or there is no room for what it brings.
    BUTTERFLY_REFUSED = 3,
    /// There is no such thing.
    BUTTERFLY_NOT_FOUND = 4,
    /// The system's poll failed.
    BUTTERFLY_SYSTEM = 5,
    /// This library has a bug. The member can only be freed.
    BUTTERFLY_BUG = 6,
}

use butterfly_status::{BUTTERFLY_BAD_ARGUMENT, BUTTERFLY_BUG, BUTTERFLY_OK};

/// Why a call failed.
pub struct Failure(pub butterfly_status, pub String);

impl Failure {
    /// An argument is not as it has to be.
    pub fn argument(name: &str, why: impl fmt::Display) -> Self {
        Failure(BUTTERFLY_BAD_ARGUMENT, format!("{name}: {why}"))
    }
}

thread_local! {
    static LAST: RefCell<CString> = RefCell::default();
}

/// Does it, remembers the sentence if it fails, and catches panics.
pub fn guard(act: impl FnOnce() -> Result<(), Failure>) -> butterfly_status {
    let result = panic::catch_unwind(AssertUnwindSafe(act)).unwrap_or_else(|panicked| {
        let text = panicked.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panicked.downcast_ref::<&str>().copied());
        let text = text.unwrap_or("it says nothing");
        Err(Failure(BUTTERFLY_BUG, format!("a bug: {text}")))
    });
    match result {
        Ok(()) => BUTTERFLY_OK,
        Err(Failure(status, sentence)) => {
            LAST.set(raw::text_for_c(&sentence));
            status
        }
    }
}

/// The sentence of the last call in this thread that failed: what was wrong, and what to do. It is valid until the next
/// call in this thread that fails. Never NULL.
#[unsafe(no_mangle)]
pub extern "C" fn butterfly_last_error() -> *const c_char {
    LAST.with_borrow(|last| last.as_ptr())
}

/// The version of this library, as "0.1.0". Never NULL, and valid for ever.
#[unsafe(no_mangle)]
pub extern "C" fn butterfly_version() -> *const c_char {
    const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "\0");
    VERSION.as_ptr().cast()
}
