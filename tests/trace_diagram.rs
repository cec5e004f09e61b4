//! `bin/trace-sequence.rb` turns trace files into a sequence diagram that PlantUML draws.
//!
//! Needs `ruby`, and `plantuml` for the drawing; what is not installed is said and skipped.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;

const KINDS: [&str; 20] = [
    "MemberUpdate",
    "ProbeAckReceived",
    "ProbeBegin",
    "ProbeComplete",
    "ProbeConfirmed",
    "ProbeDeparted",
    "ProbePingReq",
    "ProbeSuspect",
    "RecvAck",
    "RecvPing",
    "RecvPingReq",
    "RecvProbePing",
    "RecvRumor",
    "SendAck",
    "SendForwardAck",
    "SendPing",
    "SendPingReq",
    "SendProbePing",
    "SendRumor",
    "TestEvent",
];

const ONE: &str = "11111111aaaa4aaaaaaaaaaaaaaaaaaa";
const TWO: &str = "22222222bbbb4bbbbbbbbbbbbbbbbbbb";

fn in_project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// What `command` makes of `input`; `None`, and a line about it, if it is not installed.
fn run(command: &mut Command, input: &[u8]) -> Option<Output> {
    let name = command.get_program().to_string_lossy().into_owned();
    let spawned = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // Straight to the stream, since the test harness swallows what `eprintln!` says.
            let _ = writeln!(io::stderr(), "skipped: {name} is not installed");
            return None;
        }
        Err(error) => panic!("{name}: {error}"),
    };
    let mut stdin = child.stdin.take().unwrap();
    thread::scope(|scope| {
        scope.spawn(move || match stdin.write_all(input) {
            // It may have read enough.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => panic!("{error}"),
            _ => (),
        });
        Some(child.wait_with_output().unwrap())
    })
}

struct Diagram {
    text: String,
    complaint: String,
}

impl Diagram {
    /// `sort | ruby bin/trace-sequence.rb`
    fn of(trace: &[u8]) -> Option<Diagram> {
        let sorted = run(Command::new("sort").env("LC_ALL", "C"), trace)?;
        let script = in_project("bin/trace-sequence.rb");
        let output = run(Command::new("ruby").arg("-w").arg(script), &sorted.stdout)?;
        let complaint = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{complaint}");
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(
            text.starts_with("@startuml\n") && text.ends_with("\n@enduml\n"),
            "{text}"
        );
        assert_eq!(
            text.matches("@startuml").count() + text.matches("@enduml").count(),
            2
        );
        Some(Diagram { text, complaint })
    }

    fn has(&self, part: &str) {
        assert!(self.text.contains(part), "no {part:?} in:\n{}", self.text);
    }

    fn lines_with(&self, part: &str) -> Vec<&str> {
        self.text
            .lines()
            .filter(|line| line.contains(part))
            .collect()
    }

    /// The alias of the only participant whose declaration holds `title`.
    fn alias(&self, title: &str) -> &str {
        let declarations = self.lines_with("participant ");
        let mut fitting = declarations.iter().filter(|line| line.contains(title));
        let line = fitting
            .next()
            .unwrap_or_else(|| panic!("no {title} in {declarations:?}"));
        assert_eq!(fitting.next(), None, "two of {title}");
        line.rsplit(' ').next().unwrap()
    }

    fn plantuml_draws(&self) {
        let Some(output) = plantuml(&["-syntax"], &self.text) else {
            return;
        };
        let verdict = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && !verdict.contains("ERROR"),
            "{verdict}{}",
            self.text
        );

        let output = plantuml(&["-pipe", "-tsvg"], &self.text).unwrap();
        let svg = String::from_utf8_lossy(&output.stdout);
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{complaint}{}", self.text);
        assert!(
            svg.contains("<svg") && svg.trim_end().ends_with("</svg>"),
            "{svg}"
        );
        assert!(!svg.contains("Syntax Error"), "{svg}");
    }
}

