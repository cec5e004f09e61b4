//! Whom a member asks for its ring.

use butterfly::{CommandError, Seed};
use log::{info, warn};

use super::Agent;
use crate::seeds::{self, By};
use crate::view::SeedRow;

/// How many wrong lines of the file are logged.
const MOST_WRONG: usize = 5;

impl Agent {
    /// Asks a peer for its ring, until it is told otherwise.
    pub fn join(&mut self, peer: &Seed) -> Result<(), CommandError> {
        self.seeds.add(&mut self.member, peer, By::Hand)
    }

    /// Asks a peer no more; whether it did.
    pub fn unjoin(&mut self, peer: &Seed) -> bool {
        self.seeds.unjoin(&mut self.member, peer)
    }

    /// Whom it was told to ask, and what became of that.
    pub fn seeds(&self) -> Vec<SeedRow> {
        self.seeds.rows(&self.member)
    }

    /// Why it can never reach this peer, if so.
    pub fn unreachable(&self, peer: &Seed) -> Option<String> {
        seeds::unreachable(peer, &self.member)
    }

    /// Asks the peers that are new in the file, and no more those that are gone from it.
    pub fn take_peers(&mut self) {
        let Some((path, found)) = self
            .peer_file
            .as_ref()
            .and_then(|file| Some((file.path().display().to_string(), file.changed()?)))
        else {
            return;
        };
        let found = match found {
            Ok(found) => found,
            Err(why) => {
                return warn!(
                    "cannot read the peers in {path}: {why}; they stay as they are until it can be"
                );
            }
        };
        for wrong in found.wrong.iter().take(MOST_WRONG) {
            warn!("no peer in {path}, {wrong}");
        }
        let more = found.wrong.len().saturating_sub(MOST_WRONG);
        if more > 0 {
            warn!("{more} more lines of {path} are no peers");
        }
        let before: Vec<Seed> = self.seeds.of_file().cloned().collect();
        let new = found.peers.iter().filter(|peer| !before.contains(peer));
        let added = new.filter(|peer| self.add_from_file(peer, &path)).count();
        let gone = before.iter().filter(|peer| !found.peers.contains(peer));
        let gone = gone.filter(|peer| self.seeds.remove(&mut self.member, peer, By::File));
        let gone = gone.count();
        if added + gone > 0 {
            info!("peers in {path}: {added} new, {gone} gone");
        }
    }

    fn add_from_file(&mut self, peer: &Seed, path: &str) -> bool {
        if let Some(why) = self.unreachable(peer) {
            warn!("out of reach, of {path}: {why}");
        }
        let added = self.seeds.add(&mut self.member, peer, By::File);
        if let Err(error) = &added {
            warn!("peer {peer} of {path} is not asked: {error}");
        }
        added.is_ok()
    }
}
