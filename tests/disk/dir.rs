//! The data directory: what is stored is found again, whatever the disk does.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use butterfly::disk::{DataDir, DiskError, Section, Snapshot};
use butterfly::limits::{MAX_BAD_SNAPSHOTS, MAX_SNAPSHOT};
use butterfly::{Incarnation, MemberId};
use tempfile::TempDir;

const ID: MemberId = MemberId::from_bytes([1; 16]);

/// Far more than anything here takes, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

fn open(dir: &TempDir) -> DataDir {
    DataDir::open(dir.path(), None, ID).unwrap().0
}

/// The snapshot's file, with an ending.
fn file(dir: &TempDir, ending: &str) -> PathBuf {
    dir.path().join(format!("{ID}.rst{ending}"))
}

/// A snapshot that can be told from others.
fn snapshot(number: u32) -> Snapshot {
    let mut snapshot = Snapshot::new();
    snapshot.push(Section::Service, number.to_string().into_bytes());
    snapshot
}

/// A snapshot of so many MiB, in messages of one.
fn large(mib: usize) -> Snapshot {
    let message: Arc<[u8]> = vec![7; 1 << 20].into();
    let mut snapshot = Snapshot::new();
    for _ in 0..mib {
        snapshot.push(Section::ServiceFile, Arc::clone(&message));
    }
    snapshot
}

fn stored(dir: &TempDir) -> Option<Snapshot> {
    Snapshot::read_file(&file(dir, "")).ok()
}

fn mark_on_disk(dir: &TempDir) -> Option<u64> {
    let text = fs::read_to_string(dir.path().join("INCARNATION")).ok()?;
    text.parse().ok()
}

fn mark(number: u64) -> Incarnation {
    Incarnation::new(number).unwrap()
}

#[track_caller]
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Keeps all that is logged, for the tests to look at.
struct Log(Mutex<Vec<String>>);

static LOG: Log = Log(Mutex::new(Vec::new()));

impl log::Log for Log {
    fn enabled(&self, _: &log::Metadata) -> bool {
        true
    }

    fn log(&self, record: &log::Record) {
        let line = format!("{} {}", record.level(), record.args());
        self.0.lock().unwrap().push(line);
    }

    fn flush(&self) {}
}

/// What was logged of files in this directory so far, from the first call on.
fn logged(dir: &TempDir) -> Vec<String> {
    let _ = log::set_logger(&LOG);
    log::set_max_level(log::LevelFilter::Info);
    let dir = dir.path().to_str().unwrap();
    let lines = LOG.0.lock().unwrap();
    lines
        .iter()
        .filter(|line| line.contains(dir))
        .cloned()
        .collect()
}

fn is_there(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

#[test]
fn the_last_snapshot_and_mark_are_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let mut data = open(&dir);
    assert!(data.load_snapshot().unwrap().is_none());
    for number in 0..100 {
        data.store_snapshot(snapshot(number));
        data.store_mark(mark(1_000 + u64::from(number)));
    }
    drop(data);
    assert_eq!(mark_on_disk(&dir), Some(1_099));
    assert_eq!(open(&dir).load_snapshot().unwrap(), Some(snapshot(99)));
    let mode = fs::metadata(file(&dir, "")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "for its owner alone");
    assert!(!is_there(&file(&dir, ".tmp")));
}

#[test]
fn what_a_crash_left_unfinished_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(file(&dir, ".tmp"), "half").unwrap();
    let data = open(&dir);
    assert!(!is_there(&file(&dir, ".tmp")));
    assert!(data.load_snapshot().unwrap().is_none());
}

/// The unfinished file is a pipe here, so the disk is as slow as its reader.
#[test]
fn a_slow_disk_delays_neither_the_caller_nor_the_mark() {
    let dir = tempfile::tempdir().unwrap();
    let mut data = open(&dir);
    let pipe = file(&dir, ".tmp");
    let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    data.store_snapshot(large(8));
    // From the first byte on, the thread is in the middle of writing.
    let mut slow = File::open(&pipe).unwrap();
    slow.read_exact(&mut [0]).unwrap();

    let (mut caller, (is_done, done)) = (data, std::sync::mpsc::channel());
    let caller = std::thread::spawn(move || {
        for number in 0..1_000 {
            caller.store_snapshot(snapshot(number));
            caller.store_mark(mark(1_000 + u64::from(number)));
        }
        is_done.send(()).unwrap();
        caller
    });
    done.recv_timeout(PATIENCE).expect("the caller never waits");
    let data = caller.join().unwrap();
    // If this test fails the pipe has to go first: the directory waits until all is written.
    let mut slow = slow;
    assert!(mark_on_disk(&dir) < Some(1_000), "the disk is stuck");

    // A part of the snapshot goes on, and the mark is written before the rest.
    slow.read_exact(&mut vec![0; 2 << 20]).unwrap();
    until("the mark overtakes the snapshot", || {
        mark_on_disk(&dir) == Some(1_999)
    });
    // A pipe cannot be synced: this one fails, and the next is written after it; then the newest.
    let rest = slow.read_to_end(&mut Vec::new()).unwrap();
    assert!(rest > 5 << 20, "{rest} bytes were still to come");
    until("a snapshot is there", || stored(&dir).is_some());
    drop(data);
    assert_eq!(stored(&dir), Some(snapshot(999)));
}

