//! Trace files (PROTOCOL.md §5): one a member, one line an event, 12 fields joined by `^`.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::member::MemberId;
use crate::trace::Trace;

/// Set to anything: traces are written.
const SWITCH: &str = "TRACE_SWIM";
/// Where they are written instead of [`DEFAULT_DIR`].
const DIR: &str = "TRACE_SWIM_DIR";
const DEFAULT_DIR: &str = "/tmp/habitat-swim-trace";

/// Who writes.
pub(super) struct Writer {
    file: BufWriter<File>,
    path: PathBuf,
    /// The wall clock at the node's time zero.
    zero: Duration,
    /// The time of the last line. Each has a later one, so that sorting keeps the order of a member's lines.
    last: Duration,
    server: String,
    id: MemberId,
    listening: SocketAddr,
    line: String,
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
        let file = BufWriter::new(
            OpenOptions::new()
                .write(true)
                .create_new(true)
                .open(&path)?,
        );
        let zero = now.saturating_sub(elapsed);
        Ok(Writer {
            file,
            path,
            zero,
            last: Duration::ZERO,
            server,
            id,
            listening,
            line: String::new(),
        })
    }

    /// Appends what happened; `false`: the file cannot be written any more.
    pub fn append(&mut self, traces: impl Iterator<Item = Trace>) -> bool {
        let mut result = Ok(());
        for trace in traces {
            self.line.clear();
            self.format(&trace);
            result = result.and_then(|()| self.file.write_all(self.line.as_bytes()));
        }
        result = result.and_then(|()| self.file.flush());
        if let Err(error) = &result {
            log::warn!(
                "no more traces: cannot write {}: {error}",
                self.path.display()
            );
        }
        result.is_ok()
    }

    fn format(&mut self, trace: &Trace) {
        let time = self.zero + Duration::from_micros(trace.time.as_micros());
        let time = time.max(self.last + Duration::from_nanos(1));
        self.last = time;
        let thread = std::thread::current();
        let line = &mut self.line;
        let Trace {
            kind,
            module,
            line: at,
            ..
        } = trace;
        // Writing to a String cannot fail.
        let _ = write!(
            line,
            "{}.{:09}^{kind}^",
            time.as_secs(),
            time.subsec_nanos()
        );
        let _ = write!(
            line,
            "{}^{}^{at}^",
            plain(thread.name().unwrap_or_default()),
            plain(module)
        );
        let _ = write!(line, "{}^{}^", self.server, self.id);
        let _ = write!(line, "{}^{}^", shown(trace.to), self.listening);
        let _ = write!(line, "{}^", shown(trace.to_addr));
        for (id, incarnation, health) in &trace.swim {
            let _ = write!(line, "{id}-{incarnation}-{health:?} ");
        }
        let _ = writeln!(line, "^{}", plain(&trace.rumor));
    }
}

fn shown(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

/// The text without what would break a line, a field or a file name.
fn plain(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c == '^' || c == '/' || c.is_control() {
                '_'
            } else {
                c
            }
        })
        .collect()
}
