//! A data directory, and the id and the incarnation of a member across restarts: `MEMBER_ID` and
//! `INCARNATION`. (`EPOCH` is in `epoch.rs`.)

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::checksum::{self, Known, Sum};
use super::epoch;
use super::id_file::IdFile;
use super::own_rumors;
use super::regular;
use super::replace::{remove_unfinished, replace};
use super::snapshot::Snapshot;
use super::snapshot_file::{SnapshotFileError, keep_aside, keep_copy};
use super::writer::{Beside, NewId, Paths, Writer};
use crate::limits::{
    INCARNATION_RESERVE, MAX_HISTORY_FILE, MAX_KEYS_FILE, MAX_SNAPSHOT, MAX_TAGS_FILE,
};
use crate::member::{Incarnation, MemberId};
use crate::stats::DiskWrites;

/// More bytes than an id or a number has.
const MOST_BYTES: u64 = 4_096;

/// A data directory in use: locked for this member, with a thread that writes to it. Dropped, it waits until
/// what was to be stored is.
pub struct DataDir {
    snapshot: PathBuf,
    checksum: PathBuf,
    beside: [PathBuf; Beside::ALL.len()],
    /// The file of rumors of kinds of our own is there, or about to be.
    has_rumors: bool,
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
    /// When it starts, by the clock, and later than ever before: it is on disk.
    pub epoch: u64,
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
    /// A file is bad, and cannot be moved out of the way.
    #[error("{path}: {why}; it cannot be kept aside: {error}; move it and its .bad-* away")]
    BadFile {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
        /// Why it cannot be moved.
        error: io::Error,
    },
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
    /// What was to be stored last could not be written; the name of the file, and why.
    #[error("{0}")]
    Lost(String),
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
        let (id_file, id) = open_id(dir, wanted, fresh)?;
        let path = dir.join("INCARNATION");
        let incarnation = match read_incarnation(&path)? {
            Some(mark) => mark.next(),
            None => Incarnation::ZERO,
        };
        let mark = incarnation.plus(INCARNATION_RESERVE);
        replace(&path, |file| write!(file, "{mark}")).map_err(at(&path))?;
        let epoch = epoch::begin(&dir.join("EPOCH"), epoch::by_the_clock())?;
        let snapshot = dir.join(format!("{id}.rst"));
        remove_unfinished(&snapshot);
        let checksum = checksum::path_of(&snapshot);
        remove_unfinished(&checksum);
        let beside = Beside::ALL.map(|file| dir.join(file.file()));
        beside.iter().for_each(|path| remove_unfinished(path));
        let checksums = checksum::read(&checksum).map_err(at(&checksum))?;
        let in_place = match &checksums {
            Known::Sums(sums) => sums.clone(),
            Known::Nothing | Known::Damaged => Vec::new(),
        };
        let paths = Paths {
            mark: path.clone(),
            snapshot: snapshot.clone(),
            checksum: checksum.clone(),
            beside: beside.clone(),
        };
        let writer = Writer::start(id_file, paths, in_place).map_err(at(&path))?;
        Ok((
            DataDir {
                snapshot,
                checksum,
                has_rumors: beside[Beside::Rumors as usize].exists(),
                beside,
                checksums,
                writer,
            },
            StoredIdentity {
                id,
                incarnation,
                mark,
                epoch,
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

    /// What [`store_history`](DataDir::store_history) stored last, at most [`MAX_HISTORY_FILE`] bytes of it; empty, if that
    /// was never called.
    ///
    /// # Errors
    /// The file is there, and cannot be read.
    pub fn load_history(&self) -> Result<Vec<u8>, DiskError> {
        self.load(Beside::History, MAX_HISTORY_FILE as u64)
    }

    fn load(&self, file: Beside, most: u64) -> Result<Vec<u8>, DiskError> {
        let path = &self.beside[file as usize];
        match regular::read(path, most) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
            read => read.map_err(at(path)),
        }
    }

    /// Stores what its owner has to say of the past, soon, off the caller's thread, in the file `HISTORY`. If it cannot be
    /// written the log says so, and the one before stays.
    pub fn store_history(&self, lines: Vec<u8>) {
        self.writer.write_beside(Beside::History, lines);
    }

    /// What [`store_tags`](DataDir::store_tags) stored last, at most [`MAX_TAGS_FILE`] bytes of it; empty, if that was never
    /// called.
    ///
    /// # Errors
    /// The file is there, and cannot be read.
    pub fn load_tags(&self) -> Result<Vec<u8>, DiskError> {
        self.load(Beside::Tags, MAX_TAGS_FILE as u64)
    }

    /// Stores what its owner was told of the member's tags, soon, off the caller's thread, in the file `TAGS`. If it cannot
    /// be written the log says so, and the one before stays.
    pub fn store_tags(&self, lines: Vec<u8>) {
        self.writer.write_beside(Beside::Tags, lines);
    }

    /// What [`store_keys`](DataDir::store_keys) stored last, at most [`MAX_KEYS_FILE`] bytes of it; empty, if that was never
    /// called.
    ///
    /// # Errors
    /// The file is there, and cannot be read.
    pub fn load_keys(&self) -> Result<Vec<u8>, DiskError> {
        self.load(Beside::Keys, MAX_KEYS_FILE as u64)
    }

    /// Stores the keys that the ring was given, soon, off the caller's thread, in the file `RING_KEYS`, for its owner alone to
    /// read. If it cannot be written the log says so, and the one before stays.
    pub fn store_keys(&self, lines: Vec<u8>) {
        self.writer.write_beside(Beside::Keys, lines);
    }

    /// What became of what [`store_keys`](DataDir::store_keys) stored last; `None`: it is not written yet.
    pub fn keys_outcome(&self) -> Option<Result<(), String>> {
        self.writer.outcome_beside(Beside::Keys)
    }

    /// The rumors of kinds of our own, of an earlier run: the bytes of a `Rumor` each. A bad file is kept aside, with a
    /// warning in the log: the others in the ring hold the same.
    ///
    /// # Errors
    /// The file cannot be read, or is bad and cannot be moved.
    pub fn load_own_rumors(&self) -> Result<Vec<Vec<u8>>, DiskError> {
        if !self.has_rumors {
            return Ok(Vec::new());
        }
        let content = self.load(Beside::Rumors, MAX_SNAPSHOT)?;
        match own_rumors::read(&content) {
            Ok(messages) => Ok(messages.into_iter().map(<[u8]>::to_vec).collect()),
            Err(why) => {
                set_aside(&self.beside[Beside::Rumors as usize], why)?;
                Ok(Vec::new())
            }
        }
    }

    /// Stores the rumors of kinds of our own, soon, off the caller's thread, in the file `RUMORS`; nothing, as long as there
    /// never were any.
    pub fn store_own_rumors(&mut self, messages: &[Arc<[u8]>]) {
        self.has_rumors |= !messages.is_empty();
        // It only fails where no checksum can be made.
        if self.has_rumors
            && let Ok(content) = own_rumors::write(messages)
        {
            self.writer.write_beside(Beside::Rumors, content);
        }
    }

    /// Stores a new mark, soon, off the caller's thread.
    pub fn store_mark(&self, mark: Incarnation) {
        self.writer.write_mark(mark.get());
    }

    /// Stores another id, soon, off the caller's thread; the snapshot is named after it from then on.
    pub fn store_id(&mut self, id: MemberId) {
        self.snapshot = self.snapshot.with_file_name(format!("{id}.rst"));
        self.checksum = checksum::path_of(&self.snapshot);
        self.writer.write_id(NewId {
            id,
            snapshot: self.snapshot.clone(),
            checksum: self.checksum.clone(),
        });
    }

    /// Has this called whenever the disk has answered, by another thread.
    pub fn tell(&self, answered: impl Fn() + Send + Sync + 'static) {
        self.writer.tell(Box::new(answered));
    }

    /// The newest mark for which the disk has answered: it is on disk, or it cannot be written, which the log says.
    pub fn answered_mark(&self) -> Option<Incarnation> {
        self.writer.answered_mark().and_then(Incarnation::new)
    }

    /// What became of all that was written so far.
    pub fn writes(&self) -> DiskWrites {
        self.writer.writes()
    }

    /// Nothing more will be stored. What was is written soon.
    pub fn end(&self) {
        self.writer.end();
    }

    /// After [`end`](DataDir::end): whether the newest mark and snapshot are on disk; `None`: they are still being
    /// written, though the caller waited for as long as that.
    pub fn outcome(&self, patience: Duration) -> Option<Result<(), DiskError>> {
        let outcome = self.writer.outcome(patience)?;
        Some(outcome.map_err(DiskError::Lost))
    }

    /// What is still to be written is given up: dropping this waits for nothing.
    pub fn abandon(&mut self) {
        self.writer.abandon();
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

pub(super) fn at(path: &Path) -> impl FnOnce(io::Error) -> DiskError {
    let path = path.to_owned();
    move |error| DiskError::Io { path, error }
}

/// Opens and locks the file of the id. What it does not say is taken from the snapshot's name, if there is one, or new.
fn open_id(
    dir: &Path,
    wanted: Option<MemberId>,
    fresh: MemberId,
) -> Result<(IdFile, MemberId), DiskError> {
    let path = dir.join("MEMBER_ID");
    let was_there = path.exists();
    if was_there && !path.is_file() {
        set_aside(&path, "it is no regular file")?;
    }
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    let file = options.open(&path).map_err(at(&path))?;
    if file.try_lock().is_err() {
        return Err(DiskError::InUse(dir.to_owned()));
    }
    let mut bytes = Vec::new();
    let read = (&file).take(MOST_BYTES).read_to_end(&mut bytes);
    read.map_err(at(&path))?;
    let text = String::from_utf8_lossy(&bytes);
    let stored = text.trim_matches(is_blank).to_lowercase().parse().ok();
    let id = match (stored, wanted) {
        (Some(stored), Some(asked)) if asked != stored => {
            return Err(DiskError::OtherId {
                path,
                stored,
                asked,
            });
        }
        (Some(id), _) if text.trim_end() == id.to_string() => {
            return Ok((IdFile::new(file, path), id));
        }
        (Some(id), _) => {
            log::warn!(
                "repaired: {}: it held more than the id {id}",
                path.display()
            );
            id
        }
        (None, _) => {
            let id = find_id(dir, &path, &bytes, wanted, fresh, was_there);
            if !bytes.is_empty() {
                // The file itself keeps the lock.
                keep_copy(&path, &bytes).map_err(|error| DiskError::BadFile {
                    path: path.clone(),
                    why: "it holds no member id",
                    error,
                })?;
            }
            id
        }
    };
    let file = IdFile::new(file, path);
    file.write(id).map_err(at(file.path()))?;
    Ok((file, id))
}

/// The id of a directory whose file says none.
fn find_id(
    dir: &Path,
    path: &Path,
    bytes: &[u8],
    wanted: Option<MemberId>,
    fresh: MemberId,
    was_there: bool,
) -> MemberId {
    let mut snapshots = fs::read_dir(dir).into_iter().flatten().filter_map(|entry| {
        let name = entry.ok()?.file_name();
        name.to_str()?.strip_suffix(".rst")?.parse().ok()
    });
    let (first, second): (Option<MemberId>, _) = (snapshots.next(), snapshots.next());
    let (id, whence) = match (wanted, first, second) {
        (Some(id), ..) => (id, "it is the one asked for"),
        (None, Some(id), None) => (id, "the snapshot beside it has its name"),
        _ => (fresh, "it is a new one"),
    };
    let path = path.display();
    match bytes {
        [] if !was_there && first.is_none() => {}
        [] => log::warn!("repaired: {path}: it held no member id; {id}: {whence}"),
        _ => log::warn!(
            "repaired: {path}: it held no member id, and is kept as {path}.bad-1; {id}: {whence}"
        ),
    }
    id
}

/// The mark on disk, if there is one.
fn read_incarnation(path: &Path) -> Result<Option<Incarnation>, DiskError> {
    let lost = "so this member goes on above what others remember of it";
    // One beyond what members take is an older version's: with the highest, the member takes a new id.
    let number = read_number(
        path,
        u64::MAX,
        lost,
        "it holds no decimal number below 2^64",
    )?;
    Ok(number.map(|number| Incarnation::new(number).unwrap_or(Incarnation::MAX)))
}

/// The number in a file, if there is one of at most `most`. An empty file is repaired: what of it is `lost`; any other that
/// holds no such number is set aside: `why`.
pub(super) fn read_number(
    path: &Path,
    most: u64,
    lost: &str,
    why: &'static str,
) -> Result<Option<u64>, DiskError> {
    let bytes = match regular::read(path, MOST_BYTES) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) if regular::is_not_regular(&error) => {
            set_aside(path, "it is no regular file")?;
            return Ok(None);
        }
        Err(error) => return Err(at(path)(error)),
    };
    let text = String::from_utf8_lossy(&bytes);
    let digits = text.trim_matches(is_blank);
    match digits.parse().ok().filter(|number| *number <= most) {
        Some(number) => {
            if text.trim_end() != digits {
                log::warn!(
                    "repaired: {}: it held more than the number {number}",
                    path.display()
                );
            }
            Ok(Some(number))
        }
        None if bytes.is_empty() => {
            log::warn!("repaired: {}: it was empty, {lost}", path.display());
            Ok(None)
        }
        None => {
            set_aside(path, why)?;
            Ok(None)
        }
    }
}

/// What may stand around an id or a number that a person, or a crash, put there.
fn is_blank(char: char) -> bool {
    char.is_whitespace() || char == '\0' || char == '\u{feff}'
}

/// Moves a bad file out of the way, and says so.
fn set_aside(path: &Path, why: &'static str) -> Result<(), DiskError> {
    match keep_aside(path) {
        Ok(kept) => {
            log::warn!(
                "going on without {}: {why}; it is kept as {}",
                path.display(),
                kept.display()
            );
            Ok(())
        }
        Err(error) => Err(DiskError::BadFile {
            path: path.to_owned(),
            why,
            error,
        }),
    }
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

    fn open(dir: &Path, fresh: MemberId) -> StoredIdentity {
        DataDir::open(dir, None, fresh).unwrap().1
    }

    #[test]
    fn a_new_id_and_the_name_of_its_snapshot_are_there_at_the_next_start() {
        let dir = tempfile::tempdir().unwrap();
        let (mut data, _) = DataDir::open(dir.path(), None, ONE).unwrap();
        data.store_snapshot(Snapshot::new());
        data.store_id(TWO);
        data.store_mark(Incarnation::new(64).unwrap());
        drop(data);
        let (data, second) = DataDir::open(dir.path(), None, ONE).unwrap();
        assert_eq!((second.id, second.incarnation.get()), (TWO, 65));
        assert!(data.load_snapshot().unwrap().is_some());
        assert!(!dir.path().join(format!("{ONE}.rst")).exists());
    }

    #[test]
    fn an_incarnation_beyond_what_members_take_is_the_highest() {
        for text in [
            "4611686018427387903",
            "9223372036854775807",
            "18446744073709551615",
        ] {
            let dir = tempfile::tempdir().unwrap();
            fs::write(dir.path().join("INCARNATION"), text).unwrap();
            let (_, first) = DataDir::open(dir.path(), None, ONE).unwrap();
            assert_eq!(first.incarnation, Incarnation::MAX, "{text}");
        }
    }

    #[test]
    fn a_bad_incarnation_is_repaired_or_kept_aside() {
        let repaired = ["7\n", " 7", "\u{feff}7", "7\r\n", "\t7\n\n", "7\0\0\0"];
        let lost = [
            "",
            "ten",
            "18446744073709551616",
            "-1",
            "7 8",
            "\0\0\0",
            "\u{1}",
        ];
        let cases = repaired.map(|text| (text, Incarnation::new(8)));
        for (content, starts) in cases.into_iter().chain(lost.map(|text| (text, None))) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("INCARNATION");
            fs::write(&path, content).unwrap();
            let first = open(dir.path(), ONE);
            assert_eq!(
                first.incarnation,
                starts.unwrap_or(Incarnation::ZERO),
                "{content:?}"
            );
            // It is mended for good.
            assert_eq!(fs::read_to_string(&path).unwrap(), first.mark.to_string());
            let kept = fs::read_to_string(dir.path().join("INCARNATION.bad-1")).ok();
            let expected = (starts.is_none() && !content.is_empty()).then(|| content.to_owned());
            assert_eq!(kept, expected, "{content:?}");
            assert!(open(dir.path(), ONE).incarnation > first.mark);
        }
    }

    #[test]
    fn a_bad_id_is_repaired_or_taken_from_the_snapshots_name() {
        let upper = ONE.to_string().to_uppercase();
        let line = format!("{ONE}\n");
        let blank = format!(" {ONE}\r\n\0");
        for (content, bad) in [
            (&*line, false),
            (&blank, false),
            (&upper, false),
            ("", false),
            ("x", true),
            ("\0\0\0\0", true),
            (&line[..31], true),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("MEMBER_ID");
            fs::write(&path, content).unwrap();
            fs::write(dir.path().join(format!("{ONE}.rst")), "").unwrap();
            fs::write(dir.path().join("notes.rst"), "").unwrap();
            assert_eq!(open(dir.path(), TWO).id, ONE, "{content:?}");
            let kept = fs::read_to_string(dir.path().join("MEMBER_ID.bad-1")).ok();
            assert_eq!(kept, bad.then(|| content.to_owned()));
            // It is mended for good.
            assert_eq!(
                fs::read_to_string(&path).unwrap().trim_end(),
                ONE.to_string()
            );
        }
        // Nothing says which it was.
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("MEMBER_ID"), "x").unwrap();
        assert_eq!(open(dir.path(), TWO).id, TWO);
        // The one that is asked for is as good as the file.
        fs::write(dir.path().join("MEMBER_ID"), "").unwrap();
        let (_data, identity) = DataDir::open(dir.path(), Some(ONE), TWO).unwrap();
        assert_eq!(identity.id, ONE);
        assert!(matches!(
            DataDir::open(dir.path(), Some(ONE), TWO),
            Err(DiskError::InUse(_))
        ));
    }

