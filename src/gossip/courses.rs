//! What a member knows of elections beside their rumors: when it looks at each again, who led, which candidates it doubts.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::election::{self, Deference, Standing};
use crate::env::{Env, Timer};
use crate::event::Event;
use crate::member::MemberId;
use crate::rumor::{Election, RumorKind, ServiceGroup};
use crate::time::Time;

/// Which election.
pub(super) type Key = (RumorKind, ServiceGroup);

/// What a member knows of an election beside what it holds.
pub(super) struct Course {
    /// Held since then.
    since: Time,
    /// This member's suitability.
    pub suitability: u64,
    /// The last leader that was elected, and its term.
    pub leader: Option<(u64, MemberId)>,
    /// The one before.
    former: Option<(u64, MemberId)>,
    /// Originals that follow this member are not told again to stop before then.
    next_release: Time,
    /// In which term who was seen alive, leading or voted for.
    pub lived: Option<(u64, MemberId)>,
    /// In which term who is doubted to live, and since when.
    doubted: Option<(u64, MemberId, Time)>,
    /// Since when this member waits to hear of an election that the disk held.
    pub waiting_since: Option<Time>,
    /// This member does not begin a term before then.
    pub next_restart: Time,
    /// It does not tell again what it holds before then.
    pub next_telling: Time,
    /// It will look at it then.
    due: Option<Time>,
    pub deference: Deference,
    /// Since when the candidate is not vouched for, and this member is not of those that would begin a new term.
    pub orphaned: Option<Time>,
    /// What the disk held, until something is heard.
    pub hint: Option<Election>,
    /// The group has no quorum in this member's view.
    pub no_quorum: bool,
}

impl Course {
    fn new(now: Time) -> Self {
        Course {
            since: now,
            suitability: 0,
            leader: None,
            former: None,
            next_release: Time::ZERO,
            lived: None,
            doubted: None,
            waiting_since: None,
            next_restart: Time::ZERO,
            next_telling: Time::ZERO,
            due: None,
            deference: Deference::default(),
            orphaned: None,
            hint: None,
            no_quorum: false,
        }
    }

    /// Whether this member is the last leader that was elected, or the one before.
    fn was_led_by(&self, id: MemberId) -> bool {
        let known = [self.leader, self.former];
        known.into_iter().flatten().any(|(_, leader)| leader == id)
    }
}

/// The elections that a member knows.
pub(super) struct Elections {
    courses: BTreeMap<Key, Course>,
    due: BTreeSet<(Time, Key)>,
}

impl Elections {
    pub fn new() -> Self {
        Elections {
            courses: BTreeMap::new(),
            due: BTreeSet::new(),
        }
    }

    /// What is known of it, if it is followed.
    pub fn get(&self, key: &Key) -> Option<&Course> {
        self.courses.get(key)
    }

    pub fn get_mut(&mut self, key: &Key) -> Option<&mut Course> {
        self.courses.get_mut(key)
    }

    /// The elections that this member has won, as far as is remembered.
    pub fn led_by(&self, id: MemberId) -> impl Iterator<Item = &Key> {
        let led = self.courses.iter();
        led.filter(move |(_, course)| course.was_led_by(id))
            .map(|(key, _)| key)
    }

    /// Elections whose course is followed.
    pub fn followed(&self) -> usize {
        self.courses.len()
    }

    /// What is known of it; nothing yet, if it is new.
    pub fn course(&mut self, env: &Env, key: &Key) -> &mut Course {
        let new = || Course::new(env.now);
        self.courses.entry(key.clone()).or_insert_with(new)
    }

    /// It is looked at then, also if nothing is held of it.
    pub fn follow(&mut self, env: &mut Env, key: &Key, at: Time) {
        self.course(env, key);
        self.look_at(env, key, at);
    }

    /// There was no room for it.
    pub fn forget(&mut self, key: &Key) {
        if self.courses.get(key).is_some_and(|it| it.hint.is_none()) {
            self.courses.remove(key);
        }
    }

