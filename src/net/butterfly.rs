//! A member of a ring, with its socket: a [`Node`] and the loop that drives it.

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token, Waker};

use super::bind::{self, BindError};
use super::complaints::Complaints;
use super::error_queue::ErrorQueue;
#[cfg(feature = "gossip")]
use super::gossip::GossipStats;
use super::handle::{Command, Handle};
use super::inbox::{End, Inbox};
use super::outbox::{self, Outbox};
use super::recorder::{self, Recorder};
use super::rumors::Rumors;
use super::socket::Socket;
use super::wake_timer::{Wait, WakeTimer};
use super::{seeds, snapshot, trace_file};
use crate::config::Config;
use crate::disk::DataDir;
use crate::error::CommandError;
use crate::event::{Event, SeedId};
use crate::limits::{COMMANDS_PER_WAKE, DATAGRAMS_PER_WAKE, MARK_PATIENCE};
use crate::member::{Incarnation, MemberId};
use crate::node::Node;
use crate::time::Time;
use crate::trace::Trace;
use crate::view::MemberView;
use crate::wire::RingKey;

pub(super) const UDP: Token = Token(0);
const WAKER: Token = Token(1);
const TIMER: Token = Token(2);

/// A member of a ring: one descriptor to watch, one deadline to wait for, one call to make.
///
/// Whoever has an event loop watches the descriptor of [`AsRawFd`] for readability (level- or edge-triggered),
/// waits no longer than until [`deadline`](Butterfly::deadline), and then calls
/// [`process`](Butterfly::process) and takes the events. Whoever has none calls
/// [`run`](Butterfly::run).
pub struct Butterfly {
    pub(super) node: Node,
    epoch: Instant,
    pub(super) poll: Poll,
    ready: Events,
    pub(super) socket: Socket,
    /// The socket may have more to read.
    pub(super) readable: bool,
    /// The socket's queue of errors may have more to read.
    pub(super) has_errors: bool,
    pub(super) errors: ErrorQueue,
    /// The socket takes datagrams again after it did not; only known while that is watched.
    pub(super) writable: bool,
    pub(super) gossip: Option<Rumors>,
    pub(super) inbox: Inbox,
    /// Between two calls, what the system would not take yet.
    pub(super) outbox: Outbox,
    pub(super) complaints: Complaints,
    commands: Receiver<Command>,
    /// There may be more of them.
    commanded: bool,
    sender: Sender<Command>,
    /// There once someone asked for a handle: many never do, and it is a descriptor.
    waker: Option<Arc<Waker>>,
    /// There once [`run`](Butterfly::run) was called: in another's loop it is another's timer that counts.
    timer: Option<WakeTimer>,
    stopped: bool,
    pub(super) data_dir: Option<DataDir>,
    /// The mark that the disk was given and has not answered for, and when it is waited for no longer.
    pub(super) mark: Option<(Incarnation, Instant)>,
    /// The disk was given the last.
    pub(super) finished: bool,
    pub(super) snapshots: snapshot::Schedule,
    traces: Option<trace_file::Writer>,
    pub(super) recorder: Option<Recorder>,
    pub(super) names: seeds::Names,
}

/// Starting.
impl Butterfly {
    /// Whether a member could be reached where this says that it is; nothing is opened. [`bind`](Self::bind) looks by itself.
    ///
    /// # Errors
    /// [`BindError::BadAddress`].
    pub fn check(config: &Config) -> Result<(), BindError> {
        bind::check_addresses(config)
    }

    /// Binds the socket, reads the data directory, and is ready to be driven.
    ///
    /// # Errors
    /// See [`BindError`].
    pub fn bind(config: Config) -> Result<Self, BindError> {
        Self::check(&config)?;
        bind::check_name(&config);
        let poll = Poll::new()?;
        let (mut socket, gossip) = bind::both(&config, poll.registry())?;
        let local_addr = socket.local_addr();
        poll.registry()
            .register(&mut socket.udp, UDP, Interest::READABLE)?;
        let (sender, commands) = mpsc::channel();
        let random_seed = bind::random_seed(config.random_seed)?;
        let (data_dir, identity) = bind::identify(&config, &random_seed)?;
        let gossip_port = gossip.as_ref().map(Rumors::local_port);
        let node_config =
            bind::node_config(&config, local_addr, gossip_port, identity, random_seed);
        let epoch = Instant::now();
        let (mut node, recorder) = recorder::begin(node_config, config.recording.as_ref())?;
        if let Some(data_dir) = &data_dir {
            data_dir.restore(&mut node)?;
        }
        if node.is_expelled() {
            return Err(BindError::Departed { id: node.id() });
        }
        let waker = match &data_dir {
            Some(data_dir) => Some(wake_on_answer(&poll, data_dir)?),
            None => None,
        };
        let traces =
            trace_file::Writer::from_env(&config.name, node.id(), local_addr, epoch.elapsed());
        node.set_tracing(traces.is_some());
        Ok(Butterfly {
            node,
            epoch,
            poll,
            ready: Events::with_capacity(128),
            socket,
            readable: true,
            has_errors: false,
            errors: ErrorQueue::new(),
            writable: false,
            gossip,
            inbox: Inbox::new(),
            outbox: Outbox::new(),
            complaints: Complaints::default(),
            commands,
            commanded: false,
            sender,
            waker,
            timer: None,
            stopped: false,
            data_dir,
            mark: None,
            finished: false,
            snapshots: snapshot::Schedule::default(),
            traces,
            recorder,
            names: seeds::Names::default(),
        })
    }
}

