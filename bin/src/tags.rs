//! The tags of the member that runs: what its settings say, what its user said while it ran, and its version.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use butterfly::{TagError, TagSet};
use serde::{Deserialize, Serialize};

/// The tag that the program sets by itself.
pub const VERSION: &str = "version";

/// A tag as it is written: `KEY=VALUE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    pub key: String,
    pub value: String,
}

impl FromStr for Tag {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (key, value) = text
            .split_once('=')
            .ok_or_else(|| "write KEY=VALUE, as in zone=eu".to_owned())?;
        changeable(key)?;
        let tested = TagSet::new().insert(key, value);
        tested.map_err(|error| error.to_string())?;
        Ok(Tag {
            key: key.to_owned(),
            value: value.to_owned(),
        })
    }
}

/// Which members are meant: those with this tag, whatever its value, or with this value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    key: String,
    value: Option<String>,
}

impl FromStr for Wanted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (key, value) = match text.split_once('=') {
            Some((key, value)) => (key, Some(value.to_owned())),
            None => (text, None),
        };
        match butterfly::rumor::is_tag_key(key) {
            true => Ok(Wanted {
                key: key.to_owned(),
                value,
            }),
            false => Err(format!("{}, or KEY alone", TagError::BadKey)),
        }
    }
}

impl std::fmt::Display for Wanted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.value {
            Some(value) => write!(f, "{}={value}", self.key),
            None => f.write_str(&self.key),
        }
    }
}

impl Wanted {
    /// Whether a member whose tags these are is meant.
    pub fn fits(&self, value_of: impl FnOnce(&str) -> Option<String>) -> bool {
        let value = value_of(&self.key);
        value.is_some_and(|value| self.value.as_ref().is_none_or(|wanted| *wanted == value))
    }
}

/// A change of tags, as it is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "TagsChange"))]
#[serde(deny_unknown_fields)]
pub struct Change {
    #[serde(default)]
    pub set: BTreeMap<String, String>,
    #[serde(default)]
    pub delete: BTreeSet<String>,
}

/// What a member says of itself, and why.
#[derive(Clone, Debug, Default)]
pub struct OwnTags {
    settings: Vec<Tag>,
    /// What was said while it ran, and counts more. It is kept in the data directory.
    said: Change,
}

impl OwnTags {
    /// Of a member that starts with these settings, and with what its data directory holds; what of that does not read is
    /// left out, and is to be told.
    pub fn new(settings: &[Tag], stored: &[u8]) -> (Self, Result<(), serde_json::Error>) {
        let (said, read) = match stored {
            [] => (Change::default(), Ok(())),
            stored => match serde_json::from_slice(stored) {
                Ok(said) => (said, Ok(())),
                Err(error) => (Change::default(), Err(error)),
            },
        };
        let settings = settings.to_vec();
        (OwnTags { settings, said }, read)
    }

    /// What the data directory is to keep.
    pub fn to_store(&self) -> Vec<u8> {
        serde_json::to_vec(&self.said).unwrap_or_default()
    }

    /// All of them: the version, then what the settings say, then what was said since.
    pub fn all(&self) -> Result<TagSet, String> {
        let mut tags = TagSet::new();
        let version = [(VERSION, env!("CARGO_PKG_VERSION"))].into_iter();
        let settings = self.settings.iter();
        let settings = settings.map(|tag| (tag.key.as_str(), tag.value.as_str()));
        let settings = settings.filter(|(key, _)| !self.said.delete.contains(*key));
        let said = self.said.set.iter();
        let said = said.map(|(key, value)| (key.as_str(), value.as_str()));
        for (key, value) in version.chain(settings).chain(said) {
            let set = tags.insert(key, value);
            set.map_err(|error| format!("tag {key:?}: {error}"))?;
        }
        Ok(tags)
    }

    /// The same with other settings.
    pub fn with_settings(&self, settings: &[Tag]) -> Self {
        OwnTags {
            settings: settings.to_vec(),
            said: self.said.clone(),
        }
    }

