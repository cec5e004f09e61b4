//! What is read from a file, or from standard input, to be put into a rumor.

use std::fs::File;
use std::io::{self, ErrorKind, IsTerminal, Read};
use std::path::Path;

use butterfly::limits::{MAX_FILENAME, MAX_RUMOR};
use butterfly::text::is_name;

use crate::failure::Failure;
use crate::output;

/// What is in the file; `-` is standard input.
pub fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let most = MAX_RUMOR as u64 + 1;
    let mut bytes = Vec::new();
    let read = if path == Path::new("-") {
        if io::stdin().is_terminal() {
            output::tell("reading from the terminal: end with Ctrl-D on a line of its own");
        }
        io::stdin().lock().take(most).read_to_end(&mut bytes)
    } else {
        File::open(path).and_then(|file| file.take(most).read_to_end(&mut bytes))
    };
    read.map_err(|error| {
        let why = match error.kind() {
            ErrorKind::NotFound => "there is no such file (- stands for standard input)".to_owned(),
            ErrorKind::IsADirectory => "that is a directory, and one file is wanted".to_owned(),
            _ => error.to_string(),
        };
        Failure::failed(format_args!("cannot read {}: {why}", path.display()))
    })?;
    if bytes.len() > MAX_RUMOR {
        return Err(Failure::failed(format_args!(
            "{} is larger than any rumor may be, {MAX_RUMOR} bytes: split or shrink it",
            path.display()
        )));
    }
    Ok(bytes)
}

/// The name that a file has in its group: the one given, or its own.
pub fn name(path: &Path, given: Option<&str>) -> Result<String, Failure> {
    let name = match given {
        Some(name) => name,
        None if path == Path::new("-") => {
            return Err(Failure::usage(
                "standard input has no name: give the file one by --name NAME",
            ));
        }
        None => path
            .file_name()
            .and_then(|name| name.to_str())
            .ok_or_else(|| {
                Failure::usage(format_args!(
                    "{} ends in no name that is text: give the file one by --name NAME",
                    path.display()
                ))
            })?,
    };
    if name.is_empty() || name.len() > MAX_FILENAME {
        return Err(Failure::usage(format_args!(
            "a file's name has 1 to {MAX_FILENAME} bytes, {name:?} has {}",
            name.len()
        )));
    }
    if !is_name(name) {
        return Err(Failure::usage(format_args!(
            "{name:?} is no name that a file of a group can have: a path, . or .., or with characters that do not show \
             (--name NAME for another)"
        )));
    }
    Ok(name.to_owned())
}
