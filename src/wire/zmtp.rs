//! ZMTP 3.x with the NULL mechanism, as PUSH and PULL sockets speak it: bytes ⇄ items, without clock or I/O.
//!
//! Each end sends [`hello`] as soon as the connection stands: its greeting and READY in one piece, as an end
//! that waits for the other's greeting before it sends its own can deadlock with ZeroMQ. What comes is fed to
//! a [`Reader`], which checks the greeting byte by byte and everything else as early as a byte says so. A
//! PUSH end sends its first message only after [`Step::Ready`]: ZeroMQ closes the connection otherwise.

use crate::member::MemberId;

/// What kind of socket an end is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It sends messages.
    Push,
    /// It takes messages.
    Pull,
}

impl Role {
    /// The name in READY.
    fn name(self) -> &'static [u8; 4] {
        match self {
            Role::Push => b"PUSH",
            Role::Pull => b"PULL",
        }
    }

    fn peer(self) -> Role {
        match self {
            Role::Push => Role::Pull,
            Role::Pull => Role::Push,
        }
    }
}

/// Why a connection has to be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The first bytes are no greeting of ZMTP 2 or later.
    Signature,
    /// The peer speaks ZMTP 1 or 2.
    Version,
    /// The mechanism is not NULL.
    Mechanism,
    /// READY does not name the socket type that belongs to ours.
    SocketType,
    /// READY names another ring than ours.
    Ring,
    /// A message, or a command other than READY, came before READY.
    NotReady,
    /// A message of several parts began.
    Parts,
    /// A message is larger than any may be.
    TooLarge,
    /// A command is unknown, malformed, out of place or longer than [`MAX_COMMAND`], or a frame has reserved flags.
    Command,
    /// The peer is a PULL socket and sent a message.
    Message,
    /// The peer sent ERROR: it refuses us.
    Refused,
}

impl Fault {
    /// How many kinds there are.
    pub const COUNT: usize = Fault::ALL.len();

    /// All kinds, in the order of their numbers.
    pub const ALL: [Fault; 11] = [
        Fault::Signature,
        Fault::Version,
        Fault::Mechanism,
        Fault::SocketType,
        Fault::Ring,
        Fault::NotReady,
        Fault::Parts,
        Fault::TooLarge,
        Fault::Command,
        Fault::Message,
        Fault::Refused,
    ];
}

/// What [`Reader::read`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing more: all input was used.
    More,
    /// The handshake is done.
    Ready,
    /// A message lies in this range of the input.
    Message(std::ops::Range<usize>),
    /// A message came in pieces: [`Reader::take`] gives it.
    Held,
    /// The peer asks for a sign of life: [`pong`] answers it.
    Ping(Context),
    /// The answer to a [`PING`].
    Pong,
}

/// What a PING carries and its PONG returns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Context {
    bytes: [u8; MAX_CONTEXT],
    len: u8,
}

impl Context {
    fn new(bytes: &[u8]) -> Option<Self> {
        let mut context = Context::default();
        context.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        context.len = u8::try_from(bytes.len()).ok()?;
        Some(context)
    }

    /// Its bytes, [`MAX_CONTEXT`] at most.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len.into()).unwrap_or_default()
    }
}

/// Bytes of a greeting.
const GREETING: usize = 64;

/// Bytes of [`hello`].
pub const HELLO: usize = GREETING + 28;

/// The longest command that is taken, bytes: the READY of a PUSH or PULL socket has 26.
pub const MAX_COMMAND: usize = 512;

/// The most bytes that a PING's context has.
pub const MAX_CONTEXT: usize = 16;

/// The longest header of a frame, bytes.
const MAX_HEADER: usize = 9;

/// Bodies of which at least so much is missing are read straight into their place: [`Reader::lend`].
const LEND: usize = 8 << 10;

const MORE: u8 = 1;
const LONG: u8 = 2;
const COMMAND: u8 = 4;

/// Asks for a sign of life. Its TTL is 0: ZeroMQ miscalculates larger ones, and nobody of ours needs one.
pub const PING: &[u8] = b"\x04\x07\x04PING\x00\x00";

/// The property of READY that stands for the name of a member's ring, four bytes; peers that know none ignore it.
const RING: &[u8] = b"\x06X-Ring\0\0\0\x04";

