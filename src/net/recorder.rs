//! The file of a recording: a thread writes it, as a disk may hang, and the loop may not.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::{BindError, Butterfly};
use crate::config::{NodeConfig, Recording};
use crate::limits::{MARK_INTERVAL, MAX_RECORDED_CHUNK, MAX_RECORDING_WAITING};
use crate::node::Node;
use crate::recording::{CHUNK_HEAD, End, MAGIC, chunk_head};
use crate::time::Time;

/// Chunks that wait for the disk.
const MAX_CHUNKS: usize = 1_024;
/// How long the end waits for the disk.
const LAST_CHUNKS: Duration = Duration::from_secs(1);
/// Bytes that the end of a recording takes at most: a mark, and that it ends.
const LAST_WORDS: u64 = 2 * CHUNK_HEAD as u64 + 100;

/// A node that starts, and the recorder of all that it is told, if it is asked for.
pub(super) fn begin(
    config: NodeConfig,
    recording: Option<&Recording>,
) -> Result<(Node, Option<Recorder>), BindError> {
    let Some(recording) = recording else {
        return Ok((Node::new(config, Time::ZERO), None));
    };
    let recorder = Recorder::create(recording).map_err(|error| BindError::Recording {
        path: recording.path.display().to_string(),
        error,
    })?;
    let zero = SystemTime::now().duration_since(UNIX_EPOCH);
    let node = Node::new_recorded(config, Time::ZERO, zero.unwrap_or_default());
    Ok((node, Some(recorder)))
}

/// Hands what was recorded to the thread that writes it.
pub(super) struct Recorder {
    path: PathBuf,
    /// `None` once the last chunk was handed over.
    chunks: Option<SyncSender<Vec<u8>>>,
    /// Buffers that are free again.
    written: Receiver<Vec<u8>>,
    /// How the writing ended.
    ended: Receiver<io::Result<()>>,
    /// Bytes that wait for the disk.
    waiting: Arc<AtomicUsize>,
    /// Bytes that the file may still have.
    left: u64,
    /// When what was recorded since is handed over.
    due: Option<Instant>,
}

/// Why a recording ends before its member does.
enum Stop {
    Full,
    Slow,
    TooLarge(usize),
    Failed(io::Error),
}

impl Recorder {
    fn create(recording: &Recording) -> io::Result<Self> {
        let mut file = create(&recording.path)?;
        file.write_all(MAGIC)?;
        Recorder::over(file, recording)
    }

    /// One whose file begins already.
    fn over(mut file: File, recording: &Recording) -> io::Result<Self> {
        let (chunks, to_write) = sync_channel::<Vec<u8>>(MAX_CHUNKS);
        let (give_back, written) = sync_channel(MAX_CHUNKS);
        let (end, ended) = sync_channel(1);
        let waiting = Arc::new(AtomicUsize::new(0));
        let still = Arc::clone(&waiting);
        let write = move || {
            let mut outcome = Ok(());
            for chunk in &to_write {
                let write = file.write_all(&chunk_head(&chunk));
                outcome = write.and_then(|()| file.write_all(&chunk));
                still.fetch_sub(chunk.len(), Ordering::Relaxed);
                if outcome.is_err() {
                    break;
                }
                // If there is no room for it, it is dropped.
                let _ = give_back.try_send(chunk);
            }
            // Before the other side can notice, so that the reason is there.
            let _ = end.send(outcome);
            drop(to_write);
        };
        thread::Builder::new()
            .name("butterfly-record".into())
            .spawn(write)?;
        Ok(Recorder {
            path: recording.path.clone(),
            chunks: Some(chunks),
            written,
            ended,
            waiting,
            left: recording.max_bytes.saturating_sub(MAGIC.len() as u64),
            due: None,
        })
    }

    pub fn deadline(&self) -> Option<Instant> {
        self.due
    }

    /// Hands over a chunk; `reserve`: bytes that have to be left in the file.
    fn write(&mut self, chunk: Vec<u8>, reserve: u64) -> Result<(), Stop> {
        let len = chunk.len();
        let in_file = (CHUNK_HEAD + len) as u64;
        if len > MAX_RECORDED_CHUNK {
            return Err(Stop::TooLarge(len));
        }
        if in_file + reserve > self.left {
            return Err(Stop::Full);
        }
        if self.waiting.load(Ordering::Relaxed) + len > MAX_RECORDING_WAITING {
            return Err(Stop::Slow);
        }
        let Some(chunks) = &self.chunks else {
            return Ok(());
        };
        self.waiting.fetch_add(len, Ordering::Relaxed);
        match chunks.try_send(chunk) {
            Ok(()) => self.left -= in_file,
            Err(TrySendError::Full(_)) => return Err(Stop::Slow),
            Err(TrySendError::Disconnected(_)) => return Err(self.why()),
        }
        Ok(())
    }

