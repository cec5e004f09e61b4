//! The HTTP gateway of a running member: JSON, read-only but for a few POSTs, in the member's own loop.
//!
//! The member comes first: a turn of the gateway does a few small steps and hands back, however much is
//! asked of it; [`Gateway::has_work`] says that it wants another turn at once.

mod answer;
mod connection;
mod event_routes;
mod forget_routes;
pub mod fuzz;
mod guard;
mod health;
mod http;
pub mod openapi;
mod page;
mod params;
mod parts;
mod query_routes;
mod routes;
mod rumor_routes;
mod slots;
mod socket;
mod stream;
mod tag_routes;

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::time::{Duration, Instant};

use log::warn;
use mio::{Registry, Token as Watched};

use crate::address::Place;
use crate::agent::Agent;
use crate::descriptors::{self, Spare};
use crate::quiet::Throttle;
use answer::Answer;
use connection::{Connection, Step};
pub use guard::{Guard, Token};
pub use slots::MAX_CONNECTIONS;
use slots::Source;
use socket::{Listener, Socket};

/// New clients in one turn. Every client gets two steps, to be read and answered, before as many newcomers as strangers
/// may be have pushed it out: a round of all takes `MAX_CONNECTIONS / STEPS_PER_TURN` turns.
const ACCEPTS_PER_TURN: usize = 4;
/// Steps in one turn, of all clients together.
const STEPS_PER_TURN: usize = 16;
/// How long no client is taken in when the system has no room for more.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);
/// Descriptors held back where they are scarce, so that the gateway serves some clients when gossip, say, has taken all others. The last of
/// them is never a client's: by that one it sees whether anybody waits.
const HELD_BACK: usize = 8;
/// The pause between two lines that say that descriptors have run out.
const SELDOM: Duration = Duration::from_secs(10);

/// Whether clients may be waiting to be taken in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Accepting {
    No,
    Now,
    At(Instant),
}

/// The gateway: a listener and its clients.
pub struct Gateway {
    listener: Listener,
    place: Place,
    guard: Guard,
    /// The listener's; those of its clients follow.
    token: Watched,
    accepting: Accepting,
    clients: Vec<Option<Connection>>,
    /// Clients with something to do, each at most once.
    ready: VecDeque<usize>,
    spare: Spare,
    ran_out: Throttle,
    /// The number of the event that its streams have not been told of.
    next_event: u64,
}

impl Gateway {
    /// How many of the poll's tokens it takes.
    pub const TOKENS: usize = 1 + MAX_CONNECTIONS;

    /// Opens it at this address, with its tokens from `token` on.
    pub fn bind(
        registry: &Registry,
        token: Watched,
        place: &Place,
        guard: Guard,
    ) -> io::Result<Self> {
        let mut listener = Listener::bind(place)?;
        listener.register(registry, token)?;
        Ok(Gateway {
            place: listener.place()?,
            listener,
            guard,
            token,
            accepting: Accepting::Now,
            clients: (0..MAX_CONNECTIONS).map(|_| None).collect(),
            ready: VecDeque::new(),
            spare: Spare::if_scarce(HELD_BACK),
            ran_out: Throttle::new(1, SELDOM),
            next_event: 0,
        })
    }

    /// Where it is.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// The loop was woken for this token, which may be another's.
    pub fn woken(&mut self, token: Watched) {
        match token.0.checked_sub(self.token.0) {
            Some(0) => self.accepting = Accepting::Now,
            Some(next) if next < Self::TOKENS => self.make_ready(next - 1),
            _ => {}
        }
    }

    /// Wants another turn at once.
    pub fn has_work(&self) -> bool {
        self.accepting == Accepting::Now || !self.ready.is_empty()
    }

    /// Answers are waiting to be sent.
    pub fn has_unsent(&self) -> bool {
        self.clients.iter().flatten().any(Connection::has_unsent)
    }

    /// When it wants a turn at the latest.
    pub fn deadline(&self) -> Option<Instant> {
        let accept = match self.accepting {
            Accepting::At(at) => Some(at),
            Accepting::No | Accepting::Now => None,
        };
        let clients = self.clients.iter().flatten().map(Connection::deadline);
        clients.chain(accept).min()
    }

    /// A few small steps.
    pub fn turn(&mut self, registry: &Registry, agent: &mut Agent, now: Instant) {
        self.expire(agent, now);
        self.accept(registry, now);
        self.wake_streams(agent);
        for _ in 0..STEPS_PER_TURN {
            let Some(slot) = self.ready.pop_front() else {
                break;
            };
            let step = match self.clients.get_mut(slot) {
                Some(Some(client)) => client.step(agent, &self.guard, now),
                _ => continue,
            };
            self.after(slot, step);
        }
    }

