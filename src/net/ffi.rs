//! What the safe interfaces of the system cannot reach: the only unsafe code.

use std::io;
#[cfg(any(target_os = "linux", target_os = "android"))]
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;
#[cfg(feature = "tokio")]
use std::os::fd::OwnedFd;

#[cfg(feature = "tokio")]
use tokio::io::unix::AsyncFd;

/// Has the allocator give free memory back to the system: all of the process's, not only this library's.
///
/// What was taken for large rumors, or by a crowd of connections, is free once they are gone. But where it lies between
/// what is still in use, glibc keeps it, for good, unless it is told otherwise (malloc_trim(3)). It takes milliseconds,
/// tens of them with hundreds of megabytes, so it is for rare moments, as after many connections were closed. It is
/// glibc's heap that is trimmed; elsewhere this does nothing.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub fn trim_memory() {
    // SAFETY: has no preconditions, and may be called while other threads allocate (malloc_trim(3)).
    unsafe { libc::malloc_trim(0) };
}

/// Has the allocator give free memory back to the system; this one sees to it itself.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn trim_memory() {}

/// Bytes that were written to a TCP connection and that the peer's kernel has not acknowledged (tcp(7), SIOCOUTQ).
///
/// # Errors
/// What the system says.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) fn unacknowledged(connection: BorrowedFd<'_>) -> io::Result<usize> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the descriptor is open while it is borrowed, and the call writes one int there (tcp(7)).
    let result = unsafe { libc::ioctl(connection.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    match usize::try_from(bytes) {
        Ok(bytes) if result == 0 => Ok(bytes),
        _ => Err(io::Error::last_os_error()),
    }
}

/// How many there are, other systems do not say.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(super) fn unacknowledged(_: BorrowedFd<'_>) -> io::Result<usize> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Has the tokio runtime watch a descriptor.
///
/// # Errors
/// If there is no runtime with I/O, or the system refuses.
#[cfg(feature = "tokio")]
pub(super) fn watch(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: it is owned, so it is open and the same one for as long as it is watched.
    let watched = unsafe { AsyncFd::register_with_interest(fd, tokio::io::Interest::READABLE) };
    watched.map_err(io::Error::from)
}
