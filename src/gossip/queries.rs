//! Questions to members (PROTOCOL.md §3): a question is a user event; answers go straight to the asker, by datagrams, and are
//! sent again until it says that it has them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;

use super::reconcile::PARTS;
use super::{Effect, Gossip};
use crate::env::{Env, Timer};
use crate::error::{CommandError, Reject};
use crate::event::Event;
use crate::limits::{
    ANSWER_AGAIN, MAX_ANSWER, MAX_ANSWER_SENDS, MAX_ANSWERS_WAITING, MAX_QUERIES, MIN_QUERY_TIMEOUT,
};
use crate::member::MemberId;
use crate::ring::{Peer, Ring};
use crate::rumor::{Answer, Answered, Audience, UserEvent};
use crate::time::Time;
use crate::wire::TagPairs;
use crate::wire::reconcile::{Part, Reply, read_parts};

/// The answers to a question are spread over so long for each living member, so that they do not all come at once.
const SPREAD: Duration = Duration::from_micros(500);

/// An asker is asked for the proof of its address once in so long: about a period, whatever it is said to ask.
const INTRODUCED_AGAIN: Duration = Duration::from_secs(1);

/// A question that any member answers by itself, with nothing.
pub(crate) const PING: &str = "ping";
/// One that any member answers by itself, with what it holds of the ring.
pub(crate) const STATE: &str = "state";

/// A question of this member's.
struct Asked {
    until: Time,
    /// Of whom the question was received, and who answered it.
    heard: [BTreeSet<MemberId>; 2],
}

/// An answer to another member's.
struct Waiting {
    parts: Vec<u8>,
    at: Time,
    sends: u8,
}

/// Which answer: to whom, to which question, and whether it is one or says only that the question was received.
type Which = (MemberId, u64, Reply);

#[derive(Default)]
pub(super) struct Queries {
    asked: BTreeMap<u64, Asked>,
    /// Questions of others that may be answered yet.
    open: BTreeMap<(MemberId, u64), Time>,
    waiting: BTreeMap<Which, Waiting>,
    /// Askers that were asked for the proof of their address, and until when they are not asked again.
    introduced: BTreeMap<MemberId, Time>,
    armed: Option<Time>,
}

impl Queries {
    /// Own questions, those of others, and answers that wait to be taken.
    pub fn sizes(&self) -> (usize, usize, usize) {
        (self.asked.len(), self.open.len(), self.waiting.len())
    }

    /// Whether one more question of this asker may be answered: others have room, whatever it asks.
    fn has_room(&self, asker: MemberId) -> bool {
        let of_one = self.open.range((asker, 0)..=(asker, u64::MAX));
        self.open.len() < MAX_ANSWERS_WAITING && of_one.count() < MAX_QUERIES
    }

    /// Whether one more answer may wait for this asker: of each question, that it was received, and the answer.
    fn may_wait(&self, asker: MemberId) -> bool {
        let (first, last) = (
            (asker, 0, Reply::Received),
            (asker, u64::MAX, Reply::Failure),
        );
        let of_one = self.waiting.range(first..=last);
        self.waiting.len() < MAX_ANSWERS_WAITING && of_one.count() < 2 * MAX_QUERIES
    }

    fn deadline(&self) -> Option<Time> {
        let asked = self.asked.values().map(|asked| asked.until);
        let open = self.open.values().copied();
        let waiting = self.waiting.values().map(|waiting| waiting.at);
        asked.chain(open).chain(waiting).min()
    }
}

impl Gossip {
    /// Whether there is room for one more question of this member's.
    pub(super) fn may_ask(&self) -> Result<(), CommandError> {
        match self.queries.asked.len() < MAX_QUERIES {
            true => Ok(()),
            false => Err(CommandError::TooManyQueries(MAX_QUERIES)),
        }
    }

    /// A question came, or this member asks it.
    pub(super) fn asked(&mut self, env: &mut Env, ring: &impl Ring, event: &UserEvent) {
        let Some(query) = &event.query else {
            return;
        };
        let until = env.now + query.timeout;
        if event.by == ring.me() {
            let asked = Asked {
                until,
                heard: Default::default(),
            };
            self.queries.asked.insert(query.id, asked);
        }
        let tags = self.store.tags_of(ring.me());
        let mut tags = tags.map(|entry| TagPairs::new(entry.payload()));
        let pairs: Vec<_> = tags.as_mut().into_iter().flatten().collect();
        let value_of = |key: &str| {
            let found = pairs.iter().find(|(one, _)| *one == key);
            found.map(|(_, value)| *value)
        };
        if query.asks(ring.me(), ring.name(), value_of) {
            match self.may_be_answered(env, ring, event) {
                true => self.take_question(env, ring, (event, query.id), until),
                false => env.journal.stats.queries_refused += 1,
            }
        }
        self.queries_later(env);
    }

    /// Anyone may have made up who asks: answers go to a living member that takes them, or is yet to say so, and no more of
    /// them than its own questions bring.
    fn may_be_answered(&mut self, env: &Env, ring: &impl Ring, event: &UserEvent) -> bool {
        let asker = event.by;
        if asker == ring.me() {
            return self.queries.has_room(asker);
        }
        let takes = |peer: Peer| !peer.heard || peer.audience == Audience::Ours;
        ring.peer(&asker).is_some_and(takes)
            // What was recorded before this member started is asked again by others.
            && !self.user_events.order.is_before_start(event)
            && self.queries.has_room(asker)
            && self.user_events.order.may_answer(env.now, asker)
    }

