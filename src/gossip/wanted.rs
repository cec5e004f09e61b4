//! Rumors that were asked for and have not come. The question and the answer may be lost, so they are asked for again
//! while nothing comes of the member that was asked; whoever has to wait for the next comparison waits for seconds.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crate::config::Timing;
use crate::env::{Env, Timer};
use crate::limits::{MAX_SERVED, MAX_WANTED};
use crate::member::MemberId;
use crate::time::Time;

/// After so many intervals without an answer, a rumor is asked for again.
const AGAIN: u32 = 4;

/// A rumor is asked for so often; then another member may be asked, once a period is over.
const TIMES: u8 = 4;

/// Periods after which a rumor may be asked for elsewhere, though other things come of the member that was asked.
const LONGEST: u32 = 16;

struct Asked {
    of: MemberId,
    first: Time,
    /// Last.
    at: Time,
    times: u8,
}

impl Asked {
    /// Whether it is still expected of that member: nobody may keep it from being asked for elsewhere, whatever else comes.
    fn lasts(&self, now: Time, period: Duration) -> bool {
        let is_asked_for = self.times < TIMES || now.since(self.at) < period;
        is_asked_for && now.since(self.first) < period * LONGEST
    }
}

#[derive(Default)]
pub(super) struct Wanted {
    asked: BTreeMap<u64, Asked>,
    /// Of whom a rumor came since it was looked at last.
    came_of: BTreeSet<MemberId>,
    /// Whether it will be looked at again.
    waiting: bool,
}

impl Wanted {
    /// Whether this member is to be asked for this rumor: none was asked in the last period.
    pub fn want(&mut self, now: Time, period: Duration, hash: u64, of: MemberId) -> bool {
        let is_full = self.asked.len() >= MAX_WANTED;
        match self.asked.get(&hash) {
            Some(asked) if asked.lasts(now, period) => return false,
            None if is_full => return false,
            _ => {}
        }
        let asked = Asked {
            of,
            first: now,
            at: now,
            times: 1,
        };
        self.asked.insert(hash, asked);
        true
    }

    /// It came. Whether it was asked for.
    pub fn came(&mut self, hash: u64) -> bool {
        let asked = self.asked.remove(&hash);
        self.came_of.extend(asked.as_ref().map(|asked| asked.of));
        asked.is_some()
    }

    pub fn len(&self) -> usize {
        self.asked.len()
    }

    /// What was asked for is looked at again soon, if there is anything.
    pub fn look_again(&mut self, env: &mut Env, timing: &Timing) {
        if !self.waiting && !self.asked.is_empty() {
            self.waiting = true;
            let next = env.now + timing.gossip_interval * AGAIN;
            env.timers.insert(next, Timer::RumorWanted);
        }
    }

    /// What is to be asked for again now, and of whom.
    pub fn due(&mut self, env: &mut Env, timing: &Timing) -> Vec<(MemberId, u64)> {
        self.waiting = false;
        let again = self.again(env.now, timing.gossip_interval * AGAIN, timing.period);
        self.look_again(env, timing);
        again
    }

    /// What is to be asked for again, and of whom. Nothing of those of whom something came: they go on.
    fn again(&mut self, now: Time, pause: Duration, period: Duration) -> Vec<(MemberId, u64)> {
        self.asked.retain(|_, asked| asked.lasts(now, period));
        let mut again = Vec::new();
        for (hash, asked) in &mut self.asked {
            if self.came_of.contains(&asked.of) {
                asked.at = now;
            } else if asked.times < TIMES && now.since(asked.at) >= pause {
                (asked.at, asked.times) = (now, asked.times + 1);
                again.push((asked.of, *hash));
            }
        }
        self.came_of.clear();
        again.sort_unstable();
        again
    }
}

/// Big rumors that were pushed because they were asked for, and to whom: they may be on their way for longer than their
/// receiver waits before it asks again.
#[derive(Default)]
pub(super) struct Served {
    last: VecDeque<(Time, MemberId, u64)>,
}

impl Served {
    /// Whether this is to be pushed, as it was not in the last period.
    pub fn serve(&mut self, now: Time, period: Duration, to: MemberId, hash: u64) -> bool {
        let is_old = |time: Time| now.since(time) >= period;
        while self.last.front().is_some_and(|(time, ..)| is_old(*time)) {
            self.last.pop_front();
        }
        let served = |(_, peer, of): &(Time, MemberId, u64)| (*peer, *of) == (to, hash);
        if self.last.iter().any(served) {
            return false;
        }
        if self.last.len() >= MAX_SERVED {
            self.last.pop_front();
        }
        self.last.push_back((now, to, hash));
        true
    }

