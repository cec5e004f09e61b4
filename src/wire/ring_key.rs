//! Ring keys and the files that hold them (PROTOCOL.md §1).

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use dryoc::classic::crypto_generichash::crypto_generichash;

/// The first line of every ring key file.
const MAGIC: &str = "SYM-SEC-1";
/// Digits of a revision: YYYYMMDDhhmmss.
const REVISION_DIGITS: usize = 14;
/// Bytes of a key.
const KEY: usize = 32;

/// The most bytes of a ring's name in a key: files of several keys stay small.
const MAX_NAME: usize = 128;

/// A key that seals a ring: who has it reads the ring's messages and can write them.
#[derive(Clone, PartialEq, Eq)]
pub struct RingKey {
    name: String,
    key: [u8; KEY],
}

/// Why there is no ring key. The key's own text is never part of the message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RingKeyError {
    /// The text does not begin as ring key files do.
    #[error(
        "not a ring key: its first line has to be `SYM-SEC-1`; give the path of a `.sym.key` file"
    )]
    NotARingKey,
    /// The text has too few or too many lines, or the third is not empty.
    #[error(
        "a ring key has four lines, `SYM-SEC-1`, NAME-YYYYMMDDhhmmss, an empty one, the key; \
         this one has not: copy the file again, whole"
    )]
    BadLines,
    /// The name is empty, too long, or has other characters than a file name should.
    #[error(
        "`{0}` is no name for a ring: use at most {MAX_NAME} letters, digits, `-`, `_` and `.`"
    )]
    BadName(String),
    /// The revision is not 14 digits.
    #[error(
        "`{0}` does not end with a ring key's revision: write 14 digits, YYYYMMDDhhmmss, after the name and a `-`"
    )]
    BadRevision(String),
    /// The key is not 32 bytes in base64.
    #[error(
        "the key in its last line is not 32 bytes in standard base64: copy the file again, whole"
    )]
    BadKey,
}

impl RingKey {
    /// Stands for the key, for people who compare: 8 digits of a hash of it.
    pub fn short_id(&self) -> String {
        let mut hash = [0; 16];
        // It only fails for sizes out of range.
        let _ = crypto_generichash(&mut hash, &self.key, Some(b"butterfly key id"));
        let [a, b, c, d, ..] = hash;
        format!("{:08x}", u32::from_be_bytes([a, b, c, d]))
    }

    /// The key of the ring `name`, made at `revision` (YYYYMMDDhhmmss).
    ///
    /// # Errors
    /// If `name` is empty or has other characters than letters, digits, `-`, `_` and `.`, or `revision`
    /// is not 14 digits.
    pub fn new(name: &str, revision: &str, key: [u8; KEY]) -> Result<RingKey, RingKeyError> {
        check_name(name)?;
        check_revision(revision)?;
        Ok(RingKey {
            name: format!("{name}-{revision}"),
            key,
        })
    }

    /// Reads the text of a ring key file. Blanks around a line, line ends of other systems, and empty lines at the end
    /// are read all the same; [`to_file_text`](RingKey::to_file_text) has none of them.
    ///
    /// # Errors
    /// If it is no such text; the message says what to do about it.
    pub fn parse(text: &str) -> Result<RingKey, RingKeyError> {
        let text = text.trim_matches(|char: char| char.is_whitespace() || char == '\u{feff}');
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        let mut lines = text.split('\n').map(str::trim);
        if lines.next() != Some(MAGIC) {
            return Err(RingKeyError::NotARingKey);
        }
        let (Some(name), Some(""), Some(key), None) =
            (lines.next(), lines.next(), lines.next(), lines.next())
        else {
            return Err(RingKeyError::BadLines);
        };
        let bad_revision = || RingKeyError::BadRevision(name.to_owned());
        let (ring, revision) = name.rsplit_once('-').ok_or_else(bad_revision)?;
        check_revision(revision).map_err(|_| bad_revision())?;
        RingKey::new(ring, revision, decode_key(key)?)
    }

    /// The text of its file, exactly as [`RingKey::parse`] and the rings' other programs read it.
    pub fn to_file_text(&self) -> String {
        format!("{MAGIC}\n{}\n\n{}", self.name, STANDARD.encode(self.key))
    }

    /// Its full name, NAME-YYYYMMDDhhmmss.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name of its file.
    pub fn file_name(&self) -> String {
        format!("{}.sym.key", self.name)
    }

    /// Tells it from other keys, and nothing of it.
    pub(crate) fn sum(&self) -> [u8; 16] {
        let mut sum = [0; 16];
        // It only fails for sizes out of range.
        let _ = crypto_generichash(&mut sum, &self.key, Some(b"butterfly key id"));
        sum
    }

    /// A nonce for this text alone, for what is sealed apart from the ring's messages.
    #[cfg_attr(not(feature = "gossip"), allow(dead_code))]
    pub(crate) fn nonce_of(&self, text: &[u8]) -> [u8; 24] {
        let mut nonce = [0; 24];
        // It only fails for sizes out of range.
        let _ = crypto_generichash(&mut nonce, text, Some(&self.key));
        nonce
    }

