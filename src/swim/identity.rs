//! What this member is: its ring, where others reach it, which incarnations it may use, whether it leaves.

use std::net::IpAddr;

use super::address::is_somewhere;
use super::home::Home;
use super::leave::Leave;
use super::marks::Marks;
use super::whereabouts::Whereabouts;
use crate::config::NodeConfig;
use crate::member::MemberId;
use crate::time::Time;

#[derive(Hash)]
pub(super) struct Identity {
    pub home: Home,
    pub leave: Leave,
    pub marks: Marks,
    /// The ring has a key.
    pub sealed: bool,
    /// Whether its address is known, so that its record may go into memberships.
    pub addressed: bool,
    /// Whether that address was given, so that nobody else's view of it counts.
    pub advertised: bool,
    /// It listens at one address and says no other: others hardly have to tell it where they see it.
    pub placed: bool,
    pub whereabouts: Whereabouts,
    /// No ProbePing raises its incarnation before then.
    pub next_probe_ping: Time,
    /// It takes no new id before then, unless it has to.
    pub next_renewal: Time,
    /// Its new id, which is still to be stored.
    pub renewed: Option<MemberId>,
}

impl Identity {
    pub fn new(config: &NodeConfig, now: Time) -> Self {
        let is_known = address_in(config).is_some();
        Identity {
            home: Home::new(config.ring.as_ref(), usable(config.advertise)),
            leave: Leave::Not,
            marks: Marks::new(config.reserved),
            sealed: !config.ring_keys.is_empty(),
            addressed: is_known,
            advertised: is_known,
            placed: config.advertise.is_none() && usable(config.ip).is_some(),
            whereabouts: Whereabouts::default(),
            next_probe_ping: now,
            next_renewal: now,
            renewed: None,
        }
    }
}

/// Where others reach this member, if its configuration says so.
pub(super) fn address_in(config: &NodeConfig) -> Option<IpAddr> {
    usable(config.advertise).or(usable(config.ip))
}

/// An address that is told others, if they can reach a host there.
fn usable(ip: Option<IpAddr>) -> Option<IpAddr> {
    let ip = ip.map(|ip| ip.to_canonical());
    ip.filter(|ip| is_somewhere(*ip))
}
