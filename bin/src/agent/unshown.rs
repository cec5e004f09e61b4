//! Changes that come too many at a time for a line each: they are told by name, all together.

use std::time::{Duration, Instant};

use butterfly::Health;
use log::{info, warn};

use crate::quiet::Throttle;

/// How many changes are logged in a second.
const MOST: u32 = 50;
/// How many members are named in one line.
const MOST_NAMED: usize = 200;

/// Lets so many changes through in a second, and keeps the names of the others.
pub struct Changes {
    throttle: Throttle,
    groups: Vec<Group>,
    /// Changes of rumors.
    rumors: u64,
}

/// Those that became the same.
struct Group {
    health: Health,
    names: Vec<String>,
    more: usize,
}

impl Changes {
    pub fn new() -> Self {
        Changes {
            throttle: Throttle::new(MOST, Duration::from_secs(1)),
            groups: Vec::new(),
            rumors: 0,
        }
    }

    /// Whether a line is written of a member that is that now; if not, it is named later.
    pub fn admit(&mut self, now: Instant, health: Health, name: impl FnOnce() -> String) -> bool {
        self.turn(now);
        if self.throttle.admit(now) {
            return true;
        }
        let at = self.groups.iter().position(|group| group.health == health);
        let at = at.unwrap_or_else(|| {
            self.groups.push(Group {
                health,
                names: Vec::new(),
                more: 0,
            });
            self.groups.len() - 1
        });
        if let Some(group) = self.groups.get_mut(at) {
            match group.names.len() < MOST_NAMED {
                true => group.names.push(name()),
                false => group.more += 1,
            }
        }
        false
    }

    /// Whether a line is written of a rumor; if not, it is counted.
    pub fn admit_rumor(&mut self, now: Instant) -> bool {
        self.turn(now);
        let admitted = self.throttle.admit(now);
        self.rumors += u64::from(!admitted);
        admitted
    }

    /// Tells those that had no line, once the second is over.
    pub fn turn(&mut self, now: Instant) {
        if self.throttle.turn(now) > 0 {
            self.tell();
        }
    }

    /// The same at once.
    pub fn finish(&mut self) {
        self.throttle.take();
        self.tell();
    }

    /// When there is something to be told.
    pub fn deadline(&self) -> Option<Instant> {
        self.throttle.deadline()
    }

    fn tell(&mut self) {
        for Group {
            health,
            names,
            more,
        } in self.groups.drain(..)
        {
            let count = names.len() + more;
            let names = names.join(", ");
            let more = match more {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            match health {
                Health::Suspect | Health::Confirmed => {
                    warn!("… and {count} that are {health} now: {names}{more}");
                }
                _ => info!("… and {count} that are {health} now: {names}{more}"),
            }
        }
        match std::mem::take(&mut self.rumors) {
            0 => {}
            count => info!("… and {count} more changes of rumors"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logged;

    #[test]
    fn changes_that_are_too_many_are_told_by_name() {
        let (mut changes, start) = (Changes::new(), Instant::now());
        let lines = logged::by(|| {
            for number in 0..300 {
                changes.admit(start, Health::Confirmed, || format!("web-{number}"));
            }
            changes.admit(start, Health::Suspect, || "db-1".to_owned());
            assert!(!changes.admit_rumor(start));
            assert!(changes.deadline().is_some());
            changes.turn(start + Duration::from_secs(1));
            changes.finish();
        });
        let named: Vec<_> = (50..250).map(|number| format!("web-{number}")).collect();
        let all = named.join(", ");
        assert_eq!(
            lines,
            [
                format!("WARN … and 250 that are confirmed now: {all} and 50 more"),
                "WARN … and 1 that are suspect now: db-1".to_owned(),
            ]
        );
        assert!(
            changes.admit(start + Duration::from_secs(2), Health::Alive, || {
                unreachable!("it has a line")
            })
        );
    }
}
