//! A data directory, and the id and the incarnation of a member across restarts: `MEMBER_ID` and
//! `INCARNATION`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use super::checksum::{self, Known, Sum};
use super::replace::{remove_unfinished, replace};
use super::snapshot::Snapshot;
use super::snapshot_file::{SnapshotFileError, keep_aside};
use super::writer::{Paths, Writer};
use crate::limits::INCARNATION_RESERVE;
use crate::member::{Incarnation, MemberId};

/// A data directory in use: locked for this member, with a thread that writes to it. Dropped, it waits until
/// what was to be stored is.
pub struct DataDir {
    /// Keeps the lock.
    _id_file: File,
    snapshot: PathBuf,
    checksum: PathBuf,
    /// What the file of checksums said at the start.
    checksums: Known,
    writer: Writer,
}

/// With what a member starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredIdentity {
    /// Its id.
    pub id: MemberId,
    /// The incarnation to start with: above the mark on disk, which was ahead of those in use. (After a crash
    /// in the moment in which a mark was to be written, others' records of this member raise it further.)
    pub incarnation: Incarnation,
    /// The mark on disk: incarnations below it may be used without writing.
    pub mark: Incarnation,
}

/// What is wrong with a data directory. What it held is still in it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DiskError {
    /// A file or directory cannot be read, made or written.
    #[error("{path}: {}; give a directory that can be written to", plain(error))]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// `INCARNATION` holds no number.
    #[error("{0} holds no decimal number below 2^63; mend or remove it")]
    BadIncarnation(PathBuf),
    /// `MEMBER_ID` holds no id.
    #[error("{0} holds no member id (32 lowercase hexadecimal digits); mend or remove it")]
    BadId(PathBuf),
    /// The directory is another member's.
    #[error("{path} says {stored}, but {asked} was asked for; give one of them up")]
    OtherId {
        /// The file that says so.
        path: PathBuf,
        /// The id in it.
        stored: MemberId,
        /// The id that the configuration asks for.
        asked: MemberId,
    },
    /// The snapshot is bad, and cannot be moved out of the way.
    #[error("{path}: {why}; it cannot be kept aside: {error}; move it and its .bad-* away")]
    BadSnapshot {
        /// The snapshot.
        path: PathBuf,
        /// What is wrong with it.
        why: SnapshotFileError,
        /// Why it cannot be moved.
        error: io::Error,
    },
    /// Another process uses the directory.
    #[error("{0} is in use by another member; stop that one or give another directory")]
    InUse(PathBuf),
}

/// What is wrong, in words that fit a directory: who makes one where a file is hears only "File exists".
fn plain(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::AlreadyExists => "it is a file, not a directory".to_owned(),
        _ => error.to_string(),
    }
}

impl DataDir {
    /// Takes the directory into use, making it if need be. `wanted` is the id that the configuration asks
    /// for; without one the stored id is used, or `fresh` in an empty directory.
    ///
    /// # Errors
    /// What is wrong with it, and what to do.
    pub fn open(
        dir: &Path,
        wanted: Option<MemberId>,
        fresh: MemberId,
    ) -> Result<(Self, StoredIdentity), DiskError> {
        fs::create_dir_all(dir).map_err(at(dir))?;
        let (id_file, id) = open_id(&dir.join("MEMBER_ID"), wanted, fresh)?;
        let path = dir.join("INCARNATION");
        let incarnation = match read_incarnation(&path)? {
            Some(mark) => mark.next(),
            None => Incarnation::ZERO,
        };
        let mark = incarnation.plus(INCARNATION_RESERVE);
        replace(&path, |file| write!(file, "{mark}")).map_err(at(&path))?;
        let snapshot = dir.join(format!("{id}.rst"));
        remove_unfinished(&snapshot);
        let checksum = checksum::path_of(&snapshot);
        remove_unfinished(&checksum);
        let checksums = checksum::read(&checksum).map_err(at(&checksum))?;
        let in_place = match &checksums {
            Known::Sums(sums) => sums.clone(),
            Known::Nothing | Known::Damaged => Vec::new(),
        };
        let paths = Paths {
            mark: path.clone(),
            snapshot: snapshot.clone(),
            checksum: checksum.clone(),
        };
        let writer = Writer::start(paths, in_place).map_err(at(&path))?;
        Ok((
            DataDir {
                _id_file: id_file,
                snapshot,
                checksum,
                checksums,
                writer,
            },
            StoredIdentity {
                id,
                incarnation,
                mark,
            },
        ))
    }

    /// The snapshot of an earlier run, if there is one; to be called before one is stored. A bad one, and one that is
    /// not as its checksum in `<member id>.rst.sum` says, is kept aside as `<member id>.rst.bad-1`, with a warning in the
    /// log, and the member starts without. One without a checksum, and one that a peer wrote since, is given all the same,
    /// with a warning that it is unverified.
    ///
    /// # Errors
    /// The file cannot be read, or is bad and cannot be moved.
    pub fn load_snapshot(&self) -> Result<Option<Snapshot>, DiskError> {
        let path = &self.snapshot;
        let why = match Snapshot::read_file_with_sum(path) {
            Ok((snapshot, sum)) => match self.doubt(&snapshot, sum) {
                Doubt::None => {
                    self.writer.found(sum);
                    return Ok(Some(snapshot));
                }
                Doubt::Unverified(why) => {
                    self.writer.found(sum);
                    log::warn!("restored, but unverified: {}: {why}", path.display());
                    return Ok(Some(snapshot));
                }
                Doubt::Damaged => SnapshotFileError::Checksum,
            },
            Err(SnapshotFileError::Io(error)) if error.kind() == ErrorKind::NotFound => {
                if self.checksums != Known::Nothing {
                    log::warn!(
                        "starting without rumors: {} is gone, though its checksum is there",
                        path.display()
                    );
                    checksum::remove(&self.checksum);
                }
                return Ok(None);
            }
            // The file may be good, and readable to someone else or at another time.
            Err(SnapshotFileError::Io(error)) => return Err(at(path)(error)),
            Err(why) => why,
        };
        match keep_aside(path) {
            Ok(kept) => {
                checksum::remove(&self.checksum);
                log::warn!(
                    "starting without rumors: {}: {why}; it is kept as {}",
                    path.display(),
                    kept.display()
                );
                Ok(None)
            }
            Err(error) => Err(DiskError::BadSnapshot {
                path: path.clone(),
                why,
                error,
            }),
        }
    }