/// Looking and commanding.
impl Butterfly {
    /// The address that it is bound to.
    pub fn local_addr(&self) -> SocketAddr {
        self.socket.local_addr()
    }

    /// Where others reach it: as it is advertised, or as it is bound; an address of 0.0.0.0 stands until it is known.
    pub fn addr(&self) -> SocketAddr {
        let me = self.node.me().member;
        let ip = if me.ip.is_unspecified() {
            self.local_addr().ip()
        } else {
            me.ip
        };
        SocketAddr::new(ip, me.swim_port)
    }

    /// All members that are known, this one included, in no order: as [`Node::members`] has them.
    pub fn members(&self) -> impl Iterator<Item = MemberView<'_>> {
        self.node.members()
    }

    /// The state machine, to look at.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// What its gossip sockets did, and what they hold; `None`: it does not gossip.
    #[cfg(feature = "gossip")]
    pub fn gossip_stats(&self) -> Option<GossipStats> {
        self.gossip.as_ref().map(Rumors::stats)
    }

    /// Its time: what [`Node`] was told last, or would be told now. A [`HistoryEntry`](crate::HistoryEntry) has such times.
    pub fn time(&self) -> Time {
        self.clock()
    }

    pub(super) fn clock(&self) -> Time {
        self.time_of(Instant::now())
    }

    pub(super) fn time_of(&self, at: Instant) -> Time {
        time_since(self.epoch, at)
    }

    /// When its time began.
    pub(super) fn epoch(&self) -> Instant {
        self.epoch
    }

    /// Asks a seed that is known by name; [`Event::SeedDue`] asks for its addresses at each attempt.
    ///
    /// # Errors
    /// See [`Node::join_named`].
    pub fn join_named(&mut self) -> Result<SeedId, CommandError> {
        self.node.join_named(self.clock())
    }

    /// The seed's name stands for these addresses at the moment; none: it could not be resolved.
    pub fn seed_resolved(&mut self, seed: SeedId, addrs: &[SocketAddr]) {
        self.node.seed_resolved(self.clock(), seed, addrs);
    }

    /// Leaves the ring: others are told, and [`Event::Left`] says when that is done.
    pub fn leave(&mut self) {
        self.node.leave(self.clock());
    }

    /// Ignores messages from this id from now on.
    ///
    /// # Errors
    /// See [`Node::block`].
    pub fn block(&mut self, id: MemberId) -> Result<(), CommandError> {
        self.node.block(id)
    }

    /// Heeds messages from this id again; whether it was blocked.
    pub fn unblock(&mut self, id: MemberId) -> bool {
        self.node.unblock(id)
    }

    /// Neither hears nor says anything until [`resume`](Butterfly::resume): for tests.
    pub fn pause(&mut self) {
        self.node.pause(self.clock());
    }

    /// Goes on where [`pause`](Butterfly::pause) stopped.
    pub fn resume(&mut self) {
        self.node.resume(self.clock());
    }

    /// Seals with the first of these keys and opens with any, from now on.
    pub fn set_ring_keys(&mut self, keys: Vec<RingKey>) {
        self.node.set_ring_keys(keys);
    }

    /// A note between the traces, if traces are written.
    #[track_caller]
    pub fn note(&mut self, text: &str) {
        self.node.note(text);
    }

    /// Whether it keeps a history of what led to each transition: see [`Node::history`].
    pub fn set_history(&mut self, on: bool) {
        self.node.set_history(on);
    }

    /// Whether everything that happens is to be taken with [`poll_trace`](Butterfly::poll_trace). If traces
    /// are written to a file, they are, and this changes nothing.
    pub fn set_tracing(&mut self, on: bool) {
        if self.traces.is_none() {
            self.node.set_tracing(on);
        }
    }

    /// Reaches this Butterfly from other threads. All its handles share one descriptor, which is there from the
    /// first one on.
    ///
    /// # Errors
    /// If the system gives no descriptor.
    pub fn handle(&mut self) -> io::Result<Handle> {
        let waker = match &self.waker {
            Some(waker) => Arc::clone(waker),
            None => Arc::clone(
                self.waker
                    .insert(Arc::new(Waker::new(self.poll.registry(), WAKER)?)),
            ),
        };
        Ok(Handle {
            commands: self.sender.clone(),
            waker,
        })
    }

    /// Ends [`run`](Butterfly::run) once what is under way is done, without leaving the ring. Loops of others
    /// ask [`is_stopped`](Butterfly::is_stopped).
    pub fn stop(&mut self) {
        self.stopped = true;
    }

    /// Whether it was told to [`stop`](Butterfly::stop).
    pub fn is_stopped(&self) -> bool {
        self.stopped
    }
}

