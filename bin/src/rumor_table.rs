//! Tables of rumors, for people.

use std::collections::HashMap;

use butterfly::RumorKind;
use butterfly::text::visible;

use crate::cli::ListFormat;
use crate::output::count;
use crate::rumor_row::{ElectionRow, RumorRow, Says, ServiceRow};
use crate::table::{Table, listed_tags, who};
use crate::view::MemberRow;

/// The members' names, by id.
type Names = HashMap<String, String>;

/// The services that members run, with these members as far as they are known.
pub fn services<'a>(
    rows: impl Iterator<Item = (&'a RumorRow, &'a ServiceRow, Option<&'a MemberRow>)>,
    format: ListFormat,
) -> String {
    let is_wide = format == ListFormat::Wide;
    let mut head = vec![
        "GROUP", "MEMBER", "ADDRESS", "HEALTH", "INC", "PACKAGE", "NOTE",
    ];
    if is_wide {
        head.insert(2, "ID");
    }
    let mut table = Table::new(&head);
    for (row, service, member) in rows {
        let mut notes = Vec::new();
        if service.initialized {
            notes.push("initialized");
        }
        if member.is_none() {
            notes.push("of a member that is not known");
        }
        notes.extend(still_told(row));
        let name = member.map_or("", |member| &*member.name);
        let short: String = service.member.chars().take(8).collect();
        let mut cells = vec![
            service.group.clone(),
            match (name, is_wide) {
                ("", _) => short,
                (name, true) => name.to_owned(),
                (name, false) => format!("{name} ({short})"),
            },
            member.map_or_else(
                || service.sys.ip.clone(),
                |member| member.address.to_string(),
            ),
            member.map_or("-", |member| &*member.health).to_owned(),
            service.incarnation.to_string(),
            service.pkg.clone(),
            notes.join(", "),
        ];
        if is_wide {
            cells.insert(2, service.member.clone());
        }
        table.row(cells);
    }
    table.render(|_, _, cell| cell)
}

/// How far elections are.
pub fn elections(rows: &[RumorRow], names: &Names) -> String {
    let mut table = Table::new(&[
        "GROUP",
        "FOR",
        "TERM",
        "STATUS",
        "CANDIDATE",
        "SUITABILITY",
        "VOTES",
    ]);
    for row in rows {
        let (purpose, election) = match &row.says {
            Says::Election(election) => ("leader", election),
            Says::ElectionUpdate(election) => ("update", election),
            _ => continue,
        };
        table.row(vec![
            election.group.clone(),
            purpose.into(),
            election.term.to_string(),
            election.status.clone(),
            who(&election.candidate, names),
            election.suitability.to_string(),
            election.votes.len().to_string(),
        ]);
    }
    table.render(|_, _, cell| cell)
}

/// How far an election is, in a line.
pub fn standing(kind: RumorKind, election: &ElectionRow, names: &Names) -> String {
    let (group, term) = (election.group.clone(), election.term);
    let candidate = who(&election.candidate, names);
    match election.status.as_str() {
        "finished" if kind == RumorKind::ElectionUpdate => {
            format!("{candidate} is the first of {group} to update, term {term}")
        }
        "finished" => format!("{candidate} leads {group}, term {term}"),
        "no_quorum" => format!(
            "{group} has no quorum: too few of its members are alive; the election goes on when they are"
        ),
        _ => format!("{group} elects, term {term}: \"butterfly election show\" says how far it is"),
    }
}

/// Rumors of all kinds, and below them how many they are.
pub fn rumors(rows: &[RumorRow], names: &Names) -> String {
    let mut table = Table::new(&["KIND", "GROUP", "WHAT", "INC", "SIZE", "NOTE"]);
    for row in rows {
        let mut cells = cells(row, names);
        let mut note = cells.pop().unwrap_or_default();
        if let Some(told) = still_told(row) {
            note = if note.is_empty() {
                told.into()
            } else {
                format!("{note}, {told}")
            };
        }
        cells.extend([row.size.to_string(), note]);
        table.row(cells);
    }
    let bytes: usize = rows.iter().map(|row| row.size).sum();
    format!(
        "{}\n{}, {}\n",
        table.render(|_, _, cell| cell),
        count(rows.len(), "rumor"),
        count(bytes, "byte")
    )
}

