//! Tables for people.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use butterfly::text::visible;
use unicode_width::UnicodeWidthStr;

use crate::cli::ListFormat;
use crate::tags::VERSION;
use crate::view::{MemberRow, Status};

/// Lines up columns, two spaces apart. What a cell takes on the screen is what it holds: texts from the network are made
/// visible when they come in, and colour comes after.
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new(head: &[&str]) -> Self {
        Table {
            rows: vec![head.iter().map(ToString::to_string).collect()],
        }
    }

    pub fn row(&mut self, cells: Vec<String>) {
        let shown = cells.into_iter().map(|cell| visible(&cell).into_owned());
        self.rows.push(shown.collect());
    }

    /// The lines; `paint` may colour a padded cell, told its row (the head is 0) and column.
    pub fn render(&self, paint: impl Fn(usize, usize, String) -> String) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns).map(|column| self.width(column)).collect();
        let mut text = String::new();
        for (number, row) in self.rows.iter().enumerate() {
            let mut line = String::new();
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
                let is_last = row.iter().skip(column + 1).all(String::is_empty);
                let padded = if is_last {
                    cell.clone()
                } else {
                    let missing = width.saturating_sub(cell.width());
                    format!("{cell}{:missing$}  ", "")
                };
                line += &paint(number, column, padded);
                if is_last {
                    break;
                }
            }
            text += &line;
            text.push('\n');
        }
        text
    }

    fn width(&self, column: usize) -> usize {
        let cells = self.rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.width()).max().unwrap_or(0)
    }
}

/// The colour of a health, as an ANSI code.
fn colour(health: &str) -> &'static str {
    match health {
        "alive" => "32",
        "suspect" => "33",
        "confirmed" => "31",
        _ => "90",
    }
}

/// A text in the colour of a health, if colours are wanted.
pub fn painted(text: &str, health: &str, colours: bool) -> String {
    if colours {
        format!("\x1b[{}m{text}\x1b[0m", colour(health))
    } else {
        text.to_owned()
    }
}

/// All members, and below them how many fare how; `ends`: why those are dead of which it is known, by id.
pub fn members(
    members: &[MemberRow],
    fits: impl Fn(&MemberRow) -> bool,
    status: &Status,
    ends: &HashMap<String, String>,
    (format, colours): (ListFormat, bool),
) -> String {
    const HEALTH: usize = 3;
    let mut rows: Vec<&MemberRow> = members.iter().filter(|row| fits(row)).collect();
    rows.sort_by(|one, other| {
        let rank = rank(&one.health).cmp(&rank(&other.health));
        rank.then_with(|| natural(&one.name, &other.name))
            .then_with(|| one.id.cmp(&other.id))
    });
    let blocked: HashSet<&String> = status.blocked.iter().collect();
    let has_tags = rows.iter().any(|row| !row.tags.is_empty());
    let mut head = vec!["ID", "NAME", "ADDRESS", "HEALTH", "INC", "RTT", "SINCE"];
    if has_tags {
        head.extend(["VERSION", "TAGS"]);
    }
    head.push("NOTE");
    if format == ListFormat::Wide {
        head.insert(HEALTH + 1, "GOSSIP");
    }
    let mut table = Table::new(&head);
    for row in &rows {
        let mut cells = cells(row, members, blocked.contains(&row.id));
        if let (ListFormat::Wide, Some(id)) = (format, cells.first_mut()) {
            id.clone_from(&row.id);
            cells.insert(HEALTH + 1, row.gossip_port.to_string());
        }
        if let (true, Some(seen), Some(note)) = (row.is_self, status.seen_at, cells.last_mut()) {
            *note += &format!(", others see it at {seen}");
        }
        if let (true, Some(end), Some(note)) = (row.is_dead(), ends.get(&row.id), cells.last_mut())
        {
            let gap = if note.is_empty() { "" } else { ", " };
            *note += &format!("{gap}{}", visible(end));
        }
        if has_tags {
            let note = cells.pop();
            cells.extend(tag_cells(row));
            cells.extend(note);
        }
        table.row(cells);
    }
    let mut text =
        table.render(
            |row, column, cell| match row.checked_sub(1).and_then(|row| rows.get(row)) {
                Some(member) if column == HEALTH => painted(&cell, &member.health, colours),
                _ => cell,
            },
        );
    let count = |health: &str| members.iter().filter(|row| row.health == health).count();
    text += &format!(
        "\n{} known: {} alive, {} suspect, {} confirmed, {} departed; local health {} (0 best, 8 worst)\n",
        members.len(),
        count("alive"),
        count("suspect"),
        count("confirmed"),
        count("departed"),
        status.local_health,
    );
    if rows.len() < members.len() {
        text += &format!("{} of them shown\n", rows.len());
    }
    if let Some(isolated) = isolated(status) {
        text += &format!("isolated: it {isolated}\n");
    }
    text
}

