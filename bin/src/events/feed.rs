//! The latest events of a member, for those who follow them: a buffer of bounded size, in which each reader has a place.

use std::collections::VecDeque;
use std::fmt::{self, Display};
use std::rc::Rc;
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;

use super::row::{EventRow, KINDS, Says};

/// The most events that are kept, and their bytes.
const MOST_ROWS: usize = 1_024;
const MOST_BYTES: usize = 256 << 10;
/// The most readers at a time.
pub const MOST_READERS: usize = 16;
/// Bytes that a reader is given at once: events until there are so many.
const PORTION: usize = 16 << 10;

/// So many events that a reader does not want pass until it is told where it is.
const SILENT: u64 = 64;

/// What happened lately.
pub struct Feed {
    /// When the member started, in milliseconds since 1970: numbers begin anew then.
    run: u64,
    rows: VecDeque<Row>,
    bytes: usize,
    /// The number of the first one that is kept.
    first: u64,
    /// One more than there are readers hold it.
    readers: Rc<()>,
    /// Readers that were cut off, as they took nothing.
    cut: u64,
}

struct Row {
    at: Timestamp,
    kind: &'static str,
    json: Box<str>,
}

/// Which event, as `RUN-NUMBER`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventId {
    run: u64,
    number: u64,
}

impl Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{}", self.run, self.number)
    }
}

impl FromStr for EventId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = text.split_once('-').and_then(|(run, number)| {
            let run = u64::from_str_radix(run, 16).ok()?;
            let number = number.parse().ok()?;
            Some(EventId { run, number })
        });
        parsed.ok_or("it is no id of an event, like 19a2b3c4d5e-17")
    }
}

/// Which kinds of events are wanted; none given: all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kinds(Vec<&'static str>);

impl FromStr for Kinds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let kind = |word: &str| {
            let known = KINDS.iter().find(|kind| **kind == word).copied();
            known.ok_or_else(|| format!("{word:?} is none of the kinds {}", KINDS.join(", ")))
        };
        text.split(',')
            .map(kind)
            .collect::<Result<_, _>>()
            .map(Kinds)
    }
}

impl Display for Kinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(","))
    }
}

impl Kinds {
    fn want(&self, kind: &str) -> bool {
        self.0.is_empty() || self.0.contains(&kind)
    }
}

/// Where a reader begins.
#[derive(Clone, Copy, Debug)]
pub enum Start {
    /// With what happens next.
    Now,
    /// With what happened this long ago.
    Ago(Duration),
    /// Behind this event, which it has.
    Behind(EventId),
}

/// A reader's place. Dropped, it makes room for another.
#[derive(Debug)]
pub struct Reader {
    next: u64,
    /// The event that it knows to have passed; `None`: it was told nothing yet.
    told: Option<u64>,
    kinds: Kinds,
    /// Where it began is of another run of the member: how many events it lacks is not known.
    is_of_other_run: bool,
    _readers: Rc<()>,
}

impl Feed {
    pub fn new(started: Timestamp) -> Self {
        Feed {
            run: u64::try_from(started.as_millisecond()).unwrap_or(0),
            rows: VecDeque::new(),
            bytes: 0,
            first: 1,
            readers: Rc::new(()),
            cut: 0,
        }
    }

    /// The number of the next event.
    pub fn end(&self) -> u64 {
        self.first + self.rows.len() as u64
    }

    /// How many read.
    pub fn readers(&self) -> usize {
        Rc::strong_count(&self.readers) - 1
    }

    /// How many were cut off, as they took nothing.
    pub fn cut(&self) -> u64 {
        self.cut
    }

    /// A reader that takes nothing is cut off.
    pub fn cut_off(&mut self) {
        self.cut += 1;
    }

    /// This happened; as those are told who follow.
    pub fn push(&mut self, at: Timestamp, says: Says) -> EventRow {
        let kind = KINDS.iter().find(|kind| **kind == says.kind);
        let number = self.end();
        let row = EventRow {
            id: EventId {
                run: self.run,
                number,
            }
            .to_string(),
            time: at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string(),
            says,
        };
        let (Some(kind), Ok(json)) = (kind, serde_json::to_string(&row)) else {
            return row;
        };
        self.bytes += json.len();
        self.rows.push_back(Row {
            at,
            kind,
            json: json.into(),
        });
        while self.rows.len() > MOST_ROWS || self.bytes > MOST_BYTES {
            let Some(oldest) = self.rows.pop_front() else {
                break;
            };
            self.bytes -= oldest.json.len();
            self.first += 1;
        }
        row
    }