/// Bytes that it takes at most, with its value.
const RING_PROPERTY: usize = RING.len() + 4;

/// The property of READY that says which member opened the connection, of those that it keeps open for as long as both
/// live: its end is a hint, and the word of it is good for no more.
const MEMBER: &[u8] = b"\x08X-Member\0\0\0\x10";

/// Bytes that it takes, with its value.
const MEMBER_PROPERTY: usize = MEMBER.len() + 16;

/// Greeting and READY of a member of the ring with this hash; 0: of a ring without a name.
#[derive(Clone, Copy, Debug)]
pub struct Hello {
    bytes: [u8; HELLO + RING_PROPERTY + MEMBER_PROPERTY],
    len: usize,
}

impl Hello {
    /// What an end of this kind sends.
    pub fn new(role: Role, ring: u32) -> Self {
        let mut hello = Hello {
            bytes: [0; HELLO + RING_PROPERTY + MEMBER_PROPERTY],
            len: 0,
        };
        hello.append(&self::hello(role));
        if ring != 0 {
            hello.say(RING, &ring.to_le_bytes());
        }
        hello
    }

    /// The same, and that this member opened the connection and keeps it.
    pub fn of(mut self, member: MemberId) -> Self {
        self.say(MEMBER, member.as_bytes());
        self
    }

    /// One more property of READY.
    fn say(&mut self, name: &[u8], value: &[u8]) {
        self.append(name);
        self.append(value);
        if let Some(ready) = self.bytes.get_mut(GREETING + 1) {
            *ready += (name.len() + value.len()) as u8;
        }
    }

