//! What the gateway tells of a question, as JSON: written by `run`, read by `query` and `doctor`.

use serde::{Deserialize, Serialize};

/// A question, and what came of it so far.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "Query"))]
pub struct QueryRow {
    /// Its id, 16 hexadecimal digits.
    pub query: String,
    pub name: String,
    /// No more answers come.
    pub over: bool,
    /// How many members are asked: those that live and take questions.
    pub asked: usize,
    /// In the order in which they came.
    pub answers: Vec<AnswerRow>,
    /// Those that have not answered yet.
    pub missing: Vec<AskedRow>,
}

/// What a member says.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "Answer"))]
pub struct AnswerRow {
    /// Its id.
    pub member: String,
    pub name: String,
    /// `received`: it has the question; `answer`; or `failed`: it cannot answer.
    pub what: String,
    /// The answer, or why there is none; what of it is no text is replaced.
    pub text: String,
    /// Milliseconds since it was asked.
    pub after_ms: u64,
}

/// A member that is asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "AskedMember"))]
pub struct AskedRow {
    /// Its id.
    pub member: String,
    pub name: String,
}
