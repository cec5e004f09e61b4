//! The sockets of the gateway: TCP, or a Unix socket, which only users that the file system lets may connect to.

use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use mio::event::Source;
use mio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use mio::{Interest, Registry, Token};
use rustix::fs::{FlockOperation, Mode, flock};
use rustix::io::Errno;
use rustix::process::umask;

use super::slots;
use crate::address::Place;

/// Takes in clients.
pub enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener, File),
}

/// The file of a Unix socket, which goes when its gateway does.
pub struct File {
    path: PathBuf,
    /// Device and number, as another member may have put its own there since.
    inode: Option<(u64, u64)>,
}

impl Drop for File {
    fn drop(&mut self) {
        if self.inode.is_some() && inode(&self.path) == self.inode {
            // Without it, the next member at this path finds that nobody listens there.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn inode(path: &Path) -> Option<(u64, u64)> {
    let found = fs::symlink_metadata(path).ok()?;
    Some((found.dev(), found.ino()))
}

impl Listener {
    pub fn bind(place: &Place) -> io::Result<Self> {
        match place {
            Place::At(addr) => Ok(Listener::Tcp(TcpListener::bind(*addr)?)),
            Place::Socket(path) => {
                let _alone = lock_directory(path)?;
                remove_left_over(path)?;
                // Its owner's alone from the first moment on.
                let before = umask(Mode::from(0o177));
                let bound = UnixListener::bind(path);
                umask(before);
                let file = File {
                    path: path.clone(),
                    inode: inode(path).filter(|_| bound.is_ok()),
                };
                Ok(Listener::Unix(bound?, file))
            }
        }
    }

    /// Where it listens, with the port that the system chose.
    pub fn place(&self) -> io::Result<Place> {
        match self {
            Listener::Tcp(listener) => listener.local_addr().map(Place::At),
            Listener::Unix(_, file) => Ok(Place::Socket(file.path.clone())),
        }
    }

    pub fn accept(&self) -> io::Result<(Socket, slots::Source)> {
        match self {
            Listener::Tcp(listener) => {
                let (stream, from) = listener.accept()?;
                Ok((Socket::Tcp(stream), slots::Source::of(from)))
            }
            Listener::Unix(listener, _) => {
                let (stream, _) = listener.accept()?;
                Ok((Socket::Unix(stream), slots::Source::this_machine()))
            }
        }
    }

    pub fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        match self {
            Listener::Tcp(listener) => listener.register(registry, token, Interest::READABLE),
            Listener::Unix(listener, _) => listener.register(registry, token, Interest::READABLE),
        }
    }
}

/// Two that start at once must not each take the other's fresh socket for one that was left over: whoever has the lock, which
/// goes with what is returned, looks and binds.
fn lock_directory(path: &Path) -> io::Result<fs::File> {
    let directory = path.parent().filter(|it| !it.as_os_str().is_empty());
    let directory = fs::File::open(directory.unwrap_or(Path::new(".")))?;
    match flock(&directory, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => Err(ErrorKind::AddrInUse.into()),
        // Where a file system has no locks, there is none to wait for.
        _ => Ok(directory),
    }
}

/// Removes the file of a socket that nobody listens on, as a member that was killed leaves it.
fn remove_left_over(path: &Path) -> io::Result<()> {
    // Without waiting: whoever listens and stands still has so many places for those who knock.
    match UnixStream::connect(path) {
        Ok(_) => Err(ErrorKind::AddrInUse.into()),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Err(ErrorKind::AddrInUse.into()),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            match fs::symlink_metadata(path) {
                Ok(found) if found.file_type().is_socket() => fs::remove_file(path),
                _ => Ok(()),
            }
        }
        Err(_) => Ok(()),
    }
}

/// A client's.
pub enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Socket {
    /// Watched for both; what is small is sent at once.
    pub fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        match self {
            Socket::Tcp(stream) => {
                // Answers are small and written whole: waiting to make packets fuller only delays them.
                stream.set_nodelay(true)?;
                stream.register(registry, token, interest)
            }
            Socket::Unix(stream) => stream.register(registry, token, interest),
        }
    }

    /// Says that nothing more comes.
    pub fn end(&self) -> io::Result<()> {
        match self {
            Socket::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Socket::Unix(stream) => stream.shutdown(Shutdown::Write),
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Socket::Tcp(stream) => stream.as_fd(),
            Socket::Unix(stream) => stream.as_fd(),
        }
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(stream) => stream.read(buffer),
            Socket::Unix(stream) => stream.read(buffer),
        }
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(stream) => stream.write(bytes),
            Socket::Unix(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_socket_is_its_owners_and_goes_with_its_gateway() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::Socket(dir.path().join("http"));
        let path = dir.path().join("http");
        let listener = Listener::bind(&place).unwrap();
        assert_eq!(listener.place().unwrap(), place);
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let taken = Listener::bind(&place).map(drop).unwrap_err();
        assert_eq!(taken.kind(), ErrorKind::AddrInUse);
        assert!(path.exists(), "the first one's stays");
        drop(listener);
        assert!(!path.exists());
    }

    #[test]
    fn what_a_killed_member_left_is_no_hindrance_and_other_files_stay() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("http");
        // std's listener leaves its file.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        drop(Listener::bind(&Place::Socket(path.clone())).unwrap());
        fs::write(&path, "a file").unwrap();
        assert!(Listener::bind(&Place::Socket(path.clone())).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "a file");
    }

    #[test]
    fn of_many_that_start_at_once_one_has_the_socket() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::Socket(dir.path().join("http"));
        for _ in 0..50 {
            drop(std::os::unix::net::UnixListener::bind(dir.path().join("http")).unwrap());
            let start = std::sync::Barrier::new(4);
            let bind = || {
                start.wait();
                Listener::bind(&place)
            };
            let bound: Vec<_> = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..4).map(|_| scope.spawn(bind)).collect();
                threads.into_iter().map(|it| it.join().unwrap()).collect()
            });
            let bound: Vec<_> = bound.into_iter().filter_map(Result::ok).collect();
            assert_eq!(bound.len(), 1);
            UnixStream::connect(dir.path().join("http")).unwrap();
        }
    }

    #[test]
    fn a_file_that_another_member_put_there_since_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("http");
        let first = Listener::bind(&Place::Socket(path.clone())).unwrap();
        fs::rename(&path, dir.path().join("away")).unwrap();
        let _second = Listener::bind(&Place::Socket(path.clone())).unwrap();
        drop(first);
        assert!(path.exists());
    }
}
