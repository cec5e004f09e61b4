//! docs/PROTOCOL.md lists every extension field, as it stands in protocols/*.proto.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use butterfly::wire::{Extras, STAMP_BYTES};
use butterfly_protocols::{COMMON_PROTO, NEWSCAST_PROTO, SWIM_PROTO};

/// The first number of an extension.
const FIRST: u32 = 100;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Field {
    message: String,
    name: String,
    number: u32,
    /// With `repeated` before it, if it is.
    kind: String,
}

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The extensions in a .proto file, of all its messages.
fn defined(proto: &str) -> Vec<Field> {
    let mut fields = Vec::new();
    let mut messages: Vec<&str> = Vec::new();
    for line in proto.lines().map(str::trim) {
        if line.starts_with("//") {
            continue;
        }
        let words: Vec<_> = line.split_whitespace().collect();
        match words.as_slice() {
            [_, name, "{"] => messages.push(*name),
            ["}"] => drop(messages.pop().expect("a } for each {")),
            [label, kind, name, "=", number, ..] => {
                let number = number.trim_end_matches(';').parse().unwrap();
                let kind = match *label {
                    "repeated" => format!("repeated {kind}"),
                    "optional" => (*kind).to_owned(),
                    label => {
                        assert!(
                            number < FIRST,
                            "an extension is optional, not {label}: {line}"
                        );
                        continue;
                    }
                };
                fields.push(Field {
                    message: (*messages.last().unwrap()).to_owned(),
                    name: (*name).to_owned(),
                    number,
                    kind,
                });
            }
            _ => {}
        }
    }
    assert!(
        messages.is_empty() && !fields.is_empty(),
        "read wrongly: {messages:?}"
    );
    fields.retain(|field| field.number >= FIRST);
    fields
}

/// The rows of the table, a field for each message it is in, with its bytes.
fn listed(page: &str) -> Vec<(Field, String)> {
    let head = "| in | field | no. | type | bytes | meaning |";
    let (_, table) = page.split_once(head).expect("the table of extensions");
    let rows = table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    let mut fields = Vec::new();
    for row in rows {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        let ["", messages, name, number, kind, bytes, meaning, ""] = cells.as_slice() else {
            panic!("a row has six cells: {row}");
        };
        assert!(!meaning.is_empty(), "{row}");
        for message in messages.split(", ") {
            let field = Field {
                message: message.to_owned(),
                name: (*name).to_owned(),
                number: number.parse().unwrap(),
                kind: (*kind).to_owned(),
            };
            fields.push((field, (*bytes).to_owned()));
        }
    }
    fields
}

#[test]
fn the_page_lists_every_extension_field_as_it_is_defined() {
    let protos = [COMMON_PROTO, SWIM_PROTO, NEWSCAST_PROTO];
    let defined: Vec<_> = protos.into_iter().flat_map(defined).collect();
    let listed = listed(&read("docs/PROTOCOL.md"));
    let (defined, rows): (BTreeSet<_>, BTreeSet<_>) = (
        defined.into_iter().collect(),
        listed.iter().map(|(field, _)| field.clone()).collect(),
    );
    let missing: Vec<_> = defined.difference(&rows).collect();
    let stale: Vec<_> = rows.difference(&defined).collect();
    assert!(missing.is_empty(), "docs/PROTOCOL.md lacks {missing:#?}");
    assert!(
        stale.is_empty(),
        "docs/PROTOCOL.md lists what is not there: {stale:#?}"
    );
    assert_eq!(rows.len(), listed.len(), "none is listed twice");
}

#[test]
fn no_field_takes_more_bytes_than_its_type_can() {
    for (field, bytes) in listed(&read("docs/PROTOCOL.md")) {
        let number = bytes.trim_start_matches("≤ ").replace(' ', "");
        let bytes: u32 = number
            .parse()
            .unwrap_or_else(|_| panic!("{field:?}: {bytes} bytes"));
        // Two of them are the tag.
        let most = match field.kind.as_str() {
            "bool" => 3,
            "uint32" => 7,
            "uint64" => 12,
            _ => 1_024,
        };
        assert!(
            (3..=most).contains(&bytes),
            "{field:?}: {bytes} bytes, of {most}"
        );
    }
}

/// Bytes of a whole message's extensions at rest, and how many more within a seal.
const BUDGET: usize = 32;

/// The rows of the budget: fields, and the bytes of each at rest, plain and sealed.
fn budget(page: &str) -> Vec<(String, [usize; 2])> {
    let head = "| field of Swim | bytes, plain | bytes, sealed |";
    let (_, table) = page.split_once(head).expect("the budget");
    let rows = table.lines().skip(2);
    let rows = rows.take_while(|line| line.starts_with('|')).map(|row| {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        let ["", names, plain, sealed, ""] = cells.as_slice() else {
            panic!("a row has three cells: {row}");
        };
        let bytes = [plain, sealed].map(|bytes| bytes.parse().unwrap());
        (*names, bytes)
    });
    let fields = rows.flat_map(|(names, bytes)| names.split(", ").map(move |it| (it, bytes)));
    fields.map(|(it, bytes)| (it.to_owned(), bytes)).collect()
}

#[test]
fn what_is_said_of_whole_messages_at_rest_keeps_within_its_budget() {
    let budget = budget(&read("docs/PROTOCOL.md"));
    let mut of_swim: Vec<_> = defined(SWIM_PROTO);
    of_swim.retain(|field| field.message == "Swim");
    let (defined, listed): (BTreeSet<_>, BTreeSet<_>) = (
        of_swim.into_iter().map(|field| field.name).collect(),
        budget.iter().map(|(name, _)| name.clone()).collect(),
    );
    assert_eq!(listed, defined);
    assert_eq!(budget.len(), listed.len(), "none is listed twice");
    let sum = |place: usize| budget.iter().map(|(_, bytes)| bytes[place]).sum::<usize>();
    assert!(sum(0) <= BUDGET, "{}", sum(0));
    assert!(sum(1) <= 2 * BUDGET, "{}", sum(1));

    // As they are written.
    let extras = Extras {
        ring: 1,
        advertised: Some("2001:db8::7".parse().unwrap()),
        life: 1,
        ..Extras::default()
    };
    assert_eq!(extras.len(), sum(0));
    let sealed = Extras { life: 0, ..extras };
    assert_eq!(sealed.len() + STAMP_BYTES, sum(1));
}
