//! `butterfly ring-key list|install|use|remove`: which members of a sealed ring hold which keys, and changing them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use butterfly::MemberState;
use butterfly::text::visible;
use serde::Serialize;

use crate::agent::keys::{Change, RING_KEY};
use crate::cli::{ChangeKeyArgs, Format, InstallKeyArgs, KeysArgs};
use crate::client::Client;
use crate::failure::Failure;
use crate::output;
use crate::query::{ask, follow, named};
use crate::query_row::QueryRow;
use crate::ring_key;
use crate::rumor_row::{RumorRow, Says};
use crate::table::Table;
use crate::view::MemberRow;

/// A key, by its short id.
#[derive(Debug, Serialize)]
struct KeyRow {
    key: String,
    /// Those that seal with it.
    sealing: Vec<String>,
    /// How many hold it.
    members: usize,
    /// Those that answered and lack it.
    missing: Vec<String>,
}

/// The keys of a ring, and who may be cut off when they change.
struct Ring {
    keys: Vec<KeyRow>,
    /// Those that were asked and did not answer.
    silent: Vec<String>,
    /// Those that left or count as dead: they may come back with the keys that they had.
    dead: Vec<String>,
    /// Those that live and take no keys.
    originals: Vec<String>,
}

impl Ring {
    fn ask(client: &Client, timeout: Duration) -> Result<Self, Failure> {
        let members: Vec<MemberRow> = client.get("/v1/members")?;
        let id = ask(client, "state", timeout, &[], &[])?;
        let row = follow(client, &id, |_| Ok(()))?;
        let answered = row.answers.iter().map(|it| &it.member);
        let asked: BTreeSet<&String> = answered
            .chain(row.missing.iter().map(|it| &it.member))
            .collect();
        let of = |is_meant: &dyn Fn(&MemberRow) -> bool| -> Vec<String> {
            let meant = members.iter().filter(|row| is_meant(row));
            meant.map(|row| named(&row.name, &row.id)).collect()
        };
        let lives = |row: &MemberRow| row.health == "alive" || row.health == "suspect";
        let silent = row.missing.iter();
        let expelled: Vec<RumorRow> = client.get("/v1/rumors?kind=departure&bodies=false")?;
        let expelled: BTreeSet<&String> = expelled
            .iter()
            .filter_map(|row| match &row.says {
                Says::Departure { member } => Some(member),
                _ => None,
            })
            .collect();
        // One that left may come back, and so may one that was dead for long.
        let may_return = |row: &MemberRow| row.is_dead() && !expelled.contains(&row.id);
        Ok(Ring {
            keys: keys(&row),
            silent: silent.map(|it| named(&it.name, &it.member)).collect(),
            dead: of(&may_return),
            originals: of(&|row| lives(row) && !asked.contains(&row.id)),
        })
    }

    fn key(&self, id: &str) -> Result<&KeyRow, Failure> {
        let found = self.keys.iter().find(|row| row.key == id);
        found.ok_or_else(|| {
            Failure::failed(format_args!(
                "no member that answered holds a key {id:?}: \"butterfly ring-key list\" lists them"
            ))
        })
    }
}

/// Refuses what would cut these off, unless it is forced.
fn refuse(what: &str, whom: &[String], force: bool) -> Result<(), Failure> {
    match whom.is_empty() || force {
        true => Ok(()),
        false => Err(Failure::failed(format_args!(
            "refused: {what}: {} (--force does it all the same)",
            whom.join(", ")
        ))),
    }
}

const NO_KEYS: &str = "these take no keys, and would be cut off";
const SILENT: &str = "these did not answer, and may be cut off";
const DEAD: &str =
    "these left or count as dead, and would be cut off if they come back: forget those that do not";

pub fn install(args: &InstallKeyArgs) -> Result<(), Failure> {
    let key = ring_key::read(&args.file)?;
    let client = Client::new(&args.keys.gateway)?;
    if !client.gateway().is_here() && !args.force {
        return Err(Failure::failed(format_args!(
            "refused: the key would go to {} in plain HTTP, and whoever is on the way could read it; ask a member of this \
             machine (--force does it all the same)",
            client.gateway()
        )));
    }
    let ring = Ring::ask(&client, args.keys.timeout)?;
    if ring.keys.is_empty() {
        return Err(Failure::failed(
            "the ring is not sealed, and on an open ring everybody could read the key: start its members with --ring-key",
        ));
    }
    refuse(NO_KEYS, &ring.originals, args.force)?;
    let key = key.to_file_text();
    change(&client, &args.keys, &Change::Install { key })
}

pub fn use_key(args: &ChangeKeyArgs) -> Result<(), Failure> {
    let client = Client::new(&args.keys.gateway)?;
    let ring = Ring::ask(&client, args.keys.timeout)?;
    let lack = &ring.key(&args.id)?.missing;
    refuse(
        "these lack the key, and would be cut off: install it once more",
        lack,
        args.force,
    )?;
    refuse(SILENT, &ring.silent, args.force)?;
    refuse(NO_KEYS, &ring.originals, args.force)?;
    refuse(DEAD, &ring.dead, args.force)?;
    let id = args.id.clone();
    change(&client, &args.keys, &Change::Use { id })
}

pub fn remove(args: &ChangeKeyArgs) -> Result<(), Failure> {
    let client = Client::new(&args.keys.gateway)?;
    let ring = Ring::ask(&client, args.keys.timeout)?;
    refuse(
        "these seal with it: use another first",
        &ring.key(&args.id)?.sealing,
        args.force,
    )?;
    refuse(SILENT, &ring.silent, args.force)?;
    refuse(NO_KEYS, &ring.originals, args.force)?;
    refuse(DEAD, &ring.dead, args.force)?;
    let id = args.id.clone();
    change(&client, &args.keys, &Change::Remove { id })
}

/// Has all members do it, and shows what they hold then.
fn change(client: &Client, args: &KeysArgs, change: &Change) -> Result<(), Failure> {
    let payload = serde_json::to_vec(change).map_err(Failure::failed)?;
    let id = ask(client, RING_KEY, args.timeout, &[], &payload)?;
    let row = follow(client, &id, |_| Ok(()))?;
    let failed = row.answers.iter().filter(|it| it.what == "failed");
    let failed = failed.map(|it| format!("{}: {}", named(&it.name, &it.member), visible(&it.text)));
    let silent = row.missing.iter();
    let silent = silent.map(|it| format!("{} did not answer", named(&it.name, &it.member)));
    let wrong: Vec<String> = failed.chain(silent).collect();
    list(args)?;
    match wrong.is_empty() {
        true => Ok(()),
        false => Err(Failure::failed(wrong.join("; "))),
    }
}

pub fn list(args: &KeysArgs) -> Result<(), Failure> {
    let client = Client::new(&args.gateway)?;
    let Ring { keys, silent, .. } = Ring::ask(&client, args.timeout)?;
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
                let (seals, members) = (key.sealing.len().to_string(), key.members.to_string());
                table.row(vec![key.key, seals, members, key.missing.join(", ")]);
            }
            output::print(&table.render(|_, _, cell| cell))?;
        }
    }
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
            sealing: seals.map(|(name, _)| name.clone()).collect(),
            members: states.len() - missing.len(),
            missing,
        };
        rows.insert(key, row);
    }
    rows.into_values().collect()
}
