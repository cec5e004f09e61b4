//! The file of `--config`: TOML, a key for each flag.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys::{Key, Kind, meant};
use crate::failure::Failure;

/// More than any such file has, bytes.
const MOST: u64 = 1 << 20;

/// What the file says of a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub key: String,
    /// One, or those of a list.
    pub values: Vec<OsString>,
    /// Where it says so, from 1 on.
    pub line: usize,
}

/// What is in the file at this path.
pub fn read(path: &Path, keys: &[Key]) -> Result<Vec<Entry>, Failure> {
    let text = read_text(path).map_err(|error| {
        Failure::failed(format_args!(
            "cannot read the configuration {}: {error}",
            path.display()
        ))
    })?;
    parse(&text, keys).map_err(|(line, why)| {
        Failure::usage(format_args!("{}, line {line}: {why}", path.display()))
    })
}

fn read_text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let length = File::open(path)?.take(MOST + 1).read_to_string(&mut text)?;
    if length as u64 > MOST {
        return Err(io::Error::other(format!("it is larger than {MOST} bytes")));
    }
    Ok(text)
}

/// The line, and what is wrong in it.
type Wrong = (usize, String);

fn parse(text: &str, keys: &[Key]) -> Result<Vec<Entry>, Wrong> {
    let line = |at: usize| 1 + text.get(..at).unwrap_or_default().matches('\n').count();
    let table = DeTable::parse(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        (line(at), error.message().replace('\n', ", "))
    })?;
    let mut entries = Vec::new();
    for (name, value) in table.get_ref() {
        let at = line(name.span().start);
        let entry = entry(name.get_ref(), value, keys);
        let values = entry.map_err(|why| (at, why))?;
        entries.push(Entry {
            key: name.get_ref().to_string(),
            values,
            line: at,
        });
    }
    entries.sort_by_key(|entry| entry.line);
    Ok(entries)
}

fn entry(name: &str, value: &Spanned<DeValue<'_>>, keys: &[Key]) -> Result<Vec<OsString>, String> {
    let Some(key) = keys.iter().find(|key| key.name == name) else {
        let meant = meant(name, keys.iter().map(|key| key.name.as_str()));
        let meant = meant.map_or(String::new(), |key| format!(": did you mean {key:?}?"));
        return Err(format!("unknown key {name:?}{meant}"));
    };
    let values = values(key, value.get_ref()).map_err(|like| format!("{name}: write {like}"))?;
    for value in &values {
        key.check(value).map_err(|why| format!("{name}: {why}"))?;
    }
    Ok(values)
}

/// The values of a setting; how to write one if it is of another type.
fn values(key: &Key, value: &DeValue<'_>) -> Result<Vec<OsString>, String> {
    let name = &key.name;
    match (key.kind, value) {
        (Kind::Switch, DeValue::Boolean(is_on)) => Ok(vec![is_on.to_string().into()]),
        (Kind::Switch, _) => Err(format!("{name} = true or {name} = false")),
        (Kind::Number, DeValue::Integer(number)) if number.radix() == 10 => {
            Ok(vec![number.as_str().into()])
        }
        (Kind::Number, _) => Err(format!("a whole number, as in {name} = 9638")),
        (Kind::Text, DeValue::String(text)) => Ok(vec![text.as_ref().into()]),
        (Kind::Text, _) => Err(format!("a text in quotes, as in {name} = \"…\"")),
        (Kind::List, DeValue::Array(list)) => {
            let texts = list.iter().map(|value| match value.get_ref() {
                DeValue::String(text) => Some(text.as_ref().into()),
                _ => None,
            });
            texts.collect::<Option<_>>().ok_or_else(|| list_of(name))
        }
        (Kind::List, _) => Err(list_of(name)),
    }
}

fn list_of(name: &str) -> String {
    format!("a list of texts, as in {name} = [\"…\", \"…\"]")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::keys::keys;

    fn wrong(text: &str) -> String {
        let (line, why) = parse(text, &keys()).unwrap_err();
        format!("{line}: {why}")
    }

    #[test]
    fn every_type_is_read() {
        let text = "# a member\nname = \"amber\"\ngossip-port = 9_638\npermanent-peer = true\npeer = [\n  \"a:1\",\n  \"b:2\",\n]\n";
        let entries = parse(text, &keys()).unwrap();
        let got: Vec<_> = entries
            .iter()
            .map(|it| (it.line, it.key.as_str(), it.values.join(" ".as_ref())))
            .collect();
        let expected = [
            (2, "name", "amber"),
            (3, "gossip-port", "9638"),
            (4, "permanent-peer", "true"),
            (5, "peer", "a:1 b:2"),
        ];
        assert_eq!(
            got,
            expected.map(|(line, key, values)| (line, key, values.into()))
        );
        assert_eq!(parse("", &keys()), Ok(Vec::new()));
    }

    #[test]
    fn an_unknown_key_is_an_error_that_names_the_known_one() {
        for (text, meant) in [
            (
                "\nlisten-on = \"x\"",
                "2: unknown key \"listen-on\": did you mean \"listen\"?",
            ),
            (
                "gossip_port = 1",
                "1: unknown key \"gossip_port\": did you mean \"gossip-port\"?",
            ),
            (
                "peers = []",
                "1: unknown key \"peers\": did you mean \"peer\"?",
            ),
            (
                "ringkey = []",
                "1: unknown key \"ringkey\": did you mean \"ring-key\"?",
            ),
            ("config = \"x\"", "1: unknown key \"config\""),
            ("[zebra]\nx = 1", "1: unknown key \"zebra\""),
        ] {
            assert_eq!(wrong(text), meant);
        }
    }

    #[test]
    fn a_value_of_another_type_is_an_error_that_says_how_to_write_it() {
        for (text, part) in [
            ("listen = 9638", "1: listen: write a text in quotes"),
            (
                "peer = \"a:1\"",
                "1: peer: write a list of texts, as in peer = ",
            ),
            ("peer = [1]", "1: peer: write a list of texts"),
            ("permanent-peer = \"yes\"", "write permanent-peer = true or"),
            ("gossip-port = \"1\"", "write a whole number"),
            (
                "gossip-port = 70000",
                "gossip-port: invalid value \"70000\": 70000 is not in 0..=65535",
            ),
            (
                "timing = \"warp\"",
                "timing: invalid value \"warp\": write one of ",
            ),
            ("\nname = \"a\"\nname = \"b\"", "3: duplicate key"),
            ("name = ", "1: "),
        ] {
            let said = wrong(text);
            assert!(said.contains(part), "{said}");
        }
    }
}
