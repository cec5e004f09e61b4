//! What the gateway is asked to have the ring forget, or ban.

use std::time::Duration;

use butterfly::{Health, MemberId, MemberView, RumorId};
use serde::Deserialize;
use serde_json::json;

use super::answer::Answer;
use super::http::Request;
use super::params::Params;
use super::routes::{conflict, parse};
use crate::agent::Agent;

#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct Forget {
    /// These members.
    #[serde(default)]
    members: Vec<String>,
    /// All that are dead.
    #[serde(default)]
    dead: bool,
    /// Of those, the ones that have been dead for so many milliseconds.
    #[serde(default)]
    older_than_ms: u64,
}

/// `POST /v1/forget`
pub fn forget(agent: &mut Agent, request: &Request, _: &Params) -> Result<Answer, Answer> {
    let asked: Forget = parse(request)?;
    if asked.dead != asked.members.is_empty() {
        let message = r#"say either {"members": ["ID"]} or {"dead": true}"#;
        return Err(Answer::refusal(400, message.to_owned()));
    }
    let node = agent.member.node();
    let older_than = Duration::from_millis(asked.older_than_ms);
    let is_meant = |view: &MemberView<'_>| {
        view.health >= Health::Confirmed && node.now().since(view.since) >= older_than
    };
    let members: Vec<MemberId> = if asked.dead {
        let dead = node.members().filter(is_meant);
        dead.map(|view| view.member.id).collect()
    } else {
        let ids = asked.members.iter();
        let ids = ids.map(|id| id.parse().map_err(|error| refused(id, &error)));
        ids.collect::<Result<_, _>>()?
    };
    let name = |id: &MemberId| {
        let view = node.member(*id);
        json!({ "id": id.to_string(), "name": view.map_or("", |view| view.name) })
    };
    let forgotten: Vec<_> = members.iter().map(name).collect();
    agent.member.forget(&members).map_err(conflict)?;
    Ok(Answer::ok(&json!({ "forgotten": forgotten })))
}

#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct Departing {
    id: String,
    /// Also one that this member does not know.
    #[serde(default)]
    unknown: bool,
}

/// `POST /v1/depart`
pub fn depart(agent: &mut Agent, request: &Request, _: &Params) -> Result<Answer, Answer> {
    let Departing { id, unknown } = parse(request)?;
    let parsed = id.parse();
    let id: MemberId = parsed.map_err(|error| Answer::refusal(400, format!("{id}: {error}")))?;
    let node = agent.member.node();
    let known = node.member(id).is_some() || node.rumor(&RumorId::departure(id)).is_some();
    if !known && !unknown {
        let message = format!(
            "{id} is not known here: is the id right? (unknown: true bans it all the same)"
        );
        return Err(Answer::refusal(404, message));
    }
    agent.member.depart(id).map_err(conflict)?;
    Ok(Answer::ok(
        &json!({ "departing": id.to_string(), "known": known }),
    ))
}

fn refused(id: &str, error: &dyn std::fmt::Display) -> Answer {
    Answer::refusal(400, format!("{id}: {error}"))
}
