//! Damaged files: each is noticed and kept aside, and nothing in them reaches a member that lives.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use butterfly::disk::{DataDir, Section, Snapshot};
use butterfly::rumor::{RumorKind, Service, ServiceConfig, ServiceFile, ServiceGroup};
use butterfly::sim::{Index, Sim, SimConfig, id_of};
use butterfly::{Incarnation, MemberId};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

const MEMBERS: usize = 5;
/// The member whose disk is damaged.
const VICTIM: Index = 2;
/// Of each kind.
const DAMAGES: u64 = 80;
/// What a file system loses at once.
const PAGE: usize = 4_096;

fn group() -> ServiceGroup {
    "redis.default".parse().unwrap()
}

/// A ring with a service on each member, configurations, files, and departures: some pages of a snapshot.
fn ring() -> Sim {
    let mut sim = Sim::new(SimConfig::new(1));
    sim.start_ring(MEMBERS);
    assert!(sim.run_until(Duration::from_secs(60), Sim::all_agree));
    for member in 0..MEMBERS {
        let mut service = Service::new(group(), "core/redis/4.0.14/20200101000000");
        service.cfg = b"port = 6379\n".to_vec();
        sim.command(member, |node, now| {
            node.announce(now, service).unwrap();
            let file = format!("file-{member}");
            let file = ServiceFile::new(group(), 1, file, vec![b'x'; 2_000]);
            node.apply_file(now, file).unwrap();
            let id = MemberId::from_bytes([100 + member as u8; 16]);
            node.depart(now, id).unwrap();
        });
    }
    apply(&mut sim, 1);
    sim
}

/// Gives the group this version of its configuration, and lets all hear of it.
fn apply(sim: &mut Sim, version: u64) {
    let config = ServiceConfig::new(group(), version, format!("port = {}", 6_380 + version));
    sim.command(0, |node, now| node.apply_config(now, config).unwrap());
    sim.run_for(Duration::from_secs(10));
    assert!(sim.same_rumors());
}

/// What a member holds, bytewise.
fn held(sim: &Sim, member: Index) -> BTreeSet<Vec<u8>> {
    let rumors = sim.node(member).rumors();
    rumors.map(|view| view.bytes().to_vec()).collect()
}

/// The member's snapshot, as the program writes it.
fn snapshot(sim: &Sim) -> Snapshot {
    let mut snapshot = Snapshot::new();
    for view in sim.node(VICTIM).rumors() {
        let section = match view.id.kind {
            RumorKind::Service => Section::Service,
            RumorKind::ServiceConfig => Section::ServiceConfig,
            RumorKind::ServiceFile => Section::ServiceFile,
            RumorKind::Departure => Section::Departure,
            other => panic!("{other:?}"),
        };
        snapshot.push(section, view.bytes());
    }
    snapshot.stamp();
    snapshot
}

/// A data directory with the member's snapshot in it, and the snapshot's path.
fn disk(sim: &Sim, dir: &Path) -> PathBuf {
    let (mut data, _) = DataDir::open(dir, None, id_of(VICTIM)).unwrap();
    data.store_snapshot(snapshot(sim));
    drop(data);
    dir.join(format!("{}.rst", id_of(VICTIM)))
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    PathBuf::from(format!("{}{ending}", path.display()))
}

/// The member starts again with what its disk gives it; how many rumors that are.
fn restart(sim: &mut Sim, dir: &Path, incarnation: u64) -> usize {
    let (data, _) = DataDir::open(dir, None, id_of(VICTIM)).unwrap();
    let snapshot = data.load_snapshot().unwrap().unwrap_or_default();
    sim.crash(VICTIM);
    sim.restart(VICTIM, Incarnation::new(incarnation * 100).unwrap());
    sim.command(VICTIM, |node, _| {
        for section in Section::ALL {
            for message in snapshot.messages(section) {
                let _ = node.restore_rumor(message);
            }
        }
    });
    let restored = sim.node(VICTIM).rumor_count();
    sim.join(VICTIM, 0);
    restored
}

/// After a while all hold this, and nothing else.
fn all_hold(sim: &mut Sim, expected: &BTreeSet<Vec<u8>>) -> bool {
    let so = |sim: &Sim| (0..MEMBERS).all(|member| held(sim, member) == *expected);
    let came = sim.run_until(Duration::from_secs(10), so);
    sim.run_for(Duration::from_secs(3));
    came && so(sim) && sim.same_rumors()
}

type Damage = fn(&mut Vec<u8>, &mut StdRng);

#[allow(clippy::ptr_arg)] // All kinds are of one type.
fn flip(bytes: &mut Vec<u8>, rng: &mut StdRng) {
    let at = rng.random_range(0..bytes.len());
    bytes[at] ^= 1 << rng.random_range(0..8);
}

fn truncate(bytes: &mut Vec<u8>, rng: &mut StdRng) {
    bytes.truncate(rng.random_range(0..bytes.len()));
}

