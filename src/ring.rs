//! What gossip sees of the membership, so that neither has to know the other.

use std::net::SocketAddr;

use rand::rngs::StdRng;

use crate::member::{Health, MemberId};
use crate::rumor::Audience;
use crate::time::Time;

/// A member that rumors can be pushed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    pub id: MemberId,
    /// Where its PULL socket is.
    pub addr: SocketAddr,
    /// It knows how to compare stores, so it finds out by itself what it lacks; others have to be pushed
    /// everything.
    pub ours: bool,
    /// It can be asked and offered things by datagrams: it is ours, and its address is proved.
    pub compares: bool,
    /// It was heard directly, so whether it compares is known.
    pub heard: bool,
    /// Which kinds of rumors it takes.
    pub audience: Audience,
}

/// The ring as one member sees it.
pub(crate) trait Ring {
    /// This member.
    fn me(&self) -> MemberId;
    /// This member's name; empty: it has none.
    fn name(&self) -> &str;
    /// This member's incarnation.
    fn incarnation(&self) -> u64;
    /// Members that are Alive or Suspect, this one included.
    fn living(&self) -> usize;
    /// Whether others were heard of late, or there is nobody to hear: who hears nobody knows nothing of the others.
    fn hears(&self, now: Time) -> bool;
    /// How a member fares; `None`: it is not known.
    fn health(&self, id: &MemberId) -> Option<Health>;
    /// Whether it is gone for good, by a departure rumor.
    fn is_exiled(&self, id: &MemberId) -> bool;
    /// Whether it was forgotten as dead, and nothing newer is known of it.
    fn is_forgotten(&self, id: &MemberId) -> bool;
    /// A living member that may be pushed to: another one, not blocked, with a gossip port.
    fn peer(&self, id: &MemberId) -> Option<Peer>;
    /// All such members.
    fn peers(&self) -> impl Iterator<Item = Peer>;
    /// Up to `most` different ones of this audience, at random.
    fn pick(&self, audience: Audience, most: usize, rng: &mut StdRng, chosen: &mut Vec<Peer>);
    /// The first living member at or after this place in the table, and the place after it: for a walk in
    /// pieces.
    fn living_from(&self, place: u32) -> Option<(MemberId, u32)>;
}