/// What an isolated member has to say before anything else.
pub fn isolated(status: &Status) -> Option<String> {
    let age = age(Duration::from_millis(status.isolated_ms?));
    Some(format!(
        "has heard no other member for {age}, and what it says of them is as old"
    ))
}

fn rank(health: &str) -> u8 {
    match health {
        "alive" => 0,
        "suspect" => 1,
        "confirmed" => 2,
        _ => 3,
    }
}

fn cells(row: &MemberRow, members: &[MemberRow], blocked: bool) -> Vec<String> {
    vec![
        short(&row.id),
        if row.name.is_empty() {
            "-".into()
        } else {
            row.name.clone()
        },
        row.swim_addr().to_string(),
        row.health.clone(),
        row.incarnation.to_string(),
        row.rtt_us
            .map_or_else(|| "-".into(), |micros| span(Duration::from_micros(micros))),
        age(Duration::from_millis(row.since_ms)),
        notes(row, members, blocked).join(", "),
    ]
}

/// Its version, and its other tags.
fn tag_cells(row: &MemberRow) -> [String; 2] {
    let mut others = row.tags.clone();
    let version = others.remove(VERSION);
    let tags = match others.is_empty() {
        true => "-".to_owned(),
        false => listed_tags(&others),
    };
    [version.unwrap_or_else(|| "-".to_owned()), tags]
}

/// Tags in a line; of many, the first.
pub fn listed_tags(tags: &BTreeMap<String, String>) -> String {
    /// What a table has room for.
    const MOST: usize = 48;
    let pairs: Vec<_> = tags
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let line = pairs.join(",");
    match line.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// The order in which people count: node-2 before node-10.
pub fn natural(one: &str, other: &str) -> Ordering {
    let (mut one, mut other) = (parts(one), parts(other));
    loop {
        let (left, right) = (one.next(), other.next());
        let order = match (left, right) {
            (None, None) => return Ordering::Equal,
            (Some(left), Some(right)) => match (left.parse::<u64>(), right.parse::<u64>()) {
                (Ok(left), Ok(right)) => left.cmp(&right),
                _ => left.cmp(right),
            },
            _ => left.cmp(&right),
        };
        if order.is_ne() {
            return order;
        }
    }
}

/// The numbers in a text, and what stands between them.
fn parts(mut text: &str) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        let is_number = text.chars().next()?.is_ascii_digit();
        let end = text.find(|c: char| c.is_ascii_digit() != is_number);
        let (part, rest) = text.split_at(end.unwrap_or(text.len()));
        text = rest;
        Some(part)
    })
}

/// What else is to be said of it.
pub fn notes(row: &MemberRow, members: &[MemberRow], blocked: bool) -> Vec<String> {
    let mut notes = Vec::new();
    if row.is_self {
        notes.push("this member".into());
    }
    if row.persistent {
        notes.push("permanent".into());
    }
    if blocked {
        notes.push("blocked".into());
    }
    if let Some(evidence) = row.evidence.as_deref().filter(|it| *it != "silent") {
        notes.push(evidence.to_owned());
    }
    if !row.suspected_by.is_empty() {
        let by: Vec<_> = row
            .suspected_by
            .iter()
            .map(|id| known_as(id, members))
            .collect();
        notes.push(format!("suspected by {}", by.join(" and ")));
    }
    if let Some(left) = row.suspicion_left_ms {
        notes.push(format!(
            "{:.1} s left",
            Duration::from_millis(left).as_secs_f64()
        ));
    }
    notes
}

fn known_as(id: &str, members: &[MemberRow]) -> String {
    match members.iter().find(|row| row.id == id) {
        Some(row) if row.is_self => "this member".to_owned(),
        Some(row) if !row.name.is_empty() => row.name.clone(),
        _ => short(id),
    }
}

fn short(id: &str) -> String {
    id.chars().take(8).collect()
}

/// A member as people are told of it, by its whole id.
pub fn who(id: &str, names: &HashMap<String, String>) -> String {
    match names.get(id) {
        Some(name) if !name.is_empty() => format!("{name} ({})", short(id)),
        _ => short(id),
    }
}

