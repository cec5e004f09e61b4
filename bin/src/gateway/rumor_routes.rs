//! What can be asked of the gateway about rumors.

use std::fmt::Display;
use std::str::FromStr;

use butterfly::{Rumor, RumorId, RumorKind, Service, ServiceConfig, ServiceFile, ServiceGroup};
use serde::Deserialize;
use serde_json::json;

use super::answer::Answer;
use super::http::Request;
use super::params::Params;
use super::parts::{Members, Parts, Which};
use super::routes::{conflict, parse};
use crate::agent::Agent;
use crate::rumor_row::ElectionRow;
use crate::sys_info;
use crate::version::{self, Version};

/// `GET /butterfly`
pub fn everything(agent: &mut Agent, _: &Request, _: &Params) -> Result<Answer, Answer> {
    let me = serde_json::to_vec(&agent.status())
        .map_err(|error| Answer::refusal(500, error.to_string()))?;
    let mut parts = Parts::default()
        .text("{\"me\":")
        .text(me)
        .text(",\n\"members\":")
        .members(&agent.member, Members::default())
        .text(",\n\"rumors\":{");
    for (number, kind) in RumorKind::ALL.into_iter().enumerate() {
        let comma = if number == 0 { "" } else { "," };
        let which = Which {
            kind: Some(kind),
            group: None,
            without_removed: true,
            ..Which::default()
        };
        parts = parts.text(format!("{comma}\n\"{kind}\":")).rumors(which);
    }
    Ok(Answer::parts(parts.text("}}\n")))
}

/// `GET /v1/rumors`
pub fn rumors(_: &mut Agent, _: &Request, params: &Params) -> Result<Answer, Answer> {
    let which = Which {
        kind: params.get("kind")?,
        group: params.get("group")?,
        without_removed: false,
        only_hot: params.get("hot")?.unwrap_or(false),
        without_bodies: params.get("bodies")? == Some(false),
    };
    Ok(Answer::parts(Parts::default().rumors(which).text("\n")))
}

/// `GET /v1/config`
pub fn config(agent: &mut Agent, _: &Request, params: &Params) -> Result<Answer, Answer> {
    let group: ServiceGroup = params.need("group")?;
    let what = format!("configuration of {group}");
    match held(agent, &RumorId::config(&group)) {
        Some(Rumor::ServiceConfig(config)) => body(config.config, config.incarnation, &what),
        _ => Err(Answer::refusal(404, format!("no {what} is held here"))),
    }
}

/// `GET /v1/file`
pub fn file(agent: &mut Agent, _: &Request, params: &Params) -> Result<Answer, Answer> {
    let (group, name): (ServiceGroup, String) = (params.need("group")?, params.need("name")?);
    let what = format!("file {name:?} of {group}");
    match held(agent, &RumorId::file(&group, &name)) {
        Some(Rumor::ServiceFile(file)) => body(file.body, file.incarnation, &what),
        _ => Err(Answer::refusal(404, format!("no {what} is held here"))),
    }
}

/// What is held, unless it was removed.
fn body(bytes: Vec<u8>, incarnation: u64, what: &str) -> Result<Answer, Answer> {
    if bytes.is_empty() {
        let message = format!("the {what} was removed, by incarnation {incarnation}");
        return Err(Answer::refusal(410, message));
    }
    Ok(Answer::bytes(bytes))
}

fn held(agent: &Agent, id: &RumorId) -> Option<Rumor> {
    agent.member.node().rumor(id)?.rumor()
}

/// The version that is asked for; without one, the next. Nothing comes between this and its use, as the member and its
/// gateway are one thread.
fn version(agent: &Agent, params: &Params, id: &RumorId) -> Result<u64, Answer> {
    let asked = params.get("incarnation")?.unwrap_or_default();
    let forced = params.get("force")?.unwrap_or(false);
    let at_least = match asked {
        Version::Number(number) => return Ok(number),
        Version::Next => 0,
        Version::Now => version::seconds_since_1970(),
    };
    let node = agent.member.node();
    let next = match forced {
        true => node.next_forced_version(id, at_least),
        false => node.next_version(id, at_least),
    };
    next.map_err(conflict)
}

/// `POST /v1/config`
pub fn apply_config(
    agent: &mut Agent,
    request: &Request,
    params: &Params,
) -> Result<Answer, Answer> {
    let group: ServiceGroup = params.need("group")?;
    let version = version(agent, params, &RumorId::config(&group))?;
    let config = ServiceConfig::new(group, version, request.body.clone());
    let done = json!({ "group": config.group.as_str(), "incarnation": config.incarnation });
    let member = &mut agent.member;
    match params.get("force")? {
        Some(true) => member.force(Rumor::ServiceConfig(config)),
        _ => member.apply_config(config),
    }
    .map_err(conflict)?;
    Ok(Answer::ok(&done))
}

