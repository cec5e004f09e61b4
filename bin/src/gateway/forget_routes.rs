//! What the gateway is asked to have the ring forget.

use std::time::Duration;

use butterfly::{Health, MemberId, MemberView};
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

fn refused(id: &str, error: &dyn std::fmt::Display) -> Answer {
    Answer::refusal(400, format!("{id}: {error}"))
}
