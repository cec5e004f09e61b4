//! Metrics and health, as monitoring asks for them.

use std::fs;

use serde_json::Value;

use crate::exposition::Scrape;
use crate::harness::{Member, butterfly, pair, until};

/// What is answered: its status and its body.
fn get(member: &Member, path: &str, headers: &str) -> (u16, String) {
    let answer = member.talk(&format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n"
    ));
    split(&answer)
}

fn split(answer: &str) -> (u16, String) {
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer");
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    (status.expect("a status"), body.to_owned())
}

#[track_caller]
fn scrape(member: &Member) -> Scrape {
    let (status, text) = get(member, "/metrics", "");
    assert_eq!(status, 200, "{text}");
    Scrape::read(&text).unwrap_or_else(|why| panic!("{why}:\n{text}"))
}

/// The names that are promised.
const NAMES: [&str; 29] = [
    "butterfly_build_info",
    "butterfly_datagrams_lost_total",
    "butterfly_detection_seconds",
    "butterfly_disk_writes_total",
    "butterfly_gossip_bytes_total",
    "butterfly_gossip_connections",
    "butterfly_handler_runs_total",
    "butterfly_id_conflicts_total",
    "butterfly_isolated",
    "butterfly_local_health",
    "butterfly_loop_lag_seconds",
    "butterfly_members",
    "butterfly_probe_rtt_seconds",
    "butterfly_probes_total",
    "butterfly_refutations_total",
    "butterfly_rejected_total",
    "butterfly_rumor_bytes",
    "butterfly_rumor_limit_bytes",
    "butterfly_rumors",
    "butterfly_rumors_hot",
    "butterfly_rumors_not_taken_total",
    "butterfly_swim_bytes_total",
    "butterfly_swim_messages_total",
    "butterfly_transitions_total",
    "process_cpu_seconds_total",
    "process_max_fds",
    "process_open_fds",
    "process_resident_memory_bytes",
    "process_start_time_seconds",
];

#[test]
fn metrics_say_what_happened_to_a_ring() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("data");
    let amber = Member::start(&["--name", "amber", "--data-dir", data_dir.to_str().unwrap()]);
    let peer = amber.swim.to_string();
    let alone = scrape(&amber);
    for name in NAMES {
        assert!(alone.0.contains_key(name), "no {name}");
    }
    let version = [("version", env!("CARGO_PKG_VERSION"))];
    assert_eq!(alone.value("butterfly_build_info", &version), 1.0);
    assert_eq!(
        alone.value("butterfly_members", &[("health", "alive")]),
        1.0
    );

    let birch = Member::start(&["--name", "birch", "--peer", &peer]);
    let cedar = Member::start(&["--name", "cedar", "--peer", &peer]);
    amber.wait("alive=3");
    let service = amber.ask(&["service", "add", "web.default", "--pkg", "a/b/1/2"]);
    assert!(service.status.success(), "{service:?}");
    until("rumors go out and probes are answered", || {
        let seen = scrape(&amber);
        seen.value("butterfly_probes_total", &[("result", "answered")]) > 1.0
            && seen.value("butterfly_probe_rtt_seconds_count", &[]) > 1.0
            && seen.value("butterfly_gossip_bytes_total", &[("direction", "sent")]) > 0.0
    });
    let three = scrape(&amber);
    assert_eq!(three.series(), alone.series(), "none for each member");
    assert_eq!(
        three.value("butterfly_members", &[("health", "alive")]),
        3.0
    );
    assert_eq!(three.value("butterfly_rumors", &[("kind", "service")]), 1.0);
    let learned = [("from", "unknown"), ("to", "alive")];
    assert_eq!(three.value("butterfly_transitions_total", &learned), 2.0);
    let pings = [("direction", "received"), ("type", "ping")];
    assert!(three.value("butterfly_swim_messages_total", &pings) > 0.0);

    drop(birch);
    until("birch is confirmed", || {
        amber.row("birch")["health"] == "confirmed"
    });
    let died = [("from", "suspect"), ("to", "confirmed")];
    // What is scraped is up to a quarter of a second old.
    until("that is counted", || {
        scrape(&amber).value("butterfly_transitions_total", &died) > 0.0
    });
    let dead = scrape(&amber);
    assert_eq!(dead.value("butterfly_transitions_total", &died), 1.0);
    assert_eq!(dead.value("butterfly_detection_seconds_count", &[]), 1.0);
    let took = dead.value("butterfly_detection_seconds_sum", &[]);
    assert!(took > 0.0 && took < 20.0, "{took}");
    drop(cedar);
}

#[test]
fn a_member_that_knows_its_ring_is_ready() {
    let (amber, _birch) = pair();
    for (path, status) in [
        ("/healthz", 200),
        ("/readyz", 200),
        ("/readyz?alive=2", 200),
        ("/readyz?alive=3", 503),
        ("/readyz?alive=two", 400),
        ("/readyz?members=2", 400),
        ("/healthz?alive=2", 400),
        ("/metrics?name=x", 400),
    ] {
        let (answered, text) = get(&amber, path, "");
        assert_eq!(answered, status, "{path}: {text}");
    }
    let (_, text) = get(&amber, "/readyz?alive=3", "");
    assert!(text.contains("2 of 3 members are alive"), "{text}");
    // The first of a ring is one; one whose peer does not answer has none.
    assert_eq!(get(&Member::start(&[]), "/readyz", "").0, 200);
    let lost = Member::start(&["--peer", "127.0.0.1:1"]);
    let (status, text) = get(&lost, "/readyz", "");
    assert_eq!(
        (status, text.contains("it is alone")),
        (503, true),
        "{text}"
    );
    assert_eq!(get(&lost, "/healthz", "").0, 200);
}

