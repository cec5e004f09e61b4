//! `butterfly query`: asks all members something, and prints the answers as they arrive.

use std::path::Path;
use std::thread;
use std::time::Duration;

use butterfly::text::visible;
use serde_json::Value;

use crate::body;
use crate::cli::{Format, QueryArgs};
use crate::client::Client;
use crate::failure::Failure;
use crate::gossip::path;
use crate::output;
use crate::query_row::{AnswerRow, QueryRow};

/// The pause between two looks at the answers.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

pub fn query(args: &QueryArgs) -> Result<(), Failure> {
    let payload = match args.payload.as_deref() {
        Some("-") => body::read(Path::new("-"))?,
        payload => payload.unwrap_or_default().as_bytes().to_vec(),
    };
    let client = Client::new(&args.gateway)?;
    let tags: Vec<String> = args.tag.iter().map(ToString::to_string).collect();
    let members = args.member.iter().map(|it| ("member", &**it));
    let tags = tags.iter().map(|it| ("tag", &**it));
    let terms: Vec<_> = members.chain(tags).collect();
    let id = ask(&client, &args.name, args.timeout, &terms, &payload)?;
    let mut shown = 0;
    let row = follow(&client, &id, |row| {
        if args.output.format() == Format::Table {
            for answer in row.answers.iter().skip(shown) {
                show(answer)?;
            }
            shown = row.answers.len();
        }
        Ok(())
    })?;
    if args.output.format() == Format::Json {
        output::print_line(&serde_json::to_string(&row).map_err(Failure::failed)?)?;
    }
    let answered = row.answers.iter().filter(|it| it.what == "answer").count();
    let mut said = format!(
        "{answered} of {} answered",
        output::count(row.asked, "member")
    );
    let missing = row.missing.iter();
    let missing: Vec<_> = missing.map(|it| named(&it.name, &it.member)).collect();
    if !missing.is_empty() {
        said += &format!("; not {}", missing.join(", "));
    }
    if !missing.is_empty() || answered < row.asked {
        return Err(Failure::failed(said));
    }
    output::tell(&said);
    Ok(())
}

/// Asks; the question's id.
pub fn ask(
    client: &Client,
    name: &str,
    timeout: Duration,
    terms: &[(&str, &str)],
    payload: &[u8],
) -> Result<String, Failure> {
    let timeout = format!("{}ms", timeout.as_millis());
    let known = [("name", name), ("timeout", &timeout)];
    let path = path("/v1/query", &[&known, terms].concat());
    let asked = client.upload(&path, payload)?;
    let id = asked.get("query").and_then(Value::as_str);
    Ok(id.unwrap_or_default().to_owned())
}

/// Looks until it is over, or all have answered.
pub fn follow(
    client: &Client,
    id: &str,
    mut look: impl FnMut(&QueryRow) -> Result<(), Failure>,
) -> Result<QueryRow, Failure> {
    let path = path("/v1/answers", &[("query", id)]);
    loop {
        let row: QueryRow = client.get(&path)?;
        look(&row)?;
        if row.over {
            return Ok(row);
        }
        thread::sleep(LOOK_AGAIN);
    }
}

/// A member by its name, or by its id if it has none.
pub fn named(name: &str, id: &str) -> String {
    match name {
        "" => id.get(..8).unwrap_or(id).to_owned(),
        name => visible(name).into_owned(),
    }
}

fn show(answer: &AnswerRow) -> Result<(), Failure> {
    let who = named(&answer.name, &answer.member);
    let after = format!("{:.3} s", answer.after_ms as f64 / 1_000.0);
    match &*answer.what {
        "received" => Ok(()),
        "failed" => output::print_line(&format!(
            "{who}  {after}  failed: {}",
            visible(&answer.text)
        )),
        _ => {
            let mut lines = answer.text.lines().map(visible);
            let first = lines.next().unwrap_or_default();
            output::print_line(&format!("{who}  {after}  {first}"))?;
            for line in lines {
                output::print_line(&format!("{who}  {after}  {line}"))?;
            }
            Ok(())
        }
    }
}