/// The loop.
impl Butterfly {
    /// When [`process`](Butterfly::process) is to be called at the latest; a moment that has passed while
    /// work remains, so that it compares as due with any clock reading since.
    /// `None`: only when the descriptor is readable.
    pub fn deadline(&self) -> Option<Instant> {
        if self.readable
            || self.has_errors
            || self.commanded
            || self.gossip.as_ref().is_some_and(Rumors::has_work)
        {
            return Some(self.epoch);
        }
        // What the system will not take yet is no reason to wake: it says when it can.
        let due = if self.outbox.is_empty() {
            self.node.poll_timeout()
        } else {
            self.node.next_timer()
        };
        let due = due.map(|due| self.epoch + Duration::from_micros(due.as_micros()));
        let gossip = self.gossip.as_ref().and_then(Rumors::deadline);
        let snapshot = self.snapshots.deadline();
        let mark = self.mark.map(|(_, patience)| patience);
        let recorder = self.recorder.as_ref().and_then(Recorder::deadline);
        [due, gossip, snapshot, mark, recorder]
            .into_iter()
            .flatten()
            .min()
    }

    /// Does what there is to do: reads and answers datagrams, up to a bound, and serves the timers.
    /// Calling it early or for nothing is harmless; calling it late is noticed, and worsens local health.
    ///
    /// # Errors
    /// Only if the system's poll fails; errors of the socket never end a member.
    pub fn process(&mut self) -> io::Result<()> {
        self.wait(Some(Duration::ZERO))?;
        self.work();
        Ok(())
    }

    /// What there is to do, as far as [`wait`](Butterfly::wait) noted.
    fn work(&mut self) {
        self.obey();
        self.hear_errors();
        self.flush(None);
        self.receive();
        self.hear_rumors();
        self.node.handle_backlog(self.readable);
        let now = Instant::now();
        self.node.handle_timeout(self.time_of(now));
        self.push_rumors(now);
        self.watch(now);
        self.store_mark();
        self.store_snapshot();
        self.flush(None);
        self.write_traces();
        self.save_recording(now);
    }

    /// Carries out what other threads asked for.
    fn obey(&mut self) {
        for _ in 0..COMMANDS_PER_WAKE {
            match self.commands.try_recv() {
                Ok(command) => command(self),
                Err(_) => return self.commanded = false,
            }
        }
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        loop {
            match self.node.poll_event()? {
                Event::SeedDue { seed } if self.resolve(seed) => {}
                event => return Some(event),
            }
        }
    }

    /// The next trace, if [`set_tracing`](Butterfly::set_tracing) asked for them; those that go to a file
    /// go there.
    pub fn poll_trace(&mut self) -> Option<Trace> {
        match self.traces {
            Some(_) => None,
            None => self.node.poll_trace(),
        }
    }