    fn take_question(
        &mut self,
        env: &mut Env,
        ring: &impl Ring,
        (event, query): (&UserEvent, u64),
        until: Time,
    ) {
        let asker = event.by;
        if event.name == PING {
            return self.say_reply(env, ring, (asker, query, Reply::Answer), &[]);
        }
        self.queries.open.insert((asker, query), until);
        if event.name == STATE {
            return self.effects.push_back(Effect::State { asker, query });
        }
        self.say_reply(env, ring, (asker, query, Reply::Received), &[]);
        env.journal.event(Event::Query(Arc::new(event.clone())));
    }

    /// This member answers a question.
    pub fn answer(
        &mut self,
        env: &mut Env,
        ring: &impl Ring,
        (asker, query): (MemberId, u64),
        answer: Result<&[u8], &str>,
    ) -> Result<(), CommandError> {
        let (reply, payload) = match answer {
            Ok(payload) => (Reply::Answer, payload),
            Err(why) => (Reply::Failure, why.as_bytes()),
        };
        let (size, most) = (payload.len(), MAX_ANSWER);
        if size > most {
            return Err(CommandError::AnswerTooLarge { size, most });
        }
        if self.queries.open.remove(&(asker, query)).is_none() {
            return Err(CommandError::QueryOver);
        }
        self.say_reply(env, ring, (asker, query, reply), payload);
        self.queries_later(env);
        Ok(())
    }

    /// Has this said to the asker.
    fn say_reply(&mut self, env: &mut Env, ring: &impl Ring, which: Which, payload: &[u8]) {
        let (asker, query, reply) = which;
        if asker == ring.me() {
            return self.replied(env, (asker, query, reply), payload);
        }
        if !self.queries.may_wait(asker) {
            env.journal.stats.answers_lost += 1;
            return;
        }
        let mut parts = Vec::new();
        Part::Reply {
            query,
            reply,
            payload: payload.to_vec(),
        }
        .write(&mut parts);
        let spread = SPREAD * u32::try_from(ring.living()).unwrap_or(u32::MAX);
        let spread = spread.min(MIN_QUERY_TIMEOUT * 10).as_micros() as u64;
        let at = env.now + Duration::from_micros(env.rng.random_range(0..=spread));
        let sends = 0;
        self.queries
            .waiting
            .insert(which, Waiting { parts, at, sends });
    }

    /// A member, whose address is proved, says something to questions.
    ///
    /// # Errors
    /// It does not read.
    pub fn hear_replies(
        &mut self,
        env: &mut Env,
        from: MemberId,
        parts: &[u8],
    ) -> Result<(), Reject> {
        let mut got = Vec::new();
        for part in read_parts(parts)? {
            match part {
                Part::Reply {
                    query,
                    reply,
                    payload,
                } => {
                    // What does not fit, or is about no question of this member's, is sent again a few times at most.
                    let part = Part::Got { query, reply };
                    if self.queries.asked.contains_key(&query) && got.len() + part.len() <= PARTS {
                        part.write(&mut got);
                    }
                    self.replied(env, (from, query, reply), &payload);
                }
                Part::Got { query, reply } => {
                    self.queries.waiting.remove(&(from, query, reply));
                }
                _ => {}
            }
        }
        self.outbox.talk(from, got);
        Ok(())
    }

    /// What a member says to a question of this one's is told once.
    fn replied(&mut self, env: &mut Env, (from, query, reply): Which, payload: &[u8]) {
        let Some(asked) = self.queries.asked.get_mut(&query) else {
            return;
        };
        let [received, answered] = &mut asked.heard;
        let (is_new, what) = match reply {
            Reply::Received => (received.insert(from), Answered::Received),
            Reply::Answer => (answered.insert(from), Answered::With(payload.to_vec())),
            Reply::Failure => {
                let why = String::from_utf8_lossy(payload).into_owned();
                (answered.insert(from), Answered::Failed(why))
            }
        };
        if is_new {
            let member = from;
            let answer = Answer {
                query,
                member,
                what,
            };
            env.journal.event(Event::Answer(Arc::new(answer)));
        }
    }

    /// Answers are due, or a question is over.
    pub fn queries_due(&mut self, env: &mut Env, ring: &impl Ring) {
        if self.queries.armed.is_none_or(|at| at > env.now) {
            return;
        }
        self.queries.armed = None;
        let now = env.now;
        let over: Vec<u64> = (self.queries.asked.iter())
            .filter(|(_, asked)| asked.until <= now)
            .map(|(query, _)| *query)
            .collect();
        for query in over {
            self.queries.asked.remove(&query);
            env.journal.event(Event::QueryOver { query });
        }
        self.queries.open.retain(|_, until| *until > now);
        let (outbox, effects) = (&mut self.outbox, &mut self.effects);
        let introduced = &mut self.queries.introduced;
        introduced.retain(|_, until| *until > now);
        self.queries.waiting.retain(|(asker, ..), waiting| {
            if waiting.at > now {
                return true;
            }
            match ring.peer(asker) {
                Some(peer) if peer.compares => outbox.talk(*asker, waiting.parts.clone()),
                // By the next time it has proved its address, if it is there.
                Some(peer) if !peer.heard && !introduced.contains_key(asker) => {
                    introduced.insert(*asker, now + INTRODUCED_AGAIN);
                    effects.push_back(Effect::IntroduceAsker(*asker));
                }
                _ => {}
            }
            waiting.sends += 1;
            waiting.at = now + ANSWER_AGAIN * u32::from(waiting.sends);
            let goes_on = waiting.sends < MAX_ANSWER_SENDS;
            env.journal.stats.answers_lost += u64::from(!goes_on);
            goes_on
        });
        self.queries_later(env);
    }

    fn queries_later(&mut self, env: &mut Env) {
        let Some(due) = self.queries.deadline() else {
            return;
        };
        if self.queries.armed.is_none_or(|armed| due < armed) {
            self.queries.armed = Some(due);
            env.timers.insert(due, Timer::QueryDue);
        }
    }
}
