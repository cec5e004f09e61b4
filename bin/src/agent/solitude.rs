//! Whether a member hears others, and is ready to serve.

use std::time::Instant;

use log::warn;

use super::Agent;
use crate::output::count;

/// How many peers are named in one line.
const MOST_PEERS: usize = 5;

impl Agent {
    /// Why it is not ready, of which this many members are to be Alive, itself included.
    pub fn why_not_ready(&self, least: Option<usize>) -> Option<String> {
        let alive = self.member.node().counts().alive;
        if self.leaving || self.left || self.expelled {
            return Some("it is leaving".to_owned());
        }
        // The survivor of two cannot know whether the other is dead or cut off. Nobody else could serve then, so it does.
        let outlived = self.met && self.others() == 1;
        if self.member.node().isolated_for().is_some() && !outlived {
            return Some("it is isolated: it hears no other member".to_owned());
        }
        if self.is_alone() && !outlived {
            return Some("it is alone: nobody that it knows or was told to ask answers".to_owned());
        }
        let least = least.filter(|least| alive < *least)?;
        Some(format!("{alive} of {least} members are alive"))
    }

    /// How many others it knows that have not left.
    fn others(&self) -> usize {
        let counts = self.member.node().counts();
        (counts.alive + counts.suspect + counts.confirmed).saturating_sub(1)
    }

    /// It knows others, or was told to ask some, and none of them lives.
    fn is_alone(&self) -> bool {
        let node = self.member.node();
        let counts = node.counts();
        let knows = counts.suspect + counts.confirmed > 0;
        let asks = || node.seeds() > 0 && self.asked().next().is_some();
        !self.leaving && counts.alive <= 1 && (knows || asks())
    }

    /// A line now and then while no peer answers.
    pub(super) fn log_solitude(&mut self, now: Instant) {
        let Some(time) = self.solitude.turn(self.is_alone(), now) else {
            return;
        };
        let counts = self.member.node().counts();
        let known = counts.suspect + counts.confirmed;
        let seconds = time.as_secs();
        if known > 0 {
            let known = count(known, "member");
            warn!("alone for {seconds} s: nobody that it knows answers ({known})");
        } else if counts.departed > 0 {
            warn!(
                "alone for {seconds} s: all others have left, and nobody answers of {}",
                some_of(self.asked())
            );
        } else {
            warn!(
                "alone: no peer has answered for {seconds} s (asked: {}): is a member there, and does it have \
                 the same ring key, and an id of its own?",
                some_of(self.asked())
            );
        }
    }

    /// The peers that it was told to ask, but for itself.
    pub(super) fn asked(&self) -> impl Iterator<Item = &str> {
        let own = [
            self.member.node().me().member.swim_addr(),
            self.member.local_addr(),
        ];
        let is_own = move |peer: &str| peer.parse().is_ok_and(|addr| own.contains(&addr));
        let listed = self.seeds.listed();
        listed.filter(move |peer| !is_own(peer))
    }
}

/// The first ones, and how many there are besides.
fn some_of<'a>(peers: impl Iterator<Item = &'a str>) -> String {
    let peers: Vec<_> = peers.collect();
    match peers.get(..MOST_PEERS) {
        Some(first) if peers.len() > MOST_PEERS => {
            format!("{} and {} more", first.join(", "), peers.len() - MOST_PEERS)
        }
        _ => peers.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_peers_are_told_in_short() {
        let few = ["a:1", "b:1"];
        assert_eq!(some_of(few.into_iter()), "a:1, b:1");
        assert_eq!(some_of(["a:1"; 5].into_iter()), ["a:1"; 5].join(", "));
        let text = some_of(["a:1"; 8].into_iter());
        assert!(text.ends_with("a:1 and 3 more"), "{text}");
    }
}
