//! The one thread that writes to the data directory: a slow disk never delays an Ack.
//!
//! It is given the incarnation mark and the snapshot of all rumors. Of each only the newest matters, so little waits,
//! however slow the disk is. When both wait the mark goes first, and a snapshot being written is interrupted for it: a
//! mark waits for one [`CHUNK`] or for the sync at the snapshot's end, at most. Its owner never waits for the disk: it
//! is told when the disk has answered, and asks then what became of it.

use std::fs::File;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::checksum::{self, Sum, Summing};
use super::id_file::IdFile;
use super::replace::{replace, replace_after};
use super::snapshot::Snapshot;
use crate::limits::{MAX_SNAPSHOT, WRITE_LOG_INTERVAL};
use crate::member::MemberId;
use crate::stats::DiskWrites;

/// Bytes of a snapshot that are written at a time.
const CHUNK: usize = 1 << 18;

/// Called by the thread when the disk has answered.
pub(super) type Tell = Box<dyn Fn() + Send + Sync>;

/// Gives the thread what to write; dropped, waits until that is written.
pub(super) struct Writer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// Another id of the member, and where the snapshots go from now on.
pub(super) struct NewId {
    pub id: MemberId,
    pub snapshot: PathBuf,
    pub checksum: PathBuf,
}

impl NewId {
    fn write(&self, file: &IdFile) {
        if let Err(error) = file.write(self.id) {
            log::error!(
                "cannot write {} to {}: {error}; the member takes another new id when it starts again",
                self.id,
                file.path().display()
            );
        }
    }
}

struct Shared {
    state: Mutex<State>,
    /// There is something to do.
    wake: Condvar,
    /// The thread has ended.
    ended: Condvar,
}

/// What waits, and what became of what does not. It is locked for moments only, never while the disk works.
#[derive(Default)]
struct State {
    mark: Option<u64>,
    snapshot: Option<Snapshot>,
    beside: [Option<Vec<u8>>; Beside::ALL.len()],
    /// What became of the newest content of each of these; `None`: it waits, or there was none.
    outcomes: [Option<Result<(), String>>; Beside::ALL.len()],
    new_id: Option<NewId>,
    /// The checksum of the snapshot that was found in place.
    found: Option<Sum>,
    /// There will be no more.
    ends: bool,
    /// The newest mark for which the disk has answered.
    answered: Option<u64>,
    /// Why the newest content of a file is not on disk: of the mark's, and of the snapshot's.
    failed: [Option<String>; 2],
    writes: DiskWrites,
    ended: bool,
    tell: Option<Arc<Tell>>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // Whoever panicked with the lock left it whole: each change is one assignment.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what became of something, and has the owner look.
    fn answer(&self, note: impl FnOnce(&mut State)) {
        let mut state = self.state();
        note(&mut state);
        let tell = state.tell.clone();
        drop(state);
        if let Some(tell) = tell {
            tell();
        }
    }

    /// Notes what became of a file's newest content: of the mark's, or of the snapshot's.
    fn note(state: &mut State, file: usize, failed: Option<String>) {
        match failed {
            None => state.writes.done += 1,
            Some(_) => state.writes.failed += 1,
        }
        state.failed[file] = failed;
    }

    fn take_mark(&self) -> Option<u64> {
        self.state().mark.take()
    }

    /// Waits for something to do; `false`: there will be nothing more.
    fn wait(&self) -> bool {
        let idle = |state: &mut State| {
            state.mark.is_none()
                && state.snapshot.is_none()
                && state.beside.iter().all(Option::is_none)
                && state.new_id.is_none()
        };
        let mut state = self.state();
        while idle(&mut state) && !state.ends {
            state = self
                .wake
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        !idle(&mut state)
    }
}

/// The files that are written.
pub(super) struct Paths {
    pub mark: PathBuf,
    pub snapshot: PathBuf,
    pub checksum: PathBuf,
    pub beside: [PathBuf; Beside::ALL.len()],
}

/// A file that is written whole, and that a member starts without if need be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beside {
    /// What its owner knows of the past.
    History,
    /// Rumors of kinds of our own.
    Rumors,
    /// What its owner was told of its tags.
    Tags,
    /// The keys that the ring was given.
    Keys,
}

