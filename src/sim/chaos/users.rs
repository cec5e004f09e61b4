//! What the users of a ring do while it storms: services come and go, configurations and files change, leaders
//! are elected.

use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;

use crate::member::Health;
use crate::rumor::{
    RumorKind, Service, ServiceConfig, ServiceFile, ServiceGroup, TagSet, UserEvent,
};
use crate::sim::{Index, Sim};

/// The groups that there are.
const GROUPS: [&str; 3] = ["web.default", "db.default", "cache.default@acme"];

/// All groups.
pub(super) fn groups() -> impl Iterator<Item = ServiceGroup> {
    GROUPS.iter().filter_map(|group| group.parse().ok())
}

fn some_group(rng: &mut StdRng) -> Option<ServiceGroup> {
    GROUPS[rng.random_range(0..GROUPS.len())].parse().ok()
}

/// Somebody does something at this member. What is refused is refused: the ring has to stay in one piece.
pub(super) fn act(sim: &mut Sim, member: Index, step: u64, rng: &mut StdRng) {
    let Some(group) = some_group(rng) else { return };
    match rng.random_range(0..13) {
        0..=3 => announce(sim, member, group, step),
        4 => {
            let _ = sim.command(member, |node, now| node.withdraw(now, &group));
        }
        // Now and then two give the same incarnation different contents.
        5 | 6 => configure(sim, member, group, step / 2),
        7 => upload(sim, member, group, step, rng),
        8 => tag(sim, member, step),
        9 => forget(sim, member),
        10 => send_event(sim, member, rng),
        _ => elect(sim, member, &group, rng),
    }
}

fn announce(sim: &mut Sim, member: Index, group: ServiceGroup, step: u64) {
    let service = Service {
        member: sim.id(member),
        group,
        incarnation: 0,
        initialized: step.is_multiple_of(2),
        pkg: format!("acme/thing/1.0.{step}/20260101000000"),
        cfg: Vec::new(),
        sys: Default::default(),
        pkg_incarnation: step,
    };
    let _ = sim.command(member, |node, now| node.announce(now, service));
}

/// Has the ring forget all that this member holds dead.
fn forget(sim: &mut Sim, member: Index) {
    let members = sim.node(member).members();
    let dead = members.filter(|view| view.health >= Health::Confirmed);
    let dead: Vec<_> = dead.map(|view| view.member.id).collect();
    let _ = sim.command(member, |node, now| node.forget(now, &dead));
}

/// Gives a member tags; now and then the same again, or none.
fn tag(sim: &mut Sim, member: Index, step: u64) {
    let mut tags = TagSet::new();
    for key in ["role", "zone"].iter().take(step as usize % 3) {
        let _ = tags.insert(*key, (step / 2).to_string());
    }
    let _ = sim.command(member, |node, now| node.set_tags(now, tags));
}

/// Tells all something, now and then a lot of it.
fn send_event(sim: &mut Sim, member: Index, rng: &mut StdRng) {
    let large = rng.random_bool(0.1);
    let mut event = UserEvent::new("deploy", vec![7; if large { 20_000 } else { 20 }]);
    event.ttl = Duration::from_secs(rng.random_range(1..30));
    event.coalesce = rng.random_bool(0.2);
    let _ = sim.command(member, |node, now| node.send_event(now, event));
}

/// Gives a group a configuration.
pub(super) fn configure(sim: &mut Sim, member: Index, group: ServiceGroup, incarnation: u64) {
    let config = ServiceConfig {
        group,
        incarnation,
        encrypted: false,
        config: format!("by = {member}").into_bytes(),
    };
    let _ = sim.command(member, |node, now| node.apply_config(now, config));
}

fn upload(sim: &mut Sim, member: Index, group: ServiceGroup, step: u64, rng: &mut StdRng) {
    let file = ServiceFile {
        group,
        incarnation: step,
        encrypted: false,
        filename: format!("file-{}", rng.random_range(0..3)),
        body: vec![step as u8; rng.random_range(0..20_000)],
    };
    let _ = sim.command(member, |node, now| node.apply_file(now, file));
}

fn elect(sim: &mut Sim, member: Index, group: &ServiceGroup, rng: &mut StdRng) {
    let kind = if rng.random_bool(0.7) {
        RumorKind::Election
    } else {
        RumorKind::ElectionUpdate
    };
    let suitability = rng.random_range(0..3);
    let _ = sim.command(member, |node, now| {
        node.start_election(now, kind, group, suitability)
    });
}
