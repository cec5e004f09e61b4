//! `butterfly history` and `butterfly explain`.

use std::collections::HashMap;

use butterfly::MemberId;
use butterfly::text::visible;

use super::HistoryRow;
use super::explain::explain as explained;
use super::row::{MemberIdText, What, Who, why};
use crate::cli::{EventFormat, ExplainArgs, Format, HistoryArgs};
use crate::client::Client;
use crate::failure::Failure;
use crate::output;
use crate::view::{MemberRow, Status};

/// What the asked member knows of the past.
pub fn history(args: &HistoryArgs) -> Result<(), Failure> {
    let client = Client::new(&args.gateway)?;
    let mut query = form_urlencoded::Serializer::new(String::new());
    if let Some(member) = &args.member {
        query.append_pair("member", member);
    }
    if let Some(since) = &args.since {
        query.append_pair("since", &format!("{}s", since.0.as_secs_f64()));
    }
    let rows: Vec<HistoryRow> = client.get(&format!("/v1/history?{}", query.finish()))?;
    if let Some(member) = args.member.as_ref().filter(|_| rows.is_empty()) {
        let all: Vec<HistoryRow> = client.get("/v1/history")?;
        let (who, _) = find(member, &client.get::<Vec<MemberRow>>("/v1/members")?, &all)?;
        output::tell(&format!(
            "nothing is kept of {} in this time",
            visible(&who.shown())
        ));
    }
    let mut text = String::new();
    for row in &rows {
        match args.output {
            EventFormat::Ndjson => {
                text += &serde_json::to_string(row).map_err(Failure::failed)?;
            }
            EventFormat::Table => {
                text += &format!("{}  {}", String::from(row.time), visible(&row.text));
            }
        }
        text.push('\n');
    }
    output::print(&text)
}

/// Why the dead are dead, in short, by id, as far as that member knows.
pub fn ends(client: &Client, status: &Status) -> Result<HashMap<String, String>, Failure> {
    // A member of an earlier version may have none, and its list is worth showing all the same.
    let rows: Vec<HistoryRow> = client.get("/v1/history").unwrap_or_default();
    let own: MemberId = status.id.parse().map_err(Failure::failed)?;
    let (mut ends, mut shown_by_system) = (HashMap::new(), HashMap::new());
    for row in &rows {
        let id = row.about.id();
        match &row.what {
            What::Alive(_) => drop(shown_by_system.remove(&id)),
            What::Accused { evidence, .. } if evidence != "silent" => {
                shown_by_system.insert(id, evidence);
            }
            What::Confirmed(change) => {
                let end = match shown_by_system.get(&id).map(|evidence| &***evidence) {
                    Some("gone") => "gone: nobody listens at its port".to_owned(),
                    Some("stalled") => "stalled: its system answered in its place".to_owned(),
                    _ => why(change, own),
                };
                ends.insert(id.to_string(), end);
            }
            What::Departed(change) => {
                ends.insert(id.to_string(), why(change, own));
            }
            _ => {}
        }
    }
    Ok(ends)
}

/// Why a member is what it is.
pub fn explain(args: &ExplainArgs) -> Result<(), Failure> {
    let client = Client::new(&args.gateway)?;
    let rows: Vec<HistoryRow> = client.get("/v1/history")?;
    let members: Vec<MemberRow> = client.get("/v1/members")?;
    let status: Status = client.get("/v1/status")?;
    let own = Who {
        member: MemberIdText::try_from(status.id).map_err(Failure::failed)?,
        name: status.name,
    };
    let (about, health) = find(&args.member, &members, &rows)?;
    let explanation = explained(&rows, about.id(), own.id());
    match args.output.format() {
        Format::Json => {
            let text = serde_json::to_string(&explanation).map_err(Failure::failed)?;
            output::print_line(&text)
        }
        Format::Table => output::print(&explanation.shown(&about, health.as_deref(), &own)),
    }
}

/// The member that is meant, by its id, the beginning of it, or its name, and its health, if it is still known.
pub fn find(
    text: &str,
    members: &[MemberRow],
    rows: &[HistoryRow],
) -> Result<(Who, Option<String>), Failure> {
    let mut found: Vec<(Who, Option<String>)> = Vec::new();
    for row in members {
        let who = Who {
            member: MemberIdText::try_from(row.id.clone()).map_err(Failure::failed)?,
            name: row.name.clone(),
        };
        found.push((who, Some(row.health.to_string())));
    }
    for row in rows.iter().rev() {
        if found.iter().all(|(who, _)| who.id() != row.about.id()) {
            found.push((row.about.clone(), None));
        }
    }
    let is_meant = |who: &Who| who.is_meant_by(text);
    found.retain(|(who, _)| is_meant(who));
    match found.len() {
        1 => Ok(found.remove(0)),
        0 => Err(Failure::failed(format_args!(
            "no member has the name or the beginning of an id {text:?}: \"butterfly members\" lists them"
        ))),
        _ => {
            let list: Vec<_> = found.iter().map(|(who, _)| who.shown()).collect();
            Err(Failure::failed(format_args!(
                "{text:?} may mean any of: {}",
                list.join(", ")
            )))
        }
    }
}
