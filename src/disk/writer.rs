//! Writes files whole or not at all, on a thread of its own: a slow disk never delays an Ack.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Sender};
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

/// A thread that replaces one file's content, as often as it is told to.
pub(super) struct Writer {
    jobs: Option<Sender<Vec<u8>>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub fn start(path: PathBuf) -> io::Result<Self> {
        let (jobs, queue) = mpsc::channel::<Vec<u8>>();
        let work = move || {
            while let Ok(mut content) = queue.recv() {
                // Only the newest matters.
                while let Ok(newer) = queue.try_recv() {
                    content = newer;
                }
                if let Err(error) = replace(&path, &content) {
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
            jobs: Some(jobs),
            thread: Some(thread),
        })
    }

    pub fn write(&self, content: Vec<u8>) {
        if let Some(jobs) = &self.jobs {
            // The thread ends only when this sender does.
            let _ = jobs.send(content);
        }
    }
}

impl Drop for Writer {
    /// What was to be written is written before it ends.
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
