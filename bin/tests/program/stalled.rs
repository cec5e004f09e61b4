//! A member whose log nobody reads.

use std::io::{PipeReader, PipeWriter, Write, pipe};
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

use crate::harness::{Member, program, said, until};

/// A pipe that takes not one byte more. Whoever writes to it waits until somebody reads.
fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = pipe().unwrap();
    let blocking = fcntl_getfl(&writer).unwrap();
    fcntl_setfl(&writer, blocking | OFlags::NONBLOCK).unwrap();
    for chunk in [4_096, 1] {
        while writer.write(&vec![b'.'; chunk]).is_ok() {}
    }
    fcntl_setfl(&writer, blocking).unwrap();
    (reader, writer)
}

#[test]
fn a_member_whose_log_nobody_reads_lives_on_and_leaves_when_told_to() {
    let amber = Member::start(&["--name", "amber"]);
    let (reader, writer) = full_pipe();
    let peer = amber.swim.to_string();
    let args = ["--name", "birch", "--peer", &peer];
    let mut birch = Member::start_logging_to(writer.into(), &args);
    amber.wait("alive=2");
    birch.wait("alive=2");
    birch.signal("TERM");
    assert_eq!(birch.end(), Some(0));
    until("amber knows", || amber.row("birch")["health"] == "departed");
    drop(reader);
}

#[test]
fn a_member_that_fails_to_start_ends_though_nobody_reads_why() {
    let (reader, writer) = full_pipe();
    let args = ["run", "--listen", "192.0.2.1:0", "--http", "none"];
    let mut child = program(&args)
        .stdout(Stdio::null())
        .stderr(writer)
        .spawn()
        .unwrap();
    let mut status = None;
    until("it ends", || {
        status = child.try_wait().unwrap();
        status.is_some()
    });
    assert_eq!(status.unwrap().code(), Some(1));
    drop(reader);
}

#[test]
fn a_member_whose_output_nobody_reads_lives_on() {
    let amber = Member::start(&[]);
    let (reader, writer) = full_pipe();
    let peer = amber.swim.to_string();
    let mut birch = program(&["run", "--listen", "127.0.0.1:0", "--http", "none"])
        .args(["--timing", "local", "--peer", &peer])
        .stdout(writer)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let joined = amber.ask(&["status", "--wait", "alive=2", "--timeout", "20"]);
    birch.kill().unwrap();
    birch.wait().unwrap();
    assert_eq!(joined.status.code(), Some(0), "{}", said(&joined));
    drop(reader);
}

#[test]
fn a_name_that_does_not_resolve_delays_no_other_seed() {
    let amber = Member::start(&[]);
    let port = amber.swim.port();
    let start = Instant::now();
    let birch = Member::start(&[
        "--peer",
        "no-such-host.invalid:9638",
        "--peer",
        &format!("localhost:{port}"),
    ]);
    birch.wait("alive=2");
    assert!(start.elapsed() < Duration::from_secs(10), "{}", birch.log());
}