    /// A place for a reader; `None`: there are too many.
    pub fn reader(&self, from: Start, kinds: Kinds) -> Option<Reader> {
        if self.readers() >= MOST_READERS {
            return None;
        }
        let (mut next, mut is_of_other_run) = (self.end(), false);
        match from {
            Start::Now => {}
            Start::Ago(ago) => {
                let since = Timestamp::now().saturating_sub(ago);
                let before = self
                    .rows
                    .iter()
                    .take_while(|row| since.as_ref().is_ok_and(|since| row.at < *since));
                next = self.first + before.count() as u64;
            }
            Start::Behind(EventId { run, number }) if run == self.run => {
                next = number.saturating_add(1).min(next)
            }
            Start::Behind(_) => (next, is_of_other_run) = (self.first, true),
        }
        Some(Reader {
            next,
            told: None,
            kinds,
            is_of_other_run,
            _readers: Rc::clone(&self.readers),
        })
    }
}

impl Reader {
    /// What it needs next is kept no more.
    pub fn is_behind(&self, feed: &Feed) -> bool {
        self.next < feed.first
    }

    /// The next portion of server-sent events; `None`: it has them all.
    pub fn next_portion(&mut self, feed: &Feed) -> Option<Vec<u8>> {
        let mut portion = String::new();
        if std::mem::take(&mut self.is_of_other_run) {
            portion += &lost(None);
        }
        if self.is_behind(feed) {
            portion += &lost(Some(feed.first - self.next));
            self.next = feed.first;
        }
        if self.told.is_none() {
            // A stream that ends before its first event goes on where it began.
            portion += &self.place(feed);
        }
        let behind = usize::try_from(self.next - feed.first).unwrap_or(usize::MAX);
        for row in feed.rows.iter().skip(behind) {
            if portion.len() >= PORTION {
                break;
            }
            if self.kinds.want(row.kind) {
                let id = EventId {
                    run: feed.run,
                    number: self.next,
                };
                portion += &format!("id: {id}\ndata: {}\n\n", row.json);
                self.told = Some(self.next);
            }
            self.next += 1;
        }
        if self.told.is_some_and(|told| self.next > told + SILENT + 1) {
            portion += &self.place(feed);
        }
        (!portion.is_empty()).then(|| portion.into_bytes())
    }

    /// What tells it where it is, and nothing else: the id of the event before the next.
    fn place(&mut self, feed: &Feed) -> String {
        let number = self.next.saturating_sub(1);
        self.told = Some(number);
        let run = feed.run;
        format!("id: {}\n\n", EventId { run, number })
    }
}

