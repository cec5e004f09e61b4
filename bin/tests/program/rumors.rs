//! Services, configurations, files and departures: what a member is told of them, and tells.

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;

use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{Member, assert_exit, butterfly, program, said};

const GROUP: &str = "redis.default";
const PKG: &str = "acme/redis/7.2.1/20260101000000";

/// A file with this content.
fn file(dir: &TempDir, name: &str, content: &[u8]) -> String {
    let path: PathBuf = dir.path().join(name);
    fs::write(&path, content).unwrap();
    path.to_str().unwrap().to_owned()
}

/// The JSON that a command prints.
#[track_caller]
fn json(member: &Member, args: &[&str]) -> Value {
    let output = member.ask(&[args, &["-o", "json"]].concat());
    assert_exit(&output, 0);
    serde_json::from_slice(&output.stdout).unwrap()
}

/// What it asks is refused with this code and these words, in one line.
#[track_caller]
fn assert_refused(member: &Member, args: &[&str], code: i32, parts: &[&str]) {
    let output = member.ask(args);
    assert_exit(&output, code);
    let said = said(&output);
    assert!(
        parts.iter().all(|part| said.contains(part)),
        "{parts:?}: {said}"
    );
    assert!(code == 2 || said.trim_end().lines().count() == 1, "{said}");
    assert!(output.stdout.is_empty(), "{output:?}");
}

#[test]
fn a_service_is_announced_changed_and_withdrawn() {
    let dir = tempfile::tempdir().unwrap();
    let cfg = file(&dir, "redis.toml", b"port = 6379\n");
    let amber = Member::start(&["--name", "amber"]);
    assert_exit(&amber.ask(&["service", "add", GROUP, "--pkg", PKG]), 0);
    let add = ["service", "add", GROUP, "--pkg", PKG, "--cfg", &cfg];
    assert_exit(&amber.ask(&[&add[..], &["--initialized"]].concat()), 0);

    let rows = json(&amber, &["service", "list"]);
    let row = &rows[0];
    assert_eq!(rows.as_array().map(Vec::len), Some(1));
    assert_eq!((&row["group"], &row["pkg"]), (&GROUP.into(), &PKG.into()));
    assert_eq!(row["cfg"], "port = 6379\n");
    assert_eq!(
        (&row["incarnation"], &row["initialized"]),
        (&2.into(), &true.into())
    );
    assert_eq!(row["sys"]["ip"], "127.0.0.1");
    assert_eq!(row["sys"]["gossip_port"], amber.swim.port());
    assert_eq!(row["sys"]["http_gateway_port"], amber.http.port());
    let table = amber.ask(&["service", "list", "--group", GROUP]);
    let table = String::from_utf8(table.stdout).unwrap();
    assert!(
        table.contains("amber (") && table.contains(PKG) && table.contains("initialized"),
        "{table}"
    );

    assert_exit(&amber.ask(&["service", "remove", GROUP]), 0);
    assert_eq!(json(&amber, &["service", "list"]), Value::Array(Vec::new()));
    assert_eq!(json(&amber, &["rumors"])[0]["withdrawn"], true);
    let remove = ["service", "remove", GROUP];
    assert_refused(&amber, &remove, 1, &["runs no service of redis.default"]);
    let add = ["service", "add", GROUP, "--pkg", "acme/redis"];
    assert_refused(
        &amber,
        &add,
        1,
        &["acme/redis", "origin/name/version/release"],
    );
}

#[test]
fn a_configuration_is_applied_if_it_is_newer() {
    let dir = tempfile::tempdir().unwrap();
    let first = file(&dir, "first", b"port = 1\n");
    let second = file(&dir, "second", b"\xff\x00 is no text");
    let amber = Member::start(&[]);
    let apply =
        |incarnation: &str, path: &str| amber.ask(&["config", "apply", GROUP, incarnation, path]);
    assert_exit(&apply("7", &first), 0);
    for incarnation in ["7", "6"] {
        let args = ["config", "apply", GROUP, incarnation, &second];
        let words = format!("incarnation {incarnation} is not newer than 7");
        assert_refused(&amber, &args, 1, &[&words]);
    }
    let show = amber.ask(&["config", "show", GROUP]);
    assert_exit(&show, 0);
    assert_eq!(show.stdout, b"port = 1\n");

    assert_exit(&apply("now", &second), 0);
    let show = amber.ask(&["config", "show", GROUP]);
    assert_eq!(show.stdout, b"\xff\x00 is no text");
    let row = &json(&amber, &["config", "show", GROUP])[0];
    assert_eq!(row["config_base64"], "/wAgaXMgbm8gdGV4dA==");
    assert!(row["incarnation"].as_u64() > Some(1_700_000_000), "{row}");
}