/// `POST /v1/file`
pub fn apply_file(agent: &mut Agent, request: &Request, params: &Params) -> Result<Answer, Answer> {
    let (group, name): (ServiceGroup, String) = (params.need("group")?, params.need("name")?);
    let version = version(agent, params, &RumorId::file(&group, &name))?;
    let file = ServiceFile::new(group, version, name, request.body.clone());
    let done = json!({
        "group": file.group.as_str(),
        "name": file.filename,
        "incarnation": file.incarnation,
    });
    let member = &mut agent.member;
    match params.get("force")? {
        Some(true) => member.force(Rumor::ServiceFile(file)),
        _ => member.apply_file(file),
    }
    .map_err(conflict)?;
    Ok(Answer::ok(&done))
}

/// `POST /v1/config/remove`
pub fn remove_config(agent: &mut Agent, request: &Request, _: &Params) -> Result<Answer, Answer> {
    let asked: OfGroup = parse(request)?;
    let group: ServiceGroup = read(&asked.group)?;
    let did = agent.member.remove_config(&group).map_err(conflict)?;
    removed(
        agent,
        did,
        &RumorId::config(&group),
        format!("configuration of {group}"),
    )
}

#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct OfFile {
    group: String,
    name: String,
}

/// `POST /v1/file/remove`
pub fn remove_file(agent: &mut Agent, request: &Request, _: &Params) -> Result<Answer, Answer> {
    let asked: OfFile = parse(request)?;
    let (group, name): (ServiceGroup, _) = (read(&asked.group)?, &asked.name);
    let did = agent.member.remove_file(&group, name).map_err(conflict)?;
    let what = format!("file {name:?} of {group}");
    removed(agent, did, &RumorId::file(&group, name), what)
}

/// What came of removing it.
fn removed(agent: &Agent, did: bool, id: &RumorId, what: String) -> Result<Answer, Answer> {
    let held = agent.member.node().rumor(id);
    let version = held.map(|held| held.version);
    match (did, version) {
        (true, incarnation) => Ok(Answer::ok(&json!({ "incarnation": incarnation }))),
        (false, Some(incarnation)) => {
            let message = format!("the {what} was removed before, by incarnation {incarnation}");
            Err(Answer::refusal(410, message))
        }
        (false, None) => Err(Answer::refusal(404, format!("no {what} is held here"))),
    }
}

/// `POST /v1/service`
pub fn add_service(
    agent: &mut Agent,
    request: &Request,
    params: &Params,
) -> Result<Answer, Answer> {
    let pkg: String = params.need("pkg")?;
    if pkg.split('/').count() != 4 || pkg.split('/').any(str::is_empty) {
        return Err(Answer::refusal(
            400,
            format!("{pkg:?} is no package: write origin/name/version/release"),
        ));
    }
    let mut service = Service::new(params.need("group")?, pkg);
    service.initialized = params.get("initialized")?.unwrap_or(false);
    service.cfg.clone_from(&request.body);
    service.sys = sys_info::of(agent);
    let id = RumorId::service(&service.group, agent.member.node().id());
    let group = service.group.clone();
    agent.member.announce(service).map_err(conflict)?;
    let incarnation = agent.member.node().rumor(&id).map(|held| held.version);
    Ok(Answer::ok(
        &json!({ "group": group.as_str(), "incarnation": incarnation }),
    ))
}

#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct OfGroup {
    group: String,
}

/// `POST /v1/service/remove`
pub fn remove_service(agent: &mut Agent, request: &Request, _: &Params) -> Result<Answer, Answer> {
    let asked: OfGroup = parse(request)?;
    let group: ServiceGroup = read(&asked.group)?;
    let did = agent.member.withdraw(&group).map_err(conflict)?;
    if !did {
        let message = format!("this member runs no service of {group}");
        return Err(Answer::refusal(404, message));
    }
    Ok(Answer::ok(&json!({ "withdrawn": group.as_str() })))
}

#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "StartElection"))]
#[serde(deny_unknown_fields)]
pub(super) struct Elect {
    kind: String,
    group: String,
    suitability: u64,
}

/// `POST /v1/election`
pub fn start_election(agent: &mut Agent, request: &Request, _: &Params) -> Result<Answer, Answer> {
    let asked: Elect = parse(request)?;
    let (kind, group) = (read(&asked.kind)?, read(&asked.group)?);
    agent
        .member
        .start_election(kind, &group, asked.suitability)
        .map_err(conflict)?;
    let node = agent.member.node();
    let held = node.election(kind, &group);
    let row = held.map(|held| ElectionRow::of(held.election, node));
    Ok(Answer::ok(&row))
}

fn read<T: FromStr<Err: Display>>(text: &str) -> Result<T, Answer> {
    text.parse()
        .map_err(|error| Answer::refusal(400, format!("{text:?}: {error}")))
}
