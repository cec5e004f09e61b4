//! The one thread that writes to the data directory: a slow disk never delays an Ack.
//!
//! It is given the incarnation mark and the snapshot of all rumors, without a lock. Of each only the newest
//! matters, so little waits, however slow the disk is. When both wait the mark goes first, and a snapshot
//! being written is interrupted for it: a mark waits for one [`CHUNK`] or for the sync at the snapshot's
//! end, at most.

use std::fs::File;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use super::replace::replace;
use super::snapshot::Snapshot;
use crate::limits::{MAX_SNAPSHOT, WRITE_LOG_INTERVAL};

/// Bytes of a snapshot that are written at a time.
const CHUNK: usize = 1 << 18;

/// Gives the thread what to write; dropped, waits until that is written.
pub(super) struct Writer {
    mark: Arc<AtomicU64>,
    /// Carries snapshots, and rings for marks; dropped, it ends the thread.
    jobs: Option<SyncSender<Job>>,
    /// The newest snapshot, if the thread still has others to write.
    waiting: Option<Snapshot>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread has to do.
enum Job {
    /// There is a new mark.
    Mark,
    Snapshot(Snapshot),
}

impl Job {
    fn snapshot(self) -> Option<Snapshot> {
        match self {
            Job::Mark => None,
            Job::Snapshot(snapshot) => Some(snapshot),
        }
    }
}

/// Jobs that wait at most, of which only the newest snapshot is written: little, but a snapshot has to find
/// room beside the marks that came meanwhile.
const WAITING: usize = 4;

/// No mark waits. None has this value.
const NO_MARK: u64 = u64::MAX;

impl Writer {
    /// Starts the thread, which writes to these two files.
    pub fn start(mark: PathBuf, snapshot: PathBuf) -> io::Result<Self> {
        let waiting_mark = Arc::new(AtomicU64::new(NO_MARK));
        let (jobs, work_to_do) = mpsc::sync_channel(WAITING);
        let mut marks = Marks {
            waiting: Arc::clone(&waiting_mark),
            target: Target::new(mark),
            failed: None,
        };
        let mut snapshots = Target::new(snapshot);
        let thread = thread::Builder::new()
            .name("butterfly-disk".to_owned())
            .spawn(move || work(&work_to_do, &mut marks, &mut snapshots))?;
        Ok(Writer {
            mark: waiting_mark,
            jobs: Some(jobs),
            waiting: None,
            thread: Some(thread),
        })
    }

    /// Has the mark written soon.
    pub fn write_mark(&self, mark: u64) {
        let before = self.mark.swap(mark, Ordering::AcqRel);
        if before == NO_MARK
            && let Some(jobs) = &self.jobs
        {
            // Full: the thread looks for a mark before it does what is in there, and after.
            let _ = jobs.try_send(Job::Mark);
        }
    }

    /// Has the snapshot written soon, or, while the disk is behind, the newest one given until then.
    pub fn write_snapshot(&mut self, snapshot: Snapshot) {
        let Some(jobs) = &self.jobs else {
            return;
        };
        self.waiting = match jobs.try_send(Job::Snapshot(snapshot)) {
            Err(TrySendError::Full(Job::Snapshot(snapshot))) => Some(snapshot),
            _ => None,
        };
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let (Some(jobs), Some(snapshot)) = (self.jobs.take(), self.waiting.take()) {
            // It ends only after the last sender is gone.
            let _ = jobs.send(Job::Snapshot(snapshot));
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What the thread does.
fn work(jobs: &Receiver<Job>, marks: &mut Marks, snapshots: &mut Target) {
    while let Ok(job) = jobs.recv() {
        marks.write_waiting();
        // Of snapshots the newest is as good as all.
        let jobs = std::iter::once(job).chain(jobs.try_iter());
        let newest = jobs.filter_map(Job::snapshot).last();
        if let Some(snapshot) = newest {
            marks.write_failed();
            snapshots.replace(|file| write_snapshot(&snapshot, file, marks));
        }
        marks.write_waiting();
    }
    marks.write_waiting();
    marks.write_failed();
}

fn write_snapshot(snapshot: &Snapshot, file: &mut File, marks: &mut Marks) -> io::Result<()> {
    let bytes = snapshot.file_bytes();
    if bytes > MAX_SNAPSHOT {
        let message =
            format!("the snapshot has {bytes} bytes, and at most {MAX_SNAPSHOT} are read");
        return Err(io::Error::new(ErrorKind::FileTooLarge, message));
    }
    let mut out = BufWriter::with_capacity(CHUNK, MarksFirst { file, marks });
    snapshot.write_to(&mut out)?;
    out.flush()
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
    waiting: Arc<AtomicU64>,
    target: Target,
    /// The newest mark, if it could not be written: it is tried again before the next snapshot.
    failed: Option<u64>,
}

impl Marks {
    fn write(&mut self, mark: u64) {
        let is_written = self.target.replace(|file| write!(file, "{mark}"));
        self.failed = (!is_written).then_some(mark);
    }

    fn write_waiting(&mut self) {
        let mark = self.waiting.swap(NO_MARK, Ordering::AcqRel);
        if mark != NO_MARK {
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

    /// Whether it could be replaced. If not, the old content stays, and the log says so.
    fn replace(&mut self, write: impl FnOnce(&mut File) -> io::Result<()>) -> bool {
        let result = replace(&self.path, write);
        let path = self.path.display();
        match &result {
            Err(error) if self.log.opens(Instant::now()) => log::error!(
                "cannot write {path}, which stays as it was: {error}; make room or mend the disk: it is tried again"
            ),
            Ok(()) if self.log.closes() => log::info!("{path} can be written again"),
            _ => {}
        }
        result.is_ok()
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
    use std::time::Duration;

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
}
