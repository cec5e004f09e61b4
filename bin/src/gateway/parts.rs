//! JSON that is written part by part, so that a large ring delays nothing.

use std::collections::VecDeque;

use butterfly::{
    Butterfly, MemberId, MemberView, RumorId, RumorKind, RumorView, ServiceGroup, TagsView,
};

use crate::filter::{Glob, Healths};
use crate::rumor_row::RumorRow;
use crate::tags::Wanted;
use crate::view::MemberRow;

/// How many rows are looked at for one part.
const ROWS_PER_PART: usize = 32;
/// A part is whole when it has that many bytes: a few large rows are one.
const BYTES_PER_PART: usize = 64 << 10;

/// What is yet to be written, piece after piece.
#[derive(Debug, Default)]
pub struct Parts {
    pieces: VecDeque<Piece>,
    /// Of the first piece, rows that are written; `None`: it was not begun.
    written: Option<usize>,
}

#[derive(Debug)]
enum Piece {
    Text(Vec<u8>),
    Array(Rows),
}

impl Parts {
    /// As it is.
    pub fn text(mut self, text: impl Into<Vec<u8>>) -> Self {
        self.pieces.push_back(Piece::Text(text.into()));
        self
    }

    /// An array of the members that are known and meant now, each as it is when its turn comes.
    pub fn members(mut self, member: &Butterfly, which: Members) -> Self {
        let node = member.node();
        let fits = |view: &MemberView<'_>| which.fits(view, node.tags(view.member.id));
        let meant = node.members().filter(fits);
        let ids: Vec<_> = meant.map(|view| view.member.id).collect();
        self.pieces
            .push_back(Piece::Array(Rows::Members(ids.into_iter())));
        self
    }

    /// An array of the rumors, each as it is when its turn comes.
    pub fn rumors(mut self, which: Which) -> Self {
        let first = RumorId {
            kind: which.kind.unwrap_or(RumorKind::Service),
            key: "".into(),
            id: "".into(),
        };
        self.pieces
            .push_back(Piece::Array(Rows::Rumors { which, last: first }));
        self
    }

    /// The next part, never an empty one; `None`: all is written.
    pub fn next_part(&mut self, member: &Butterfly) -> Option<Vec<u8>> {
        let rows = match self.pieces.front_mut()? {
            Piece::Array(rows) => rows,
            Piece::Text(text) => {
                let text = std::mem::take(text);
                self.pieces.pop_front();
                return Some(text);
            }
        };
        let mut part = match self.written {
            None => b"[".to_vec(),
            Some(_) => b"\n".to_vec(),
        };
        let written = self.written.get_or_insert(0);
        for _ in 0..ROWS_PER_PART {
            match rows.next(member) {
                Row::Written(row) => {
                    part.extend_from_slice(if *written == 0 { b"\n" } else { b",\n" });
                    part.extend_from_slice(&row);
                    *written += 1;
                }
                Row::Passed => {}
                Row::None => {
                    part.extend_from_slice(b"\n]");
                    self.pieces.pop_front();
                    self.written = None;
                    break;
                }
            }
            if part.len() >= BYTES_PER_PART {
                break;
            }
        }
        Some(part)
    }
}

/// Which members are meant; none given: all.
#[derive(Clone, Debug, Default)]
pub struct Members {
    pub health: Option<Healths>,
    pub name: Option<Glob>,
    /// All of these.
    pub tags: Vec<Wanted>,
}

impl Members {
    fn fits(&self, view: &MemberView<'_>, tags: Option<TagsView<'_>>) -> bool {
        let health = self.health.as_ref();
        let name = self.name.as_ref();
        let value_of = |key: &str| Some(tags?.get(key)?.to_owned());
        self.tags.iter().all(|wanted| wanted.fits(value_of))
            && health.is_none_or(|healths| healths.have(view.health.as_str()))
            && name.is_none_or(|glob| glob.fits(view.name))
    }
}

/// Which rumors are meant.
#[derive(Clone, Debug, Default)]
pub struct Which {
    pub kind: Option<RumorKind>,
    pub group: Option<ServiceGroup>,
    /// Configurations and files that were removed are not.
    pub without_removed: bool,
    /// Only those that are still told to others are.
    pub only_hot: bool,
    /// What was given to services and groups is left out.
    pub without_bodies: bool,
}

impl Which {
    fn fits(&self, view: &RumorView<'_>) -> bool {
        let group = self.group.as_ref();
        let is_meant = group.is_none_or(|group| *view.id.key == *group.as_str());
        is_meant && !(self.without_removed && view.removed) && (view.hot || !self.only_hot)
    }

