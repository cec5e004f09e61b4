//! Where everything that happens is reported, once: counters, events and traces come from here.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::panic::Location;
use std::time::Duration;

use crate::error::Reject;
use crate::event::{Cause, Event};
use crate::expected::Expected;
use crate::growth;
use crate::history::{Fact, History};
use crate::limits::{
    MAX_ANSWER, MAX_QUEUED_EVENT_BYTES, MAX_QUEUED_EVENTS, MAX_QUEUED_TRACES, PROBE_PING_INTERVAL,
    REJECT_LOG_INTERVAL,
};
use crate::member::{Health, Incarnation, Member, MemberId};
use crate::name::Name;
use crate::stats::{MessageKind, Stats};
use crate::time::Time;
use crate::trace::{Trace, TraceKind};
use crate::wire::{RumorFrame, read_rumor};

/// The other side of what happened.
#[derive(Clone, Copy, Default)]
pub(crate) struct Peer {
    pub id: Option<MemberId>,
    pub addr: Option<SocketAddr>,
}

impl From<&Member> for Peer {
    fn from(member: &Member) -> Self {
        Peer {
            id: Some(member.id),
            addr: Some(member.swim_addr()),
        }
    }
}

/// What an event points to, in bytes, if that may be much.
fn weight(event: &Event) -> usize {
    match event {
        Event::UserEvent(event) | Event::Query(event) => event.payload.len() + event.name.len(),
        Event::Answer(_) => MAX_ANSWER,
        _ => 0,
    }
}

/// One log line in a while for each reason to drop something.
#[derive(Clone, Copy, Default)]
struct RejectGate {
    opens: Time,
    unreported: u64,
}

/// For a trace: which rumor it is.
fn named(frame: &RumorFrame<'_>) -> String {
    match (frame.kind, frame.rumor()) {
        (_, Ok(rumor)) => format!("{}-{}", rumor.id(), rumor.version()),
        (Some(kind), Err(_)) => kind.to_string(),
        (None, Err(_)) => match frame.membership() {
            Ok(record) => format!("member {}-{}", record.member.id, record.member.incarnation),
            Err(_) => "member".to_owned(),
        },
    }
}

#[derive(Default)]
pub(crate) struct Journal {
    pub stats: Stats,
    pub history: History,
    events: VecDeque<Event>,
    /// Bytes of user events among them.
    event_bytes: usize,
    /// `None`: nobody listens, and a trace costs one branch.
    traces: Option<VecDeque<Trace>>,
    gates: [RejectGate; Reject::ALL.len()],
    /// No conflict of ids is told before then.
    next_conflict: Time,
    /// No refutation is told before then.
    next_refuted: Time,
}

impl Journal {
    pub fn set_tracing(&mut self, on: bool) {
        if on != self.traces.is_some() {
            self.traces = on.then(VecDeque::new);
        }
    }

    pub fn poll_event(&mut self) -> Option<Event> {
        let event = self.events.pop_front();
        growth::slim(&mut self.events);
        self.event_bytes -= event.as_ref().map_or(0, weight);
        event
    }

    pub fn poll_trace(&mut self) -> Option<Trace> {
        self.traces.as_mut()?.pop_front()
    }

    /// Events and traces that wait to be taken.
    pub fn queued(&self) -> (usize, usize) {
        let traces = self.traces.as_ref().map_or(0, VecDeque::len);
        (self.events.len(), traces)
    }

    pub fn event(&mut self, event: Event) {
        self.event_bytes += weight(&event);
        self.events.push_back(event);
        while self.events.len() > MAX_QUEUED_EVENTS || self.event_bytes > MAX_QUEUED_EVENT_BYTES {
            let oldest = self.events.pop_front();
            self.event_bytes -= oldest.as_ref().map_or(0, weight);
            self.stats.events_lost += 1;
        }
    }

    /// Something happened between this member and `peer`; `swim` is only built if someone listens.
    #[track_caller]
    pub fn trace(
        &mut self,
        time: Time,
        kind: TraceKind,
        peer: Peer,
        swim: impl FnOnce() -> Vec<(MemberId, Incarnation, Health)>,
    ) {
        if self.traces.is_some() {
            self.push_trace(time, kind, peer, swim(), String::new(), Location::caller());
        }
    }

    #[cold]
    fn push_trace(
        &mut self,
        time: Time,
        kind: TraceKind,
        peer: Peer,
        swim: Vec<(MemberId, Incarnation, Health)>,
        rumor: String,
        place: &'static Location<'static>,
    ) {
        let Some(traces) = &mut self.traces else {
            return;
        };
        if traces.len() >= MAX_QUEUED_TRACES {
            traces.pop_front();
            self.stats.traces_lost += 1;
        }
        let module = place.file().rsplit(['/', '\\']).next().unwrap_or_default();
        let line = place.line();
        traces.push_back(Trace {
            time,
            kind,
            module,
            line,
            to: peer.id,
            to_addr: peer.addr,
            swim,
            rumor,
        });
    }

    /// A note of a test or of a person, for the diagrams.
    #[track_caller]
    pub fn note(&mut self, time: Time, text: &str) {
        if self.traces.is_some() {
            let place = Location::caller();
            self.push_trace(
                time,
                TraceKind::TestEvent,
                Peer::default(),
                Vec::new(),
                text.to_owned(),
                place,
            );
        }
    }