fn plantuml(arguments: &[&str], text: &str) -> Option<Output> {
    let mut command = Command::new("plantuml");
    run(
        command.args(arguments).env("PLANTUML_LIMIT_SIZE", "163840"),
        text.as_bytes(),
    )
}

/// A trace line of member `ONE`, called `one`, which listens at `10.0.0.1:9638`.
fn line(time: &str, kind: &str, to_id: &str, to_addr: &str, swim: &str, rumor: &str) -> String {
    format!("{time}^{kind}^t^m^1^one^{ONE}^{to_id}^10.0.0.1:9638^{to_addr}^{swim}^{rumor}\n")
}

fn sample() -> Vec<u8> {
    std::fs::read(in_project("tests/data/sample.swimtrace")).unwrap()
}

#[test]
fn the_sample_holds_every_kind_out_of_order() {
    let sample = String::from_utf8(sample()).unwrap();
    let rows: Vec<Vec<&str>> = sample
        .lines()
        .map(|line| line.split('^').collect())
        .collect();
    assert_eq!(
        rows.iter().filter(|row| row.len() != 12).count(),
        1,
        "one malformed line"
    );
    let mut kinds: Vec<&str> = rows
        .iter()
        .filter(|row| row.len() == 12)
        .map(|row| row[1])
        .collect();
    kinds.sort_unstable();
    kinds.dedup();
    assert_eq!(kinds, KINDS);
    assert!(!rows.iter().is_sorted_by_key(|row| row[0]));
}

#[test]
fn the_sample_becomes_a_diagram() {
    let Some(diagram) = Diagram::of(&sample()) else {
        return;
    };
    assert_eq!(
        diagram.complaint,
        "trace-sequence: skipped 1 malformed line\n"
    );

    // In the order of appearance; who never wrote and has no known id is there by its address.
    let (alpha, beta) = (diagram.alias("alpha"), diagram.alias("beta"));
    let (stranger, gamma) = (diagram.alias("10.0.0.9:9638"), diagram.alias("gamma"));
    assert_eq!([alpha, beta, stranger, gamma], ["m1", "m2", "m3", "m4"]);
    assert_eq!(diagram.lines_with("participant ").len(), 4);
    assert_eq!(
        diagram.alias("3f9c0d11"),
        alpha,
        "the id stands with the name"
    );

    let sent = |from, colour, to, kind| format!("{from} -[#{colour}]> {to} : <b>{kind}</b> ");
    let received = |from, colour, to, kind| format!("{from} -[#{colour}]-> {to} : <b>{kind}</b> ");
    for arrow in [
        sent(alpha, "red", gamma, "ProbeConfirmed"),
        sent(alpha, "orange", gamma, "ProbeSuspect"),
        sent(alpha, "black", gamma, "ProbeBegin"),
        sent(alpha, "black", gamma, "ProbeAckReceived"),
        sent(alpha, "black", gamma, "ProbeComplete"),
        sent(alpha, "black", gamma, "ProbeDeparted"),
        sent(alpha, "black", gamma, "ProbePingReq"),
        // Sent to a bare address: the one at which beta listens, and one that nobody has.
        sent(alpha, "blue", beta, "SendPing"),
        sent(alpha, "blue", stranger, "SendPing"),
        received(alpha, "blue", beta, "RecvPing"),
        sent(beta, "blue", gamma, "SendProbePing"),
        received(beta, "blue", gamma, "RecvProbePing"),
        sent(alpha, "yellow", beta, "SendPingReq"),
        received(alpha, "yellow", beta, "RecvPingReq"),
        sent(beta, "green", alpha, "SendAck"),
        received(beta, "green", alpha, "RecvAck"),
        sent(beta, "green", alpha, "SendForwardAck"),
        received(gamma, "green", alpha, "RecvAck"),
        sent(alpha, "purple", beta, "SendRumor"),
        received(alpha, "purple", beta, "RecvRumor"),
    ] {
        diagram.has(&arrow);
    }
    for kind in KINDS {
        let divided = ["MemberUpdate", "TestEvent"].contains(&kind);
        let lines = diagram.lines_with(kind);
        assert_eq!(
            lines.iter().any(|line| line.starts_with("== ")),
            divided,
            "{kind}"
        );
    }

    // What goes along, and the ids cut short.
    diagram.has("8e41a7c2-1-Alive  3f9c0d11-1-Alive");
    diagram.has("c05b7e9a-1-Confirmed</color></size>");
    diagram.has("Service-redis.default-3f9c0d11</size>");
    assert!(!diagram.text.contains("3f9c0d1157b24e0c"));

    diagram.has("== +0.0 ms  alpha  TestEvent  a ring of three meets ==");
    diagram.has("== +12.8 ms  beta  MemberUpdate  gamma c05b7e9a-1-Alive ==");
    assert_eq!(diagram.lines_with("MemberUpdate").len(), 10);

    // Every line of the sample but the malformed one, in the order of time.
    diagram.has("61 trace lines, +0 is 1763859051.123456789");
    let ends: Vec<&str> = diagram.lines_with(" ms");
    assert!(
        ends[0].contains("+0.0 ms") && ends[1].contains("+0.4 ms"),
        "{ends:?}"
    );
    let drawn = diagram.lines_with("</b> <color:dimgray>").len() + diagram.lines_with("== ").len();
    assert_eq!(drawn, 61);

    diagram.plantuml_draws();
}

