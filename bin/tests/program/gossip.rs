//! What members tell each other over ZeroMQ: what one is told, all know.

use std::fs;
use std::process::Output;

use serde_json::Value;

use crate::harness::{Member, assert_exit, butterfly, generate_key, pair, said, until};

const GROUP: &str = "redis.default";
const PKG: &str = "acme/redis/7.2.1/20260101000000";

/// What this member holds of that kind.
#[track_caller]
fn rumors(member: &Member, kind: &str) -> Vec<Value> {
    let output = member.ask(&["rumors", "--kind", kind, "-o", "json"]);
    assert_exit(&output, 0);
    serde_json::from_slice(&output.stdout).unwrap()
}

fn announce(member: &Member) {
    assert_exit(&member.ask(&["service", "add", GROUP, "--pkg", PKG]), 0);
}

#[test]
fn what_one_is_told_the_other_knows() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    let bytes: Vec<u8> = (0..8 << 20).map(|at: u32| (at % 251) as u8).collect();
    fs::write(&path, &bytes).unwrap();
    let path = path.to_str().unwrap();
    let (amber, birch) = pair();
    assert_exit(&amber.ask(&["config", "apply", GROUP, "1", path]), 0);
    assert_exit(&amber.ask(&["file", "upload", GROUP, "1", path]), 0);
    announce(&birch);
    until("birch has the configuration", || {
        birch.ask(&["config", "show", GROUP]).stdout == bytes
    });
    until("birch has the file", || {
        birch.ask(&["file", "get", GROUP, "file"]).stdout == bytes
    });
    until("amber knows the service", || {
        rumors(&amber, "service").len() == 1
    });
    let older = birch.ask(&["config", "apply", GROUP, "1", path]);
    assert_exit(&older, 1);
    assert!(
        said(&older).contains("incarnation 1 is not newer than 1"),
        "{older:?}"
    );
    until("both hold the same", || {
        amber.json("status")["rumors"]["checksum"] == birch.json("status")["rumors"]["checksum"]
    });
    assert_exit(&birch.ask(&["service", "remove", GROUP]), 0);
    until("amber knows that the service is gone", || {
        rumors(&amber, "service")[0]["withdrawn"] == true
    });
}

#[test]
fn gossip_has_a_port_of_its_own_if_it_is_told_so() {
    let amber = Member::start(&["--name", "amber", "--gossip-port", "0"]);
    let port = amber.row("amber")["gossip_port"].as_u64().unwrap();
    assert_ne!(port, u64::from(amber.swim.port()));
    let birch = Member::start(&["--name", "birch", "--peer", &amber.swim.to_string()]);
    announce(&birch);
    until("amber knows the service", || {
        rumors(&amber, "service").len() == 1
    });
    let output = butterfly(&[
        "inject",
        "--to",
        &format!("127.0.0.1:{port}"),
        "depart",
        &"7".repeat(32),
    ]);
    assert_exit(&output, 0);
    until("birch knows the departure", || {
        rumors(&birch, "departure").len() == 1
    });
}

#[test]
fn what_is_injected_reaches_all_who_have_the_key() {
    let dir = tempfile::tempdir().unwrap();
    let key = generate_key(dir.path());
    let key = key.to_str().unwrap();
    let config = dir.path().join("config");
    fs::write(&config, "a = 1\n").unwrap();
    let config = config.to_str().unwrap();
    let amber = Member::start(&["--name", "amber", "--ring-key", key]);
    let peer = amber.swim.to_string();
    let birch = Member::start(&["--name", "birch", "--ring-key", key, "--peer", &peer]);
    birch.wait("alive=2");
    let inject = |args: &[&str]| -> Output {
        let to = ["inject", "--to", &peer];
        butterfly(&[&to[..], args, &["config", GROUP, "1", config]].concat())
    };
    // It leaves, and nobody believes it.
    let output = inject(&[]);
    assert_exit(&output, 0);
    for part in ["incarnation 1", "nobody confirms"] {
        assert!(said(&output).contains(part), "{output:?}");
    }
    until("amber has heard what is not sealed", || {
        amber.json("status")["counters"]["rejected_not_sealed"] == 1
    });
    assert!(rumors(&amber, "service_config").is_empty());
    assert_exit(&inject(&["--ring-key", key]), 0);
    until("birch has the configuration", || {
        birch.ask(&["config", "show", GROUP]).stdout == b"a = 1\n"
    });
}

#[test]
fn who_departed_is_refused_when_it_comes_back() {
    let (amber, mut birch) = pair();
    let id = birch.row("birch")["id"].as_str().unwrap().to_owned();
    assert_exit(&amber.ask(&["depart", "birch", "--yes"]), 0);
    assert_eq!(birch.end(), Some(4), "{}", birch.log());
    until("amber knows", || amber.row("birch")["health"] == "departed");
    let peer = amber.swim.to_string();
    let mut again = Member::start(&["--name", "birch", "--id", &id, "--peer", &peer]);
    assert_eq!(again.end(), Some(4), "{}", again.log());
    assert!(
        again.log().contains("give it another --id"),
        "{}",
        again.log()
    );
    assert_eq!(amber.row("birch")["health"], "departed");
}

/// Whom all of these hold for the leader; `None`: they don't agree, or nobody leads.
fn leader(members: &[Member]) -> Option<String> {
    let leads = |member: &Member| {
        let held = rumors(member, "election");
        let row = held.first().filter(|row| row["status"] == "finished")?;
        row["candidate"].as_str().map(str::to_owned)
    };
    let first = leads(members.first()?)?;
    members
        .iter()
        .all(|member| leads(member).as_deref() == Some(&first))
        .then_some(first)
}

#[test]
fn a_group_elects_a_leader_and_another_when_it_dies() {
    let amber = Member::start(&["--name", "amber"]);
    let peer = amber.swim.to_string();
    let [birch, cedar] =
        ["birch", "cedar"].map(|name| Member::start(&["--name", name, "--peer", &peer]));
    let mut members = vec![amber, birch, cedar];
    for member in &members {
        announce(member);
    }
    until("all know all services", || {
        members
            .iter()
            .all(|member| rumors(member, "service").len() == 3)
    });
    assert_exit(&members[0].ask(&["election", "start", GROUP]), 0);
    until("all agree on a leader", || leader(&members).is_some());
    let old = leader(&members).unwrap();
    let id = |member: &Member| member.json("status")["id"].as_str().map(str::to_owned);
    members.retain(|member| id(member).as_ref() != Some(&old));
    assert_eq!(members.len(), 2);
    until("they agree on another", || {
        leader(&members).is_some_and(|new| new != old)
    });
    // How the votes came in shows only where they did not all come at once.
    for elected in [old, leader(&members).unwrap()] {
        members[0].says(&format!("({}) was elected, term", &elected[..8]));
    }
}
