//! The node's time: the driver's, less what the node's loop slept through, and whatever is done to the driver's
//! clock.

use std::time::Duration;

use super::Node;
use crate::event::Event;
use crate::history::Fact;
use crate::time::Time;

#[derive(Debug, Default)]
pub(super) struct Clock {
    /// Microseconds by which the driver's time is ahead of the node's.
    ahead: i64,
}

impl Clock {
    /// The node's time at this time of the driver's.
    pub fn node_time(&self, driver: Time) -> Time {
        Time::from_micros(driver.as_micros().saturating_add_signed(-self.ahead))
    }

    /// The driver's time at this time of the node's.
    pub fn driver_time(&self, node: Time) -> Time {
        Time::from_micros(node.as_micros().saturating_add_signed(self.ahead))
    }

    /// The node's time stands still for so long.
    pub fn stand_still(&mut self, lag: Duration) {
        let lag = i64::try_from(lag.as_micros()).unwrap_or(i64::MAX);
        self.ahead = self.ahead.saturating_add(lag);
    }

    /// At this time of the driver's it is that of the node's.
    pub fn set(&mut self, driver: Time, node: Time) {
        self.ahead = driver.as_micros().wrapping_sub(node.as_micros()) as i64;
    }
}

impl Node {
    /// The time is `now`. What the loop slept through, from a deadline that it missed by more than the
    /// tolerance, does not count: a member that was stopped for a while must not hold that against others.
    pub(super) fn advance(&mut self, now: Time) {
        // A driver's clock that is set back stops nothing here: its time goes on from there.
        if self.env.wall.since(now) > self.lag_tolerance {
            self.clock.set(now, self.env.now);
        }
        self.env.wall = now;
        let mut time = self.clock.node_time(now);
        if let Some(deadline) = self.env.timers.next_deadline()
            && time > deadline + self.lag_tolerance
        {
            let lag = time.since(deadline);
            self.clock.stand_still(lag);
            time = deadline;
            self.swim.lagged();
            self.env.journal.stats.lags += 1;
            self.env.journal.stats.loop_lag.record(lag);
            self.env.journal.event(Event::Lagged { by: lag });
            self.env.journal.history.note_lag(lag);
            let fact = Fact::Lagged { by: lag };
            self.env.journal.history.add(now, self.swim.id(), fact);
        }
        self.env.now = self.env.now.max(time);
    }

    /// How late the timers that are due are served; what the clock stood still for is counted already.
    pub(super) fn note_lag(&mut self) {
        let (now, due) = (self.env.now, self.env.timers.next_deadline());
        if let Some(due) = due.filter(|due| *due < now) {
            let lag = now.since(due);
            self.env.journal.stats.loop_lag.record(lag);
            self.env.journal.history.note_lag(lag);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_time_follows_from_the_other() {
        let mut clock = Clock::default();
        let (early, late) = (Time::from_millis(2), Time::from_millis(9));
        assert_eq!(clock.node_time(late), late);
        clock.stand_still(Duration::from_millis(7));
        assert_eq!(
            (clock.node_time(late), clock.driver_time(early)),
            (early, late)
        );
        clock.set(early, late);
        assert_eq!(
            (clock.node_time(early), clock.driver_time(late)),
            (late, early)
        );
        assert_eq!(clock.driver_time(Time::from_millis(1)), Time::ZERO);
    }
}
