//! `butterfly ring-key list`: which members hold which keys of a sealed ring.

use std::collections::{BTreeMap, BTreeSet};

use butterfly::MemberState;
use serde::Serialize;

use crate::cli::{Format, KeysArgs};
use crate::client::Client;
use crate::failure::Failure;
use crate::output;
use crate::query::{ask, follow, named};
use crate::query_row::QueryRow;
use crate::table::Table;

/// A key, by its short id.
#[derive(Debug, Serialize)]
struct KeyRow {
    key: String,
    /// How many members seal with it.
    seals: usize,
    /// How many hold it.
    members: usize,
    /// Those that answered and lack it.
    missing: Vec<String>,
}

pub fn list(args: &KeysArgs) -> Result<(), Failure> {
    let client = Client::new(&args.gateway)?;
    let id = ask(&client, "state", args.timeout, &[], &[])?;
    let row = follow(&client, &id, |_| Ok(()))?;
    let keys = keys(&row);
    match args.output.format() {
        Format::Json => {
            output::print_line(&serde_json::to_string(&keys).map_err(Failure::failed)?)?;
        }
        Format::Table if keys.is_empty() => {
            output::print_line("no member that answered holds a key: the ring is not sealed")?;
        }
        Format::Table => {
            let mut table = Table::new(&["KEY", "SEALS", "MEMBERS", "LACKED BY"]);
            for key in keys {
                let (seals, members) = (key.seals.to_string(), key.members.to_string());
                table.row(vec![key.key, seals, members, key.missing.join(", ")]);
            }
            output::print(&table.render(|_, _, cell| cell))?;
        }
    }
    let silent = row.missing.iter();
    let silent: Vec<_> = silent.map(|it| named(&it.name, &it.member)).collect();
    match silent.is_empty() {
        true => Ok(()),
        false => Err(Failure::failed(format_args!(
            "{} did not answer, so which keys they hold is not known: {}",
            output::count(silent.len(), "member"),
            silent.join(", ")
        ))),
    }
}

/// The keys that members hold, by their ids.
fn keys(row: &QueryRow) -> Vec<KeyRow> {
    let states = row.answers.iter().filter(|answer| answer.what == "answer");
    let states: Vec<_> = states
        .map(|answer| {
            (
                named(&answer.name, &answer.member),
                MemberState::parse(&answer.text),
            )
        })
        .collect();
    let all: BTreeSet<&String> = states.iter().flat_map(|(_, state)| &state.keys).collect();
    let mut rows = BTreeMap::new();
    for key in all {
        let holds = |state: &MemberState| state.keys.contains(key);
        let lack = states.iter().filter(|(_, state)| !holds(state));
        let missing: Vec<String> = lack.map(|(name, _)| name.clone()).collect();
        let seals = states
            .iter()
            .filter(|(_, state)| state.keys.first() == Some(key));
        let row = KeyRow {
            key: key.clone(),
            seals: seals.count(),
            members: states.len() - missing.len(),
            missing,
        };
        rows.insert(key, row);
    }
    rows.into_values().collect()
}
