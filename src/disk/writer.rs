//! Writes a number to a file, whole or not at all, on a thread of its own: a slow disk never delays an Ack.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, SyncSender};
use std::thread::{self, JoinHandle};

/// Replaces the file's content; after a crash it has either the old or the new one.
pub(super) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".tmp");
    let unfinished = PathBuf::from(unfinished);
    let mut file = File::create(&unfinished)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&unfinished, path)?;
    match path.parent() {
        Some(dir) => File::open(dir)?.sync_all(),
        None => Ok(()),
    }
}

/// A thread that keeps a number in a file. Only the newest matters, so there is room for one, however slow
/// the disk is.
pub(super) struct Writer {
    newest: Arc<AtomicU64>,
    /// Rings when there is a new number; dropped, it ends the thread.
    bell: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub fn start(path: PathBuf) -> io::Result<Self> {
        let newest = Arc::new(AtomicU64::new(0));
        let (bell, rung) = mpsc::sync_channel(1);
        let number = Arc::clone(&newest);
        let work = move || {
            while rung.recv().is_ok() {
                let content = number.load(Ordering::Acquire).to_string();
                if let Err(error) = replace(&path, content.as_bytes()) {
                    log::error!(
                        "cannot write {}: {error}; free space or mend the disk",
                        path.display()
                    );
                }
            }
        };
        let thread = thread::Builder::new()
            .name("butterfly-disk".to_owned())
            .spawn(work)?;
        Ok(Writer {
            newest,
            bell: Some(bell),
            thread: Some(thread),
        })
    }

    pub fn write(&self, number: u64) {
        self.newest.store(number, Ordering::Release);
        if let Some(bell) = &self.bell {
            // Full: the thread has yet to take the number, and will find this one.
            let _ = bell.try_send(());
        }
    }
}

impl Drop for Writer {
    /// What was to be written is written before it ends.
    fn drop(&mut self) {
        self.bell = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
