//! The state machine: bytes and deadlines in, bytes and events out, and no I/O of its own.
//!
//! A [`Node`] has four kinds of methods (as quinn-proto's `Connection` has them):
//!
//! | kind | methods | rule |
//! |---|---|---|
//! | look | [`members`](Node::members), [`health_of`](Node::health_of), [`rumors`](Node::rumors), [`stats`](Node::stats), … | never changes anything |
//! | feed | [`handle_datagram`](Node::handle_datagram), [`handle_rumor`](Node::handle_rumor), [`handle_sent`](Node::handle_sent), [`handle_timeout`](Node::handle_timeout), [`handle_unreachable`](Node::handle_unreachable), [`handle_refused`](Node::handle_refused), [`handle_hint`](Node::handle_hint), [`handle_port_test`](Node::handle_port_test), [`handle_backlog`](Node::handle_backlog), [`handle_stored`](Node::handle_stored) | never fails: bad input is counted, and told by an event now and then |
//! | command | [`join`](Node::join), [`leave`](Node::leave), [`announce`](Node::announce), [`apply_config`](Node::apply_config), … | takes effect, or changes nothing and says why |
//! | drain | [`poll_datagram`](Node::poll_datagram), [`poll_push`](Node::poll_push), [`poll_event`](Node::poll_event), [`poll_trace`](Node::poll_trace), [`poll_port_test`](Node::poll_port_test), [`poll_watched`](Node::poll_watched), [`poll_timeout`](Node::poll_timeout) | call until empty |
//!
//! Time and randomness are arguments: with the same seed, times and input a node does the same.

#[cfg(not(feature = "gossip"))]
mod alone;
mod clock;
mod evidence;
#[cfg(feature = "gossip")]
mod gossiping;
#[cfg_attr(not(feature = "sim"), allow(dead_code))] // The simulator asks for most of it.
mod inspecting;
mod joining;
#[cfg(feature = "gossip")]
mod own_kinds;
#[cfg(feature = "gossip")]
mod pushes;
mod recording;
mod replaying;
mod restoring;

use std::collections::VecDeque;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::time::Duration;

use dryoc::classic::crypto_generichash::crypto_generichash;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

pub use crate::config::NodeConfig;
use crate::env::Env;
use crate::error::{CommandError, Reject};
use crate::event::Event;
use crate::gossip::Gossip;
use crate::history::HistoryEntry;
use crate::journal::Journal;
use crate::limits::{MAX_BLOCKED, MAX_DATAGRAM_RECEIVED, MAX_DATAGRAM_SENT};
use crate::member::{Health, Incarnation, Member, MemberId};
use crate::recording::{Input, KeyId, Tape};
use crate::ring_name::RingName;
use crate::stats::Stats;
use crate::swim::{Renewal, Swim};
use crate::time::Time;
use crate::timer::TimerWheel;
use crate::trace::Trace;
use crate::view::{HealthCounts, MemberView, SuspicionView};
use crate::wire::{self, HEADROOM, RingKey, STAMP_BYTES, Serial};
use clock::Clock;
pub use evidence::{Port, PortTest};
#[cfg(feature = "gossip")]
pub use pushes::{Push, PushName};
pub use replaying::{Replay, ReplayError, Step};

/// One member of a ring, without sockets or clocks.
pub struct Node {
    env: Env,
    swim: Swim,
    gossip: Gossip,
    /// Told to depart for good.
    expelled: bool,
    /// Where the PULL sockets of members were that are dead.
    gone: VecDeque<SocketAddr>,
    keys: Vec<RingKey>,
    lag_tolerance: Duration,
    clock: Clock,
    paused: bool,
    /// What all calls that change it are written to; `None`: nobody asked for it.
    tape: Option<Box<Tape>>,
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node")
            .field("id", &self.id())
            .field("counts", &self.counts())
            .finish_non_exhaustive()
    }
}

/// A datagram to be sent: the bytes `range` of the buffer given to [`Node::poll_datagram`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Transmit {
    /// Where it goes.
    pub to: SocketAddr,
    /// Where in the buffer it stands.
    pub range: Range<usize>,
}

