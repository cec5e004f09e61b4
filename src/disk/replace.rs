//! Replaces a file, whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Replaces the file's content with what `write` writes; after a crash it has either the old or the new
/// one, and after an error the old one.
pub(super) fn replace(
    path: &Path,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<()> {
    replace_after(path, write, |()| Ok(()))
}

/// The same; `ready` is called when the new content is on disk, with what `write` returned, before it takes the place of
/// the old one.
pub(super) fn replace_after<T>(
    path: &Path,
    write: impl FnOnce(&mut File) -> io::Result<T>,
    ready: impl FnOnce(T) -> io::Result<()>,
) -> io::Result<()> {
    let unfinished = unfinished(path);
    let replaced = write_whole(&unfinished, write)
        .and_then(ready)
        .and_then(|()| fs::rename(&unfinished, path));
    if replaced.is_err() {
        // On a full disk it would take the room that the next try needs.
        remove_unfinished(path);
    }
    replaced?;
    match path.parent() {
        Some(dir) => File::open(dir)?.sync_all(),
        None => Ok(()),
    }
}

/// Removes what a crash left of an unfinished replacement.
pub(super) fn remove_unfinished(path: &Path) {
    // Mostly there is none; one that stays is overwritten.
    let _ = fs::remove_file(unfinished(path));
}

fn unfinished(path: &Path) -> PathBuf {
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".tmp");
    unfinished.into()
}

fn write_whole<T>(path: &Path, write: impl FnOnce(&mut File) -> io::Result<T>) -> io::Result<T> {
    let mut options = OpenOptions::new();
    // For its owner alone: on a sealed ring, rumors are nobody else's business.
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(path)?;
    let written = write(&mut file)?;
    file.sync_all()?;
    Ok(written)
}