#[test]
fn a_file_comes_back_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let bytes: Vec<u8> = (0..8 << 20).map(|at: u32| (at % 251) as u8).collect();
    let path = file(&dir, "a b&c=d.bin", &bytes);
    let amber = Member::start(&[]);
    let upload = |args: &[&str]| amber.ask(&[&["file", "upload", GROUP], args].concat());
    assert_exit(&upload(&["1", &path]), 0);
    let got = amber.ask(&["file", "get", GROUP, "a b&c=d.bin"]);
    assert_exit(&got, 0);
    assert!(got.stdout == bytes);
    let copy = dir.path().join("copy");
    let to = ["--to", copy.to_str().unwrap()];
    assert_exit(
        &amber.ask(&[&["file", "get", GROUP, "a b&c=d.bin"], &to[..]].concat()),
        0,
    );
    assert!(fs::read(&copy).unwrap() == bytes);
    let row = &json(&amber, &["rumors", "--kind", "service_file"])[0];
    assert_eq!(
        (&row["filename"], &row["length"]),
        (&"a b&c=d.bin".into(), &(8 << 20).into())
    );
    assert!(row.get("body").is_none());

    let again = ["file", "upload", GROUP, "1", &path];
    assert_refused(&amber, &again, 1, &["incarnation 1 is not newer than 1"]);
    assert_exit(&upload(&["1", &path, "--name", "another"]), 0);
    assert_eq!(amber.rumors_of_users().len(), 2);
}

#[test]
fn standard_input_is_taken_where_it_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(&dir, "input", b"from = 'stdin'\n");
    let amber = Member::start(&[]);
    let gateway = amber.http.to_string();
    let run = |args: &[&str]| {
        let input = fs::File::open(&path).unwrap();
        program(&[args, &["--http", &gateway]].concat())
            .stdin(input)
            .output()
            .unwrap()
    };
    assert_exit(&run(&["config", "apply", GROUP, "1", "-"]), 0);
    assert_exit(
        &run(&["file", "upload", GROUP, "1", "-", "--name", "input"]),
        0,
    );
    assert_exit(&run(&["file", "upload", GROUP, "1", "-"]), 2);
    for show in [
        vec!["config", "show", GROUP],
        vec!["file", "get", GROUP, "input"],
    ] {
        assert_eq!(amber.ask(&show).stdout, b"from = 'stdin'\n");
    }
}

#[test]
fn what_is_wrong_is_said_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let small = file(&dir, "small", b"a = 1");
    let huge = file(&dir, "huge", &vec![0; (8 << 20) + 4_097]);
    // With what names it, this one is too large as a rumor.
    let large = file(&dir, "large", &vec![0; (8 << 20) + 4_096]);
    let amber = Member::start(&[]);
    let none = dir.path().join("none");
    let none = none.to_str().unwrap();
    let long = "x".repeat(257);
    for (args, code, parts) in [
        (
            vec!["config", "apply", "redis", "1", &small],
            2,
            vec!["service.group"],
        ),
        (vec!["config", "apply", GROUP, "-1", &small], 2, vec![]),
        (
            vec!["config", "apply", GROUP, "x", &small],
            2,
            vec!["whole number"],
        ),
        (vec!["config", "apply", GROUP, "1", none], 1, vec![none]),
        (
            vec!["config", "show", "web.default"],
            1,
            vec!["web.default"],
        ),
        (
            vec!["config", "show", "web.default", "-o", "json"],
            1,
            vec!["web.default"],
        ),
        (
            vec!["file", "upload", GROUP, "1", &huge],
            1,
            vec!["huge", "8392704"],
        ),
        (
            vec!["file", "upload", GROUP, "1", &large],
            1,
            vec!["8392704", "split or shrink"],
        ),
        (vec!["file", "upload", GROUP, "1", none], 1, vec![none]),
        (
            vec!["file", "upload", GROUP, "1", &small, "--name", &long],
            2,
            vec!["256"],
        ),
        (
            vec!["file", "get", GROUP, "nothing"],
            1,
            vec!["nothing", GROUP],
        ),
        (
            vec!["service", "add", "a.b.c", "--pkg", PKG],
            2,
            vec!["service.group"],
        ),
        (
            vec!["service", "add", GROUP, "--pkg", PKG, "--cfg", none],
            1,
            vec![none],
        ),
        (
            vec!["rumors", "--kind", "member"],
            2,
            vec!["service_config"],
        ),
        (vec!["election", "show", GROUP], 1, vec![GROUP]),
        (vec!["depart", "nobody"], 1, vec!["nobody"]),
    ] {
        assert_refused(&amber, &args, code, &parts);
    }
    assert!(amber.rumors_of_users().is_empty());
    let gone = butterfly(&[
        "config",
        "apply",
        GROUP,
        "1",
        &small,
        "--http",
        "127.0.0.1:1",
    ]);
    assert_exit(&gone, 1);
    assert!(
        said(&gone).contains("no member answers at 127.0.0.1:1"),
        "{gone:?}"
    );
}

