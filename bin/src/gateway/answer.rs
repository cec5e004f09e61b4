//! What the gateway answers.

use butterfly::{Butterfly, MemberId};
use serde::Serialize;
use serde_json::json;

use crate::view::MemberRow;

/// How many members are written in one go.
const ROWS_PER_PART: usize = 32;

/// A status and a body of JSON.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Body,
    /// One header that this status needs.
    pub header: Option<(&'static str, &'static str)>,
}

/// What is answered.
#[derive(Debug)]
pub enum Body {
    /// All of it.
    Whole(Vec<u8>),
    /// A list of members, written part by part, so that a large ring delays nothing.
    Members(MemberList),
}

impl Answer {
    /// This, with status 200.
    pub fn ok(value: &impl Serialize) -> Self {
        match serde_json::to_vec(value) {
            Ok(mut text) => {
                text.push(b'\n');
                Answer {
                    status: 200,
                    body: Body::Whole(text),
                    header: None,
                }
            }
            Err(error) => Answer::refusal(500, error.to_string()),
        }
    }

    /// All members that are known now.
    pub fn members(member: &Butterfly) -> Self {
        let ids: Vec<_> = member.node().members().map(|view| view.member.id).collect();
        let list = MemberList {
            ids: ids.into_iter(),
            written: 0,
            stage: Stage::Begin,
        };
        Answer {
            status: 200,
            body: Body::Members(list),
            header: None,
        }
    }

    /// A status that is no success, with what to do about it.
    pub fn refusal(status: u16, message: String) -> Self {
        let mut text = json!({ "error": message }).to_string().into_bytes();
        text.push(b'\n');
        Answer {
            status,
            body: Body::Whole(text),
            header: None,
        }
    }

    /// The same with a header.
    pub fn with_header(mut self, name: &'static str, value: &'static str) -> Self {
        self.header = Some((name, value));
        self
    }
}

/// The members that were known when it was asked for, each as it is when its turn comes.
#[derive(Debug)]
pub struct MemberList {
    ids: std::vec::IntoIter<MemberId>,
    written: usize,
    stage: Stage,
}

#[derive(Debug, PartialEq, Eq)]
enum Stage {
    Begin,
    Rows,
    End,
}

impl MemberList {
    /// The next part of the JSON array; `None`: it is whole.
    pub fn next_part(&mut self, member: &Butterfly) -> Option<Vec<u8>> {
        let mut part = match self.stage {
            Stage::Begin => b"[".to_vec(),
            Stage::Rows => Vec::new(),
            Stage::End => return None,
        };
        self.stage = Stage::Rows;
        for _ in 0..ROWS_PER_PART {
            let Some(id) = self.ids.next() else {
                self.stage = Stage::End;
                part.extend_from_slice(b"\n]\n");
                break;
            };
            self.write_row(&mut part, member, id);
        }
        Some(part)
    }

    /// One row, unless the member was forgotten meanwhile.
    fn write_row(&mut self, part: &mut Vec<u8>, member: &Butterfly, id: MemberId) {
        let Some(view) = member.node().member(id) else {
            return;
        };
        let Ok(row) = serde_json::to_vec(&MemberRow::of(&view, member.now())) else {
            return;
        };
        part.extend_from_slice(if self.written == 0 { b"\n" } else { b",\n" });
        part.extend_from_slice(&row);
        self.written += 1;
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use butterfly::Timing;

    use super::*;
    use crate::demo::ring::Ring;

    #[test]
    fn a_list_longer_than_a_part_is_one_array() {
        let count = ROWS_PER_PART + 8;
        let names = (0..count).map(|number| format!("m{number}")).collect();
        let mut ring = Ring::new(names, Timing::local()).unwrap();
        let seed = ring.start(0, None).unwrap();
        for place in 1..count {
            ring.start(place, Some(seed)).unwrap();
        }
        let end = Instant::now() + Duration::from_secs(20);
        let known = |ring: &Ring| {
            ring.running()
                .next()
                .map(|(_, member)| member.node().counts().alive)
        };
        while known(&ring) != Some(count) {
            assert!(Instant::now() < end);
            ring.turn(end).unwrap();
        }

        let (_, member) = ring.running().next().unwrap();
        let Body::Members(mut list) = Answer::members(member).body else {
            panic!("no list");
        };
        let parts: Vec<_> = std::iter::from_fn(|| list.next_part(member)).collect();
        assert_eq!(parts.len(), 2);
        let rows: Vec<MemberRow> = serde_json::from_slice(&parts.concat()).unwrap();
        assert_eq!(rows.len(), count);
        assert_eq!(rows.iter().filter(|row| row.is_self).count(), 1);
    }
}
