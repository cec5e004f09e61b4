//! What the gateway tells of a member and its ring, as JSON: written by `run`, read by the others.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use butterfly::{Butterfly, Health, MemberView, TagsView, Time};
use serde::{Deserialize, Serialize};

/// One member, as the asked one sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "Member"))]
pub struct MemberRow {
    pub id: String,
    pub name: String,
    pub address: IpAddr,
    pub swim_port: u16,
    pub gossip_port: u16,
    /// `alive`, `suspect`, `confirmed` or `departed`.
    pub health: String,
    pub incarnation: u64,
    pub persistent: bool,
    #[serde(rename = "self")]
    pub is_self: bool,
    /// The last round trip, microseconds.
    pub rtt_us: Option<u64>,
    /// Milliseconds since its health last changed.
    pub since_ms: u64,
    /// Of a suspect: the ids of those who accuse it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub suspected_by: Vec<String>,
    /// Of a suspect: `gone` (its system refuses pings), `stalled` (its system answers for it) or `silent`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<String>,
    /// Of a suspect: milliseconds until it counts as dead, unless somebody vouches for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspicion_left_ms: Option<u64>,
    /// What it says of itself.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
}

impl MemberRow {
    /// It is held for dead, or left.
    pub fn is_dead(&self) -> bool {
        matches!(&*self.health, "confirmed" | "departed")
    }

    /// The row of a member, with its tags, at that time of its observer.
    pub fn of(view: &MemberView<'_>, tags: Option<&TagsView<'_>>, now: Time) -> Self {
        let tags = tags.into_iter().flat_map(TagsView::iter);
        let member = view.member;
        let suspicion = view
            .suspicion
            .as_ref()
            .filter(|_| view.health == Health::Suspect);
        MemberRow {
            id: member.id.to_string(),
            name: view.name.to_owned(),
            address: member.ip,
            swim_port: member.swim_port,
            gossip_port: member.gossip_port,
            health: view.health.as_str().to_owned(),
            incarnation: member.incarnation.get(),
            persistent: member.persistent,
            is_self: view.is_self,
            rtt_us: view.rtt.map(|rtt| rtt.as_micros() as u64),
            since_ms: now.since(view.since).as_millis() as u64,
            suspected_by: suspicion.map_or_else(Vec::new, |suspicion| {
                suspicion.accusers.iter().map(ToString::to_string).collect()
            }),
            evidence: suspicion.map(|suspicion| suspicion.evidence.as_str().to_owned()),
            suspicion_left_ms: suspicion
                .map(|suspicion| suspicion.until.since(now).as_millis() as u64),
            tags: tags
                .map(|(key, value)| (key.into(), value.into()))
                .collect(),
        }
    }

    /// Where its SWIM messages go.
    pub fn swim_addr(&self) -> SocketAddr {
        SocketAddr::new(self.address, self.swim_port)
    }
}

/// A peer that the member was told to ask for its ring.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "Seed"))]
pub struct SeedRow {
    /// As it was written.
    pub peer: String,
    /// It is asked. It is not if it turned out to be the member itself, or made room for another.
    pub asked: bool,
    /// Who answered there last.
    pub answer: Option<Answered>,
    /// Why its name led nowhere when it was looked up last.
    pub trouble: Option<String>,
}

/// A member that answered where a peer was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Answered {
    pub id: String,
    pub name: String,
    pub address: SocketAddr,
    /// Milliseconds since then.
    pub ago_ms: u64,
}

/// How many members of each health, the asked one included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Counts {
    pub alive: usize,
    pub suspect: usize,
    pub confirmed: usize,
    pub departed: usize,
}

impl Counts {
    /// The counts as this member sees its ring.
    pub fn of(member: &Butterfly) -> Self {
        let counts = member.node().counts();
        Counts {
            alive: counts.alive,
            suspect: counts.suspect,
            confirmed: counts.confirmed,
            departed: counts.departed,
        }
    }

    /// All that are not Departed.
    pub fn members(&self) -> usize {
        self.alive + self.suspect + self.confirmed
    }
}

/// The rumors that the asked member holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "RumorCounts"))]
pub struct Rumors {
    pub count: usize,
    pub bytes: usize,
    /// Bytes that it may hold, `run --store-limit`.
    #[serde(default)]
    pub limit: usize,
    /// Those that it is still telling others of.
    pub hot: usize,
    /// The same at two members that hold the same.
    pub checksum: u32,
}

impl Rumors {
    /// Those of this member.
    pub fn of(member: &Butterfly) -> Self {
        let node = member.node();
        Rumors {
            count: node.rumor_count(),
            bytes: node.rumor_bytes(),
            limit: node.rumor_limit(),
            hot: node.hot_rumors(),
            checksum: node.rumor_checksum(),
        }
    }
}

/// How the asked member fares.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Status {
    pub id: String,
    pub name: String,
    /// The name of its ring, if it has one.
    #[serde(default)]
    pub ring: Option<String>,
    /// Where others reach it.
    pub address: SocketAddr,
    /// Where it listens.
    pub listening: SocketAddr,
    /// Where others hold it to be, if not at its address.
    #[serde(default)]
    pub seen_at: Option<SocketAddr>,
    pub incarnation: u64,
    pub version: String,
    /// Its clock, in UTC: `2026-11-30T12:00:00.000Z`.
    #[serde(default)]
    pub time: String,
    pub uptime_ms: u64,
    pub members: Counts,
    pub rumors: Rumors,
    /// 0 is best, 8 worst.
    pub local_health: u8,
    /// How late its loop was at most in the last 5 to 10 s, microseconds.
    #[serde(default)]
    pub loop_lag_us: u64,
    /// For how many milliseconds it has heard no other member, if it is isolated: what it says of them is as old.
    #[serde(default)]
    pub isolated_ms: Option<u64>,
    /// It is telling the others, and will end.
    pub leaving: bool,
    /// Whether its ring is sealed with a key.
    pub sealed: bool,
    /// The names of its ring keys, the one that seals first.
    pub ring_keys: Vec<String>,
    /// The ids that it ignores.
    pub blocked: Vec<String>,
    /// The peers it was told to ask, as they were written.
    pub seeds: Vec<String>,
    /// Everything it counts.
    pub counters: BTreeMap<String, u64>,
}
