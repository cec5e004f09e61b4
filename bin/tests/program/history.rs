//! What a member knows of the past, and what it makes of it.

use std::fs;

use serde_json::Value;

use crate::harness::{Member, assert_exit, pair, said, until};

/// What it has of this member, or of all.
#[track_caller]
fn history(member: &Member, of: &[&str]) -> Vec<Value> {
    let output = member.ask(&[&["history", "-o", "ndjson"], of].concat());
    assert_exit(&output, 0);
    let text = String::from_utf8(output.stdout).unwrap();
    let row = |line: &str| serde_json::from_str(line).unwrap();
    text.lines().map(row).collect()
}

/// What it says of that member.
#[track_caller]
fn explanation(member: &Member, of: &str) -> String {
    let output = member.ask(&["explain", of]);
    assert_exit(&output, 0);
    String::from_utf8(output.stdout).unwrap()
}

fn kinds(rows: &[Value]) -> Vec<&str> {
    rows.iter()
        .map(|row| row["kind"].as_str().unwrap())
        .collect()
}

/// Until it holds the member of this name for that.
fn until_it_is(member: &Member, name: &str, health: &str) {
    until(&format!("{name} is {health}"), || {
        member.row(name)["health"] == health
    });
}

#[test]
fn the_history_of_nobody_is_an_error_and_an_empty_one_is_said() {
    let amber = Member::start(&["--name", "amber"]);
    let nobody = amber.ask(&["history", "nobody"]);
    assert_exit(&nobody, 1);
    assert!(
        said(&nobody).contains("no member has the name"),
        "{nobody:?}"
    );
    let nothing = amber.ask(&["history", "amber"]);
    assert_exit(&nothing, 0);
    assert!(
        said(&nothing).contains("nothing is kept of amber ("),
        "{nothing:?}"
    );
}

#[test]
fn a_death_is_explained_by_those_who_saw_it() {
    let (amber, birch) = pair();
    let cedar = Member::start(&["--name", "cedar", "--peer", &amber.swim.to_string()]);
    amber.wait("alive=3");
    birch.wait("alive=3");
    let id = cedar.json("status")["id"].as_str().unwrap().to_owned();
    assert!(explanation(&amber, "cedar").contains("No trouble of it is known"));
    drop(cedar);
    for observer in [&amber, &birch] {
        until_it_is(observer, "cedar", "confirmed");
        let rows = history(observer, &["cedar"]);
        assert!(rows.iter().all(|row| row["member"] == *id), "{rows:?}");
        let found = kinds(&rows);
        assert_eq!(found.first(), Some(&"alive"), "{found:?}");
        // A probe may end after that.
        assert!(found.contains(&"confirmed"), "{found:?}");
        assert!(
            found.contains(&"suspect") && found.contains(&"accused"),
            "{found:?}"
        );
        let numbers: Vec<_> = history(observer, &[])
            .iter()
            .map(|row| row["id"].clone())
            .collect();
        assert!(
            numbers.len() > rows.len(),
            "there is more than of cedar: {numbers:?}"
        );
        assert!(history(observer, &["--since", "0"]).is_empty());
        let again = history(observer, &[&id[..8], "--since", "10m"]);
        assert!(again.starts_with(&rows), "{again:?}");

        let text = explanation(observer, "cedar");
        for part in [
            "cedar (",
            ") is confirmed, as ",
            "Most likely, ",
            " confirmed dead: ",
        ] {
            assert!(text.contains(part), "{part:?} is not in {text}");
        }
        let output = observer.ask(&["explain", &id[..8], "-o", "json"]);
        let explained: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(
            explained["chain"].as_array().unwrap().len() > 2,
            "{explained}"
        );
    }
    for observer in [&amber, &birch] {
        let text = explanation(observer, "cedar");
        let cause =
            "Most likely, its process ended: its own system says that nobody listens at its port";
        assert!(text.contains(cause), "{text}");
    }

    let unknown = amber.ask(&["explain", "dune"]);
    assert_exit(&unknown, 1);
    assert!(
        said(&unknown).contains("no member has the name"),
        "{unknown:?}"
    );
    for query in ["?membr=x", "?since=yesterday", "?since=1m&since=2m"] {
        let request = format!("GET /v1/history{query} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let answer = amber.talk(&request);
        assert!(answer.starts_with("HTTP/1.1 400 "), "{query}: {answer}");
    }
}

#[test]
fn a_history_outlives_its_member_and_a_damaged_one_is_a_warning() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("HISTORY");
    let data_dir = ["--data-dir", dir.path().to_str().unwrap()];
    let start = || Member::start(&data_dir);
    let mut amber = start();
    let birch = Member::start(&["--name", "birch", "--peer", &amber.swim.to_string()]);
    amber.wait("alive=2");
    drop(birch);
    until_it_is(&amber, "birch", "confirmed");
    let before = history(&amber, &["birch"]);
    amber.signal("TERM");
    assert_eq!(amber.end(), Some(0));
    assert!(fs::read_to_string(&file).unwrap().contains("\"confirmed\""));

    let mut amber = start();
    let after = history(&amber, &["birch"]);
    assert!(after.starts_with(&before), "{after:?}");
    assert!(explanation(&amber, "birch").contains("Most likely, "));
    amber.signal("TERM");
    assert_eq!(amber.end(), Some(0));

    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{{\"id\":\n{text}")).unwrap();
    let mut amber = start();
    amber.says("the history of earlier runs is damaged: 1 line of HISTORY");
    assert!(history(&amber, &["birch"]).starts_with(&before));
    amber.signal("TERM");
    assert_eq!(amber.end(), Some(0));

    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    let amber = start();
    amber.says("the history of earlier runs is left out: ");
}
