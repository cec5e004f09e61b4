//! The snapshot's bytes (PROTOCOL.md §4): what is written, what is read, and what is wrong with the rest.

use std::fs::{self, File};
use std::process::Command;
use std::sync::Arc;

use butterfly::disk::{Section, Snapshot, SnapshotError, SnapshotFileError};
use butterfly::limits::MAX_SNAPSHOT;
use proptest::prelude::*;

/// Where the first section of version 2 begins.
const HEADER: usize = 65;

/// A file put together by hand: the version, the numbers of the header, and the rest.
fn file(version: u8, header: &[u64], rest: &[u8]) -> Vec<u8> {
    let numbers = header.iter().flat_map(|number| number.to_le_bytes());
    [version]
        .into_iter()
        .chain(numbers)
        .chain(rest.iter().copied())
        .collect()
}

fn message(claimed: u64, bytes: &[u8]) -> Vec<u8> {
    [&claimed.to_le_bytes(), bytes].concat()
}

fn small() -> Snapshot {
    let mut snapshot = Snapshot::new();
    for (number, section) in Section::ALL.into_iter().enumerate() {
        snapshot.push(section, vec![number as u8; number + 1]);
    }
    snapshot.push(Section::Member, *b"another");
    snapshot
}

fn written(snapshot: &Snapshot) -> Vec<u8> {
    let mut bytes = Vec::new();
    snapshot.write_to(&mut bytes).unwrap();
    bytes
}

#[test]
fn the_bytes_of_version_2() {
    let mut snapshot = Snapshot::new();
    snapshot.push(Section::Departure, *b"gone");
    snapshot.push(Section::Member, *b"one");
    snapshot.push(Section::Member, *b"a");
    snapshot.push(Section::Service, *b"");
    let rest = [message(3, b"one"), message(1, b"a"), message(4, b"gone")].concat();
    let expected = file(2, &[64, 20, 0, 0, 0, 0, 0, 12], &rest);
    assert_eq!(written(&snapshot), expected);
    assert_eq!(snapshot.file_bytes(), expected.len() as u64);
    assert_eq!(snapshot.section_bytes(Section::Member), 20);
    assert_eq!(
        (snapshot.len(), snapshot.messages(Section::Service).len()),
        (3, 0)
    );
    assert_eq!(Snapshot::read(&expected), Ok(snapshot));
}

#[test]
fn version_1_has_no_size_and_no_departures() {
    let rest = [message(1, b"m"), message(2, b"up")].concat();
    let snapshot = Snapshot::read(&file(1, &[9, 0, 0, 0, 0, 10], &rest)).unwrap();
    assert_eq!(*snapshot.messages(Section::Member)[0], *b"m");
    assert_eq!(*snapshot.messages(Section::ElectionUpdate)[0], *b"up");
    assert_eq!(snapshot.len(), 2);
    assert_eq!(written(&snapshot)[0], 2);
}

#[test]
fn nothing_is_a_snapshot_too() {
    let bytes = written(&Snapshot::new());
    assert_eq!(bytes.len(), HEADER);
    assert!(Snapshot::read(&bytes).unwrap().is_empty());
}

#[test]
fn cut_off_anywhere_it_is_an_error() {
    for bytes in [
        written(&small()),
        file(
            1,
            &[9, 0, 0, 0, 0, 9],
            &[message(1, b"m"), message(1, b"e")].concat(),
        ),
    ] {
        assert!(Snapshot::read(&bytes).is_ok());
        for len in 0..bytes.len() {
            assert!(Snapshot::read(&bytes[..len]).is_err(), "{len} bytes");
        }
    }
}

#[test]
fn a_flipped_bit_is_an_error_or_within_a_message() {
    let (whole, bytes) = (small(), written(&small()));
    // Which bytes are of messages: all behind the header that are no lengths.
    let mut of_message = vec![false; HEADER];
    for section in Section::ALL {
        for message in whole.messages(section) {
            of_message.extend([false; 8]);
            of_message.extend(message.iter().map(|_| true));
        }
    }
    assert_eq!(of_message.len(), bytes.len());
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        match Snapshot::read(&flipped) {
            Ok(other) => {
                assert!(of_message[bit / 8], "bit {bit} went unnoticed");
                assert_eq!(written(&other), flipped);
            }
            Err(error) => assert!(!of_message[bit / 8], "bit {bit}: {error}"),
        }
    }
}

#[test]
fn what_does_not_fit_is_said_with_its_place() {
    let section = Section::Member;
    let after = HEADER as u64;
    let one = |rest: &[u8]| file(2, &[64, rest.len() as u64, 0, 0, 0, 0, 0, 0], rest);
    let cases = [
        (vec![], SnapshotError::Empty),
        (file(0, &[64; 8], b""), SnapshotError::UnknownVersion(0)),
        (file(3, &[64; 8], b""), SnapshotError::UnknownVersion(3)),
        (
            file(2, &[64; 7], b""),
            SnapshotError::CutHeader {
                len: 57,
                header: 65,
            },
        ),
        (
            file(1, &[0; 5], b""),
            SnapshotError::CutHeader {
                len: 41,
                header: 49,
            },
        ),
        (
            file(2, &[56, 0, 0, 0, 0, 0, 0, 0], b""),
            SnapshotError::HeaderSize(56),
        ),
        (
            file(2, &[u64::MAX; 8], b""),
            SnapshotError::HeaderSize(u64::MAX),
        ),
        (
            file(2, &[64, 0, 0, 0, 0, 0, 0, 9], &[0; 8]),
            SnapshotError::SectionTooLong {
                section: Section::Departure,
                offset: after,
                claimed: 9,
                left: 8,
            },
        ),
        (
            file(2, &[64, 0, 0, 0, 0, 0, 0, 0], b"xy"),
            SnapshotError::TrailingBytes {
                offset: after,
                count: 2,
            },
        ),
        (
            one(&[message(1, b"a").as_slice(), &[0; 7]].concat()),
            SnapshotError::CutLength {
                section,
                offset: after + 9,
            },
        ),
        (
            one(&message(4, b"abc")),
            SnapshotError::MessageTooLong {
                section,
                offset: after + 8,
                claimed: 4,
                left: 3,
            },
        ),
        (
            one(&message(0, b"")),
            SnapshotError::EmptyMessage {
                section,
                offset: after + 8,
            },
        ),
    ];
    for (bytes, error) in cases {
        assert_eq!(Snapshot::read(&bytes), Err(error));
        for number in numbers(error) {
            assert!(error.to_string().contains(&number.to_string()), "{error}");
        }
    }
}

