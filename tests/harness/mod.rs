//! A ring of real members on loopback, driven on one thread by one poll over their descriptors.
//!
//! Nothing here sleeps: every wait is for a condition, with a deadline, or for a number of periods during
//! which a condition has to hold. When a test fails, what each member knew, told and did is printed.

pub mod raw;

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::time::{Duration, Instant};

use butterfly::trace::Trace;
use butterfly::{Butterfly, Config, Event, Fleet, FleetKey, Health, MemberId, Timing};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

/// How long whatever has to happen may take: far longer than it does, for machines that are busy.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// The period of the members' timing.
pub const PERIOD: Duration = Duration::from_millis(100);

/// Conditions are looked at this often at most, as looking at fifty members costs more than driving them.
const LOOK: Duration = Duration::from_millis(2);
/// Traces kept of each member for when the test fails.
const TRACES: usize = 200;
const FLEET: Token = Token(0);
/// The token of a descriptor that is no member's.
const OUTSIDE: Token = Token(1);

/// Members on one thread. Each is known by its place, from 0 on, which a restarted one keeps.
pub struct Mesh {
    name: &'static str,
    began: Instant,
    /// Over the fleet and whatever else a test watches.
    poll: Poll,
    ready: Events,
    fleet: Fleet,
    seats: Vec<Seat>,
    looked: Instant,
}

/// A member's place: what stays of it when it is killed.
struct Seat {
    name: String,
    config: Config,
    /// Where it is in the fleet, while it runs.
    key: Option<FleetKey>,
    id: MemberId,
    addr: SocketAddr,
    paused: bool,
    /// Calls of `process`.
    wakes: u64,
    /// When it was started, by the mesh's clock.
    started: Duration,
    events: Vec<(Duration, Event)>,
    traces: VecDeque<Trace>,
}

/// Where the events of each member stood.
pub struct Mark(Vec<usize>);

/// Starting and ending members.
impl Mesh {
    /// Without members yet; theirs will be called `NAME-0`, `NAME-1` and so on.
    pub fn new(name: &'static str) -> Self {
        let mesh = Mesh {
            name,
            began: Instant::now(),
            poll: Poll::new().unwrap(),
            ready: Events::with_capacity(16),
            fleet: Fleet::new().unwrap(),
            seats: Vec::new(),
            looked: Instant::now(),
        };
        mesh.watch_as(mesh.fleet.as_raw_fd(), FLEET);
        mesh
    }

    /// That many members that know of nobody.
    pub fn start(name: &'static str, members: usize) -> Self {
        let mut mesh = Mesh::new(name);
        for _ in 0..members {
            mesh.add(|_| ());
        }
        mesh
    }

    /// That many members that all joined each other, and know each other.
    pub fn meshed(name: &'static str, members: usize) -> Self {
        let mut mesh = Mesh::start(name, members);
        mesh.mesh();
        mesh.await_agreement();
        mesh
    }

    /// One more member, with this done to its configuration; its place.
    pub fn add(&mut self, configure: impl FnOnce(&mut Config)) -> usize {
        let place = self.seats.len();
        let name = format!("{}-{place}", self.name);
        let mut config = Config::new("127.0.0.1:0".parse().unwrap());
        config.name.clone_from(&name);
        config.timing = Timing::local();
        configure(&mut config);
        self.seats.push(Seat {
            name,
            addr: config.listen,
            config,
            key: None,
            id: MemberId::OBSERVER,
            paused: false,
            wakes: 0,
            started: Duration::ZERO,
            events: Vec::new(),
            traces: VecDeque::new(),
        });
        self.bind(place);
        place
    }

    fn bind(&mut self, place: usize) {
        let seat = &mut self.seats[place];
        seat.started = self.began.elapsed();
        let mut butterfly = Butterfly::bind(seat.config.clone()).unwrap();
        butterfly.set_tracing(true);
        seat.id = butterfly.node().id();
        seat.addr = butterfly.local_addr();
        seat.paused = false;
        seat.key = Some(self.fleet.add(butterfly).unwrap());
    }

    fn watch_as(&self, fd: RawFd, token: Token) {
        let registry = self.poll.registry();
        registry
            .register(&mut SourceFd(&fd), token, Interest::READABLE)
            .unwrap();
    }

    /// Conditions are looked at soon after this descriptor is readable.
    pub fn watch(&self, outside: &impl AsRawFd) {
        self.watch_as(outside.as_raw_fd(), OUTSIDE);
    }

