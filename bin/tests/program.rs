//! The program as its users meet it: real processes on loopback.

mod harness;

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use harness::{Member, assert_exit, butterfly, program, said, until};
use serde_json::Value;

/// Two members that see each other.
fn pair() -> (Member, Member) {
    let amber = Member::start(&["--name", "amber"]);
    let birch = Member::start(&["--name", "birch", "--peer", &amber.swim.to_string()]);
    amber.wait("alive=2");
    birch.wait("alive=2");
    (amber, birch)
}

#[track_caller]
fn generate_key(dir: &Path) -> PathBuf {
    let output = butterfly(&[
        "ring-key",
        "generate",
        "ring",
        "--dir",
        dir.to_str().unwrap(),
    ]);
    assert_exit(&output, 0);
    PathBuf::from(String::from_utf8(output.stdout).unwrap().trim_end())
}

#[test]
fn two_members_see_each_other_until_one_leaves() {
    let (amber, mut birch) = pair();
    let output = birch.ask(&["leave"]);
    assert_exit(&output, 0);
    assert!(output.stdout.is_empty(), "{output:?}");
    assert_eq!(birch.end(), Some(0));
    amber.wait("members=1");
    assert_eq!(amber.row("birch")["health"], "departed");
    let log = amber.log();
    assert!(
        log.contains("birch (") && log.contains("alive -> departed, incarnation"),
        "{log}"
    );
}

#[test]
fn members_as_json_have_these_fields() {
    let (amber, birch) = pair();
    until("a round trip is measured", || {
        amber.row("birch")["rtt_us"].is_u64()
    });
    let rows = amber.json("members");
    assert_eq!(rows.as_array().unwrap().len(), 2);
    let row = amber.row("birch");
    let mut fields: Vec<_> = row
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    fields.sort_unstable();
    let wanted = [
        "address",
        "gossip_port",
        "health",
        "id",
        "incarnation",
        "name",
        "persistent",
        "rtt_us",
        "self",
        "since_ms",
        "swim_port",
    ];
    assert_eq!(fields, wanted);
    assert_eq!(row["id"].as_str().map(str::len), Some(32));
    assert_eq!(row["address"], "127.0.0.1");
    assert_eq!(row["swim_port"], birch.swim.port());
    assert_eq!(row["gossip_port"], birch.swim.port());
    assert_eq!(row["health"], "alive");
    assert_eq!(
        (&row["self"], &row["persistent"]),
        (&Value::Bool(false), &Value::Bool(false))
    );
    assert!(row["incarnation"].is_u64() && row["since_ms"].is_u64());
    let own = amber.row("amber");
    assert_eq!(
        (&own["self"], &own["rtt_us"]),
        (&Value::Bool(true), &Value::Null)
    );
}

#[test]
fn the_table_is_plain_text_where_no_terminal_is() {
    let (amber, _birch) = pair();
    let output = amber.ask(&["members"]);
    assert_exit(&output, 0);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("ID        NAME   ADDRESS"), "{text}");
    assert!(
        text.contains("2 known: 2 alive, 0 suspect, 0 confirmed, 0 departed; local health"),
        "{text}"
    );
    assert!(!text.contains('\x1b'), "{text}");
}

#[test]
fn a_member_that_is_told_of_peers_while_it_runs_joins_them() {
    let amber = Member::start(&["--name", "amber"]);
    let birch = Member::start(&["--name", "birch"]);
    assert_exit(&birch.ask(&["join", &amber.swim.to_string()]), 0);
    amber.wait("alive=2");
    assert_eq!(birch.json("status")["seeds"][0], amber.swim.to_string());
    assert_exit(&birch.ask(&["join", "nonsense"]), 1);
}

#[test]
fn peers_may_be_given_by_name() {
    let amber = Member::start(&["--name", "amber"]);
    let peer = format!("localhost:{}", amber.swim.port());
    let birch = Member::start(&["--name", "birch", "--peer", &peer]);
    birch.wait("alive=2");
    assert_eq!(birch.json("status")["seeds"][0], peer.as_str());
}

