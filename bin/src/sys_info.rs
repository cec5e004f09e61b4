//! Where the services of a running member can be reached, as far as the program knows.

use butterfly::{Rumor, RumorKind, Service, SysInfo};
use log::{info, warn};

use crate::address::Place;
use crate::agent::Agent;

/// To be announced with a service.
pub fn of(agent: &Agent) -> SysInfo {
    let me = agent.member.node().me().member;
    let mut sys = SysInfo::default();
    sys.ip = me.ip.to_string();
    sys.hostname = host_name();
    sys.gossip_ip = me.ip.to_string();
    sys.gossip_port = me.gossip_port.into();
    if let Some(Place::At(addr)) = agent.gateway {
        let ip = if addr.ip().is_unspecified() {
            me.ip
        } else {
            addr.ip()
        };
        sys.http_gateway_ip = ip.to_string();
        sys.http_gateway_port = addr.port().into();
    }
    // There is no control gateway.
    sys
}

/// What this member's services say of where they are follows where that is: they may be from its disk, or from before its
/// address changed.
pub fn renew(agent: &mut Agent) {
    let node = agent.member.node();
    if node.me().member.ip.is_unspecified() || agent.is_leaving() {
        return;
    }
    let (sys, id) = (of(agent), node.id());
    let is_stale =
        |service: &Service| service.member == id && service.sys != sys && !service.is_withdrawn();
    let own = node
        .rumors_of(RumorKind::Service)
        .filter(|view| *view.id.id == *id.to_string());
    let services = own.filter_map(|view| match view.rumor()? {
        Rumor::Service(service) => Some(service).filter(is_stale),
        _ => None,
    });
    for mut service in services.collect::<Vec<_>>() {
        (service.sys, service.incarnation) = (sys.clone(), 0);
        let group = service.group.clone();
        match agent.member.announce(service) {
            Ok(()) => info!("its service of {group} says where this member is now"),
            Err(error) => warn!("its service of {group} says where this member was: {error}"),
        }
    }
}

fn host_name() -> String {
    let uname = rustix::system::uname();
    uname.nodename().to_string_lossy().into_owned()
}
