//! Questions to all members: who answers, by which command; and what the doctor finds.

use std::process::Output;

use serde_json::Value;

use crate::harness::{Member, assert_exit, generate_key, pair, said};

fn printed(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn commands_answer_a_question_and_whoever_has_none_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let key = generate_key(dir.path());
    let key = key.to_str().unwrap();
    let amber = Member::start(&["--name", "amber", "--ring-key", key]);
    let peer = amber.swim.to_string();
    let birch = Member::start(&[
        "--name",
        "birch",
        "--ring-key",
        key,
        "--peer",
        &peer,
        "--on",
        "query:load=read -r said; echo \"$said to $BUTTERFLY_EVENT_SELF_NAME\"; echo lost >&2",
        "--on",
        "query:much=head -c 401 /dev/zero",
        "--on",
        "query:fails=echo out of order; exit 3",
    ]);
    amber.wait("alive=2");
    birch.wait("alive=2");
    let keys = amber.ask(&["ring-key", "list", "-o", "json"]);
    assert_exit(&keys, 0);
    let keys: Value = serde_json::from_slice(&keys.stdout).unwrap();
    assert_eq!(
        (
            keys[0]["sealing"].as_array().map(Vec::len),
            &keys[0]["members"]
        ),
        (Some(2), &2.into())
    );
    assert_eq!(keys.as_array().map(Vec::len), Some(1));
    let load = amber.ask(&["query", "load", "hello\n", "--member", "bir*"]);
    assert_exit(&load, 0);
    let line = printed(&load);
    assert!(
        line.starts_with("birch  0.") && line.ends_with(" s  hello to birch\n"),
        "{line}"
    );
    assert!(said(&load).contains("1 of 1 member answered"), "{load:?}");
    let all = amber.ask(&["query", "load", "-o", "json"]);
    assert_exit(&all, 1);
    let row: Value = serde_json::from_slice(&all.stdout).unwrap();
    assert_eq!((&row["asked"], &row["over"]), (&2.into(), &true.into()));
    let answers = row["answers"].as_array().unwrap();
    let of = |name: &str, what: &str| {
        let mut answers = answers.iter();
        let found = answers.find(|row| row["name"] == name && row["what"] == what);
        found.map(|row| row["text"].as_str().unwrap())
    };
    assert_eq!(of("birch", "answer"), Some(" to birch\n"));
    assert_eq!(of("amber", "failed"), Some("no --on query:load here"));
    for (name, why) in [
        ("much", "at most 400 bytes, and this one has 401"),
        ("fails", "failed with exit status: 3: out of order"),
    ] {
        let output = amber.ask(&["query", name, "--member", "birch"]);
        assert_exit(&output, 1);
        assert!(printed(&output).contains(why), "{output:?}");
    }
}

#[test]
fn what_is_built_in_is_answered_by_all() {
    let (amber, birch) = pair();
    let ping = birch.ask(&["query", "ping"]);
    assert_exit(&ping, 0);
    assert!(said(&ping).contains("2 of 2 members answered"), "{ping:?}");
    let state = birch.ask(&["query", "state", "--member", "amber"]);
    assert_exit(&state, 0);
    assert!(printed(&state).contains("living=2"), "{state:?}");
    for (args, part) in [
        (&["query", "a b"][..], "without spaces"),
        (&["query", "ping", "--timeout", "61"], "100 ms to 60 s"),
    ] {
        let output = amber.ask(args);
        assert_exit(&output, 1);
        assert!(said(&output).contains(part), "{output:?}");
    }
    let unknown = amber.talk("GET /v1/answers?query=1234 HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(
        unknown.contains("no question \\\"1234\\\" is known here"),
        "{unknown}"
    );
}

#[test]
fn the_doctor_finds_who_differs_and_who_is_out_of_reach() {
    let (amber, birch) = pair();
    let well = birch.ask(&["doctor"]);
    assert_exit(&well, 0);
    assert!(
        printed(&well).contains("2 members live; 2 answered: 2 of "),
        "{well:?}"
    );
    assert!(
        printed(&well).contains("all can be reached, and agree"),
        "{well:?}"
    );
    let peer = amber.swim.to_string();
    let cedar = Member::start(&["--name", "cedar", "--peer", &peer, "--set", "timeout=60ms"]);
    cedar.wait("alive=3");
    birch.wait("alive=3");
    let ill = birch.ask(&["doctor", "-o", "json"]);
    assert_exit(&ill, 1);
    let report: Value = serde_json::from_slice(&ill.stdout).unwrap();
    let findings = report["findings"].as_array().unwrap();
    assert_eq!(findings.len(), 1, "{report}");
    assert_eq!(findings[0]["name"], "cedar");
    assert!(
        findings[0]["what"]
            .as_str()
            .unwrap()
            .starts_with("has another timing than most: "),
        "{report}"
    );
    // It lives on for a while as the others see it, and answers nothing.
    cedar.signal("STOP");
    let silent = birch.ask(&["doctor", "--timeout", "0.5"]);
    cedar.signal("CONT");
    assert_exit(&silent, 1);
    assert!(
        printed(&silent).contains("cedar: lives, and does not answer a question by UDP"),
        "{silent:?}"
    );
}
