//! Lines of trace files (PROTOCOL.md §5), and the same of what was recorded.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use butterfly::node::Replay;
use butterfly::recording::MAGIC;
use butterfly::trace::TraceWriter;
use butterfly::{Node, RingKey};

use crate::failure::Failure;
use crate::output;
use crate::replay::Player;

/// What a member did, sent or was sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// Nanoseconds since 1970.
    pub at: u128,
    pub kind: String,
    /// Whose line it is.
    pub name: String,
    pub id: String,
    pub listening: String,
    /// The other side.
    pub to_id: String,
    pub to_addr: String,
    /// What rides along, as `ID-INCARNATION-Health` items.
    pub swim: String,
    pub rumor: String,
}

impl Line {
    /// Reads one; `None`: it is none.
    fn parse(text: &str) -> Option<Self> {
        let fields: Vec<&str> = text
            .trim_end_matches('\n')
            .split('^')
            .map(str::trim)
            .collect();
        let [
            time,
            kind,
            _,
            _,
            _,
            name,
            id,
            to_id,
            listening,
            to_addr,
            swim,
            rumor,
        ] = <[&str; 12]>::try_from(fields).ok()?;
        let (seconds, fraction) = time.split_once('.').unwrap_or((time, ""));
        let is_number = |it: &str| it.bytes().all(|byte| byte.is_ascii_digit());
        if fraction.len() > 9 || !is_number(fraction) {
            return None;
        }
        let nanos: u128 = format!("{fraction:0<9}").parse().ok()?;
        let is_kind = kind.starts_with(|c: char| c.is_ascii_alphabetic())
            && kind.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !is_kind || name.is_empty() && id.is_empty() {
            return None;
        }
        Some(Line {
            at: u128::from(seconds.parse::<u64>().ok()?) * 1_000_000_000 + nanos,
            kind: kind.to_owned(),
            name: name.to_owned(),
            id: id.to_owned(),
            listening: listening.to_owned(),
            to_id: to_id.to_owned(),
            to_addr: to_addr.to_owned(),
            swim: swim.to_owned(),
            rumor: rumor.to_owned(),
        })
    }
}

/// All lines of some files.
#[derive(Debug, Default)]
pub struct Lines {
    lines: Vec<Line>,
    /// Lines that are none.
    pub malformed: usize,
    /// Names of members that write no lines, by their ids, as those knew them that were recorded.
    pub names: HashMap<String, String>,
}

impl Lines {
    /// Reads a trace file, a recording, or all of both in a directory.
    pub fn read(&mut self, path: &Path, keys: &[RingKey]) -> Result<(), Failure> {
        let fail = |error| Failure::failed(format_args!("cannot read {}: {error}", path.display()));
        if !path.is_dir() {
            return match is_recording(path).map_err(fail)? {
                true => self.replay(path, keys),
                false => {
                    let bytes = fs::read(path).map_err(fail)?;
                    self.take(&String::from_utf8_lossy(&bytes));
                    Ok(())
                }
            };
        }
        let entries = fs::read_dir(path).map_err(fail)?;
        let mut paths = Vec::new();
        for entry in entries {
            paths.push(entry.map_err(fail)?.path());
        }
        paths.sort();
        for path in paths.iter().filter(|path| path.is_file()) {
            let is_trace = path.extension().is_some_and(|it| it == "swimtrace");
            if is_trace || is_recording(path).unwrap_or(false) {
                self.read(path, keys)?;
            }
        }
        Ok(())
    }

    fn take(&mut self, text: &str) {
        for line in text.lines() {
            match Line::parse(line) {
                Some(line) => self.lines.push(line),
                None => self.malformed += 1,
            }
        }
    }

    /// What a member did while it was recorded.
    fn replay(&mut self, path: &Path, keys: &[RingKey]) -> Result<(), Failure> {
        let mut replay = Replay::new(keys.to_vec());
        replay.set_tracing(true);
        let (mut text, before) = (String::new(), self.lines.len());
        let mut player = Player::open(path, replay)?;
        let played = player.play(None, |replay, _| {
            while let Some(trace) = replay.poll_trace() {
                let Some(me) = replay.node().map(|node| node.me()) else {
                    break;
                };
                let id = me.member.id.to_string();
                let server = if me.name.is_empty() { &id } else { me.name };
                let time = replay.zero() + Duration::from_micros(trace.time.as_micros());
                let writer = TraceWriter {
                    thread: "replay",
                    server,
                    id: me.member.id,
                    listening: me.member.swim_addr(),
                };
                trace.write_line(&mut text, time, &writer);
            }
            self.take(&text);
            text.clear();
            Ok(())
        });
        let members = player.replay.node().into_iter().flat_map(Node::members);
        for view in members.filter(|view| !view.name.is_empty()) {
            self.names
                .insert(view.member.id.to_string(), view.name.to_owned());
        }
        match played {
            // A member that crashed while it wrote leaves a part of a chunk.
            Err(failure) if self.lines.len() > before => output::tell(&failure.to_string()),
            played => drop(played?),
        }
        Ok(())
    }

    /// All of them in the order of time, those of one member in theirs, and the names.
    pub fn sorted(mut self) -> (Vec<Line>, HashMap<String, String>) {
        self.lines.sort_by_key(|line| line.at);
        (self.lines, self.names)
    }
}

fn is_recording(path: &Path) -> std::io::Result<bool> {
    let mut head = Vec::new();
    File::open(path)?
        .take(MAGIC.len() as u64)
        .read_to_end(&mut head)?;
    Ok(head == MAGIC)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_twelve_fields() {
        let text = "1763859051.12^SendPing^main^m^430^alpha^3f^^127.0.0.1:9638^127.0.0.1:9640^^x";
        let line = Line::parse(text).unwrap();
        assert_eq!(line.at, 1_763_859_051_120_000_000);
        let read = (
            &*line.kind,
            &*line.name,
            &*line.id,
            &*line.to_addr,
            &*line.rumor,
        );
        assert_eq!(read, ("SendPing", "alpha", "3f", "127.0.0.1:9640", "x"));
        for bad in [
            "",
            "hello",
            &text.replace("SendPing", "<b>"),
            &text.replace("1763859051.12", "now"),
            &text.replace("1763859051.12", "1.+5"),
            &text.replace("^alpha^3f^", "^^^"),
            &format!("{text}^"),
        ] {
            assert_eq!(Line::parse(bad), None, "{bad}");
        }
    }
}
