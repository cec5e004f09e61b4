//! What a member knows outlives it, on disk.

use std::path::Path;

use butterfly::{BindError, Butterfly, Config, Event, Health, Rumor, RumorId, Timing};

use crate::harness::Mesh;
use crate::support::*;

fn snapshot(dir: &Path) -> Option<std::path::PathBuf> {
    let mut files = std::fs::read_dir(dir).unwrap();
    files.find_map(|entry| {
        let path = entry.unwrap().path();
        let is = path.extension().is_some_and(|it| it == "rst");
        is.then_some(path)
    })
}

#[test]
fn a_member_that_starts_again_has_its_rumors_before_it_hears_any() {
    let dir = tempfile::tempdir().unwrap();
    let mut mesh = Mesh::start("kept", 2);
    mesh.add(|config| config.data_dir = Some(dir.path().to_owned()));
    mesh.mesh();
    mesh.await_agreement();
    announce_all(&mut mesh);
    mesh.get_mut(0).apply_config(config(1)).unwrap();
    mesh.get_mut(1).apply_file(file("kept", 500_000)).unwrap();
    let gone = butterfly::MemberId::from_bytes([9; 16]);
    mesh.get_mut(1).depart(gone).unwrap();
    mesh.await_condition("all have all", |mesh| {
        same(mesh, &[0, 1, 2]) && mesh.get(2).node().rumor_count() == 6
    });
    let checksum = mesh.get(2).node().rumor_checksum();
    for place in [2, 0, 1] {
        mesh.kill(place);
    }
    // Nobody is there, and it asks nobody.
    mesh.restart(2, |_| ());
    let node = mesh.get(2).node();
    assert_eq!(node.rumor_count(), 6);
    assert!(all_have(&mesh, &[2], &Rumor::ServiceConfig(config(1))));
    assert!(all_have(
        &mesh,
        &[2],
        &Rumor::ServiceFile(file("kept", 500_000))
    ));
    assert!(held(&mesh, 2, &RumorId::departure(gone)).is_some());
    assert_eq!(node.stats().rumors_received, 0);
    assert_eq!(node.members_of(&group()).count(), 3);
    // Nobody can say better, so it counts after a while.
    mesh.await_condition("what it kept counts", |mesh| {
        mesh.get(2).node().rumor_checksum() == checksum
    });
}

#[test]
fn what_the_disk_takes_and_refuses_is_counted() {
    let patience = std::time::Duration::from_secs(20);
    let mut alone = Config::new("127.0.0.1:0".parse().unwrap());
    assert!(
        Butterfly::bind(alone.clone())
            .unwrap()
            .disk_writes()
            .is_none()
    );
    for is_lost in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        alone.data_dir = Some(dir.path().join("data"));
        let mut member = Butterfly::bind(alone.clone()).unwrap();
        let before = member.disk_writes().unwrap();
        member.apply_config(config(1)).unwrap();
        if is_lost {
            std::fs::remove_dir_all(dir.path().join("data")).unwrap();
        }
        member.finish();
        let stored = member.stored(patience).unwrap();
        assert_eq!(stored.is_err(), is_lost, "{stored:?}");
        let after = member.disk_writes().unwrap();
        assert_eq!(after.failed > before.failed, is_lost, "{after:?}");
        assert_eq!(after.done > before.done, !is_lost, "{after:?}");
    }
}

#[test]
fn a_member_that_starts_again_finds_its_ring_by_what_it_kept() {
    let dir = tempfile::tempdir().unwrap();
    let mut mesh = Mesh::start("found", 2);
    mesh.add(|config| config.data_dir = Some(dir.path().to_owned()));
    mesh.mesh();
    mesh.await_agreement();
    mesh.kill(2);
    mesh.get_mut(0).apply_config(config(1)).unwrap();
    mesh.restart(2, |_| ());
    mesh.await_agreement();
    mesh.await_condition("it has what was said meanwhile", |mesh| {
        all_have(mesh, &[0, 1, 2], &Rumor::ServiceConfig(config(1)))
    });
}

#[test]
fn a_torn_snapshot_is_kept_aside_and_the_member_starts() {
    let dir = tempfile::tempdir().unwrap();
    let mut mesh = Mesh::start("torn", 1);
    mesh.add(|config| config.data_dir = Some(dir.path().to_owned()));
    mesh.mesh();
    mesh.await_agreement();
    mesh.get_mut(1).apply_file(file("torn", 10_000)).unwrap();
    mesh.await_condition("both have it", |mesh| same(mesh, &[0, 1]));
    mesh.kill(1);
    let path = snapshot(dir.path()).unwrap();
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    mesh.restart(1, |_| ());
    assert_eq!(mesh.get(1).node().rumor_count(), 0);
    let mut aside = path.into_os_string();
    aside.push(".bad-1");
    assert_eq!(std::fs::read(aside).unwrap(), &whole[..whole.len() / 2]);
    // Its ring tells it again.
    mesh.join(1, 0);
    mesh.await_agreement();
    mesh.await_condition("it has it again", |mesh| {
        all_have(mesh, &[0, 1], &Rumor::ServiceFile(file("torn", 10_000)))
    });
}

#[test]
fn who_departed_for_good_is_told_and_does_not_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let mut mesh = Mesh::start("departed", 3);
    mesh.add(|config| config.data_dir = Some(dir.path().to_owned()));
    mesh.mesh();
    mesh.await_agreement();
    let id = mesh.id(3);
    mesh.get_mut(0).depart(id).unwrap();
    mesh.await_condition("it is told", |mesh| {
        told(mesh, 3, |event| *event == Event::Expelled) == 1
    });
    mesh.await_condition("the others hold it for departed", |mesh| {
        mesh.all_hold(&[0, 1, 2], 3, Health::Departed)
    });
    assert!(mesh.get(3).node().is_expelled());
    mesh.kill(3);
    let mut config = Config::new("127.0.0.1:0".parse().unwrap());
    config.timing = Timing::local();
    config.data_dir = Some(dir.path().to_owned());
    let refused = Butterfly::bind(config.clone()).err().unwrap();
    assert!(matches!(refused, BindError::Departed { id: it } if it == id));
    let text = refused.to_string();
    assert!(text.contains("another data directory"), "{text}");
    // Without its disk it does not know, until it is told.
    mesh.restart(3, |config| (config.data_dir, config.id) = (None, Some(id)));
    mesh.join(3, 0);
    mesh.await_condition("it is told again", |mesh| {
        told(mesh, 3, |event| *event == Event::Expelled) == 2
    });
    mesh.holds_for(5, "the others hold it for departed", |mesh| {
        mesh.all_hold(&[0, 1, 2], 3, Health::Departed)
    });
}
