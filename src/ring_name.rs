//! The name of a ring: members of different names keep out of each other's ring.

use std::fmt;
use std::str::FromStr;

use dryoc::classic::crypto_generichash::crypto_generichash;

use crate::limits::MAX_RING_NAME;
use crate::text::is_name;

/// A ring's name: a [name](is_name) of at most [`MAX_RING_NAME`] bytes. Whoever knows it can use it: it keeps rings apart
/// that meet by accident, and nobody out.
///
/// ```
/// let name: butterfly::RingName = "production".parse()?;
/// assert_eq!(name.as_str(), "production");
/// assert!("".parse::<butterfly::RingName>().is_err());
/// # Ok::<(), butterfly::ring_name::ParseRingNameError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RingName(Box<str>);

impl RingName {
    /// As it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Stands for it in every message: never 0.
    pub(crate) fn hash(&self) -> u32 {
        let mut hash = [0; 16];
        // It only fails for sizes out of range.
        let _ = crypto_generichash(&mut hash, self.0.as_bytes(), Some(b"butterfly ring 1"));
        let [a, b, c, d, ..] = hash;
        u32::from_le_bytes([a, b, c, d]).max(1)
    }
}

impl fmt::Display for RingName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A text that is no ring's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[error(
    "a ring's name has 1 to {MAX_RING_NAME} bytes, without slashes, control characters and what else does not show"
)]
pub struct ParseRingNameError;

impl FromStr for RingName {
    type Err = ParseRingNameError;

    fn from_str(text: &str) -> Result<Self, ParseRingNameError> {
        match text.len() <= MAX_RING_NAME && is_name(text) {
            true => Ok(RingName(text.into())),
            false => Err(ParseRingNameError),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_short_and_shows() {
        let longest = "x".repeat(MAX_RING_NAME);
        for text in ["production", "Ring 7", "düsseldorf", longest.as_str()] {
            assert_eq!(text.parse::<RingName>().unwrap().as_str(), text);
        }
        for text in ["", " a", "a/b", "a\nb", "a\u{202e}", &format!("{longest}x")] {
            assert_eq!(text.parse::<RingName>(), Err(ParseRingNameError), "{text}");
        }
    }

    #[test]
    fn other_names_have_other_hashes_and_they_stay_as_they_are() {
        let hash = |text: &str| text.parse::<RingName>().unwrap().hash();
        assert_ne!(hash("production"), hash("staging"));
        assert_ne!(hash("production"), hash("Production"));
        // Members of other versions compute the same.
        assert_eq!(hash("production"), 1212047072);
    }
}