    fn append(&mut self, more: &[u8]) {
        for (place, byte) in self.bytes.iter_mut().skip(self.len).zip(more) {
            *place = *byte;
        }
        self.len += more.len();
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

/// Greeting and READY of a member of a ring without a name.
pub fn hello(role: Role) -> [u8; HELLO] {
    let mut hello = [0; HELLO];
    let parts: [(usize, &[u8]); 5] = [
        (0, b"\xff"),
        (8, b"\x01\x7f\x03\x01NULL"),
        (GREETING, b"\x04\x1a\x05READY"),
        (GREETING + 8, b"\x0bSocket-Type\x00\x00\x00\x04"),
        (GREETING + 24, role.name()),
    ];
    for (at, bytes) in parts {
        for (place, byte) in hello.iter_mut().skip(at).zip(bytes) {
            *place = *byte;
        }
    }
    hello
}

/// Appends the header of a message of so many bytes.
pub fn header(len: usize, out: &mut Vec<u8>) {
    match u8::try_from(len) {
        Ok(len) => out.extend_from_slice(&[0, len]),
        Err(_) => {
            out.push(LONG);
            out.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
}

/// Appends the answer to a PING.
pub fn pong(context: &Context, out: &mut Vec<u8>) {
    let context = context.bytes();
    out.extend_from_slice(&[COMMAND, 5 + context.len() as u8]);
    out.extend_from_slice(b"\x04PONG");
    out.extend_from_slice(context);
}

/// Where in the stream the next byte stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// So many bytes of the greeting came.
    Greeting(u8),
    /// So many bytes of a frame's header came.
    Header(u8),
    /// The header is done.
    Body,
}

/// Reads one direction of a connection. What it holds is at most twice what came of the frame under way, and
/// nothing between frames.
#[derive(Debug)]
pub struct Reader {
    /// What came of the body under way, if it did not come whole.
    held: Vec<u8>,
    /// Bytes of the body under way.
    body: usize,
    max_message: usize,
    header: [u8; MAX_HEADER],
    place: Place,
    role: Role,
    is_ready: bool,
    /// Stands for the name of our ring, 0 if it has none; `None`: the peer's is not looked at.
    ring: Option<u32>,
    /// Who says that it opened the connection and keeps it.
    member: Option<MemberId>,
}

impl Reader {
    /// For an end of this kind, which takes messages of up to so many bytes.
    pub fn new(role: Role, max_message: usize) -> Self {
        Reader {
            held: Vec::new(),
            body: 0,
            max_message,
            header: [0; MAX_HEADER],
            place: Place::Greeting(0),
            role,
            is_ready: false,
            ring: None,
            member: None,
        }
    }

    /// The same for a member of the ring with this hash: a peer that says it is of another one is refused.
    pub fn in_ring(self, ring: Option<u32>) -> Self {
        Reader { ring, ..self }
    }

    /// Whether the handshake is done.
    pub fn is_ready(&self) -> bool {
        self.is_ready
    }

    /// The member that says it opened the connection and keeps it.
    pub fn member(&self) -> Option<MemberId> {
        self.member
    }

    /// Whether a frame is under way: the length of its body, as far as it is known.
    pub fn under_way(&self) -> Option<usize> {
        match self.place {
            Place::Greeting(_) | Place::Header(0) => None,
            Place::Header(_) => Some(0),
            Place::Body => Some(self.body),
        }
    }

    /// Bytes of memory that it holds.
    pub fn holds(&self) -> usize {
        self.held.capacity()
    }

    /// Reads on until something is complete: how many bytes were used, and what it is. To be called with the
    /// rest of the input until it says [`Step::More`].
    ///
    /// # Errors
    /// The connection is to be closed; the reader is of no use any more.
    pub fn read(&mut self, input: &[u8]) -> Result<(usize, Step), Fault> {
        let mut used = 0;
        loop {
            if self.place == Place::Body {
                let rest = input.get(used..).unwrap_or_default();
                let Some((len, step)) = self.read_body(rest, used)? else {
                    return Ok((input.len(), Step::More));
                };
                used += len;
                match step {
                    Some(step) => return Ok((used, step)),
                    None => continue,
                }
            }
            let Some(&byte) = input.get(used) else {
                return Ok((used, Step::More));
            };
            used += 1;
            match self.place {
                Place::Greeting(at) => self.read_greeting(at, byte)?,
                Place::Header(at) => self.read_header(at, byte)?,
                Place::Body => {}
            }
        }
    }

    /// The body under way, and how many bytes may be read into it: for one of which much is missing, to spare a
    /// copy. After that, `read` is to be called, if only with no input.
    pub fn lend(&mut self) -> Option<(&mut Vec<u8>, usize)> {
        let missing = self.body.saturating_sub(self.held.len());
        if self.place != Place::Body || self.held.is_empty() || missing < LEND {
            return None;
        }
        if self.held.len() == self.held.capacity() {
            self.grow(self.held.len());
        }
        let room = self.held.capacity() - self.held.len();
        Some((&mut self.held, room.min(missing)))
    }

    /// The message of [`Step::Held`].
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.held)
    }

    fn read_greeting(&mut self, at: u8, byte: u8) -> Result<(), Fault> {
        let mechanism = b"NULL\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
        let good = match at {
            0 => (byte == 0xff).then_some(()).ok_or(Fault::Signature),
            // ZMTP 1 has the length of an identity here, with any flags but this one.
            9 => (byte & 1 == 1).then_some(()).ok_or(Fault::Signature),
            10 => (byte >= 3).then_some(()).ok_or(Fault::Version),
            12..32 => {
                let expected = mechanism.get(usize::from(at) - 12);
                (expected == Some(&byte))
                    .then_some(())
                    .ok_or(Fault::Mechanism)
            }
            _ => Ok(()),
        };
        self.place = match usize::from(at) + 1 {
            GREETING => Place::Header(0),
            _ => Place::Greeting(at + 1),
        };
        good
    }

    fn read_header(&mut self, at: u8, byte: u8) -> Result<(), Fault> {
        if let Some(place) = self.header.get_mut(usize::from(at)) {
            *place = byte;
        }
        self.place = Place::Header(at + 1);
        if at == 0 {
            return self.check_flags(byte);
        }
        let [flags, length @ ..] = self.header;
        let length = match (flags & LONG != 0, usize::from(at) + 1) {
            (false, _) => u64::from(byte),
            (true, MAX_HEADER) => u64::from_be_bytes(length),
            (true, _) => return Ok(()),
        };
        let (most, fault) = match flags & COMMAND {
            0 => (self.max_message, Fault::TooLarge),
            _ => (MAX_COMMAND, Fault::Command),
        };
        self.body = usize::try_from(length)
            .ok()
            .filter(|&length| length <= most)
            .ok_or(fault)?;
        self.place = Place::Body;
        Ok(())
    }

    fn check_flags(&self, flags: u8) -> Result<(), Fault> {
        let is_command = flags & COMMAND != 0;
        if flags & !(MORE | LONG | COMMAND) != 0 {
            Err(Fault::Command)
        } else if !self.is_ready && !is_command {
            Err(Fault::NotReady)
        } else if flags & MORE != 0 {
            Err(if is_command {
                Fault::Command
            } else {
                Fault::Parts
            })
        } else if self.role == Role::Push && !is_command {
            Err(Fault::Message)
        } else {
            Ok(())
        }
    }

    /// Bytes used, and what came of it; `None`: the body is not whole, and all input was used. `at` is where the
    /// input stands in the caller's.
    fn read_body(
        &mut self,
        input: &[u8],
        at: usize,
    ) -> Result<Option<(usize, Option<Step>)>, Fault> {
        let missing = self.body.saturating_sub(self.held.len());
        let Some(piece) = input.get(..missing) else {
            self.hold(input);
            return Ok(None);
        };
        self.place = Place::Header(0);
        let whole = self.held.is_empty();
        if self.header[0] & COMMAND != 0 {
            let step = if whole {
                self.command(piece)
            } else {
                self.hold(piece);
                let held = self.take();
                self.command(&held)
            };
            return Ok(Some((missing, step?)));
        }
        let step = if whole {
            Step::Message(at..at + missing)
        } else {
            self.hold(piece);
            Step::Held
        };
        Ok(Some((missing, Some(step))))
    }

    fn hold(&mut self, piece: &[u8]) {
        if self.held.capacity() - self.held.len() < piece.len() {
            self.grow(piece.len());
        }
        self.held.extend_from_slice(piece);
    }

    /// Makes room for so many bytes that have come, and at best doubles what there is: never for more than the
    /// body takes.
    fn grow(&mut self, came: usize) {
        let len = self.held.len();
        let missing = self.body.saturating_sub(len);
        self.held.reserve_exact(came.max(len).min(missing));
    }

    fn command(&mut self, body: &[u8]) -> Result<Option<Step>, Fault> {
        let (name, rest) = split(body, 1).ok_or(Fault::Command)?;
        match (self.is_ready, name) {
            (false, b"READY") => {
                self.check_ready(rest)?;
                self.is_ready = true;
                Ok(Some(Step::Ready))
            }
            (_, b"ERROR") => Err(Fault::Refused),
            (false, _) => Err(Fault::NotReady),
            (true, b"PING") => {
                // A time to live of two bytes, and then the context.
                let context = rest.get(2..).and_then(Context::new);
                Ok(Some(Step::Ping(context.ok_or(Fault::Command)?)))
            }
            (true, b"PONG") if rest.len() <= MAX_CONTEXT => Ok(Some(Step::Pong)),
            (true, _) => Err(Fault::Command),
        }
    }

    /// READY's properties: a name with its length in one byte, a value with its length in four.
    fn check_ready(&mut self, mut rest: &[u8]) -> Result<(), Fault> {
        let (mut socket_type, mut ring) = (None, self.ring);
        while !rest.is_empty() {
            let (name, after) = split(rest, 1).ok_or(Fault::Command)?;
            let (value, after) = split(after, 4).ok_or(Fault::Command)?;
            if name.eq_ignore_ascii_case(b"Socket-Type") {
                socket_type = Some(value);
            } else if name.eq_ignore_ascii_case(b"X-Ring") {
                let hash = value.try_into().map_err(|_| Fault::Command)?;
                ring = Some(u32::from_le_bytes(hash));
            } else if name.eq_ignore_ascii_case(b"X-Member") {
                let id = value.try_into().map_err(|_| Fault::Command)?;
                self.member = Some(MemberId::from_bytes(id));
            }
            rest = after;
        }
        if socket_type != Some(self.role.peer().name()) {
            return Err(Fault::SocketType);
        }
        // Who says none may be one of the original's.
        match self.ring.is_none() || ring == self.ring {
            true => Ok(()),
            false => Err(Fault::Ring),
        }
    }
}

/// What stands behind its length, which has so many bytes, and what follows.
fn split(bytes: &[u8], length: usize) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_at_checked(length)?;
    let fold = |sum: usize, byte: &u8| sum << 8 | usize::from(*byte);
    rest.split_at_checked(length.iter().fold(0, fold))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MAX: usize = 100_000;

