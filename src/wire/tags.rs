//! The tags of a member: the payload of a rumor of our own (PROTOCOL.md §3).

use super::field::{BYTES, Fields, Value, bytes_len, tag};
use super::rumor::{Out, at_most, member_id, text};
use crate::error::Reject;
use crate::limits::MAX_VERSION;
use crate::rumor::{TagSet, Tags};

/// The number of a tag in its message.
const TAG: u32 = 3;

pub(super) fn read(payload: &[u8]) -> Result<Tags, Reject> {
    let (mut member, mut incarnation, mut set) = (None, 0, TagSet::new());
    let mut fields = Fields::new(payload);
    while let Some(field) = fields.next()? {
        match field {
            (1, Value::Bytes(id)) => member = Some(text(id)?),
            (2, Value::Varint(number)) => incarnation = at_most(number, MAX_VERSION)?,
            (TAG, Value::Bytes(content)) => {
                let (key, value) = read_tag(content)?;
                set.insert(key, value).map_err(|_| Reject::BadTags)?;
            }
            _ => {}
        }
    }
    let member = member_id(member.ok_or(Reject::MissingField)?)?;
    Ok(Tags::new(member, incarnation, set))
}

fn read_tag(content: &[u8]) -> Result<(&str, &str), Reject> {
    let (mut key, mut value) = ("", "");
    let mut fields = Fields::new(content);
    while let Some(field) = fields.next()? {
        match field {
            (1, Value::Bytes(bytes)) => key = text(bytes)?,
            (2, Value::Bytes(bytes)) => value = text(bytes)?,
            _ => {}
        }
    }
    Ok((key, value))
}

pub(super) fn write(out: &mut Out<'_>, tags: &Tags) {
    out.bytes(1, &tags.member.to_hex());
    out.number(2, tags.incarnation);
    for (key, value) in tags.set.iter() {
        out.head(TAG, bytes_len(key.len()) + bytes_len(value.len()));
        out.bytes(1, key.as_bytes());
        out.bytes(2, value.as_bytes());
    }
}

/// The tags in a payload that was written here, by their keys; nothing is copied.
#[derive(Clone, Copy, Debug, Default)]
pub struct TagPairs<'a>(Fields<'a>);

impl<'a> TagPairs<'a> {
    /// Those of this payload.
    pub fn new(payload: &'a [u8]) -> Self {
        TagPairs(Fields::new(payload))
    }
}

impl<'a> Iterator for TagPairs<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let (TAG, Value::Bytes(content)) = self.0.next().ok()?? {
                return read_tag(content).ok();
            }
        }
    }
}

const _: () = assert!(tag(TAG as u8, BYTES) < 0x80, "its tag takes one byte");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::member::MemberId;
    use crate::rumor::Rumor;
    use crate::wire::{encode_rumor, read_rumor};

    fn tags(pairs: &[(&str, &str)]) -> Tags {
        let mut set = TagSet::new();
        for (key, value) in pairs {
            set.insert(*key, *value).unwrap();
        }
        Tags::new(MemberId::from_bytes([7; 16]), 9, set)
    }

    #[test]
    fn tags_survive_the_wire_and_are_read_without_a_copy() {
        for pairs in [&[][..], &[("role", ""), ("zone", "eu-1")]] {
            let rumor = Rumor::Tags(tags(pairs));
            let encoded = encode_rumor(&rumor, "ignored");
            let frame = read_rumor(&encoded.bytes).unwrap();
            assert_eq!(frame.rumor(), Ok(rumor));
            assert_eq!(frame.from_id, MemberId::from_bytes([7; 16]).to_string());
            let payload = &encoded.bytes[encoded.payload..];
            assert_eq!(payload, frame.payload);
            assert!(TagPairs::new(payload).eq(pairs.iter().copied()));
        }
    }

    /// As a member that sorts them otherwise, or says one twice, would write them.
    #[test]
    fn tags_in_any_order_are_kept_in_one() {
        let mut payload = Vec::new();
        write(&mut Out(&mut payload), &tags(&[]));
        for (key, value) in [("b", "1"), ("a", "2"), ("b", "3")] {
            let mut one = Vec::new();
            write(&mut Out(&mut one), &tags(&[(key, value)]));
            let mut none = Vec::new();
            write(&mut Out(&mut none), &tags(&[]));
            payload.extend_from_slice(&one[none.len()..]);
        }
        assert_eq!(read(&payload), Ok(tags(&[("a", "2"), ("b", "3")])));
    }

    #[test]
    fn what_is_no_tag_is_refused() {
        let with = |content: &[u8]| {
            let mut payload = Vec::new();
            let out = &mut Out(&mut payload);
            write(out, &tags(&[]));
            out.bytes(3, content);
            read(&payload)
        };
        assert_eq!(with(&[]), Err(Reject::BadTags), "it has no key");
        assert_eq!(with(b"\x0a\x01="), Err(Reject::BadTags));
        assert_eq!(with(b"\x0a\x01k\x12\x01\n"), Err(Reject::BadTags));
        assert_eq!(with(b"\x0a\x01k\x12\x01\xff"), Err(Reject::BadUtf8));
        assert_eq!(with(b"\x0a\x05k"), Err(Reject::Truncated));
        assert_eq!(read(&[]), Err(Reject::MissingField));
    }
}
