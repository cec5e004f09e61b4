//! What monitoring asks of the gateway: metrics, and whether this member is well.

use serde_json::json;

use super::answer::Answer;
use super::http::Request;
use super::params::Params;
use crate::agent::Agent;
use crate::metrics;

/// `GET /metrics`
pub fn metrics(agent: &mut Agent, _: &Request, _: &Params) -> Result<Answer, Answer> {
    Ok(Answer::text(metrics::CONTENT_TYPE, metrics::text(agent)))
}

/// `GET /healthz`: that it is answered says that the loop turns.
pub fn healthz(_: &mut Agent, _: &Request, _: &Params) -> Result<Answer, Answer> {
    Ok(Answer::ok(&json!({ "healthy": true })))
}

/// `GET /readyz`
pub fn readyz(agent: &mut Agent, _: &Request, params: &Params) -> Result<Answer, Answer> {
    let least: Option<usize> = params.get("alive")?;
    match agent.why_not_ready(least) {
        None => Ok(Answer::ok(&json!({ "ready": true }))),
        Some(why) => Err(Answer::refusal(503, format!("not ready: {why}"))),
    }
}