    fn is_past(&self, id: &RumorId) -> bool {
        self.kind.is_some_and(|kind| id.kind != kind)
    }
}

#[derive(Debug)]
enum Rows {
    Members(std::vec::IntoIter<MemberId>),
    Rumors {
        which: Which,
        /// The one that was looked at last.
        last: RumorId,
    },
}

enum Row {
    Written(Vec<u8>),
    /// It is gone meanwhile, or not meant.
    Passed,
    None,
}

impl Rows {
    fn next(&mut self, member: &Butterfly) -> Row {
        match self {
            Rows::Members(ids) => match ids.next() {
                Some(id) => member_row(member, id),
                None => Row::None,
            },
            Rows::Rumors { which, last } => {
                let next = member.node().rumors_after(last).next();
                let Some(view) = next.filter(|view| !which.is_past(view.id)) else {
                    return Row::None;
                };
                last.clone_from(view.id);
                if which.fits(&view) {
                    let row = RumorRow::of(&view, member.node());
                    written(match which.without_bodies {
                        true => row.map(RumorRow::without_body),
                        false => row,
                    })
                } else {
                    Row::Passed
                }
            }
        }
    }
}

fn member_row(member: &Butterfly, id: MemberId) -> Row {
    let node = member.node();
    let (view, tags) = (node.member(id), node.tags(id));
    written(view.map(|view| MemberRow::of(&view, tags.as_ref(), node.now())))
}

fn written(row: Option<impl serde::Serialize>) -> Row {
    match row.map(|row| serde_json::to_vec(&row)) {
        Some(Ok(text)) => Row::Written(text),
        Some(Err(_)) | None => Row::Passed,
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use butterfly::{Config, ServiceConfig, ServiceFile, Timing};

    use super::*;
    use crate::demo::ring::Ring;

    fn all_of(mut parts: Parts, member: &Butterfly) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| parts.next_part(member)).collect()
    }

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
        let parts = all_of(Parts::default().members(member, Members::default()), member);
        assert_eq!(parts.len(), 2);
        let rows: Vec<MemberRow> = serde_json::from_slice(&parts.concat()).unwrap();
        assert_eq!(rows.len(), count);
        assert_eq!(rows.iter().filter(|row| row.is_self).count(), 1);
    }

    fn member_with_rumors(groups: usize) -> Butterfly {
        let mut member = Butterfly::bind(Config::new("127.0.0.1:0".parse().unwrap())).unwrap();
        for number in 0..groups {
            let group: ServiceGroup = format!("group.{number}").parse().unwrap();
            let config = ServiceConfig::new(group.clone(), 1, "a = 1");
            member.apply_config(config).unwrap();
            let file = ServiceFile::new(group, 1, "a", vec![0]);
            member.apply_file(file).unwrap();
        }
        member
    }

    #[test]
    fn rumors_are_told_by_kind_and_group() {
        let member = member_with_rumors(100);
        let count = |kind: Option<RumorKind>, group: Option<&str>| {
            let group = group.map(|group| group.parse().unwrap());
            let which = Which {
                kind,
                group,
                ..Which::default()
            };
            let parts = all_of(Parts::default().rumors(which), &member);
            assert!(parts.iter().all(|part| !part.is_empty()));
            let rows: Vec<RumorRow> = serde_json::from_slice(&parts.concat()).unwrap();
            rows.len()
        };
        assert_eq!(count(None, None), 200);
        assert_eq!(count(Some(RumorKind::ServiceConfig), None), 100);
        assert_eq!(count(Some(RumorKind::Service), None), 0);
        assert_eq!(count(None, Some("group.77")), 2);
        assert_eq!(count(Some(RumorKind::ServiceFile), Some("group.99")), 1);
        assert_eq!(count(None, Some("group.100")), 0);
    }

    #[test]
    fn pieces_follow_each_other() {
        let member = member_with_rumors(1);
        let config = Which {
            kind: Some(RumorKind::ServiceConfig),
            ..Which::default()
        };
        let parts = Parts::default()
            .text("{\"members\":")
            .members(&member, Members::default())
            .text(",\"rumors\":")
            .rumors(config)
            .text("}\n");
        let text = all_of(parts, &member).concat();
        let json: serde_json::Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(json["members"].as_array().map(Vec::len), Some(1));
        assert_eq!(json["rumors"][0]["group"], "group.0");
    }
}