/// What [`Node::poll_datagram`] needs for its buffer, in bytes.
pub const SEND_BUFFER: usize = HEADROOM + crate::limits::MAX_DATAGRAM_SENT;

/// An IPv4-mapped address is the IPv4 address that it stands for.
fn canonical(addr: SocketAddr) -> SocketAddr {
    match addr.ip().to_canonical() {
        ip @ IpAddr::V4(_) => SocketAddr::new(ip, addr.port()),
        IpAddr::V6(_) => addr,
    }
}

/// A number that nobody finds who knows a part of the seed, as an epoch may show one.
fn secret_of(seed: &[u8; 32]) -> u64 {
    let mut hash = [0; 16];
    // It only fails for sizes out of range.
    let _ = crypto_generichash(&mut hash, seed, None);
    hash.first_chunk().copied().map_or(0, u64::from_le_bytes)
}

/// Making one.
impl Node {
    /// A node that knows nobody yet, at this time of its driver.
    pub fn new(mut config: NodeConfig, now: Time) -> Self {
        config.timing = config.timing.sane();
        let mut env = Env {
            now,
            wall: now,
            rng: StdRng::from_seed(config.random_seed),
            timers: TimerWheel::new(now),
            journal: Journal::default(),
        };
        let swim = Swim::new(&config, &mut env);
        let (gossips, store_limit) = (config.gossip_port != 0, config.store_limit);
        let seed = (secret_of(&config.random_seed), config.epoch);
        let gossip = Gossip::new(&config.timing, gossips, store_limit, seed, &mut env);
        let is_used_up = config.incarnation == Incarnation::MAX;
        let mut node = Node {
            env,
            swim,
            gossip,
            expelled: false,
            gone: VecDeque::new(),
            lag_tolerance: config.timing.lag_tolerance,
            keys: config.ring_keys,
            clock: Clock::default(),
            paused: false,
            tape: None,
        };
        node.tell_rumors();
        if is_used_up {
            node.swim.renew(&mut node.env, Renewal::AtOnce);
            node.settle();
        }
        node
    }
}

/// Looking.
impl Node {
    /// Its id.
    pub fn id(&self) -> MemberId {
        self.swim.id()
    }

    /// The name of the ring that it belongs to.
    pub fn ring(&self) -> Option<&RingName> {
        self.swim.ring()
    }

    /// The node's time: the driver's, less what its loop slept through, and by what its clock was set back.
    pub fn now(&self) -> Time {
        self.env.now
    }