    /// Ends a member as a crash would: nobody is told.
    pub fn kill(&mut self, place: usize) {
        if let Some(key) = self.seats[place].key.take() {
            drop(self.fleet.remove(key));
        }
    }

    /// Starts a member in the place of one that was killed, with this done to its configuration.
    pub fn restart(&mut self, place: usize, configure: impl FnOnce(&mut Config)) {
        assert!(self.seats[place].key.is_none(), "it was not killed");
        configure(&mut self.seats[place].config);
        self.bind(place);
    }
}

/// Who is who.
impl Mesh {
    pub fn id(&self, place: usize) -> MemberId {
        self.seats[place].id
    }

    pub fn addr(&self, place: usize) -> SocketAddr {
        self.seats[place].addr
    }

    /// A running member.
    pub fn get(&self, place: usize) -> &Butterfly {
        self.running_at(&self.seats[place]).unwrap()
    }

    /// A running member.
    pub fn get_mut(&mut self, place: usize) -> &mut Butterfly {
        let key = self.seats[place].key.unwrap();
        self.fleet.get_mut(key).unwrap()
    }

    fn running_at(&self, seat: &Seat) -> Option<&Butterfly> {
        self.fleet.get(seat.key?)
    }

    /// The places of the members that run and are not paused.
    pub fn running(&self) -> Vec<usize> {
        (0..self.seats.len())
            .filter(|&place| self.runs(place))
            .collect()
    }

    fn runs(&self, place: usize) -> bool {
        self.seats[place].key.is_some() && !self.seats[place].paused
    }

    /// The running members apart from one.
    pub fn others(&self, place: usize) -> Vec<usize> {
        let mut places = self.running();
        places.retain(|&other| other != place);
        places
    }

    /// Calls of `process` so far, of all members.
    pub fn wakes(&self) -> u64 {
        self.seats.iter().map(|seat| seat.wakes).sum()
    }
}

/// What is done to members.
impl Mesh {
    pub fn join(&mut self, place: usize, to: usize) {
        let addr = self.addr(to);
        self.get_mut(place).join(addr).unwrap();
    }

    /// Everybody asks everybody.
    pub fn mesh(&mut self) {
        let places = self.running();
        for &place in &places {
            for &to in places.iter().filter(|&&to| to != place) {
                self.join(place, to);
            }
        }
    }

    /// Everybody asks the next one.
    pub fn chain(&mut self) {
        for pair in self.running().windows(2) {
            self.join(pair[0], pair[1]);
        }
    }

    /// The two ignore each other.
    pub fn block(&mut self, one: usize, other: usize) {
        let (one_id, other_id) = (self.id(one), self.id(other));
        self.get_mut(one).block(other_id).unwrap();
        self.get_mut(other).block(one_id).unwrap();
    }

    pub fn unblock(&mut self, one: usize, other: usize) {
        let (one_id, other_id) = (self.id(one), self.id(other));
        assert!(self.get_mut(one).unblock(other_id) && self.get_mut(other).unblock(one_id));
    }

    /// Nobody of the one half hears anybody of the other.
    pub fn partition(&mut self, half: &[usize], other: &[usize]) {
        for (one, other) in pairs(half, other) {
            self.block(one, other);
        }
    }

    pub fn heal(&mut self, half: &[usize], other: &[usize]) {
        for (one, other) in pairs(half, other) {
            self.unblock(one, other);
        }
    }

    pub fn pause(&mut self, place: usize) {
        self.get_mut(place).pause();
        self.seats[place].paused = true;
    }

    pub fn resume(&mut self, place: usize) {
        self.get_mut(place).resume();
        self.seats[place].paused = false;
    }

    pub fn leave(&mut self, place: usize) {
        self.get_mut(place).leave();
    }

    pub fn set_tracing(&mut self, on: bool) {
        for key in self.seats.iter().filter_map(|seat| seat.key) {
            self.fleet.get_mut(key).unwrap().set_tracing(on);
        }
    }
}

fn pairs(half: &[usize], other: &[usize]) -> Vec<(usize, usize)> {
    half.iter()
        .flat_map(|&one| other.iter().map(move |&other| (one, other)))
        .collect()
}

/// What members hold of each other.
impl Mesh {
    /// How `of` fares, as `by` holds it.
    pub fn health(&self, by: usize, of: usize) -> Option<Health> {
        self.get(by).node().health_of(self.id(of))
    }

