//! `store show`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use butterfly::disk::{Section, Snapshot};
use butterfly_protocols::newscast::election::Status;
use butterfly_protocols::newscast::rumor::Type;
use butterfly_protocols::newscast::{
    Departure, Election, Rumor, Service, ServiceConfig, ServiceFile,
};
use butterfly_protocols::swim::membership::Health;
use butterfly_protocols::swim::{Member, Membership};
use protobuf::{EnumOrUnknown, Message, MessageField};
use serde_json::Value;

use crate::harness::{assert_exit, butterfly, program, said};

const AMBER: &str = "1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a";
const BIRCH: &str = "2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b";

fn rumor(kind: Type, fill: impl FnOnce(&mut Rumor)) -> Vec<u8> {
    let mut rumor = Rumor::new();
    rumor.set_type(kind);
    rumor.set_from_id(AMBER.into());
    fill(&mut rumor);
    rumor.write_to_bytes().unwrap()
}

fn membership() -> Vec<u8> {
    let member = Member {
        id: Some(AMBER.into()),
        incarnation: Some(7),
        address: Some("10.0.0.7".into()),
        swim_port: Some(9638),
        gossip_port: Some(9639),
        persistent: Some(true),
        name: Some("am\x1bber".into()),
        ..Member::default()
    };
    let membership = Membership {
        member: MessageField::some(member),
        health: Some(EnumOrUnknown::new(Health::SUSPECT)),
        ..Membership::default()
    };
    membership.write_to_bytes().unwrap()
}

fn service() -> Vec<u8> {
    let service = Service {
        member_id: Some(AMBER.into()),
        service_group: Some("web.default".into()),
        incarnation: Some(3),
        initialized: Some(true),
        pkg: Some("core/web/1.0/20261123120000".into()),
        cfg: Some(b"secret = 1".to_vec()),
        ..Service::default()
    };
    rumor(Type::SERVICE, |rumor| rumor.set_service(service))
}

fn service_config() -> Vec<u8> {
    let config = ServiceConfig {
        service_group: Some("web.default".into()),
        incarnation: Some(4),
        encrypted: Some(true),
        config: Some(vec![b'x'; 120]),
        ..ServiceConfig::default()
    };
    rumor(Type::SERVICE_CONFIG, |rumor| {
        rumor.set_service_config(config)
    })
}

fn service_file() -> Vec<u8> {
    let file = ServiceFile {
        service_group: Some("web.default".into()),
        incarnation: Some(5),
        filename: Some("app.toml".into()),
        body: Some(vec![b'y'; 77]),
        ..ServiceFile::default()
    };
    rumor(Type::SERVICE_FILE, |rumor| rumor.set_service_file(file))
}

fn election(kind: Type, status: Status) -> Vec<u8> {
    let election = Election {
        service_group: Some("db.default".into()),
        term: Some(2),
        suitability: Some(u64::MAX),
        status: Some(EnumOrUnknown::new(status)),
        votes: vec![AMBER.into(), BIRCH.into()],
        ..Election::default()
    };
    rumor(kind, |rumor| rumor.set_election(election))
}

fn departure() -> Vec<u8> {
    let departure = Departure {
        member_id: Some(BIRCH.into()),
        ..Departure::default()
    };
    rumor(Type::DEPARTURE, |rumor| rumor.set_departure(departure))
}

/// One of each kind, and two that cannot be read.
fn snapshot() -> Snapshot {
    let mut snapshot = Snapshot::new();
    snapshot.push(Section::Member, membership());
    snapshot.push(Section::Service, service());
    snapshot.push(Section::Service, departure());
    snapshot.push(Section::Service, [0xff; 5]);
    snapshot.push(Section::ServiceConfig, service_config());
    snapshot.push(Section::ServiceFile, service_file());
    snapshot.push(
        Section::Election,
        election(Type::ELECTION, Status::FINISHED),
    );
    snapshot.push(
        Section::ElectionUpdate,
        election(Type::ELECTION_UPDATE, Status::NO_QUORUM),
    );
    snapshot.push(Section::Departure, departure());
    snapshot
}

fn write(dir: &Path, snapshot: &Snapshot) -> PathBuf {
    let path = dir.join("member.rst");
    let mut bytes = Vec::new();
    snapshot.write_to(&mut bytes).unwrap();
    fs::write(&path, bytes).unwrap();
    path
}

fn show(path: &Path, more: &[&str]) -> Output {
    butterfly(&[&["store", "show", path.to_str().unwrap()], more].concat())
}

