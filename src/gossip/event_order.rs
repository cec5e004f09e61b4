//! Which user events are held and for how long, which of each sender is delivered next, and how many may come.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::store::Place;
use super::tombstones::Tombstones;
use crate::limits::{
    EVENT_BURST, EVENT_GAP, EVENT_RATE, EVENT_RATE_HEARD, EVENT_RATE_OF_ALL, MAX_EVENT_BYTES,
    MAX_EVENT_SENDERS, MAX_EVENTS, MAX_EVENTS_OF_ONE, MAX_LEAP, MAX_QUERIES, MAX_SPENT_EVENTS,
    QUERY_RATE, QUERY_RATE_HEARD,
};
use crate::member::MemberId;
use crate::rumor::UserEvent;
use crate::time::Time;

/// So much older than its ttl an event of an unknown sender may be, and so far ahead its series, as clocks differ: what is
/// older was recorded and is sent again.
pub(super) const CLOCKS_DIFFER: Duration = Duration::from_secs(60 * 60);

/// So long before this member's start an event was sent after it, for all that the clocks of members that are set differ.
const START_DIFFERS: Duration = Duration::from_secs(5);

/// Whether an event's sender is known. Ids are made up at will: what they send goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Standing {
    Stranger,
    Member,
}

/// As many at once as it holds, and then so many a second (the generic cell rate algorithm).
#[derive(Clone, Copy, Debug)]
struct Bucket {
    /// When it is full again.
    full: Time,
    interval: Duration,
    burst: u32,
}

impl Bucket {
    fn new(rate: u32, burst: usize) -> Self {
        Bucket {
            full: Time::ZERO,
            interval: Duration::from_secs(1) / rate,
            burst: burst as u32,
        }
    }

    /// Takes one.
    ///
    /// # Errors
    /// How long until there is one.
    fn take(&mut self, now: Time) -> Result<(), Duration> {
        let full = self.full.max(now) + self.interval;
        let most = now + self.interval * self.burst;
        if full > most {
            return Err(full.since(most));
        }
        self.full = full;
        Ok(())
    }
}

/// What is known of the events of one member.
struct Sender {
    series: u64,
    /// The number of the next to be delivered.
    next: u64,
    /// Nothing of this series was delivered: what is missing before may be older than this member.
    is_new: bool,
    /// Those that came too early.
    waiting: BTreeMap<u64, Place>,
    /// Until when the missing one is waited for, if others are waiting.
    gap: Option<Time>,
    taken: Bucket,
    /// Of those, the questions that are answered.
    answered: Bucket,
    /// When one came last, among those of all.
    used: (Standing, u64),
}

/// The events of one member that are held, whether it is remembered or not.
struct Holding {
    /// The oldest first.
    held: BTreeMap<u64, Place>,
    /// A stranger's count for more than any member's.
    size: (Reverse<Standing>, usize),
}

impl Sender {
    /// Whether it was delivered, or those after it were.
    fn is_past(&self, event: &UserEvent) -> bool {
        (event.series, event.number) < (self.series, self.next)
    }
}

struct Held {
    by: MemberId,
    series: u64,
    number: u64,
    bytes: usize,
    hash: u64,
    /// When it came, among all.
    age: u64,
    until: Time,
}

/// What is to be done about an event that is not held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    /// It is of the past.
    Stale,
    /// It was delivered, or is too late for that: it is held for so long, for others.
    Late(Duration),
    /// It is new, and held for so long.
    New(Duration),
}

/// The user events that are held, and what was delivered.
pub(super) struct EventOrder {
    /// This member's start, in milliseconds since 1970, and by its own time.
    epoch: u64,
    started: Time,
    senders: BTreeMap<MemberId, Sender>,
    /// The senders, strangers first, and then the one of which nothing came for the longest.
    by_use: BTreeSet<((Standing, u64), MemberId)>,
    /// Until when the senders' missing ones are waited for.
    gaps: BTreeSet<(Time, MemberId)>,
    held: BTreeMap<Place, Held>,
    holdings: BTreeMap<MemberId, Holding>,
    /// The one that holds most last.
    by_size: BTreeSet<((Reverse<Standing>, usize), MemberId)>,
    by_end: BTreeSet<(Time, Place)>,
    bytes: usize,
    /// Events that came so far.
    came: u64,
    of_all: Bucket,
    of_strangers: Bucket,
    own: Bucket,
    own_questions: Bucket,
    /// Those that are held no more.
    spent: Tombstones,
}