impl Beside {
    pub const ALL: [Beside; 4] = [Beside::History, Beside::Rumors, Beside::Tags, Beside::Keys];

    /// Its name in the directory.
    pub const fn file(self) -> &'static str {
        match self {
            Beside::History => "HISTORY",
            Beside::Rumors => "RUMORS",
            Beside::Tags => "TAGS",
            Beside::Keys => "RING_KEYS",
        }
    }
}

impl Writer {
    /// Starts the thread, which writes to these files, and keeps the directory locked until it has. The snapshot that is
    /// in place, if any, has one of these checksums.
    pub fn start(id_file: IdFile, paths: Paths, in_place: Vec<Sum>) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            wake: Condvar::new(),
            ended: Condvar::new(),
        });
        let mut marks = Marks {
            shared: Arc::clone(&shared),
            target: Target::new(paths.mark),
            failed: None,
        };
        let mut snapshots = Snapshots {
            target: Target::new(paths.snapshot),
            checksum: paths.checksum,
            in_place,
        };
        let mut beside = paths.beside.map(Target::new);
        let thread = thread::Builder::new()
            .name("butterfly-disk".to_owned())
            .spawn(move || work(id_file, &mut marks, &mut snapshots, &mut beside))?;
        Ok(Writer {
            shared,
            thread: Some(thread),
        })
    }

    /// Has this called, by the thread, whenever the disk has answered.
    pub fn tell(&self, tell: Tell) {
        self.shared.state().tell = Some(Arc::new(tell));
    }

    /// Has the mark written soon.
    pub fn write_mark(&self, mark: u64) {
        self.shared.state().mark = Some(mark);
        self.shared.wake.notify_one();
    }

    /// The newest mark that is on disk, or that the disk refused.
    pub fn answered_mark(&self) -> Option<u64> {
        self.shared.state().answered
    }

    /// What became of all that was written so far.
    pub fn writes(&self) -> DiskWrites {
        self.shared.state().writes
    }

    /// Has a new id written soon.
    pub fn write_id(&self, new: NewId) {
        self.shared.state().new_id = Some(new);
        self.shared.wake.notify_one();
    }

    /// Has the snapshot written soon, or, while the disk is behind, the newest one given until then.
    pub fn write_snapshot(&self, snapshot: Snapshot) {
        // The one before is dropped here, and not under the lock.
        let _before = self.shared.state().snapshot.replace(snapshot);
        self.shared.wake.notify_one();
    }

    /// Has this file written soon, in the place of what waits.
    pub fn write_beside(&self, file: Beside, content: Vec<u8>) {
        let mut state = self.shared.state();
        state.outcomes[file as usize] = None;
        let _before = state.beside[file as usize].replace(content);
        drop(state);
        self.shared.wake.notify_one();
    }

    /// What became of this file's newest content; `None`: it is not written yet.
    pub fn outcome_beside(&self, file: Beside) -> Option<Result<(), String>> {
        self.shared.state().outcomes[file as usize].clone()
    }

    /// The snapshot in place was read, and has this checksum.
    pub fn found(&self, sum: Sum) {
        self.shared.state().found = Some(sum);
    }

    /// Nothing more will be given.
    pub fn end(&self) {
        self.shared.state().ends = true;
        self.shared.wake.notify_one();
    }

    /// Whether all that was given is on disk, or what could not be written last, and why; `None`: the thread is not
    /// done, though it was waited for as long as that.
    pub fn outcome(&self, patience: Duration) -> Option<Result<(), String>> {
        let state = self.shared.state();
        let waited = self
            .shared
            .ended
            .wait_timeout_while(state, patience, |state| !state.ended);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let failed = state.failed.iter().flatten().next_back().cloned();
        state.ended.then(|| failed.map_or(Ok(()), Err))
    }

    /// Waits for the thread no more: the process is about to end.
    pub fn abandon(&mut self) {
        self.end();
        self.thread = None;
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.end();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What the thread does.
fn work(id_file: IdFile, marks: &mut Marks, snapshots: &mut Snapshots, beside: &mut [Target]) {
    let shared = Arc::clone(&marks.shared);
    while shared.wait() {
        marks.write_waiting();
        let new_id = shared.state().new_id.take();
        if let Some(new) = new_id {
            new.write(&id_file);
            snapshots.rename(new);
        }
        let snapshot = shared.state().snapshot.take();
        if let Some(snapshot) = snapshot {
            marks.write_failed();
            if let Some(sum) = shared.state().found.take() {
                snapshots.in_place = vec![sum];
            }
            let failed = snapshots.replace(&snapshot, marks).err();
            shared.answer(|state| Shared::note(state, 1, failed));
        }
        for (number, target) in beside.iter_mut().enumerate() {
            let content = shared.state().beside[number].take();
            if let Some(content) = content {
                let outcome = target.note(replace(&target.path, |file| file.write_all(&content)));
                shared.answer(|state| {
                    let is_newest = state.beside[number].is_none();
                    state.outcomes[number] = is_newest.then_some(outcome);
                });
            }
        }
    }
    marks.write_failed();
    for failed in shared.state().failed.iter().flatten() {
        // However lately the log was told.
        log::error!("{failed}; it ends, so the newest content is lost, and the one before stays");
    }
    drop(id_file);
    shared.answer(|state| state.ended = true);
    shared.ended.notify_all();
}

/// A snapshot's file, and the checksum beside it.
struct Snapshots {
    target: Target,
    checksum: PathBuf,
    /// The checksums of which the file has one.
    in_place: Vec<Sum>,
}

impl Snapshots {
    /// They have other names from now on. What is there goes along, if it can: else the next ones are written anew.
    fn rename(&mut self, new: NewId) {
        let _ = std::fs::rename(&self.checksum, &new.checksum);
        let _ = std::fs::rename(&self.target.path, &new.snapshot);
        (self.checksum, self.target.path) = (new.checksum, new.snapshot);
    }

    /// Replaces both; why not, if it could not be done.
    fn replace(&mut self, snapshot: &Snapshot, marks: &mut Marks) -> Result<(), String> {
        let (path, checksum, in_place) = (&self.target.path, &self.checksum, &self.in_place);
        let mut written = None;
        let result = replace_after(
            path,
            |file| write_snapshot(snapshot, file, marks),
            |sum| {
                written = Some(sum);
                let sums: Vec<_> = std::iter::once(sum)
                    .chain(in_place.iter().copied())
                    .collect();
                checksum::write(checksum, path, &sums)
            },
        );
        if result.is_ok() {
            self.in_place = written.into_iter().collect();
        }
        self.target.note(result)
    }
}

fn write_snapshot(snapshot: &Snapshot, file: &mut File, marks: &mut Marks) -> io::Result<Sum> {
    let bytes = snapshot.file_bytes();
    if bytes > MAX_SNAPSHOT {
        let message =
            format!("the snapshot has {bytes} bytes, and at most {MAX_SNAPSHOT} are read");
        return Err(io::Error::new(ErrorKind::FileTooLarge, message));
    }
    let mut out = BufWriter::with_capacity(CHUNK, Summing::new(MarksFirst { file, marks })?);
    snapshot.write_to(&mut out)?;
    out.into_inner()?.sum()
}

/// A file that lets marks pass before each write.
struct MarksFirst<'a> {
    file: &'a mut File,
    marks: &'a mut Marks,
}

