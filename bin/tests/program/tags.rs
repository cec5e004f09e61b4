//! Tags: what a member is told of itself, and what others see of it.

use std::fs;

use serde_json::{Value, json};

use crate::harness::{Member, assert_exit, butterfly, said, until};

#[track_caller]
fn tags(member: &Member) -> Value {
    let output = member.ask(&["tag", "list", "-o", "json"]);
    assert_exit(&output, 0);
    let held: Value = serde_json::from_slice(&output.stdout).unwrap();
    held["tags"].clone()
}

#[track_caller]
fn assert_refused(member: &Member, args: &[&str], code: i32, part: &str) {
    let output = member.ask(args);
    assert_exit(&output, code);
    assert!(said(&output).contains(part), "{output:?}");
}

const VERSION: &str = env!("CARGO_PKG_VERSION");

#[test]
fn members_are_shown_and_picked_by_their_tags() {
    let amber = Member::start(&["--name", "amber", "--tag", "zone=eu", "--tag", "role=web"]);
    let peer = amber.swim.to_string();
    let birch = Member::start(&["--name", "birch", "--peer", &peer, "--tag", "zone=us"]);
    until("amber knows birch's tags", || {
        amber.row("birch")["tags"]["zone"] == "us"
    });
    until("birch knows amber's tags", || {
        birch.row("amber")["tags"]["role"] == "web"
    });
    assert_eq!(birch.row("amber")["tags"]["version"], VERSION);

    let names = |args: &[&str]| {
        let output = birch.ask(&[&["members", "-o", "json"], args].concat());
        assert_exit(&output, 0);
        let rows: Value = serde_json::from_slice(&output.stdout).unwrap();
        let rows = rows.as_array().unwrap().iter();
        let mut names: Vec<_> = rows
            .map(|row| row["name"].as_str().unwrap().to_owned())
            .collect();
        names.sort();
        names
    };
    assert_eq!(names(&["--tag", "zone"]), ["amber", "birch"]);
    assert_eq!(names(&["--tag", "zone=us"]), ["birch"]);
    assert_eq!(names(&["--tag", "zone=eu", "--tag", "role=web"]), ["amber"]);
    assert_eq!(names(&["--tag", "zone=us", "--tag", "role"]), [""; 0]);
    let table = birch.ask(&["members", "--tag", "role"]);
    let table = String::from_utf8(table.stdout).unwrap();
    assert!(table.contains("VERSION  TAGS"), "{table}");
    assert!(
        table.contains(&format!("{VERSION}    role=web,zone=eu")),
        "{table}"
    );
    assert!(!table.contains("birch"), "{table}");

    assert_exit(&birch.ask(&["tag", "set", "zone=ap", "rack=7"]), 0);
    until("amber hears of the change", || {
        amber.row("birch")["tags"]["rack"] == "7"
    });
    amber.says("says of itself: rack=7,version=");
    assert_refused(&amber, &["members", "--tag", "a b"], 2, "a tag's key has");
}

#[test]
fn tags_are_set_deleted_and_refused() {
    let amber = Member::start(&["--tag", "role=web"]);
    assert_eq!(tags(&amber), json!({ "role": "web", "version": VERSION }));
    assert_exit(&amber.ask(&["tag", "set", "zone=eu", "empty="]), 0);
    assert_exit(&amber.ask(&["tag", "delete", "role", "empty"]), 0);
    assert_eq!(tags(&amber), json!({ "zone": "eu", "version": VERSION }));
    let table = amber.ask(&["tag", "list"]);
    let table = String::from_utf8(table.stdout).unwrap();
    assert!(table.contains("zone     eu\n"), "{table}");

    assert_refused(&amber, &["tag", "delete", "role"], 1, "no tag \"role\"");
    assert_refused(
        &amber,
        &["tag", "delete", "version"],
        1,
        "version is the program's",
    );
    assert_refused(
        &amber,
        &["tag", "set", "version=9"],
        2,
        "version is the program's",
    );
    assert_refused(&amber, &["tag", "set", "zone"], 2, "KEY=VALUE");
    let large = format!("large={}", "x".repeat(4_096));
    assert_refused(&amber, &["tag", "set", &large], 2, "at most 4096 bytes");
    let most = format!("large={}", "x".repeat(4_080));
    assert_refused(&amber, &["tag", "set", &most], 1, "at most 4096 bytes");
    assert_eq!(tags(&amber), json!({ "zone": "eu", "version": VERSION }));
    let output = butterfly(&[
        "run",
        "--listen",
        "127.0.0.1:0",
        "--http",
        "none",
        "--tag",
        &most,
        "--tag",
        "zone=eu",
    ]);
    assert_exit(&output, 2);
    assert!(said(&output).contains("at most 4096 bytes"), "{output:?}");
}

#[test]
fn what_was_set_while_it_ran_counts_more_than_settings_when_it_starts_again() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().to_str().unwrap();
    let settings = [
        "--data-dir",
        data_dir,
        "--tag",
        "zone=eu",
        "--tag",
        "role=web",
    ];
    let amber = Member::start(&settings);
    assert_exit(&amber.ask(&["tag", "set", "zone=us", "rack=7"]), 0);
    assert_exit(&amber.ask(&["tag", "delete", "role"]), 0);
    let kept = json!({ "rack": "7", "zone": "us", "version": VERSION });
    assert_eq!(tags(&amber), kept);
    until("it is on disk", || {
        fs::read_to_string(dir.path().join("TAGS")).is_ok_and(|it| it.contains("role"))
    });
    // Without a clean end.
    drop(amber);
    let amber = Member::start(&settings);
    assert_eq!(tags(&amber), kept);
    assert_exit(&amber.ask(&["leave"]), 0);
    let rumors = fs::read(dir.path().join("RUMORS")).unwrap();
    assert_eq!(rumors[0], 1, "its version");

    fs::write(dir.path().join("TAGS"), "{").unwrap();
    fs::write(dir.path().join("RUMORS"), "damaged").unwrap();
    let amber = Member::start(&settings);
    amber.says("TAGS in the data directory does not read, so what was said of tags in earlier runs is lost");
    amber.says("RUMORS: it ends too early; it is kept as ");
    assert_eq!(
        tags(&amber),
        json!({ "role": "web", "zone": "eu", "version": VERSION })
    );
}

#[test]
fn tags_are_read_again_from_the_file_of_settings() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("butterfly.toml");
    fs::write(&path, "tag = [\"zone=eu\"]\n").unwrap();
    let config = format!("--config={}", path.display());
    let amber = Member::start(&[&config]);
    assert_exit(&amber.ask(&["tag", "set", "rack=7"]), 0);
    fs::write(&path, "tag = [\"zone=us\"]\n").unwrap();
    amber.signal("HUP");
    amber.says("its tags were read again");
    assert_eq!(
        tags(&amber),
        json!({ "rack": "7", "zone": "us", "version": VERSION })
    );
    let large = "x".repeat(4_080);
    fs::write(&path, format!("tag = [\"zone=us\", \"large={large}\"]\n")).unwrap();
    amber.signal("HUP");
    amber.says("its tags stay as they were: tag \"");
    assert_eq!(tags(&amber)["rack"], "7");
}
