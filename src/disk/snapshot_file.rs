//! The file of a snapshot: reading it, and keeping a bad one aside.

use std::fs;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use super::checksum::Sum;
use super::regular;
use super::snapshot::{Snapshot, SnapshotError};
use crate::limits::{MAX_BAD_SNAPSHOTS, MAX_SNAPSHOT};

/// Why a snapshot cannot be read from a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotFileError {
    /// The system cannot read it, or it is not there.
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
    /// It is a directory, a pipe, a device.
    #[error("it is no regular file")]
    NoFile,
    /// It is larger than any that is written; how many bytes.
    #[error("it has {0} bytes; at most {MAX_SNAPSHOT} are read")]
    TooLarge(u64),
    /// What it holds is no snapshot.
    #[error("it is no whole snapshot: {0}")]
    Bad(#[from] SnapshotError),
    /// It is whole, but not as it was written.
    #[error("it is damaged: the checksum beside it is another")]
    Checksum,
}

impl Snapshot {
    /// Reads a file, of at most [`MAX_SNAPSHOT`] bytes.
    ///
    /// # Errors
    /// Why it cannot be read, without its name; nothing in the file was changed.
    pub fn read_file(path: &Path) -> Result<Self, SnapshotFileError> {
        Ok(Snapshot::read(&read(path)?)?)
    }

    /// The same, with the file's checksum.
    pub(super) fn read_file_with_sum(path: &Path) -> Result<(Self, Sum), SnapshotFileError> {
        let content = read(path)?;
        Ok((Snapshot::read(&content)?, Sum::of(&content)?))
    }
}

fn read(path: &Path) -> Result<Vec<u8>, SnapshotFileError> {
    let file = regular::open(path).map_err(|error| match error {
        error if regular::is_not_regular(&error) => SnapshotFileError::NoFile,
        error => SnapshotFileError::Io(error),
    })?;
    let len = file.metadata()?.len();
    if len > MAX_SNAPSHOT {
        return Err(SnapshotFileError::TooLarge(len));
    }
    let mut content = Vec::new();
    file.take(MAX_SNAPSHOT).read_to_end(&mut content)?;
    Ok(content)
}

/// Moves a bad file out of the way, to `….bad-1`. Older ones move on, and the oldest is forgotten.
pub(super) fn keep_aside(path: &Path) -> io::Result<PathBuf> {
    let kept = make_room(path)?;
    fs::rename(path, &kept)?;
    Ok(kept)
}

/// Keeps a copy of a bad file that is still needed itself.
pub(super) fn keep_copy(path: &Path, content: &[u8]) -> io::Result<()> {
    fs::write(make_room(path)?, content)
}

fn make_room(path: &Path) -> io::Result<PathBuf> {
    for number in (1..MAX_BAD_SNAPSHOTS).rev() {
        match fs::rename(aside(path, number), aside(path, number + 1)) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(aside(path, 1))
}

fn aside(path: &Path, number: usize) -> PathBuf {
    let mut aside = path.as_os_str().to_owned();
    aside.push(format!(".bad-{number}"));
    aside.into()
}
