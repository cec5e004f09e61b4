//! What can be asked of the gateway.

use butterfly::{CommandError, MemberId};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::answer::Answer;
use super::http::Request;
use crate::address::{self, Peer};
use crate::agent::Agent;

/// What answers a request, or why not.
type Handler = fn(&mut Agent, &[u8]) -> Result<Answer, Answer>;

struct Route {
    method: &'static str,
    path: &'static str,
    about: &'static str,
    handler: Handler,
}

const ROUTES: [Route; 7] = [
    route("GET", "/", "this list", list),
    route("GET", "/members", "the members that this one sees", members),
    route("GET", "/status", "how this member fares", status),
    route(
        "POST",
        "/join",
        r#"{"peers": ["HOST:PORT"]}: asks them for their ring"#,
        join,
    ),
    route(
        "POST",
        "/leave",
        "{}: leaves the ring, and the program ends",
        leave,
    ),
    route(
        "POST",
        "/block",
        r#"{"id": "ID"}: ignores that member"#,
        block,
    ),
    route(
        "POST",
        "/unblock",
        r#"{"id": "ID"}: listens to that member again"#,
        unblock,
    ),
];

const fn route(
    method: &'static str,
    path: &'static str,
    about: &'static str,
    handler: Handler,
) -> Route {
    Route {
        method,
        path,
        about,
        handler,
    }
}

/// Answers a request that was let through.
pub fn answer(agent: &mut Agent, request: &Request) -> Answer {
    let Some(route) = ROUTES.iter().find(|route| route.path == request.path) else {
        return Answer::refusal(
            404,
            format!("there is no {}; GET / lists what there is", request.path),
        );
    };
    let wanted = match request.method.as_str() {
        "HEAD" => "GET",
        method => method,
    };
    if route.method != wanted {
        let message = format!("{} takes {}", route.path, route.method);
        return Answer::refusal(405, message).with_header("Allow", route.method);
    }
    (route.handler)(agent, &request.body).unwrap_or_else(|refusal| refusal)
}

fn list(_: &mut Agent, _: &[u8]) -> Result<Answer, Answer> {
    let routes: Vec<_> = ROUTES
        .iter()
        .map(|route| json!({ "method": route.method, "path": route.path, "about": route.about }))
        .collect();
    Ok(Answer::ok(&json!({ "routes": routes })))
}

fn members(agent: &mut Agent, _: &[u8]) -> Result<Answer, Answer> {
    Ok(Answer::members(&agent.member))
}

fn status(agent: &mut Agent, _: &[u8]) -> Result<Answer, Answer> {
    Ok(Answer::ok(&agent.status()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Join {
    peers: Vec<String>,
}

fn join(agent: &mut Agent, body: &[u8]) -> Result<Answer, Answer> {
    let asked: Join = parse(body)?;
    let peers: Result<Vec<Peer>, String> =
        asked.peers.iter().map(|peer| address::peer(peer)).collect();
    let peers = peers.map_err(|error| Answer::refusal(400, error))?;
    if let Some(why) = peers.iter().find_map(|peer| agent.unreachable(peer)) {
        return Err(Answer::refusal(400, why));
    }
    for peer in &peers {
        agent.join(peer).map_err(conflict)?;
    }
    Ok(Answer::ok(&json!({ "joining": asked.peers })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

fn leave(agent: &mut Agent, body: &[u8]) -> Result<Answer, Answer> {
    let Nothing {} = parse(body)?;
    agent.leave();
    Ok(Answer::ok(&json!({ "leaving": true })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Whom {
    id: String,
}

impl Whom {
    fn parse(body: &[u8]) -> Result<MemberId, Answer> {
        let whom: Whom = parse(body)?;
        whom.id
            .parse()
            .map_err(|error| Answer::refusal(400, format!("{}: {error}", whom.id)))
    }
}

fn block(agent: &mut Agent, body: &[u8]) -> Result<Answer, Answer> {
    let id = Whom::parse(body)?;
    agent.member.block(id).map_err(conflict)?;
    Ok(Answer::ok(&json!({ "blocked": id.to_string() })))
}

fn unblock(agent: &mut Agent, body: &[u8]) -> Result<Answer, Answer> {
    let id = Whom::parse(body)?;
    let was_blocked = agent.member.unblock(id);
    Ok(Answer::ok(
        &json!({ "unblocked": id.to_string(), "was_blocked": was_blocked }),
    ))
}

fn conflict(error: CommandError) -> Answer {
    Answer::refusal(409, error.to_string())
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Answer> {
    serde_json::from_slice(body).map_err(|error| {
        Answer::refusal(
            400,
            format!("the body does not fit: {error}; GET / says what does"),
        )
    })
}