    /// All members that are known, this one included, in no order.
    pub fn members(&self) -> impl Iterator<Item = MemberView<'_>> {
        self.swim
            .table()
            .iter()
            .filter_map(|(key, _)| self.view(key))
    }

    /// One member, if it is known.
    pub fn member(&self, id: MemberId) -> Option<MemberView<'_>> {
        self.view(self.swim.table().find(&id)?)
    }

    /// This member as it sees itself. Its address is 0.0.0.0 until it is known.
    pub fn me(&self) -> MemberView<'_> {
        let table = self.swim.table();
        let row = table.own();
        MemberView {
            member: Member {
                id: row.id,
                incarnation: row.incarnation,
                ip: table.ip_of(row),
                swim_port: row.swim_port,
                gossip_port: row.gossip_port,
                persistent: row.is_persistent(),
                departed: row.has_left(),
            },
            name: table.name_of(row),
            health: row.health,
            is_self: true,
            rtt: None,
            since: row.since,
            suspicion: None,
        }
    }

    fn view(&self, key: u32) -> Option<MemberView<'_>> {
        let table = self.swim.table();
        let row = table.get(key)?;
        let suspicion = self.swim.suspicion(row).map(|suspicion| SuspicionView {
            accusers: suspicion.accusers(),
            evidence: suspicion.evidence(),
            until: suspicion.over(),
        });
        Some(MemberView {
            member: table.member(key)?,
            name: table.name_of(row),
            health: row.health,
            is_self: key == table.me(),
            rtt: row.rtt(),
            since: row.since,
            suspicion,
        })
    }

    /// How a member fares; `None`: it is not known.
    pub fn health_of(&self, id: MemberId) -> Option<Health> {
        let table = self.swim.table();
        Some(table.get(table.find(&id)?)?.health)
    }

    /// How many members there are of each health.
    pub fn counts(&self) -> HealthCounts {
        let count = |health| self.swim.table().count(health);
        HealthCounts {
            alive: count(Health::Alive),
            suspect: count(Health::Suspect),
            confirmed: count(Health::Confirmed),
            departed: count(Health::Departed),
        }
    }

    /// What it did since it started.
    pub fn stats(&self) -> &Stats {
        &self.env.journal.stats
    }

    /// What it knows of past transitions and of what led to them, the oldest first, if
    /// [`set_history`](Node::set_history) asked for it.
    pub fn history(&self) -> impl DoubleEndedIterator<Item = &HistoryEntry> {
        self.env.journal.history.entries()
    }

    /// The number of the next entry of the history: it rises when there is something new.
    pub fn history_end(&self) -> u64 {
        self.env.journal.history.end()
    }

    /// How little it trusts itself: 0, not at all doubtful, to [`crate::limits::MAX_LOCAL_HEALTH`].
    pub fn local_health(&self) -> u8 {
        self.swim.local_health()
    }

    /// Whether messages from this id are ignored.
    pub fn is_blocked(&self, id: MemberId) -> bool {
        self.swim.blocked().contains(&id)
    }

    /// The ids whose messages are ignored, in no order.
    pub fn blocked(&self) -> impl Iterator<Item = MemberId> {
        self.swim.blocked().iter().copied()
    }

    /// Whether it is leaving, or has left.
    pub fn is_leaving(&self) -> bool {
        self.swim.is_leaving()
    }

    /// Whether its datagrams are sealed with a ring key.
    pub fn is_sealed(&self) -> bool {
        !self.keys.is_empty()
    }

    /// Records that are still news, to be passed on with the next messages.
    pub fn news(&self) -> usize {
        self.swim.news()
    }
}

/// Feeding.
impl Node {
    /// A datagram arrived from this address. It is decrypted where it lies.
    pub fn handle_datagram(&mut self, now: Time, from: SocketAddr, datagram: &mut [u8]) {
        self.record(now, || Input::Datagram {
            from,
            bytes: datagram,
        });
        let from = canonical(from);
        let bytes = datagram.len();
        self.env.journal.stats.bytes_received += bytes as u64;
        if self.paused {
            return self
                .env
                .journal
                .rejected(self.env.now, Reject::Paused, from);
        }
        self.advance(now);
        // The interface it came through is not kept, so that no answer would find its way.
        if matches!(from.ip(), IpAddr::V6(ip) if ip.is_unicast_link_local()) {
            return self
                .env
                .journal
                .rejected(self.env.now, Reject::LinkLocal, from);
        }
        if bytes > MAX_DATAGRAM_RECEIVED {
            return self
                .env
                .journal
                .rejected(self.env.now, Reject::Oversized, from);
        }
        let overhead = self.overhead();
        let handled = self.hear(from, datagram, overhead);
        if let Err(reason) = handled {
            self.env.journal.rejected(self.env.now, reason, from);
        }
        self.settle();
    }

    #[inline]
    fn hear(
        &mut self,
        from: SocketAddr,
        datagram: &mut [u8],
        overhead: usize,
    ) -> Result<(), Reject> {
        let (env, bytes) = (&mut self.env, datagram.len());
        if self.keys.is_empty() {
            let payload = wire::open(&[], datagram)?;
            return self.swim.hear(env, from, bytes, overhead, payload, None);
        }
        let (payload, nonce) = wire::open_sealed(&self.keys, datagram)?;
        let serial = Serial::of(&nonce);
        self.swim
            .hear(env, from, bytes, overhead, payload, Some(&serial))
    }

    /// The most that the envelope and the stamp take of a datagram.
    fn overhead(&self) -> usize {
        if self.is_sealed() {
            wire::sealed_overhead(MAX_DATAGRAM_SENT) + STAMP_BYTES
        } else {
            wire::plain_overhead(MAX_DATAGRAM_SENT)
        }
    }

