//! What happened, as C reads it.

use std::ffi::{CString, c_char};
use std::net::SocketAddr;

use engine::rumor::Answered;
use engine::{Event, Health, MemberId, RumorId, RumorKind, UserEvent};

use crate::member::{butterfly, with};
use crate::raw;

/// How a member fares, from best to worst.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum butterfly_health {
    /// It is not known.
    BUTTERFLY_UNKNOWN = 0,
    /// It answers, or nobody has said otherwise.
    BUTTERFLY_ALIVE = 1,
    /// It did not answer a probe, and may still refute that.
    BUTTERFLY_SUSPECT = 2,
    /// Nobody vouched for it in time: it counts as dead.
    BUTTERFLY_CONFIRMED = 3,
    /// It left, or was dead for so long that it is given up.
    BUTTERFLY_DEPARTED = 4,
}

/// What happened, and which member of the event's union tells of it. A later version may have more: pass over those.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum butterfly_kind {
    /// Something that this version's structure has no place for; `text` has it in words.
    BUTTERFLY_OTHER = 0,
    /// A member became known, or its health changed: `member_changed`.
    BUTTERFLY_MEMBER_CHANGED = 1,
    /// A member is at another address than before: `moved`.
    BUTTERFLY_MEMBER_MOVED = 2,
    /// This member heard something untrue of itself, and refuted it. At most once a second.
    BUTTERFLY_REFUTED = 3,
    /// It is time to resolve the name of a seed: `seed`; see butterfly_join_named().
    BUTTERFLY_SEED_DUE = 4,
    /// Something that came was dropped; `text` says why, `from` whence.
    BUTTERFLY_REJECTED = 5,
    /// This member goes on under a new id: `id`.
    BUTTERFLY_NEW_ID = 6,
    /// A member of another ring sent a message; `text` is its ring's name, empty if it has none, `from` where it is.
    BUTTERFLY_OTHER_RING = 7,
    /// Two processes use one id: `id`.
    BUTTERFLY_ID_CONFLICT = 8,
    /// butterfly_process() was called late: `lag_us`.
    BUTTERFLY_LAGGED = 9,
    /// A rumor is new here, or says something else than before: `rumor`.
    BUTTERFLY_RUMOR_CHANGED = 10,
    /// A rumor is held no more: `rumor`.
    BUTTERFLY_RUMOR_GONE = 11,
    /// A configuration or file that was given here lost against another of the same version: `rumor`.
    BUTTERFLY_RUMOR_OVERRULED = 12,
    /// A group has a leader: `leader`.
    BUTTERFLY_LEADER_ELECTED = 13,
    /// This member was told to depart for good: it has to end, and its id cannot be used again.
    BUTTERFLY_EXPELLED = 14,
    /// Leaving is done: the member can be freed.
    BUTTERFLY_LEFT = 15,
    /// This member has heard no other for some periods, though it knows some: what it believes of them is old.
    /// `silent_us`: since when.
    BUTTERFLY_ISOLATED = 16,
    /// It hears another one again, or knows none any more. `silent_us`: how long it heard nobody.
    BUTTERFLY_ISOLATION_ENDED = 17,
    /// A member has another name than before: `renamed`.
    BUTTERFLY_MEMBER_RENAMED = 18,
    /// A member answers as another process than before, it was started again: `restarted`.
    BUTTERFLY_MEMBER_RESTARTED = 19,
    /// A member says something else of itself than before: `id`; see butterfly_tags_new().
    BUTTERFLY_TAGS_CHANGED = 20,
    /// A dead member was forgotten: `id`; `text` is the name that it had.
    BUTTERFLY_MEMBER_FORGOTTEN = 21,
    /// A user event, of this member's own too: `user_event`; each comes once, those of one sender in its order.
    BUTTERFLY_USER_EVENT = 22,
    /// A member, maybe this one, asks this one: `user_event`; answer with butterfly_answer_query().
    BUTTERFLY_QUERY = 23,
    /// What a member says to a question of butterfly_query(): `answer`.
    BUTTERFLY_ANSWER = 24,
    /// No more answers to a question of butterfly_query() are taken: `query`.
    BUTTERFLY_QUERY_OVER = 25,
}

