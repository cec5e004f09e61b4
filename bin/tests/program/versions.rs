//! Versions that leap or are stuck, what is removed, and a store that is full.

use std::fs;
use std::path::PathBuf;

use butterfly::wire::{Accusers, Encoder, HEADROOM, MemberRecord, MembershipRecord, Message, seal};
use butterfly::{Health, Incarnation, MemberId};
use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{Member, assert_exit, butterfly, pair, said, until};

const GROUP: &str = "redis.default";
/// The highest version that members take, and one more.
const LAST: &str = "4611686018427387903";
const BEYOND: &str = "4611686018427387904";

fn file(dir: &TempDir, name: &str, content: &[u8]) -> String {
    let path: PathBuf = dir.path().join(name);
    fs::write(&path, content).unwrap();
    path.to_str().unwrap().to_owned()
}

#[track_caller]
fn assert_refused(member: &Member, args: &[&str], parts: &[&str]) {
    let output = member.ask(args);
    assert_exit(&output, 1);
    let said = said(&output);
    let all = parts.iter().all(|part| said.contains(part));
    assert!(
        all && said.trim_end().lines().count() == 1,
        "{parts:?}: {said}"
    );
    assert!(output.stdout.is_empty(), "{output:?}");
}

fn shows(member: &Member, content: &[u8]) -> bool {
    member.ask(&["config", "show", GROUP]).stdout == content
}

fn counted(member: &Member, reason: &str) -> u64 {
    member.json("status")["counters"][format!("rejected_{reason}")]
        .as_u64()
        .unwrap()
}

#[test]
fn a_typo_is_refused_unless_it_is_forced() {
    let dir = tempfile::tempdir().unwrap();
    let (good, path) = (file(&dir, "good", b"a = 1\n"), file(&dir, "f", b"b"));
    let amber = Member::start(&[]);
    for (number, part) in [
        ("4294967297", "--force"),
        (LAST, "--force"),
        (BEYOND, "2^62"),
    ] {
        for args in [
            ["config", "apply", GROUP, number, &good],
            ["file", "upload", GROUP, number, &path],
        ] {
            assert_refused(&amber, &args, &[number, part]);
        }
    }
    assert!(amber.rumors_of_users().is_empty());
    let apply = ["config", "apply", GROUP, "now", &good];
    assert_exit(&amber.ask(&apply), 0);
    let far = ["config", "apply", GROUP, "99999999999999", &good, "--force"];
    assert_exit(&amber.ask(&far), 0);
    let far = ["file", "upload", GROUP, "99999999999999", &path, "--force"];
    assert_exit(&amber.ask(&far), 0);
    let far = ["config", "apply", GROUP, BEYOND, &good, "--force"];
    assert_refused(&amber, &far, &[BEYOND, "lower"]);
    // Whoever pushes into the dark is told what can be known.
    let inject = [
        "inject",
        "--to",
        "127.0.0.1:1",
        "config",
        GROUP,
        BEYOND,
        &good,
    ];
    let output = butterfly(&inject);
    assert_exit(&output, 2);
    assert!(said(&output).contains("--force"), "{output:?}");
}

/// As docs/guides/operating.md says.
#[test]
fn a_group_that_is_stuck_is_set_back_at_every_member() {
    let dir = tempfile::tempdir().unwrap();
    let (forged, good) = (file(&dir, "forged", b"forged"), file(&dir, "good", b"good"));
    let (amber, birch) = pair();
    let to = amber.swim.to_string();
    let inject = |args: &[&str]| {
        let output = butterfly(&[&["inject", "--to", &to, "config", GROUP], args].concat());
        assert_exit(&output, 0);
    };
    // What is beyond the limit does no harm, whoever pushes it.
    inject(&[BEYOND, &forged, "--force"]);
    inject(&["18446744073709551615", &forged, "--force"]);
    until("amber has refused both", || {
        counted(&amber, "bad_version") == 2
    });
    assert!(
        amber.log().contains("a version of 2^62 or more"),
        "{}",
        amber.log()
    );
    assert!(!shows(&amber, b"forged"));
    // What is just below it is taken, and then nothing can follow.
    inject(&[LAST, &forged]);
    until("both hold what was forged", || {
        shows(&amber, b"forged") && shows(&birch, b"forged")
    });
    let apply = ["config", "apply", GROUP, "now", &good];
    assert_refused(&amber, &apply, &["stuck", "--force", "every member"]);
    assert_refused(&amber, &["config", "remove", GROUP], &["stuck", "--force"]);
    let forced = ["config", "apply", GROUP, "now", &good, "--force"];
    assert_exit(&amber.ask(&forced), 0);
    assert_exit(&birch.ask(&forced), 0);
    until("both hold the same", || {
        let same = amber.json("status")["rumors"]["checksum"]
            == birch.json("status")["rumors"]["checksum"];
        same && shows(&amber, b"good") && shows(&birch, b"good")
    });
    // It goes on from there, and somebody new gets it.
    let next = ["config", "apply", GROUP, "4000000000", &forged];
    assert_exit(&birch.ask(&next), 0);
    let cedar = Member::start(&["--name", "cedar", "--peer", &to]);
    until("all have the next", || {
        [&amber, &birch, &cedar]
            .iter()
            .all(|member| shows(member, b"forged"))
    });
}

