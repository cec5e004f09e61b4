//! Runs the real program on loopback, with ports that the system chooses; what a test starts dies with it.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::NamedTempFile;

/// Far more than anything here takes, also on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The program with these arguments, not started.
pub fn program(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_butterfly"));
    command.args(args).stdin(Stdio::null());
    without_settings(&mut command);
    command
}

fn without_settings(command: &mut Command) {
    for variable in [
        "RUST_LOG",
        "NO_COLOR",
        "TRACE_SWIM",
        "BUTTERFLY_CONFIG",
        "BUTTERFLY_HTTP",
        "BUTTERFLY_HTTP_TOKEN_FILE",
    ] {
        command.env_remove(variable);
    }
}

/// The program with these arguments, until it ends.
pub fn butterfly(args: &[&str]) -> Output {
    program(args).output().expect("the program can be run")
}

/// Its exit code, with what it said where that is wrong.
#[track_caller]
pub fn assert_exit(output: &Output, code: i32) {
    assert_eq!(output.status.code(), Some(code), "{output:?}");
}

/// What it said on standard error.
pub fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A new ring key's file in this directory.
#[track_caller]
pub fn generate_key(dir: &Path) -> PathBuf {
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

/// Waits until it is so.
#[track_caller]
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "never: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Two members that see each other.
pub fn pair() -> (Member, Member) {
    let amber = Member::start(&["--name", "amber"]);
    let birch = Member::start(&["--name", "birch", "--peer", &amber.swim.to_string()]);
    amber.wait("alive=2");
    birch.wait("alive=2");
    (amber, birch)
}

/// A running member.
pub struct Member {
    child: Child,
    log: NamedTempFile,
    pub swim: SocketAddr,
    pub http: SocketAddr,
}

impl Member {
    const LOCAL: [&str; 7] = [
        "run",
        "--listen",
        "127.0.0.1:0",
        "--http",
        "127.0.0.1:0",
        "--timing",
        "local",
    ];

    /// One of the local timing, with these arguments on top.
    #[track_caller]
    pub fn start(args: &[&str]) -> Self {
        Member::start_with(&[&Member::LOCAL, args].concat())
    }

    /// The same, whose log goes elsewhere than into [`log`](Member::log).
    #[track_caller]
    pub fn start_logging_to(log: Stdio, args: &[&str]) -> Self {
        let mut command = program(&[&Member::LOCAL, args].concat());
        command.stderr(log);
        Member::spawn(command, NamedTempFile::new().unwrap())
    }

    /// One with exactly these arguments, a gateway among them.
    #[track_caller]
    pub fn start_with(args: &[&str]) -> Self {
        Member::spawn_logged(program(args))
    }

    /// One of the local timing after this line of a shell, such as `ulimit -n 64`.
    #[track_caller]
    pub fn start_after(line: &str, args: &[&str]) -> Self {
        let mut command = Command::new("sh");
        let program = env!("CARGO_BIN_EXE_butterfly");
        command.args(["-c", &format!("{line}; exec \"$0\" \"$@\""), program]);
        command.args(Member::LOCAL).args(args).stdin(Stdio::null());
        without_settings(&mut command);
        Member::spawn_logged(command)
    }

    /// One of this command, which says where it and its gateway are.
    #[track_caller]
    pub fn spawn_logged(mut command: Command) -> Self {
        let log = NamedTempFile::new().unwrap();
        command.stderr(log.reopen().unwrap());
        Member::spawn(command, log)
    }

    #[track_caller]
    fn spawn(mut command: Command, log: NamedTempFile) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut addr = |what: &str| {
            let line = lines.next().and_then(Result::ok).unwrap_or_default();
            let addr = line
                .strip_prefix(what)
                .and_then(|addr| addr.trim().parse().ok());
            addr.unwrap_or_else(|| panic!("{line:?} is no {what} address: {}", read(&log)))
        };
        let (swim, http) = (addr("swim "), addr("http "));
        Member {
            child,
            log,
            swim,
            http,
        }
    }

    /// Asks it by a command of the program.
    pub fn ask(&self, args: &[&str]) -> Output {
        let gateway = self.http.to_string();
        butterfly(&[args, &["--http", &gateway]].concat())
    }

    /// Asks it and reads the JSON that it answers.
    #[track_caller]
    pub fn json(&self, command: &str) -> Value {
        let output = self.ask(&[command, "-o", "json"]);
        assert_exit(&output, 0);
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// What its gateway has there.
    #[track_caller]
    pub fn get(&self, path: &str) -> String {
        let answer = self.talk(&format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n"));
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 "), "{path}: {answer}");
        body.to_owned()
    }

    /// Waits for `alive=N` or `members=N`.
    #[track_caller]
    pub fn wait(&self, condition: &str) {
        let output = self.ask(&["status", "--wait", condition, "--timeout", "20"]);
        assert_eq!(output.status.code(), Some(0), "{output:?}\n{}", self.log());
    }

    /// The row of the member of this name, as this one sees it; null: it does not know it.
    pub fn row(&self, name: &str) -> Value {
        let rows = self.json("members");
        let found = rows
            .as_array()
            .unwrap()
            .iter()
            .find(|row| row["name"] == name);
        found.cloned().unwrap_or(Value::Null)
    }

    /// The rumors that it holds, but for the tags that every member has.
    #[track_caller]
    pub fn rumors_of_users(&self) -> Vec<Value> {
        let rows = self.json("rumors");
        let rows = rows.as_array().unwrap().iter();
        rows.filter(|row| row["kind"] != "tags").cloned().collect()
    }

    /// What it said so far.
    pub fn log(&self) -> String {
        read(&self.log)
    }

    /// What Linux says of its process in this file of `/proc`.
    #[cfg(target_os = "linux")]
    pub fn proc(&self, file: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{file}", self.child.id())).unwrap()
    }

    /// Waits until its log says this: it is written by another thread than what it tells.
    #[track_caller]
    pub fn says(&self, part: &str) {
        let end = Instant::now() + PATIENCE;
        while !self.log().contains(part) {
            assert!(
                Instant::now() < end,
                "it never says {part:?}: {}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        assert!(
            Command::new("sh")
                .args(["-c", &kill])
                .status()
                .unwrap()
                .success()
        );
    }

    /// Waits for its end; returns its exit code.
    #[track_caller]
    pub fn end(&mut self) -> Option<i32> {
        let mut status = None;
        until("the program ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.and_then(|status| status.code())
    }

    /// Sends these bytes to its gateway, and says that no more come; returns all it answers until it closes.
    pub fn talk(&self, bytes: &str) -> String {
        let mut stream = TcpStream::connect(self.http).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(bytes.as_bytes()).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read(log: &NamedTempFile) -> String {
    fs::read_to_string(log.path()).unwrap()
}
