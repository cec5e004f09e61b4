//! Writes lines to a stream whose reader may stall, on a thread of its own, so that the loop never waits for it.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Bytes that wait for the stream; a line that does not fit is lost and counted.
const MAX_WAITING: usize = 256 << 10;

/// Bytes of the latest lines that are kept to be looked at.
const MAX_RECENT: usize = 64 << 10;

/// The loop's end: hands lines over and never waits for the stream.
#[derive(Clone)]
pub struct Background {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: Vec<u8>,
    /// The latest lines, whatever became of them.
    recent: VecDeque<Box<[u8]>>,
    recent_bytes: usize,
    /// Lines lost that the stream has not been told of yet.
    unreported: u64,
    /// Lines lost since the start.
    lost: u64,
    /// The thread writes what it took.
    writing: bool,
    /// The stream failed: nobody will ever read.
    broken: bool,
}

impl Background {
    /// Starts the thread that writes to this stream. `lost` words the line that says how many lines were lost.
    pub fn start(
        name: &str,
        stream: impl Write + Send + 'static,
        lost: impl Fn(u64) -> String + Send + 'static,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let writer = Arc::clone(&shared);
        thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || writer.write_to(stream, lost))?;
        Ok(Background { shared })
    }

    /// Hands over whole lines; they are lost, and counted as one, if too much waits already.
    pub fn hand_over(&self, lines: &[u8]) {
        let mut state = self.shared.lock();
        state.keep(lines);
        if state.broken || state.waiting.len() + lines.len() > MAX_WAITING {
            state.lost += 1;
            state.unreported += 1;
        } else {
            state.waiting.extend_from_slice(lines);
            self.shared.changed.notify_all();
        }
    }

    /// The latest lines.
    pub fn recent(&self) -> String {
        let state = self.shared.lock();
        let lines = state.recent.iter();
        lines.map(|line| String::from_utf8_lossy(line)).collect()
    }

    /// Lines lost since the start.
    pub fn lost(&self) -> u64 {
        self.shared.lock().lost
    }

    /// Waits until all is written, but no longer than this; whether it is.
    pub fn flush(&self, longest: Duration) -> bool {
        let end = Instant::now() + longest;
        let mut state = self.shared.lock();
        while !state.broken && (state.writing || !state.waiting.is_empty()) {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let waited = self.shared.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        !state.broken
    }
}

impl State {
    fn keep(&mut self, lines: &[u8]) {
        self.recent.push_back(lines.into());
        self.recent_bytes += lines.len();
        while self.recent_bytes > MAX_RECENT
            && let Some(oldest) = self.recent.pop_front()
        {
            self.recent_bytes -= oldest.len();
        }
    }
}

/// What a logger writes to.
impl Write for Background {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        self.hand_over(lines);
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The thread: goes on until the stream fails, or the process ends.
    fn write_to(&self, mut stream: impl Write, lost: impl Fn(u64) -> String) {
        let mut taken = Vec::new();
        loop {
            taken.clear();
            let unreported = self.take(&mut taken);
            if unreported > 0 {
                taken.extend_from_slice(lost(unreported).as_bytes());
            }
            let written = stream.write_all(&taken).and_then(|()| stream.flush());
            let mut state = self.lock();
            state.writing = false;
            state.broken = written.is_err();
            self.changed.notify_all();
            if state.broken {
                state.waiting = Vec::new();
                return;
            }
        }
    }

    /// Waits for lines, and takes them; how many were lost behind them.
    fn take(&self, taken: &mut Vec<u8>) -> u64 {
        let mut state = self.lock();
        while state.waiting.is_empty() {
            let waited = self.changed.wait(state);
            state = waited.unwrap_or_else(PoisonError::into_inner);
        }
        std::mem::swap(&mut state.waiting, taken);
        state.writing = true;
        std::mem::take(&mut state.unreported)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

    use super::*;
    use crate::logging::lines_lost;

    const PATIENCE: Duration = Duration::from_secs(20);

    /// A stream that takes a write only when the test reads.
    struct Stalled(SyncSender<Vec<u8>>);

    impl Write for Stalled {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let sent = self.0.send(bytes.to_vec());
            sent.map(|()| bytes.len()).map_err(io::Error::other)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn stalled() -> (Background, Receiver<Vec<u8>>) {
        let (stream, reader) = sync_channel(0);
        let background =
            Background::start("test", Stalled(stream), |count| lines_lost(count) + "\n").unwrap();
        (background, reader)
    }

    #[test]
    fn lines_arrive_whole_and_in_order() {
        let (background, reader) = stalled();
        let expected: String = (0..1_000).map(|number| format!("{number}\n")).collect();
        for number in 0..1_000 {
            background.hand_over(format!("{number}\n").as_bytes());
        }
        let mut got = Vec::new();
        while got.len() < expected.len() {
            got.extend(reader.recv_timeout(PATIENCE).unwrap());
        }
        assert_eq!(String::from_utf8(got).unwrap(), expected);
        assert!(background.flush(PATIENCE));
        assert_eq!(background.lost(), 0);
    }

    #[test]
    fn the_latest_lines_are_kept() {
        let (background, reader) = stalled();
        for number in 0..10_000 {
            background.hand_over(format!("line {number:05}\n").as_bytes());
        }
        let recent = background.recent();
        assert!(recent.len() <= MAX_RECENT && recent.len() > MAX_RECENT - 20);
        assert!(recent.starts_with("line ") && recent.ends_with("line 09999\n"));
        drop(reader);
    }

    #[test]
    fn a_stalled_reader_costs_bounded_memory_and_is_told_what_it_missed() {
        let (background, reader) = stalled();
        let line = [&[b'x'; 999][..], b"\n"].concat();
        for _ in 0..10_000 {
            background.hand_over(&line);
        }
        assert!(background.shared.lock().waiting.capacity() <= 2 * MAX_WAITING);
        assert!(!background.flush(Duration::from_millis(10)));
        let lost = background.lost();
        // What waits, and what the thread took before.
        let most = 2 * (MAX_WAITING / line.len()) as u64;
        assert!(lost >= 10_000 - most && lost < 10_000, "{lost}");
        // In two parts, if the thread began late.
        let (mut got, mut reported) = (String::new(), 0);
        while reported < lost {
            got += &String::from_utf8(reader.recv_timeout(PATIENCE).unwrap()).unwrap();
            let count = |line: &str| {
                let (_, line) = line.split_once("butterfly: ")?;
                line.split_once(" log lines")
                    .map(|(count, _)| count.parse::<u64>().unwrap())
            };
            reported = got.lines().filter_map(count).sum();
        }
        assert!(got.contains(" log lines were lost here, as nobody read the log in time\n"));
        assert_eq!(reported, lost);
        background.hand_over(b"again\n");
        assert_eq!(reader.recv_timeout(PATIENCE).unwrap(), b"again\n");
    }

    #[test]
    fn a_stream_that_failed_is_not_waited_for() {
        let (background, reader) = stalled();
        drop(reader);
        background.hand_over(b"nobody\n");
        assert!(!background.flush(PATIENCE));
        background.hand_over(b"nobody\n");
        assert_eq!(background.lost(), 1);
        assert!(!background.flush(PATIENCE));
    }
}
