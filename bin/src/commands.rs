//! The commands that ask a running member through its gateway.

use std::collections::{HashMap, HashSet};
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use butterfly::MemberId;
use butterfly::text::visible;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::cli::{BlockArgs, Format, LeaveArgs, ListFormat, MembersArgs, StatusArgs, Wait, Waited};
use crate::client::{Client, Trouble};
use crate::failure::Failure;
use crate::history;
use crate::output;
use crate::table;
use crate::view::{MemberRow, Status};

/// The pause between two looks at something that is waited for.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// The pause between two looks at what may change at any time.
const WATCH_AGAIN: Duration = Duration::from_secs(1);

pub fn members(args: &MembersArgs) -> Result<(), Failure> {
    let client = Client::new(&args.gateway)?;
    let mut shown = show_members(args, &client, None)?;
    if !args.watch {
        return Ok(());
    }
    loop {
        thread::sleep(WATCH_AGAIN);
        shown = show_members(args, &client, Some(shown))?;
    }
}

/// What is news about a member that was shown; its age and round trip are not.
type Shown = Vec<(MemberRow, bool)>;

/// Prints the members that are meant, unless they are as they were `shown`; how they are.
fn show_members(
    args: &MembersArgs,
    client: &Client,
    shown: Option<Shown>,
) -> Result<Shown, Failure> {
    // Of programs nothing is kept that this version does not know.
    let values: Vec<Value> = client.get("/v1/members")?;
    let read = |value: &Value| MemberRow::deserialize(value).map_err(Failure::failed);
    let members: Vec<MemberRow> = values.iter().map(read).collect::<Result<_, _>>()?;
    if let Some(text) = args.which.unknown(&members) {
        return Err(unknown(text));
    }
    let now: Shown = members.iter().map(|row| lasting(row, args)).collect();
    if shown.as_ref() == Some(&now) {
        return Ok(now);
    }
    let format = args.output.format();
    if let ListFormat::Table | ListFormat::Wide = format {
        let status: Status = client.get("/v1/status")?;
        let colours = output::colours_wanted(&io::stdout());
        let fits = |row: &MemberRow| args.which.fit(row);
        let ends = match members.iter().any(|row| row.is_dead()) {
            true => history::ends(client, &status)?,
            false => HashMap::new(),
        };
        let text = table::members(&members, fits, &status, &ends, (format, colours));
        let gap = if shown.is_some() { "\n" } else { "" };
        output::print(&format!("{gap}{text}"))?;
        return Ok(now);
    }
    // Line by line, what was shown before is not shown again.
    let before = shown.filter(|_| format == ListFormat::Ndjson);
    let is_news = |it: &(MemberRow, bool)| before.as_ref().is_none_or(|shown| !shown.contains(it));
    let meant = values.into_iter().zip(&now);
    let meant = meant.filter(|(_, it)| it.1 && is_news(it));
    print_list(
        format,
        meant.map(|(value, (row, _))| (value, &*row.name, &*row.id)),
    )?;
    Ok(now)
}

/// A row without what changes all the time, and whether it is meant.
fn lasting(row: &MemberRow, args: &MembersArgs) -> (MemberRow, bool) {
    let lasting = MemberRow {
        rtt_us: None,
        since_ms: 0,
        suspicion_left_ms: None,
        ..row.clone()
    };
    (lasting, args.which.fit(row))
}

/// Prints rows for programs, each with its name and the id of its member.
pub fn print_list<'a>(
    format: ListFormat,
    rows: impl Iterator<Item = (Value, &'a str, &'a str)>,
) -> Result<(), Failure> {
    let mut text = String::new();
    let mut all = Vec::new();
    for (row, name, id) in rows {
        match format {
            ListFormat::Ndjson => text += &format!("{row}\n"),
            ListFormat::Name => {
                text += &format!("{}\n", visible(if name.is_empty() { id } else { name }))
            }
            ListFormat::Json | ListFormat::Table | ListFormat::Wide => all.push(row),
        }
    }
    if format == ListFormat::Json {
        text = format!("{}\n", Value::Array(all));
    }
    output::print(&text)
}