    /// Drives it until the callback breaks or [`Handle::stop`] is called.
    ///
    /// # Errors
    /// As [`process`](Butterfly::process).
    pub fn run(
        &mut self,
        mut on_event: impl FnMut(&mut Butterfly, Event) -> ControlFlow<()>,
    ) -> io::Result<()> {
        while !self.stopped {
            self.wait_until(self.deadline())?;
            self.work();
            while let Some(event) = self.poll_event() {
                if on_event(self, event).is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Waits for something to do, until then at most.
    fn wait_until(&mut self, deadline: Option<Instant>) -> io::Result<()> {
        let registry = self.poll.registry();
        let timer = self
            .timer
            .get_or_insert_with(|| WakeTimer::new(registry, TIMER));
        match timer.wait_until(deadline, Instant::now) {
            Wait::Not => self.wait(Some(Duration::ZERO)),
            Wait::ForAnything => self.wait(None),
            Wait::AtMost(left) => self.wait(Some(left)),
        }
    }

    /// Waits for something to do, and notes what it is.
    fn wait(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        match self.poll.poll(&mut self.ready, timeout) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            result => result?,
        }
        for event in self.ready.iter() {
            match (event.token(), &mut self.gossip) {
                (UDP, _) => {
                    self.readable |= event.is_readable() || event.is_error();
                    self.has_errors |= event.is_error();
                    self.writable |= event.is_writable();
                }
                (WAKER, _) => self.commanded = true,
                (TIMER, _) => self.timer.iter_mut().for_each(WakeTimer::went_off),
                (_, None) => {}
                (token, Some(gossip)) => gossip.wake(token),
            }
        }
        Ok(())
    }

    /// Reads and answers what has come, up to a bound. One that comes alone is answered at once; the more there are,
    /// the more are read in a row.
    fn receive(&mut self) {
        let (mut left, mut failures) = (DATAGRAMS_PER_WAKE, 0);
        self.inbox.begin();
        while self.readable && left > 0 {
            let end = self.inbox.fill(&self.socket, left);
            left -= self.inbox.len();
            self.readable = end != End::Empty;
            if !self.readable && self.inbox.len() == 0 {
                break;
            }
            let heard = self.clock();
            self.handle_row(heard);
            if end == End::Failed {
                // An error is told once, and what lies behind it can be read; one that stays must not keep us.
                failures += 1;
                self.readable = failures < 2;
                self.has_errors = true;
                if !self.hear_errors() {
                    self.node.handle_receive_error(heard);
                }
            }
            self.flush(Some(heard));
        }
    }

    fn handle_row(&mut self, heard: Time) {
        for index in 0..self.inbox.len() {
            if let Some((from, datagram)) = self.inbox.datagram(index) {
                self.node.handle_datagram(heard, from, datagram);
            }
            // Whoever asks for a lot takes nobody else's place in the queue.
            if self.node.outgoing() > outbox::BATCH {
                self.flush(Some(heard));
            }
        }
    }

    pub(super) fn store_mark(&mut self) {
        if let Some(id) = self.node.poll_new_id() {
            if let Some(data_dir) = self.data_dir.as_mut().filter(|_| !self.finished) {
                data_dir.store_id(id);
            }
            if let Some(traces) = &mut self.traces {
                traces.set_id(id);
            }
        }
        let Some(data_dir) = self.data_dir.as_ref().filter(|_| !self.finished) else {
            return;
        };
        if let Some(mark) = self.node.poll_reserve() {
            data_dir.store_mark(mark);
            self.mark = Some((mark, Instant::now() + MARK_PATIENCE));
        }
        let Some((mark, patience)) = self.mark else {
            return;
        };
        let answered = data_dir.answered_mark().is_some_and(|it| it >= mark);
        if answered || Instant::now() >= patience {
            if !answered {
                log::error!(
                    "the disk does not answer: going on with an incarnation that may be used again after a crash"
                );
            }
            self.mark = None;
            self.node.handle_stored(self.clock(), mark);
        }
    }

    pub(super) fn write_traces(&mut self) {
        let Some(writer) = &mut self.traces else {
            return;
        };
        let node = &mut self.node;
        if !writer.append(std::iter::from_fn(|| node.poll_trace())) {
            self.traces = None;
            self.node.set_tracing(false);
        }
    }
}

/// A moment as the node's time.
pub(super) fn time_since(epoch: Instant, at: Instant) -> Time {
    let passed = at.saturating_duration_since(epoch);
    Time::from_micros(u64::try_from(passed.as_micros()).unwrap_or(u64::MAX))
}

/// Has the loop wake whenever the disk has answered.
fn wake_on_answer(poll: &Poll, data_dir: &DataDir) -> io::Result<Arc<Waker>> {
    let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
    let answered = Arc::clone(&waker);
    data_dir.tell(move || {
        // It fails only if the loop is gone.
        let _ = answered.wake();
    });
    Ok(waker)
}

impl fmt::Debug for Butterfly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Butterfly")
            .field("node", &self.node)
            .field("local_addr", &self.local_addr())
            .finish_non_exhaustive()
    }
}

impl Drop for Butterfly {
    /// What happened last belongs into the traces and onto the disk too, and what was to be told leaves. It waits until
    /// the disk has it, unless that was [given up](Butterfly::abandon_disk).
    fn drop(&mut self) {
        self.finish();
    }
}

/// Open and the same for as long as the Butterfly lives.
impl AsFd for Butterfly {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.poll.registry().as_fd()
    }
}

/// The same descriptor.
impl AsRawFd for Butterfly {
    fn as_raw_fd(&self) -> RawFd {
        self.poll.as_raw_fd()
    }
}
