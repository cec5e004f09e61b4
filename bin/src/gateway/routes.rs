//! What can be asked of the gateway.

use std::collections::BTreeSet;

use butterfly::limits::MAX_RUMOR;
use butterfly::text::visible;
use butterfly::{CommandError, MemberId, MemberView, Seed};
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::answer::Answer;
use super::event_routes;
use super::forget_routes::{depart, forget};
use super::guard::Guard;
use super::health;
use super::http::{Content, Request};
use super::openapi;
use super::page;
use super::params::Params;
use super::parts::{Members, Parts};
use super::query_routes;
use super::rumor_routes as rumors;
use super::stream;
use super::tag_routes as tags;
use crate::address;
use crate::agent::Agent;
use crate::cli::Seconds;
use crate::history::explained;

/// The largest body that is JSON, bytes.
const MAX_JSON: usize = 15 * 1024;

const TEXT: &str = "text/plain; charset=utf-8";

/// What answers a request, or why not.
type Handler = fn(&mut Agent, &Request, &Params) -> Result<Answer, Answer>;

pub(super) struct Route {
    how: How,
    pub path: &'static str,
    /// The parameters that its query may have.
    pub params: &'static [&'static str],
    pub about: &'static str,
    handler: Handler,
    /// It says nothing of single members.
    is_public: bool,
}

/// By which method, and with which body.
#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    Get,
    PostJson,
    /// `application/octet-stream`
    PostBytes,
}

impl Route {
    /// The method that it takes.
    pub fn method(&self) -> &'static str {
        self.how.method()
    }

    /// Whether it takes bytes that are no JSON.
    #[cfg(test)]
    pub fn takes_bytes(&self) -> bool {
        self.how == How::PostBytes
    }
}

impl How {
    fn method(self) -> &'static str {
        match self {
            How::Get => "GET",
            How::PostJson | How::PostBytes => "POST",
        }
    }
}

