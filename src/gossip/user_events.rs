//! User events (PROTOCOL.md §3): told like any rumor, delivered once and in their sender's order, and dropped when their time
//! is over.

use std::sync::Arc;

use rand::RngExt;

use super::event_order::{CLOCKS_DIFFER, Judgement, Standing};
use super::store::{Entry, Hashed, Place, Put};
use super::{Gossip, apply::Leap};
use crate::env::{Env, Timer};
use crate::error::{CommandError, Reject};
use crate::event::Event;
use crate::limits::{
    EVENT_COALESCE, MAX_COALESCING, MAX_EVENT_PAYLOAD, MAX_EVENT_TTL, MIN_EVENT_TTL,
};
use crate::member::MemberId;
use crate::ring::Ring;
use crate::rumor::{Rumor, UserEvent, is_event_name};

impl Gossip {
    /// This member tells all an event of its user's; as it was sent.
    pub fn send_event(
        &mut self,
        env: &mut Env,
        ring: &impl Ring,
        mut event: UserEvent,
    ) -> Result<UserEvent, CommandError> {
        check(&event)?;
        if event.query.is_some() {
            self.may_ask()?;
        }
        let order = &mut self.user_events.order;
        let asked = match &event.query {
            Some(_) => order.may_ask(env.now),
            None => Ok(()),
        };
        let sent = asked.and_then(|()| order.may_send(env.now));
        sent.map_err(|wait| CommandError::TooManyEvents { wait })?;
        if event.time == 0 {
            event.time = order.clock(env.now);
        }
        let lamport = self.user_events.lamport.saturating_add(1);
        let number = self.user_events.number + 1;
        (event.by, event.series, event.number) = (ring.me(), self.user_events.series, number);
        event.lamport = lamport;
        if let Some(query) = &mut event.query {
            query.id = env.rng.random();
            event.ttl = query.timeout.max(MIN_EVENT_TTL);
        }
        let rumor = Rumor::UserEvent(event.clone());
        self.publish(env, ring, &rumor, Leap::Any)?;
        (self.user_events.number, self.user_events.lamport) = (number, lamport);
        env.journal.stats.user_events_sent += 1;
        if let Some(place) = self.store.find(&rumor.id()) {
            let judgement = Judgement::New(event.ttl);
            self.event_held(env, ring, (place, &event), (judgement, Standing::Member));
        }
        Ok(event)
    }

    /// A user event was heard that is not held.
    pub(super) fn user_event_heard(
        &mut self,
        env: &mut Env,
        ring: &impl Ring,
        (rumor, event): (&Rumor, &UserEvent),
        heard: Hashed<'_>,
    ) -> Result<(), Reject> {
        let events = &mut self.user_events;
        let is_mine = event.by == ring.me();
        // Twice as far, as others may have taken it by clocks that are ahead of this one.
        if is_mine
            && (event.series, event.number) > (events.series, events.number)
            && !events.order.is_ahead(env.now, event, 2 * CLOCKS_DIFFER)
        {
            // Somebody else speaks in this member's name: its next ones are newer than that.
            (events.series, events.number) = (event.series.saturating_add(1), 0);
        }
        if events.order.is_ahead(env.now, event, CLOCKS_DIFFER) {
            return Err(Reject::BadEvent);
        }
        let standing = match is_mine || ring.health(&event.by).is_some() {
            true => Standing::Member,
            false => Standing::Stranger,
        };
        let judgement = match events.order.judge(env.now, event) {
            _ if ring.is_exiled(&event.by) => Judgement::Stale,
            // Two of the same number: the first stands.
            _ if self.store.find(&rumor.id()).is_some() => Judgement::Stale,
            // It was delivered by an earlier process of this member.
            _ if is_mine => events.order.late(env.now, event),
            judgement => judgement,
        };
        if judgement == Judgement::Stale {
            env.journal.stats.rumors_stale += 1;
            return Ok(());
        }
        if events.order.is_flood(env.now, event.by, standing) {
            return Err(Reject::EventFlood);
        }
        let place = match self.put(env, ring, rumor, "", Some(heard)) {
            Put::New(place) | Put::Corrected(place) => place,
            Put::Same(_) | Put::Confirmed(_) | Put::Older(_) => return Ok(()),
            Put::Full => return Err(Reject::StoreFull),
        };
        self.user_events.witness(event.lamport);
        self.changed(env, place);
        if self.user_events.order.ends_series(event) {
            self.deliver_rest(env, event.by);
        }
        self.event_held(env, ring, (place, event), (judgement, standing));
        Ok(())
    }

    /// The disk held this one: it was delivered before, and is not taken again.
    pub(super) fn event_restored(&mut self, event: &UserEvent) {
        self.user_events.witness(event.lamport);
        self.user_events.order.came_before(event);
    }