    /// The deadline of [`poll_timeout`](Node::poll_timeout) has come, or may have.
    pub fn handle_timeout(&mut self, now: Time) {
        self.record_mark(now);
        self.record(now, || Input::Timeout);
        if self.paused {
            return;
        }
        self.advance(now);
        self.note_lag();
        while let Some((_, timer)) = self.env.timers.pop(self.env.now) {
            self.swim.handle_timer(&mut self.env, timer);
            self.gossip_due(timer);
            self.settle();
        }
    }

    /// A datagram could not be sent to this address, or the system says that nobody is there.
    pub fn handle_unreachable(&mut self, now: Time, addr: SocketAddr) {
        self.record(now, || Input::Unreachable { addr });
        if self.paused {
            return;
        }
        self.advance(now);
        self.env.journal.stats.send_errors += 1;
        self.swim.unreachable(&mut self.env, canonical(addr));
    }

    /// Whether there is more to read than the driver could before the timers have their turn now. As long
    /// as there is, an Ack may lie unread, so a probe that ends without one accuses nobody.
    pub fn handle_backlog(&mut self, unread: bool) {
        self.record(None, || Input::Backlog { unread });
        self.swim.set_unread(unread);
    }

    /// Reading from the socket failed: an earlier datagram came to nobody. The system does not say which,
    /// so the probe under way counts as not answered directly, and others are asked.
    pub fn handle_receive_error(&mut self, now: Time) {
        self.record(now, || Input::ReceiveError);
        if self.paused {
            return;
        }
        self.advance(now);
        self.env.journal.stats.receive_errors += 1;
        self.swim.missed_direct_ack(&mut self.env);
    }
}

/// Commanding.
impl Node {
    /// Leaves the ring: others are told, [`Event::Left`] says when that is done.
    pub fn leave(&mut self, now: Time) {
        self.record(now, || Input::Leave);
        self.advance_unless_paused(now);
        self.swim.leave(&mut self.env);
        self.settle();
    }

    /// Ignores messages from this id from now on.
    ///
    /// # Errors
    /// [`CommandError::TooManyBlocked`] or [`CommandError::OwnId`]; nothing changed.
    pub fn block(&mut self, id: MemberId) -> Result<(), CommandError> {
        self.record(None, || Input::Block { id });
        if id == self.id() {
            return Err(CommandError::OwnId);
        }
        if self.swim.block(id) {
            Ok(())
        } else {
            Err(CommandError::TooManyBlocked(MAX_BLOCKED))
        }
    }

    /// Heeds messages from this id again; whether it was blocked.
    pub fn unblock(&mut self, id: MemberId) -> bool {
        self.record(None, || Input::Unblock { id });
        let was_blocked = self.swim.unblock(&id);
        if was_blocked {
            self.gossip.may_follow(&self.swim, id);
        }
        was_blocked
    }

    /// Neither hears nor says anything until [`resume`](Node::resume): for tests.
    pub fn pause(&mut self, now: Time) {
        self.record(now, || Input::Pause);
        self.advance_unless_paused(now);
        self.paused = true;
    }

    /// Goes on where [`pause`](Node::pause) stopped; the time between does not count.
    pub fn resume(&mut self, now: Time) {
        self.record(now, || Input::Resume);
        if self.paused {
            self.paused = false;
            self.clock.set(now, self.env.now);
            self.env.wall = now;
        }
    }

    /// Seals with the first of these keys and opens with any, from now on.
    pub fn set_ring_keys(&mut self, keys: Vec<RingKey>) {
        self.record(None, || Input::RingKeys {
            keys: keys.iter().map(KeyId::of).collect(),
        });
        self.keys = keys;
        self.swim.set_sealed(self.is_sealed());
    }

    /// Whether it keeps a [`history`](Node::history) of what led to each transition. That takes some 100 KiB at most, and
    /// nothing while nothing happens.
    pub fn set_history(&mut self, on: bool) {
        self.env.journal.history.set(on);
    }