    /// An item, with its bytes.
    #[derive(Clone, Debug, PartialEq, Eq)]
    enum Seen {
        Ready,
        Message(Vec<u8>),
        Ping(Vec<u8>),
        Pong,
    }

    /// Feeds the stream in pieces of these lengths, over and over: the items and the fault that ended it. What
    /// the reader holds is checked after each piece.
    fn feed(role: Role, stream: &[u8], pieces: &[usize]) -> (Vec<Seen>, Option<Fault>) {
        let mut reader = Reader::new(role, MAX);
        let (mut seen, mut at, mut turn) = (Vec::new(), 0, 0);
        while at < stream.len() {
            let len = pieces[turn % pieces.len()].clamp(1, stream.len() - at);
            let piece = &stream[at..at + len];
            at += len;
            let mut pos = 0;
            if turn % 3 == 2
                && let Some((body, most)) = reader.lend()
            {
                pos = most.min(piece.len());
                body.extend_from_slice(&piece[..pos]);
            }
            turn += 1;
            loop {
                let rest = &piece[pos..];
                let (used, step) = match reader.read(rest) {
                    Ok(read) => read,
                    Err(fault) => return (seen, Some(fault)),
                };
                pos += used;
                assert!(reader.holds() <= 2 * at, "{} of {at}", reader.holds());
                match step {
                    Step::More => break,
                    Step::Ready => seen.push(Seen::Ready),
                    Step::Message(range) => seen.push(Seen::Message(rest[range].to_vec())),
                    Step::Held => seen.push(Seen::Message(reader.take())),
                    Step::Ping(context) => seen.push(Seen::Ping(context.bytes().to_vec())),
                    Step::Pong => seen.push(Seen::Pong),
                }
            }
            assert_eq!(pos, piece.len(), "all is used");
            if reader.under_way().is_none() {
                assert_eq!(reader.holds(), 0, "nothing is held between frames");
            }
        }
        (seen, None)
    }

