//! The state machine by itself: bytes and deadlines in, bytes and events out.

mod advertised;
mod budgets;
#[cfg(feature = "gossip")]
mod caps;
mod comeback;
mod evidence;
#[cfg(feature = "gossip")]
mod flood;
#[cfg(feature = "gossip")]
mod forgetting;
mod lifecycle;
mod messages;
mod moved;
#[cfg(feature = "gossip")]
mod myself;
#[cfg(feature = "gossip")]
mod originals;
mod probe;
mod push;
#[cfg(feature = "gossip")]
mod queries;
mod quiet;
#[cfg(feature = "gossip")]
mod reconcile;
mod rejects;
mod replay;
mod rings;
#[cfg(feature = "gossip")]
mod rumors;
mod strain;
mod strangers;
mod support;
mod suspicion;
#[cfg(feature = "gossip")]
mod tags;
mod unproved;
#[cfg(feature = "gossip")]
mod user_events;
#[cfg(feature = "gossip")]
mod versions;
mod whereabouts;
