//! What members find on their disks when they start, in simulated rings: it holds the ring's memory over a restart of
//! all, and outdoes nobody's that was running.

use std::time::Duration;

use butterfly::rumor::{Rumor, RumorId, Service, ServiceConfig, ServiceFile, ServiceGroup};
use butterfly::sim::{Disk, Index, Sim, SimConfig, id_of};
use butterfly::wire::encode_rumor;
use butterfly::{Event, Incarnation, MemberId};

const MEMBERS: usize = 5;

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn group() -> ServiceGroup {
    "redis.default".parse().unwrap()
}

fn config(incarnation: u64, text: &str) -> Rumor {
    Rumor::ServiceConfig(ServiceConfig::new(group(), incarnation, text))
}

fn apply(sim: &mut Sim, member: Index, incarnation: u64, text: &str) {
    let config = ServiceConfig::new(group(), incarnation, text);
    sim.command(member, |node, now| node.apply_config(now, config).unwrap());
}

/// The configuration as this member has it, and whether it is provisional.
fn held(sim: &Sim, member: Index) -> (String, bool) {
    let view = sim
        .node(member)
        .rumor(&RumorId::config(&group()))
        .expect("it is held");
    match view.rumor().unwrap() {
        Rumor::ServiceConfig(config) => {
            let text = String::from_utf8(config.config).unwrap();
            (text, view.provisional)
        }
        other => panic!("{other:?}"),
    }
}

fn all_hold(sim: &Sim, text: &str) -> bool {
    sim.up()
        .all(|member| held(sim, member) == (text.to_owned(), false))
}

/// A ring of some age: a service on each member, a configuration, a file, a departure.
fn ring(seed: u64) -> Sim {
    let mut sim = Sim::new(SimConfig::new(seed));
    sim.start_ring(MEMBERS);
    assert!(sim.run_until(secs(60), Sim::all_agree));
    for member in 0..MEMBERS {
        let mut service = Service::new(group(), "core/redis/4.0.14/20200101000000");
        service.cfg = b"port = 6379\n".to_vec();
        sim.command(member, |node, now| node.announce(now, service).unwrap());
    }
    apply(&mut sim, 0, 1, "port = 6380");
    sim.command(1, |node, now| {
        let file = ServiceFile::new(group(), 1, "motd", b"hello".to_vec());
        node.apply_file(now, file).unwrap();
        node.depart(now, MemberId::from_bytes([9; 16])).unwrap();
    });
    sim.run_for(secs(10));
    assert!(sim.same_rumors() && all_hold(&sim, "port = 6380"));
    sim
}

/// What this member's disk holds, with this instead of the configuration.
fn disk_with(sim: &Sim, member: Index, config: &Rumor) -> Vec<Rumor> {
    let rumors = sim.node(member).rumors().map(|view| view.rumor().unwrap());
    rumors
        .map(|rumor| match rumor {
            Rumor::ServiceConfig(_) => config.clone(),
            rumor => rumor,
        })
        .collect()
}

/// Starts a crashed member with these rumors on its disk.
fn start(sim: &mut Sim, member: Index, disk: &[Rumor]) {
    sim.restart(member, Incarnation::new(1_000).unwrap());
    sim.command(member, |node, _| {
        for rumor in disk {
            let bytes = encode_rumor(rumor, &id_of(member).to_string()).bytes;
            node.restore_rumor(&bytes).unwrap();
        }
        assert_eq!(
            node.rumors().filter(|it| it.provisional).count(),
            node.rumor_count()
        );
    });
}

/// Whether this member holds nothing provisionally any more.
fn counts(sim: &Sim, member: Index) -> bool {
    sim.node(member).rumors().all(|it| !it.provisional)
}

#[test]
fn a_damaged_disk_outdoes_no_living_copy() {
    for seed in 0..10 {
        let mut sim = ring(seed);
        for damaged in ["port = >380", "port = 2380", ""] {
            sim.crash(2);
            let disk = disk_with(&sim, 2, &config(1, damaged));
            start(&mut sim, 2, &disk);
            sim.take_events(2);
            assert_eq!(held(&sim, 2), (damaged.to_owned(), true));
            sim.join(2, 0);
            assert!(sim.run_until(secs(3), |sim| counts(sim, 2)), "{seed}");
            assert!(all_hold(&sim, "port = 6380"), "{seed}");
            sim.run_for(secs(30));
            assert!(all_hold(&sim, "port = 6380") && sim.same_rumors());
            let corrected = Event::RumorCorrected(RumorId::config(&group()).into());
            let events = sim.take_events(2);
            assert_eq!(events.iter().filter(|(_, it)| *it == corrected).count(), 1);
            assert_eq!(sim.node(2).stats().rumors_corrected, 1);
        }
        assert_eq!(sim.violations(), []);
    }
}

