//! What a member is told by a file and by its environment.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::harness::{Member, assert_exit, butterfly, generate_key, program, said, until};

/// A member of this file, with ports that the system chooses.
fn start(config: &Path) -> Member {
    let mut command = program(&["run", "--config", config.to_str().unwrap()]);
    command.env("BUTTERFLY_HTTP", "127.0.0.1:0");
    Member::spawn_logged(command)
}

fn written(dir: &Path, text: &str) -> PathBuf {
    let path = dir.join("butterfly.toml");
    fs::write(&path, text).unwrap();
    path
}

const AMBER: &str = "listen = \"127.0.0.1:0\"\ntiming = \"local\"\nname = \"amber\"\n";

#[test]
fn a_member_runs_from_a_file_and_the_environment() {
    let dir = tempfile::tempdir().unwrap();
    let birch = Member::start(&["--name", "birch"]);
    let config = written(dir.path(), &format!("{AMBER}peer = [\"{}\"]\n", birch.swim));
    let amber = start(&config);
    amber.wait("alive=2");
    assert_eq!(amber.json("status")["name"], "amber");
}

#[test]
fn a_hangup_takes_in_peers_keys_and_the_level_and_tells_of_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let key = generate_key(dir.path());
    let key = key.to_str().unwrap();
    let config = written(dir.path(), &format!("{AMBER}ring-key = [\"{key}\"]\n"));
    let (amber, birch) = (start(&config), Member::start(&["--ring-key", key]));

    let sealed = format!("ring-key = [\"{key}\"]\n");
    let peers = format!(
        "peer = [\"{}\", \"0.0.0.0:9\"]\nlog = \"debug\"\n",
        birch.swim
    );
    written(dir.path(), &format!("{AMBER}{sealed}{peers}"));
    amber.signal("HUP");
    amber.wait("alive=2");
    amber.says(&format!("peer {} is new among the settings", birch.swim));
    amber.says("peer 0.0.0.0:9 is new among the settings, and is not asked: ");
    amber.says("it logs from level debug on");

    // A broken file changes nothing.
    written(dir.path(), "naem = \"x\"");
    amber.signal("HUP");
    amber.says("the old settings and ring keys stay: ");
    amber.says("unknown key \"naem\": did you mean \"name\"?");

    let late = AMBER.replace("amber", "aspen").replace("local", "wan");
    written(dir.path(), &late);
    amber.signal("HUP");
    amber.says("what changed of name, timing counts from the next start on");
    amber.says("no ring key is among the settings any more");
    amber.says("is no more among the settings: it is asked no more");
    amber.says("it logs from level info on");
    assert_eq!(amber.json("status")["sealed"], true);
    assert_eq!(amber.json("status")["name"], "amber");
    assert_eq!(amber.json("status")["seeds"].as_array().unwrap().len(), 0);
    // What is in effect is told, and what is not yet.
    let told = amber.get("/v1/settings");
    for line in [
        "name = \"amber\" ",
        "timing = \"local\" ",
        "# peer: not set",
        "# read since, and counts from the next start on: name, timing\n",
    ] {
        assert!(told.contains(line), "{line} is not in {told}");
    }
    amber.signal("HUP");
    amber.says("settings read again: they are as before");

    // Nor does one that no member could start with.
    written(dir.path(), &format!("{AMBER}advertise = \"nonsense\""));
    amber.signal("HUP");
    amber.says("line 4: advertise nonsense: not an address");

    // What is as at the start again does not wait for the next one.
    written(dir.path(), &format!("{AMBER}log = \"trace\""));
    amber.signal("HUP");
    amber.says("it logs from level trace on");
    let count = |log: &str| log.matches("counts from the next start on").count();
    assert_eq!(count(&amber.log()), 1, "{}", amber.log());
}

#[test]
fn the_peers_of_a_file_come_and_go_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("peers");
    let file = path.to_str().unwrap();
    let (birch, cedar) = (Member::start(&[]), Member::start(&[]));
    let amber = Member::start(&["--peer-file", file, "--peer", "127.0.0.1:1"]);
    amber.says(&format!("cannot read the peers in {file}: No such file"));
    let bad = "[::1]:1\n0.0.0.0:9\n".to_owned() + &"web\n".repeat(7);
    let list = format!("# first\n{}\n127.0.0.1:1\n{bad}", birch.swim);
    fs::write(&path, list).unwrap();
    amber.wait("alive=2");
    amber.says(&format!("no peer in {file}, line 6: web: not a peer"));
    amber.says(&format!("2 more lines of {file} are no peers"));
    amber.says(&format!("out of reach, of {file}: peer [::1]:1 is IPv6"));
    amber.says(&format!("peer 0.0.0.0:9 of {file} is not asked: "));
    fs::write(&path, format!("{}\n", cedar.swim)).unwrap();
    amber.wait("alive=3");
    // Who is given by hand, too, stays.
    let asked = ["127.0.0.1:1".to_owned(), cedar.swim.to_string()];
    until("the first of them is gone", || {
        amber.json("status")["seeds"] == serde_json::json!(asked)
    });
}

#[test]
fn the_level_of_the_log_is_a_setting() {
    let amber = Member::start(&["--log", "error"]);
    let birch = Member::start(&["--peer", &amber.swim.to_string()]);
    amber.wait("alive=2");
    birch.says("alive");
    assert_eq!(amber.log(), "");
}