impl EventOrder {
    pub fn new(epoch: u64, started: Time) -> Self {
        EventOrder {
            epoch,
            started,
            senders: BTreeMap::new(),
            by_use: BTreeSet::new(),
            gaps: BTreeSet::new(),
            held: BTreeMap::new(),
            holdings: BTreeMap::new(),
            by_size: BTreeSet::new(),
            by_end: BTreeSet::new(),
            bytes: 0,
            came: 0,
            of_all: Bucket::new(EVENT_RATE_OF_ALL, MAX_EVENTS),
            of_strangers: Bucket::new(EVENT_RATE_HEARD, MAX_EVENTS_OF_ONE),
            own: Bucket::new(EVENT_RATE, EVENT_BURST as usize),
            own_questions: Bucket::new(QUERY_RATE, MAX_QUERIES),
            spent: Tombstones::new(MAX_SPENT_EVENTS),
        }
    }

    /// Events that are held, their bytes, senders that are remembered, and events that are held no more.
    pub fn sizes(&self) -> (usize, usize, usize, usize) {
        (
            self.held.len(),
            self.bytes,
            self.senders.len(),
            self.spent.len(),
        )
    }

    /// Milliseconds since 1970.
    pub fn clock(&self, now: Time) -> u64 {
        let since = now.since(self.started).as_millis();
        self.epoch.saturating_add(since as u64)
    }

    /// Whether this was held, and is not asked for again.
    pub fn is_spent(&self, hash: u64) -> bool {
        self.spent.is_buried(hash)
    }

    /// This member is about to send one.
    ///
    /// # Errors
    /// How long until it may.
    pub fn may_send(&mut self, now: Time) -> Result<(), Duration> {
        self.own.take(now)
    }

    /// This member is about to ask something.
    ///
    /// # Errors
    /// How long until it may.
    pub fn may_ask(&mut self, now: Time) -> Result<(), Duration> {
        self.own_questions.take(now)
    }

    /// Whether one more question of this member, of which it is noted, may be answered now.
    pub fn may_answer(&mut self, now: Time, asker: MemberId) -> bool {
        let sender = self.senders.get_mut(&asker);
        sender.is_some_and(|sender| sender.answered.take(now).is_ok())
    }

    /// What is to be done about this one, which is not held. A member that started before the event was sent takes it however
    /// late it comes: only one that is younger than its ttl looks at the clock.
    pub fn judge(&self, now: Time, event: &UserEvent) -> Judgement {
        let sender = self.senders.get(&event.by);
        if sender.is_some_and(|sender| sender.is_past(event)) {
            return self.late(now, event);
        }
        let age = self.age(now, event);
        let is_recorded = self.is_before_start(event) || age > event.ttl + CLOCKS_DIFFER;
        let is_old = sender.is_none() && is_recorded;
        let was_there = now.since(self.started) >= event.ttl;
        match event.ttl.saturating_sub(age) {
            _ if was_there && !is_old => Judgement::New(event.ttl),
            Duration::ZERO => Judgement::Stale,
            left => Judgement::New(left),
        }
    }

    /// The same of one that is not to be delivered.
    pub fn late(&self, now: Time, event: &UserEvent) -> Judgement {
        match event.ttl.saturating_sub(self.age(now, event)) {
            Duration::ZERO => Judgement::Stale,
            left => Judgement::Late(left),
        }
    }

    /// Whether it was sent before this member started, which does not know whether it was delivered then.
    pub fn is_before_start(&self, event: &UserEvent) -> bool {
        event.time.saturating_add(START_DIFFERS.as_millis() as u64) < self.epoch
    }