#[test]
fn a_member_is_who_it_was_told_to_be() {
    let id = "1a".repeat(16);
    let amber = Member::start(&["--name", "amber", "--id", &id, "--permanent-peer"]);
    let birch = Member::start(&["--name", "birch", "--peer", &amber.swim.to_string()]);
    birch.wait("alive=2");
    let row = birch.row("amber");
    assert_eq!(
        (&row["id"], &row["persistent"]),
        (&Value::from(id), &Value::Bool(true))
    );
}

#[test]
fn a_killed_member_is_suspected_then_confirmed_and_the_log_says_why() {
    let (amber, birch) = pair();
    drop(birch);
    until("birch is confirmed", || {
        amber.row("birch")["health"] == "confirmed"
    });
    let log = amber.log();
    assert!(
        log.contains("alive -> suspect") && log.contains("suspect -> confirmed"),
        "{log}"
    );
    assert!(
        log.contains("it answered neither a ping nor those of others"),
        "{log}"
    );
    assert_eq!(amber.json("status")["members"]["confirmed"], 1);
}

#[test]
fn what_is_not_reached_in_time_is_exit_code_3() {
    let amber = Member::start(&[]);
    let output = amber.ask(&["status", "--wait", "alive=2", "--timeout", "0.2"]);
    assert_exit(&output, 3);
    assert!(said(&output).contains("1 alive"), "{output:?}");
    let output = butterfly(&[
        "status",
        "--wait",
        "alive=1",
        "--timeout",
        "0.2",
        "--http",
        "127.0.0.1:1",
    ]);
    assert_exit(&output, 3);
}

#[test]
fn what_fails_is_one_line_and_exit_code_1() {
    let dir = tempfile::tempdir().unwrap();
    let bad_key = dir.path().join("bad.sym.key");
    fs::write(&bad_key, "SYM-SEC-1\nnonsense").unwrap();
    let bad_key = bad_key.to_str().unwrap();
    let no_key = dir.path().join("none.sym.key");
    let no_key = no_key.to_str().unwrap();
    let free = "127.0.0.1:0";
    for (args, part) in [
        (vec!["run", "--listen", "nonsense"], "nonsense"),
        (
            vec!["run", "--listen", "192.0.2.1:0", "--http", "none"],
            "192.0.2.1",
        ),
        (
            vec!["run", "--listen", free, "--advertise", "10.0.0.1"],
            "--advertise",
        ),
        (
            vec!["run", "--listen", free, "--http", "none", "--peer", "x"],
            "HOST:PORT",
        ),
        (
            vec![
                "run",
                "--listen",
                free,
                "--http",
                "none",
                "--ring-key",
                no_key,
            ],
            no_key,
        ),
        (
            vec![
                "run",
                "--listen",
                free,
                "--http",
                "none",
                "--ring-key",
                bad_key,
            ],
            bad_key,
        ),
        (
            vec!["members", "--http", "127.0.0.1:1"],
            "no member answers at 127.0.0.1:1",
        ),
        (
            vec!["leave", "--http", "127.0.0.1:1"],
            "no member answers at 127.0.0.1:1",
        ),
        (vec!["members", "--http", "nonsense"], "IP:PORT"),
        (vec!["ping", "nonsense"], "HOST:PORT"),
        (
            vec![
                "ring-key",
                "generate",
                "a/b",
                "--dir",
                dir.path().to_str().unwrap(),
            ],
            "a/b",
        ),
        (
            vec!["ring-key", "generate", "a", "--dir", "/nonexistent"],
            "/nonexistent",
        ),
    ] {
        let output = butterfly(&args);
        assert_exit(&output, 1);
        let said = said(&output);
        assert!(
            said.contains(part) && said.trim_end().lines().count() == 1,
            "{args:?}: {said}"
        );
        assert!(output.stdout.is_empty(), "{output:?}");
    }
}