#[test]
fn a_token_is_asked_for_before_a_large_body_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let (token, wrong) = (
        file(&dir, "token", b"secret-0123456789\n"),
        file(&dir, "wrong", b"wrong-0123456789\n"),
    );
    let body = file(&dir, "body", &vec![7; 4 << 20]);
    let amber = Member::start(&["--http-token-file", &token]);
    let upload = ["file", "upload", GROUP, "1", &body];
    assert_refused(&amber, &upload, 1, &["--http-token-file"]);
    let with = |token: &str| amber.ask(&[&upload[..], &["--http-token-file", token]].concat());
    let refused = with(&wrong);
    assert_exit(&refused, 1);
    assert!(said(&refused).contains("--http-token-file"), "{refused:?}");
    assert_exit(&with(&token), 0);
}

#[test]
fn everything_is_there_in_one_answer() {
    let dir = tempfile::tempdir().unwrap();
    let config = file(&dir, "config", b"a = 1");
    let amber = Member::start(&["--name", "amber"]);
    assert_exit(&amber.ask(&["config", "apply", GROUP, "1", &config]), 0);
    assert_exit(&amber.ask(&["service", "add", GROUP, "--pkg", PKG]), 0);
    let answer = amber.talk("GET /butterfly HTTP/1.0\r\nHost: localhost\r\n\r\n");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let all: Value = serde_json::from_str(body).unwrap();
    assert_eq!(all["me"]["name"], "amber");
    assert_eq!(all["members"][0]["name"], "amber");
    assert_eq!(all["rumors"]["service_config"][0]["config"], "a = 1");
    assert_eq!(all["rumors"]["service"][0]["group"], GROUP);
    assert_eq!(all["rumors"]["departure"], Value::Array(Vec::new()));
}

#[test]
fn the_gateway_says_what_does_not_fit() {
    let amber = Member::start(&[]);
    let ask = |method: &str, path: &str, kind: &str, body: &str| {
        let length = body.len();
        amber.talk(&format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/{kind}\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        ))
    };
    for (status, answer) in [
        (
            "400",
            ask(
                "POST",
                "/v1/config?group=redis.default&incarnation=later",
                "octet-stream",
                "a",
            ),
        ),
        (
            "400",
            ask(
                "POST",
                "/v1/config?group=redis&incarnation=1",
                "octet-stream",
                "",
            ),
        ),
        (
            "400",
            ask(
                "POST",
                "/v1/config?group=a.b&group=a.b&incarnation=1",
                "octet-stream",
                "",
            ),
        ),
        ("400", ask("GET", "/v1/rumors?kinds=service", "json", "")),
        ("400", ask("GET", "/v1/rumors?kind=nonsense", "json", "")),
        ("400", ask("POST", "/v1/depart", "json", "{\"id\":\"xyz\"}")),
        (
            "404",
            ask("GET", "/v1/config?group=redis.default", "json", ""),
        ),
        (
            "404",
            ask("GET", "/v1/file?group=redis.default&name=a", "json", ""),
        ),
        (
            "405",
            ask("DELETE", "/v1/config?group=redis.default", "json", ""),
        ),
        ("405", ask("GET", "/v1/service", "json", "")),
        (
            "415",
            ask("POST", "/v1/config?group=a.b&incarnation=1", "json", ""),
        ),
        ("415", ask("POST", "/v1/depart", "octet-stream", "{}")),
    ] {
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{status}: {answer}"
        );
        assert!(answer.contains("{\"error\":"), "{answer}");
    }
    assert!(amber.rumors_of_users().is_empty());
}

