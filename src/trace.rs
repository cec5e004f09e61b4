//! Everything that can happen, as one type: trace files, diagrams and the simulator's checks are made
//! from it (PROTOCOL.md §5).

use std::fmt;
use std::net::SocketAddr;

use crate::member::{Health, Incarnation, MemberId};
use crate::time::Time;

/// What kind of thing happened. The names are those of the trace files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[allow(missing_docs)] // The names say it, and PROTOCOL.md §5 lists them.
pub enum TraceKind {
    MemberUpdate,
    ProbeBegin,
    ProbeAckReceived,
    ProbeComplete,
    ProbeConfirmed,
    ProbeSuspect,
    ProbeDeparted,
    ProbePingReq,
    RecvAck,
    RecvPing,
    RecvPingReq,
    RecvProbePing,
    RecvRumor,
    SendAck,
    SendForwardAck,
    SendPing,
    SendPingReq,
    SendProbePing,
    SendRumor,
    TestEvent,
}

impl fmt::Display for TraceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// One thing that happened at one member.
#[derive(Clone, Debug, PartialEq, Eq)]
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
