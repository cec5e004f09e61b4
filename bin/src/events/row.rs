//! What the gateway tells of an event, as JSON: written by `run`, read by the others.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// All kinds of events: of a member the health that it has now, of a rumor what it is about.
pub const KINDS: [&str; 30] = [
    "alive",
    "suspect",
    "confirmed",
    "departed",
    "moved",
    "renamed",
    "restarted",
    "conflict",
    "leader",
    "service",
    "config",
    "file",
    "election",
    "departure",
    "tags",
    "user",
    "query",
    "forgotten",
    "gone",
    "overruled",
    "isolated",
    "reconnected",
    "refuted",
    "lagged",
    "address",
    "rejected",
    "other_ring",
    "new_id",
    "expelled",
    "left",
];

/// Whether there are events of this kind.
#[cfg(test)]
pub fn is_kind(kind: &str) -> bool {
    KINDS.contains(&kind)
}

/// One event, as the asked member saw it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "Event"))]
pub struct EventRow {
    /// The run of the member, and the number of the event in it, which rises by one.
    pub id: String,
    /// When, in UTC: `2026-11-30T12:00:00.000Z`.
    pub time: String,
    #[serde(flatten)]
    pub says: Says,
}

/// What happened.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "EventContent"))]
pub struct Says {
    /// What happened; if the health of a member changed, the one that it has now.
    pub kind: String,
    /// The id of the member that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member: Option<String>,
    /// The name of that member.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Where that member is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<SocketAddr>,
    /// Its health before, if it was known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incarnation: Option<u64>,
    /// The service group that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The name of a user event or query; its sender is `member`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_event: Option<String>,
    /// Its payload, if that is text of at most 4 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<String>,
    /// Bytes of its payload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload_bytes: Option<usize>,
    /// Its Lamport time: higher than that of all events that its sender had heard of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lamport: Option<u64>,
    /// The same in words.
    pub text: String,
}
