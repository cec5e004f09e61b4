//! What the demo's members tell each other besides who is alive: services, a configuration, who leads.

use std::time::{Duration, Instant};

use butterfly::{Node, RumorId, RumorKind, Service, ServiceConfig, ServiceGroup};

use super::ring::Ring;
use super::{Demo, FIRST};
use crate::failure::Failure;
use crate::output::print_line;
use crate::table::span;

/// What all of them run.
const GROUP: &str = "web.default";
const PKG: &str = "demo/web/1.0.0/20260101000000";
const CONFIG: &[u8] = b"port = 8080\n";

fn group() -> Result<ServiceGroup, Failure> {
    GROUP.parse().map_err(Failure::failed)
}

impl Demo {
    /// All say what they run, and one says how it is configured.
    pub(super) fn share(&mut self) -> Result<(), Failure> {
        let (group, first) = (group()?, self.name(FIRST));
        let count = self.ring.seats().len();
        self.title(&format!(
            "2. All announce that they run a service of {group}, then {first} configures it"
        ))?;
        let start = Instant::now();
        for place in 0..count {
            announce(&mut self.ring, place, &group)?;
        }
        let services = self.watch(start, "hear of all services", |ring| {
            ring.all(|node| node.members_of(&group).count() == count)
        })?;
        let start = Instant::now();
        configure(&mut self.ring, &group)?;
        let config = self.watch(start, "hear of the configuration", |ring| {
            ring.all(|node| is_configured(node, &group))
        })?;
        self.measured
            .push((format!("{count} services are known"), None, services));
        self.measured
            .push(("a configuration is known".into(), None, config));
        print_line(&format!(
            "   All know all {count} services after {}, and the configuration after {}.",
            span(services),
            span(config)
        ))
    }

    /// The fittest becomes the leader.
    pub(super) fn elect(&mut self) -> Result<(), Failure> {
        let group = group()?;
        self.title(&format!("3. {group} elects a leader: the fittest"))?;
        let start = Instant::now();
        for place in 0..self.ring.seats().len() {
            if let Some(member) = self.ring.member(place) {
                let elects = member.start_election(RumorKind::Election, &group, place as u64);
                elects.map_err(Failure::failed)?;
            }
        }
        let took = self.watch_election(start, self.victim, "elect a leader")?;
        self.measured
            .push(("a leader is elected".into(), None, took));
        print_line(&format!(
            "   All agree on {} after {}.",
            self.name(self.victim),
            span(took)
        ))
    }

    /// The leader is dead: the next one takes its place.
    pub(super) fn elect_again(&mut self, killed: Instant) -> Result<(), Failure> {
        let next = self.victim - 1;
        let took = self.watch_election(killed, next, "elect another leader")?;
        self.measured
            .push(("another leader is elected".into(), None, took));
        print_line(&format!(
            "\n   All agree on {} as their next leader {} after {} was killed.",
            self.name(next),
            span(took),
            self.name(self.victim)
        ))
    }

    /// Who comes back is told what it forgot.
    pub(super) fn remember(&mut self, place: usize, start: Instant) -> Result<(), Failure> {
        let group = group()?;
        let took = self.watch(start, "hear of the configuration again", |ring| {
            ring.all(|node| is_configured(node, &group))
        })?;
        let name = self.name(place);
        self.measured
            .push((format!("{name} knows the configuration"), None, took));
        print_line(&format!(
            "   {name} knows the configuration again after {}.",
            span(took)
        ))
    }

    fn watch_election(
        &mut self,
        start: Instant,
        leader: usize,
        what: &str,
    ) -> Result<Duration, Failure> {
        let (group, leader) = (group()?, self.ring.seats()[leader].id);
        self.watch(start, what, |ring| {
            ring.all(|node| {
                let election = node.election(RumorKind::Election, &group);
                election.and_then(|held| held.leader()) == Some(leader)
            })
        })
    }
}

fn announce(ring: &mut Ring, place: usize, group: &ServiceGroup) -> Result<(), Failure> {
    let Some(member) = ring.member(place) else {
        return Ok(());
    };
    let mut service = Service::new(group.clone(), PKG);
    service.sys.ip = "127.0.0.1".into();
    service.sys.hostname = "localhost".into();
    member.announce(service).map_err(Failure::failed)
}

fn configure(ring: &mut Ring, group: &ServiceGroup) -> Result<(), Failure> {
    let Some(member) = ring.member(FIRST) else {
        return Ok(());
    };
    let version = member.node().next_version(&RumorId::config(group), 0);
    let version = version.map_err(Failure::failed)?;
    let config = ServiceConfig::new(group.clone(), version, CONFIG);
    member.apply_config(config).map_err(Failure::failed)
}

fn is_configured(node: &Node, group: &ServiceGroup) -> bool {
    node.rumor(&RumorId::config(group)).is_some()
}
