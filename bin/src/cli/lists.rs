//! Lists of members, and the live one.

use std::time::Duration;

use clap::{Args, ValueEnum};

use super::{GatewayArgs, seconds};
use crate::filter::{Glob, Healths};
use crate::tags::Wanted;
use crate::view::MemberRow;

/// How a list of members or services is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ListFormat {
    /// For people
    Table,
    /// For people with room: whole ids and all ports
    Wide,
    /// For programs, in one array
    Json,
    /// For programs, a row a line
    Ndjson,
    /// Names alone, or ids where there is none, a line each
    Name,
}

#[derive(Debug, Args)]
pub struct ListOutputArgs {
    /// How to print
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: ListFormat,
    /// The same as --output json
    #[arg(long, conflicts_with = "output")]
    json: bool,
}

impl ListOutputArgs {
    pub fn format(&self) -> ListFormat {
        if self.json {
            ListFormat::Json
        } else {
            self.output
        }
    }
}

/// Which members are meant; none given: all.
#[derive(Debug, Args)]
pub struct WhichArgs {
    /// Names of members, or beginnings of their ids
    #[arg(value_name = "MEMBER")]
    pub members: Vec<String>,
    /// Those of these healths alone: alive, suspect, confirmed, departed
    #[arg(long, value_name = "HEALTH,…")]
    pub health: Option<Healths>,
    /// Those with such a name alone: * stands for any text, ? for one character
    #[arg(long, value_name = "PATTERN")]
    pub name: Option<Glob>,
    /// Those with this tag alone, or with this value of it; more than one: those that have all
    #[arg(long, value_name = "KEY[=VALUE]")]
    pub tag: Vec<Wanted>,
}

impl WhichArgs {
    /// Whether it is one of them.
    pub fn fit(&self, row: &MemberRow) -> bool {
        let health = self.health.as_ref();
        let name = self.name.as_ref();
        health.is_none_or(|healths| healths.have(&row.health))
            && name.is_none_or(|name| name.fits(&row.name))
            && self
                .tag
                .iter()
                .all(|tag| tag.fits(|key| row.tags.get(key).cloned()))
            && (self.members.is_empty() || self.members.iter().any(|text| means(text, row)))
    }

    /// The first text that means none of these.
    pub fn unknown(&self, rows: &[MemberRow]) -> Option<&str> {
        let is_known = |text: &&String| rows.iter().any(|row| means(text, row));
        let mut texts = self.members.iter();
        texts.find(|text| !is_known(text)).map(String::as_str)
    }
}

fn means(text: &str, row: &MemberRow) -> bool {
    !text.is_empty() && (row.name == text || row.id.starts_with(text))
}

#[derive(Debug, Args)]
pub struct MembersArgs {
    #[command(flatten)]
    pub which: WhichArgs,
    /// Go on, and print them again whenever something changes, until SIGINT
    #[arg(short, long)]
    pub watch: bool,
    #[command(flatten)]
    pub output: ListOutputArgs,
    #[command(flatten)]
    pub gateway: GatewayArgs,
}

#[derive(Debug, Args)]
pub struct TopArgs {
    /// The pause between two looks; or with a unit, like 500ms
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    pub every: Duration,
    #[command(flatten)]
    pub gateway: GatewayArgs,
}
