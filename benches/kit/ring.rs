//! Members under one poll, on one thread.

use std::io;
use std::time::{Duration, Instant};

use butterfly::stats::MessageKind;
use butterfly::{Butterfly, Config, Fleet, FleetKey};

use crate::echo::LOCAL;
use crate::times::Times;

/// Members, each with a number from 0 on.
pub struct Ring {
    fleet: Fleet,
    /// By number.
    keys: Vec<FleetKey>,
    /// Times that a member was woken.
    pub wakes: u64,
    /// Round trips of the members' pings, if they are wanted.
    pub round_trips: Option<RoundTrips>,
    woken: Vec<usize>,
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
                let first = ring.member(0).local_addr();
                let joined = ring.member_mut(number).join(first);
                joined.map_err(io::Error::other)?;
            }
            // Its first turn, even if there is no pause.
            ring.step(Instant::now())?;
            ring.run_for(pause)?;
        }
        Ok(ring)
    }

    /// Nobody yet, with room for so many.
    pub fn new(members: usize) -> io::Result<Ring> {
        Ok(Ring {
            fleet: Fleet::new()?,
            keys: Vec::with_capacity(members),
            wakes: 0,
            round_trips: None,
            woken: Vec::new(),
        })
    }

    /// One more, which knows nobody.
    pub fn add(&mut self, change: impl Fn(&mut Config)) -> io::Result<()> {
        let number = self.keys.len();
        let mut config = Config::new(LOCAL);
        config.name = format!("m{number}");
        change(&mut config);
        let member = Butterfly::bind(config).map_err(io::Error::other)?;
        self.keys.push(self.fleet.add(member)?);
        Ok(())
    }

    /// The last of them dies, without a word.
    pub fn kill_last(&mut self) {
        if let Some(key) = self.keys.pop() {
            drop(self.fleet.remove(key));
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    pub fn member(&self, number: usize) -> &Butterfly {
        self.fleet
            .get(self.keys[number])
            .expect("it is in the fleet")
    }

    /// To be told something; its turn is the next.
    pub fn member_mut(&mut self, number: usize) -> &mut Butterfly {
        self.fleet
            .get_mut(self.keys[number])
            .expect("it is in the fleet")
    }

    pub fn members(&self) -> impl Iterator<Item = &Butterfly> {
        (0..self.len()).map(|number| self.member(number))
    }

    /// Waits until something is to be done, but not beyond the end, and does it.
    fn step(&mut self, end: Instant) -> io::Result<()> {
        self.woken.clear();
        let Ring {
            fleet,
            keys,
            wakes,
            round_trips,
            woken,
        } = self;
        fleet.turn(Some(end), |key, member| {
            // Members are added one after the other, and only the last is removed.
            let Ok(number) = keys.binary_search(&key) else {
                return Ok(());
            };
            match round_trips {
                Some(round_trips) => round_trips.watch(number, member)?,
                None => member.process()?,
            }
            while member.poll_event().is_some() {}
            *wakes += 1;
            woken.push(number);
            Ok(())
        })
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
        let mut held: Vec<_> = self.members().map(&holds).collect();
        let mut times = vec![Duration::ZERO; held.iter().filter(|held| **held).count()];
        loop {
            if times.len() == held.len() && self.members().all(&holds) {
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
                if !held[*number] && holds(self.member(*number)) {
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