#[test]
fn a_group_of_one_elects_itself() {
    let amber = Member::start(&["--name", "amber"]);
    let start = ["election", "start", GROUP];
    assert_refused(&amber, &start, 1, &["runs no service of the group"]);
    assert_exit(&amber.ask(&["service", "add", GROUP, "--pkg", PKG]), 0);
    let output = amber.ask(&["election", "start", GROUP, "--suitability", "7"]);
    assert_exit(&output, 0);
    assert!(said(&output).starts_with("amber ("), "{output:?}");
    assert!(
        said(&output).contains("leads redis.default, term 0"),
        "{output:?}"
    );
    let row = &json(&amber, &["election", "show", GROUP])[0];
    assert_eq!(
        (&row["status"], &row["suitability"]),
        (&"finished".into(), &7.into())
    );
    assert_eq!(row["candidate"], amber.row("amber")["id"]);
    let output = amber.ask(&["election", "start", GROUP, "--update"]);
    assert!(
        said(&output).contains("is the first of redis.default to update"),
        "{output:?}"
    );
    let rows = json(&amber, &["election", "show"]);
    assert_eq!(rows[1]["kind"], "election_update");
    let text = String::from_utf8(amber.ask(&["election", "show"]).stdout).unwrap();
    assert!(
        text.contains("amber (") && text.contains("update"),
        "{text}"
    );
}

#[test]
fn who_departs_for_good_ends_with_code_4_and_a_way_back() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    fs::create_dir(&data).unwrap();
    let data = data.to_str().unwrap();
    let mut amber = Member::start(&["--name", "amber", "--data-dir", data]);
    let stranger = "1".repeat(32);
    let depart = ["depart", &stranger, "--yes"];
    assert_refused(&amber, &depart, 1, &["is not known here: is the id right?"]);
    let unsure = ["depart", "amber"];
    assert_refused(
        &amber,
        &unsure,
        2,
        &["no ring takes its id again", "--yes", "butterfly forget"],
    );
    assert_exit(&amber.ask(&[&depart[..], &["--unknown"]].concat()), 0);
    assert_exit(&amber.ask(&["depart", "amber", "--yes"]), 0);
    assert_eq!(amber.end(), Some(4), "{}", amber.log());
    let log = amber.log();
    let last = log.lines().next_back().unwrap_or_default();
    assert!(
        last.contains("departed for good") && last.contains(&format!("remove {data}")),
        "{log}"
    );
    // Nor does it start with that disk again, for the same reason.
    let again = butterfly(&[
        "run",
        "--listen",
        "127.0.0.1:0",
        "--http",
        "none",
        "--data-dir",
        data,
    ]);
    assert_exit(&again, 4);
    assert_eq!(said(&again).lines().next_back(), Some(last));
}

#[test]
fn nobody_to_inject_to_is_said_within_seconds() {
    let dir = tempfile::tempdir().unwrap();
    let config = file(&dir, "config", b"a = 1");
    let output = butterfly(&[
        "inject",
        "--to",
        "127.0.0.1:1",
        "config",
        GROUP,
        "1",
        &config,
    ]);
    assert_exit(&output, 1);
    assert!(
        said(&output).contains("nobody takes rumors at 127.0.0.1:1"),
        "{output:?}"
    );
    let none = dir.path().join("none");
    let none = none.to_str().unwrap();
    let output = butterfly(&["inject", "--to", "127.0.0.1:1", "config", GROUP, "1", none]);
    assert_exit(&output, 1);
    assert!(
        said(&output).contains(&format!("{none}: there is no such file")),
        "{output:?}"
    );
    let short = butterfly(&["inject", "--to", "127.0.0.1:1", "depart", "1a2b"]);
    assert_exit(&short, 2);
}

#[test]
fn a_name_stands_for_whichever_of_its_addresses_answers() {
    let amber = Member::start(&["--gossip-port", "0"]);
    let gossip = amber.ask(&["members", "-o", "json"]);
    let rows: Value = serde_json::from_slice(&gossip.stdout).unwrap();
    let to = format!("localhost:{}", rows[0]["gossip_port"]);
    // Options of inject itself, after its subcommand.
    let output = butterfly(&["inject", "depart", &"ab".repeat(16), "--to", &to]);
    assert_exit(&output, 0);
    let to = format!("localhost:{}", amber.swim.port());
    let output = butterfly(&["ping", &to, "--count", "1"]);
    assert_exit(&output, 0);
}

#[test]
fn a_port_for_gossip_that_is_taken_is_said() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let free = "127.0.0.1:0";
    let run = ["run", "--listen", free, "--http", free, "--gossip-port"];
    let output = butterfly(&[&run[..], &[&port]].concat());
    assert_exit(&output, 1);
    assert!(
        said(&output).contains(&port) && said(&output).trim_end().lines().count() == 1,
        "{output:?}"
    );
}