    fn message(body: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        header(body.len(), &mut out);
        out.extend_from_slice(body);
        out
    }

    fn command(body: &[u8]) -> Vec<u8> {
        [&[COMMAND, body.len() as u8], body].concat()
    }

    /// What comes at a PULL socket after the handshake.
    fn after_hello(bytes: &[u8]) -> (Vec<Seen>, Option<Fault>) {
        let stream = [&hello(Role::Push)[..], bytes].concat();
        let (mut seen, fault) = feed(Role::Pull, &stream, &[stream.len()]);
        assert_eq!(seen.remove(0), Seen::Ready);
        (seen, fault)
    }

    /// The greeting of a libzmq 4.3.5 and a READY behind it.
    fn greeting(ready: &[u8]) -> Vec<u8> {
        let mut greeting = [0; GREETING];
        (greeting[0], greeting[8], greeting[9]) = (0xff, 1, 0x7f);
        (greeting[10], greeting[11]) = (3, 1);
        greeting[12..16].copy_from_slice(b"NULL");
        [&greeting[..], &command(ready)].concat()
    }

    #[test]
    fn our_hello_is_what_zeromq_sends() {
        let push = greeting(b"\x05READY\x0bSocket-Type\x00\x00\x00\x04PUSH");
        let pull = greeting(b"\x05READY\x0bSocket-Type\x00\x00\x00\x04PULL");
        assert_eq!(hello(Role::Push), push[..]);
        assert_eq!(hello(Role::Pull), pull[..]);
        assert_eq!(push.len(), HELLO);
    }

    #[test]
    fn headers_have_one_byte_of_length_up_to_255_and_eight_above() {
        for (len, expected) in [
            (0, &b"\0\0"[..]),
            (255, b"\0\xff"),
            (256, b"\x02\0\0\0\0\0\0\x01\0"),
            (1 << 23, b"\x02\0\0\0\0\0\x80\0\0"),
        ] {
            let mut out = Vec::new();
            header(len, &mut out);
            assert_eq!(out, expected, "{len}");
        }
    }