    #[track_caller]
    pub fn received(
        &mut self,
        time: Time,
        kind: MessageKind,
        peer: Peer,
        swim: impl FnOnce() -> Vec<(MemberId, Incarnation, Health)>,
    ) {
        self.stats.count_received(kind);
        let kind = match kind {
            MessageKind::Ping => TraceKind::RecvPing,
            MessageKind::Ack | MessageKind::ForwardedAck => TraceKind::RecvAck,
            MessageKind::PingReq => TraceKind::RecvPingReq,
            MessageKind::ProbePing => TraceKind::RecvProbePing,
        };
        self.trace(time, kind, peer, swim);
    }

    #[track_caller]
    pub fn sent(
        &mut self,
        time: Time,
        kind: MessageKind,
        bytes: usize,
        peer: Peer,
        swim: impl FnOnce() -> Vec<(MemberId, Incarnation, Health)>,
    ) {
        self.stats.count_sent(kind, bytes);
        let kind = match kind {
            MessageKind::Ping => TraceKind::SendPing,
            MessageKind::Ack => TraceKind::SendAck,
            MessageKind::ForwardedAck => TraceKind::SendForwardAck,
            MessageKind::PingReq => TraceKind::SendPingReq,
            MessageKind::ProbePing => TraceKind::SendProbePing,
        };
        self.trace(time, kind, peer, swim);
    }

    #[track_caller]
    pub fn rumor_received(&mut self, time: Time, rumor: &RumorFrame<'_>) {
        if self.traces.is_some() {
            let peer = Peer {
                id: rumor.from_id.parse().ok(),
                addr: None,
            };
            let place = Location::caller();
            self.push_trace(
                time,
                TraceKind::RecvRumor,
                peer,
                Vec::new(),
                named(rumor),
                place,
            );
        }
    }

    #[track_caller]
    pub fn rumor_pushed(&mut self, time: Time, to: MemberId, addr: SocketAddr, rumor: &[u8]) {
        if self.traces.is_some() {
            let peer = Peer {
                id: Some(to),
                addr: Some(addr),
            };
            let name = read_rumor(rumor).map(|rumor| named(&rumor));
            let (name, place) = (name.unwrap_or_default(), Location::caller());
            self.push_trace(time, TraceKind::SendRumor, peer, Vec::new(), name, place);
        }
    }

    /// A member became known, or another health took the place of the one that it had for so long.
    #[track_caller]
    pub fn member_changed(
        &mut self,
        time: Time,
        member: &Member,
        name: &str,
        from: Option<(Health, Duration)>,
        to: Health,
        cause: Cause,
    ) {
        self.stats.count_transition(from, to);
        let (id, incarnation, addr) = (member.id, member.incarnation, member.swim_addr());
        let from = from.map(|(health, _)| health);
        self.event(Event::MemberChanged {
            id,
            addr,
            from,
            to,
            incarnation,
            cause,
            name: Name::of(name),
        });
        let fact = Fact::Changed {
            from,
            to,
            incarnation,
            cause,
        };
        self.history.add(time, id, fact);
        if self.traces.is_some() {
            // As the original has it: no piggyback, and the record in the last field.
            let (kind, record) = (
                TraceKind::MemberUpdate,
                format!("{id}-{incarnation}-{to:?}"),
            );
            self.push_trace(
                time,
                kind,
                member.into(),
                Vec::new(),
                record,
                Location::caller(),
            );
        }
    }

    /// A member answers as another process than before.
    pub fn member_restarted(
        &mut self,
        time: Time,
        id: MemberId,
        incarnation: Incarnation,
        name: Name,
    ) {
        self.event(Event::MemberRestarted {
            id,
            incarnation,
            name,
        });
        self.history.add(time, id, Fact::Restarted);
    }

    /// Something untrue was refuted: told at most once a second, as strangers can have it happen. Whether it was.
    pub fn refuted(&mut self, time: Time, event: Event) -> bool {
        let opens = time >= self.next_refuted;
        if opens {
            self.next_refuted = time + PROBE_PING_INTERVAL;
            self.event(event);
        }
        opens
    }

    /// Two processes use one id: told once in a while. Whether it was.
    pub fn id_conflict(
        &mut self,
        time: Time,
        id: MemberId,
        one: SocketAddr,
        other: SocketAddr,
    ) -> bool {
        let opens = time >= self.next_conflict;
        if opens {
            self.next_conflict = time + REJECT_LOG_INTERVAL;
            self.event(Event::IdConflict { id, one, other });
        }
        opens
    }

    /// Something from `from` was dropped: counted always, told in a while.
    pub fn rejected(&mut self, time: Time, reason: Reject, from: SocketAddr) {
        self.stats.count_rejected(reason);
        let Some(gate) = self.gates.get_mut(reason as usize).expected() else {
            return;
        };
        if time < gate.opens {
            gate.unreported += 1;
            return;
        }
        gate.opens = time + REJECT_LOG_INTERVAL;
        let unreported = std::mem::take(&mut gate.unreported);
        self.event(Event::Rejected {
            reason,
            from,
            unreported,
        });
    }
}
