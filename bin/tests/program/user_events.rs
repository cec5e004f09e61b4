//! User events: what members are told, who runs commands for it, and what is refused.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use serde_json::Value;

use crate::harness::{Member, assert_exit, butterfly, generate_key, program, said, until};

/// The first user events that a member tells.
fn followed(member: &Member, count: usize) -> Vec<Value> {
    let gateway = member.http.to_string();
    let follow = ["events", "--since", "1m", "--kind", "user", "-o", "ndjson"];
    let mut command = program(&[&follow[..], &["--http", &gateway]].concat());
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let lines = lines.map_while(Result::ok).take(count);
    let rows = lines.map(|line| serde_json::from_str(&line).unwrap());
    let rows = rows.collect();
    child.kill().unwrap();
    child.wait().unwrap();
    rows
}

#[test]
fn an_event_comes_to_all_members_and_to_their_commands() {
    let dir = tempfile::tempdir().unwrap();
    let key = generate_key(dir.path());
    let key = key.to_str().unwrap();
    let path = |name: &str| dir.path().join(name);
    let on = |name: &str| {
        format!(
            "user:deploy=cat >> {}; echo \" $BUTTERFLY_EVENT_NAME $BUTTERFLY_EVENT_MEMBER_NAME\" >> {0}",
            path(name).display()
        )
    };
    let run = |name: &str, more: &[&str]| {
        let on = on(name);
        Member::start(&[&["--name", name, "--ring-key", key, "--on", &on], more].concat())
    };
    let amber = run("amber", &[]);
    let peer = amber.swim.to_string();
    let birch = run("birch", &["--peer", &peer]);
    amber.wait("alive=2");
    birch.wait("alive=2");
    for payload in ["one", "two"] {
        let sent = birch.ask(&["event", "send", "deploy", payload]);
        assert_exit(&sent, 0);
        assert!(
            said(&sent).contains("sent the event deploy, Lamport time"),
            "{sent:?}"
        );
    }
    assert_exit(&birch.ask(&["event", "send", "other", "three"]), 0);
    let read = |name: &str| fs::read_to_string(path(name)).unwrap_or_default();
    let handled = "one deploy birch\ntwo deploy birch\n";
    for member in ["amber", "birch"] {
        until("its command ran for both", || read(member) == handled);
    }
    let rows = followed(&amber, 3);
    let said: Vec<_> = rows
        .iter()
        .map(|row| row["payload"].as_str().unwrap())
        .collect();
    assert_eq!(said, ["one", "two", "three"]);
    assert_eq!(
        (&rows[2]["user_event"], &rows[2]["name"]),
        (&"other".into(), &"birch".into())
    );
    assert_eq!(rows[2]["payload_bytes"], 5);
    amber.says("event deploy from birch");
    let metrics = amber.talk("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(
        metrics.contains("butterfly_user_events_total{result=\"delivered\"} 3\n"),
        "{metrics}"
    );
    let rumors = amber.ask(&["rumors", "--kind", "user_event"]);
    let rumors = String::from_utf8(rumors.stdout).unwrap();
    assert!(rumors.contains("deploy by birch"), "{rumors}");
}

#[test]
fn a_payload_may_come_from_standard_input_and_what_cannot_be_sent_is_refused() {
    let amber = Member::start(&["--name", "amber"]);
    let gateway = amber.http.to_string();
    let send = |args: &[&str], input: &[u8]| {
        let args = [&["event", "send"], args, &["--http", &gateway]].concat();
        let mut child = program(&args);
        let child = child
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = child.spawn().unwrap();
        // What is refused at once need not read.
        let _ = child.stdin.take().unwrap().write_all(input);
        child.wait_with_output().unwrap()
    };
    assert_exit(&send(&["bytes", "-", "--ttl", "1s"], &[0xff; 65_536]), 0);
    let rows = followed(&amber, 1);
    let row = &rows[0];
    assert_eq!(
        (&row["payload_bytes"], &row["payload"]),
        (&65_536.into(), &Value::Null)
    );
    for (args, input, part) in [
        (
            &["bytes", "-"][..],
            65_537,
            "at most 65536 bytes, and this one has 65537",
        ),
        (&["a b", "x"], 0, "without spaces"),
        (&["late", "x", "--ttl", "11m"], 0, "1 second to 10 minutes"),
    ] {
        let output = send(args, &vec![7; input]);
        assert_exit(&output, 1);
        assert!(said(&output).contains(part), "{output:?}");
    }
    let floods = (0..400).map(|_| {
        amber.talk("POST /v1/event?name=flood HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/octet-stream\r\nContent-Length: 0\r\n\r\n")
    });
    let mut refused = floods.filter(|answer| answer.starts_with("HTTP/1.1 429 "));
    let refused = refused.next().expect("200 at once, and 20 a second");
    assert!(
        refused.contains("at most 20 events a second; wait "),
        "{refused}"
    );
}

#[test]
fn commands_for_what_users_say_need_a_key_or_an_operator_who_knows() {
    let run = |args: &[&str]| {
        butterfly(&[&["run", "--listen", "127.0.0.1:0", "--print-config"], args].concat())
    };
    let refused = run(&["--on", "user:deploy=true"]);
    assert_exit(&refused, 2);
    let said = said(&refused);
    assert!(
        said.contains("--on user:deploy: without a ring key") && said.contains("--unsafe-handlers"),
        "{said}"
    );
    assert_exit(&run(&["--on", "user:deploy=true", "--unsafe-handlers"]), 0);
}