#[test]
fn anybody_may_ask_the_listener_for_metrics_and_for_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("token");
    fs::write(&token, "open-sesame-0123").unwrap();
    let token = token.to_str().unwrap();
    let mut amber = Member::start(&["--http-token-file", token, "--metrics", "127.0.0.1:0"]);
    assert_eq!(get(&amber, "/metrics", "").0, 401);
    let all = "Authorization: Bearer open-sesame-0123\r\n";
    assert_eq!(get(&amber, "/metrics", all).0, 200);

    amber.says("its metrics are at http://127.0.0.1:");
    let log = amber.log();
    let at = log.split("its metrics are at http://").nth(1).unwrap();
    amber.http = at.split('/').next().unwrap().parse().unwrap();
    let ask = |method: &str, path: &str| {
        split(&amber.talk(&format!(
            "{method} {path} HTTP/1.1\r\nHost: prometheus.example\r\nConnection: close\r\n\r\n"
        )))
    };
    let (status, text) = ask("GET", "/metrics");
    assert_eq!(status, 200);
    Scrape::read(&text).unwrap();
    assert_eq!(ask("GET", "/healthz").0, 200);
    assert_eq!(ask("GET", "/readyz").0, 200);
    assert_eq!(ask("HEAD", "/metrics"), (200, String::new()));
    for path in ["/", "/status", "/members", "/butterfly", "/rumors", "/x"] {
        let (status, text) = ask("GET", path);
        assert_eq!(status, 404, "{path}");
        assert!(text.contains("/healthz and /readyz are all"), "{text}");
    }
    for path in ["/leave", "/metrics", "/block"] {
        let post = format!(
            "POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n\
             Content-Length: 2\r\nConnection: close\r\n{all}\r\n{{}}"
        );
        let (status, text) = split(&amber.talk(&post));
        assert!(matches!(status, 404 | 405), "{path}: {status} {text}");
    }
}

#[test]
fn a_token_for_reading_reads() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (full, read) = (
        file("full", "open-sesame-0123"),
        file("read", "look-0123456789ab"),
    );
    let amber = Member::start(&["--http-token-file", &full, "--http-read-token-file", &read]);
    let with = |token: &str, command: &[&str]| {
        let output = amber.ask(&[command, &["--http-token-file", token]].concat());
        (
            output.status.code(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    assert_eq!(with(&read, &["members"]).0, Some(0));
    let (code, said) = with(&read, &["leave"]);
    assert_eq!(code, Some(1));
    assert!(said.contains("that token is for reading"), "{said}");
    assert_eq!(with(&full, &["status"]).0, Some(0));

    let same = file("same", "open-sesame-0123\n");
    for (files, code) in [
        (&["--http-read-token-file", &read][..], 2),
        (
            &["--http-token-file", &full, "--http-read-token-file", &same],
            2,
        ),
    ] {
        let start = ["run", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"];
        let output = butterfly(&[&start, files].concat());
        assert_eq!(output.status.code(), Some(code), "{output:?}");
    }
}

/// The words in a query that look like names of series, or of their labels.
fn names_in(query: &str) -> impl Iterator<Item = &str> {
    let words = query.split(|char: char| !char.is_ascii_alphanumeric() && char != '_');
    words.filter(|word| word.starts_with("butterfly_") || word.starts_with("process_"))
}

/// All values of this key, however deep.
fn values<'v>(json: &'v Value, key: &str, found: &mut Vec<&'v Value>) {
    match json {
        Value::Array(rows) => rows.iter().for_each(|row| values(row, key, found)),
        Value::Object(fields) => {
            for (name, value) in fields {
                if name == key {
                    found.push(value);
                }
                values(value, key, found);
            }
        }
        _ => {}
    }
}

#[test]
fn the_dashboard_asks_for_series_that_there_are() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/grafana.json");
    let dashboard: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let amber = Member::start(&["--data-dir", dir.path().join("data").to_str().unwrap()]);
    let scrape = scrape(&amber);
    let series: Vec<_> = scrape.samples().map(|(name, ..)| name.as_str()).collect();
    let labels: Vec<_> = scrape
        .samples()
        .flat_map(|(_, labels, _)| labels.keys())
        .collect();
    let mut queries = Vec::new();
    values(&dashboard, "expr", &mut queries);
    assert!(queries.len() > 8, "{queries:?}");
    for query in queries {
        let query = query.as_str().unwrap();
        let names: Vec<_> = names_in(query).collect();
        assert!(!names.is_empty(), "{query}");
        for name in names {
            assert!(series.contains(&name), "{query}: there is no {name}");
        }
        // Prometheus adds where a series comes from.
        for by in query.split("by (").skip(1) {
            let (by, _) = by.split_once(')').unwrap();
            for label in by.split(", ").filter(|label| *label != "instance") {
                assert!(
                    labels.iter().any(|known| *known == label),
                    "{query}: {label}"
                );
            }
        }
    }
}
