//! How often members that have nothing to do wake a program: for what came, and once for each deadline.

use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use butterfly::{Butterfly, Config, Service, Timing};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

use crate::alone;
use crate::harness::{PATIENCE, PERIOD};

const MEMBERS: usize = 3;

/// A program's loop over its members' descriptors.
trait Outer {
    /// Watches the members, whose places are their numbers.
    fn over(members: &[Butterfly]) -> Self;
    /// Waits so long at most: the places of those that are readable.
    fn wait(&mut self, timeout: Duration) -> Vec<usize>;
}

/// As mio has it: it tells once that something came.
struct Edge(Poll, Events);

impl Outer for Edge {
    fn over(members: &[Butterfly]) -> Self {
        let poll = Poll::new().unwrap();
        for (place, member) in members.iter().enumerate() {
            let fd = member.as_raw_fd();
            let registry = poll.registry();
            registry
                .register(&mut SourceFd(&fd), Token(place), Interest::READABLE)
                .unwrap();
        }
        Edge(poll, Events::with_capacity(MEMBERS))
    }

    fn wait(&mut self, timeout: Duration) -> Vec<usize> {
        self.0.poll(&mut self.1, Some(timeout)).unwrap();
        self.1.iter().map(|event| event.token().0).collect()
    }
}

/// As `poll(2)` has it: it tells as long as something is there.
struct Level(Vec<zmq::PollItem<'static>>);

impl Outer for Level {
    fn over(members: &[Butterfly]) -> Self {
        let fds = members.iter().map(AsRawFd::as_raw_fd);
        Level(
            fds.map(|fd| zmq::PollItem::from_fd(fd, zmq::POLLIN))
                .collect(),
        )
    }

    fn wait(&mut self, timeout: Duration) -> Vec<usize> {
        // Rounded up, so that a deadline has passed.
        let millis = timeout.as_nanos().div_ceil(1_000_000) as i64;
        zmq::poll(&mut self.0, millis).unwrap();
        let ready = self
            .0
            .iter()
            .enumerate()
            .filter(|(_, item)| item.is_readable());
        ready.map(|(place, _)| place).collect()
    }
}

/// Members in a program's loop, and why each was called.
struct Program<O> {
    outer: O,
    members: Vec<Butterfly>,
    calls: [Calls; MEMBERS],
}

#[derive(Clone, Copy, Debug, Default)]
struct Calls {
    /// Since the descriptor was readable.
    readable: u64,
    /// Since the deadline had passed, and nothing came.
    due: u64,
    /// Of those, the ones since a deadline for which it had been called before.
    again: u64,
    /// Datagrams and rumors that came.
    heard: u64,
    served: Option<Instant>,
}

/// Datagrams and rumors that came to a member so far.
fn heard(member: &Butterfly) -> u64 {
    let counters = member.node().stats().iter();
    counters
        .filter(|(name, _)| name.starts_with("received_") || *name == "rumors_received")
        .map(|(_, count)| count)
        .sum()
}

impl<O: Outer> Program<O> {
    fn start() -> Self {
        let mut config = Config::new("127.0.0.1:0".parse().unwrap());
        config.timing = Timing::local();
        let mut members: Vec<_> = (0..MEMBERS)
            .map(|_| Butterfly::bind(config.clone()).unwrap())
            .collect();
        let seed = members[0].local_addr();
        for member in &mut members {
            member.join(seed).unwrap();
            let service = Service::new("redis.default".parse().unwrap(), "acme/redis");
            member.announce(service).unwrap();
        }
        Program {
            outer: O::over(&members),
            members,
            calls: Default::default(),
        }
    }

    fn turn(&mut self) {
        let due = self.members.iter().filter_map(Butterfly::deadline).min();
        let wait = due.map_or(PERIOD, |due| due.saturating_duration_since(Instant::now()));
        let ready = self.outer.wait(wait);
        let now = Instant::now();
        for (place, (member, calls)) in self.members.iter_mut().zip(&mut self.calls).enumerate() {
            let due = member.deadline().filter(|due| *due <= now);
            if ready.contains(&place) {
                calls.readable += 1;
            } else if due.is_some() {
                calls.due += 1;
                calls.again += u64::from(calls.served == due);
            } else {
                continue;
            }
            calls.served = due.or(calls.served);
            let before = heard(member);
            member.process().unwrap();
            calls.heard += heard(member) - before;
            while member.poll_event().is_some() {}
        }
    }

    /// Until all know all, and nothing is left to be told.
    fn settle(&mut self) {
        let began = Instant::now();
        let settled = |member: &Butterfly| {
            let node = member.node();
            node.counts().alive == MEMBERS
                && node.rumor_count() == MEMBERS
                && node.news() + node.hot_rumors() == 0
        };
        while !self.members.iter().all(settled) {
            assert!(began.elapsed() < PATIENCE, "they do not settle");
            self.turn();
        }
    }

    fn drive_for(&mut self, periods: u32) {
        let began = Instant::now();
        while began.elapsed() < periods * PERIOD {
            self.turn();
        }
    }
}

fn idle_members_wake_it_for_what_comes_and_once_for_each_deadline<O: Outer>() {
    const PERIODS: u32 = 20;
    let _alone = alone();
    let mut program = Program::<O>::start();
    program.settle();
    // What was told last arrives, and connections are looked at.
    program.drive_for(10);
    program.calls = Default::default();
    program.drive_for(PERIODS);
    println!("{:#?}", program.calls);
    for calls in program.calls {
        // A probe of the own and one of each of two others on average, each with its answer.
        assert!(calls.heard > 0, "{calls:?}");
        assert!(
            calls.readable <= calls.heard,
            "woken for nothing: {calls:?}"
        );
        assert_eq!(calls.again, 0, "woken again: {calls:?}");
        // One for the period, the rest for looks at the connections, and at the tables of others.
        assert!(calls.due <= 2 * u64::from(PERIODS), "polls: {calls:?}");
    }
}

#[test]
fn idle_members_wake_an_edge_triggered_loop_no_more_than_needed() {
    idle_members_wake_it_for_what_comes_and_once_for_each_deadline::<Edge>();
}

#[test]
fn idle_members_wake_a_level_triggered_loop_no_more_than_needed() {
    idle_members_wake_it_for_what_comes_and_once_for_each_deadline::<Level>();
}