/// Where it is and what is claimed, which a message to people has to name.
fn numbers(error: SnapshotError) -> Vec<u64> {
    match error {
        SnapshotError::SectionTooLong {
            offset, claimed, ..
        }
        | SnapshotError::MessageTooLong {
            offset, claimed, ..
        } => vec![offset, claimed],
        SnapshotError::TrailingBytes { offset, .. }
        | SnapshotError::CutLength { offset, .. }
        | SnapshotError::EmptyMessage { offset, .. } => vec![offset],
        SnapshotError::HeaderSize(size) => vec![size],
        _ => Vec::new(),
    }
}

#[test]
fn huge_lengths_are_only_numbers() {
    for huge in [1 << 32, 1 << 63, u64::MAX - 8, u64::MAX] {
        for section in 0..7 {
            let mut header = [64, 0, 0, 0, 0, 0, 0, 0];
            header[section + 1] = huge;
            assert!(matches!(
                Snapshot::read(&file(2, &header, &message(1, b"a"))),
                Err(SnapshotError::SectionTooLong { claimed, left: 9, .. }) if claimed == huge
            ));
        }
        // Two that would add up to nothing, if they could overflow.
        let sum = [64, huge, huge.wrapping_neg(), 0, 0, 0, 0, 0];
        assert!(Snapshot::read(&file(2, &sum, b"")).is_err());
        assert!(matches!(
            Snapshot::read(&file(2, &[64, 9, 0, 0, 0, 0, 0, 0], &message(huge, b"a"))),
            Err(SnapshotError::MessageTooLong { claimed, left: 1, .. }) if claimed == huge
        ));
    }
}

#[test]
fn only_regular_files_of_a_sane_size_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    assert!(matches!(
        Snapshot::read_file(&path("none")),
        Err(SnapshotFileError::Io(_))
    ));
    assert!(matches!(
        Snapshot::read_file(dir.path()),
        Err(SnapshotFileError::NoFile)
    ));
    // Nobody writes to it: opening it would not return.
    let made = Command::new("mkfifo").arg(path("pipe")).status().unwrap();
    assert!(made.success());
    assert!(matches!(
        Snapshot::read_file(&path("pipe")),
        Err(SnapshotFileError::NoFile)
    ));
    File::create(path("large"))
        .unwrap()
        .set_len(MAX_SNAPSHOT + 1)
        .unwrap();
    assert!(matches!(
        Snapshot::read_file(&path("large")),
        Err(SnapshotFileError::TooLarge(len)) if len == MAX_SNAPSHOT + 1
    ));
    fs::write(path("good"), written(&small())).unwrap();
    assert_eq!(Snapshot::read_file(&path("good")).unwrap(), small());
}

#[test]
fn messages_are_shared_and_not_copied() {
    let message: Arc<[u8]> = Arc::from(*b"service");
    let mut snapshot = Snapshot::new();
    snapshot.push(Section::Service, Arc::clone(&message));
    assert!(Arc::ptr_eq(
        &snapshot.messages(Section::Service)[0],
        &message
    ));
}

fn any_snapshot() -> impl Strategy<Value = Snapshot> {
    let message = prop::collection::vec(any::<u8>(), 1..40);
    let entry = (prop::sample::select(&Section::ALL[..]), message);
    prop::collection::vec(entry, 0..30).prop_map(|entries| {
        let mut snapshot = Snapshot::new();
        for (section, message) in entries {
            snapshot.push(section, message);
        }
        snapshot
    })
}

/// Bytes with a header that could be one, so that more than the header is reached.
fn likely_file() -> impl Strategy<Value = Vec<u8>> {
    let length = prop_oneof![4 => 0..40u64, 1 => any::<u64>()];
    let small = prop::collection::vec(prop_oneof![3 => Just(0), 1 => 0..20u8], 0..200);
    (1..3u8, prop::collection::vec(length, 7), small).prop_map(|(version, mut header, rest)| {
        if version == 2 {
            header.insert(0, 64);
        }
        file(version, &header, &rest)
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read(snapshot in any_snapshot()) {
        let bytes = written(&snapshot);
        prop_assert_eq!(bytes.len() as u64, snapshot.file_bytes());
        prop_assert_eq!(Snapshot::read(&bytes), Ok(snapshot));
    }

    #[test]
    fn no_bytes_do_harm(bytes in prop_oneof![prop::collection::vec(any::<u8>(), 0..200), likely_file()]) {
        if let Ok(snapshot) = Snapshot::read(&bytes)
            && bytes[0] == 2
        {
            prop_assert_eq!(written(&snapshot), bytes);
        }
    }
}
