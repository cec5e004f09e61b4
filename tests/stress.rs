//! A member under a flood of rumors, with its ring around it.

#![cfg(feature = "gossip")]

#[allow(dead_code)]
mod harness;
#[allow(dead_code)]
#[path = "meshes/support.rs"]
mod support;

use std::net::SocketAddr;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use butterfly::{Event, Health, Rumor, RumorId, ServiceConfig, Stats};
use harness::Mesh;
use support::{frame, gossip_addr, pusher};

const PUSHERS: usize = 4;
/// Different rumors; all others are repetitions.
const DISTINCT: usize = 10_000;
/// Bytes of a frame.
const FRAME: usize = 200;

/// A group's configuration, of which there are many different ones.
fn rumor(number: usize) -> Rumor {
    let group = format!("service-{number}.default").parse().unwrap();
    let mut config = ServiceConfig::new(group, 1, "");
    let bare = frame(&Rumor::ServiceConfig(config.clone()), None).len();
    // Beside the bytes themselves, a field's tag and length; and lengths above 127 take a byte more.
    config.config = vec![b'#'; FRAME.saturating_sub(bare + 5)];
    Rumor::ServiceConfig(config)
}

/// CPU time of this process.
fn cpu_time() -> Duration {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after = text.rsplit(") ").next().unwrap_or_default();
    let ticks = |field: usize| {
        let field = after.split(' ').nth(field);
        field.and_then(|it| it.parse::<u64>().ok()).unwrap_or(0)
    };
    // In hundredths of a second, on Linux.
    Duration::from_millis(10 * (ticks(11) + ticks(12)))
}

fn push(to: SocketAddr, frames: &[Vec<u8>], from: usize, count: usize) -> JoinHandle<zmq::Socket> {
    let frames = frames.to_vec();
    thread::spawn(move || {
        let socket = pusher(to);
        for number in (from..count).step_by(PUSHERS) {
            socket.send(&frames[number % frames.len()][..], 0).unwrap();
        }
        socket
    })
}

fn flood(count: usize) {
    let frames: Vec<_> = (0..DISTINCT.min(count))
        .map(|number| frame(&rumor(number), None))
        .collect();
    let sizes = frames.iter().map(Vec::len);
    assert!(
        sizes.clone().all(|len| len.abs_diff(FRAME) <= 5),
        "{:?}",
        sizes.min()
    );
    let mut mesh = Mesh::meshed("flood", 3);
    mesh.set_tracing(false);
    let (mark, to) = (mesh.mark(), gossip_addr(&mesh, 0));
    let (began, cpu) = (Instant::now(), cpu_time());
    let pushers: Vec<_> = (0..PUSHERS)
        .map(|from| push(to, &frames, from, count))
        .collect();
    let received = |mesh: &Mesh| mesh.get(0).node().stats().rumors_received;
    mesh.await_for(Duration::from_secs(300), "all came", |mesh| {
        received(mesh) >= count as u64
    });
    let (seconds, cpu) = (began.elapsed().as_secs_f64(), cpu_time() - cpu);
    println!(
        "{count} rumors of {FRAME} bytes through one member of three, one thread: {seconds:.2} s, \
         {:.0} a second, {:.2} CPU seconds a million, senders included",
        count as f64 / seconds,
        cpu.as_secs_f64() * 1e6 / count as f64
    );
    let sockets: Vec<_> = pushers
        .into_iter()
        .map(|pusher| pusher.join().unwrap())
        .collect();
    mesh.await_condition("none is lost or stuck", |mesh| {
        let sum = |count: fn(&Stats) -> u64| {
            let each = (0..3).map(|place| count(mesh.get(place).node().stats()));
            each.sum::<u64>()
        };
        let hot = |place| mesh.get(place).node().hot_rumors();
        // Beside the flood, there is what the three tell each other.
        sum(|stats| stats.rumors_received) == count as u64 + sum(|stats| stats.rumors_sent)
            && (0..3).all(|place| hot(place) == 0)
    });
    drop(sockets);
    let held = (0..frames.len()).map(|number| rumor(number).id());
    let held: Vec<RumorId> = held.collect();
    mesh.await_condition("all three hold all", |mesh| {
        let sum = |place| mesh.get(place).node().rumor_checksum();
        mesh.get(0).node().rumor_count() == frames.len() && sum(0) == sum(1) && sum(1) == sum(2)
    });
    assert!(held.iter().all(|id| mesh.get(2).node().rumor(id).is_some()));
    assert_eq!(mesh.get(0).node().stats().rejected_total(), 0);
    for place in 0..3 {
        for event in mesh.events_since(&mark, place) {
            let suspected =
                matches!(event, Event::MemberChanged { to, .. } if *to != Health::Alive);
            assert!(!suspected, "{event:?}");
        }
    }
}

#[test]
fn a_million_rumors_go_through_a_member_and_nobody_is_suspected() {
    flood(1_000_000);
}