#[test]
fn a_full_disk_keeps_the_old_snapshot_whole_and_is_said_once() {
    let dir = tempfile::tempdir().unwrap();
    assert!(logged(&dir).is_empty());
    let mut data = open(&dir);
    data.store_snapshot(snapshot(1));
    until("the first is stored", || stored(&dir) == Some(snapshot(1)));
    let unfinished = file(&dir, ".tmp");
    for mib in 1..4 {
        symlink("/dev/full", &unfinished).unwrap();
        data.store_snapshot(large(mib));
        until("it failed, and gave its room back", || {
            !is_there(&unfinished)
        });
        assert_eq!(stored(&dir), Some(snapshot(1)));
    }
    data.store_snapshot(snapshot(3));
    drop(data);
    assert_eq!(stored(&dir), Some(snapshot(3)));
    let lines = logged(&dir);
    assert_eq!(lines.len(), 2, "{lines:?}");
    for part in [
        "ERROR",
        &format!("{ID}.rst"),
        "os error 28",
        "make room or mend the disk: it is tried again",
    ] {
        assert!(lines[0].contains(part), "{part} is not in {lines:?}");
    }
    assert!(lines[1].ends_with("can be written again"), "{lines:?}");
}

#[test]
fn a_mark_that_failed_is_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut data = open(&dir);
    let incarnation = dir.path().join("INCARNATION");
    fs::remove_file(&incarnation).unwrap();
    fs::create_dir(&incarnation).unwrap();
    data.store_mark(mark(1_000));
    data.store_snapshot(snapshot(1));
    until("the snapshot is stored, after the mark failed", || {
        stored(&dir) == Some(snapshot(1))
    });
    assert!(incarnation.is_dir());
    fs::remove_dir(&incarnation).unwrap();
    data.store_snapshot(snapshot(2));
    until("the mark is there", || mark_on_disk(&dir) == Some(1_000));
}

#[test]
fn a_directory_that_is_gone_for_a_while_ends_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (inner, moved) = (dir.path().join("data"), dir.path().join("moved"));
    let (mut data, _) = DataDir::open(&inner, None, ID).unwrap();
    assert!(logged(&dir).is_empty());
    fs::rename(&inner, &moved).unwrap();
    data.store_mark(mark(1_000));
    data.store_snapshot(snapshot(1));
    until("both failed", || logged(&dir).len() == 2);
    fs::rename(&moved, &inner).unwrap();
    data.store_snapshot(snapshot(2));
    drop(data);
    let (data, identity) = DataDir::open(&inner, None, ID).unwrap();
    assert_eq!(data.load_snapshot().unwrap(), Some(snapshot(2)));
    assert_eq!(identity.incarnation, mark(1_001));
}

#[test]
fn a_target_that_cannot_be_replaced_leaves_no_litter() {
    let dir = tempfile::tempdir().unwrap();
    let mut data = open(&dir);
    fs::create_dir(file(&dir, "")).unwrap();
    data.store_snapshot(snapshot(1));
    drop(data);
    assert!(file(&dir, "").is_dir());
    assert!(!is_there(&file(&dir, ".tmp")));
}

#[test]
fn a_snapshot_too_large_to_be_read_is_not_written() {
    let dir = tempfile::tempdir().unwrap();
    let mut data = open(&dir);
    data.store_snapshot(snapshot(1));
    until("the first is stored", || stored(&dir) == Some(snapshot(1)));
    let too_large = large(usize::try_from(MAX_SNAPSHOT >> 20).unwrap());
    assert!(too_large.file_bytes() > MAX_SNAPSHOT);
    data.store_snapshot(too_large);
    drop(data);
    assert_eq!(stored(&dir), Some(snapshot(1)));
}

