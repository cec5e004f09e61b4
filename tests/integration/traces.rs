//! Trace files (PROTOCOL.md §5), as a run of a test leaves them, and the diagram that is made of them.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::harness::{Mesh, PERIOD};

/// What a command makes of this input; `None`, and a line about it, if it is not installed.
fn run(command: &mut Command, input: Vec<u8>) -> Option<Output> {
    let name = command.get_program().to_string_lossy().into_owned();
    let piped = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = match piped.spawn() {
        Ok(child) => child,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // Straight to the stream, as the test harness swallows what `eprintln!` says.
            let _ = writeln!(io::stderr(), "skipped: {name} is not installed");
            return None;
        }
        Err(error) => panic!("{name}: {error}"),
    };
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success(), "{name}: {output:?}");
    Some(output)
}

/// The time at the start of a line, in nanoseconds.
fn time(line: &str) -> u128 {
    let (seconds, nanos) = line.split('^').next().unwrap().split_once('.').unwrap();
    assert_eq!(nanos.len(), 9, "{line}");
    seconds.parse::<u128>().unwrap() * 1_000_000_000 + nanos.parse::<u128>().unwrap()
}

#[test]
fn trace_files_of_a_run_become_a_diagram() {
    let dir = tempfile::tempdir().unwrap();
    let test = "two_members_meshed";
    let child = Command::new(std::env::current_exe().unwrap())
        .arg(test)
        .env("TRACE_SWIM", "1")
        .env("TRACE_SWIM_DIR", dir.path())
        .output()
        .unwrap();
    assert!(child.status.success(), "{child:?}");

    let mut paths: Vec<_> = fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    assert_eq!(paths.len(), 2, "one file a member: {paths:?}");
    for (member, path) in paths.iter().enumerate() {
        check_file(path, &format!("two_members-{member}"));
    }

    let mut sort = Command::new("sort");
    let Some(sorted) = run(sort.args(&paths), Vec::new()) else {
        return;
    };
    let lines = String::from_utf8(sorted.stdout).unwrap();
    assert!(
        lines.lines().is_sorted_by_key(time),
        "sorted lines are in the order of time"
    );
    let kinds = [
        "ProbeBegin",
        "SendPing",
        "RecvPing",
        "SendAck",
        "RecvAck",
        "ProbeComplete",
    ];
    for kind in kinds.iter().chain(&[
        "MemberUpdate",
        "ProbeSuspect",
        "ProbeConfirmed",
        "TestEvent",
    ]) {
        assert!(
            lines.contains(&format!("^{kind}^")),
            "no {kind} in\n{lines}"
        );
    }
    draw(lines.into_bytes());
}

fn check_file(path: &Path, member: &str) {
    let name = path.file_name().unwrap().to_str().unwrap();
    let stamp = name
        .strip_prefix(member)
        .and_then(|rest| rest.strip_prefix('-'));
    let stamp = stamp.and_then(|rest| rest.strip_suffix(".swimtrace"));
    assert!(
        stamp.is_some_and(|time| time.parse::<u128>().is_ok()),
        "NAME-TIME.swimtrace: {name}"
    );
    let text = fs::read_to_string(path).unwrap();
    assert!(text.ends_with('\n') && text.lines().count() > 10, "{text}");
    assert!(
        text.lines().is_sorted_by_key(time),
        "a member writes in the order of time"
    );
    assert!(
        text.lines().is_sorted(),
        "sorting keeps the order of a member's lines"
    );
    let mut ids = BTreeMap::new();
    for line in text.lines() {
        let fields: Vec<_> = line.split('^').collect();
        assert_eq!(fields.len(), 12, "{line}");
        assert_eq!(fields[5], member);
        *ids.entry((fields[6], fields[8])).or_insert(0) += 1;
        for item in fields[10].split_terminator(' ') {
            let parts: Vec<_> = item.split('-').collect();
            assert!(
                parts.len() == 3 && parts[0].len() == 32 && parts[1].parse::<u64>().is_ok(),
                "{line}"
            );
            assert!(
                ["Alive", "Suspect", "Confirmed", "Departed"].contains(&parts[2]),
                "{line}"
            );
        }
    }
    assert_eq!(ids.len(), 1, "one member, at one address: {ids:?}");
}

/// `ruby bin/trace-sequence.rb`, and `plantuml`.
fn draw(lines: Vec<u8>) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("bin/trace-sequence.rb");
    if !script.exists() {
        // It comes with the repository, and not with the published package.
        return;
    }
    let Some(sequence) = run(Command::new("ruby").arg(script), lines) else {
        return;
    };
    let complaint = String::from_utf8_lossy(&sequence.stderr);
    assert_eq!(complaint, "", "no line is malformed");
    let text = String::from_utf8(sequence.stdout).unwrap();
    assert!(
        text.starts_with("@startuml\n") && text.ends_with("@enduml\n"),
        "{text}"
    );
    for part in [
        "<b>two_members-0</b>",
        "<b>two_members-1</b>",
        "-[#red]>",
        "-[#orange]>",
        "the other one dies",
    ] {
        assert!(text.contains(part), "no {part} in\n{text}");
    }
    let mut plantuml = Command::new("plantuml");
    plantuml
        .args(["-pipe", "-tsvg"])
        .env("PLANTUML_LIMIT_SIZE", "163840");
    let Some(drawn) = run(&mut plantuml, text.into_bytes()) else {
        return;
    };
    let svg = String::from_utf8_lossy(&drawn.stdout);
    assert!(
        svg.contains("<svg") && svg.trim_end().ends_with("</svg>"),
        "{svg}"
    );
    assert!(
        svg.contains("ProbeConfirmed") && !svg.contains("Syntax Error"),
        "{svg}"
    );
}

/// A member's own time stands still while it is paused, but its traces have to fit between those of others.
#[test]
fn traces_keep_the_time_of_day_across_a_pause() {
    if std::env::var_os("TRACE_SWIM").is_some() {
        return; // They go to the files.
    }
    let began = Instant::now();
    let mut mesh = Mesh::meshed("trace_time", 2);
    mesh.pause(1);
    mesh.holds_for(5, "it is paused", |_| true);
    mesh.resume(1);
    let resumed = began.elapsed();
    mesh.await_agreement();
    mesh.holds_for(2, "it is back", |_| true);
    let times = mesh.trace_times(1);
    assert!(times.is_sorted(), "{times:?}");
    let last = *times.last().unwrap();
    assert!(
        last > resumed && last <= began.elapsed(),
        "{last:?}, resumed at {resumed:?}"
    );
    let silence = times
        .windows(2)
        .map(|pair| pair[1] - pair[0])
        .max()
        .unwrap_or(Duration::ZERO);
    assert!(silence >= 4 * PERIOD, "the pause shows: {silence:?}");
}