    #[test]
    fn a_pong_returns_the_context_of_its_ping() {
        for context in [&b""[..], b"x", &[7; MAX_CONTEXT]] {
            let ping = [b"\x04PING\x00\x10", context].concat();
            let (seen, fault) = after_hello(&command(&ping));
            assert_eq!((seen, fault), (vec![Seen::Ping(context.to_vec())], None));
            let mut out = Vec::new();
            pong(&Context::new(context).unwrap(), &mut out);
            assert_eq!(out, command(&[b"\x04PONG", context].concat()));
            assert_eq!(after_hello(&out), (vec![Seen::Pong], None));
        }
        assert_eq!(after_hello(PING), (vec![Seen::Ping(vec![])], None));
    }

    #[test]
    fn later_versions_and_other_readys_are_taken() {
        let property = b"\x0bsocket-type\x00\x00\x00\x04PUSH";
        let ready = [&b"\x05READY\x01x\x00\x00\x00\x02yy"[..], property].concat();
        for (major, minor) in [(3, 0), (3, 1), (3, 9), (4, 0), (255, 255)] {
            let mut stream = greeting(&ready);
            (stream[10], stream[11]) = (major, minor);
            // As-server and filler have no meaning here, nor have the bytes of the signature.
            stream[1..9].fill(9);
            stream[32..GREETING].fill(9);
            assert_eq!(feed(Role::Pull, &stream, &[1]), (vec![Seen::Ready], None));
        }
        let mut long = greeting(b"")[..GREETING].to_vec();
        long.extend_from_slice(&[6, 0, 0, 0, 0, 0, 0, 0, ready.len() as u8]);
        long.extend_from_slice(&ready);
        assert_eq!(feed(Role::Pull, &long, &[1]), (vec![Seen::Ready], None));
    }

    /// Each with how many bytes of it are enough to tell.
    #[test]
    fn what_is_no_greeting_ends_the_connection_at_the_byte_that_shows_it() {
        let with = |at: usize, byte: u8| {
            let mut stream = hello(Role::Push);
            stream[at] = byte;
            stream.to_vec()
        };
        let typed = |kind: &[u8]| {
            let ready = [
                &b"\x05READY\x0bSocket-Type\x00\x00\x00"[..],
                &[kind.len() as u8],
                kind,
            ];
            greeting(&ready.concat())
        };
        let cases: Vec<(Vec<u8>, usize, Fault)> = vec![
            (b"GET / HTTP/1.1".to_vec(), 1, Fault::Signature),
            (b"\x01\x00\x06\x00hello".to_vec(), 1, Fault::Signature),
            (with(9, 0x7e), 10, Fault::Signature),
            (with(10, 1), 11, Fault::Version),
            (with(10, 0), 11, Fault::Version),
            (with(12, b'P'), 13, Fault::Mechanism),
            (with(16, b'X'), 17, Fault::Mechanism),
            (with(31, 1), 32, Fault::Mechanism),
            (with(GREETING, 0), GREETING + 1, Fault::NotReady),
            (with(GREETING, 1), GREETING + 1, Fault::NotReady),
            (with(GREETING, 5), GREETING + 1, Fault::Command),
            (with(GREETING, 12), GREETING + 1, Fault::Command),
            (with(GREETING + 3, b'r'), HELLO, Fault::NotReady),
            (with(GREETING + 8, 200), HELLO, Fault::Command),
            (with(HELLO - 5, 3), HELLO, Fault::Command),
            (with(HELLO - 5, 5), HELLO, Fault::Command),
            (typed(b"PULL"), HELLO, Fault::SocketType),
            (typed(b"push"), HELLO, Fault::SocketType),
            (typed(b"DEALER"), HELLO + 2, Fault::SocketType),
            (greeting(b"\x05READY"), HELLO - 20, Fault::SocketType),
            (greeting(b"\x05ERROR\x02no"), HELLO - 17, Fault::Refused),
            (greeting(b"\x04PING\x00\x00"), HELLO - 19, Fault::NotReady),
            (greeting(b""), GREETING + 2, Fault::Command),
        ];
        for (stream, enough, fault) in cases {
            let shown = format!("{fault:?} after {enough} of {stream:?}");
            assert_eq!(
                feed(Role::Pull, &stream, &[1]),
                (vec![], Some(fault)),
                "{shown}"
            );
            let early = &stream[..enough - 1];
            assert_eq!(feed(Role::Pull, early, &[1]).1, None, "not before: {shown}");
            let there = &stream[..enough];
            assert_eq!(feed(Role::Pull, there, &[enough]).1, Some(fault), "{shown}");
        }
        let long_ready = [&hello(Role::Push)[..GREETING], b"\x06\0\0\0\0\0\0\x02\x01"].concat();
        assert_eq!(feed(Role::Pull, &long_ready, &[9]).1, Some(Fault::Command));
    }