#[test]
fn what_is_removed_is_gone_everywhere_and_stays_so() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let data = data.to_str().unwrap();
    let content = file(&dir, "content", b"a = 1\n");
    let empty = file(&dir, "empty", b"");
    let mut amber = Member::start(&["--name", "amber", "--data-dir", data]);
    let peer = amber.swim.to_string();
    let birch = Member::start(&["--name", "birch", "--peer", &peer]);
    birch.wait("alive=2");
    assert_refused(
        &amber,
        &["config", "remove", GROUP],
        &["no configuration", GROUP],
    );
    assert_refused(
        &amber,
        &["file", "remove", GROUP, "f"],
        &["no file", "\"f\""],
    );
    assert_exit(&amber.ask(&["config", "apply", GROUP, "7", &content]), 0);
    let upload = ["file", "upload", GROUP, "7", &content, "--name", "f"];
    assert_exit(&amber.ask(&upload), 0);
    let apply = ["config", "apply", GROUP, "8", &empty];
    assert_refused(&amber, &apply, &["empty", "butterfly config remove"]);
    let upload = ["file", "upload", GROUP, "8", &empty];
    assert_refused(&amber, &upload, &["empty", "butterfly file remove"]);
    until("birch has both", || birch.rumors_of_users().len() == 2);

    // The other one removes them.
    for args in [
        vec!["config", "remove", GROUP],
        vec!["file", "remove", GROUP, "f"],
    ] {
        let output = birch.ask(&args);
        assert_exit(&output, 0);
        assert!(
            said(&output).contains("removed, incarnation 8"),
            "{output:?}"
        );
        assert_refused(&birch, &args, &["was removed before", "8"]);
    }
    let gone = |member: &Member| {
        let rows = member.json("rumors");
        (0..2).all(|row| rows[row]["removed"] == true && rows[row].get("config").is_none())
    };
    until("amber knows that they are gone", || gone(&amber));
    for member in [&amber, &birch] {
        assert_refused(member, &["config", "show", GROUP], &["was removed"]);
        assert_refused(
            member,
            &["config", "show", GROUP, "-o", "json"],
            &["was removed"],
        );
        assert_refused(
            member,
            &["file", "get", GROUP, "f"],
            &["\"f\"", "was removed"],
        );
        let table = String::from_utf8(member.ask(&["rumors"]).stdout).unwrap();
        assert_eq!(table.matches("removed").count(), 2, "{table}");
        let answer = member.talk("GET /butterfly HTTP/1.0\r\nHost: localhost\r\n\r\n");
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        let all: Value = serde_json::from_str(body).unwrap();
        let rumors = &all["rumors"];
        assert!(rumors["service_config"].as_array().unwrap().is_empty());
        assert!(rumors["service_file"].as_array().unwrap().is_empty());
    }
    assert!(
        amber.log().contains("removed, incarnation 8"),
        "{}",
        amber.log()
    );

    // Also after a restart, and for somebody new.
    amber.signal("TERM");
    assert_eq!(amber.end(), Some(0));
    let amber = Member::start(&["--name", "amber", "--data-dir", data]);
    assert!(gone(&amber));
    let cedar = Member::start(&["--peer", &birch.swim.to_string()]);
    until("cedar knows that they are gone", || {
        cedar.json("status")["rumors"]["count"] == 5 && gone(&cedar)
    });
    assert_exit(&amber.ask(&["config", "apply", GROUP, "9", &content]), 0);
    assert!(shows(&amber, b"a = 1\n"));
}

