//! Chunks of a file → records.
//!
//! Behind [`MAGIC`] the file is a row of chunks: a head, [`CHUNK_HEAD`] bytes, with the length of what follows and its
//! checksum, and whole records. So a damaged or cut file is good up to the chunk in question.

use dryoc::classic::crypto_generichash::crypto_generichash;

use super::code::Cursor;
use super::tape::{MAGIC, Record};
use crate::limits::MAX_RECORDED_CHUNK;
use crate::time::Time;

/// Bytes of a checksum.
const SUM: usize = 16;
/// Bytes before a chunk: its length, and its checksum.
pub const CHUNK_HEAD: usize = 4 + SUM;

fn sum(chunk: &[u8]) -> [u8; SUM] {
    let mut sum = [0; SUM];
    // It only fails for sizes out of range.
    let _ = crypto_generichash(&mut sum, chunk, None);
    sum
}

/// What stands before this chunk in a file; the chunk has at most [`MAX_RECORDED_CHUNK`] bytes.
pub fn chunk_head(chunk: &[u8]) -> [u8; CHUNK_HEAD] {
    let mut head = [0; CHUNK_HEAD];
    let (len, rest) = head.split_at_mut(4);
    len.copy_from_slice(&(chunk.len() as u32).to_le_bytes());
    rest.copy_from_slice(&sum(chunk));
    head
}

/// What is wrong with a recording, from this byte on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Damage {
    /// It does not begin as recordings do.
    #[error("it is no recording of a member (\"butterfly run --record FILE\" makes them)")]
    NoRecording,
    /// It begins as one of another version.
    #[error(
        "it is a recording in format {0}, and this program reads format 1: use the version that made it"
    )]
    OtherFormat(char),
    /// The chunk that begins here has another checksum than it says.
    #[error("it is damaged at byte {0}: what comes before is good")]
    Damaged(u64),
    /// The file ends within the chunk that begins here.
    #[error("it is cut off in the chunk that begins at byte {0}: what comes before is good")]
    CutOff(u64),
}

/// Reads a recording piece by piece.
#[derive(Default)]
pub(crate) struct Reader {
    bytes: Vec<u8>,
    /// Where in them the next record is.
    at: usize,
    /// Where in them the chunk ends that is being read.
    end: usize,
    /// Where in the file they begin.
    offset: u64,
    began: bool,
    /// The time of the last record.
    pub time: Time,
}

impl Reader {
    /// Takes the next bytes of the file.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.at);
        self.offset += self.at as u64;
        self.end -= self.at;
        self.at = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// The next record, and its time; `None`: it needs more bytes.
    pub fn next(&mut self) -> Result<Option<(Time, Record<'_>)>, Damage> {
        if !self.began && !self.begin()? {
            return Ok(None);
        }
        if self.at == self.end && !self.next_chunk()? {
            return Ok(None);
        }
        let damaged = Damage::Damaged(self.offset + self.at as u64);
        let chunk = self.bytes.get(self.at..self.end).ok_or(damaged)?;
        let mut cursor = Cursor(chunk);
        let record = Record::get(&mut cursor, &mut self.time).map_err(|_| damaged)?;
        self.at = self.end - cursor.0.len();
        Ok(Some((self.time, record)))
    }

    fn begin(&mut self) -> Result<bool, Damage> {
        let len = self.bytes.len().min(MAGIC.len());
        let (there, all) = (self.bytes.get(..len), MAGIC.get(..len));
        if there != all {
            let Some((digit, before)) = self
                .bytes
                .get(..MAGIC.len() - 1)
                .and_then(<[u8]>::split_last)
            else {
                return Err(Damage::NoRecording);
            };
            return Err(match MAGIC.starts_with(before) {
                true => Damage::OtherFormat(char::from(*digit)),
                false => Damage::NoRecording,
            });
        }
        self.began = len == MAGIC.len();
        if self.began {
            (self.at, self.end) = (len, len);
        }
        Ok(self.began)
    }

