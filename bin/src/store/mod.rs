//! `store show`: what a snapshot of rumors holds.

mod entry;

use std::io::ErrorKind;
use std::path::Path;

use butterfly::disk::{Section, Snapshot, SnapshotFileError};
use serde_json::{Value, json};

use crate::cli::{Format, ShowArgs, StoreArgs, StoreCommand};
use crate::failure::Failure;
use crate::output;
use crate::table::Table;
use entry::Entry;

pub fn run(args: &StoreArgs) -> Result<(), Failure> {
    match &args.command {
        StoreCommand::Show(args) => show(args),
    }
}

fn show(args: &ShowArgs) -> Result<(), Failure> {
    let snapshot = read(&args.file)?;
    match (args.output.format(), args.summary) {
        (Format::Table, false) => output::print(&entries_table(&snapshot)),
        (Format::Table, true) => output::print(&summary_table(&snapshot)),
        (Format::Json, false) => {
            let entries: Value = entries(&snapshot).map(|entry| entry.to_json()).collect();
            output::print_line(&entries.to_string())
        }
        (Format::Json, true) => output::print_line(&summary_json(&snapshot).to_string()),
    }
}

fn read(path: &Path) -> Result<Snapshot, Failure> {
    Snapshot::read_file(path).map_err(|error| {
        let why = match &error {
            SnapshotFileError::Io(io) if io.kind() == ErrorKind::NotFound => {
                "there is no such file; a member's data directory holds its snapshot as <member id>.rst".to_owned()
            }
            SnapshotFileError::NoFile if path.is_dir() => {
                "that is a directory: a member's snapshot in it is <member id>.rst".to_owned()
            }
            _ => error.to_string(),
        };
        Failure::failed(format_args!("cannot show the snapshot {}: {why}", path.display()))
    })
}

/// All entries, in the order of the file.
fn entries(snapshot: &Snapshot) -> impl Iterator<Item = Entry> {
    Section::ALL.into_iter().flat_map(|section| {
        let messages = snapshot.messages(section).iter();
        messages.map(move |message| Entry::read(section, message))
    })
}

fn entries_table(snapshot: &Snapshot) -> String {
    let mut table = Table::new(&["SECTION", "KEY", "ID", "INC", "BYTES", "NOTE"]);
    for entry in entries(snapshot) {
        table.row(entry.cells());
    }
    table.render(|_, _, cell| cell)
}

fn summary_table(snapshot: &Snapshot) -> String {
    let mut table = Table::new(&["SECTION", "ENTRIES", "BYTES"]);
    let mut row = |what: &str, entries: usize, bytes: u64| {
        table.row(vec![what.into(), entries.to_string(), bytes.to_string()]);
    };
    for section in Section::ALL {
        row(
            section.name(),
            snapshot.messages(section).len(),
            snapshot.section_bytes(section),
        );
    }
    row("all", snapshot.len(), section_bytes(snapshot));
    table.render(|_, _, cell| cell)
}

fn summary_json(snapshot: &Snapshot) -> Value {
    let sections: Vec<Value> = Section::ALL
        .into_iter()
        .map(|section| {
            json!({
                "section": section.name(),
                "entries": snapshot.messages(section).len(),
                "bytes": snapshot.section_bytes(section),
            })
        })
        .collect();
    json!({
        "sections": sections,
        "entries": snapshot.len(),
        "bytes": section_bytes(snapshot),
    })
}

/// The bytes of all sections: the file without its header.
fn section_bytes(snapshot: &Snapshot) -> u64 {
    let sections = Section::ALL.into_iter();
    sections
        .map(|section| snapshot.section_bytes(section))
        .sum()
}
