//! A ring on real sockets, under faults: every member is recorded, and comes to the same when it is replayed.

#![cfg(all(feature = "gossip", feature = "disk"))]

#[allow(dead_code)]
mod harness;

use std::collections::BTreeMap;
use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use butterfly::node::{Replay, ReplayError, Step};
use butterfly::recording::End;
use butterfly::{Event, Health, Recording, RingKey, Service, ServiceConfig, ServiceFile, TagSet};
use harness::Mesh;

fn key(number: u8) -> RingKey {
    RingKey::new("ring", &format!("2026010100000{number}"), [number; 32]).unwrap()
}

struct Played {
    events: Vec<Event>,
    marks: u64,
    ended: Option<End>,
}

fn play(file: &Path, keys: &[RingKey]) -> Result<Played, ReplayError> {
    let mut replay = Replay::new(keys.to_vec());
    replay.feed(&fs::read(file).unwrap());
    let (mut events, mut ended) = (Vec::new(), None);
    loop {
        match replay.step()? {
            Step::Event(Event::SeedDue { .. }) => {}
            Step::Event(event) => events.push(event),
            Step::Ended(why) => ended = Some(why),
            Step::Starved => break,
            _ => {}
        }
    }
    replay.finish()?;
    let marks = replay.marks();
    Ok(Played {
        events,
        marks,
        ended,
    })
}

/// Passes on what comes to this socket to a member, and its answers, but loses each third datagram.
fn lose(front: UdpSocket, member: SocketAddr) {
    let front = Arc::new(front);
    let lossy = move || {
        let mut ways: BTreeMap<SocketAddr, UdpSocket> = BTreeMap::new();
        let (mut buf, mut count) = ([0; 65_536], 0_u64);
        while let Ok((len, from)) = front.recv_from(&mut buf) {
            let way = ways.entry(from).or_insert_with(|| {
                let way = UdpSocket::bind("127.0.0.1:0").unwrap();
                let (back, front) = (way.try_clone().unwrap(), Arc::clone(&front));
                thread::spawn(move || {
                    let mut buf = [0; 65_536];
                    // A member that ended refuses: that is no end of the way.
                    loop {
                        if let Ok(len) = back.recv(&mut buf) {
                            let _ = front.send_to(&buf[..len], from);
                        }
                    }
                });
                way
            });
            count += 1;
            if !count.is_multiple_of(3) {
                let _ = way.send_to(&buf[..len], member);
            }
        }
    };
    thread::spawn(lossy);
}

