//! Lines → participants, messages from one to the other, and what members did by themselves.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use butterfly::text::visible;

use super::lines::Line;
use crate::failure::Failure;
use crate::output::count;

/// The most that the clocks of two hosts differ for a message to be found at both ends, and that one is looked for.
const CLOCKS: u128 = 5_000_000;
const PATIENCE: u128 = 10_000_000_000;

/// By number: columns, from left to right.
pub type Column = usize;

/// Somebody in the picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Participant {
    /// What it is called.
    pub title: String,
    id: String,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Its receiver has it.
    Arrived,
    /// The same, after so long.
    Late(Duration),
    /// Its receiver writes lines, and has none of it.
    Lost,
    /// Its receiver writes no lines, or its sender does not.
    Unknown,
}

/// Something to draw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Nanoseconds after the first line: when it was sent, or happened.
    pub at: u128,
    /// When it arrived, if it did.
    pub arrived: u128,
    pub from: Column,
    /// The same as `from`: it is no message.
    pub to: Column,
    /// `SendPing`, `ProbeBegin` and so on.
    pub kind: String,
    pub fate: Fate,
    /// What it carried, or is about.
    pub details: String,
}

impl Item {
    pub fn is_message(&self) -> bool {
        self.from != self.to
    }
}

/// All of it.
#[derive(Clone, Debug)]
pub struct Picture {
    pub participants: Vec<Participant>,
    /// In the order of time.
    pub items: Vec<Item>,
}

/// Finds the member behind an id or an address: others may know only its address.
#[derive(Default)]
struct Names {
    participants: Vec<Participant>,
    by_id: HashMap<String, Column>,
    by_addr: HashMap<String, Column>,
    /// Those that write lines.
    writes: Vec<bool>,
}

impl Names {
    fn of(lines: &[Line], known: &HashMap<String, String>) -> Self {
        let mut names = Names::default();
        for line in lines {
            let key = if line.id.is_empty() {
                &line.name
            } else {
                &line.id
            };
            let column = names.column_of(key);
            names.writes[column] = true;
            let named = &mut names.participants[column].title;
            if !line.name.is_empty() && line.name != line.id {
                *named = visible(&line.name).into_owned();
            }
            if !line.listening.is_empty() {
                names
                    .by_addr
                    .entry(line.listening.clone())
                    .or_insert(column);
            }
        }
        for line in lines.iter().filter(|line| !line.to_id.is_empty()) {
            let column = names.column_of(&line.to_id);
            if !line.to_addr.is_empty() {
                names.by_addr.entry(line.to_addr.clone()).or_insert(column);
            }
            if let Some(name) = known.get(&line.to_id) {
                names.participants[column].title = visible(name).into_owned();
            }
        }
        for line in lines.iter().filter(|line| line.to_id.is_empty()) {
            if !line.to_addr.is_empty() && !names.by_addr.contains_key(&line.to_addr) {
                let column = names.add(&line.to_addr);
                names.by_addr.insert(line.to_addr.clone(), column);
            }
        }
        names
    }

    fn add(&mut self, key: &str) -> Column {
        let is_id = key.len() == 32 && key.bytes().all(|byte| byte.is_ascii_hexdigit());
        let title = if is_id { &key[..8] } else { key };
        self.participants.push(Participant {
            title: visible(title).into_owned(),
            id: key.to_owned(),
        });
        self.writes.push(false);
        self.participants.len() - 1
    }

    fn column_of(&mut self, key: &str) -> Column {
        if let Some(column) = self.by_id.get(key) {
            return *column;
        }
        let column = self.add(key);
        self.by_id.insert(key.to_owned(), column);
        column
    }

    fn writer(&self, line: &Line) -> Column {
        let key = if line.id.is_empty() {
            &line.name
        } else {
            &line.id
        };
        self.by_id.get(key).copied().unwrap_or(0)
    }

    /// The other side of a message: where a datagram came from counts more than who says to have begun it.
    fn other(&self, line: &Line) -> Option<Column> {
        let by_addr = self.by_addr.get(&line.to_addr);
        by_addr.or_else(|| self.by_id.get(&line.to_id)).copied()
    }
}

/// What of a message both ends call the same.
fn class(kind: &str) -> Option<&str> {
    let class = kind
        .strip_prefix("Send")
        .or_else(|| kind.strip_prefix("Recv"))?;
    Some(if class == "ForwardAck" { "Ack" } else { class })
}

