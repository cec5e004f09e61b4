//! How far this member may trust itself (Lifeguard §III, "local health aware probe").

use std::time::Duration;

use crate::limits::MAX_LOCAL_HEALTH;

/// A score from 0, healthy, to [`MAX_LOCAL_HEALTH`]: what goes wrong may be the own fault, so a bad
/// score makes this member slower to probe and to give up on others.
#[derive(Hash)]
pub(crate) struct LocalHealth {
    score: u8,
    enabled: bool,
}

impl LocalHealth {
    pub fn new(enabled: bool) -> Self {
        LocalHealth { score: 0, enabled }
    }

    pub fn score(&self) -> u8 {
        self.score
    }

    pub fn worsen(&mut self) {
        if self.enabled && self.score < MAX_LOCAL_HEALTH {
            self.score += 1;
        }
    }

    pub fn improve(&mut self) {
        self.score = self.score.saturating_sub(1);
    }

    pub fn stretch(&self, duration: Duration) -> Duration {
        duration * (u32::from(self.score) + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stays_within_its_bounds_and_stretches_by_the_score() {
        let mut health = LocalHealth::new(true);
        health.improve();
        assert_eq!(
            health.stretch(Duration::from_secs(1)),
            Duration::from_secs(1)
        );
        for _ in 0..100 {
            health.worsen();
        }
        assert_eq!(
            health.stretch(Duration::from_secs(1)),
            Duration::from_secs(9)
        );
        health.improve();
        assert_eq!(health.score(), 7);
    }

    #[test]
    fn switched_off_it_never_worsens() {
        let mut health = LocalHealth::new(false);
        health.worsen();
        assert_eq!(health.score(), 0);
    }
}
