//! Reads regular files only: opening a pipe waits for a writer, and a device may do anything.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::Path;

/// What the error says that [`is_not_regular`] knows.
const NOT_REGULAR: &str = "it is no regular file";

/// Opens a regular file; of a symbolic link, where it leads to.
pub(super) fn open(path: &Path) -> io::Result<File> {
    // Asked before it is opened, and after, as it may be another one by then.
    if !fs::metadata(path)?.is_file() {
        return Err(not_regular());
    }
    let file = File::open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(not_regular()),
    }
}

/// Reads a regular file of which no more than so many bytes matter: the first so many, if it has more.
pub(super) fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Whether it is there, but no regular file.
pub(super) fn is_not_regular(error: &io::Error) -> bool {
    error.kind() == ErrorKind::InvalidInput && error.to_string() == NOT_REGULAR
}

fn not_regular() -> io::Error {
    io::Error::new(ErrorKind::InvalidInput, NOT_REGULAR)
}
