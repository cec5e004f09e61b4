//! The checksum beside a snapshot, `<member id>.rst.sum`: whether the file is as it was written. The snapshot itself
//! has no room for one, as peers' files have none.
//!
//! Two files cannot be replaced at once. So the checksum of a new snapshot is on disk before that takes its place, with
//! the checksums of what may be in place until then: whenever a crash comes, the snapshot that is there has its line.

use std::fmt::{self, Write as _};
use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use dryoc::classic::crypto_generichash::{
    GenericHashState, crypto_generichash_final, crypto_generichash_init, crypto_generichash_update,
};

use super::regular;
use super::replace::replace;

/// Bytes of a checksum.
const BYTES: usize = 32;
/// More lines than this program writes.
const MOST_LINES: usize = 8;
/// More bytes than any such file has.
const MOST_BYTES: u64 = 4_096;

/// BLAKE2b-256 of a file, as `b2sum -l 256` has it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Sum([u8; BYTES]);

impl Sum {
    pub fn of(bytes: &[u8]) -> io::Result<Sum> {
        let mut summing = Summing::new(io::sink())?;
        summing.write_all(bytes)?;
        summing.sum()
    }

    pub fn bytes(&self) -> &[u8; BYTES] {
        &self.0
    }

    fn parse(text: &str) -> Option<Sum> {
        let (digits, []) = text.as_bytes().as_chunks::<2>() else {
            return None;
        };
        let mut sum = [0; BYTES];
        if digits.len() != sum.len() {
            return None;
        }
        for (byte, [high, low]) in sum.iter_mut().zip(digits) {
            let digit = |char: u8| char::from(char).to_digit(16);
            *byte = (digit(*high)? << 4 | digit(*low)?) as u8;
        }
        Some(Sum(sum))
    }
}

impl fmt::Debug for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Passes on what is written, and sums it up.
pub(super) struct Summing<W> {
    out: W,
    state: GenericHashState,
}

impl<W> Summing<W> {
    pub fn new(out: W) -> io::Result<Self> {
        let state = crypto_generichash_init(None, BYTES).map_err(io::Error::other)?;
        Ok(Summing { out, state })
    }

    pub fn sum(self) -> io::Result<Sum> {
        let mut sum = [0; BYTES];
        crypto_generichash_final(self.state, &mut sum).map_err(io::Error::other)?;
        Ok(Sum(sum))
    }
}

impl<W: Write> Write for Summing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        crypto_generichash_update(&mut self.state, bytes.get(..written).unwrap_or(bytes));
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// What the file of checksums says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// There is none.
    Nothing,
    /// It does not read.
    Damaged,
    /// The snapshot is as it was written if it has one of these.
    Sums(Vec<Sum>),
}

/// Where the checksums of this snapshot are.
pub(super) fn path_of(snapshot: &Path) -> PathBuf {
    let mut path = snapshot.as_os_str().to_owned();
    path.push(".sum");
    path.into()
}

/// Reads the file of checksums.
pub(super) fn read(path: &Path) -> io::Result<Known> {
    let text = match regular::read(path, MOST_BYTES) {
        Ok(bytes) => String::from_utf8(bytes),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Known::Nothing),
        Err(error) if regular::is_not_regular(&error) => return Ok(Known::Damaged),
        Err(error) => return Err(error),
    };
    let text = text.unwrap_or_default();
    let lines = text.lines().take(MOST_LINES + 1);
    let sums: Option<Vec<_>> = lines
        .map(|line| Sum::parse(line.split(' ').next().unwrap_or_default()))
        .collect();
    Ok(match sums {
        Some(sums) if !sums.is_empty() && sums.len() <= MOST_LINES => Known::Sums(sums),
        _ => Known::Damaged,
    })
}

/// Replaces the file of checksums: what is about to be in place first, then what may be there now.
pub(super) fn write(path: &Path, snapshot: &Path, sums: &[Sum]) -> io::Result<()> {
    let name = snapshot.file_name().unwrap_or_default().to_string_lossy();
    let mut text = String::new();
    for sum in sums.iter().take(MOST_LINES) {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{sum:?}  {name}");
    }
    replace(path, |file| file.write_all(text.as_bytes()))
}

/// The snapshot is gone, and so are its checksums.
pub(super) fn remove(path: &Path) {
    // One that stays is of no snapshot, and is replaced with the next.
    let _ = fs::remove_file(path);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_b2sum() {
        // `printf abc | b2sum -l 256`
        let expected = "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319";
        assert_eq!(format!("{:?}", Sum::of(b"abc").unwrap()), expected);
        assert_eq!(Sum::parse(expected), Some(Sum::of(b"abc").unwrap()));
        let mut summing = Summing::new(Vec::new()).unwrap();
        summing.write_all(b"a").unwrap();
        summing.write_all(b"bc").unwrap();
        assert_eq!(summing.out, b"abc");
        assert_eq!(summing.sum().unwrap(), Sum::of(b"abc").unwrap());
    }

    #[test]
    fn what_is_written_is_read_and_what_is_none_is_damaged() {
        let dir = tempfile::tempdir().unwrap();
        let (path, snapshot) = (dir.path().join("a.rst.sum"), dir.path().join("a.rst"));
        assert_eq!(path_of(&snapshot), path);
        assert_eq!(read(&path).unwrap(), Known::Nothing);
        let sums = [Sum::of(b"new").unwrap(), Sum::of(b"old").unwrap()];
        write(&path, &snapshot, &sums).unwrap();
        assert_eq!(read(&path).unwrap(), Known::Sums(sums.to_vec()));
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.ends_with("  a.rst\n"), "{text}");
        for bad in [
            "",
            "abc",
            &"a".repeat(63),
            &"g".repeat(64),
            "\0\0\0",
            &text.repeat(9),
        ] {
            fs::write(&path, bad).unwrap();
            assert_eq!(read(&path).unwrap(), Known::Damaged, "{bad:?}");
        }
        fs::write(&path, [0xff; 64]).unwrap();
        assert_eq!(read(&path).unwrap(), Known::Damaged);
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert_eq!(read(&path).unwrap(), Known::Damaged);
    }
}
