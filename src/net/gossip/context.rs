//! The ZeroMQ context that the members of a thread share, so that hundreds of them cost two threads of
//! ZeroMQ and not hundreds.

use std::cell::RefCell;
use std::io;
use std::sync::{Arc, Weak};

use super::super::ffi::Context;
use crate::limits::MAX_CONTEXT_SOCKETS;

thread_local! {
    static SHARED: RefCell<Weak<Context>> = const { RefCell::new(Weak::new()) };
}

/// This thread's context, made if no member of it is there. The last member to go ends it.
pub(super) fn shared() -> io::Result<Arc<Context>> {
    SHARED.with_borrow_mut(|shared| {
        if let Some(context) = shared.upgrade() {
            return Ok(context);
        }
        let context = Arc::new(Context::new(MAX_CONTEXT_SOCKETS)?);
        *shared = Arc::downgrade(&context);
        Ok(context)
    })
}