#[test]
fn no_lines_become_an_empty_diagram() {
    let Some(diagram) = Diagram::of(b"") else {
        return;
    };
    assert_eq!(diagram.complaint, "");
    assert!(diagram.lines_with("participant").is_empty());
    assert!(diagram.lines_with("->").is_empty());
    diagram.plantuml_draws();
}

#[test]
fn malformed_lines_are_skipped_and_counted() {
    let good = line("5.000000000", "SendPing", TWO, "10.0.0.2:9638", "", "");
    let mut trace = Vec::new();
    for bad in [
        b"\n".as_slice(),
        b"nonsense\n",
        b"@enduml\n",
        b"^^^^^^^^^^^\n",
        b"\xff\xfe\x00^\x80\n",
        good.replace("5.0", "five.0").as_bytes(),
        good.replace("SendPing", "not a kind").as_bytes(),
        good.replace("\n", "^one more\n").as_bytes(),
        good.trim_end().rsplit_once('^').unwrap().0.as_bytes(),
    ] {
        trace.extend_from_slice(bad);
    }
    trace.extend_from_slice(b"\n");
    trace.extend_from_slice(good.as_bytes());
    let Some(diagram) = Diagram::of(&trace) else {
        return;
    };
    assert_eq!(
        diagram.complaint,
        "trace-sequence: skipped 9 malformed lines\n"
    );
    assert_eq!(
        diagram.lines_with("</b> <color:dimgray>").len(),
        1,
        "{}",
        diagram.text
    );
    diagram.has("m1 -[#blue]> m2 : <b>SendPing</b> ");

    let Some(diagram) = Diagram::of(b"nonsense\n") else {
        return;
    };
    assert_eq!(
        diagram.complaint,
        "trace-sequence: skipped 1 malformed line\n"
    );
    assert!(diagram.lines_with("participant").is_empty());
}

