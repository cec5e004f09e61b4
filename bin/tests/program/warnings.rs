//! Warnings and errors that a running member logs, each made by what it warns of (`tests/tables/log_lines.txt`).

use std::fs;
use std::net::UdpSocket;
use std::time::Duration;

use butterfly::wire::{self, Encoder, MemberRecord, Message};
use butterfly::{Incarnation, MemberId};
use tempfile::NamedTempFile;

use crate::harness::{Member, assert_exit, pair, program, until};

/// As of a data directory that was copied to a second machine.
#[test]
fn two_processes_with_one_id_are_told_by_all_and_by_both() {
    let (amber, birch) = pair();
    let id = birch.json("status")["id"].as_str().unwrap().to_owned();
    let peer = amber.swim.to_string();
    let twin = Member::start(&["--name", "birch", "--id", &id, "--peer", &peer]);
    amber.says("two processes use the id of birch (");
    birch.says(&format!(
        "another process, at {}, uses the id of this member, which is at {}",
        twin.swim, birch.swim
    ));
    twin.says(&format!(
        "another process, at {}, uses the id of this member, which is at {}",
        birch.swim, twin.swim
    ));
    for at in [birch.swim, twin.swim] {
        let log = amber.log();
        let line = log.lines().find(|line| line.contains("two processes"));
        assert!(line.unwrap().contains(&at.to_string()), "{log}");
    }
    assert!(amber.json("status")["counters"]["id_conflicts"].as_u64() >= Some(1));
}

/// Without a data directory, and with the id that it had: others know it, and its former self.
#[test]
fn a_member_that_starts_again_under_its_id_is_no_conflict() {
    let (amber, birch) = pair();
    let id = birch.json("status")["id"].as_str().unwrap().to_owned();
    let (peer, at) = (amber.swim.to_string(), birch.swim.to_string());
    drop(birch);
    let again = [
        "run",
        "--listen",
        &at,
        "--http",
        "127.0.0.1:0",
        "--timing",
        "local",
    ];
    let own = [
        "--name", "birch", "--id", &id, "--peer", &peer, "--peer", &at,
    ];
    let birch = Member::start_with(&[&again[..], &own].concat());
    amber.wait("alive=2");
    birch.wait("alive=2");
    // Each has probed the other some times.
    until("time has passed", || {
        birch.json("status")["counters"]["probes"].as_u64() >= Some(20)
    });
    for member in [&amber, &birch] {
        let log = member.log();
        assert!(
            !log.contains("the id of") && !log.contains("ERROR"),
            "{log}"
        );
        assert_eq!(member.json("status")["counters"]["id_conflicts"], 0);
    }
}

#[test]
fn what_a_stranger_says_is_refuted_or_dropped_and_both_are_told() {
    let amber = Member::start(&[]);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let from = MemberRecord {
        id: MemberId::from_bytes([7; 16]),
        incarnation: Incarnation::ZERO,
        address: None,
        swim_port: socket.local_addr().unwrap().port(),
        gossip_port: 1,
        persistent: false,
        departed: false,
        probe_ping: true,
        features: wire::feature::EXTENSIONS,
        name: "",
    };
    let mut buf = vec![0; wire::HEADROOM + 1024];
    let probe = Message::ProbePing { from };
    let len = Encoder::new(&mut buf[wire::HEADROOM..], &probe)
        .unwrap()
        .finish();
    let range = wire::seal(None, &mut buf, len);
    socket.send_to(&buf[range], amber.swim).unwrap();
    amber.says("someone said that this member is confirmed: refuted with incarnation");
    socket.send_to(&[0xff; 40], amber.swim).unwrap();
    let at = socket.local_addr().unwrap();
    amber.says(&format!("dropped what came from {at}: "));
}

#[test]
fn a_member_that_stood_still_says_how_long() {
    let amber = Member::start(&[]);
    amber.wait("alive=1");
    amber.signal("STOP");
    std::thread::sleep(Duration::from_millis(500));
    amber.signal("CONT");
    amber.says("this member was late by ");
}

#[test]
fn a_member_that_all_others_left_says_whom_it_asked() {
    let birch = Member::start(&["--name", "birch"]);
    let amber = Member::start(&["--peer", &birch.swim.to_string()]);
    amber.wait("alive=2");
    assert_exit(&birch.ask(&["leave"]), 0);
    amber.says("s: all others have left, and nobody answers of ");
}

#[test]
fn a_peer_that_can_never_be_reached_is_told_at_the_start() {
    let amber = Member::start(&["--peer", "[::1]:9"]);
    amber.says("peer [::1]:9 is IPv6 and cannot be reached from 127.0.0.1:");
    // There is no key to read again either.
    amber.signal("HUP");
    amber.says("nothing to read again: neither --config nor --ring-key was given");
}