    /// It did not get there.
    pub fn failed(&mut self, to: MemberId, hash: u64) {
        self.last.retain(|(_, peer, of)| (*peer, *of) != (to, hash));
    }

    pub fn len(&self) -> usize {
        self.last.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD: Duration = Duration::from_secs(1);
    const PAUSE: Duration = Duration::from_millis(200);

    fn id(number: u8) -> MemberId {
        MemberId::from_bytes([number; 16])
    }

    #[test]
    fn what_does_not_come_is_asked_for_again_and_then_of_others() {
        let mut wanted = Wanted::default();
        let mut now = Time::ZERO + PERIOD;
        assert!(wanted.want(now, PERIOD, 7, id(1)));
        for _ in 1..TIMES {
            assert!(!wanted.want(now, PERIOD, 7, id(2)));
            assert!(wanted.again(now, PAUSE, PERIOD).is_empty());
            now += PAUSE;
            assert_eq!(wanted.again(now, PAUSE, PERIOD), [(id(1), 7)]);
        }
        now += PERIOD - Duration::from_millis(1);
        assert!(wanted.again(now, PAUSE, PERIOD).is_empty());
        assert!(!wanted.want(now, PERIOD, 7, id(2)));
        now += Duration::from_millis(1);
        assert!(wanted.want(now, PERIOD, 7, id(2)));
        now += PAUSE;
        assert_eq!(wanted.again(now, PAUSE, PERIOD), [(id(2), 7)]);
        assert!(wanted.came(7) && !wanted.came(7));
        assert_eq!(wanted.len(), 0);
    }

    #[test]
    fn one_that_goes_on_pushing_is_not_asked_again() {
        let mut wanted = Wanted::default();
        let mut now = Time::ZERO + PERIOD;
        for (hash, of) in [(7, 1), (8, 1), (9, 2)] {
            assert!(wanted.want(now, PERIOD, hash, id(of)));
        }
        now += PAUSE;
        wanted.came(7);
        assert_eq!(wanted.again(now, PAUSE, PERIOD), [(id(2), 9)]);
        now += PAUSE;
        let again = wanted.again(now, PAUSE, PERIOD);
        assert_eq!(again, [(id(1), 8), (id(2), 9)]);
    }

    /// One that sends other things all the time must not withhold this one for ever.
    #[test]
    fn what_one_withholds_is_asked_of_others_in_the_end() {
        let mut wanted = Wanted::default();
        let mut now = Time::ZERO + PERIOD;
        assert!(wanted.want(now, PERIOD, 7, id(1)));
        for junk in 0..u64::from(LONGEST) * 5 {
            assert!(!wanted.want(now, PERIOD, 7, id(2)), "{junk}");
            wanted.want(now, PERIOD, 100 + junk, id(1));
            wanted.came(100 + junk);
            now += PAUSE;
            wanted.again(now, PAUSE, PERIOD);
        }
        assert!(wanted.want(now, PERIOD, 7, id(2)));
    }

    #[test]
    fn what_is_given_up_is_forgotten() {
        let mut wanted = Wanted::default();
        let mut now = Time::ZERO + PERIOD;
        wanted.want(now, PERIOD, 7, id(1));
        for _ in 0..20 {
            now += PAUSE;
            wanted.again(now, PAUSE, PERIOD);
        }
        assert_eq!(wanted.len(), 0);
    }

    #[test]
    fn a_big_rumor_is_pushed_once_in_a_period_unless_that_failed() {
        let mut served = Served::default();
        let now = Time::ZERO + PERIOD;
        assert!(served.serve(now, PERIOD, id(1), 7));
        assert!(!served.serve(now, PERIOD, id(1), 7));
        assert!(served.serve(now, PERIOD, id(2), 7));
        served.failed(id(1), 7);
        assert!(served.serve(now, PERIOD, id(1), 7));
        assert!(served.serve(now + PERIOD, PERIOD, id(1), 7));
        for hash in 0..3 * MAX_SERVED as u64 {
            served.serve(now, PERIOD, id(3), hash);
        }
        assert_eq!(served.len(), MAX_SERVED);
    }
}
