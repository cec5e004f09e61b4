//! `butterfly doctor`: whether all members of a ring can be reached and hold the same.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpStream};
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use butterfly::MemberState;
use serde::Serialize;

use crate::cli::{DoctorArgs, Format};
use crate::client::Client;
use crate::failure::Failure;
use crate::output::{self, count};
use crate::query::{ask, follow, named};
use crate::query_row::QueryRow;
use crate::view::MemberRow;

/// Connections that are tried at the same time.
const MOST_CONNECTIONS: usize = 32;
/// How long one may take.
const CONNECT: Duration = Duration::from_millis(700);
/// Members that disagree are asked once more after so long: what is new may be on its way.
const SETTLE: Duration = Duration::from_millis(500);

/// What is wrong with a member.
#[derive(Debug, Serialize)]
struct Finding {
    member: String,
    name: String,
    what: String,
}

/// What was found.
#[derive(Debug, Serialize)]
struct Report {
    members: usize,
    /// Those that answered, and so do without Habitat's implementation.
    answered: usize,
    /// Those that were not asked, as they take no questions: they run Habitat's implementation, or an old version.
    originals: Vec<String>,
    versions: BTreeMap<String, usize>,
    findings: Vec<Finding>,
}

pub fn doctor(args: &DoctorArgs) -> Result<(), Failure> {
    let client = Client::new(&args.gateway)?;
    let members: Vec<MemberRow> = client.get("/v1/members")?;
    let living = |row: &&MemberRow| row.health == "alive" || row.health == "suspect";
    let members: Vec<&MemberRow> = members.iter().filter(living).collect();
    let (answers, unreached) = thread::scope(|scope| {
        let tried = scope.spawn(|| unreached(&members));
        let answers = states(&client, args.timeout);
        (answers, tried.join().unwrap_or_default())
    });
    let mut answers = answers?;
    if !disagreements(&answers).is_empty() {
        thread::sleep(SETTLE);
        answers = states(&client, args.timeout)?;
    }
    let report = report(&members, &answers, &unreached);
    show(&report, args.output.format())?;
    match report.findings.len() {
        0 => Ok(()),
        found => Err(Failure::failed(format_args!(
            "{} found: see above",
            count(found, "fault")
        ))),
    }
}

/// Asks all members how they hold the ring.
fn states(client: &Client, timeout: Duration) -> Result<QueryRow, Failure> {
    let id = ask(client, "state", timeout, &[], &[])?;
    follow(client, &id, |_| Ok(()))
}

/// Members to whose gossip port no connection comes about, and why.
fn unreached(members: &[&MemberRow]) -> BTreeMap<String, String> {
    let next = Mutex::new(members.iter().filter(|row| row.gossip_port != 0));
    let found = Mutex::new(BTreeMap::new());
    thread::scope(|scope| {
        for _ in 0..MOST_CONNECTIONS.min(members.len()) {
            scope.spawn(|| {
                loop {
                    let row = next.lock().map(|mut next| next.next());
                    let Ok(Some(row)) = row else { return };
                    let addr = SocketAddr::new(row.address, row.gossip_port);
                    if let Err(error) = TcpStream::connect_timeout(&addr, CONNECT)
                        && let Ok(mut found) = found.lock()
                    {
                        found.insert(
                            row.id.clone(),
                            format!("no TCP to {addr} from here: {error}"),
                        );
                    }
                }
            });
        }
    });
    found.into_inner().unwrap_or_default()
}

/// What a state is compared by, and how the difference is told.
type Look = (&'static str, fn(&MemberState) -> String);

const LOOKS: [Look; 5] = [
    ("knows other living members", |state| {
        format!("{} living, {:08x}", state.living, state.members)
    }),
    ("holds other rumors", |state| {
        format!("{:08x}", state.rumors)
    }),
    ("has another timing", |state| {
        let [period, timeout] = state.timing;
        format!("period {period:?}, timeout {timeout:?}")
    }),
    ("seals with another key", |state| {
        state.keys.first().cloned().unwrap_or_default()
    }),
    ("has other keys", |state| {
        let mut keys = state.keys.clone();
        keys.sort();
        keys.join(", ")
    }),
];

/// The members whose state differs from that of most: id, name, and in what.
fn disagreements(row: &QueryRow) -> Vec<Finding> {
    let states = row.answers.iter().filter(|answer| answer.what == "answer");
    let states: Vec<_> = states
        .map(|answer| (answer, MemberState::parse(&answer.text)))
        .collect();
    let mut findings = Vec::new();
    for (what, look) in LOOKS {
        let mut counts = BTreeMap::<String, usize>::new();
        for (_, state) in &states {
            *counts.entry(look(state)).or_default() += 1;
        }
        let Some((most, _)) = counts.iter().max_by_key(|(_, count)| **count) else {
            continue;
        };
        for (answer, state) in &states {
            let held = look(state);
            if held != *most {
                findings.push(Finding {
                    member: answer.member.clone(),
                    name: answer.name.clone(),
                    what: format!("{what} than most: {held}, and not {most}"),
                });
            }
        }
    }
    findings
}

fn report(
    members: &[&MemberRow],
    answers: &QueryRow,
    unreached: &BTreeMap<String, String>,
) -> Report {
    let mut findings = disagreements(answers);
    let mut versions = BTreeMap::new();
    let said = answers.answers.iter().filter(|row| row.what == "answer");
    let said: BTreeMap<&str, _> = said.map(|row| (&*row.member, row)).collect();
    for row in said.values() {
        let state = MemberState::parse(&row.text);
        *versions.entry(state.version).or_default() += 1;
    }
    for silent in &answers.missing {
        findings.push(Finding {
            member: silent.member.clone(),
            name: silent.name.clone(),
            what: "lives, and does not answer a question by UDP".to_owned(),
        });
    }
    let mut originals = Vec::new();
    for row in members {
        let is_asked = said.contains_key(&*row.id)
            || answers.missing.iter().any(|silent| silent.member == row.id);
        let found = |what: String| Finding {
            member: row.id.clone(),
            name: row.name.clone(),
            what,
        };
        if !is_asked {
            originals.push(named(&row.name, &row.id));
            if row.rtt_us.is_none() && !row.is_self {
                findings.push(found(
                    "has not answered a ping of the asked member yet".to_owned(),
                ));
            }
        }
        if row.health == "suspect" {
            findings.push(found("is suspect".to_owned()));
        }
        findings.extend(unreached.get(&row.id).map(|why| found(why.clone())));
    }
    Report {
        members: members.len(),
        answered: said.len(),
        originals,
        versions,
        findings,
    }
}

fn show(report: &Report, format: Format) -> Result<(), Failure> {
    if format == Format::Json {
        let json = serde_json::to_string(report).map_err(Failure::failed)?;
        return output::print_line(&json);
    }
    let versions = report.versions.iter();
    let versions = versions.map(|(version, members)| format!("{members} of {version}"));
    let versions: Vec<_> = versions.collect();
    output::print_line(&format!(
        "{} live; {} answered: {}",
        count(report.members, "member"),
        report.answered,
        versions.join(", ")
    ))?;
    if !report.originals.is_empty() {
        output::print_line(&format!(
            "{} not asked, as they take no questions: {}",
            report.originals.len(),
            report.originals.join(", ")
        ))?;
    }
    for finding in &report.findings {
        let who = named(&finding.name, &finding.member);
        output::print_line(&format!("{who}: {}", finding.what))?;
    }
    if report.findings.is_empty() {
        output::print_line("all can be reached, and agree on members, rumors, timing and keys")?;
    }
    Ok(())
}