    /// The same, changed.
    pub fn changed(&self, change: Change) -> Result<Self, String> {
        let Change { set, delete } = change;
        if let Some(both) = set.keys().find(|key| delete.contains(*key)) {
            return Err(format!("tag {both:?} is to be set and deleted at once"));
        }
        for key in set.keys().chain(&delete) {
            changeable(key)?;
        }
        let mut changed = self.clone();
        let has = self.all()?;
        for key in delete {
            if has.get(&key).is_none() {
                return Err(format!("this member has no tag {key:?}"));
            }
            changed.said.set.remove(&key);
            // What only was said need not be remembered.
            if changed.settings.iter().any(|tag| tag.key == key) {
                changed.said.delete.insert(key);
            }
        }
        for (key, value) in set {
            changed.said.delete.remove(&key);
            changed.said.set.insert(key, value);
        }
        changed.all()?;
        Ok(changed)
    }
}

fn changeable(key: &str) -> Result<(), String> {
    match key {
        VERSION => Err(format!(
            "{VERSION} is the program's, which sets it by itself: take another key"
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(set: &[(&str, &str)], delete: &[&str]) -> Change {
        let own = |(key, value): &(&str, &str)| (key.to_string(), value.to_string());
        Change {
            set: set.iter().map(own).collect(),
            delete: delete.iter().map(ToString::to_string).collect(),
        }
    }

    fn tags(own: &OwnTags) -> Vec<(String, String)> {
        let all = own.all().unwrap();
        let others = all.iter().filter(|(key, _)| *key != VERSION);
        others
            .map(|(key, value)| (key.into(), value.into()))
            .collect()
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        let own = pairs.iter();
        own.map(|(key, value)| (key.to_string(), value.to_string()))
            .collect()
    }

    #[test]
    fn what_was_said_while_it_ran_counts_more_than_settings_also_later() {
        let settings = ["zone=eu".parse().unwrap(), "role=web".parse().unwrap()];
        let (own, _) = OwnTags::new(&settings, b"");
        assert_eq!(
            own.all().unwrap().get(VERSION),
            Some(env!("CARGO_PKG_VERSION"))
        );
        let own = own
            .changed(change(&[("zone", "us"), ("rack", "7")], &[]))
            .unwrap();
        let own = own.changed(change(&[], &["role"])).unwrap();
        let (later, read) = OwnTags::new(&settings, &own.to_store());
        assert!(read.is_ok());
        assert_eq!(tags(&later), pairs(&[("rack", "7"), ("zone", "us")]));
        let later = later.changed(change(&[("role", "db")], &["rack"])).unwrap();
        assert_eq!(tags(&later), pairs(&[("role", "db"), ("zone", "us")]));
        assert_eq!(
            later.said.delete.len(),
            0,
            "nothing is remembered for nothing"
        );
    }

    #[test]
    fn a_change_that_does_not_fit_changes_nothing() {
        let (own, _) = OwnTags::new(&[], b"");
        for (change, why) in [
            (change(&[("version", "9")], &[]), "version is the program's"),
            (change(&[], &["version"]), "version is the program's"),
            (change(&[], &["rack"]), "no tag \"rack\""),
            (change(&[("a b", "")], &[]), "a tag's key has"),
            (change(&[("a", "\n")], &[]), "control characters"),
            (
                change(&[("a", &"v".repeat(5_000))], &[]),
                "at most 4096 bytes",
            ),
            (change(&[("a", "1")], &["a"]), "at once"),
        ] {
            let error = own.changed(change).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn a_file_that_does_not_read_is_left_out() {
        let (own, read) = OwnTags::new(&["zone=eu".parse().unwrap()], b"{\"set\":");
        assert!(read.is_err());
        assert_eq!(tags(&own), pairs(&[("zone", "eu")]));
    }

    #[test]
    fn members_are_meant_by_a_key_or_by_its_value() {
        let value_of = |key: &str| (key == "zone").then(|| "eu".to_owned());
        let fits = |text: &str| text.parse::<Wanted>().unwrap().fits(value_of);
        assert!(fits("zone") && fits("zone=eu"));
        assert!(!fits("zone=us") && !fits("zone=") && !fits("role"));
        assert!("".parse::<Wanted>().is_err() && "a b=c".parse::<Wanted>().is_err());
        assert!("zone".parse::<Tag>().is_err() && "version=9".parse::<Tag>().is_err());
    }
}
