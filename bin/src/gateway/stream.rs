//! `GET /v1/events`: events as they happen, as server-sent events.

use std::fmt::Display;

use super::answer::Answer;
use super::http::{Request, Site};
use super::params::Params;
use crate::agent::Agent;
use crate::cli::Seconds;
use crate::events::{EventId, Kinds, Start};

/// The handler. A browser that comes back says which event it has, whatever it asked for at first.
pub fn events(agent: &mut Agent, request: &Request, params: &Params) -> Result<Answer, Answer> {
    // It could not read them, and would take the places of those that can.
    if request.site == Site::Other {
        let message =
            "other web pages may not follow events (Origin and Sec-Fetch-Site say that one asks)";
        return Err(Answer::refusal(403, message.to_owned()));
    }
    let since: Option<Seconds> = params.get("since")?;
    let kinds: Option<Kinds> = params.get("kind")?;
    let last: Option<EventId> = match &request.last_event_id {
        Some(id) if !id.is_empty() => Some(id.parse().map_err(|why| refused(id, why))?),
        _ => None,
    };
    let from = match (last, since) {
        (Some(last), _) => Start::Behind(last),
        (None, Some(since)) => Start::Ago(since.0),
        (None, None) => Start::Now,
    };
    let reader = agent.feed.reader(from, kinds.unwrap_or_default());
    reader.map(Answer::stream).ok_or_else(|| {
        let message = "too many follow the events of this member: end another stream first";
        Answer::refusal(503, message.to_owned())
    })
}

fn refused(id: &str, why: impl Display) -> Answer {
    Answer::refusal(400, format!("Last-Event-ID {id:?}: {why}"))
}