    #[test]
    fn what_is_no_regular_file_is_kept_aside_and_not_waited_for() {
        for name in ["INCARNATION", "MEMBER_ID"] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join(name);
            let pipe = std::process::Command::new("mkfifo").arg(&path).status();
            assert!(pipe.unwrap().success());
            open(dir.path(), ONE);
            assert!(path.is_file());
            fs::remove_file(&path).unwrap();
            fs::create_dir(&path).unwrap();
            open(dir.path(), ONE);
            assert!(path.is_file() && dir.path().join(format!("{name}.bad-1")).is_dir());
        }
    }

    /// A child holds the lock too from its fork to its exec.
    #[test]
    fn a_directory_is_free_when_its_member_is_gone_whoever_else_holds_the_lock() {
        let dir = tempfile::tempdir().unwrap();
        let (id_file, _) = open_id(dir.path(), None, ONE).unwrap();
        let child = id_file.as_a_child_has_it().unwrap();
        assert!(open_id(dir.path(), None, ONE).is_err());
        drop(id_file);
        assert!(open_id(dir.path(), None, ONE).is_ok());
        drop(child);
    }

    #[test]
    fn a_directory_is_in_use_until_its_last_snapshot_is_written() {
        let dir = tempfile::tempdir().unwrap();
        for _ in 0..20 {
            let (mut data, _) = DataDir::open(dir.path(), None, ONE).unwrap();
            let (ends, ended) = std::sync::mpsc::channel();
            let at = dir.path().to_owned();
            data.tell(move || {
                // The disk's thread is at work.
                ends.send(DataDir::open(&at, None, ONE).is_err()).unwrap();
            });
            data.store_snapshot(Snapshot::new());
            drop(data);
            assert!(ended.into_iter().next().unwrap());
        }
    }

    #[test]
    fn a_directory_of_another_member_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("MEMBER_ID"), ONE.to_string()).unwrap();
        assert!(matches!(
            DataDir::open(dir.path(), Some(TWO), ONE),
            Err(DiskError::OtherId { .. })
        ));
    }
}