pub(super) const ROUTES: [Route; 37] = [
    get("/", &[], "a page for browsers; this list for others", front),
    get("/v1", &[], "this list", list),
    get(
        "/butterfly",
        &[],
        "everything: me, members, rumors by kind",
        rumors::everything,
    ),
    get(
        "/v1/openapi.json",
        &[],
        "all this for programs, as OpenAPI 3.0",
        openapi::openapi,
    ),
    get(
        "/v1/members",
        &["health", "name", "tag"],
        "the members that this one sees; ?health=alive,suspect&name=web-*&tag=zone=eu&tag=role leaves out the rest",
        members,
    ),
    get("/v1/status", &[], "how this member fares", status),
    get(
        "/v1/events",
        &["since", "kind"],
        "what happens, as server-sent events; ?since=10m begins with what happened then, ?kind=alive,suspect leaves out the rest",
        stream::events,
    ),
    get(
        "/v1/history",
        &["member", "since"],
        "what led to each transition, the oldest first; ?member=ID|NAME&since=10m leaves out the rest",
        history,
    ),
    get(
        "/v1/explain",
        &["member"],
        "?member=ID|NAME: why that member is suspect, dead or gone",
        explain,
    ),
    public(
        "/metrics",
        &[],
        "what this member counts, as Prometheus reads it",
        health::metrics,
    ),
    public("/healthz", &[], "200: its loop turns", health::healthz),
    public(
        "/readyz",
        &["alive"],
        "200: it knows its ring, and ?alive=N or more members live; 503: it does not, or is isolated, or leaves",
        health::readyz,
    ),
    get(
        "/v1/rumors",
        &["kind", "group", "hot", "bodies"],
        "the rumors that this member holds; ?kind=KIND&group=GROUP&hot=true leaves out the rest, ?bodies=false what was given",
        rumors::rumors,
    ),
    get(
        "/v1/config",
        &["group"],
        "?group=GROUP: its configuration, as it was given",
        rumors::config,
    ),
    get(
        "/v1/tags",
        &[],
        "what this member says of itself",
        tags::tags,
    ),
    post(
        "/v1/tags",
        r#"{"set": {"KEY": "VALUE"}, "delete": ["KEY"]}: changes what this member says of itself"#,
        tags::change,
    ),
    get(
        "/v1/file",
        &["group", "name"],
        "?group=GROUP&name=NAME: that file",
        rumors::file,
    ),
    get(
        "/v1/settings",
        &[],
        "its settings, as a file of them, and where each comes from; no secrets",
        settings,
    ),
    get("/v1/log", &[], "the latest lines of its log", log),
    get(
        "/v1/seeds",
        &[],
        "whom this member was told to ask for its ring, and who answered",
        seeds,
    ),
    post(
        "/v1/join",
        r#"{"peers": ["HOST:PORT"]}: asks them for their ring; GET /v1/seeds says who answered"#,
        join,
    ),
    post(
        "/v1/unjoin",
        r#"{"peers": ["HOST:PORT"]}: asks them no more"#,
        unjoin,
    ),
    post(
        "/v1/leave",
        "{}: leaves the ring, and the program ends",
        leave,
    ),
    post("/v1/block", r#"{"id": "ID"}: ignores that member"#, block),
    post(
        "/v1/unblock",
        r#"{"id": "ID"}: listens to that member again"#,
        unblock,
    ),
    upload(
        "/v1/event",
        &["name", "ttl", "coalesce"],
        "?name=NAME&ttl=60s&coalesce=false, and bytes: tells all members that, each once",
        event_routes::send,
    ),
    upload(
        "/v1/query",
        &["name", "timeout", "member", "tag"],
        "?name=NAME&timeout=5s&member=web-*&tag=zone=eu, and bytes: asks members; GET /v1/answers says what came of it",
        query_routes::ask,
    ),
    get(
        "/v1/answers",
        &["query"],
        "?query=ID: what members said to that question so far",
        query_routes::answers,
    ),
    post(
        "/v1/forget",
        r#"{"members": ["ID"]} or {"dead": true, "older_than_ms": 0}: the ring forgets dead members; it is no ban"#,
        forget,
    ),
    post(
        "/v1/depart",
        r#"{"id": "ID", "unknown": false}: that member stops, and cannot come back; unknown: also one that is not known here"#,
        depart,
    ),
    upload(
        "/v1/service",
        &["group", "pkg", "initialized"],
        "?group=GROUP&pkg=PKG&initialized=false, and bytes of TOML: this member runs that service",
        rumors::add_service,
    ),
    post(
        "/v1/service/remove",
        r#"{"group": "GROUP"}: this member does not run that service any more"#,
        rumors::remove_service,
    ),
    post(
        "/v1/election",
        r#"{"kind": "election", "group": "GROUP", "suitability": 0}: starts it, or takes part"#,
        rumors::start_election,
    ),
    upload(
        "/v1/config",
        &["group", "incarnation", "force"],
        "?group=GROUP&incarnation=next&force=false, and bytes of TOML: configures that group; incarnation: NUMBER, next, now",
        rumors::apply_config,
    ),
    upload(
        "/v1/file",
        &["group", "name", "incarnation", "force"],
        "?group=GROUP&name=NAME&incarnation=next&force=false, and bytes: gives that group a file",
        rumors::apply_file,
    ),
    post(
        "/v1/config/remove",
        r#"{"group": "GROUP"}: that group has no configuration any more"#,
        rumors::remove_config,
    ),
    post(
        "/v1/file/remove",
        r#"{"group": "GROUP", "name": "NAME"}: that group does not have that file any more"#,
        rumors::remove_file,
    ),
];

const fn get(
    path: &'static str,
    params: &'static [&'static str],
    about: &'static str,
    handler: Handler,
) -> Route {
    route(How::Get, path, params, about, handler)
}

const fn post(path: &'static str, about: &'static str, handler: Handler) -> Route {
    route(How::PostJson, path, &[], about, handler)
}

const fn upload(
    path: &'static str,
    params: &'static [&'static str],
    about: &'static str,
    handler: Handler,
) -> Route {
    route(How::PostBytes, path, params, about, handler)
}

const fn route(
    how: How,
    path: &'static str,
    params: &'static [&'static str],
    about: &'static str,
    handler: Handler,
) -> Route {
    Route {
        how,
        path,
        params,
        about,
        handler,
        is_public: false,
    }
}

const fn public(
    path: &'static str,
    params: &'static [&'static str],
    about: &'static str,
    handler: Handler,
) -> Route {
    let route = get(path, params, about, handler);
    Route {
        is_public: true,
        ..route
    }
}

/// Answers a request that was let through.
pub fn answer(agent: &mut Agent, guard: &Guard, request: &Request) -> Answer {
    find(guard, request)
        .and_then(|route| {
            let params = Params::of(request, route.params)?;
            (route.handler)(agent, request, &params)
        })
        .unwrap_or_else(|refusal| refusal)
}

/// How many bytes the body of this request may have, or why it is refused.
pub fn room(guard: &Guard, request: &Request) -> Result<usize, Answer> {
    guard.check(request)?;
    Ok(match find(guard, request)?.how {
        How::Get | How::PostJson => MAX_JSON,
        How::PostBytes => MAX_RUMOR,
    })
}

