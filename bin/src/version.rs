//! The version of a configuration or file, as its user gives it.

use std::fmt;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

/// Which version is asked for. The member that is asked knows the current one, so it chooses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// This one.
    Number(u64),
    /// One above the current one.
    #[default]
    Next,
    /// The time, or one above the current one if that is more.
    Now,
}

impl FromStr for Version {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "next" => Ok(Version::Next),
            "now" => Ok(Version::Now),
            text => text
                .parse()
                .map(Version::Number)
                .map_err(|_| "a version is a whole number, next or now"),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Version::Number(number) => number.fmt(f),
            Version::Next => f.write_str("next"),
            Version::Now => f.write_str("now"),
        }
    }
}

/// For `inject`: it asks no member, so it knows no current version.
pub fn without_a_member(text: &str) -> Result<u64, String> {
    match text.parse()? {
        Version::Number(number) => Ok(number),
        Version::Now => Ok(seconds_since_1970()),
        Version::Next => Err(
            "inject asks no member, so it knows no current version: give a whole number, or now for the seconds since \
             1970"
                .into(),
        ),
    }
}

pub fn seconds_since_1970() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_a_number_or_next_or_now() {
        for (text, version) in [
            ("18446744073709551615", Version::Number(u64::MAX)),
            ("next", Version::Next),
            ("now", Version::Now),
        ] {
            assert_eq!(text.parse(), Ok(version));
            assert_eq!(version.to_string(), text);
        }
        for text in ["", "-1", "1.5", "later", "Next", "18446744073709551616"] {
            assert!(text.parse::<Version>().is_err(), "{text}");
        }
        assert_eq!(without_a_member("7"), Ok(7));
        assert!(without_a_member("now").unwrap() > 1_700_000_000);
        assert!(without_a_member("next").unwrap_err().contains("now"));
    }
}
