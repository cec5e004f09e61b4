//! Events as they happen, by the gateway and by the command.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Stdio;

use serde_json::Value;

use crate::harness::{Member, PATIENCE, butterfly, pair, program, until};

/// A client of `GET /v1/events`, which speaks HTTP/1.0, so that the events come as they are.
struct Stream(BufReader<TcpStream>);

impl Stream {
    fn connect(member: &Member, query: &str, headers: &str) -> TcpStream {
        let mut stream = TcpStream::connect(member.http).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let request = format!("GET /v1/events{query} HTTP/1.0\r\nHost: localhost\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        stream
    }

    #[track_caller]
    fn open(member: &Member, query: &str, headers: &str) -> Self {
        let mut stream = BufReader::new(Stream::connect(member, query, headers));
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(stream.read_line(&mut head).unwrap() > 0, "{head}");
        }
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        assert!(
            head.contains("Content-Type: text/event-stream\r\n"),
            "{head}"
        );
        Stream(stream)
    }

    /// The next event.
    #[track_caller]
    fn next(&mut self) -> Value {
        loop {
            let mut line = String::new();
            assert!(self.0.read_line(&mut line).unwrap() > 0, "it has ended");
            if let Some(json) = line.strip_prefix("data: ") {
                return serde_json::from_str(json).unwrap();
            }
        }
    }

    /// The next event of this kind about the member of this name.
    #[track_caller]
    fn until(&mut self, kind: &str, name: &str) -> Value {
        loop {
            let event = self.next();
            if event["kind"] == kind && event["name"] == name {
                return event;
            }
        }
    }
}

/// The status of a request for events that is refused, and why.
fn refused(member: &Member, query: &str, headers: &str) -> (String, String) {
    let mut answer = String::new();
    let mut stream = Stream::connect(member, query, headers);
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).unwrap_or_default().to_owned();
    (status, answer)
}