#[test]
fn addresses_that_nobody_reads_are_a_warning() {
    let log = NamedTempFile::new().unwrap();
    let args = ["run", "--listen", "127.0.0.1:0", "--http", "none"];
    let mut command = program(&args);
    // Closed before it starts: later, it may have written already.
    let (reader, unread) = std::io::pipe().unwrap();
    drop(reader);
    command.stdout(unread).stderr(log.reopen().unwrap());
    let mut child = command.spawn().unwrap();
    until("it says so", || {
        let log = fs::read_to_string(log.path()).unwrap();
        log.contains("nobody reads the addresses: ")
    });
    child.kill().unwrap();
    child.wait().unwrap();
}

/// The snapshot says something else than the others do, and its checksum is gone.
#[test]
fn a_copy_of_the_others_that_takes_the_place_of_the_disks_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let data = data.to_str().unwrap();
    let config = dir.path().join("redis.toml");
    fs::write(&config, "port = 1\n").unwrap();
    let birch = Member::start(&["--name", "birch"]);
    let peer = birch.swim.to_string();
    let mut amber = Member::start(&["--data-dir", data, "--peer", &peer]);
    amber.wait("alive=2");
    let apply = ["config", "apply", "redis.default", config.to_str().unwrap()];
    assert_exit(&amber.ask(&apply), 0);
    until("birch has it", || {
        birch.ask(&["config", "show", "redis.default"]).stdout == b"port = 1\n"
    });
    amber.signal("TERM");
    assert_eq!(amber.end(), Some(0));
    let id = fs::read_to_string(format!("{data}/MEMBER_ID")).unwrap();
    let snapshot = format!("{data}/{id}.rst");
    let mut bytes = fs::read(&snapshot).unwrap();
    let at = bytes.windows(8).position(|it| it == b"port = 1").unwrap();
    bytes[at + 7] = b'9';
    fs::write(&snapshot, bytes).unwrap();
    fs::remove_file(format!("{snapshot}.sum")).unwrap();
    let again = Member::start(&["--data-dir", data, "--peer", &peer]);
    again.says("restored, but unverified: ");
    again.says(
        "the disk held something else in the same version, so the copy of the others is kept",
    );
    let shown = again.ask(&["config", "show", "redis.default"]);
    assert_eq!(shown.stdout, b"port = 1\n");
}

#[test]
fn a_member_that_is_open_to_others_without_a_key_warns() {
    let open = ["run", "--listen", "0.0.0.0:0", "--http", "127.0.0.1:0"];
    let amber = Member::start_with(&open);
    amber.says("is open to others and there is NO RING KEY");
}

/// Nobody reads the pipe that stands where its incarnation is to be written.
#[test]
fn a_disk_that_hangs_does_not_keep_a_member_from_refuting() {
    let dir = tempfile::tempdir().unwrap();
    let amber = Member::start(&["--data-dir", dir.path().to_str().unwrap()]);
    let pipe = dir.path().join("INCARNATION.tmp");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    let id = amber.json("status")["id"].as_str().unwrap().to_owned();
    let far = Incarnation::new(1 << 40).unwrap();
    crate::versions::suspect(&amber, id.parse().unwrap(), far);
    amber.says("the disk does not answer: going on with an incarnation that may be used again after a crash");
    amber.says("refuted with incarnation 1099511627777");
}

/// Datagrams come from where it listens, and nobody answers where it says that it is.
#[test]
fn a_member_that_nobody_finds_where_it_says_that_it_is_is_told_so() {
    let (amber, birch) = pair();
    let at = birch.swim;
    drop(birch);
    let (listen, port) = (at.to_string(), at.port());
    let advertise = format!("127.0.0.9:{port}");
    let peer = amber.swim.to_string();
    let birch = Member::start_with(&[
        "run",
        "--listen",
        &listen,
        "--advertise",
        &advertise,
        "--http",
        "127.0.0.1:0",
        "--timing",
        "local",
        "--peer",
        &peer,
    ]);
    birch.says(&format!(
        "others see this member at {at}, and it says that it is at 127.0.0.9:{port}"
    ));
    assert_eq!(birch.json("status")["seen_at"], listen);
}

#[test]
fn a_name_may_have_64_bytes_and_a_longer_one_is_cut_with_a_warning() {
    let whole = "a".repeat(64);
    let amber = Member::start(&["--name", &whole]);
    let birch = Member::start(&["--name", &"b".repeat(65), "--peer", &amber.swim.to_string()]);
    birch.says("has 65 bytes, and the most are 64: this member is ");
    amber.wait("alive=2");
    birch.wait("alive=2");
    // Each sees the other's name whole, as far as it is one.
    assert_eq!(birch.row(&whole)["health"], "alive");
    assert_eq!(amber.row(&"b".repeat(64))["health"], "alive");
    assert!(!amber.log().contains("and the most are"), "{}", amber.log());
}

#[test]
fn a_member_that_cannot_send_says_why_once() {
    // From loopback the system sends nothing to others.
    let amber = Member::start(&["--peer", "192.0.2.1:9"]);
    amber.says("the system does not send to 192.0.2.1:9: ");
    until("it was asked again", || {
        amber.json("status")["counters"]["send_errors"].as_u64() > Some(2)
    });
    assert_eq!(
        amber.log().matches("the system does not send to").count(),
        1
    );
}
