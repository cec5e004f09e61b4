//! A snapshot of all rumors (PROTOCOL.md §4): bytes ⇄ encoded messages, in seven sections.
//!
//! It has no checksum in it, as peers' files have none: one stands in a file beside it (`checksum`).

use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;

/// The version that is written.
const VERSION: u8 = 2;
/// What a header of version 2 says that it takes, itself included and the version's byte not.
const HEADER_SIZE: u64 = 64;
/// Bytes before the first section in version 2: the version, the header's size, seven lengths.
const HEADER: usize = 65;
/// In version 1: the version and six lengths, with neither a size nor departures.
const HEADER_V1: usize = 49;
/// A field that no peer writes, at the end of a message: number 1000, which says 1. All readers skip it, and a peer that
/// writes the message anew leaves it out.
const STAMP: [u8; 3] = [0xc0, 0x3e, 1];
/// Bytes of a length.
const LENGTH: u64 = 8;

/// The sections of a snapshot, in the order of the file; another one would be another version of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Section {
    /// Members: each message is a `Membership`. In all other sections it is a `Rumor`.
    Member,
    /// Services.
    Service,
    /// Configurations of service groups.
    ServiceConfig,
    /// Files of service groups.
    ServiceFile,
    /// Elections of leaders.
    Election,
    /// Elections of those who lead an update.
    ElectionUpdate,
    /// Members that are gone for good; version 1 has none.
    Departure,
}

impl Section {
    /// All sections, in the order of the file.
    pub const ALL: [Section; 7] = [
        Section::Member,
        Section::Service,
        Section::ServiceConfig,
        Section::ServiceFile,
        Section::Election,
        Section::ElectionUpdate,
        Section::Departure,
    ];

    /// Its name for programs: lowercase, words joined by `_`.
    pub const fn name(self) -> &'static str {
        match self {
            Section::Member => "member",
            Section::Service => "service",
            Section::ServiceConfig => "service_config",
            Section::ServiceFile => "service_file",
            Section::Election => "election",
            Section::ElectionUpdate => "election_update",
            Section::Departure => "departure",
        }
    }
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Why bytes are no snapshot, and at which byte, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// There are none.
    #[error("it is empty")]
    Empty,
    /// The first byte is no version that is known.
    #[error("byte 0 says version {0}; 1 and 2 can be read")]
    UnknownVersion(u8),
    /// The file ends within the header.
    #[error("it ends at byte {len}, within its header of {header} bytes")]
    CutHeader {
        /// The bytes of the file.
        len: u64,
        /// The bytes of a header of its version.
        header: u64,
    },
    /// The header says that it has another size than a header of version 2.
    #[error("byte 1 says a header of {0} bytes; version 2 has {HEADER_SIZE}")]
    HeaderSize(u64),
    /// A section runs past the end of the file.
    #[error(
        "section {section} at byte {offset} should have {claimed} bytes, but only {left} are left"
    )]
    SectionTooLong {
        /// Which.
        section: Section,
        /// Where it begins.
        offset: u64,
        /// The bytes that it should have.
        claimed: u64,
        /// The bytes from there to the end.
        left: u64,
    },
    /// There is more behind the last section.
    #[error("the last section ends at byte {offset}, but {count} more bytes follow")]
    TrailingBytes {
        /// Where the last section ends.
        offset: u64,
        /// The bytes behind it.
        count: u64,
    },
    /// A section ends within the length of a message.
    #[error("in section {section}, the length of a message at byte {offset} is cut off")]
    CutLength {
        /// Which section.
        section: Section,
        /// Where the length begins.
        offset: u64,
    },
    /// A message runs past the end of its section.
    #[error(
        "in section {section}, a message at byte {offset} should have {claimed} bytes, but only {left} are left"
    )]
    MessageTooLong {
        /// Which section.
        section: Section,
        /// Where the message begins.
        offset: u64,
        /// The bytes that it should have.
        claimed: u64,
        /// The bytes from there to the end of the section.
        left: u64,
    },
    /// A message of no bytes.
    #[error("in section {section}, a message at byte {offset} is empty")]
    EmptyMessage {
        /// Which section.
        section: Section,
        /// Where the message should begin.
        offset: u64,
    },
}

/// All rumors, encoded, by section.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    sections: [Vec<Arc<[u8]>>; 7],
}

impl Snapshot {
    /// One with nothing in it.
    pub fn new() -> Self {
        Snapshot::default()
    }

    /// Adds a message: a `Membership` in the section of members, else a `Rumor`. An empty one says nothing,
    /// and is left out.
    pub fn push(&mut self, section: Section, message: impl Into<Arc<[u8]>>) {
        let message = message.into();
        if !message.is_empty() {
            self.sections[section as usize].push(message);
        }
    }

    /// Puts a field into the first message of each section that only this program writes. So if the file is not the one
    /// whose checksum stands beside it, a file that a peer wrote since is told from a damaged one.
    pub fn stamp(&mut self) {
        for message in self.sections.iter_mut().filter_map(|it| it.first_mut()) {
            if !message.ends_with(&STAMP) {
                *message = [message, &STAMP[..]].concat().into();
            }
        }
    }

    /// Whether this program wrote it, see [`stamp`](Snapshot::stamp).
    pub fn is_stamped(&self) -> bool {
        let mut messages = self.sections.iter().flatten();
        messages.any(|message| message.ends_with(&STAMP))
    }