    /// The election is looked at again at that time, or earlier.
    pub fn look_at(&mut self, env: &mut Env, key: &Key, at: Time) {
        let Some(course) = self.courses.get_mut(key) else {
            return;
        };
        if course.due.is_some_and(|due| due <= at) {
            return;
        }
        if let Some(before) = course.due.replace(at) {
            self.due.remove(&(before, key.clone()));
        }
        self.due.insert((at, key.clone()));
        env.timers.insert(at, Timer::ElectionDue);
    }

    /// Whether a group has no quorum, or lately had none.
    pub fn is_without_quorum(&self, key: &Key) -> bool {
        let course = self.courses.get(key);
        course.is_some_and(|course| course.no_quorum)
    }

    /// Whether that is another answer than before.
    pub fn set_quorum(&mut self, env: &Env, key: &Key, has_quorum: bool) -> bool {
        let course = self.course(env, key);
        std::mem::replace(&mut course.no_quorum, !has_quorum) == has_quorum
    }

    /// Whether an election of this group is followed, and not only since just now.
    pub fn is_settled(&self, now: Time, period: Duration, group: &ServiceGroup) -> bool {
        let settled = |it: &Course| it.hint.is_none() && now.since(it.since) >= period;
        let kinds = [RumorKind::Election, RumorKind::ElectionUpdate];
        let mut courses = kinds
            .iter()
            .filter_map(|kind| self.courses.get(&(*kind, group.clone())));
        courses.any(settled)
    }

    /// Who is lost, or unknown, and never was seen alive as what it is, has some time to be.
    pub fn doubt(
        &mut self,
        env: &mut Env,
        key: &Key,
        held: &Election,
        (standing, patience): (Standing, Duration),
    ) -> Standing {
        let (term, who) = (held.term, held.candidate);
        let course = self.course(env, key);
        if standing == Standing::Living {
            course.lived = Some((term, who));
        }
        let sure = standing == Standing::Lost && course.lived == Some((term, who));
        if standing == Standing::Living || sure {
            course.doubted = None;
            return standing;
        }
        let since = match course.doubted {
            Some((its_term, it, since)) if (its_term, it) == (term, who) => since,
            _ => env.now,
        };
        course.doubted = Some((term, who, since));
        let over = since + patience;
        if env.now >= over {
            return Standing::Lost;
        }
        self.look_at(env, key, over);
        Standing::Unknown
    }

    /// Whether this member was elected in this election since it started.
    pub fn has_led(&self, key: &Key, me: MemberId) -> bool {
        let course = self.courses.get(key);
        course.is_some_and(|course| course.was_led_by(me))
    }

    /// Whether followers of this member may be called away now; not again for a period.
    pub fn may_release(&mut self, env: &Env, key: &Key, period: Duration) -> bool {
        let next = env.now + period;
        let course = self.course(env, key);
        let may = env.now >= course.next_release;
        if may {
            course.next_release = next;
        }
        may
    }

    /// A leader is known as soon as it is heard of.
    pub fn know_leader(&mut self, env: &mut Env, key: &Key, election: &Election) {
        let elected = Some((election.term, election.candidate));
        let course = self.course(env, key);
        if election::is_finished(election) && course.leader != elected {
            let again = course.leader.map(|(_, leader)| leader) == Some(election.candidate);
            let before = std::mem::replace(&mut course.leader, elected);
            if !again {
                course.former = before;
            }
            env.journal.event(Event::LeaderElected {
                kind: key.0,
                group: key.1.clone(),
                leader: election.candidate,
                term: election.term,
            });
        }
    }

    /// The next that is to be looked at by now.
    pub fn next_due(&mut self, now: Time) -> Option<Key> {
        let (at, _) = self.due.first()?;
        if *at > now {
            return None;
        }
        let (_, key) = self.due.pop_first()?;
        if let Some(course) = self.courses.get_mut(&key) {
            course.due = None;
        }
        Some(key)
    }
}