    #[test]
    fn what_is_out_of_place_after_the_handshake_ends_the_connection() {
        let too_large = |length: u64| [&[LONG][..], &length.to_be_bytes()].concat();
        let cases: Vec<(Vec<u8>, Fault)> = vec![
            (b"\x01".to_vec(), Fault::Parts),
            (b"\x03".to_vec(), Fault::Parts),
            (b"\x05".to_vec(), Fault::Command),
            (b"\x08".to_vec(), Fault::Command),
            (too_large(MAX as u64 + 1), Fault::TooLarge),
            (too_large(1 << 40), Fault::TooLarge),
            (too_large(u64::MAX), Fault::TooLarge),
            (b"\x06\0\0\0\0\0\0\x02\x01".to_vec(), Fault::Command),
            (b"\x06\xff\0\0\0\0\0\0\0".to_vec(), Fault::Command),
            (hello(Role::Push)[GREETING..].to_vec(), Fault::Command),
            (command(b""), Fault::Command),
            (command(b"\x09SUBSCRIBE"), Fault::Command),
            (command(b"\x06CANCEL"), Fault::Command),
            (command(b"\x05ERROR\x02no"), Fault::Refused),
            (command(b"\x04PING"), Fault::Command),
            (command(b"\x04PING\x00"), Fault::Command),
            (
                command(&[&b"\x04PING\0\0"[..], &[0; 17]].concat()),
                Fault::Command,
            ),
            (
                command(&[&b"\x04PONG"[..], &[0; 17]].concat()),
                Fault::Command,
            ),
            (command(b"\x09PING"), Fault::Command),
        ];
        for (bytes, fault) in cases {
            let stream = [message(b"before"), bytes.clone(), message(b"after")].concat();
            let seen = vec![Seen::Message(b"before".to_vec())];
            assert_eq!(after_hello(&stream), (seen, Some(fault)), "{bytes:?}");
        }
        // A PULL socket says nothing but signs of life.
        let pull = |rest: &[u8]| {
            let stream = [&hello(Role::Pull)[..], PING, rest].concat();
            feed(Role::Push, &stream, &[1]).1
        };
        assert_eq!(pull(b""), None);
        assert_eq!(pull(b"\0"), Some(Fault::Message));
        assert_eq!(pull(b"\x01"), Some(Fault::Parts));
    }

    #[test]
    fn only_a_peer_that_says_it_is_of_another_ring_is_refused() {
        let ready = |role: Role, mine: Option<u32>, theirs: u32| {
            let peer = role.peer();
            let mut reader = Reader::new(role, MAX).in_ring(mine);
            let hello = Hello::new(peer, theirs);
            let (used, step) = reader.read(hello.as_bytes())?;
            assert_eq!((used, step), (hello.as_bytes().len(), Step::Ready));
            Ok(())
        };
        for role in [Role::Push, Role::Pull] {
            for (mine, theirs, taken) in [
                (None, 0, true),
                (None, 7, true),
                (Some(0), 0, true),
                (Some(0), 7, false),
                (Some(7), 0, true),
                (Some(7), 7, true),
                (Some(7), 8, false),
            ] {
                let expected = taken.then_some(()).ok_or(Fault::Ring);
                assert_eq!(ready(role, mine, theirs), expected, "{mine:?} {theirs}");
            }
            assert_eq!(Hello::new(role, 0).as_bytes(), hello(role));
        }
        // A hash has four bytes.
        let mut odd = Hello::new(Role::Push, 7).as_bytes().to_vec();
        odd.pop();
        odd[GREETING + 1] -= 1;
        let value = odd.len() - 4;
        odd[value] = 3;
        let mut reader = Reader::new(Role::Pull, MAX).in_ring(Some(7));
        assert_eq!(reader.read(&odd), Err(Fault::Command));
    }

