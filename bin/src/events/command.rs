//! `butterfly events`: follows what a running member sees.

use std::io::{self, BufRead, BufReader};
use std::thread;
use std::time::Duration;

use butterfly::text::visible;
use rustix::event::{PollFd, PollFlags, poll};
use serde_json::Value;

use super::EventRow;
use crate::cli::{EventFormat, EventsArgs};
use crate::client::{Client, Trouble};
use crate::failure::Failure;
use crate::output;

/// The pause before a stream that ended is asked for again.
const PAUSE: Duration = Duration::from_millis(100);

/// Until the member ends, or who reads.
pub fn events(args: &EventsArgs) -> Result<(), Failure> {
    let client = Client::new(&args.gateway)?;
    let mut query = Vec::new();
    query.extend(
        args.since
            .map(|since| format!("since={}s", since.0.as_secs_f64())),
    );
    query.extend(args.kind.as_ref().map(|kinds| format!("kind={kinds}")));
    let path = format!("/v1/events?{}", query.join("&"));
    thread::spawn(end_with_the_reader);
    let mut last = None;
    loop {
        let stream = match client.follow(&path, last.as_deref()) {
            Ok(stream) => stream,
            Err(Trouble::Nobody(_)) if last.is_some() => {
                let gateway = client.gateway();
                return Err(Failure::failed(format_args!(
                    "the member at {gateway} has ended"
                )));
            }
            Err(trouble) => return Err(trouble.into()),
        };
        // It ends when the member does, or when this program was too slow: then it goes on where it was.
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if let Some(id) = line.strip_prefix("id: ") {
                last = Some(id.to_owned());
            } else if let Some(json) = line.strip_prefix("data: ") {
                output::print_line(&printed(json, args.output))?;
            }
        }
        last.get_or_insert_default();
        thread::sleep(PAUSE);
    }
}

/// Ends the program when nobody reads any more what it prints, also while nothing happens: `butterfly events | head -1`.
fn end_with_the_reader() {
    let out = io::stdout();
    let mut polled = [PollFd::new(&out, PollFlags::empty())];
    // What is asked for is told of anyway: errors and hang-ups.
    while poll(&mut polled, None).is_err_and(|error| error == rustix::io::Errno::INTR) {}
    if polled[0]
        .revents()
        .intersects(PollFlags::ERR | PollFlags::HUP)
    {
        std::process::exit(0);
    }
}

/// One event as people see it.
pub fn shown(row: &EventRow) -> String {
    let [time, kind, text] = [&row.time, &row.says.kind, &row.says.text].map(|it| visible(it));
    format!("{time}  {kind:<11}  {text}")
}

/// One event as it is printed.
fn printed(json: &str, format: EventFormat) -> String {
    if format == EventFormat::Ndjson {
        return json.to_owned();
    }
    match serde_json::from_str::<EventRow>(json) {
        Ok(row) => shown(&row),
        Err(_) => {
            let row: Value = serde_json::from_str(json).unwrap_or_default();
            let count = row.get("lost").and_then(Value::as_u64);
            let count = count.map_or("some".to_owned(), |count| count.to_string());
            format!("… {count} events are kept no more, and are missing here")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_lines_for_people_or_for_programs() {
        let json = r#"{"id":"1-2","time":"2026-11-30T12:00:00.000Z","kind":"alive","text":"a\u001b: new, alive"}"#;
        assert_eq!(printed(json, EventFormat::Ndjson), json);
        assert_eq!(
            printed(json, EventFormat::Table),
            "2026-11-30T12:00:00.000Z  alive        a\\u{1b}: new, alive"
        );
        let lost = |json| printed(json, EventFormat::Table);
        assert!(lost(r#"{"kind":"lost","lost":7}"#).starts_with("… 7 events are"));
        assert!(lost(r#"{"kind":"lost","lost":null}"#).starts_with("… some events are"));
    }
}
