//! The ring keys of this member: those of its files, or those that the ring was given.

use std::sync::Arc;

use butterfly::limits::MAX_RING_KEYS;
use butterfly::{RingKey, UserEvent};
use log::{info, warn};
use serde::{Deserialize, Serialize};

use super::Agent;
use crate::failure::Failure;

/// The question by which all members of a ring are given keys.
pub const RING_KEY: &str = "ring-key";

/// The first line of a key, where several stand in one file.
const MAGIC: &str = "SYM-SEC-1\n";

/// What is done with a key, as it is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "do")]
pub enum Change {
    /// From now on this key opens, too.
    Install { key: String },
    /// From now on the key of this short id seals.
    Use { id: String },
    /// The key of this short id opens no more.
    Remove { id: String },
}

/// The keys, the one that seals first.
#[derive(Default)]
pub struct Keys {
    keys: Vec<RingKey>,
    /// The ring was given them: the files do not count.
    are_of_ring: bool,
    /// Who asked for a change that waits for the disk, and what was done.
    unanswered: Vec<(Arc<UserEvent>, String)>,
}

impl Keys {
    pub fn of_files(keys: &[RingKey]) -> Self {
        Keys {
            keys: keys.to_vec(),
            ..Keys::default()
        }
    }

    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    pub fn are_of_ring(&self) -> bool {
        self.are_of_ring
    }

    /// The rings that they are for.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for name in self.keys.iter().map(RingKey::name) {
            if !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
        }
        names
    }

    fn place(&self, id: &str) -> Option<usize> {
        self.keys.iter().position(|key| key.short_id() == id)
    }

    /// Does what is asked for; what was done, or why not.
    fn change(&mut self, change: &Change) -> Result<String, String> {
        let done = match change {
            Change::Install { key } => {
                let key = RingKey::parse(key).map_err(|error| error.to_string())?;
                let id = key.short_id();
                if self.place(&id).is_none() {
                    if self.keys.len() >= MAX_RING_KEYS {
                        return Err(format!(
                            "it holds {MAX_RING_KEYS} keys already; remove some"
                        ));
                    }
                    self.keys.push(key);
                }
                format!("opens with {id}")
            }
            Change::Use { id } => {
                let lacks = || format!("it does not hold {id}; install it first");
                let place = self.place(id).ok_or_else(lacks)?;
                let key = self.keys.remove(place);
                self.keys.insert(0, key);
                format!("seals with {id}")
            }
            Change::Remove { id } => match self.place(id) {
                Some(0) => return Err(format!("it seals with {id}; use another first")),
                place => {
                    place.map(|place| self.keys.remove(place));
                    format!("does not open with {id}")
                }
            },
        };
        self.are_of_ring = true;
        Ok(done)
    }

    /// As the data directory keeps them.
    fn to_store(&self) -> Vec<u8> {
        let texts = self.keys.iter().map(|key| key.to_file_text() + "\n");
        texts.collect::<String>().into_bytes()
    }

    /// Those that the data directory keeps.
    fn stored(text: &str) -> Result<Vec<RingKey>, String> {
        let keys = text.split(MAGIC).skip(1);
        let keys = keys.map(|rest| RingKey::parse(&format!("{MAGIC}{rest}")));
        let keys: Result<Vec<_>, _> = keys.collect();
        let keys = keys.map_err(|error| error.to_string())?;
        match keys.is_empty() && !text.is_empty() {
            true => Err("no ring key is in it".to_owned()),
            false => Ok(keys),
        }
    }
}

impl Agent {
    /// The keys with which it starts: those that the ring was given, if the data directory has any.
    pub fn begin_keys(&mut self) -> Result<(), Failure> {
        let stored = self.member.stored_ring_keys().map_err(Failure::failed)?;
        let keys = Keys::stored(&String::from_utf8_lossy(&stored));
        let keys = keys.map_err(|why| {
            Failure::failed(format_args!(
                "RING_KEYS in the data directory does not read: {why}; remove it, and give this member the key of its ring by \
                 --ring-key"
            ))
        })?;
        if keys.is_empty() {
            return Ok(());
        }
        let is_held = |key: &RingKey| keys.iter().any(|held| held.short_id() == key.short_id());
        for key in self.keys.keys.iter().filter(|key| !is_held(key)) {
            warn!(
                "the ring key {} ({}) is among the files, and the ring was told to remove it, or never given it: it does not \
                 count; take it out of --ring-key",
                key.file_name(),
                key.short_id()
            );
        }
        self.keys = Keys {
            keys: keys.clone(),
            are_of_ring: true,
            ..Keys::default()
        };
        self.member.set_ring_keys(keys);
        Ok(())
    }