    fn after(&mut self, slot: usize, step: Step) {
        match step {
            Step::More => self.make_ready(slot),
            Step::Wait => {}
            Step::Over => self.close(slot),
        }
    }

    fn make_ready(&mut self, slot: usize) {
        if !self.ready.contains(&slot) {
            self.ready.push_back(slot);
        }
    }

    /// Closing the socket also ends its being watched.
    fn close(&mut self, slot: usize) {
        if let Some(client) = self.clients.get_mut(slot) {
            *client = None;
            self.spare.refill();
        }
    }

    /// Something happened that those who follow events have to be told.
    fn wake_streams(&mut self, agent: &Agent) {
        let next = agent.feed.end();
        if std::mem::replace(&mut self.next_event, next) == next {
            return;
        }
        for slot in 0..self.clients.len() {
            if matches!(self.clients.get(slot), Some(Some(client)) if client.is_streaming()) {
                self.make_ready(slot);
            }
        }
    }

    /// Ends the patience with clients whose time is up.
    fn expire(&mut self, agent: &mut Agent, now: Instant) {
        for slot in 0..self.clients.len() {
            let step = match self.clients.get_mut(slot) {
                Some(Some(client)) if client.deadline() <= now => client.expire(agent, now),
                _ => continue,
            };
            self.after(slot, step);
        }
    }

    /// Takes in new clients.
    fn accept(&mut self, registry: &Registry, now: Instant) {
        match self.accepting {
            Accepting::No => return,
            Accepting::At(at) if now < at => return,
            Accepting::At(_) | Accepting::Now => self.accepting = Accepting::Now,
        }
        self.spare.refill();
        for _ in 0..ACCEPTS_PER_TURN {
            match self.accept_one(now) {
                Ok((stream, from)) => self.take_in(registry, stream, from, now),
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => {
                        self.accepting = Accepting::No;
                        return;
                    }
                    ErrorKind::Interrupted | ErrorKind::ConnectionAborted => {}
                    _ => {
                        warn!(
                            "the gateway cannot take in a client, and tries again in a second: {error}"
                        );
                        self.accepting = Accepting::At(now + ACCEPT_PAUSE);
                        return;
                    }
                },
            }
        }
    }

    /// The next client that waits, by a descriptor that was held back if there is no other. Without one, the system
    /// does not even say whether anybody waits, and does not wake us when there are descriptors again.
    fn accept_one(&mut self, now: Instant) -> io::Result<(Socket, Source)> {
        match self.listener.accept() {
            Err(error) if descriptors::ran_out(&error) && self.spare.release() => {
                let accepted = self.listener.accept();
                self.spare.refill();
                if accepted.is_ok()
                    && let Some(more) = self.ran_out.admit_with_count(now)
                {
                    warn!(
                        "the gateway takes in a client by a descriptor that it held back, as there is no other: \
                         raise RLIMIT_NOFILE ({more} more since the last such line)"
                    );
                }
                accepted
            }
            accepted => accepted,
        }
    }

    fn take_in(&mut self, registry: &Registry, mut stream: Socket, source: Source, now: Instant) {
        let Some(slot) = self.place_for(source, now) else {
            turn_away(Connection::new(stream, source, now));
            self.spare.refill();
            return;
        };
        self.evict(slot);
        let token = Watched(self.token.0 + 1 + slot);
        let watched = stream.register(registry, token);
        if watched.is_ok() {
            self.clients[slot] = Some(Connection::new(stream, source, now));
            self.make_ready(slot);
        }
    }

    /// Empties a place for a newcomer. Who asks nothing is told nothing: an answer would be taken for the next one's.
    fn evict(&mut self, slot: usize) {
        if let Some(client) = self.clients.get_mut(slot).and_then(Option::take)
            && client.is_asking()
        {
            turn_away(client);
        }
        self.spare.refill();
    }

    /// A place for a new client. The last descriptor is not spent on it: another client has to go then.
    fn place_for(&self, source: Source, now: Instant) -> Option<usize> {
        let held = self.clients.iter();
        let held = held.map(|client| client.as_ref().map(Connection::holder));
        if self.spare.is_used_up() {
            slots::victim(source, held, now)
        } else {
            slots::place_for(source, held, self.guard.has_token(), now)
        }
    }
}

/// Tells a client, as far as it takes that at once, that others are in its place.
fn turn_away(mut client: Connection) {
    client.refuse(&Answer::refusal(
        503,
        "too many others ask at the same time: try again".to_owned(),
    ));
    client.send_what_fits();
}