#[test]
fn settings_that_make_no_sense_end_it_with_code_2() {
    let dir = tempfile::tempdir().unwrap();
    let config = written(dir.path(), "\nlisten-to = \"127.0.0.1:0\"");
    let output = butterfly(&["run", "--config", config.to_str().unwrap()]);
    assert_exit(&output, 2);
    let line = format!(
        "butterfly: {}, line 2: unknown key \"listen-to\": did you mean \"listen\"?\n",
        config.display()
    );
    assert_eq!(said(&output), line);

    let mut run = program(&["run", "--http", "none"]);
    run.env("BUTTERFLY_LISTEN", "nonsense");
    let output = run.output().unwrap();
    assert_exit(&output, 2);
    assert!(
        said(&output).contains("BUTTERFLY_LISTEN nonsense: not an address"),
        "{output:?}"
    );
    assert_exit(
        &butterfly(&["run", "--config", "/nowhere/butterfly.toml"]),
        1,
    );
}

#[test]
fn printing_the_settings_starts_nothing() {
    let mut print = program(&[
        "run",
        "--print-config",
        "--ring-key",
        "/nowhere/ring.sym.key",
    ]);
    let output = print.env("BUTTERFLY_LISTN", "x").output().unwrap();
    // What is wrong with them is said, too.
    assert_exit(&output, 1);
    assert!(said(&output).contains("cannot read the ring key /nowhere/ring.sym.key"));
    let text = String::from_utf8(output.stdout).unwrap();
    // With a key it is open to others.
    for line in [
        "listen = \"0.0.0.0:9638\"                  # default",
        "ring-key = [\"/nowhere/ring.sym.key\"]     # --ring-key",
        "http = \"127.0.0.1:9631\"                  # default",
        "log = \"info\"                             # default",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    let text = butterfly(&["run", "--print-config"]).stdout;
    assert!(text.starts_with(b"# The settings of"), "{text:?}");
    assert!(
        String::from_utf8(text)
            .unwrap()
            .contains("listen = \"127.0.0.1:9638\" ")
    );
}

#[test]
fn a_misspelt_variable_is_warned_of() {
    let mut run = program(&["run", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"]);
    run.env("BUTTERFLY_NAMES", "x").env("BUTTERFLY_PEERS", "x");
    let amber = Member::spawn_logged(run);
    amber.says("BUTTERFLY_NAMES is set, and is no setting: did you mean BUTTERFLY_NAME?");
    amber.says("BUTTERFLY_PEERS is set, and is no setting: did you mean --peer, which no variable can give?");
}

#[test]
fn a_gateway_can_be_a_socket_that_the_environment_names_for_all_commands() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("http");
    let at = format!("unix:{}", socket.display());
    let with = |args: &[&str]| {
        let mut command = program(args);
        command.env("BUTTERFLY_HTTP", &at);
        command
    };
    let run = [
        "run",
        "--listen",
        "127.0.0.1:0",
        "--timing",
        "local",
        "--name",
        "amber",
    ];
    let mut child = with(&run).stdout(Stdio::piped()).spawn().unwrap();
    let ask = |args: &[&str]| with(args).output().unwrap();
    assert_exit(&ask(&["status", "--wait", "alive=1"]), 0);
    let mode = fs::metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let members = String::from_utf8(ask(&["members"]).stdout).unwrap();
    assert!(members.contains("amber"), "{members}");
    let body = dir.path().join("body");
    fs::write(&body, vec![b'x'; 100_000]).unwrap();
    let body = body.to_str().unwrap();
    assert_exit(&ask(&["file", "upload", "redis.default", body]), 0);
    let got = ask(&["file", "get", "redis.default", "body"]);
    assert_eq!(got.stdout, fs::read(body).unwrap());
    // Another one at the same place is refused, and takes nothing away.
    let second = ask(&run);
    assert_exit(&second, 1);
    assert!(
        said(&second).contains(&format!("cannot open the gateway on {at}")),
        "{second:?}"
    );
    // The command line counts more.
    assert_exit(&ask(&["members", "--http", "127.0.0.1:1"]), 1);
    assert_exit(&ask(&["leave"]), 0);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(!socket.exists());
    let gone = ask(&["members"]);
    assert_exit(&gone, 1);
    assert!(
        said(&gone).contains(&format!("no member answers at {at}")),
        "{gone:?}"
    );
}

#[test]
fn a_gateway_is_found_by_the_url_that_run_logs_and_by_a_name() {
    let amber = Member::start_with(&["run", "--listen", "127.0.0.1:0", "--http", "localhost:0"]);
    amber.says(&format!("its gateway is http://{}", amber.http));
    let url = format!("http://{}", amber.http);
    let name = format!("localhost:{}", amber.http.port());
    for at in [&url, &name] {
        assert_exit(&butterfly(&["members", "--http", at]), 0);
    }
    let mut token = program(&["members", "--http", &url]);
    token.env("BUTTERFLY_HTTP_TOKEN_FILE", "/nowhere/token");
    let output = token.output().unwrap();
    assert_exit(&output, 1);
    assert!(said(&output).contains("/nowhere/token"), "{output:?}");
}

#[test]
fn a_member_opens_no_gateway_at_another_machines_address() {
    let mut run = program(&["run", "--listen", "127.0.0.1:0"]);
    run.env("BUTTERFLY_HTTP", "http://192.0.2.1:9631");
    let output = run.output().unwrap();
    assert_exit(&output, 2);
    let error = said(&output);
    assert!(
        error.contains("BUTTERFLY_HTTP http://192.0.2.1:9631: that is no address of this machine"),
        "{error}"
    );
}
