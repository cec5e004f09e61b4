//! The configuration, and what commands carry.

use std::time::Duration;

use super::code::{Bad, Code, Cursor, fields};
use crate::config::{NodeConfig, Timing};
use crate::event::SeedId;
use crate::member::{Member, MemberId};
use crate::ring_name::RingName;
use crate::rumor::{
    Query, Rumor, RumorKind, Service, ServiceConfig, ServiceFile, ServiceGroup, SysInfo, TagSet,
    UserEvent,
};
use crate::time::Time;
use crate::wire::{RingKey, Serial};

/// Stands for a ring key, which is in no recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeyId {
    pub name: String,
    pub sum: [u8; 16],
}

impl KeyId {
    pub fn of(key: &RingKey) -> Self {
        KeyId {
            name: key.name().to_owned(),
            sum: key.sum(),
        }
    }

    /// The key that it stands for.
    pub fn find<'k>(&self, keys: &'k [RingKey]) -> Option<&'k RingKey> {
        keys.iter().find(|key| key.sum() == self.sum)
    }
}

/// With what a node was made.
#[derive(Clone, Debug)]
pub(crate) struct Beginning {
    /// The version of the library.
    pub version: String,
    /// Since 1970, at the driver's time zero.
    pub zero: Duration,
    /// When it was made.
    pub now: Time,
    /// Without keys.
    pub config: NodeConfig,
    pub keys: Vec<KeyId>,
}

fields!(KeyId { name, sum });
fields!(Beginning {
    version,
    zero,
    now,
    config,
    keys
});
fields!(NodeConfig {
    id,
    name,
    incarnation,
    reserved,
    epoch,
    ip,
    advertise,
    swim_port,
    gossip_port,
    persistent,
    ring,
    timing,
    store_limit,
    random_seed,
} but ring_keys);
fields!(Timing {
    period,
    timeout,
    indirect_probes,
    indirect_rounds,
    suspicion_periods,
    suspicion_stretch,
    suspicion_confirmations,
    suspicion_scaled,
    witnesses,
    local_health,
    refused_suspicion,
    stall_patience,
    watch_connections,
    verdict_timeout,
    push_fanout,
    push_interval,
    push_tellings,
    news_factor,
    retry_max,
    sync_max,
    gossip_fanout,
    gossip_interval,
    gossip_factor,
    rumor_budget,
    drip,
    departed_after,
    forget_after,
    leave_grace,
    lag_tolerance,
});
fields!(Service {
    member,
    group,
    incarnation,
    initialized,
    pkg,
    cfg,
    sys,
    pkg_incarnation,
});
fields!(SysInfo {
    ip,
    hostname,
    gossip_ip,
    gossip_port,
    http_gateway_ip,
    http_gateway_port,
    ctl_gateway_ip,
    ctl_gateway_port,
});
fields!(ServiceConfig {
    group,
    incarnation,
    encrypted,
    config
});
fields!(ServiceFile {
    group,
    incarnation,
    encrypted,
    filename,
    body
});
fields!(Member {
    id,
    incarnation,
    ip,
    swim_port,
    gossip_port,
    persistent,
    departed,
});
fields!(UserEvent {
    by,
    series,
    number,
    time,
    lamport,
    ttl,
    coalesce,
    query,
    name,
    payload,
});
fields!(Query {
    id,
    timeout,
    members,
    tags
});
fields!(Serial { epoch, number });

/// What is written as its text.
macro_rules! texts {
    ($($type:ident),*) => {$(
        impl Code<'_> for $type {
            fn put(&self, out: &mut Vec<u8>) {
                self.as_str().put(out);
            }

            fn get(from: &mut Cursor<'_>) -> Result<Self, Bad> {
                <&str>::get(from)?.parse().map_err(|_| Bad)
            }
        }
    )*};
}
texts!(RingName, RumorKind, ServiceGroup);

impl Code<'_> for SeedId {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
    }

    fn get(from: &mut Cursor<'_>) -> Result<Self, Bad> {
        u32::get(from).map(SeedId)
    }
}

impl Code<'_> for TagSet {
    fn put(&self, out: &mut Vec<u8>) {
        self.iter().collect::<Vec<_>>().put(out);
    }

    fn get(from: &mut Cursor<'_>) -> Result<Self, Bad> {
        let mut tags = TagSet::new();
        for (key, value) in Vec::<(&str, &str)>::get(from)? {
            tags.insert(key, value).map_err(|_| Bad)?;
        }
        Ok(tags)
    }
}

/// A rumor that is forced. Of those that never can be, nothing is kept but that they were given.
impl Code<'_> for Rumor {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Rumor::Service(service) => {
                out.push(1);
                service.put(out);
            }
            Rumor::ServiceConfig(config) => {
                out.push(2);
                config.put(out);
            }
            Rumor::ServiceFile(file) => {
                out.push(3);
                file.put(out);
            }
            _ => out.push(0),
        }
    }

    fn get(from: &mut Cursor<'_>) -> Result<Self, Bad> {
        match from.byte()? {
            0 => Ok(Rumor::Departure(MemberId::NIL)),
            1 => Code::get(from).map(Rumor::Service),
            2 => Code::get(from).map(Rumor::ServiceConfig),
            3 => Code::get(from).map(Rumor::ServiceFile),
            _ => Err(Bad),
        }
    }
}
