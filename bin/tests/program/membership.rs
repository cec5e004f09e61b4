//! Members find each other, lose each other and part; `members` and `status` say so.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Output, Stdio};

use serde_json::Value;

use crate::harness::{Member, assert_exit, butterfly, pair, program, said, until};

#[test]
fn two_members_see_each_other_until_one_leaves() {
    let (amber, mut birch) = pair();
    let output = birch.ask(&["leave"]);
    assert_exit(&output, 0);
    assert!(output.stdout.is_empty(), "{output:?}");
    assert_eq!(birch.end(), Some(0));
    amber.wait("members=1");
    assert_eq!(amber.row("birch")["health"], "departed");
    amber.says("birch (");
    amber.says("alive -> departed, incarnation");
}

/// All members may be given the same list of peers, themselves among them.
#[test]
fn who_is_told_to_ask_itself_too_does_not_warn() {
    let amber = Member::start(&["--name", "amber"]);
    let birch = Member::start(&["--name", "birch"]);
    let list = [&amber, &birch].map(|member| member.swim.to_string());
    for member in [&amber, &birch] {
        assert_exit(&member.ask(&["join", &list[0], &list[1]]), 0);
    }
    for member in [&amber, &birch] {
        member.wait("alive=2");
        until("it heard itself", || {
            member.json("status")["counters"]["rejected_own_id"].as_u64() >= Some(1)
        });
    }
    for member in [&amber, &birch] {
        assert_exit(&member.ask(&["leave"]), 0);
        // Its last line is in the log, so all are.
        member.says(": left");
        let log = member.log();
        // A machine that is busy with other tests is none of its business.
        let mut warnings = log.lines().filter(|line| line.contains("WARN"));
        assert!(warnings.all(|line| line.contains("was late by")), "{log}");
    }
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
        "tags",
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
    let (peer, nobody) = (amber.swim.to_string(), "127.0.0.1:1");
    let own = birch.swim.to_string();
    let output = birch.ask(&["join", &peer, &own, nobody, "--timeout", "3"]);
    assert_exit(&output, 0);
    let (summary, lines) = (printed(&output), said(&output));
    for line in [
        format!("{peer} answered: amber ("),
        format!("{nobody} did not answer within 3s"),
    ] {
        assert!(lines.contains(&line), "{lines}");
    }
    assert!(summary.starts_with("1 of 3 peers answered; 2 members living as"));
    assert_eq!(birch.json("status")["seeds"][0], peer);
    assert_exit(&birch.ask(&["join", "nonsense"]), 2);

    let alone = birch.ask(&["join", nobody, "--timeout", "0.2"]);
    assert_exit(&alone, 1);
    assert!(said(&alone).contains("nobody answered"), "{alone:?}");
    let itself = birch.ask(&["join", &own, "--timeout", "1"]);
    assert_exit(&itself, 1);
    assert!(
        said(&itself).contains("nobody else was asked"),
        "{itself:?}"
    );
    assert_exit(&birch.ask(&["unjoin", nobody]), 0);
    let again = birch.ask(&["unjoin", nobody]);
    assert_exit(&again, 1);
    assert!(said(&again).contains("127.0.0.1:1 is none of the peers"));
    // An answer of before is none to the question of now.
    let mut amber = amber;
    amber.signal("KILL");
    amber.end();
    let gone = birch.ask(&["join", &peer, "--timeout", "0.2"]);
    assert_exit(&gone, 1);
}

#[test]
fn a_name_that_leads_nowhere_is_told_with_the_reason() {
    let amber = Member::start(&[]);
    let output = amber.ask(&["join", "nowhere.invalid:9638", "--timeout", "1"]);
    assert_exit(&output, 1);
    let lines = said(&output);
    let told = "nowhere.invalid:9638 did not answer within 1s: ";
    assert!(lines.contains(told), "{lines}");
    assert!(
        lines.contains("nobody was found: is the name right?"),
        "{lines}"
    );
}