impl Picture {
    /// Of lines in the order of time; a message that takes longer than this is late.
    pub fn of(lines: Vec<Line>, known: &HashMap<String, String>, late: Duration) -> Self {
        let names = Names::of(&lines, known);
        let first = lines.first().map_or(0, |line| line.at);
        let mut items: Vec<Item> = Vec::new();
        // Messages of which nothing is known yet at the other end, by way and class.
        let mut open: BTreeMap<(Column, Column, String), Vec<usize>> = BTreeMap::new();
        let mut arrivals = Vec::new();
        for line in &lines {
            let (me, at) = (names.writer(line), line.at - first);
            let other = names.other(line);
            let item = Item {
                at,
                arrived: at,
                from: me,
                to: me,
                kind: line.kind.clone(),
                fate: Fate::Unknown,
                details: details(line, &names),
            };
            match (class(&line.kind), other) {
                (Some(class), Some(other)) if other != me && line.kind.starts_with("Send") => {
                    let way = (me, other, class.to_owned());
                    open.entry(way).or_default().push(items.len());
                    let fate = match names.writes[other] {
                        true => Fate::Lost,
                        false => Fate::Unknown,
                    };
                    items.push(Item {
                        to: other,
                        fate,
                        ..item
                    });
                }
                (Some(class), Some(other)) if other != me => {
                    arrivals.push((other, me, class.to_owned(), item));
                }
                // At a host's own clock, that of a message to nobody known.
                _ => items.push(item),
            }
        }
        for (from, to, class, item) in arrivals {
            let way = open.get_mut(&(from, to, class));
            let fits = |sent: &Item| {
                sent.at <= item.at + CLOCKS && item.at.saturating_sub(sent.at) <= PATIENCE
            };
            let sent = way.and_then(|way| {
                // The last that says the same, else the last: what came before it is lost, or comes late.
                let same = |place: &&usize| {
                    let sent = &items[**place];
                    fits(sent) && sent.details == item.details
                };
                let near = |place: &&usize| fits(&items[**place]);
                let found = way
                    .iter()
                    .rev()
                    .find(same)
                    .or_else(|| way.iter().rev().find(near));
                let found = *found?;
                way.retain(|place| *place != found);
                Some(found)
            });
            match sent {
                Some(place) => {
                    let sent = &mut items[place];
                    sent.arrived = item.at.max(sent.at);
                    let took = u64::try_from(sent.arrived - sent.at).unwrap_or(u64::MAX);
                    let took = Duration::from_nanos(took);
                    sent.fate = match took > late {
                        true => Fate::Late(took),
                        false => Fate::Arrived,
                    };
                }
                None => items.push(Item { from, to, ..item }),
            }
        }
        items.sort_by_key(|item| item.at);
        Picture {
            participants: names.participants,
            items,
        }
    }

    /// What these members have to do with, in this span after the first line; without any, of all.
    pub fn only(
        mut self,
        members: &[String],
        (from, until): (Option<Duration>, Option<Duration>),
    ) -> Result<Self, Failure> {
        let mut chosen = Vec::new();
        for text in members {
            let is_meant = |it: &Participant| it.title == *text || it.id.starts_with(text.as_str());
            let meant: Vec<Column> = (0..self.participants.len())
                .filter(|column| is_meant(&self.participants[*column]))
                .collect();
            match meant[..] {
                [one] => chosen.push(one),
                [] => {
                    let all: Vec<_> = self.participants.iter().map(|it| &*it.title).collect();
                    return Err(Failure::failed(format_args!(
                        "nobody there has the name or the beginning of an id {text:?}: there are {}",
                        all.join(", ")
                    )));
                }
                _ => {
                    return Err(Failure::failed(format_args!(
                        "{text:?} may mean {} of those that are there: give an id",
                        meant.len()
                    )));
                }
            }
        }
        let from = from.map_or(0, |from| from.as_nanos());
        let until = until.map_or(u128::MAX, |until| until.as_nanos());
        self.items.retain(|item| {
            let is_chosen = |column: &Column| chosen.contains(column);
            let is_meant = chosen.is_empty() || is_chosen(&item.from) || is_chosen(&item.to);
            is_meant && item.arrived >= from && item.at <= until
        });
        self.drop_unseen();
        Ok(self)
    }

    /// Those stay that something happens to.
    fn drop_unseen(&mut self) {
        let mut places = vec![None; self.participants.len()];
        let mut seen = Vec::new();
        for item in &mut self.items {
            for column in [&mut item.from, &mut item.to] {
                let place = *places[*column].get_or_insert_with(|| {
                    seen.push(self.participants[*column].clone());
                    seen.len() - 1
                });
                *column = place;
            }
        }
        self.participants = seen;
    }

    /// Rows that it takes: a message has two ends.
    pub fn rows(&self) -> usize {
        let messages = self.items.iter().filter(|item| item.is_message()).count();
        self.items.len() + messages
    }

    /// What is in it, in a sentence.
    pub fn summary(&self) -> String {
        let is = |fate: fn(Fate) -> bool| {
            let messages = self.items.iter().filter(|item| item.is_message());
            messages.filter(|item| fate(item.fate)).count()
        };
        format!(
            "{} of {}: {} lost, {} late",
            count(is(|_| true), "message"),
            count(self.participants.len(), "member"),
            is(|fate| fate == Fate::Lost),
            is(|fate| matches!(fate, Fate::Late(_)))
        )
    }
}

