//! The HTTP gateway of a running member: JSON, read-only but for a few POSTs, in the member's own loop.
//!
//! The member comes first: a turn of the gateway does a few small steps and hands back, however much is
//! asked of it; [`Gateway::has_work`] says that it wants another turn at once.

mod answer;
mod connection;
mod guard;
mod http;
mod params;
mod parts;
mod routes;
mod rumor_routes;

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use log::warn;
use mio::event::Source;
use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token as Watched};

use crate::agent::Agent;
use answer::Answer;
use connection::{Connection, Step};
use guard::Guard;
pub use guard::Token;

/// The most clients at a time.
const MAX_CONNECTIONS: usize = 64;
/// New clients in one turn.
const ACCEPTS_PER_TURN: usize = 8;
/// Steps in one turn, of all clients together.
const STEPS_PER_TURN: usize = 16;
/// How long no client is taken in when the system has no room for more.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// Whether clients may be waiting to be taken in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Accepting {
    No,
    Now,
    At(Instant),
}

/// The gateway: a listener and its clients.
pub struct Gateway {
    listener: TcpListener,
    local_addr: SocketAddr,
    guard: Guard,
    /// The listener's; those of its clients follow.
    token: Watched,
    accepting: Accepting,
    clients: Vec<Option<Connection>>,
    /// Clients with something to do, each at most once.
    ready: VecDeque<usize>,
}

impl Gateway {
    /// Opens it at this address, with its tokens from `token` on.
    pub fn bind(
        registry: &Registry,
        token: Watched,
        addr: SocketAddr,
        bearer: Option<Token>,
    ) -> io::Result<Self> {
        let mut listener = TcpListener::bind(addr)?;
        listener.register(registry, token, Interest::READABLE)?;
        Ok(Gateway {
            local_addr: listener.local_addr()?,
            listener,
            guard: Guard::new(bearer),
            token,
            accepting: Accepting::Now,
            clients: (0..MAX_CONNECTIONS).map(|_| None).collect(),
            ready: VecDeque::new(),
        })
    }

    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// The loop was woken for this token.
    pub fn woken(&mut self, token: Watched) {
        match token.0.checked_sub(self.token.0 + 1) {
            None => self.accepting = Accepting::Now,
            Some(slot) => self.make_ready(slot),
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
        self.expire(now);
        self.accept(registry, now);
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
        }
    }

    /// Ends the patience with clients whose time is up.
    fn expire(&mut self, now: Instant) {
        for slot in 0..self.clients.len() {
            let step = match self.clients.get_mut(slot) {
                Some(Some(client)) if client.deadline() <= now => client.expire(now),
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
        for _ in 0..ACCEPTS_PER_TURN {
            match self.listener.accept() {
                Ok((stream, _)) => self.take_in(registry, stream, now),
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

    fn take_in(&mut self, registry: &Registry, mut stream: TcpStream, now: Instant) {
        let Some(slot) = self.free_slot() else {
            refuse_at_once(stream);
            return;
        };
        let token = Watched(self.token.0 + 1 + slot);
        let interest = Interest::READABLE | Interest::WRITABLE;
        // Answers are small and written whole: waiting to make packets fuller only delays them.
        let watched = stream
            .set_nodelay(true)
            .and_then(|()| registry.register(&mut stream, token, interest));
        if watched.is_ok() {
            self.clients[slot] = Some(Connection::new(stream, now));
            self.make_ready(slot);
        }
    }

    /// A place for a new client: a free one, or that of the client which has asked nothing for the longest time.
    fn free_slot(&mut self) -> Option<usize> {
        let free = self.clients.iter().position(Option::is_none);
        free.or_else(|| {
            let idle = self
                .clients
                .iter()
                .enumerate()
                .filter_map(|(slot, client)| {
                    let since = client.as_ref()?.idle_since()?;
                    Some((since, slot))
                });
            idle.min().map(|(_, slot)| slot)
        })
    }
}

/// All places are taken by clients that wait for an answer.
fn refuse_at_once(stream: TcpStream) {
    let refusal = Answer::refusal(
        503,
        format!("{MAX_CONNECTIONS} others are being answered: try again"),
    );
    let mut client = Connection::new(stream, Instant::now());
    client.refuse(&refusal);
    client.send_what_fits();
}