impl Write for MarksFirst<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.marks.write_waiting();
        // A message larger than the buffer comes in one piece.
        let chunk = bytes.get(..CHUNK).unwrap_or(bytes);
        self.file.write(chunk)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

struct Marks {
    shared: Arc<Shared>,
    target: Target,
    /// The newest mark, if it could not be written: it is tried again before the next snapshot.
    failed: Option<u64>,
}

impl Marks {
    fn write(&mut self, mark: u64) {
        let result = replace(&self.target.path, |file| write!(file, "{mark}"));
        let failed = self.target.note(result).err();
        self.failed = failed.is_some().then_some(mark);
        self.shared.answer(|state| {
            state.answered = Some(mark);
            Shared::note(state, 0, failed);
        });
    }

    fn write_waiting(&mut self) {
        if let Some(mark) = self.shared.take_mark() {
            self.write(mark);
        }
    }

    fn write_failed(&mut self) {
        if let Some(mark) = self.failed.take() {
            self.write(mark);
        }
    }
}

/// A file that is replaced again and again, and what the log was told of it.
struct Target {
    path: PathBuf,
    log: LogGate,
}

impl Target {
    fn new(path: PathBuf) -> Self {
        Target {
            path,
            log: LogGate::default(),
        }
    }

    /// Whether it could be replaced, or why not, with its name. If not, the old content stays, and the log says so.
    fn note(&mut self, result: io::Result<()>) -> Result<(), String> {
        let path = self.path.display();
        match &result {
            Err(error) if self.log.opens(Instant::now()) => log::error!(
                "cannot write {path}, which stays as it was: {error}; make room or mend the disk: it is tried again"
            ),
            Ok(()) if self.log.closes() => log::info!("{path} can be written again"),
            _ => {}
        }
        result.map_err(|error| format!("cannot write {path}: {error}"))
    }
}