/// What rides along, with names for ids.
fn details(line: &Line, names: &Names) -> String {
    let word = |word: &str| {
        let (id, rest) = word.split_at_checked(32).unwrap_or((word, ""));
        match names.by_id.get(id) {
            Some(column) => format!("{}{rest}", names.participants[*column].title),
            None => visible(word).into_owned(),
        }
    };
    let words = line
        .swim
        .split_whitespace()
        .chain(line.rumor.split_whitespace());
    words.map(word).collect::<Vec<_>>().join(" ")
}

/// How long after the first line.
pub fn since(at: u128) -> String {
    let tenths = at / 100_000;
    match tenths {
        0..10_000 => format!("+{}.{} ms", tenths / 10, tenths % 10),
        _ => format!("+{}.{:04} s", tenths / 10_000, tenths % 10_000),
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A line of the member of this name at that millisecond.
    fn line(at: u128, name: &str, kind: &str, to: &str, swim: &str) -> Line {
        let id = |name: &str| match name {
            "" => String::new(),
            name => name.repeat(32)[..32].to_owned(),
        };
        Line {
            at: at * 1_000_000,
            kind: kind.to_owned(),
            name: name.to_owned(),
            id: id(name),
            to_id: id(to),
            to_addr: if to.is_empty() {
                String::new()
            } else {
                format!("{to}:1")
            },
            listening: format!("{name}:1"),
            swim: swim.to_owned(),
            rumor: String::new(),
        }
    }

    /// a pings b three times: the first is lost, the second comes late, the third at once; c writes nothing.
    pub fn sample() -> Picture {
        let mut lines = vec![
            line(0, "a", "ProbeBegin", "b", ""),
            line(1, "a", "SendPing", "b", "x-1-Suspect"),
            line(100, "a", "SendPing", "b", ""),
            line(200, "a", "SendPing", "b", "y-1-Alive"),
            line(201, "b", "RecvPing", "a", "y-1-Alive"),
            line(450, "b", "RecvPing", "a", ""),
            line(451, "b", "SendAck", "a", ""),
            line(452, "a", "RecvAck", "b", ""),
            line(460, "a", "SendPing", "c", ""),
            line(2_000, "b", "MemberUpdate", "a", ""),
        ];
        lines.sort_by_key(|line| line.at);
        Picture::of(lines, &HashMap::new(), Duration::from_millis(100))
    }

    fn fates(picture: &Picture) -> Vec<(String, Fate)> {
        let messages = picture.items.iter().filter(|item| item.is_message());
        let way = |item: &Item| {
            let title = |column: Column| &*picture.participants[column].title;
            format!("{}{} {}", title(item.from), title(item.to), item.kind)
        };
        messages.map(|item| (way(item), item.fate)).collect()
    }

    #[test]
    fn a_message_is_lost_late_or_there() {
        let picture = sample();
        let late = Fate::Late(Duration::from_millis(350));
        let ping = |to: &str, fate| (format!("a{to} SendPing"), fate);
        let cs = "c".repeat(8);
        assert_eq!(
            fates(&picture),
            [
                ping("b", Fate::Lost),
                ping("b", late),
                ping("b", Fate::Arrived),
                ("ba SendAck".to_owned(), Fate::Arrived),
                ping(&cs, Fate::Unknown),
            ]
        );
        assert_eq!(picture.summary(), "5 messages of 3 members: 1 lost, 1 late");
        assert_eq!(picture.rows(), 12);
    }

    #[test]
    fn what_comes_from_nowhere_is_drawn_all_the_same() {
        let lines = vec![line(5, "b", "RecvPing", "a", "")];
        let picture = Picture::of(lines, &HashMap::new(), Duration::ZERO);
        assert_eq!(
            fates(&picture),
            [("aaaaaaaab RecvPing".to_owned(), Fate::Unknown)]
        );
    }

    #[test]
    fn members_and_a_span_are_chosen() {
        let only = |members: &[&str], from, until| {
            let members: Vec<_> = members.iter().map(|it| it.to_string()).collect();
            sample().only(&members, (from, until))
        };
        let ms = |ms| Some(Duration::from_millis(ms));
        assert_eq!(only(&["cccc"], None, None).unwrap().items.len(), 1);
        assert_eq!(only(&["cccc"], None, None).unwrap().participants.len(), 2);
        assert_eq!(only(&[], ms(1_000), None).unwrap().items.len(), 1);
        // Sent before, and there within the span.
        assert_eq!(only(&["b"], ms(400), ms(455)).unwrap().items.len(), 2);
        let nobody = only(&["nobody"], None, None).unwrap_err().to_string();
        assert!(nobody.contains("there are a, b, cccccccc"), "{nobody}");
    }

    #[test]
    fn times_are_as_long_as_they_need_to_be() {
        assert_eq!(since(1_250_000), "+1.2 ms");
        assert_eq!(since(1_234_560_000), "+1.2345 s");
    }
}
