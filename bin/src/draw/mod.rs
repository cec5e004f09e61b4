//! `butterfly trace draw`: who sent what to whom, from trace files or recordings.

mod lines;
mod mermaid;
mod messages;
mod svg;

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use butterfly::RingKey;

use crate::cli::{DrawArgs, TraceArgs, TraceCommand};
use crate::failure::Failure;
use crate::output::{self, count};
use crate::ring_key;
use lines::{Line, Lines};
use messages::Picture;

/// More rows than these are a picture that no program shows.
const MOST_ROWS: usize = 20_000;

pub fn run(args: &TraceArgs) -> Result<(), Failure> {
    match &args.command {
        TraceCommand::Draw(args) => draw(args),
    }
}

/// How a picture is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Svg,
    Html,
    Mermaid,
}

impl Kind {
    fn of(path: &Path) -> Result<Self, Failure> {
        match path.extension().and_then(|it| it.to_str()) {
            Some("svg") => Ok(Kind::Svg),
            Some("html") => Ok(Kind::Html),
            Some("mmd") => Ok(Kind::Mermaid),
            _ => Err(Failure::usage(format_args!(
                "--out {}: end it with .svg, .html or .mmd, which says what is drawn",
                path.display()
            ))),
        }
    }

    fn write(self, picture: &Picture) -> String {
        match self {
            Kind::Svg => svg::svg(picture),
            Kind::Html => svg::html(picture),
            Kind::Mermaid => mermaid::mermaid(picture),
        }
    }
}

fn draw(args: &DrawArgs) -> Result<(), Failure> {
    let kind = args.out.as_deref().map_or(Ok(Kind::Mermaid), Kind::of)?;
    let keys = ring_key::read_all(&args.ring_key)?;
    let mut lines = Lines::default();
    for path in &args.paths {
        lines.read(path, &keys)?;
    }
    if lines.malformed > 0 {
        output::tell(&format!(
            "skipped {}: no lines of trace files",
            count(lines.malformed, "line")
        ));
    }
    let span = (args.from.map(|it| it.0), args.until.map(|it| it.0));
    let picture = picture(lines.sorted(), &args.member, span, args.late)?;
    let text = kind.write(&picture);
    match &args.out {
        None => output::print(&text),
        Some(out) => {
            let write = fs::write(out, text).map_err(|error| {
                Failure::failed(format_args!("cannot write {}: {error}", out.display()))
            });
            write?;
            output::tell(&picture.summary());
            Ok(())
        }
    }
}

/// What is drawn of these lines.
fn picture(
    (lines, names): (Vec<Line>, HashMap<String, String>),
    members: &[String],
    span: (Option<Duration>, Option<Duration>),
    late: Duration,
) -> Result<Picture, Failure> {
    if lines.is_empty() {
        return Err(Failure::failed(
            "there is no line of a trace file: run members with TRACE_SWIM=1, or with --record",
        ));
    }
    let picture = Picture::of(lines, &names, late).only(members, span)?;
    if picture.rows() > MOST_ROWS {
        return Err(Failure::failed(format_args!(
            "{} rows are more than a picture has, {MOST_ROWS}: choose with --member, --from and --until",
            picture.rows()
        )));
    }
    Ok(picture)
}

/// Prints a diagram of what was recorded of a member, up to then.
pub fn recording(path: &Path, keys: Vec<RingKey>, until: Option<Duration>) -> Result<(), Failure> {
    let mut lines = Lines::default();
    lines.read(path, &keys)?;
    let picture = picture(lines.sorted(), &[], (None, until), Duration::MAX)?;
    output::print(&mermaid::mermaid(&picture))
}
