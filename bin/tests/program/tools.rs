//! Ring keys, `ping` and `demo`.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::{Member, assert_exit, butterfly, generate_key, pair, said, until};

#[test]
fn a_ring_key_lets_in_those_who_have_it() {
    let dir = tempfile::tempdir().unwrap();
    let key = generate_key(dir.path());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    let key = key.to_str().unwrap();
    let amber = Member::start(&["--name", "amber", "--ring-key", key]);
    let peer = amber.swim.to_string();
    let birch = Member::start(&["--name", "birch", "--ring-key", key, "--peer", &peer]);
    let stranger = Member::start(&["--name", "stranger", "--peer", &peer]);
    amber.wait("alive=2");
    birch.wait("alive=2");
    until("the stranger has knocked, and was heard", || {
        amber.json("status")["counters"]["rejected_not_sealed"].as_u64() > Some(1)
    });
    assert_eq!(amber.json("members").as_array().unwrap().len(), 2);
    assert_eq!(stranger.json("members").as_array().unwrap().len(), 1);
    assert_eq!(amber.json("status")["sealed"], true);
    assert_exit(
        &butterfly(&["ping", &peer, "-c", "2", "-i", "0.01", "--ring-key", key]),
        0,
    );
    assert_exit(
        &butterfly(&["ping", &peer, "-c", "1", "--timeout", "0.1"]),
        1,
    );
}

#[test]
fn a_hangup_reads_the_ring_keys_again() {
    let (dir, old_dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let old = generate_key(old_dir.path());
    let file = dir.path().join("ring.sym.key");
    fs::copy(&old, &file).unwrap();
    let amber = Member::start(&["--ring-key", file.to_str().unwrap()]);
    let old_name = amber.json("status")["ring_keys"][0].clone();

    fs::remove_file(&file).unwrap();
    fs::write(&file, "nonsense").unwrap();
    amber.signal("HUP");
    until("it says that the old keys stay", || {
        amber.log().contains("the old settings and ring keys stay")
    });
    assert_eq!(amber.json("status")["ring_keys"][0], old_name);

    let text = fs::read_to_string(&old).unwrap().replace("ring-", "new-");
    fs::write(&file, text).unwrap();
    amber.signal("HUP");
    until("it has the new key", || {
        amber.json("status")["ring_keys"][0]
            .as_str()
            .unwrap()
            .starts_with("new-")
    });
}

#[test]
fn a_ping_measures_and_leaves_no_trace() {
    let (amber, birch) = pair();
    let output = butterfly(&["ping", &amber.swim.to_string(), "-c", "5", "-i", "0.01"]);
    assert_exit(&output, 0);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.matches("answer from amber (").count(), 5, "{text}");
    assert!(
        text.contains("5 answered, 0 lost (0%)") && text.contains("min/p50/p99/max = "),
        "{text}"
    );
    let output = butterfly(&[
        "ping",
        &amber.swim.to_string(),
        "-c",
        "3",
        "-i",
        "0.01",
        "-o",
        "json",
    ]);
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (
            json["received"].as_u64(),
            json["answers"].as_array().map(Vec::len)
        ),
        (Some(3), Some(3))
    );
    for member in [&amber, &birch] {
        assert_eq!(member.json("members").as_array().unwrap().len(), 2);
    }
    let nobody = butterfly(&["ping", "127.0.0.1:1", "-c", "1", "--timeout", "0.1"]);
    assert_exit(&nobody, 1);
}