    /// The messages of a section, in the order of the file.
    pub fn messages(&self, section: Section) -> &[Arc<[u8]>] {
        &self.sections[section as usize]
    }

    /// How many messages there are, of all sections.
    pub fn len(&self) -> usize {
        self.sections.iter().map(Vec::len).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes that a section takes in a file: its messages, and eight more for the length of each.
    pub fn section_bytes(&self, section: Section) -> u64 {
        let messages = self.messages(section).iter();
        messages.map(|message| LENGTH + message.len() as u64).sum()
    }

    /// The bytes of a file with all of it.
    pub fn file_bytes(&self) -> u64 {
        let sections = Section::ALL.map(|section| self.section_bytes(section));
        HEADER as u64 + sections.iter().sum::<u64>()
    }

    /// Writes it in version 2, in many small writes: give something buffered.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_to(&self, mut out: impl Write) -> io::Result<()> {
        out.write_all(&[VERSION])?;
        out.write_all(&HEADER_SIZE.to_le_bytes())?;
        for section in Section::ALL {
            out.write_all(&self.section_bytes(section).to_le_bytes())?;
        }
        for message in self.sections.iter().flatten() {
            out.write_all(&(message.len() as u64).to_le_bytes())?;
            out.write_all(message)?;
        }
        Ok(())
    }

    /// Reads the content of a file, of version 2 or 1. What the messages say is not looked at.
    ///
    /// # Errors
    /// What does not fit, and where.
    pub fn read(file: &[u8]) -> Result<Self, SnapshotError> {
        let (lengths, header) = read_header(file)?;
        let mut rest = Reader::new(file, header);
        let mut sections = Vec::with_capacity(Section::ALL.len());
        for (section, claimed) in Section::ALL.into_iter().zip(lengths) {
            let (offset, left) = (rest.offset(), rest.left());
            let content = rest.take(claimed).ok_or(SnapshotError::SectionTooLong {
                section,
                offset,
                claimed,
                left,
            })?;
            sections.push((section, content));
        }
        if rest.left() > 0 {
            return Err(SnapshotError::TrailingBytes {
                offset: rest.offset(),
                count: rest.left(),
            });
        }
        // Only now that all lengths of sections are known to fit, something is kept.
        let mut snapshot = Snapshot::new();
        for (section, mut content) in sections {
            while content.left() > 0 {
                snapshot.push(section, read_message(section, &mut content)?);
            }
        }
        Ok(snapshot)
    }
}

/// What is in it would be too much to say.
impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = Section::ALL.map(|section| (section, self.messages(section).len()));
        f.debug_map().entries(counts).finish()
    }
}

/// The lengths of the sections, and where the first begins.
fn read_header(file: &[u8]) -> Result<([u64; 7], usize), SnapshotError> {
    let len = match file.first() {
        None => return Err(SnapshotError::Empty),
        Some(1) => HEADER_V1,
        Some(&VERSION) => HEADER,
        Some(&version) => return Err(SnapshotError::UnknownVersion(version)),
    };
    let header = file.get(1..len).ok_or(SnapshotError::CutHeader {
        len: file.len() as u64,
        header: len as u64,
    })?;
    let (numbers, _) = header.as_chunks();
    let mut numbers = numbers.iter().map(|bytes| u64::from_le_bytes(*bytes));
    if len == HEADER
        && let Some(size) = numbers.next()
        && size != HEADER_SIZE
    {
        return Err(SnapshotError::HeaderSize(size));
    }
    let mut lengths = [0; 7];
    for (length, number) in lengths.iter_mut().zip(numbers) {
        *length = number;
    }
    Ok((lengths, len))
}

fn read_message<'a>(section: Section, content: &mut Reader<'a>) -> Result<&'a [u8], SnapshotError> {
    let offset = content.offset();
    let claimed = content
        .number()
        .ok_or(SnapshotError::CutLength { section, offset })?;
    let (offset, left) = (content.offset(), content.left());
    match content.take(claimed) {
        None => Err(SnapshotError::MessageTooLong {
            section,
            offset,
            claimed,
            left,
        }),
        Some(message) if message.rest.is_empty() => {
            Err(SnapshotError::EmptyMessage { section, offset })
        }
        Some(message) => Ok(message.rest),
    }
}

/// A part of the file that is being read, and knows where in the file it is.
struct Reader<'a> {
    rest: &'a [u8],
    end: u64,
}

impl<'a> Reader<'a> {
    /// The file from this byte on.
    fn new(file: &'a [u8], from: usize) -> Self {
        Reader {
            rest: file.get(from..).unwrap_or_default(),
            end: file.len() as u64,
        }
    }

    fn left(&self) -> u64 {
        self.rest.len() as u64
    }

    fn offset(&self) -> u64 {
        self.end - self.left()
    }

    /// The next so many bytes, if there are.
    fn take(&mut self, len: u64) -> Option<Reader<'a>> {
        let (taken, rest) = self.rest.split_at_checked(usize::try_from(len).ok()?)?;
        let end = self.offset() + len;
        self.rest = rest;
        Some(Reader { rest: taken, end })
    }

    fn number(&mut self) -> Option<u64> {
        let (bytes, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(u64::from_le_bytes(*bytes))
    }
}
