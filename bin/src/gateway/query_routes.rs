//! What the gateway is asked to ask all members.

use butterfly::{CommandError, UserEvent};
use serde_json::json;

use super::answer::Answer;
use super::http::Request;
use super::params::Params;
use super::routes::conflict;
use crate::agent::Agent;
use crate::cli::Seconds;

/// `POST /v1/query`
pub fn ask(agent: &mut Agent, request: &Request, params: &Params) -> Result<Answer, Answer> {
    let name: String = params.need("name")?;
    let mut question = UserEvent::query(name, &*request.body);
    if let Some(query) = &mut question.query {
        if let Some(Seconds(timeout)) = params.get("timeout")? {
            query.timeout = timeout;
        }
        query.members = params.all("member")?;
        query.tags = params.all("tag")?;
    }
    let asked = agent.ask(question).map_err(|error| match error {
        CommandError::BadEventName
        | CommandError::BadQuery
        | CommandError::EventTooLarge { .. } => Answer::refusal(400, error.to_string()),
        CommandError::TooManyEvents { .. } | CommandError::TooManyQueries(_) => {
            Answer::refusal(429, error.to_string())
        }
        error => conflict(error),
    })?;
    Ok(Answer::ok(&json!({ "query": format!("{asked:016x}") })))
}

/// `GET /v1/answers`
pub fn answers(agent: &mut Agent, _: &Request, params: &Params) -> Result<Answer, Answer> {
    let asked: String = params.need("query")?;
    let id = u64::from_str_radix(&asked, 16);
    let row = id.ok().and_then(|id| agent.answers(id));
    let unknown = || Answer::refusal(404, format!("no question {asked:?} is known here"));
    Ok(Answer::ok(&row.ok_or_else(unknown)?))
}
