//! What keeps the log readable: lines that come too often are counted, and silence is broken now and then.

use std::time::{Duration, Instant};

/// Lets so many through in a span of time, and counts the others.
pub struct Throttle {
    most: u32,
    span: Duration,
    /// When the current span began; `None`: with the next one.
    began: Option<Instant>,
    shown: u32,
    unshown: u64,
}

impl Throttle {
    /// At most `most` in `span`.
    pub fn new(most: u32, span: Duration) -> Self {
        Throttle {
            most,
            span,
            began: None,
            shown: 0,
            unshown: 0,
        }
    }

    /// Whether one more may be shown; if not, it is counted.
    pub fn admit(&mut self, now: Instant) -> bool {
        self.began.get_or_insert(now);
        if self.shown < self.most {
            self.shown += 1;
            return true;
        }
        self.unshown += 1;
        false
    }

    /// Ends the span if it is over; returns how many were not shown in it, once.
    pub fn turn(&mut self, now: Instant) -> u64 {
        let over = |began| now.saturating_duration_since(began) >= self.span;
        if self.began.is_some_and(over) {
            self.take()
        } else {
            0
        }
    }

    /// Ends the span; returns how many were not shown in it.
    pub fn take(&mut self) -> u64 {
        self.began = None;
        self.shown = 0;
        std::mem::take(&mut self.unshown)
    }

    /// Whether one more may be shown, with how many were not shown before it.
    pub fn admit_with_count(&mut self, now: Instant) -> Option<u64> {
        let unshown = self.turn(now);
        self.admit(now).then_some(unshown)
    }

    /// When there is something to be said of those that were not shown.
    pub fn deadline(&self) -> Option<Instant> {
        let began = self.began.filter(|_| self.unshown > 0)?;
        Some(began + self.span)
    }
}

/// How long a member may be alone until that is said for the first time.
const FIRST_WORD: Duration = Duration::from_secs(5);
/// The longest pause until it is said again.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// Says ever more rarely that a member is alone.
#[derive(Default)]
pub struct Solitude {
    current: Option<Alone>,
}

struct Alone {
    since: Instant,
    next: Instant,
    pause: Duration,
}

impl Solitude {
    /// How long it has been alone, if that is to be said now.
    pub fn turn(&mut self, is_alone: bool, now: Instant) -> Option<Duration> {
        if !is_alone {
            self.current = None;
            return None;
        }
        let alone = self.current.get_or_insert(Alone {
            since: now,
            next: now + FIRST_WORD,
            pause: FIRST_WORD,
        });
        if now < alone.next {
            return None;
        }
        alone.pause = (alone.pause * 2).min(LONGEST_PAUSE);
        alone.next = now + alone.pause;
        Some(now.saturating_duration_since(alone.since))
    }

    /// When that is to be said next.
    pub fn deadline(&self) -> Option<Instant> {
        self.current.as_ref().map(|alone| alone.next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn what_is_too_much_is_counted_and_told_once() {
        let (mut throttle, start) = (Throttle::new(2, SECOND), Instant::now());
        let admitted: Vec<_> = (0..5).map(|_| throttle.admit(start)).collect();
        assert_eq!(admitted, [true, true, false, false, false]);
        assert_eq!(throttle.turn(start + SECOND / 2), 0);
        assert_eq!(throttle.deadline(), Some(start + SECOND));
        assert_eq!(throttle.turn(start + SECOND), 3);
        assert_eq!(throttle.turn(start + SECOND), 0);
        assert_eq!(throttle.deadline(), None);
        assert!(throttle.admit(start + SECOND));
    }

    #[test]
    fn few_need_no_later_word() {
        let (mut throttle, start) = (Throttle::new(2, SECOND), Instant::now());
        assert!(throttle.admit(start));
        assert_eq!(throttle.deadline(), None);
    }

    #[test]
    fn the_next_one_tells_how_many_were_not_shown() {
        let (mut throttle, start) = (Throttle::new(1, SECOND), Instant::now());
        assert_eq!(throttle.admit_with_count(start), Some(0));
        assert_eq!(throttle.admit_with_count(start), None);
        assert_eq!(throttle.admit_with_count(start), None);
        assert_eq!(throttle.admit_with_count(start + SECOND), Some(2));
    }

    #[test]
    fn solitude_is_told_ever_more_rarely() {
        let (mut solitude, start) = (Solitude::default(), Instant::now());
        assert_eq!(solitude.turn(true, start), None);
        let mut told = Vec::new();
        while told.len() < 9 {
            let now = solitude.deadline().unwrap();
            told.extend(solitude.turn(true, now).map(|alone| alone.as_secs()));
        }
        assert_eq!(told, [5, 15, 35, 75, 155, 315, 615, 915, 1215]);
        assert_eq!(solitude.turn(false, start), None);
        assert_eq!(solitude.deadline(), None);
    }
}