    /// Whether the checksum speaks for a snapshot that was read.
    fn doubt(&self, snapshot: &Snapshot, sum: Sum) -> Doubt {
        match &self.checksums {
            Known::Nothing => Doubt::Unverified("no checksum stands beside it"),
            Known::Damaged => Doubt::Unverified("the checksum beside it does not read"),
            Known::Sums(sums) if sums.contains(&sum) => Doubt::None,
            Known::Sums(_) if snapshot.is_stamped() => Doubt::Damaged,
            Known::Sums(_) => {
                Doubt::Unverified("the checksum beside it is older: another program wrote it since")
            }
        }
    }

    /// Stores a new mark, soon, off the caller's thread.
    pub fn store_mark(&self, mark: Incarnation) {
        self.writer.write_mark(mark.get());
    }

    /// Stores a new snapshot, soon, off the caller's thread; one that still waits is forgotten. If it cannot
    /// be written the log says so, and the one before stays.
    pub fn store_snapshot(&mut self, snapshot: Snapshot) {
        self.writer.write_snapshot(snapshot);
    }
}

/// What speaks against a snapshot that can be read.
enum Doubt {
    None,
    Unverified(&'static str),
    Damaged,
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> DiskError {
    let path = path.to_owned();
    move |error| DiskError::Io { path, error }
}

fn open_id(
    path: &Path,
    wanted: Option<MemberId>,
    fresh: MemberId,
) -> Result<(File, MemberId), DiskError> {
    let mut options = OpenOptions::new();
    let mut file = options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(at(path))?;
    if file.try_lock().is_err() {
        return Err(DiskError::InUse(path.parent().unwrap_or(path).to_owned()));
    }
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(at(path))?;
    if text.is_empty() {
        let id = wanted.unwrap_or(fresh);
        file.write_all(id.to_string().as_bytes())
            .and_then(|()| file.sync_all())
            .map_err(at(path))?;
        return Ok((file, id));
    }
    let stored: MemberId = text
        .trim_end()
        .parse()
        .map_err(|_| DiskError::BadId(path.to_owned()))?;
    match wanted {
        Some(asked) if asked != stored => Err(DiskError::OtherId {
            path: path.to_owned(),
            stored,
            asked,
        }),
        _ => Ok((file, stored)),
    }
}

fn read_incarnation(path: &Path) -> Result<Option<Incarnation>, DiskError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) if error.kind() == ErrorKind::InvalidData => {
            return Err(DiskError::BadIncarnation(path.to_owned()));
        }
        Err(error) => return Err(at(path)(error)),
    };
    let number = text.trim_end().parse().ok().and_then(Incarnation::new);
    number
        .map(Some)
        .ok_or_else(|| DiskError::BadIncarnation(path.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: MemberId = MemberId::from_bytes([1; 16]);
    const TWO: MemberId = MemberId::from_bytes([2; 16]);

    #[test]
    fn the_id_stays_and_the_incarnation_rises_above_all_that_was_reserved() {
        let dir = tempfile::tempdir().unwrap();
        let (data, first) = DataDir::open(dir.path(), None, ONE).unwrap();
        assert_eq!((first.id, first.incarnation), (ONE, Incarnation::ZERO));
        let reserved = Incarnation::new(1_000).unwrap();
        data.store_mark(reserved);
        drop(data);
        let (_data, second) = DataDir::open(dir.path(), None, TWO).unwrap();
        assert_eq!((second.id, second.incarnation), (ONE, reserved.next()));
        assert!(second.mark > second.incarnation);
    }

    #[test]
    fn a_crash_costs_incarnations_but_never_repeats_one() {
        let dir = tempfile::tempdir().unwrap();
        let (_, first) = DataDir::open(dir.path(), None, ONE).unwrap();
        let (_, second) = DataDir::open(dir.path(), None, ONE).unwrap();
        assert!(second.incarnation > first.mark);
    }

    #[test]
    fn a_directory_serves_one_member_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let _data = DataDir::open(dir.path(), None, ONE).unwrap();
        assert!(matches!(
            DataDir::open(dir.path(), None, ONE),
            Err(DiskError::InUse(_))
        ));
    }

    #[test]
    fn files_that_hold_nonsense_are_named() {
        for (file, content) in [
            ("INCARNATION", "ten"),
            ("INCARNATION", "9223372036854775808"),
            ("MEMBER_ID", "x"),
        ] {
            let dir = tempfile::tempdir().unwrap();
            fs::write(dir.path().join(file), content).unwrap();
            let error = DataDir::open(dir.path(), None, ONE)
                .err()
                .unwrap()
                .to_string();
            assert!(error.contains(file), "{error}");
            assert_eq!(fs::read_to_string(dir.path().join(file)).unwrap(), content);
        }
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("MEMBER_ID"), ONE.to_string()).unwrap();
        assert!(matches!(
            DataDir::open(dir.path(), Some(TWO), ONE),
            Err(DiskError::OtherId { .. })
        ));
    }
}
