//! Texts of others, wherever the program shows them.

use std::fs;
use std::process::Command;

use butterfly::wire::{self, Encoder, MemberRecord, Message};
use butterfly::{Incarnation, MemberId};

use serde_json::Value;

use crate::harness::{Member, PATIENCE, assert_exit, butterfly, said};

/// What no line for people may hold.
fn is_clean(text: &str) -> bool {
    let is_evil = |c: char| c != '\n' && butterfly::text::is_hidden(c);
    !text.contains(is_evil)
}

#[test]
fn a_peer_cannot_write_lines_into_the_log_nor_into_tables() {
    let amber = Member::start(&["--name", "amber"]);
    // A member whose name is what an attacker would have stand in the log.
    let name = "e\n2026-11-30 ERROR forged\u{202e}";
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut buf = vec![0; wire::HEADROOM + 1024];
    let from = MemberRecord {
        id: MemberId::from_bytes([7; 16]),
        incarnation: Incarnation::new(1).unwrap(),
        address: None,
        swim_port: socket.local_addr().unwrap().port(),
        gossip_port: 1,
        persistent: false,
        departed: false,
        probe_ping: false,
        features: wire::feature::EXTENSIONS,
        name,
    };
    let ping = Message::Ping {
        from,
        forward_to: None,
        probe: 0,
        digest: 0,
    };
    let mut send = |message: &Message<'_>| {
        let len = Encoder::new(&mut buf[wire::HEADROOM..], message)
            .unwrap()
            .finish();
        let range = wire::seal(None, &mut buf, len);
        socket.send_to(&buf[range], amber.swim).unwrap();
    };
    send(&ping);
    // It is known once it has answered at its address.
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut came = [0; 1024];
    let number = loop {
        let len = socket.recv(&mut came).unwrap();
        let payload = wire::open(&[], &mut came[..len]).unwrap();
        if let Message::Ping { probe, .. } = wire::decode(payload).unwrap().message {
            break probe;
        }
    };
    send(&Message::Ack {
        from,
        forward_to: None,
        probe: number,
        table: false,
        rumors: 0,
        reconcile: &[],
        starting: false,
    });
    amber.says("forged");
    let log = amber.log();
    assert!(is_clean(&log), "{log:?}");
    assert!(
        !log.lines().any(|line| line.starts_with("2026-11-30 ERROR")),
        "{log}"
    );
    let table = String::from_utf8(amber.ask(&["members"]).stdout).unwrap();
    assert!(table.contains("forged") && is_clean(&table), "{table:?}");
    assert_eq!(
        table.lines().filter(|line| line.contains("forged")).count(),
        1
    );
}

#[test]
fn a_name_that_is_a_path_is_no_name_of_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let body = dir.path().join("body");
    fs::write(&body, "x").unwrap();
    let body = body.to_str().unwrap();
    let amber = Member::start(&[]);
    for name in ["../../etc/passwd", "..", "a\nb", "a\u{202e}b"] {
        let upload = ["file", "upload", "redis.default", "1", body, "--name", name];
        let output = amber.ask(&upload);
        assert_exit(&output, 2);
        assert!(is_clean(&said(&output)), "{output:?}");
        let to = amber.swim.to_string();
        let inject = [
            "inject",
            "--to",
            &to,
            "file",
            "redis.default",
            "1",
            body,
            "--name",
            name,
        ];
        assert_exit(&butterfly(&inject), 2);
    }
    let answer = amber.talk(
        "POST /v1/file?group=redis.default&name=..%2F..%2Fetc%2Fpasswd&incarnation=1 HTTP/1.1\r\nHost: localhost\r\n\
         Content-Type: application/octet-stream\r\nContent-Length: 1\r\n\r\nx",
    );
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    let group = "red\n2026-11-30 ERROR forged.default";
    let output = amber.ask(&["config", "apply", group, "1", body]);
    assert_exit(&output, 2);
    let error = said(&output);
    assert!(
        !error.lines().any(|line| line.starts_with("2026-11-30")),
        "{error}"
    );
    assert!(amber.rumors_of_users().is_empty());
}

#[test]
fn a_log_for_programs_is_an_object_a_line_to_its_end() {
    let amber = Member::start(&["--name", "amber", "--log-format", "json", "-v"]);
    amber.says("its gateway is");
    let id = amber.json("status")["id"].clone();
    assert_exit(&amber.ask(&["leave"]), 0);
    amber.says("left");
    for line in amber.log().lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        assert_eq!(
            (&row["member"], &row["name"]),
            (&id, &Value::from("amber")),
            "{line}"
        );
        assert!(row["time"].as_str().unwrap().ends_with('Z'), "{line}");
        assert!(["info", "warn", "debug"].contains(&row["level"].as_str().unwrap()));
    }
    // The journal adds the time itself.
    let birch = Member::start(&["--log-format", "journal"]);
    birch.says("<6>");
    let short = birch.json("status")["id"].as_str().unwrap()[..8].to_owned();
    birch.says(&format!("<6>{short}: its gateway is"));
}

/// The reason alone is no help to who has to raise the limit.
#[test]
fn a_limit_that_is_too_low_is_named_with_how_high_it_should_be() {
    // Whatever it is that cannot be opened.
    for limit in 5..20 {
        let run = format!("ulimit -n {limit}; exec \"$0\" run --listen 127.0.0.1:0 --http none");
        let output = Command::new("timeout")
            .args([
                "-s",
                "TERM",
                "1",
                "sh",
                "-c",
                &run,
                env!("CARGO_BIN_EXE_butterfly"),
            ])
            .output()
            .unwrap();
        if output.status.code() == Some(0) || output.status.code() == Some(124) {
            return;
        }
        assert_exit(&output, 1);
        let error = said(&output);
        let told = format!("this process may have {limit} open (RLIMIT_NOFILE)");
        assert!(error.contains(&told), "{error}");
    }
}