    /// Whether, by a clock that differs by so much, its series is yet to begin, or its sender did not get to that number at the
    /// rate it has: whoever made it up would have all that the sender says next be past.
    pub fn is_ahead(&self, now: Time, event: &UserEvent, differs: Duration) -> bool {
        let latest = self.clock(now).saturating_add(differs.as_millis() as u64);
        latest.checked_sub(event.series).is_none_or(|millis| {
            let since = millis.saturating_mul(EVENT_RATE.into()) / 1_000;
            event.number > since.saturating_add(EVENT_BURST.into())
        })
    }

    fn age(&self, now: Time, event: &UserEvent) -> Duration {
        Duration::from_millis(self.clock(now).saturating_sub(event.time))
    }

    /// Whether no more of this member, or of all, may be taken now. Strangers are one together.
    pub fn is_flood(&mut self, now: Time, by: MemberId, standing: Standing) -> bool {
        let one = match standing {
            Standing::Stranger => self.of_strangers.take(now),
            Standing::Member => {
                (self.senders.get_mut(&by)).map_or(Ok(()), |sender| sender.taken.take(now))
            }
        };
        one.is_err() || self.of_all.take(now).is_err()
    }

    /// This one is held in this place from now on, and waits to be delivered.
    pub fn note(
        &mut self,
        now: Time,
        (event, standing): (&UserEvent, Standing),
        (place, bytes, hash): (Place, usize, u64),
        judgement: Judgement,
    ) {
        let (left, waits) = match judgement {
            Judgement::Stale => return,
            Judgement::Late(left) => (left, false),
            Judgement::New(left) => (left, true),
        };
        let (age, until) = (self.came, now + left);
        let sender = self.use_sender((event.by, standing), event.series);
        if waits && !sender.is_past(event) {
            sender.waiting.insert(event.number, place);
        }
        self.by_end.insert((until, place));
        self.hold(event.by, |holding| {
            holding.held.insert(age, place);
            holding.size = (Reverse(standing), holding.size.1 + bytes);
        });
        self.bytes += bytes;
        let held = Held {
            by: event.by,
            series: event.series,
            number: event.number,
            bytes,
            hash,
            age,
            until,
        };
        self.held.insert(place, held);
        self.wait_for_gap(now, event.by);
    }

    /// Changes what is held of one.
    fn hold(&mut self, by: MemberId, change: impl FnOnce(&mut Holding)) {
        let holding = self.holdings.entry(by).or_insert_with(|| Holding {
            held: BTreeMap::new(),
            size: (Reverse(Standing::Member), 0),
        });
        self.by_size.remove(&(holding.size, by));
        change(holding);
        if holding.held.is_empty() {
            self.holdings.remove(&by);
        } else {
            self.by_size.insert((holding.size, by));
        }
    }

    /// The sender of an event of this series. What it sent in an earlier one does not count any more.
    fn use_sender(&mut self, (by, standing): (MemberId, Standing), series: u64) -> &mut Sender {
        self.came += 1;
        let came = (standing, self.came);
        if !self.senders.contains_key(&by)
            && self.senders.len() >= MAX_EVENT_SENDERS
            && let Some((_, idle)) = self.by_use.pop_first()
        {
            self.drop_sender(idle);
        }
        let sender = self.senders.entry(by).or_insert_with(|| Sender {
            series,
            next: 1,
            is_new: true,
            waiting: BTreeMap::new(),
            gap: None,
            taken: Bucket::new(EVENT_RATE_HEARD, MAX_EVENTS_OF_ONE),
            answered: Bucket::new(QUERY_RATE_HEARD, 2 * MAX_QUERIES),
            used: came,
        });
        self.by_use.remove(&(sender.used, by));
        self.by_use.insert((came, by));
        sender.used = came;
        if series > sender.series {
            (sender.series, sender.next, sender.is_new) = (series, 1, true);
        }
        sender
    }

    /// Nothing is known of it any more; what is held of it stays until its time is over.
    fn drop_sender(&mut self, by: MemberId) {
        if let Some(sender) = self.senders.remove(&by)
            && let Some(gap) = sender.gap
        {
            self.gaps.remove(&(gap, by));
        }
    }