fn unknown(text: &str) -> Failure {
    Failure::failed(format_args!(
        "no member has the name or the beginning of an id {text:?}: \"butterfly members\" lists them"
    ))
}

pub fn status(args: &StatusArgs) -> Result<(), Failure> {
    let client = Client::new(&args.gateway)?;
    if let Some(wait) = args.wait {
        wait_for(&client, wait, args.timeout)?;
    }
    match args.output.format() {
        Format::Json => output::print(&client.get_text("/v1/status")?),
        Format::Table => {
            let status: Status = client.get("/v1/status")?;
            let names = blocked_names(&client, &status)?;
            output::print(&table::status(&status, &names))
        }
    }
}

/// The blocked members' names as the asked one knows them, by id.
fn blocked_names(client: &Client, status: &Status) -> Result<HashMap<String, String>, Failure> {
    if status.blocked.is_empty() {
        return Ok(HashMap::new());
    }
    let blocked: HashSet<&String> = status.blocked.iter().collect();
    let names = names(client)?.into_iter();
    Ok(names.filter(|(id, _)| blocked.contains(id)).collect())
}

/// The members' names as the asked one knows them, by id.
pub fn names(client: &Client) -> Result<HashMap<String, String>, Failure> {
    let members: Vec<MemberRow> = client.get("/v1/members")?;
    Ok(members.into_iter().map(|row| (row.id, row.name)).collect())
}

/// Looks until it is so.
fn wait_for(client: &Client, wait: Wait, timeout: Duration) -> Result<(), Failure> {
    let end = Instant::now() + timeout;
    loop {
        let seen = match client.get_until::<Status>("/v1/status", end) {
            Ok(status) if is_reached(wait, &status) => return Ok(()),
            Ok(status) => {
                let (alive, members) = (status.members.alive, status.members.members());
                let isolated =
                    table::isolated(&status).map_or(String::new(), |it| format!("; it {it}"));
                let members = output::count(members, "member");
                format!("{alive} alive, {members}{isolated}")
            }
            // It may be about to start, or to go on.
            Err(Trouble::Nobody(message) | Trouble::Silent(message)) => message,
            Err(trouble @ Trouble::Other(_)) => return Err(trouble.into()),
        };
        if Instant::now() >= end {
            return Err(Failure::not_reached(format_args!(
                "not reached within {}: {seen}",
                output::span(timeout)
            )));
        }
        thread::sleep(LOOK_AGAIN.min(end.saturating_duration_since(Instant::now())));
    }
}

/// That others are alive is not believed of a member that hears none of them.
fn is_reached(wait: Wait, status: &Status) -> bool {
    let count = match wait.what {
        Waited::Members => status.members.members(),
        Waited::Alive if status.isolated_ms.is_some() && wait.count > 1 => return false,
        Waited::Alive => status.members.alive,
    };
    count == wait.count || wait.or_more && count > wait.count
}

pub fn leave(args: &LeaveArgs) -> Result<(), Failure> {
    let client = Client::new(&args.gateway)?;
    let end = Instant::now() + args.timeout;
    let unasked = |trouble| in_time(trouble, end);
    let before: Status = client.get_until("/v1/status", end).map_err(unasked)?;
    client
        .post_until("/v1/leave", &json!({}), end)
        .map_err(unasked)?;
    loop {
        match client.get_until::<Status>("/v1/status", end) {
            Err(Trouble::Nobody(_)) => break,
            // Somebody else listens there by now.
            Ok(status) if status.id != before.id => break,
            Ok(_) | Err(Trouble::Silent(_) | Trouble::Other(_)) if Instant::now() >= end => {
                let message = format!(
                    "{} is leaving, but not gone within {}",
                    client.gateway(),
                    output::span(args.timeout)
                );
                return Err(Failure::not_reached(message));
            }
            Ok(_) | Err(Trouble::Silent(_) | Trouble::Other(_)) => thread::sleep(LOOK_AGAIN),
        }
    }
    let who = match before.id.parse() {
        Ok(id) => output::who(&before.name, id),
        Err(_) => before.id,
    };
    output::tell(&format!("{who}, at {}, has left", client.gateway()));
    Ok(())
}

