//! Several members in one loop on one thread.

use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use butterfly::{Butterfly, Config, Event, Fleet, FleetKey, Health, MemberId, Node, Timing};

use crate::failure::Failure;

/// A member saw another one's health change.
#[derive(Clone, Copy, Debug)]
pub struct Sighting {
    pub at: Instant,
    /// The place of who saw it.
    pub by: usize,
    pub of: MemberId,
    pub to: Health,
}

/// A place in the ring: who belongs there, and whether it runs.
pub struct Seat {
    pub name: String,
    pub id: MemberId,
    /// Where its member is in the fleet, while it runs.
    key: Option<FleetKey>,
}

/// The ring.
pub struct Ring {
    fleet: Fleet,
    timing: Timing,
    /// The port for gossip of the first place; those of the others follow.
    gossip_port: Option<u16>,
    seats: Vec<Seat>,
    sightings: Vec<Sighting>,
}

impl Ring {
    /// Places for members of these names; none runs.
    pub fn new(names: Vec<String>, timing: Timing) -> Result<Self, Failure> {
        let seat = |name| Seat {
            name,
            id: MemberId::from_bytes(rand::random()),
            key: None,
        };
        Ok(Ring {
            fleet: Fleet::new().map_err(failed)?,
            timing,
            gossip_port: None,
            seats: names.into_iter().map(seat).collect(),
            sightings: Vec::new(),
        })
    }

    /// The same with ports for gossip from this one on, a place after the other; `None`: those of SWIM.
    pub fn with_gossip_ports(mut self, first: Option<u16>) -> Self {
        self.gossip_port = first;
        self
    }

    /// Starts the member of this place, which knows nothing but its id and a peer to ask.
    pub fn start(&mut self, place: usize, peer: Option<SocketAddr>) -> Result<SocketAddr, Failure> {
        let seat = &mut self.seats[place];
        let mut config = Config::new(SocketAddr::from(([127, 0, 0, 1], 0)));
        config.id = Some(seat.id);
        config.name = seat.name.clone();
        config.timing = self.timing.clone();
        config.gossip_port = self.gossip_port.map(|first| first + place as u16);
        let mut member = Butterfly::bind(config).map_err(Failure::failed)?;
        if let Some(peer) = peer {
            member.join(peer).map_err(Failure::failed)?;
        }
        let addr = member.local_addr();
        seat.key = Some(self.fleet.add(member).map_err(failed)?);
        Ok(addr)
    }

    /// Ends a member without a word.
    pub fn kill(&mut self, place: usize) {
        if let Some(key) = self.seats[place].key.take() {
            drop(self.fleet.remove(key));
        }
    }

    /// Lets a member tell the others that it goes.
    pub fn leave(&mut self, place: usize) {
        if let Some(member) = self.member(place) {
            member.leave();
        }
    }

    /// The member of this place, to be told something.
    pub fn member(&mut self, place: usize) -> Option<&mut Butterfly> {
        self.fleet.get_mut(self.seats[place].key?)
    }

    /// Whether it is so at all that run.
    pub fn all(&self, is_so: impl Fn(&Node) -> bool) -> bool {
        self.running().all(|(_, member)| is_so(member.node()))
    }

    pub fn seats(&self) -> &[Seat] {
        &self.seats
    }

    /// The places whose members run.
    pub fn running(&self) -> impl Iterator<Item = (usize, &Butterfly)> {
        let members = self.seats.iter().enumerate();
        members.filter_map(|(place, seat)| Some((place, self.fleet.get(seat.key?)?)))
    }

    /// What the member of one place holds of the member of another.
    pub fn health(&self, by: usize, of: usize) -> Option<Health> {
        let member = self.fleet.get(self.seats[by].key?)?;
        member.node().health_of(self.seats[of].id)
    }

    /// Whether all that run, `of` itself aside, hold it for so.
    pub fn all_see(&self, of: usize, health: Health) -> bool {
        let mut others = self.running().filter(|(by, _)| *by != of);
        others.all(|(by, _)| self.health(by, of) == Some(health))
    }

    /// When a member first saw another one fare so since the last `forget`.
    pub fn first_sight(
        &self,
        by: usize,
        of: usize,
        fares_so: impl Fn(Health) -> bool,
    ) -> Option<Instant> {
        let id = self.seats[of].id;
        let mut sightings = self.sightings.iter();
        let found = sightings.find(|seen| seen.by == by && seen.of == id && fares_so(seen.to));
        found.map(|seen| seen.at)
    }

    /// Forgets what was seen so far.
    pub fn forget(&mut self) {
        self.sightings.clear();
    }

    /// Lets all members work once; returns what they saw.
    pub fn turn(&mut self, until: Instant) -> Result<&[Sighting], Failure> {
        let seen_before = self.sightings.len();
        let (seats, sightings) = (&self.seats, &mut self.sightings);
        let turn = self.fleet.turn(Some(until), |key, member| {
            member.process()?;
            let place = seats.iter().position(|seat| seat.key == Some(key));
            while let Some(event) = member.poll_event() {
                if let (Event::MemberChanged { id: of, to, .. }, Some(by)) = (event, place) {
                    let at = Instant::now();
                    sightings.push(Sighting { at, by, of, to });
                }
            }
            Ok(())
        });
        turn.map_err(failed)?;
        Ok(self.sightings.get(seen_before..).unwrap_or_default())
    }
}

fn failed(error: io::Error) -> Failure {
    Failure::failed(format_args!("the ring cannot go on: {error}"))
}
