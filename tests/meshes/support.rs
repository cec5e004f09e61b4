//! What rumors the tests make, and what members hold of them.

use std::net::SocketAddr;

use butterfly::{
    Event, MemberId, RingKey, Rumor, RumorId, RumorKind, Service, ServiceConfig, ServiceFile,
    ServiceGroup, wire,
};

use crate::harness::{Mesh, PATIENCE};

pub fn group() -> ServiceGroup {
    "redis.default".parse().unwrap()
}

pub fn service() -> Service {
    let mut service = Service::new(group(), "core/redis/7.0.0/20260101000000");
    service.cfg = b"port = 6379".to_vec();
    service
}

pub fn config(incarnation: u64) -> ServiceConfig {
    ServiceConfig::new(group(), incarnation, format!("incarnation = {incarnation}"))
}

pub fn file(name: &str, bytes: usize) -> ServiceFile {
    let body: Vec<u8> = (0..bytes).map(|at| (at % 251) as u8).collect();
    ServiceFile::new(group(), 1, name, body)
}

pub fn key(byte: u8) -> RingKey {
    RingKey::new("ring", "20260101000000", [byte; 32]).unwrap()
}

/// What a member holds under this id.
pub fn held(mesh: &Mesh, place: usize, id: &RumorId) -> Option<Rumor> {
    mesh.get(place).node().rumor(id)?.rumor()
}

/// Whether each of these members holds exactly this.
pub fn all_have(mesh: &Mesh, places: &[usize], rumor: &Rumor) -> bool {
    let id = rumor.id();
    places
        .iter()
        .all(|&place| held(mesh, place, &id).as_ref() == Some(rumor))
}

/// Whether these members hold the same rumors.
pub fn same(mesh: &Mesh, places: &[usize]) -> bool {
    let sum = |&place: &usize| {
        let node = mesh.get(place).node();
        (node.rumor_count(), node.rumor_checksum())
    };
    places.windows(2).all(|pair| sum(&pair[0]) == sum(&pair[1]))
}

/// Where a member's PULL socket is.
pub fn gossip_addr(mesh: &Mesh, place: usize) -> SocketAddr {
    let port = mesh.get(place).node().me().member.gossip_port;
    SocketAddr::new(mesh.addr(place).ip(), port)
}

/// A PUSH socket as another program has it.
pub fn pusher(to: SocketAddr) -> zmq::Socket {
    let socket = zmq::Context::new().socket(zmq::PUSH).unwrap();
    socket.set_linger(0).unwrap();
    socket.set_ipv6(to.is_ipv6()).unwrap();
    socket.set_sndtimeo(PATIENCE.as_millis() as i32).unwrap();
    socket.connect(&format!("tcp://{to}")).unwrap();
    socket
}

/// A rumor as it is pushed.
pub fn frame(rumor: &Rumor, key: Option<&RingKey>) -> Vec<u8> {
    let payload = wire::encode_rumor(rumor, &MemberId::from_bytes([0xab; 16]).to_string());
    let mut frame = Vec::new();
    wire::seal_into(key.map(|key| (key, [7; 24])), &payload.bytes, &mut frame);
    frame
}

/// All announce their service, and all hold all of them.
pub fn announce_all(mesh: &mut Mesh) {
    let places = mesh.running();
    for &place in &places {
        mesh.get_mut(place).announce(service()).unwrap();
    }
    mesh.await_condition("all know all services", |mesh| {
        let services = |place| mesh.get(place).node().members_of(&group()).count();
        places.iter().all(|&place| services(place) == places.len())
    });
}

/// The leader by the view of all of these, with the term, if they agree.
pub fn leader(mesh: &Mesh, places: &[usize]) -> Option<(MemberId, u64)> {
    let mut agreed = None;
    for &place in places {
        let view = mesh.get(place).node();
        let view = view.election(RumorKind::Election, &group())?;
        let led = (view.leader()?, view.election.term);
        if *agreed.get_or_insert(led) != led {
            return None;
        }
    }
    agreed
}

/// Those whose place is higher are fitter; all agree on who leads.
pub fn elect(mesh: &mut Mesh) -> (MemberId, u64) {
    announce_all(mesh);
    let places = mesh.running();
    for &place in &places {
        mesh.get_mut(place)
            .start_election(RumorKind::Election, &group(), place as u64)
            .unwrap();
    }
    mesh.await_condition("all agree on a leader", |mesh| {
        leader(mesh, &places).is_some()
    });
    leader(mesh, &places).unwrap()
}

/// How often a member told of this.
pub fn told(mesh: &Mesh, place: usize, what: impl Fn(&Event) -> bool) -> usize {
    mesh.events(place).filter(|event| what(event)).count()
}