    /// This one is held in this place from now on.
    fn event_held(
        &mut self,
        env: &mut Env,
        ring: &impl Ring,
        (place, event): (Place, &UserEvent),
        (judgement, standing): (Judgement, Standing),
    ) {
        let Some(entry) = self.store.get(place) else {
            return;
        };
        let held = (place, entry.bytes.len(), entry.hash);
        let order = &mut self.user_events.order;
        order.note(env.now, (event, standing), held, judgement);
        if matches!(judgement, Judgement::New(_)) {
            self.asked(env, ring, event);
        }
        self.deliver_next(env, event.by);
        while let Some(surplus) = self.user_events.order.surplus(event.by) {
            self.drop_event(env, surplus);
            env.journal.stats.user_events_dropped += 1;
        }
        self.events_later(env);
    }

    /// Delivers what comes next of this sender, as far as it is here.
    fn deliver_next(&mut self, env: &mut Env, by: MemberId) {
        while let Some(place) = self.user_events.order.next(env.now, by) {
            if let Some(Rumor::UserEvent(event)) = self.store.get(place).and_then(Entry::rumor) {
                self.deliver(env, event);
            }
        }
    }

    /// Delivers all that waits of this sender, whatever is missing between.
    fn deliver_rest(&mut self, env: &mut Env, by: MemberId) {
        loop {
            let skipped = self.user_events.order.skip_gap(by);
            env.journal.stats.count_skipped(skipped);
            let Some(place) = self.user_events.order.next(env.now, by) else {
                return;
            };
            if let Some(Rumor::UserEvent(event)) = self.store.get(place).and_then(Entry::rumor) {
                self.deliver(env, event);
            }
        }
    }

    fn deliver(&mut self, env: &mut Env, event: UserEvent) {
        if event.query.is_some() {
            // A question does not wait for those before it.
            return;
        }
        let coalescing = &mut self.user_events.coalescing;
        let event = Arc::new(event);
        let has_room = coalescing.len() < MAX_COALESCING || coalescing.contains_key(&event.name);
        if !event.coalesce || !has_room {
            env.journal.stats.user_events += 1;
            return env.journal.event(Event::UserEvent(event));
        }
        let age = |event: &UserEvent| (event.lamport, event.by, event.series, event.number);
        match coalescing.get_mut(&event.name) {
            Some((_, last)) => {
                env.journal.stats.user_events_coalesced += 1;
                if age(&event) > age(last) {
                    *last = event;
                }
            }
            None => {
                let due = env.now + EVENT_COALESCE;
                coalescing.insert(event.name.clone(), (due, event));
            }
        }
    }

    /// The time is over of something that was waited for, or held.
    pub fn events_due(&mut self, env: &mut Env) {
        // A timer that was set for something that came about earlier.
        if self.user_events.armed.is_none_or(|at| at > env.now) {
            return;
        }
        self.user_events.armed = None;
        while let Some(by) = self.user_events.order.gap_over(env.now) {
            let skipped = self.user_events.order.skip_gap(by);
            env.journal.stats.count_skipped(skipped);
            self.deliver_next(env, by);
        }
        let due: Vec<String> = (self.user_events.coalescing.iter())
            .filter(|(_, (due, _))| *due <= env.now)
            .map(|(name, _)| name.clone())
            .collect();
        for name in due {
            if let Some((_, event)) = self.user_events.coalescing.remove(&name) {
                env.journal.stats.user_events += 1;
                env.journal.event(Event::UserEvent(event));
            }
        }
        while let Some(place) = self.user_events.order.over(env.now) {
            self.drop_event(env, place);
        }
        self.events_later(env);
    }

    /// It is held no more.
    fn drop_event(&mut self, env: &mut Env, place: Place) {
        self.user_events.order.remove(env.now, place);
        // Others drop it about now, too.
        self.reconciling.changed(env.now);
        self.retire(env, place);
    }

    fn events_later(&mut self, env: &mut Env) {
        let Some(due) = self.user_events.deadline() else {
            return;
        };
        if self.user_events.armed.is_none_or(|armed| due < armed) {
            self.user_events.armed = Some(due);
            env.timers.insert(due, Timer::EventDue);
        }
    }
}

/// Whether an event can be sent.
fn check(event: &UserEvent) -> Result<(), CommandError> {
    if !is_event_name(&event.name) {
        return Err(CommandError::BadEventName);
    }
    if event.query.as_ref().is_some_and(|query| !query.is_good()) {
        return Err(CommandError::BadQuery);
    }
    if event.ttl < MIN_EVENT_TTL || event.ttl > MAX_EVENT_TTL {
        return Err(CommandError::BadEventTtl);
    }
    let (size, most) = (event.payload.len(), MAX_EVENT_PAYLOAD);
    if size > most {
        return Err(CommandError::EventTooLarge { size, most });
    }
    Ok(())
}
