//! Questions to members: user events that are answered.

use std::time::Duration;

use super::{UserEvent, is_tag_key};
use crate::limits::{MAX_QUERY_TERMS, MAX_QUERY_TIMEOUT, MIN_QUERY_TIMEOUT, QUERY_TIMEOUT};
use crate::member::MemberId;
use crate::text::fits_pattern;

/// That a user event is a question: whom it asks, and for how long answers are taken.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Query {
    /// Names it at its asker's. Filled in by who sends it.
    pub id: u64,
    /// So long answers are taken.
    pub timeout: Duration,
    /// Patterns of names (`*` stands for any text, `?` for one character) or beginnings of ids of the members that are asked;
    /// none: all.
    pub members: Vec<String>,
    /// `KEY` or `KEY=VALUE`: tags that each of those has.
    pub tags: Vec<String>,
}

impl Default for Query {
    fn default() -> Self {
        Query {
            id: 0,
            timeout: QUERY_TIMEOUT,
            members: Vec::new(),
            tags: Vec::new(),
        }
    }
}

impl Query {
    /// Whether members take such a one.
    pub fn is_good(&self) -> bool {
        let lasts = self.timeout >= MIN_QUERY_TIMEOUT && self.timeout <= MAX_QUERY_TIMEOUT;
        let terms = self.members.iter().chain(&self.tags);
        let bytes: usize = terms.map(|term| 2 + term.len()).sum();
        let key = |tag: &String| is_tag_key(tag.split_once('=').map_or(&**tag, |(key, _)| key));
        lasts && bytes <= MAX_QUERY_TERMS && self.tags.iter().all(key)
    }

    /// Whether a member of this id and name is asked, whose tags have these values.
    pub fn asks<'t>(
        &self,
        id: MemberId,
        name: &str,
        value_of: impl Fn(&str) -> Option<&'t str>,
    ) -> bool {
        let is_named = |pattern: &String| {
            let is_id = pattern.len() >= 4 && id.to_string().starts_with(&**pattern);
            is_id || fits_pattern(pattern, name)
        };
        let has = |tag: &String| match tag.split_once('=') {
            Some((key, value)) => value_of(key) == Some(value),
            None => value_of(tag).is_some(),
        };
        let is_meant = self.members.is_empty() || self.members.iter().any(is_named);
        is_meant && self.tags.iter().all(has)
    }
}

/// What a member says to a question.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Answer {
    /// The question's [`Query::id`].
    pub query: u64,
    /// Who says it.
    pub member: MemberId,
    /// What it says.
    pub what: Answered,
}

/// How a member answers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Answered {
    /// It has the question, and may answer.
    Received,
    /// It answers.
    With(Vec<u8>),
    /// It cannot answer: why.
    Failed(String),
}

impl UserEvent {
    /// A question of this name to all members.
    pub fn query(name: impl Into<String>, payload: impl Into<Vec<u8>>) -> Self {
        UserEvent {
            query: Some(Query::default()),
            ..UserEvent::new(name, payload)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_asks_members_by_name_id_and_tags() {
        let id = MemberId::from_bytes([0xab; 16]);
        let value = |key: &str| match key {
            "zone" => Some("eu"),
            "role" => Some(""),
            _ => None,
        };
        let asks = |members: &[&str], tags: &[&str]| {
            let strings = |texts: &[&str]| texts.iter().map(|text| text.to_string()).collect();
            let query = Query {
                members: strings(members),
                tags: strings(tags),
                ..Query::default()
            };
            assert!(query.is_good());
            query.asks(id, "web-12", value)
        };
        assert!(asks(&[], &[]));
        assert!(asks(&["db-*", "web-??"], &["zone=eu", "role"]));
        assert!(asks(&["abab"], &[]));
        assert!(!asks(&["web-?"], &[]) && !asks(&["abac"], &[]));
        assert!(!asks(&[], &["zone=us"]) && !asks(&[], &["rack"]) && !asks(&[], &["role=web"]));
    }

    #[test]
    fn a_question_has_bounds() {
        let lasts = |timeout| Query {
            timeout,
            ..Query::default()
        };
        assert!(lasts(MIN_QUERY_TIMEOUT).is_good() && lasts(MAX_QUERY_TIMEOUT).is_good());
        assert!(!lasts(MIN_QUERY_TIMEOUT / 2).is_good() && !lasts(MAX_QUERY_TIMEOUT * 2).is_good());
        let tagged = |tag: &str| Query {
            tags: vec![tag.to_owned()],
            ..Query::default()
        };
        assert!(!tagged("a b=c").is_good() && !tagged("=c").is_good());
        assert!(!tagged(&format!("a={}", "c".repeat(MAX_QUERY_TERMS))).is_good());
    }
}
