//! Wakes the loop at its deadline by a timer of the system, which is set only when the deadline changed. A wait with a
//! timeout sets one each time and takes it back when a datagram comes before: 0.4 of the 11 µs that a bare round trip
//! takes.

use std::io;
use std::time::{Duration, Instant};

use mio::{Registry, Token};

/// How to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// The deadline has come: only look.
    Not,
    /// Until something comes; the timer is one of those things.
    ForAnything,
    /// So long at most: the system has no such timer, or will not set it.
    AtMost(Duration),
}

/// A timer that makes the poll ready that it is registered with.
#[derive(Debug)]
pub(super) struct WakeTimer {
    timer: Option<system::Timer>,
    /// When it is to go off, or went off without anybody noticing yet.
    set: Option<Instant>,
}

impl WakeTimer {
    /// Where the system has none, waits have timeouts.
    pub fn new(registry: &Registry, token: Token) -> Self {
        let timer = system::Timer::new(registry, token);
        if let Err(error) = &timer {
            log::debug!("waits have timeouts, as there is no timer: {error}");
        }
        WakeTimer {
            timer: timer.ok(),
            set: None,
        }
    }

    /// It went off.
    pub fn went_off(&mut self) {
        self.set = None;
    }

    /// How to wait for this deadline, having set the timer if need be. `None`: there is none.
    pub fn wait_until(
        &mut self,
        deadline: Option<Instant>,
        clock: impl FnOnce() -> Instant,
    ) -> Wait {
        if deadline == self.set {
            return Wait::ForAnything;
        }
        let left = deadline.map(|at| at.saturating_duration_since(clock()));
        if left == Some(Duration::ZERO) {
            return Wait::Not;
        }
        // Unset, it would wake for nothing.
        let done = match &self.timer {
            Some(timer) => timer.set(left.unwrap_or_default()),
            None => Err(io::ErrorKind::Unsupported.into()),
        };
        match (done, left) {
            (Ok(()), _) => {
                self.set = deadline;
                Wait::ForAnything
            }
            (Err(_), Some(left)) => Wait::AtMost(left),
            (Err(_), None) => Wait::ForAnything,
        }
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
mod system {
    use std::io;
    use std::os::fd::{AsRawFd, OwnedFd};
    use std::time::Duration;

    use mio::unix::SourceFd;
    use mio::{Interest, Registry, Token};
    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    };

    #[derive(Debug)]
    pub struct Timer(OwnedFd);

    impl Timer {
        pub fn new(registry: &Registry, token: Token) -> io::Result<Self> {
            // Instants are of the same clock.
            let clock = TimerfdClockId::Monotonic;
            let fd = timerfd_create(clock, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK)?;
            registry.register(&mut SourceFd(&fd.as_raw_fd()), token, Interest::READABLE)?;
            Ok(Timer(fd))
        }

        /// Goes off once, after so long, whatever was set before; zero: it does not.
        pub fn set(&self, after: Duration) -> io::Result<()> {
            let once = Itimerspec {
                it_interval: Timespec::default(),
                it_value: Timespec::try_from(after).map_err(io::Error::other)?,
            };
            timerfd_settime(&self.0, TimerfdTimerFlags::empty(), &once)?;
            Ok(())
        }
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod system {
    use std::io;
    use std::time::Duration;

    use mio::{Registry, Token};

    #[derive(Debug)]
    pub enum Timer {}

    impl Timer {
        pub fn new(_: &Registry, _: Token) -> io::Result<Self> {
            Err(io::ErrorKind::Unsupported.into())
        }

        pub fn set(&self, _: Duration) -> io::Result<()> {
            match *self {}
        }
    }
}

#[cfg(test)]
mod tests {
    use mio::{Events, Poll};

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Waits until so long from now; whether the timer was what ended it, and after how long.
    #[cfg(target_os = "linux")]
    fn wait(poll: &mut Poll, timer: &mut WakeTimer, left: Duration) -> (bool, Duration) {
        let start = Instant::now();
        let timeout = match timer.wait_until(Some(start + left), || start) {
            Wait::Not => Some(Duration::ZERO),
            Wait::ForAnything => Some(Duration::from_secs(60)),
            Wait::AtMost(left) => Some(left),
        };
        let mut events = Events::with_capacity(4);
        poll.poll(&mut events, timeout).unwrap();
        let rang = events.iter().any(|event| event.token() == Token(7));
        if rang {
            timer.went_off();
        }
        (rang, start.elapsed())
    }

    fn poll_with_timer() -> (Poll, WakeTimer) {
        let poll = Poll::new().unwrap();
        let timer = WakeTimer::new(poll.registry(), Token(7));
        (poll, timer)
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn it_goes_off_at_each_deadline_and_not_before() {
        let (mut poll, mut timer) = poll_with_timer();
        for _ in 0..3 {
            let (rang, took) = wait(&mut poll, &mut timer, 20 * MS);
            assert!(rang);
            assert!(took >= 20 * MS, "{took:?}");
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_deadline_that_changes_is_set_anew_and_one_that_goes_wakes_nobody() {
        let (mut poll, mut timer) = poll_with_timer();
        let start = Instant::now();
        let far = Some(start + 3_600_000 * MS);
        assert_eq!(timer.wait_until(far, || start), Wait::ForAnything);
        let (rang, took) = wait(&mut poll, &mut timer, 30 * MS);
        assert!(rang, "sooner than it was set first: {took:?}");

        let now = Instant::now();
        let soon = Some(now + 20 * MS);
        assert_eq!(timer.wait_until(soon, || now), Wait::ForAnything);
        assert_eq!(timer.wait_until(None, || now), Wait::ForAnything);
        let mut events = Events::with_capacity(4);
        poll.poll(&mut events, Some(60 * MS)).unwrap();
        assert!(events.is_empty() && Some(Instant::now()) > soon);
    }

    #[test]
    fn the_same_deadline_asks_nobody_and_one_that_has_come_does_not_wait() {
        let (_poll, mut timer) = poll_with_timer();
        let at = Instant::now() + 1_000 * MS;
        let clock = || at - 999 * MS;
        let first = timer.wait_until(Some(at), clock);
        if first == Wait::ForAnything {
            let unasked = || -> Instant { unreachable!("the clock is not read") };
            assert_eq!(timer.wait_until(Some(at), unasked), Wait::ForAnything);
        }
        assert_eq!(timer.wait_until(Some(at - MS), || at), Wait::Not);
    }

    #[test]
    fn without_a_timer_waits_have_timeouts() {
        let mut timer = WakeTimer {
            timer: None,
            set: None,
        };
        let now = Instant::now();
        assert_eq!(
            timer.wait_until(Some(now + 5 * MS), || now),
            Wait::AtMost(5 * MS)
        );
        assert_eq!(timer.wait_until(Some(now), || now), Wait::Not);
        assert_eq!(timer.wait_until(None, || now), Wait::ForAnything);
    }
}