use butterfly_kind::*;

/// A member became known, or its health changed.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct butterfly_member_changed {
    /// Who: 32 hexadecimal digits.
    pub id: [c_char; 33],
    /// Where it is, "IP:PORT".
    pub addr: [c_char; 64],
    /// Its health before.
    pub from: butterfly_health,
    /// Its health now.
    pub to: butterfly_health,
    /// The incarnation of the record that says so.
    pub incarnation: u64,
    /// Its name, empty if it has none. Valid until the next butterfly_next_event().
    pub name: *const c_char,
}

/// A member has another name than before.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct butterfly_renamed {
    /// Who: 32 hexadecimal digits.
    pub id: [c_char; 33],
    /// Its name before, empty if it had none. Valid until the next butterfly_next_event().
    pub before: *const c_char,
    /// Its name now. Valid until the next butterfly_next_event().
    pub name: *const c_char,
}

/// A member was started again.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct butterfly_restarted {
    /// Who: 32 hexadecimal digits.
    pub id: [c_char; 33],
    /// Its incarnation now.
    pub incarnation: u64,
    /// Its name, empty if it has none. Valid until the next butterfly_next_event().
    pub name: *const c_char,
}

/// A member is at another address than before, or takes gossip at another port.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct butterfly_moved {
    /// Who: 32 hexadecimal digits.
    pub id: [c_char; 33],
    /// Where it was, "IP:PORT".
    pub from: [c_char; 64],
    /// Where it is, "IP:PORT"; as before, if only its port for gossip changed.
    pub to: [c_char; 64],
    /// Its TCP port for gossip; 0: it takes none.
    pub gossip_port: u16,
    /// Its name, empty if it has none. Valid until the next butterfly_next_event().
    pub name: *const c_char,
}

/// Which rumor it is.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct butterfly_rumor {
    /// Its kind, as on the wire: 2 service, 3 election, 4 configuration, 5 file, 8 update election, 9 departure.
    pub kind: i32,
    /// The service group; of a departure, "departure". Valid until the next butterfly_next_event().
    pub key: *const c_char,
    /// The member's id, or the file's name, or a constant. Valid until the next butterfly_next_event().
    pub id: *const c_char,
    /// Of BUTTERFLY_RUMOR_CHANGED: it was not held before.
    pub is_new: bool,
}

/// A group has a leader.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct butterfly_leader {
    /// The kind of election: 3, or 8 for updates.
    pub kind: i32,
    /// The group. Valid until the next butterfly_next_event().
    pub group: *const c_char,
    /// Who leads: 32 hexadecimal digits.
    pub leader: [c_char; 33],
    /// The term of the election.
    pub term: u64,
}

/// A user event, or a question.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct butterfly_user_event {
    /// Who sent it: 32 hexadecimal digits.
    pub by: [c_char; 33],
    /// Of a question: its number at its asker's.
    pub query: u64,
    /// What it is about. Valid until the next butterfly_next_event(), as is the payload.
    pub name: *const c_char,
    /// What it says.
    pub payload: *const u8,
    /// How many bytes that is.
    pub length: usize,
    /// Its Lamport time: higher than that of every event that its sender had heard of.
    pub lamport: u64,
}

/// How a member answers a question.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum butterfly_answered {
    /// It has the question, and may answer.
    BUTTERFLY_RECEIVED = 0,
    /// It answers.
    BUTTERFLY_ANSWERED = 1,
    /// It cannot answer; the event's `text` says why.
    BUTTERFLY_NO_ANSWER = 2,
}

/// What a member says to a question.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct butterfly_answer {
    /// The question's number.
    pub query: u64,
    /// Who says it: 32 hexadecimal digits.
    pub member: [c_char; 33],
    /// How it answers.
    pub how: butterfly_answered,
    /// What it says. Valid until the next butterfly_next_event().
    pub payload: *const u8,
    /// How many bytes that is.
    pub length: usize,
}

