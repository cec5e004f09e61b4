//! What can be asked of the gateway about the tags of its member.

use std::collections::BTreeMap;

use serde_json::json;

use super::answer::Answer;
use super::http::Request;
use super::params::Params;
use super::routes::parse;
use crate::agent::Agent;

/// `GET /v1/tags`
pub fn tags(agent: &mut Agent, _: &Request, _: &Params) -> Result<Answer, Answer> {
    Ok(own(agent))
}

/// `POST /v1/tags`
pub fn change(agent: &mut Agent, request: &Request, _: &Params) -> Result<Answer, Answer> {
    let change = parse(request)?;
    let changed = agent.change_tags(change);
    changed.map_err(|why| Answer::refusal(400, why))?;
    Ok(own(agent))
}

fn own(agent: &Agent) -> Answer {
    let node = agent.member.node();
    let view = node.tags(node.id());
    let tags: BTreeMap<&str, &str> = view.iter().flat_map(|it| it.iter()).collect();
    let incarnation = view.map(|view| view.incarnation);
    Answer::ok(&json!({ "tags": tags, "incarnation": incarnation }))
}
