//! What Linux says of this process, under the names that Prometheus' clients give it.

use std::fs;
use std::time::{Duration, SystemTime};

use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

use super::exposition::Exposition;

pub fn write(out: &mut Exposition, uptime: Duration) {
    let spent = clock_gettime(ClockId::ProcessCPUTime);
    out.counter(
        "process_cpu_seconds_total",
        "Processor time that this process has used, in seconds.",
    )
    .is(spent.tv_sec as f64 + spent.tv_nsec as f64 / 1e9);
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let started = since_1970.unwrap_or_default().saturating_sub(uptime);
    out.gauge(
        "process_start_time_seconds",
        "When this process started, in seconds since 1970.",
    )
    .is(started.as_secs_f64());
    if let Some(most) = getrlimit(Resource::Nofile).current {
        out.gauge(
            "process_max_fds",
            "How many files and sockets this process may have open.",
        )
        .is(most);
    }
    // Where there is no /proc, the rest is missing.
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        out.gauge(
            "process_open_fds",
            "How many files and sockets this process has open.",
        )
        // The directory that is being read is one of them.
        .is(open.count().saturating_sub(1));
    }
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    for (field, name, help) in [
        (
            "VmRSS:",
            "process_resident_memory_bytes",
            "Memory of this process that is resident, in bytes.",
        ),
        (
            "VmSize:",
            "process_virtual_memory_bytes",
            "Address space of this process, in bytes.",
        ),
    ] {
        if let Some(kibibytes) = kibibytes(&status, field) {
            out.gauge(name, help).is(kibibytes * 1_024);
        }
    }
}

/// What stands behind `VmRSS:`, say, as in `VmRSS:     1234 kB`.
fn kibibytes(status: &str, field: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}