    /// Whether everything that happens is to be taken with [`poll_trace`](Node::poll_trace).
    pub fn set_tracing(&mut self, on: bool) {
        self.env.journal.set_tracing(on);
    }

    /// A note between the traces.
    #[track_caller]
    pub fn note(&mut self, text: &str) {
        self.record(None, || Input::Note { text });
        self.env.journal.note(self.env.wall, text);
    }

    fn advance_unless_paused(&mut self, now: Time) {
        if !self.paused {
            self.advance(now);
        }
    }
}

/// Draining.
impl Node {
    /// The next datagram, encoded into `buf` of at least [`SEND_BUFFER`] bytes.
    pub fn poll_datagram(&mut self, now: Time, buf: &mut [u8]) -> Option<Transmit> {
        self.record(now, || Input::PollDatagram);
        if self.paused {
            return None;
        }
        self.env.wall = now;
        // The longest envelope's worth is kept free, so that sealing never makes a datagram too large.
        let overhead = self.overhead();
        let payload = buf.get_mut(HEADROOM..)?;
        let (to, len) = match self.swim.poll(&mut self.env, payload, overhead) {
            Some(message) => message,
            None => self.next_talk(buf, overhead)?,
        };
        let key = self.keys.first().map(|key| {
            let nonce = self.swim.next_serial().nonce(self.env.rng.random());
            (key, nonce)
        });
        Some(Transmit {
            to,
            range: wire::seal(key, buf, len),
        })
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        let event = self.env.journal.poll_event()?;
        if let Some(tape) = &mut self.tape {
            tape.event(&event);
        }
        Some(event)
    }

    /// The next trace, if [`set_tracing`](Node::set_tracing) asked for them.
    pub fn poll_trace(&mut self) -> Option<Trace> {
        self.env.journal.poll_trace()
    }

    /// Whether [`poll_datagram`](Node::poll_datagram) has anything to encode: asked before the clock is.
    pub(crate) fn has_outgoing(&self) -> bool {
        !self.paused && (self.swim.has_outgoing() || self.gossip.has_talk())
    }

    /// Datagrams of membership that wait to be taken.
    pub(crate) fn outgoing(&self) -> usize {
        self.swim.outgoing()
    }

    /// Whether it neither hears nor says anything at the moment.
    pub(crate) fn is_paused(&self) -> bool {
        self.paused
    }

    /// When [`handle_timeout`](Node::handle_timeout) is to be called, by the driver's time; while there
    /// are datagrams to be taken that is at once. `None`: never, it is paused.
    pub fn poll_timeout(&self) -> Option<Time> {
        if self.paused {
            return None;
        }
        if self.has_outgoing() {
            return Some(self.env.wall);
        }
        let push = self.gossip.push_deadline();
        push.into_iter().chain(self.next_timer()).min()
    }

    /// As [`poll_timeout`](Node::poll_timeout), for a driver that cannot send at the moment.
    pub fn next_timer(&self) -> Option<Time> {
        if self.paused {
            return None;
        }
        Some(self.clock.driver_time(self.env.timers.next_deadline()?))
    }

    /// The id that it goes on under, to be stored in the place of the old one; [`Event::NewId`] tells of it too. A
    /// new mark comes with it.
    pub fn poll_new_id(&mut self) -> Option<MemberId> {
        let id = self.swim.poll_new_id()?;
        self.record(None, || Input::PollNewId);
        Some(id)
    }

    /// A new mark to store (PROTOCOL.md §4). Incarnations up to it are used only once
    /// [`handle_stored`](Node::handle_stored) says that it is on disk.
    pub fn poll_reserve(&mut self) -> Option<Incarnation> {
        let mark = self.swim.poll_reserve()?;
        self.record(None, || Input::PollReserve);
        Some(mark)
    }

    /// A mark of [`poll_reserve`](Node::poll_reserve) is on disk.
    pub fn handle_stored(&mut self, now: Time, mark: Incarnation) {
        self.record(now, || Input::Stored { mark });
        self.advance_unless_paused(now);
        self.swim.mark_stored(&mut self.env, mark);
        self.settle();
    }
}