#[test]
fn a_store_with_a_limit_says_when_it_is_full() {
    let dir = tempfile::tempdir().unwrap();
    let large = file(&dir, "large", &vec![7; 60 << 10]);
    let small = file(&dir, "small", &vec![7; 8 << 10]);
    let amber = Member::start(&["--store-limit", "64KiB"]);
    assert_eq!(amber.json("status")["rumors"]["limit"], 64 << 10);
    let upload = |path: &str| ["file", "upload", GROUP, "1", path].map(str::to_owned);
    let ask = |path: &str| {
        let args = upload(path);
        amber.ask(&args.iter().map(String::as_str).collect::<Vec<_>>())
    };
    assert_exit(&ask(&large), 0);
    let held = amber.json("status")["rumors"]["bytes"].to_string();
    let args = ["file", "upload", GROUP, "1", &small];
    assert_refused(
        &amber,
        &args,
        &[&held, "65536", "file remove", "--store-limit"],
    );
    let to = amber.swim.to_string();
    let inject = ["inject", "--to", &to, "file", GROUP, "1", &small];
    assert_exit(&butterfly(&inject), 0);
    until("amber has refused it", || {
        counted(&amber, "store_full") == 1
    });
    let log = amber.log();
    assert!(log.contains("of 65536 bytes in 2 rumors"), "{log}");
    assert_exit(&amber.ask(&["file", "remove", GROUP, "large"]), 0);
    assert_exit(&ask(&small), 0);
    let run = ["run", "--listen", "127.0.0.1:0", "--store-limit", "1GiB"];
    let output = butterfly(&run);
    assert_exit(&output, 2);
    assert!(said(&output).contains("192MiB"), "{output:?}");
}

/// A stranger tells a member that it is Suspect, at this incarnation.
pub fn suspect(member: &Member, id: MemberId, incarnation: Incarnation) {
    let me = MemberRecord {
        id: MemberId::from_bytes([7; 16]),
        incarnation: Incarnation::ZERO,
        address: None,
        swim_port: 1,
        gossip_port: 0,
        persistent: false,
        departed: false,
        probe_ping: false,
        features: 0,
        name: "",
    };
    let ack = Message::Ack {
        from: me,
        forward_to: None,
        probe: 0,
        table: false,
        starting: false,
        rumors: 0,
        reconcile: &[],
    };
    let said = MembershipRecord {
        member: MemberRecord {
            id,
            incarnation,
            address: Some(member.swim.ip()),
            swim_port: member.swim.port(),
            ..me
        },
        health: Health::Suspect,
        accusers: Accusers::NONE,
    };
    let mut buffer = vec![0; HEADROOM + 1_024];
    let mut out = Encoder::new(&mut buffer[HEADROOM..], &ack).unwrap();
    assert!(out.push(&said, 1_024));
    let length = out.finish();
    let range = seal(None, &mut buffer, length);
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.send_to(&buffer[range], member.swim).unwrap();
}