#[allow(clippy::ptr_arg)]
fn zero_a_page(bytes: &mut Vec<u8>, rng: &mut StdRng) {
    let pages = bytes.len().div_ceil(PAGE);
    let first = rng.random_range(0..pages) * PAGE;
    let end = bytes.len().min(first + PAGE);
    bytes[first..end].fill(0);
}

/// Two of one section, each whole.
fn swap_records(bytes: &mut Vec<u8>, rng: &mut StdRng) {
    let before = Snapshot::read(bytes).unwrap();
    let sections = [Section::Service, Section::ServiceFile, Section::Departure];
    let swapped = sections[rng.random_range(0..sections.len())];
    let one = rng.random_range(0..MEMBERS);
    let other = (one + rng.random_range(1..MEMBERS)) % MEMBERS;
    let mut after = Snapshot::new();
    for section in Section::ALL {
        let mut messages = before.messages(section).to_vec();
        if section == swapped {
            messages.swap(one, other);
        }
        messages.into_iter().for_each(|it| after.push(section, it));
    }
    bytes.clear();
    after.write_to(bytes).unwrap();
}

/// With a checksum beside it: whatever happened to the file, it is kept aside, and the member gets all from the others.
#[test]
fn damages_are_noticed_and_none_spreads() {
    let mut sim = ring();
    let expected = held(&sim, 0);
    let kinds: [(&str, Damage); 4] = [
        ("a flipped bit", flip),
        ("truncation", truncate),
        ("a zeroed page", zero_a_page),
        ("two records swapped", swap_records),
    ];
    let template = tempfile::tempdir().unwrap();
    let whole = fs::read(disk(&sim, template.path())).unwrap();
    assert!(whole.len() > 2 * PAGE);
    let mut starts = 0;
    for (kind, damage) in kinds {
        for seed in 0..DAMAGES {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join(format!("{}.rst", id_of(VICTIM)));
            for entry in fs::read_dir(template.path()).unwrap() {
                let entry = entry.unwrap();
                fs::copy(entry.path(), dir.path().join(entry.file_name())).unwrap();
            }
            let mut bytes = whole.clone();
            damage(&mut bytes, &mut StdRng::seed_from_u64(seed));
            assert_ne!(bytes, whole, "{kind} {seed}");
            fs::write(&path, &bytes).unwrap();
            starts += 1;
            assert_eq!(restart(&mut sim, dir.path(), starts), 0, "{kind} {seed}");
            assert_eq!(fs::read(beside(&path, ".bad-1")).unwrap(), bytes);
            assert!(!path.exists());
            assert!(all_hold(&mut sim, &expected), "{kind} {seed}");
        }
    }
    assert_eq!(sim.violations(), []);
}

/// The snapshot of an hour ago is whole, and so is its checksum. But the ring has gone on since.
#[test]
fn the_file_of_an_hour_ago_outdoes_nobody() {
    let mut sim = ring();
    let dir = tempfile::tempdir().unwrap();
    for turn in 1..=DAMAGES {
        let path = disk(&sim, dir.path());
        let files = [path.clone(), beside(&path, ".sum")];
        let old = files.clone().map(|file| fs::read(file).unwrap());
        let version = turn + 1;
        apply(&mut sim, version);
        let expected = held(&sim, 0);
        disk(&sim, dir.path());
        for (file, content) in files.iter().zip(old) {
            assert_ne!(fs::read(file).unwrap(), content);
            fs::write(file, content).unwrap();
        }
        assert_eq!(restart(&mut sim, dir.path(), turn), expected.len());
        assert_ne!(held(&sim, VICTIM), expected);
        assert!(all_hold(&mut sim, &expected), "{turn}");
        assert!(!beside(&path, ".bad-1").exists());
    }
    assert_eq!(sim.violations(), []);
}

/// Nothing says that the file is damaged, so it is restored; and still no living copy is outdone.
#[test]
fn without_a_checksum_no_damaged_content_outdoes_a_living_copy() {
    let mut sim = ring();
    let expected = held(&sim, 0);
    let dir = tempfile::tempdir().unwrap();
    let mut restored = 0;
    for seed in 0..DAMAGES {
        let path = disk(&sim, dir.path());
        fs::remove_file(beside(&path, ".sum")).unwrap();
        let mut rng = StdRng::seed_from_u64(seed);
        let mut bytes = fs::read(&path).unwrap();
        // Somewhere in what a file or a configuration says.
        let content = if seed % 2 == 0 {
            &b"xxxx"[..]
        } else {
            &b"= 63"[..]
        };
        let spots: Vec<_> = (0..bytes.len())
            .filter(|at| bytes[*at..].starts_with(content))
            .collect();
        bytes[spots[rng.random_range(0..spots.len())]] ^= 1 << rng.random_range(0..8);
        fs::write(&path, &bytes).unwrap();
        restored += restart(&mut sim, dir.path(), seed + 1);
        assert!(all_hold(&mut sim, &expected), "{seed}");
        assert_eq!(sim.node(VICTIM).stats().rumors_corrected, 1, "{seed}");
    }
    assert_eq!(restored, DAMAGES as usize * expected.len());
    assert_eq!(sim.violations(), []);
}