/// What it printed on standard output.
fn printed(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn a_member_says_that_no_peer_answers() {
    let amber = Member::start(&["--peer", "127.0.0.1:1", "--peer", "[::1]:1"]);
    until("it says which peer it cannot reach", || {
        amber
            .log()
            .contains("peer [::1]:1 is IPv6 and cannot be reached from 127.0.0.1")
    });
    until("it says that it is alone", || {
        amber
            .log()
            .contains("alone: no peer has answered for 5 s (asked: 127.0.0.1:1, [::1]:1)")
    });
    assert_exit(&amber.ask(&["join", "[::1]:2"]), 1);
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
    for part in [
        "alive -> suspect",
        "suspect -> confirmed",
        "its system says that nobody listens at its port",
    ] {
        amber.says(part);
    }
    assert_eq!(amber.json("status")["members"]["confirmed"], 1);
    let list = printed(&amber.ask(&["members"]));
    let why = "gone: nobody listens at its port";
    let row = list.lines().find(|line| line.contains("birch"));
    assert!(row.is_some_and(|row| row.contains(why)), "{list}");
}

#[test]
fn members_are_watched_and_printed_when_they_change() {
    let amber = Member::start(&["--name", "amber"]);
    let http = amber.http.to_string();
    let watch = |format: &str| {
        let args = ["members", "--watch", "-o", format, "--http", &http];
        let mut command = program(&args);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        (child, lines.map(Result::unwrap))
    };
    let (mut for_people, mut tables) = watch("table");
    let (mut for_programs, mut rows) = watch("ndjson");
    assert!(tables.any(|line| line.contains("1 known: 1 alive")));
    assert!(rows.next().unwrap().contains("\"amber\""));
    let birch = Member::start(&["--name", "birch", "--peer", &amber.swim.to_string()]);
    birch.wait("alive=2");
    assert!(tables.any(|line| line.contains("2 known: 2 alive")));
    assert!(rows.any(|line| line.contains("\"birch\"")));
    for child in [&mut for_people, &mut for_programs] {
        child.kill().unwrap();
        child.wait().unwrap();
    }
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
fn members_of_rings_of_other_names_say_so_and_stay_apart() {
    let amber = Member::start(&["--name", "amber", "--ring", "production"]);
    let to = amber.swim.to_string();
    let birch = Member::start(&["--name", "birch", "--ring", "staging", "--peer", &to]);
    let cedar = Member::start(&["--name", "cedar", "--peer", &to]);
    let dune = Member::start(&["--name", "dune", "--ring", "production", "--peer", &to]);
    amber.wait("alive=2");
    dune.wait("alive=2");
    birch.says("belongs to ring \"production\", and this one to ring \"staging\"");
    amber.says("belongs to ring \"staging\", and this one to ring \"production\"");
    cedar.says("belongs to ring \"production\", and this one to a ring without a name");
    amber.says("belongs to a ring without a name, and this one to ring \"production\"");
    for alone in [&birch, &cedar] {
        assert_eq!(alone.json("members").as_array().unwrap().len(), 1);
    }
    assert_eq!(amber.json("members").as_array().unwrap().len(), 2);
    assert_eq!(amber.json("status")["ring"], "production");
    assert_eq!(cedar.json("status")["ring"], serde_json::Value::Null);
    let table = amber.ask(&["status"]);
    assert!(String::from_utf8_lossy(&table.stdout).contains("production"));
    // Whoever only looks may look into any ring.
    assert_exit(&butterfly(&["ping", &to, "-c", "1"]), 0);
    assert_exit(
        &butterfly(&["run", "--listen", "127.0.0.1:0", "--ring", &"x".repeat(33)]),
        2,
    );
}

#[test]
fn lists_are_of_those_that_are_asked_for_in_the_form_that_is_asked_for() {
    let (amber, birch) = pair();
    let list = |words: &[&str]| {
        let output = amber.ask(&[&["members"], words].concat());
        assert_exit(&output, 0);
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(list(&["-o", "name", "--name", "b*"]), "birch\n");
    assert_eq!(list(&["-o", "name", "birch"]), "birch\n");
    assert_eq!(list(&["-o", "name", "--health", "suspect,confirmed"]), "");
    let row: serde_json::Value = serde_json::from_str(&list(&["-o", "ndjson", "amber"])).unwrap();
    assert_eq!(
        (&row["name"], &row["self"]),
        (&"amber".into(), &true.into())
    );
    let id = row["id"].as_str().unwrap();
    assert!(list(&["-o", "wide"]).contains(id) && !list(&[]).contains(id));
    assert_eq!(list(&["-o", "name", &id[..12]]), "amber\n");
    let rows: serde_json::Value =
        serde_json::from_str(&list(&["--json", "--health", "alive"])).unwrap();
    assert_eq!(rows.as_array().unwrap().len(), 2);
    let output = amber.ask(&["members", "cedar"]);
    assert_exit(&output, 1);
    assert!(
        said(&output).contains("no member has the name"),
        "{output:?}"
    );
    assert_exit(&amber.ask(&["members", "--health", "dead"]), 2);

    for member in [&amber, &birch] {
        let pkg = ["--pkg", "acme/redis/7.2.1/20260101000000"];
        assert_exit(
            &member.ask(&[&["service", "add", "redis.default"], &pkg[..]].concat()),
            0,
        );
    }
    let services = |words: &[&str]| {
        let output = amber.ask(&[&["service", "list"], words].concat());
        assert_exit(&output, 0);
        String::from_utf8(output.stdout).unwrap()
    };
    until("both services are known", || {
        services(&["-o", "name"]).lines().count() == 2
    });
    let table = services(&["--alive"]);
    assert!(
        table.contains("birch (") && table.contains("  127.0.0.1  alive  "),
        "{table}"
    );
    drop(birch);
    until("one of them is alive", || {
        services(&["--alive", "-o", "name"]) == "amber\n"
    });
    until("the other is dead", || {
        services(&["--health", "confirmed", "-o", "name"]) == "birch\n"
    });
    let row: serde_json::Value =
        serde_json::from_str(&services(&["-o", "ndjson", "birch"])).unwrap();
    assert_eq!(
        (&row["name"], &row["health"]),
        (&"birch".into(), &"confirmed".into())
    );
}
