//! The keys of a ring, changed at all members by one command each.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;

use serde_json::Value;

use crate::harness::{Member, assert_exit, butterfly, generate_key, said, until};

/// Members with this key, each with a data directory of its name.
fn ring(dir: &Path, key: &str, names: &[&str]) -> Vec<Member> {
    let mut members: Vec<Member> = Vec::new();
    for name in names {
        members.push(member(dir, key, name, members.first()));
    }
    let all = format!("alive={}", names.len());
    members.iter().for_each(|member| member.wait(&all));
    members
}

fn member(dir: &Path, key: &str, name: &str, peer: Option<&Member>) -> Member {
    let data = dir.join(name);
    let peer = peer.map(|peer| peer.swim.to_string());
    let mut args = vec![
        "--name",
        name,
        "--ring-key",
        key,
        "--data-dir",
        data.to_str().unwrap(),
    ];
    args.extend(peer.iter().flat_map(|peer| ["--peer", peer]));
    Member::start(&args)
}

fn keys(output: &Output) -> Vec<Value> {
    assert_exit(output, 0);
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The short ids of the keys, the one that all seal with first.
fn ids(member: &Member) -> Vec<String> {
    let mut rows = keys(&member.ask(&["ring-key", "list", "-o", "json"]));
    rows.sort_by_key(|row| std::cmp::Reverse(row["sealing"].as_array().map(Vec::len)));
    let id = |row: &Value| row["key"].as_str().unwrap().to_owned();
    rows.iter().map(id).collect()
}

#[test]
fn three_commands_change_the_key_of_five_members_and_restarts_keep_it() {
    let dir = tempfile::tempdir().unwrap();
    let old = generate_key(dir.path());
    let old = old.to_str().unwrap();
    let new = generate_key(dir.path());
    let new = new.to_str().unwrap();
    let mut members = ring(
        dir.path(),
        old,
        &["amber", "birch", "cedar", "dahlia", "elm"],
    );
    let before = ids(&members[3]);
    let installed = members[3].ask(&["ring-key", "install", new, "-o", "json"]);
    let held = keys(&installed);
    assert_eq!(held.len(), 2, "{installed:?}");
    assert!(
        held.iter()
            .all(|row| row["members"] == 5 && row["missing"] == Value::Array(vec![]))
    );
    let after = ids(&members[1]);
    assert_eq!((after.len(), &after[..1]), (2, &before[..]));
    let refused = members[1].ask(&["ring-key", "remove", &after[0]]);
    assert_exit(&refused, 1);
    assert!(
        said(&refused).contains("refused: these seal with it: use another first: "),
        "{refused:?}"
    );
    assert_exit(&members[1].ask(&["ring-key", "use", &after[1]]), 0);
    assert_exit(&members[4].ask(&["ring-key", "remove", &before[0]]), 0);
    assert_eq!(ids(&members[0]), &after[1..]);
    let unknown = members[0].ask(&["ring-key", "use", &before[0]]);
    assert!(
        said(&unknown).contains("no member that answered holds a key"),
        "{unknown:?}"
    );
    let ping = |key: &str| {
        let to = members[2].swim.to_string();
        butterfly(&[
            "ping",
            &to,
            "-c",
            "1",
            "--timeout",
            "0.3",
            "--ring-key",
            key,
        ])
    };
    assert_exit(&ping(new), 0);
    assert_exit(&ping(old), 1);
    let stored = dir.path().join("birch/RING_KEYS");
    until("birch has stored it", || {
        fs::read_to_string(&stored).is_ok_and(|text| text.matches("SYM-SEC-1").count() == 1)
    });
    let mode = fs::metadata(&stored).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let rumors = fs::read(dir.path().join("birch/RUMORS")).unwrap_or_default();
    let secret = fs::read_to_string(new).unwrap();
    let secret = secret.lines().last().unwrap().as_bytes();
    assert!(!rumors.windows(secret.len()).any(|part| part == secret));
    // It finds its ring by what it was given, whatever its files say.
    assert_exit(&members[1].ask(&["leave"]), 0);
    members[1].end();
    let birch = member(dir.path(), old, "birch", members.first());
    birch.wait("alive=5");
    birch.says("is among the files, and the ring was told to remove it");
    members
        .iter()
        .filter(|member| member.swim != birch.swim)
        .take(1)
        .for_each(|it| it.wait("alive=5"));
    assert_eq!(ids(&birch), &after[1..]);
}

#[test]
fn nobody_is_cut_off_that_did_not_answer() {
    let dir = tempfile::tempdir().unwrap();
    let old = generate_key(dir.path());
    let old = old.to_str().unwrap();
    let new = generate_key(dir.path());
    let new = new.to_str().unwrap();
    let members = ring(dir.path(), old, &["amber", "birch", "cedar"]);
    let [amber, birch, cedar] = &members[..] else {
        panic!("three");
    };
    let soon = ["--timeout", "0.5"];
    cedar.signal("STOP");
    let installed = birch.ask(&[&["ring-key", "install", new], &soon[..]].concat());
    assert_exit(&installed, 1);
    let mut both = String::from_utf8(installed.stdout).unwrap();
    both.truncate(200);
    let id = {
        let rows = birch.ask(&[&["ring-key", "list", "-o", "json"], &soon[..]].concat());
        let rows: Vec<Value> = serde_json::from_slice(&rows.stdout).unwrap();
        let mut new = rows
            .iter()
            .filter(|row| row["sealing"] == Value::Array(vec![]));
        new.next().expect("the new key")["key"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    for command in ["use", "remove"] {
        let refused = amber.ask(&[&["ring-key", command, &id], &soon[..]].concat());
        assert_exit(&refused, 1);
        let said = said(&refused);
        assert!(
            said.contains("refused: ") && said.contains("cedar"),
            "{said}"
        );
    }
    cedar.signal("CONT");
    for member in &members {
        member.wait("alive=3");
    }
    assert_exit(&birch.ask(&["ring-key", "install", new]), 0);
    assert_exit(&birch.ask(&["ring-key", "use", &id]), 0);
    let before = ids(amber);
    assert_eq!(before[0], id);
    assert_exit(&birch.ask(&["ring-key", "remove", &before[1]]), 0);
    assert_eq!(ids(cedar), [id]);
}

#[test]
fn an_open_ring_is_given_no_key() {
    let dir = tempfile::tempdir().unwrap();
    let key = generate_key(dir.path());
    let amber = Member::start(&["--name", "amber"]);
    let refused = amber.ask(&["ring-key", "install", key.to_str().unwrap()]);
    assert_exit(&refused, 1);
    assert!(
        said(&refused).contains("the ring is not sealed"),
        "{refused:?}"
    );
    let asked = amber.ask(&["query", "ring-key", r#"{"do":"remove","id":"1"}"#]);
    assert_exit(&asked, 1);
    let printed = String::from_utf8(asked.stdout).unwrap();
    assert!(printed.contains("failed: it has no ring key"), "{printed}");
}

#[test]
fn keys_that_do_not_read_are_no_keys() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("RING_KEYS"), "SYM-SEC-1\nx").unwrap();
    let data = dir.path().to_str().unwrap();
    let output = butterfly(&[
        "run",
        "--listen",
        "127.0.0.1:0",
        "--http",
        "none",
        "--data-dir",
        data,
    ]);
    assert_exit(&output, 1);
    assert!(
        said(&output).contains("RING_KEYS in the data directory does not read: "),
        "{output:?}"
    );
}

#[test]
fn a_key_is_sent_to_no_gateway_of_another_machine() {
    let dir = tempfile::tempdir().unwrap();
    let new = generate_key(dir.path());
    let elsewhere = ["--http", "192.0.2.1:9631"];
    let install = ["ring-key", "install", new.to_str().unwrap()];
    let refused = butterfly(&[&install[..], &elsewhere].concat());
    assert_exit(&refused, 1);
    assert!(said(&refused).contains("in plain HTTP"), "{refused:?}");
}

#[test]
fn a_member_without_a_data_directory_takes_no_keys_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let (old, new) = (generate_key(dir.path()), generate_key(dir.path()));
    let amber = Member::start(&["--ring-key", old.to_str().unwrap(), "--name", "amber"]);
    let refused = amber.ask(&["ring-key", "install", new.to_str().unwrap()]);
    assert_exit(&refused, 1);
    assert!(
        said(&refused).contains("it has no --data-dir"),
        "{refused:?}"
    );
    assert_eq!(ids(&amber).len(), 1);
}

/// It comes back with the keys that it had.
#[test]
fn one_that_left_keeps_the_others_from_dropping_its_key() {
    let dir = tempfile::tempdir().unwrap();
    let (old, new) = (generate_key(dir.path()), generate_key(dir.path()));
    let old = old.to_str().unwrap();
    let mut members = ring(dir.path(), old, &["amber", "birch"]);
    let mut birch = members.pop().unwrap();
    assert_exit(&birch.ask(&["leave"]), 0);
    birch.end();
    let amber = &members[0];
    until("birch is departed", || {
        amber.row("birch")["health"] == "departed"
    });
    assert_exit(
        &amber.ask(&["ring-key", "install", new.to_str().unwrap()]),
        0,
    );
    let held = ids(amber);
    let refused = amber.ask(&["ring-key", "use", &held[1]]);
    assert_exit(&refused, 1);
    assert!(
        said(&refused).contains("these left or count as dead"),
        "{refused:?}"
    );
    assert!(said(&refused).contains("birch"), "{refused:?}");
    assert_exit(&amber.ask(&["forget", "birch"]), 0);
    until("birch is forgotten", || {
        amber.json("members").as_array().unwrap().len() == 1
    });
    assert_exit(&amber.ask(&["ring-key", "use", &held[1]]), 0);
}
