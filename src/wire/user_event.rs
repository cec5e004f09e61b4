//! A user event: the payload of a rumor of our own (PROTOCOL.md §3).

use std::time::Duration;

use super::field::{Fields, Value, bytes_len, varint_len};
use super::rumor::{Out, at_most, member_id, text};
use crate::error::Reject;
use crate::limits::{MAX_EVENT_PAYLOAD, MAX_EVENT_TTL, MAX_VERSION, MIN_EVENT_TTL};
use crate::rumor::{Query, UserEvent, is_event_name};

/// The number of a question's terms in its message.
const QUERY: u32 = 10;

pub(super) fn read(payload: &[u8]) -> Result<UserEvent, Reject> {
    let (mut by, mut name, mut ttl) = (None, "", 0);
    let (mut event, mut body): (_, &[u8]) = (UserEvent::new("", []), &[]);
    let mut fields = Fields::new(payload);
    while let Some(field) = fields.next()? {
        match field {
            (1, Value::Bytes(id)) => by = Some(text(id)?),
            (2, Value::Varint(number)) => event.series = at_most(number, MAX_VERSION)?,
            (3, Value::Varint(number)) => event.number = at_most(number, MAX_VERSION)?,
            (4, Value::Varint(number)) => event.time = at_most(number, MAX_VERSION)?,
            (5, Value::Varint(number)) => event.lamport = at_most(number, MAX_VERSION)?,
            (6, Value::Varint(number)) => ttl = number,
            (7, Value::Varint(number)) => event.coalesce = number != 0,
            (8, Value::Bytes(bytes)) => name = text(bytes)?,
            (9, Value::Bytes(bytes)) => body = bytes,
            (QUERY, Value::Bytes(content)) => event.query = Some(read_query(content)?),
            _ => {}
        }
    }
    event.by = member_id(by.ok_or(Reject::MissingField)?)?;
    event.ttl = Duration::from_millis(ttl);
    let lasts = event.ttl >= MIN_EVENT_TTL && event.ttl <= MAX_EVENT_TTL;
    let is_good = event.query.as_ref().is_none_or(Query::is_good);
    if !lasts || event.number == 0 || !is_event_name(name) || !is_good {
        return Err(Reject::BadEvent);
    }
    if body.len() > MAX_EVENT_PAYLOAD {
        return Err(Reject::Oversized);
    }
    event.name = name.to_owned();
    event.payload = body.to_vec();
    Ok(event)
}

fn read_query(content: &[u8]) -> Result<Query, Reject> {
    let mut query = Query::default();
    let mut fields = Fields::new(content);
    while let Some(field) = fields.next()? {
        match field {
            (1, Value::Varint(number)) => query.id = number,
            (2, Value::Varint(millis)) => query.timeout = Duration::from_millis(millis),
            (3, Value::Bytes(bytes)) => query.members.push(text(bytes)?.to_owned()),
            (4, Value::Bytes(bytes)) => query.tags.push(text(bytes)?.to_owned()),
            _ => {}
        }
    }
    Ok(query)
}

fn write_query(out: &mut Out<'_>, query: &Query) {
    let timeout = query.timeout.as_millis() as u64;
    let texts = query.members.iter().chain(&query.tags);
    let texts: usize = texts.map(|text| bytes_len(text.len())).sum();
    out.head(
        QUERY,
        2 + varint_len(query.id) + varint_len(timeout) + texts,
    );
    out.number(1, query.id);
    out.number(2, timeout);
    for pattern in &query.members {
        out.bytes(3, pattern.as_bytes());
    }
    for tag in &query.tags {
        out.bytes(4, tag.as_bytes());
    }
}

pub(super) fn write(out: &mut Out<'_>, event: &UserEvent) {
    out.bytes(1, &event.by.to_hex());
    out.number(2, event.series);
    out.number(3, event.number);
    out.number(4, event.time);
    out.number(5, event.lamport);
    out.number(6, event.ttl.as_millis() as u64);
    out.number(7, event.coalesce.into());
    out.bytes(8, event.name.as_bytes());
    out.bytes(9, &event.payload);
    if let Some(query) = &event.query {
        write_query(out, query);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::member::MemberId;
    use crate::rumor::Rumor;
    use crate::wire::{encode_rumor, read_rumor};

    fn event(payload: usize) -> UserEvent {
        UserEvent {
            by: MemberId::from_bytes([7; 16]),
            series: 1_790_000_000_000,
            number: 3,
            time: 1_790_000_000_500,
            lamport: 12,
            coalesce: true,
            ..UserEvent::new("deploy", vec![9; payload])
        }
    }

    fn payload(event: &UserEvent) -> Vec<u8> {
        let mut payload = Vec::new();
        write(&mut Out(&mut payload), event);
        payload
    }

    #[test]
    fn events_survive_the_wire() {
        for bytes in [0, MAX_EVENT_PAYLOAD] {
            let mut event = event(bytes);
            event.query = (bytes > 0).then(|| Query {
                id: u64::MAX,
                timeout: Duration::from_millis(2_500),
                members: vec!["web-*".to_owned(), "abcd".to_owned()],
                tags: vec!["zone=eu".to_owned()],
            });
            let rumor = Rumor::UserEvent(event);
            let encoded = encode_rumor(&rumor, "ignored");
            let frame = read_rumor(&encoded.bytes).unwrap();
            assert_eq!(frame.rumor(), Ok(rumor));
            assert_eq!(frame.from_id, MemberId::from_bytes([7; 16]).to_string());
            assert_eq!(frame.payload, &encoded.bytes[encoded.payload..]);
        }
    }

    #[test]
    fn what_is_no_event_is_refused() {
        let large = event(MAX_EVENT_PAYLOAD + 1);
        assert_eq!(read(&payload(&large)), Err(Reject::Oversized));
        assert_eq!(read(&[]), Err(Reject::MissingField));
        let bad = [
            UserEvent {
                number: 0,
                ..event(1)
            },
            UserEvent {
                ttl: Duration::from_millis(999),
                ..event(1)
            },
            UserEvent {
                ttl: MAX_EVENT_TTL + Duration::from_millis(1),
                ..event(1)
            },
            UserEvent {
                name: "a b".to_owned(),
                ..event(1)
            },
            UserEvent {
                query: Some(Query {
                    timeout: Duration::ZERO,
                    ..Query::default()
                }),
                ..event(1)
            },
            UserEvent {
                name: String::new(),
                ..event(1)
            },
        ];
        for event in bad {
            assert_eq!(read(&payload(&event)), Err(Reject::BadEvent), "{event:?}");
        }
        let beyond = UserEvent {
            lamport: MAX_VERSION + 1,
            ..event(1)
        };
        assert_eq!(read(&payload(&beyond)), Err(Reject::BadVersion));
    }
}
