//! Which room of the library may know which: a list of all, so that a new one is a decision.

use std::collections::BTreeSet;
use std::path::Path;

/// A room, and the rooms that it knows; a room that is not in the list knows none. What is not in the list is not allowed, and
/// what is in it is there.
const KNOWS: [(&str, &str); 26] = [
    ("config", "limits member ring_name wire"),
    ("disk", "limits member stats wire"),
    ("env", "journal time timer"),
    ("error", "limits member rumor"),
    ("event", "error member name rumor"),
    (
        "gossip",
        "config env error event expected limits lists member ring rumor stats successor text time wire",
    ),
    ("history", "event limits member time"),
    (
        "journal",
        "error event expected growth history limits member name stats time trace wire",
    ),
    ("lists", "expected growth"),
    ("name", "limits"),
    (
        "net",
        "config disk error event limits member node recording ring_name rumor stats text time trace view wire",
    ),
    ("no_disk", "member node stats wire"),
    ("no_gossip", "config env member ring stats time"),
    (
        "node",
        "config env error event gossip history journal limits member recording ring ring_name rumor stats swim time timer trace view wire",
    ),
    (
        "recording",
        "config event limits member ring_name rumor time wire",
    ),
    ("ring", "member rumor time"),
    ("ring_name", "limits text"),
    ("rumor", "limits member text"),
    (
        "sim",
        "config error event gossip limits member node recording ring_name rumor stats swim time wire",
    ),
    ("stats", "error member"),
    ("successor", "member"),
    (
        "swim",
        "config env error event expected growth history journal limits lists member name ring ring_name rumor stats successor text time timer trace view wire",
    ),
    ("timer", "expected lists time"),
    ("trace", "member text time"),
    ("view", "member rumor time wire"),
    ("wire", "error limits member rumor text"),
];

/// The rooms that a piece of code names.
fn named(code: &str) -> BTreeSet<String> {
    let after = code.split("crate::").skip(1);
    let name = |rest: &str| {
        let is_part = |c: char| c.is_alphanumeric() || c == '_';
        rest.split(|c| !is_part(c))
            .next()
            .unwrap_or_default()
            .to_owned()
    };
    after.map(name).collect()
}

/// What is wrong with the rooms that this code in a room names.
fn forbidden(room: &str, code: &str) -> Vec<String> {
    let knows = KNOWS.iter().find(|(of, _)| *of == room);
    let knows = knows.map_or("", |(_, knows)| knows);
    let may = |name: &String| name == room || knows.split(' ').any(|known| known == name);
    let named = named(code).into_iter().filter(|name| !may(name));
    named.map(|name| format!("{room} knows {name}")).collect()
}

/// The room that a file belongs to.
fn room(src: &Path, file: &Path) -> String {
    let inside = file.strip_prefix(src).unwrap();
    let first = inside.components().next().unwrap().as_os_str();
    first.to_str().unwrap().trim_end_matches(".rs").to_owned()
}

#[test]
fn each_room_knows_those_in_the_list_and_no_other() {
    let src = super::root().join("src");
    let mut found: BTreeSet<(String, String)> = BTreeSet::new();
    let mut wrong = Vec::new();
    for file in super::sources(&src) {
        let room = room(&src, &file);
        for (number, line) in super::code(&file) {
            let complain = |what| format!("{}:{number}: {what}", file.display());
            wrong.extend(forbidden(&room, &line).into_iter().map(complain));
            found.extend(named(&line).into_iter().map(|name| (room.clone(), name)));
        }
    }
    assert!(wrong.is_empty(), "new edges:\n{}", wrong.join("\n"));
    for (room, knows) in KNOWS {
        for known in knows.split(' ').filter(|known| !known.is_empty()) {
            let edge = (room.to_owned(), known.to_owned());
            assert!(
                found.contains(&edge),
                "{room} does not know {known} any more"
            );
        }
    }
}

#[test]
fn a_planted_edge_is_found() {
    for (room, code) in [
        ("swim", "use crate::node::Node;"),
        ("wire", "let it = crate::swim::Swim::new();"),
        ("swim", "use crate::Butterfly;"),
        ("swim", "use crate::{swim, net};"),
        ("limits", "use crate::member::MemberId;"),
    ] {
        assert_eq!(forbidden(room, code).len(), 1, "{room}: {code}");
    }
    assert!(forbidden("swim", "use crate::swim::table; use crate::wire;").is_empty());
}