    pub(super) const fn bytes(&self) -> &[u8; KEY] {
        &self.key
    }
}

impl fmt::Debug for RingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RingKey")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

fn check_name(name: &str) -> Result<(), RingKeyError> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if name.is_empty() || name.len() > MAX_NAME || !name.bytes().all(fits) {
        let shown = name.chars().take(MAX_NAME).collect();
        return Err(RingKeyError::BadName(shown));
    }
    Ok(())
}

fn check_revision(revision: &str) -> Result<(), RingKeyError> {
    if revision.len() != REVISION_DIGITS || !revision.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(RingKeyError::BadRevision(revision.to_owned()));
    }
    Ok(())
}

fn decode_key(text: &str) -> Result<[u8; KEY], RingKeyError> {
    // 32 bytes are 44 characters: nothing longer is worth decoding.
    if text.len() != KEY.div_ceil(3) * 4 {
        return Err(RingKeyError::BadKey);
    }
    let bytes = STANDARD.decode(text).map_err(|_| RingKeyError::BadKey)?;
    bytes.try_into().map_err(|_| RingKeyError::BadKey)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        "SYM-SEC-1\nmy-ring_1.x-20261122232917\n\nAQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=";

    fn key() -> RingKey {
        let bytes = std::array::from_fn(|index| index as u8 + 1);
        RingKey::new("my-ring_1.x", "20261122232917", bytes).unwrap()
    }

    #[test]
    fn a_key_survives_its_text() {
        assert_eq!(key().to_file_text(), TEXT);
        assert_eq!(RingKey::parse(TEXT), Ok(key()));
        assert_eq!(RingKey::parse(&format!("{TEXT}\n")), Ok(key()));
        assert_eq!(RingKey::parse(&TEXT.replace('\n', "\r\n")), Ok(key()));
        // As editors, copies and other systems leave it.
        for ends in ["\n", "\r\n", "\r", " \n", "\t\r\n"] {
            let text = TEXT.replace('\n', ends);
            for more in ["", ends, &ends.repeat(2), &ends.repeat(9)] {
                assert_eq!(
                    RingKey::parse(&format!("{text}{more}")),
                    Ok(key()),
                    "{text:?}"
                );
                assert_eq!(RingKey::parse(&format!("\u{feff}{text}{more}")), Ok(key()));
            }
        }
        assert_eq!(key().name(), "my-ring_1.x-20261122232917");
        assert_eq!(key().file_name(), "my-ring_1.x-20261122232917.sym.key");
    }

    #[test]
    fn debug_shows_the_name_only() {
        let text = format!("{:?}", key());
        assert_eq!(text, "RingKey { name: \"my-ring_1.x-20261122232917\", .. }");
    }

    /// Several stand in one file, which has a bound.
    #[test]
    fn a_name_has_so_many_bytes() {
        let key = |length| RingKey::new(&"x".repeat(length), "20261122232917", [0; KEY]);
        assert!(key(MAX_NAME).is_ok());
        assert_eq!(
            key(20_000),
            Err(RingKeyError::BadName("x".repeat(MAX_NAME)))
        );
    }

    #[test]
    fn what_is_no_key_is_refused_with_the_reason() {
        let bad_name = |name: &str| RingKeyError::BadName(name.to_owned());
        let bad_revision = |name: &str| RingKeyError::BadRevision(name.to_owned());
        for (from, to, error) in [
            ("SYM-SEC-1", "SIG-SEC-1", RingKeyError::NotARingKey),
            (TEXT, "", RingKeyError::NotARingKey),
            ("\n\n", "\n", RingKeyError::BadLines),
            ("\n\n", "\nx\n", RingKeyError::BadLines),
            ("HyA=", "HyA=\n\nx", RingKeyError::BadLines),
            ("my-ring_1.x", "", bad_name("")),
            ("my-ring_1.x", "my ring", bad_name("my ring")),
            ("my-ring_1.x", "../ring", bad_name("../ring")),
            ("-20261122232917", "", bad_revision("my-ring_1.x")),
            (
                "20261122232917",
                "2026112223291x",
                bad_revision("my-ring_1.x-2026112223291x"),
            ),
            (
                "20261122232917",
                "2026112223291",
                bad_revision("my-ring_1.x-2026112223291"),
            ),
            ("HyA=", "HyA", RingKeyError::BadKey),
            ("HyA=", "HyAh", RingKeyError::BadKey),
            ("HyA=", "HyB=", RingKeyError::BadKey),
            ("HyA=", "Hy A", RingKeyError::BadKey),
        ] {
            assert_eq!(
                RingKey::parse(&TEXT.replace(from, to)),
                Err(error),
                "{from} -> {to}"
            );
        }
        assert_eq!(
            RingKey::new("", "20261122232917", [0; 32]),
            Err(bad_name(""))
        );
        assert_eq!(
            RingKey::new("x", "2026", [0; 32]),
            Err(bad_revision("2026"))
        );
    }
}
