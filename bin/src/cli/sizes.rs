//! Sizes as they are given.

use butterfly::limits::MAX_RUMOR_BYTES;

/// A size in bytes, or with a unit.
fn size(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

pub fn store_limit(text: &str) -> Result<usize, String> {
    const LEAST: usize = 64 << 10;
    size(text)
        .and_then(|bytes| usize::try_from(bytes).ok())
        .filter(|bytes| (LEAST..=MAX_RUMOR_BYTES).contains(bytes))
        .ok_or_else(|| "write bytes, or with a unit, like 64MiB: from 64KiB to 192MiB".into())
}

pub fn record_max(text: &str) -> Result<u64, String> {
    const LEAST: u64 = 1 << 20;
    size(text)
        .filter(|bytes| *bytes >= LEAST)
        .ok_or_else(|| "write bytes, or with a unit, like 512MiB: 1MiB at least".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_limit_is_a_size_that_fits_into_a_snapshot() {
        assert_eq!(store_limit("64MiB"), Ok(64 << 20));
        assert_eq!(store_limit("65536"), Ok(64 << 10));
        assert_eq!(store_limit("192MiB"), Ok(MAX_RUMOR_BYTES));
        for text in [
            "",
            "0",
            "1KiB",
            "193MiB",
            "64MB",
            "64 MiB",
            "-1MiB",
            "MiB",
            "99999999999999GiB",
            "6\u{fc}",
        ] {
            assert!(store_limit(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_recording_may_have_any_size_that_is_worth_it() {
        assert_eq!(record_max("1MiB"), Ok(1 << 20));
        assert_eq!(record_max("100GiB"), Ok(100 << 30));
        for text in ["", "0", "1023KiB", "1GB", "99999999999999999999"] {
            assert!(record_max(text).is_err(), "{text}");
        }
    }
}
