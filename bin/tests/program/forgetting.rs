//! Dead members that the ring forgets.

use std::time::Duration;

use serde_json::Value;

use crate::harness::{Member, assert_exit, pair, said, until};

fn kill(member: &mut Member) {
    member.signal("KILL");
    member.end();
}

#[test]
fn dead_members_are_forgotten_by_name_everywhere_and_living_ones_are_not() {
    let (amber, mut birch) = pair();
    let peer = amber.swim.to_string();
    let cedar = Member::start(&["--name", "cedar", "--peer", &peer]);
    amber.wait("alive=3");
    let forget = |args: &[&str]| amber.ask(&[&["forget"], args].concat());
    for (args, code, part) in [
        (
            &["birch"][..],
            1,
            "\"birch\" is alive, and only the dead are forgotten",
        ),
        (&["nobody"], 1, "no member has the name"),
        (&[], 2, "MEMBER"),
        (&["--dead", "birch"], 2, "--dead"),
        (&["--older-than", "1h", "birch"], 2, "--older-than"),
    ] {
        let output = forget(args);
        assert_exit(&output, code);
        assert!(said(&output).contains(part), "{output:?}");
    }
    kill(&mut birch);
    for member in [&amber, &cedar] {
        until("birch is dead", || {
            member.row("birch")["health"] == "confirmed"
        });
    }
    let none = forget(&["--dead", "--older-than", "1h"]);
    assert_exit(&none, 0);
    assert!(
        none.stdout.is_empty() && said(&none).contains("forget 0 dead members"),
        "{none:?}"
    );
    let output = forget(&["birch"]);
    assert_exit(&output, 0);
    assert!(
        String::from_utf8_lossy(&output.stdout).starts_with("birch ("),
        "{output:?}"
    );
    for member in [&amber, &cedar] {
        until("birch is forgotten", || member.row("birch") == Value::Null);
        member.says("birch (");
        member.says("was forgotten");
    }
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(cedar.json("members").as_array().map(Vec::len), Some(2));
}

/// Without a data directory: it is another member.
#[test]
fn a_member_that_starts_again_at_its_address_and_with_its_name_replaces_its_former_self() {
    let (amber, mut birch) = pair();
    let (peer, at) = (amber.swim.to_string(), birch.swim.to_string());
    kill(&mut birch);
    let run = [
        "run",
        "--listen",
        &at,
        "--http",
        "127.0.0.1:0",
        "--timing",
        "local",
    ];
    let again = ["--name", "birch", "--peer", &peer];
    let birch = Member::start_with(&[&run[..], &again].concat());
    birch.wait("alive=2");
    until("amber knows one birch", || {
        let rows = amber.json("members");
        let rows = rows.as_array().unwrap();
        rows.len() == 2 && rows.iter().all(|row| row["health"] == "alive")
    });
}
