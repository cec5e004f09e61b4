//! `butterfly join` and `butterfly unjoin`: whom a running member asks for its ring.

use std::thread;
use std::time::{Duration, Instant};

use butterfly::text::visible;
use serde_json::json;

use crate::address;
use crate::cli::{JoinArgs, UnjoinArgs};
use crate::client::Client;
use crate::failure::Failure;
use crate::output::{self, count, span};
use crate::view::{SeedRow, Status};

/// How often it is looked whether they have answered.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// What a peer tells arrives in several datagrams: how long no more may come until that was all, and how long is waited for
/// that at most.
const QUIET: Duration = Duration::from_millis(300);
const MOST_QUIET: Duration = Duration::from_secs(2);

pub fn join(args: &JoinArgs) -> Result<(), Failure> {
    let peers = written(&args.peers)?;
    let client = Client::new(&args.gateway)?;
    let asked = Instant::now();
    client.post("/v1/join", &json!({ "peers": peers }))?;
    let end = asked + args.timeout;
    let rows = loop {
        let mut rows: Vec<SeedRow> = client.get("/v1/seeds")?;
        rows.retain(|row| peers.contains(&row.peer));
        let waits = |row: &SeedRow| row.asked && !has_answered(row, asked);
        if !rows.iter().any(waits) || Instant::now() >= end {
            break rows;
        }
        thread::sleep(LOOK_AGAIN.min(end.saturating_duration_since(Instant::now())));
    };
    let mut answered = 0;
    for row in &rows {
        answered += usize::from(has_answered(row, asked));
        output::tell(&line(row, asked, args.timeout));
    }
    if answered == 0 {
        let asked: Vec<&SeedRow> = rows.iter().filter(|row| row.asked).collect();
        return Err(Failure::failed(nobody(&asked)));
    }
    let living = settled(&client)?;
    output::print_line(&format!(
        "{answered} of {} answered; {} living as {} sees it",
        count(peers.len(), "peer"),
        count(living, "member"),
        client.gateway()
    ))
}

pub fn unjoin(args: &UnjoinArgs) -> Result<(), Failure> {
    let peers = written(&args.peers)?;
    let client = Client::new(&args.gateway)?;
    client.post("/v1/unjoin", &json!({ "peers": peers }))?;
    output::tell(&format!(
        "{} asks {} no more",
        client.gateway(),
        peers.join(", ")
    ));
    Ok(())
}

/// The peers as the member lists them.
fn written(peers: &[String]) -> Result<Vec<String>, Failure> {
    let peers = peers.iter().map(|text| address::peer(text));
    let peers: Result<Vec<_>, _> = peers.map(|peer| peer.map(|it| it.to_string())).collect();
    peers.map_err(Failure::usage)
}

/// Whether somebody answered there since then.
fn has_answered(row: &SeedRow, asked: Instant) -> bool {
    let ago = row.answer.as_ref().map(|answer| answer.ago_ms);
    ago.is_some_and(|ago| Duration::from_millis(ago) <= asked.elapsed())
}

/// What to do now that nobody answered, of those that are asked.
fn nobody(asked: &[&SeedRow]) -> &'static str {
    if asked.is_empty() {
        "nobody else was asked: name a peer that is another member"
    } else if asked.iter().all(|row| row.trouble.is_some()) {
        "nobody was found: is the name right? It is looked up again and again; \"butterfly unjoin\" ends that"
    } else {
        "nobody answered: is a member there, and does it have the same ring key, and the same --ring? It is asked on; \
         \"butterfly unjoin\" ends that"
    }
}

fn line(row: &SeedRow, asked: Instant, timeout: Duration) -> String {
    let peer = &row.peer;
    match &row.answer {
        Some(answer) if has_answered(row, asked) => {
            let short = answer.id.get(..8).unwrap_or_default();
            let who = match answer.name.as_str() {
                "" => short.to_owned(),
                name => format!("{} ({short})", visible(name)),
            };
            if *peer == answer.address.to_string() {
                format!("{peer} answered: {who}")
            } else {
                format!("{peer} answered: {who} at {}", answer.address)
            }
        }
        _ if !row.asked => format!("{peer} is this member itself, and is not asked"),
        _ => {
            let trouble = row.trouble.as_ref();
            let trouble = trouble.map_or(String::new(), |it| format!(": {}", visible(it)));
            format!("{peer} did not answer within {}{trouble}", span(timeout))
        }
    }
}

/// How many members live, once what the peers tell has arrived.
fn settled(client: &Client) -> Result<usize, Failure> {
    let end = Instant::now() + MOST_QUIET;
    let (mut living, mut since) = (0, Instant::now());
    loop {
        let status: Status = client.get("/v1/status")?;
        if status.members.alive != living {
            (living, since) = (status.members.alive, Instant::now());
        }
        if since.elapsed() >= QUIET || Instant::now() >= end {
            return Ok(living);
        }
        thread::sleep(LOOK_AGAIN);
    }
}
