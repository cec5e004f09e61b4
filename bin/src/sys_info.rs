//! Where the services of a running member can be reached, as far as the program knows.

use butterfly::SysInfo;

use crate::agent::Agent;

/// To be announced with a service.
pub fn of(agent: &Agent) -> SysInfo {
    let me = agent.member.node().me().member;
    let gateway = agent.gateway;
    SysInfo {
        ip: me.ip.to_string(),
        hostname: host_name(),
        gossip_ip: me.ip.to_string(),
        gossip_port: me.gossip_port.into(),
        http_gateway_ip: gateway.map_or_else(String::new, |addr| addr.ip().to_string()),
        http_gateway_port: gateway.map_or(0, |addr| addr.port().into()),
        // There is no such gateway.
        ctl_gateway_ip: String::new(),
        ctl_gateway_port: 0,
    }
}

fn host_name() -> String {
    let uname = rustix::system::uname();
    uname.nodename().to_string_lossy().into_owned()
}
