//! The node's time: the driver's, less what the node's loop slept through, and whatever is done to the driver's
//! clock.

use std::time::Duration;

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
