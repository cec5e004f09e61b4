//! Members under one poll, on one thread.

// Each benchmark takes what it needs.
#![allow(dead_code)]

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use butterfly::stats::MessageKind;
use butterfly::{Butterfly, Config};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

use super::echo::LOCAL;
use super::times::Times;

/// Members, and when each is due.
pub struct Ring {
    pub members: Vec<Butterfly>,
    /// Times that a member was woken.
    pub wakes: u64,
    /// Round trips of the members' pings, if they are wanted.
    pub round_trips: Option<RoundTrips>,
    poll: Poll,
    events: Events,
    deadlines: Vec<Option<Instant>>,
    /// The deadlines once more, and some that were.
    due: BinaryHeap<Reverse<(Instant, usize)>>,
    woken: Vec<usize>,
    /// Whose turn it is.
    turn: Vec<usize>,
}

/// Round trips of pings, from the call in which one leaves to the end of that in which its Ack is heeded.
pub struct RoundTrips {
    pub times: Times,
    under_way: Vec<Option<Instant>>,
}

impl RoundTrips {
    pub fn of(members: usize) -> RoundTrips {
        RoundTrips {
            times: Times::new(),
            under_way: vec![None; members],
        }
    }

    /// Whatever is under way does not count: nobody was there to heed it.
    pub fn forget(&mut self) {
        self.under_way.fill(None);
    }
}

impl Ring {
    /// That many members that know the first, one after the other, each with the default configuration as
    /// `change` has it. With a pause between them, they do not all do everything at the same time ever after.
    pub fn start(
        members: usize,
        pause: Duration,
        change: impl Fn(usize, &mut Config),
    ) -> io::Result<Ring> {
        let mut ring = Ring::new(members)?;
        for number in 0..members {
            ring.add(|config| change(number, config))?;
            if number > 0 {
                let first = ring.members[0].local_addr();
                let joined = ring.members[number].join(first);
                joined.map_err(io::Error::other)?;
            }
            ring.wake(number)?;
            ring.run_for(pause)?;
        }
        Ok(ring)
    }

    /// Nobody yet, with room for so many.
    pub fn new(members: usize) -> io::Result<Ring> {
        Ok(Ring {
            members: Vec::with_capacity(members),
            wakes: 0,
            round_trips: None,
            poll: Poll::new()?,
            events: Events::with_capacity(members.max(16)),
            deadlines: Vec::with_capacity(members),
            due: BinaryHeap::new(),
            woken: Vec::new(),
            turn: Vec::new(),
        })
    }

    /// One more, which knows nobody and is not driven before it is woken.
    pub fn add(&mut self, change: impl Fn(&mut Config)) -> io::Result<()> {
        let number = self.members.len();
        let mut config = Config::new(LOCAL);
        config.name = format!("m{number}");
        change(&mut config);
        let member = Butterfly::bind(config).map_err(io::Error::other)?;
        self.poll.registry().register(
            &mut SourceFd(&member.as_raw_fd()),
            Token(number),
            Interest::READABLE,
        )?;
        self.members.push(member);
        self.deadlines.push(None);
        Ok(())
    }

    /// The last of them dies, without a word.
    pub fn kill_last(&mut self) {
        self.members.pop();
        self.deadlines.pop();
    }

    /// Has a member work at once, as it must after it was told something.
    pub fn wake(&mut self, number: usize) -> io::Result<()> {
        let Some(member) = self.members.get_mut(number) else {
            return Ok(());
        };
        match &mut self.round_trips {
            Some(round_trips) => round_trips.watch(number, member)?,
            None => member.process()?,
        }
        while member.poll_event().is_some() {}
        let deadline = member.deadline();
        if deadline != self.deadlines[number] {
            self.deadlines[number] = deadline;
            self.due.extend(deadline.map(|due| Reverse((due, number))));
        }
        self.wakes += 1;
        self.woken.push(number);
        Ok(())
    }

    /// The next deadline of all.
    fn next(&mut self) -> Option<Instant> {
        while let Some(Reverse((due, number))) = self.due.peek() {
            if self.deadlines.get(*number) == Some(&Some(*due)) {
                return Some(*due);
            }
            self.due.pop();
        }
        None
    }

    /// Waits until something is to be done, but not beyond the end, and does it.
    fn step(&mut self, end: Instant) -> io::Result<()> {
        self.woken.clear();
        let next = self.next().map_or(end, |next| next.min(end));
        let timeout = next.saturating_duration_since(Instant::now());
        match self.poll.poll(&mut self.events, Some(timeout)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            result => result?,
        }
        let mut turn = std::mem::take(&mut self.turn);
        turn.extend(self.events.iter().map(|event| event.token().0));
        let now = Instant::now();
        while self.next().is_some_and(|due| due <= now) {
            if let Some(Reverse((_, number))) = self.due.pop() {
                self.deadlines[number] = None;
                turn.push(number);
            }
        }
        for number in turn.drain(..) {
            self.wake(number)?;
        }
        self.turn = turn;
        Ok(())
    }

    /// Runs for so long.
    pub fn run_for(&mut self, duration: Duration) -> io::Result<()> {
        let end = Instant::now() + duration;
        while Instant::now() < end {
            self.step(end)?;
        }
        Ok(())
    }

    /// Runs until it holds for all members; how long it took until it held for each, the first first.
    pub fn run_until(
        &mut self,
        patience: Duration,
        holds: impl Fn(&Butterfly) -> bool,
    ) -> io::Result<Vec<Duration>> {
        let start = Instant::now();
        let end = start + patience;
        let mut held: Vec<_> = self.members.iter().map(&holds).collect();
        let mut times = vec![Duration::ZERO; held.iter().filter(|held| **held).count()];
        loop {
            if times.len() == held.len() && self.members.iter().all(&holds) {
                return Ok(times);
            }
            if Instant::now() >= end {
                let some = format!("{} of {} members", times.len(), held.len());
                return Err(io::Error::other(format!(
                    "waited in vain: only {some} came so far"
                )));
            }
            self.step(end)?;
            for number in &self.woken {
                if !held[*number] && holds(&self.members[*number]) {
                    held[*number] = true;
                    times.push(start.elapsed());
                }
            }
        }
    }
}

impl RoundTrips {
    fn watch(&mut self, number: usize, member: &mut Butterfly) -> io::Result<()> {
        let counts = |member: &Butterfly| {
            let stats = member.node().stats();
            (
                stats.sent(MessageKind::Ping),
                stats.received(MessageKind::Ack),
            )
        };
        let (pings, acks) = counts(member);
        let start = Instant::now();
        member.process()?;
        let (pings_now, acks_now) = counts(member);
        let under_way = &mut self.under_way[number];
        if acks_now > acks
            && let Some(left) = under_way.take()
        {
            self.times.record(Some(left.elapsed()));
        }
        if pings_now > pings {
            // Of several at once it cannot be told whose Ack comes.
            *under_way = (pings_now == pings + 1).then_some(start);
        }
        Ok(())
    }
}
