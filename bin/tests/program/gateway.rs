//! The HTTP gateway, spoken to directly.

use std::fs;
use std::io::Write;
use std::net::TcpStream;

use crate::harness::{Member, assert_exit, pair, said, until};

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
    let wrong = dir.path().join("wrong");
    fs::write(&wrong, "sesame").unwrap();
    let output = amber.ask(&["members", "--http-token-file", wrong.to_str().unwrap()]);
    assert_exit(&output, 1);
    assert!(
        said(&output).contains("not the token of this"),
        "{output:?}"
    );
    let answer = amber
        .talk("GET /status HTTP/1.1\r\nHost: web-1\r\nAuthorization: Bearer open-sesame\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}