    /// Whether an event of a later process of this sender's is about to be noted: those that wait have to go first.
    pub fn ends_series(&self, event: &UserEvent) -> bool {
        let sender = self.senders.get(&event.by);
        sender.is_some_and(|sender| event.series > sender.series && !sender.waiting.is_empty())
    }

    /// What waits of this sender's is delivered, whatever is missing before it: how many are.
    pub fn skip_gap(&mut self, by: MemberId) -> u64 {
        let Some(sender) = self.senders.get_mut(&by) else {
            return 0;
        };
        let Some((first, _)) = sender.waiting.first_key_value() else {
            return 0;
        };
        // Of a series that was not heard before, nobody knows where it began for this member.
        let skipped = match sender.is_new {
            true => 0,
            false => first.saturating_sub(sender.next),
        };
        sender.next = *first;
        skipped
    }

    /// The next one of this sender to be delivered, if it is here.
    pub fn next(&mut self, now: Time, by: MemberId) -> Option<Place> {
        let sender = self.senders.get_mut(&by)?;
        let place = sender.waiting.remove(&sender.next);
        if place.is_some() {
            sender.next += 1;
            sender.is_new = false;
        }
        self.wait_for_gap(now, by);
        place
    }

    /// While something waits, what is missing before it is waited for.
    fn wait_for_gap(&mut self, now: Time, by: MemberId) {
        let Some(sender) = self.senders.get_mut(&by) else {
            return;
        };
        let is_gap = |sender: &Sender| !sender.waiting.is_empty();
        match sender.gap {
            None if is_gap(sender) => {
                let until = now + EVENT_GAP;
                sender.gap = Some(until);
                self.gaps.insert((until, by));
            }
            Some(until) if !is_gap(sender) => {
                sender.gap = None;
                self.gaps.remove(&(until, by));
            }
            _ => {}
        }
    }

    /// A sender of which nothing is waited for any more.
    pub fn gap_over(&mut self, now: Time) -> Option<MemberId> {
        let (until, by) = *self.gaps.first().filter(|(until, _)| *until <= now)?;
        self.gaps.remove(&(until, by));
        if let Some(sender) = self.senders.get_mut(&by) {
            sender.gap = None;
        }
        Some(by)
    }

    /// The disk says that this one came before this member started.
    pub fn came_before(&mut self, event: &UserEvent) {
        let sender = self.use_sender((event.by, Standing::Member), event.series);
        if event.series == sender.series {
            sender.next = sender.next.max(event.number.saturating_add(1));
            sender.is_new = false;
        }
    }

    /// One that is held no longer, as its time is over.
    pub fn over(&self, now: Time) -> Option<Place> {
        let (until, place) = self.by_end.first()?;
        (*until <= now).then_some(*place)
    }

    /// One too many: the oldest of its sender, or of the one that holds most, strangers before members.
    pub fn surplus(&self, by: MemberId) -> Option<Place> {
        let of_one = self.holdings.get(&by);
        let of_one = of_one.filter(|holding| holding.held.len() > MAX_EVENTS_OF_ONE);
        let too_many = self.held.len() > MAX_EVENTS || self.bytes > MAX_EVENT_BYTES;
        let most = self.by_size.last().filter(|_| too_many);
        let most = most.and_then(|(_, by)| self.holdings.get(by));
        let (_, place) = of_one.or(most)?.held.first_key_value()?;
        Some(*place)
    }

    /// It is held no more. Whether it was delivered.
    pub fn remove(&mut self, now: Time, place: Place) -> bool {
        let Some(held) = self.held.remove(&place) else {
            return true;
        };
        self.hold(held.by, |holding| {
            holding.held.remove(&held.age);
            holding.size.1 = holding.size.1.saturating_sub(held.bytes);
        });
        self.by_end.remove(&(held.until, place));
        self.bytes -= held.bytes;
        self.spent.bury(held.hash);
        let mut was_delivered = true;
        if let Some(sender) = self.senders.get_mut(&held.by)
            && held.series == sender.series
            && sender.waiting.get(&held.number) == Some(&place)
        {
            sender.waiting.remove(&held.number);
            was_delivered = false;
        }
        self.wait_for_gap(now, held.by);
        was_delivered
    }

