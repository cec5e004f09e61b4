//! Members whose disks fail, hang, or hold what they should not.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::harness::{Member, assert_exit, butterfly, generate_key, said, until};

fn mkfifo(path: &Path) {
    let made = Command::new("mkfifo").arg(path).status().unwrap();
    assert!(made.success());
}

/// A member with this data directory, that has something to store.
fn member(dir: &Path) -> Member {
    let member = Member::start(&["--data-dir", dir.to_str().unwrap()]);
    let config = dir.join("config.toml");
    fs::write(&config, "port = 1").unwrap();
    let output = member.ask(&[
        "config",
        "apply",
        "redis.default",
        "1",
        config.to_str().unwrap(),
    ]);
    assert_exit(&output, 0);
    member
}

/// The unfinished file of the member's next snapshot.
fn unfinished(dir: &Path) -> PathBuf {
    let id = fs::read_to_string(dir.join("MEMBER_ID")).unwrap();
    dir.join(format!("{id}.rst.tmp"))
}

#[test]
fn a_last_snapshot_that_finds_no_room_is_exit_code_5() {
    let dir = tempfile::tempdir().unwrap();
    let mut member = member(dir.path());
    symlink("/dev/full", unfinished(dir.path())).unwrap();
    member.signal("TERM");
    assert_eq!(member.end(), Some(5));
    let log = member.log();
    for part in [
        "ERROR",
        "cannot write",
        ".rst",
        "os error 28",
        "butterfly: ",
        "is lost",
    ] {
        assert!(log.contains(part), "{part} is not in {log}");
    }
}

#[test]
fn a_second_signal_ends_a_member_whose_disk_hangs() {
    let dir = tempfile::tempdir().unwrap();
    let mut member = member(dir.path());
    // Nobody reads it: opening it does not return.
    mkfifo(&unfinished(dir.path()));
    member.signal("TERM");
    until("it says what it waits for", || {
        member.log().contains("waiting for the disk")
    });
    let second = Instant::now();
    member.signal("TERM");
    assert_eq!(member.end(), Some(5));
    assert!(second.elapsed() < Duration::from_secs(10));
    let log = member.log();
    assert!(
        log.contains("ended by a second signal, before the disk"),
        "{log}"
    );
}

#[test]
fn a_disk_that_answers_late_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut member = member(dir.path());
    let pipe = unfinished(dir.path());
    mkfifo(&pipe);
    member.signal("TERM");
    until("it says what it waits for", || {
        member.log().contains("waiting for the disk")
    });
    // A pipe cannot be synced, which is an error of its own: the disk has answered.
    let read = fs::read(&pipe).unwrap();
    assert!(!read.is_empty());
    assert_eq!(member.end(), Some(5));
}

#[test]
fn what_it_knew_is_there_again_and_nothing_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let mut first = member(dir.path());
    first.signal("TERM");
    assert_eq!(first.end(), Some(0));
    let again = Member::start(&["--data-dir", dir.path().to_str().unwrap()]);
    until("the configuration counts", || {
        let text = again.json("rumors").to_string();
        text.contains("port = 1") && text.contains("\"provisional\":false")
    });
    let log = again.log();
    assert!(
        !log.contains("WARN") && !log.contains("unverified"),
        "{log}"
    );
}

#[test]
fn a_damaged_snapshot_is_kept_aside_and_said() {
    let dir = tempfile::tempdir().unwrap();
    let mut first = member(dir.path());
    let snapshot = unfinished(dir.path()).with_extension("");
    first.signal("TERM");
    assert_eq!(first.end(), Some(0));
    let mut bytes = fs::read(&snapshot).unwrap();
    let at = bytes.windows(4).position(|it| it == b"port").unwrap();
    bytes[at] ^= 1;
    fs::write(&snapshot, &bytes).unwrap();
    let again = Member::start(&["--data-dir", dir.path().to_str().unwrap()]);
    let path = snapshot.display();
    again.says(&format!(
        "starting without rumors: {path}: it is damaged: the checksum beside it is another; it is kept as {path}.bad-1"
    ));
}

#[test]
fn a_ring_key_that_is_no_regular_file_is_refused_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe.sym.key");
    mkfifo(&pipe);
    for path in [&*pipe, dir.path(), Path::new("/dev/zero")] {
        for option in ["--ring-key", "--http-token-file"] {
            let path = path.to_str().unwrap();
            let args = [
                "run",
                "--listen",
                "127.0.0.1:0",
                "--http",
                "127.0.0.1:0",
                option,
                path,
            ];
            let output = butterfly(&args);
            assert_exit(&output, 1);
            let said = said(&output);
            assert!(
                said.contains(path) && said.contains("no regular file"),
                "{said}"
            );
        }
    }
}

#[test]
fn keys_are_read_again_off_the_loop() {
    let dir = tempfile::tempdir().unwrap();
    let key = generate_key(dir.path());
    let member = Member::start(&["--ring-key", key.to_str().unwrap()]);
    // As Windows leaves it, and with one line end too many.
    let text = fs::read_to_string(&key).unwrap().replace('\n', "\r\n") + "\r\n\r\n";
    fs::remove_file(&key).unwrap();
    fs::write(&key, text).unwrap();
    member.signal("HUP");
    until("they are read", || {
        member.log().contains("ring keys read again")
    });
    member.says("has other line ends");
    fs::remove_file(&key).unwrap();
    mkfifo(&key);
    member.signal("HUP");
    until("it says why not", || {
        let log = member.log();
        log.contains("the old settings and ring keys stay") && log.contains("no regular file")
    });
}