    /// Whether each of the `by` holds it so.
    pub fn all_hold(&self, by: &[usize], of: usize, health: Health) -> bool {
        by.iter().all(|&by| self.health(by, of) == Some(health))
    }

    /// Whether each of these holds all of them, and nobody else, for Alive.
    pub fn agree(&self, places: &[usize]) -> bool {
        places
            .iter()
            .all(|&by| self.get(by).node().counts().alive == places.len())
            && places.iter().all(|&by| {
                places
                    .iter()
                    .all(|&of| self.health(by, of) == Some(Health::Alive))
            })
    }

    /// Whether all running members hold each other for Alive, and nobody else.
    pub fn all_agree(&self) -> bool {
        self.agree(&self.running())
    }

    /// Where the events stand now.
    pub fn mark(&self) -> Mark {
        Mark(self.seats.iter().map(|seat| seat.events.len()).collect())
    }

    /// What happened at a member since then.
    pub fn events_since(&self, mark: &Mark, place: usize) -> impl Iterator<Item = &Event> {
        let from = mark.0.get(place).copied().unwrap_or(0);
        self.seats[place].events[from..]
            .iter()
            .map(|(_, event)| event)
    }

    /// Everything that happened at a member.
    pub fn events(&self, place: usize) -> impl Iterator<Item = &Event> {
        self.seats[place].events.iter().map(|(_, event)| event)
    }

    /// When the last traces of a member happened, by the mesh's clock.
    pub fn trace_times(&self, place: usize) -> Vec<Duration> {
        let seat = &self.seats[place];
        seat.traces
            .iter()
            .map(|trace| seat.time_of(trace))
            .collect()
    }

    /// Fails if the health of anybody changed at anybody since then.
    #[track_caller]
    pub fn nobody_changed_since(&self, mark: &Mark) {
        for place in 0..self.seats.len() {
            let changed =
                |event: &&Event| matches!(event, Event::MemberChanged { from: Some(_), .. });
            let change = self.events_since(mark, place).find(changed);
            assert!(
                change.is_none(),
                "at {}: {}",
                self.seats[place].name,
                self.told(&format!("{change:?}"))
            );
        }
    }
}

/// Driving.
impl Mesh {
    /// Waits for something to do, no longer than this, and has it done.
    pub fn step(&mut self, longest: Duration) {
        let now = Instant::now();
        let due = self.fleet.deadline();
        let wait = due.map_or(longest, |due| {
            due.saturating_duration_since(now).min(longest)
        });
        match self.poll.poll(&mut self.ready, Some(wait)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => result.unwrap(),
        }
        let (began, seats) = (self.began, &mut self.seats);
        let turn = self.fleet.turn(Some(now), |key, butterfly| {
            let seat = seats.iter_mut().find(|seat| seat.key == Some(key));
            seat.unwrap().serve(butterfly, began)
        });
        turn.unwrap();
    }

    /// Drives the members until the condition holds: how long that took. Fails after `limit`.
    #[track_caller]
    pub fn await_for(
        &mut self,
        limit: Duration,
        what: &str,
        mut condition: impl FnMut(&Mesh) -> bool,
    ) -> Duration {
        let began = Instant::now();
        while !condition(self) {
            assert!(
                began.elapsed() < limit,
                "{}: not within {limit:?}: {what}",
                self.name
            );
            self.drive_until_look();
        }
        began.elapsed()
    }

    /// As `await_for`, with all the patience there is.
    #[track_caller]
    pub fn await_condition(
        &mut self,
        what: &str,
        condition: impl FnMut(&Mesh) -> bool,
    ) -> Duration {
        self.await_for(PATIENCE, what, condition)
    }

    /// Until all that run know each other.
    #[track_caller]
    pub fn await_agreement(&mut self) -> Duration {
        self.await_condition("all know each other", |mesh| mesh.all_agree())
    }

    /// Drives the members for so many periods: until they have passed, and each running member that has
    /// somebody to probe and is not leaving has begun as many probes. The condition has to hold all the time.
    #[track_caller]
    pub fn holds_for(
        &mut self,
        periods: u32,
        what: &str,
        mut condition: impl FnMut(&Mesh) -> bool,
    ) {
        let began = Instant::now();
        let goals = self
            .running()
            .into_iter()
            .filter(|&place| self.probes_others(place));
        let goals: Vec<_> = goals
            .map(|place| (place, self.probes(place) + u64::from(periods)))
            .collect();
        loop {
            assert!(
                condition(self),
                "{}: no longer true after {:?}: {what}",
                self.name,
                began.elapsed()
            );
            let probed = |&(place, goal): &(usize, u64)| {
                !self.runs(place) || !self.probes_others(place) || self.probes(place) >= goal
            };
            if began.elapsed() >= PERIOD * periods && goals.iter().all(probed) {
                return;
            }
            assert!(
                began.elapsed() < PATIENCE + PERIOD * periods,
                "{}: some do not probe any more",
                self.name
            );
            self.drive_until_look();
        }
    }

