//! What this process has open, as the system tells.

use std::collections::HashSet;
use std::fs;

/// Descriptors by what they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Descriptors {
    /// UDP sockets, and TCP ones that listen.
    pub listening: usize,
    pub connections: usize,
    /// Polls and wakers.
    pub events: usize,
    /// Whatever else, which every process has.
    pub others: usize,
}

impl Descriptors {
    pub fn count() -> Self {
        let udp = inodes("udp", |_| true);
        let tcp = inodes("tcp", |state| state == LISTENING);
        let mut found = Descriptors::default();
        for entry in fs::read_dir("/proc/self/fd").unwrap() {
            // The one with which the directory is read is gone by then.
            let Ok(target) = fs::read_link(entry.unwrap().path()) else {
                continue;
            };
            let target = target.to_string_lossy();
            let count = match target.strip_prefix("socket:[") {
                Some(inode) if udp.contains(inode) || tcp.contains(inode) => &mut found.listening,
                // Also one that the system has no line for yet, or none any more.
                Some(_) => &mut found.connections,
                None if target.starts_with("anon_inode:") => &mut found.events,
                None => &mut found.others,
            };
            *count += 1;
        }
        found
    }
}

/// How `/proc/net/tcp` says that a socket listens.
const LISTENING: &str = "0A";

/// The inodes of sockets in this state, each with the bracket that follows it in a descriptor's link.
fn inodes(protocol: &str, state: impl Fn(&str) -> bool) -> HashSet<String> {
    let mut found = HashSet::new();
    for version in ["", "6"] {
        // A system without IPv6 has no such file.
        let path = format!("/proc/self/net/{protocol}{version}");
        let text = fs::read_to_string(path).unwrap_or_default();
        for line in text.lines().skip(1) {
            let fields: Vec<_> = line.split_ascii_whitespace().collect();
            if state(fields[3]) {
                found.insert(format!("{}]", fields[9]));
            }
        }
    }
    found
}

/// Threads of this name.
pub fn threads(name: &str) -> usize {
    let threads = fs::read_dir("/proc/self/task").unwrap();
    threads
        .filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("comm")).ok())
        .filter(|found| found.trim() == name)
        .count()
}

/// ZeroMQ's contexts: each has one thread of this name. Without the feature `zmq`, there is none.
pub fn contexts() -> usize {
    threads("ZMQbg/Reaper")
}
