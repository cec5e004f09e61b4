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
    /// How many of them each member was asked for.
    shares: BTreeMap<MemberId, usize>,
    /// Of whom a rumor came since it was looked at last.
    came_of: BTreeSet<MemberId>,
    /// Whether it will be looked at again.
    waiting: bool,
}

impl Wanted {
    /// Whether this member is to be asked for this rumor: none was asked in the last period.
    pub fn want(&mut self, now: Time, period: Duration, hash: u64, of: MemberId) -> bool {
        let asked = self.asked.get(&hash);
        if asked.is_some_and(|asked| asked.lasts(now, period)) {
            return false;
        }
        if self.remove(hash).is_none() && !self.has_room_for(&of) {
            return false;
        }
        let asked = Asked {
            of,
            first: now,
            at: now,
            times: 1,
        };
        self.asked.insert(hash, asked);
        *self.shares.entry(of).or_default() += 1;
        true
    }

    fn remove(&mut self, hash: u64) -> Option<Asked> {
        let asked = self.asked.remove(&hash)?;
        if let Some(share) = self.shares.get_mut(&asked.of) {
            *share -= 1;
            if *share == 0 {
                self.shares.remove(&asked.of);
            }
        }
        Some(asked)
    }

    /// Whether one more may be asked of this member: once there is no room, whoever was asked for the most gives way, so
    /// that a member which names rumors that do not exist keeps nobody else's from being asked for.
    fn has_room_for(&mut self, of: &MemberId) -> bool {
        if self.asked.len() < MAX_WANTED {
            return true;
        }
        let share = self.shares.get(of).copied().unwrap_or(0);
        let Some((most, _)) = (self.shares.iter())
            .max_by_key(|(_, share)| **share)
            .filter(|(_, most)| **most > share + 1)
        else {
            return false;
        };
        let mut asked = self.asked.iter();
        let given_up = asked.find_map(|(hash, asked)| (asked.of == *most).then_some(*hash));
        given_up.is_some_and(|hash| self.remove(hash).is_some())
    }

    /// It came. Whether it was asked for.
    pub fn came(&mut self, hash: u64) -> bool {
        let asked = self.remove(hash);
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
        self.shares.clear();
        for asked in self.asked.values() {
            *self.shares.entry(asked.of).or_default() += 1;
        }
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
    fn made_up_rumors_of_one_keep_nobody_elses_from_being_asked_for() {
        let mut wanted = Wanted::default();
        let now = Time::ZERO + PERIOD;
        let asked =
            (0..2 * MAX_WANTED as u64).filter(|hash| wanted.want(now, PERIOD, *hash, id(1)));
        assert_eq!(asked.count(), MAX_WANTED);
        for hash in 0..MAX_WANTED as u64 {
            let is_asked = wanted.want(now, PERIOD, hash << 32 | 1 << 31, id(2));
            assert_eq!(is_asked, hash < MAX_WANTED as u64 / 2, "{hash}");
        }
        assert!(wanted.want(now, PERIOD, u64::MAX, id(3)));
        assert_eq!(wanted.len(), MAX_WANTED);
        assert_eq!(wanted.shares.values().sum::<usize>(), MAX_WANTED);
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
