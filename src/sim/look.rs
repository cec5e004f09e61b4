//! Looking at the whole: what nobody in the ring can.

use super::{FaultCounts, Index, Sim, Violation};
use crate::event::Event;
use crate::member::{Health, MemberId};
use crate::node::Node;
use crate::time::Time;

impl Sim {
    /// The present time.
    pub fn now(&self) -> Time {
        self.now
    }

    /// A member's state machine.
    pub fn node(&self, member: Index) -> &Node {
        &self.hosts[member].node
    }

    /// A member's id.
    pub fn id(&self, member: Index) -> MemberId {
        self.hosts[member].id
    }

    /// How many processes ever started.
    pub fn processes(&self) -> usize {
        self.hosts.len()
    }

    /// Whether the process runs, be it frozen.
    pub fn is_up(&self, member: Index) -> bool {
        self.hosts[member].up
    }

    /// Those that run.
    pub fn up(&self) -> impl Iterator<Item = Index> + '_ {
        (0..self.hosts.len()).filter(|member| self.hosts[*member].up)
    }

    /// What happened at a member, with the simulation's time; takes it.
    pub fn take_events(&mut self, member: Index) -> Vec<(Time, Event)> {
        self.hosts[member].events.drain(..).collect()
    }

    /// Whether events are kept from now on.
    pub fn keep_events(&mut self, keep: bool) {
        self.config.events = keep;
    }

    /// What one member holds another for.
    pub fn view(&self, of: Index, about: Index) -> Option<Health> {
        self.hosts[of].node.health_of(self.hosts[about].id)
    }

    /// Whether every running member holds this one for that.
    pub fn all_hold(&self, about: Index, health: Health) -> bool {
        self.up()
            .filter(|member| *member != about)
            .all(|member| self.view(member, about) == Some(health))
    }

    /// Whether all running members hold the same rumors.
    pub fn same_rumors(&self) -> bool {
        let mut checksums = self
            .up()
            .map(|member| self.hosts[member].node.rumor_checksum());
        let first = checksums.next();
        checksums.all(|checksum| Some(checksum) == first)
    }

    /// Whether every running member holds every running member for Alive, and nobody else. Looks at one
    /// member's table, and at the others' digests of theirs.
    pub fn all_agree(&self) -> bool {
        let Some(first) = self.up().next() else {
            return true;
        };
        let one = &self.hosts[first].node;
        let (up, digest) = (self.up().count(), one.living_digest());
        self.up().all(|of| {
            let node = &self.hosts[of].node;
            let counts = node.counts();
            (counts.alive, counts.suspect) == (up, 0) && node.living_digest() == digest
        }) && self
            .up()
            .all(|about| self.view(first, about) == Some(Health::Alive))
    }

    /// Stands for every message that arrived so far, where and when.
    pub fn trace_hash(&self) -> u64 {
        self.trace.hash()
    }

    /// What went wrong so far, as it was asked for.
    pub fn faults(&self) -> &FaultCounts {
        &self.faults
    }

    /// What must not happen, whatever goes wrong, and did; the first hundred.
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }
}