/// How one member fares; `names` are those of the members that it ignores, by id.
pub fn status(status: &Status, names: &HashMap<String, String>) -> String {
    let blocked: Vec<_> = status.blocked.iter().map(|id| who(id, names)).collect();
    let counts = status.members;
    let name = if status.name.is_empty() {
        "-".to_owned()
    } else {
        status.name.clone()
    };
    let keys = match status.ring_keys.as_slice() {
        [] => "none: the ring is open".to_owned(),
        keys => keys.join(", "),
    };
    let lines = [
        ("id", status.id.clone()),
        ("name", name),
        (
            "ring",
            status.ring.clone().unwrap_or_else(|| "no name".into()),
        ),
        (
            "address",
            match status.seen_at {
                Some(seen) => format!("{}, but others see it at {seen}", status.address),
                None => status.address.to_string(),
            },
        ),
        ("listening", status.listening.to_string()),
        ("incarnation", status.incarnation.to_string()),
        ("version", status.version.clone()),
        ("up", age(Duration::from_millis(status.uptime_ms))),
        (
            "members",
            format!(
                "{} alive, {} suspect, {} confirmed, {} departed",
                counts.alive, counts.suspect, counts.confirmed, counts.departed
            ),
        ),
        (
            "rumors",
            format!(
                "{}, {} bytes, {} still being told; checksum {:08x}",
                status.rumors.count, status.rumors.bytes, status.rumors.hot, status.rumors.checksum
            ),
        ),
        (
            "local health",
            format!("{} (0 best, 8 worst)", status.local_health),
        ),
        (
            "isolated",
            isolated(status).map_or("no".into(), |how| format!("yes: {how}")),
        ),
        ("leaving", if status.leaving { "yes" } else { "no" }.into()),
        ("ring keys", keys),
        ("blocked", listed(&blocked)),
        ("seeds", listed(&status.seeds)),
    ];
    let line = |(label, text): &(&str, String)| format!("{label:<12}  {}\n", visible(text));
    lines.iter().map(line).collect()
}

fn listed(items: &[String]) -> String {
    if items.is_empty() {
        "none".into()
    } else {
        items.join(", ")
    }
}

/// A short span of time in the unit that suits it.
pub fn span(span: Duration) -> String {
    let micros = span.as_secs_f64() * 1e6;
    match micros {
        ..1e3 => format!("{micros:.0} us"),
        ..1e4 => format!("{:.2} ms", micros / 1e3),
        ..1e5 => format!("{:.1} ms", micros / 1e3),
        ..1e6 => format!("{:.0} ms", micros / 1e3),
        _ => format!("{:.2} s", micros / 1e6),
    }
}

/// A time span as its two greatest units.
pub fn age(age: Duration) -> String {
    let seconds = age.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0..10 => format!("{:.1}s", age.as_secs_f64()),
        10..60 => format!("{seconds}s"),
        60..3600 => format!("{minutes}m{}s", seconds % 60),
        3600..86_400 => format!("{hours}h{}m", minutes % 60),
        _ => format!("{days}d{}h", hours % 24),
    }
}

