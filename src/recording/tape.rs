//! Inputs → bytes.
//!
//! A record is a number, whose highest bit says that another time follows than that of the record before, and its fields.

use std::collections::VecDeque;
use std::fmt::{self, Write as _};
use std::hash::{DefaultHasher, Hasher};

use super::code::{Bad, Code, Cursor, fields};
use super::input::Input;
use super::nouns::Beginning;
use crate::event::Event;
use crate::limits::{MARK_INTERVAL, RECORDED_CHUNK};
use crate::time::Time;

/// The first bytes of every recording; the digit is the version of its format.
pub const MAGIC: &[u8; 22] = b"butterfly recording 1\n";

const BEGINNING: u8 = 120;
const MARK: u8 = 121;
const END: u8 = 122;
/// Another time follows.
const LATER: u8 = 0x80;
/// Buffers that are kept to be used again.
const SPARE: usize = 4;

/// Why a recording ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The member ended.
    Finished,
    /// It has the size that it may have.
    Full,
}

impl End {
    /// A chunk that says so, and nothing else.
    pub(crate) fn alone(self) -> Vec<u8> {
        vec![END, self as u8]
    }
}

/// What a replay must have come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Counts them.
    pub number: u64,
    /// Stands for the node's state.
    pub state: u64,
    /// Stands for all events that were taken.
    pub events: u64,
}

fields!(Mark {
    number,
    state,
    events
});

/// Stands for all events that it was given.
#[derive(Clone, Default)]
pub(crate) struct EventSum(DefaultHasher);

impl EventSum {
    pub fn add(&mut self, event: &Event) {
        // It writes into a hasher, which takes all.
        let _ = writeln!(self, "{event:?}");
    }

    pub fn sum(&self) -> u64 {
        self.0.finish()
    }
}

impl fmt::Write for EventSum {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}

/// What a recording consists of.
#[allow(clippy::large_enum_variant)] // There is one at a time, and most are inputs.
#[derive(Clone, Debug)]
pub(crate) enum Record<'a> {
    Beginning(Box<Beginning>),
    Input(Input<'a>),
    Mark(Mark),
    End(End),
}

impl<'a> Record<'a> {
    /// Reads the next one; `time` is that of the one before, and then its own.
    pub fn get(from: &mut Cursor<'a>, time: &mut Time) -> Result<Self, Bad> {
        let number = from.byte()?;
        if number & LATER != 0 {
            let steps = u64::get(from)?;
            // Even: forwards; odd: backwards.
            let by = steps >> 1 ^ (steps & 1).wrapping_neg();
            *time = Time::from_micros(time.as_micros().wrapping_add(by));
        }
        Ok(match number & !LATER {
            BEGINNING => Record::Beginning(Code::get(from)?),
            MARK => Record::Mark(Code::get(from)?),
            END => Record::End(match from.byte()? {
                0 => End::Finished,
                1 => End::Full,
                _ => return Err(Bad),
            }),
            number => Record::Input(Input::get(number, from)?),
        })
    }
}

impl<'a, T: Code<'a>> Code<'a> for Box<T> {
    fn put(&self, out: &mut Vec<u8>) {
        T::put(self, out);
    }

    fn get(from: &mut Cursor<'a>) -> Result<Self, Bad> {
        T::get(from).map(Box::new)
    }
}

/// What was recorded and not yet taken.
pub(crate) struct Tape {
    bytes: Vec<u8>,
    /// Chunks that are done.
    chunks: VecDeque<Vec<u8>>,
    /// Buffers that were used before.
    spare: Vec<Vec<u8>>,
    /// The time of the last record.
    time: Time,
    /// When the next mark is due.
    next_mark: Time,
    marks: u64,
    events: EventSum,
    backlog: bool,
}

impl Tape {
    pub fn new(beginning: Beginning) -> Self {
        let mut tape = Tape {
            bytes: Vec::new(),
            chunks: VecDeque::new(),
            spare: Vec::new(),
            time: Time::ZERO,
            next_mark: beginning.now + MARK_INTERVAL,
            marks: 0,
            events: EventSum::default(),
            backlog: false,
        };
        tape.begin(BEGINNING, Some(beginning.now));
        beginning.put(&mut tape.bytes);
        tape
    }

    fn begin(&mut self, number: u8, time: Option<Time>) {
        if self.bytes.len() >= RECORDED_CHUNK {
            self.cut();
        }
        match time.filter(|time| *time != self.time) {
            None => self.bytes.push(number),
            Some(time) => {
                self.bytes.push(number | LATER);
                let by = time.as_micros().wrapping_sub(self.time.as_micros());
                let sign = (by >> 63).wrapping_neg();
                (by << 1 ^ sign).put(&mut self.bytes);
                self.time = time;
            }
        }
    }

