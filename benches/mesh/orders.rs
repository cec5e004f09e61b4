//! What members are told to do and what they are awaited to hold, as lines for those in other processes.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::str::FromStr;

use butterfly::{
    Butterfly, Health, MemberId, RumorId, RumorKind, Service, ServiceConfig, ServiceGroup,
};

/// The package of the services that elect a leader.
const PACKAGE: &str = "core/redis/7.0.0/20260101000000";
/// Bytes of a configuration.
const CONFIG: usize = 200;

/// Something to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Order {
    Join(SocketAddr),
    /// Give the group a configuration.
    Apply(ServiceGroup),
    /// Run a service of the group.
    Announce(ServiceGroup),
    /// Elect the group's leader, with this suitability.
    Elect(ServiceGroup, u64),
}

/// Something that comes true.
#[derive(Clone, Debug, PartialEq)]
pub enum Until {
    Always,
    /// So many are alive.
    Alive(usize),
    Confirmed(MemberId),
    /// The group's configuration is known.
    Config(ServiceGroup),
    /// So many run services of the group.
    Services(ServiceGroup, usize),
    Leader(ServiceGroup, MemberId),
    /// No rumor is hot any more.
    Cool,
    /// Nothing is news any more, and told with probes: after minutes in a ring of a hundred.
    Quiet,
    /// No connections are open that rumors go over.
    Closed,
}

impl Order {
    pub fn carry_out(&self, member: &mut Butterfly) -> io::Result<()> {
        let done = match self {
            Order::Join(addr) => member.join(*addr).map(drop),
            Order::Apply(group) => {
                let config = ServiceConfig::new(group.clone(), 1, vec![b'#'; CONFIG]);
                member.apply_config(config)
            }
            Order::Announce(group) => member.announce(Service::new(group.clone(), PACKAGE)),
            Order::Elect(group, suitability) => {
                member.start_election(RumorKind::Election, group, *suitability)
            }
        };
        done.map_err(io::Error::other)
    }
}

impl Until {
    pub fn holds(&self, member: &Butterfly) -> bool {
        let node = member.node();
        match self {
            Until::Always => true,
            Until::Alive(count) => node.counts().alive == *count,
            Until::Confirmed(id) => node.health_of(*id) == Some(Health::Confirmed),
            Until::Config(group) => node.rumor(&RumorId::config(group)).is_some(),
            Until::Services(group, count) => node.members_of(group).count() == *count,
            Until::Leader(group, id) => node
                .election(RumorKind::Election, group)
                .is_some_and(|election| election.leader() == Some(*id)),
            Until::Cool => node.hot_rumors() == 0,
            Until::Quiet => node.hot_rumors() == 0 && node.news() == 0,
            Until::Closed => gauge(member, "push_sockets") + gauge(member, "connections") == 0,
        }
    }
}

/// How large something of a member's gossip sockets is.
pub fn gauge(member: &Butterfly, name: &str) -> u64 {
    let stats = member.gossip_stats();
    let mut gauges = stats.iter().flat_map(|stats| stats.gauges());
    gauges
        .find(|gauge| gauge.name == name)
        .map_or(0, |gauge| gauge.now)
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Order::Join(addr) => write!(f, "join {addr}"),
            Order::Apply(group) => write!(f, "apply {group}"),
            Order::Announce(group) => write!(f, "announce {group}"),
            Order::Elect(group, suitability) => write!(f, "elect {group} {suitability}"),
        }
    }
}

impl fmt::Display for Until {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Until::Always => write!(f, "always"),
            Until::Alive(count) => write!(f, "alive {count}"),
            Until::Confirmed(id) => write!(f, "confirmed {id}"),
            Until::Config(group) => write!(f, "config {group}"),
            Until::Services(group, count) => write!(f, "services {group} {count}"),
            Until::Leader(group, id) => write!(f, "leader {group} {id}"),
            Until::Cool => write!(f, "cool"),
            Until::Quiet => write!(f, "quiet"),
            Until::Closed => write!(f, "closed"),
        }
    }
}

impl FromStr for Order {
    type Err = io::Error;

    fn from_str(line: &str) -> io::Result<Order> {
        let words: Vec<_> = line.split(' ').collect();
        Ok(match words[..] {
            ["join", addr] => Order::Join(read(addr)?),
            ["apply", group] => Order::Apply(read(group)?),
            ["announce", group] => Order::Announce(read(group)?),
            ["elect", group, suitability] => Order::Elect(read(group)?, read(suitability)?),
            _ => return Err(unknown(line)),
        })
    }
}

impl FromStr for Until {
    type Err = io::Error;

    fn from_str(line: &str) -> io::Result<Until> {
        let words: Vec<_> = line.split(' ').collect();
        Ok(match words[..] {
            ["always"] => Until::Always,
            ["alive", count] => Until::Alive(read(count)?),
            ["confirmed", id] => Until::Confirmed(read(id)?),
            ["config", group] => Until::Config(read(group)?),
            ["services", group, count] => Until::Services(read(group)?, read(count)?),
            ["leader", group, id] => Until::Leader(read(group)?, read(id)?),
            ["cool"] => Until::Cool,
            ["quiet"] => Until::Quiet,
            ["closed"] => Until::Closed,
            _ => return Err(unknown(line)),
        })
    }
}

fn read<T: FromStr>(word: &str) -> io::Result<T> {
    word.parse().map_err(|_| unknown(word))
}

fn unknown(what: &str) -> io::Error {
    io::Error::other(format!(
        "a member in its own process cannot make sense of: {what}"
    ))
}
