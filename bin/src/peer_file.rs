//! Peers from a file that others write while the member runs, looked at now and then on a thread of its own.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use butterfly::Seed;
use mio::Waker;

use crate::address;

/// How often the file is looked at.
const PAUSE: Duration = Duration::from_secs(2);
/// Bytes of a file that are read: more than the seeds that a member may have.
const MOST: u64 = 256 << 10;

/// What a file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peers {
    /// The peers, one a line.
    pub peers: Vec<Seed>,
    /// What is wrong with other lines.
    pub wrong: Vec<String>,
}

/// A file of peers. Its thread ends after the file is dropped.
pub struct PeerFile {
    path: PathBuf,
    found: Receiver<Result<Peers, String>>,
}

impl PeerFile {
    /// Begins to watch this file; the waker says when there is something to take.
    pub fn watch(path: &Path, waker: Arc<Waker>) -> io::Result<Self> {
        let (to, found) = channel();
        let watched = path.to_owned();
        let thread = thread::Builder::new().name("peer-file".into());
        thread.spawn(move || watch(&watched, &to, &waker))?;
        let path = path.to_owned();
        Ok(PeerFile { path, found })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the file says now, if it changed; or why it cannot be read, if that is news.
    pub fn changed(&self) -> Option<Result<Peers, String>> {
        self.found.try_iter().last()
    }
}

fn watch(path: &Path, to: &Sender<Result<Peers, String>>, waker: &Waker) {
    let mut before = None;
    loop {
        let found = read(path).map_err(|error| error.to_string());
        if before.as_ref() != Some(&found) {
            before = Some(found.clone());
            // If either fails, the loop is gone, and nobody wants to know.
            if to.send(found).is_err() || waker.wake().is_err() {
                return;
            }
        }
        thread::sleep(PAUSE);
    }
}

fn read(path: &Path) -> io::Result<Peers> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MOST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MOST {
        let why = format!("it has more than {MOST} bytes");
        return Err(io::Error::other(why));
    }
    Ok(parse(&String::from_utf8_lossy(&bytes)))
}

/// One peer a line; what follows a `#` is for people.
fn parse(text: &str) -> Peers {
    let mut found = Peers::default();
    for (number, line) in text.lines().enumerate() {
        let written = line.split('#').next().unwrap_or_default().trim();
        match address::peer(written) {
            _ if written.is_empty() => {}
            Ok(peer) if found.peers.contains(&peer) => {}
            Ok(peer) => found.peers.push(peer),
            Err(why) => found.wrong.push(format!("line {}: {why}", number + 1)),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::fs;

    use mio::{Events, Poll, Token};

    use super::*;

    #[test]
    fn a_line_is_a_peer_and_a_bad_one_is_told() {
        let found = parse("# the ring\n10.0.0.7:9638\n\n web-1:9638 # old\r\nweb\n10.0.0.7:9638\n");
        let peers = found.peers.iter().map(ToString::to_string);
        assert_eq!(Vec::from_iter(peers), ["10.0.0.7:9638", "web-1:9638"]);
        assert_eq!(found.wrong.len(), 1);
        assert!(
            found.wrong[0].starts_with("line 5: web: not a peer"),
            "{:?}",
            found.wrong
        );
    }

    #[test]
    fn what_changes_is_told_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("peers");
        let mut poll = Poll::new().unwrap();
        let waker = Arc::new(Waker::new(poll.registry(), Token(0)).unwrap());
        let watched = PeerFile::watch(&path, waker).unwrap();
        let mut events = Events::with_capacity(1);
        let mut next = || {
            loop {
                if let Some(found) = watched.changed() {
                    return found;
                }
                poll.poll(&mut events, Some(Duration::from_secs(20)))
                    .unwrap();
                assert!(!events.is_empty(), "waited in vain");
            }
        };
        assert!(next().unwrap_err().contains("No such file"));
        fs::write(&path, "10.0.0.7:9638\n").unwrap();
        assert_eq!(next(), Ok(parse("10.0.0.7:9638")));
        fs::write(&path, vec![b'#'; MOST as usize + 1]).unwrap();
        assert!(next().unwrap_err().contains("more than"));
    }
}
