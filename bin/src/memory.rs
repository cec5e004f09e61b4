//! When to give memory back to the system that the allocator keeps: see [`butterfly::trim_memory`].

use std::time::{Duration, Instant};

use butterfly::Butterfly;

/// How long after connections were closed: they may send for a second more, and others follow.
const DELAY: Duration = Duration::from_secs(3);

/// It takes time, so nobody who opens and closes connections can have it done all the time.
const PAUSE: Duration = Duration::from_secs(60);

/// A few connections are not worth the trouble.
const FEW: u64 = 8;

/// Notices when many connections were closed.
#[derive(Debug, Default)]
pub struct Memory {
    /// The most connections since memory was given back.
    most: u64,
    due: Option<Instant>,
    /// Not before then.
    pause_until: Option<Instant>,
}

impl Memory {
    /// Gives memory back if it is time. To be called after each wake.
    pub fn turn(&mut self, now: Instant, member: &Butterfly) {
        if self.is_time(now, connections(member)) {
            butterfly::trim_memory();
        }
    }

    /// When `turn` is to be called at the latest.
    pub fn deadline(&self) -> Option<Instant> {
        self.due
    }

    /// Whether most of the connections that there were are closed, for a while now.
    fn is_time(&mut self, now: Instant, connections: u64) -> bool {
        self.most = self.most.max(connections);
        if self.most < FEW || connections > self.most / 2 {
            self.due = None;
            return false;
        }
        let next = self
            .pause_until
            .map_or(now + DELAY, |until| until.max(now + DELAY));
        if *self.due.get_or_insert(next) > now {
            return false;
        }
        *self = Memory {
            most: connections,
            due: None,
            pause_until: Some(now + PAUSE),
        };
        true
    }
}

/// The member's connections for rumors, in both directions.
fn connections(member: &Butterfly) -> u64 {
    let stats = member.gossip_stats();
    let gauges = stats.iter().flat_map(|stats| stats.gauges());
    gauges
        .filter(|gauge| matches!(gauge.name, "push_sockets" | "connections"))
        .map(|gauge| gauge.now)
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_time_once_most_connections_are_closed_for_a_while() {
        let (mut memory, start) = (Memory::default(), Instant::now());
        assert!(!memory.is_time(start, 100));
        assert!(!memory.is_time(start, 51));
        assert_eq!(memory.deadline(), None);
        assert!(!memory.is_time(start, 50));
        assert_eq!(memory.deadline(), Some(start + DELAY));
        // They go on closing.
        assert!(!memory.is_time(start + DELAY / 2, 20));
        assert!(memory.is_time(start + DELAY, 20));
        assert_eq!(memory.deadline(), None, "once");
        assert!(!memory.is_time(start + 2 * DELAY, 20));
        assert!(!memory.is_time(start + 2 * DELAY, 0));
        assert!(!memory.is_time(start + 3 * DELAY, 0), "not so soon again");
        assert_eq!(memory.deadline(), Some(start + DELAY + PAUSE));
        assert!(memory.is_time(start + DELAY + PAUSE, 0));
    }

    #[test]
    fn a_few_or_those_that_come_back_are_not_worth_it() {
        let (mut memory, start) = (Memory::default(), Instant::now());
        assert!(!memory.is_time(start, FEW - 1));
        assert!(!memory.is_time(start, 0));
        assert_eq!(memory.deadline(), None);
        assert!(!memory.is_time(start, 30));
        assert!(!memory.is_time(start, 10));
        assert!(!memory.is_time(start + DELAY / 2, 30));
        assert!(!memory.is_time(start + DELAY, 10));
        assert_eq!(memory.deadline(), Some(start + 2 * DELAY));
    }

    #[test]
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    fn what_lies_between_things_in_use_is_given_back() {
        // 64 MiB, and after each piece a little thing that stays.
        let piece = |_| (vec![1u8; 64 << 10], Box::new(1u8));
        let (pieces, stay): (Vec<_>, Vec<_>) = (0..1 << 10).map(piece).unzip();
        drop(pieces);
        let before = resident_kib();
        butterfly::trim_memory();
        let after = resident_kib();
        assert!(after + (40 << 10) < before, "{before} KiB, then {after}");
        drop(stay);
    }

    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    fn resident_kib() -> u64 {
        let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
        let pages: u64 = statm.split(' ').nth(1).unwrap().parse().unwrap();
        pages * 4
    }
}