    /// When there is something to do next.
    pub fn deadline(&self) -> Option<Time> {
        let gap = self.gaps.first().map(|(until, _)| *until);
        let end = self.by_end.first().map(|(until, _)| *until);
        gap.into_iter().chain(end).min()
    }
}

/// What a member knows of user events.
pub(super) struct UserEvents {
    pub order: EventOrder,
    /// Which process of this member's it is, to others.
    pub series: u64,
    /// The last of its own.
    pub number: u64,
    /// The highest Lamport time that was heard of.
    pub lamport: u64,
    /// The last of each name of which only that is delivered, and when.
    pub coalescing: BTreeMap<String, (Time, Arc<UserEvent>)>,
    /// When the next timer comes.
    pub armed: Option<Time>,
}

impl UserEvents {
    /// The epoch is this member's start, in milliseconds since 1970.
    pub fn new(epoch: u64, now: Time) -> Self {
        UserEvents {
            order: EventOrder::new(epoch, now),
            series: epoch,
            number: 0,
            lamport: 0,
            coalescing: BTreeMap::new(),
            armed: None,
        }
    }

    /// Names of which the last event is waited for.
    pub fn coalescing(&self) -> usize {
        self.coalescing.len()
    }

    /// Whoever makes up a time near the end cannot bring it there.
    pub fn witness(&mut self, lamport: u64) {
        let most = self.lamport.saturating_add(MAX_LEAP);
        self.lamport = self.lamport.max(lamport.min(most));
    }

    pub fn deadline(&self) -> Option<Time> {
        let coalesced = self.coalescing.values().map(|(due, _)| *due).min();
        self.order.deadline().into_iter().chain(coalesced).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u8) -> MemberId {
        MemberId::from_bytes([number; 16])
    }

    fn event(by: u8, series: u64, number: u64) -> UserEvent {
        UserEvent {
            by: id(by),
            series,
            number,
            time: 4_600_000,
            ..UserEvent::new("deploy", [])
        }
    }

    /// One that has been running for an hour, at its time of an hour.
    fn order() -> (EventOrder, Time) {
        let hour = Duration::from_secs(3_600);
        (EventOrder::new(1_000_000, Time::ZERO), Time::ZERO + hour)
    }

    fn is_late(order: &EventOrder, now: Time, event: &UserEvent) -> bool {
        matches!(order.judge(now, event), Judgement::Late(_))
    }

    fn come(order: &mut EventOrder, now: Time, event: &UserEvent, place: Place) -> Vec<Place> {
        let judgement = order.judge(now, event);
        let held = (place, 100, u64::from(place));
        order.note(now, (event, Standing::Member), held, judgement);
        std::iter::from_fn(|| order.next(now, event.by)).collect()
    }

    #[test]
    fn events_of_a_sender_are_delivered_once_and_in_order() {
        let (mut order, now) = order();
        assert_eq!(come(&mut order, now, &event(1, 5, 1), 10), [10]);
        assert_eq!(come(&mut order, now, &event(1, 5, 3), 11), []);
        assert_eq!(come(&mut order, now, &event(1, 5, 4), 12), []);
        assert_eq!(come(&mut order, now, &event(2, 9, 1), 13), [13]);
        assert_eq!(order.deadline(), Some(now + EVENT_GAP));
        assert_eq!(come(&mut order, now, &event(1, 5, 2), 14), [14, 11, 12]);
        assert!(is_late(&order, now, &event(1, 5, 4)));
        assert_eq!(order.gap_over(now + EVENT_GAP), None);
    }

