//! What a running member keeps of the past: the library's history of this run, and rows of earlier ones.

use std::time::{Duration, Instant};

use butterfly::Butterfly;
use butterfly::limits::MAX_HISTORY_FILE;
use jiff::Timestamp;
use log::warn;

use super::row::{HistoryRow, Rows};
use crate::output::count;

/// How long after a change the data directory is given the history.
const PAUSE: Duration = Duration::from_secs(30);
/// By less than this the clock does not count as set, so that times of rows stay the same.
const SET: u64 = 100;

/// The past, and when it is stored next.
pub struct Kept {
    run: u64,
    /// When the member's time was zero, by the clock as it is now.
    zero: Timestamp,
    /// Rows of earlier runs, the oldest first.
    earlier: Vec<Box<str>>,
    /// The end of the history when it was stored last.
    stored: u64,
    due: Option<Instant>,
}

impl Kept {
    /// That of a member that starts now, which keeps its history from now on.
    pub fn new(member: &mut Butterfly, started: Timestamp) -> Self {
        member.set_history(true);
        let bytes = member.stored_history().unwrap_or_else(|error| {
            warn!("the history of earlier runs is left out: {error}");
            Vec::new()
        });
        let (earlier, bad) = lines(&bytes);
        if bad > 0 {
            warn!(
                "the history of earlier runs is damaged: {} of HISTORY in the data directory do not read, and are left out",
                count(bad, "line")
            );
        }
        let mut kept = Kept {
            run: u64::try_from(started.as_millisecond()).unwrap_or(0),
            zero: started,
            earlier,
            stored: member.node().history_end(),
            due: None,
        };
        kept.look_at_the_clock(member);
        kept
    }

    fn look_at_the_clock(&mut self, member: &Butterfly) {
        let since = Duration::from_micros(member.time().as_micros());
        let Ok(zero) = Timestamp::now().checked_sub(since) else {
            return;
        };
        let moved = zero.as_millisecond().abs_diff(self.zero.as_millisecond());
        if moved >= SET {
            self.zero = zero;
        }
    }

    /// All rows, the oldest first.
    pub fn rows(&mut self, member: &Butterfly) -> Vec<HistoryRow> {
        self.look_at_the_clock(member);
        let earlier = self.earlier.iter();
        let mut rows: Vec<_> = earlier
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect();
        rows.extend(self.of_this_run(member));
        rows
    }

    fn of_this_run(&self, member: &Butterfly) -> Vec<HistoryRow> {
        let node = member.node();
        let (zero, run) = (self.zero, self.run);
        let rows = Rows { node, zero, run };
        node.history().map(|entry| rows.row(entry)).collect()
    }

    pub fn deadline(&self) -> Option<Instant> {
        self.due
    }

    /// Has the history stored a while after it changed, if there is a data directory.
    pub fn turn(&mut self, now: Instant, member: &mut Butterfly) {
        if self.stored == member.node().history_end() || member.disk_writes().is_none() {
            return;
        }
        match self.due {
            None => self.due = Some(now + PAUSE),
            Some(due) if due <= now => self.store(member),
            Some(_) => {}
        }
    }

    /// Has it stored now, if it changed.
    pub fn store(&mut self, member: &mut Butterfly) {
        self.due = None;
        let end = member.node().history_end();
        if self.stored == end || member.disk_writes().is_none() {
            return;
        }
        self.stored = end;
        self.look_at_the_clock(member);
        let rows = self.of_this_run(member);
        let texts = rows
            .iter()
            .filter_map(|row| serde_json::to_string(row).ok());
        let lines: Vec<_> = self
            .earlier
            .iter()
            .map(|line| line.to_string())
            .chain(texts)
            .collect();
        member.store_history(latest(&lines));
    }
}

/// The latest lines that fit into the file.
fn latest(lines: &[String]) -> Vec<u8> {
    let mut left = MAX_HISTORY_FILE;
    let fits = |line: &&String| {
        let bytes = line.len() + 1;
        let fits = bytes <= left;
        left = left.saturating_sub(bytes);
        fits
    };
    let count = lines.iter().rev().take_while(fits).count();
    let mut text = Vec::new();
    for line in lines.iter().skip(lines.len() - count) {
        text.extend_from_slice(line.as_bytes());
        text.push(b'\n');
    }
    text
}

/// The lines that are rows, and how many others there are.
fn lines(bytes: &[u8]) -> (Vec<Box<str>>, usize) {
    let text = String::from_utf8_lossy(bytes);
    let reads = |line: &&str| serde_json::from_str::<HistoryRow>(line).is_ok();
    let all = || text.lines().filter(|line| !line.is_empty());
    let good: Vec<Box<str>> = all().filter(reads).map(Box::from).collect();
    let bad = all().count() - good.len();
    (good, bad)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: &str = r#"{"id":"1-2","time":"2026-11-30T12:00:00.000Z","member":"0102030405060708090a0b0c0d0e0f10","kind":"restarted","text":"it"}"#;

    #[test]
    fn lines_that_do_not_read_are_left_out_and_counted() {
        let file = format!("{ROW}\n{{\"id\":\n\n{ROW}\n{}", &ROW[..40]);
        let (good, bad) = lines(file.as_bytes());
        assert_eq!((good.len(), bad), (2, 2));
        assert_eq!(lines(b"\xff\xfe\n").1, 1);
        assert_eq!(lines(b""), (Vec::new(), 0));
    }

    #[test]
    fn the_file_has_the_latest_lines_that_fit() {
        let line = |number: usize| format!("{number:01000}");
        let all: Vec<_> = (0..200).map(line).collect();
        let file = latest(&all);
        assert!(file.len() <= MAX_HISTORY_FILE && file.len() > MAX_HISTORY_FILE - 1_001);
        let text = String::from_utf8(file).unwrap();
        assert_eq!(text.lines().next_back(), Some(&*line(199)));
        assert!(latest(&[]).is_empty());
    }

    #[test]
    fn a_row_is_the_same_when_it_is_read_again() {
        let row: HistoryRow = serde_json::from_str(ROW).unwrap();
        assert_eq!(serde_json::to_string(&row).unwrap(), ROW);
    }
}
