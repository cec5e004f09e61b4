//! Which members a person or program asks for.

use std::fmt::{self, Display};
use std::str::FromStr;

use butterfly::Health;
use butterfly::text::fits_pattern;

/// Members of these healths, as in `alive,suspect`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Healths(Vec<&'static str>);

impl Healths {
    /// Whether one of that health is meant.
    pub fn have(&self, health: &str) -> bool {
        self.0.contains(&health)
    }
}

impl FromStr for Healths {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let all = Health::ALL.map(Health::as_str);
        let health = |word: &str| {
            let known = all.into_iter().find(|health| *health == word);
            known.ok_or_else(|| format!("{word:?} is none of {}", all.join(", ")))
        };
        text.split(',')
            .map(health)
            .collect::<Result<_, _>>()
            .map(Healths)
    }
}

impl Display for Healths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(","))
    }
}

/// A pattern for names: `*` stands for any text, `?` for one character.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob(String);

impl Glob {
    /// Whether the whole text is such a one.
    pub fn fits(&self, text: &str) -> bool {
        fits_pattern(&self.0, text)
    }
}

impl FromStr for Glob {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "" => Err("an empty pattern fits no member"),
            _ => Ok(Glob(text.to_owned())),
        }
    }
}

impl Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_glob_fits_the_whole_text() {
        let fits = |glob: &str, text: &str| glob.parse::<Glob>().unwrap().fits(text);
        for (glob, text) in [
            ("web-*", "web-12"),
            ("web-*", "web-"),
            ("*", ""),
            ("*b*b*", "abcb"),
            ("w?b", "wéb"),
            ("**a", "ba"),
        ] {
            assert!(fits(glob, text), "{glob} {text}");
        }
        for (glob, text) in [
            ("web-*", "my-web-1"),
            ("web", "web-1"),
            ("?", ""),
            ("*a", "ab"),
            ("a*b*c", "acb"),
        ] {
            assert!(!fits(glob, text), "{glob} {text}");
        }
        assert!("".parse::<Glob>().is_err());
    }

    #[test]
    fn a_pattern_of_many_stars_takes_no_longer() {
        let glob: Glob = "*a".repeat(100).parse().unwrap();
        assert!(!glob.fits(&"b".repeat(10_000)));
    }

    #[test]
    fn healths_are_read_strictly() {
        let healths: Healths = "alive,suspect".parse().unwrap();
        assert!(healths.have("suspect") && !healths.have("confirmed"));
        assert_eq!(healths.to_string(), "alive,suspect");
        for text in ["", "alive,", "dead", "Alive"] {
            assert!(text.parse::<Healths>().is_err(), "{text}");
        }
    }
}
