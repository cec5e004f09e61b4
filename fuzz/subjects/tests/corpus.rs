//! The corpus of the fuzzers, replayed on any toolchain: each file as it is, and then many that are made of them.
//!
//! `FUZZ_SEED=N` makes others, `FUZZ_ROUNDS=N` more of them.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use butterfly_fuzz::{SUBJECTS, Subject};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Inputs made of the files of one subject.
const ROUNDS: u64 = 2_000;
/// The most bytes that one takes: a snapshot or a request is longer than most sequences.
const LONGEST: usize = 16 << 10;

fn fuzz_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The subject's files, in the order of their names.
fn corpus(name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let dir = fuzz_dir().join("corpus").join(name);
    let entries = fs::read_dir(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let read = |path: PathBuf| {
        let bytes = fs::read(&path).unwrap();
        (path, bytes)
    };
    paths.into_iter().map(read).collect()
}

/// The input as it is, and with what it was made of, should it fail.
fn check(subject: &Subject, what: &str, input: &[u8]) {
    let (name, run) = subject;
    let outcome = catch_unwind(AssertUnwindSafe(|| run(input)));
    assert!(
        outcome.is_ok(),
        "{name}: {what} fails (see above): b\"{}\"",
        input.escape_ascii()
    );
}

/// Another input, made of one of these and sometimes of two.
fn mutated(files: &[(PathBuf, Vec<u8>)], rng: &mut StdRng) -> Vec<u8> {
    let pick = |rng: &mut StdRng| &files[rng.random_range(0..files.len())].1;
    let mut input = pick(rng).clone();
    for _ in 0..rng.random_range(1..=6) {
        let len = input.len();
        let at = rng.random_range(0..=len);
        let span = rng.random_range(0..=16.min(len - at));
        match rng.random_range(0..7) {
            0 if at < len => input[at] ^= 1 << rng.random_range(0..8),
            1 if at < len => input[at] = rng.random(),
            2 if at < len => input[at] = [0, 1, 0x7f, 0x80, 0xff, b'\n', b'^', 0xf7][at % 8],
            3 => drop(input.drain(at..at + span)),
            4 => {
                let part = input[at..at + span].to_vec();
                let to = rng.random_range(0..=len);
                drop(input.splice(to..to, part));
            }
            5 => {
                let other = pick(rng);
                let from = rng.random_range(0..=other.len());
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
            _ => {
                let bytes: [u8; 4] = rng.random();
                drop(input.splice(at..at, bytes));
            }
        }
        input.truncate(LONGEST);
    }
    input
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap())
}

fn replay(name: &str) {
    let subject = SUBJECTS.iter().find(|(known, _)| *known == name).unwrap();
    let files = corpus(name);
    assert!(
        files.len() >= 5,
        "{name} has a corpus of {} files",
        files.len()
    );
    for (path, input) in &files {
        check(subject, &path.display().to_string(), input);
    }
    let (seed, rounds) = (number("FUZZ_SEED", 1), number("FUZZ_ROUNDS", ROUNDS));
    let mut rng = StdRng::seed_from_u64(seed);
    for round in 0..rounds {
        let input = mutated(&files, &mut rng);
        check(subject, &format!("seed {seed}, round {round}"), &input);
    }
}

#[test]
fn gateway() {
    replay("gateway");
}

#[test]
fn key() {
    replay("key");
}

#[test]
fn node() {
    replay("node");
}

#[test]
fn recording() {
    replay("recording");
}

#[test]
fn snapshot() {
    replay("snapshot");
}

#[test]
fn trace() {
    replay("trace");
}

#[test]
fn zmtp() {
    replay("zmtp");
}

#[test]
fn every_subject_is_a_target_of_cargo_fuzz_and_every_target_a_subject() {
    let manifest = fs::read_to_string(fuzz_dir().join("Cargo.toml")).unwrap();
    let targets = fs::read_dir(fuzz_dir().join("fuzz_targets")).unwrap();
    let mut targets: Vec<_> = targets
        .map(|entry| {
            entry
                .unwrap()
                .path()
                .file_stem()
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    targets.sort();
    let subjects: Vec<_> = SUBJECTS.iter().map(|(name, _)| *name).collect();
    assert_eq!(targets, subjects);
    for name in subjects {
        let path = format!("path = \"fuzz_targets/{name}.rs\"");
        assert!(manifest.contains(&path), "{path}");
        let target =
            fs::read_to_string(fuzz_dir().join(format!("fuzz_targets/{name}.rs"))).unwrap();
        assert!(
            target.contains(&format!("butterfly_fuzz::{name}(data)")),
            "{target}"
        );
        // And a test above.
        assert!(
            include_str!("corpus.rs").contains(&format!("replay(\"{name}\")")),
            "{name}"
        );
    }
}
