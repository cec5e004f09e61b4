//! Everything that can happen, as one type: trace files, diagrams and the simulator's checks are made
//! from it (PROTOCOL.md §5).

use std::fmt::{self, Write};
use std::net::SocketAddr;
use std::time::Duration;

use crate::member::{Health, Incarnation, MemberId};
use crate::text::is_hidden;
use crate::time::Time;

/// What kind of thing happened. The names are those of the trace files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TraceKind {
    /// A record of a member was adopted, or its health changed.
    MemberUpdate,
    /// A member is about to be probed.
    ProbeBegin,
    /// The Ack of a probe came.
    ProbeAckReceived,
    /// A probe is over: its member answered.
    ProbeComplete,
    /// A suspicion ran out, or a claim found no answer: its member is Confirmed.
    ProbeConfirmed,
    /// A probe is over: its member did not answer, and is Suspect.
    ProbeSuspect,
    /// A member was Confirmed for so long that it is Departed.
    ProbeDeparted,
    /// A probe was not answered in time: others are asked to ping.
    ProbePingReq,
    /// An Ack came.
    RecvAck,
    /// A Ping came.
    RecvPing,
    /// A PingReq came.
    RecvPingReq,
    /// A ProbePing came: some say that this member is dead.
    RecvProbePing,
    /// A rumor came.
    RecvRumor,
    /// An Ack goes out.
    SendAck,
    /// Another member's Ack is passed on.
    SendForwardAck,
    /// A Ping goes out.
    SendPing,
    /// A PingReq goes out.
    SendPingReq,
    /// A ProbePing goes out: some say that its receiver is dead.
    SendProbePing,
    /// A rumor is pushed.
    SendRumor,
    /// A note of the embedding program.
    TestEvent,
}

impl fmt::Display for TraceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// One thing that happened at one member.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Trace {
    /// When, as the driver counts.
    pub time: Time,
    /// What.
    pub kind: TraceKind,
    /// The source file that reported it, without its directory.
    pub module: &'static str,
    /// The line in that file.
    pub line: u32,
    /// The other member, if there is one and it is known.
    pub to: Option<MemberId>,
    /// The other member's address, if there is one.
    pub to_addr: Option<SocketAddr>,
    /// The memberships that the message carried, or the record that changed.
    pub swim: Vec<(MemberId, Incarnation, Health)>,
    /// Which rumor, or the text of a `TestEvent`.
    pub rumor: String,
}

/// Who writes a line of a trace file.
#[doc(hidden)] // For the fuzzers.
pub struct TraceWriter<'a> {
    /// The thread's name.
    pub thread: &'a str,
    /// The member's name, or its id.
    pub server: &'a str,
    /// The member's id.
    pub id: MemberId,
    /// Where it listens.
    pub listening: SocketAddr,
}

impl Trace {
    /// Appends the line of a trace file that tells of it: 12 fields joined by `^`, at this time since 1970.
    #[doc(hidden)] // For the fuzzers.
    pub fn write_line(&self, line: &mut String, time: Duration, writer: &TraceWriter<'_>) {
        let (seconds, nanos) = (time.as_secs(), time.subsec_nanos());
        let (kind, at) = (self.kind, self.line);
        let (thread, module) = (plain(writer.thread), plain(self.module));
        let (server, id, listening) = (plain(writer.server), writer.id, writer.listening);
        let (to, to_addr) = (shown(self.to), shown(self.to_addr));
        // Writing to a String cannot fail.
        let _ = write!(
            line,
            "{seconds}.{nanos:09}^{kind}^{thread}^{module}^{at}^{server}^{id}^{to}^{listening}^{to_addr}^"
        );
        for (id, incarnation, health) in &self.swim {
            let _ = write!(line, "{id}-{incarnation}-{health:?} ");
        }
        let _ = writeln!(line, "^{}", plain(&self.rumor));
    }
}

fn shown(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

/// The text without what would break a line, a field or a file name.
pub(crate) fn plain(text: &str) -> String {
    text.replace(|c| c == '^' || c == '/' || is_hidden(c), "_")
}
