//! What happened, as a name and fields: the Python half has a dataclass for each name.

use engine::rumor::Answered;
use engine::{Event, RumorId, SeedId};
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// An event's name and fields; `seed_number`: by which Python knows a seed.
pub fn told<'py>(
    python: Python<'py>,
    event: Event,
    seed_number: impl Fn(SeedId) -> usize,
) -> PyResult<(&'static str, Bound<'py, PyDict>)> {
    let fields = PyDict::new(python);
    let rumor = |id: &RumorId| -> PyResult<()> {
        fields.set_item("kind", id.kind.to_string())?;
        fields.set_item("key", &*id.key)?;
        fields.set_item("id", &*id.id)
    };
    let name = match event {
        Event::MemberChanged {
            id,
            addr,
            from,
            to,
            incarnation,
            cause,
            name,
            ..
        } => {
            fields.set_item("name", &*name)?;
            fields.set_item("id", id.to_string())?;
            fields.set_item("addr", addr.to_string())?;
            fields.set_item("before", from.map(|health| health.as_str()))?;
            fields.set_item("health", to.as_str())?;
            fields.set_item("incarnation", incarnation.get())?;
            fields.set_item("cause", cause.to_string())?;
            "MemberChanged"
        }
        Event::MemberRenamed {
            id, before, name, ..
        } => {
            fields.set_item("id", id.to_string())?;
            fields.set_item("before", &*before)?;
            fields.set_item("name", &*name)?;
            "MemberRenamed"
        }
        Event::MemberRestarted {
            id,
            incarnation,
            name,
            ..
        } => {
            fields.set_item("id", id.to_string())?;
            fields.set_item("incarnation", incarnation.get())?;
            fields.set_item("name", &*name)?;
            "MemberRestarted"
        }
        Event::MemberMoved {
            id,
            from,
            to,
            gossip_port,
            name,
            ..
        } => {
            fields.set_item("gossip_port", gossip_port)?;
            fields.set_item("name", &*name)?;
            fields.set_item("id", id.to_string())?;
            fields.set_item("before", from.to_string())?;
            fields.set_item("addr", to.to_string())?;
            "MemberMoved"
        }
        Event::Refuted {
            claimed,
            incarnation,
        } => {
            fields.set_item("claimed", claimed.as_str())?;
            fields.set_item("incarnation", incarnation.get())?;
            "Refuted"
        }
        Event::SeedDue { seed } => {
            fields.set_item("seed", seed_number(seed))?;
            "SeedDue"
        }
        Event::Rejected {
            reason,
            from,
            unreported,
        } => {
            fields.set_item("reason", reason.to_string())?;
            fields.set_item("source", from.to_string())?;
            fields.set_item("unreported", unreported)?;
            "Rejected"
        }
        Event::NewId { before, id } => {
            fields.set_item("before", before.to_string())?;
            fields.set_item("id", id.to_string())?;
            "NewId"
        }
        Event::OtherRing {
            from,
            named,
            theirs,
            ..
        } => {
            fields.set_item("source", from.to_string())?;
            fields.set_item("ring", named.then_some(theirs))?;
            "OtherRing"
        }
        Event::IdConflict { id, one, other, .. } => {
            fields.set_item("id", id.to_string())?;
            fields.set_item("one", one.to_string())?;
            fields.set_item("other", other.to_string())?;
            "IdConflict"
        }
        Event::Lagged { by } => {
            fields.set_item("seconds", by.as_secs_f64())?;
            "Lagged"
        }
        Event::Isolated { silent, .. } => {
            fields.set_item("seconds", silent.as_secs_f64())?;
            "Isolated"
        }
        Event::IsolationEnded { lasted, .. } => {
            fields.set_item("seconds", lasted.as_secs_f64())?;
            "IsolationEnded"
        }
        Event::TagsChanged { id, .. } => {
            fields.set_item("id", id.to_string())?;
            "TagsChanged"
        }
        Event::MemberForgotten { id, name, .. } => {
            fields.set_item("id", id.to_string())?;
            fields.set_item("name", &*name)?;
            "MemberForgotten"
        }
        Event::UserEvent(event) => {
            fields.set_item("by", event.by.to_string())?;
            fields.set_item("name", &event.name)?;
            fields.set_item("payload", &event.payload[..])?;
            fields.set_item("lamport", event.lamport)?;
            "UserEvent"
        }
        Event::Query(question) => {
            let terms = question.query.as_ref();
            fields.set_item("by", question.by.to_string())?;
            fields.set_item("query", terms.map_or(0, |terms| terms.id))?;
            fields.set_item(
                "timeout",
                terms.map_or(0.0, |terms| terms.timeout.as_secs_f64()),
            )?;
            fields.set_item("name", &question.name)?;
            fields.set_item("payload", &question.payload[..])?;
            "Query"
        }
        Event::Answer(said) => {
            let (payload, error) = match &said.what {
                Answered::With(payload) => (Some(&payload[..]), None),
                Answered::Failed(why) => (None, Some(why)),
                _ => (None, None),
            };
            fields.set_item("query", said.query)?;
            fields.set_item("member", said.member.to_string())?;
            fields.set_item("payload", payload)?;
            fields.set_item("error", error)?;
            "Answer"
        }
        Event::QueryOver { query, .. } => {
            fields.set_item("query", query)?;
            "QueryOver"
        }
        Event::RumorChanged { id, is_new, .. } => {
            rumor(&id)?;
            fields.set_item("is_new", is_new)?;
            "RumorChanged"
        }
        Event::RumorGone(id) => {
            rumor(&id)?;
            "RumorGone"
        }
        Event::RumorOverruled { id, version, .. } => {
            rumor(&id)?;
            fields.set_item("version", version)?;
            "RumorOverruled"
        }
        Event::LeaderElected {
            kind,
            group,
            leader,
            term,
            ..
        } => {
            fields.set_item("kind", kind.to_string())?;
            fields.set_item("group", group.as_str())?;
            fields.set_item("leader", leader.to_string())?;
            fields.set_item("term", term)?;
            "LeaderElected"
        }
        Event::Expelled => "Expelled",
        Event::Left => "Left",
        other => {
            fields.set_item("text", format!("{other:?}"))?;
            "Other"
        }
    };
    Ok((name, fields))
}