    /// Whether a whole chunk is there.
    fn next_chunk(&mut self) -> Result<bool, Damage> {
        let damaged = Damage::Damaged(self.offset + self.at as u64);
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let Some((head, rest)) = rest.split_at_checked(CHUNK_HEAD) else {
            return Ok(false);
        };
        let len = head.first_chunk().map_or(0, |len| u32::from_le_bytes(*len)) as usize;
        if len == 0 || len > MAX_RECORDED_CHUNK {
            return Err(damaged);
        }
        let Some(chunk) = rest.get(..len) else {
            return Ok(false);
        };
        if head != chunk_head(chunk) {
            return Err(damaged);
        }
        self.at += CHUNK_HEAD;
        self.end = self.at + len;
        Ok(true)
    }

    /// The file ends here: whether it may.
    pub fn finish(&self) -> Result<(), Damage> {
        let left = self.bytes.len() > self.at;
        match (self.began, left) {
            (false, _) => Err(Damage::NoRecording),
            (true, true) => Err(Damage::CutOff(self.offset + self.at as u64)),
            (true, false) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::input::Input;
    use super::*;

    fn file(chunks: &[&[u8]]) -> Vec<u8> {
        let mut file = MAGIC.to_vec();
        for chunk in chunks {
            file.extend_from_slice(&chunk_head(chunk));
            file.extend_from_slice(chunk);
        }
        file
    }

    /// How many records there are, and how it ends.
    fn read(pieces: &[&[u8]]) -> (usize, Result<(), Damage>) {
        let (mut reader, mut records) = (Reader::default(), 0);
        for piece in pieces {
            reader.feed(piece);
            loop {
                match reader.next() {
                    Ok(Some((_, Record::Input(Input::Timeout)))) => records += 1,
                    Ok(Some(other)) => panic!("{other:?}"),
                    Ok(None) => break,
                    Err(damage) => return (records, Err(damage)),
                }
            }
        }
        (records, reader.finish())
    }

    const TIMEOUTS: &[u8] = &[4, 4, 4];

    #[test]
    fn a_file_is_read_in_pieces_of_any_size() {
        let file = file(&[TIMEOUTS, TIMEOUTS]);
        for size in 1..=file.len() {
            let pieces: Vec<_> = file.chunks(size).collect();
            assert_eq!(read(&pieces), (6, Ok(())), "{size}");
        }
    }

    #[test]
    fn a_damaged_or_cut_file_is_good_up_to_there() {
        let whole = file(&[TIMEOUTS, TIMEOUTS]);
        let first = MAGIC.len();
        let second = first + CHUNK_HEAD + TIMEOUTS.len();
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x40;
            let (records, end) = read(&[&damaged]);
            let cut = read(&[&whole[..at]]);
            if at < first {
                assert_eq!(records, 0);
                assert!(matches!(
                    end,
                    Err(Damage::NoRecording | Damage::OtherFormat(_))
                ));
                assert_eq!(cut, (0, Err(Damage::NoRecording)));
                continue;
            }
            let (good, from) = if at < second { (0, first) } else { (3, second) };
            let from = from as u64;
            assert_eq!(records, good, "{at}");
            // A length that was made longer asks for bytes that never come.
            assert!(
                end == Err(Damage::Damaged(from)) || end == Err(Damage::CutOff(from)),
                "{at}: {end:?}"
            );
            let is_whole = at as u64 == from;
            assert_eq!(cut.0, good);
            assert_eq!(cut.1.is_ok(), is_whole, "{at}: {:?}", cut.1);
        }
    }

    #[test]
    fn another_format_is_told_from_no_recording() {
        let other = b"butterfly recording 2\nwhatever";
        assert_eq!(read(&[other]).1, Err(Damage::OtherFormat('2')));
        assert_eq!(read(&[b"HTTP/1.1 200 OK"]).1, Err(Damage::NoRecording));
        assert_eq!(read(&[b""]).1, Err(Damage::NoRecording));
    }

    #[test]
    fn what_nobody_records_is_damage() {
        for chunk in [&[0_u8][..], &[119], &[4, 1], &[122, 9]] {
            let (_, end) = read(&[&file(&[chunk])]);
            assert!(matches!(end, Err(Damage::Damaged(_))), "{chunk:?}: {end:?}");
        }
    }
}