/// What an event tells beside its kind.
#[repr(C)]
#[derive(Clone, Copy)]
pub union butterfly_told {
    /// Of BUTTERFLY_MEMBER_CHANGED.
    pub member_changed: butterfly_member_changed,
    /// Of BUTTERFLY_MEMBER_MOVED.
    pub moved: butterfly_moved,
    /// Of BUTTERFLY_MEMBER_RENAMED.
    pub renamed: butterfly_renamed,
    /// Of BUTTERFLY_MEMBER_RESTARTED.
    pub restarted: butterfly_restarted,
    /// Of BUTTERFLY_RUMOR_CHANGED, _GONE and _OVERRULED.
    pub rumor: butterfly_rumor,
    /// Of BUTTERFLY_LEADER_ELECTED.
    pub leader: butterfly_leader,
    /// Of BUTTERFLY_USER_EVENT and BUTTERFLY_QUERY.
    pub user_event: butterfly_user_event,
    /// Of BUTTERFLY_ANSWER.
    pub answer: butterfly_answer,
    /// Of BUTTERFLY_QUERY_OVER: the question's number.
    pub query: u64,
    /// Of BUTTERFLY_SEED_DUE: the number that butterfly_join_named() gave.
    pub seed: u32,
    /// Of BUTTERFLY_LAGGED: by how many microseconds.
    pub lag_us: u64,
    /// Of BUTTERFLY_ISOLATED and BUTTERFLY_ISOLATION_ENDED: how many microseconds.
    pub silent_us: u64,
    /// Of BUTTERFLY_NEW_ID, _ID_CONFLICT, _TAGS_CHANGED and _MEMBER_FORGOTTEN: 32 hexadecimal digits.
    pub id: [c_char; 33],
    /// Of BUTTERFLY_REJECTED and BUTTERFLY_OTHER_RING: where it came from, "IP:PORT".
    pub from: [c_char; 64],
}

/// Something that happened.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct butterfly_event {
    /// What.
    pub kind: butterfly_kind,
    /// In words: why a member's health changed, or what the kind says. Never NULL; valid until the next
    /// butterfly_next_event() of this member, or until it is freed.
    pub text: *const c_char,
    /// The rest, by the kind.
    pub told: butterfly_told,
}

/// What the last event's texts point to.
#[derive(Default)]
pub(crate) struct Texts {
    text: CString,
    key: CString,
    id: CString,
    payload: Vec<u8>,
}

/// The next event goes to `event`, of which the caller knows `size` bytes: sizeof(butterfly_event). Whether there was one;
/// butterfly_last_error() stays as it is when there is none.
/// Take them all after each butterfly_process(). What they point to is the member's, and valid until the next call.
///
/// # Safety
/// The member is NULL or valid, and nobody else uses it; so many bytes can be written to `event`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn butterfly_next_event(
    member: *mut butterfly,
    event: *mut butterfly_event,
    size: usize,
) -> bool {
    let mut there_was = false;
    let act = |member: &mut butterfly| {
        // An event that cannot be given is not taken.
        raw::check_room("event", event, size, size_of::<butterfly_kind>())?;
        if let Some(happened) = member.member.poll_event() {
            let told = tell(member, happened);
            // SAFETY: the caller's.
            unsafe { raw::give("event", event, size, &told) }?;
            there_was = true;
        }
        Ok(())
    };
    // SAFETY: the caller's.
    unsafe { with(member, act) };
    there_was
}