#[test]
fn whom_a_line_does_not_name_well_is_found() {
    let trace = [
        // Never writes a line itself.
        line("1.000000000", "SendPing", TWO, "10.0.0.2:9638", "", ""),
        // The address at which it was just reached.
        line("1.001000000", "SendPing", "", "10.0.0.2:9638", "", ""),
        // Nobody at all: from and to the edge of the picture, or the member itself.
        line("1.002000000", "RecvPing", "", "", "", ""),
        line("1.003000000", "SendAck", "", "", "", ""),
        line("1.004000000", "ProbeBegin", "", "", "", ""),
        // A kind of a later version.
        line("1.005000000", "RecvNews", TWO, "", "", ""),
        line("1.006000000", "Pondering", "", "", "", ""),
        // Only heard of.
        line(
            "1.007000000",
            "MemberUpdate",
            "33333333cccc4ccccccccccccccccccc",
            "",
            "",
            "",
        ),
        // Half a second and an hour later.
        line("1.500000000", "SendRumor", TWO, "", "", ""),
        line("3601.000000000", "SendRumor", TWO, "", "", ""),
    ];
    let Some(diagram) = Diagram::of(trace.concat().as_bytes()) else {
        return;
    };
    assert_eq!(diagram.complaint, "");
    assert_eq!(diagram.alias("one"), "m1");
    assert_eq!(diagram.alias("22222222"), "m2");
    assert_eq!(diagram.alias("33333333"), "m3");
    assert_eq!(diagram.lines_with("participant ").len(), 3);
    diagram.has("  one  MemberUpdate  about 33333333 ==");
    diagram.has("10.0.0.2:9638</size>\" as m2");
    assert_eq!(
        diagram
            .lines_with("m1 -[#blue]> m2 : <b>SendPing</b>")
            .len(),
        2
    );
    diagram.has("\n[-[#blue]-> m1 : <b>RecvPing</b>");
    diagram.has("\nm1 -[#green]>] : <b>SendAck</b>");
    diagram.has("\nm1 -[#black]> m1 : <b>ProbeBegin</b>");
    diagram.has("\nm2 -[#gray]-> m1 : <b>RecvNews</b>");
    diagram.has("\nm1 -[#gray]> m1 : <b>Pondering</b>");
    diagram.has("+500.0 ms");
    diagram.has("+3600.0000 s");
    diagram.has("...3599.5 s of silence...");
    diagram.plantuml_draws();
}

#[test]
fn a_restarted_member_takes_over_its_address() {
    let two =
        |time: &str, id: &str| format!("{time}^TestEvent^t^m^1^two^{id}^^10.0.0.2:9638^^^starts\n");
    let trace = [
        line("1.0", "SendPing", "", "10.0.0.2:9638", "", ""),
        two("2.0", TWO),
        line("3.0", "SendPing", "", "10.0.0.2:9638", "", ""),
        two("4.0", "33333333cccc4ccccccccccccccccccc"),
        line("5.0", "SendPing", "", "10.0.0.2:9638", "", ""),
    ];
    let Some(diagram) = Diagram::of(trace.concat().as_bytes()) else {
        return;
    };
    let (old, new) = (diagram.alias("22222222"), diagram.alias("33333333"));
    let targets: Vec<&str> = diagram
        .lines_with("SendPing")
        .iter()
        .map(|l| l.split(' ').nth(2).unwrap())
        .collect();
    assert_eq!(targets, [old, old, new]);
}

#[test]
fn ids_that_begin_alike_stay_apart() {
    let other = "11111111aaaa5aaaaaaaaaaaaaaaaaaa";
    let trace = line(
        "1.0",
        "SendPing",
        other,
        "",
        &format!("{ONE}-7-Suspect "),
        "",
    );
    let Some(diagram) = Diagram::of(trace.as_bytes()) else {
        return;
    };
    assert_eq!(diagram.alias("11111111aaaa4<"), "m1");
    assert_eq!(diagram.alias("\"11111111aaaa5\""), "m2");
    diagram.has("11111111aaaa4-7-Suspect");
}

#[test]
fn names_cannot_break_the_diagram() {
    let name = "a\"b\\nc<b>'/' %date()% !x $y __u__ **v** == [[w]] {|} #&amp; é 😀 \u{1}@enduml";
    let trace = line("1.0", "SendPing", TWO, "", "not a list == ", name)
        + &line("1.1", "MemberUpdate", TWO, "", name, "")
        + &line("1.2", "RecvPing", "", "[fe80::1%eth0]:9638", "", "");
    let Some(diagram) = Diagram::of(trace.replace("^one^", &format!("^{name}^")).as_bytes()) else {
        return;
    };
    assert!(diagram.text.is_ascii());
    diagram.plantuml_draws();
}
