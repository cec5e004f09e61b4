//! Tags: what a member says of itself, as names and values.

use std::collections::BTreeMap;

use crate::limits::{MAX_TAG_KEY, MAX_TAGS_BYTES};
use crate::member::MemberId;
use crate::text::is_hidden;

/// The tags of one member, sorted by their keys. Keys and values together have at most [`MAX_TAGS_BYTES`] bytes.
///
/// ```
/// let mut tags = butterfly::TagSet::new();
/// tags.insert("zone", "eu-1")?;
/// assert_eq!(tags.get("zone"), Some("eu-1"));
/// # Ok::<(), butterfly::TagError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TagSet {
    tags: BTreeMap<String, String>,
    bytes: usize,
}

/// What is no tag, or one too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TagError {
    /// The key is none.
    #[error(
        "a tag's key has 1 to {MAX_TAG_KEY} bytes, without spaces, =, commas, control characters and what else does \
         not show"
    )]
    BadKey,
    /// The value holds what no value does.
    #[error("a tag's value has no control characters, and nothing else that does not show")]
    BadValue,
    /// They would not fit.
    #[error(
        "the tags of a member have at most {MAX_TAGS_BYTES} bytes, keys and values together, and these have {0}"
    )]
    TooLarge(usize),
}

impl TagSet {
    /// One without tags.
    pub fn new() -> Self {
        TagSet::default()
    }

    /// Sets a tag, in the place of one with the same key.
    ///
    /// # Errors
    /// The key or the value is none, or there is no room; nothing changed.
    pub fn insert(
        &mut self,
        key: impl Into<String>,
        value: impl Into<String>,
    ) -> Result<(), TagError> {
        let (key, value) = (key.into(), value.into());
        if !is_tag_key(&key) {
            return Err(TagError::BadKey);
        }
        if value.contains(is_hidden) {
            return Err(TagError::BadValue);
        }
        let before = self.tags.get(&key);
        let freed = before.map_or(0, |before| key.len() + before.len());
        let bytes = self.bytes - freed + key.len() + value.len();
        if bytes > MAX_TAGS_BYTES {
            return Err(TagError::TooLarge(bytes));
        }
        self.bytes = bytes;
        self.tags.insert(key, value);
        Ok(())
    }

    /// Takes out the tag with this key; whether there was one.
    pub fn remove(&mut self, key: &str) -> bool {
        let removed = self.tags.remove_entry(key);
        let bytes = removed
            .as_ref()
            .map_or(0, |(key, value)| key.len() + value.len());
        self.bytes -= bytes;
        removed.is_some()
    }

    /// The value of the tag with this key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.tags.get(key).map(String::as_str)
    }

    /// All of them, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let tags = self.tags.iter();
        tags.map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.tags.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.tags.is_empty()
    }
}

/// Whether a tag can have this key.
pub fn is_tag_key(key: &str) -> bool {
    let is_bad = |c: char| matches!(c, ' ' | '=' | ',') || is_hidden(c);
    !key.is_empty() && key.len() <= MAX_TAG_KEY && !key.contains(is_bad)
}

/// What a member says of itself. Only the member writes it: who hears of newer tags in its own name says its own again.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tags {
    /// The member.
    pub member: MemberId,
    /// The higher one wins.
    pub incarnation: u64,
    /// What it says.
    pub set: TagSet,
}

impl Tags {
    /// These tags of a member.
    pub fn new(member: MemberId, incarnation: u64, set: TagSet) -> Self {
        Tags {
            member,
            incarnation,
            set,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_of_tags_counts_its_bytes() {
        let mut tags = TagSet::new();
        tags.insert("zone", "eu").unwrap();
        tags.insert("zone", "us-1").unwrap();
        tags.insert("app.example/role", "").unwrap();
        assert_eq!(tags.bytes, "zoneus-1app.example/role".len());
        assert!(tags.remove("zone") && !tags.remove("zone"));
        assert_eq!(tags.bytes, "app.example/role".len());
        assert_eq!(tags.iter().collect::<Vec<_>>(), [("app.example/role", "")]);
    }

    #[test]
    fn tags_fit_to_the_byte() {
        let mut tags = TagSet::new();
        let fits = "v".repeat(MAX_TAGS_BYTES - 1);
        tags.insert("k", fits.clone()).unwrap();
        let too_large = Err(TagError::TooLarge(MAX_TAGS_BYTES + 1));
        assert_eq!(tags.insert("l", ""), too_large);
        assert_eq!(tags.insert("k", format!("{fits}v")), too_large);
        assert_eq!(tags.get("k"), Some(&*fits), "nothing changed");
        assert_eq!(tags.insert("k", "less"), Ok(()));
        assert_eq!(tags.insert("l", ""), Ok(()));
    }

    #[test]
    fn what_is_no_tag_is_refused() {
        let long = "k".repeat(MAX_TAG_KEY + 1);
        for key in ["", "a b", "a=b", "a,b", "a\n", "\u{202e}", &long] {
            assert_eq!(
                TagSet::new().insert(key, ""),
                Err(TagError::BadKey),
                "{key}"
            );
        }
        for value in ["a\nb", "\u{1b}[2J", "\u{200b}"] {
            assert_eq!(TagSet::new().insert("k", value), Err(TagError::BadValue));
        }
    }
}