#[test]
fn who_follows_sees_what_happens_and_goes_on_where_it_was() {
    let amber = Member::start(&["--name", "amber"]);
    let mut stream = Stream::open(&amber, "", "");
    let birch = Member::start(&["--name", "birch", "--peer", &amber.swim.to_string()]);
    let alive = stream.until("alive", "birch");
    assert_eq!(alive["address"], birch.swim.to_string());
    assert_eq!(alive["member"], birch.json("status")["id"]);
    assert!(alive.get("from").is_none(), "it was not known: {alive}");
    let applied = amber.ask(&["service", "add", "web.default", "--pkg", "a/b/1/2"]);
    assert!(applied.status.success(), "{applied:?}");
    let service = stream.until("service", "amber");
    assert_eq!(
        (&service["group"], &service["incarnation"]),
        (&"web.default".into(), &1.into())
    );
    drop(birch);
    let suspect = stream.until("suspect", "birch");
    assert_eq!(suspect["from"], "alive");
    assert!(
        suspect["text"]
            .as_str()
            .unwrap()
            .contains("alive -> suspect"),
        "{suspect}"
    );
    let confirmed = stream.until("confirmed", "birch");
    drop(stream);

    // Another one that has the suspicion is told only what came after it.
    let last = format!("Last-Event-ID: {}\r\n", suspect["id"].as_str().unwrap());
    let mut again = Stream::open(&amber, "?kind=suspect,confirmed", &last);
    assert_eq!(again.next(), confirmed);
    let mut since = Stream::open(&amber, "?since=10m&kind=alive,confirmed", "");
    assert_eq!(since.next(), alive);
    assert_eq!(since.next(), confirmed);
    let mut other = Stream::open(&amber, "", "Last-Event-ID: 1-1\r\n");
    assert_eq!(other.next()["kind"], "lost", "of another run");
    drop((again, since, other));
    until("nobody follows", || {
        let metrics = amber.talk("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
        metrics.contains("\nbutterfly_event_streams 0\n")
    });
}

#[test]
fn a_request_for_events_that_makes_no_sense_is_refused() {
    let amber = Member::start(&[]);
    for (query, headers, why) in [
        ("?sinc=1m", "", "has no parameter"),
        ("?since=yesterday", "", "like 500ms or 2m"),
        ("?since=-1", "", "like 500ms or 2m"),
        ("?kind=dead", "", "is none of the kinds alive, suspect"),
        ("?kind=", "", "is none of the kinds"),
        ("", "Last-Event-ID: nonsense\r\n", "no id of an event"),
    ] {
        let (status, answer) = refused(&amber, query, headers);
        assert_eq!(status, "400", "{query}: {answer}");
        assert!(answer.contains(why), "{query}: {answer}");
    }
    for header in ["Origin: http://evil.example", "Sec-Fetch-Site: cross-site"] {
        let (status, answer) = refused(&amber, "", &format!("{header}\r\n"));
        assert_eq!(status, "403", "{header}: {answer}");
    }
    let streams: Vec<_> = (0..16).map(|_| Stream::open(&amber, "", "")).collect();
    let (status, answer) = refused(&amber, "", "");
    assert_eq!(status, "503", "{answer}");
    assert!(answer.contains("too many follow the events"), "{answer}");
    drop(streams);
    until("there is room again", || {
        refused(&amber, "?kind=x", "").0 == "400"
    });
    Stream::open(&amber, "", "");
}

#[test]
fn a_reader_that_takes_nothing_is_cut_off_and_counted() {
    let amber = Member::start(&["--name", "amber"]);
    let mut stalled = Stream::open(&amber, "", "");
    let mut quick = Stream::open(&amber, "?kind=left", "");
    let mut client = TcpStream::connect(amber.http).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut answers = BufReader::new(client.try_clone().unwrap());
    let is_cut = || {
        let metrics = amber.talk("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
        metrics.contains("\nbutterfly_event_streams_cut_total 1\n")
    };
    // Each of them is an event; more of them than the system's buffers and the member's hold.
    let mut number = 0;
    until("the one that takes nothing is cut off", || {
        for _ in 0..500 {
            number += 1;
            let body = format!("a = {number}");
            let request = format!(
                "POST /v1/config?group=redis.default&incarnation=next HTTP/1.1\r\nHost: localhost\r\n\
                 Content-Type: application/octet-stream\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            client.write_all(request.as_bytes()).unwrap();
            let mut line = String::new();
            while !line.starts_with('{') {
                line.clear();
                assert!(answers.read_line(&mut line).unwrap() > 0);
            }
            assert!(!line.contains("error"), "{line}");
        }
        is_cut()
    });
    // What it had been sent it can read; then it ends.
    let mut rest = Vec::new();
    let _ = stalled.0.read_to_end(&mut rest);
    assert!(!rest.is_empty());
    assert!(amber.ask(&["leave"]).status.success());
    assert_eq!(quick.next()["kind"], "left", "others are told everything");
}

#[test]
fn the_command_follows_until_the_member_ends() {
    let (amber, birch) = pair();
    let gateway = amber.http.to_string();
    let follow = |args: &[&str]| {
        let mut command =
            program(&[&["events", "--since", "10m", "--http", &gateway], args].concat());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    let mut for_programs = follow(&["-o", "ndjson", "--kind", "alive,confirmed"]);
    let for_people = follow(&[]);
    let mut lines = BufReader::new(for_programs.stdout.take().unwrap()).lines();
    let mut next = || serde_json::from_str::<Value>(&lines.next().unwrap().unwrap()).unwrap();
    let event = next();
    assert_eq!(
        (&event["kind"], &event["name"]),
        (&"alive".into(), &"birch".into())
    );
    drop(birch);
    let event = next();
    assert_eq!(
        (&event["kind"], &event["name"]),
        (&"confirmed".into(), &"birch".into())
    );
    assert!(amber.ask(&["leave"]).status.success());
    for child in [for_programs, for_people] {
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("has ended"), "{said}");
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(
            text.is_empty() || text.contains("alive -> suspect"),
            "{text}"
        );
        assert!(
            text.is_empty() || text.contains("  left         this member has left\n"),
            "{text}"
        );
    }
    let output = butterfly(&["events", "--kind", "dead"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let output = butterfly(&["events", "--http", "127.0.0.1:1"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
}

#[test]
fn the_command_ends_with_who_reads_it_though_nothing_happens() {
    let (member, _other) = pair();
    let http = member.http.to_string();
    let mut command = program(&["events", "--since", "10m", "-o", "ndjson", "--http", &http])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut out = BufReader::new(command.stdout.take().unwrap());
    assert!(out.read_line(&mut line).unwrap() > 0);
    drop(out);
    let mut ended = None;
    until("it ends", || {
        ended = command.try_wait().unwrap();
        ended.is_some()
    });
    assert!(ended.unwrap().success());
}