/// Whether this request is one that can be asked, by its method, path and body; the refusal if not.
pub fn check(guard: &Guard, request: &Request) -> Result<(), Answer> {
    find(guard, request).map(drop)
}

fn find(guard: &Guard, request: &Request) -> Result<&'static Route, Answer> {
    let is_there =
        |route: &&Route| route.path == request.path && (route.is_public || !guard.is_public());
    let mut at_path = ROUTES.iter().filter(is_there);
    let wanted = match request.method.as_str() {
        "HEAD" => "GET",
        method => method,
    };
    let Some(route) = at_path.clone().find(|route| route.how.method() == wanted) else {
        return Err(match (at_path.next(), at_path.next()) {
            (None, _) if is_old(guard, &request.path) => moved(request),
            (None, _) => {
                let what = if guard.is_public() {
                    "/metrics, /healthz and /readyz are all that there is"
                } else {
                    "GET /v1 lists what there is"
                };
                Answer::refusal(404, format!("there is no {}; {what}", request.path))
            }
            (Some(only), None) => not_allowed(request, only.how.method()),
            (Some(_), Some(_)) => not_allowed(request, "GET, POST"),
        });
    };
    let takes = match route.how {
        How::Get => request.content,
        How::PostJson => Content::Json,
        How::PostBytes => Content::Bytes,
    };
    if request.content != takes {
        let kind = if takes == Content::Json {
            "json"
        } else {
            "octet-stream"
        };
        let message = format!("{} takes Content-Type: application/{kind}", route.path);
        return Err(Answer::refusal(415, message));
    }
    Ok(route)
}

/// Before `/v1` stood there, the path was this.
fn is_old(guard: &Guard, path: &str) -> bool {
    let is_new = |new: &str| new.strip_prefix("/v1") == Some(path);
    !guard.is_public() && !path.is_empty() && ROUTES.iter().any(|route| is_new(route.path))
}

/// Where it is now, by the same method and with the same body.
fn moved(request: &Request) -> Answer {
    let query = match &*request.query {
        "" => String::new(),
        query => format!("?{query}"),
    };
    let now = format!("/v1{}{query}", request.path);
    Answer::refusal(308, format!("{} is at /v1{0} now", request.path)).with_header("Location", now)
}

fn not_allowed(request: &Request, methods: &'static str) -> Answer {
    let message = format!("{} takes {methods}", request.path);
    Answer::refusal(405, message).with_header("Allow", methods)
}

/// The page for a browser, and the list for a program.
fn front(agent: &mut Agent, request: &Request, params: &Params) -> Result<Answer, Answer> {
    match request.wants_page() {
        true => Ok(page::answer()),
        false => list(agent, request, params),
    }
}

fn list(_: &mut Agent, _: &Request, _: &Params) -> Result<Answer, Answer> {
    let routes: Vec<_> = ROUTES
        .iter()
        .map(|route| json!({ "method": route.method(), "path": route.path, "about": route.about }))
        .collect();
    Ok(Answer::ok(&json!({ "routes": routes })))
}

fn members(agent: &mut Agent, _: &Request, params: &Params) -> Result<Answer, Answer> {
    let which = Members {
        health: params.get("health")?,
        name: params.get("name")?,
        tags: params.all("tag")?,
    };
    let parts = Parts::default().members(&agent.member, which);
    Ok(Answer::parts(parts.text("\n")))
}

fn history(agent: &mut Agent, _: &Request, params: &Params) -> Result<Answer, Answer> {
    let member: Option<String> = params.get("member")?;
    let since: Option<Seconds> = params.get("since")?;
    let mut rows = agent.history();
    if let Some(member) = &member {
        rows.retain(|row| row.about.is_meant_by(member));
    }
    if let Some(Seconds(ago)) = since {
        let first = Timestamp::now().saturating_sub(ago);
        rows.retain(|row| first.as_ref().is_ok_and(|first| row.time.0 >= *first));
    }
    Ok(Answer::ok(&rows))
}

