//! What the safe interfaces of ZeroMQ and the system cannot reach: the only unsafe code.

use std::ffi::{c_int, c_void};
use std::io;
use std::ops::{Deref, DerefMut};
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::sync::Arc;

/// The kinds of sockets that gossip needs.
#[derive(Clone, Copy, Debug)]
#[repr(i32)]
pub(super) enum Kind {
    Pair = zmq_sys::ZMQ_PAIR as i32,
    Pull = zmq_sys::ZMQ_PULL as i32,
    Push = zmq_sys::ZMQ_PUSH as i32,
}

/// A ZeroMQ context with room for more sockets than the default. Dropping the last clone waits until its
/// sockets have lingered.
pub(super) struct Context {
    raw: *mut c_void,
}

// SAFETY: libzmq's contexts are thread-safe (zmq(7), "Thread safety"); `raw` is only passed to libzmq.
unsafe impl Send for Context {}
// SAFETY: as above.
unsafe impl Sync for Context {}

impl Context {
    pub(super) fn new(max_sockets: u16) -> io::Result<Self> {
        // SAFETY: has no preconditions; null is an error.
        let raw = unsafe { zmq_sys::zmq_ctx_new() };
        if raw.is_null() {
            return Err(last_error());
        }
        let context = Context { raw };
        let (option, value) = (zmq_sys::ZMQ_MAX_SOCKETS as c_int, c_int::from(max_sockets));
        // SAFETY: `raw` is a live context.
        match unsafe { zmq_sys::zmq_ctx_set(context.raw, option, value) } {
            0 => Ok(context),
            _ => Err(last_error()),
        }
    }

    pub(super) fn socket(self: &Arc<Self>, kind: Kind) -> io::Result<Socket> {
        // SAFETY: `raw` is a live context.
        let raw = unsafe { zmq_sys::zmq_socket(self.raw, kind as c_int) };
        if raw.is_null() {
            return Err(last_error());
        }
        // SAFETY: `raw` is a live socket that nobody else owns. Its context outlives it, as `Socket` holds
        // that until after the socket is closed.
        let inner = unsafe { zmq::Socket::from_raw(raw) };
        Ok(Socket {
            inner,
            _context: Arc::clone(self),
        })
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: `raw` is a live context; no socket of it is open, since each holds the context. A call
        // that a signal interrupts is to be repeated (zmq_ctx_term(3)).
        while unsafe { zmq_sys::zmq_ctx_term(self.raw) } == -1
            && zmq::Error::from_raw(errno()) == zmq::Error::EINTR
        {}
    }
}

/// A ZeroMQ socket that keeps its context alive.
pub(super) struct Socket {
    // Dropped first.
    inner: zmq::Socket,
    _context: Arc<Context>,
}

impl Socket {
    /// Connections made hereafter end when what was sent on them is not acknowledged, or has no room at the
    /// other end, for so many milliseconds; where the system can do that.
    pub(super) fn set_unacknowledged(&mut self, millis: c_int) -> io::Result<()> {
        let raw = self.inner.as_mut_ptr();
        let (option, value) = (zmq_sys::ZMQ_TCP_MAXRT as c_int, (&raw const millis).cast());
        let len = std::mem::size_of::<c_int>();
        // SAFETY: `raw` is a live socket, and `len` bytes are read from `value`, all of them those of `millis`.
        match unsafe { zmq_sys::zmq_setsockopt(raw, option, value, len) } {
            0 => Ok(()),
            _ => Err(last_error()),
        }
    }

    /// Ends what [`zmq::Socket::monitor`] began, before this returns.
    pub(super) fn stop_monitor(&mut self) {
        let raw = self.inner.as_mut_ptr();
        // SAFETY: `raw` is a live socket; a null address ends monitoring (zmq_socket_monitor(3)).
        unsafe { zmq_sys::zmq_socket_monitor(raw, std::ptr::null(), 0) };
    }
}

impl Deref for Socket {
    type Target = zmq::Socket;

    fn deref(&self) -> &zmq::Socket {
        &self.inner
    }
}

impl DerefMut for Socket {
    fn deref_mut(&mut self) -> &mut zmq::Socket {
        &mut self.inner
    }
}

fn errno() -> c_int {
    // SAFETY: has no preconditions.
    unsafe { zmq_sys::zmq_errno() }
}

fn last_error() -> io::Error {
    zmq::Error::from_raw(errno()).into()
}

/// A descriptor of our own for what another part of the process has open under this number now.
pub(super) fn duplicate(fd: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: takes numbers alone; the kernel refuses one that is not open.
    let copy = unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 0) };
    if copy == -1 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made it, for us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

/// The bytes that came in over the TCP connection that this number stands for now, the unread ones included;
/// `None`: it is no TCP connection, or the system does not say.
#[cfg(target_os = "linux")]
pub(super) fn bytes_received(fd: RawFd) -> Option<u64> {
    use std::mem::{self, MaybeUninit};
    let mut info = MaybeUninit::<libc::tcp_info>::zeroed();
    let mut len = mem::size_of::<libc::tcp_info>() as libc::socklen_t;
    let at = info.as_mut_ptr().cast();
    // SAFETY: the kernel refuses a number that is no TCP socket, and writes at most `len` bytes to `at`.
    let result = unsafe { libc::getsockopt(fd, libc::IPPROTO_TCP, libc::TCP_INFO, at, &mut len) };
    let end = mem::offset_of!(libc::tcp_info, tcpi_bytes_received) + mem::size_of::<u64>();
    if result != 0 || (len as usize) < end {
        return None;
    }
    // SAFETY: it is made of integers, zeroed before the kernel wrote some of them.
    Some(unsafe { info.assume_init() }.tcpi_bytes_received)
}

/// Elsewhere nothing is known, and so nobody is judged.
#[cfg(not(target_os = "linux"))]
pub(super) fn bytes_received(_fd: RawFd) -> Option<u64> {
    None
}

/// Has the allocator give free memory back to the system: all of the process's, not only this library's.
///
/// What ZeroMQ took for a connection, some 30 KiB, is free once that is closed. But it lies between what is still in
/// use, and there glibc keeps it, for good, unless it is told otherwise (malloc_trim(3)). It takes milliseconds, tens
/// of them with hundreds of megabytes, so it is for rare moments, as after many connections were closed. It is
/// glibc's heap that is trimmed, where ZeroMQ's memory is; elsewhere this does nothing.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub fn trim_memory() {
    // SAFETY: has no preconditions, and may be called while other threads allocate (malloc_trim(3)).
    unsafe { libc::malloc_trim(0) };
}

/// Has the allocator give free memory back to the system; this one sees to it itself.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn trim_memory() {}