/// Lets one complaint in [`WRITE_LOG_INTERVAL`] through, and the end of what it was about.
#[derive(Default)]
struct LogGate {
    last: Option<Instant>,
    /// The last complaint still holds.
    is_open: bool,
}

impl LogGate {
    /// It failed: whether to say so.
    fn opens(&mut self, now: Instant) -> bool {
        if self
            .last
            .is_some_and(|last| now.saturating_duration_since(last) < WRITE_LOG_INTERVAL)
        {
            return false;
        }
        self.last = Some(now);
        self.is_open = true;
        true
    }

    /// It worked: whether to say so.
    fn closes(&mut self) -> bool {
        std::mem::take(&mut self.is_open)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_is_told_once_in_a_while_and_of_the_end() {
        let mut gate = LogGate::default();
        let start = Instant::now();
        assert!(!gate.closes(), "nothing was wrong");
        assert!(gate.opens(start));
        assert!(!gate.opens(start + WRITE_LOG_INTERVAL - Duration::from_secs(1)));
        assert!(gate.closes() && !gate.closes());
        assert!(
            !gate.opens(start + WRITE_LOG_INTERVAL - Duration::from_secs(1)) && !gate.closes(),
            "what comes and goes does not flood it"
        );
        assert!(gate.opens(start + WRITE_LOG_INTERVAL));
    }

    #[test]
    fn a_new_id_that_is_not_stored_is_an_error_that_says_what_follows() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("MEMBER_ID");
        std::fs::write(&path, "x").unwrap();
        let new = NewId {
            id: MemberId::from_bytes([1; 16]),
            snapshot: path.clone(),
            checksum: path.clone(),
        };
        // It takes nothing.
        let file = IdFile::new(File::open(&path).unwrap(), path);
        let lines = crate::net::logged::by(|| new.write(&file));
        assert_eq!(lines.len(), 1);
        assert!(lines[0].starts_with("ERROR cannot write 0101"), "{lines:?}");
        assert!(lines[0].ends_with("; the member takes another new id when it starts again"));
    }
}