fn tell(member: &mut butterfly, event: Event) -> butterfly_event {
    let seed = match event {
        Event::SeedDue { seed } => member.number_of(seed),
        _ => 0,
    };
    let texts = &mut member.texts;
    *texts = Texts::default();
    let (kind, text, told) = match event {
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
            texts.key = raw::text_for_c(&name);
            let member_changed = butterfly_member_changed {
                id: hex(id),
                addr: place(addr),
                from: health(from),
                to: health(Some(to)),
                incarnation: incarnation.get(),
                name: texts.key.as_ptr(),
            };
            let told = butterfly_told { member_changed };
            (BUTTERFLY_MEMBER_CHANGED, cause.to_string(), told)
        }
        Event::MemberMoved {
            id,
            from,
            to,
            gossip_port,
            name,
            ..
        } => {
            texts.key = raw::text_for_c(&name);
            let moved = butterfly_moved {
                id: hex(id),
                from: place(from),
                to: place(to),
                gossip_port,
                name: texts.key.as_ptr(),
            };
            let text = match from == to {
                true => format!("it takes gossip at port {gossip_port} now"),
                false => format!("it is at {to} now, and was at {from}"),
            };
            (BUTTERFLY_MEMBER_MOVED, text, butterfly_told { moved })
        }
        Event::MemberRenamed {
            id, before, name, ..
        } => {
            (texts.key, texts.id) = (raw::text_for_c(&before), raw::text_for_c(&name));
            let renamed = butterfly_renamed {
                id: hex(id),
                before: texts.key.as_ptr(),
                name: texts.id.as_ptr(),
            };
            let text = format!("its name is {name:?} now, and was {before:?}");
            (BUTTERFLY_MEMBER_RENAMED, text, butterfly_told { renamed })
        }
        Event::MemberRestarted {
            id,
            incarnation,
            name,
            ..
        } => {
            texts.key = raw::text_for_c(&name);
            let restarted = butterfly_restarted {
                id: hex(id),
                incarnation: incarnation.get(),
                name: texts.key.as_ptr(),
            };
            let text = "it was started again".to_owned();
            (
                BUTTERFLY_MEMBER_RESTARTED,
                text,
                butterfly_told { restarted },
            )
        }
        Event::Refuted {
            claimed,
            incarnation,
        } => {
            let text =
                format!("refuted that this member is {claimed}, by incarnation {incarnation}");
            (BUTTERFLY_REFUTED, text, butterfly_told { seed: 0 })
        }
        Event::SeedDue { .. } => {
            let text = "resolve the name of this seed".to_owned();
            (BUTTERFLY_SEED_DUE, text, butterfly_told { seed })
        }
        Event::Rejected { reason, from, .. } => {
            let told = butterfly_told { from: place(from) };
            (BUTTERFLY_REJECTED, reason.to_string(), told)
        }
        Event::NewId { before, id } => {
            let text = format!("no incarnation was left for {before}");
            (BUTTERFLY_NEW_ID, text, butterfly_told { id: hex(id) })
        }
        Event::OtherRing { from, theirs, .. } => (
            BUTTERFLY_OTHER_RING,
            theirs,
            butterfly_told { from: place(from) },
        ),
        Event::IdConflict { id, one, other, .. } => {
            let text = format!("two processes use this id, at {one} and at {other}");
            (BUTTERFLY_ID_CONFLICT, text, butterfly_told { id: hex(id) })
        }
        Event::Lagged { by } => {
            let lag_us = u64::try_from(by.as_micros()).unwrap_or(u64::MAX);
            let text = format!("the loop was late by {by:?}");
            (BUTTERFLY_LAGGED, text, butterfly_told { lag_us })
        }
        Event::Isolated { silent, .. } => {
            let silent_us = u64::try_from(silent.as_micros()).unwrap_or(u64::MAX);
            let text = format!("it has heard no other member for {silent:?}");
            (BUTTERFLY_ISOLATED, text, butterfly_told { silent_us })
        }
        Event::IsolationEnded { lasted, .. } => {
            let silent_us = u64::try_from(lasted.as_micros()).unwrap_or(u64::MAX);
            let text = format!("it had heard no other member for {lasted:?}");
            (
                BUTTERFLY_ISOLATION_ENDED,
                text,
                butterfly_told { silent_us },
            )
        }
        Event::TagsChanged { id, .. } => {
            let text = "it says something else of itself".to_owned();
            (BUTTERFLY_TAGS_CHANGED, text, butterfly_told { id: hex(id) })
        }
        Event::MemberForgotten { id, name, .. } => {
            let told = butterfly_told { id: hex(id) };
            (BUTTERFLY_MEMBER_FORGOTTEN, name.to_string(), told)
        }
        Event::UserEvent(event) => {
            let text = format!("user event {}", event.name);
            (BUTTERFLY_USER_EVENT, text, said(texts, &event))
        }
        Event::Query(question) => {
            let text = format!("question {}", question.name);
            (BUTTERFLY_QUERY, text, said(texts, &question))
        }
        Event::Answer(said) => {
            let (how, text) = match &said.what {
                Answered::With(payload) => {
                    texts.payload.clone_from(payload);
                    (
                        butterfly_answered::BUTTERFLY_ANSWERED,
                        "it answers".to_owned(),
                    )
                }
                Answered::Failed(why) => (butterfly_answered::BUTTERFLY_NO_ANSWER, why.clone()),
                _ => (
                    butterfly_answered::BUTTERFLY_RECEIVED,
                    "it has the question".to_owned(),
                ),
            };
            let answer = butterfly_answer {
                query: said.query,
                member: hex(said.member),
                how,
                payload: texts.payload.as_ptr(),
                length: texts.payload.len(),
            };
            (BUTTERFLY_ANSWER, text, butterfly_told { answer })
        }
        Event::QueryOver { query, .. } => {
            let text = "no more answers are taken".to_owned();
            (BUTTERFLY_QUERY_OVER, text, butterfly_told { query })
        }
        Event::RumorChanged { id, is_new, .. } => {
            let told = named(texts, &id, is_new);
            (BUTTERFLY_RUMOR_CHANGED, id.to_string(), told)
        }
        Event::RumorGone(id) => (
            BUTTERFLY_RUMOR_GONE,
            id.to_string(),
            named(texts, &id, false),
        ),
        Event::RumorOverruled { id, version, .. } => {
            let text = format!("{id}: another one of version {version} is kept");
            (BUTTERFLY_RUMOR_OVERRULED, text, named(texts, &id, false))
        }
        Event::LeaderElected {
            kind,
            group,
            leader,
            term,
            ..
        } => {
            let text = format!("{leader} leads {group} in term {term}");
            texts.key = raw::text_for_c(group.as_str());
            let leader = butterfly_leader {
                kind: kind as i32,
                group: texts.key.as_ptr(),
                leader: hex(leader),
                term,
            };
            (BUTTERFLY_LEADER_ELECTED, text, butterfly_told { leader })
        }
        Event::Expelled => {
            let text = "this member was told to depart for good".to_owned();
            (BUTTERFLY_EXPELLED, text, butterfly_told { seed: 0 })
        }
        Event::Left => {
            let text = "others were told that this member leaves".to_owned();
            (BUTTERFLY_LEFT, text, butterfly_told { seed: 0 })
        }
        other => (
            BUTTERFLY_OTHER,
            format!("{other:?}"),
            butterfly_told { seed: 0 },
        ),
    };
    texts.text = raw::text_for_c(&text);
    butterfly_event {
        kind,
        text: texts.text.as_ptr(),
        told,
    }
}