    #[test]
    fn a_gap_is_waited_for_and_then_skipped() {
        let (mut order, now) = order();
        come(&mut order, now, &event(1, 5, 1), 10);
        come(&mut order, now, &event(1, 5, 4), 11);
        let later = now + EVENT_GAP / 2;
        assert_eq!(come(&mut order, later, &event(1, 5, 6), 12), []);
        assert_eq!(order.gap_over(later), None);
        let over = now + EVENT_GAP;
        assert_eq!(order.gap_over(over), Some(id(1)));
        assert_eq!(order.skip_gap(id(1)), 2);
        let next: Vec<_> = std::iter::from_fn(|| order.next(over, id(1))).collect();
        assert_eq!(next, [11]);
        // The next gap has time of its own.
        assert_eq!(order.gap_over(over), None);
        assert_eq!(order.gap_over(over + EVENT_GAP), Some(id(1)));
        assert_eq!(order.skip_gap(id(1)), 1);
        assert_eq!(order.next(over, id(1)), Some(12));
        // What comes too late is not delivered any more, but held for others; and what is too old is not.
        assert!(is_late(&order, over, &event(1, 5, 2)));
        let mut old = event(1, 5, 2);
        old.time = 0;
        assert_eq!(order.judge(over, &old), Judgement::Stale);
        let held = order.sizes().0;
        let late = order.judge(over, &event(1, 5, 2));
        let again = event(1, 5, 2);
        order.note(over, (&again, Standing::Member), (13, 9, 9), late);
        assert_eq!((order.next(over, id(1)), order.sizes().0), (None, held + 1));
    }

    #[test]
    fn a_sender_that_starts_again_counts_anew_and_its_past_is_over() {
        let (mut order, now) = order();
        come(&mut order, now, &event(1, 5, 1), 10);
        come(&mut order, now, &event(1, 5, 3), 11);
        let again = event(1, 6, 1);
        assert!(order.ends_series(&again));
        assert_eq!(order.skip_gap(id(1)), 1);
        assert_eq!(order.next(now, id(1)), Some(11));
        assert!(!order.ends_series(&again));
        assert_eq!(come(&mut order, now, &again, 12), [12]);
        assert!(is_late(&order, now, &event(1, 5, 4)));
    }

    /// The clock says that it was sent now, long ago, or in the future.
    #[test]
    fn only_a_member_that_just_started_and_one_that_knows_nothing_look_at_the_clock() {
        let (mut order, now) = order();
        let left = Judgement::New(UserEvent::new("", []).ttl);
        let at = |time, number| UserEvent {
            time,
            ..event(1, 5, number)
        };
        for time in [4_600_000, 1_000_000, 995_000, 994_999, 0, u64::MAX >> 2] {
            let old = UserEvent {
                time,
                ..event(1, 5, 1)
            };
            let is_far = time < 995_000;
            assert_eq!(order.judge(now, &old) == Judgement::Stale, is_far, "{time}");
        }
        come(&mut order, now, &event(1, 5, 1), 10);
        assert_eq!(order.judge(now, &at(0, 2)), left, "it is known");
        let young = EventOrder::new(1_000_000, now);
        let after = |seconds: u64| at(1_000_000 - seconds * 1_000, 1);
        assert_eq!(young.judge(now, &after(60)), Judgement::Stale);
        let some = Judgement::New(Duration::from_secs(20));
        assert_eq!(young.judge(now, &after(40)), some);
        assert_eq!(young.judge(now, &at(2_000_000, 1)), left);
    }

    #[test]
    fn of_too_many_the_oldest_of_a_sender_go_and_then_of_all() {
        let (mut order, now) = order();
        let mut place = 0;
        for number in 1..=MAX_EVENTS_OF_ONE as u64 + 1 {
            come(&mut order, now, &event(1, 5, number), place);
            place += 1;
        }
        assert_eq!(order.surplus(id(1)), Some(0));
        assert!(order.remove(now, 0));
        assert!(order.is_spent(0) && !order.is_spent(1));
        assert_eq!(order.surplus(id(1)), None);
        let left = Judgement::New(UserEvent::new("", []).ttl);
        let large = event(2, 5, 2);
        assert_eq!(order.judge(now, &large), left);
        let held = (place, MAX_EVENT_BYTES, 99);
        order.note(now, (&large, Standing::Member), held, left);
        assert_eq!(order.surplus(id(1)), Some(place), "of whoever holds most");
        assert!(!order.remove(now, place), "it was waiting");
        assert_eq!(order.gap_over(now + EVENT_GAP), None, "for nothing now");
        assert_eq!(order.surplus(id(1)), None);
    }

