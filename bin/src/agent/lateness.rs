//! How late the member's loop was lately.

use std::time::{Duration, Instant};

/// A moment counts for this long at least, and for twice as long at most.
const SPAN: Duration = Duration::from_secs(5);

/// The worst of the latest two spans.
pub struct Lateness {
    began: Instant,
    now: Duration,
    before: Duration,
}

impl Lateness {
    pub fn new(now: Instant) -> Self {
        Lateness {
            began: now,
            now: Duration::ZERO,
            before: Duration::ZERO,
        }
    }

    /// The loop came to what was due this long after it was due.
    pub fn note(&mut self, now: Instant, late: Duration) {
        let since = now.saturating_duration_since(self.began);
        if since >= SPAN {
            self.before = match since < 2 * SPAN {
                true => self.now,
                false => Duration::ZERO,
            };
            (self.began, self.now) = (now, Duration::ZERO);
        }
        self.now = self.now.max(late);
    }

    /// The longest that it was late lately.
    pub fn worst(&self, now: Instant) -> Duration {
        match now.saturating_duration_since(self.began) {
            since if since < SPAN => self.now.max(self.before),
            since if since < 2 * SPAN => self.now,
            _ => Duration::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_is_forgotten_after_two_spans_at_most() {
        let start = Instant::now();
        let after = |spans: u32| start + spans * SPAN / 2;
        let ms = Duration::from_millis;
        let mut lateness = Lateness::new(start);
        assert_eq!(lateness.worst(start), ms(0));
        lateness.note(start, ms(7));
        lateness.note(after(1), ms(3));
        assert_eq!(lateness.worst(after(1)), ms(7));
        lateness.note(after(2), ms(1));
        assert_eq!(lateness.worst(after(3)), ms(7));
        lateness.note(after(4), ms(2));
        assert_eq!(lateness.worst(after(4)), ms(2));
        // A loop that had nothing to do for long was not late.
        assert_eq!(lateness.worst(after(9)), ms(0));
        lateness.note(after(9), ms(0));
        assert_eq!(lateness.worst(after(9)), ms(0));
    }
}
