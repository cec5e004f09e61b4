//! Ring keys: making them and reading them from their files.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use butterfly::RingKey;
use jiff::{SignedDuration, Timestamp};
use log::warn;
use rand::TryRng;
use rand::rngs::SysRng;

use crate::cli::{RingKeyArgs, RingKeyCommand};
use crate::failure::Failure;
use crate::output;
use crate::ring_keys;
use crate::secret;

/// How far ahead of the clock the name of a new key may be.
const MOST_AHEAD: SignedDuration = SignedDuration::from_secs(60);
const MISSING: &str = "there is no such file: copy the key of the ring there \
                       (\"butterfly ring-key generate NAME\" makes one for a new ring)";

pub fn run(args: &RingKeyArgs) -> Result<(), Failure> {
    match &args.command {
        RingKeyCommand::List(args) => ring_keys::list(args),
        RingKeyCommand::Install(args) => ring_keys::install(args),
        RingKeyCommand::Use(args) => ring_keys::use_key(args),
        RingKeyCommand::Remove(args) => ring_keys::remove(args),
        RingKeyCommand::Generate { name, dir } => {
            let path = generate(name, dir)?;
            output::print_line(&path.display().to_string())
        }
    }
}

/// The keys in these files, and in the files of these directories.
pub fn read_all(paths: &[PathBuf]) -> Result<Vec<RingKey>, Failure> {
    let mut keys = Vec::new();
    for path in paths {
        match path.is_dir() {
            true => keys.extend(read_dir(path)?),
            false => keys.push(read(path)?),
        }
    }
    Ok(keys)
}

/// The keys in the files of a directory, by their names.
fn read_dir(dir: &Path) -> Result<Vec<RingKey>, Failure> {
    let listed = fs::read_dir(dir).map_err(|error| {
        Failure::failed(format_args!(
            "cannot list the ring keys in {}: {error}",
            dir.display()
        ))
    })?;
    let files = listed.filter_map(Result::ok).map(|entry| entry.path());
    let is_key = |path: &PathBuf| path.to_string_lossy().ends_with(".sym.key");
    let mut files: Vec<PathBuf> = files.filter(is_key).collect();
    files.sort();
    if files.is_empty() {
        return Err(Failure::failed(format_args!(
            "no ring key is in {}: their names end with .sym.key",
            dir.display()
        )));
    }
    files.iter().map(|file| read(file)).collect()
}

/// The key in this file.
pub fn read(path: &Path) -> Result<RingKey, Failure> {
    let fail = |why: &dyn std::fmt::Display| {
        Failure::failed(format_args!(
            "cannot read the ring key {}: {why}",
            path.display()
        ))
    };
    let text = secret::read(path, MISSING).map_err(|why| fail(&why))?;
    let key = RingKey::parse(&text).map_err(|error| fail(&error))?;
    if text.trim_end_matches('\n') != key.to_file_text() || text.ends_with("\n\n") {
        let path = path.display();
        warn!(
            "{path} has other line ends, or more blanks, than ring key files have: it is read all the same, but other \
             programs may refuse it"
        );
    }
    Ok(key)
}

/// Makes a key and writes its file.
fn generate(name: &str, dir: &Path) -> Result<PathBuf, Failure> {
    let mut secret = [0; 32];
    SysRng.try_fill_bytes(&mut secret).map_err(|error| {
        Failure::failed(format_args!("the system gives no randomness: {error}"))
    })?;
    let mut at = Timestamp::now();
    loop {
        let revision = at.strftime("%Y%m%d%H%M%S").to_string();
        let key = RingKey::new(name, &revision, secret).map_err(|error| {
            Failure::usage(format_args!(
                "cannot make a ring key named {name:?}: {error}"
            ))
        })?;
        let path = dir.join(key.file_name());
        let next = at + SignedDuration::from_secs(1);
        // Another was made in this second.
        if path.exists() && next < Timestamp::now() + MOST_AHEAD {
            at = next;
            continue;
        }
        write_new(&path, &key.to_file_text())?;
        return Ok(path);
    }
}

/// Writes a file that is for its owner alone to read and was not there before.
fn write_new(path: &Path, text: &str) -> Result<(), Failure> {
    let opened = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o400)
        .open(path);
    let mut file = opened.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => Failure::failed(format_args!(
            "{} is there already, and a key is never overwritten",
            path.display()
        )),
        _ => Failure::failed(format_args!("cannot create {}: {error}", path.display())),
    })?;
    let written = file
        .write_all(text.as_bytes())
        .and_then(|()| file.sync_all());
    written.map_err(|error| {
        // Half a key is worse than none.
        let _ = fs::remove_file(path);
        Failure::failed(format_args!("cannot write {}: {error}", path.display()))
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_is_for_its_owner_alone_and_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.sym.key");
        write_new(&path, "secret").unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o400
        );
        let error = write_new(&path, "other").unwrap_err();
        assert!(error.to_string().contains("never overwritten"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "secret");
    }

    #[test]
    fn what_was_generated_can_be_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = generate("ring", dir.path()).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        assert!(
            name.starts_with("ring-20") && name.ends_with(".sym.key"),
            "{name}"
        );
        assert_eq!(read_all(&[path]).unwrap()[0].file_name().to_string(), name);
    }

    #[test]
    fn keys_that_are_made_at_once_all_have_their_names() {
        let dir = tempfile::tempdir().unwrap();
        let mut made: Vec<_> = (0..5)
            .map(|_| generate("ring", dir.path()).unwrap())
            .collect();
        made.dedup();
        assert_eq!(made.len(), 5);
        assert!(made.is_sorted());
    }

    #[test]
    fn of_a_directory_the_first_name_is_first() {
        let dir = tempfile::tempdir().unwrap();
        let error = read_all(&[dir.path().to_owned()]).unwrap_err();
        assert!(error.to_string().contains("no ring key is in"), "{error}");
        fs::write(dir.path().join("README"), "none").unwrap();
        let made: Vec<_> = (0..3)
            .map(|_| generate("ring", dir.path()).unwrap())
            .collect();
        let read_there = read_all(&[dir.path().to_owned()]).unwrap();
        assert_eq!(read_there, read_all(&made).unwrap());
    }

    #[test]
    fn a_name_that_is_none_is_a_usage_error() {
        let dir = tempfile::tempdir().unwrap();
        let error = generate("../x", dir.path()).unwrap_err();
        let usage = Failure::usage(error.to_string());
        assert_eq!(error, usage);
    }

    #[test]
    fn an_unreadable_key_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("none.sym.key");
        let error = read_all(std::slice::from_ref(&path)).unwrap_err();
        assert!(error.to_string().contains("none.sym.key"), "{error}");
        fs::write(&path, [0xff; 10]).unwrap();
        assert!(read_all(&[path]).is_err());
    }
}
