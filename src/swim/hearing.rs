//! Whether this member hears others. One that hears nobody tells nobody that others are dead.

use std::time::Duration;

use crate::config::Timing;
use crate::time::Time;

/// So many periods without a datagram, and this member may be deaf: each of its own probes has an answer, or helpers that
/// say they were asked, and so soon nobody holds it for dead.
const HEARING: u32 = 2;

#[derive(Hash)]
pub(super) struct Hearing {
    /// When the last message came from a member that is where it says it is.
    last: Time,
    /// There is more to read than the driver reads at once, so that an Ack may lie unread.
    pub unread: bool,
    /// Since when it has heard nobody, once that is too long.
    pub isolated: Option<Time>,
}

impl Hearing {
    pub fn new(now: Time) -> Self {
        Hearing {
            last: now,
            unread: false,
            isolated: None,
        }
    }

    /// Whether some member was heard of late.
    #[inline]
    pub fn of_late(&self, now: Time, timing: &Timing) -> bool {
        now.since(self.last) < timing.period * HEARING
    }

    /// For how long no member was heard.
    pub fn silence(&self, now: Time) -> Duration {
        now.since(self.last)
    }

    /// Whether some member was heard since then.
    pub fn since(&self, time: Time) -> bool {
        self.last >= time
    }

    /// A message came from a member that is where it says it is. `Some`: it was deaf since then.
    #[inline]
    pub fn somebody(&mut self, now: Time, timing: &Timing) -> Option<Time> {
        let last = (!self.of_late(now, timing)).then_some(self.last);
        self.last = now;
        last
    }

    /// A probe brought nothing from anybody, though others were asked for help.
    pub fn nobody(&mut self, now: Time, timing: &Timing) {
        self.last = self.last.min(now - timing.period * HEARING);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_two_periods_without_a_message_a_member_is_deaf_until_it_hears_again() {
        let timing = Timing::lan();
        let start = Time::from_millis(1_000_000);
        let mut hearing = Hearing::new(start);
        assert!(hearing.of_late(start + timing.period, &timing));
        assert_eq!(hearing.somebody(start + timing.period, &timing), None);
        let later = start + timing.period * 3;
        assert!(!hearing.of_late(later, &timing));
        assert_eq!(
            hearing.somebody(later, &timing),
            Some(start + timing.period)
        );
        assert!(hearing.of_late(later, &timing) && hearing.since(later));
        hearing.nobody(later, &timing);
        assert!(!hearing.of_late(later, &timing) && !hearing.since(later));
    }
}
