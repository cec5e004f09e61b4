//! What is recorded of a member, and replayed.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::harness::{Member, assert_exit, butterfly, generate_key, said, until};

fn replay(file: &Path, args: &[&str]) -> std::process::Output {
    butterfly(&[&["replay", file.to_str().unwrap()], args].concat())
}

#[test]
fn a_recording_tells_what_happened_and_why() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("amber.rec");
    let key = generate_key(dir.path());
    let key = key.to_str().unwrap();
    let sealed = ["--ring-key", key];
    let record = ["--name", "amber", "--record", file.to_str().unwrap()];
    let mut amber = Member::start(&[&sealed[..], &record].concat());
    let birch = ["--name", "birch", "--peer", &amber.swim.to_string()];
    let birch = Member::start(&[&sealed[..], &birch].concat());
    let cedar = ["--name", "cedar", "--peer", &amber.swim.to_string()];
    let _cedar = Member::start(&[&sealed[..], &cedar].concat());
    amber.wait("alive=3");
    birch.signal("KILL");
    until("birch is confirmed", || {
        amber.row("birch")["health"] == "confirmed"
    });
    let explained = String::from_utf8(amber.ask(&["explain", "birch"]).stdout).unwrap();
    amber.signal("TERM");
    assert_eq!(amber.end(), Some(0));

    let output = replay(&file, &sealed);
    assert_exit(&output, 0);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("  suspect      birch ("), "{text}");
    assert!(text.contains("  confirmed    birch ("), "{text}");
    assert!(text.trim_end().ends_with("this member has left"), "{text}");
    let end = said(&output);
    assert!(end.contains("agreed, and then the member ended"), "{end}");

    let output = replay(&file, &[&sealed[..], &["-o", "ndjson"]].concat());
    let text = String::from_utf8_lossy(&output.stdout);
    let rows: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let confirmed = rows.iter().find(|row| row["kind"] == "confirmed").unwrap();
    assert_eq!(confirmed["name"], "birch");

    let output = replay(&file, &[&sealed[..], &["--explain", "birch"]].concat());
    assert_exit(&output, 0);
    // The clock may have been set by a millisecond since the member started.
    let lines = |text: &str| -> Vec<String> {
        let untimed = |line: &str| {
            let words = line.split_whitespace().filter(|word| !word.contains(':'));
            words.collect::<Vec<_>>().join(" ")
        };
        text.lines().map(untimed).collect()
    };
    // It goes on: a probe that was under way may fail after that question.
    let replayed = lines(&String::from_utf8_lossy(&output.stdout));
    for line in lines(&explained) {
        assert!(replayed.contains(&line), "{line:?} is not in {replayed:#?}");
    }

    let output = replay(&file, &[&sealed[..], &["--until", "1ms"]].concat());
    assert_exit(&output, 0);
    assert!(said(&output).contains("and there is more"), "{output:?}");
    assert!(
        !String::from_utf8_lossy(&output.stdout).contains("birch"),
        "{output:?}"
    );
}