/// What says that a reader lacks so many events, or an unknown number of them.
fn lost(count: Option<u64>) -> String {
    let count = count.map_or("null".to_owned(), |count| count.to_string());
    format!("event: lost\ndata: {{\"kind\":\"lost\",\"lost\":{count}}}\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(run: i64) -> Feed {
        Feed::new(Timestamp::from_millisecond(run).unwrap())
    }

    fn push(feed: &mut Feed, kind: &str, text: &str) {
        let says = Says {
            kind: kind.into(),
            text: text.into(),
            ..Says::default()
        };
        feed.push(Timestamp::now(), says);
    }

    /// The rest of what a reader is told: the texts of the events, or how many are lost.
    fn told(reader: &mut Reader, feed: &Feed) -> Vec<String> {
        let portions: Vec<_> = std::iter::from_fn(|| reader.next_portion(feed)).collect();
        let text = String::from_utf8(portions.concat()).unwrap();
        let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
        let text = |json: &str| {
            let row: serde_json::Value = serde_json::from_str(json).unwrap();
            let text = row["text"].as_str().map(str::to_owned);
            text.unwrap_or_else(|| format!("lost {}", row["lost"]))
        };
        data.map(text).collect()
    }

    #[test]
    fn a_reader_goes_on_where_it_was() {
        let mut feed = feed(1_000);
        push(&mut feed, "alive", "one");
        let mut reader = feed.reader(Start::Now, Kinds::default()).unwrap();
        push(&mut feed, "suspect", "two");
        push(&mut feed, "alive", "three");
        assert_eq!(told(&mut reader, &feed), ["two", "three"]);
        assert_eq!(reader.next_portion(&feed), None);
        let behind = |id: &str| Start::Behind(id.parse().unwrap());
        let from = |from| feed.reader(from, Kinds::default()).unwrap();
        assert_eq!(told(&mut from(behind("3e8-1")), &feed), ["two", "three"]);
        assert!(told(&mut from(behind("3e8-3")), &feed).is_empty());
        assert!(told(&mut from(behind("3e8-99")), &feed).is_empty());
        assert_eq!(
            told(&mut from(behind("3e7-2")), &feed),
            ["lost null", "one", "two", "three"]
        );
        let all = Start::Ago(Duration::from_secs(60));
        assert_eq!(told(&mut from(all), &feed), ["one", "two", "three"]);
        assert!(told(&mut from(Start::Ago(Duration::ZERO)), &feed).is_empty());
        let mut alive = feed.reader(all, "alive,left".parse().unwrap()).unwrap();
        assert_eq!(told(&mut alive, &feed), ["one", "three"]);
    }

    #[test]
    fn what_is_kept_is_bounded_and_what_a_reader_lacks_is_told() {
        let mut feed = feed(1);
        let mut reader = feed.reader(Start::Now, Kinds::default()).unwrap();
        (0..MOST_ROWS + 5).for_each(|number| push(&mut feed, "alive", &number.to_string()));
        assert!(reader.is_behind(&feed));
        let texts = told(&mut reader, &feed);
        assert_eq!(
            (texts.len(), &*texts[0], &*texts[1]),
            (MOST_ROWS + 1, "lost 5", "5")
        );
        let long = "x".repeat(MOST_BYTES / 8);
        (0..20).for_each(|_| push(&mut feed, "file", &long));
        assert!(
            feed.bytes <= MOST_BYTES && feed.rows.len() == 7,
            "{}",
            feed.rows.len()
        );
        assert_eq!(
            feed.bytes,
            feed.rows.iter().map(|row| row.json.len()).sum::<usize>()
        );
    }

    #[test]
    fn readers_are_few_and_make_room_when_they_go() {
        let feed = feed(1);
        let reader = || feed.reader(Start::Now, Kinds::default());
        let mut all: Vec<_> = (0..MOST_READERS).map(|_| reader().unwrap()).collect();
        assert!(reader().is_none());
        all.pop();
        assert!(reader().is_some());
        drop(all);
        assert_eq!(feed.readers(), 0);
    }

    #[test]
    fn a_reader_that_is_told_no_event_still_knows_its_place() {
        let mut feed = feed(1_000);
        let places = |reader: &mut Reader, feed: &Feed| {
            let portions: Vec<_> = std::iter::from_fn(|| reader.next_portion(feed)).collect();
            String::from_utf8(portions.concat()).unwrap()
        };
        let mut reader = feed.reader(Start::Now, "left".parse().unwrap()).unwrap();
        assert_eq!(places(&mut reader, &feed), "id: 3e8-0\n\n");
        (0..SILENT).for_each(|_| push(&mut feed, "alive", "x"));
        assert_eq!(places(&mut reader, &feed), "");
        push(&mut feed, "alive", "x");
        assert_eq!(places(&mut reader, &feed), "id: 3e8-65\n\n");
        push(&mut feed, "alive", "next");
        let again = Start::Behind("3e8-65".parse().unwrap());
        let mut again = feed.reader(again, Kinds::default()).unwrap();
        assert_eq!(told(&mut again, &feed), ["next"]);
    }

    #[test]
    fn ids_and_kinds_are_read_strictly() {
        let id: EventId = "19a2b3c4d5e-17".parse().unwrap();
        assert_eq!(id.to_string(), "19a2b3c4d5e-17");
        for text in ["", "1", "-", "1-", "-1", "x-1", "1-x", "1-1-1", "1--1"] {
            assert!(text.parse::<EventId>().is_err(), "{text}");
        }
        let kinds: Kinds = "alive,config".parse().unwrap();
        assert_eq!(kinds.to_string(), "alive,config");
        assert!(kinds.want("config") && !kinds.want("file"));
        for text in ["", "alive,", "dead", "alive config"] {
            assert!(text.parse::<Kinds>().is_err(), "{text}");
        }
    }
}