    pub fn input(&mut self, time: Option<Time>, input: &Input<'_>) {
        if let Input::Backlog { unread } = *input {
            // It is said at every turn, and counts when it changes.
            if unread == self.backlog {
                return;
            }
            self.backlog = unread;
        }
        self.begin(input.number(), time);
        input.put(&mut self.bytes);
    }

    pub fn event(&mut self, event: &Event) {
        self.input(None, &Input::PollEvent);
        self.events.add(event);
    }

    /// Whether it is time for a mark.
    pub fn is_due(&self, now: Time) -> bool {
        now >= self.next_mark
    }

    pub fn mark(&mut self, now: Time, state: u64) {
        self.next_mark = now + MARK_INTERVAL;
        self.begin(MARK, None);
        let (number, events) = (self.marks, self.events.sum());
        self.marks += 1;
        let mark = Mark {
            number,
            state,
            events,
        };
        mark.put(&mut self.bytes);
    }

    pub fn end(&mut self, why: End) {
        self.begin(END, None);
        self.bytes.push(why as u8);
    }

    /// Whether anything was recorded since the last chunk.
    pub fn has_more(&self) -> bool {
        !self.bytes.is_empty()
    }

    /// What there is becomes a chunk.
    pub fn cut(&mut self) {
        if self.has_more() {
            let empty = self.spare.pop().unwrap_or_default();
            let chunk = std::mem::replace(&mut self.bytes, empty);
            self.chunks.push_back(chunk);
        }
    }

    /// Takes a chunk.
    pub fn poll_chunk(&mut self) -> Option<Vec<u8>> {
        self.chunks.pop_front()
    }

    /// Has this buffer used again.
    pub fn reuse(&mut self, mut buffer: Vec<u8>) {
        // One that grew for a large input is given back.
        if self.spare.len() < SPARE && buffer.capacity() <= 2 * RECORDED_CHUNK {
            buffer.clear();
            self.spare.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::NodeConfig;
    use crate::member::MemberId;

    fn beginning() -> Beginning {
        Beginning {
            version: "1.2.3".to_owned(),
            zero: Duration::from_secs(1_700_000_000),
            now: Time::from_millis(5),
            config: NodeConfig::new(MemberId::from_bytes([1; 16]), 1, [2; 32]),
            keys: Vec::new(),
        }
    }

    #[test]
    fn times_are_read_as_they_were_said_forwards_and_backwards() {
        let mut tape = Tape::new(beginning());
        let times = [5, 5, 1_000, 3, u64::MAX, 0].map(Time::from_micros);
        for time in times {
            tape.input(Some(time), &Input::Timeout);
        }
        tape.input(None, &Input::PollWatched);
        tape.end(End::Full);
        tape.cut();
        let bytes = tape.poll_chunk().unwrap();
        let (mut cursor, mut time) = (Cursor(&bytes), Time::ZERO);
        let first = Record::get(&mut cursor, &mut time).unwrap();
        assert!(matches!(first, Record::Beginning(it) if it.version == "1.2.3"));
        assert_eq!(time, Time::from_millis(5));
        for expected in times {
            let record = Record::get(&mut cursor, &mut time).unwrap();
            assert!(matches!(record, Record::Input(Input::Timeout)));
            assert_eq!(time, expected);
        }
        let record = Record::get(&mut cursor, &mut time).unwrap();
        assert!(matches!(record, Record::Input(Input::PollWatched)));
        let record = Record::get(&mut cursor, &mut time).unwrap();
        assert!(matches!(record, Record::End(End::Full)));
        assert!(cursor.0.is_empty());
    }

    #[test]
    fn a_backlog_is_recorded_when_it_changes() {
        let mut tape = Tape::new(beginning());
        let before = tape.bytes.len();
        tape.input(None, &Input::Backlog { unread: false });
        assert_eq!(tape.bytes.len(), before);
        tape.input(None, &Input::Backlog { unread: true });
        tape.input(None, &Input::Backlog { unread: true });
        assert_eq!(tape.bytes.len(), before + 2);
    }

    #[test]
    fn chunks_hold_whole_records_and_their_buffers_are_used_again() {
        let mut tape = Tape::new(beginning());
        let (from, bytes) = ("192.0.2.1:1".parse().unwrap(), &[7; 1_000][..]);
        while tape.chunks.is_empty() {
            tape.input(None, &Input::Datagram { from, bytes });
        }
        let chunk = tape.poll_chunk().unwrap();
        assert!((RECORDED_CHUNK..RECORDED_CHUNK + 1_100).contains(&chunk.len()));
        let (mut cursor, mut time) = (Cursor(&chunk), Time::ZERO);
        while !cursor.0.is_empty() {
            Record::get(&mut cursor, &mut time).unwrap();
        }
        let address = chunk.as_ptr();
        tape.reuse(chunk);
        tape.cut();
        assert_eq!(tape.bytes.as_ptr(), address);
        tape.reuse(Vec::with_capacity(3 * RECORDED_CHUNK));
        assert!(tape.spare.is_empty());
    }
}