fn said(texts: &mut Texts, event: &UserEvent) -> butterfly_told {
    texts.key = raw::text_for_c(&event.name);
    texts.payload.clone_from(&event.payload);
    let user_event = butterfly_user_event {
        by: hex(event.by),
        query: event.query.as_ref().map_or(0, |query| query.id),
        name: texts.key.as_ptr(),
        payload: texts.payload.as_ptr(),
        length: texts.payload.len(),
        lamport: event.lamport,
    };
    butterfly_told { user_event }
}

fn named(texts: &mut Texts, id: &RumorId, is_new: bool) -> butterfly_told {
    (texts.key, texts.id) = (raw::text_for_c(&id.key), raw::text_for_c(&id.id));
    let kind: RumorKind = id.kind;
    let rumor = butterfly_rumor {
        kind: kind as i32,
        key: texts.key.as_ptr(),
        id: texts.id.as_ptr(),
        is_new,
    };
    butterfly_told { rumor }
}

pub(crate) fn health(health: Option<Health>) -> butterfly_health {
    match health {
        None => butterfly_health::BUTTERFLY_UNKNOWN,
        Some(Health::Alive) => butterfly_health::BUTTERFLY_ALIVE,
        Some(Health::Suspect) => butterfly_health::BUTTERFLY_SUSPECT,
        Some(Health::Confirmed) => butterfly_health::BUTTERFLY_CONFIRMED,
        Some(Health::Departed) => butterfly_health::BUTTERFLY_DEPARTED,
    }
}

pub(crate) fn hex(id: MemberId) -> [c_char; 33] {
    raw::fixed(&id.to_string())
}

pub(crate) fn place(addr: SocketAddr) -> [c_char; 64] {
    raw::fixed(&addr.to_string())
}
