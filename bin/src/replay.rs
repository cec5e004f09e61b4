//! `butterfly replay`: a member runs through what was recorded of it.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use butterfly::node::{Replay, ReplayError, Step};
use butterfly::recording::End;
use butterfly::{Event, Node, Time};
use jiff::{SignedDuration, Timestamp};

use crate::cli::{EventFormat, ReplayArgs};
use crate::draw;
use crate::events::{EventRow, Teller, shown};
use crate::failure::Failure;
use crate::history::{self, HistoryRow, MemberIdText, Moment, Rows, Who};
use crate::output::{self, count};
use crate::ring_key;
use crate::view::MemberRow;

/// Bytes of the file that are read at once.
const PIECE: usize = 1 << 18;

pub fn replay(args: &ReplayArgs) -> Result<(), Failure> {
    let keys = ring_key::read_all(&args.ring_key)?;
    if args.diagram {
        return draw::recording(&args.file, keys, args.until.map(|until| until.0));
    }
    let mut player = Player::open(&args.file, Replay::new(keys))?;
    let (until, mut events) = (args.until.map(|until| until.0), 0_u64);
    let mut text = String::new();
    let played = player.play(until, |replay, event| {
        let Some(event) = event else {
            return Ok(());
        };
        events += 1;
        if args.explain.is_none() {
            text.clear();
            if let Some(row) = row(replay, event, events) {
                text = match args.output {
                    EventFormat::Ndjson => serde_json::to_string(&row).map_err(Failure::failed)?,
                    EventFormat::Table => shown(&row),
                };
                output::print_line(&text)?;
            }
        }
        Ok(())
    });
    if let (Some(member), Some(node)) = (&args.explain, player.replay.node()) {
        explain(&player.replay, node, member, args.output)?;
    }
    let end = played?;
    output::tell(&format!(
        "replayed {:.1?}: {} agreed, {}",
        player.passed(),
        count(player.replay.marks() as usize, "mark"),
        end.shown()
    ));
    Ok(())
}

/// Where a replay came to an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Halt {
    /// The member ended.
    Finished,
    /// The recording had its size.
    Full,
    /// The file ends between two chunks.
    Open,
    /// It was to go no further.
    Until,
}

impl Halt {
    fn shown(self) -> &'static str {
        match self {
            Halt::Finished => "and then the member ended",
            Halt::Full => "and then the recording had the size that it was to have",
            Halt::Open => "and there the file ends: the member still runs, or ended without a word",
            Halt::Until => "and there is more",
        }
    }
}

/// A recording and its file.
pub struct Player {
    file: File,
    name: String,
    pub replay: Replay,
    /// The time of the first record.
    began: Option<Time>,
}

impl Player {
    pub fn open(path: &Path, replay: Replay) -> Result<Self, Failure> {
        let name = path.display().to_string();
        let file = File::open(path).map_err(|error| {
            Failure::failed(format_args!("cannot read the recording {name}: {error}"))
        })?;
        Ok(Player {
            file,
            name,
            replay,
            began: None,
        })
    }

    /// How long the member ran.
    pub fn passed(&self) -> Duration {
        self.replay.time().since(self.began.unwrap_or_default())
    }

    /// Plays to the end, or so far; after each step that is what happened.
    pub fn play(
        &mut self,
        until: Option<Duration>,
        mut after: impl FnMut(&mut Replay, Option<&Event>) -> Result<(), Failure>,
    ) -> Result<Halt, Failure> {
        let mut piece = vec![0; PIECE];
        loop {
            let step = self.replay.step().map_err(|error| self.failed(&error))?;
            if self.replay.node().is_some() {
                self.began.get_or_insert(self.replay.time());
            }
            let event = match &step {
                Step::Event(event) => Some(event),
                _ => None,
            };
            after(&mut self.replay, event)?;
            match step {
                Step::Ended(End::Full) => return Ok(Halt::Full),
                Step::Ended(End::Finished) => return Ok(Halt::Finished),
                Step::Starved => {
                    let read = self.file.read(&mut piece).map_err(|error| {
                        Failure::failed(format_args!("cannot read {}: {error}", self.name))
                    })?;
                    if read == 0 {
                        let whole = self.replay.finish();
                        return whole
                            .map(|()| Halt::Open)
                            .map_err(|error| self.failed(&error));
                    }
                    self.replay.feed(&piece[..read]);
                }
                _ => {}
            }
            if until.is_some_and(|until| self.passed() > until) {
                return Ok(Halt::Until);
            }
        }
    }

    fn failed(&self, error: &ReplayError) -> Failure {
        let (name, passed) = (&self.name, self.passed());
        match error {
            ReplayError::MissingKey { .. } => {
                Failure::failed(format_args!("{name}: {error} (--ring-key FILE)"))
            }
            _ => Failure::failed(format_args!(
                "{name}, {passed:.1?} after its beginning: {error}"
            )),
        }
    }
}

/// When it was, by the clock of the member when it started.
pub fn at(replay: &Replay, time: Time) -> Moment {
    let since_1970 = replay.zero() + Duration::from_micros(time.as_micros());
    let since_1970 = SignedDuration::try_from(since_1970).unwrap_or_default();
    Moment(Timestamp::from_duration(since_1970).unwrap_or_default())
}

fn row(replay: &Replay, event: &Event, number: u64) -> Option<EventRow> {
    let run = replay.zero().as_millis();
    Some(EventRow {
        id: format!("{run:x}-{number}"),
        time: at(replay, replay.time()).into(),
        says: Teller(replay.node()?).says(event)?,
    })
}

/// Why a member is what it is, at the end.
fn explain(replay: &Replay, node: &Node, member: &str, format: EventFormat) -> Result<(), Failure> {
    let zero = at(replay, Time::ZERO).0;
    let run = u64::try_from(replay.zero().as_millis()).unwrap_or(0);
    let rows = Rows { node, zero, run };
    let rows: Vec<HistoryRow> = node.history().map(|entry| rows.row(entry)).collect();
    let members: Vec<MemberRow> = node
        .members()
        .map(|view| MemberRow::of(&view, None, node.now()))
        .collect();
    let own = Who {
        member: MemberIdText(node.id()),
        name: node.me().name.to_owned(),
    };
    let (about, health) = history::find(member, &members, &rows)?;
    let explanation = history::explained(&rows, about.id(), own.id());
    match format {
        EventFormat::Ndjson => {
            let text = serde_json::to_string(&explanation).map_err(Failure::failed)?;
            output::print_line(&text)
        }
        EventFormat::Table => output::print(&explanation.shown(&about, health.as_deref(), &own)),
    }
}
