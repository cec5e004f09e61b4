//! A member's name, as events carry it: by then the member may be forgotten.

use std::fmt;
use std::ops::Deref;

use crate::limits::MAX_NAME;

/// A member's name, of at most [`MAX_NAME`] bytes; empty if it has none. It derefs to `str`, and takes no heap.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Name {
    bytes: [u8; MAX_NAME],
    len: u8,
}

impl Name {
    /// As much of the text as fits.
    pub(crate) fn of(text: &str) -> Self {
        let mut len = text.len().min(MAX_NAME);
        while !text.is_char_boundary(len) {
            len -= 1;
        }
        let mut name = Name {
            bytes: [0; MAX_NAME],
            len: len as u8,
        };
        let (kept, _) = name.bytes.split_at_mut(len);
        kept.copy_from_slice(text.as_bytes().get(..len).unwrap_or_default());
        name
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        let bytes = self.bytes.get(..usize::from(self.len)).unwrap_or_default();
        str::from_utf8(bytes).unwrap_or_default()
    }
}

impl Default for Name {
    fn default() -> Self {
        Name::of("")
    }
}

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl PartialEq<str> for Name {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Name {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_kept_as_far_as_whole_letters_fit() {
        assert_eq!(Name::of("amber"), "amber");
        assert_eq!(Name::of(""), Name::default());
        let long = "ä".repeat(MAX_NAME);
        assert_eq!(Name::of(&long), *"ä".repeat(MAX_NAME / 2));
        assert_eq!(Name::of(&format!("x{long}")).len(), MAX_NAME - 1);
        assert_eq!(
            format!("{:>3}{:?}", Name::of("a"), Name::of("b")),
            "  a\"b\""
        );
    }
}