    /// Why the thread ended.
    fn why(&self) -> Stop {
        match self.ended.try_recv() {
            Ok(Err(error)) => Stop::Failed(error),
            _ => Stop::Failed(io::Error::other("the thread that writes it ended")),
        }
    }

    /// Whether the thread ended by itself.
    fn failed(&self) -> Option<Stop> {
        match self.ended.try_recv() {
            Ok(Err(error)) => Some(Stop::Failed(error)),
            Err(TryRecvError::Empty) => None,
            Ok(Ok(())) | Err(TryRecvError::Disconnected) => Some(self.why()),
        }
    }

    fn say(&self, why: &Stop) {
        let path = self.path.display();
        match why {
            Stop::Full => log::warn!("no more is recorded: {path} is as large as it may be"),
            Stop::Slow => log::warn!(
                "no more is recorded: the disk of {path} does not keep up; what is there is good"
            ),
            Stop::TooLarge(bytes) => log::warn!(
                "no more is recorded to {path}: something of {bytes} bytes came, and {MAX_RECORDED_CHUNK} is the most"
            ),
            Stop::Failed(error) => {
                log::warn!(
                    "no more is recorded: cannot write {path}: {error}; what is there is good"
                );
            }
        }
    }
}

impl Drop for Recorder {
    /// The last chunks reach the file, unless its disk hangs.
    fn drop(&mut self) {
        self.chunks = None;
        let _ = self.ended.recv_timeout(LAST_CHUNKS);
    }
}

/// A new file that only this user reads. What is there stays, under another name: it may tell of a crash.
fn create(path: &Path) -> io::Result<File> {
    let there = fs::symlink_metadata(path);
    if there.is_ok_and(|it| it.is_file()) {
        let mut old = path.as_os_str().to_owned();
        old.push(".old");
        fs::rename(path, old)?;
    }
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
}

impl Butterfly {
    /// Whether all that it is told is recorded at the moment.
    pub fn is_recording(&self) -> bool {
        self.node.is_recording()
    }

    /// Hands over what was recorded, if it is time for that.
    #[inline]
    pub(super) fn save_recording(&mut self, now: Instant) {
        if self.recorder.is_some() {
            self.hand_over(now);
        }
    }

    fn hand_over(&mut self, now: Instant) {
        let Some(recorder) = self.recorder.as_mut().filter(|it| it.chunks.is_some()) else {
            return;
        };
        match recorder.due {
            Some(due) if due <= now => {
                self.node.cut_recording();
                recorder.due = None;
            }
            Some(_) => {}
            None if self.node.has_recorded() => recorder.due = Some(now + MARK_INTERVAL),
            None => {}
        }
        let mut stop = None;
        while let Some(chunk) = self.node.poll_recorded() {
            stop = recorder.write(chunk, LAST_WORDS).err();
            if stop.is_some() {
                break;
            }
        }
        while let Ok(buffer) = recorder.written.try_recv() {
            self.node.reuse_recorded(buffer);
        }
        stop = stop.or_else(|| recorder.failed());
        if let Some(why) = stop {
            recorder.say(&why);
            self.stop_recording(&why);
        }
    }

    /// The recording ends before the member does.
    fn stop_recording(&mut self, why: &Stop) {
        // What was not handed over is left out, and with it the state: only that it ends is said.
        while self.node.poll_recorded().is_some() {}
        drop(self.node.end_recording(End::Full));
        if let (Some(recorder), Stop::Full) = (&mut self.recorder, why) {
            // There is room for it, and if the disk does not take it, there is nothing more to say.
            let _ = recorder.write(End::Full.alone(), 0);
        }
        if let Some(recorder) = &mut self.recorder {
            // What waits is written still.
            (recorder.chunks, recorder.due) = (None, None);
        }
    }