#[test]
fn the_demo_shows_a_ring_and_ends_by_itself() {
    let start = Instant::now();
    let output = butterfly(&["demo"]);
    assert_exit(&output, 0);
    assert!(start.elapsed() < Duration::from_secs(15));
    let text = String::from_utf8(output.stdout).unwrap();
    for part in [
        "All see all 5",
        "ember is killed",
        "SUSPECTS IT AFTER",
        "ember is confirmed dead",
        "ember is back",
        "birch has left",
        "services are known",
        "a configuration is known",
        "a leader is elected",
        "All agree on dune as their next leader",
        "ember knows the configuration again",
        "Done in",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
}

#[test]
fn json_can_be_asked_for_in_one_word() {
    let amber = Member::start(&["--name", "amber"]);
    let output = amber.ask(&["members", "--json"]);
    assert_exit(&output, 0);
    let members: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(members[0]["name"], "amber");
    assert_exit(&amber.ask(&["members", "--json", "-o", "table"]), 2);
}

#[test]
fn completions_and_manual_pages_know_all_commands() {
    for shell in ["bash", "zsh", "fish"] {
        let output = butterfly(&["completions", shell]);
        assert_exit(&output, 0);
        let script = String::from_utf8(output.stdout).unwrap();
        for word in ["print-config", "ring-key", "scorecard"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
    let bash = butterfly(&["completions", "bash"]).stdout;
    let dir = tempfile::tempdir().unwrap();
    let script = dir.path().join("butterfly");
    fs::write(&script, bash).unwrap();
    let parsed = Command::new("bash").arg("-n").arg(&script).status();
    assert!(parsed.unwrap().success());

    let pages = dir.path().join("man1");
    assert_exit(&butterfly(&["man", "--dir", pages.to_str().unwrap()]), 0);
    for page in [
        "butterfly.1",
        "butterfly-run.1",
        "butterfly-ring-key-generate.1",
    ] {
        assert!(pages.join(page).exists(), "{page}");
    }
    let page = String::from_utf8(butterfly(&["man"]).stdout).unwrap();
    assert!(
        page.contains(".SH SYNOPSIS") && page.contains("butterfly\\-run(1)"),
        "{page}"
    );
    let page = String::from_utf8(butterfly(&["man", "ring-key", "generate"]).stdout).unwrap();
    assert!(page.contains("butterfly\\-ring\\-key\\-generate"), "{page}");
    let unknown = butterfly(&["man", "membres"]);
    assert_exit(&unknown, 2);
    assert!(said(&unknown).contains("there is no command \"membres\": demo, "));
    let version = butterfly(&["version"]).stdout;
    assert_eq!(version, butterfly(&["--version"]).stdout);
}

#[test]
fn an_archive_for_a_report_has_all_but_secrets() {
    let dir = tempfile::tempdir().unwrap();
    let key = generate_key(dir.path());
    let secret = fs::read_to_string(&key).unwrap();
    let secret = secret.lines().last().unwrap().to_owned();
    let token = dir.path().join("token");
    fs::write(&token, "a-token-that-is-long-enough").unwrap();
    let (key, token) = (key.to_str().unwrap(), token.to_str().unwrap());
    let amber = Member::start(&[
        "--name",
        "amber",
        "--ring-key",
        key,
        "--http-token-file",
        token,
    ]);
    let body = dir.path().join("redis.toml");
    fs::write(&body, "password = \"hunter2\"").unwrap();
    let with_token = ["--http-token-file", token];
    let apply = ["config", "apply", "redis.default", body.to_str().unwrap()];
    assert_exit(&amber.ask(&[&apply[..], &with_token].concat()), 0);
    let out = dir.path().join("fault.tar.gz");
    let out = out.to_str().unwrap();
    let debug = ["debug", "--out", out, "--seconds", "1"];
    assert_exit(&amber.ask(&[&debug[..], &with_token].concat()), 0);
    // Nothing is written over.
    assert_exit(&amber.ask(&[&debug[..], &with_token].concat()), 1);

    let unpack = Command::new("tar")
        .args(["-xzf", out, "-C"])
        .arg(dir.path())
        .status();
    assert!(unpack.unwrap().success());
    let there = dir.path().join("butterfly-debug");
    let read = |name: &str| fs::read_to_string(there.join(name)).unwrap();
    assert!(
        !there.join("failures.txt").exists(),
        "{}",
        read("failures.txt")
    );
    for (name, part) in [
        ("README.txt", "Not within"),
        ("system.txt", "butterfly 0."),
        ("status.json", "\"name\":\"amber\""),
        ("members.json", "amber"),
        ("seeds.json", "[]"),
        ("rumors.json", "redis.default"),
        ("history.json", "["),
        ("settings.toml", "ring-key = ["),
        ("log.txt", "its gateway is"),
        ("metrics/00.txt", "butterfly_members{"),
        ("metrics/01.txt", "butterfly_members{"),
    ] {
        let text = read(name);
        assert!(text.contains(part), "{name}: {text}");
        for secret in [secret.as_str(), "a-token-that-is", "hunter2"] {
            assert!(!text.contains(secret), "{name} holds {secret}");
        }
    }
}