    /// A member's few are held whatever strangers send, and it is not forgotten for them.
    #[test]
    fn made_up_senders_are_one_together_and_go_first() {
        let (mut order, now) = order();
        let stranger = |order: &mut EventOrder, number: usize, bytes| {
            let by = MemberId::from_bytes((number as u128).to_be_bytes());
            let event = UserEvent {
                by,
                ..event(0, 5, 1)
            };
            if order.is_flood(now, by, Standing::Stranger) {
                return false;
            }
            let left = order.judge(now, &event);
            let held = (number as Place, bytes, number as u64);
            order.note(now, (&event, Standing::Stranger), held, left);
            true
        };
        come(&mut order, now, &event(1, 5, 1), 1_000_000);
        let large = MAX_EVENT_BYTES / 2 - 10_200;
        let left = order.judge(now, &event(1, 5, 2));
        let held = (1_000_001, large, 7);
        order.note(now, (&event(1, 5, 2), Standing::Member), held, left);
        let taken = (1..10_000).filter(|number| stranger(&mut order, *number, 10));
        assert_eq!(taken.count(), MAX_EVENTS_OF_ONE);
        assert_eq!(order.surplus(id(1)), None);
        assert!(!order.is_flood(now, id(1), Standing::Member));
        let left = order.judge(now, &event(1, 5, 3));
        let held = (1_000_002, large, 8);
        order.note(now, (&event(1, 5, 3), Standing::Member), held, left);
        let mut gone = 0;
        while let Some(place) = order.surplus(id(1)) {
            assert!(place < 10_000, "{place}");
            order.remove(now, place);
            gone += 1;
        }
        assert_eq!(gone, 18, "as much as there is too much of");
        assert_eq!(order.by_size.len(), order.holdings.len());
        let by_use: Vec<_> = order.by_use.iter().map(|(_, by)| *by).collect();
        assert_eq!(by_use.last(), Some(&id(1)));
    }

    /// The highest series and number there are, and the highest that can be.
    #[test]
    fn what_its_sender_cannot_have_got_to_is_ahead() {
        let (order, now) = order();
        let is_ahead =
            |series, number| order.is_ahead(now, &event(1, series, number), CLOCKS_DIFFER);
        let hour = 3_600_000;
        let clock = order.clock(now);
        for (series, number, ahead) in [
            (clock, 1, false),
            (clock + hour, 200, false),
            (clock + hour, 201, true),
            (clock + hour + 1, 1, true),
            (u64::MAX >> 2, 1, true),
            (clock, 72_200, false),
            (clock, 72_201, true),
            (clock, u64::MAX >> 2, true),
            (0, u64::MAX >> 2, true),
        ] {
            assert_eq!(is_ahead(series, number), ahead, "{series} {number}");
        }
    }

    #[test]
    fn senders_are_remembered_as_long_as_there_is_room() {
        let (mut order, now) = order();
        let by = |number: usize| MemberId::from_bytes((number as u128).to_be_bytes());
        for number in 0..MAX_EVENT_SENDERS + 3 {
            let event = UserEvent {
                by: by(number),
                ..event(0, 5, 2)
            };
            come(&mut order, now, &event, number as Place);
        }
        let (held, _, senders, _) = order.sizes();
        assert_eq!((held, senders), (MAX_EVENT_SENDERS + 3, MAX_EVENT_SENDERS));
        assert_eq!(order.gaps.len(), MAX_EVENT_SENDERS);
        assert!(order.senders.contains_key(&by(3)) && !order.senders.contains_key(&by(2)));
    }

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let (mut order, now) = order();
        let taken = (0..10_000).filter(|_| order.may_send(now).is_ok()).count();
        assert_eq!(taken, EVENT_BURST as usize);
        let wait = order.may_send(now).unwrap_err();
        assert_eq!(wait, Duration::from_secs(1) / EVENT_RATE);
        assert_eq!(order.may_send(now + wait), Ok(()));
        let later = now + Duration::from_secs(10);
        let taken = (0..10_000).filter(|_| order.may_send(later).is_ok());
        assert_eq!(taken.count(), 10 * EVENT_RATE as usize - 1);
    }
}
