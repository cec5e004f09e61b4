//! Trace files (PROTOCOL.md §5): one a member, one line an event.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::member::MemberId;
use crate::trace::{Trace, TraceWriter, plain};

/// Set to anything: traces are written.
const SWITCH: &str = "TRACE_SWIM";
/// Where they are written instead of [`DEFAULT_DIR`].
const DIR: &str = "TRACE_SWIM_DIR";
const DEFAULT_DIR: &str = "/tmp/habitat-swim-trace";

/// Batches of lines that wait for the disk; a batch on top is lost.
const MAX_BATCHES: usize = 1_024;
/// How long the end waits for the disk.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Formats traces, and hands them to a thread that writes them: a disk may hang, the loop may not.
pub(super) struct Writer {
    /// `None` once the last line was handed over.
    batches: Option<SyncSender<String>>,
    /// How the writing ended.
    ended: Receiver<io::Result<()>>,
    /// Batches lost, as the disk did not keep up.
    lost: u64,
    path: PathBuf,
    /// The wall clock at the node's time zero.
    zero: Duration,
    /// The time of the last line. Each has a later one, so that sorting keeps the order of a member's lines.
    last: Duration,
    server: String,
    id: MemberId,
    listening: SocketAddr,
    lines: String,
}

impl Writer {
    /// A trace file for this member if the environment asks for traces. `elapsed` is the node's time.
    pub fn from_env(
        name: &str,
        id: MemberId,
        listening: SocketAddr,
        elapsed: Duration,
    ) -> Option<Self> {
        std::env::var_os(SWITCH)?;
        let dir = std::env::var_os(DIR).map_or_else(|| PathBuf::from(DEFAULT_DIR), PathBuf::from);
        Writer::in_dir(dir, name, id, listening, elapsed)
    }

    /// The same in this directory; `None`: there it cannot be, which the log says.
    fn in_dir(
        dir: PathBuf,
        name: &str,
        id: MemberId,
        listening: SocketAddr,
        elapsed: Duration,
    ) -> Option<Self> {
        match Writer::create(dir.clone(), name, id, listening, elapsed) {
            Ok(writer) => Some(writer),
            Err(error) => {
                log::warn!("no traces: cannot write to {}: {error}", dir.display());
                None
            }
        }
    }

    fn create(
        dir: PathBuf,
        name: &str,
        id: MemberId,
        listening: SocketAddr,
        elapsed: Duration,
    ) -> io::Result<Self> {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let server = if name.is_empty() {
            id.to_string()
        } else {
            plain(name)
        };
        fs::create_dir_all(&dir)?;
        let path = dir.join(format!("{server}-{}.swimtrace", now.as_nanos()));
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&path)?;
        let (batches, ended) = write_in_background(file)?;
        let zero = now.saturating_sub(elapsed);
        Ok(Writer {
            batches: Some(batches),
            ended,
            lost: 0,
            path,
            zero,
            last: Duration::ZERO,
            server,
            id,
            listening,
            lines: String::new(),
        })
    }

    /// The member goes on under this id.
    pub fn set_id(&mut self, id: MemberId) {
        self.id = id;
    }

    /// Appends what happened; `false`: the file cannot be written any more.
    pub fn append(&mut self, traces: impl Iterator<Item = Trace>) -> bool {
        for trace in traces {
            self.format(&trace);
        }
        let lines = std::mem::take(&mut self.lines);
        if lines.is_empty() {
            return true;
        }
        let Some(batches) = &self.batches else {
            return false;
        };
        match batches.try_send(lines) {
            Ok(()) => true,
            Err(TrySendError::Full(_)) => {
                self.lost += 1;
                if self.lost.is_power_of_two() {
                    let (path, lost) = (self.path.display(), self.lost);
                    log::warn!(
                        "traces are lost: the disk of {path} does not keep up ({lost} batches so far)"
                    );
                }
                true
            }
            Err(TrySendError::Disconnected(_)) => {
                let path = self.path.display();
                if let Ok(Err(error)) = self.ended.try_recv() {
                    log::warn!("no more traces: cannot write {path}: {error}");
                }
                false
            }
        }
    }

    fn format(&mut self, trace: &Trace) {
        let time = self.zero + Duration::from_micros(trace.time.as_micros());
        let time = time.max(self.last + Duration::from_nanos(1));
        self.last = time;
        let thread = thread::current();
        let writer = TraceWriter {
            thread: thread.name().unwrap_or_default(),
            server: &self.server,
            id: self.id,
            listening: self.listening,
        };
        trace.write_line(&mut self.lines, time, &writer);
    }
}