    fn probes_others(&self, place: usize) -> bool {
        let node = self.get(place).node();
        node.counts().alive > 1 && !node.is_leaving()
    }

    fn probes(&self, place: usize) -> u64 {
        self.get(place).node().stats().probes
    }

    /// One step at least.
    fn drive_until_look(&mut self) {
        loop {
            self.step(Duration::from_millis(10));
            if self.looked.elapsed() >= LOOK {
                self.looked = Instant::now();
                return;
            }
        }
    }
}

impl Seat {
    fn time_of(&self, trace: &Trace) -> Duration {
        self.started + Duration::from_micros(trace.time.as_micros())
    }

    fn serve(&mut self, butterfly: &mut Butterfly, began: Instant) -> io::Result<()> {
        self.wakes += 1;
        butterfly.process()?;
        while let Some(event) = butterfly.poll_event() {
            self.events.push((began.elapsed(), event));
        }
        while let Some(trace) = butterfly.poll_trace() {
            if self.traces.len() >= TRACES {
                self.traces.pop_front();
            }
            self.traces.push_back(trace);
        }
        Ok(())
    }
}

/// What is printed when a test fails.
impl Drop for Mesh {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.report());
        }
    }
}

impl Mesh {
    /// Each member's table, counters, events and last traces.
    fn report(&self) -> String {
        let mut out = format!("=== {} after {:?}\n", self.name, self.began.elapsed());
        for seat in &self.seats {
            self.report_seat(&mut out, seat).unwrap();
        }
        out
    }

    fn report_seat(&self, out: &mut String, seat: &Seat) -> std::fmt::Result {
        writeln!(
            out,
            "--- {} {} at {}, started at {:?}",
            seat.name, seat.id, seat.addr, seat.started
        )?;
        match self.running_at(seat) {
            None => writeln!(out, "killed")?,
            Some(butterfly) => self.report_member(out, butterfly)?,
        }
        for (time, event) in &seat.events {
            writeln!(out, "  {time:?} {}", self.told(&format!("{event:?}")))?;
        }
        if std::env::var_os("TRACE_SWIM").is_some() {
            return writeln!(out, "  its traces are in its file");
        }
        for trace in &seat.traces {
            let time = seat.time_of(trace);
            let to = trace
                .to
                .map_or_else(|| format!("{:?}", trace.to_addr), |to| to.to_string());
            let Trace {
                kind,
                module,
                line,
                swim,
                rumor,
                ..
            } = trace;
            let text = format!("  {time:?} {kind} {module}:{line} {to} {swim:?} {rumor}");
            writeln!(out, "{}", self.told(&text))?;
        }
        Ok(())
    }

    fn report_member(&self, out: &mut String, butterfly: &Butterfly) -> std::fmt::Result {
        let node = butterfly.node();
        writeln!(
            out,
            "  now {}, local health {}, {:?}",
            node.now(),
            node.local_health(),
            node.counts()
        )?;
        let counters: Vec<_> = node
            .stats()
            .iter()
            .filter(|(_, count)| *count > 0)
            .collect();
        writeln!(out, "  {counters:?}")?;
        for view in node.members() {
            let suspicion = view.suspicion.map(|suspicion| format!("{suspicion:?}"));
            writeln!(
                out,
                "  holds {} for {} since {}, incarnation {}, at {}{}, {}",
                self.told(&view.member.id.to_string()),
                view.health,
                view.since,
                view.member.incarnation,
                view.member.swim_addr(),
                if view.member.persistent {
                    ", persistent"
                } else {
                    ""
                },
                self.told(&suspicion.unwrap_or_default()),
            )?;
        }
        Ok(())
    }

    /// The text with names for ids.
    fn told(&self, text: &str) -> String {
        self.seats.iter().fold(text.to_owned(), |text, seat| {
            text.replace(&seat.id.to_string(), &seat.name)
        })
    }
}