#[test]
fn a_member_without_an_incarnation_left_goes_on_under_a_new_id_and_keeps_that() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let id_of = |member: &Member| member.json("status")["id"].as_str().unwrap().to_owned();
    let args = ["--name", "amber", "--data-dir", data.to_str().unwrap()];
    let mut amber = Member::start(&args);
    let birch = Member::start(&["--peer", &amber.swim.to_string()]);
    birch.wait("alive=2");
    let pkg = "acme/redis/7.2.1/20260101000000";
    assert_exit(&amber.ask(&["service", "add", GROUP, "--pkg", pkg]), 0);
    let before = id_of(&amber);
    suspect(&amber, before.parse().unwrap(), Incarnation::MAX);
    until("amber has a new id", || id_of(&amber) != before);
    let after = id_of(&amber);
    amber.says(&format!(
        "no incarnation is left for member {before}, as somebody said something of it at the highest there is: it has left, \
         and goes on as {after}"
    ));
    // The stranger's made-up member is found dead.
    birch.wait("alive=2");
    let runs = |member: &Member, id: &str| {
        let rows = member.json("rumors");
        let mut rows = rows.as_array().unwrap().iter();
        rows.any(|row| row["kind"] == "service" && row["member"] == id)
    };
    until("birch knows its service under that", || {
        runs(&birch, &after) && !runs(&birch, &before)
    });
    let health = |id: &str| {
        let rows = birch.json("members");
        let row = rows.as_array().unwrap().iter().find(|row| row["id"] == id);
        row.map_or(Value::Null, |row| row["health"].clone())
    };
    assert_eq!(health(&after), "alive");
    // It told that it left; who hears of the new one before that takes it for a restart, and forgets the former at once.
    let former = health(&before);
    assert!(former == "departed" || former.is_null(), "{former}");

    // Its disk has it, and an orderly restart brings it back.
    amber.signal("TERM");
    assert_eq!(amber.end(), Some(0));
    assert_eq!(fs::read_to_string(data.join("MEMBER_ID")).unwrap(), after);
    assert!(data.join(format!("{after}.rst")).exists());
    assert!(!data.join(format!("{before}.rst")).exists());
    let amber = Member::start(&[&args[..], &["--peer", &birch.swim.to_string()]].concat());
    assert_eq!(id_of(&amber), after);
    until("birch holds it for Alive again", || {
        health(&after) == "alive"
    });
}

#[test]
fn a_version_is_chosen_by_the_member() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(&dir, "f", b"a = 1\n");
    let amber = Member::start(&[]);
    let version = |kind: &str| {
        amber
            .json("rumors")
            .as_array()
            .unwrap()
            .iter()
            .find(|row| row["kind"] == kind)
            .unwrap()["incarnation"]
            .as_u64()
            .unwrap()
    };
    for (command, kind) in [
        ("config apply", "service_config"),
        ("file upload", "service_file"),
    ] {
        let ask = |args: &[&str]| {
            let command: Vec<_> = command
                .split(' ')
                .chain([GROUP])
                .chain(args.iter().copied())
                .collect();
            let output = amber.ask(&command);
            assert_exit(&output, 0);
            let (said, held) = (said(&output), version(kind));
            assert!(said.contains(&format!("incarnation {held}")), "{said}");
            held
        };
        assert_eq!(ask(&[&path]), 1);
        assert_eq!(ask(&["next", &path]), 2);
        assert_eq!(ask(&["7", &path]), 7);
        let now = ask(&["now", &path]);
        assert!(now > 1_700_000_000, "{now}");
        let again = ask(&["now", &path]);
        assert!(again > now, "{again}");
        // A clock an hour ahead blocks nobody.
        let ahead = (again + 3_600).to_string();
        assert_eq!(ask(&[&ahead, &path]), again + 3_600);
        assert_eq!(ask(&["now", &path]), again + 3_601);
        assert_eq!(ask(&["--force", &path]), again + 3_602);
    }
    let inject = [
        "inject",
        "--to",
        "127.0.0.1:1",
        "config",
        GROUP,
        "next",
        &path,
    ];
    let output = butterfly(&inject);
    assert_exit(&output, 2);
    assert!(said(&output).contains("no current version"), "{output:?}");
    let inject = ["inject", "--to", "127.0.0.1:1", "config", GROUP, &path];
    assert_exit(&butterfly(&inject), 2);
}

#[test]
fn the_member_whose_version_lost_logs_it() {
    let dir = tempfile::tempdir().unwrap();
    let (lesser, greater) = (file(&dir, "lesser", b"a"), file(&dir, "greater", b"b"));
    let amber = Member::start(&["--name", "amber"]);
    let birch = Member::start(&["--name", "birch"]);
    assert_exit(&amber.ask(&["config", "apply", GROUP, &lesser]), 0);
    assert_exit(&birch.ask(&["config", "apply", GROUP, &greater]), 0);
    assert_exit(&birch.ask(&["join", &amber.swim.to_string()]), 0);
    until("both hold the greater one", || {
        shows(&amber, b"b") && shows(&birch, b"b")
    });
    amber.says("incarnation 1 was given to two members at once, and that of birch");
    assert!(!birch.log().contains("at once"), "{}", birch.log());
}
