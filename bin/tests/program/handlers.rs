//! Commands that run when something happens.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::harness::{Member, assert_exit, butterfly, said, until};

#[test]
fn commands_run_when_members_come_and_go() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join(name).display().to_string();
    let read = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap_or_default();
    let (came, went, all) = (file("came"), file("went"), file("all"));
    let amber = Member::start(&[
        "--name",
        "amber",
        "--on",
        &format!(
            "alive=echo $BUTTERFLY_EVENT_SELF_NAME saw $BUTTERFLY_EVENT_MEMBER_NAME=$BUTTERFLY_EVENT_ADDRESS >> {came}"
        ),
        "--on",
        &format!("confirmed=cat >> {went}"),
        "--on",
        &format!("*=echo $BUTTERFLY_EVENT >> {all}"),
        "--on",
        "config=echo no luck >&2; exit 3",
    ]);
    let birch = Member::start(&["--name", "birch", "--peer", &amber.swim.to_string()]);
    let line = format!("amber saw birch={}\n", birch.swim);
    until("the command for alive ran", || read("came") == line);
    drop(birch);
    until("the command for confirmed ran", || {
        read("went").ends_with("}\n")
    });
    let row: Value = serde_json::from_str(&read("went")).unwrap();
    assert_eq!(
        (&row["kind"], &row["name"]),
        (&"confirmed".into(), &"birch".into())
    );
    until("the command for all ran", || {
        let kinds = read("all");
        ["alive", "suspect", "confirmed"]
            .iter()
            .all(|kind| kinds.lines().any(|line| line == *kind))
    });

    let config = dir.path().join("config.toml");
    fs::write(&config, "port = 1").unwrap();
    let applied = amber.ask(&["config", "apply", "redis.default", config.to_str().unwrap()]);
    assert_exit(&applied, 0);
    amber.says("--on config: failed with exit status: 3, for ");
    amber.says(": no luck");
    let metrics = amber.talk("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(
        metrics.contains("\nbutterfly_handler_runs_total{result=\"failed\"} 1\n"),
        "{metrics}"
    );
}

#[test]
fn a_slow_command_holds_up_nobody_and_ends_with_the_member() {
    let dir = tempfile::tempdir().unwrap();
    let pid = dir.path().join("pid");
    let slow = format!(
        "config=echo $$ > {}.new; mv {0}.new {0}; exec sleep 1000",
        pid.display()
    );
    let mut amber = Member::start(&["--on", &slow]);
    let config = dir.path().join("config.toml");
    for number in 0..70 {
        fs::write(&config, format!("port = {number}")).unwrap();
        let applied = amber.ask(&["config", "apply", "redis.default", config.to_str().unwrap()]);
        assert_exit(&applied, 0);
    }
    amber.says("--on config: not run for ");
    amber.says(" events wait already");
    until("the command runs", || pid.exists());
    let pid = fs::read_to_string(&pid).unwrap();
    let runs = || {
        Command::new("kill")
            .args(["-0", pid.trim()])
            .output()
            .unwrap()
            .status
            .success()
    };
    assert!(runs());
    amber.signal("TERM");
    assert_eq!(amber.end(), Some(0));
    until("the command is gone", || !runs());
}

#[test]
fn a_command_for_no_event_or_one_too_many_is_a_usage_error() {
    for (on, why) in [
        ("dead=true", "is none of the events alive, suspect"),
        ("alive", "write EVENT=COMMAND"),
        ("alive=", "the command is missing"),
    ] {
        let output = butterfly(&["run", "--on", on]);
        assert_exit(&output, 2);
        assert!(said(&output).contains(why), "{on}: {output:?}");
    }
    let many = ["--on", "alive=true"].repeat(17);
    let output = butterfly(&[&["run"], &many[..]].concat());
    assert_exit(&output, 2);
    assert!(
        said(&output).contains("17 commands are more than the 16"),
        "{output:?}"
    );
}
