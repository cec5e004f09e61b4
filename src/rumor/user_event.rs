//! User events: what a user has the members of a ring told, once.

use std::time::Duration;

use super::{Query, is_tag_key};
use crate::limits::EVENT_TTL;
use crate::member::MemberId;

/// Something that a user tells all members of ours that live: each delivers it once, in its sender's order.
///
/// ```
/// let mut event = butterfly::UserEvent::new("deploy", "web 1.4.2");
/// event.ttl = std::time::Duration::from_secs(10);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UserEvent {
    /// Its sender; filled in by who sends it.
    pub by: MemberId,
    /// Which process of the sender's: when that started, in milliseconds since 1970. Filled in by who sends it.
    pub series: u64,
    /// Its number among that process's events: 1, 2, 3 … Filled in by who sends it.
    pub number: u64,
    /// When it was sent, in milliseconds since 1970, by its sender's clock. Filled in by who sends it, if it is 0.
    pub time: u64,
    /// Its Lamport time: higher than that of every event that its sender had heard of. Filled in by who sends it.
    pub lamport: u64,
    /// So long it is told to members that start later; from 1 s to [`MAX_EVENT_TTL`](crate::limits::MAX_EVENT_TTL).
    pub ttl: Duration,
    /// Whether only the last counts of several of this name that come within a second
    /// ([`EVENT_COALESCE`](crate::limits::EVENT_COALESCE)). It is delivered that much later, after others of its sender.
    pub coalesce: bool,
    /// Whether it is a question, and whom that asks: see [`UserEvent::query`].
    pub query: Option<Query>,
    /// What it is about: see [`is_event_name`].
    pub name: String,
    /// At most [`MAX_EVENT_PAYLOAD`](crate::limits::MAX_EVENT_PAYLOAD) bytes.
    pub payload: Vec<u8>,
}

impl UserEvent {
    /// One that is told for [`EVENT_TTL`], and that others of its name do not replace.
    pub fn new(name: impl Into<String>, payload: impl Into<Vec<u8>>) -> Self {
        UserEvent {
            by: MemberId::NIL,
            series: 0,
            number: 0,
            time: 0,
            lamport: 0,
            ttl: EVENT_TTL,
            coalesce: false,
            query: None,
            name: name.into(),
            payload: payload.into(),
        }
    }
}

/// Whether a user event can have this name: 1 to 64 bytes without spaces, `=`, commas, control characters and what else does
/// not show, as a tag's key.
pub fn is_event_name(name: &str) -> bool {
    is_tag_key(name)
}