#[test]
fn every_member_of_a_ring_under_faults_comes_to_the_same_when_it_is_replayed() {
    let dir = tempfile::tempdir().unwrap();
    let mut mesh = Mesh::new("recorded");
    let data = tempfile::tempdir().unwrap();
    let file = |place: usize| dir.path().join(format!("{place}.rec"));
    let recorded = |place: usize| Some(Recording::new(file(place)));
    let front = UdpSocket::bind("127.0.0.1:0").unwrap();
    for place in 0..5 {
        mesh.add(|config| {
            config.ring_keys = vec![key(1)];
            config.recording = recorded(place);
            if place == 3 {
                config.data_dir = Some(data.path().to_owned());
            }
            if place == 4 {
                config.advertise = Some(front.local_addr().unwrap());
                config.gossip_port = Some(0);
            }
        });
    }
    lose(front, mesh.get(4).local_addr());
    mesh.mesh();
    mesh.await_agreement();

    // What users do.
    let group: butterfly::ServiceGroup = "redis.default".parse().unwrap();
    let service = Service::new(group.clone(), "core/redis/7.0.0/20260101000000");
    let mut tags = TagSet::new();
    tags.insert("zone", "eu").unwrap();
    mesh.get_mut(0).set_tags(tags).unwrap();
    mesh.get_mut(1).announce(service.clone()).unwrap();
    mesh.get_mut(3).announce(service).unwrap();
    let config = ServiceConfig::new(group.clone(), 1, "port = 1");
    mesh.get_mut(2).apply_config(config.clone()).unwrap();
    mesh.get_mut(2).apply_config(config).unwrap_err();
    let large = ServiceFile::new(group.clone(), 1, "large", vec![7; 300_000]);
    mesh.get_mut(0).apply_file(large).unwrap();
    mesh.await_condition("those hold the file who hear all", |mesh| {
        let id = butterfly::RumorId::file(&"redis.default".parse().unwrap(), "large");
        (0..4).all(|place| mesh.get(place).node().rumor(&id).is_some())
    });
    mesh.get_mut(1)
        .start_election(butterfly::RumorKind::Election, &group, 5)
        .unwrap();
    // The keys change, and strangers speak.
    for place in 0..5 {
        mesh.get_mut(place).set_ring_keys(vec![key(1), key(2)]);
    }
    for place in 0..5 {
        mesh.get_mut(place).set_ring_keys(vec![key(2), key(1)]);
    }
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    for junk in [&b"junk"[..], &[0x0a, 0xff], &[7; 2_000]] {
        stranger.send_to(junk, mesh.addr(0)).unwrap();
    }

    // What goes wrong.
    let events_of_3 = |mesh: &Mesh| {
        let all = mesh
            .events(3)
            .filter(|it| !matches!(it, Event::SeedDue { .. }));
        all.cloned().collect::<Vec<_>>()
    };
    mesh.kill(3);
    let before = events_of_3(&mesh);
    mesh.await_condition("the killed one is dead", |mesh| {
        mesh.all_hold(&[0, 1, 2, 4], 3, Health::Confirmed)
    });
    mesh.pause(2);
    mesh.await_condition("the paused one is suspect", |mesh| {
        mesh.health(0, 2) >= Some(Health::Suspect)
    });
    mesh.resume(2);
    mesh.restart(3, |config| {
        config.ring_keys = vec![key(2), key(1)];
        config.data_dir = Some(data.path().to_owned());
        config.recording = recorded(3);
    });
    mesh.join(3, 0);
    mesh.await_agreement();
    // The machine stands still.
    thread::sleep(Duration::from_millis(300));
    mesh.block(0, 1);
    mesh.unblock(0, 1);
    mesh.await_agreement();
    mesh.leave(1);
    mesh.await_condition("it has left", |mesh| {
        mesh.all_hold(&[0, 2, 3, 4], 1, Health::Departed)
    });
    let seen: Vec<Vec<Event>> = (0..5)
        .map(|place| match place {
            3 => events_of_3(&mesh).split_off(before.len()),
            place => {
                let all = mesh.events(place);
                let all = all.filter(|it| !matches!(it, Event::SeedDue { .. }));
                all.cloned().collect()
            }
        })
        .collect();
    drop(mesh);

    for (place, seen) in seen.iter().enumerate() {
        let played = play(&file(place), &[key(2), key(1)])
            .unwrap_or_else(|error| panic!("{place}: {error}"));
        assert_eq!(played.ended, Some(End::Finished), "{place}");
        // What happens at the very end is taken by nobody.
        assert_eq!(&played.events, seen, "{place}");
        assert!(played.marks >= 1, "{place}: {}", played.marks);
        let bytes = fs::read(file(place)).unwrap();
        for number in [1, 2] {
            assert!(
                !bytes.windows(32).any(|there| there == [number; 32]),
                "{place}: a key"
            );
        }
        let mode = fs::metadata(file(place)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    // The one that was killed: what is recorded anew takes nothing away.
    let killed = play(&dir.path().join("3.rec.old"), &[key(1), key(2)]).unwrap();
    assert_eq!(killed.events, before);
    let missing = play(&file(0), &[key(2)]).map(|it| it.marks).unwrap_err();
    let name = key(1).name().to_owned();
    assert_eq!(missing, ReplayError::MissingKey { name });
}
