//! What the gateway is asked to tell all members.

use butterfly::{CommandError, UserEvent};
use serde_json::json;

use super::answer::Answer;
use super::http::Request;
use super::params::Params;
use super::routes::conflict;
use crate::agent::Agent;
use crate::cli::Seconds;

/// `POST /v1/event`
pub fn send(agent: &mut Agent, request: &Request, params: &Params) -> Result<Answer, Answer> {
    let name: String = params.need("name")?;
    let mut event = UserEvent::new(name, &*request.body);
    if let Some(Seconds(ttl)) = params.get("ttl")? {
        event.ttl = ttl;
    }
    event.coalesce = params.get("coalesce")?.unwrap_or(false);
    let sent = agent
        .member
        .send_event(event)
        .map_err(|error| match error {
            CommandError::BadEventName
            | CommandError::BadEventTtl
            | CommandError::EventTooLarge { .. } => Answer::refusal(400, error.to_string()),
            CommandError::TooManyEvents { .. } => Answer::refusal(429, error.to_string()),
            error => conflict(error),
        })?;
    Ok(Answer::ok(
        &json!({ "number": sent.number, "lamport": sent.lamport }),
    ))
}