#[test]
fn an_undamaged_disk_is_confirmed_without_a_push() {
    let mut sim = ring(1);
    sim.crash(2);
    sim.restart_with(2, Disk::Kept);
    assert!(!counts(&sim, 2));
    assert!(sim.run_until(secs(3), |sim| counts(sim, 2)));
    let stats = sim.node(2).stats();
    assert_eq!((stats.rumors_received, stats.rumors_corrected), (0, 0));
    sim.run_for(secs(10));
    assert!(all_hold(&sim, "port = 6380") && sim.same_rumors());
}

#[test]
fn what_only_a_disk_holds_is_told_once_it_was_compared() {
    for newer in [config(2, "port = 1"), config(1, "port = 1")] {
        let mut sim = ring(2);
        sim.crash(2);
        // Its file is in nobody else's memory.
        let mut disk = disk_with(&sim, 2, &newer);
        let file = ServiceFile::new(group(), 1, "only", b"here".to_vec());
        disk.push(Rumor::ServiceFile(file.clone()));
        start(&mut sim, 2, &disk);
        sim.join(2, 0);
        assert!(sim.run_until(secs(10), |sim| counts(sim, 2)));
        sim.run_for(secs(10));
        let text = if newer.version() == 2 {
            "port = 1"
        } else {
            "port = 6380"
        };
        assert!(all_hold(&sim, text) && sim.same_rumors());
        let id = Rumor::ServiceFile(file).id();
        assert!(sim.up().all(|it| sim.node(it).rumor(&id).is_some()));
    }
}

#[test]
fn a_member_that_finds_nobody_counts_on_its_disk_after_three_periods() {
    let mut sim = ring(3);
    let disk = disk_with(&sim, 2, &config(1, "port = 2"));
    (0..MEMBERS).for_each(|member| sim.crash(member));
    start(&mut sim, 2, &disk);
    let empty = sim.node(2).rumor_checksum();
    sim.run_for(Duration::from_millis(2_900));
    assert_eq!(held(&sim, 2), ("port = 2".to_owned(), true));
    assert_eq!(sim.node(2).rumor_checksum(), empty, "it tells nobody");
    sim.run_for(Duration::from_millis(200));
    assert!(counts(&sim, 2));
    assert_ne!(sim.node(2).rumor_checksum(), empty);
}

/// Nobody was running before: then the greater content wins, as ever, and what only one of them held is not lost.
#[test]
fn members_that_all_start_from_their_disks_agree_again() {
    for seed in 0..10 {
        let mut sim = ring(seed);
        let disks: Vec<_> = (0..MEMBERS)
            .map(|member| {
                let text = ["port = 6380", "port = 6381"][usize::from(member == 3)];
                disk_with(&sim, member, &config(1, text))
            })
            .collect();
        (0..MEMBERS).for_each(|member| sim.crash(member));
        for (member, disk) in disks.iter().enumerate() {
            start(&mut sim, member, disk);
        }
        (1..MEMBERS).for_each(|member| sim.join(member, 0));
        sim.run_for(Duration::from_millis(2_500));
        assert!(
            (0..MEMBERS).all(|member| !counts(&sim, member)),
            "nobody was running"
        );
        sim.run_for(secs(10));
        assert!(all_hold(&sim, "port = 6381") && sim.same_rumors(), "{seed}");
        assert_eq!(sim.node(0).rumors().count(), MEMBERS + 3);
        assert_eq!(sim.violations(), []);
    }
}

/// One after the other: those that are there already were running before, so the last one's disk outdoes nobody.
#[test]
fn members_that_start_one_after_the_other_keep_what_the_first_held() {
    let mut sim = ring(4);
    let disks: Vec<_> = (0..MEMBERS)
        .map(|member| {
            let text = ["port = 6380", "port = 6381"][usize::from(member == MEMBERS - 1)];
            disk_with(&sim, member, &config(1, text))
        })
        .collect();
    (0..MEMBERS).for_each(|member| sim.crash(member));
    for (member, disk) in disks.iter().enumerate() {
        start(&mut sim, member, disk);
        if member > 0 {
            sim.join(member, 0);
        }
        sim.run_for(secs(4));
    }
    sim.run_for(secs(10));
    assert!(all_hold(&sim, "port = 6380") && sim.same_rumors());
}

