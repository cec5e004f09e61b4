//! Dead members that are forgotten: the payload of a rumor of our own (PROTOCOL.md §3).

use super::field::{Fields, Value, bytes_len, varint_len};
use super::rumor::{Out, at_most, member_id, text};
use crate::error::Reject;
use crate::limits::{MAX_FORGOTTEN_AT_ONCE, MAX_VERSION};
use crate::member::{Incarnation, MemberId};
use crate::rumor::Forgotten;

/// The number of a member in its message.
const MEMBER: u32 = 3;

pub(super) fn read(payload: &[u8]) -> Result<Forgotten, Reject> {
    let (mut by, mut time, mut members) = (None, 0, Vec::new());
    let mut fields = Fields::new(payload);
    while let Some(field) = fields.next()? {
        match field {
            (1, Value::Bytes(id)) => by = Some(text(id)?),
            (2, Value::Varint(number)) => time = number,
            (MEMBER, Value::Bytes(content)) => members.push(read_member(content)?),
            _ => {}
        }
        if members.len() > MAX_FORGOTTEN_AT_ONCE {
            return Err(Reject::Oversized);
        }
    }
    let by = member_id(by.ok_or(Reject::MissingField)?)?;
    if members.is_empty() {
        return Err(Reject::MissingField);
    }
    Ok(Forgotten::new(by, time, members))
}

fn read_member(content: &[u8]) -> Result<(MemberId, Incarnation), Reject> {
    let (mut id, mut incarnation) = (None, 0);
    let mut fields = Fields::new(content);
    while let Some(field) = fields.next()? {
        match field {
            (1, Value::Bytes(bytes)) => id = Some(bytes),
            (2, Value::Varint(number)) => incarnation = at_most(number, MAX_VERSION)?,
            _ => {}
        }
    }
    let id = id.ok_or(Reject::MissingField)?;
    let id = id.try_into().map_err(|_| Reject::BadId)?;
    let incarnation = Incarnation::new(incarnation).ok_or(Reject::BadIncarnation)?;
    Ok((MemberId::from_bytes(id), incarnation))
}

pub(super) fn write(out: &mut Out<'_>, said: &Forgotten) {
    out.bytes(1, &said.by.to_hex());
    out.number(2, said.time);
    for (id, incarnation) in &said.members {
        let (id, incarnation) = (id.as_bytes(), incarnation.get());
        out.head(MEMBER, bytes_len(id.len()) + 1 + varint_len(incarnation));
        out.bytes(1, id);
        out.number(2, incarnation);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rumor::Rumor;
    use crate::wire::{encode_rumor, read_rumor};

    fn id(number: u16) -> MemberId {
        MemberId::from_bytes(u128::from(number).to_be_bytes())
    }

    fn forgotten(count: u16) -> Forgotten {
        let members =
            (0..count).map(|number| (id(number), Incarnation::new(number.into()).unwrap()));
        Forgotten::new(id(9), 1_790_000_000_000, members.collect())
    }

    #[test]
    fn the_forgotten_survive_the_wire_in_one_order() {
        let said = forgotten(MAX_FORGOTTEN_AT_ONCE as u16);
        let encoded = encode_rumor(&Rumor::Forgotten(said.clone()), "ignored");
        let frame = read_rumor(&encoded.bytes).unwrap();
        assert_eq!(frame.rumor(), Ok(Rumor::Forgotten(said.clone())));
        assert_eq!(frame.payload, &encoded.bytes[encoded.payload..]);
        assert!(encoded.bytes.len() < 8 << 10, "it is pushed unasked");
        let mut twice = said.members.clone();
        twice.extend(said.members.iter().map(|(id, _)| (*id, Incarnation::ZERO)));
        twice.truncate(MAX_FORGOTTEN_AT_ONCE + 2);
        assert_eq!(Forgotten::new(said.by, said.time, twice), said);
    }

    #[test]
    fn too_many_none_and_bad_ones_are_refused() {
        let payload = |said: &Forgotten| {
            let mut payload = Vec::new();
            write(&mut Out(&mut payload), said);
            payload
        };
        assert_eq!(read(&payload(&forgotten(0))), Err(Reject::MissingField));
        let many = forgotten(MAX_FORGOTTEN_AT_ONCE as u16 + 1);
        assert_eq!(read(&payload(&many)), Err(Reject::Oversized));
        let mut short = payload(&forgotten(0));
        Out(&mut short).bytes(3, b"\x0a\x02id");
        assert_eq!(read(&short), Err(Reject::BadId));
        let whole = payload(&forgotten(1));
        assert!(read(&whole[..whole.len() - 1]).is_err());
    }
}
