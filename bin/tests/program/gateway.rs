//! The HTTP gateway, spoken to directly.

use std::collections::VecDeque;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{Member, PATIENCE, assert_exit, pair, said, until};

#[test]
fn no_web_page_can_ask_for_anything() {
    let amber = Member::start(&["--name", "amber"]);
    let post = |headers: &str| {
        amber.talk(&format!(
            "POST /v1/leave HTTP/1.1\r\n{headers}Content-Length: 2\r\n\r\n{{}}"
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
    for headers in [
        "Host: evil.example\r\n",
        "Host: localhost\r\nOrigin: http://evil.example\r\n",
        "Host: localhost\r\nSec-Fetch-Site: cross-site\r\n",
    ] {
        let answer = amber.talk(&format!("GET /v1/events HTTP/1.1\r\n{headers}\r\n"));
        assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    }
    let linked = "Host: localhost\r\nSec-Fetch-Site: cross-site\r\nAccept: text/html\r\n";
    let answer = amber.talk(&format!("GET / HTTP/1.1\r\n{linked}\r\n"));
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert_eq!(amber.json("status")["leaving"], false);
}

#[test]
fn requests_on_one_connection_are_answered_in_their_order() {
    let amber = Member::start(&[]);
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let answers =
        amber.talk(&(get("/v1/status") + &get("/v1/members") + &get("/nothing") + &get("/")));
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
        ("400", post("/v1/join", "{}")),
        ("400", post("/v1/join", r#"{"peers": ["nonsense"]}"#)),
        ("400", post("/v1/block", r#"{"id": "xyz"}"#)),
        ("400", post("/v1/leave", "")),
        ("404", post("/nothing", "{}")),
        ("405", post("/v1/members", "{}")),
        // Where the fault is one of the path, the type of the body is not complained of.
        (
            "404",
            amber.talk("POST /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        ),
        (
            "405",
            amber.talk("POST /v1/members HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        ),
        (
            "405",
            amber.talk("GET /v1/leave HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        ),
        ("413", post("/v1/join", &" ".repeat(20_000))),
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
fn old_paths_say_where_they_are_now() {
    let amber = Member::start(&[]);
    for (request, location) in [
        (
            "GET /members?health=alive HTTP/1.1\r\n",
            "/v1/members?health=alive",
        ),
        ("GET /status HTTP/1.1\r\n", "/v1/status"),
        (
            "POST /leave HTTP/1.1\r\nContent-Type: application/json\r\n",
            "/v1/leave",
        ),
    ] {
        let answer = amber.talk(&format!("{request}Host: localhost\r\n\r\n"));
        assert!(answer.starts_with("HTTP/1.1 308 "), "{answer}");
        assert!(
            answer.contains(&format!("\r\nLocation: {location}\r\n")),
            "{answer}"
        );
        assert!(answer.contains(" now\"}"), "{answer}");
    }
}

#[test]
fn no_route_takes_a_parameter_that_it_does_not_know() {
    let amber = Member::start(&["--name", "amber"]);
    let list: Value = serde_json::from_str(&amber.get("/v1")).unwrap();
    let routes = list["routes"].as_array().unwrap();
    assert!(routes.len() > 20);
    for route in routes {
        let (method, path) = (
            route["method"].as_str().unwrap(),
            route["path"].as_str().unwrap(),
        );
        let content = match (method, path) {
            ("GET", _) => "",
            (_, "/v1/service" | "/v1/config" | "/v1/file" | "/v1/event" | "/v1/query") => {
                "Content-Type: application/octet-stream\r\n"
            }
            _ => "Content-Type: application/json\r\n",
        };
        let answer = amber.talk(&format!(
            "{method} {path}?colour=red HTTP/1.1\r\nHost: localhost\r\n{content}\r\n"
        ));
        assert!(
            answer.starts_with("HTTP/1.1 400 "),
            "{method} {path}: {answer}"
        );
        assert!(answer.contains("has no parameter"), "{answer}");
    }
    assert_eq!(amber.json("status")["leaving"], false);
}

#[test]
fn members_are_told_by_health_and_name() {
    let (amber, birch) = pair();
    let names = |query: &str| {
        let rows: Value = serde_json::from_str(&amber.get(&format!("/v1/members{query}"))).unwrap();
        let rows = rows.as_array().unwrap().iter();
        let mut names: Vec<_> = rows
            .map(|row| row["name"].as_str().unwrap().to_owned())
            .collect();
        names.sort();
        names.join(" ")
    };
    assert_eq!(names(""), "amber birch");
    assert_eq!(names("?health=alive&name=b*"), "birch");
    assert_eq!(names("?name=?????"), "amber birch");
    assert_eq!(names("?health=suspect,departed"), "");
    drop(birch);
    until("birch is dead", || names("?health=confirmed") == "birch");
    assert_eq!(names("?health=alive"), "amber");
    let id = amber.json("members");
    let id = id
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["name"] == "birch")
        .unwrap()["id"]
        .clone();
    for who in [id.as_str().unwrap(), &id.as_str().unwrap()[..12], "birch"] {
        let explained = amber.get(&format!("/v1/explain?member={who}"));
        let explained: Value = serde_json::from_str(&explained).unwrap();
        assert_eq!(explained["likely"], "ended", "{explained}");
        assert!(!explained["chain"].as_array().unwrap().is_empty());
    }
    let answer = amber.talk("GET /v1/explain?member=nobody HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
    let answer = amber.talk("GET /v1/members?health=dead HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
}

#[test]
fn a_browser_gets_the_page_and_a_program_the_list() {
    let dir = tempfile::tempdir().unwrap();
    let amber = Member::start(&["--http-token-file", &token_file(&dir)]);
    let ask =
        |headers: &str| amber.talk(&format!("GET / HTTP/1.1\r\nHost: web-1\r\n{headers}\r\n"));
    let page = ask("Accept: text/html\r\n");
    assert!(page.starts_with("HTTP/1.1 200 "), "{page}");
    assert!(
        page.contains("\r\nContent-Security-Policy: default-src 'none';"),
        "{page}"
    );
    assert!(page.contains("<!doctype html>"), "{page}");
    assert!(ask("").starts_with("HTTP/1.1 401 "));
    let list = ask("Authorization: Bearer open-sesame-0123\r\n");
    assert!(list.contains("\"/v1/members\""), "{list}");
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
    fs::write(&token, "open-sesame-0123\n").unwrap();
    let token = token.to_str().unwrap();
    let amber = Member::start(&["--http-token-file", token]);
    let output = amber.ask(&["members"]);
    assert_exit(&output, 1);
    assert!(said(&output).contains("--http-token-file"), "{output:?}");
    assert_exit(&amber.ask(&["members", "--http-token-file", token]), 0);
    let wrong = dir.path().join("wrong");
    fs::write(&wrong, "sesame-0123456789").unwrap();
    let output = amber.ask(&["members", "--http-token-file", wrong.to_str().unwrap()]);
    assert_exit(&output, 1);
    assert!(
        said(&output).contains("not the token of this"),
        "{output:?}"
    );
    let answer = amber.talk(
        "GET /v1/status HTTP/1.1\r\nHost: web-1\r\nAuthorization: Bearer open-sesame-0123\r\n\r\n",
    );
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

/// Connections that each say one byte of a request, and no more.
fn unfinished(count: usize, http: std::net::SocketAddr) -> Vec<TcpStream> {
    let start = || {
        let mut stream = TcpStream::connect(http).unwrap();
        // Those that were sent away cannot write any more.
        let _ = stream.write_all(b"G");
        stream
    };
    (0..count).map(|_| start()).collect()
}

fn token_file(dir: &TempDir) -> String {
    let token = dir.path().join("token");
    fs::write(&token, "open-sesame-0123\n").unwrap();
    token.to_str().unwrap().to_owned()
}

#[test]
fn unfinished_requests_do_not_lock_out_the_token_holder() {
    let dir = tempfile::tempdir().unwrap();
    let token = token_file(&dir);
    let with_token = ["--http-token-file", &token];
    let amber = Member::start(&with_token);
    // As many as there are places, and then more than that.
    for count in [64, 300] {
        let _held = unfinished(count, amber.http);
        let output = amber.ask(&[&["status"], &with_token[..]].concat());
        assert_exit(&output, 0);
    }
}

/// The page is answered without the token. Clients that read it, but slowly, are being answered at any time.
#[test]
fn strangers_that_read_the_page_slowly_keep_no_token_holder_out() {
    let dir = tempfile::tempdir().unwrap();
    let token = token_file(&dir);
    let with_token = ["--http-token-file", &token];
    let amber = Member::start(&with_token);
    let page = b"GET / HTTP/1.1\r\nHost: a\r\nAccept: text/html\r\n\r\n";
    let done = AtomicBool::new(false);
    // Their requests are not read any more, and so their answers wait.
    let stuck = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let connect = || {
                let stream = TcpStream::connect(amber.http).unwrap();
                stream.set_nonblocking(true).unwrap();
                stream
            };
            let mut streams: Vec<TcpStream> = (0..48).map(|_| connect()).collect();
            let mut part = [0; 16_384];
            while !done.load(Ordering::Relaxed) {
                let mut writing = 0;
                for stream in &mut streams {
                    if !stuck.load(Ordering::Relaxed) {
                        writing += usize::from(stream.write(&page.repeat(100)).is_ok());
                        continue;
                    }
                    if let Ok(0) = stream.read(&mut part) {
                        *stream = connect();
                    }
                    let _ = stream.write(&page.repeat(100));
                }
                stuck.fetch_or(writing == 0, Ordering::Relaxed);
            }
        });
        until("they are stuck", || stuck.load(Ordering::Relaxed));
        let failed = (0..20).filter(|_| {
            let output = amber.ask(&[&["status"], &with_token[..]].concat());
            !output.status.success()
        });
        let failed = failed.count();
        done.store(true, Ordering::Relaxed);
        assert_eq!(failed, 0);
    });
}

#[test]
fn a_flood_of_connections_neither_cuts_off_nor_keeps_out_the_token_holder() {
    let dir = tempfile::tempdir().unwrap();
    let token = token_file(&dir);
    let with_token = ["--http-token-file", &token];
    let amber = Member::start(&with_token);
    let request =
        "GET /v1/status HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer open-sesame-0123\r\n\r\n";
    let mut kept = TcpStream::connect(amber.http).unwrap();
    kept.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut ask = || {
        kept.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"}\n") {
            let mut part = [0; 4096];
            let count = kept.read(&mut part).unwrap();
            assert!(count > 0, "cut off");
            answer.extend_from_slice(&part[..count]);
        }
        assert!(answer.starts_with(b"HTTP/1.1 200 OK"));
    };
    ask();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut held = VecDeque::new();
            while !done.load(Ordering::Relaxed) {
                held.extend(unfinished(1, amber.http));
                if held.len() > 200 {
                    held.pop_front();
                }
            }
        });
        for _ in 0..10 {
            let output = amber.ask(&[&["status"], &with_token[..]].concat());
            done.store(!output.status.success(), Ordering::Relaxed);
            assert_exit(&output, 0);
        }
        done.store(true, Ordering::Relaxed);
    });
    ask();
}

/// CPU time of a process, seconds.
#[cfg(target_os = "linux")]
fn cpu_seconds(member: &Member) -> f64 {
    let stat = member.proc("stat");
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let ticks = |field: usize| -> f64 { fields.split(' ').nth(field).unwrap().parse().unwrap() };
    // utime and stime, in hundredths of a second as Linux has it.
    (ticks(11) + ticks(12)) / 100.0
}

#[cfg(target_os = "linux")]
#[test]
fn without_descriptors_the_gateway_still_answers_and_does_not_spin() {
    let amber = Member::start_after("ulimit -n 48", &[]);
    let _held = unfinished(300, amber.http);
    assert_exit(&amber.ask(&["status"]), 0);
    amber.says("the gateway takes in a client by a descriptor that it held back");
    let (before, start) = (cpu_seconds(&amber), Instant::now());
    std::thread::sleep(Duration::from_secs(1));
    let share = (cpu_seconds(&amber) - before) / start.elapsed().as_secs_f64();
    assert!(share < 0.3, "{share}");
    assert_exit(&amber.ask(&["status"]), 0);
}

#[cfg(target_os = "linux")]
#[test]
fn silent_connections_to_the_gossip_port_leave_the_gateway_its_descriptors() {
    let amber = Member::start_after("ulimit -n 64", &["--gossip-port", "0"]);
    let rows = amber.json("members");
    let port = rows[0]["gossip_port"].as_u64().unwrap() as u16;
    let _held: Vec<_> = (0..300)
        .map(|_| TcpStream::connect(("127.0.0.1", port)).unwrap())
        .collect();
    for _ in 0..5 {
        assert_exit(&amber.ask(&["status"]), 0);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn the_limit_of_descriptors_is_raised_as_far_as_it_goes() {
    let amber = Member::start_after("ulimit -Sn 64; ulimit -Hn 600", &[]);
    let limits = amber.proc("limits");
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"))
        .unwrap();
    let numbers: Vec<_> = line.split_whitespace().skip(3).take(2).collect();
    assert_eq!(numbers, ["600", "600"]);
    // What is left is less than its connections may take.
    for part in [
        "this process may open 600 ",
        "files and sockets (RLIMIT_NOFILE), fewer than the",
        "LimitNOFILE=8",
    ] {
        amber.says(part);
    }
}
