//! One connection: bytes in, requests answered one after the other, bytes out, each in small steps.

use std::io::{self, ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use rustix::net::sockopt::set_socket_send_buffer_size;

use super::answer::{Answer, Body};
use super::guard::Guard;
use super::http::{self, Framing, Parsed, Request};
use super::parts::Parts;
use super::routes;
use super::slots::{Holder, Source, Standing};
use super::socket::Socket;
use crate::agent::Agent;
use crate::events::Reader;

/// How long a connection may lie idle, or a client not take what it asked for.
const IDLE: Duration = Duration::from_secs(30);
/// How long a request may take from its first byte to its last.
const WHOLE_REQUEST: Duration = Duration::from_secs(10);
/// How long a client has to take the last answer and close.
const LINGER: Duration = Duration::from_secs(2);

/// The longest silence of a stream: then a line without a meaning shows whether the client is still there.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Bytes of a stream that the system holds for a client.
const STREAM_BUFFER: usize = 64 << 10;

/// What a step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// There is more to do.
    More,
    /// The client has to do something first.
    Wait,
    /// It is over.
    Over,
}

/// What the connection is about to do, when nothing is left to be sent.
enum State {
    /// Read requests and answer them.
    Serving,
    /// Write the rest of an answer in parts; then go on, or end.
    Writing(Parts, Framing, Then),
    /// Write events as they happen, until the client closes.
    Streaming(Reader, Framing),
    /// End as soon as all is sent.
    Ending,
    /// All is sent and said so; whatever still comes in is thrown away, so that the client gets to read it.
    Lingering,
}

#[derive(Clone, Copy)]
enum Then {
    GoOn,
    End,
}

/// A client.
pub struct Connection {
    stream: Socket,
    source: Source,
    state: State,
    input: Vec<u8>,
    output: Vec<u8>,
    sent: usize,
    /// When it was last got further with.
    progress: Instant,
    /// When the request began that is not there wholly.
    request_began: Option<Instant>,
    /// When it came, or was last sent the end of an answer.
    waiting_since: Instant,
    /// Its last request carried the token.
    has_token: bool,
    /// The client was told to go on with its request.
    told_to_go_on: bool,
    /// Its last request was let through, and is worth an answer.
    let_through: bool,
    was_answered: bool,
}

impl Connection {
    pub fn new(stream: Socket, source: Source, now: Instant) -> Self {
        Connection {
            stream,
            source,
            state: State::Serving,
            input: Vec::new(),
            output: Vec::new(),
            sent: 0,
            progress: now,
            request_began: None,
            waiting_since: now,
            has_token: false,
            told_to_go_on: false,
            let_through: false,
            was_answered: false,
        }
    }

    /// Does one small thing: sends, writes a part of an answer, answers a request, or reads.
    pub fn step(&mut self, agent: &mut Agent, guard: &Guard, now: Instant) -> Step {
        let step = self.try_step(agent, guard, now);
        match step {
            Ok(step) => step,
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.blocked(agent),
            Err(error) if error.kind() == ErrorKind::Interrupted => Step::More,
            Err(_) => Step::Over,
        }
    }

    /// The client has to do something first: to take what it is sent, before events that it needs are kept no more.
    fn blocked(&mut self, agent: &mut Agent) -> Step {
        match &self.state {
            State::Streaming(reader, _) if self.has_unsent() && reader.is_behind(&agent.feed) => {
                agent.feed.cut_off();
                Step::Over
            }
            _ => Step::Wait,
        }
    }

    fn try_step(&mut self, agent: &mut Agent, guard: &Guard, now: Instant) -> io::Result<Step> {
        if self.has_unsent() {
            return self.send(now);
        }
        match &mut self.state {
            State::Writing(parts, framing, then) => {
                match parts.next_part(&agent.member) {
                    Some(part) => http::write_part(&mut self.output, &part, *framing),
                    None => {
                        http::write_end(&mut self.output, *framing);
                        self.state = (*then).into();
                    }
                }
                Ok(Step::More)
            }
            State::Serving => {
                let has_token = &mut self.has_token;
                let room = |request: &Request| {
                    *has_token = guard.has_proof(request);
                    routes::room(guard, request)
                };
                match http::parse(&self.input, room) {
                    Parsed::Expecting if !self.told_to_go_on => {
                        self.told_to_go_on = true;
                        self.output.extend_from_slice(http::GO_ON);
                        Ok(Step::More)
                    }
                    Parsed::Partial | Parsed::Expecting => self.receive(now),
                    Parsed::Whole(request, length) => {
                        self.input.drain(..length);
                        self.told_to_go_on = false;
                        self.request_began = (!self.input.is_empty()).then_some(now);
                        self.answer(agent, guard, &request);
                        Ok(Step::More)
                    }
                    Parsed::Refused(refusal) => {
                        self.refuse(&refusal);
                        Ok(Step::More)
                    }
                }
            }
            State::Streaming(reader, framing) => match reader.next_portion(&agent.feed) {
                Some(portion) => {
                    http::write_part(&mut self.output, &portion, *framing);
                    Ok(Step::More)
                }
                // It has no more to say than that it goes: what else it sends is no request.
                None => self.stream.read(&mut [0; 1]).map(|_| Step::Over),
            },
            State::Ending => {
                self.stream.end()?;
                self.state = State::Lingering;
                self.progress = now;
                Ok(Step::More)
            }
            State::Lingering => self.discard(),
        }
    }