#[test]
fn bad_snapshots_are_kept_aside_but_not_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    assert!(logged(&dir).is_empty());
    drop(open(&dir));
    for number in 1..=MAX_BAD_SNAPSHOTS + 2 {
        fs::write(file(&dir, ""), format!("bad {number}")).unwrap();
        let data = open(&dir);
        assert!(data.load_snapshot().unwrap().is_none());
        assert!(!is_there(&file(&dir, "")));
        data.store_mark(mark(1));
    }
    for (ending, content) in [
        (".bad-1", "bad 5"),
        (".bad-2", "bad 4"),
        (".bad-3", "bad 3"),
    ] {
        assert_eq!(fs::read_to_string(file(&dir, ending)).unwrap(), content);
    }
    assert!(!is_there(&file(&dir, ".bad-4")));
    let lines = logged(&dir);
    assert_eq!(lines.len(), MAX_BAD_SNAPSHOTS + 2, "{lines:?}");
    for part in ["WARN", "byte 0 says version 98", ".bad-1"] {
        assert!(lines[0].contains(part), "{part} is not in {lines:?}");
    }
    // What is no file at all goes the same way.
    fs::create_dir(file(&dir, "")).unwrap();
    let data = open(&dir);
    assert!(data.load_snapshot().unwrap().is_none());
    assert!(file(&dir, ".bad-1").is_dir());
}

#[test]
fn a_bad_snapshot_that_cannot_be_moved_is_an_error_that_says_all() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(file(&dir, ""), [9; 100]).unwrap();
    // A file cannot replace a directory.
    fs::write(file(&dir, ".bad-2"), "older").unwrap();
    fs::create_dir(file(&dir, ".bad-3")).unwrap();
    let error = open(&dir).load_snapshot().unwrap_err();
    assert!(matches!(error, DiskError::BadSnapshot { .. }), "{error}");
    let text = error.to_string();
    for part in [
        &format!("{ID}.rst"),
        "version 9",
        "cannot be kept",
        "move it",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    assert_eq!(fs::read(file(&dir, "")).unwrap(), [9; 100]);
}

/// A snapshot as the program writes it.
fn stamped(number: u32) -> Snapshot {
    let mut snapshot = snapshot(number);
    snapshot.stamp();
    assert!(snapshot.is_stamped());
    snapshot
}

/// The checksum of a new snapshot is on disk before that takes the place of the old one.
#[test]
fn a_crash_between_the_two_files_costs_neither() {
    let dir = tempfile::tempdir().unwrap();
    let store = |number| {
        let mut data = open(&dir);
        data.load_snapshot().unwrap();
        data.store_snapshot(stamped(number));
        drop(data);
        fs::read(file(&dir, "")).unwrap()
    };
    let first = store(1);
    let second = store(2);
    assert!(logged(&dir).is_empty());
    for (content, number) in [(&first, 1), (&second, 2)] {
        fs::write(file(&dir, ""), content).unwrap();
        // Unfinished files of either are no obstacle.
        fs::write(file(&dir, ".tmp"), "half").unwrap();
        fs::write(file(&dir, ".sum.tmp"), "half").unwrap();
        let data = open(&dir);
        assert_eq!(data.load_snapshot().unwrap(), Some(stamped(number)));
    }
    // After that, nothing but the newest is as it was written.
    store(3);
    store(4);
    fs::write(file(&dir, ""), &first).unwrap();
    assert!(open(&dir).load_snapshot().unwrap().is_none());
    let lines = logged(&dir);
    assert_eq!(lines.len(), 1, "{lines:?}");
    for part in ["WARN", "it is damaged", ".bad-1"] {
        assert!(lines[0].contains(part), "{part} is not in {lines:?}");
    }
}

#[test]
fn a_snapshot_that_no_checksum_speaks_for_is_restored_and_that_is_said_once() {
    type Change = fn(&TempDir);
    let changes: [(&str, Change); 3] = [
        ("no checksum", |dir| {
            fs::remove_file(file(dir, ".sum")).unwrap()
        }),
        ("does not read", |dir| {
            fs::write(file(dir, ".sum"), "\0\0\0").unwrap()
        }),
        // A peer writes all messages anew, without what it does not know.
        ("another program wrote it", |dir| {
            let mut bytes = Vec::new();
            snapshot(1).write_to(&mut bytes).unwrap();
            fs::write(file(dir, ""), bytes).unwrap();
        }),
    ];
    for (says, change) in changes {
        let dir = tempfile::tempdir().unwrap();
        assert!(logged(&dir).is_empty());
        let mut data = open(&dir);
        data.store_snapshot(stamped(1));
        drop(data);
        change(&dir);
        let mut data = open(&dir);
        assert!(data.load_snapshot().unwrap().is_some());
        let lines = logged(&dir);
        assert_eq!(lines.len(), 1, "{lines:?}");
        for part in ["WARN", "unverified", says] {
            assert!(lines[0].contains(part), "{part} is not in {lines:?}");
        }
        // The next one has its checksum again.
        data.store_snapshot(stamped(2));
        drop(data);
        assert_eq!(open(&dir).load_snapshot().unwrap(), Some(stamped(2)));
        assert_eq!(logged(&dir).len(), 1);
    }
}

