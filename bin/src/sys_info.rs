//! Where the services of a running member can be reached, as far as the program knows.

use butterfly::SysInfo;

use crate::agent::Agent;

/// To be announced with a service.
pub fn of(agent: &Agent) -> SysInfo {
    let me = agent.member.node().me().member;
    let mut sys = SysInfo::default();
    sys.ip = me.ip.to_string();
    sys.hostname = host_name();
    sys.gossip_ip = me.ip.to_string();
    sys.gossip_port = me.gossip_port.into();
    if let Some(addr) = agent.gateway {
        sys.http_gateway_ip = addr.ip().to_string();
        sys.http_gateway_port = addr.port().into();
    }
    // There is no control gateway.
    sys
}

fn host_name() -> String {
    let uname = rustix::system::uname();
    uname.nodename().to_string_lossy().into_owned()
}