    fn answer(&mut self, agent: &mut Agent, guard: &Guard, request: &Request) {
        self.was_answered = true;
        self.has_token = guard.has_proof(request);
        let checked = guard.check(request);
        // The page asks for the token itself, and so strangers get it.
        self.let_through = checked.is_ok() && (self.has_token || !guard.is_strangers(request));
        let answer = match checked {
            Ok(()) => routes::answer(agent, guard, request),
            Err(refusal) => refusal,
        };
        let framing = Framing::of(&answer, request.takes_chunks);
        let is_stream = matches!(answer.body, Body::Stream(_));
        let keep_alive = request.keep_alive && framing != Framing::UntilClose && !is_stream;
        http::write_head(&mut self.output, &answer, framing, keep_alive);
        let then = if keep_alive { Then::GoOn } else { Then::End };
        self.state = match answer.body {
            _ if request.method == "HEAD" => then.into(),
            Body::Stream(reader) => {
                // The system would hold megabytes for one that takes nothing. Where it holds them, it is slower to notice.
                let _ = set_socket_send_buffer_size(&self.stream, STREAM_BUFFER);
                State::Streaming(reader, framing)
            }
            Body::Parts(parts) => State::Writing(parts, framing, then),
            Body::Whole(body) => {
                http::write_part(&mut self.output, &body, framing);
                then.into()
            }
        };
    }

    /// Answers what cannot be gone on from.
    pub fn refuse(&mut self, refusal: &Answer) {
        if let Body::Whole(body) = &refusal.body {
            let framing = Framing::Length(body.len());
            http::write_head(&mut self.output, refusal, framing, false);
            http::write_part(&mut self.output, body, framing);
        }
        self.input = Vec::new();
        self.request_began = None;
        self.let_through = false;
        self.was_answered = true;
        self.state = State::Ending;
    }

    /// Sends what the system takes at once, and forgets the rest.
    pub fn send_what_fits(mut self) {
        // A client that cannot even take this is gone already.
        let _ = self.stream.write(&self.output);
    }

    fn send(&mut self, now: Instant) -> io::Result<Step> {
        let count = self
            .stream
            .write(self.output.get(self.sent..).unwrap_or_default())?;
        if count == 0 {
            return Ok(Step::Over);
        }
        self.sent += count;
        self.progress = now;
        if self.sent >= self.output.len() {
            self.output.clear();
            self.sent = 0;
            if matches!(self.state, State::Serving) {
                self.waiting_since = now;
            }
        }
        Ok(Step::More)
    }

    fn receive(&mut self, now: Instant) -> io::Result<Step> {
        let mut buffer = [0; 4096];
        let count = self.stream.read(&mut buffer)?;
        if count == 0 {
            return Ok(Step::Over);
        }
        self.input
            .extend_from_slice(buffer.get(..count).unwrap_or_default());
        self.progress = now;
        self.request_began.get_or_insert(now);
        Ok(Step::More)
    }

    fn discard(&mut self) -> io::Result<Step> {
        match self.stream.read(&mut [0; 4096])? {
            0 => Ok(Step::Over),
            _ => Ok(Step::More),
        }
    }

    /// Something is waiting to be sent.
    pub fn has_unsent(&self) -> bool {
        self.sent < self.output.len()
    }

    /// It is told events as they happen.
    pub fn is_streaming(&self) -> bool {
        matches!(self.state, State::Streaming(..))
    }

    /// A request of it is on its way, and nothing else.
    pub fn is_asking(&self) -> bool {
        self.owes_nothing() && self.request_began.is_some()
    }

    fn owes_nothing(&self) -> bool {
        matches!(self.state, State::Serving) && !self.has_unsent()
    }

    /// What it has done to deserve its place.
    pub fn holder(&self) -> Holder {
        let is_sending =
            self.has_unsent() || matches!(self.state, State::Writing(..) | State::Streaming(..));
        let standing = match self.has_token {
            true if self.owes_nothing() && self.request_began.is_none() => Standing::TokenIdle,
            true => Standing::TokenBusy,
            false if is_sending && self.let_through => Standing::Answering,
            false => Standing::Waiting,
        };
        let since = match standing {
            Standing::Answering => self.progress,
            _ => self.waiting_since,
        };
        Holder {
            source: self.source,
            standing,
            was_answered: self.was_answered,
            since,
        }
    }

    /// When patience with it ends.
    pub fn deadline(&self) -> Instant {
        match (&self.state, self.request_began) {
            (State::Lingering, _) => self.progress + LINGER,
            (State::Streaming(..), _) if !self.has_unsent() => self.progress + HEARTBEAT,
            (State::Serving, Some(began)) if !self.has_unsent() => began + WHOLE_REQUEST,
            _ => self.progress + IDLE,
        }
    }

    /// Patience with it has ended: a request that never became whole is told so.
    pub fn expire(&mut self, agent: &mut Agent, now: Instant) -> Step {
        if let State::Streaming(_, framing) = &self.state {
            if self.has_unsent() {
                agent.feed.cut_off();
                return Step::Over;
            }
            http::write_part(&mut self.output, b":\n\n", *framing);
            self.progress = now;
            return Step::More;
        }
        let waiting_for_rest = matches!(self.state, State::Serving) && self.request_began.is_some();
        if !waiting_for_rest || self.has_unsent() {
            return Step::Over;
        }
        let most = WHOLE_REQUEST.as_secs();
        self.refuse(&Answer::refusal(
            408,
            format!("send the request within {most} seconds"),
        ));
        self.progress = now;
        Step::More
    }
}

impl From<Then> for State {
    fn from(then: Then) -> State {
        match then {
            Then::GoOn => State::Serving,
            Then::End => State::Ending,
        }
    }
}