fn explain(agent: &mut Agent, _: &Request, params: &Params) -> Result<Answer, Answer> {
    let asked: String = params.need("member")?;
    let rows = agent.history();
    let node = agent.member.node();
    let named = |view: &MemberView<'_>| {
        view.name == asked || !asked.is_empty() && view.member.id.to_string().starts_with(&asked)
    };
    let mut about: BTreeSet<MemberId> = rows
        .iter()
        .filter(|row| row.about.is_meant_by(&asked))
        .map(|row| row.about.id())
        .collect();
    about.extend(node.members().filter(named).map(|view| view.member.id));
    let mut found = about.iter().copied().chain(asked.parse().ok());
    let Some(first) = found.next() else {
        let message = format!("no member is known as {}", visible(&asked));
        return Err(Answer::refusal(404, message));
    };
    if about.len() > 1 {
        let ids: Vec<String> = about.iter().map(ToString::to_string).collect();
        let message = format!("{} may be {}: say which", visible(&asked), ids.join(", "));
        return Err(Answer::refusal(409, message));
    }
    Ok(Answer::ok(&explained(&rows, first, node.id())))
}

fn status(agent: &mut Agent, _: &Request, _: &Params) -> Result<Answer, Answer> {
    Ok(Answer::ok(&agent.status()))
}

#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct Join {
    peers: Vec<String>,
}

impl Join {
    fn seeds(&self) -> Result<Vec<Seed>, Answer> {
        let peers = self.peers.iter().map(|peer| address::peer(peer));
        let peers: Result<_, _> = peers.collect();
        peers.map_err(|error| Answer::refusal(400, error))
    }
}

fn join(agent: &mut Agent, request: &Request, _: &Params) -> Result<Answer, Answer> {
    let asked: Join = parse(request)?;
    let peers = asked.seeds()?;
    if let Some(why) = peers.iter().find_map(|peer| agent.unreachable(peer)) {
        return Err(Answer::refusal(400, why));
    }
    for peer in &peers {
        agent.join(peer).map_err(conflict)?;
    }
    Ok(Answer::ok(&json!({ "joining": asked.peers })))
}

fn unjoin(agent: &mut Agent, request: &Request, _: &Params) -> Result<Answer, Answer> {
    let asked: Join = parse(request)?;
    let peers = asked.seeds()?;
    let listed = agent.seeds();
    let stranger = peers
        .iter()
        .map(ToString::to_string)
        .find(|peer| !listed.iter().any(|row| row.peer == *peer));
    if let Some(peer) = stranger {
        let message = format!("{peer} is none of the peers that this member asks");
        return Err(Answer::refusal(404, message));
    }
    for peer in &peers {
        agent.unjoin(peer);
    }
    Ok(Answer::ok(&json!({ "unjoined": asked.peers })))
}

fn settings(agent: &mut Agent, _: &Request, _: &Params) -> Result<Answer, Answer> {
    Ok(Answer::text(TEXT, agent.settings()))
}

fn log(agent: &mut Agent, _: &Request, _: &Params) -> Result<Answer, Answer> {
    Ok(Answer::text(TEXT, agent.recent_log()))
}

fn seeds(agent: &mut Agent, _: &Request, _: &Params) -> Result<Answer, Answer> {
    Ok(Answer::ok(&agent.seeds()))
}

#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

fn leave(agent: &mut Agent, request: &Request, _: &Params) -> Result<Answer, Answer> {
    let Nothing {} = parse(request)?;
    agent.leave();
    Ok(Answer::ok(&json!({ "leaving": true })))
}

#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "OfMember"))]
#[serde(deny_unknown_fields)]
pub(super) struct Whom {
    id: String,
}

impl Whom {
    fn parse(request: &Request) -> Result<MemberId, Answer> {
        let whom: Whom = parse(request)?;
        whom.id
            .parse()
            .map_err(|error| Answer::refusal(400, format!("{}: {error}", whom.id)))
    }
}

fn block(agent: &mut Agent, request: &Request, _: &Params) -> Result<Answer, Answer> {
    let id = Whom::parse(request)?;
    agent.member.block(id).map_err(conflict)?;
    Ok(Answer::ok(&json!({ "blocked": id.to_string() })))
}

fn unblock(agent: &mut Agent, request: &Request, _: &Params) -> Result<Answer, Answer> {
    let id = Whom::parse(request)?;
    let was_blocked = agent.member.unblock(id);
    Ok(Answer::ok(
        &json!({ "unblocked": id.to_string(), "was_blocked": was_blocked }),
    ))
}

pub fn conflict(error: CommandError) -> Answer {
    let status = match error {
        CommandError::BadRumor(_) => 400,
        _ => 409,
    };
    Answer::refusal(status, error.to_string())
}

pub fn parse<T: DeserializeOwned>(request: &Request) -> Result<T, Answer> {
    serde_json::from_slice(&request.body).map_err(|error| {
        Answer::refusal(
            400,
            format!("the body does not fit: {error}; GET /v1 says what does"),
        )
    })
}