    /// The recording ends with the member.
    pub(super) fn end_recording(&mut self) {
        self.node.cut_recording();
        self.hand_over(Instant::now());
        let Some(recorder) = self.recorder.as_mut().filter(|it| it.chunks.is_some()) else {
            return;
        };
        for chunk in self.node.end_recording(End::Finished).into_iter().flatten() {
            if let Err(why) = recorder.write(chunk, 0) {
                recorder.say(&why);
                break;
            }
        }
        (recorder.chunks, recorder.due) = (None, None);
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;

    use super::*;
    use crate::config::Config;
    use crate::net::logged;
    use crate::node::{Replay, Step};

    fn to_pipe() -> (io::PipeReader, Recorder) {
        let (reader, pipe) = io::pipe().unwrap();
        let file = File::from(OwnedFd::from(pipe));
        (
            reader,
            Recorder::over(file, &Recording::new("test")).unwrap(),
        )
    }

    fn recorded(recording: Recording) -> Butterfly {
        let config = Config::new("127.0.0.1:0".parse().unwrap());
        Butterfly::bind(config.record(recording)).unwrap()
    }

    /// Plays a file: whether it says that it was full.
    fn is_full(path: &Path) -> bool {
        let mut replay = Replay::new(Vec::new());
        replay.feed(&fs::read(path).unwrap());
        loop {
            match replay.step().unwrap() {
                Step::Ended(why) => return why == End::Full,
                Step::Starved => panic!("it has no end"),
                _ => {}
            }
        }
    }

    #[test]
    fn a_recording_ends_before_it_is_larger_than_it_may_be_and_the_member_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("it.rec");
        let most = 20_000;
        let mut member = recorded(Recording::new(&path).max_bytes(most));
        let mut later = Instant::now();
        let lines = logged::by(|| {
            while member.is_recording() {
                member.note(&"x".repeat(1_000));
                later += 2 * MARK_INTERVAL;
                member.save_recording(later);
            }
        });
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert_eq!(
            lines[0],
            format!(
                "WARN no more is recorded: {} is as large as it may be",
                path.display()
            )
        );
        member.process().unwrap();
        assert_eq!(
            logged::by(|| member.save_recording(Instant::now())).len(),
            0
        );
        drop(member);
        assert!(is_full(&path));
        let len = fs::metadata(&path).unwrap().len();
        assert!((most / 2..=most).contains(&len), "{len}");
    }

    /// A pipe that nobody reads stands for a disk that hangs.
    #[test]
    fn a_disk_that_hangs_ends_the_recording_and_stops_nobody() {
        let (reader, mut recorder) = to_pipe();
        let why = loop {
            if let Err(why) = recorder.write(vec![7; 10_000], 0) {
                break why;
            }
        };
        let lines = logged::by(|| recorder.say(&why));
        assert_eq!(
            lines,
            ["WARN no more is recorded: the disk of test does not keep up; what is there is good"]
        );
        drop(reader);
    }

    #[test]
    fn a_disk_that_fails_ends_the_recording_and_is_told_once() {
        let dir = tempfile::tempdir().unwrap();
        let mut member = recorded(Recording::new(dir.path().join("it.rec")));
        let (reader, recorder) = to_pipe();
        drop(reader);
        member.recorder = Some(recorder);
        let mut later = Instant::now();
        let end = later + Duration::from_secs(20);
        let lines = logged::by(|| {
            while member.is_recording() {
                assert!(Instant::now() < end, "it never noticed");
                member.note("x");
                later += 2 * MARK_INTERVAL;
                member.save_recording(later);
            }
            member.save_recording(later);
        });
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(
            lines[0].starts_with("WARN no more is recorded: cannot write test: "),
            "{lines:?}"
        );
        assert_eq!(member.deadline(), Some(member.epoch()), "it still works");
    }

    #[test]
    fn what_is_larger_than_any_chunk_ends_the_recording() {
        let (_reader, mut recorder) = to_pipe();
        let why = recorder
            .write(vec![0; MAX_RECORDED_CHUNK + 1], 0)
            .unwrap_err();
        let lines = logged::by(|| recorder.say(&why));
        assert_eq!(
            lines,
            [
                "WARN no more is recorded to test: something of 33554433 bytes came, and 33554432 is the most"
            ]
        );
    }

    #[test]
    fn what_cannot_be_made_is_told_before_the_member_starts() {
        for path in ["/dev/full", "/there/is/no/such/directory/it.rec"] {
            let config = Config::new("127.0.0.1:0".parse().unwrap());
            let error = Butterfly::bind(config.record(Recording::new(path))).unwrap_err();
            let told = format!("cannot record to {path}: ");
            assert!(error.to_string().starts_with(&told), "{error}");
        }
    }
}
