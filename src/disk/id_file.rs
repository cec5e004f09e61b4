//! `MEMBER_ID`, whose lock says that the directory is in use.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use crate::member::MemberId;

/// The file, locked until this is dropped. It cannot be replaced, for then the lock would be another file's.
pub(super) struct IdFile {
    file: File,
    path: PathBuf,
}

impl IdFile {
    /// Takes over a file that is locked.
    pub fn new(file: File, path: PathBuf) -> Self {
        Self { file, path }
    }

    /// Writes the id in one go over the old one, which is as long.
    pub fn write(&self, id: MemberId) -> io::Result<()> {
        self.file.write_all_at(&id.to_hex(), 0)?;
        self.file.set_len(id.to_hex().len() as u64)?;
        self.file.sync_all()
    }

    /// The same open file, as a child of this process has it from its fork to its exec.
    #[cfg(test)]
    pub fn as_a_child_has_it(&self) -> io::Result<File> {
        self.file.try_clone()
    }

    /// Where it is.
    pub fn path(&self) -> &PathBuf {
        &self.path
    }
}

impl Drop for IdFile {
    fn drop(&mut self) {
        // To close it would not do: a child of this process that has not yet come to its `exec` holds the lock too.
        let _ = self.file.unlock();
    }
}