/// A gateway's silence that outlasts the time to wait is what was not reached in time.
fn in_time(trouble: Trouble, end: Instant) -> Failure {
    match trouble {
        Trouble::Silent(message) if Instant::now() >= end => Failure::not_reached(message),
        trouble => trouble.into(),
    }
}

pub fn block(args: &BlockArgs) -> Result<(), Failure> {
    let client = Client::new(&args.gateway)?;
    let id = find(&client, &args.id)?;
    client.post("/v1/block", &json!({ "id": id.to_string() }))?;
    output::tell(&format!("{} ignores {id}", client.gateway()));
    Ok(())
}

pub fn unblock(args: &BlockArgs) -> Result<(), Failure> {
    let client = Client::new(&args.gateway)?;
    let id = find(&client, &args.id)?;
    let answer = client.post("/v1/unblock", &json!({ "id": id.to_string() }))?;
    let was_blocked = answer
        .get("was_blocked")
        .and_then(|was| was.as_bool())
        .unwrap_or(true);
    let did = if was_blocked {
        "listens to"
    } else {
        "never ignored"
    };
    output::tell(&format!("{} {did} {id}", client.gateway()));
    Ok(())
}

/// The member that is meant: by its id, the beginning of it, or its name.
pub fn find(client: &Client, text: &str) -> Result<MemberId, Failure> {
    if let Ok(id) = text.parse() {
        return Ok(id);
    }
    pick(&client.get::<Vec<MemberRow>>("/v1/members")?, text)
}

fn pick(members: &[MemberRow], text: &str) -> Result<MemberId, Failure> {
    let meant =
        |row: &&MemberRow| !text.is_empty() && (row.name == text || row.id.starts_with(text));
    let found: Vec<_> = members.iter().filter(meant).collect();
    match found.as_slice() {
        [] => Err(unknown(text)),
        [row] => row.id.parse().map_err(Failure::failed),
        rows => {
            let list: Vec<_> = rows
                .iter()
                .map(|row| format!("{} {}", row.id, row.name))
                .collect();
            Err(Failure::failed(format_args!(
                "{text:?} may mean any of: {}",
                list.join(", ")
            )))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::Counts;

    fn row(id: &str, name: &str) -> MemberRow {
        table::tests::row(id, name, "alive")
    }

    #[test]
    fn a_member_is_found_by_what_is_unique_to_it() {
        let members = [
            row(&"1a".repeat(16), "web"),
            row(&"1b".repeat(16), "db"),
            row(&"c0".repeat(16), "db"),
        ];
        assert_eq!(pick(&members, "1a").unwrap().to_string(), "1a".repeat(16));
        assert_eq!(pick(&members, "web").unwrap().to_string(), "1a".repeat(16));
        for text in ["1", "db"] {
            assert!(
                pick(&members, text)
                    .unwrap_err()
                    .to_string()
                    .contains("may mean"),
                "{text}"
            );
        }
        for text in ["", "x"] {
            assert!(
                pick(&members, text)
                    .unwrap_err()
                    .to_string()
                    .contains("no member"),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_waited_for_is_reached_exactly_or_surpassed() {
        let mut status = table::tests::status_of(0);
        status.members = Counts {
            alive: 3,
            suspect: 1,
            confirmed: 1,
            departed: 7,
        };
        let reached = |text: &str| is_reached(text.parse().unwrap(), &status);
        assert!(
            reached("alive=3")
                && reached("members=5")
                && reached("alive=2+")
                && reached("alive=3+")
        );
        assert!(
            !reached("alive=2")
                && !reached("alive=4")
                && !reached("alive=4+")
                && !reached("members=12")
        );
        status.isolated_ms = Some(5_000);
        let reached = |text: &str| is_reached(text.parse().unwrap(), &status);
        assert!(!reached("alive=3") && !reached("alive=2+"));
        assert!(reached("members=5") && reached("alive=1+"));
    }
}
