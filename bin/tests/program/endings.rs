//! How the program ends, and with which code.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Read};
use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::harness::{Member, PATIENCE, assert_exit, butterfly, pair, program, said, until};

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
    fs::set_permissions(&bad_key, Permissions::from_mode(0o600)).unwrap();
    let bad_key = bad_key.to_str().unwrap();
    let file = bad_key;
    let no_key = dir.path().join("none.sym.key");
    let no_key = no_key.to_str().unwrap();
    for (args, part) in [
        (
            vec!["run", "--listen", "192.0.2.1:0", "--http", "none"],
            "this machine has no such address",
        ),
        (
            vec!["run", "--listen", "224.0.0.1:0", "--http", "none"],
            "listen 224.0.0.1:0: it is a multicast address",
        ),
        (
            run("--advertise", "0.0.0.0:1"),
            "it is no address of a host",
        ),
        (run("--advertise", "[fe80::1]:1"), "link-local"),
        (run("--peer", "255.255.255.255:1"), "the broadcast address"),
        (run("--data-dir", file), "it is a file, not a directory"),
        (run("--ring-key", no_key), no_key),
        (run("--ring-key", bad_key), bad_key),
        (
            vec!["members", "--http", "127.0.0.1:1"],
            "no member answers at 127.0.0.1:1",
        ),
        (
            vec!["leave", "--http", "127.0.0.1:1"],
            "no member answers at 127.0.0.1:1",
        ),
        (
            vec!["ring-key", "generate", "a", "--dir", "/nonexistent"],
            "/nonexistent",
        ),
    ] {
        ends_with(&args, 1, part);
    }
}

#[test]
fn an_address_that_is_none_is_one_line_and_exit_code_2() {
    for (args, part) in [
        (vec!["run", "--listen", "nonsense"], "nonsense"),
        (vec!["ring-key", "generate", "a/b"], "a/b"),
        (vec!["run", "--listen", "localhost:9638"], "IP:PORT"),
        (run("--advertise", "10.0.0.1"), "--advertise"),
        (run("--peer", "x"), "HOST:PORT"),
        (vec!["members", "--http", "nonsense"], "IP:PORT"),
        (vec!["ping", "nonsense"], "HOST:PORT"),
        (vec!["join", "nonsense"], "HOST:PORT"),
    ] {
        ends_with(&args, 2, part);
    }
}

/// `run` with one more option.
fn run<'a>(option: &'a str, value: &'a str) -> Vec<&'a str> {
    let quiet = ["run", "--listen", "127.0.0.1:0", "--http", "none"];
    [&quiet[..], &[option, value]].concat()
}

/// The program ends with this code, and one line on standard error that has this in it.
#[track_caller]
fn ends_with(args: &[&str], code: i32, part: &str) {
    let output = butterfly(args);
    assert_exit(&output, code);
    let said = said(&output);
    assert!(
        said.contains(part) && said.trim_end().lines().count() == 1,
        "{args:?}: {said}"
    );
    assert!(output.stdout.is_empty(), "{output:?}");
}