    #[test]
    fn who_keeps_a_connection_says_so() {
        let id = MemberId::from_bytes([7; 16]);
        for ring in [0, 9] {
            let mut reader = Reader::new(Role::Pull, MAX).in_ring(Some(9));
            let hello = Hello::new(Role::Push, ring).of(id);
            let (used, step) = reader.read(hello.as_bytes()).unwrap();
            assert_eq!((used, step), (hello.as_bytes().len(), Step::Ready));
            assert_eq!(reader.member(), Some(id));
        }
        // An id has sixteen bytes.
        let mut odd = Hello::new(Role::Push, 0).of(id).as_bytes().to_vec();
        odd.pop();
        odd[GREETING + 1] -= 1;
        let value = odd.len() - 16;
        odd[value] = 15;
        let mut reader = Reader::new(Role::Pull, MAX);
        assert_eq!(reader.read(&odd), Err(Fault::Command));
        assert_eq!(reader.member(), None);
    }

    #[test]
    fn messages_of_the_largest_size_are_taken() {
        for len in [0, 1, 255, 256, MAX] {
            let (seen, fault) = after_hello(&message(&vec![7; len]));
            assert_eq!((seen, fault), (vec![Seen::Message(vec![7; len])], None));
        }
        // A length may have eight bytes where one would do.
        let long = b"\x02\0\0\0\0\0\0\0\x02hi";
        assert_eq!(after_hello(long).0, [Seen::Message(b"hi".to_vec())]);
    }

    #[test]
    fn a_claim_takes_no_memory() {
        let mut reader = Reader::new(Role::Pull, 8 << 20);
        let claim = [&hello(Role::Push)[..], b"\x02\0\0\0\0\0\x80\0\0", b"few"].concat();
        let mut at = 0;
        while at < claim.len() {
            at += reader.read(&claim[at..]).unwrap().0;
        }
        assert_eq!((reader.under_way(), reader.holds()), (Some(8 << 20), 3));
    }

    /// A part of a stream: mostly what belongs there.
    fn any_frame() -> impl Strategy<Value = Vec<u8>> {
        let bytes = prop::collection::vec(any::<u8>(), 0..40);
        prop_oneof![
            5 => bytes.clone().prop_map(|body| message(&body)),
            2 => (0..30_000usize).prop_map(|len| message(&vec![3; len])),
            2 => prop::collection::vec(any::<u8>(), 0..=16)
                .prop_map(|context| command(&[&b"\x04PING\0\0"[..], &context].concat())),
            1 => Just(command(b"\x04PONG")),
            1 => bytes.clone().prop_map(|body| command(&body)),
            1 => bytes,
        ]
    }

    proptest! {
        #[test]
        fn items_are_the_same_in_whatever_pieces_the_bytes_come(
            frames in prop::collection::vec(any_frame(), 0..12),
            pieces in prop::collection::vec(1..20_000usize, 1..20),
            damage in prop::option::weighted(0.3, (any::<prop::sample::Index>(), any::<u8>())),
            pull in prop::bool::weighted(0.8),
        ) {
            let (role, peer) = match pull {
                true => (Role::Pull, Role::Push),
                false => (Role::Push, Role::Pull),
            };
            let mut stream = [&hello(peer)[..], &frames.concat()].concat();
            if let Some((at, byte)) = damage {
                let at = at.index(stream.len());
                stream[at] = byte;
            }
            let whole = feed(role, &stream, &[stream.len()]);
            prop_assert_eq!(&whole, &feed(role, &stream, &[1]));
            prop_assert_eq!(&whole, &feed(role, &stream, &pieces));
            let small: Vec<_> = pieces.iter().map(|len| 1 + len % 9).collect();
            prop_assert_eq!(&whole, &feed(role, &stream, &small));
        }

        #[test]
        fn noise_is_read_alike_and_never_held(noise in prop::collection::vec(any::<u8>(), 0..300)) {
            let whole = feed(Role::Pull, &noise, &[300]);
            prop_assert_eq!(&whole, &feed(Role::Pull, &noise, &[1]));
        }
    }
}
