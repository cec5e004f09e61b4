//! What users say and ask: user events, and questions to members.

use std::ffi::c_char;
use std::time::Duration;

use engine::{MemberId, UserEvent};

use crate::member::{butterfly, refused, with};
use crate::raw;
use crate::status::{Failure, butterfly_status};

/// Tells all living members that run Butterfly an event, each once, in this member's order. `payload` has `length` bytes, 64
/// KiB at most, and may be NULL; it is told to members that start within `ttl_ms` milliseconds (0: 60,000); `coalesce`: of
/// several of this name within a second only the last counts.
///
/// # Safety
/// It is NULL or valid, and nobody else uses it; `name` is NULL or a text; `payload` has so many bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn butterfly_send_event(
    member: *mut butterfly,
    name: *const c_char,
    payload: *const u8,
    length: usize,
    ttl_ms: u64,
    coalesce: bool,
) -> butterfly_status {
    let act = |member: &mut butterfly| {
        // SAFETY: the caller's.
        let (name, payload) = unsafe {
            (
                raw::text("name", name)?,
                raw::items("payload", payload, length)?,
            )
        };
        let mut event = UserEvent::new(name, payload);
        event.coalesce = coalesce;
        if ttl_ms > 0 {
            event.ttl = Duration::from_millis(ttl_ms);
        }
        member.member.send_event(event).map(drop).map_err(refused)
    };
    // SAFETY: the caller's.
    unsafe { with(member, act) }
}

/// Asks living members that run Butterfly. `members`: patterns of names or beginnings of ids, `tags`: "KEY" or "KEY=VALUE"
/// that each has; none: all. Answers come as BUTTERFLY_ANSWER for `timeout_ms` milliseconds (0: the default), and then
/// BUTTERFLY_QUERY_OVER; the number that both have goes to `query`.
///
/// # Safety
/// It is NULL or valid, and nobody else uses it; `name` is NULL or a text; `payload` has so many bytes; there are so many
/// texts; a number can be written to `query`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn butterfly_query(
    member: *mut butterfly,
    name: *const c_char,
    payload: *const u8,
    length: usize,
    members: *const *const c_char,
    member_count: usize,
    tags: *const *const c_char,
    tag_count: usize,
    timeout_ms: u64,
    query: *mut u64,
) -> butterfly_status {
    let act = |member: &mut butterfly| {
        // SAFETY: the caller's, here and below.
        let (name, payload, number) = unsafe {
            let name = raw::text("name", name)?;
            let payload = raw::items("payload", payload, length)?;
            (name, payload, raw::exclusive("query", query)?)
        };
        let texts = |what, first, count| -> Result<Vec<String>, Failure> {
            let items = unsafe { raw::items(what, first, count) }?;
            let text = |text: &*const c_char| unsafe { raw::text(what, *text) }.map(str::to_owned);
            items.iter().map(text).collect()
        };
        let mut question = UserEvent::query(name, payload);
        if let Some(terms) = &mut question.query {
            terms.members = texts("members", members, member_count)?;
            terms.tags = texts("tags", tags, tag_count)?;
            if timeout_ms > 0 {
                terms.timeout = Duration::from_millis(timeout_ms);
            }
        }
        let sent = member.member.send_event(question).map_err(refused)?;
        *number = sent.query.map_or(0, |query| query.id);
        Ok(())
    };
    // SAFETY: the caller's.
    unsafe { with(member, act) }
}

/// Answers the question of that number of the member `by`, see BUTTERFLY_QUERY: with `length` bytes of payload, 400 at most;
/// or, if `why` is not NULL, says why there is no answer.
///
/// # Safety
/// It is NULL or valid, and nobody else uses it; `by` and `why` are NULL or texts; `payload` has so many bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn butterfly_answer_query(
    member: *mut butterfly,
    by: *const c_char,
    query: u64,
    payload: *const u8,
    length: usize,
    why: *const c_char,
) -> butterfly_status {
    let act = |member: &mut butterfly| {
        // SAFETY: the caller's.
        let (by, payload, why) = unsafe {
            let by: MemberId = raw::parsed("by", by)?;
            let payload = raw::items("payload", payload, length)?;
            (by, payload, raw::optional_text("why", why)?)
        };
        let mut question = UserEvent::query("", "");
        question.by = by;
        if let Some(terms) = &mut question.query {
            terms.id = query;
        }
        let answer = why.map_or(Ok(payload), Err);
        member.member.answer(&question, answer).map_err(refused)
    };
    // SAFETY: the caller's.
    unsafe { with(member, act) }
}