/// Two members that are recorded, one of which is killed: what it was sent is lost.
#[test]
fn a_picture_shows_who_sent_what_to_whom_and_what_was_lost() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let mut amber = Member::start(&["--name", "amber", "--record", &path("amber.rec")]);
    let peer = amber.swim.to_string();
    let birch = [
        "--name",
        "birch",
        "--peer",
        &peer,
        "--record",
        &path("birch.rec"),
    ];
    let birch = Member::start(&birch);
    amber.wait("alive=2");
    // Its file has what the first second or two brought.
    until("birch's file grows", || {
        fs::metadata(path("birch.rec")).unwrap().len() > 1_000
    });
    birch.signal("KILL");
    until("birch is confirmed", || {
        amber.row("birch")["health"] == "confirmed"
    });
    amber.signal("TERM");
    assert_eq!(amber.end(), Some(0));

    let here = dir.path().to_str().unwrap();
    for (name, begins) in [
        ("ring.svg", "<svg "),
        ("ring.html", "<!doctype html>"),
        ("ring.mmd", "sequenceDiagram"),
    ] {
        let out = path(name);
        let output = butterfly(&["trace", "draw", here, "--out", &out]);
        assert_exit(&output, 0);
        assert!(said(&output).contains(" of 2 members: "), "{output:?}");
        let text = fs::read_to_string(&out).unwrap();
        assert!(text.starts_with(begins), "{name}");
        for part in [
            "amber",
            "birch",
            "SendPing",
            "SendAck",
            "lost",
            "MemberUpdate",
            "ProbeSuspect",
        ] {
            assert!(text.contains(part), "no {part} in {name}:\n{text}");
        }
    }
    let only = [
        "trace",
        "draw",
        &path("amber.rec"),
        "--member",
        "birch",
        "--until",
        "500ms",
    ];
    let output = butterfly(&only);
    assert_exit(&output, 0);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        text.contains("participant m0 as amber") && text.contains("-->>"),
        "{text}"
    );
    assert!(
        !text.contains("lost"),
        "birch writes no lines there: {text}"
    );
    let output = replay(
        Path::new(&path("amber.rec")),
        &["--diagram", "--until", "500ms"],
    );
    assert_exit(&output, 0);
    assert!(
        output.stdout.starts_with(b"sequenceDiagram\n"),
        "{output:?}"
    );

    for (args, code, told) in [
        (
            vec!["--out", "ring.png"],
            2,
            "end it with .svg, .html or .mmd",
        ),
        (vec!["--member", "nobody"], 1, "nobody there has the name"),
    ] {
        let output = butterfly(&[&["trace", "draw", here], &args[..]].concat());
        assert_exit(&output, code);
        assert!(said(&output).contains(told), "{output:?}");
    }
    let empty = tempfile::tempdir().unwrap();
    let output = butterfly(&["trace", "draw", empty.path().to_str().unwrap()]);
    assert_exit(&output, 1);
    assert!(
        said(&output).contains("there is no line of a trace file"),
        "{output:?}"
    );
}

#[test]
fn what_cannot_be_replayed_is_an_error_that_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("amber.rec");
    let key = generate_key(dir.path());
    let (key, path) = (key.to_str().unwrap(), file.to_str().unwrap());
    let mut amber = Member::start(&["--ring-key", key, "--record", path]);
    amber.wait("alive=1");
    amber.signal("TERM");
    assert_eq!(amber.end(), Some(0));

    let missing = replay(&dir.path().join("none.rec"), &[]);
    assert_exit(&missing, 1);
    assert!(
        said(&missing).contains("cannot read the recording "),
        "{missing:?}"
    );
    let no_key = replay(&file, &[]);
    assert_exit(&no_key, 1);
    assert!(
        said(&no_key).contains("give its file (--ring-key FILE)"),
        "{no_key:?}"
    );
    let nobody = replay(&file, &["--ring-key", key, "--explain", "nobody"]);
    assert_exit(&nobody, 1);
    assert!(
        said(&nobody).contains("no member has the name"),
        "{nobody:?}"
    );

    let whole = fs::read(&file).unwrap();
    fs::write(&file, &whole[..whole.len() - 1]).unwrap();
    let cut = replay(&file, &["--ring-key", key]);
    assert_exit(&cut, 1);
    assert!(
        said(&cut).contains("it is cut off in the chunk that begins at byte "),
        "{cut:?}"
    );
    fs::write(&file, b"#!/bin/sh").unwrap();
    let other = replay(&file, &[]);
    assert_exit(&other, 1);
    assert!(
        said(&other).contains("it is no recording of a member"),
        "{other:?}"
    );

    let there = [
        "run",
        "--listen",
        "127.0.0.1:0",
        "--http",
        "none",
        "--record",
        "/none/a.rec",
    ];
    let output = butterfly(&there);
    assert_exit(&output, 1);
    assert!(
        said(&output).contains("cannot record to /none/a.rec: "),
        "{output:?}"
    );
}
