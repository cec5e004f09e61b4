//! The one thread that writes to the data directory: a slow disk never delays an Ack.
//!
//! It is given the incarnation mark and the snapshot of all rumors. Of each only the newest matters, so
//! there is room for one, however slow the disk is. When both wait the mark goes first, and a snapshot
//! being written is interrupted for it: a mark waits for one [`CHUNK`] or for the sync at the snapshot's
//! end, at most.

use std::fs::File;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use super::replace::replace;
use super::snapshot::Snapshot;
use crate::limits::{MAX_SNAPSHOT, WRITE_LOG_INTERVAL};

/// Bytes of a snapshot that are written at a time.
const CHUNK: usize = 1 << 18;

/// Gives the thread what to write; dropped, waits until that is written.
pub(super) struct Writer {
    slots: Arc<Slots>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread, which writes to these two files.
    pub fn start(mark: PathBuf, snapshot: PathBuf) -> io::Result<Self> {
        let slots = Arc::new(Slots::default());
        let mut marks = Marks {
            slots: Arc::clone(&slots),
            target: Target::new(mark),
            failed: None,
        };
        let mut snapshots = Target::new(snapshot);
        let thread = thread::Builder::new()
            .name("butterfly-disk".to_owned())
            .spawn(move || work(&mut marks, &mut snapshots))?;
        Ok(Writer {
            slots,
            thread: Some(thread),
        })
    }

    /// Has the mark written soon.
    pub fn write_mark(&self, mark: u64) {
        self.slots.change(|waiting| waiting.mark = Some(mark));
    }

    /// Has the snapshot written soon, instead of one that still waits.
    pub fn write_snapshot(&self, snapshot: Snapshot) {
        // The one replaced is dropped here, where nobody waits for it.
        let _replaced = self
            .slots
            .change(|waiting| waiting.snapshot.replace(snapshot));
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.slots.change(|waiting| waiting.is_last = true);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Where things wait to be written. It is locked for as long as it takes to put something in or out.
#[derive(Default)]
struct Slots {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    mark: Option<u64>,
    snapshot: Option<Snapshot>,
    /// Nothing comes any more.
    is_last: bool,
}

enum Job {
    Mark(u64),
    Snapshot(Snapshot),
}

impl Slots {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Nobody can leave it half changed.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, change: impl FnOnce(&mut Waiting) -> T) -> T {
        let result = change(&mut self.lock());
        self.changed.notify_one();
        result
    }

    /// Waits for the next thing to write; `None`: there is nothing, and nothing comes.
    fn next(&self) -> Option<Job> {
        let mut waiting = self.lock();
        loop {
            if let Some(mark) = waiting.mark.take() {
                return Some(Job::Mark(mark));
            }
            if let Some(snapshot) = waiting.snapshot.take() {
                return Some(Job::Snapshot(snapshot));
            }
            if waiting.is_last {
                return None;
            }
            waiting = self
                .changed
                .wait(waiting)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// What the thread does.
fn work(marks: &mut Marks, snapshots: &mut Target) {
    while let Some(job) = marks.slots.next() {
        match job {
            Job::Mark(mark) => marks.write(mark),
            Job::Snapshot(snapshot) => {
                marks.write_failed();
                snapshots.replace(|file| write_snapshot(&snapshot, file, marks));
            }
        }
    }
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
    slots: Arc<Slots>,
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
        let mark = self.slots.lock().mark.take();
        if let Some(mark) = mark {
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

    #[test]
    fn the_mark_goes_before_the_snapshot_and_both_before_the_end() {
        let slots = Slots::default();
        slots.change(|waiting| {
            *waiting = Waiting {
                mark: Some(1),
                snapshot: Some(Snapshot::new()),
                is_last: true,
            };
        });
        slots.change(|waiting| waiting.mark = Some(2));
        assert!(matches!(slots.next(), Some(Job::Mark(2))));
        assert!(matches!(slots.next(), Some(Job::Snapshot(_))));
        assert!(slots.next().is_none());
    }
}
