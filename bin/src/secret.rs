//! Reading files that hold a secret.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use log::warn;

/// More than any such file holds, bytes.
const MOST: u64 = 4_096;

/// Bits of a file's mode that let every user read it or change it.
const FOR_ALL: u32 = 0o006;

/// What is in the file; the error says why not, which of a missing file is `missing`. A file that is open to every
/// user is a line in the log.
pub fn read(path: &Path, missing: &str) -> Result<String, String> {
    let (text, mode) = read_with_mode(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => missing.to_owned(),
        _ => error.to_string(),
    })?;
    if mode & FOR_ALL != 0 {
        let path = path.display();
        warn!(
            "{path} holds a secret, and every user of this machine can read or change it: chmod 600 {path}"
        );
    }
    Ok(text)
}

fn read_with_mode(path: &Path) -> io::Result<(String, u32)> {
    // Asked before it is opened, as opening a pipe waits for a writer, and after, as it may be another one by then.
    let is_regular = |is_file| match is_file {
        true => Ok(()),
        false => Err(io::Error::new(
            ErrorKind::InvalidInput,
            "it is no regular file",
        )),
    };
    is_regular(fs::metadata(path)?.is_file())?;
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    is_regular(metadata.is_file())?;
    let mode = metadata.permissions().mode();
    let mut text = String::new();
    file.take(MOST).read_to_string(&mut text)?;
    Ok((text, mode))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};

    use super::*;

    #[test]
    fn what_is_wrong_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        let read = || read(&path, "make one");
        assert_eq!(read(), Err("make one".to_owned()));
        fs::write(&path, "secret").unwrap();
        assert_eq!(read(), Ok("secret".to_owned()));
        fs::write(&path, [0xff; 10]).unwrap();
        assert!(read().unwrap_err().contains("UTF-8"));
    }

    /// Nobody writes to the pipe: opening it would not return.
    #[test]
    fn only_regular_files_are_opened() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        for path in [&*pipe, dir.path(), Path::new("/dev/zero")] {
            assert_eq!(read(path, "none"), Err("it is no regular file".to_owned()));
        }
    }

    #[test]
    fn no_more_is_read_than_any_secret_has() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        fs::write(&path, [b'a'; 5_000]).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        let (text, mode) = read_with_mode(&path).unwrap();
        assert_eq!((text.len(), mode & 0o777), (4_096, 0o640));
        assert_eq!(mode & FOR_ALL, 0, "a group may be let in");
    }
}