#[test]
fn a_command_overrides_what_is_provisional() {
    let mut sim = ring(5);
    sim.crash(2);
    let disk = disk_with(&sim, 2, &config(1, "port = >380"));
    start(&mut sim, 2, &disk);
    let gone = MemberId::from_bytes([9; 16]);
    sim.command(2, |node, now| {
        let same = ServiceConfig::new(group(), 1, "port = 7");
        assert!(node.apply_config(now, same).is_err(), "its version is used");
        let next = ServiceConfig::new(group(), 2, "port = 7");
        node.apply_config(now, next).unwrap();
        node.depart(now, gone).unwrap();
        let departure = node.rumor(&RumorId::departure(gone)).unwrap();
        assert!(departure.hot && !departure.provisional);
        assert!(node.withdraw(now, &group()).unwrap());
    });
    assert_eq!(held(&sim, 2), ("port = 7".to_owned(), false));
    sim.join(2, 0);
    sim.run_for(secs(10));
    assert!(all_hold(&sim, "port = 7") && sim.same_rumors());
    let members: Vec<_> = sim.node(0).members_of(&group()).collect();
    assert!(members.len() == MEMBERS - 1 && !members.contains(&id_of(2)));
}

#[test]
fn a_member_that_ends_while_it_starts_loses_nothing() {
    let mut sim = ring(6);
    (0..MEMBERS).for_each(|member| sim.crash(member));
    for _ in 0..3 {
        sim.restart_with(2, Disk::Kept);
        sim.run_for(secs(1));
        assert!(!counts(&sim, 2));
        sim.crash(2);
    }
    sim.restart_with(2, Disk::Kept);
    sim.run_for(secs(10));
    assert!(counts(&sim, 2));
    assert_eq!(sim.node(2).rumor_count(), MEMBERS + 3);
    assert_eq!(held(&sim, 2), ("port = 6380".to_owned(), false));
}

/// A thousand rumors are confirmed by their hashes, and then count.
#[test]
fn a_large_store_is_confirmed_within_a_few_periods() {
    let mut sim = ring(7);
    for number in 0..5_000 {
        let file = ServiceFile::new(group(), 1, format!("file-{number}"), b"x".to_vec());
        sim.command(0, |node, now| node.apply_file(now, file).unwrap());
    }
    assert!(sim.run_until(secs(120), |sim| sim.same_rumors()));
    sim.run_for(secs(5));
    sim.crash(2);
    sim.restart_with(2, Disk::Kept);
    assert!(sim.run_until(secs(10), |sim| counts(sim, 2)));
    assert_eq!(sim.node(2).stats().rumors_received, 0);
    assert!(sim.same_rumors());
}

/// There is always something on its way, so two stores are hardly ever the same.
#[test]
fn in_a_ring_that_never_rests_the_disk_counts_after_twenty_periods() {
    let mut sim = ring(8);
    sim.crash(2);
    let disk = disk_with(&sim, 2, &config(1, "port = >380"));
    start(&mut sim, 2, &disk);
    sim.join(2, 0);
    for version in 2..2_200 {
        let file = ServiceFile::new(group(), version, "motd", b"x".to_vec());
        sim.command(version as usize % 2, |node, now| {
            node.apply_file(now, file).unwrap()
        });
        sim.run_for(Duration::from_millis(10));
    }
    assert!(counts(&sim, 2));
    assert!(all_hold(&sim, "port = 6380"));
}

/// The copy of an hour ago: it holds less, or older versions, of which none comes back.
#[test]
fn the_disk_of_an_hour_ago_outdoes_nobody() {
    for seed in 0..10 {
        let mut sim = ring(seed);
        sim.copy_disk(2);
        sim.crash(4);
        apply(&mut sim, 0, 2, "port = 1");
        sim.command(1, |node, now| {
            let file = ServiceFile::new(group(), 2, "motd", b"bye".to_vec());
            node.apply_file(now, file).unwrap();
        });
        sim.run_for(secs(3_600));
        sim.crash(2);
        sim.restart_with(2, Disk::Older);
        assert_eq!(held(&sim, 2), ("port = 6380".to_owned(), true));
        sim.run_for(secs(60));
        assert!(all_hold(&sim, "port = 1") && sim.same_rumors(), "{seed}");
        assert_eq!(sim.violations(), []);
    }
}
