//! Many members in one thread, under one poll.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::io::{self, ErrorKind};
use std::ops::ControlFlow;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use slab::Slab;

use super::butterfly::Butterfly;
use crate::event::Event;

/// A member's place in a [`Fleet`]. Once the member was removed, the place may be given to another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FleetKey(usize);

/// Many members in one thread, under one poll: for tests, simulations on real sockets, and programs that belong to many
/// rings.
///
/// A fleet is to its members what a [`Butterfly`] is to its sockets: **one descriptor to watch** ([`AsFd`]), **one deadline to
/// wait for** ([`deadline`](Fleet::deadline)), **one call to make** ([`turn`](Fleet::turn)). Deadlines lie in a heap, so a turn
/// does not look at members that have nothing to do.
///
/// ```
/// use std::ops::ControlFlow;
/// use std::time::{Duration, Instant};
///
/// use butterfly::{Butterfly, Config, Event, Fleet, Timing};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut fleet = Fleet::new()?;
/// let mut config = Config::new("127.0.0.1:0".parse()?);
/// config.timing = Timing::local();
/// let one = Butterfly::bind(config.clone())?;
/// let seed = one.local_addr();
/// fleet.add(one)?;
/// for _ in 0..9 {
///     let mut member = Butterfly::bind(config.clone())?;
///     member.join(seed)?;
///     fleet.add(member)?;
/// }
/// let patience = Instant::now() + Duration::from_secs(30);
/// while !fleet.iter().all(|(_, member)| member.node().counts().alive == 10) {
///     assert!(Instant::now() < patience, "ten members do not agree");
///     fleet.turn(Some(patience), |_, member| {
///         member.process()?;
///         while member.poll_event().is_some() {}
///         Ok(())
///     })?;
/// }
/// # Ok(())
/// # }
/// ```
pub struct Fleet {
    poll: Poll,
    ready: Events,
    seats: Slab<Seat>,
    /// The members' deadlines, and some that they no longer have.
    due: BinaryHeap<Reverse<(Instant, usize)>>,
    /// Whose turn it is.
    turn: VecDeque<usize>,
    /// A moment that has passed: the deadline while somebody's turn it is.
    began: Instant,
}

struct Seat {
    member: Butterfly,
    /// As it stands in the heap.
    deadline: Option<Instant>,
    /// It is in `turn`.
    queued: bool,
}

/// Members.
impl Fleet {
    /// A fleet without members.
    ///
    /// # Errors
    /// If the system gives no descriptor.
    pub fn new() -> io::Result<Fleet> {
        Ok(Fleet {
            poll: Poll::new()?,
            ready: Events::with_capacity(256),
            seats: Slab::new(),
            due: BinaryHeap::new(),
            turn: VecDeque::new(),
            began: Instant::now(),
        })
    }

    /// Adds a member. The next [`turn`](Fleet::turn) serves it.
    ///
    /// # Errors
    /// If the system's poll does not take its descriptor.
    pub fn add(&mut self, member: Butterfly) -> io::Result<FleetKey> {
        let entry = self.seats.vacant_entry();
        let key = entry.key();
        let fd = member.as_raw_fd();
        let registry = self.poll.registry();
        registry.register(&mut SourceFd(&fd), Token(key), Interest::READABLE)?;
        entry.insert(Seat {
            member,
            deadline: None,
            queued: false,
        });
        self.queue(key);
        Ok(FleetKey(key))
    }

    /// Removes a member and returns it; the fleet no longer drives it. To have it tell the others, call [`Butterfly::leave`] first and wait for
    /// [`Event::Left`].
    pub fn remove(&mut self, key: FleetKey) -> Option<Butterfly> {
        let member = self.seats.try_remove(key.0)?.member;
        self.turn.retain(|queued| *queued != key.0);
        let fd = member.as_raw_fd();
        // Without it, the poll would go on to tell of a member that somebody else drives.
        let _ = self.poll.registry().deregister(&mut SourceFd(&fd));
        Some(member)
    }

    /// The member at this place.
    pub fn get(&self, key: FleetKey) -> Option<&Butterfly> {
        self.seats.get(key.0).map(|seat| &seat.member)
    }

    /// The member at this place, for commands. The next [`turn`](Fleet::turn) serves it.
    pub fn get_mut(&mut self, key: FleetKey) -> Option<&mut Butterfly> {
        self.queue(key.0);
        self.seats.get_mut(key.0).map(|seat| &mut seat.member)
    }