/// Its kind, group, what it is of that group, its incarnation and what is to be said besides.
fn cells(row: &RumorRow, names: &Names) -> Vec<String> {
    let cells = |kind: &str, group: &str, what: String, version: u64, note: String| {
        vec![
            kind.to_owned(),
            group.to_owned(),
            what,
            version.to_string(),
            note,
        ]
    };
    match &row.says {
        Says::Service(service) => cells(
            "service",
            &service.group,
            who(&service.member, names),
            service.incarnation,
            if service.withdrawn {
                "withdrawn".into()
            } else {
                service.pkg.clone()
            },
        ),
        Says::ServiceConfig(config) => cells(
            "service_config",
            &config.group,
            "-".into(),
            config.incarnation,
            state(config.removed, config.encrypted),
        ),
        Says::ServiceFile(file) => cells(
            "service_file",
            &file.group,
            file.filename.clone(),
            file.incarnation,
            state(file.removed, file.encrypted),
        ),
        Says::Election(election) => election_cells("election", election, names),
        Says::ElectionUpdate(election) => election_cells("election_update", election, names),
        Says::Departure { member } => cells("departure", "-", who(member, names), 0, String::new()),
        Says::Forgotten(said) => cells(
            "forgotten",
            "-",
            format!("by {}", who(&said.by, names)),
            0,
            count(said.members.len(), "member"),
        ),
        Says::UserEvent(event) => cells(
            "user_event",
            "-",
            format!("{} by {}", visible(&event.name), who(&event.by, names)),
            event.lamport,
            count(event.payload_bytes, "byte"),
        ),
        Says::Tags(tags) => cells(
            "tags",
            "-",
            who(&tags.member, names),
            tags.incarnation,
            listed_tags(&tags.tags),
        ),
    }
}

fn election_cells(kind: &str, election: &ElectionRow, names: &Names) -> Vec<String> {
    vec![
        kind.to_owned(),
        election.group.clone(),
        who(&election.candidate, names),
        election.term.to_string(),
        format!(
            "{}, {}",
            election.status.clone(),
            count(election.votes.len(), "vote")
        ),
    ]
}

fn state(removed: bool, encrypted: bool) -> String {
    match (removed, encrypted) {
        (true, _) => "removed".into(),
        (false, true) => "encrypted".into(),
        (false, false) => String::new(),
    }
}

fn still_told(row: &RumorRow) -> Option<&'static str> {
    match row {
        row if row.provisional => Some("from its disk, not compared yet"),
        row => row.hot.then_some("still being told"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rumor_row::ConfigRow;

    #[test]
    fn a_table_of_rumors_says_what_each_is_and_how_many_there_are() {
        let id = "1a".repeat(16);
        let row = |says, hot| RumorRow {
            spread: None,
            says,
            size: 40,
            hot,
            provisional: false,
        };
        let election = ElectionRow {
            reason: String::new(),
            group: "redis.default".into(),
            term: 2,
            status: "finished".into(),
            candidate: id.clone(),
            suitability: 0,
            votes: vec![id.clone(), "2b".repeat(16)],
        };
        let config = ConfigRow {
            group: "redis.default\x1b".into(),
            incarnation: 7,
            encrypted: false,
            removed: false,
            config: Some("a = 1".into()),
            config_base64: None,
        };
        let rows = [
            row(Says::Election(election), false),
            row(Says::ServiceConfig(config), true),
            row(
                Says::Departure {
                    member: "3c".repeat(16),
                },
                false,
            ),
        ];
        let names = Names::from([(id, "web".into())]);
        assert_eq!(
            rumors(&rows, &names),
            "\
KIND            GROUP                WHAT            INC  SIZE  NOTE
election        redis.default        web (1a1a1a1a)  2    40    finished, 2 votes
service_config  redis.default\\u{1b}  -               7    40    still being told
departure       -                    3c3c3c3c        0    40

3 rumors, 120 bytes
"
        );
        let text = elections(&rows, &names);
        assert!(
            text.contains(
                "redis.default  leader  2     finished  web (1a1a1a1a)  0            2\n"
            ),
            "{text}"
        );
        assert_eq!(text.lines().count(), 2);
    }
}
