//! What is left of members that are dropped: nothing.

use std::path::Path;
use std::time::{Duration, Instant};

use butterfly::limits::GOSSIP_LINGER;
use butterfly::{Event, Service, ServiceConfig, ServiceGroup};

use crate::alone;
use crate::harness::Mesh;
use crate::process::{Descriptors, contexts, threads};

const MEMBERS: usize = 8;

/// How long dropping one may take: what it told last may linger, and the machine may be busy.
const SOON: Duration = GOSSIP_LINGER.saturating_add(Duration::from_secs(1));

/// What of members shows in the system.
type Traces = (Descriptors, usize, usize);

fn traces() -> Traces {
    (Descriptors::count(), contexts(), threads("butterfly-disk"))
}

/// Members that are connected to each other, one with a data directory and something that it is about to tell.
fn busy(name: &'static str, data_dir: &Path) -> Mesh {
    let mut mesh = Mesh::start(name, MEMBERS - 1);
    let told = mesh.add(|config| config.data_dir = Some(data_dir.to_owned()));
    mesh.mesh();
    mesh.await_agreement();
    let group: ServiceGroup = "redis.default".parse().unwrap();
    for place in mesh.running() {
        let service = Service::new(group.clone(), "acme/redis");
        mesh.get_mut(place).announce(service).unwrap();
    }
    mesh.await_condition("all know all services", |mesh| {
        let known = |place: usize| mesh.get(place).node().rumor_count();
        let mut places = mesh.running().into_iter();
        places.all(|place| known(place) == MEMBERS)
    });
    let (descriptors, contexts, disks) = traces();
    assert!(descriptors.connections >= MEMBERS, "{descriptors:?}");
    let own_threads = if cfg!(feature = "zmq") { MEMBERS } else { 0 };
    assert_eq!((contexts, disks), (own_threads, 1));
    let config = ServiceConfig::new(group, 1, "port = 6379");
    mesh.get_mut(told).apply_config(config).unwrap();
    mesh
}

/// Drops one after the other, while nobody drives the rest.
fn drop_all(mut mesh: Mesh) {
    for place in mesh.running() {
        let began = Instant::now();
        mesh.kill(place);
        let took = began.elapsed();
        assert!(took < SOON, "dropping number {place} took {took:?}");
    }
}

/// The kernel may take a moment.
fn await_as_before(before: Traces) {
    let began = Instant::now();
    while traces() != before {
        let left = traces();
        assert!(began.elapsed() < SOON, "{left:?} instead of {before:?}");
        std::thread::yield_now();
    }
}

#[test]
fn dropping_at_once_closes_everything() {
    let _alone = alone();
    let (before, data_dir) = (traces(), tempfile::tempdir().unwrap());
    drop_all(busy("dropped", data_dir.path()));
    await_as_before(before);
}

#[test]
fn dropping_after_leaving_closes_everything() {
    let _alone = alone();
    let (before, data_dir) = (traces(), tempfile::tempdir().unwrap());
    let mut mesh = busy("left", data_dir.path());
    for place in mesh.running() {
        mesh.leave(place);
    }
    mesh.await_condition("all have left", |mesh| {
        let left = |place| mesh.events(place).any(|event| *event == Event::Left);
        mesh.running().into_iter().all(left)
    });
    drop_all(mesh);
    await_as_before(before);
}
