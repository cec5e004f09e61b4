//! What the safe interfaces of the system cannot reach: the only unsafe code.

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