    /// The ring is given a key, or told to use or remove one.
    pub(super) fn change_keys(&mut self, question: &Arc<UserEvent>) -> Result<(), String> {
        if self.keys.is_empty() {
            return Err(
                "it has no ring key, and whoever is on an open ring could give it one".to_owned(),
            );
        }
        if self.reread.first().args.data_dir.is_none() {
            return Err(
                "it has no --data-dir, and would start again with the keys of its files: change those, and send it a SIGHUP"
                    .to_owned(),
            );
        }
        let change = serde_json::from_slice(&question.payload);
        let change: Change = change.map_err(|error| error.to_string())?;
        let done = self.keys.change(&change)?;
        info!("as {} asked: this member {done}", self.who(question.by));
        self.member.store_ring_keys(self.keys.to_store());
        self.member.set_ring_keys(self.keys.keys.clone());
        self.keys.unanswered.push((Arc::clone(question), done));
        Ok(())
    }

    /// Answers those who asked for other keys, once the disk has them.
    pub fn answer_for_keys(&mut self) {
        if self.keys.unanswered.is_empty() {
            return;
        }
        let Some(stored) = self.member.ring_keys_stored() else {
            return;
        };
        for (question, done) in std::mem::take(&mut self.keys.unanswered) {
            let answer = match &stored {
                Ok(()) => Ok(done.into_bytes()),
                Err(why) => Err(format!("{done}, until it starts again: {why}")),
            };
            self.answer(&question, answer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u8) -> RingKey {
        RingKey::new("ring", "20261201120000", [number; 32]).unwrap()
    }

    #[test]
    fn a_key_is_installed_used_and_the_other_removed() {
        let (old, new) = (key(1), key(2));
        let mut keys = Keys::of_files(std::slice::from_ref(&old));
        let install = Change::Install {
            key: new.to_file_text(),
        };
        let (old, new) = (old.short_id(), new.short_id());
        let uses = |id: &String| Change::Use { id: id.clone() };
        let remove = |id: &String| Change::Remove { id: id.clone() };
        assert!(
            keys.change(&uses(&new))
                .unwrap_err()
                .contains("install it first")
        );
        assert!(
            keys.change(&remove(&old))
                .unwrap_err()
                .contains("use another first")
        );
        assert!(!keys.are_of_ring());
        for _ in 0..2 {
            assert_eq!(keys.change(&install), Ok(format!("opens with {new}")));
        }
        assert_eq!(keys.keys.len(), 2);
        assert!(keys.are_of_ring());
        assert_eq!(keys.change(&uses(&new)), Ok(format!("seals with {new}")));
        for _ in 0..2 {
            assert_eq!(
                keys.change(&remove(&old)),
                Ok(format!("does not open with {old}"))
            );
        }
        assert_eq!(
            Keys::stored(std::str::from_utf8(&keys.to_store()).unwrap()).unwrap(),
            keys.keys
        );
        assert_eq!((keys.keys.len(), keys.place(&new)), (1, Some(0)));
        let bad = Change::Install {
            key: "x".to_owned(),
        };
        assert!(keys.change(&bad).is_err());
    }

    #[test]
    fn so_many_keys_are_held_and_what_does_not_read_is_refused() {
        let mut keys = Keys::of_files(&[key(0)]);
        for number in 1..=MAX_RING_KEYS as u8 {
            let change = Change::Install {
                key: key(number).to_file_text(),
            };
            let is_full = usize::from(number) == MAX_RING_KEYS;
            assert_eq!(keys.change(&change).is_err(), is_full, "{number}");
        }
        let text = String::from_utf8(keys.to_store()).unwrap();
        assert_eq!(Keys::stored(&text).unwrap(), keys.keys);
        assert_eq!(Keys::stored(""), Ok(Vec::new()));
        for text in ["x", "SYM-SEC-1\n", &text[..text.len() - 9]] {
            assert!(Keys::stored(text).is_err(), "{text}");
        }
    }
}