#[test]
fn two_signals_in_a_row_are_one() {
    let (amber, mut birch) = pair();
    birch.signal("TERM");
    birch.signal("INT");
    assert_eq!(birch.end(), Some(0), "{}", birch.log());
    until("amber knows", || amber.row("birch")["health"] == "departed");
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
    // The log comes by another thread than the addresses.
    let log = BufReader::new(child.stderr.take().unwrap()).lines();
    let warned = log
        .map_while(Result::ok)
        .find(|line| line.contains("no gateway"));
    let killed = child.kill();
    let output = child.wait_with_output().unwrap();
    assert!(
        read.is_ok() && killed.is_ok() && &first == b"swim ",
        "{output:?}"
    );
    assert!(
        warned
            .unwrap_or_default()
            .contains("no gateway: 127.0.0.1:9631 is in use"),
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
        vec!["demo", "--members", "2"],
        vec!["run", "--listen", "127.0.0.1:0", "--id", "xyz"],
        vec!["run", "--listen", "127.0.0.1:0", "--http", "0.0.0.0:0"],
        vec!["status", "--wait", "many"],
        vec![
            "run",
            "--listen",
            "127.0.0.1:0",
            "--http",
            "none",
            "--http-token-file",
            "token",
        ],
        vec!["inject", "--to", "nonsense", "config", "a.b", "1", "none"],
        vec!["inject", "config", "a.b", "1", "none"],
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
fn a_file_that_is_missing_comes_with_what_makes_it() {
    for (option, makes) in [
        ("--ring-key", "copy the key of the ring there"),
        ("--http-token-file", "openssl rand -hex 32"),
    ] {
        let output = butterfly(&["run", "--listen", "127.0.0.1:0", option, "/nowhere"]);
        assert_exit(&output, 1);
        let said = said(&output);
        assert!(said.contains("/nowhere") && said.contains(makes), "{said}");
    }
}

#[test]
fn a_key_that_is_open_to_every_user_is_a_warning() {
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().to_str().unwrap();
    let made = butterfly(&["ring-key", "generate", "ring", "--dir", to]);
    assert_exit(&made, 0);
    let key = String::from_utf8(made.stdout).unwrap();
    let key = key.trim_end();
    for (mode, warned) in [(0o400, false), (0o640, false), (0o644, true)] {
        fs::set_permissions(key, Permissions::from_mode(mode)).unwrap();
        let amber = Member::start(&["--ring-key", key]);
        amber.says("its gateway is");
        let log = amber.log();
        assert_eq!(
            log.contains(&format!(
                "holds a secret, and every user of this machine can read or change it: chmod 600 {key}"
            )),
            warned,
            "{log}"
        );
    }
}

#[test]
fn who_outlives_all_it_knows_says_so() {
    let (amber, birch) = pair();
    birch.signal("KILL");
    until("amber says so", || {
        let log = amber.log();
        log.contains("nobody that it knows answers (1 member)")
    });
    assert!(!amber.log().contains("same ring key"), "{}", amber.log());
    let output = amber.ask(&["leave"]);
    assert_exit(&output, 0);
    assert!(said(&output).starts_with("amber ("), "{output:?}");
    amber.says("there is nobody to tell");
}

#[test]
fn a_member_that_hears_nobody_says_so_everywhere_until_it_does() {
    let (amber, birch) = pair();
    let cedar = Member::start(&["--peer", &amber.swim.to_string()]);
    amber.wait("alive=3");
    let ready = || {
        let get = "GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        amber.talk(get)
    };
    assert!(ready().starts_with("HTTP/1.1 200 "));
    birch.signal("STOP");
    cedar.signal("STOP");
    amber.says("isolated: this member has heard no other for ");
    amber.says(&format!("or UDP to {} blocked?", amber.swim));
    assert!(amber.json("status")["isolated_ms"].as_u64() > Some(0));
    let status = ready();
    assert!(status.starts_with("HTTP/1.1 503 "), "{status}");
    assert!(status.contains("it is isolated"), "{status}");
    for command in ["status", "members"] {
        let output = amber.ask(&[command]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(text.contains("has heard no other member for"), "{text}");
    }
    let output = amber.ask(&["status", "--wait", "alive=2", "--timeout", "0.3"]);
    assert_exit(&output, 3);
    assert!(
        said(&output).contains("has heard no other member for"),
        "{output:?}"
    );
    birch.signal("CONT");
    cedar.signal("CONT");
    amber.says("no longer isolated: that lasted ");
    amber.wait("alive=3");
    assert!(amber.json("status")["isolated_ms"].is_null());
    assert_eq!(
        amber
            .log()
            .matches("isolated: this member has heard")
            .count(),
        1
    );
}

#[test]
fn the_survivor_of_two_stays_ready() {
    let (amber, birch) = pair();
    let asked = |query: &str| {
        let get =
            format!("GET /readyz{query} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        amber.talk(&get)
    };
    birch.signal("KILL");
    amber.says("isolated: this member has heard no other for ");
    until("birch is dead", || {
        amber.row("birch")["health"] == "confirmed"
    });
    assert!(asked("").starts_with("HTTP/1.1 200 "), "{}", asked(""));
    assert!(
        asked("?alive=2").starts_with("HTTP/1.1 503 "),
        "{}",
        asked("")
    );
}

#[test]
fn a_member_that_is_stopped_is_not_waited_for_longer_than_asked() {
    let amber = Member::start(&[]);
    amber.signal("STOP");
    for args in [
        vec!["status", "--wait", "alive=1", "--timeout", "0.5"],
        vec!["leave", "--timeout", "0.5"],
    ] {
        let start = Instant::now();
        let output = amber.ask(&args);
        assert_exit(&output, 3);
        assert!(start.elapsed() < Duration::from_secs(5), "{output:?}");
        assert!(said(&output).contains("does not answer"), "{output:?}");
    }
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
fn a_service_manager_is_told_of_the_start_of_each_turn_and_of_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notify");
    let listening = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    listening.set_read_timeout(Some(PATIENCE)).unwrap();
    let told = || {
        let mut buffer = [0; 200];
        let length = listening.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    };
    let mut run = program(&["run", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"]);
    run.env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", "20000");
    let mut amber = Member::spawn_logged(run);
    assert_eq!(told(), "READY=1");
    for _ in 0..3 {
        assert_eq!(told(), "WATCHDOG=1\nSTATUS=sees 1 members alive, 0 suspect");
    }
    amber.signal("TERM");
    let mut last = told();
    while last.starts_with("WATCHDOG=1") {
        last = told();
    }
    assert_eq!(last, "STOPPING=1\nSTATUS=leaving");
    assert_eq!(amber.end(), Some(0));

    let mut run = program(&["run", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"]);
    run.env("NOTIFY_SOCKET", "/nowhere/notify");
    Member::spawn_logged(run).says("cannot tell the service manager at /nowhere/notify anything: ");
}
