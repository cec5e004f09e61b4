//! What a member is told by a file and by its environment.

use std::fs;
use std::path::{Path, PathBuf};

use crate::harness::{Member, assert_exit, butterfly, generate_key, program, said};

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
    amber.says("is no more among the settings");
    amber.says("it logs from level info on");
    assert_eq!(amber.json("status")["sealed"], true);
    assert_eq!(amber.json("status")["name"], "amber");
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
    assert_exit(&output, 0);
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
    run.env("BUTTERFLY_NAMES", "x");
    let amber = Member::spawn_logged(run);
    amber.says("BUTTERFLY_NAMES is set, and is no setting: did you mean BUTTERFLY_NAME?");
}
