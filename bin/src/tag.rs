//! The commands about the tags of a running member.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::cli::{Format, TagCommand, TagDeleteArgs, TagListArgs, TagSetArgs};
use crate::client::Client;
use crate::failure::Failure;
use crate::output;
use crate::table::Table;
use crate::tags::Change;

const PATH: &str = "/v1/tags";

#[derive(Deserialize)]
struct Held {
    tags: BTreeMap<String, String>,
}

pub fn tag(command: &TagCommand) -> Result<(), Failure> {
    match command {
        TagCommand::Set(args) => set(args),
        TagCommand::Delete(args) => delete(args),
        TagCommand::List(args) => list(args),
    }
}

fn set(args: &TagSetArgs) -> Result<(), Failure> {
    let client = Client::new(&args.gateway)?;
    let tags = args.tags.iter();
    let set: BTreeMap<_, _> = tags
        .map(|tag| (tag.key.clone(), tag.value.clone()))
        .collect();
    let written: Vec<_> = set
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let set = Change {
        set,
        ..Change::default()
    };
    change(&client, &set)?;
    output::tell(&format!(
        "{} says {} of itself",
        client.gateway(),
        written.join(", ")
    ));
    Ok(())
}

fn delete(args: &TagDeleteArgs) -> Result<(), Failure> {
    let client = Client::new(&args.gateway)?;
    let delete = Change {
        delete: args.keys.iter().cloned().collect(),
        ..Change::default()
    };
    change(&client, &delete)?;
    let keys = args.keys.join(", ");
    output::tell(&format!("{} has no tag {keys} any more", client.gateway()));
    Ok(())
}

fn change(client: &Client, change: &Change) -> Result<(), Failure> {
    let asked = serde_json::to_value(change).map_err(Failure::failed)?;
    client.post(PATH, &asked)?;
    Ok(())
}

fn list(args: &TagListArgs) -> Result<(), Failure> {
    let client = Client::new(&args.gateway)?;
    if args.output.format() == Format::Json {
        return output::print(&client.get_text(PATH)?);
    }
    let held: Held = client.get(PATH)?;
    let mut table = Table::new(&["KEY", "VALUE"]);
    for (key, value) in held.tags {
        table.row(vec![key, value]);
    }
    output::print(&table.render(|_, _, cell| cell))
}