    /// All members, with their places.
    pub fn iter(&self) -> impl Iterator<Item = (FleetKey, &Butterfly)> {
        let seats = self.seats.iter();
        seats.map(|(key, seat)| (FleetKey(key), &seat.member))
    }

    /// How many members there are.
    pub fn len(&self) -> usize {
        self.seats.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.seats.is_empty()
    }
}

/// The loop.
impl Fleet {
    /// The latest moment to call [`turn`](Fleet::turn); it has passed while a member has work.
    /// `None`: only when the descriptor is readable.
    pub fn deadline(&mut self) -> Option<Instant> {
        if !self.turn.is_empty() {
            return Some(self.began);
        }
        while let Some(Reverse((due, key))) = self.due.peek() {
            let seat = self.seats.get(*key);
            if seat.is_some_and(|seat| seat.deadline == Some(*due)) {
                return Some(*due);
            }
            self.due.pop();
        }
        None
    }

    /// Waits until a member has work, until `until` at the latest, and calls `each` for every member that has. `each` has to
    /// call [`Butterfly::process`] and to take the events. With `until` in the past it does not wait, for use in
    /// another loop; with `None` it waits for as long as it takes.
    ///
    /// # Errors
    /// If the system's poll fails, or what `each` returns; the members whose turn it was and is not over have it next time.
    pub fn turn(
        &mut self,
        until: Option<Instant>,
        mut each: impl FnMut(FleetKey, &mut Butterfly) -> io::Result<()>,
    ) -> io::Result<()> {
        let wake = self.deadline().into_iter().chain(until).min();
        let timeout = wake.map(|wake| wake.saturating_duration_since(Instant::now()));
        self.gather(timeout)?;
        for _ in 0..self.turn.len() {
            let Some(key) = self.turn.pop_front() else {
                break;
            };
            let Some(seat) = self.seats.get_mut(key) else {
                continue;
            };
            seat.queued = false;
            let outcome = each(FleetKey(key), &mut seat.member);
            let deadline = seat.member.deadline();
            if deadline != seat.deadline {
                seat.deadline = deadline;
                self.due.extend(deadline.map(|due| Reverse((due, key))));
            }
            outcome?;
        }
        self.forget_past_deadlines();
        Ok(())
    }

    /// Drives the members until the callback breaks.
    ///
    /// # Errors
    /// As [`Butterfly::process`].
    pub fn run(
        &mut self,
        mut on_event: impl FnMut(FleetKey, &mut Butterfly, Event) -> ControlFlow<()>,
    ) -> io::Result<()> {
        let mut flow = ControlFlow::Continue(());
        while flow.is_continue() {
            self.turn(None, |key, member| {
                member.process()?;
                while flow.is_continue()
                    && let Some(event) = member.poll_event()
                {
                    flow = on_event(key, member, event);
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Waits, and notes whose turn it is.
    fn gather(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        match self.poll.poll(&mut self.ready, timeout) {
            Err(error) if error.kind() == ErrorKind::Interrupted => self.ready.clear(),
            result => result?,
        }
        for event in &self.ready {
            queue(&mut self.seats, &mut self.turn, event.token().0);
        }
        let now = Instant::now();
        while let Some(Reverse((due, key))) = self.due.peek().copied()
            && due <= now
        {
            self.due.pop();
            let Some(seat) = self.seats.get_mut(key) else {
                continue;
            };
            if seat.deadline == Some(due) {
                seat.deadline = None;
                queue(&mut self.seats, &mut self.turn, key);
            }
        }
        Ok(())
    }

    fn queue(&mut self, key: usize) {
        queue(&mut self.seats, &mut self.turn, key);
    }

    /// Deadlines that members no longer have go as they come up; if there are many, they all go at once.
    fn forget_past_deadlines(&mut self) {
        const MOST: usize = 4;
        if self.due.len() > MOST * (self.seats.len() + 16) {
            let seats = &self.seats;
            self.due.retain(|Reverse((due, key))| {
                let seat = seats.get(*key);
                seat.is_some_and(|seat| seat.deadline == Some(*due))
            });
        }
    }
}

fn queue(seats: &mut Slab<Seat>, turn: &mut VecDeque<usize>, key: usize) {
    if let Some(seat) = seats.get_mut(key)
        && !seat.queued
    {
        seat.queued = true;
        turn.push_back(key);
    }
}

/// Open and the same for as long as the fleet lives.
impl AsFd for Fleet {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.poll.registry().as_fd()
    }
}

/// The same descriptor.
impl AsRawFd for Fleet {
    fn as_raw_fd(&self) -> RawFd {
        self.poll.as_raw_fd()
    }
}
