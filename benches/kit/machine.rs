//! The machine, as far as figures depend on it, and what this process costs it.

use std::fs;
use std::io;
use std::process::Command;
use std::time::Duration;

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// What stands after this name in a file of lines like `name: what`.
fn field(text: &str, name: &str) -> Option<String> {
    let mut lines = text.lines().filter_map(|line| line.split_once(':'));
    let (_, value) = lines.find(|(key, _)| key.trim() == name)?;
    Some(value.trim().to_owned())
}

fn kib(text: &str, name: &str) -> u64 {
    let value = field(text, name).unwrap_or_default();
    value
        .split(' ')
        .next()
        .and_then(|it| it.parse().ok())
        .unwrap_or(0)
}

/// The processor, how many of them, the kernel, and what else runs.
pub fn describe() -> String {
    let cpu = field(&read("/proc/cpuinfo"), "model name").unwrap_or("unknown CPU".to_owned());
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = read("/proc/sys/kernel/osrelease");
    format!(
        "{cpu}, CPUs {} ({cpus}), Linux {}, load {}",
        allowed(),
        kernel.trim(),
        load()
    )
}

/// How many processes wanted to run of late: over one, five and fifteen minutes.
pub fn load() -> String {
    let load = read("/proc/loadavg");
    load.split(' ').take(3).collect::<Vec<_>>().join(" ")
}

/// The CPUs that the calling thread may use.
pub fn allowed() -> String {
    let status = read("/proc/thread-self/status");
    field(&status, "Cpus_allowed_list").unwrap_or("unknown".to_owned())
}

/// The numbers of those.
pub fn cpus() -> Vec<u32> {
    let ranges = allowed();
    let ranges = ranges.split(',').filter_map(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        Some(first.parse().ok()?..=last.parse().ok()?)
    });
    ranges.flatten().collect()
}

/// Has the calling thread, and those that it starts from now on, run on this CPU alone.
pub fn pin(cpus: &[u32]) -> io::Result<()> {
    let thread = fs::read_link("/proc/thread-self")?;
    let thread = thread.file_name().unwrap_or_default();
    let list: Vec<_> = cpus.iter().map(u32::to_string).collect();
    let done = Command::new("taskset")
        .args(["-cp", &list.join(",")])
        .arg(thread)
        .output()?;
    if done.status.success() {
        Ok(())
    } else {
        Err(io::Error::other(
            String::from_utf8_lossy(&done.stderr).into_owned(),
        ))
    }
}

/// What the threads of this process spent so far, ZeroMQ's too; those that ended do not count.
pub fn cpu_of_process(pid: &str) -> Duration {
    let threads = fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten();
    let nanos = threads.filter_map(|thread| nanos_of(thread.ok()?.path().to_str()?));
    Duration::from_nanos(nanos.sum())
}

/// What the calling thread spent so far.
pub fn cpu_of_thread() -> Duration {
    Duration::from_nanos(nanos_of("/proc/thread-self").unwrap_or(0))
}

fn nanos_of(thread: &str) -> Option<u64> {
    read(&format!("{thread}/schedstat"))
        .split(' ')
        .next()?
        .parse()
        .ok()
}

/// Memory that a process shares with nobody, in KiB.
pub fn private_memory(pid: &str) -> u64 {
    let rollup = read(&format!("/proc/{pid}/smaps_rollup"));
    kib(&rollup, "Private_Clean") + kib(&rollup, "Private_Dirty")
}

/// All memory of a process that is in use, in KiB.
pub fn resident_memory(pid: &str) -> u64 {
    kib(&read(&format!("/proc/{pid}/status")), "VmRSS")
}

/// Descriptors that a process has open.
pub fn descriptors(pid: &str) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

/// Threads of a process.
pub fn threads(pid: &str) -> usize {
    fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count)
}
