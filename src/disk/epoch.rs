//! The epoch of a member across restarts: `EPOCH`, when it started last.

use std::io::Write;
use std::path::Path;
use std::time::SystemTime;

use super::identity::{DiskError, at, read_number};
use super::replace::replace;
use crate::wire::Serial;

/// What the clock says, in milliseconds since 1970, as an epoch.
pub(crate) fn by_the_clock() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let millis = since.map_or(0, |since| since.as_millis());
    u64::try_from(millis).map_or(Serial::MOST, |millis| millis.clamp(1, Serial::MOST))
}

/// The epoch of a start at this time, later than the one in the file: it is on disk when this returns.
pub(super) fn begin(path: &Path, now: u64) -> Result<u64, DiskError> {
    let lost = "so the clock alone says when this member starts";
    let why = "it holds no decimal number below 2^48 - 1";
    let epoch = match read_number(path, Serial::MOST - 1, lost, why)? {
        Some(last) => now.max(last + 1),
        None => now,
    };
    replace(path, |file| write!(file, "{epoch}")).map_err(at(path))?;
    Ok(epoch)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn it_is_the_clocks_unless_that_was_set_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("EPOCH");
        let expected = [
            (1_000, 1_000),
            (5_000, 5_000),
            (2_000, 5_001),
            (5_001, 5_002),
        ];
        for (now, epoch) in expected {
            assert_eq!(begin(&path, now).unwrap(), epoch, "at {now}");
            assert_eq!(fs::read_to_string(&path).unwrap(), epoch.to_string());
        }
    }

    #[test]
    fn a_bad_file_is_repaired_or_kept_aside() {
        let most = Serial::MOST.to_string();
        for (content, begins, kept) in [
            ("7000\n", 7_001, false),
            ("\u{feff}7000\0\0", 7_001, false),
            ("", 5_000, false),
            ("now", 5_000, true),
            ("-1", 5_000, true),
            (&most, 5_000, true),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("EPOCH");
            fs::write(&path, content).unwrap();
            assert_eq!(begin(&path, 5_000).unwrap(), begins, "{content:?}");
            let aside = fs::read_to_string(dir.path().join("EPOCH.bad-1")).ok();
            assert_eq!(aside, kept.then(|| content.to_owned()), "{content:?}");
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("EPOCH");
        fs::create_dir(&path).unwrap();
        assert_eq!(begin(&path, 5_000).unwrap(), 5_000);
        assert!(dir.path().join("EPOCH.bad-1").is_dir());
    }

    #[test]
    fn the_clock_gives_an_epoch_of_this_century() {
        let now = by_the_clock();
        assert!(now > 1_700_000_000_000 && now < Serial::MOST, "{now}");
    }
}
