//! Looking into a node: how large everything in it is, and what stands for its state.

use std::hash::{Hash, Hasher};
use std::net::SocketAddr;
use std::time::Duration;

use super::Node;
use crate::limits::{MAX_GONE, MAX_QUEUED_EVENTS, MAX_QUEUED_TRACES};
use crate::member::Incarnation;
#[cfg(feature = "sim")]
use crate::member::MemberId;
use crate::ring::Ring;
use crate::stats::Gauge;

impl Node {
    /// For a failure's message: how it holds a member whose services it holds, or held.
    #[cfg(feature = "sim")]
    pub(crate) fn absence(&self, member: MemberId) -> String {
        let health = self.health_of(member);
        format!("{health:?}, {}", self.gossip.absence(self.env.now, &member))
    }

    /// Where others hold this member to be, if they go on holding it elsewhere than where it was told to say that it is
    /// (see [`Event::SeenElsewhere`](crate::Event::SeenElsewhere)).
    pub fn seen_elsewhere(&self) -> Option<SocketAddr> {
        self.swim.seen_elsewhere(self.env.now)
    }

    /// For how long it has heard no other member, though it knows some, if that is longer than chance explains: what it
    /// believes of the others is as old. See [`Event::Isolated`](crate::Event::Isolated).
    pub fn isolated_for(&self) -> Option<Duration> {
        self.swim.isolated_for(&self.env)
    }

    /// How large everything is that grows, with its cap (`limits`).
    pub fn sizes(&self) -> impl Iterator<Item = Gauge> {
        let (events, traces) = self.env.journal.queued();
        let own = [
            Gauge::new("queued_events", events, MAX_QUEUED_EVENTS),
            Gauge::new("queued_traces", traces, MAX_QUEUED_TRACES),
            Gauge::new("gone", self.gone.len(), MAX_GONE),
        ];
        let (swim, gossip) = (self.swim.sizes(), self.gossip.sizes());
        own.into_iter().chain(swim).chain(gossip)
    }

    /// Members that are known, this one included.
    pub(crate) fn member_count(&self) -> usize {
        self.swim.table().len()
    }

    /// Pushes of rumors that wait to be taken.
    pub(crate) fn queued_pushes(&self) -> usize {
        self.gossip.queued_pushes()
    }

    /// Living members of which it is not known that they have the extensions.
    pub(crate) fn strangers(&self) -> usize {
        self.swim.peers().filter(|peer| !peer.ours).count()
    }

    /// Its own incarnation.
    pub(crate) fn incarnation(&self) -> Incarnation {
        self.swim.table().own().incarnation
    }

    /// Equal at two members that hold the same members for living, but for a chance of 2⁻³².
    pub(crate) fn living_digest(&self) -> u32 {
        self.swim.table().digest()
    }

    /// Stands for what decides what it will do, but the time, the dice and what is only counted: membership nearly whole,
    /// the rumors by their checksum, the rest by how large it is.
    pub(crate) fn fingerprint(&self) -> u64 {
        let mut hasher = std::hash::DefaultHasher::new();
        self.swim.hash_state(&mut hasher);
        self.gossip.hash_state(&mut hasher);
        self.env.timers.live().hash(&mut hasher);
        (self.expelled, self.paused, self.gone.len()).hash(&mut hasher);
        hasher.finish()
    }
}