#[test]
fn a_snapshot_that_is_gone_is_missed_once() {
    let dir = tempfile::tempdir().unwrap();
    assert!(logged(&dir).is_empty());
    let mut data = open(&dir);
    data.store_snapshot(stamped(1));
    drop(data);
    fs::remove_file(file(&dir, "")).unwrap();
    for _ in 0..2 {
        assert!(open(&dir).load_snapshot().unwrap().is_none());
    }
    let lines = logged(&dir);
    assert!(
        lines.len() == 1 && lines[0].ends_with("is gone, though its checksum is there"),
        "{lines:?}"
    );
}

/// The checksum can be written, and the snapshot cannot take its place: the old one is still as it was written.
#[test]
fn a_snapshot_that_cannot_be_put_in_place_leaves_the_old_one_verified() {
    let dir = tempfile::tempdir().unwrap();
    let mut data = open(&dir);
    data.store_snapshot(stamped(1));
    until("the first is stored", || stored(&dir) == Some(stamped(1)));
    let checksum = fs::read(file(&dir, ".sum")).unwrap();
    for number in 2..20 {
        // The checksum cannot be written either.
        symlink("/dev/full", file(&dir, ".sum.tmp")).unwrap();
        data.store_snapshot(stamped(number));
        until("it failed", || !is_there(&file(&dir, ".sum.tmp")));
    }
    drop(data);
    assert_eq!(fs::read(file(&dir, ".sum")).unwrap(), checksum);
    assert_eq!(open(&dir).load_snapshot().unwrap(), Some(stamped(1)));
}

/// What the log says of a directory in which these files stand when a member opens it, and of its end.
fn said_of(files: &[(&str, &str)]) -> String {
    let dir = tempfile::tempdir().unwrap();
    assert!(logged(&dir).is_empty());
    for (name, content) in files {
        fs::write(dir.path().join(name), content).unwrap();
    }
    open(&dir);
    let lines = logged(&dir);
    assert_eq!(lines.len(), 1, "{files:?}: {lines:?}");
    lines[0].replace(dir.path().to_str().unwrap(), "DIR")
}

#[test]
fn what_was_repaired_or_set_aside_is_said() {
    assert_eq!(
        said_of(&[("MEMBER_ID", &format!(" {ID}\n\n"))]),
        format!("WARN repaired: DIR/MEMBER_ID: it held more than the id {ID}")
    );
    assert_eq!(
        said_of(&[("MEMBER_ID", "")]),
        format!("WARN repaired: DIR/MEMBER_ID: it held no member id; {ID}: it is a new one")
    );
    assert_eq!(
        said_of(&[("MEMBER_ID", "nonsense")]),
        format!(
            "WARN repaired: DIR/MEMBER_ID: it held no member id, and is kept as DIR/MEMBER_ID.bad-1; {ID}: it is a new one"
        )
    );
    assert_eq!(
        said_of(&[("INCARNATION", " 7 \n\n")]),
        "WARN repaired: DIR/INCARNATION: it held more than the number 7"
    );
    assert_eq!(
        said_of(&[("INCARNATION", "")]),
        "WARN repaired: DIR/INCARNATION: it was empty, so this member goes on above what others remember of it"
    );
    assert_eq!(
        said_of(&[("INCARNATION", "ten")]),
        "WARN going on without DIR/INCARNATION: it holds no decimal number below 2^64; it is kept as DIR/INCARNATION.bad-1"
    );
    assert_eq!(
        said_of(&[("EPOCH", "")]),
        "WARN repaired: DIR/EPOCH: it was empty, so the clock alone says when this member starts"
    );
}

#[test]
fn what_is_lost_at_the_end_is_an_error_however_lately_it_was_said() {
    let dir = tempfile::tempdir().unwrap();
    assert!(logged(&dir).is_empty());
    let mut data = open(&dir);
    symlink("/dev/full", file(&dir, ".tmp")).unwrap();
    data.store_snapshot(snapshot(1));
    drop(data);
    let lines = logged(&dir);
    let last = lines.last().unwrap();
    assert!(last.starts_with("ERROR cannot write "), "{lines:?}");
    assert!(
        last.ends_with("; it ends, so the newest content is lost, and the one before stays"),
        "{lines:?}"
    );
}