#[track_caller]
fn text(output: &Output) -> String {
    assert_exit(output, 0);
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn every_entry_is_a_line() {
    let dir = tempfile::tempdir().unwrap();
    let text = text(&show(&write(dir.path(), &snapshot()), &[]));
    let lines: Vec<&str> = text.lines().collect();
    let expected: [&[&str]; 10] = [
        &["SECTION", "KEY", "ID", "INC", "BYTES", "NOTE"],
        &[
            "member ",
            "- ",
            AMBER,
            " 7 ",
            "health suspect, address 10.0.0.7, swim port 9638",
            "gossip port 9639, name am\\u{1b}ber, persistent",
        ],
        &[
            "service ",
            "web.default",
            AMBER,
            " 3 ",
            "pkg core/web/1.0/20261123120000",
            "initialized, cfg bytes 10",
        ],
        &[
            "service ",
            "unreadable: a rumor of type departure with a departure does not belong here",
        ],
        &["service ", " 5 ", "unreadable: "],
        &[
            "service_config ",
            "web.default",
            " 4 ",
            "config bytes 120, encrypted",
            AMBER,
        ],
        &[
            "service_file ",
            "web.default",
            "app.toml",
            " 5 ",
            "body bytes 77, from",
        ],
        &[
            "election ",
            "db.default",
            AMBER,
            "term 2, suitability 18446744073709551615, status finished, votes 2",
        ],
        &["election_update ", "db.default", "status no_quorum"],
        &["departure ", BIRCH],
    ];
    assert_eq!(lines.len(), expected.len(), "{text}");
    for (line, parts) in lines.iter().zip(expected) {
        for part in parts {
            assert!(line.contains(part), "{part:?} is not in {line:?}");
        }
    }
    assert!(!text.contains("secret"), "{text}");
    assert!(!text.contains("localhost"), "a default nobody set: {text}");
}

#[test]
fn programs_get_json() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), &snapshot());
    let json: Value = serde_json::from_str(&text(&show(&path, &["-o", "json"]))).unwrap();
    let entries = json.as_array().unwrap();
    assert_eq!(entries.len(), 9);
    assert_eq!(entries[0]["id"], AMBER);
    assert_eq!(entries[0]["health"], "suspect");
    assert_eq!(entries[1]["key"], "web.default");
    assert_eq!(entries[1]["bytes"], service().len());
    assert!(entries[3]["unreadable"].is_string());
    assert_eq!(entries[6]["suitability"], u64::MAX);
    assert_eq!(entries[6]["incarnation"], Value::Null);

    let json: Value = serde_json::from_str(&text(&show(&path, &["-s", "-o", "json"]))).unwrap();
    assert_eq!(json["sections"][1]["entries"], 3);
    assert_eq!(
        json["sections"][1]["bytes"],
        snapshot().section_bytes(Section::Service)
    );
    assert_eq!(json["entries"], 9);
}

#[test]
fn the_summary_counts() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), &snapshot());
    let text = text(&show(&path, &["--summary"]));
    let rows: Vec<Vec<&str>> = text
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(rows.len(), 9, "{text}");
    assert_eq!(rows[0], ["SECTION", "ENTRIES", "BYTES"]);
    assert_eq!(rows[2][..2], ["service", "3"]);
    let without_header = fs::metadata(&path).unwrap().len() - 65;
    assert_eq!(rows[8], ["all", "9", &without_header.to_string()]);
}

#[test]
fn a_bad_file_is_one_line_and_exit_code_1() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), &snapshot());
    let whole = fs::read(&path).unwrap();
    let none = dir.path().join("none.rst");
    for (content, part) in [
        (Vec::new(), "it is empty"),
        (vec![7; 80], "byte 0 says version 7"),
        (whole[..30].to_vec(), "ends at byte 30"),
        (
            whole[..whole.len() - 1].to_vec(),
            "section departure at byte",
        ),
    ] {
        fs::write(&path, content).unwrap();
        assert_says(&show(&path, &[]), &path, part);
        assert_says(&show(&path, &["-s"]), &path, part);
    }
    assert_says(&show(&none, &[]), &none, "<member id>.rst");
    assert_says(&show(dir.path(), &[]), dir.path(), "<member id>.rst");
    assert_exit(&butterfly(&["store", "show"]), 2);
}

#[track_caller]
fn assert_says(output: &Output, path: &Path, part: &str) {
    assert_exit(output, 1);
    let said = said(output);
    assert!(
        said.contains(part)
            && said.contains(path.to_str().unwrap())
            && said.trim_end().lines().count() == 1,
        "{said}"
    );
    assert!(output.stdout.is_empty());
}

#[test]
fn who_has_seen_enough_may_go() {
    let dir = tempfile::tempdir().unwrap();
    let mut many = Snapshot::new();
    for _ in 0..2_000 {
        many.push(Section::Member, membership());
    }
    let path = write(dir.path(), &many);
    let mut child = program(&["store", "show", path.to_str().unwrap()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_exit(&output, 0);
    assert_eq!(said(&output), "");
}