impl Drop for Writer {
    /// The last lines reach the file, unless its disk hangs.
    fn drop(&mut self) {
        self.batches = None;
        let _ = self.ended.recv_timeout(LAST_LINES);
    }
}

/// Writes the batches that the sender is given; the receiver says how that ended.
fn write_in_background(
    mut file: File,
) -> io::Result<(SyncSender<String>, Receiver<io::Result<()>>)> {
    let (sender, batches) = sync_channel::<String>(MAX_BATCHES);
    let (end, ended) = sync_channel(1);
    let write = move || {
        let written = batches
            .iter()
            .try_for_each(|lines| file.write_all(lines.as_bytes()));
        // Before the sender can notice, so that the reason is there.
        let _ = end.send(written);
        drop(batches);
    };
    thread::Builder::new()
        .name("butterfly-trace".into())
        .spawn(write)?;
    Ok((sender, ended))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::logged;
    use crate::node::Node;

    /// What one member does at its start, as traces.
    fn traces() -> impl Iterator<Item = Trace> {
        let config = crate::config::NodeConfig::new(MemberId::from_bytes([1; 16]), 1, [0; 32]);
        let mut node = Node::new(config, crate::time::Time::ZERO);
        node.set_tracing(true);
        node.note("hello");
        std::iter::from_fn(move || node.poll_trace())
    }

    fn writer(file: File) -> Writer {
        let (batches, ended) = write_in_background(file).unwrap();
        Writer {
            batches: Some(batches),
            ended,
            lost: 0,
            path: PathBuf::from("test"),
            zero: Duration::ZERO,
            last: Duration::ZERO,
            server: "amber".into(),
            id: MemberId::from_bytes([1; 16]),
            listening: ([127, 0, 0, 1], 9_638).into(),
            lines: String::new(),
        }
    }

    #[test]
    fn the_last_lines_reach_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("trace");
        let mut writer = writer(File::create(&path).unwrap());
        assert!(writer.append(traces()));
        drop(writer);
        let written = fs::read_to_string(&path).unwrap();
        assert!(written.ends_with("^hello\n"), "{written:?}");
    }

    /// A pipe that nobody reads stands for a disk that hangs.
    #[test]
    fn a_disk_that_hangs_loses_traces_and_stops_nobody() {
        let (reader, pipe) = io::pipe().unwrap();
        let mut writer = writer(File::from(std::os::fd::OwnedFd::from(pipe)));
        let lines = logged::by(|| {
            for _ in 0..MAX_BATCHES + 5_000 {
                assert!(writer.append(traces()));
            }
        });
        assert!(writer.lost > 0);
        assert_eq!(
            lines[0],
            "WARN traces are lost: the disk of test does not keep up (1 batches so far)"
        );
        assert!(lines.len() < 20, "{}", lines.len());
        drop(writer);
        drop(reader);
    }

    #[test]
    fn a_disk_that_fails_ends_the_traces() {
        let (reader, pipe) = io::pipe().unwrap();
        drop(reader);
        let mut writer = writer(File::from(std::os::fd::OwnedFd::from(pipe)));
        let end = std::time::Instant::now() + Duration::from_secs(20);
        let lines = logged::by(|| {
            while writer.append(traces()) {
                assert!(std::time::Instant::now() < end, "it never noticed");
                thread::yield_now();
            }
        });
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].starts_with("WARN no more traces: cannot write test: "));
    }

    #[test]
    fn a_directory_that_is_none_is_a_warning() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let dir = file.path().to_owned();
        let mut made = None;
        let lines = logged::by(|| {
            let id = MemberId::from_bytes([1; 16]);
            let listening = ([127, 0, 0, 1], 9_638).into();
            made = Writer::in_dir(dir.clone(), "amber", id, listening, Duration::ZERO);
        });
        assert!(made.is_none());
        assert_eq!(lines.len(), 1);
        assert!(lines[0].starts_with(&format!(
            "WARN no traces: cannot write to {}: ",
            dir.display()
        )));
    }
}