#[cfg(test)]
pub mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// The table of all of them.
    fn members(rows: &[MemberRow], status: &Status, colours: bool) -> String {
        super::members(
            rows,
            |_| true,
            status,
            &HashMap::new(),
            (ListFormat::Table, colours),
        )
    }

    use crate::view::{Counts, Rumors};

    pub fn row(id: &str, name: &str, health: &str) -> MemberRow {
        MemberRow {
            id: id.into(),
            name: name.into(),
            address: [10, 0, 0, 2].into(),
            swim_port: 9638,
            gossip_port: 9638,
            health: health.into(),
            incarnation: 3,
            persistent: false,
            is_self: false,
            rtt_us: None,
            since_ms: 61_000,
            suspected_by: Vec::new(),
            evidence: None,
            suspicion_left_ms: None,
            tags: BTreeMap::new(),
        }
    }

    pub fn status_of(local_health: u8) -> Status {
        Status {
            loop_lag_us: 0,
            time: String::new(),
            id: "1a".repeat(16),
            name: "web".into(),
            ring: None,
            address: ([10, 0, 0, 2], 9638).into(),
            listening: ([10, 0, 0, 2], 9638).into(),
            seen_at: None,
            incarnation: 3,
            version: "1".into(),
            uptime_ms: 0,
            members: Counts::default(),
            rumors: Rumors::default(),
            local_health,
            isolated_ms: None,
            leaving: false,
            sealed: false,
            ring_keys: Vec::new(),
            blocked: Vec::new(),
            seeds: Vec::new(),
            counters: BTreeMap::new(),
        }
    }

    #[test]
    fn names_are_in_the_order_in_which_people_count() {
        let mut names = ["node-10", "node-2", "b", "node-1", "", "2", "node", "10"];
        names.sort_by(|one, other| natural(one, other));
        let sorted = ["", "2", "10", "b", "node", "node-1", "node-2", "node-10"];
        assert_eq!(names, sorted);
    }

    #[test]
    fn a_blocked_member_is_told_by_its_name() {
        let (id, stranger) = ("2b".repeat(16), "3c".repeat(16));
        let asked = Status {
            blocked: vec![id.clone(), stranger],
            ..status_of(0)
        };
        let text = members(&[row(&id, "db", "alive")], &asked, false);
        assert!(text.contains("1m1s   blocked\n"), "{text}");
        let text = status(&asked, &HashMap::from([(id, "db".into())]));
        assert!(text.contains("db (2b2b2b2b), 3c3c3c3c\n"), "{text}");
    }

    #[test]
    fn the_table_says_who_suspects_whom_and_for_how_long() {
        let rows = [
            MemberRow {
                suspected_by: vec!["1a".repeat(16), "ff".repeat(16)],
                evidence: Some("gone".into()),
                suspicion_left_ms: Some(1_240),
                ..row(&"2b".repeat(16), "", "suspect")
            },
            MemberRow {
                is_self: true,
                rtt_us: Some(153),
                ..row(&"1a".repeat(16), "web\x1b", "alive")
            },
        ];
        assert_eq!(
            members(&rows, &status_of(2), false),
            "\
ID        NAME       ADDRESS        HEALTH   INC  RTT     SINCE  NOTE
1a1a1a1a  web\\u{1b}  10.0.0.2:9638  alive    3    153 us  1m1s   this member
2b2b2b2b  -          10.0.0.2:9638  suspect  3    -       1m1s   gone, suspected by this member and ffffffff, 1.2 s left

2 known: 1 alive, 1 suspect, 0 confirmed, 0 departed; local health 2 (0 best, 8 worst)
"
        );
    }

    #[test]
    fn the_tables_say_where_others_see_it() {
        let asked = Status {
            seen_at: Some(([10, 9, 9, 9], 9638).into()),
            ..status_of(0)
        };
        let row = MemberRow {
            is_self: true,
            ..row(&"1a".repeat(16), "web", "alive")
        };
        let text = members(&[row], &asked, false);
        assert!(
            text.contains("this member, others see it at 10.9.9.9:9638\n"),
            "{text}"
        );
        let text = status(&asked, &HashMap::new());
        let line = "address       10.0.0.2:9638, but others see it at 10.9.9.9:9638\n";
        assert!(text.contains(line), "{text}");
    }

    #[test]
    fn the_tables_say_that_an_isolated_member_believes_what_is_old() {
        let asked = Status {
            isolated_ms: Some(12_000),
            ..status_of(0)
        };
        let how = "has heard no other member for 12s, and what it says of them is as old\n";
        let text = members(&[row(&"1a".repeat(16), "web", "alive")], &asked, false);
        assert!(text.ends_with(&format!("\nisolated: it {how}")), "{text}");
        let text = status(&asked, &HashMap::new());
        assert!(
            text.contains(&format!("isolated      yes: {how}")),
            "{text}"
        );
        let text = status(&status_of(0), &HashMap::new());
        assert!(text.contains("isolated      no\n"), "{text}");
    }

    #[test]
    fn only_the_health_is_coloured() {
        let text = members(
            &[row(&"1a".repeat(16), "web", "confirmed")],
            &status_of(0),
            true,
        );
        assert_eq!(text.matches("\x1b[31mconfirmed  \x1b[0m").count(), 1);
        assert_eq!(text.matches('\x1b').count(), 2);
    }

    #[test]
    fn spans_in_the_unit_that_suits_them() {
        for (millis, text) in [
            (1_250, "1.2s"),
            (59_999, "59s"),
            (3_599_000, "59m59s"),
            (3_660_000, "1h1m"),
            (90_000_000, "1d1h"),
        ] {
            assert_eq!(age(Duration::from_millis(millis)), text);
        }
        assert_eq!(span(Duration::from_micros(12_340)), "12.3 ms");
        assert_eq!(span(Duration::from_micros(2_500_000)), "2.50 s");
    }

    #[test]
    fn those_that_are_meant_are_shown_with_room_for_more() {
        let rows = [
            row(&"1a".repeat(16), "web", "alive"),
            row(&"2b".repeat(16), "db", "suspect"),
        ];
        let only = |row: &MemberRow| row.name == "db";
        let text = super::members(
            &rows,
            only,
            &status_of(0),
            &HashMap::new(),
            (ListFormat::Wide, false),
        );
        assert!(
            text.contains(&"2b".repeat(16)) && !text.contains(&"1a".repeat(16)),
            "{text}"
        );
        assert!(
            text.contains("  GOSSIP  ") && text.contains("\n1 of them shown\n"),
            "{text}"
        );
        assert!(text.contains("2 known: 1 alive, 1 suspect"), "{text}");
    }
}