#[test]
fn a_port_in_use_is_said() {
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let (udp_addr, tcp_addr) = (
        udp.local_addr().unwrap().to_string(),
        tcp.local_addr().unwrap().to_string(),
    );
    for (args, addr) in [
        (["run", "--listen", &udp_addr, "--http", "none"], &udp_addr),
        (
            ["run", "--listen", "127.0.0.1:0", "--http", &tcp_addr],
            &tcp_addr,
        ),
    ] {
        let output = butterfly(&args);
        assert_exit(&output, 1);
        let said = said(&output);
        assert!(
            said.contains(addr.as_str()) && said.trim_end().lines().count() == 1,
            "{said}"
        );
    }
}

#[test]
fn the_default_gateway_being_busy_is_a_warning() {
    // Either this takes it, or somebody else has it.
    let _busy = TcpListener::bind("127.0.0.1:9631");
    let mut child = program(&["run", "--listen", "127.0.0.1:0", "--timing", "local"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0; 5];
    let read = child.stdout.as_mut().unwrap().read_exact(&mut first);
    let killed = child.kill();
    let output = child.wait_with_output().unwrap();
    assert!(
        read.is_ok() && killed.is_ok() && &first == b"swim ",
        "{output:?}"
    );
    assert!(
        said(&output).contains("no gateway: 127.0.0.1:9631 is in use"),
        "{output:?}"
    );
    assert!(
        !String::from_utf8_lossy(&output.stdout).contains("http"),
        "{output:?}"
    );
}

#[test]
fn a_wrong_command_line_is_exit_code_2() {
    for args in [
        vec![],
        vec!["nonsense"],
        vec!["run"],
        vec!["demo", "--members", "2"],
        vec!["run", "--listen", "127.0.0.1:0", "--id", "xyz"],
        vec!["run", "--listen", "127.0.0.1:0", "--http", "0.0.0.0:0"],
        vec!["status", "--wait", "many"],
    ] {
        let output = butterfly(&args);
        assert_exit(&output, 2);
        assert!(
            output.stdout.is_empty() && !output.stderr.is_empty(),
            "{output:?}"
        );
    }
}

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
        amber.log().contains("the old ring keys stay")
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
fn no_web_page_can_ask_for_anything() {
    let amber = Member::start(&["--name", "amber"]);
    let post = |headers: &str| {
        amber.talk(&format!(
            "POST /leave HTTP/1.1\r\n{headers}Content-Length: 2\r\n\r\n{{}}"
        ))
    };
    let json = "Content-Type: application/json\r\n";
    for (status, headers) in [
        ("403", format!("Host: evil.example\r\n{json}")),
        (
            "403",
            format!("Host: localhost\r\nOrigin: http://evil.example\r\n{json}"),
        ),
        ("403", format!("Host: localhost\r\nOrigin: null\r\n{json}")),
        ("415", "Host: localhost\r\n".to_owned()),
        (
            "415",
            "Host: localhost\r\nContent-Type: text/plain\r\n".to_owned(),
        ),
        ("400", json.to_owned()),
    ] {
        let answer = post(&headers);
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{headers}: {answer}"
        );
        assert!(answer.contains("{\"error\":"), "{answer}");
    }
    let answer = amber.talk("GET /members HTTP/1.1\r\nHost: evil.example\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    assert_eq!(amber.json("status")["leaving"], false);
}

#[test]
fn requests_on_one_connection_are_answered_in_their_order() {
    let amber = Member::start(&[]);
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let answers = amber.talk(&(get("/status") + &get("/members") + &get("/nothing") + &get("/")));
    let statuses: Vec<_> = answers.matches("HTTP/1.1 ").collect();
    assert_eq!(statuses.len(), 4, "{answers}");
    let at = |part: &str| {
        answers
            .find(part)
            .unwrap_or_else(|| panic!("{part} is not in {answers}"))
    };
    assert!(
        at("uptime_ms") < at("since_ms") && at("since_ms") < at("there is no /nothing"),
        "{answers}"
    );
    assert!(at("there is no /nothing") < at("\"routes\""), "{answers}");
}

#[test]
fn what_is_wrong_with_a_request_is_said() {
    let amber = Member::start(&[]);
    let post = |path: &str, body: &str| {
        amber.talk(&format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ))
    };
    for (status, answer) in [
        ("400", amber.talk("nonsense nonsense nonsense\r\n\r\n")),
        ("400", post("/join", "{}")),
        ("400", post("/join", r#"{"peers": ["nonsense"]}"#)),
        ("400", post("/block", r#"{"id": "xyz"}"#)),
        ("400", post("/leave", "")),
        ("404", post("/nothing", "{}")),
        ("405", post("/members", "{}")),
        (
            "405",
            amber.talk("GET /leave HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        ),
        ("413", post("/join", &" ".repeat(20_000))),
        (
            "431",
            amber.talk(&format!(
                "GET / HTTP/1.1\r\nX: {}\r\n\r\n",
                "x".repeat(20_000)
            )),
        ),
    ] {
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{status}: {answer}"
        );
        assert!(answer.contains("{\"error\":"), "{answer}");
    }
    assert_eq!(amber.json("status")["leaving"], false);
}

#[test]
fn many_idle_clients_keep_nobody_out() {
    let (amber, birch) = pair();
    let mut idle: Vec<TcpStream> = (0..200)
        .map(|_| TcpStream::connect(amber.http).unwrap())
        .collect();
    for stream in idle.iter_mut().take(100) {
        // Those that were sent away cannot write any more.
        let _ = stream.write_all(b"GET /");
    }
    until("the gateway answers", || {
        amber.ask(&["status"]).status.success()
    });
    birch.wait("alive=2");
}

#[test]
fn a_token_is_needed_where_there_is_one() {
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("token");
    fs::write(&token, "open-sesame\n").unwrap();
    let token = token.to_str().unwrap();
    let amber = Member::start(&["--http-token-file", token]);
    let output = amber.ask(&["members"]);
    assert_exit(&output, 1);
    assert!(said(&output).contains("--http-token-file"), "{output:?}");
    assert_exit(&amber.ask(&["members", "--http-token-file", token]), 0);
    let answer = amber
        .talk("GET /status HTTP/1.1\r\nHost: web-1\r\nAuthorization: Bearer open-sesame\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[test]
fn a_blocked_member_is_listed_until_it_is_unblocked() {
    let (amber, birch) = pair();
    let id = birch.json("status")["id"].as_str().unwrap().to_owned();
    assert_exit(&amber.ask(&["block", "birch"]), 0);
    assert_eq!(amber.json("status")["blocked"][0], id.as_str());
    assert_exit(&amber.ask(&["unblock", &id[..12]]), 0);
    assert_eq!(amber.json("status")["blocked"].as_array().unwrap().len(), 0);
    assert_exit(&amber.ask(&["block", "nobody"]), 1);
    amber.wait("alive=2");
}

#[test]
fn a_signal_lets_it_leave() {
    for signal in ["TERM", "INT"] {
        let (amber, mut birch) = pair();
        birch.signal(signal);
        assert_eq!(birch.end(), Some(0), "{}", birch.log());
        until("amber knows", || amber.row("birch")["health"] == "departed");
    }
}

#[test]
fn a_data_directory_keeps_the_id_and_raises_the_incarnation() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    fs::create_dir(&data).unwrap();
    let start = || {
        let mut member = Member::start(&["--name", "amber", "--data-dir", data.to_str().unwrap()]);
        let row = member.row("amber");
        member.signal("TERM");
        assert_eq!(member.end(), Some(0));
        (row["id"].clone(), row["incarnation"].as_u64().unwrap())
    };
    let ((id, incarnation), (id_again, incarnation_again)) = (start(), start());
    assert_eq!(id, id_again);
    assert!(
        incarnation < incarnation_again,
        "{incarnation} {incarnation_again}"
    );
    assert_eq!(
        fs::read_to_string(data.join("MEMBER_ID")).unwrap().trim(),
        id
    );
    assert!(data.join("INCARNATION").exists());
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
        "Done in",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
}
